"""ABC read by two programs: our reader, and abc2midi (which symusic brings), hear the same notes in the tune books.

Their notes are compared without ornaments, which abc2midi plays, and without chord symbols, which it accompanies.
"""

import re
from collections import Counter
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import pytest

from composer_notation.abc.score import make_score
from composer_notation.abc.tunebook import read_text, split_tunes

symusic = pytest.importorskip("symusic")

CORPUS = Path(str(find_spec("music21").origin)).parent / "corpus"
BOOKS = ["nottingham-dataset", "miscFolk", "josquin", "airdsAirs", "ryansMammoth", "oneills1850", "essenFolksong"]
NEAR = 0.09  # quarter notes: it delays the notes of a chord one after the other, and ends each a tick early

FIELD = re.compile(r"[A-Za-z]:[^|:\]]|%")
UNHEARD = re.compile(r'(\[[A-Za-z]:[^\]\n]*\])|"[^"\n]*"|![^!\n]*!|\{[^}\n]*\}|[.~HLMPTuvk]')
ENDINGS = re.compile(r"(?<=[|:\]])[1-9](?:[,-][1-9])*|\[[1-9](?:[,-][1-9])*")


def blocks():
    """Each tune of the books by its name, as text."""
    for book in BOOKS:
        for path in sorted((CORPUS / book).glob("*.abc")):
            found = re.split(r"^(?=X:)", read_text(path), flags=re.MULTILINE)[1:]
            yield from ((f"{book}/{path.stem}#{number}", text) for number, text in enumerate(found, start=1))


def lines_of_music(text, change):
    """The tune with its lines of music changed, without what tells abc2midi how to swing."""
    in_body, kept = False, []
    for line in text.rstrip().split("\n"):
        is_music = in_body and not FIELD.match(line)
        if not line.startswith(("w:", "R:")):
            kept.append(change(line) if is_music else line)
        in_body = in_body or line.startswith("K:")
    return "\n".join(kept) + "\n"


def plain(line):
    return UNHEARD.sub(lambda found: found[1] or "", line)


def once(line):
    """A line without its repeat signs and endings."""
    line = ENDINGS.sub("|", plain(line))
    return re.sub(r"(\[[A-Za-z]:[^\]\n]*\])|:", lambda found: found[1] or "", line.replace("::", "|"))


def ours(text):
    [tune] = split_tunes(text)
    score, _ = make_score(tune)
    return [(n["start"] / 480, n["duration"] / 480, int(n["pitch"])) for t in score.tracks for n in t.notes]


def theirs(text, path):
    path.write_text(text)
    score = symusic.Score(str(path))
    unit = score.ticks_per_quarter
    return [(n.time / unit, n.duration / unit, n.pitch) for track in score.tracks for n in track.notes]


def difference(one, other):
    """What the notes of two readings differ in first; "" for nothing."""
    if len(one) != len(other):
        return "count"
    one, other = (sorted(notes, key=lambda note: (round(8 * (note[0] - 0.003)), note[2])) for notes in (one, other))
    if any(a[2] != b[2] for a, b in zip(one, other, strict=True)):
        return "pitch"
    onsets, lengths = ([abs(a[i] - b[i]) for a, b in zip(one, other, strict=True)] for i in (0, 1))
    return "onset" if max(onsets) > NEAR else "length" if max(lengths) > NEAR else ""


def compared(texts, path):
    """How many readings are equal (""), or differ in what; those that one program cannot read are left out."""
    found = Counter()
    for text in texts:
        try:
            mine = ours(text)
        except ValueError:
            continue
        if its := theirs(text, path):
            found[difference(mine, its)] += 1
    return found


def has_plain_repeats(text):
    """Whether no double bar line stands before the last repeat sign: abc2midi goes back past them, against 4.8."""
    body = text.partition("\nK:")[2]
    return ":|" in body and not re.search(r"\|\||\|\]|\[\||\]\|", body[: body.rindex(":|")]) and "P:" not in text


def readings(step, path):
    """What differs where each tune is played once, and where repeats are played, of every so many tunes."""
    texts = [text for _, text in islice(blocks(), 0, None, step)]
    played_once = (lines_of_music(text, once) for text in texts if "\nP:" not in text)
    repeated = (lines_of_music(text, plain) for text in texts if has_plain_repeats(text))
    return compared(played_once, path), compared(repeated, path)


def test_tunes_sound_as_another_program_plays_them(tmp_path):
    played_once, repeated = readings(120, tmp_path / "tune.abc")
    assert played_once[""] > 100
    assert repeated[""] > 25
    assert (played_once + repeated).total() - (played_once + repeated)[""] <= 4


@pytest.mark.soak
def test_all_tunes_sound_as_another_program_plays_them(tmp_path):
    played_once, repeated = readings(1, tmp_path / "tune.abc")
    assert played_once[""] > 0.995 * played_once.total(), played_once
    assert repeated[""] > 0.98 * repeated.total(), repeated  # it has a way of its own with signs that do not match
