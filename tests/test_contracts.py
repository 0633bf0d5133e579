"""Everything that is registered keeps its contract, and the checks that say so find what is broken."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import steps
from music import QUARTER, line, save_rolls, score, tune_roll
from threadpoolctl import threadpool_limits

from composer.errors import CannotWrite
from composer.metrical import Field
from composer.plugins import registry
from composer.testing import (
    check_architecture,
    check_dataset,
    check_grammar,
    check_metric,
    check_round_trip,
    check_sampler,
    check_stepper,
    check_tokenizer,
    random_model,
)
from composer.types import Metric, Piece
from composer_frames.tokenizer import Frames
from composer_native import compiling
from composer_remi.tokenizer import Remi
from composer_voices.tokenizer import Voices

RECURRENT = ("lstm", "gru", "rnn", "mingru", "minlstm")
SMALL = {"hidden_size": 16, "embedding_size": 16}
OPTIONS = {
    **dict.fromkeys(RECURRENT, SMALL),
    "min-p": {"p": 0.1},
    "top-p": {"p": 0.9},
    "top-k": {"k": 3},
    "temperature": {"temperature": 0.5},
    "repetition-penalty": {"penalty": 1.3},
    "pitch-range": {"range": "C3:C5"},
    "range": {"range": "all=C3:C6"},
    "scale": {"scale": "D dorian"},
    "chords": {"chords": "Dm7 G7 | Cmaj7"},
    "ending": {"key": "Dm"},
    "polyphony": {"polyphony": 2},
    "density": {"density": 3},
    "rhythm": {"rhythm": "1/8"},
    "no-repeat": {"n": 3},
    "folder": {"path": "music"},
    "piano-rolls": {"file": "rolls.mat"},
}
"""For what cannot be made without options, or should be small."""

TUNE = Voices(names=("Tune",), steps_per_quarter=4)
MUSIC = {
    "rests": score(line((60, 1), (62, 2), (0, 2), (64, 3), name="Tune", program=73)),
    "an upbeat, two parts": score(
        line((67, 1), (72, 2), (71, 1), (72, 4), name="Flute", program=73),
        line((0, 1), (48, 4), (43, 3), name="Cello", program=42),
        upbeat=QUARTER,
        key="Dm",
    ),
}


def made(kind, name):
    return registry().make(kind, name, **OPTIONS.get(name, {}))


# --- what is registered -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", registry().names("architectures"))
def test_architecture(name):
    check_architecture(made("architectures", name))


@pytest.mark.parametrize("name", registry().names("samplers"))
@pytest.mark.parametrize("tokenizer", [TUNE, Remi(steps_per_quarter=4), Frames()], ids=["voices", "remi", "frames"])
def test_sampler(name, tokenizer):
    check_sampler(made("samplers", name), tokenizer)


@pytest.mark.parametrize("name", registry().names("metrics"))
def test_metric(name):
    check_metric(registry().make("metrics", name))


@pytest.mark.parametrize("name", registry().names("steppers"))
@pytest.mark.parametrize("architecture", registry().names("architectures"))
def test_stepper(name, architecture):
    check_stepper(made("steppers", name), random_model(architecture, "voices"))


@pytest.fixture
def shared_steps(monkeypatch):
    """Every step of the kernel is shared among threads, be it ever so short."""
    monkeypatch.setattr("composer_native.steps.ENOUGH", 0)
    monkeypatch.setattr("composer_native.threads.Pace.threads", lambda pace: max(pace.seconds))


def with_threads(count, name, precision, rows):
    """The logits with so many threads, for each library that has some."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            return steps.logits(name, precision, rows, **({"threads": count} if name == "native" else {}))
    finally:
        torch.set_num_threads(before)


def test_logits_are_the_same_bits_in_any_batch_with_any_threads_and_in_another_process(shared_steps):
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    if found := compiling.library():  # it need not be compiled again
        environment["COMPOSER_CACHE"] = str(Path(found._name).parents[1])
    command = [sys.executable, steps.__file__]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        here = {}
        for name, precision in steps.suiting():
            most = with_threads(1, name, precision, 64)
            here[f"{name} {precision}"] = steps.digest(most[:, :7])
            for rows, threads in [(1, 1), (7, 1), (7, 2), (64, 2)]:
                found = with_threads(threads, name, precision, rows)
                assert found.tobytes() == most[:, :rows].tobytes(), (name, precision, rows, threads)
        said, _ = other.communicate()
    assert json.loads(said) == here


@pytest.mark.parametrize("options", [{"skip": False}, {"tie_weights": True}, {"layers": 1, "hidden_size": 33}], ids=str)
@pytest.mark.parametrize("architecture", RECURRENT)
def test_the_cells_described_are_those_of_torch_with_any_options(architecture, options):
    check_stepper(made("steppers", "numpy"), random_model(architecture, "voices", **options))


@pytest.mark.parametrize("suffix", sorted({*registry().names("exporters")} & {*registry().names("readers")}))
@pytest.mark.parametrize("music", MUSIC.values(), ids=MUSIC)
def test_exporter_and_reader(suffix, music, tmp_path):
    check_round_trip(made("exporters", suffix), made("readers", suffix), music, tmp_path, suffix=suffix)


@pytest.mark.parametrize("name", sorted({*registry().names("datasets")} - {"folder", "piano-rolls"}))
def test_dataset(name):
    check_dataset(made("datasets", name))


def test_dataset_of_a_folder(tmp_path, monkeypatch):
    for name, music in MUSIC.items():
        made("exporters", ".mid")([Piece(music)], tmp_path / f"{name}.mid")
    monkeypatch.setitem(OPTIONS, "folder", {"path": str(tmp_path)})
    check_dataset(made("datasets", "folder"))


def test_dataset_of_piano_rolls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_rolls("rolls.mat", *([tune_roll(number) for number in range(rolls)] for rolls in (3, 1, 2)))
    check_dataset(made("datasets", "piano-rolls"))


# --- what is broken ---------------------------------------------------------------------------------------------------


def broken(rule, check, *things, **options):
    with pytest.raises(AssertionError, match=rule):
        check(*things, **options)


@dataclass(frozen=True)
class Forgetful:
    """An architecture without what `faults` names."""

    fault: str

    def module(self, column_sizes, vocabulary_size):
        from torch import nn, zeros

        class Module(nn.Module):
            def __init__(self, fault):
                super().__init__()
                self.fault = fault
                self.embedding = nn.Embedding(column_sizes[0], 8)
                self.layer = nn.GRU(8, 8, batch_first=True)
                self.head = nn.Linear(8, vocabulary_size)
                if fault == "unused":
                    self.register_parameter("spare", nn.Parameter(zeros(3)))

            def forward(self, inputs, state=None):
                begun = None if state is None or self.fault == "state" else state[0].transpose(0, 1).contiguous()
                hidden, last = self.layer(self.embedding(inputs[..., 0]), begun)
                if self.fault == "rows":
                    hidden = hidden - hidden.mean(0, keepdim=True)
                return self.head(hidden), (last if self.fault == "layers first" else last.transpose(0, 1),)

        return Module(self.fault)


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("state", "whole is equal to chunks"),
        ("rows", "a row of a batch is equal"),
        ("layers first", "batch-first"),
        ("unused", "the gradient reaches every parameter; not these: \\['spare'\\]"),
    ],
)
def test_an_architecture_with_a_fault(fault, rule):
    check_architecture(Forgetful("none"))
    broken(rule, check_architecture, Forgetful(fault))


@dataclass(frozen=True)
class Hasty:
    """A stepper with a fault."""

    fault: str
    speed = 1
    tolerances = MappingProxyType({"float32": 1e-4})

    def suits(self, model, device):
        return True

    def make(self, model, device, precision="float32"):
        right = registry().make("steppers", "numpy").make(model, device, precision)

        def step(inputs, state):
            if self.fault == "in place":
                inputs[:, 0] = 0
            logits, after = right(inputs, None if self.fault == "forgets" else state)
            if self.fault == "mixes":
                logits = logits + 1e-7 * len(logits)
            return logits, after

        return step


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("in place", "the argument of a stepper is unchanged"),
        ("forgets", "logits are those of the reference within 0.0001; they are off by"),
        ("mixes", "a row is the same to the bit in a batch of 1 with 1 threads"),
    ],
)
def test_a_stepper_with_a_fault(fault, rule):
    model = random_model("gru", "voices", **SMALL)
    check_stepper(Hasty("none"), model)
    broken(rule, check_stepper, Hasty(fault), model)


@dataclass(frozen=True)
class Careless:
    """A sampler with a fault."""

    fault: str

    def __call__(self, logits, context):
        if self.fault == "in place":
            logits -= 1
        if self.fault == "revives":
            return np.nan_to_num(logits, neginf=-50.0)
        if self.fault == "empties":
            return np.full_like(logits, -np.inf)
        if self.fault == "mixes":
            return logits - logits.max()
        return logits


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("in place", "is unchanged"),
        ("revives", "at -inf stays there"),
        ("empties", "at least one token stays possible"),
        ("mixes", "the same in a batch as alone"),
    ],
)
def test_a_sampler_with_a_fault(fault, rule):
    check_sampler(Careless("none"), TUNE)
    broken(rule, check_sampler, Careless(fault), TUNE)


class Twice(Voices):
    """A tokenizer with a token that is there twice."""

    @property
    def vocabulary(self):
        return (*super().vocabulary[:-1], "Rest_None")


class Unmeant(Voices):
    """A tokenizer that says nothing of its last token."""

    @property
    def meaning(self):
        found = super().meaning
        return replace(found, kind=found.kind[:-1])


class Deaf(Voices):
    """A tokenizer that decodes all a semitone lower."""

    def decode(self, tokens):
        found = super().decode(tokens)
        tracks = []
        for track in found.tracks:
            lower = track.notes.copy()
            lower["pitch"] -= 1
            tracks.append(replace(track, notes=lower))
        return replace(found, tracks=tuple(tracks))


@pytest.mark.parametrize(
    ("tokenizer", "rule"),
    [
        (Twice, "no token is twice"),
        (Unmeant, "meaning.kind has one entry a token"),
        (Deaf, "the same tokens; after .*Position_0: Pitch_60 became Pitch_59"),
    ],
)
def test_a_tokenizer_with_a_fault(tokenizer, rule):
    broken(rule, check_tokenizer, tokenizer(names=("Tune",), steps_per_quarter=4), [score(line((60, 4)))])


def with_grammar(**functions):
    """A tokenizer whose grammar has other functions; each is given the right one first."""
    tokenizer = Voices(names=("Tune",), steps_per_quarter=4)
    for name, function in functions.items():
        right = getattr(tokenizer.grammar, name)
        object.__setattr__(tokenizer.grammar, name, lambda *args, f=function, r=right: f(r, *args))
    return tokenizer


def no_way_on(right, state):
    """Nothing goes on in the last bar of three."""
    mask = right(state)
    return mask & ~((state[:, Field.BAR] == 2) & mask[:, 1])[:, None]


def in_place(right, state, tokens):
    after = right(state, tokens)
    state[:, 0] = tokens
    return after


def without_upbeats(right, tokens):
    """All states at once, which take a first bar that is short for a whole one."""
    states = right(tokens).copy()
    states[:, Field.NEXT] += (states[:, Field.BAR] >= 0) * (states[:, Field.UPBEAT] > 0)
    return states


def by_neighbour(right, state):
    """The inputs of a row say how many rows there are."""
    found = right(state).copy()
    found[:, 1] = np.minimum(len(state) - 1, 1)
    return found


@pytest.mark.parametrize(
    ("functions", "rule"),
    [
        ({"allowed": no_way_on}, "every reachable state allows a token; none may come after .* Bar_1"),
        ({"advance": in_place}, "the argument of a grammar's function is unchanged"),
        ({"inputs": by_neighbour}, "a row is the same in a batch as alone"),
        ({"inputs": lambda right, state: right(state) * 1000}, "the first column of inputs|inputs are 0..size-1"),
        ({"inputs": lambda right, state: right(state)[:, 1:]}, "one column for each of `columns`"),
        ({"states": without_upbeats}, r"states\(\) is what advance\(\) makes .* not in column 4 after .* Bar_"),
        ({"states": lambda right, tokens: right(tokens)[1:]}, r"states\(\) is \(T, S\)"),
    ],
)
def test_a_grammar_with_a_fault(functions, rule):
    broken(rule, check_grammar, with_grammar(**functions), rows=30)


def first(sums):
    return np.where(sums[..., 1] > 0, sums[..., 0] / np.maximum(sums[..., 1], 1), np.nan)


def of_notes(part):
    """Counts of one part of the notes, in the first bar."""

    def count(heard):
        counts = np.zeros((heard.rows, 2))
        counts[0] = part(heard), len(heard.notes)
        return counts

    return count


def as_they_come(heard):
    heard.notes["pitch"] += 1
    return np.zeros((heard.rows, 2))


HIGH = of_notes(lambda heard: np.sum(heard.notes["pitch"] > 70))
EVEN = of_notes(lambda heard: np.sum(heard.notes["start"] % 960 == 0))


@pytest.mark.parametrize(
    ("metric", "rule"),
    [
        (Metric("share", HIGH, first), "music in another key counts alike"),
        (Metric("share", of_notes(lambda heard: heard.score.note_count), first), "drums are not heard"),
        (Metric("share", lambda heard: EVEN(heard)[:1], first), "a row for each bar"),
        (Metric("share", lambda heard: EVEN(heard) / len(heard.notes), first), "finite"),
        (Metric("share", as_they_come, first), "unchanged"),
        (Metric("share", EVEN, lambda sums: sums[..., 0]), "a set of one piece twice"),
        (Metric("share", EVEN, lambda sums: np.nan_to_num(first(sums))), "the figure is NaN"),
        (Metric("share", EVEN, lambda sums: first(sums) * len(sums)), "among others as alone|figures"),
        (Metric(" ", EVEN, first), "a unit"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_metric_with_a_fault(metric, rule):
    check_metric(Metric("share", EVEN, first))
    broken(rule, check_metric, metric)


@dataclass(frozen=True)
class Nameless:
    """A dataset with a fault."""

    fault: str
    title = "Nothing"
    source = "nowhere"
    citation = "nobody"
    tokenizer_options = training_options = suggested = MappingProxyType({})

    @property
    def licence(self):
        return " " if self.fault == "licence" else "free"

    def sources(self):
        return ["one", "two"]

    def fingerprint(self, source):
        return source

    def read(self, source):
        name = f"{id(object())}{np.random.default_rng().integers(1e9)}" if self.fault == "random" else source
        yield "same" if self.fault == "same" else name, MUSIC["rests"]


@pytest.mark.parametrize(
    ("fault", "rule"),
    [("licence", "states its licence"), ("random", "names of pieces stay"), ("same", "no two pieces")],
)
def test_a_dataset_with_a_fault(fault, rule):
    check_dataset(Nameless("none"))
    broken(rule, check_dataset, Nameless(fault))


class Divided(Nameless):
    """A dataset that gives its sides, with a fault."""

    asked = count()

    def sources(self):
        return ["one", "two", "three"]

    def side(self, source):
        if self.fault == "moves":
            turn = next(self.asked)
            return ("train", "valid", "test")[(turn + turn // 3) % 3]
        third = {"empty": "valid", "strange": "validation"}.get(self.fault, "test")
        return {"one": "train", "two": "valid", "three": third}[source]


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("empty", "none of the three empty"),
        ("strange", "is one of train, valid, test"),
        ("moves", "a source stays on its side"),
    ],
)
def test_a_dataset_that_divides_itself_with_a_fault(fault, rule):
    check_dataset(Divided("none"))
    broken(rule, check_dataset, Divided(fault))


class Framed(Voices):
    """A tokenizer of which each token after the heading is a frame, with a fault."""

    fault = "none"

    def frames(self, tokens):
        frames = np.arange(len(tokens)) - 3
        frames[:3] = -1
        if self.fault != "ends":
            frames[tokens == 1] = -1
        if self.fault == "gap":
            frames[5:-1] += 1
        return frames[:-1] if self.fault == "short" else frames


@pytest.mark.parametrize(
    ("fault", "rule"),
    [("gap", "each follows the last"), ("short", "one entry a token"), ("ends", "EOS belongs to no frame")],
)
def test_a_tokenizer_with_a_fault_in_its_frames(fault, rule, monkeypatch):
    tokenizer = Framed(names=("Tune",), steps_per_quarter=4)
    check_tokenizer(tokenizer, [MUSIC["rests"]])
    monkeypatch.setattr(Framed, "fault", fault)
    broken(rule, check_tokenizer, tokenizer, [MUSIC["rests"]])


def test_a_format_that_loses_notes_and_one_that_writes_anywhere(tmp_path):
    kept = {}

    def write(pieces, path):
        if not path.parent.is_dir():
            raise CannotWrite("there is no such folder")
        path.write_bytes(b"")
        kept[path] = pieces[0].score

    def loses(path):
        first = kept[path].tracks[0]
        return replace(kept[path], tracks=(replace(first, notes=first.notes[:-1]),))

    check_round_trip(write, kept.__getitem__, MUSIC["rests"], tmp_path, suffix=".x")
    broken("the start of each note", check_round_trip, write, loses, MUSIC["rests"], tmp_path, suffix=".x")

    def anywhere(pieces, path):
        path.parent.mkdir(exist_ok=True)
        write(pieces, path)

    broken("raises CannotWrite", check_round_trip, anywhere, kept.__getitem__, MUSIC["rests"], tmp_path, suffix=".x")
