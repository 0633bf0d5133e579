"""Wishes that contradict each other or cannot be met: refused in a sentence before sampling, or met with a warning."""

import json
import os
import warnings

import pytest
from music import drums, line, score

from composer.errors import RequestWarning
from composer.io.formats import write
from composer.music.score import Tempo
from composer.types import Piece

FEW = ["--particles", "2", "--seed", "1"]
TWO = ["--bars", "2", "--seed", "1"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with music in it, some of which is none."""
    monkeypatch.chdir(tmp_path)
    lines = [line(*[(pitch + i % 3, 1) for i in range(16)]) for pitch in (72, 67, 60, 48)]
    music = {
        "piece": score(*lines, tempos=(Tempo(0, 100.0),)),
        "melody": score(lines[0]),
        "seven": score(*[line(*[(p, 0.5)] * 14) for p in (72, 67, 60, 48)], metres=((0, 7, 8),)),
        "empty": score(),
        "drums": score(drums((0, 38), (1, 38))),
    }
    for name, notes in music.items():
        write([Piece(notes)], tmp_path / f"{name}.mid")
    (tmp_path / "zero.mid").write_bytes(b"")
    (tmp_path / "folder.mid").mkdir()
    for name in ("pipe.mid", "pipe.safetensors"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "device.mid").symlink_to("/dev/zero")
    (tmp_path / "damaged.mid").write_bytes((tmp_path / "piece.mid").read_bytes())
    (tmp_path / "damaged.mid.json").write_text('{"request": ')
    (tmp_path / "strange.mid").write_bytes((tmp_path / "piece.mid").read_bytes())
    (tmp_path / "strange.mid.json").write_text(json.dumps({"request": 3, "model": ["\x1b"], "model_hash": 0}))
    return tmp_path


def there(folder):
    return sorted(path.name for path in folder.rglob("*"))


def told(run, arguments):
    """What came of a command line, and the sentences of its warnings, each a line of its own."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ran = run(*arguments)
    said = [str(warning.message) for warning in caught if issubclass(warning.category, RequestWarning)]
    assert not any("\n" in sentence or not sentence.endswith(".") for sentence in said)
    return ran, list(dict.fromkeys(said))


# --- refused before sampling ------------------------------------------------------------------------------------------

REFUSED = {
    # constraints against each other, in new music…
    "generate o.mid --scale 'C' --chords F#": ["chords 'F#'", "scale 'C'", "no note for Soprano on beat 1 of bar 1."],
    "generate o.mid --bars 40 --scale C --chords C|C|C|C|C|C|C|C|C|C|C|C|C|C|C|C|C|C|F#": ["chords", "bar 19."],
    "generate o.mid --chords C --range soprano=F3:F3": ["chords 'C'", "range 'soprano=F3:F3'", "for Soprano"],
    "generate o.mid --range C3:C3 --pitch-range C5:C6": ["range 'C3:C3'", "pitch-range 'C5:C6'"],
    "generate o.mid --key C --range alto=C1:D1": ["range 'alto=C1:D1' leaves not a note for Alto anywhere"],
    "generate o.mid --time-signature 4/4 --rhythm .....x.": ["rhythm '.....x.' leaves not a note", "a bar of 4/4."],
    "generate o.mid --rhythm 1/5": ["rhythm '1/5' does not fit this model", "grid of 60 ticks"],
    "generate o.mid --model tunes --no-repeat 1": ["no-repeat '1'", "choose a smaller --no-repeat-window"],
    # …and around what is given
    "harmonize melody.mid o.mid --scale C --chords F#": ["scale 'C' and chords 'F#'", "for Alto on beat 1 of bar 1."],
    "harmonize melody.mid o.mid --range alto=C1:D1": ["range 'alto=C1:D1'", "for Alto"],
    "fill piece.mid o.mid --bars 3 --scale C --chords C|C|F#": ["for Soprano on beat 1 of bar 3."],
    "generate o.mid --form ABA --bars 2 --scale C --chords C|C|C|F#": ["for Soprano on beat 1 of bar 4."],
    "vary piece.mid o/ --keep 0 --scale C --chords F#": ["scale 'C' and chords 'F#'"],
    # options
    "generate o.mid --temperature 1 --temperature 2": ["--temperature is given 2 times; give it once."],
    "fill piece.mid o.mid --bars 2 --scale C --scale D": ["--scale is given 2 times"],
    "generate o.mid --tempo inf": ["'tempo' is inf, and must be from 5 to 1000"],
    "generate o.mid --top-p 0": ["p must be above 0 and at most 1."],
    "generate o.mid --no-repeat 4 --no-repeat-window 2": ["window must be from n to 1024."],
    "generate o.mid --bars 1000001": ["'bars' is 1000001", "1 to 1,000,000."],
    "generate o.mid --time-signature 5/16": ["no bars of 5/16; it has", "7/8"],
    "generate o.mid --best 1": ["--best chooses among the pieces of a folder; give --count"],
    "generate o/ --count 2 --best 3": ["--best 3 cannot be chosen from --count 2"],
    "generate o.mid --backend abacus": ["no plugin offers the backend 'abacus'"],
    "harmonize melody.mid o.mid --seed -1": ["'seed' is -1"],
    "harmonize melody.mid o.mid --look-ahead 99999999": ["'look_ahead' is 99999999", "from 0 to 1,000,000 bars."],
    "harmonize melody.mid o.mid --range oboe=C4:C5": ["no voice 'oboe' for a range"],
    "fill piece.mid o.mid --voice ,": ["',' names no voice; give names or numbers"],
    "fill piece.mid o.mid": ["choose with --bars or --voice which notes to rewrite."],
    "harmonize melody.mid o.mid --key Dm": ["the melody is in C, and Dm was asked for; leave one of them out."],
    "harmonize melody.mid o.mid --time-signature 3/4": ["the melody is in 4/4, and 3/4 was asked for"],
    "harmonize drums.mid o.mid": ["a melody is one part with pitches, and there is none."],
    "generate o.mid --primer drums.mid": ["the model cannot go on from this primer: contains drums alone."],
    "harmonize none.mid o.mid": ["none.mid: no such file."],
    "harmonize C5H o.mid": ["'C5H' in the melody is no note such as D4"],
    "fill piece.mid o.mid --bars 99999999999999999999": ["the piece has bars 1 to 4."],
    "vary piece.mid o/ --keep nan": ["'keep' is nan"],
    # files
    "generate o.mid --primer empty.mid": ["empty.mid: contains no notes."],
    "generate o.mid --primer folder.mid": ["folder.mid: is a folder."],
    "harmonize empty.mid o.mid": ["empty.mid: contains no notes."],
    "fill zero.mid o.mid --bars 1": ["zero.mid: is empty."],
    "fill folder.mid o.mid --bars 1": ["folder.mid: is a folder."],
    "fill piece.mid o.mid --bars 1 --model tunes": ["the model has no tokens for this piece: there are 4 parts"],
    "vary piece.mid melody.mid": ["melody.mid: is a file; several pieces need a folder."],
    "vary empty.mid o/": ["empty.mid: contains no notes."],
    "harmonize melody.mid nowhere/o.mid": ["there is no folder nowhere."],
    "regenerate folder.mid o.mid": ["folder.mid: is a folder."],
    "regenerate pipe.mid o.mid": ["pipe.mid: is a named pipe, not a file."],
    "generate o.mid --primer pipe.mid": ["pipe.mid: is a named pipe, not a file."],
    "generate o.mid --model pipe.safetensors": ["pipe.safetensors: is a named pipe, not a file."],
    "harmonize device.mid o.mid": ["device.mid: is a device, not a file."],
    "fill pipe.mid o.mid --bars 1": ["pipe.mid: is a named pipe, not a file."],
    "regenerate damaged.mid o.mid": ["damaged.mid.json: invalid JSON"],
    "regenerate strange.mid o.mid": ["strange.mid: was made with the model", "is not here; name it with --model"],
}


@pytest.mark.parametrize("command", REFUSED)
def test_what_cannot_be_met_is_one_sentence_before_sampling(run, folder, command, monkeypatch):
    monkeypatch.setattr("composer.generation.infilling.sample_conditioned", lambda *_: pytest.fail("sampling began"))
    monkeypatch.setattr("composer.sampling.distribution.Distribution", lambda *_: pytest.fail("sampling began"))
    before = there(folder)
    ran, said = told(run, [part.strip("'") for part in command.split()])
    assert (ran.status, ran.out, said) == (2, "", [])
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("composer: ")
    assert "unexpected" not in ran.err
    assert [words for words in REFUSED[command] if words not in ran.err] == []
    assert there(folder) == before


# --- refused where only sampling can tell -----------------------------------------------------------------------------

IN_THE_MIDDLE = {
    "fill piece.mid o.mid --voice soprano --polyphony 3": ["polyphony '3' leaves nothing", "; loosen it"],
}


@pytest.mark.parametrize("command", IN_THE_MIDDLE)
def test_what_leaves_nothing_is_named_as_it_was_typed_with_its_bar(run, folder, command):
    before = there(folder)
    ran, _ = told(run, [*command.split(), *FEW])
    assert (ran.status, ran.err.count("\n"), there(folder)) == (2, 1, before)
    assert [words for words in IN_THE_MIDDLE[command] if words not in ran.err] == []


# --- met, with a warning ----------------------------------------------------------------------------------------------

WARNED = {
    "generate o.mid --chords F# --key C": ["chords 'F#' leaves no note of the key C on beat 1 of bar 1: what is"],
    "generate o.mid --time-signature 7/8": ["trained on no music in 7/8", "it knows 4/4, 3/4"],
    "generate o.mid --polyphony 1": ["polyphony '1' is less than the 4 voices of this model"],
    "generate o.mid --density 2": ["density '2' is less than the 4 voices of this model"],
    "generate o.mid --primer C5 --range soprano=C3:G3": [
        "range 'soprano=C3:G3'",
        "the primer",
        "C5 of Soprano on beat 1",
    ],
    "generate o.mid --primer C5 --scale F#": ["scale 'F#' holds for new notes alone; the primer breaks it and stays"],
    "harmonize melody.mid o.mid --range soprano=C3:G3": ["range 'soprano=C3:G3'", "first C5 of Soprano", "of bar 1."],
    "harmonize melody.mid o.mid --chords F#": ["chords 'F#' holds for new notes alone", "of bar 1."],
    "fill piece.mid o.mid --bars 1-2 --scale F#": ["scale 'F#'", "first D5 of Soprano on beat 1 of bar 3."],
    "fill piece.mid o.mid --bars 2 --range C4:C6": ["range 'C4:C6'", "first C3 of Bass on beat 1 of bar 1."],
    "fill seven.mid o.mid --bars 2": ["trained on no music in 7/8"],
}


@pytest.mark.parametrize("command", WARNED)
def test_what_can_be_met_in_part_is_met_and_said_in_a_line(run, folder, command):
    first, *_ = words = command.split()
    ran, said = told(run, [*words, *(TWO if first == "generate" else FEW), "--quiet"])
    assert (ran.status, ran.err) == (0, "")
    assert len(said) == 1
    assert [words for words in WARNED[command] if words not in said[0]] == []
    assert (folder / "o.mid").is_file()


@pytest.mark.parametrize(
    "command",
    [
        "generate o.mid --time-signature 3/4 --key Dm --scale D_minor",
        "fill piece.mid o.mid --bars 2 --range C3:C6",
        "fill piece.mid o.mid --bars 2 --scale C --chords C|C|F#",  # the chord that is against the scale is in bar 3
    ],
)
def test_what_can_be_met_is_met_in_silence(run, folder, command):
    first, *_ = words = command.replace("_", " ").split()
    words = [*words[:-2], " ".join(words[-2:])] if "D_minor" in command else words
    ran, said = told(run, [*words, *(TWO if first == "generate" else FEW), "--quiet"])
    assert (ran.status, ran.err) == (0, "")
    assert not [sentence for sentence in said if "new notes alone" not in sentence]


def test_a_warning_is_a_line_on_stderr(capsys):
    from composer.cli import _show_warning

    _show_warning(RequestWarning("so it is."), RequestWarning)
    assert capsys.readouterr().err == "composer: so it is.\n"


def test_metres_in_which_a_pattern_has_no_note_are_not_chosen(run, folder):
    """A pattern of seven has places on the grid in 7/8 and 7/4 alone."""
    ran, _ = told(run, ["generate", "o.mid", "--rhythm", ".....x.", *TWO])
    assert ran.status == 0
    from composer.io.formats import read

    assert {str(metre) for metre in read(folder / "o.mid").time_signatures} <= {"7/8", "7/4"}
