"""Tasks: all kinds of requests side by side, and pieces again from their provenance.

There are four kinds: a `Request` (new music), a `Continuation` (music after a primer), a `Fill` (music around fixed
notes) and a `Form` (music in sections). Commands of plugins may have tasks of their own (`composer.types.OwnTask`).
Each, with the model, determines its piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Union

from composer.errors import OF_ONE_PIECE, BadOption, ComposerError, printable
from composer.generation.annotating import annotate_piece
from composer.generation.degeneration import RETRIES
from composer.generation.finishing import BROKEN, finish_piece, repeat_transforms
from composer.generation.generator import BATCH_SIZE, Generator, PieceResult, Results, collect_pieces
from composer.generation.generator import generate_each as generate_requests
from composer.music.merging import Fixed, list_fixed
from composer.request import Request
from composer.types import OwnTask, Piece, ReadsTasks

if TYPE_CHECKING:
    from composer.generation.continuation import Continuation
    from composer.generation.form_spec import Form
    from composer.generation.infilling import Fill

Task: TypeAlias = Union[Request, "Continuation", "Fill", "Form", OwnTask]

Result = TypeVar("Result")


def make(generator: Generator, tasks: Sequence[Task], *, redraws: int = RETRIES) -> list[Piece]:
    """Generate a piece for each task; none depends on the others.

    Raises BadOption, CannotExpress, NothingAllowed at the first piece that fails; `each` goes on with the others.
    """
    return collect_pieces(generate_each(generator, tasks, redraws=redraws))


def generate_each(generator: Generator, tasks: Iterable[Task], *, redraws: int = RETRIES) -> Results:
    """Yield each piece with its index among the tasks as it ends, or its error.

    Each is changed by the transforms of its request. One that breaks a rule of it is retried, up to the attempt
    `redraws`; the last attempt is kept, with what it breaks in its provenance.
    """
    numbered = enumerate(tasks)
    for (kind, is_judged), alike in groupby(numbered, key=lambda one: (type(one[1]), bool(get_request(one[1]).rules))):
        if not is_judged:
            yield from _finish_each(generator, kind, alike, redraws)
            continue
        while block := dict(islice(alike, BATCH_SIZE)):
            yield from _generate_judged(generator, kind, block, redraws)


def _generate_judged(generator: Generator, kind: type, left: Mapping[int, Task], redraws: int) -> Results:
    """Yield the pieces of tasks with rules; if no retry of a piece ends, the one before it is kept."""
    kept: dict[int, Piece] = {}
    while left:
        again: dict[int, Task] = {}
        for number, made in _finish_each(generator, kind, left.items(), redraws):
            if isinstance(made, ComposerError):
                yield number, kept.get(number, made)
                continue
            kept[number], request = made, Request.from_json(made.provenance["request"])
            if BROKEN in made.provenance and request.attempt < redraws and request.beams is None:  # without chance
                again[number] = replace_request(left[number], replace(request, attempt=request.attempt + 1))
            else:
                yield number, made
        left = again


def _finish_each(generator: Generator, kind: type, numbered: Iterable[tuple[int, Task]], redraws: int) -> Results:
    """Yield the finished pieces of numbered tasks of one kind."""
    begun: dict[int, tuple[int, Task]] = {}
    for place, made in _find_generator(kind)(generator, _record_tasks(numbered, begun), redraws=redraws):
        number, task = begun.pop(place)
        yield number, made if isinstance(made, ComposerError) else _finish(generator, task, made)


def _record_tasks(numbered: Iterable[tuple[int, Task]], begun: dict[int, tuple[int, Task]]) -> Iterator[Any]:
    for place, (number, task) in enumerate(numbered):
        begun[place] = number, task
        yield task


def _finish(generator: Generator, task: Task, piece: Piece) -> PieceResult:
    """Finish a piece: transform and judge it. Fixed notes of a fill stay."""
    request = get_request(task)
    if request.samplers:
        piece = annotate_piece(task, request, piece)
    try:
        return finish_piece(piece, _list_fixed(generator, task) if request.transforms else None)
    except OF_ONE_PIECE as error:
        return error


def _list_fixed(generator: Generator, task: Task) -> Fixed | None:
    """List what stays in a fill, None for another task."""
    if isinstance(task, Request):
        return None
    from composer.generation.infilling import Fill, quantise

    if not isinstance(task, Fill):
        return None
    quantised = quantise(generator, task.reading.apply(task.score))
    return list_fixed(task.score, task.reading.hear(task.score, quantised), task.fixed)


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
    return makers.get(kind, _generate_own)


def _generate_own(generator: Generator, tasks: Iterable[OwnTask], *, redraws: int = 0) -> Results:  # noqa: ARG001  (as all)
    """Yield the pieces of tasks that plugins define; they are made once."""
    for number, task in enumerate(tasks):
        try:
            yield number, task.generate(generator)
        except OF_ONE_PIECE as error:
            yield number, error


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
    if isinstance(task, OwnTask):
        return task.replace_request(request)
    from composer.generation.form_spec import Form

    return replace(task, request=request, attempts=()) if isinstance(task, Form) else replace(task, request=request)


def read_task(provenance: Mapping[str, Any]) -> Task:
    """Read the task from a piece's provenance. Raises BadOption if there is none."""
    if not isinstance(provenance.get("request"), Mapping):
        raise BadOption("there is no request in its provenance.")
    if isinstance(name := provenance.get("command"), str):
        return _read_own_task(name, provenance)
    if not provenance.keys() & {"primer", "form", "given"}:
        return Request.from_json(provenance["request"])
    from composer.generation.continuation import Continuation
    from composer.generation.form_spec import Form
    from composer.generation.infilling import Fill

    kind = Form if "form" in provenance else Fill if "given" in provenance else Continuation
    return kind.from_json(provenance)


def _read_own_task(name: str, provenance: Mapping[str, Any]) -> OwnTask:
    """Read the task of a plugin's command. Raises BadOption if no plugin offers one that reads tasks."""
    from composer.plugins.commands import load

    if not isinstance(command := load(name), ReadsTasks):
        raise BadOption(f"it was made by 'composer {printable(name)}', which no installed plugin offers.")
    return command.read_task(provenance)


def regenerate(generator: Generator, provenance: Mapping[str, Any]) -> Piece:
    """Generate a piece again from its provenance. Raises BadOption if there is none."""
    piece = make(generator, [read_task(provenance)], redraws=0)[0]  # the request has the attempt that was kept
    return repeat_transforms(piece, provenance)
