"""The music and the recipe of a run: as they are, or with fewer pieces, wrong notes or other keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.data.corpus import Corpus, build
from composer.data.datasets import make_dataset
from composer.data.splits import SPLITS
from composer.errors import CannotExpress, TrainingFailed
from composer.music.score import TICKS_PER_QUARTER, Notes, Score
from composer.music.transposing import transpose_score
from composer.plugins.registry import registry
from composer.training import recipe_file
from composer.training.recipes import Recipe
from composer.types import Tokenizer
from composer_compare import perturbed_data
from composer_compare.plan import ExperimentRun

# --- perturbations ----------------------------------------------------------------------------------------------------


EIGHTH = TICKS_PER_QUARTER // 2
FARTHEST = 2
"""The largest error of a wrong pitch, in semitones."""

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, eq=False)
class ReducedCorpus(Corpus):
    """A corpus with a share of its training pieces; a larger share contains the smaller ones."""

    share: float = 1.0
    seed: int = 0

    def split(self, name: str) -> NDArray[np.int64]:
        """Return the numbers of the pieces of one split."""
        found = super().split(name)
        if name != "train":
            return found
        count = max(round(self.share * len(found)), 1)
        return np.sort(np.random.default_rng((self.seed, 2)).permutation(found)[:count])


@dataclass(frozen=True)
class PerturbedDataset:
    """The pieces of a corpus as a dataset with the same splits, some of them altered.

    In the training pieces a share `noise` of the notes has a wrong pitch, and as many are halved in length. Test
    pieces are transposed by `shift` semitones.
    """

    corpus: str  # its folder
    tokenizing: Tokenizer
    noise: float = 0.0
    seed: int = 0
    shift: int = 0

    title = "Altered music"
    licence = source = citation = "as the original music"
    tokenizer = ""
    tokenizer_options = training_options = suggested = _NOTHING

    @cached_property
    def _before(self) -> Corpus:
        return Corpus(Path(self.corpus))

    @cached_property
    def _sides(self) -> Mapping[int, str]:
        return {int(number): side for side in SPLITS for number in self._before.split(side)}

    def list_sources(self) -> Sequence[str]:
        """List the numbers of the pieces."""
        return [str(number) for number in range(len(self._before.names))]

    def fingerprint(self, source: str) -> str:
        """Return an empty string: the folder of a corpus is named after its content."""
        return ""

    def split(self, source: str) -> str:
        """Return the split of the piece."""
        return self._sides[int(source)]

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """Read the piece, and alter it if it is in an altered split."""
        number, side = int(source), self.split(source)
        score = self.tokenizing.decode(self._before.read_piece(number))
        if side == "train" and self.noise:
            score = add_wrong_notes(score, self.noise, np.random.default_rng((self.seed, number, 3)))
        elif side == "test" and self.shift:
            try:
                score = transpose_score(score, self.shift)
            except CannotExpress as error:
                yield source, error
                return
        yield source, score


def build_perturbed(
    corpus: Corpus, tokenizer: Tokenizer, place: Path, *, noise: float = 0.0, seed: int = 0, shift: int = 0
) -> Corpus:
    """Build an altered corpus under `place`, without the pieces that the tokenizer can no longer express."""
    return build(
        PerturbedDataset(str(corpus.folder), tokenizer, noise, seed, shift), tokenizer, name="altered", cache=place
    )


def add_wrong_notes(score: Score, share: float, rng: np.random.Generator) -> Score:
    """Shift a share of the notes by a semitone or two, and halve as many of whole quarters."""

    def alter_notes(notes: Notes) -> Notes:
        notes = notes.copy()
        off = rng.integers(1, FARTHEST + 1, len(notes)) * rng.choice([-1, 1], len(notes))
        notes["pitch"] = np.where(rng.random(len(notes)) < share, np.clip(notes["pitch"] + off, 0, 127), notes["pitch"])
        cut = (rng.random(len(notes)) < share) & (notes["duration"] % (2 * EIGHTH) == 0)
        notes["duration"] = np.where(cut, notes["duration"] // 2, notes["duration"])
        return notes[np.lexsort((notes["pitch"], notes["start"]))]

    return _map_tracks(score, alter_notes)


def _map_tracks(score: Score, change: Callable[[Notes], Notes]) -> Score:
    tracks = (track if track.is_drum else replace(track, notes=change(track.notes)) for track in score.tracks)
    return replace(score, tracks=tuple(tracks))


# --- a run ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _load_corpus(text: str) -> tuple[Corpus, Tokenizer]:
    """Load the music of a recipe; whoever planned the run has built it already."""
    plain = json.loads(text)
    dataset = make_dataset(plain["dataset"], **plain["dataset_options"])
    options = dict(plain["tokenizer"])
    tokenizer = registry().make("tokenizers", options.pop("name"), **options)
    return build(dataset, tokenizer, name=plain["dataset"]), tokenizer


def load_music(run: ExperimentRun) -> tuple[Corpus, Tokenizer]:
    """Load the music that the run was planned for. Raises TrainingFailed if it has changed since."""
    keys = ("dataset", "dataset_options", "tokenizer")
    corpus, tokenizer = _load_corpus(json.dumps({key: run.recipe[key] for key in keys}))
    if corpus.folder.name != run.music:
        raise TrainingFailed("the music has changed since this was planned.")
    return corpus, tokenizer


def alter_music(run: ExperimentRun, corpus: Corpus, tokenizer: Tokenizer, scratch: Path) -> Corpus:
    """Apply the run's reduction or noise to the corpus; a new corpus is built under `scratch`."""
    seed = run.recipe["training"]["seed"]
    if run.noise:
        corpus = perturbed_data.build_perturbed(corpus, tokenizer, scratch, noise=run.noise, seed=seed)
    return perturbed_data.ReducedCorpus(corpus.folder, run.share, seed) if run.share < 1 else corpus


def make_recipe(run: ExperimentRun) -> Recipe:
    """Build the recipe of a run that trains on a dataset."""
    return recipe_file.make_recipe(run.recipe)
