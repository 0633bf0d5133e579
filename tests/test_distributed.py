"""Several processes: what they train together is what one trains alone."""

import json
import subprocess
import sys

import numpy as np
import pytest

from composer.data.batches import Chunk
from composer.errors import TrainingFailed
from composer.model import load
from composer.training.distributed import ALONE, ProcessGroup, join_process_group
from composer.training.loop import Settings, make_training_stream

SMALL = ["--architecture", "gru", "--hidden-size", 8, "--layers", 1, "--embedding-size", 8, "--dropout", 0, "--full"]
# Five of six pieces and then one: the second process has nothing to do in every other batch.
STEPS = [
    "--steps",
    24,
    "--evaluations",
    3,
    "--chunk",
    32,
    "--batch-size",
    5,
    "--learning-rate",
    0.01,
    "--device",
    "cpu",
]
TRAIN = ["train", "folder:../tunes", "--tokenizer", "voices", *SMALL, *STEPS]

ROUNDING = {"float32": (1e-4, 1e-4), "bfloat16": (3e-2, 1e-3)}
"""How far apart a weight and a likelihood, as a share of it, may be; bf16 changes them by 2e-2 and 4e-5 from fp32."""


@pytest.mark.parametrize(
    "precision", ["float32", pytest.param("bfloat16", marks=[pytest.mark.machine, pytest.mark.uncounted])]
)
def test_two_processes_train_as_one(run, here, precision):
    line = [*TRAIN, "--precision", precision]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2]
    several = [*torchrun, "-m", "composer", *line, "--out", "two.safetensors", "--run-folder", "run"]
    done = subprocess.run([*map(str, several)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert run(*line, "--out", "one.safetensors").status == 0
    one, two = load(here / "one.safetensors"), load(here / "two.safetensors")
    assert one.card["training"]["precision"] == two.card["training"]["precision"] == precision
    weight, share = ROUNDING[precision]
    for name, array in one.weights.items():
        assert two.weights[name] == pytest.approx(array, abs=weight), name
    assert two.card["test"]["nats_per_note"] == pytest.approx(one.card["test"]["nats_per_note"], rel=share)
    # The first process alone reports and writes.
    assert done.stdout.count("two.safetensors: ") == 1
    assert done.stderr.count("8 pieces kept") == 1
    steps = [json.loads(line)["step"] for line in (here / "run/metrics.jsonl").read_text().splitlines()]
    assert len(steps) == 3
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_each_row_of_a_batch_is_one_process_s(corpus, tokenizer, size):
    stream = make_training_stream(corpus, tokenizer, Settings(batch_size=6, chunk=16))
    for chunk in stream.cut_chunks(0):
        shares = [ProcessGroup(place, size).share(chunk) for place in range(size)]
        for place, share in enumerate(shares):
            assert np.array_equal(share.inputs, chunk.inputs[place::size])
            assert np.array_equal(share.targets, chunk.targets[place::size])
            assert share.rows is None if chunk.rows is None else share.rows == len(share.inputs)
        assert sum(len(share.inputs) for share in shares) == len(chunk.inputs)


def test_the_rows_of_a_process_that_go_on_are_its_first(corpus, tokenizer):
    stream = make_training_stream(corpus, tokenizer, Settings(batch_size=9, chunk=16))
    for place in range(2):
        before: Chunk | None = None
        for chunk in stream.cut_chunks(0):
            share = ProcessGroup(place, 2).share(chunk)
            if before is not None:
                assert share.rows is not None
                assert share.rows <= len(before.inputs)
            before = share


def test_the_processes_draw_different_numbers_and_the_same_ones_again():
    import torch

    def drawn(place, seed, batch):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            ProcessGroup(place, 3).set_seed(seed, batch)
            return tuple(torch.rand(4).tolist())

    found = [drawn(place, seed, batch) for place in (1, 2) for seed in (0, 1) for batch in (0, 1)]
    assert len(set(found)) == len(found)
    assert drawn(2, 1, 1) == found[-1]
    assert drawn(0, 1, 0) == drawn(0, 1, 1)  # the first draws as it would alone


def test_alone_there_is_no_team(monkeypatch):
    for size in (None, "1", "", "many"):
        monkeypatch.delenv("WORLD_SIZE", raising=False)
        if size is not None:
            monkeypatch.setenv("WORLD_SIZE", size)
        with join_process_group() as found:
            assert found is ALONE


def test_processes_that_do_not_find_each_other_are_told_how_to_start(monkeypatch):
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        pytest.raises(TrainingFailed, match=r"the 2 processes do not find each other .*; start them with torchrun"),
        join_process_group(),
    ):
        pass
