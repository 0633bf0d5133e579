"""Drum takes played anew, beside the drummer's own take: errors of timing and loudness, and their distributions.

Each take of the test split is put on the grid, and its loudness is forgotten (Gillick et al. 2019). What then plays it
is compared with the drummer hit by hit: the mean error and its standard deviation. The drummer would not play the same
on another day. So the distributions are compared as well: the Wasserstein distance to the drummers' own, of the hits of
each class, averaged over all hits. `quantised` has no offset, and the mean loudness of the class in the training split.
`random` draws the offset and loudness of a hit of the class there. The mean of several samples has less error than one,
and a narrower distribution.

    python tests/benchmarks/humanizing.py FOLDER --model drums       # the table of datasets/README.md, in Markdown
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray

from composer.errors import ComposerError
from composer.generation import tasks
from composer.generation.composer import Composer, open_model
from composer.generation.humanizing import plan_performance
from composer.music.score import Notes, Score, Track, compute_bars, concatenate_notes, make_notes
from composer.tokens.conditions import split_conditions
from composer_drums.events import Events
from composer_drums.hits import find_hits
from composer_drums.kit import CLASS_OF_SOUND, SOUNDS
from composer_drums.tokenizer import Drums
from composer_groove.dataset import Groove

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HEADINGS = ("", "timing error, ms", "loudness error, of 127", "distance of timings, ms", "distance of loudness")


@dataclass(frozen=True)
class Played:
    """Hits of takes as played. All arrays are (N,)."""

    classes: Ints
    offsets: Floats  # ms after the position on the grid
    velocities: Floats

    @staticmethod
    def join(parts: Sequence[Played]) -> Played:
        names = ("classes", "offsets", "velocities")
        return Played(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True)
class Take:
    """A take: as a stiff score, one note for each hit, and as the drummer played these."""

    stiff: Score
    played: Played


def main() -> None:
    """Play the takes, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="The Groove MIDI Dataset.")
    parser.add_argument("--model", default="drums")
    parser.add_argument("--bars", type=int, default=8, help="First bars of each take.")
    parser.add_argument("--samples", type=int, default=8, help="Samples of the model whose mean is taken.")
    parser.add_argument("--particles", type=int, default=64)
    parser.add_argument("--takes", type=int, help="The first takes alone.")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    model, random = open_model(asked.model), np.random.default_rng(asked.seed)
    own, _ = split_conditions(model.tokenizer)
    if not isinstance(own, Drums):
        parser.error(f"{asked.model} is no model of drums")
    takes = list(read_takes(asked.folder, own.events, "test", asked.bars))[: asked.takes]
    known = Played.join([take.played for take in read_takes(asked.folder, own.events, "train", asked.bars)])
    begin = process_time()
    samples = play_takes(model, takes, asked)
    seconds = process_time() - begin
    real = Played.join([take.played for take in takes])
    rows = {
        "quantised, mean loudness": play_stiffly(known, real),
        "random": draw_hits(known, real, random),
        f"`{Path(asked.model).stem}`": samples[0],
        f"… mean of {asked.samples}": average(samples),
    }
    print("| " + " | ".join(HEADINGS) + " |\n|---" + "|--:" * (len(HEADINGS) - 1) + "|")
    for title, played in rows.items():
        print(f"| {title} | {' | '.join(compare(played, real))} |")
    cost = 1000 * seconds / len(real.classes) / asked.samples
    shown = f"{len(takes)} takes, up to {asked.bars} bars of each: {len(real.classes):,} hits"
    print(f"\n{shown}; seed {asked.seed}, {asked.particles} particles, {cost:.1f} ms of processor a hit")


# --- takes ------------------------------------------------------------------------------------------------------------


def read_takes(folder: str, events: Events, side: str, bars: int) -> Iterator[Take]:
    """Yield the takes of a split that the tokenizer knows, up to so many bars."""
    dataset = Groove(folder)
    for source in dataset.list_sources():
        if dataset.split(source) == side:
            for _, score in dataset.read(source):
                if isinstance(score, Score) and (take := make_take(events, score, bars)):
                    yield take


def make_take(events: Events, score: Score, bars: int) -> Take | None:
    """Make a take of the first bars of a score; None for one that the tokenizer does not know."""
    end = int(compute_bars(score).starts[: bars + 1][-1])
    notes = concatenate_notes([track.notes for track in score.tracks if track.is_drum])
    notes = notes[notes["start"] < end]
    cut = replace(score, tracks=(Track(notes, is_drum=True),))
    try:
        _, hits = find_hits(events, cut)
    except ComposerError:
        return None
    positions = hits.steps * events.grid.step_ticks
    onsets = find_onsets(notes, hits.classes, positions + hits.offsets * events.fine_ticks)
    rows = zip(positions.tolist(), SOUNDS[hits.classes].tolist(), strict=True)
    stiff = replace(cut, tracks=(Track(make_notes([(tick, 20, sound, 80) for tick, sound in rows]), is_drum=True),))
    played = Played(hits.classes, (onsets - positions) * find_ms(score), hits.velocities.astype(np.float64))
    return Take(stiff, played)


def find_onsets(notes: Notes, classes: Ints, rounded: Ints) -> Ints:
    """Find the onsets (N,) in ticks of the hits, which the tokenizer has `rounded`."""
    starts, kinds, found = notes["start"].astype(np.int64), CLASS_OF_SOUND[notes["pitch"]], rounded.copy()
    for place, (kind, tick) in enumerate(zip(classes, rounded, strict=True)):
        own = starts[kinds == kind]
        found[place] = own[np.abs(own - tick).argmin()]
    return found


def find_ms(score: Score) -> float:
    """Find the milliseconds of a tick; takes have one tempo."""
    return 60_000 / score.tempos[0].bpm / 480


# --- players ----------------------------------------------------------------------------------------------------------


def play_takes(model: Composer, takes: Sequence[Take], asked: argparse.Namespace) -> list[Played]:
    """Let the model play all takes, so many times."""
    parts: list[list[Played]] = [[] for _ in range(asked.samples)]
    for take in takes:
        plan = partial(plan_performance, model, take.stiff, particles=asked.particles)
        fills = [plan(replace(model.suggested, seed=asked.seed, index=n)) for n in range(asked.samples)]
        for part, piece in zip(parts, tasks.make(model, fills), strict=True):
            part.append(read_played(take, piece.score))
    return [Played.join(part) for part in parts]


def read_played(take: Take, score: Score) -> Played:
    """Read how the hits of a take are played: those of each sound come in the same order."""
    stiff, notes = take.stiff.tracks[0].notes, score.tracks[0].notes
    offsets, velocities = np.zeros(len(stiff)), np.zeros(len(stiff))
    for sound in np.unique(stiff["pitch"]):
        there, here = stiff["pitch"] == sound, notes["pitch"] == sound
        offsets[there] = (notes["start"][here] - stiff["start"][there]) * find_ms(take.stiff)
        velocities[there] = notes["velocity"][here]
    return replace(take.played, offsets=offsets, velocities=velocities)


def play_stiffly(known: Played, real: Played) -> Played:
    """Play all hits on the grid, as loud as those of the class are on average."""
    means = np.array([known.velocities[known.classes == kind].mean() for kind in range(len(SOUNDS))])
    return replace(real, offsets=np.zeros_like(real.offsets), velocities=means[real.classes])


def draw_hits(known: Played, real: Played, random: np.random.Generator) -> Played:
    """Play each hit as some hit of its class in the training split."""
    drawn = np.zeros_like(real.classes)
    for kind in np.unique(real.classes):
        here = real.classes == kind
        drawn[here] = random.choice(np.flatnonzero(known.classes == kind), here.sum())
    return replace(real, offsets=known.offsets[drawn], velocities=known.velocities[drawn])


def average(samples: Sequence[Played]) -> Played:
    """Average several samples, hit by hit."""
    offsets, velocities = (np.mean([getattr(s, name) for s in samples], axis=0) for name in ("offsets", "velocities"))
    return replace(samples[0], offsets=offsets, velocities=velocities)


# --- measures ---------------------------------------------------------------------------------------------------------


def compare(played: Played, real: Played) -> list[str]:
    """Show the errors, and the distances of the distributions."""
    found = []
    for name in ("offsets", "velocities"):
        errors = np.abs(getattr(played, name) - getattr(real, name))
        found.append(f"{errors.mean():.1f} ± {errors.std():.1f}")
    return [*found, *(f"{measure_distance(played, real, name):.1f}" for name in ("offsets", "velocities"))]


def measure_distance(played: Played, real: Played, name: str) -> float:
    """Measure the Wasserstein distance of the distributions of each class, averaged over all hits."""
    total = 0.0
    for kind in np.unique(real.classes):
        one, other = (np.sort(getattr(some, name)[some.classes == kind]) for some in (played, real))
        total += float(np.abs(one - other).sum())
    return total / len(real.classes)


if __name__ == "__main__":
    main()
