"""Making: a piece of whatever is asked, and again of what it carries; it knows no network, no notes and no file.

Each of four values is all that a piece depends on, with the model: a `Request` (new music), a `Continuation` (music
after a primer), a `Fill` (music around notes that are given) and a `Form` (music in sections).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, groupby
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Union

from composer.errors import BadOption, ComposerError
from composer.generation import generator
from composer.generation.degeneration import REDRAWS
from composer.generation.generator import Generator
from composer.request import Request
from composer.types import Piece

if TYPE_CHECKING:
    from composer.generation.continuation import Continuation
    from composer.generation.form_spec import Form
    from composer.generation.infilling import Fill

Asked: TypeAlias = Union[Request, "Continuation", "Fill", "Form"]

Made = TypeVar("Made")


def make(player: Generator, asked: Sequence[Asked], *, redraws: int = REDRAWS) -> list[Piece]:
    """One piece for each; their order and company change nothing in any of them.

    Raises BadOption, CannotExpress, NothingAllowed for the first piece that is found not to be made; `each` makes the
    others.
    """
    return generator.whole(each(player, asked, redraws=redraws))


def each(
    player: Generator, asked: Iterable[Asked], *, redraws: int = REDRAWS
) -> Iterator[tuple[int, Piece | ComposerError]]:
    """Each piece with its place among what is asked, as it is made, or the error that says why it cannot be."""
    numbers = count()
    for kind, alike in groupby(asked, key=type):
        begun: list[int] = []
        made = _pieces_of(kind)(player, _numbered(alike, numbers, begun), redraws=redraws)
        for place, piece in made:
            yield begun[place], piece


def _numbered(asked: Iterable[Asked], numbers: Iterator[int], begun: list[int]) -> Iterator[Any]:
    for one in asked:
        begun.append(next(numbers))
        yield one


def _pieces_of(kind: type) -> Callable[..., Iterator[tuple[int, Piece | ComposerError]]]:
    """What makes them; the others need not be imported."""
    if kind is Request:
        return generator.pieces
    from composer.generation import continuation, form, form_spec, infilling

    makers: dict[type, Callable[..., Iterator[tuple[int, Piece | ComposerError]]]] = {
        continuation.Continuation: continuation.pieces,
        infilling.Fill: infilling.pieces,
        form_spec.Form: form.pieces,
    }
    return makers[kind]


def in_order(made: Iterable[tuple[int, Made]]) -> Iterator[Made]:
    """The same in the order of their places, each as soon as those before it are there."""
    waiting: dict[int, Made] = {}
    following = 0
    for place, one in made:
        waiting[place] = one
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def request_of(asked: Asked) -> Request:
    """The request in it."""
    return asked if isinstance(asked, Request) else asked.request


def with_request(asked: Asked, request: Request) -> Asked:
    """The same with another request in it."""
    if isinstance(asked, Request):
        return request
    from composer.generation.form_spec import Form

    return replace(asked, request=request, attempts=()) if isinstance(asked, Form) else replace(asked, request=request)


def asked_of(provenance: Mapping[str, Any]) -> Asked:
    """What a piece says it was made of. Raises BadOption for what is no provenance of a piece."""
    if not isinstance(provenance.get("request"), Mapping):
        raise BadOption("it does not say what was asked for.")
    if not provenance.keys() & {"primer", "form", "given"}:
        return Request.from_json(provenance["request"])
    from composer.generation.continuation import Continuation
    from composer.generation.form_spec import Form
    from composer.generation.infilling import Fill

    kind = Form if "form" in provenance else Fill if "given" in provenance else Continuation
    return kind.from_json(provenance)


def regenerate(player: Generator, provenance: Mapping[str, Any]) -> Piece:
    """The piece that says so of itself, once more. Raises BadOption for what is no provenance of a piece."""
    return make(player, [asked_of(provenance)], redraws=0)[0]  # the attempt that was kept stands in its request
