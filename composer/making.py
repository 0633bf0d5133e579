"""Making: a piece of whatever is asked, and again of what it carries; it knows no network, no notes and no file.

Each of four values is all that a piece depends on, with the model: a `Request` (new music), a `Continuation` (music
after a primer), a `Fill` (music around notes that are given) and a `Form` (music in sections).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from composer.errors import BadOption
from composer.generation import Player, generate
from composer.repetition import REDRAWS
from composer.request import Request
from composer.types import Piece

if TYPE_CHECKING:
    from composer.continuing import Continuation
    from composer.filling import Fill
    from composer.form import Form

Asked: TypeAlias = Union[Request, "Continuation", "Fill", "Form"]


def make(player: Player, asked: Sequence[Asked], *, redraws: int = REDRAWS) -> list[Piece]:
    """One piece for each; their order and company change nothing in any of them.

    Raises BadOption, CannotExpress, NothingAllowed.
    """
    if all(isinstance(one, Request) for one in asked):  # so that the rest need not be imported
        return generate(player, [request_of(one) for one in asked], redraws=redraws)
    from composer.continuing import Continuation, go_on
    from composer.filling import Fill, fill
    from composer.form import Form, compose

    made: dict[int, Piece] = {}
    requests = {n: one for n, one in enumerate(asked) if isinstance(one, Request)}
    made |= zip(requests, generate(player, list(requests.values()), redraws=redraws), strict=True)
    goings_on = {n: one for n, one in enumerate(asked) if isinstance(one, Continuation)}
    made |= zip(goings_on, go_on(player, list(goings_on.values()), redraws=redraws), strict=True)
    fills = {n: one for n, one in enumerate(asked) if isinstance(one, Fill)}
    made |= zip(fills, fill(player, list(fills.values())), strict=True)
    forms = {n: one for n, one in enumerate(asked) if isinstance(one, Form)}
    made |= zip(forms, compose(player, list(forms.values()), redraws=redraws), strict=True)
    return [made[n] for n in range(len(asked))]


def request_of(asked: Asked) -> Request:
    """The request in it."""
    return asked if isinstance(asked, Request) else asked.request


def with_request(asked: Asked, request: Request) -> Asked:
    """The same with another request in it."""
    return request if isinstance(asked, Request) else replace(asked, request=request)


def asked_of(provenance: Mapping[str, Any]) -> Asked:
    """What a piece says it was made of. Raises BadOption for what is no provenance of a piece."""
    if not isinstance(provenance.get("request"), Mapping):
        raise BadOption("it does not say what was asked for.")
    if not provenance.keys() & {"primer", "form", "given"}:
        return Request.from_json(provenance["request"])
    from composer.continuing import Continuation
    from composer.filling import Fill
    from composer.form import Form

    kind = Form if "form" in provenance else Fill if "given" in provenance else Continuation
    return kind.from_json(provenance)


def regenerate(player: Player, provenance: Mapping[str, Any]) -> Piece:
    """The piece that says so of itself, once more. Raises BadOption for what is no provenance of a piece."""
    return make(player, [asked_of(provenance)], redraws=0)[0]  # the attempt that was kept stands in its request
