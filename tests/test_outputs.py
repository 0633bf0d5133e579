"""One piece in several forms, from any command: what is asked is checked before the work, and each form is whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import music21
import pypdfium2
import pytest
import soundfile
from music import drums, line, score
from PIL import Image

from composer.errors import BadOption, CannotWrite, RequestWarning
from composer.io import formats
from composer.io.outputs import Outputs, parse_options
from composer.music.general_midi import describe_out_of_range
from composer.plugins.discovery import Plugin
from composer.plugins.offers import Offer, Registry
from composer.plugins.registry import registry
from composer.types import Piece


@dataclass(frozen=True)
class Text:
    """Writes the number of notes, and the title."""

    words: Annotated[str, "what stands before"] = "notes"

    def __call__(self, pieces, path):
        title = pieces[0].provenance.get("title", "")
        path.write_text(f"{self.words}: {pieces[0].score.note_count} {title}")


@pytest.fixture(autouse=True)
def forms(monkeypatch):
    """Two more forms, one of which has a suffix in two parts."""
    found = registry()
    plugin = Plugin("texts", "texts", "1")
    more = {suffix: Offer("exporters", suffix, Text, plugin) for suffix in (".txt", ".short.txt")}
    offers = {**found.offers, "exporters": {**found.offers["exporters"], **more}}
    monkeypatch.setattr("composer.io.formats.registry", lambda: Registry(offers, found.plugins))


def test_one_command_writes_a_piece_in_every_form(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--model", "tunes", "--bars", "2", "--seed", "1", "--title", "Two bars"]
    ran = run("generate", "a.mid", "b.txt", "c.short.txt", *options, "--export-option", "txt.words=in all")
    assert ran.status == 0
    assert ran.out.startswith("a.mid, b.txt, c.short.txt: ")
    count = formats.read(Path("a.mid")).note_count
    assert Path("b.txt").read_text() == f"in all: {count} Two bars"
    assert Path("c.short.txt").read_text() == f"notes: {count} Two bars"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mid", "a.mid.json", "b.txt", "c.short.txt"]
    assert run("regenerate", "a.mid", "again.mid").status == 0
    assert Path("again.mid").read_bytes() == Path("a.mid").read_bytes()


def test_export_writes_what_can_be_read_in_other_forms_and_keeps_what_made_it(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("generate", "a.mid", "--model", "tunes", "--bars", "2", "--seed", "1").status == 0
    assert run("export", "a.mid", "b.txt", "c.midi", "--title", "Again").status == 0
    assert Path("b.txt").read_text().endswith(" Again")
    assert formats.read(Path("c.midi")) == formats.read(Path("a.mid"))
    assert formats.read_provenance(Path("c.midi"))["request"] == formats.read_provenance(Path("a.mid"))["request"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["b.txt", "c.xyz"], "c.xyz: no plugin writes '.xyz' files"),
        (["b.txt", "no/c.mid"], "no/c.mid: there is no folder no."),
        (["b.txt", "folder/"], "OUT is one folder, or any number of files for one piece."),
        (["b.txt", "--export-option", "mid.words=x"], "no '.mid' file is to be written"),
        (["b.txt", "--export-option", "txt.wrods=x"], "exporter '.txt' has no option 'wrods': did you mean 'words'?"),
        (["b.txt", "--export-option", "words=x"], "invalid option 'words=x': expected SUFFIX.NAME=VALUE"),
    ],
)
def test_a_mistake_in_one_form_is_one_sentence_and_writes_none(run, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    ran = run("generate", *arguments, "--model", "tunes", "--bars", "1")
    assert ran.status == 2
    assert said in ran.err
    assert list(tmp_path.iterdir()) == []


def test_the_longest_suffix_that_somebody_writes_is_taken(tmp_path):
    assert formats.find_suffix(Path("a.b.short.txt")) == ".short.txt"
    assert formats.find_suffix(Path("a.long.TXT")) == ".txt"
    with pytest.raises(CannotWrite, match=r"no plugin writes '\.short' files"):
        formats.find_suffix(Path("a.txt.short"))


def test_outputs_beside_a_stem_keep_their_forms(tmp_path, small_score):
    outputs = Outputs.of([tmp_path / "x.mid", tmp_path / "x.short.txt"], parse_options([".short.txt.words=few"]))
    outputs.rename(tmp_path / "piece.1").write(Piece(small_score("C5 D5")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["piece.1.mid", "piece.1.short.txt"]
    assert (tmp_path / "piece.1.short.txt").read_text() == "few: 2 "
    with pytest.raises(BadOption, match=r"no '\.mid' file is to be written"):
        Outputs.of([tmp_path / "x.txt"], {"mid": {}})


def test_the_title_that_is_asked_for_stands_in_every_form(run, tmp_path, monkeypatch):
    """A file that was read has a name already, and what is asked for goes before it."""
    monkeypatch.chdir(tmp_path)
    formats.write([Piece(score(line((60, 4), (64, 4)), title="old name"))], Path("old.mid"))
    names = [
        "a.mid",
        "a.musicxml",
        "a.abc",
        "a.svg",
        "a.pdf",
        "a.png",
        "a.roll.svg",
        "a.html",
        "a.flac",
        "a.ogg",
        "a.mp3",
        "a.wav",
    ]
    assert run("export", "old.mid", *names, "--title", "New <name>").status == 0
    assert formats.read(Path("a.mid")).title == "New <name>"
    assert music21.converter.parse("a.musicxml").metadata.title == "New <name>"
    assert "T:New <name>" in Path("a.abc").read_text().splitlines()
    assert "New &lt;name&gt;" in Path("a.svg").read_text()
    pdf = pypdfium2.PdfDocument("a.pdf")
    assert "New <name>" in pdf[0].get_textpage().get_text_bounded()
    assert pdf.get_metadata_value("Title") == "New <name>"
    assert Image.open("a.png").info["Title"] == "New <name>"
    assert ">New &lt;name&gt;</text>" in Path("a.roll.svg").read_text()
    assert "<title>New &lt;name&gt;</title>" in Path("a.html").read_text()
    for suffix in ("flac", "ogg", "mp3", "wav"):
        with soundfile.SoundFile(f"a.{suffix}") as sound:
            assert sound.title == "New <name>", suffix


def test_notes_outside_an_instrument_are_written_and_said_once(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracks = line((50, 1), (55, 1), (109, 1), program=40), line((20, 1), (60, 1), (109, 1)), drums((0, 5), (1, 120))
    formats.write([Piece(score(*tracks))], Path("odd.mid"))
    with pytest.warns(RequestWarning) as said:
        assert run("export", "odd.mid", "a.wav", "a.musicxml", "a.svg", "a.html", "--quiet").status == 0
    assert "".join(str(warning.message) for warning in said) == (
        "a.wav: notes that no player reaches: 2 (D3 to C#8) in track 1 (Violin, G3 to A7), "
        "2 (G#0 to C#8) in track 2 (Piano, A0 to C8)."
    )
    assert formats.read(Path("a.musicxml")).tracks[:2] == formats.read(Path("odd.mid")).tracks[:2]
    assert soundfile.info("a.wav").duration > 1.5


def test_what_is_said_of_instruments_is_short():
    assert "and other tracks." in describe_out_of_range(score(*[line((20, 1))] * 20_000))
    assert (
        describe_out_of_range(score(line((21, 1), (108, 1)), line((0, 1), (127, 1), program=88), drums((0, 0)))) == ""
    )
