"""Events: every plugin that answers one is told, in pluggy's order, and none can change or stop anything."""

import json
import os
import re
import shutil
import subprocess
import sys
import types
import warnings
from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from walks import Walks

import composer
from composer.errors import RunWarning
from composer.plugins import cache, events
from composer.plugins.discovery import find
from composer.plugins.hooks import EVENTS
from composer.plugins.offers import load, read_plugin
from composer.plugins.registry import registry
from composer.testing import BrokenRule, check_event, list_cases
from composer.training.loop import Settings
from composer.training.recipes import Recipe
from composer.training.train import train_recipe

HEARD = []


@pytest.fixture
def module(monkeypatch):
    """A module of this source, with `heard`, a list that tests read."""
    HEARD.clear()

    def make(name, text):
        made = types.ModuleType(f"module_of_{name}")
        monkeypatch.setitem(sys.modules, made.__name__, made)
        made.heard = HEARD
        exec("from composer import hookimpl\n" + text, made.__dict__)
        return made

    return make


@pytest.fixture
def install(module, monkeypatch):
    """Install plugins, by name and source, beside those that are there."""

    def put(**sources):
        points = [EntryPoint(name, module(name, text).__name__, "composer") for name, text in sources.items()]
        there, mine = registry(), load(points)
        answering = {event: (*there.answering[event], *mine.answering[event]) for event in there.answering}
        both = replace(there, plugins=(*there.plugins, *mine.plugins), answering=answering)
        monkeypatch.setattr("composer.plugins.registry._build_registry", lambda _: both)
        monkeypatch.setattr(events, "_silenced", set())
        return mine

    return put


@pytest.fixture
def here(tmp_path, monkeypatch, model_file):
    shutil.copy(model_file, tmp_path / "walks.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


NOTE = "@hookimpl\ndef piece_written(paths, piece):\n    heard.append(([path.name for path in paths], piece))\n"
MODEL = ("--model", "walks.safetensors", "--bars", 1)


AROUND = "@hookimpl(wrapper=True)"


# --- order ------------------------------------------------------------------------------------------------------------


def test_plugins_are_called_in_pluggys_order_each_with_the_arguments_that_it_names(install):
    install(
        first="@hookimpl\ndef batch_finished(folder): heard.append(('first', folder))",
        last="@hookimpl(trylast=True)\ndef batch_finished(): heard.append('last')",
        around=f"{AROUND}\ndef batch_finished(counts):\n heard.append(counts)\n yield\n heard.append('end')",
        second="@hookimpl(specname='batch_finished')\ndef any_name(): heard.append('second')",
        early="@hookimpl(tryfirst=True)\ndef batch_finished(): heard.append('early')",
        old="@hookimpl(hookwrapper=True)\ndef batch_finished():\n heard.append(0)\n yield\n heard.append('old end')",
    )
    events.tell("batch_finished", folder="out", counts={"done": 1})
    assert HEARD == [0, {"done": 1}, "early", "second", ("first", "out"), "last", "end", "old end"]
    ours = events.list_answering("batch_finished")
    assert [name for name in ours if name != "journal"] == ["old", "around", "early", "second", "first", "last"]


# --- nothing is harmed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("@hookimpl\ndef piece_written(): 1 / 0", "ZeroDivisionError: division by zero."),
        ("@hookimpl\ndef piece_written(): raise SystemExit(3)", "SystemExit: 3."),
        ("@hookimpl(wrapper=True)\ndef piece_written():\n yield\n 1 / 0", "ZeroDivisionError: division by zero."),
        ("@hookimpl(wrapper=True)\ndef piece_written():\n 1 / 0\n yield", "ZeroDivisionError: division by zero."),
        ("@hookimpl(wrapper=True)\ndef piece_written():\n yield\n yield", "RuntimeError: a wrapper has one yield."),
        (
            "from composer import ComposerError as E\n@hookimpl\ndef piece_written(): raise E('no ink is left.')",
            "no ink is left.",
        ),
    ],
)
def test_one_that_raises_is_named_in_one_line_once_and_the_others_are_told(install, run, here, text, told):
    install(broken=text, good=NOTE)
    with warnings.catch_warnings(record=True) as caught:
        ran = run("generate", "out/", "--count", 3, "--seed", 1, *MODEL)
    assert (ran.status, len(ran.out.splitlines()), len(HEARD)) == (0, 3, 3)
    said = f"the plugin 'broken' (?) failed at piece_written, and is told no more: {told}"
    assert [str(one.message) for one in caught if one.category is RunWarning] == [said]


def test_what_answers_print_goes_to_stderr_and_so_does_what_their_programs_print(install, here):
    source = (
        "import subprocess, sys\nfrom composer import hookimpl\n@hookimpl\ndef batch_finished():\n"
        " print('from Python')\n subprocess.run([sys.executable, '-c', 'print(\"from a program\")'])\n"
    )
    (here / "loud.py").write_text(source)
    (here / "loud-1.0.dist-info").mkdir()
    (here / "loud-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n")
    (here / "loud-1.0.dist-info/entry_points.txt").write_text("[composer]\nloud = loud\n")
    code = (
        "import sys; sys.path.insert(0, '.'); from composer.plugins.events import tell; print('before'); "
        "tell('batch_finished', folder='.', counts={}); print('after')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["before", "after"]
    assert set(done.stderr.splitlines()) == {"from Python", "from a program"}


def test_an_answer_that_changes_its_piece_changes_no_other(install, player, tmp_path):
    spoil = (
        "@hookimpl\ndef piece_written(piece):\n piece.score.tracks[0].notes['pitch'] = 0\n piece.provenance.clear()\n"
    )
    piece = player.generate(bars=1, seed=1)
    piece.write(tmp_path / "before.mid")
    install(spoiling=spoil + " heard.append(piece)")
    piece.write(tmp_path / "after.mid")
    assert len(HEARD) == 1
    assert piece.score.tracks[0].notes["pitch"].all()
    assert (tmp_path / "after.mid").read_bytes() == (tmp_path / "before.mid").read_bytes()


def test_what_an_answer_writes_is_no_event(install, player, tmp_path):
    more = "@hookimpl\ndef piece_written(paths, piece):\n heard.append(1)\n piece.write(paths[0].with_suffix('.abc'))\n"
    install(writing=more)
    player.generate(bars=1, seed=1).write(tmp_path / "x.mid")
    assert HEARD == [1]
    assert (tmp_path / "x.abc").exists()


# --- pieces -----------------------------------------------------------------------------------------------------------


def test_each_piece_that_is_written_is_told_once_with_all_its_files_and_its_provenance(install, run, here, player):
    install(noting=NOTE)
    assert run("generate", "a.mid", "a.abc", "--seed", 4, "--title", "First", *MODEL).status == 0
    assert run("export", "a.mid", "b.musicxml").status == 0
    made = player.generate(bars=1, seed=5)
    composer.write([made, made], here / "both.html")
    made.to_bytes(".mid")  # goes to nobody's file
    assert [names for names, _ in HEARD] == [["a.mid", "a.abc"], ["b.musicxml"], ["both.html"], ["both.html"]]
    first, again, *_ = [piece for _, piece in HEARD]
    assert (first.title, first.provenance["request"]["seed"]) == ("First", 4)
    assert again.provenance["request"]["seed"] == 4


JOBS = '[[job]]\nmodel = "walks.safetensors"\ncount = 6\nbars = 1\nseed = 1\ntitle = "Six"\nkeep = "best 4 by rules"\n'
BATCH = "@hookimpl\ndef batch_finished(folder, counts): heard.append((folder.name, counts))\n"


def test_a_resumed_batch_tells_of_each_piece_once_and_of_its_end(install, here):
    from composer_batch.jobfile import read
    from composer_batch.jobs import expand_grids
    from composer_batch.plan import make_plan
    from composer_batch.scheduler import Settings, run

    (here / "jobs.toml").write_text(JOBS.replace('keep = "best 4 by rules"\n', ""))
    cells = make_plan(expand_grids(read(here / "jobs.toml")))
    install(noting=NOTE, ending=BATCH)

    def stop(progress):
        if progress.made >= 2:
            raise KeyboardInterrupt

    place = registry().make("executors", "here", beside=0)
    with pytest.raises(KeyboardInterrupt):
        run(here / "out", cells, place, Settings(chunk=2), stop)
    assert len(HEARD) == 2
    run(here / "out", None, place, Settings(chunk=2))
    *pieces, end = HEARD
    assert sorted(names for names, _ in pieces) == [[f"00000{n}.mid"] for n in range(6)]
    assert {piece.title for _, piece in pieces} == {"Six"}
    assert end == ("out", {"done": 6})


def test_pieces_that_a_batch_does_not_keep_are_told_only_while_they_are_there(install, run, here):
    (here / "jobs.toml").write_text(JOBS)
    install(noting=NOTE, ending=BATCH)
    assert run("batch", "jobs.toml", "--out", "out", "--executor", "here", "--quiet").status == 0
    *pieces, end = HEARD
    assert sorted(names[0] for names, _ in pieces) == sorted(path.name for path in (here / "out").rglob("*.mid"))
    assert end == ("out", {"done": 4, "passed over": 2})


# --- trainings --------------------------------------------------------------------------------------------------------

SETTINGS = Settings(steps=8, evaluations=2, batch_size=4, chunk=32, device="cpu", precision="float32")
MEDDLE = """
import torch
@hookimpl
def run_started(run):
    heard.append((run.progress.step, None, run.seed))
    torch.manual_seed(1)
@hookimpl
def validated(run):
    torch.rand(3), torch.set_grad_enabled(False)
    for array in run.model().weights.values():
        array[:] = 0
    heard.append((run.progress.step, run.progress.valid, run.seed))
"""


def test_a_training_tells_of_its_start_and_its_validations_and_reaches_the_same_weights(
    install, corpus, tokenizer, tmp_path
):
    gru = registry().make("architectures", "gru", hidden_size=8, layers=1, embedding_size=8, dropout=0.2)
    recipe = Recipe(Walks(), "voices", tokenizer, "gru", gru, SETTINGS)
    alone = train_recipe(recipe, corpus, tmp_path / "alone.safetensors")
    install(meddling=MEDDLE)
    found = train_recipe(recipe, corpus, tmp_path / "told.safetensors")
    assert [step for step, *_ in HEARD] == [0, 4, 8]
    assert HEARD[0][1:] == (None, 0)
    assert all(valid > 0 for _, valid, _ in HEARD[1:])
    assert all(np.array_equal(found.weights[name], array) for name, array in alone.weights.items())


# --- who is told ------------------------------------------------------------------------------------------------------


def test_what_a_plugin_answers_is_cached_and_only_those_that_answer_are_imported():
    (journal,) = [point for point in find() if point.name == "journal"]
    cache.keep({journal: read_plugin(journal)})
    assert cache.recall([journal])[journal].plugin.events == EVENTS
    code = (
        "import sys; from composer.cli import run; run(['models']); "
        "print([name for name in sys.modules if name.startswith('composer_journal')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_doctor_and_show_name_those_that_answer(run, monkeypatch):
    few = [point for point in find() if point.name == "journal"]
    monkeypatch.setattr("composer.plugins.doctor.find", lambda: few)
    assert "piece_written is answered by journal." in run("plugins", "doctor").out
    shown = run("plugins", "show", "journal").out
    assert "COMPOSER_JOURNAL=" in shown
    assert "    batch_finished " in shown
    assert "answers: piece_written, run_started, validated, batch_finished" in run("plugins").out


def test_the_journal_keeps_the_contract(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPOSER_JOURNAL", str(tmp_path / "journal.jsonl"))
    cases = [case for case in list_cases("journal") if case.name.startswith("event ")]
    assert [case.name for case in cases] == [f"event journal: {event}" for event in EVENTS]
    for case in cases:
        case.run()
    assert {line["event"] for line in lines(tmp_path / "journal.jsonl")} == {"piece", "run", "validation", "batch"}


# --- the journal ------------------------------------------------------------------------------------------------------


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_journal_has_a_line_for_each_piece_with_the_command_that_makes_it_again(run, here, monkeypatch):
    monkeypatch.setenv("COMPOSER_JOURNAL", "journal.jsonl")
    assert run("generate", "a b.mid", "--seed", 4, *MODEL).status == 0
    assert run("export", "a b.mid", "b.abc").status == 0
    made, read = lines(here / "journal.jsonl")
    assert (made["event"], made["files"], made["seed"]) == ("piece", [str(here / "a b.mid")], 4)
    assert made["model"] == "walks.safetensors"
    words = made["command"].replace("'", "").partition(" regenerate ")[2]
    assert words == f"{here}/a b.mid {here}/a b-again.mid"
    assert run("regenerate", here / "a b.mid", here / "a b-again.mid").status == 0
    assert (here / "a b-again.mid").read_bytes() == (here / "a b.mid").read_bytes()
    (here / "kept.json").write_text(json.dumps(made["provenance"]))
    assert run("regenerate", "kept.json", "from-the-journal.mid").status == 0
    assert (here / "from-the-journal.mid").read_bytes() == (here / "a b.mid").read_bytes()
    assert read["files"] == [str(here / "b.abc")]


def test_the_journal_has_lines_for_runs_and_batches_of_any_executor(run, here, monkeypatch, corpus, tokenizer, lstm):
    monkeypatch.setenv("COMPOSER_JOURNAL", "journal.jsonl")
    (here / "jobs.toml").write_text(JOBS)
    place = ("--executor", "pool", "--executor-option", "workers=2")
    assert run("batch", "jobs.toml", "--out", "out", *place, "--quiet").status == 0
    train_recipe(Recipe(Walks(), "voices", tokenizer, "lstm", lstm, SETTINGS), corpus, here / "new.safetensors")
    found = lines(here / "journal.jsonl")
    kinds = [line["event"] for line in found]
    assert kinds == ["piece"] * kinds.count("piece") + ["batch", "run", "validation", "validation"]
    assert len({line["files"][0] for line in found if "files" in line}) == kinds.count("piece") >= 4
    assert found[-4]["pieces"] == {"done": 4, "passed over": 2}
    assert [line.get("step") for line in found[-3:]] == [0, 4, 8]
    assert found[-1]["best"] <= found[-2]["valid"]


def test_the_command_shows_the_last_lines(run, here, monkeypatch):
    assert "there is no journal; set COMPOSER_JOURNAL" in run("journal").err
    assert "no.jsonl: cannot be read" in run("journal", "no.jsonl").err
    monkeypatch.setenv("COMPOSER_JOURNAL", "journal.jsonl")
    for seed in (4, 5, 6):
        assert run("generate", f"{seed}.mid", "--seed", seed, *MODEL).status == 0
    with (here / "journal.jsonl").open("a") as file:
        file.write('{"event": "batch", "pieces": {"done": 2}, "folder": "out"}\n[]\n{"ev')
    shown = run("journal", "--last", 3).out
    assert "4.mid" not in shown
    for words in (f"{here}/5.mid", "seed 6", "2 done"):
        assert words in shown
    kept = [json.loads(line) for line in run("journal", "--json").out.splitlines()]
    assert kept[0]["provenance"]["request"]["seed"] == 4


ADD = """
from composer_journal.file import add_line
for n in range(300):
    add_line("j", "x", {"of": "NAME", "text": "ä" * n})
"""


def test_processes_that_share_a_journal_write_whole_lines_after_one_that_was_cut_short(here):
    (here / "j").write_text('{"event": "cut sh')
    begun = [subprocess.Popen([sys.executable, "-c", ADD.replace("NAME", name)]) for name in "abc"]
    assert [process.wait() for process in begun] == [0, 0, 0]
    from composer_journal.file import read_lines

    found = list(read_lines(here / "j"))
    assert [sum(line["of"] == name for line in found) for name in "abc"] == [300] * 3


@pytest.mark.parametrize("kind", ["folder", "pipe", "nowhere"])
def test_a_journal_that_cannot_be_written_is_one_warning(run, here, monkeypatch, kind):
    (here / "folder").mkdir()
    os.mkfifo(here / "pipe")
    monkeypatch.setattr(events, "_silenced", set())
    monkeypatch.setenv("COMPOSER_JOURNAL", str(here / {"nowhere": "no/j"}.get(kind, kind)))
    with pytest.warns(RunWarning, match=r"the plugin 'journal' .* the journal cannot be written") as caught:
        assert run("generate", "out/", "--count", 2, "--seed", 1, *MODEL).status == 0
    assert len(caught) == 1


def test_a_file_that_is_no_journal_stays_as_it_is(run, here, monkeypatch):
    for name in ("a.mid", "a.mid.json"):
        monkeypatch.setattr(events, "_silenced", set())
        monkeypatch.setenv("COMPOSER_JOURNAL", name)
        with pytest.warns(RunWarning, match=r"the journal cannot be written \(it holds something else\)"):
            assert run("generate", "a.mid", "--seed", 4, "--force", *MODEL).status == 0
        assert b'"event"' not in (here / name).read_bytes()


def test_a_damaged_text_in_a_journal_is_printed(run, here):
    (here / "j").write_text('{"event": "piece", "title": "\\ud800"}\n')
    assert json.loads(run("journal", "j", "--json").out) == {"event": "piece", "title": "?"}


def test_without_it_there_is_no_journal(run, here, monkeypatch):
    monkeypatch.setenv("COMPOSER_JOURNAL", "journal.jsonl")
    assert run("--without", "journal", "generate", "a.mid", "--seed", 4, *MODEL).status == 0
    assert not (here / "journal.jsonl").exists()


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "@hookimpl\ndef piece_writen(): 0",
            "piece_writen is not a hook, and is left out: did you mean 'piece_written'?",
        ),
        ("def piece_written(): 0", "piece_written is not called without @hookimpl; write it above"),
        ("@hookimpl\ndef piece_written(path): 0", "has no argument 'path': did you mean 'paths'?"),
        ("@hookimpl\ndef piece_written(piece=None): 0", "it is not given 'piece', which has a default"),
        ("@hookimpl\ndef piece_written(*, piece): 0", "it is not given 'piece' after a star"),
        ("@hookimpl\ndef piece_written(): yield", "with a yield it does nothing, unless it is a wrapper"),
        ("@hookimpl(wrapper=True)\ndef piece_written(): 0", "a wrapper has one yield"),
        ("@hookimpl\nasync def piece_written(): 0", "it is async, and nobody would wait for it"),
        ("@hookimpl\ndef register_rules(folder): return {}", "it takes no arguments, and here 'folder'"),
    ],
)
def test_a_hook_with_a_mistake_is_left_out_alone(module, text, told):
    good = "\n@hookimpl\ndef validated(run): 0\n"
    (plugin,) = load([EntryPoint("mine", module("mine", text + good).__name__, "composer")]).plugins
    assert (plugin.fault, plugin.events) == ("", ("validated",))
    assert told in plugin.notes[0].text
    assert not plugin.notes[0].text.endswith(".")  # whoever shows it ends the sentence


FAULTS = {
    "piece.score.tracks[0].notes": "an answer raises nothing; piece_written raised IndexError",
    "piece.provenance['seen'] = True": "an answer changes none of its arguments; piece_written changed 'piece'",
    "paths[0].write_bytes(b'')": "an answer changes none of its arguments; piece_written changed 'paths'",
    "time.sleep(0.3)": "an answer takes 0.25 seconds at most",
    "os.chdir('/')": "an answer leaves the working folder as it is",
    "raise SystemExit": "an answer raises nothing; piece_written raised SystemExit",
}


@pytest.mark.parametrize(("fault", "rule"), FAULTS.items())
def test_an_answer_with_a_fault(module, here, fault, rule):
    made = module("faulty", f"import os, time\n@hookimpl\ndef piece_written(paths, piece):\n {fault}\n")
    with pytest.raises(BrokenRule, match=re.escape(rule)):
        check_event("piece_written", made, here)


def test_an_answer_that_changes_counts_or_the_music_of_a_run(module, tmp_path):
    counting = module("counting", "@hookimpl\ndef batch_finished(counts): counts.pop('done')")
    with pytest.raises(BrokenRule, match="changed 'counts'"):
        check_event("batch_finished", counting, tmp_path)
    altering = module("altering", "@hookimpl\ndef validated(run): run.corpus.offsets[0] = 1")
    with pytest.raises(BrokenRule, match="changed 'run'"):
        check_event("validated", altering, tmp_path)
