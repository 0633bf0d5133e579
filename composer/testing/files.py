"""The contracts of file formats and datasets.

Written music is read back, and files are whole or absent. A dataset is checked on its first sources alone.
"""

from __future__ import annotations

import copy
import pickle
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from time import thread_time

import numpy as np

from composer.data.splits import SPLITS
from composer.errors import CannotWrite, UnreadableFile
from composer.io.bounds import SECONDS
from composer.io.formats import call_reader
from composer.music.score import NOTE, Score
from composer.testing.conditions import check_labels
from composer.testing.rules import rebuild, require
from composer.training.suggestions import find_unknown_suggestions
from composer.types import Dataset, Exporter, HasUnits, Piece, PredefinedSplit, Reader, SupportsLint

# --- file formats -----------------------------------------------------------------------------------------------------


HOLDS = ("start", "duration", "pitch", "metre", "upbeat", "tempo", "drums")
"""The parts of a score that a file keeps, unless its exporter lists others in `holds`."""

_REFUSED = object()


def check_exporter(exporter: Exporter, score: Score, folder: Path, *, suffix: str) -> None:
    """Check that a file is written, whole and the same for the same piece; or refused with CannotWrite."""
    before = copy.deepcopy(score)
    first, second = (_write(exporter, score, folder / f"{name}{suffix}") for name in ("one", "two"))
    require(score == before, "the argument of an exporter is unchanged")
    require(first, "a file that is written is not empty")
    require(first == second, "the same piece makes the same file, byte for byte")
    _check_refusal(exporter, score, folder / "no such folder" / f"three{suffix}")


def check_reader(
    reader: Reader, folder: Path, *, suffix: str, examples: Sequence[bytes] = (), seconds: float = SECONDS / 2
) -> None:
    """Check that any file is read, or refused with UnreadableFile, and stays as it is.

    `examples` are also read with their suffix in capitals. A reader with `is_bounded` is given damaged examples, and
    must finish each within `seconds` of processor time.
    """
    noise = np.random.default_rng(0).bytes(512)
    for number, content in enumerate((b"", b"\0", noise, noise.hex().encode(), b"[" * 5000)):
        path = folder / f"{number}{suffix}"
        path.write_bytes(content)
        found, _ = _read(reader, path)
        require(
            found is _REFUSED or isinstance(found, Score), f"a reader gives a Score; it gives {type(found).__name__}"
        )
        require(path.read_bytes() == content, "a file that is read stays as it is")
    for content in examples[:1]:
        one, other = folder / f"one{suffix}", folder / f"one{suffix.upper()}"
        one.write_bytes(content)
        first = _read(reader, one)[0]
        one.rename(other)
        require(first == _read(reader, other)[0], "a suffix in capitals is read as one in small letters")
    if getattr(reader, "is_bounded", False):
        for content in make_damaged([noise.hex().encode(), *examples]):
            path = folder / f"damaged{suffix}"
            path.write_bytes(content)
            _, taken = _read(reader, path)
            require(
                taken < seconds, f"a reader that is bounded is done with a small file soon; {path} took {taken:.1f} s"
            )


def _read(reader: Reader, path: Path) -> tuple[object, float]:
    """Read a file (`_REFUSED` if it is refused), and measure the processor time."""
    found, began = _REFUSED, thread_time()
    with suppress(UnreadableFile), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = call_reader(reader, path)
    return found, thread_time() - began


def make_damaged(examples: Sequence[bytes], count: int = 40, most: int = 2**14) -> Iterator[bytes]:
    """Yield `count` files of at most `most` bytes: examples with parts repeated, moved or replaced."""
    draw = random.Random(0)  # noqa: S311  (the same files each time)
    for number in range(count):
        content = examples[number % len(examples)]
        for _ in range(draw.randint(1, 4)):
            start, end = sorted(draw.randrange(len(content) + 1) for _ in range(2))
            part = content[start:end]
            times = min(draw.choice([2, 50, most]), most // max(len(part), 1) + 1)
            other = draw.choice([part * times, part[::-1], b"", b"9" * 9, draw.randbytes(4)])
            content = (content[:start] + other + content[end:])[:most] or examples[0]
        yield content


def check_round_trip(
    exporter: Exporter, reader: Reader, score: Score, folder: Path, *, suffix: str, holds: Sequence[str] = HOLDS
) -> Score:
    """Write `score` into `folder` and read it back: equal in what the format `holds`, and then in all.

    A format may hold fields of notes, `metre`, `upbeat`, `tempo` and `drums`. Returns the score that was read.
    """
    first = _write_and_read(exporter, reader, score, folder / f"first{suffix}")
    count = len(first.tracks)
    require(count == len(score.tracks), f"each track is read back; {len(score.tracks)} are written, {count} are read")
    for number, (written, read) in enumerate(zip(score.tracks, first.tracks, strict=True)):
        for name in [field for field in NOTE.names or () if field in holds]:
            same = np.array_equal(written.notes[name], read.notes[name])
            require(same, f"the {name} of each note is read back; not so in track {number}")
    kinds = [track.is_drum for track in score.tracks], [track.is_drum for track in first.tracks]
    require("drums" not in holds or kinds[0] == kinds[1], "tracks of drums are read back as drums, and others are not")
    for name, told in (("metre", _list_time_signatures), ("upbeat", lambda one: one.upbeat), ("tempo", _list_tempos)):
        wanted, found = told(score), told(first)
        require(name not in holds or wanted == found, f"the {name} is read back; {wanted} is written, {found} is read")
    second = _write_and_read(exporter, reader, first, folder / f"second{suffix}")
    require(second == first, "music read back is written and read the same")
    _check_refusal(exporter, score, folder / "no such folder" / f"third{suffix}")
    return first


def _write(exporter: Exporter, score: Score, path: Path) -> bytes:
    exporter([Piece(score)], path)
    require(path.is_file(), "an exporter writes the file it was asked for")
    leftover = [other.name for other in path.parent.iterdir() if other.name.startswith(".composer-")]
    require(not leftover, f"no scratch file is left beside the file; there is {leftover}")
    return path.read_bytes()


def _write_and_read(exporter: Exporter, reader: Reader, score: Score, path: Path) -> Score:
    _write(exporter, score, path)
    if isinstance(reader, SupportsLint):
        errors = [finding.text for finding in reader.lint(path) if finding.severity == "error"]
        require(not errors, f"a linting reader finds no errors in written files; it finds {errors}")
    return reader(path)


def _list_time_signatures(score: Score) -> list[tuple[int, str]]:
    return [(signature.tick, str(signature)) for signature in score.time_signatures] or [(0, "4/4")]


def _list_tempos(score: Score) -> list[tuple[int, float]]:
    """Round to a hundredth: formats count microseconds, or whole numbers. The default is 120."""
    return [(tempo.tick, round(tempo.bpm, 2)) for tempo in score.tempos] or [(0, 120.0)]


def _check_refusal(exporter: Exporter, score: Score, path: Path) -> None:
    try:
        exporter([Piece(score)], path)
    except CannotWrite:
        return
    require(False, "a file that cannot be written raises CannotWrite")


# --- datasets ---------------------------------------------------------------------------------------------------------


def check_dataset(dataset: Dataset, sources: int = 2, pieces: int = 5) -> None:
    """Check that a dataset states its origin, and that the first pieces of the first sources are stable."""
    for name in ("title", "licence", "source", "citation"):
        text = getattr(dataset, name)
        require(isinstance(text, str) and text.strip(), f"a dataset states its {name}")
    require(rebuild(dataset) == dataset, "a dataset rebuilt from its fields is equal")
    for name in ("tokenizer_options", "training_options", "suggested"):
        require(isinstance(getattr(dataset, name, None), Mapping), f"a dataset's {name} are a mapping, empty for none")
    unknown = list(find_unknown_suggestions(dataset))
    require(not unknown, f"a dataset suggests options that something has; {' '.join(unknown)}")
    names = list(dataset.list_sources())
    require(names, "a dataset has sources")
    require(len(set(names)) == len(names), "no two sources have the same name")
    require(names == list(dataset.list_sources()), "sources come in the same order every time")
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301  (made a line before)
    require(list(copy.list_sources()) == names, "a dataset can be pickled, and keeps its sources")
    if isinstance(dataset, PredefinedSplit):
        sides = [dataset.split(name) for name in names]
        require(set(sides) <= {*SPLITS, ""}, f"a split is one of {', '.join(SPLITS)}, or empty for one by content")
        require("" in sides or set(sides) == set(SPLITS), "a predefined split leaves none of the three empty")
        require(
            isinstance(copy, PredefinedSplit) and sides == [copy.split(name) for name in names],
            "a source stays in its split",
        )
    read = [_check_source(dataset, copy, name, pieces) for name in names[:sources]]
    everywhere = [name for found in read for name in found]
    require(len(set(everywhere)) == len(everywhere), "no two pieces have the same name")


def _check_units(dataset: HasUnits, name: str, score: Score) -> None:
    require(isinstance(dataset.unit, str) and dataset.unit.strip(), "a dataset with units names them")
    units = dataset.count_units(score)
    require(isinstance(units, int) and units > 0, f"a piece has one unit or more; not so {name}")


def _check_source(dataset: Dataset, copy: Dataset, source: str, pieces: int) -> list[str]:
    mark = dataset.fingerprint(source)
    require(
        isinstance(mark, str) and mark == copy.fingerprint(source), "the fingerprint of a source is a text that stays"
    )
    first, second = (list(islice(one.read(source), pieces)) for one in (dataset, copy))
    require(
        [name for name, _ in first] == [name for name, _ in second], f"the names of pieces stay; not so in {source}"
    )
    for (name, one), (_, other) in zip(first, second, strict=True):
        require(isinstance(one, Score | Exception), f"a piece is a Score or an error; not so {name}")
        require(not isinstance(one, Score) or one == other, f"a piece is the same every time; not so {name}")
        if isinstance(one, Score):
            check_labels(one)
            if isinstance(dataset, HasUnits):
                _check_units(dataset, name, one)
    return [name for name, _ in first]
