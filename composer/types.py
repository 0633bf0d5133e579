"""The protocols that things offered by plugins satisfy; it knows none of them.

Shape letters, here and everywhere:

    B  rows: pieces that run side by side        V  tokens in a vocabulary
    T  places in a sequence of tokens            C  columns of a model's input
    S  columns of a grammar's state              H  places in a bounded history

Arrays are NumPy's, or whatever array comes in: code behind these protocols takes its functions from
`array_api_compat.array_namespace(x)`, so that the same grammar runs on a GPU. Only `Architecture.module` and what it
returns may import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Score
from composer.music.texts import clean

if TYPE_CHECKING:
    from torch import nn

    from composer.metrics.heard import Heard
    from composer.model import Model
    from composer.request import Request

Array: TypeAlias = Any
"""An array of the array API: NumPy's, torch's…"""

Tokens: TypeAlias = NDArray[np.int64]
"""(T,) token ids, places in a vocabulary."""

State: TypeAlias = tuple[Any, ...]
"""A model's recurrent state: batch-first arrays (B, …), so that rows can be gathered."""


# --- tokenizers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Meaning:
    """What each token says, for those who do not know the tokenizer. Arrays are (V,); one is equal to itself alone.

    Of kinds that stand for no number, `Hold` lets the voice in turn sound on, `Rest` silences it, and `Frame` ends what
    is written at a place.
    """

    kind: NDArray[np.str_]  # the `Type` of `Type_Value`: Pitch, Hold, Bar…
    pitch: NDArray[np.int64]  # MIDI pitch that it sounds, less `Facts.shift`; -1 for none (drum sounds have none)
    ticks: NDArray[np.int64]  # length in ticks that it states, -1 for none
    place: NDArray[np.int64]  # ticks from the beginning of the bar to where it moves, -1 if it does not
    key: NDArray[np.int64]  # place among `composer.music.keys.ALL_KEYS` of the key that it states, -1 for none
    voices: tuple[str, ...] = ()  # the names of what `Facts.voice` counts
    sustains: bool = False  # whether a pitch of `Facts.sounding`, said again, sounds on and is not struck


@dataclass(frozen=True)
class Column:
    """One column of a model's input: whole numbers 0..size-1.

    `tokens` says that they are token ids (the pitch that sounds, the key in force), which follow a transposition; 0,
    the vocabulary's BOS, stands for none.
    """

    name: str
    size: int
    tokens: bool = False


@dataclass(frozen=True)
class Facts:
    """Where each row of a batch is, in music; every array is (B,), `sounding` and `written` are (B, n).

    The place is that of the note that comes next, if it comes before any move.
    """

    tick: Array  # of the place, from the start of the piece
    bar: Array  # 0 for the first bar, upbeat or not; -1 before it
    beat: Array  # 0 for the first of the bar
    voice: Array  # that the next token is for, -1 where it is for none
    sounding: Array  # pitches that sound, -1 for silence; where voices hold and rest, one for each
    shift: Array  # semitones that tokens sound above their `Meaning.pitch`; 0 but where pitches are written in a key
    place: Array  # ticks from the beginning of the bar; of an upbeat, from where a whole bar would begin
    upbeat: Array  # its length in ticks, 0 for none
    bar_ticks: Array  # length of a bar in the metre in force, 0 before that is known
    beat_ticks: Array  # and of a beat
    bars_left: Array  # this one included, 0 where the end is not announced yet
    key: Array  # place among `composer.music.keys.ALL_KEYS`, -1 where none is known
    written: Array  # of the pitches that sound at this place, those that are decided, -1 for none
    others: Array  # how many pitches sound at this place beside the one that comes next, as far as is known


@dataclass(frozen=True)
class Struck:
    """The last notes with a pitch that were struck, oldest first; arrays are (B, H), -1 where there is none yet."""

    tick: Array
    pitch: Array
    voice: Array


@dataclass(frozen=True)
class Span:
    """A part of a score: the ticks from `start` up to `end`, of one track or (None) of all."""

    start: int
    end: int
    track: int | None = None


class Grammar(Protocol):
    """Which tokens may follow which, over a batch: table look-ups, no loop over rows.

    A state is a (B, S) array of whole numbers and holds all there is to know of a row: rows may be gathered,
    copied and joined with rows begun from other requests.
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of `inputs`. The first is the last token (the vocabulary's BOS at the start)."""

    def start(self, request: Request, rows: int) -> Array:
        """States (B, S) before the first token. Raises BadOption for a wish that this tokenizer has no tokens for."""

    def allowed(self, state: Array) -> Array:
        """Mask (B, V) of the tokens that may come next; never empty, and EOS is the last token of a piece."""

    def advance(self, state: Array, tokens: Array) -> Array:
        """States (B, S) after `tokens` (B,); the argument is unchanged. After EOS a row stays as it is."""

    def inputs(self, state: Array) -> Array:
        """What the model is given to predict the next token from, (B, C)."""

    def facts(self, state: Array) -> Facts:
        """The same state in musical terms."""

    def given(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """A function from states to masks (B, V) that keeps the notes of `score` in `spans` and adds none there.

        Its masks are to be intersected with `allowed`. Outside `spans` everything is allowed.
        """


@runtime_checkable
class Unrolled(Protocol):
    """A grammar that gives all states of a piece at once, which makes building a corpus many times faster.

    It states the rules of `advance` once more, along time: what was said last, running sums, tables. It needs NumPy
    alone. Who inherits it and changes `advance` changes `states` as well; the contracts check that the two agree.
    """

    def states(self, tokens: Tokens) -> NDArray[np.int64]:
        """(T, S) the state before each token of a whole piece (T,) begun from `Request()`, as `advance` makes it.

        Nothing follows EOS; a piece that is open has none.
        """


class Tokenizer(Protocol):
    """Scores to tokens and back: a frozen dataclass of options, equal when rebuilt from its fields.

    `vocabulary` holds `Type_Value` strings, as MidiTok writes them, in a fixed order; it begins with `BOS_None` and
    `EOS_None`. The types `Pitch`, `NoteOn`, `NoteOff` (a MIDI pitch), `Tone` (a pitch as it would be in C) and `Key`
    (as `str(Key)`) are those that a transposition moves. A token may say several things, as in `Pitch+Duration_60+4`:
    one pitch at most, and no move before it.
    """

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every token, at its id."""

    @property
    def meaning(self) -> Meaning:
        """What each token says."""

    @property
    def grammar(self) -> Grammar:
        """Which tokens may follow which."""

    def encode(self, score: Score, *, ends: bool = True) -> Tokens:
        """Tokens of a score, without BOS. With `ends=False` the piece is open: its end is not announced, no EOS.

        Raises CannotExpress, saying what there are no tokens for. What a tokenizer does not keep, it drops.
        """

    def decode(self, tokens: Tokens) -> Score:
        """The score of any sequence that the grammar allows, whole or cut short."""


@runtime_checkable
class Learning(Protocol):
    """A tokenizer that learns from music before it is used, such as which tokens to join; what it learns are fields."""

    @property
    def learnt(self) -> bool:
        """Whether there is nothing left to learn."""

    def fitted(self, pieces: Iterable[Tokens]) -> Tokenizer:
        """The same with all learnt from `pieces` to train on, in its own tokens; the same from the same pieces."""


@runtime_checkable
class Moving(Protocol):
    """A tokenizer that transposes a piece itself, since its tokens cannot be moved one by one."""

    def moved(self, tokens: Tokens, semitones: int) -> Tokens:
        """What it would write of the same piece so many semitones higher; `tokens` where it has none for a pitch."""


@runtime_checkable
class Framed(Protocol):
    """A tokenizer that writes music frame by frame, so that likelihoods can be told per frame."""

    def frames(self, tokens: Tokens) -> NDArray[np.int64]:
        """(T,) the frame that each token of a piece belongs to, from 0 without a gap; -1 for none (heading, EOS)."""


# --- architectures ----------------------------------------------------------------------------------------------------


class Architecture(Protocol):
    """A frozen dataclass of options that builds a torch module.

    The module: `model(inputs (B, T, C), state=None) -> (logits (B, T, V), state)`. A row does not depend on its
    neighbours; whole, in chunks and one by one are equal.
    """

    def module(self, column_sizes: Sequence[int], vocabulary_size: int) -> nn.Module:
        """A module for inputs whose columns hold 0..size-1, freshly initialised from torch's generator."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One recurrent layer as arrays: G numbers from what comes in, F from what it was, and how they make a new state.

    F is G, or 0 for a layer without a recurrent matrix; H and `parts` are those of all layers of a cell.
    `update(from_input (B, G), from_state (B, F), state) -> state` uses array functions alone; a state is a tuple of
    (B, H) arrays, the first of which is the layer's output.
    """

    inputs: NDArray[np.float32]  # (G, E)
    input_bias: NDArray[np.float32]  # (G,)
    recurrent: NDArray[np.float32]  # (F, H)
    recurrent_bias: NDArray[np.float32]  # (F,)
    update: Callable[[Array, Array, State], State]
    parts: int  # arrays in its state
    gates: str = ""  # which known cell `update` is: lstm, gru, rnn (as in torch), mingru, minlstm; others compute it so


@dataclass(frozen=True, eq=False)
class Cell:
    """A trained network as arrays, for steppers that do without torch: embedded columns, layers, a linear output.

    The state of a module that is described so is a tuple of `parts` tensors (B, layers, H), as the layers have them.
    A layer reads the output of the one below, and the head that of the last. With `residual` they read the sum of the
    outputs of all layers below, normalised: each row (x - mean) / sqrt(variance + 1e-5).
    """

    columns: tuple[NDArray[np.float32], ...]  # a (size, E) table for each column of the input; embeddings are added up
    layers: tuple[Layer, ...]
    head: NDArray[np.float32]  # (V, H), or (V, H + E) if the output sees the embedded input, too
    bias: NDArray[np.float32]  # (V,)
    pointed: tuple[int, ...] = ()  # P columns of tokens, each of which (but 0) the output raises or lowers
    pointer: NDArray[np.float32] | None = None  # (P, as the head) by how much
    pointer_bias: NDArray[np.float32] | None = None  # (P,)
    residual: bool = False


@runtime_checkable
class Described(Protocol):
    """An architecture that says what its module computes, so that faster steppers can run it."""

    def cell(self, column_sizes: Sequence[int], weights: Mapping[str, NDArray[np.float32]]) -> Cell:
        """The network with these weights, which are named and shaped as in its module. KeyError, ValueError if not."""


@runtime_checkable
class HasShapes(Protocol):
    """An architecture that says which arrays its module has, so that other weights are refused before any is used."""

    def shapes(self, column_sizes: Sequence[int], vocabulary_size: int) -> Iterable[tuple[str, tuple[int, ...]]]:
        """The name and the shape of every array, one by one: they are asked for up to the first that is not met."""


@runtime_checkable
class Explained(Protocol):
    """An architecture that says what a unit of its layers does; its docstring says it in words."""

    equations: ClassVar[Sequence[str]]
    """One a line; x is what comes in, h (and c) the state, a prime marks what it becomes, * is element by element."""


Stepper: TypeAlias = Callable[[Array, "State | None"], "tuple[Array, State]"]
"""One step of a model: `(inputs (B, C), state) -> (logits (B, V), state)`. A row is the same bits in any batch."""


class StepperMaker(Protocol):
    """A way to run the steps of models: a frozen dataclass of options. All run the same model to within a tolerance."""

    speed: int
    """Of those that suit a model, the one with the highest number is taken unless the user names another."""
    tolerances: Mapping[str, float]
    """The precisions that it has (float32, int8…), and how far logits may be at each from those of the reference."""

    def suits(self, model: Model, device: str) -> bool:
        """Whether it can run this model on that kind of device."""

    def make(self, model: Model, device: str, precision: str = "float32") -> Stepper:
        """The steps of a model at one of these precisions. BadModelFile if its weights do not fit its architecture."""


# --- samplers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Context:
    """What a sampler may look at beside the logits."""

    step: Array  # (B,) tokens drawn so far, the primer's included
    facts: Facts
    meaning: Meaning
    history: Array  # (B, H) the last tokens, oldest first; -1 where there is none yet
    allowed: Array  # (B, V) what the grammar and the constraints before this one allow
    struck: Struck  # at least as many notes as any sampler of the chain asks for by its attribute `lookback`


@runtime_checkable
class Constraint(Protocol):
    """A rule that is never broken. The engine intersects all constraints with the grammar, before any shaping.

    Where nothing is left, the engine goes back some tokens and draws others, and refuses only when that does not help.
    """

    def mask(self, context: Context) -> Array:
        """(B, V), true where a token is allowed. Raises BadOption for a rule that no piece of this model can keep."""


@runtime_checkable
class Shaping(Protocol):
    """A change of the distribution, applied in the user's order. Tokens at -inf stay there; one stays possible."""

    def __call__(self, logits: Array, context: Context) -> Array:
        """New logits (B, V); the argument is unchanged."""


Sampler: TypeAlias = Constraint | Shaping


# --- files ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """A score with what made it: plain values, ready for JSON; empty for a score that was read."""

    score: Score
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Clean the title, wherever it comes from."""
        given = self.provenance.get("title")
        if isinstance(given, str) and (title := clean(given)) != given:
            object.__setattr__(self, "provenance", {**self.provenance, "title": title})

    @property
    def title(self) -> str:
        """What the user calls it, or else what it is called where it was read; empty if it has no name."""
        given = self.provenance.get("title")
        return (given if isinstance(given, str) and given.strip() else self.score.title).strip()


Reader: TypeAlias = Callable[[Path], Score]
"""Reads one file. Raises UnreadableFile; warns with ReadingWarning of what it dropped or mended.

Only a regular file is given to it. It is called in a process of its own, which ends after `composer.io.bounds.SECONDS`
and at `MEMORY` more than it began with. A reader with the attribute `is_bounded = True` is called in ours, which is
faster: it promises time and memory linear in the file and in what is played, and no crash, whatever the file holds.
"""


@runtime_checkable
class Remembering(Protocol):
    """A reader of files that can carry what made the piece in them."""

    def provenance(self, path: Path) -> Mapping[str, Any]:
        """What the exporter was given as provenance; `{}` if the file does not say. Raises UnreadableFile."""


@runtime_checkable
class HasPieces(Protocol):
    """A reader of files that may hold several pieces, such as a book of tunes."""

    def pieces(self, path: Path) -> Iterator[tuple[str, Score | Exception]]:
        """Each piece with its name in the file ("1", "2"…; "" where there is one), a refused one with its error.

        One is read when it is asked for. Raises UnreadableFile for a file without pieces, and warns as the reader does.
        """


@dataclass(frozen=True)
class Finding:
    """One thing that other programs would object to in a file. Tracks and bars count from 1, ticks are the file's own.

    `rule` is the name of what is looked for, and `times` says how often it was found in that track; `tick` and `bar`
    are those of the first time.
    """

    severity: Literal["error", "warning", "hint"]
    rule: str
    text: str  # one sentence, safe to print
    track: int | None = None
    tick: int | None = None
    bar: int | None = None
    times: int = 1


@runtime_checkable
class Inspecting(Protocol):
    """A reader of a format that it can also look for faults in."""

    def inspect(self, path: Path) -> Sequence[Finding]:
        """What is wrong with a file, whether it can be read or not. Raises UnreadableFile if it cannot be opened."""


Exporter: TypeAlias = Callable[[Sequence[Piece], Path], None]
"""Writes pieces to one file, whole or not at all, with `composer.storage.atomic.whole_file`. Raises CannotWrite."""


@runtime_checkable
class HasReading(Protocol):
    """An exporter of a form that music is best read for in a way of its own."""

    reading: ClassVar[Mapping[str, Any]]
    """Options of readers, for those that have them, unless the user chooses others."""


# --- datasets and models ----------------------------------------------------------------------------------------------


class Dataset(Protocol):
    """Where music comes from: a frozen dataclass that can be pickled, so that its sources are read in parallel."""

    title: str
    licence: str
    source: str
    citation: str
    tokenizer: str
    """The tokenizer that suits it, and…"""
    tokenizer_options: Mapping[str, Any]
    """…its options, unless the user chooses others."""
    training_options: Mapping[str, Any]
    """Settings of training, and options of architectures that have them, unless the user chooses others."""
    suggested: Mapping[str, Any]
    """What to ask of a model trained on it: fields of a `Request`, as in JSON."""

    def sources(self) -> Sequence[str]:
        """Names of the units that are read one by one (files, mostly), in a stable order."""

    def fingerprint(self, source: str) -> str:
        """A short text that changes when the content of a source does."""

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """The pieces of one source, each with a name that is stable and unique; a refused one with its error."""


@runtime_checkable
class Divided(Protocol):
    """A dataset that says itself what it is to be tested on; published figures can be compared on the same pieces."""

    def side(self, source: str) -> str:
        """Where the pieces of a source belong: `train`, `valid` or `test`. None of the three is empty."""


ModelFile: TypeAlias = Callable[[], Path]
"""Where a trained model that a package brings lies."""

# --- where work runs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What came of one argument that an executor was given."""

    argument: Any
    value: Any = None
    fault: str = ""  # why there is no value: what the work raised, or how its worker was lost, in words


class Executor(Protocol):
    """Where work runs: a frozen dataclass of options, called with functions that can be pickled.

    One that works on several arguments at once may say on how many in an attribute or property `places`, which is asked
    when arguments are taken; the work is divided so that all of them have some.
    """

    def __call__(
        self, stages: Sequence[Callable[[Any], Any]], arguments: Iterable[Any], limit: float
    ) -> Iterator[Outcome]:
        """One outcome for each argument, in any order: what the last stage makes of what those before it made of it.

        Arguments are taken as workers become free, and not long before. A stage that raises, a worker that dies and,
        where work can be stopped, one that is busy with an argument for more than `limit` seconds end in a `fault` of
        that argument alone. Closing the iterator ends all workers. Raises BadOption where it cannot run.
        """


# --- measures of music ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Metric:
    """A measure of music, from counts that add up: those of the bars to a piece's, those of the pieces to a set's.

    So the figure of a bar, of a piece and of a set come from one function. What makes a metric has the definition, with
    its source, as docstring. Counts are not negative, and of a piece with nothing to count they are 0.
    """

    unit: str
    count: Callable[[Heard], NDArray[np.float64]]
    """(rows, W) what is counted in each bar of a piece; W is the same for every piece."""
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    """The figures (...) of summed counts (..., W), NaN where nothing is counted, and the same for twice the counts.
    None: counts are a histogram, which is told by its distance from that of real pieces."""
    follows_pitch: bool = False
    """Whether it is another one for the same music in another key."""


Offers: TypeAlias = Mapping[str, Callable[..., Any]]
"""What every hook returns: the name that a user types, and what makes the thing from its options."""
