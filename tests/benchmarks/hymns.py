"""Endings, cadences and parallels of pieces and of harmonised hymn tunes, beside Bach's: a table in Markdown.

    python tests/benchmarks/hymns.py             # 200 chorales and 200 tunes, and twelve melodies; some minutes
    python tests/benchmarks/hymns.py --before    # the same without an ending
    python tests/benchmarks/hymns.py --both      # both, and Bach's own chorales: the table of the guide

A triad in root position is that of the tonic; of a tune it is the tonic alone. Refused is what ended in an error.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from composer import metrics
from composer.errors import ComposerError
from composer.generation.composer import Composer, open_model
from composer.metrics.score_view import FIFTH, UNISON, ScoreView, find_parallels, view_score
from composer.music.score import Score
from composer.training.model_card import build_training_corpus
from composer_harmony.endings import describe_end

SEED = 1

TUNES = {
    "Old Hundredth": "M:4/4\nL:1/4\nK:G\nG|GFED|GABB|BBAG|cBAG|ABAG|EFGd|BGAc|BAG|]",
    "St Anne": "M:4/4\nL:1/4\nK:C\nG|EAGc|cBcG|cGA^F|G3B|cAdB|cABG|Acd B|c3|]",
    "Duke Street": "M:4/4\nL:1/8\nK:F\nF2ABc2de|f2edc4|c2ccd2c2|B2A2G4|A2AGFAcf|dcBAG4|c2def3B|A2G2F4|]",
    "Nicaea": "M:4/4\nL:1/4\nK:D\nDDFF|A2A2|B2BB|A2F2|A3/A/AA|d2cA|EAB>A|A4|DDFF|A2A2|B>BBB|A2A2|d2AA|B2F2|GEE>D|D4|]",
    "Austria": "M:4/4\nL:1/4\nK:F\nF>GAG|BAG/E/F|dcBA|GA/F/c2|F>GAG|BAG/E/F|dcBA|GA/F/c2|GAG/E/C|BAG/E/C|cB>A=B|=B2c2|"
    "f>ee/d/c|d>cc/B/A|GA/B/c/d/B/G/|FA/G/F2|]",
    "Hymn to Joy": "M:4/4\nL:1/4\nK:G\nBBcd|dcBA|GGAB|B>AA2|BBcd|dcBA|GGAB|A>GG2|AABG|AB/c/BG|AB/c/BA|GAD2|BBcd|dcBA|"
    "GGAB|A>GG2|]",
    "Tempus adest floridum": "M:4/4\nL:1/4\nK:G\nGGGA|GGD2|EDEF|G2G2|GGGA|GGD2|EDEF|G2G2|dcBA|BAG2|EDEF|G2G2|DDEF|GGA2|"
    "dcBA|G2c2|G4|]",
    "New Britain": "M:3/4\nL:1/4\nK:G\nD|G2B/G/|B2A|G2E|D2D|G2B/G/|B2A|d3-|d2B|d2B/G/|B2A|G2E|D2D|G2B/G/|B2A|G3-|G2|]",
    "America": "M:3/4\nL:1/4\nK:F\nFFG|E>FG|AAB|A>GF|GFE|F3|ccc|c>BA|BBB|B>AG|AB/A/G/F/|A>Bc|d/B/AG|F3|]",
    "God rest you merry": "M:4/4\nL:1/4\nK:Em\nE|EBBA|GFED|EFGA|B3E|EBBA|GFED|EFGA|B3B|cABc|deBA|GEFG|A2GA|B2cB|BAGF|"
    "E2G/F/E|A2GA|Bcde|BAGF|E3|]",
    "Greensleeves": "M:6/8\nL:1/8\nK:Am\nA|c2de>fe|d2BG>AB|c2AA>^GA|B2^GE2A|c2de>fe|d2BG>AB|c>BA^G>^F^G|A3A3|"
    "g3g>fe|d2BG>AB|c2AA>^GA|B2^GE3|g3g>fe|d2BG>AB|c>BA^G>^F^G|A3A2|]",
    "Stille Nacht": "M:6/8\nL:1/8\nK:C\nG>AGE3|G>AGE3|d2dB3|c2cG3|A2Ac>BA|G>AGE3|A2Ac>BA|G>AGE3|d2df>dB|c3e3|c>GEG>FD|"
    "C6|]",
}
"""Melodies of hymns and carols that a book begins with, all traditional or older than a century."""

HEADINGS = (
    "",
    "pieces",
    "tonic triad, root position",
    "bass 5-1 or 4-1",
    "phrases that cadence",
    "parallels per 100 chord changes",
    "refused",
    "seconds a piece",
)


def find_bass_interval(view: ScoreView) -> int:
    """Find the semitones from the last other bass note down to the last one, within an octave; -1 without one."""
    if not view.lines:
        return -1
    pitch = view.lines[-1]["pitch"]
    others = np.flatnonzero(pitch != pitch[-1])
    return int(pitch[others[-1]] - pitch[-1]) % 12 if len(others) else -1


def count_parallels(view: ScoreView) -> tuple[int, int]:
    """Count parallel fifths and octaves, and the changes of chord."""
    texture = view.texture
    chords = texture.pitches[:, texture.is_onset]
    changes = int((np.diff(chords) != 0).any(axis=0).sum()) if chords.size else 0
    return sum(len(find_parallels(texture, interval)) for interval in (FIFTH, UNISON)), changes


def make_row(title: str, scores: Sequence[Score], refused: int | None, seconds: float | None) -> list[str]:
    """Make a row of the table."""
    views = [view_score(score) for score in scores]
    voiced = [view for view in views if len(view.lines) > 1]
    ended = sum(not describe_end(view.score, view.key, 3) for view in views)
    led = sum(find_bass_interval(view) in (5, 7) for view in voiced)
    counts = [count_parallels(view) for view in voiced]
    parallels, changes = (sum(one[n] for one in counts) for n in (0, 1))
    name = "cadences" if voiced else "cadences-at-bar-8"
    (cadences,) = metrics.measure(scores, [name]).compute_figures().values()
    return [
        title,
        str(len(scores)),
        show_share(ended, len(views)),
        show_share(led, len(voiced)),
        f"{cadences:.0f} %",
        f"{100 * parallels / changes:.1f}" if changes else "",
        "" if refused is None else f"{refused}",
        "" if seconds is None else f"{seconds:.1f}",
    ]


def show_share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""


def write(tasks: Sequence[Callable[[], list[Score]]]) -> tuple[list[Score], int, float]:
    """Do tasks, and return the scores, how many tasks ended in an error, and the seconds."""
    scores: list[Score] = []
    refused, begin = 0, perf_counter()
    for task in tasks:
        try:
            scores += task()
        except ComposerError as error:
            refused += 1
            print(error, file=sys.stderr)
    return scores, refused, perf_counter() - begin


def write_pieces(model: Composer, count: int, each: int, ending: bool | None) -> tuple[list[Score], int, float]:
    """Write pieces of one seed, some side by side."""
    options = {} if ending is None else {"ending": ending}

    def make(first: int) -> Callable[[], list[Score]]:
        size = min(each, count - first)
        return lambda: [one.score for one in model.generate(count=size, index=first, seed=SEED, **options)]

    return write([make(first) for first in range(0, count, each)])


def harmonize_tunes(model: Composer, ending: bool | None) -> tuple[list[Score], int, float]:
    """Harmonise the melodies."""
    options = {} if ending is None else {"ending": ending}

    def make(path: Path) -> Callable[[], list[Score]]:
        return lambda: [model.harmonize(str(path), seed=SEED, **options).score]

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.abc" for number in range(len(TUNES))]
        for path, (title, abc) in zip(paths, TUNES.items(), strict=True):
            path.write_text(f"X:1\nT:{title}\n{abc}\n", encoding="utf-8")
        return write([make(path) for path in paths])


def list_bach(model: Composer) -> list[Score]:
    """List Bach's chorales, as the model reads them."""
    corpus = build_training_corpus(model)
    numbers = [number for split in ("train", "valid", "test") for number in corpus.split(split)]
    return [model.tokenizer.decode(corpus.read_piece(number)) for number in numbers]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", action="store_true", help="without an ending alone")
    parser.add_argument("--both", action="store_true", help="without an ending, with one, and Bach's own")
    parser.add_argument("--count", type=int, default=200, help="pieces of each kind")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    chorales, tunes = open_model("chorales"), open_model("tunes")
    print_row(HEADINGS)
    print_row(["---"] * len(HEADINGS))
    cases = {", no ending": False, "": None} if asked.both else {", no ending": False} if asked.before else {"": None}
    for title, ending in cases.items():
        for kind, model in (("chorales", chorales), ("tunes", tunes)):
            scores, refused, seconds = write_pieces(model, asked.count, 50, ending)
            print_row(make_row(f"{kind}{title}", scores, refused, seconds / asked.count))
        scores, refused, seconds = harmonize_tunes(chorales, ending)
        print_row(make_row(f"twelve melodies{title}", scores, refused, seconds / len(TUNES)))
    if asked.both:
        print_row(make_row("Bach's chorales", list_bach(chorales), None, None))


def print_row(row: Sequence[str]) -> None:
    """Print a row of the table."""
    print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
