"""Datasets, and the models trained on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from composer.music.score import Score


class Dataset(Protocol):
    """A collection of music: a frozen dataclass that can be pickled, so that its sources are read in parallel."""

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
    """Suggested requests of a model trained on it: fields of a `Request`, as in JSON."""

    def list_sources(self) -> Sequence[str]:
        """List the names of the units that are read one by one (files, mostly), in a stable order."""

    def fingerprint(self, source: str) -> str:
        """Compute a short text that changes with the content of a source."""

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """Read the pieces of one source, each with a stable and unique name; a refused one with its error.

        `Score.labels` hold what is known of a piece, such as its style; a model can be told them.
        """


@runtime_checkable
class PredefinedSplit(Protocol):
    """A dataset with a predefined split, so that published figures can be compared on the same pieces."""

    def split(self, source: str) -> str:
        """Return the split of a source's pieces: `train`, `valid` or `test`, or "" to split them by content.

        None of the three is empty.
        """


@runtime_checkable
class HasUnits(Protocol):
    """A dataset whose published likelihoods are per a unit of its own, such as a voice and a 16th."""

    unit: str
    """The unit's name, after the words "nats per"."""

    def count_units(self, score: Score) -> int:
        """Count the units of one of its pieces: the nats of all its tokens are divided by them."""


ModelFile: TypeAlias = Callable[[], Path]
"""Returns the path of a trained model that a package brings."""
