"""Folders that composer works in and that come from a stranger: of a batch, a run, a comparison, and a piece.

Each is made well, damaged with a cunning that knows what is in it, and then gone on with by the commands. What lies
beside it, all of the temporary tree, is the same before and after.
"""

import io
import json
import os
import shutil
import sqlite3
import warnings
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path

from filekinds import Kind, small_model, strangers
from mutations import as_json, damaged, damaged_text, damaged_value, value
from trees import tree
from walks import walk

from composer import cli
from composer.errors import ComposerError
from composer.model import save
from composer.plugins.registry import registry
from composer.training import checkpoints
from composer.types import Piece

ESCAPES = (
    "../PWN{index}",
    "/tmp/PWN{index}",
    "../../{index}",
    "..",
    "{index}/../../PWN",
    "a\\..\\b",
    ".",
    "{index}\x00",
)


class FolderKind(Kind):
    """A folder, `good` when it is made and `theirs` when it is damaged."""

    def begin(self):
        model = small_model()
        card = {**model.card, "ranking": {"nats_per_note": 1.0, "rules": {"notes per bar": [0, 100]}}}
        save(replace(model, card=card), self.folder / "small.safetensors")
        self.theirs = self.folder / "theirs"
        self.good = self.folder / "good"
        self.outside = self.folder / "outside"
        for folder in (self.outside, self.good):
            shutil.rmtree(folder, ignore_errors=True)
        self.outside.mkdir()
        (self.outside / "mine.txt").write_text("mine")
        (self.outside / "mine.mid").write_bytes(b"mine")
        os.sync = lambda: None  # in this process alone: a disk takes its time, and is not what is tried
        with redirect_stdout(io.StringIO()):
            self.build()

    def build(self):
        """Make the good folder."""

    def spoil(self, draw):
        """Damage `theirs`; a few words on how."""

    def commands(self):
        """The command lines that use it."""

    def put(self, draw):
        shutil.rmtree(self.theirs, ignore_errors=True)
        shutil.copytree(self.good, self.theirs, symlinks=True)
        self.data = str(self.spoil(draw))[:4000].encode("utf-8", "surrogatepass")
        (self.folder / "now").write_bytes(self.data)
        return self.theirs

    def link(self, draw, *names):
        """Put a link that leads out in the place of something."""
        path = self.theirs / draw.choice(names)
        aim = draw.choice([self.outside, self.outside / "mine.txt", self.outside / "mine.mid", self.outside / "new"])
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(aim)
        return f"{path} is a link to {aim}"

    def use(self, path):
        before = tree(self.folder, self.theirs)
        refused, done = [], 0
        for command in self.commands():
            with redirect_stderr(io.StringIO()) as said, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                status = cli.run(list(map(str, command)))
            lines = said.getvalue().splitlines()
            assert not any(line.startswith("composer: unexpected") for line in lines), f"{command}: {lines}"
            done += not status
            if status:
                refused.append(lines[-1].removeprefix("composer: ") if lines else f"{command} ended with {status}.")
        after = tree(self.folder, self.theirs)
        for name in (name for name in before.keys() | after.keys() if before.get(name) != after.get(name)):
            assert self.may_write(Path(name)), f"{name} was {before.get(name)} and is {after.get(name)}"
        if not done:
            raise ComposerError(refused[0])

    def may_write(self, path):
        """Whether a path outside is one that was asked for."""
        return path.name == "now" or "cache" in path.parts


# --- a batch ----------------------------------------------------------------------------------------------------------


COLUMNS = {
    "about": ["key", "value"],
    "cells": ["cell", "job", "first", "plain"],
    "rejections": ["number", "attempt", "reason"],
    "pieces": ["number", "cell", "model", "model_hash", "seed", '"index"', "state", "tries", "attempt", "asked", "stem",
               "files", "bytes", "metrics", "rank", "distance", "reason", "seconds", "made_at", "run"],
}  # fmt: skip

LINKED = (
    "catalogue.sqlite", "catalogue.sqlite-journal", "catalogue.sqlite-wal", ".lock", ".scratch", "0000",
    "0000/000000.mid", "0000/5-1.mid", "manifest.jsonl", "shards", "shards/01-of-02",
)  # fmt: skip

SQL = (
    "CREATE VIEW aside AS SELECT * FROM pieces",
    "CREATE TRIGGER t AFTER UPDATE ON pieces BEGIN DELETE FROM pieces; END",
    "CREATE TRIGGER t AFTER INSERT ON about BEGIN UPDATE cells SET plain = ''; END",
    "ALTER TABLE pieces RENAME TO others; CREATE VIEW pieces AS SELECT * FROM others",
    "DROP TABLE rejections",
    "DROP TABLE about",
    "DROP TABLE cells",
    "DROP INDEX pieces_by_state",
    "CREATE TABLE more (x)",
    "ALTER TABLE pieces ADD COLUMN more",
    "PRAGMA journal_mode = WAL",
    "DELETE FROM about",
    "DELETE FROM cells",
    "UPDATE pieces SET state = 'waiting'",
    "UPDATE pieces SET state = 'dropping'",
    "UPDATE pieces SET state = 'done', files = '{\"mid\": [\"00\", 1]}'",
    "UPDATE OR REPLACE pieces SET number = -5, stem = '0000/z'",
    "UPDATE OR REPLACE pieces SET number = 999999999999, cell = 7, stem = ''",
    "INSERT INTO about VALUES ('runs', '99999999999999999999999')",
)


class Batch(FolderKind):
    """The folder of a batch, of which some is made and some is left to be made."""

    def build(self):
        jobs = self.folder / "jobs.toml"
        model = json.dumps(str(self.folder / "small.safetensors"))
        jobs.write_text(
            f"[[job]]\nmodel = {model}\nbars = 1\ncount = 2\ntime_signature = '4/4'\n"
            f"[[job]]\nmodel = {model}\nbars = 1\ncount = 3\nseed = 5\nkeep = 'best 1'\nfile = '{{seed}}-{{index}}'\n"
            "gates = {notes_per_bar = [0, 1000]}\ntime_signature = '4/4'\nformats = ['mid', 'abc']\n"
        )
        line = ["batch", jobs, "--out", self.good, "--executor", "here", "--quiet"]
        assert cli.run(list(map(str, line))) == 0
        connection = sqlite3.connect(self.good / "catalogue.sqlite")
        with connection:
            connection.execute("UPDATE pieces SET state = 'waiting' WHERE number IN (1, 3)")
            connection.execute("UPDATE pieces SET state = 'failed', reason = 'because' WHERE number = 4")
            connection.execute("INSERT INTO rejections VALUES (3, 0, 'in key: 0.5 is less')")
        connection.close()

    def commands(self):
        # what was left there by the one before is used by the next
        yield "batch", "status", self.theirs
        yield "batch", "gallery", self.theirs, self.folder / "best.html", "--top", 3, "--force"
        yield "batch", "retry", self.theirs, "--failed", "--executor", "here", "--quiet"
        yield "batch", self.folder / "jobs.toml", "--out", self.theirs, "--executor", "here", "--quiet"

    def may_write(self, path):
        return path.name == "best.html" or super().may_write(path)

    def spoil(self, draw):
        place = self.theirs / "catalogue.sqlite"
        kind = draw.randrange(12)
        if kind == 0:
            data = draw.choice([damaged(draw, place.read_bytes()), draw.choice(strangers())])
            place.write_bytes(data)
            return data
        if kind == 1:
            return self.link(draw, *LINKED)
        if kind == 2:
            return self.journal(draw)
        connection = sqlite3.connect(place)
        with suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
            if kind == 3:
                text = draw.choice(SQL)
                connection.executescript(text)
                return text
            if kind <= 7:
                return self.cell(draw, connection)
            return "; ".join(self.values(draw, connection) for _ in range(draw.choice([1, 1, 2, 4])))
        connection.close()
        return "as it was"

    def journal(self, draw):
        """A journal that is left there, of which SQLite would make something."""
        name = draw.choice(["catalogue.sqlite-journal", "catalogue.sqlite-wal", "catalogue.sqlite-shm"])
        aim = str(self.outside / "mine.txt").encode()
        head = bytes.fromhex("d9d505f920a163d7") + b"\xff\xff\xff\xff" + bytes(4) + b"\x00\x00\x00\x10"
        head += (512).to_bytes(4, "big") + (4096).to_bytes(4, "big")
        tail = aim + len(aim).to_bytes(4, "big") + (sum(aim) % 2**32).to_bytes(4, "big") + head[:8]
        data = draw.choice([head.ljust(512, b"\x00") + tail, damaged(draw, head.ljust(512, b"\x00")), tail, b""])
        (self.theirs / name).write_bytes(data)
        return (name, data)

    def cell(self, draw, connection):
        """Another job in the place of the first or the second."""
        place = draw.randrange(2)
        plain = json.loads(connection.execute("SELECT plain FROM cells WHERE cell = ?", (place,)).fetchone()[0])
        kind = draw.randrange(5)
        if kind == 0:
            plain["file"] = draw.choice(ESCAPES)
        elif kind == 1:
            plain["formats"] = [draw.choice(["/../../mid", "../PWN.mid", "mid", "x/mid", "wav", "\u202e.mid", ".mid"])]
        elif kind == 2:
            plain["fields"] = {**plain["fields"], draw.choice(["seed", "model"]): draw.choice(["../../x", value(draw)])}
        else:
            plain = damaged_value(draw, plain)
        text = as_json(draw, plain)
        with connection:
            connection.execute("UPDATE cells SET plain = ? WHERE cell = ?", (text, place))
            if draw.random() < 0.5:
                connection.execute("UPDATE pieces SET state = 'waiting'")
        return text

    def values(self, draw, connection):
        """Something else in a column of some rows."""
        table = draw.choice(sorted(COLUMNS))
        column = draw.choice(COLUMNS[table])
        new = value(draw)
        new = json.dumps(new) if isinstance(new, list | dict) else new
        own = {
            "stem": ["../PWN", "0000/..", "/tmp/PWN", "0000/../../PWN", "0000/x\n", "9999/y", "0000"],
            "files": ['{"../../PWN": ["00", 1]}', '{"mid": ["00", -1]}', '{"mid": 1}', "[]", '{"/../x": ["", 0]}'],
            "state": ["done", "dropping", "waiting", "failed", "rejected", "passed over", 5, "\x1b[2J"],
            "key": ["runs", "settled", "format", "composer", "shard"],
        }
        new = draw.choice(
            [new, *own.get(column, []), *own.get(column, []), b"\xff\x00", None, "{", "[1]", 5, -1, 2**62]
        )
        rows = draw.choice(["", f" WHERE rowid = {draw.randrange(4)}"])
        with connection:
            connection.execute(f"UPDATE OR REPLACE {table} SET {column} = ?{rows}", (new,))
        return f"{table}.{column}{rows} = {new!r}"


# --- a run ------------------------------------------------------------------------------------------------------------


SMALL = ["--architecture", "gru", "--hidden-size", 8, "--layers", 1, "--embedding-size", 8, "--chunk", 32]
STEPS = ["--steps", 16, "--evaluations", 4, "--average", 0.5, "--device", "cpu", "--workers", 1, "--force"]

OUTS = ("../PWN.safetensors", "/tmp/PWN.safetensors", "outside/new.safetensors", "~/PWN.safetensors", "theirs/x")


class Training(FolderKind):
    """The folder of a training that was killed before its last validation."""

    def build(self):
        tunes = self.folder / "tunes"
        tunes.mkdir(exist_ok=True)
        for number in range(8):
            registry().make("exporters", ".mid")([Piece(walk(number))], tunes / f"{number}.mid")
        os.chdir(self.folder)
        line = ["train", "folder:tunes", "--tokenizer", "voices", *SMALL, *STEPS, "--out", "mine.safetensors"]
        assert cli.run(list(map(str, [*line, "--run", "good"]))) == 0
        max(self.good.glob("step-*.checkpoint")).unlink()
        (self.checkpoint,) = self.good.glob("step-*.checkpoint")

    def commands(self):
        yield "train", "--resume", self.theirs, "--workers", 1
        yield "train", "--resume", self.theirs, "--workers", 1, "--out", "new.safetensors", "--force"

    def may_write(self, path):
        return path.name in ("mine.safetensors", "new.safetensors") or super().may_write(path)

    def spoil(self, draw):
        kind = draw.randrange(10)
        recipe = self.theirs / "recipe.toml"
        if kind == 0:
            text = damaged_text(draw, recipe.read_text())
            recipe.write_bytes(text.encode("utf-8", "surrogatepass"))
            return text
        if kind == 1:
            return self.led_out(draw, recipe)
        if kind == 2:
            return self.link(
                draw, "metrics.jsonl", "written.json", "samples", "samples/step-000004.mid", "recipe.toml",
                "tensorboard", "step-000004.checkpoint", self.checkpoint.name, "samples/.composer-x",
            )  # fmt: skip
        if kind == 3:
            name = draw.choice(["metrics.jsonl", "written.json", self.checkpoint.name])
            data = draw.choice([damaged(draw, (self.theirs / name).read_bytes()), *strangers()])
            (self.theirs / name).write_bytes(data)
            return (name, data[:1000])
        return self.checked(draw)

    def led_out(self, draw, recipe):
        """Another place to write to, or to begin at, with the seal of the good one."""
        lines = recipe.read_text().splitlines()
        key, new = draw.choice(
            [("out", draw.choice(OUTS)), ("folder", str(self.outside)), ("seal", "0" * 32), ("run", str(self.outside))]
        )
        changed = [f"{key} = {json.dumps(new)}" if line.startswith(f"{key} = ") else line for line in lines]
        recipe.write_text("\n".join(changed) + "\n")
        return (key, new)

    def checked(self, draw):
        """A checkpoint of other content, with the digest of that content."""
        import torch
        from safetensors import safe_open
        from safetensors.torch import save as in_bytes

        path = self.theirs / self.checkpoint.name
        with safe_open(path, framework="pt") as file:
            place = json.loads(file.metadata()["run"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if draw.random() < 0.5:
            about = place.pop("about")
            place = damaged_value(draw, place)
            if isinstance(place, dict) and draw.random() < 0.9:
                place["about"] = about
        for _ in range(draw.choice([1, 1, 3])):
            name = draw.choice(sorted(tensors))
            tensor = tensors.pop(name)
            change = draw.choice(
                [
                    lambda t: t.double() if t.is_floating_point() else t.to(torch.int64),
                    lambda t: t.flatten()[: t.numel() // 2].clone(),
                    lambda t: torch.zeros((), dtype=t.dtype),
                    lambda t: torch.cat([t.flatten(), t.flatten()]),
                    lambda t: torch.full_like(t, 255 if t.dtype == torch.uint8 else float("nan")),
                    lambda t: t.to(torch.uint8),
                    lambda t: t.half() if t.is_floating_point() else t,
                ]
            )(tensor)
            other = [name, name, draw.choice(["", "x.y", "optimiser.99.step", "optimiser.0.more", "best.", "\x1b[2J"])]
            if draw.random() < 0.8:
                tensors[draw.choice(other)] = change
        header = as_json(draw, place)
        header = header.encode("utf-8", "replace").decode()
        path.write_bytes(in_bytes(tensors, {"run": header, "digest": checkpoints._hash_tensors(header, tensors)}))
        return header


FOLDERS = {"batches": Batch, "runs": Training}
