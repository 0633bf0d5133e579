"""`composer check`: every file is told of, and the exit status says whether there are errors."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
from midibytes import C4, END, header, track, tune
from music import line, score

from composer.cli import check as command
from composer.errors import LeftOutWarning, ReadingWarning, UnreadableFile
from composer.io import formats, lint
from composer.music.score import Tempo
from composer.types import Finding, Piece

HANGING = header() + track(C4, "00 90 40 50", END)
TWICE = header() + track("00 90 3C 50  00 90 3C 50  10 80 3C 00  00 80 3C 00", END)
ABC = "X:1\nM:4/4\nL:1/4\nK:C\nCDEF|\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_without_faults_takes_one_line(run, here):
    formats.write([Piece(score(line((60, 4), name="tune"), tempos=(Tempo(0, 96.0),)))], here / "tune.mid")
    ran = run("check", "tune.mid")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == "1 file: none with errors, none with warnings\n"


def test_a_finding_is_told_with_its_place_and_its_rule(run, here):
    (here / "hanging.mid").write_bytes(HANGING)
    ran = run("check", "hanging.mid")
    assert ran.status == 2
    first, second, *_, last = ran.out.splitlines()
    assert first == "hanging.mid: 1 error, 4 hints"
    assert second == "  error   track 1, bar 1, tick 480: E4 is never ended. [unclosed-note]"
    assert last == "1 file: 1 with errors, none with warnings"


def test_warnings_count_with_strict(run, here):
    (here / "twice.mid").write_bytes(TWICE)
    assert run("check", "twice.mid").status == 0
    assert run("check", "twice.mid", "--strict").status == 2
    (here / "hints.mid").write_bytes(tune())
    assert run("check", "hints.mid", "--strict").status == 0


def test_folders_are_gone_through(run, here):
    for name in ("b/2.mid", "a/1.MID", "b/c/3.kar", ".hidden/4.mid", "b/.5.mid", "b/6.txt"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(TWICE)
    ran = run("check", ".", "b/2.mid", "--json")
    assert [found["file"] for found in json.loads(ran.out)] == ["a/1.MID", "b/2.mid", "b/c/3.kar"]


def test_json_holds_all_there_is_to_know(run, here):
    (here / "hanging.mid").write_bytes(HANGING)
    ran = run("check", "hanging.mid", "--json")
    assert ran.status == 2
    (found,) = json.loads(ran.out)
    assert found["findings"][0] == {
        "severity": "error", "rule": "unclosed-note", "text": "E4 is never ended.",
        "track": 1, "tick": 480, "bar": 1, "times": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no.mid"], "no.mid: no such file."),
        (["a.txt"], "a.txt: no plugin reads '.txt' files"),
        (["empty"], "empty: contains no music files; supported are .abc"),
        (["tune.mid", "no.mid"], "no.mid: no such file."),
    ],
)
def test_what_is_no_music_file_is_one_sentence(run, here, arguments, said):
    (here / "a.txt").write_text("words")
    (here / "empty").mkdir()
    (here / "tune.mid").write_bytes(tune())
    ran = run("check", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"composer: {said}")
    assert len(ran.err.splitlines()) == 1


def test_of_another_form_it_is_said_whether_it_reads_and_what_was_mended(here, monkeypatch):
    (here / "good.abc").write_text(ABC)
    assert lint.check(here / "good.abc").findings == ()
    (here / "bad.musicxml").write_text("<score-partwise>")
    (found,) = lint.check(here / "bad.musicxml").findings
    assert (found.severity, found.rule) == ("error", "unreadable")
    path = here / "good.abc"

    def pieces_by(reader, path):
        warnings.warn(ReadingWarning(f"{path}: a repeat was left out."), stacklevel=1)
        warnings.warn(LeftOutWarning(str(path), {"lyrics": 3}), stacklevel=1)
        yield "", None

    monkeypatch.setattr(formats, "read_pieces", pieces_by)
    assert lint.check(path).findings == (
        Finding("warning", "mended", "A repeat was left out."),
        Finding("hint", "left-out", "Left out: lyrics (3)."),
    )


@dataclass(frozen=True)
class Faulty:
    """A reader whose inspection fails."""

    error: Exception

    def lint(self, path):
        raise self.error


@pytest.mark.parametrize("error", [UnreadableFile("x.mid: cannot be opened (gone)."), KeyError("\x1b[2J")])
def test_a_reader_that_fails_is_an_error_of_that_file(here, monkeypatch, error):
    (here / "x.mid").write_bytes(tune())
    monkeypatch.setattr(formats, "make_reader", lambda path: Faulty(error))
    (found,) = lint.check(here / "x.mid").findings
    assert (found.severity, found.rule) == ("error", "unreadable")
    assert found.text.isprintable()


def test_names_from_outside_are_printed_safely(run, here):
    (here / "\x1b[2J.mid").write_bytes(header() + track("00 FF 03 04 1B 5B 32 4A", C4, END))
    ran = run("check", ".")
    assert "\x1b" not in ran.out
    assert r"\x1b[2J.mid: 1 warning" in ran.out


def test_a_long_line_is_cut():
    checked = lint.Checked(Path("a.mid"), (Finding("hint", "long", "x" * 5000),))
    assert all(len(command.printable(line, command.LONGEST)) <= 1000 for line in command._format_findings(checked))


def test_like_findings_of_several_files_are_grouped(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(9):
        (tmp_path / f"{number}.mid").write_bytes(b"no music")
    ran = run("check", ".")
    finding, files, summary = ran.out.splitlines()
    assert finding.startswith("error   ")
    assert files.split() == ["in", "0.mid,", "1.mid,", "2.mid", "and", "6", "more"]
    assert summary == "9 files: 9 with errors, none with warnings"
    assert len(run("check", ".", "--all").out.splitlines()) == 19
