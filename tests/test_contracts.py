"""Everything that is registered keeps its contract, and the checks that say so find what is broken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import steps
from music import MUSIC, save_chorales, save_groove, save_openscore, save_rolls, save_sheets, tune_roll
from threadpoolctl import threadpool_limits

from composer.plugins.registry import registry
from composer.testing import check_backend, check_dataset, make_cases, make_random_model
from composer.types import Piece
from composer_native import compiling as native
from composer_voices.tokenizer import Voices

RECURRENT = ("lstm", "gru", "rnn", "mingru", "minlstm")
SMALL = {"hidden_size": 16, "embedding_size": 16}
OPTIONS = {
    "ending": {"key": "Dm"},
    "folder": {"path": "music"},
    "piano-rolls": {"file": "rolls.mat"},
    "jsb16": {"file": "chorales.json"},
    "groove": {"folder": "groove"},
    "openscore": {"folder": "scores"},
    "openewld": {"folder": "sheets"},
}
"""For what states no example."""

TUNE = Voices(names=("Tune",), steps_per_quarter=4)


def made(kind, name):
    return registry().make(kind, name, **OPTIONS.get(name, {}))


# --- what is registered -----------------------------------------------------------------------------------------------


ELSEWHERE = ("tokenizers", "executors")
"""Kinds that are checked with more, in files of their own; here with what is not there."""
HERE = (": options", ": a long score", ": fixed notes")
NEED_FILES = ("folder", "piano-rolls", "jsb16", "groove", "openscore", "openewld")


ON_MACHINES = ("lstm", "mingru")
"""Architectures with which `.ci/machines` checks each backend; the kernels of others consist of the same."""


def find_others():
    """Tokenizers beside another one of the same plugin."""
    first = {}
    found = registry().offers["tokenizers"].items()
    return {name for name, offer in found if first.setdefault(offer.plugin.name, name) != name}


def cases():
    others = find_others()
    for kind, offers in registry().offers.items():
        for name, offer in offers.items():
            found = list(make_cases(offer, OPTIONS.get(name, {})))
            if kind in ELSEWHERE or name in NEED_FILES:
                found = [case for case in found if case.name.endswith(HERE)]
            for number, case in enumerate(found):
                yield pytest.param(case, id=str(case), marks=list(list_marks(kind, number, case, others)))


def list_marks(kind, number, case, others):
    """What is checked with several companions runs the same lines with each.

    Of each plugin one tokenizer is enough for a sampler; soak runs take all.
    """
    if kind == "samplers" and case.name.rpartition(" with ")[2] in others:
        yield pytest.mark.soak
    if kind in ("samplers", "backends") and number > 1:  # the first is that of options
        yield pytest.mark.uncounted
    if kind == "backends" and case.name.endswith(tuple(f"with {name}" for name in ON_MACHINES)):
        yield pytest.mark.machine


@pytest.mark.parametrize("case", list(cases()))
def test_all_that_is_registered_keeps_its_contract(case):
    case.run()


@pytest.fixture
def shared_steps(monkeypatch):
    """Every step of the kernel is shared among threads, be it ever so short."""
    monkeypatch.setattr("composer_native.steps.ENOUGH", 0)
    monkeypatch.setattr("composer_native.threads.ThreadTuner.choose_threads", lambda pace: max(pace.seconds))


def with_threads(count, name, precision, rows):
    """The logits with so many threads, for each library that has some."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            return steps.logits(name, precision, rows, **({"threads": count} if name == "native" else {}))
    finally:
        torch.set_num_threads(before)


@pytest.mark.machine
@pytest.mark.uncounted
def test_logits_are_the_same_bits_in_any_batch_with_any_threads_and_in_another_process(shared_steps):
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    if found := native.load_kernel():  # it need not be compiled again
        environment["COMPOSER_CACHE"] = str(Path(found._name).parents[1])
    command = [sys.executable, steps.__file__]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        here = {}
        for name, precision in steps.suiting():
            most = with_threads(1, name, precision, 64)
            here[f"{name} {precision}"] = steps.digest(most[:, :7])
            for rows, threads in [(1, 1), (7, 1), (7, 2), (64, 2)]:
                found = with_threads(threads, name, precision, rows)
                assert found.tobytes() == most[:, :rows].tobytes(), (name, precision, rows, threads)
        said, _ = other.communicate()
    assert json.loads(said) == here


@pytest.mark.uncounted
@pytest.mark.parametrize("options", [{"skip": False}, {"tie_weights": True}, {"layers": 1, "hidden_size": 33}], ids=str)
@pytest.mark.parametrize("architecture", RECURRENT)
def test_the_cells_described_are_those_of_torch_with_any_options(architecture, options):
    check_backend(made("backends", "numpy"), make_random_model(architecture, "voices", **options))


def test_dataset_of_a_folder(tmp_path, monkeypatch):
    for name, music in MUSIC.items():
        made("exporters", ".mid")([Piece(music)], tmp_path / f"{name}.mid")
    monkeypatch.setitem(OPTIONS, "folder", {"path": str(tmp_path)})
    check_dataset(made("datasets", "folder"))


def test_dataset_of_piano_rolls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_rolls("rolls.mat", *([tune_roll(number) for number in range(rolls)] for rolls in (3, 1, 2)))
    check_dataset(made("datasets", "piano-rolls"))


def test_dataset_of_chorales_at_16ths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_chorales("chorales.json", 3, 1, 2)
    check_dataset(made("datasets", "jsb16"))


def test_dataset_of_lead_sheets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_sheets("sheets", 6)
    check_dataset(made("datasets", "openewld"))


def test_dataset_of_drummers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_groove("groove", 3, 1, 2)
    check_dataset(made("datasets", "groove"))


def test_dataset_of_songs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_openscore("scores", 2, 1, 1)
    check_dataset(made("datasets", "openscore"))
