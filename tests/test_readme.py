"""The documents: the README's two commands stand in it word for word, all examples run, all links lead somewhere."""

import json
import re
import sys
import types
from contextlib import suppress
from dataclasses import replace
from html import escape
from importlib.metadata import EntryPoint
from pathlib import Path
from pkgutil import resolve_name
from statistics import mean

import click
import picture
import pytest
import soundfile
from benchmarks import compared
from documents import (
    BENCHMARKS,
    CELLS,
    DATASETS,
    DOCUMENTS,
    ENGINE,
    GUIDE,
    PLUGINS,
    README,
    ROOT,
    anchors,
    block,
    blocks,
    commands,
    links,
    parse,
    sentences,
    text,
    unmarked,
)
from helptext import filled
from music import QUARTER, drums, line, score
from PIL import Image

from composer.cli import cli, run
from composer.generation import generator
from composer.generation.composer import open_model
from composer.io import formats
from composer.music.score import ChordSymbol
from composer.plugins import scaffold
from composer.plugins.discovery import find
from composer.plugins.offers import load
from composer.plugins.registry import registry
from composer.request import Request
from composer.testing import check_events, make_cases
from composer.types import Piece
from composer_chorales.dataset import Chorales
from composer_pianorolls import trial

DEFINED = {
    name
    for top in ("composer", "plugins", "datasets", "tests")
    for path in (ROOT / top).rglob("*.py")
    for name in re.findall(r"(?m)^ *(?:async )?(?:def|class) (\w+)", path.read_text(encoding="utf-8"))
}
"""The functions, methods and classes that the code defines."""


def name_of(document):
    return str(document.relative_to(ROOT))


def test_the_two_commands_stand_there_word_for_word():
    assert "\n    pip install -c constraints.txt . && composer generate chorale.mid\n" in text(README)
    assert "\n    pip install -c constraints.txt -e '.[test]' && pytest\n" in text(README)


def test_the_readme_is_read_in_a_few_minutes():
    assert len(text(README).splitlines()) <= 180
    assert len(text(README).split()) <= 1200


def test_the_picture_of_the_readme_is_what_its_command_makes(workplace):
    assert f"\n    {picture.COMMAND}\n" in text(README)
    with Image.open(picture.PICTURE) as kept:
        assert kept.size == picture.draw(workplace).size
    assert picture.PICTURE.stat().st_size < 60_000


def test_examples_of_the_readme(workplace, monkeypatch):
    chorale, *pieces = [Request(index=index, bars=6) for index in range(8)]
    formats.write(generator.generate(open_model("chorales"), [chorale]), workplace / "chorale.mid")
    (workplace / "midi").mkdir()
    for number, piece in enumerate(generator.generate(open_model("tunes"), pieces)):
        formats.write([piece], workplace / "midi" / f"{number}.mid")
    for arguments in commands(README, "five"):
        few = {"train": ["--steps", "2", "--evaluations", "1"], "fill": ["--particles", "2"]}.get(arguments[0], [])
        assert run([*arguments, *few]) == 0, arguments
    for name in ("song.mid", "filled.mid", "harmonized.mid", "chorale.mp3", "chorale.pdf", "chorale.html"):
        assert (workplace / name).stat().st_size
    assert (workplace / "mine.safetensors").exists()


def test_the_small_table_of_the_readme_is_that_of_the_comparison():
    kept = compared.report("cells-chorales")
    shown = [row for row in kept["standing"] if row["architecture"] in ("mingru", "lstm", "gru", "rnn")]
    assert len(shown) == 4
    for row in shown:
        cost, nats = (
            kept["costs"][row["architecture"]],
            f"{row['nats_per_note']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
        )
        line = f"| `{row['architecture']}` | {cost['parameters']:,} | {nats} | {1000 * cost['step_seconds']:.0f} |"
        assert line in text(README)


def test_the_guide_shows_the_help_as_it_is():
    assert filled(text(GUIDE)) == text(GUIDE), "`python tests/helptext.py` writes it anew"


@pytest.mark.parametrize("document", [README, GUIDE], ids=["README", "guide"])
def test_who_types_its_examples_from_the_first_to_the_last_is_never_refused(document, monkeypatch):
    """What is there is not replaced, so that each line has a name of its own, or says --force."""
    labels = ((("kind", ("beat", "fill")), ("style", ("funk", "jazz", "rock"))), {})
    monkeypatch.setattr("composer.cli.conditions.read_named_conditions", lambda _: labels)  # a model is not there yet
    there = {"chorale.mid"}
    examples = [lines for mark, lines in blocks(document) if mark.startswith("example: ")]
    for words in parse("\n".join(examples)):
        command = cli.get_command(click.Context(cli), words[0])
        if not any(parameter.name == "force" for parameter in getattr(command, "params", ())):
            continue
        asked = command.make_context(words[0], words[1:]).params
        named = [*asked.get("outs", ()), *(str(asked[one]) for one in ("out", "plot") if asked.get(one))]
        assert asked["force"] or not there & set(named), words
        there.update(named)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_commands_outside_of_examples_are_understood(document):
    """Those that made what is kept here take hours, and are not run."""
    for words in unmarked(document):
        command = cli.get_command(click.Context(cli), words[0])
        assert command, words
        if not isinstance(command, click.Group):
            command.make_context(words[0], words[1:])


@pytest.mark.parametrize("document", [README, ENGINE, GUIDE, DATASETS, BENCHMARKS], ids=name_of)
def test_sentences_are_short(document):
    assert [one for one in sentences(document) if len(one.split()) > 20] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document):
    for path, anchor in links(document):
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), path
        assert not anchor or anchor in anchors(there), f"{path}#{anchor}"


def exists(name):
    """Whether a dotted name leads to a module, a class, a function, a method or a field."""
    with suppress(ImportError, AttributeError):
        resolve_name(name)
        return True
    owner, _, field = name.rpartition(".")
    with suppress(ImportError, AttributeError, ValueError):
        return field in resolve_name(owner).__annotations__
    return False


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_modules_and_functions_that_a_document_names_exist(document):
    quoted = re.findall(r"`([^`\n]+)`", text(document))
    dotted = {name for one in quoted for name in re.findall(r"(?<![\w./-])composer\w*(?:\.[A-Za-z_]\w*)+\b(?!\.)", one)}
    assert {name for name in dotted if not exists(name)} == set()
    called = {name for one in quoted for name in re.findall(r"\b([A-Za-z_]\w*)\(", one)}
    assert {name for name in called if not DEFINED & {name}} == set()


@pytest.mark.parametrize("top", ["composer", "plugins", "datasets"])
def test_modules_and_functions_that_docstrings_name_exist(top):
    named = {}
    for path in (ROOT / top).rglob("*.py"):
        quoted = re.findall(r"`(composer\w*(?:\.\w+)+)`", path.read_text(encoding="utf-8"))
        named |= {name: path.name for name in quoted if not name.endswith((".mid", ".toml"))}
    assert {name: where for name, where in named.items() if not exists(name)} == {}


def test_every_room_stands_in_the_readme_of_the_engine():
    rooms = {path.parent.name for path in ENGINE.parent.glob("*/__init__.py")}
    assert set(re.findall(r"(?m)^\| \[`(\w+)`\]", text(ENGINE))) == rooms


def test_every_example_is_run_by_a_test():
    marks = {mark for one in DOCUMENTS if one != PLUGINS for mark, _ in blocks(one)}
    run_here = set(re.findall(r'\b(?:block|commands)\([A-Z]+, "(\w+)"\)', Path(__file__).read_text(encoding="utf-8")))
    marks = {mark for mark in marks if not mark.startswith("python-")}  # run by the tests of Python
    assert {mark.removeprefix("example: ") for mark in marks} == run_here | {"help"}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("words", [commands(GUIDE, "write"), commands(GUIDE, "steer")], ids=["write", "steer"])
def test_examples_of_writing_music(words, workplace):
    for arguments in [["generate", "chorale.mid", "--bars", "8"], *words]:
        assert run(arguments) == 0, arguments
        out = workplace / arguments[1]
        scores = [formats.read(path) for path in (out.glob("*.mid") if out.is_dir() else [out])]
        assert scores
        assert all(score.note_count for score in scores)


def test_examples_of_finishing(workplace):
    formats.write(generator.generate(open_model("chorales"), [Request(seed=1, bars=6)]), workplace / "chorale.mid")
    for arguments in commands(GUIDE, "finish"):
        few = ["--particles", "2"] if arguments[0] == "fill" else []
        assert run([*arguments, *few]) == 0, arguments
    assert len(formats.read(workplace / "three.mid").tracks) == 3


def test_examples_of_sound(workplace):
    for arguments in commands(GUIDE, "sound"):
        assert run(arguments) == 0, arguments
    sounds = [path for path in workplace.iterdir() if path.suffix in (".wav", ".flac", ".ogg", ".mp3")]
    assert len(sounds) == 4
    assert all(soundfile.info(path).duration > 3 for path in sounds)


def test_examples_of_batches(workplace):
    (workplace / "jobs.toml").write_text(block(GUIDE, "jobs"))
    for arguments in commands(GUIDE, "batch"):
        assert run(arguments) == 0, arguments
    assert len(list((workplace / "pieces").glob("*/*.mid"))) == 20
    assert (workplace / "best.html").stat().st_size > 5_000


def test_examples_of_explaining(workplace, capsys):
    for arguments in commands(GUIDE, "explain"):
        assert run(arguments) == 0, arguments
        assert "Parameters: " in capsys.readouterr().out


def test_examples_of_comparing(workplace, monkeypatch, capsys):
    chorales = Chorales().list_sources()
    monkeypatch.setattr(Chorales, "list_sources", lambda _: chorales[:40])
    (workplace / "mine").mkdir()
    pieces = generator.generate(open_model("tunes"), [Request(index=index, bars=4) for index in range(30)])
    for number, piece in enumerate(pieces):
        formats.write([piece], workplace / "mine" / f"{number}.mid")
    small = ["--trials", "1", "--hidden-size", "8", "--layers", "1", "--embedding-size", "4", "--device", "cpu"]
    for number, arguments in enumerate(commands(GUIDE, "compare")):
        asked = [*arguments, *small, "--steps", "2", "--seeds", "1", "--out", str(number)]
        asked += [] if "--questions" in arguments else ["--questions", "likelihood"]
        assert run(asked) == 0, arguments
        assert "likelihood" in capsys.readouterr().out.lower()


def test_examples_of_labels(workplace):
    pieces = generator.generate(open_model("tunes"), [Request(index=index, bars=4) for index in range(16)])
    for number, piece in enumerate(pieces):
        folder = workplace / "styles" / ("funk", "jazz")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        formats.write([piece], folder / f"{number}.mid")
    small = ["--hidden-size", "8", "--layers", "1", "--embedding-size", "4", "--steps", "2", "--evaluations", "1"]
    for arguments in commands(GUIDE, "labels"):
        few = {"train": small, "fill": ["--particles", "2"], "generate": ["--bars", "4"]}.get(arguments[0], [])
        assert run([*arguments, *few]) == 0, arguments
    assert formats.read_provenance(workplace / "funk.mid")["labels"] == {"style": "funk"}
    assert formats.read_provenance(workplace / "jazzier.mid")["labels"] == {"style": "jazz"}


def test_examples_of_given_notes(workplace):
    chorale = generator.generate(open_model("chorales"), [Request(seed=1, bars=6)])[0].score
    formats.write([Piece(chorale)], workplace / "chorale.mid")
    formats.write([Piece(replace(chorale, tracks=chorale.tracks[:1]))], workplace / "melody.mid")
    for arguments in commands(GUIDE, "given"):
        few = [] if arguments[0] == "regenerate" and "--bars" not in arguments else ["--particles", "2"]
        assert run([*arguments, *few]) == 0, arguments
    assert (workplace / "again.mid").read_bytes() == (workplace / "filled.mid").read_bytes()
    assert len(list((workplace / "varied").glob("*.mid"))) == 2


def test_examples_of_lead_sheets(workplace):
    chorale = generator.generate(open_model("chorales"), [Request(seed=1, bars=4, time_signature="4/4")])[0].score
    formats.write([Piece(replace(chorale, tracks=chorale.tracks[:1]))], workplace / "melody.mid")
    for arguments in commands(GUIDE, "sheets"):
        few = ["--particles", "2"] if arguments[0] in ("fill", "chords") else []
        assert run([*arguments, *few]) == 0, arguments
    symbols, answer = (formats.read(workplace / f"{name}.musicxml").chords for name in ("symbols", "answer"))
    assert symbols
    assert answer == symbols


def test_examples_of_drums_songs_and_quartets(workplace):
    for arguments in commands(GUIDE, "kinds"):
        assert run(arguments) == 0, arguments
    assert [track.is_drum for track in formats.read(workplace / "beat.mid").tracks] == [True]
    assert [track.name for track in formats.read(workplace / "lied.mid").tracks] == ["Voice", "Piano"]
    assert len(formats.read(workplace / "quartet.mid").tracks) == 4


def test_examples_of_accompanying_and_humanizing(workplace):
    tune = line((67, 1), (69, 1), (71, 2), (72, 2), (71, 2), name="Lead")
    sheet = replace(score(tune), chords=(ChordSymbol(0, "G"), ChordSymbol(4 * QUARTER, "C")))
    beat = score(drums((0, 36), (1, 38), (2, 36), (3, 38)))
    given = {"melody.mid": score(tune), "sheet.musicxml": sheet, "band.mid": score(tune, line((43, 8), name="Bass"))}
    given |= {"piano.mid": score(tune), "riff.mid": score(tune), "stiff.mid": beat}
    for name, music in given.items():
        formats.write([Piece(music)], workplace / name)
    for arguments in [*commands(GUIDE, "accompany"), *commands(GUIDE, "humanize")]:
        few = ["--particles", "4"]
        assert run([*arguments, *few]) == 0, arguments
    assert len(formats.read(workplace / "drummed.mid").tracks) == 2
    assert formats.read(workplace / "livelier.mid").note_count == 4


def test_examples_of_scores(workplace):
    for arguments in commands(GUIDE, "read"):
        assert run(arguments) == 0, arguments
        assert (workplace / arguments[1]).stat().st_size
    assert formats.read(workplace / "tune.musicxml").note_count
    assert formats.read_provenance(workplace / "tune.musicxml")["model"] == "tunes"


def test_examples_of_looking(workplace):
    for arguments in commands(GUIDE, "look"):
        assert run(arguments) == 0, arguments
    for name in ("reel.png", "reel.html", "dark.png", "reel.roll.svg"):
        assert (workplace / name).stat().st_size > 5_000


def test_examples_of_checking(workplace):
    piece = generator.generate(open_model("tunes"), [Request(seed=1, bars=4)])[0]
    (workplace / "midi").mkdir()
    for name in ("chorale.mid", "midi/tune.mid"):
        formats.write([piece], workplace / name)
    for arguments in commands(GUIDE, "check"):
        assert run(arguments) == 0, arguments


def test_examples_of_originality(workplace, monkeypatch):
    chorales = Chorales().list_sources()
    monkeypatch.setattr(Chorales, "list_sources", lambda _: chorales[:8])  # it takes a minute or two to read them all
    pieces = generator.generate(open_model("tunes"), [Request(index=index, bars=8) for index in range(6)])
    for folder in ("midi", "pieces"):
        (workplace / folder).mkdir()
    for name in ("chorale.mid", "pieces/one.mid", *(f"midi/{number}.mid" for number in range(6))):
        formats.write([pieces[sum(map(int, filter(str.isdigit, name)))]], workplace / name)
    for arguments in commands(GUIDE, "originality"):
        assert run(arguments) == 0, arguments


def test_examples_of_playing(workplace, capsys):
    piece = generator.generate(open_model("tunes"), [Request(seed=1, bars=4)])[0]
    formats.write([piece], workplace / "chorale.mid")
    for arguments in commands(GUIDE, "play"):
        assert run(arguments) == 0, arguments
    assert "▀" in capsys.readouterr().out


def test_examples_of_playing_live(workplace):
    piece = generator.generate(open_model("tunes"), [Request(seed=1, bars=4)])[0]
    formats.write([piece], workplace / "played.mid")
    for arguments in commands(GUIDE, "jam"):
        assert run(arguments) == 0, arguments
    assert (workplace / "take.mid").read_bytes() == (workplace / "same.mid").read_bytes()


def test_examples_of_training(workplace, monkeypatch):
    chorales = Chorales().list_sources()
    monkeypatch.setattr(Chorales, "list_sources", lambda _: chorales[:40])  # it takes half a minute to read them all
    (workplace / "midi").mkdir()
    tunes = open_model("tunes")
    pieces = generator.generate(tunes, [Request(index=index, bars=4) for index in range(12)])
    for number, piece in enumerate(pieces):
        formats.write([piece], workplace / "midi" / f"{number}.mid")
    for arguments in commands(GUIDE, "train"):
        few = ["--steps", "2", "--evaluations", "1"]
        quick = {"train": few, "finetune": few, "generate": ["--bars", "2"]}.get(arguments[0], [])
        assert run([*arguments, *quick]) == 0, arguments
    assert (workplace / "new.mid").exists()


def test_examples_of_metrics(workplace, capsys):
    pieces = generator.generate(open_model("tunes"), [Request(index=index, bars=8) for index in range(6)])
    (workplace / "midi").mkdir()
    for name, piece in zip(("chorale.mid", *(f"midi/{number}.mid" for number in range(5))), pieces, strict=True):
        formats.write([piece], workplace / name)
    for arguments in commands(GUIDE, "metrics"):
        few = ["--count", "2"] if arguments[0] == "evaluate" else []
        assert run([*arguments, *few]) == 0, arguments
    assert "groove consistency" in capsys.readouterr().out
    for name in ("beside.svg", "bars.svg"):
        assert (workplace / name).stat().st_size > 5_000


def test_examples_of_tables(capsys):
    for arguments in commands(GUIDE, "tables"):
        assert run(arguments) == 0, arguments
    shown = capsys.readouterr().out
    for word in ("folder:PATH", "tunes", "composer-midi", "nats_per_note"):
        assert word in shown


@pytest.mark.parametrize("code", [block(README, "python"), block(ENGINE, "python")], ids=["README", "engine"])
def test_examples_from_python(code, workplace):
    exec(code, {})
    assert formats.read(workplace / "first.mid").note_count


def test_example_of_a_plugin():
    from composer.testing import check_sampler

    module = types.ModuleType("composer_sharpen")
    exec(block(README, "plugin"), module.__dict__)
    offers = module.register_samplers()
    tokenizer = open_model("tunes").tokenizer
    check_sampler(offers["sharpen"](power=1.5), tokenizer)


def test_examples_of_plugins(workplace, capsys, monkeypatch):
    few = [point for point in find() if point.name == "texture"]
    monkeypatch.setattr("composer.plugins.doctor.find", lambda: few)  # all of them take a while
    for arguments in commands(GUIDE, "plugins"):
        assert run(arguments) == 0, arguments
    shown = capsys.readouterr().out
    for words in ("composer generate piece.mid --top-p 0.9", "ok      sampler polyphony", "1 plugin is well", "4 bars"):
        assert words in shown


EXAMPLES = [(*mark.split()[1:], code) for mark, code in blocks(PLUGINS) if mark.startswith("example: ")]


def test_the_guide_has_an_example_of_every_kind():
    assert {kind for kind, _, _ in EXAMPLES} == set(scaffold.list_kinds())


@pytest.mark.parametrize(("kind", "name", "code"), EXAMPLES, ids=[kind for kind, _, _ in EXAMPLES])
def test_an_example_of_the_guide_is_what_a_new_package_begins_with_and_runs(kind, name, code, monkeypatch, tmp_path):
    """The packages themselves are tested in `test_scaffold`."""
    assert code.strip() == scaffold.render_source(name, kind).strip()
    module = types.ModuleType(f"example_{kind}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(code, module.__dict__)
    found = load([EntryPoint(name, module.__name__, "composer")])
    assert [plugin.fault for plugin in found.plugins] == [""]
    if kind == "event":
        check_events(module, tmp_path)
    else:
        (offer,) = found.offers[f"{scaffold.FULLER.get(kind, kind)}s"].values()
        next(make_cases(offer)).run()


def test_the_figures_of_the_models_are_those_of_their_cards():
    for name in registry().list_names("models"):
        test = open_model(name).model.card["test"]
        assert f"{test['nats_per_note']:.3f} | {test['nats_per_beat']:.3f}" in text(DATASETS)


def test_the_table_of_architectures_is_that_of_the_runs_that_are_kept():
    kept = trial.read(Path(trial.__file__).with_name("trial.jsonl"))
    assert "\n".join(trial.make_table(kept)) in text(DATASETS)


@pytest.mark.parametrize("name", compared.REPORTS)
def test_the_tables_of_a_comparison_are_those_of_its_report(name):
    kept, document = compared.report(name), CELLS if name.startswith("cells-") else BENCHMARKS
    assert "\n".join(compared.standing(kept)) in text(document)
    assert not compared.SHOWN[name] or "\n".join(compared.claims(kept, compared.SHOWN[name])) in text(document)
    assert escape(kept["verdict"]["text"]) in compared.REPORTS[name].with_suffix(".html").read_text(encoding="utf-8")


def test_the_leaderboard_is_that_of_the_runs_that_are_kept():
    assert "\n".join(compared.leading(compared.read_board(compared.BOARD))) in text(DATASETS)


def test_the_table_of_particles_is_that_of_the_runs_that_are_kept():
    kept = json.loads((Path(__file__).parent / "benchmarks" / "filling.json").read_text())
    table = text(BENCHMARKS).split("## What particles do")[1].split("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(kept) == 6
    for row, found in zip(rows, kept.values(), strict=True):
        ways = ("1", "4", "16", "64", "other", "Bach")
        assert [float(cell) for cell in row[1:7]] == [round(mean(found[way]["next"]), 3) for way in ways]
        difference = mean(found["64"]["next"]) - mean(found["1"]["next"])
        assert row[7].split()[0] == f"{difference:.3f}".replace("-", "−")
        alike = [f"{mean(found[way]['agreement']):.0%}".replace("%", " %") for way in ("1", "64", "other")]
        assert row[8].strip() == "{}, {} ({})".format(*alike)
