"""Folders from strangers: what stands in them writes nothing outside, deletes nothing, and ends in one sentence."""

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from trees import tree

QUIET = ("--executor", "here", "--quiet")


def refused(ran):
    assert ran.status in (1, 2)
    (line,) = ran.err.splitlines()
    assert line.startswith("composer: ")
    assert "unexpected" not in line
    return line


# --- a batch ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made_once(model_file, tmp_path_factory):
    """The folder of a small batch."""
    from composer import cli

    here = tmp_path_factory.mktemp("made")
    (here / "walks.safetensors").write_bytes(model_file.read_bytes())
    model = json.dumps(str(here / "walks.safetensors"))
    (here / "jobs.toml").write_text(f"[[job]]\nmodel = {model}\nbars = 1\ncount = 3\nfile = '{{index}}'\n")
    assert cli.run(["batch", str(here / "jobs.toml"), "--out", str(here / "batch"), *QUIET]) == 0
    return here / "batch"


@pytest.fixture
def batch(made_once, tmp_path):
    """A copy of it, beside something of the user's."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/0.mid").write_bytes(b"mine")
    (tmp_path / "mine/notes.txt").write_text("mine")
    return shutil.copytree(made_once, tmp_path / "batch")


def altered(batch, statement, *values):
    connection = sqlite3.connect(batch / "catalogue.sqlite")
    with connection:
        connection.execute(statement, values)
    connection.close()


def with_cell(batch, **changes):
    """Another cell in the catalogue, whose pieces are all to be made."""
    connection = sqlite3.connect(batch / "catalogue.sqlite")
    (text,) = connection.execute("SELECT plain FROM cells").fetchone()
    connection.close()
    altered(batch, "UPDATE cells SET plain = ?", json.dumps({**json.loads(text), **changes}))
    altered(batch, "UPDATE pieces SET state = 'waiting'")


def linked(batch, name, aim):
    path = batch / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(batch.parent / aim)


def hot_journal(batch, names):
    """A journal that was left by a killed program, and says that it belongs to another file."""
    about = (batch / "catalogue.sqlite").stat()
    head = bytes.fromhex("d9d505f920a163d7") + bytes(8) + (1).to_bytes(4, "big")
    head += (512).to_bytes(4, "big") + (4096).to_bytes(4, "big")
    aim = str(batch.parent / names).encode()
    tail = aim + len(aim).to_bytes(4, "big") + sum(aim).to_bytes(4, "big") + head[:8]
    (batch / "catalogue.sqlite-journal").write_bytes(head.ljust(512, b"\0") + bytes(4) + tail)
    assert about.st_size


ATTACKS = {
    "a pattern that leads out": (
        lambda b: with_cell(b, file="../PWN{index}"),
        "contains a character that no file name may have",
    ),
    "an absolute pattern": (
        lambda b: with_cell(b, file=f"{b.parent}/PWN"),
        "contains a character that no file name may have",
    ),
    "a folder as a name": (lambda b: with_cell(b, file=".."), "invalid file name"),
    "a format that leads out": (
        lambda b: with_cell(b, formats=["/../../PWN.mid"]),
        "a job has an invalid 'formats'",
    ),
    "a field that leads out": (lambda b: with_cell(b, file="{seed}{index}", fields={"seed": "../../PWN"}), ""),
    "a million bars": (lambda b: with_cell(b, asked={"request": {"bars": 10**6}}), "asks for more than a batch allows"),
    "a stem that leads out": (
        lambda b: altered(b, "UPDATE pieces SET state = 'dropping', stem = '../mine/0'"),
        "a piece has an invalid 'stem'",
    ),
    "a suffix that leads out": (
        lambda b: altered(b, "UPDATE pieces SET state = 'dropping', files = '{\"/../../../mine/0.mid\": [\"\", 1]}'"),
        "a piece has an invalid 'files'",
    ),
    "a lock that is a link": (lambda b: linked(b, ".lock", "PWN"), ".lock: is a link"),
    "a lock that is a link to a file": (lambda b: linked(b, ".lock", "mine/notes.txt"), ".lock: is a link"),
    "pieces in a linked folder": (
        lambda b: (linked(b, "0000", "mine"), altered(b, "UPDATE pieces SET state = 'dropping'")),
        "0000: is a link",
    ),
    "scratch in a linked folder": (
        lambda b: (linked(b, ".scratch", "mine"), altered(b, "UPDATE pieces SET state = 'waiting'")),
        ".scratch: is a link",
    ),
    "shards in a linked folder": (lambda b: linked(b, "shards", "mine"), "shards: is a link"),
    "a catalogue that is a link": (lambda b: linked(b, "catalogue.sqlite", "mine/notes.txt"), "catalogue.sqlite: is a"),
    "a journal that is a link": (lambda b: linked(b, "catalogue.sqlite-journal", "PWN"), "-journal: is a link"),
    "a journal that names a file": (lambda b: hot_journal(b, "mine/notes.txt"), "its journal names other files"),
    "a trigger": (
        lambda b: altered(b, "CREATE TRIGGER t AFTER INSERT ON about BEGIN DELETE FROM pieces; END"),
        "its tables are not those of a batch",
    ),
    "a view": (lambda b: altered(b, "CREATE VIEW v AS SELECT * FROM pieces"), "its tables are not those of a batch"),
    "a table less": (lambda b: altered(b, "DROP TABLE rejections"), "its tables are not those of a batch"),
    "another journal": (lambda b: altered(b, "PRAGMA journal_mode = WAL"), "no header of SQLite"),
    "another program's": (lambda b: _of_another(b), "its tables are not those of a batch"),
    "no database": (lambda b: (b / "catalogue.sqlite").write_bytes(b"x" * 5000), "no header of SQLite"),
    "pages in a circle": (lambda b: _circle(b), "its pages are damaged"),
    "a state of its own": (lambda b: altered(b, "UPDATE pieces SET state = 'x'"), "corrupt, or not a catalogue"),
    "a number below 0": (lambda b: altered(b, "UPDATE pieces SET state = 'waiting', number = -number - 1"), ""),
    "a job that is missing": (lambda b: altered(b, "UPDATE cells SET cell = 7"), "a job is missing"),
    "runs without number": (
        lambda b: altered(b, "UPDATE about SET value = ? WHERE key = 'runs'", "9" * 5000),
        "corrupt, or not a catalogue",
    ),
}


def _of_another(batch):
    (batch / "catalogue.sqlite").unlink()
    altered(batch, "CREATE TABLE bookmarks (url TEXT)")


def _circle(batch):
    """An inner page whose children are all the same page: a walk through them never ends."""
    path = batch / "catalogue.sqlite"
    rows = [(number, 0, "m", "h", 0, number, f"0000/{number}" + "x" * 400) for number in range(10, 3000)]
    connection = sqlite3.connect(path)
    with connection:
        connection.executemany(
            'INSERT INTO pieces (number, cell, model, model_hash, seed, "index", stem) VALUES (?, ?, ?, ?, ?, ?, ?)',
            rows,
        )
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'pieces'").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    data = bytearray(path.read_bytes())
    at = (root - 1) * size
    assert data[at] == 5  # an inner page of a table
    first = int.from_bytes(data[at + 12 : at + 14], "big")
    child = data[at + first : at + first + 4]
    for cell in range(int.from_bytes(data[at + 3 : at + 5], "big")):
        place = int.from_bytes(data[at + 12 + 2 * cell : at + 14 + 2 * cell], "big")
        data[at + place : at + place + 4] = child
    path.write_bytes(data)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_batch_from_a_stranger_writes_nothing_outside_itself(run, batch, attack):
    do, said = ATTACKS[attack]
    do(batch)
    before = tree(batch.parent, batch)
    lines = [
        run("batch", "status", batch),
        run("batch", "retry", batch, "--failed", *QUIET),
        run("batch", "gallery", batch, batch / "best.html"),
    ]
    assert tree(batch.parent, batch) == before
    for ran in lines:
        assert ran.status == 0 or refused(ran)
    if said:
        assert any(said in ran.err for ran in lines), [ran.err for ran in lines]


def test_a_batch_that_was_not_altered_goes_on(run, batch):
    altered(batch, "UPDATE pieces SET state = 'waiting' WHERE number = 1")
    (batch / "0000/1.mid").unlink()
    assert run("batch", "retry", batch, *QUIET).status == 0
    assert (batch / "0000/1.mid").is_file()
    assert run("batch", "gallery", batch, batch / "best.html").status == 0


# --- a run ------------------------------------------------------------------------------------------------------------

SMALL = ["--architecture", "gru", "--hidden-size", 8, "--layers", 1, "--embedding-size", 8, "--chunk", 32]
STEPS = ["--steps", 24, "--evaluations", 4, "--device", "cpu", "--workers", 1]


@pytest.fixture
def trained(run, tunes, tmp_path, monkeypatch):
    """The folder of a training that did not come to its end, `mine` beside it."""
    monkeypatch.chdir(tmp_path)
    line = ["train", "folder:tunes", "--tokenizer", "voices", *SMALL, *STEPS, "--run", "trained"]
    assert run(*line, "--out", "x.safetensors").status == 0
    max((tmp_path / "trained").glob("step-*.checkpoint")).unlink()
    (tmp_path / "x.safetensors").unlink()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    (tmp_path / "mine/.composer-notes").write_text("mine")
    return tmp_path / "trained"


def rewritten(trained, key, value):
    """Another value in the recipe."""
    path, new = trained / "recipe.toml", f"{key} = {json.dumps(value)}"
    lines = [new if line.startswith(f"{key} = ") else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")


def piped(trained, name):
    (trained / name).unlink()
    os.mkfifo(trained / name)


RUNS = {
    "a place of its own for the model": (lambda t: rewritten(t, "out", str(t.parent / "mine/x.safetensors")), "would "),
    "a place above": (lambda t: rewritten(t, "out", "../x.safetensors"), "would write"),
    "another place to begin at": (lambda t: rewritten(t, "folder", str(t.parent / "mine")), "say with --out where"),
    "no seal": (lambda t: rewritten(t, "seal", ""), "was begun by somebody else"),
    "a course that is a link": (lambda t: linked(t, "metrics.jsonl", "mine/notes.txt"), "metrics.jsonl: is a link"),
    "samples in a linked folder": (lambda t: linked(t, "samples", "mine"), "samples: is a link"),
    "a board in a linked folder": (lambda t: linked(t, "tensorboard", "mine"), "tensorboard: is a link"),
    "a recipe that is a link": (lambda t: linked(t, "recipe.toml", "mine/notes.txt"), "recipe.toml: is a link"),
    "a pipe as its course": (lambda t: piped(t, "metrics.jsonl"), "is a named pipe"),
    "a pipe as its recipe": (lambda t: piped(t, "recipe.toml"), "contains no run"),
}


@pytest.mark.parametrize("attack", RUNS)
def test_a_run_from_a_stranger_writes_nothing_outside_itself(run, trained, attack):
    do, said = RUNS[attack]
    do(trained)
    before = tree(trained.parent, trained)
    ran = run("train", "--resume", trained, "--workers", 1)
    assert tree(trained.parent, trained) == before
    assert said in ran.err
    assert ran.status == 2
    assert "unexpected" not in ran.err


def test_a_run_of_somebody_else_goes_on_where_it_is_told_to_write(run, trained, monkeypatch, tmp_path):
    shutil.copytree(os.environ["COMPOSER_CACHE"], tmp_path / "theirs", symlinks=True)
    (tmp_path / "theirs/key").unlink()
    monkeypatch.setenv("COMPOSER_CACHE", str(tmp_path / "theirs"))
    line = ["train", "--resume", "trained", "--workers", 1]
    assert "say with --out where the model is to go." in refused(run(*line))
    monkeypatch.chdir(tmp_path / "mine")
    line = ["train", "--resume", "../trained", "--workers", 1, "--out", "here.safetensors"]
    assert run(*line).status == 0
    assert (tmp_path / "mine/here.safetensors").is_file()
    assert not (tmp_path / "x.safetensors").exists()


def test_a_model_in_the_folder_of_its_run_is_nobody_elses(run, trained):
    rewritten(trained, "out", str(trained / "own.safetensors"))
    assert run("train", "--resume", trained, "--workers", 1).status == 0
    assert (trained / "own.safetensors").is_file()


def test_the_key_of_a_user_is_read_by_nobody_else(run, trained):
    (key,) = Path(os.environ["COMPOSER_CACHE"]).glob("key")
    assert key.stat().st_mode & 0o077 == 0
    assert key.read_bytes().hex() not in (trained / "recipe.toml").read_text()


def test_a_checkpoint_of_another_run_is_none(run, trained):
    """It says that it is whole, and it is, but its arrays are of another network."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save as in_bytes

    from composer.training import checkpoints

    (path,) = trained.glob("step-*.checkpoint")
    with safe_open(path, framework="pt") as file:
        header, tensors = file.metadata()["run"], {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["average.head.bias"] = torch.zeros(3)
    path.write_bytes(in_bytes(tensors, {"run": header, "digest": checkpoints._hash_tensors(header, tensors)}))
    ran = run("train", "--resume", trained, "--workers", 1)
    assert (ran.status, ran.err.count("unexpected")) == (2, 0)
    assert "is not of this run ('average.head.bias' is another array than the architecture's)." in ran.err
