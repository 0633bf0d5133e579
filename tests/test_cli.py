"""The command line: it writes what it says, and every mistake is one sentence that leaves nothing behind."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from music import roll, save_chorales, save_rolls, tune_roll
from walks import walk

from composer.cli import COMMANDS
from composer.generation.options import build_chain
from composer.io import formats
from composer.model import load, save
from composer.music.score import compute_bars
from composer.plugins import discovery
from composer.plugins.discovery import Plugin
from composer.plugins.offers import KINDS, Offer
from composer.plugins.registry import registry
from composer.request import Request, SamplerSpec
from composer.types import Piece

HEAVY = [
    "verovio",
    "reportlab",
    "torch",
    "music21",
    "matplotlib",
    "numpy",
    "scipy",
    "symusic",
    "pretty_midi",
    "rich",
    "safetensors",
]
SMALL = ["--hidden-size", 8, "--layers", 1, "--embedding-size", 8, "--steps", 6, "--evaluations", 2, "--chunk", 64]


@pytest.fixture
def here(tmp_path, monkeypatch, model_file):
    """An empty folder to work in, with a model beside it."""
    shutil.copy(model_file, tmp_path / "walks.safetensors")
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


MODEL = ["--model", "../walks.safetensors"]
SOME = [*MODEL, "--seed", 5, "--bars", 2, "--no-ending"]
"""What makes a small piece, always the same."""


def there(folder):
    """The paths of everything in a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def mistake(ran):
    """The sentence of a mistake: exit status 2 and one line on stderr, or click's usage."""
    assert ran.status == 2
    assert ran.out == ""
    assert "Traceback" not in ran.err
    *usage, line = ran.err.splitlines()
    if usage:
        assert usage[0].startswith("Usage: composer ")
        assert line.startswith("Error: ")
    else:
        assert line.startswith("composer: ")
        assert line.endswith((".", "?"))
    return line


# --- help -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=str)
def test_help_imports_nothing_heavy(arguments):
    program = (
        f"import sys; from composer.cli import run; run({arguments})\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    subprocess.run([sys.executable, "-c", program], check=True)  # plugins are read once
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


ALL = [[name] for name in (*COMMANDS, *registry().list_names("commands"))]


@pytest.mark.parametrize("command", [*ALL, ["models", "show"], ["cache", "clear"]], ids=str)
def test_every_command_has_help(run, command):
    shown = run(*command, "--help")
    assert shown.status == 0
    assert shown.out.startswith(f"Usage: composer {' '.join(command)}")


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "composer", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("composer, version ")


def test_samplers_are_options_of_generate_and_things_are_options_of_train(run):
    generate, train = run("generate", "--help").out, run("train", "--help").out
    assert all(f"--{name} " in generate for name in registry().list_names("samplers"))
    for flag in ("--hidden-size", "--steps-per-quarter", "--learning-rate", "--drums-by-name"):
        assert f"{flag} " in train


@dataclass(frozen=True)
class Odd:
    """A thing of a third party whose options have the names of ours."""

    seed: int = 7
    hidden_size: str = "wide"


@pytest.fixture
def crowded(monkeypatch):
    """The registry, with names that the commands have themselves."""
    found = registry()
    plugin = Plugin("odd", "odd", "1")
    offers = {kind: dict(there) for kind, there in found.offers.items()}
    for kind, name in (("samplers", "key"), ("samplers", "top"), ("architectures", "odd")):
        offers[kind][name] = Offer(kind, name, Odd, plugin)
    crowded = replace(found, offers=offers)
    monkeypatch.setattr("composer.cli.options.registry", lambda: crowded)
    monkeypatch.setattr("composer.generation.options.registry", lambda: crowded)


def test_no_plugin_takes_over_an_option_of_a_command(run, here, crowded, recwarn):
    ran = run("generate", "x.mid", *SOME, "--key", "Dm", "--quiet")
    assert ran.status == 0
    assert json.loads((here / "x.mid.json").read_text())["request"]["key"] == "Dm"
    assert "--sampler-key " in run("generate", "--help").out
    assert [link.name for link in build_chain({"sampler_key": 1}, ["key"], "generate")] == ["key"]
    train = run("train", "--help").out
    assert train.count(" --seed ") == train.count(" --architecture-seed ") == 1
    assert not [str(warning.message) for warning in recwarn]


# --- generate ---------------------------------------------------------------------------------------------------------


def test_a_backend_is_known_by_its_first_name_too(run, here):
    for flag, name in (("--backend", "x.mid"), ("--stepper", "y.mid")):
        assert run("generate", name, *MODEL, "--seed", 5, "--bars", 1, flag, "numpy").status == 0
    assert (here / "x.mid").read_bytes() == (here / "y.mid").read_bytes()
    assert json.loads((here / "x.mid.json").read_text())["request"]["stepper"] == "numpy"
    assert "--stepper" not in run("generate", "--help").out


def test_one_piece_goes_to_a_file_and_what_made_it_beside_it(run, here):
    wishes = ["--bars", 3, "--seed", 5, "--index", 2, "--tempo", 90, "--key", "Dm", "--backend", "numpy", "--no-ending"]
    shown = run("generate", "x.mid", *MODEL, *wishes)
    assert shown.status == 0
    assert there(here) == ["x.mid", "x.mid.json"]
    made = json.loads((here / "x.mid.json").read_text())
    assert made["request"] == {
        "seed": 5,
        "index": 2,
        "bars": 3,
        "key": "Dm",
        "tempo": 90.0,
        "transforms": [{"name": "dynamics", "options": {}}],
        "stepper": "numpy",
    }
    assert made["model_hash"] == load(here.parent / "walks.safetensors").hash
    assert made["licence"] == "CC0-1.0"
    score = formats.read(here / "x.mid")
    assert shown.out == f"x.mid: {score.note_count} notes, {len(compute_bars(score).signatures)} bars, seed 5\n"


def test_a_midi_file_carries_what_made_it(run, here):
    from composer_midifile.reading import read_provenance

    run("generate", "x.mid", *SOME)
    assert read_provenance(here / "x.mid") == json.loads((here / "x.mid.json").read_text())


def test_several_pieces_go_to_a_folder_under_their_seed_and_index(run, here):
    shown = run("generate", "out/deep", *MODEL, "--count", 3, "--seed", 4, "--bars", 1)
    assert shown.status == 0
    names = [f"out/deep/4-00000{index}.mid{end}" for index in range(3) for end in ("", ".json")]
    assert there(here) == ["out", "out/deep", *names]
    assert [line.partition(":")[0] for line in shown.out.splitlines()] == names[::2]
    for index, name in enumerate(names[1::2]):
        assert json.loads((here / name).read_text())["request"].get("index", 0) == index


def test_one_piece_goes_to_a_folder_that_is_called_one_or_is_one(run, here):
    assert run("generate", "new/", *MODEL, "--seed", 4, "--bars", 1).status == 0
    assert run("generate", "new", *MODEL, "--seed", 5, "--bars", 1).status == 0
    assert there(here / "new") == ["4-000000.mid", "4-000000.mid.json", "5-000000.mid", "5-000000.mid.json"]


def test_a_piece_by_its_index_is_the_same_file(run, here):
    run("generate", "many/", *MODEL, "--count", 4, "--seed", 4, "--bars", 2)
    run("generate", "one.mid", *MODEL, "--index", 3, "--seed", 4, "--bars", 2)
    assert (here / "one.mid").read_bytes() == (here / "many/4-000003.mid").read_bytes()


def test_the_seed_that_was_drawn_makes_the_piece_again(run, here):
    shown = run("generate", "x.mid", *MODEL, "--bars", 2)
    run("generate", "y.mid", *MODEL, "--bars", 2, "--seed", shown.out.split()[-1])
    assert (here / "x.mid").read_bytes() == (here / "y.mid").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "chain"),
    [
        (["--temperature", "1.5", "--top-p", "0.9"], ["temperature", "top-p"]),
        (["--top-p", "0.9", "--bars", "1", "--temperature", "1.5"], ["top-p", "temperature"]),
    ],
    ids=str,
)
def test_the_chain_is_in_the_order_of_the_command_line(run, here, arguments, chain):
    run("generate", "x.mid", *SOME, *arguments)
    request = Request.from_json(json.loads((here / "x.mid.json").read_text())["request"])
    assert [link.name for link in request.samplers] == chain


def test_a_link_has_further_options(run, here):
    flags = ["--repetition-penalty", "1.2", "--repetition-penalty-window", "8"]
    run("generate", "x.mid", *SOME, *flags)
    request = Request.from_json(json.loads((here / "x.mid.json").read_text())["request"])
    assert request.samplers == (SamplerSpec("repetition-penalty", {"penalty": 1.2, "window": 8}),)


def test_what_the_model_suggests_holds_unless_something_else_is_asked_for(run, here):
    run("generate", "x.mid", *SOME)
    run("generate", "y.mid", *SOME, "--tempo", 60)
    tempos = [formats.read(here / name).tempos[0].bpm for name in ("x.mid", "y.mid")]
    assert tempos == pytest.approx([96, 60])


def test_a_primer_is_a_file_or_typed_notes(run, here):
    run("generate", "x.mid", *SOME, "--primer", "C5 D5 E5 F5")
    run("generate", "y.mid", *SOME, "--primer", "x.mid")
    first, second = formats.read(here / "x.mid"), formats.read(here / "y.mid")
    assert first.tracks[0].notes["pitch"][:4].tolist() == [72, 74, 76, 77]
    assert second.tracks[0].notes["pitch"][:4].tolist() == [72, 74, 76, 77]
    assert len(compute_bars(second).signatures) > len(compute_bars(first).signatures)


def test_quiet_says_nothing(run, here):
    shown = run("generate", "x.mid", *SOME, "--quiet")
    assert (shown.status, shown.out, shown.err) == (0, "", "")


@pytest.fixture
def clutter(here):
    """Files that are not what they should be."""
    (here / "a-file").write_text("")
    (here / "a-folder.mid").mkdir()
    data = (here.parent / "walks.safetensors").read_bytes()
    (here / "short.safetensors").write_bytes(data[:500])
    (here / "garbage.mid").write_bytes(b"MThd\0\0\0\6garbage")
    (here / "odd.xyz").write_text("?")
    return here


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x.mid", "--model", "chorale"], "unknown model 'chorale'"),
        (["x.mid", "--model", "none.safetensors"], "none.safetensors: no such file."),
        (["x.mid", "--model", "short.safetensors"], "short.safetensors: is truncated, or not a model file."),
        (["x.wave", *MODEL], "no plugin writes '.wave' files"),
        (["x", *MODEL], "no plugin writes '' files"),
        (["nowhere/x.mid", *MODEL], "there is no folder nowhere."),
        (["a-file/", *MODEL], "a-file: is a file"),
        (["a-file/deep/", *MODEL], "cannot be made"),
        (["a-file", *MODEL, "--count", 2], "a-file: is a file; several pieces need a folder."),
        (["x.mid", *MODEL, "--count", 2, "--index", 3], "--index asks for one piece and --count for several"),
        (["x.mid", *MODEL, "--count", 0], "Invalid value for '--count'"),
        (["x.mid", *MODEL, "--bars", 0], "'bars' is 0, and must be a whole number from 1"),
        (["x.mid", *MODEL, "--bars", "many"], "Invalid value for '--bars'"),
        (["x.mid", *MODEL, "--seed", -1], "'seed' is -1"),
        (["x.mid", *MODEL, "--index", -1], "'index' is -1"),
        (["x.mid", *MODEL, "--tempo", 0], "'tempo' is 0.0, and must be from 5 to 1000"),
        (["x.mid", *MODEL, "--tempo", "nan"], "'tempo' is nan"),
        (["x.mid", *MODEL, "--key", "H"], "'H' is not a key such as C, F#, Bb or Dm."),
        (["x.mid", *MODEL, "--time-signature", "3/5"], "'3/5' is not a time signature such as 3/4."),
        (["x.mid", *MODEL, "--time-signature", "7/8"], "this model has no bars of 7/8; it has 3/4, 4/4."),
        (["x.mid", *MODEL, "--device", "abacus"], "there is no device 'abacus' here"),
        (["x.mid", *MODEL, "--temperature", "0"], "sampler 'temperature': temperature must be from 0.01"),
        (["x.mid", *MODEL, "--top-p", "most"], "sampler 'top-p': 'p' is 'most', which is not float."),
        (["x.mid", *MODEL, "--repetition-penalty-window", "3"], "needs the option 'penalty'"),
        (
            ["x.mid", *SOME, "--pitch-range", "C0:D0"],
            "the range C0:D0 of all is outside C2:E6, the range of this model.",
        ),
        (["x.mid", *MODEL, "--tempreature", "1"], "No such option"),
        (["x.mid", *MODEL, "--primer", "none.mid"], "none.mid: no such file."),
        (["x.mid", *MODEL, "--primer", "garbage.mid"], "garbage.mid: "),
        (["x.mid", *MODEL, "--primer", "odd.xyz"], "no plugin reads '.xyz' files"),
        (["x.mid", *MODEL, "--primer", "C5 H5"], "'H5' in the primer is no note"),
        (["x.mid", *MODEL, "--primer", ""], "the primer has no note"),
        (["x.mid", *MODEL, "--primer", "C1 D1"], "cannot go on from this primer: "),
        ([*MODEL], "Missing argument 'OUT...'"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_a_mistake_in_generate_is_one_sentence_and_writes_nothing(run, clutter, arguments, said):
    before = there(clutter)
    assert said in mistake(run("generate", *arguments))
    assert there(clutter) == before


def test_a_place_that_cannot_be_written_to_is_found_before_the_work(run, here, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr("composer.generation.composer.open_model", lambda _: pytest.fail("the work began"))
    assert mistake(run("generate", "x.mid", *MODEL)) == "composer: x.mid: cannot be written (Permission denied)."


def test_a_disk_that_fills_up_leaves_no_half_file(run, here, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    assert "No space left on device" in mistake(run("generate", "x.mid", *SOME))
    assert there(here) == []


def test_control_characters_of_a_file_name_are_not_printed(run, here):
    assert "\x1b" not in mistake(run("generate", "x.mid", "--model", "\x1b[31m.safetensors"))


# --- what nobody could foresee ----------------------------------------------------------------------------------------


def test_an_unexpected_error_is_one_sentence_unless_its_trace_is_asked_for(run, here, monkeypatch):
    def fail(_):
        raise RuntimeError("boom")

    monkeypatch.setattr("composer.generation.composer.open_model", fail)
    ran = run("generate", "x.mid", *MODEL)
    assert (ran.status, ran.err) == (
        1,
        "composer: unexpected RuntimeError: boom (`composer --traceback …` shows where).\n",
    )
    with pytest.raises(RuntimeError, match="boom"):
        run("--traceback", "generate", "x.mid", *MODEL)


def test_an_unexpected_error_names_the_plugin_that_it_came_from(run, here, monkeypatch):
    theirs = {"__name__": "composer_boom.inner"}
    exec("def fail(_):\n    raise RuntimeError('boom')", theirs)
    points = [*discovery.find(), EntryPoint("boom", "composer_boom", "composer")]
    monkeypatch.setattr(discovery, "find", lambda: points)
    monkeypatch.setattr("composer.generation.composer.open_model", theirs["fail"])
    said = run("generate", "x.mid", *MODEL).err
    assert "composer: unexpected RuntimeError in the plugin 'boom'" in said
    assert ": boom (in fail, line 2 of /<string>; `composer --traceback …` shows all)." in said


def test_control_c_stops_in_a_word(run, here, monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("composer.generation.composer.open_model", stop)
    ran = run("generate", "x.mid", *MODEL)
    assert (ran.status, ran.err.strip()) == (130, "composer: stopped.")


# --- train ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def music(here):
    """A folder of eight tunes, two in a folder of their own, and a broken one."""
    folder = here.parent / "music"
    (folder / "more").mkdir(parents=True)
    for number in range(8):
        path = folder / ("more" if number > 5 else ".") / f"{number}.mid"
        registry().make("exporters", ".mid")([Piece(walk(number))], path)
    (folder / "broken.mid").write_bytes(b"MThd")
    (folder / "notes.txt").write_text("not music")
    return folder


def test_a_folder_becomes_a_model_that_writes(run, here, music):
    ran = run("train", "folder:../music", "--out", "mine.safetensors", *SMALL)
    assert ran.status == 0
    assert "8 pieces kept" in ran.err
    assert "1 refused" in ran.err
    assert "broken.mid: " in ran.err
    assert ran.out.startswith("mine.safetensors: ")
    assert "nats per note" in ran.out
    card = load(here / "mine.safetensors").card
    assert (card["dataset"]["kept"], card["dataset"]["refused"]) == (8, 1)
    assert card["training"]["steps"] >= 6
    assert run("generate", "x.mid", "--model", "mine.safetensors", "--bars", 2).status == 0
    assert there(here) == ["mine.safetensors", "x.mid", "x.mid.json"]


@pytest.mark.parametrize(("asked", "stated"), [([], "not stated"), (["--licence", "CC BY 4.0"], "CC BY 4.0")], ids=str)
def test_the_card_states_the_licence_of_a_folder(run, here, music, asked, stated):
    assert run("train", "folder:../music", *asked, "--out", "mine.safetensors", *SMALL).status == 0
    assert stated in load(here / "mine.safetensors").card["licence"]


def test_a_run_that_fails_says_where_the_best_model_is_kept(run, here, music, monkeypatch):
    found = []

    def likelihood(*arguments):
        found.append(measured(*arguments))
        return replace(found[-1], nats=float("nan")) if len(found) == 2 else found[-1]

    from composer.training import loop

    measured = loop.compute_likelihood
    monkeypatch.setattr(loop, "compute_likelihood", likelihood)
    ran = run("train", "folder:../music", "--out", "mine.safetensors", *SMALL)
    assert ran.status == 1
    step = load(here / "mine.safetensors").card["training"]["best_step"]
    assert re.fullmatch(
        r"composer: the loss became NaN at step \d+; try a lower --learning-rate or --clip. "
        rf"The best model up to then, of step {step}, is kept in mine\.safetensors\.",
        ran.err.splitlines()[-1],
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["folder:../music", "--out", "x.pt"], "x.pt: a model file ends in .safetensors."),
        (["folder:../music", "--out", "nowhere/x.safetensors"], "there is no folder nowhere."),
        (["folder:../music", "--out", "a.safetensors"], "a.safetensors: is a folder."),
        (["folder:../music"], "Missing option '--out'"),
        (["folder:../music", "--out", "x.safetensors", "--architecture", "lsmt"], "did you mean 'lstm'?"),
        (["folder:../music", "--out", "x.safetensors", "--tokenizer", "rmi"], "did you mean 'remi'?"),
        (["folder:../music", "--out", "x.safetensors", "--hidden-size", "0"], "must be at least 1"),
        (["folder:../music", "--out", "x.safetensors", "--dropout", "lots"], "which is not float"),
        (["folder:../music", "--out", "x.safetensors", "--steps", "0"], "must be at least 1"),
        (["folder:../music", "--out", "x.safetensors", "--precision", "half"], "unknown precision 'half'"),
        (["folder:../music", "--out", "x.safetensors", "--hiden-size", "3"], "No such option"),
        (
            ["folder:../music", "--out", "x.safetensors", "--names", "a,b"],
            "--names is not an option of folder, remi, lstm",
        ),
        (
            ["folder:../music", "--out", "x.safetensors", "--run", "../music/1.mid"],
            "1.mid: is a file; a run needs a folder.",
        ),
        (["folder:nowhere", "--out", "x.safetensors"], "nowhere: there is no such folder"),
        (["folder:.", "--out", "x.safetensors"], "contains no music files"),
        (["folder", "--out", "x.safetensors"], "dataset 'folder' needs the option 'path'."),
        (["chorals", "--out", "x.safetensors"], "did you mean 'chorales'?"),
        (["chorales:x", "--out", "x.safetensors"], "the dataset 'chorales' takes nothing after a colon."),
        (["folder:../few", "--out", "x.safetensors"], "at least 3 are needed"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_a_mistake_in_train_is_one_sentence_and_writes_nothing(run, here, music, arguments, said):
    (here / "a.safetensors").mkdir()
    (here.parent / "few").mkdir()
    shutil.copy(music / "1.mid", here.parent / "few")
    assert said in mistake(run("train", *arguments))
    assert there(here) == ["a.safetensors"]


# --- evaluate ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def mine(run, here, music):
    """A model of the folder of music."""
    assert run("train", "folder:../music", "--out", "mine.safetensors", *SMALL, "--device", "cpu").status == 0
    return load(here / "mine.safetensors")


EVALUATE = ["evaluate", "mine.safetensors", "folder:../music", "--device", "cpu"]


def test_an_evaluation_finds_what_the_card_of_a_model_says(run, mine):
    ran = run(*EVALUATE, "--json")
    assert ran.status == 0
    found = json.loads(ran.out)
    assert sum(found.pop("nats_per_note_by_kind").values()) == pytest.approx(found["nats_per_note"], abs=1e-3)
    assert found == mine.card["test"]
    assert set(mine.card["test"]) == {"nats_per_note", "nats_per_beat", "pieces", "notes", "tokens", "masked"}
    assert "8 pieces kept" in ran.err
    assert "broken.mid: " in ran.err


def test_an_evaluation_is_shown_as_a_table(run, mine):
    shown = run(*EVALUATE).out
    test = mine.card["test"]
    rows = [line.split() for line in shown.splitlines()]
    assert rows[0] == ["Likelihood", "of", "the", "test", "split"]
    assert ["pieces", *[str(test["pieces"])] * 2] in rows
    assert ["notes", *[str(test["notes"])] * 2] in rows
    for unit in ("note", "beat"):
        plain, masked = (f"{found[f'nats_per_{unit}']:.3f}" for found in (test, test["masked"]))
        assert ["nats", "per", unit, plain, masked] in rows
    assert "frame" not in shown


def test_any_split_is_evaluated(run, mine):
    sides = {side: json.loads(run(*EVALUATE, "--json", "--split", side).out) for side in ("train", "valid", "test")}
    assert sum(found["pieces"] for found in sides.values()) == 8
    assert len({found["nats_per_note"] for found in sides.values()}) == 3


def test_an_evaluation_tells_nats_per_frame_where_the_tokenizer_writes_frames(run, mine, monkeypatch):
    from composer_remi.tokenizer import Remi

    def frames(_, tokens):
        return np.where(tokens == 1, -1, np.arange(len(tokens)) // 5)

    monkeypatch.setattr(Remi, "assign_frames", frames, raising=False)
    found = json.loads(run(*EVALUATE, "--json").out)
    assert 0 < found["frames"] == found["masked"]["frames"] <= found["tokens"] / 5
    assert found["masked"]["nats_per_frame"] < found["nats_per_frame"]
    [line] = [line for line in run(*EVALUATE).out.splitlines() if "nats per frame" in line]
    assert line.split()[-2] == f"{found['nats_per_frame']:.3f}"


def test_piano_rolls_are_trained_on_and_evaluated_on_the_sides_of_their_file(run, here):
    save_rolls("rolls.mat", *([tune_roll(10 * side + n) for n in range(count)] for side, count in enumerate((5, 1, 2))))
    eighths = ["--frames-per-quarter", 2]
    assert run("train", "piano-rolls:rolls.mat", *eighths, "--out", "mine.safetensors", *SMALL).status == 0
    evaluate = ["evaluate", "mine.safetensors", "piano-rolls:rolls.mat", "--json", "--device", "cpu"]
    ran = run(*evaluate)  # its frames are eighths, as they were in training
    assert "8 pieces kept (5 train, 1 valid, 2 test), 0 refused." in ran.err
    card = load(here / "mine.safetensors").card
    found = json.loads(ran.out)
    assert found == json.loads(run(*evaluate, *eighths).out)
    del found["nats_per_note_by_kind"]
    assert found == card["test"]
    assert json.loads(run(*evaluate, "--frames-per-quarter", 1).out)["frames"] > card["test"]["frames"]
    assert card["test"]["pieces"] == 2
    assert "not stated" in card["licence"]


def test_chorales_at_16ths_have_their_likelihood_by_voice_and_16th(run, here):
    save_chorales("chorales.json", 5, 1, 2)
    assert run("train", "jsb16:chorales.json", "--out", "mine.safetensors", *SMALL, "--device", "cpu").status == 0
    evaluate = ["evaluate", "mine.safetensors", "jsb16:chorales.json", "--device", "cpu"]
    found = json.loads(run(*evaluate, "--json").out)
    del found["nats_per_note_by_kind"]
    assert found == load(here / "mine.safetensors").card["test"]
    assert (found["unit"], found["units"]) == ("voice and 16th", 4 * 2 * 48)
    shown = run(*evaluate).out
    plain, masked = (f"{figures['nats_per_unit']:.3f}" for figures in (found, found["masked"]))
    [line] = [line for line in shown.splitlines() if "nats per voice and 16th" in line]
    assert line.split()[-2:] == [plain, masked]


WALKS = "../walks.safetensors"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chorale", "folder:../music"], "unknown model 'chorale'"),
        (["none.safetensors", "folder:../music"], "none.safetensors: no such file."),
        (["../music/1.mid", "folder:../music"], "unknown model '../music/1.mid'"),
        ([WALKS, "chorals"], "did you mean 'chorales'?"),
        ([WALKS, "folder:nowhere"], "nowhere: there is no such folder"),
        ([WALKS, "folder"], "dataset 'folder' needs the option 'path'."),
        ([WALKS, "folder:../few"], "at least 3 are needed"),
        ([WALKS, "piano-rolls:none.mat"], "none.mat: no such file; give a .mat file of piano rolls."),
        ([WALKS, "piano-rolls:../music/1.mid"], "1.mid: is not a MATLAB file"),
        ([WALKS, "piano-rolls:low.mat"], "no piece of piano-rolls:low.mat can be used. Refused: train/0001: "),
        ([WALKS, "piano-rolls:low.mat", "--frames-per-quarter", "7"], "frames_per_quarter must divide 480"),
        ([WALKS, "folder:../music", "--frames-per-quarter", "2"], "--frames-per-quarter is not an option of folder"),
        ([WALKS, "folder:../music", "--hidden-size", "3"], "No such option"),
        ([WALKS, "folder:../music", "--split", "all"], "Invalid value for '--split'"),
        ([WALKS, "folder:../music", "--device", "abacus"], "there is no device 'abacus' here"),
        ([WALKS], "Missing argument 'DATASET'"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_a_mistake_in_evaluate_is_one_sentence(run, here, music, arguments, said):
    (here.parent / "few").mkdir()
    shutil.copy(music / "1.mid", here.parent / "few")
    save_rolls("low.mat", *([roll((21, 22), (23,))] for _ in range(3)))  # lower than the model has tokens for
    assert said in mistake(run("evaluate", *arguments))
    assert there(here) == ["low.mat"]


# --- tables -----------------------------------------------------------------------------------------------------------


def test_plugins_datasets_and_models_are_listed(run):
    shown = {name: run(name) for name in ("plugins", "datasets", "models")}
    assert {ran.status for ran in shown.values()} == {0}
    assert all(kind in shown["plugins"].out for kind in KINDS)
    left_out = [line for line in shown["plugins"].out.splitlines() if "left out:" in line]
    assert all("it needs" in line for line in left_out)  # a library of an extra
    assert "folder:PATH" in shown["datasets"].out
    assert all(name in shown["models"].out for name in registry().list_names("models"))


def test_a_model_that_cannot_be_had_does_not_hide_the_others(run, monkeypatch):
    def fail():
        raise RuntimeError("no network")

    plugin = Plugin("far", "far", "1")
    found = registry()
    offers = {**found.offers, "models": {"far": Offer("models", "far", fail, plugin), **found.offers["models"]}}
    crowded = replace(found, offers=offers)
    monkeypatch.setattr("composer.cli.models.registry", lambda: crowded)
    monkeypatch.setattr("composer.model.registry", lambda: crowded)
    shown = run("models")
    assert shown.status == 0
    assert "no network" in shown.out
    assert "chorales" in shown.out


def test_the_card_of_a_model_is_shown(run, here):
    shown = run("models", "show", "../walks.safetensors").out
    for words in (["title", "lstm on Random walks"], ["hidden_size", "16"], ["licence", "CC0-1.0"], ["nats_per_note"]):
        assert any(all(word in line for word in words) for line in shown.splitlines()), words


def test_the_card_of_a_model_is_shown_as_json(run, here):
    card = json.loads(run("models", "show", "../walks.safetensors", "--json").out)
    assert card["title"] == "lstm on Random walks"
    assert card["architecture"]["lstm"]["hidden_size"] == 16


def test_a_card_cannot_write_to_the_terminal(run, here, player):
    evil = {"title": "\x1b[2Jgone", "\x1b]0;": {"a": ["\x07"]}, "licence": "x" * 10_000}
    save(replace(player.model, card=evil), here / "evil.safetensors")
    shown = run("models", "show", "evil.safetensors")
    assert shown.status == 0
    assert not {"\x1b", "\x07"} & set(shown.out)
    assert len(shown.out) < 3000


@pytest.mark.parametrize("table", [7, "much", [1], {"title": 3}, {"title": "t", "figures": [{"name": "x"}]}], ids=str)
def test_a_card_with_a_broken_table_is_refused_in_a_sentence(run, here, player, table):
    save(replace(player.model, card={"listening": table}), here / "odd.safetensors")
    ran = run("models", "show", "odd.safetensors")
    assert ran.status == 2
    assert ran.err.startswith("composer: ")
    assert len(ran.err.splitlines()) == 1


def test_the_cache_is_shown_and_cleared(run, here, music, monkeypatch):
    cache = here.parent / "cache"
    monkeypatch.setenv("COMPOSER_CACHE", str(cache))
    assert run("cache").out == f"{cache / 'corpora'}: 0.0 MB\n"
    assert run("train", "folder:../music", "--out", "mine.safetensors", *SMALL).status == 0
    assert len(list((cache / "corpora").iterdir())) == 1
    assert run("cache", "clear").status == 0
    assert not (cache / "corpora").exists()
    assert run("cache", "clear").status == 0
