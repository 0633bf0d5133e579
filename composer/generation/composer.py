"""A model in Python: each task in one call, with the option names of the command line.

import composer

chorales = composer.open_model("chorales")
chorales.generate(bars=8, temperature=0.95, seed=7).write("first.mid")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from composer.errors import BadOption
from composer.generation import streaming, tasks
from composer.generation.annotating import check_comp
from composer.generation.continuation import Continuation, make_continuation
from composer.generation.defaults import choose_new_samplers
from composer.generation.finishing import Typed, add_comp, add_flagged, include_typed, read_finish, split_flagged
from composer.generation.generator import Generator, apply_samplers, state_edition
from composer.generation.options import (
    ALL,
    build_chain,
    choose_seed,
    merge_conditions,
    name_condition_keywords,
    parse_look_ahead,
    read_bars,
    read_time_signature,
    read_voices,
    take_conditions,
)
from composer.generation.presets import get_preset
from composer.generation.primers import is_typed, read_primer
from composer.generation.readings import parse_grid
from composer.generation.streaming import Bar
from composer.generation.tasks import Task
from composer.model import find_model, load
from composer.music.score import Score, Tempo
from composer.request import Request
from composer.tokens.conditions import split_conditions
from composer.types import Piece

if TYPE_CHECKING:
    from composer.generation.infilling import Fill

DEFAULT_MODEL = "chorales"

Music: TypeAlias = Any
"""Anything that `composer.read` takes: path, bytes, open file, Piece, Score, or an object of another library."""


class Composer(Generator):
    """A generator with a method for each task, by the options of the command line.

    All methods share these options. `seed`: the same seed, the same music; random by default. `device`, `backend`,
    `precision`: the backend of the model. `**samplers`: `temperature=0.95`, `top_p=0.9`, `chords="Dm7 G7"`, and
    every other sampler that `composer generate --help` lists, in the order of the chain. Conditions of the model are
    named as they are: `style="funk"`. `transforms` change the finished piece, or of a fill its new notes. Some have
    options of their own: `instrument="strings"`, `dynamics="p"` or `"none"`, `rubato=True`. A piece that breaks one of
    `rules` is retried. Both are typed as on the command line, `"leaps:7"` or a list of such.

    They raise BadOption or UnknownName for wrong options, CannotExpress for music that the model cannot encode, and
    NothingAllowed at dead ends. They warn with RequestWarning of options that can be met in part only.
    """

    @overload
    def generate(self, *, count: int, **options: Any) -> list[Piece]: ...

    @overload
    def generate(
        self,
        *,
        count: None = None,
        seed: int | None = None,
        index: int = 0,
        bars: int | None = None,
        form: str | None = None,
        time_signature: str | None = None,
        key: str | None = None,
        tempo: float | None = None,
        max_copied_bars: int | None = None,
        comp: bool = False,
        transforms: Typed = (),
        rules: Typed = (),
        beams: int | None = None,
        primer: Music = None,
        device: str = "cpu",
        backend: str = "auto",
        precision: str = "float32",
        **samplers: Any,
    ) -> Piece: ...

    def generate(
        self,
        *,
        count: int | None = None,
        best: int | None = None,
        seed: int | None = None,
        index: int = 0,
        bars: int | None = None,
        form: str | None = None,
        time_signature: str | None = None,
        key: str | None = None,
        tempo: float | None = None,
        max_copied_bars: int | None = None,
        comp: bool = False,
        transforms: Typed = (),
        rules: Typed = (),
        beams: int | None = None,
        primer: Music = None,
        device: str = "cpu",
        backend: str = "auto",
        precision: str = "float32",
        **samplers: Any,
    ) -> Piece | list[Piece]:
        """Write a new piece, as `composer generate` does. `count` asks for a list, `best` for the best of these.

        `index` is the number of the first piece among those of the seed. `bars` are whole bars, after the primer;
        with `form`, such as `"AABA"`, those of each section. The `primer` is notes, such as `"D4 E4 F4/2"`, or
        anything that `composer.read` takes. The `tempo` counts beats of the time signature. `beams` searches for the
        likeliest piece instead of sampling one.
        """
        from composer.generation.form_spec import Form

        conditions: dict[str, Any] = {"time_signature": time_signature, "key": key, "tempo": tempo}
        conditions |= {"max_copied_bars": max_copied_bars, "beams": beams}
        runtime = {"device": device, "backend": backend, "precision": precision}
        conditions |= {"bars": bars, **read_finish(add_comp(transforms, comp=comp), rules)}
        request = _build_request(self, "generate", seed, conditions, runtime, samplers)
        if comp and primer is None:
            check_comp(self.tokenizer.token_info, request)
        one: Task = request if primer is None else _continue_primer(self, request, primer, tempo)
        if form is not None:
            one = Form.parse(replace(tasks.get_request(one), bars=bars), form)
        wanted = [_set_index(one, index + n) for n in range(1 if count is None else _check_count(count))]
        made = self._choose_best(wanted, count, best)
        return made[0] if count is None else made

    def stream(
        self,
        *,
        seed: int | None = None,
        bars: int | None = None,
        time_signature: str | None = None,
        key: str | None = None,
        tempo: float | None = None,
        primer: Music = None,
        device: str = "cpu",
        backend: str = "auto",
        precision: str = "float32",
        **samplers: Any,
    ) -> Iterator[Bar]:
        """Write a piece as `generate` does, and yield each bar with its events as soon as it is complete."""
        conditions = {"bars": bars, "time_signature": time_signature, "key": key, "tempo": tempo}
        runtime = {"device": device, "backend": backend, "precision": precision}
        request = _build_request(self, "stream", seed, conditions, runtime, samplers)
        one = request if primer is None else _continue_primer(self, request, primer, tempo)
        return streaming.stream_bars(self, tasks.get_request(one))

    def fill(
        self,
        piece: Music,
        *,
        bars: str | int | Sequence[int] | None = None,
        voice: str | Sequence[str] | None = None,
        count: int | None = None,
        best: int | None = None,
        seed: int | None = None,
        particles: int = 64,
        look_ahead: int | str = 2,
        transforms: Typed = (),
        rules: Typed = (),
        device: str = "cpu",
        backend: str = "auto",
        precision: str = "float32",
        **samplers: Any,
    ) -> Any:
        """Rewrite bars or voices of a piece, as `composer fill` does: `bars="5-8"` or `(5, 8)`, `voice="bass"`.

        `particles` is the size of the particle set. `look_ahead` is the number of bars after a gap, or `"all"`, whose
        fixed notes guide it. `count` asks for a list of pieces, `best` for the best of these.
        """
        from composer.generation import infilling
        from composer.io.objects import read_notes

        runtime = {"device": device, "backend": backend, "precision": precision}
        request = _build_request(self, "fill", seed, read_finish(transforms, rules), runtime, samplers)
        around: dict[str, Any] = {"particles": particles, "look_ahead": _read_look_ahead(look_ahead)}
        span, names = None if bars is None else read_bars(bars), read_voices(voice)
        if span is None and not names:
            raise BadOption("name the part to rewrite by 'bars' or 'voice'.")
        plan = partial(infilling.plan_gap, self, read_notes(piece), bars=span, voices=names, **around)
        return self._make_fills(plan, request, count, best)

    def harmonize(
        self,
        melody: Music,
        *,
        voice: str | None = None,
        key: str | None = None,
        time_signature: str | None = None,
        track: str | None = None,
        transpose: int = 0,
        quantize: str | None = None,
        count: int | None = None,
        best: int | None = None,
        seed: int | None = None,
        particles: int = 64,
        look_ahead: int | str = 2,
        transforms: Typed = (),
        rules: Typed = (),
        device: str = "cpu",
        backend: str = "auto",
        precision: str = "float32",
        **samplers: Any,
    ) -> Any:
        """Write the other voices to a melody, which stays note for note, as `composer harmonize` does.

        The melody is notes, such as `"D4 E4 F4/2 A4/2"`, or anything that `composer.read` takes. Its `voice` is the
        first unless named, and its `track` the only one. The model reads it `transpose` semitones higher, and on the
        grid `quantize` (`"1/8"`, or `"no"`) if it is played. `count` asks for a list of pieces, `best` for the best.
        """
        from composer.generation import accompanying

        runtime = {"device": device, "backend": backend, "precision": precision}
        request = _build_request(self, "harmonize", seed, read_finish(transforms, rules), runtime, samplers)
        request = replace(request, key=key, time_signature=time_signature)
        around: dict[str, Any] = {"particles": particles, "look_ahead": _read_look_ahead(look_ahead), "voice": voice}
        around |= {"track": track, "transpose": transpose, "grid": None if quantize is None else parse_grid(quantize)}
        return self._make_parts(partial(accompanying.plan_parts, self, **around), melody, request, count, best)

    def accompany(self, melody: Music, **options: Any) -> Any:
        """Write an accompaniment to a melody, which stays note for note, as `composer accompany` does.

        It is the model's parts beside the one that the melody stands for. The options are those of `harmonize`.
        """
        return self.harmonize(melody, **options)

    def add_chords(
        self,
        melody: Music,
        *,
        key: str | None = None,
        time_signature: str | None = None,
        track: str | None = None,
        transpose: int = 0,
        quantize: str | None = None,
        count: int | None = None,
        best: int | None = None,
        seed: int | None = None,
        particles: int = 64,
        look_ahead: int | str = 2,
        transforms: Typed = (),
        rules: Typed = (),
        device: str = "cpu",
        backend: str = "auto",
        precision: str = "float32",
        **samplers: Any,
    ) -> Any:
        """Write chord symbols to a melody, which stays note for note, as `composer chords` does.

        For the arguments, see `harmonize`.
        """
        from composer.generation import accompanying

        runtime = {"device": device, "backend": backend, "precision": precision}
        request = _build_request(self, "add_chords", seed, read_finish(transforms, rules), runtime, samplers)
        request = replace(request, key=key, time_signature=time_signature)
        around: dict[str, Any] = {"particles": particles, "look_ahead": _read_look_ahead(look_ahead)}
        around |= {"track": track, "transpose": transpose, "grid": None if quantize is None else parse_grid(quantize)}
        return self._make_parts(partial(accompanying.plan_chords, self, **around), melody, request, count, best)

    def humanize(
        self,
        piece: Music,
        *,
        strength: float = 1.0,
        count: int | None = None,
        best: int | None = None,
        seed: int | None = None,
        particles: int = 64,
        transforms: Typed = (),
        rules: Typed = (),
        device: str = "cpu",
        backend: str = "auto",
        precision: str = "float32",
        **samplers: Any,
    ) -> Any:
        """Play a piece as a player would, as `composer humanize` does: loudness and timing are new, the notes stay.

        `strength` goes from 0, on the grid and as loud as given, to 1, as the model plays. `count` asks for a list of
        pieces, `best` for the best of these.
        """
        from composer.generation.humanizing import plan_performance
        from composer.io.objects import read_notes

        runtime = {"device": device, "backend": backend, "precision": precision}
        request = _build_request(self, "humanize", seed, read_finish(transforms, rules), runtime, samplers)
        plan = partial(plan_performance, self, read_notes(piece), strength=strength, particles=particles)
        return self._make_fills(plan, request, count, best)

    def vary(
        self,
        piece: Music,
        *,
        count: int = 8,
        best: int | None = None,
        keep: float = 0.7,
        seed: int | None = None,
        particles: int = 64,
        look_ahead: int | str = 2,
        transforms: Typed = (),
        rules: Typed = (),
        device: str = "cpu",
        backend: str = "auto",
        precision: str = "float32",
        **samplers: Any,
    ) -> list[Piece]:
        """Write variations of a piece, as `composer vary` does.

        Each keeps a random share of all bars of all voices, and rewrites the others.
        """
        from composer.generation import infilling
        from composer.io.objects import read_notes

        runtime = {"device": device, "backend": backend, "precision": precision}
        request = _build_request(self, "vary", seed, read_finish(transforms, rules), runtime, samplers)
        around: dict[str, Any] = {"particles": particles, "look_ahead": _read_look_ahead(look_ahead)}
        plan = partial(infilling.plan_variation, self, read_notes(piece), keep=keep, **around)
        made: list[Piece] = self._make_fills(plan, request, count, best)
        return made

    def _make_parts(
        self, plan: Callable[..., Fill], melody: Music, request: Request, count: int | None, best: int | None
    ) -> Any:
        """Make new parts to a melody by a plan."""
        score, typed = _read_music(melody, "the melody")
        if typed and self.suggested.tempo is not None:
            score = replace(score, tempos=(Tempo(0, self.suggested.tempo),))
        request = include_typed(request) if typed else request
        return self._make_fills(partial(plan, score, own_track=not typed), request, count, best)

    def _make_fills(
        self, plan: Callable[[Request], Fill], request: Request, count: int | None, best: int | None
    ) -> Any:
        """Make the pieces of a request, one for each index, or the best of them; without a `count`, one alone."""
        wanted = [plan(replace(request, index=index)) for index in range(1 if count is None else _check_count(count))]
        made = self._choose_best(wanted, count, best)
        return made[0] if count is None else made

    def _choose_best(self, wanted: Sequence[Task], count: int | None, best: int | None) -> list[Piece]:
        """Make pieces, and keep the best if so many are asked for. Raises BadOption."""
        from composer.generation import ranking

        if best is None:
            return tasks.make(self, wanted)
        if count is None:
            raise BadOption("'best' chooses among several pieces; give 'count' as well.")
        if not 1 <= best <= count:
            raise BadOption(f"'best' is {best}, and must be from 1 to the {count} of 'count'.")
        return [kept.piece for kept in ranking.find_best(self, wanted, best)]

    def regenerate(self, piece: Music) -> Piece:
        """Generate a piece again from its provenance. Raises BadOption for a piece without any."""
        from composer.io.objects import read

        return tasks.regenerate(self, read(piece).provenance)


def open_model(name: str | Path) -> Composer:
    """Open a model by its name or file. Raises UnknownName, BadModelFile."""
    return Composer(load(find_model(str(name))), str(name))


def _build_request(
    model: Composer,
    method: str,
    seed: int | None,
    conditions: Mapping[str, Any],
    backend: Mapping[str, Any],
    samplers: Mapping[str, Any],
) -> Request:
    """Put all options of a method over the request suggested by the model. Raises BadOption."""
    taken = {*signature(getattr(Composer, method)).parameters} - {"self", "samplers"}
    if method != "stream":  # which hands out notes before a piece is finished
        own, samplers = split_flagged(samplers)
        stays = method == "humanize"  # but for what the model plays
        specs = add_flagged(conditions.get("transforms") or (), own, usual=not stays)
        conditions = {**conditions, "transforms": specs}
    keywords = name_condition_keywords([name for name, _ in split_conditions(model.tokenizer)[1]], taken)
    told, chain = take_conditions(samplers, keywords)
    links = build_chain(chain, {*taken, *keywords}, method)
    stated = {name: condition for name, condition in conditions.items() if condition is not None}
    suggested = merge_conditions(model.suggested, told)
    if "time_signature" in stated:
        stated["time_signature"] = read_time_signature(stated["time_signature"])
    request = state_edition(model, replace(suggested, seed=choose_seed(seed), **backend, **stated))
    request = apply_samplers(request, links)
    return choose_new_samplers(model.tokenizer.token_info, request) if method in ("generate", "stream") else request


def _set_index(task: Task, index: int) -> Task:
    return tasks.replace_request(task, replace(tasks.get_request(task), index=index))


def _check_count(count: int) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise BadOption(f"'count' is {count!r}, and must be a whole number from 1.")
    return count


def _read_look_ahead(bars: int | str | None) -> int | None:
    return parse_look_ahead(ALL if bars is None else str(bars))


def _continue_primer(model: Generator, request: Request, primer: Music, tempo: float | None) -> Continuation:
    score, typed = _read_music(primer, "the primer")
    request = include_typed(request) if typed else request
    return make_continuation(model, request, score, tempo=tempo, own_tracks=not typed)


def _read_music(music: Music, what: str) -> tuple[Score, bool]:
    """Read music, and tell whether it was typed as notes."""
    from composer.io.objects import read_notes

    if isinstance(music, str | Path):
        return read_primer(str(music), what), is_typed(str(music))
    return read_notes(music), False


@overload
def generate(model: str | Path | None = None, *, count: int, **options: Any) -> list[Piece]: ...


@overload
def generate(model: str | Path | None = None, *, count: None = None, **options: Any) -> Piece: ...


def generate(
    model: str | Path | None = None, *, count: int | None = None, preset: str | None = None, **options: Any
) -> Piece | list[Piece]:
    """Open a model by name, and write a piece with it, or with `count` a list, as `Composer.generate` does.

    The model is `chorales`, or that of a `preset`, such as `"jig"`, whose options count where none are given.
    """
    wanted: dict[str, Any] = {} if preset is None else _read_preset(preset)
    opened = open_model(model or wanted.pop("model", DEFAULT_MODEL))
    options = {**{name: value for name, value in wanted.items() if name != "model"}, **options}
    return opened.generate(**options) if count is None else opened.generate(count=count, **options)


def _read_preset(name: str) -> dict[str, Any]:
    return {key.replace("-", "_"): value for key, value in get_preset(name).options.items()}
