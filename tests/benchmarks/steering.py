"""How near samplers with memory come to their targets, and what beams do to music.

    python tests/benchmarks/steering.py

Twenty pieces of 16 bars each of seed 7, without any other sampler. Surprise is the mean nats of the tokens that had an
alternative. Repeated bars are those with the onsets and pitches of an earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from composer.generation.composer import Composer, open_model
from composer.generation.generator import make_samplers
from composer.music.score import Score, compute_bars
from composer.request import Request, SamplerSpec
from composer.sampling.loop import SampledPiece, sample
from composer.types import Piece

PIECES, BARS, SEED = 20, 16, 7

TARGETS = {"chorales": (2, 3, 4, 5, 6, 8), "tunes": (1, 2, 3, 4)}
"""Notes a beat."""

CONDITIONS = {
    "chorales": [("C", "4/4"), ("Am", "4/4"), ("C", "3/4"), ("Am", "3/4")],
    "tunes": [("G", "4/4"), ("Em", "4/4"), ("G", "6/8"), ("D", "3/4"), ("G", "2/4"), ("Em", "6/8")],
}
"""Keys and time signatures of the pieces of beams, which no seed distinguishes."""


def write(model: Composer, name: str = "", **options: Any) -> list[SampledPiece]:
    """Sample the pieces with one sampler, or with none."""
    chain = (SamplerSpec(name, options),) if name else ()
    requests = [model.resolve(Request(seed=SEED, index=n, bars=BARS, samplers=chain)) for n in range(PIECES)]
    return sample(model.get_step(requests[0]), model.writing, make_samplers(chain), requests)


def measure_surprise(model: Composer, piece: SampledPiece) -> float:
    """Measure the mean surprise of the tokens that had an alternative."""
    grammar, chosen = model.writing.grammar, 0
    state = grammar.start(Request(bars=BARS), 1)
    for token in piece.tokens:
        chosen += int(grammar.mask(state).sum() > 1)
        state = grammar.advance(state, np.array([token]))
    return piece.model_nats / chosen


def measure_density(model: Composer, piece: SampledPiece) -> float:
    """Measure the notes a beat."""
    score = model.tokenizer.decode(piece.tokens)
    found = compute_bars(score)
    lengths = zip(np.diff(found.starts).tolist(), found.signatures, strict=True)
    return score.note_count / sum(ticks / signature.beat_ticks for ticks, signature in lengths)


def measure_repeats(score: Score) -> float:
    """Measure the share of bars that equal an earlier one."""
    bars = []
    for start, end in pairwise(compute_bars(score).starts.tolist()):
        bar = set()
        for number, track in enumerate(score.tracks):
            notes = track.notes[(track.notes["start"] >= start) & (track.notes["start"] < end)]
            bar |= {(number, onset - start, pitch) for onset, pitch in notes[["start", "pitch"]].tolist()}
        bars.append(frozenset(bar))
    return 1 - len(set(bars)) / len(bars)


def show(title: str, found: Sequence[float]) -> None:
    """Print the mean and the spread over pieces."""
    print(f"{title}: {np.mean(found):.2f}, standard deviation {np.std(found):.2f}")


def show_pieces(title: str, pieces: Sequence[Piece]) -> None:
    """Print nats per note and repeated bars."""
    nats = np.mean([piece.provenance["nats"]["model"] / piece.score.note_count for piece in pieces])
    repeats = np.mean([measure_repeats(piece.score) for piece in pieces])
    print(f"{title}: {nats:.2f} nats per note, {repeats:.0%} repeated bars")


def main() -> None:
    """Print all figures."""
    for name, targets in TARGETS.items():
        model = open_model(name)
        plain = write(model)
        show(f"{name}, surprise without a sampler", [measure_surprise(model, piece) for piece in plain])
        for tau in (0.3, 0.4, 0.5, 0.6, 0.7):
            show(
                f"{name}, surprise with mirostat {tau}",
                [measure_surprise(model, p) for p in write(model, "mirostat", tau=tau)],
            )
        show(f"{name}, notes a beat without a sampler", [measure_density(model, piece) for piece in plain])
        for notes in targets:
            pieces = write(model, "notes-per-beat", notes=notes)
            show(
                f"{name}, notes a beat with notes-per-beat {notes}", [measure_density(model, piece) for piece in pieces]
            )
        asked = [
            {"bars": BARS, "key": key, "time_signature": metre, "temperature": 1.0} for key, metre in CONDITIONS[name]
        ]
        show_pieces(f"{name}, sampled", [piece for one in asked for piece in model.generate(count=5, seed=SEED, **one)])
        for beams in (1, 4, 16, 64):
            show_pieces(f"{name}, {beams} beams", [model.generate(beams=beams, **one) for one in asked])


if __name__ == "__main__":
    main()
