"""Tasks: all kinds of requests side by side, and pieces again from their provenance.

There are four kinds: a `Request` (new music), a `Continuation` (music after a primer), a `Fill` (music around fixed
notes) and a `Form` (music in sections). Each, with the model, determines its piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, groupby
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Union

from composer.errors import BadOption
from composer.generation.degeneration import RETRIES
from composer.generation.generator import Generator, Results, collect_pieces
from composer.generation.generator import generate_each as generate_requests
from composer.request import Request
from composer.types import Piece

if TYPE_CHECKING:
    from composer.generation.continuation import Continuation
    from composer.generation.form_spec import Form
    from composer.generation.infilling import Fill

Task: TypeAlias = Union[Request, "Continuation", "Fill", "Form"]

Result = TypeVar("Result")


def make(generator: Generator, tasks: Sequence[Task], *, redraws: int = RETRIES) -> list[Piece]:
    """Generate a piece for each task; none depends on the others.

    Raises BadOption, CannotExpress, NothingAllowed at the first piece that fails; `each` goes on with the others.
    """
    return collect_pieces(generate_each(generator, tasks, redraws=redraws))


def generate_each(generator: Generator, tasks: Iterable[Task], *, redraws: int = RETRIES) -> Results:
    """Yield each piece with its index among the tasks as it ends, or its error."""
    numbers = count()
    for kind, alike in groupby(tasks, key=type):
        begun: list[int] = []
        made = _find_generator(kind)(generator, _record_indices(alike, numbers, begun), redraws=redraws)
        for place, piece in made:
            yield begun[place], piece


def _record_indices(tasks: Iterable[Task], numbers: Iterator[int], begun: list[int]) -> Iterator[Any]:
    for one in tasks:
        begun.append(next(numbers))
        yield one


def _find_generator(kind: type) -> Callable[..., Results]:
    """Find the generator of a kind of task; modules that are not needed are not imported."""
    if kind is Request:
        return generate_requests
    from composer.generation import continuation, form, form_spec, infilling

    makers: dict[type, Callable[..., Results]] = {
        continuation.Continuation: continuation.generate_each,
        infilling.Fill: infilling.generate_each,
        form_spec.Form: form.generate_each,
    }
    return makers[kind]


def put_in_order(made: Iterable[tuple[int, Result]]) -> Iterator[Result]:
    """Sort results by index, yielding each as soon as all before it are there."""
    waiting: dict[int, Result] = {}
    following = 0
    for place, one in made:
        waiting[place] = one
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def get_request(task: Task) -> Request:
    """Return the request in a task."""
    return task if isinstance(task, Request) else task.request


def replace_request(task: Task, request: Request) -> Task:
    """Replace the request in a task."""
    if isinstance(task, Request):
        return request
    from composer.generation.form_spec import Form

    return replace(task, request=request, attempts=()) if isinstance(task, Form) else replace(task, request=request)


def read_task(provenance: Mapping[str, Any]) -> Task:
    """Read the task from a piece's provenance. Raises BadOption if there is none."""
    if not isinstance(provenance.get("request"), Mapping):
        raise BadOption("there is no request in its provenance.")
    if not provenance.keys() & {"primer", "form", "given"}:
        return Request.from_json(provenance["request"])
    from composer.generation.continuation import Continuation
    from composer.generation.form_spec import Form
    from composer.generation.infilling import Fill

    kind = Form if "form" in provenance else Fill if "given" in provenance else Continuation
    return kind.from_json(provenance)


def regenerate(generator: Generator, provenance: Mapping[str, Any]) -> Piece:
    """Generate a piece again from its provenance. Raises BadOption if there is none."""
    return make(generator, [read_task(provenance)], redraws=0)[0]  # the request has the attempt that was kept
