"""Python in one line: what the same request writes on the command line is the same piece, and pieces go anywhere."""

import inspect
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import documents
import numpy as np
import pytest

import composer
from composer import ComposerError
from composer.cli.fill import vary as vary_command
from composer.cli.generate import generate as command
from composer.errors import BadOption, CannotWrite, ReadingWarning, UnreadableFile
from composer.io import formats, objects, pieces
from composer.model import load

SMALL = {"steps": 3, "evaluations": 1, "chunk": 32, "hidden_size": 16, "embedding_size": 16, "device": "cpu"}


@pytest.fixture(scope="module")
def chorales():
    return composer.open_model("chorales")


@pytest.fixture(scope="module")
def piece(chorales):
    return chorales.generate(bars=4, seed=3)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# --- as on the command line -------------------------------------------------------------------------------------------

SAME = [
    ("generate {out} --bars 4 --temperature 0.95 --seed 7", lambda m: m.generate(bars=4, temperature=0.95, seed=7)),
    (
        "generate {out} --bars 2 --top-p 0.9 --temperature 1.1 --seed 7 --index 3 --key Dm --tempo 90",
        lambda m: m.generate(bars=2, top_p=0.9, temperature=1.1, seed=7, index=3, key="Dm", tempo=90.0),
    ),
    (
        "generate {out} --bars 3 --range B2:C6 --scale 'D dorian' --ending --no-repeat 4 --no-repeat-window 9 --seed 1",
        lambda m: m.generate(
            bars=3, range="B2:C6", scale="D dorian", ending=True, no_repeat=4, no_repeat_window=9, seed=1
        ),
    ),
    (
        "generate {out} --primer 'D4 E4 F4/2' --bars 2 --seed 1",
        lambda m: m.generate(primer="D4 E4 F4/2", bars=2, seed=1),
    ),
    ("generate {out} --primer piece.mid --bars 2 --seed 1", lambda m: m.generate(primer="piece.mid", bars=2, seed=1)),
    ("generate {out} --form AABA --bars 2 --seed 1", lambda m: m.generate(form="AABA", bars=2, seed=1)),
    ("generate {out} --bars 2 --precision int8 --seed 5", lambda m: m.generate(bars=2, precision="int8", seed=5)),
    (
        "fill piece.mid {out} --bars 2-3 --voice tenor,bass --particles 4 --seed 1",
        lambda m: m.fill("piece.mid", bars=(2, 3), voice=["tenor", "bass"], particles=4, seed=1),
    ),
    (
        "fill piece.mid {out} --bars 2 --look-ahead all --particles 4 --seed 1",
        lambda m: m.fill(composer.read("piece.mid"), bars=2, look_ahead="all", particles=4, seed=1),
    ),
    (
        "harmonize 'D4 E4 F4/2 A4/2 G4*2' {out} --key Dm --particles 4 --seed 1",
        lambda m: m.harmonize("D4 E4 F4/2 A4/2 G4*2", key="Dm", particles=4, seed=1),
    ),
]


@pytest.mark.parametrize(("line", "ask"), SAME, ids=[line for line, _ in SAME])
def test_the_same_request_is_the_same_file(line, ask, chorales, piece, run):
    piece.write("piece.mid")
    assert run(*shlex.split(line.format(out="command.mid"))).status == 0
    ask(chorales).write("python.mid")
    assert Path("python.mid").read_bytes() == Path("command.mid").read_bytes()


def test_several_pieces_are_those_of_a_folder(chorales, piece, run):
    assert run("generate", "out/", "--count", "3", "--bars", "2", "--seed", "1").status == 0
    assert run("generate", "best/", "--count", "3", "--best", "1", "--bars", "2", "--seed", "1").status == 0
    pieces = chorales.generate(count=3, bars=2, seed=1)
    for number, one in enumerate(pieces):
        one.write("one.mid")
        assert Path("one.mid").read_bytes() == Path(f"out/1-00000{number}.mid").read_bytes()
    [best] = chorales.generate(count=3, best=1, bars=2, seed=1)
    best.write("best.mid")
    assert [Path("best.mid").read_bytes()] == [path.read_bytes() for path in Path("best").glob("*.mid")]
    piece.write("piece.mid")
    assert run("vary", "piece.mid", "varied/", "--count", "2", "--particles", "4", "--seed", "1").status == 0
    for number, one in enumerate(chorales.vary("piece.mid", count=2, particles=4, seed=1)):
        one.write("one.mid")
        assert Path("one.mid").read_bytes() == Path(f"varied/1-00000{number}.mid").read_bytes()


def test_the_options_are_those_of_the_command_line(chorales):
    """All but those that say where pieces go."""
    elsewhere = {
        "outs",
        "out",
        "piece",
        "melody",
        "force",
        "title",
        "export_options",
        "quiet",
        "model_name",
        "help",
        "preset",
    }
    names = {"form_text": "form"}
    methods = [(command, chorales.generate), (vary_command, chorales.vary)]
    for its, method in methods:
        asked = {names.get(parameter.name, parameter.name) for parameter in its.params} - elsewhere
        assert asked == {*inspect.signature(method).parameters} - {"samplers", "piece"}


def test_a_seed_is_drawn_unless_given(chorales, monkeypatch):
    monkeypatch.setattr("secrets.randbelow", lambda _: 4711)
    assert chorales.generate(bars=2).provenance["request"]["seed"] == 4711


def test_a_stream_is_the_piece(chorales):
    options = {"bars": 3, "temperature": 0.9, "seed": 7, "primer": "D4 E4 F4/2 A4/2"}
    heard = [event for bar in chorales.stream(**options) for event in bar.events]
    assert sum(event.velocity > 0 for event in heard) == chorales.generate(**options).score.note_count


def test_a_piece_is_made_again(chorales, piece):
    filled = chorales.fill(piece, bars="2", particles=4, seed=1)
    assert chorales.regenerate(filled) == filled
    with pytest.raises(BadOption, match=r"^there is no request in its provenance\.$"):
        chorales.regenerate(piece.score)


WRONG = [
    ({"temprature": 1}, r"generate has no option 'temprature': did you mean 'temperature'\?"),
    ({"bar": 4}, r"generate has no option 'bar': did you mean 'bars'\?"),
    ({"temperature": "hot"}, r"sampler 'temperature': 'temperature' is 'hot', which is not float\."),
    ({"top_p": 2}, r"sampler 'top-p': .*"),
    ({"no_repeat_window": 9}, r"sampler 'no-repeat' needs the option 'n'\."),
    ({"bars": 0}, r"'bars' is 0, and must be a whole number from 1 to 1,000,000\."),
    ({"seed": "x"}, r"'seed' is x, and must be a whole number from 0 to 2\^64-1\."),
    ({"key": "H"}, r"'H' is not a key such as .*"),
    ({"form": "AB?"}, r"'AB\?' is no form such as .*"),
    ({"backend": "abacus"}, r".*'abacus'.*"),
    ({"count": 0}, r"'count' is 0, and must be a whole number from 1\."),
    ({"best": 2}, r"'best' chooses among several pieces; give 'count' as well\."),
    ({"best": 4, "count": 2}, r"'best' is 4, and must be from 1 to the 2 of 'count'\."),
    ({"primer": "D4 X9"}, r"'X9' in the primer is no note such as .*"),
    ({"primer": 17}, r"an object of the type 'int' holds no music; .*"),
]


@pytest.mark.parametrize(("options", "said"), WRONG, ids=[str(options) for options, _ in WRONG])
def test_a_wrong_option_is_one_sentence(options, said, chorales):
    with pytest.raises(ComposerError) as caught:
        chorales.generate(**{"bars": 2, **options})
    assert re.fullmatch(said, str(caught.value))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, r"name the part to rewrite by 'bars' or 'voice'\."),
        ({"bars": "5-"}, r"invalid bars '5-': expected a bar or a range, such as 5 or 5-8\."),
        ({"bars": 9}, r"bar 9 asked for, and the piece has bars 1 to 4\."),
        ({"voice": "oboe"}, r"unknown voice 'oboe'; .*"),
        ({"bars": 2, "look_ahead": "far"}, r"invalid look-ahead 'far': expected a number of bars, or `all`\."),
    ],
)
def test_what_cannot_be_filled_is_one_sentence(options, said, chorales, piece):
    with pytest.raises(ComposerError) as caught:
        chorales.fill(piece, particles=2, **options)
    assert re.fullmatch(said, str(caught.value))


# --- training and evaluation ------------------------------------------------------------------------------------------


def flags(options):
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def test_a_model_is_trained_and_measured_as_by_the_command(tunes, run):
    assert run("train", "folder:tunes", "--out", "command.safetensors", "--workers", "1", *flags(SMALL)).status == 0
    told = []
    mine = composer.train("folder:tunes", out="python.safetensors", workers=1, listeners=[told.append], **SMALL)
    assert isinstance(mine, composer.Composer)
    assert mine.model.hash == load(Path("command.safetensors")).hash
    assert told
    assert mine.generate(bars=2, seed=1).score.note_count
    line = ("evaluate", "command.safetensors", "folder:tunes", "--split", "train", "--json")
    assert composer.evaluate(mine, "folder:tunes", split="train", workers=1) == json.loads(run(*line).out)
    beside = composer.evaluate(mine, "folder:tunes", split="train", metrics="all", count=2, workers=1)
    assert beside["metrics"]["pieces"] == 2


def test_a_recipe_a_run_and_a_model_to_begin_from(tunes):
    first = composer.train("folder:tunes", out="first.safetensors", run="run", workers=1, **SMALL)
    again = composer.train("run/recipe.toml", out="again.safetensors", run="other", workers=1)
    other = composer.train("folder:tunes", out="other.safetensors", workers=1, **SMALL, architecture_dropout=0.5)
    assert other.model.make_architecture().dropout == 0.5
    assert again.model.hash == first.model.hash
    assert Path("run/metrics.jsonl").read_text().count("\n") == 1
    more = composer.train(
        "folder:tunes", begin_from="first.safetensors", out="more.safetensors", steps=2, evaluations=1, workers=1
    )
    assert more.model.card["finetuned_from"]["hash"] == first.model.hash


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stepps": 3}, r"train has no option 'stepps': did you mean 'steps'\?"),
        ({"steps": "many"}, r"\[training\]: 'steps' is 'many', which is not int\."),
        ({"architecture": "lstn"}, r".*'lstn'.*did you mean 'lstm'\?"),
        ({"dataset": "chorales"}, r"two datasets are named; 'dataset' goes with a recipe\."),
        (
            {"callbacks": ["originality"]},
            r"the callback originality writes into the folder of a run; give .*",
        ),
        ({"out": "mine.pt"}, r"mine\.pt: a model file ends in \.safetensors\."),
        ({"out": "there.safetensors"}, r"there\.safetensors exists; .*"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(options, said, tunes):
    Path("there.safetensors").touch()
    with pytest.raises(ComposerError) as caught:
        composer.train("folder:tunes", **{"out": "mine.safetensors", "workers": 1, **options})
    assert re.fullmatch(said, str(caught.value))


def test_what_cannot_be_evaluated_is_one_sentence(chorales):
    with pytest.raises(BadOption, match=r"^there is no split 'tests'; did you mean 'test'\?$"):
        composer.evaluate(chorales, "chorales", split="tests")
    with pytest.raises(BadOption, match=r"^'against' needs 'metrics'; try metrics=\"all\"\.$"):
        composer.evaluate(chorales, "chorales", against="tunes")


# --- pieces -----------------------------------------------------------------------------------------------------------


def notes(score):
    return [(track.program, track.notes.tolist()) for track in score.tracks if len(track.notes)]


@pytest.mark.parametrize("library", ["pretty_midi", "music21", "symusic"])
def test_a_piece_goes_to_other_libraries_and_comes_back(library, piece):
    there = getattr(piece, f"to_{library}")()
    assert type(there).__module__.partition(".")[0] == library
    back = composer.read(there)
    assert notes(back.score) == notes(piece.score)
    assert not back.provenance
    assert composer.open_model("chorales").generate(primer=there, bars=1, seed=1).score.note_count


def test_symusic_in_seconds_is_read(piece):
    seconds = piece.to_symusic().to("second")
    assert notes(composer.read(seconds).score) == notes(piece.score)


@pytest.mark.parametrize("suffix", [".mid", ".musicxml", ".mxl", ".abc"])
def test_bytes_and_open_files_are_read_by_what_they_hold(suffix, piece):
    path = Path(f"piece{suffix}")
    piece.write(path, title="A piece")
    expected = composer.read(path)
    held = path.read_bytes()
    for source in (held, bytearray(held), io.BytesIO(held), str(path)):
        found = composer.read(source)
        assert found.score == expected.score
        assert found.title == "A piece"
        assert found.provenance == expected.provenance or not isinstance(source, str)


def test_kern_is_known_by_what_it_holds():
    kern = "!!!COM: Nobody\n**kern\n*M4/4\n=1\n4c\n4d\n4e\n4f\n==\n*-\n"
    assert composer.read(io.StringIO(kern)).score.note_count == 4
    assert composer.read(kern.encode()).title == ""


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (b"hello", r"the bytes are no MIDI, MusicXML, ABC or kern\."),
        (b"", r"the bytes are no MIDI, MusicXML, ABC or kern\."),
        (b"MThd\0\0", r"the music: .*"),
        (b"<html>", r"the music: .*"),
        (b"PK\x03\x04 no", r"the music: .*"),
        ({}, r"an object of the type 'dict' holds no music; .*"),
        ("there/is/none.mid", r"there/is/none\.mid: no such file\."),
    ],
)
def test_what_is_no_music_is_one_sentence(held, said):
    with pytest.raises(UnreadableFile) as caught:
        composer.read(held)
    assert re.fullmatch(said, str(caught.value))


def test_what_is_dropped_from_bytes_is_said_of_the_music():
    abc = b"X:1\nT:Tune\nM:4/4\nL:1/4\nK:C\n{g}CDEF|\n"
    with pytest.warns(ReadingWarning, match=r"^the music: left out: grace notes"):
        composer.read(abc)


def test_options_of_readers_and_exporters_are_passed_on(piece):
    piece.write("dark.roll.svg", theme="dark")
    piece.write("light.roll.svg")
    assert Path("dark.roll.svg").read_bytes() != Path("light.roll.svg").read_bytes()
    with pytest.raises(BadOption, match=r"exporter '\.roll\.svg' has no option 'tint'"):
        piece.write("x.roll.svg", tint=1)
    piece.write("piece.mid")
    with pytest.raises(BadOption, match=r"has no option 'pedals': did you mean 'pedal'\?"):
        composer.read("piece.mid", pedals="ignore")
    with pytest.raises(CannotWrite, match=r"no plugin writes '\.xyz' files"):
        piece.write("piece.xyz")


def test_several_pieces_go_to_one_file(piece):
    composer.write([piece, piece.score], "two.roll.svg")
    composer.write(piece.score, "score.mid")
    assert formats.read(Path("score.mid")).note_count == piece.score.note_count
    assert Path("two.roll.svg").stat().st_size > 1_000


@pytest.mark.parametrize("library", ["pretty_midi", "music21", "symusic"])
def test_a_library_that_is_not_there_is_one_sentence(library, piece, monkeypatch):
    for name in (library, "music21.converter"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(CannotWrite, match=f"^{library} is not installed; `pip install {library}` installs it\\.$"):
        getattr(piece, f"to_{library}")()


def test_a_piece_is_one_line_at_the_prompt():
    held = b"X:1\nT:Morning\nM:4/4\nL:1/4\nQ:1/4=120\nK:C\nCDEF|\n"
    assert repr(composer.read(held)) == "<Piece 'Morning': 1 track, 4 notes, 2.0 seconds>"
    assert repr(composer.Piece(composer.Score(()))) == "<Piece: 0 tracks, 0 notes, 0.0 seconds>"


def test_a_notebook_shows_the_roll_and_lets_it_be_heard(piece):
    shown = piece._repr_html_()
    assert "<svg" in shown
    assert "<?xml" not in shown
    assert 'src="data:audio/mpeg;base64,' in shown


def test_a_long_piece_is_shown_without_sound(piece, monkeypatch):
    monkeypatch.setattr(pieces, "LONGEST", 1.0)
    shown = piece._repr_html_()
    assert "<svg" in shown
    assert "<audio" not in shown


def test_without_exporters_a_piece_is_shown_in_words(piece, monkeypatch):
    def fail(*_, **__):
        raise CannotWrite("no plugin writes it.")

    monkeypatch.setattr(objects.formats, "make_exporter", fail)
    titled = composer.Piece(piece.score, {"title": "<b>"})
    assert titled._repr_html_() == f"<p>&lt;b&gt;: {piece.score.note_count} notes.</p>"


# --- the package ------------------------------------------------------------------------------------------------------


def test_importing_composer_imports_nothing_heavy():
    code = (
        "import sys, composer; assert composer.__all__; dir(composer)\n"
        "print(sorted({'numpy', 'click', 'torch', 'music21', 'composer.types'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_what_is_named_is_there_and_nothing_else():
    assert {*composer.__all__} <= {*dir(composer)}
    assert all(getattr(composer, name).__doc__ for name in composer.__all__)
    assert {*composer._MODULES} == {*composer.__all__}
    with pytest.raises(AttributeError, match="no attribute 'compose'"):
        _ = composer.compose


def test_examples_of_the_guide(tunes, capsys):
    tunes.rename("midi")
    examples = [lines for mark, lines in documents.blocks(documents.ENGINE) if mark.startswith("python-")]
    assert len(examples) == 4
    there = {}
    for example in examples:
        exec(example, there)
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in out[:4]] == ["0", "1", "2", "3"]
    assert float(out[-1]) > 0
    assert there["again"] == there["filled"]
    assert isinstance(there["notes"], np.ndarray)
    for name in ("first.mid", "best.musicxml", "same.wav", "mine.safetensors"):
        assert Path(name).stat().st_size
