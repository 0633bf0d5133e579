"""What is worked out once and kept: indices of originality, and the results of a comparison."""

import io
import json
import os
import shutil
from contextlib import redirect_stdout, suppress

from filekinds import Kind, strangers
from mutations import as_json, damaged, damaged_value
from walks import VOICES, Walks, walk

from composer.data import corpus
from composer.originality import index
from composer.originality.held_out import measure_held_out
from composer.originality.passages import compare
from composer.plugins.registry import registry
from composer_compare import command, report
from composer_compare import result_store as ledgers
from composer_compare.plan import plan_runs
from composer_compare.result_store import NAME, ResultStore
from composer_compare.results import Results
from composer_compare.spec import Candidate, Experiment


class IndexFiles(Kind):
    """One of the files of an index, which is then built anew."""

    def begin(self):
        self.tokenizer = registry().make("tokenizers", "voices", **VOICES)
        self.music = Walks(12)
        self.corpus = corpus.build(self.music, self.tokenizer, cache=self.folder / "corpora")
        self.right = self.told()
        self.notes = self.corpus.folder.parent
        self.kept = {path: path.read_bytes() for path in self.corpus.folder.glob("lines-*/*")}
        self.kept |= {path: path.read_bytes() for path in self.notes.glob("indexed-*")}

    def told(self):
        found = index.build_index(self.corpus, self.tokenizer)
        changed = index.has_changed(self.music, self.corpus, self.tokenizer)
        piece = compare(walk(2), found.select_split("train")), compare(walk(40), found.select_split("all"))
        return json.loads(json.dumps([[one.to_json() for one in piece], measure_held_out(found), changed]))

    def put(self, draw):
        for path, data in self.kept.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        path = draw.choice(list(self.kept))
        good = self.kept[path]
        if draw.random() < 0.1:
            self.data = draw.choice(strangers())
        elif path.suffix == ".json" and draw.random() < 0.7:
            self.data = as_json(draw, damaged_value(draw, json.loads(good))).encode("utf-8", "surrogatepass")
        elif path.suffix == ".npy" and draw.random() < 0.5:
            header = good[:128].replace(b"<i4", draw.choice([b"<i8", b"|O ", b">i4", b"<f4"]))
            self.data = header.replace(b"False", draw.choice([b"True ", b"False"])) + good[128:]
        else:
            self.data = damaged(draw, good)
        for place in (path, self.folder / "now"):
            place.write_bytes(self.data)
        return path

    def use(self, path):
        *found, changed = self.told()
        *right, _ = self.right
        assert found == right, "what is damaged is believed"
        assert not changed or path.name.startswith("indexed-")


MORE = {"work": "tune", "music": "more"}


class Comparison(Kind):
    """The results of a comparison, of which a report is made; what is damaged in them is missing there."""

    suffixes = (".jsonl",)
    resealed = False

    def begin(self):
        os.fsync = lambda file: None  # in this process alone: a disk takes its time, and is not what is tried
        self.trial = Experiment(
            recipe={"dataset": "folder:x", "dataset_options": {}, "tokenizer": {"name": "voices"}, "training": {}},
            contenders=(Candidate("lstm", {"hidden_size": 8}, 9), Candidate("gru", {"hidden_size": 9}, 8)),
            questions=("likelihood", "music", "stability", "memory", "bias"),
            music="abc",
            seeds=2,
            trials=2,
            steps=10,
            named={"dataset": "folder:x", "title": "X", "licence": "CC0-1.0", "train": "8", "valid": "1", "test": "3"},
        )
        self.out = self.folder / "trial"
        self.out.mkdir()
        ledger = ResultStore(self.out)
        for _ in range(4):  # what is planned hangs on what came of it before
            there = ledger.read()
            runs = {entry.run.identity: entry.run for entry in plan_runs(self.trial, there)}
            for number, run in enumerate(run for run in runs.values() if run.identity not in there):
                ledger.add(run.identity, run.plain, result(run, number))
        self.right = ledger.read()
        self.good = (self.out / NAME).read_bytes()
        with redirect_stdout(io.StringIO()):
            self.tell()
        assert not Results(self.trial, self.right).list_missing()

    def make(self, draw, suffix):
        if draw.random() < 0.05:
            return draw.choice(strangers())
        if draw.random() < 0.5:
            return damaged(draw, self.good)
        lines = self.good.decode().splitlines()
        for _ in range(draw.choice([1, 1, 3, 20])):
            at = draw.randrange(len(lines))
            change = draw.randrange(4)
            if change == 0:
                lines[at] = ""
            elif change == 1:
                lines[at] = lines[draw.randrange(len(lines))]
            elif lines[at].startswith("{"):
                lines[at] = self.line(draw, json.loads(self.good.decode().splitlines()[at]))
        return "\n".join(lines).encode("utf-8", "surrogatepass")

    def line(self, draw, row):
        """A line that says something else; half of them have the digest of what they say."""
        if draw.random() < 0.5:
            return as_json(draw, damaged_value(draw, row))
        row["result"] = damaged_value(draw, row["result"])
        del row["digest"]
        with suppress(UnicodeEncodeError, RecursionError):
            row["digest"] = ledgers._compute_digest(row)
        self.resealed = True
        return as_json(draw, row)

    def use(self, path):
        shutil.copy(path, self.out / NAME)
        self.tell()
        ledger = ResultStore(self.out)
        believed = ledger.read()
        assert believed.keys() <= self.right.keys()
        assert self.resealed or believed.items() <= self.right.items(), "what is damaged is believed"
        self.resealed = False
        ledger.add(ledgers.compute_identity(MORE), MORE, {"failure": "none"})
        assert ledger.read()[ledgers.compute_identity(MORE)] == {"failure": "none"}

    def tell(self):
        findings = Results(self.trial, ResultStore(self.out).read())
        plan_runs(self.trial, findings.results)
        command._finish(findings, self.out, False, "composer compare")
        json.loads((self.out / report.DATA).read_text(), parse_constant=refuse)


def refuse(name):
    raise AssertionError(f"{name} invalid JSON")


def result(run, number):
    """What a run may have come to."""
    if run.work == "pace":
        about = {"parameters": 900, "multiply_adds": 800, "state_bytes": 64, "gates": 3, "machine": "x"}
        about |= {"sums": 4, "state_tensors": 2, "state_numbers": 16}
        times = {"step_seconds": 0.01, "validation_seconds": 0.1, "tokens_per_step": 64.0, "load": 1.0}
        times |= dict.fromkeys(("write_seconds", "write_seconds_64", "write_seconds_reference"), 1e-4)
        return {**about, **times, "processors": 2, "training_bytes": 10_000, "took": 1.0}
    if run.work == "write":
        distance = {"value": 3.0, "low": 2.0, "high": 4.0, "halves": 2.5}
        copies = {"share": 0.1, "longest_notes": 9}
        shared = {"copied": copies, "held_out": copies}
        return {"pieces": 3, "distance": distance, "inside": 5, "figures": 9, "outside": ["x"], **shared}
    history = [[5, 0.5, 3.2, 3.3], [10, 1.0, 3.0, 3.1 + number / 100]]
    course = {"history": history, "valid": 3.1 + number / 100, "best_step": 10, "seconds": 1.0, "parameters": 900}
    course |= {"diverged": "", "took": 2.0}
    if run.work == "recall":
        return {**course, "recall": {str(bars): 0.5 + number / 10 for bars in (1, 2, 4, 8, 16, 32, 64, 128)}}
    if run.work == "tune":
        return course
    test = {"pieces": [8, 9, 10], "nats": [90.0 + number, 80.5, 70.25], "notes": [30, 25, 20], "tokens": [99, 80, 70]}
    context = {"nats_per_note": {"1": 3.0, "2": 2.9, "0": 2.8}, "bars": 9}
    shifted = [{"semitones": n, "pieces": 3, "as_is": 3.0, "moved": 3.2} for n in run.shifts]
    found = {"test": test, "train_nats": 2.9, "valid_nats": 3.1, "context": context, "shifted": shifted}
    return {**course, **found, "gradients": {"1": 1.0, "32": 0.1, "64": 0.01}}


RESULTS = {"indices": IndexFiles, "comparisons": Comparison}
