"""Our own files: models, recipes, jobs, corpora, provenance, checkpoints, ledgers of batches and the catalogue."""

import io
import json
import pickle
import shutil
import sqlite3
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from jobtexts import JOBS, large_jobs
from mutations import as_json, damaged, damaged_text, damaged_value, value
from walks import VOICES, Walks, walk

from composer.cli import models
from composer.data import corpus
from composer.errors import ComposerError
from composer.generation import tasks
from composer.generation.generator import Generator, generate
from composer.generation.primers import parse_notes
from composer.io import formats
from composer.model import ComponentSpec, Model, save
from composer.model import load as load_model
from composer.plugins import cache
from composer.plugins.discovery import find
from composer.plugins.offers import read_plugin
from composer.plugins.registry import registry
from composer.request import Request
from composer.training import checkpoints, recipe_file, run_folder
from composer.types import Piece
from composer_batch import jobfile, jobs, plan, reports
from composer_batch.catalogue import NAME as LEDGER
from composer_batch.catalogue import PieceRecord, Shard, open_catalogue

MOST_BARS = 16
"""Of the pieces that are made of what a file asks for; more may be asked for, and takes its time."""


class Kind:
    """A file that is made with `make` and used with `use`."""

    foreign = False
    suffixes = (".bin",)

    def __init__(self, folder):
        self.folder, self.data = folder, b""
        (folder / "hostile_canary.py").write_text("raise SystemExit('this was imported')\n")
        self.begin()

    def begin(self):
        """What all files of the kind have in common."""

    def put(self, draw):
        suffix = draw.choice(self.suffixes)
        self.data = self.make(draw, suffix)
        path = self.folder / f"case{suffix}"
        for place in (path, self.folder / "now"):
            place.write_bytes(self.data)
        return path

    def learn(self, said):
        """Nothing leads these."""


def each(*uses):
    """All of these, be one refused or not. Raises what the first one was refused with."""
    refused = []
    for use in uses:
        try:
            use()
        except ComposerError as error:
            refused.append(error)
    if refused:
        raise refused[0]


# --- models -----------------------------------------------------------------------------------------------------------


def small_model():
    """An untrained model of a few kilobytes."""
    tokenizer = registry().make("tokenizers", "voices", names=("Tune",), **VOICES)
    architecture = registry().make(
        "architectures", "lstm", hidden_size=4, layers=1, embedding_size=4, dropout=0.0, tie_weights=False
    )
    module = architecture.build_module([column.size for column in tokenizer.grammar.columns], len(tokenizer.vocabulary))
    draw = np.random.default_rng(0)
    weights = {
        name: draw.normal(0, 0.2, tuple(tensor.shape)).astype(np.float16)
        for name, tensor in module.state_dict().items()
    }
    card = {
        "title": "Small",
        "licence": "CC0-1.0",
        "suggested": {"tempo": 96.0, "samplers": [{"name": "top-p", "options": {"p": 0.9}}]},
        "metres": {"4/4": 3},
        "test": {"nats_per_note": 1.5},
        "repetition": {"notes": 4, "bars": 3},
        "ranking": {"nats": 1.0},
    }
    return Model(
        ComponentSpec.describe("architectures", "lstm", architecture),
        ComponentSpec.describe("tokenizers", "voices", tokenizer),
        tokenizer.vocabulary,
        weights,
        card,
    )


def followed(player, request):
    """What a request asks for, if it is short."""
    short = replace(request, bars=min(request.bars or 2, MOST_BARS), most_bars=min(request.most_bars, MOST_BARS))
    return generate(player, [replace(short, backend="numpy", device="cpu")], redraws=0)


class ModelFile(Kind):
    """A model file: its header as JSON, the place and shape of each tensor, its bytes, and files that are none."""

    suffixes = (".safetensors",)

    def begin(self):
        save(small_model(), self.folder / "good.safetensors")
        raw = (self.folder / "good.safetensors").read_bytes()
        size = int.from_bytes(raw[:8], "little")
        self.header, self.body = json.loads(raw[8 : 8 + size]), raw[8 + size :]
        self.about = json.loads(self.header["__metadata__"]["composer"])
        self.good = raw

    def make(self, draw, suffix):
        kind = draw.randrange(10)
        if kind == 0:
            return draw.choice(strangers())
        if kind <= 2:
            return damaged(draw, self.good)
        header, about, body = dict(self.header), self.about, self.body
        if kind <= 6:
            part = draw.choice(["", "architecture", "tokenizer", "card", "vocabulary"])
            about = {**about, part: damaged_value(draw, about[part])} if part else damaged_value(draw, about)
        elif kind == 7:
            thing = draw.choice(["architecture", "tokenizer"])
            options = dict(about[thing]["options"])
            name = draw.choice([name for name, option in options.items() if type(option) in (int, float)])
            options[name] = draw.choice([0, 1, 3, 12, 127, 1000, 10_000, 30_000, 10**6, 2**31, 2**62, -1])
            about = {**about, thing: {**about[thing], "options": options}}
        elif kind == 8:
            header = self.tensors(draw)
        else:
            body = bytearray(body)
            for _ in range(draw.choice([1, 1, 50])):
                at = draw.randrange(len(body) - 2)
                body[at : at + 2] = draw.choice([b"\x00\x7e", b"\x00\x7c", b"\xff\x7b", b"\xff\xfb", draw.randbytes(2)])
        meta = {"composer": as_json(draw, about)}
        if draw.random() < 0.05:
            meta = damaged_value(draw, meta)
        text = as_json(draw, {**header, "__metadata__": meta}).encode("utf-8", "surrogatepass")
        size = len(text) if draw.random() < 0.95 else draw.choice([0, len(text) - 1, 2**24, 2**63, 2**64 - 1])
        return (size % 2**64).to_bytes(8, "little") + text + bytes(body)

    def tensors(self, draw):
        """The header with tensors that are elsewhere, larger, of another type or shape, or under another name."""
        header = {name: {**at} for name, at in self.header.items() if name != "__metadata__"}
        for _ in range(draw.choice([1, 1, 3])):
            name = draw.choice(sorted(header))
            at = header[name]
            kind = draw.randrange(6)
            if kind == 0:
                at["dtype"] = draw.choice(["F32", "F64", "BF16", "F8_E4M3", "I64", "U8", "BOOL", "C64", "F4", "x", ""])
            elif kind == 1:
                at["shape"] = draw.choice(
                    [[], [0], [-1], [2**62, 4], [0, 2**62], [*reversed(at["shape"])], [*at["shape"], 1], [10**30]]
                )
            elif kind == 2:
                at["data_offsets"] = draw.choice([[0, 0], [0, 2**62], [5, 4], [0, len(self.body)], [-1, 2], [2**64, 0]])
            elif kind == 3:
                header[draw.choice(["", "x", "../../x", "\x1b[2J", "layers.99.weight", *header])] = header.pop(name)
            elif kind == 4:
                del header[name]
            else:
                header[name] = damaged_value(draw, at)
            if not header:
                break
        return header

    def use(self, path):
        model = load_model(path)
        player = Generator(model, "x")
        each(
            lambda: models.show.callback(str(path), as_json=False),
            lambda: models.show.callback(str(path), as_json=True),
            lambda: followed(player, player.suggested),
            model.make_module,
        )


def strangers():
    """Files of other kinds that are named as models."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("archive/data.pkl", bomb())
    return [
        bomb(),
        zipped.getvalue(),
        len(bomb()).to_bytes(8, "little") + bomb(),
        b"",
        b"\x93NUMPY\x01\x00" + bomb(),
        (40_000).to_bytes(8, "little") + b"[" * 40_000,
        (400_000).to_bytes(8, "little") + b'{"a":' * 80_000,
        (2**20).to_bytes(8, "little") + b" " * 2**20,
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        b"\x7fELF" + bytes(500),
    ]


class _Bomb:
    def __reduce__(self):
        return (Path.write_text, (Path("hostile_was_here"), "x"))


def bomb():
    """A pickle that does something when it is opened."""
    return pickle.dumps(_Bomb())


# --- recipes and jobs -------------------------------------------------------------------------------------------------


RECIPE = """dataset = "folder:music"
out = "x.safetensors"
half = true
run = "kept"
[dataset_options]
drums_by_name = false
[tokenizer]
name = "voices"
names = ["Tune"]
steps_per_quarter = 2
time_signatures = ["3/4", "4/4"]
[architecture]
name = "lstm"
hidden_size = 16
dropout = 0.1
[training]
steps = 20
learning_rate = 0.02
device = "cpu"
seed = 3
"""

STARTED = '[started]\nfolder = "."\nmusic = "abc"\nbeginning = ""\ncommand = "composer train"\n'


class RecipeFile(Kind):
    """A recipe, alone and as that of a run."""

    suffixes = (".toml",)

    def begin(self):
        self.run = self.folder / "run"
        self.run.mkdir(exist_ok=True)

    def make(self, draw, suffix):
        if draw.random() < 0.03:
            return draw.choice([*strangers(), b"x = " + b"[" * 5000, b"a." * 5000 + b"b = 1", b"x = 1\n" * 2])
        text = damaged_text(
            draw, draw.choice([RECIPE, RECIPE + STARTED, 'dataset = "tunes"\n[architecture]\nname="gru"'])
        )
        data = text.encode("utf-8", "surrogatepass")
        return damaged(draw, data) if draw.random() < 0.2 else data

    def use(self, path):
        if b"[started]" in path.read_bytes():
            shutil.copy(path, self.run / run_folder.RECIPE)
            run_folder.reopen_run(self.run)
        self.make_things(path)

    def make_things(self, path):
        plain = recipe_file.read_recipe(path)
        recipe_file.format_recipe(plain)
        if plain.get("dataset", "").startswith(("folder:", "tunes")):
            recipe_file.make_recipe(plain)


class JobFile(Kind):
    """A file of jobs in each form, planned."""

    suffixes = tuple(JOBS)

    def begin(self):
        self.player = Generator(small_model(), "small")

    def make(self, draw, suffix):
        if draw.random() < 0.03:
            return draw.choice(strangers())
        if draw.random() < 0.2:
            return large_jobs(draw, suffix).encode("utf-8", "surrogatepass")
        data = damaged_text(draw, JOBS[suffix]).encode("utf-8", "surrogatepass")
        return damaged(draw, data) if draw.random() < 0.2 else data

    def use(self, path):
        players = {"small": self.player, "chorales": self.player}
        cells = plan.make_plan(jobs.expand_grids(jobfile.read(path)), players)
        assert plan.count_pieces(cells).total() >= len(cells) > 0


# --- what stands beside a piece ---------------------------------------------------------------------------------------


class Sidecar(Kind):
    """The JSON beside a piece, from which it is made again."""

    suffixes = (".json",)

    def begin(self):
        from composer.generation import continuation

        self.player = Generator(small_model(), "small")
        request = Request(seed=3, bars=2, backend="numpy")
        primed = continuation.make_continuation(self.player, request, parse_notes("C5 D5 E5 F5"))
        self.good = [
            generate(self.player, [request])[0].provenance,
            tasks.make(self.player, [primed])[0].provenance,
        ]

    def make(self, draw, suffix):
        if draw.random() < 0.05:
            return draw.choice(strangers())
        text = as_json(draw, damaged_value(draw, draw.choice(self.good)))
        data = text.encode("utf-8", "surrogatepass")
        return damaged(draw, data) if draw.random() < 0.1 else data

    def use(self, path):
        made_by = formats.read_provenance(path)
        asked = tasks.read_task(made_by)
        request = tasks.get_request(asked)
        if (request.bars or MOST_BARS + 1) <= MOST_BARS:
            tasks.regenerate(self.player, made_by)


# --- what is kept between runs ----------------------------------------------------------------------------------------


class CorpusFiles(Kind):
    """One of the files of a corpus, which is then built anew or refused."""

    def begin(self):
        self.tokenizer = registry().make("tokenizers", "voices", **VOICES)
        self.good = self.built()
        self.names = sorted(path.name for path in self.good.folder.iterdir())
        self.kept = {name: (self.good.folder / name).read_bytes() for name in self.names}

    def built(self):
        return corpus.build(Walks(6), self.tokenizer, cache=self.folder / "corpora")

    def put(self, draw):
        folder = self.good.folder
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.kept.items():
            (folder / name).write_bytes(data)
        name = draw.choice(self.names)
        path = folder / name
        if name.endswith(".json") and draw.random() < 0.7:
            self.data = as_json(draw, damaged_value(draw, json.loads(self.kept[name]))).encode("utf-8", "surrogatepass")
        elif draw.random() < 0.1:
            self.data = draw.choice(strangers())
        else:
            self.data = damaged(draw, self.kept[name])
        for place in (path, self.folder / "now"):
            place.write_bytes(self.data)
        return path

    def use(self, path):
        found = self.built()
        sizes = [column.size for column in self.tokenizer.grammar.columns]
        assert np.all(found.inputs < np.array(sizes))
        assert found.tokens.max() < len(self.tokenizer.vocabulary)
        assert len(found.names) == len(found.notes) == len(found.offsets) - 1
        for split in ("train", "valid", "test"):
            for number in found.split(split):
                found.read_piece(number)
        str(found.refused)
        str(found.about["name"])


class CatalogueFile(Kind):
    """What was kept of the plugins; where it is damaged, they are looked at anew."""

    suffixes = (".json",)

    def begin(self):
        self.points = find()
        cache.keep({point: read_plugin(point) for point in self.points})
        self.place = formats.Path(cache._locate_cache())
        self.good = self.place.read_text()
        self.right = cache.recall(self.points)

    def make(self, draw, suffix):
        if draw.random() < 0.5:
            return damaged(draw, self.good.encode())
        return as_json(draw, damaged_value(draw, json.loads(self.good))).encode("utf-8", "surrogatepass")

    def use(self, path):
        shutil.copy(path, self.place)
        found = cache.recall(self.points)
        assert all(one == self.right[point] for point, one in found.items()), "what is damaged is believed"


class CheckpointFile(Kind):
    """A checkpoint of a training run."""

    suffixes = (".checkpoint",)

    def begin(self):
        import torch
        from safetensors.torch import save as in_bytes

        tensors = {"weights.a": torch.ones(3), "random.cpu": torch.get_rng_state()}
        header = json.dumps({"batch": 1, "step": 2, "about": {}, "history": []})
        self.good = in_bytes(tensors, {"run": header, "digest": checkpoints._hash_tensors(header, tensors)})

    def make(self, draw, suffix):
        return draw.choice(strangers()) if draw.random() < 0.1 else damaged(draw, self.good)

    def use(self, path):
        checkpoints._read(path)


class LedgerFile(Kind):
    """The catalogue of a batch: its bytes, or what stands in its rows."""

    def begin(self):
        self.out = self.folder / "batch"
        self.out.mkdir(exist_ok=True)
        job = self.folder / "good.jsonl"
        job.write_text(JOBS[".jsonl"])
        self.cells = plan.make_plan(jobs.expand_grids(jobfile.read(job)), {"small": Generator(small_model(), "small")})
        made = self.folder / "good.sqlite"
        with open_catalogue(made) as ledger:
            ledger.begin(self.cells, Shard())
            done = PieceRecord(0, "done", asked="{}", files={"mid": ("ab", 3)}, metrics={"rank": (1, 0.5)})
            ledger.record([done, PieceRecord(1, "failed", reason="in_key: no", rejections=[(0, "in_key: 0.5")])])
            (row,) = ledger.read_pieces("done")
        path = self.out / f"{row['stem']}.mid"
        path.parent.mkdir(exist_ok=True)
        registry().make("exporters", ".mid")([Piece(walk(1))], path)
        self.good = made.read_bytes()

    def make(self, draw, suffix):
        if draw.random() < 0.5:
            return draw.choice(strangers()) if draw.random() < 0.05 else damaged(draw, self.good)
        place = self.folder / "changed.sqlite"
        place.write_bytes(self.good)
        connection = sqlite3.connect(place)
        tables = {"about": ["key", "value"], "cells": ["job", "first", "plain"], "rejections": ["attempt", "reason"],
                  "pieces": ["state", "files", "metrics", "reason", "asked", "seed", "stem"]}  # fmt: skip
        for _ in range(draw.choice([1, 2, 5])):
            table = draw.choice(sorted(tables))
            column = draw.choice(tables[table])
            new = value(draw)
            new = json.dumps(new) if isinstance(new, list | dict) else new
            new = draw.choice([new, b"\xff\x00", None, "{", "[1]", '{"mid": 1}', 5])
            with connection:
                try:
                    connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (new,))
                except (sqlite3.Error, OverflowError, UnicodeEncodeError):
                    connection.execute(f"DROP TABLE {table}")
                    break
        connection.close()
        return place.read_bytes()

    def use(self, path):
        shutil.copy(path, self.out / LEDGER)
        for journal in self.out.glob(f"{LEDGER}-*"):
            journal.unlink()
        each(self.look, lambda: reports.summarise(self.out), self.show, self.go_on)

    def look(self):
        with open_catalogue(self.out / LEDGER, reading=True) as ledger:
            list(ledger.read_pieces("done"))
            list(ledger.read_rows(["number", "state"]))
            list(ledger.read_cells())

    def show(self):
        reports.write(self.out, self.folder / "best.html", 3)

    def go_on(self):
        with open_catalogue(self.out / LEDGER) as ledger:
            ledger.begin(self.cells, Shard())
            ledger.start_run()
            ledger.list_dropping()
            ledger.list_waiting(0, -1, 10)


FILES = {
    "models": ModelFile,
    "recipes": RecipeFile,
    "jobs": JobFile,
    "sidecars": Sidecar,
    "corpora": CorpusFiles,
    "catalogues": CatalogueFile,
    "checkpoints": CheckpointFile,
    "ledgers": LedgerFile,
}
