"""The protocols of everything that plugins offer.

grammars.py       grammars, their states, and the meaning of tokens
tokenizers.py     scores to tokens and back
architectures.py  networks, and the backends that run them
samplers.py       constraints and logits processors
transforms.py     changes of scores, and rules of pieces
training.py       objectives, optimisers, schedules
files.py          readers and exporters
datasets.py       datasets, and models trained on them
executors.py      where the jobs of a batch run
callbacks.py      listeners to a training run
commands.py       tasks of commands, to make their pieces again
metrics.py        measures of music
arrays.py         arrays, and the shape letters of all docstrings

All names are offered here: `from composer.types import Tokenizer`. No plugin is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from composer.types.architectures import (
    Architecture,
    Backend,
    Cell,
    CompiledStep,
    HasCell,
    HasEquations,
    HasReasons,
    HasShapes,
    Layer,
    ReadsFeatures,
    ReadsTokens,
    Repeat,
    Step,
    SupportsBlocks,
    SupportsC,
    Turn,
)
from composer.types.arrays import Array, State, Tokens
from composer.types.callbacks import Callback, RunView
from composer.types.commands import OwnTask, ReadsTasks
from composer.types.datasets import Dataset, HasUnits, ModelFile, PredefinedSplit
from composer.types.executors import Executor, Outcome
from composer.types.files import (
    Exporter,
    Finding,
    HasPieces,
    HasReading,
    IsGallery,
    Reader,
    SupportsLint,
    SupportsProvenance,
)
from composer.types.grammars import (
    CHORDS,
    Column,
    Grammar,
    MusicalState,
    Span,
    SupportsInputs,
    SupportsStates,
    TokenInfo,
)
from composer.types.metrics import Metric
from composer.types.samplers import (
    Annotates,
    ChoosesOptions,
    Constraint,
    Context,
    Drawn,
    HasMemory,
    HasOperations,
    HasStatedOptions,
    Internal,
    Judges,
    LogitsProcessor,
    Occasion,
    Operation,
    RecentNotes,
    Sampler,
)
from composer.types.tokenizers import (
    HasSamples,
    Humanizes,
    PlacesGiven,
    SupportsFrames,
    SupportsTranspose,
    Tokenizer,
    Trainable,
)
from composer.types.training import Objective, Optimiser, Schedule
from composer.types.transforms import DrawsTransposition, HasFlag, Rule, Transform

if TYPE_CHECKING:
    from composer.io.pieces import Piece

__all__ = [
    "CHORDS",
    "Annotates",
    "Architecture",
    "Array",
    "Backend",
    "Callback",
    "Cell",
    "ChoosesOptions",
    "Column",
    "CompiledStep",
    "Constraint",
    "Context",
    "Dataset",
    "Drawn",
    "DrawsTransposition",
    "Executor",
    "Exporter",
    "Finding",
    "Grammar",
    "HasCell",
    "HasEquations",
    "HasFlag",
    "HasMemory",
    "HasOperations",
    "HasPieces",
    "HasReading",
    "HasReasons",
    "HasSamples",
    "HasShapes",
    "HasStatedOptions",
    "HasUnits",
    "Humanizes",
    "Internal",
    "IsGallery",
    "Judges",
    "Layer",
    "LogitsProcessor",
    "Metric",
    "ModelFile",
    "MusicalState",
    "Objective",
    "Occasion",
    "Offers",
    "Operation",
    "Optimiser",
    "Outcome",
    "OwnTask",
    "Piece",
    "PlacesGiven",
    "PredefinedSplit",
    "Reader",
    "ReadsFeatures",
    "ReadsTasks",
    "ReadsTokens",
    "RecentNotes",
    "Repeat",
    "Rule",
    "RunView",
    "Sampler",
    "Schedule",
    "Span",
    "State",
    "Step",
    "SupportsBlocks",
    "SupportsC",
    "SupportsFrames",
    "SupportsInputs",
    "SupportsLint",
    "SupportsProvenance",
    "SupportsStates",
    "SupportsTranspose",
    "TokenInfo",
    "Tokenizer",
    "Tokens",
    "Trainable",
    "Transform",
    "Turn",
]

Offers: TypeAlias = Mapping[str, Callable[..., Any]]
"""What every hook returns: the name that a user types, and the callable that makes the thing from its options."""


def __getattr__(name: str) -> Any:
    """Import `Piece` on demand: it writes itself, and so stands above the protocols."""
    if name != "Piece":
        raise AttributeError(f"module 'composer.types' has no attribute '{name}'")
    from composer.io.pieces import Piece

    return Piece
