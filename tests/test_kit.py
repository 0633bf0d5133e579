"""The kit finds faults: for each rule of a contract something that breaks it, and by its name the rule that is told."""

import random
import re
import sys
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from itertools import count
from types import MappingProxyType, ModuleType
from typing import ClassVar

import numpy as np
import pytest
from documents import PLUGINS, block
from music import MUSIC, line, score

from composer.errors import BadOption, CannotWrite, UnreadableFile
from composer.generation.composer import open_model
from composer.metrics.score_view import view_score
from composer.model import load, save
from composer.music.score import Tempo
from composer.plugins.offers import load as load_plugins
from composer.plugins.registry import registry
from composer.request import Request
from composer.sampling.loop import sample
from composer.testing import (
    BrokenRule,
    check_architecture,
    check_backend,
    check_dataset,
    check_exporter,
    check_grammar,
    check_infilling,
    check_long_score,
    check_metric,
    check_model,
    check_reader,
    check_round_trip,
    check_sampler,
    check_smallest,
    check_tokenizer,
    make_cases,
    make_random_model,
)
from composer.testing.sequences import SAMPLES
from composer.testing.tokenizers import check_transposed
from composer.tokens.bar_grammar import Field
from composer.types import Metric, Operation, Span
from composer_voices.tokenizer import Voices

TUNE = Voices(names=("Tune",), steps_per_quarter=4)
SMALL = {"hidden_size": 16, "embedding_size": 16}


def broken(rule, check, *things, **options):
    with pytest.raises(AssertionError, match=rule):
        check(*things, **options)


def add_parts(module, fault, vocabulary_size):
    """Parts that a module should not have."""
    from torch import from_numpy, nn, zeros

    if fault == "unused":
        module.register_parameter("spare", nn.Parameter(zeros(3)))
    if fault == "weights":
        module.head.bias = nn.Parameter(from_numpy(np.random.default_rng().normal(size=vocabulary_size)))
    if fault == "statistics":
        module.norm = nn.BatchNorm1d(8)


def spoil(module, hidden):
    """What depends on more than the inputs."""
    from torch.nn.functional import dropout

    draws = {"numpy": np.random.default_rng().random, "python": random.random}
    if module.fault == "rows":
        return hidden - hidden.mean(0, keepdim=True)
    if module.fault == "statistics":
        return module.norm(hidden.transpose(1, 2)).transpose(1, 2)
    if module.fault == "always drops":
        return dropout(hidden)
    return hidden * draws[module.fault]() if module.training and module.fault in draws else hidden


def spoil_state(fault, inputs, state, last):
    """A state, or that before it, as it should not be."""
    from torch import cat

    if fault == "layers first":
        return (last.transpose(0, 1),)
    if fault == "in place" and state is not None:
        state[0].copy_(last)
    if fault == "grows":
        return last, inputs[..., 0] if state is None else cat([state[1], inputs[..., 0]], dim=1)
    return (last,)


@dataclass(frozen=True)
class Forgetful:
    """An architecture with what `fault` names."""

    fault: str

    def build_module(self, column_sizes, vocabulary_size):
        from torch import nn

        class Module(nn.Module):
            def __init__(self, fault):
                super().__init__()
                self.fault = fault
                self.embedding = nn.Embedding(column_sizes[0], 8)
                self.layer = nn.GRU(8, 8, batch_first=True)
                self.head = nn.Linear(8, vocabulary_size)
                add_parts(self, fault, vocabulary_size)

            def forward(self, inputs, state=None):
                if self.fault == "wakes":
                    self.train()
                begun = None if state is None or self.fault == "state" else state[0].transpose(0, 1).contiguous()
                hidden, last = self.layer(self.embedding(inputs[..., 0]), begun)
                after = spoil_state(self.fault, inputs, state, last.transpose(0, 1))
                return self.head(spoil(self, hidden)), after

        return Module(self.fault)


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("state", "whole is equal to chunks"),
        ("rows", "a row of a batch is equal"),
        ("layers first", "batch-first"),
        ("unused", "the gradient reaches every parameter; not these: \\['spare'\\]"),
        ("in place", "a state stays as it is when later steps are made"),
        ("grows", r"a state has one size .*; after 1 it is \[\(4, 1, 8\), \(4, 1\)\], after 2 \[.* \(4, 2\)\]"),
        ("numpy", "what is random in training is drawn by torch"),
        ("python", "what is random in training is drawn by torch"),
        ("weights", "the same seed of torch gives the same weights; not so head.bias"),
        ("statistics", "no buffer changes in training.*; not so norm.running_mean, norm.running_var"),
        ("always drops", r"after eval\(\) the same inputs give the same logits"),
        ("wakes", r"a module stays in evaluation mode after eval\(\); not so the module itself, embedding"),
    ],
)
def test_an_architecture_with_a_fault(fault, rule):
    check_architecture(Forgetful("none"))
    broken(rule, check_architecture, Forgetful(fault))


@dataclass(frozen=True)
class Misnaming(Forgetful):
    """One that says what arrays it has; the fault is theirs."""

    def list_shapes(self, column_sizes, vocabulary_size):
        yield "embedding.weight", (column_sizes[0], 8)
        for which in ("ih", "hh"):
            yield from ((f"layer.weight_{which}_l0", (24, 8)), (f"layer.bias_{which}_l0", (24,)))
        yield "head.weight", (vocabulary_size, 8)
        if self.fault != "missing":
            yield "head.bias", (vocabulary_size if self.fault == "none" else 7,)


@pytest.mark.parametrize("fault", ["missing", "shape"])
def test_an_architecture_with_a_fault_in_what_it_says_of_its_arrays(fault):
    check_architecture(Misnaming("none"))
    broken(
        "shapes\\(\\) lists the arrays of the module, with their shapes; not so head.bias",
        check_architecture,
        Misnaming(fault),
    )


@dataclass(frozen=True)
class Hasty:
    """A backend with a fault."""

    fault: str
    speed = 1
    tolerances = MappingProxyType({"float32": 1e-4})

    def supports(self, model, device):
        return self.fault != "is silent"

    def explain(self, model, device):
        return ""

    def make(self, model, device, precision="float32"):
        right = registry().make("backends", "numpy").make(model, device, precision)

        def step(inputs, state):
            if self.fault == "in place":
                inputs[:, 0] = 0
            known = state[:-1] if self.fault == "grows" and state is not None else state
            logits, after = right(inputs, None if self.fault == "forgets" else known)
            if self.fault == "mixes":
                logits = logits + 1e-7 * len(logits)
            if self.fault == "reuses" and state is not None:
                for old, new in zip(state, after, strict=True):
                    old[...] = new
            if self.fault == "grows":
                before = inputs[:, :0] if state is None else state[-1]
                after = (*after, np.append(before, inputs[:, :1], axis=1))
            return logits, after

        return step


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("in place", "the argument of a backend is unchanged"),
        ("forgets", "logits are those of the reference within 0.0001; they are off by"),
        ("mixes", "a row is the same to the bit in a batch of 1 with 1 threads"),
        ("reuses", "a state stays as it is when later steps are made"),
        ("grows", "a state has one size after any number of steps"),
        ("is silent", "a backend explains why it does not run a model"),
    ],
)
def test_a_backend_with_a_fault(fault, rule):
    model = make_random_model("gru", "voices", **SMALL)
    check_backend(Hasty("none"), model)
    broken(rule, check_backend, Hasty(fault), model)


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
        if self.fault == "looks further":
            return logits - np.sum(context.history >= 0, axis=1)[:, None]
        if self.fault == "keeps count":
            LATEST.append(max([int(context.step.max()), *LATEST]))
            return logits - LATEST[-1]
        return logits


LATEST = []
"""What a sampler has no business to remember outside of its memory."""


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("in place", "the arguments of a sampler are unchanged"),
        ("revives", "at -inf stay there"),
        ("empties", "at least one token stays possible"),
        ("mixes", "the same in a batch as alone"),
        ("looks further", "a sampler asks for the tokens and notes that it needs, by `history` and `lookback`"),
        ("keeps count", "a sampler remembers nothing but its memory: a step repeated later is equal"),
    ],
)
def test_a_sampler_with_a_fault(fault, rule):
    check_sampler(Careless("none"), TUNE)
    broken(rule, check_sampler, Careless(fault), TUNE)


class Counting:
    """A sampler that counts the tokens chosen, with a fault."""

    def __init__(self, fault):
        self.fault, self._begun, self._latest, self._kept = fault, 0, 0.0, np.zeros((6, 1))

    def begin_memory(self, token_info):
        self._begun += self.fault == "begins anew"
        if self.fault == "changes itself":
            self.token_info = token_info
        if self.fault == "whole numbers":
            return np.zeros(1, dtype=np.int64)
        return np.full(1, float(self._begun if self.fault == "begins anew" else 0))

    def __call__(self, logits, context):
        return logits - 0.1 * context.memory

    def update_memory(self, context, drawn):
        if self.fault == "in place":
            context.memory[...] += 1
            return context.memory
        after = context.memory + drawn.chosen[:, None]
        return getattr(self, f"_{self.fault.replace(' ', '_')}", lambda _, after: after)(context, after)

    def _shares(self, context, after):
        return np.full_like(after, after.max())

    def _grows(self, context, after):
        return np.concatenate([after, after], axis=1)

    def _is_none(self, context, after):
        return np.where(context.step[:, None] > 3, np.nan, after)

    def _reuses(self, context, after):
        self._kept[: len(after)] = after
        return self._kept[: len(after)]

    def _looks_further(self, context, after):
        return after + np.sum(context.history >= 0, axis=1)[:, None]

    def _knows_better(self, context, after):
        self._latest = max(self._latest, float(context.step.max()))
        return after + self._latest


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("whole numbers", r"a memory begins as an array \(M,\) of float64, without NaN"),
        ("begins anew", "a memory begins the same each time"),
        ("in place", "the arguments of a sampler are unchanged"),
        ("shares", "a memory is the same in a batch as alone"),
        ("grows", r"a memory has one size and is of float64; here \(6, 1\) became \(6, 2\)"),
        ("is none", "a memory is without NaN"),
        ("reuses", "a memory stays as it is when later steps are made"),
        ("looks further", "a memory needs the tokens and notes that its sampler asks for, and no more"),
        ("changes itself", "a sampler does not change itself; what it remembers is its memory"),
        ("knows better", "a memory follows from the one before: after backtracking it is the same"),
    ],
)
def test_a_sampler_with_a_fault_in_its_memory(fault, rule, monkeypatch):
    monkeypatch.setattr("composer.testing.samplers.rebuild", lambda sampler: sampler)
    check_sampler(Counting("none"), TUNE)
    broken(rule, check_sampler, Counting(fault), TUNE)


def test_the_example_of_a_sampler_with_memory_is_short_and_keeps_the_contract():
    code = block(PLUGINS, "example: memory all-twelve")
    module = ModuleType("all_twelve")
    exec(code, module.__dict__)
    sampler = module.register_samplers()["all-twelve"](amount=0.5)
    for tokenizer in (TUNE, registry().make("tokenizers", "remi")):
        check_sampler(sampler, tokenizer)
    assert count_pitch_classes([sampler]) > count_pitch_classes([])


def count_pitch_classes(samplers):
    """The pitch classes of a few tunes, on average over bars."""
    model = open_model("tunes")
    requests = [Request(index=index, bars=4, key="G", seed=7) for index in range(4)]
    pieces = sample(model.get_step(model.resolve(requests[0])), model.writing, samplers, requests)
    scores = [model.tokenizer.decode(piece.tokens) for piece in pieces]
    return sum(len(set(track.notes["pitch"] % 12)) for score in scores for track in score.tracks)


class Twice(Voices):
    """A tokenizer with a token that is there twice."""

    @property
    def vocabulary(self):
        return (*super().vocabulary[:-1], "Rest_None")


class Unmeant(Voices):
    """A tokenizer that says nothing of its last token."""

    @property
    def token_info(self):
        found = super().token_info
        return replace(found, kind=found.kind[:-1])


class Unmetred(Voices):
    """A tokenizer that says nothing of its time signatures."""

    @property
    def token_info(self):
        return replace(super().token_info, time_signatures=())


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
        (Unmeant, "kind of the token info has one entry a token"),
        (Unmetred, r"time_signatures are those that tokens state"),
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


def small_at_the_start(right, request, rows):
    return right(request, rows).astype(np.int32)


def growing(right, state, tokens):
    """The state, and all tokens before it."""
    size = TUNE.grammar.start(Request(), 1).shape[1]
    return np.concatenate([right(state[:, :size], tokens), state[:, size:], tokens[:, None]], axis=1)


@pytest.mark.parametrize(
    ("functions", "rule"),
    [
        ({"start": small_at_the_start}, "states and inputs are int64; here states are int32"),
        ({"make_inputs": lambda right, state: right(state).astype(np.int32)}, "here inputs are int32"),
        ({"advance": growing}, r"a grammar's state has one size, \(B, S\), however long the piece"),
        ({"mask": no_way_on}, "every reachable state allows a token; none may come after .* Bar_1"),
        ({"advance": in_place}, "the argument of a grammar's function is unchanged"),
        ({"make_inputs": by_neighbour}, "a row is the same in a batch as alone"),
        ({"make_inputs": lambda right, state: right(state) * 1000}, "the first column of inputs|inputs are 0..size-1"),
        ({"make_inputs": lambda right, state: right(state)[:, 1:]}, "one column for each of `columns`"),
        (
            {"compute_states": without_upbeats},
            r"compute_states\(\) agrees with advance\(\); not in column 4 after .* Bar_",
        ),
        ({"compute_states": lambda right, tokens: right(tokens)[1:]}, r"compute_states\(\) is \(T, S\)"),
    ],
)
def test_a_grammar_with_a_fault(functions, rule):
    broken(rule, check_grammar, with_grammar(**functions), rows=30)


# --- fixed notes, long pieces and drums -------------------------------------------------------------------------------


def keep_nothing(right, music, spans):
    return lambda state: TUNE.grammar.mask(state) | True


def keep_more(right, music, spans):
    """No note is free, whatever the spans."""
    return right(music, [Span(0, 2**40)])


def by_table(right, music, spans):
    """A table with a row for each tick up to the last end."""
    ends = [span.end for span in spans]
    table = np.zeros(max([music.end, *ends]) + 1, dtype=bool)
    mask = right(music, spans)
    return lambda state: mask(state) | (False & table[0])


def by_counting(right, music, spans):
    """Step by step, to the last end."""
    for span in spans:
        for _ in range(span.start, min(span.end, 2**27), 20):
            pass
    return right(music, spans)


def refuse(right, music, spans):
    raise BadOption("no notes can be kept.")


@pytest.mark.parametrize(
    ("fix", "rule"),
    [
        (keep_nothing, "every fixed note is written; not so|nothing is added to fixed notes"),
        (keep_more, r"outside of its spans fix_notes\(\) allows everything"),
        (
            by_table,
            r"fix_notes\(\) takes no more time and memory for a span that ends late; up to tick 4194304 it took",
        ),
        (by_counting, r"fix_notes\(\) takes no more time and memory for a span that ends late; .* and \d+\.\d s"),
        (refuse, r"fix_notes\(\) keeps some spans of a piece at least; it refuses all"),
        (None, r"a grammar has fix_notes\(\), by which parts of a piece are kept"),
    ],
)
def test_a_grammar_with_a_fault_in_what_it_keeps(fix, rule, monkeypatch):
    scores = [SAMPLES["one note"], SAMPLES["a tune with a rest"]]
    check_infilling(TUNE, scores)
    monkeypatch.setattr("composer.testing.grammars.MORE_SECONDS", 0.05)
    tokenizer = with_grammar(fix_notes=fix or refuse)
    if fix is None:
        object.__setattr__(tokenizer.grammar, "fix_notes", None)
    broken(rule, check_infilling, tokenizer, scores)


class Bytes(Voices):
    """A tokenizer that counts the quarters of a piece in a byte."""

    def decode(self, tokens):
        found = super().decode(tokens)
        tracks = [replace(track, notes=track.notes.copy()) for track in found.tracks]
        for track in tracks:
            track.notes["start"] %= 256 * 480
        return replace(found, tracks=tuple(tracks))


def test_a_tokenizer_that_is_right_for_short_pieces_alone():
    check_long_score(TUNE, SAMPLES["one note"])
    tokenizer = Bytes(names=("Tune",), steps_per_quarter=4)
    check_tokenizer(tokenizer, [SAMPLES["one note"]])
    broken("decoded music can be encoded", check_long_score, tokenizer, SAMPLES["one note"])


def test_a_grammar_that_tells_drums_at_another_tick():
    band = registry().make("tokenizers", "remi")
    drums, right = band.token_info.voices.index("drums"), band.grammar.interpret

    def interpret(state):
        music = right(state)
        return replace(music, tick=music.tick + 120 * (music.voice == drums))

    check_tokenizer(band, [SAMPLES["drums alone"]])
    object.__setattr__(band.grammar, "interpret", interpret)
    broken("the music has the tick of every drum; not so", check_tokenizer, band, [SAMPLES["drums alone"]])


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
        (Metric("share", of_notes(lambda heard: heard.score.note_count), first), "drums are ignored"),
        (Metric("share", lambda heard: EVEN(heard)[:1], first), "a row for each bar"),
        (Metric("share", lambda heard: EVEN(heard) / len(heard.notes), first), "finite"),
        (Metric("share", as_they_come, first), "unchanged"),
        (Metric("share", EVEN, lambda sums: sums[..., 0]), "a set of one piece twice"),
        (Metric("share", EVEN, lambda sums: np.nan_to_num(first(sums))), "the figure is NaN"),
        (Metric("share", EVEN, lambda sums: first(sums) * len(sums)), "among others as alone|figures"),
        (Metric(" ", EVEN, first), "a unit"),
        (Metric("share", EVEN, first, follows_drums=True), "a metric that states `follows_drums` counts drums"),
        (
            Metric("share", EVEN, first, samples={"a beat": SAMPLES["drums alone"]}),
            "a metric counts something in each of its own samples",
        ),
        (Metric("share", EVEN, first, samples=["a beat"]), "`samples` are scores, each at its name"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_metric_with_a_fault(metric, rule):
    check_metric(Metric("share", EVEN, first))
    broken(rule, check_metric, metric)


# --- samples of a plugin's own ----------------------------------------------------------------------------------------


def cases_of(plugin, code, monkeypatch):
    """The cases of a plugin that is this code."""
    module = ModuleType(plugin)
    monkeypatch.setitem(sys.modules, plugin, module)
    exec(code, module.__dict__)
    found = load_plugins([EntryPoint(plugin, plugin, "composer")])
    assert [one.fault for one in found.plugins] == [""]
    return {
        str(case): case for offers in found.offers.values() for offer in offers.values() for case in make_cases(offer)
    }


def test_the_metric_of_drums_in_the_guide_keeps_its_contract(monkeypatch):
    code = block(PLUGINS, "samples: metric back-beat")
    cases = cases_of("back_beat", code, monkeypatch)
    for case in cases.values():
        case.run()
    assert "metric back-beat" in cases
    metric = sys.modules["back_beat"].back_beat()
    assert metric.value(metric.count(view_score(SAMPLES["a tune with drums"])).sum(axis=0)) == 100
    forgotten = cases_of("back_beat", code.replace("follows_drums=True, ", ""), monkeypatch)
    broken("drums are ignored; else say `follows_drums`", forgotten["metric back-beat"].run)


DRUM_TOKENS = """
from dataclasses import dataclass

from composer import hookimpl
from composer.errors import CannotExpress
from composer.testing.sequences import SAMPLES
from composer_remi.tokenizer import Remi

class Drums(Remi):
    'Drums alone, as remi writes them.'
    samples = {"a beat": SAMPLES["drums alone"]}

    def encode(self, score, *, ends=True):
        if not score.tracks or not all(track.is_drum for track in score.tracks):
            raise CannotExpress("only drums have tokens.")
        return super().encode(score, ends=ends)

@hookimpl
def register_tokenizers():
    return {"drums": Drums}
"""


def test_a_tokenizer_brings_scores_of_its_own(monkeypatch):
    cases = cases_of("drum_tokens", DRUM_TOKENS, monkeypatch)
    cases["tokenizer drums: scores"].run()
    other = cases_of("drum_tokens", DRUM_TOKENS.replace('SAMPLES["drums alone"]', 'SAMPLES["two parts"]'), monkeypatch)
    broken("a tokenizer has tokens for its own samples; not for 'a beat'", other["tokenizer drums: scores"].run)


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

    def list_sources(self):
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

    def list_sources(self):
        return ["one", "two", "three"]

    def split(self, source):
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
        ("moves", "a source stays in its split"),
    ],
)
def test_a_dataset_that_divides_itself_with_a_fault(fault, rule):
    check_dataset(Divided("none"))
    broken(rule, check_dataset, Divided(fault))


class Framed(Voices):
    """A tokenizer of which each token after the heading is a frame, with a fault."""

    fault = "none"

    def assign_frames(self, tokens):
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


# --- rules that a whole plugin is held to, and their smallest examples ------------------------------------------------


class Lossy(Voices):
    """A tokenizer that decodes all but the last note of a voice."""

    def decode(self, tokens):
        found = super().decode(tokens)
        return replace(found, tracks=tuple(replace(track, notes=track.notes[:-1]) for track in found.tracks))


class Beyond(Voices):
    """A tokenizer that writes a token which is not in its vocabulary."""

    def encode(self, score, *, ends=True):
        return np.insert(super().encode(score, ends=ends), 2, len(self.vocabulary))


class Illegal(Voices):
    """A tokenizer that says every place twice, which its grammar forbids."""

    def encode(self, score, *, ends=True):
        tokens = super().encode(score, ends=ends)
        place = next(i for i, token in enumerate(tokens) if self.vocabulary[token].startswith("Position"))
        return np.insert(tokens, place, tokens[place])


@dataclass(frozen=True)
class Keyless(Voices):
    """A tokenizer that is another one when it is made again."""

    made: int = 0

    def __post_init__(self):
        object.__setattr__(self, "made", self.made + 1)


class Moving(Voices):
    """A tokenizer that moves a piece itself, as a score that is written anew."""

    fault = staticmethod(lambda semitones: 0)

    def transpose(self, tokens, semitones):
        known = self.decode(tokens)
        tracks = [replace(track, notes=track.notes.copy()) for track in known.tracks]
        for track in tracks:
            track.notes["pitch"] += semitones + self.fault(semitones)
        return self.encode(replace(known, tracks=tuple(tracks)))


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        (lambda semitones: 1, "a transposition by 0 semitones changes nothing"),
        (lambda semitones: int(semitones < 0), "a transposition by -3 semitones moves every pitched note"),
    ],
    ids=["always", "down"],
)
def test_a_tokenizer_with_a_fault_in_what_it_moves(fault, rule, monkeypatch):
    tokenizer = Moving(names=("Tune",), steps_per_quarter=4)
    check_tokenizer(tokenizer, [MUSIC["rests"]])
    monkeypatch.setattr(Moving, "fault", staticmethod(fault))
    broken(rule, check_tokenizer, tokenizer, [MUSIC["rests"]])


def test_a_tokenizer_that_moves_drums():
    band = registry().make("tokenizers", "remi")

    def move(tokens, semitones):
        music = band.decode(tokens)
        tracks = [replace(track, notes=track.notes.copy()) for track in music.tracks]
        for track in tracks:
            track.notes["pitch"] += semitones
        return band.encode(replace(music, tracks=tuple(tracks)))

    check_transposed(band, move, band.encode(SAMPLES["a tune with a rest"]))
    tokens = band.encode(SAMPLES["a tune with drums"])
    broken("a transposition leaves drums as they are", check_transposed, band, move, tokens)


@pytest.mark.parametrize(
    ("tokenizer", "rule"),
    [
        (Lossy, "decode, then encode gives the same tokens"),
        (Beyond, "the tokens of a score are in the vocabulary"),
        (Illegal, "the grammar allows encoded tokens"),
        (Keyless, "a tokenizer rebuilt from its fields is equal"),
    ],
)
def test_a_tokenizer_with_a_fault_in_what_it_encodes(tokenizer, rule):
    check_tokenizer(TUNE, [MUSIC["rests"]])
    broken(rule, check_tokenizer, tokenizer(names=("Tune",), steps_per_quarter=4), [MUSIC["rests"]])


@dataclass(frozen=True)
class Halving:
    """Halves the logits, and is described as something else unless `divisor` is 2."""

    divisor: float

    @property
    def operations(self):
        return (Operation("divide", self.divisor),)

    def __call__(self, logits, context):
        return logits / 2


def test_a_logits_processor_that_is_described_wrongly():
    check_sampler(Halving(2.0), TUNE)
    broken("the operations of a logits processor do what it does itself", check_sampler, Halving(1.5), TUNE)


@dataclass(frozen=True)
class Fixed:
    """A constraint that allows the same whatever comes, or all that it is given."""

    allows: object

    def mask(self, context):
        return np.full(context.allowed.shape, self.allows) if isinstance(self.allows, bool) else context.allowed * 1


@pytest.mark.parametrize(
    ("allows", "rule"),
    [
        (False, "of several pieces under a constraint, one at least goes on"),
        ("numbers", "the mask of a constraint is of booleans"),
    ],
)
def test_a_constraint_with_a_fault(allows, rule):
    check_sampler(Fixed(True), TUNE)
    broken(rule, check_sampler, Fixed(allows), TUNE)


@dataclass(frozen=True)
class Limited:
    """A constraint that allows so many tokens, and then none."""

    most: int
    history: ClassVar[int] = 64

    def mask(self, context):
        count = np.sum(context.history >= 0, axis=1)
        return np.repeat(count[:, None] < self.most, context.allowed.shape[1], axis=1)


def test_pieces_under_a_constraint_may_come_to_dead_ends_but_not_again_and_again():
    check_sampler(Limited(30), TUNE)
    broken("of several pieces under a constraint, one at least goes on", check_sampler, Limited(10), TUNE)


def test_the_example_of_a_sampler_is_as_few_rows_as_show_it_and_what_stands_before_them():
    @dataclass(frozen=True)
    class Silencer:
        history: ClassVar[int] = 1

        def __call__(self, logits, context):
            logits = logits.copy()
            logits[context.history[:, -1] == TUNE.vocabulary.index("Rest_None")] = -np.inf
            return logits

    with pytest.raises(BrokenRule) as caught:
        check_sampler(Silencer(), TUNE)
    assert caught.value.name == "at least one token stays possible"
    assert "in a batch of 1, after " in str(caught.value)
    assert str(caught.value).endswith("Rest_None")


def test_the_example_of_a_score_is_the_smallest_that_shows_it():
    def no_high_notes(one):
        if any((track.notes["pitch"] > 70).any() for track in one.tracks):
            raise BrokenRule("nothing is above 70; something is")

    check_smallest(no_high_notes, SAMPLES["one note"])
    with pytest.raises(BrokenRule) as caught:
        check_smallest(no_high_notes, SAMPLES["a tune with a rest"])
    assert str(caught.value) == (
        "nothing is above 70; something is; "
        "with track 0: 1 notes (start, duration, pitch) (3360, 480, 72)"
    )  # fmt: skip


def fixed_tempo(one):
    return replace(one, tempos=(Tempo(0, 120.0),))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (fixed_tempo, "the tempo is read back"),
        (lambda one: replace(one, upbeat=0), "the upbeat is read back"),
        (lambda one: replace(one, time_signatures=()), "the metre is read back"),
        (lambda one: replace(one, tracks=one.tracks[:1]), "each track is read back"),
    ],
)
def test_a_format_that_drops_something(change, rule, tmp_path):
    music, kept = replace(MUSIC["an upbeat, two parts"], tempos=(Tempo(0, 90.0),)), {}
    music = replace(music, time_signatures=score(metres=((0, 3, 4),)).time_signatures)

    def write(pieces, path):
        if not path.parent.is_dir():
            raise CannotWrite("there is no such folder")
        path.write_bytes(b"x")
        kept[path] = pieces[0].score

    check_round_trip(write, kept.__getitem__, music, tmp_path, suffix=".x")
    broken(rule, check_round_trip, write, lambda path: change(kept[path]), music, tmp_path, suffix=".x")


def writes(fault):
    """An exporter with a fault."""
    turns = count()

    def write(pieces, path):
        if not path.parent.is_dir() and fault != "silent":
            raise CannotWrite("there is no such folder")
        if fault == "changes":
            pieces[0].score.tracks[0].notes["velocity"] = 1
        if fault == "leaves":
            (path.parent / ".composer-x").touch()
        if path.parent.is_dir():
            path.write_bytes(b"" if fault == "empty" else str(next(turns) if fault == "random" else 1).encode())

    return write


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("changes", "the argument of an exporter is unchanged"),
        ("leaves", "no scratch file is left beside the file"),
        ("empty", "a file that is written is not empty"),
        ("random", "the same piece makes the same file"),
        ("silent", "a file that cannot be written raises CannotWrite"),
    ],
)
def test_an_exporter_with_a_fault(fault, rule, tmp_path):
    music = score(line((60, 4)))
    check_exporter(writes("none"), music, tmp_path, suffix=".x")
    broken(rule, check_exporter, writes(fault), music, tmp_path, suffix=".x")


def test_a_reader_with_a_fault(tmp_path):
    def forgets(path):
        return path.read_bytes() or None

    def spoils(path):
        path.write_bytes(b"read")
        return MUSIC["rests"]

    check_reader(registry().make("readers", ".mid"), tmp_path, suffix=".mid")
    broken("a reader gives a Score", check_reader, forgets, tmp_path, suffix=".x")
    broken("a file that is read stays as it is", check_reader, spoils, tmp_path, suffix=".x")


def test_a_reader_that_knows_its_suffix_in_small_letters_alone(tmp_path):
    def read(path):
        if path.suffix != ".x":
            raise UnreadableFile("is of another form")
        return MUSIC["rests"]

    check_reader(read, tmp_path, suffix=".x")
    broken(
        "a suffix in capitals is read as one in small letters",
        check_reader,
        read,
        tmp_path,
        suffix=".x",
        examples=[b"x"],
    )


def test_a_reader_whose_time_has_no_bound(tmp_path):
    def read(path):
        if not re.fullmatch(rb"(\(\w+\)?)*", path.read_bytes()[:2000]):  # linear
            raise UnreadableFile("is none")
        return MUSIC["rests"]

    def read_in_steps(path):
        text = path.read_bytes()
        for _ in range(len(text) ** 2 // 10):  # not so
            pass
        raise UnreadableFile("is none")

    limits = {"suffix": ".x", "examples": [b"(a)(b)(c)" * 100], "seconds": 0.1}
    for reader in (read, read_in_steps):
        check_reader(reader, tmp_path, **limits)
        reader.is_bounded = True
    check_reader(read, tmp_path, **limits)
    broken("a reader that is bounded is done with a small file soon", check_reader, read_in_steps, tmp_path, **limits)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"licence": ""}, "the card of a model is complete; it lacks licence"),
        ({"dataset": {}}, "it lacks dataset.name, dataset.source"),
        ({"test": {}}, "states its likelihood on the test split"),
        ({"suggested": {"bars": -1}}, "a model can write its own suggested request"),
    ],
)
def test_a_model_with_a_fault(changes, rule, model_file, tmp_path):
    model, path = load(model_file), tmp_path / "x.safetensors"
    whole = {**model.card, "command": "composer train walks"}
    save(replace(model, card={**whole, **changes}), path)
    broken(rule, check_model, lambda: path)


def test_a_model_file_that_is_not_there_or_is_none(tmp_path):
    broken("a model is offered as the path of its file", check_model, lambda: tmp_path / "x.safetensors")
    (tmp_path / "x.safetensors").write_bytes(b"PK")
    broken("a model file loads", check_model, lambda: tmp_path / "x.safetensors")
