"""Chorales with bars and voices hidden, filled with more and more particles, beside sampling forwards and other music.

For each held-out chorale, hidden part and number of particles: how likely the model finds Bach's own notes after the
gap, given what fills it (nats per note; less is better), and in how many steps of the hidden voices the same pitch
sounds as in Bach. One particle is sampling forwards. `other` sets in the bars of another chorale of the same metre and
mode, in this one's key. Differences are paired by chorale, with 95 % intervals by bootstrap.

    python tests/benchmarks/filling.py [--pieces 50] [--particles 1,4,16,64] [--out filling.json]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from composer.data.corpus import build
from composer.generation import infilling, tasks
from composer.generation.composer import open_model
from composer.generation.generator import Generator
from composer.music.parts import find_voice
from composer.music.score import Score, compute_bars, make_notes
from composer.plugins.registry import registry

SETTINGS = {  # bars hidden, voices hidden (none named: all)
    "1 bar": (1, ()),
    "2 bars": (2, ()),
    "4 bars": (4, ()),
    "1 voice": (4, ("tenor",)),
    "2 voices": (4, ("alto", "tenor")),
    "3 voices": (4, ("alto", "tenor", "bass")),
}
FIRST = 4
"""The first bar that is hidden, whole bars counted from 1."""

AFTER = 4
"""Bars that a chorale must have after the gap."""


@dataclass(frozen=True)
class Case:
    """A chorale with a part that is hidden."""

    score: Score  # as the model hears it
    hidden: tuple[int, ...]  # voices
    start: int  # ticks of the gap
    end: int
    voices: tuple[str, ...]
    bars: tuple[int, int]


def main() -> None:
    """Fill, print the table, and keep the raw figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="chorales")
    parser.add_argument("--pieces", type=int, default=50)
    parser.add_argument("--particles", default="1,4,16,64")
    parser.add_argument("--settings", default=",".join(SETTINGS))
    parser.add_argument("--look-ahead", type=int, default=infilling.LOOK_AHEAD)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    asked = parser.parse_args()
    player, counts = open_model(asked.model), [int(n) for n in asked.particles.split(",")]
    found = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    scores = held_out(player, asked.pieces)
    for name in asked.settings.split(","):
        cases = [case_of(score, *SETTINGS[name]) for score in scores]
        for count in counts:
            if str(count) not in found.get(name, {}):
                done = figures(player, cases, count, asked.seed, asked.look_ahead)
                found.setdefault(name, {})[str(count)] = done
                asked.out.write_text(json.dumps(found) + "\n")
        if "other" not in found[name]:
            found[name]["other"] = figures_of_other(player, cases, asked.seed)
            found[name]["Bach"] = measured(player, cases, [case.score for case in cases])
            asked.out.write_text(json.dumps(found) + "\n")
        print("\n".join(table(name, found[name])), flush=True)


def held_out(player: Generator, most: int) -> list[Score]:
    """Chorales of the test split, then of the validation split, that are long enough, as the model hears them."""
    corpus = build(registry().make("datasets", "chorales"), player.tokenizer, name="chorales")
    numbers = [*corpus.split("test"), *corpus.split("valid")]
    scores = [player.tokenizer.decode(corpus.read_piece(int(number))) for number in numbers]
    least = FIRST - 1 + 4 + AFTER
    long_enough = [s for s in scores if len(compute_bars(s).signatures) - (s.upbeat > 0) >= least]
    return [s for s in long_enough if all(len(track.notes) for track in s.tracks)][:most]


def case_of(score: Score, count: int, voices: tuple[str, ...]) -> Case:
    """So many bars from `FIRST` on, of these voices or of all."""
    wanted = (FIRST, FIRST + count - 1)
    start, end = infilling.locate_bars(score, wanted)
    names = [find_voice(score, voice) for voice in voices]
    return Case(score, tuple(names or range(len(score.tracks))), start, end, voices, wanted)


# --- what is filled ---------------------------------------------------------------------------------------------------


def figures(player: Generator, cases: list[Case], particles: int, seed: int, look_ahead: int) -> dict[str, list[float]]:
    """Fill every case with so many particles."""
    wanted = [
        infilling.plan_gap(
            player,
            case.score,
            replace(player.suggested, seed=seed, index=index),
            bars=case.bars,
            voices=case.voices,
            particles=particles,
            look_ahead=look_ahead,
        )
        for index, case in enumerate(cases)
    ]
    return measured(player, cases, [piece.score for piece in tasks.make(player, wanted)])


def figures_of_other(player: Generator, cases: list[Case], seed: int) -> dict[str, list[float]]:
    """Set the bars of another chorale into every case, the same for the same seed."""
    rng = np.random.default_rng(seed)
    return measured(player, cases, [with_other(case, cases, rng) for case in cases])


def with_other(case: Case, cases: list[Case], rng: np.random.Generator) -> Score:
    """The hidden part out of another chorale, moved into this one's key by the octave that is nearest."""
    key = case.score.key_signatures[0].key
    alike = [other for other in cases if other is not case and other.end - other.start == case.end - case.start]
    same_metre = [o for o in alike if str(o.score.time_signatures[0]) == str(case.score.time_signatures[0])]
    same_mode = [o for o in same_metre if o.score.key_signatures[0].key.minor == key.minor]
    others = same_mode or same_metre or alike
    other = others[int(rng.integers(len(others)))]
    shift = (key.tonic - other.score.key_signatures[0].key.tonic) % 12
    shift += 12 * round((height(case) - height(other) - shift) / 12)
    tracks = list(case.score.tracks)
    for voice in case.hidden:
        strange = [
            (s + case.start - other.start, d, p + shift, v) for s, d, p, v in part(other, voice, other.start, other.end)
        ]
        own = part(case, voice, 0, case.start), part(case, voice, case.end, infilling.ALWAYS)
        tracks[voice] = replace(tracks[voice], notes=make_notes([*own[0], *strange, *own[1]]))
    return replace(case.score, tracks=tuple(tracks))


def height(case: Case) -> float:
    """The mean pitch of the hidden voices in the whole chorale."""
    return float(np.concatenate([case.score.tracks[voice].notes["pitch"] for voice in case.hidden]).mean())


def part(case: Case, voice: int, start: int, end: int) -> list[tuple[int, int, int, int]]:
    """The notes of a voice from `start` up to `end`, cut off at both."""
    rows = case.score.tracks[voice].notes.tolist()
    cut = [(max(s, start), min(s + d, end), p, v) for s, d, p, v in rows]
    return [(s, e - s, p, v) for s, e, p, v in cut if e > s]


# --- what is measured -------------------------------------------------------------------------------------------------


def measured(player: Generator, cases: list[Case], filled: list[Score]) -> dict[str, list[float]]:
    """Per case: nats per note of Bach's notes after the gap, in the next two bars and to the end; the agreement."""
    near, far = nats_after(player, cases, filled)
    return {"next": near, "rest": far, "agreement": [agreement(c, s) for c, s in zip(cases, filled, strict=True)]}


def nats_after(player: Generator, cases: list[Case], filled: list[Score]) -> tuple[list[float], list[float]]:
    """Nats of the tokens after the gap, over Bach's notes there: in two bars, and to the end."""
    grammar, tokenizer = player.tokenizer.grammar, player.tokenizer
    step = player.get_step(player.resolve(player.suggested))
    sequences = [tokenizer.encode(score) for score in filled]
    grid = [compute_bars(case.score) for case in cases]
    last = np.array([int(np.searchsorted(g.starts, case.end)) for g, case in zip(grid, cases, strict=True)])
    nats = np.zeros((2, len(cases)))
    state, recurrent = grammar.start(player.suggested, len(cases)), None
    for t in range(max(map(len, sequences))):
        running = np.array([t < len(tokens) for tokens in sequences])
        tokens = np.array([tokens[t] if t < len(tokens) else 1 for tokens in sequences])
        logits, recurrent = step(grammar.make_inputs(state), recurrent)
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        lost = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(tokens)), tokens]
        bar = grammar.interpret(state).bar
        nats[0] += np.where(running & (bar >= last) & (bar < last + 2), lost, 0)
        nats[1] += np.where(running & (bar >= last), lost, 0)
        state = grammar.advance(state, tokens)
    notes = np.zeros((2, len(cases)))
    for n, (case, found, first) in enumerate(zip(cases, grid, last, strict=True)):
        begins = np.concatenate([track.notes["start"] for track in case.score.tracks])
        until = found.starts[min(first + 2, len(found.starts) - 1)]
        notes[:, n] = np.sum((begins >= case.end) & (begins < until)), np.sum(begins >= case.end)
    per_note = nats / np.maximum(notes, 1)
    return per_note[0].tolist(), per_note[1].tolist()


def agreement(case: Case, filled: Score) -> float:
    """The share of steps (an eighth of a quarter) of hidden voices in which the same pitch, or none, sounds."""
    same = [sounding(case.score, case, voice) == sounding(filled, case, voice) for voice in case.hidden]
    return float(np.mean(same))


def sounding(score: Score, case: Case, voice: int, step: int = 60) -> np.ndarray:
    """The pitch at each step of the gap, -1 for none."""
    roll = np.full((case.end - case.start) // step, -1)
    for start, duration, pitch, _ in score.tracks[voice].notes.tolist():
        roll[max((start - case.start) // step, 0) : max((start + duration - case.start) // step, 0)] = pitch
    return roll


# --- what is told -----------------------------------------------------------------------------------------------------


def interval(differences: np.ndarray, seed: int = 0, rounds: int = 10_000) -> tuple[float, float, float]:
    """The mean of paired differences, and the 95 % interval of it by bootstrap over the pieces."""
    rng = np.random.default_rng(seed)
    means = rng.choice(differences, (rounds, len(differences))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(differences.mean()), float(low), float(high)


def table(name: str, found: dict[str, dict[str, list[float]]]) -> list[str]:
    """A line a way of filling, and a line a paired difference."""
    pieces = len(found["Bach"]["rest"])
    counts = sorted((way for way in found if way.isdecimal()), key=int)
    lines = [f"{name}, {pieces} chorales: nats per note in the next 2 bars | to the end | agreement"]
    for way in [*counts, "other", "Bach"]:
        values = found[way]
        means = [np.mean(values[kind]) for kind in ("next", "rest", "agreement")]
        lines.append(f"  {way:>6}  {means[0]:.4f} | {means[1]:.4f} | {means[2]:.3f}")
    steps = list(zip(counts[1:], counts[:-1], strict=True)) if len(counts) > 2 else []
    pairs = [*steps, (counts[-1], counts[0]), (counts[-1], "other")]
    for way, beside in pairs:
        told = []
        for kind in ("next", "rest", "agreement"):
            mean, low, high = interval(np.array(found[way][kind]) - np.array(found[beside][kind]))
            told.append(f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]")
        lines.append(f"  {way} less {beside}: " + " | ".join(told))
    return lines


if __name__ == "__main__":
    main()
