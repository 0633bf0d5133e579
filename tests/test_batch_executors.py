"""Executors: work that dies, hangs or eats all memory costs itself alone, and the rest completes."""

import os
import signal
import sqlite3
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from composer import cli
from composer.errors import BadOption
from composer.generation.generator import BATCH_SIZE
from composer.plugins.registry import registry
from composer.testing import check_executor
from composer.types import Outcome
from composer_batch.jobfile import read
from composer_batch.jobs import expand_grids
from composer_batch.plan import make_plan
from composer_batch.scheduler import Settings, compute_chunk_size, run
from composer_executors import here

JOBS = '[[job]]\nmodel = "{model}"\nbars = 1\ncount = {count}\n'
POISON, LIMIT = 5, 4.0


def double(number):
    return 2 * number


def one_more(number):
    return number + 1


def poisoned(number):
    """Dies, hangs, raises or eats, by the number."""
    if number == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if number == "hang":
        time.sleep(600)
    if number == "eat":
        return len(bytearray(2**33))
    if number == "raise":
        raise ValueError("no such number")
    return number


def surroundings(number):
    return os.environ["OMP_NUM_THREADS"], os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid()


@pytest.fixture
def cells(tmp_path, model_file):
    (tmp_path / "jobs.toml").write_text(JOBS.format(model=model_file, count=8))
    return make_plan(expand_grids(read(tmp_path / "jobs.toml")))


def outcomes(executor, arguments, limit=60.0):
    found = list(executor((poisoned, str), iter(arguments), limit))
    assert len(found) == len(arguments)
    return {outcome.argument: outcome.fault or outcome.value for outcome in found}


@pytest.mark.parametrize("options", [("here", {}), ("here", {"beside": 0}), ("pool", {"workers": 1})], ids=str)
def test_contract(options):
    check_executor(registry().make("executors", options[0], **options[1]))


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("forgets", "each argument has one outcome"),
        ("silent", "the fault states the error of a stage"),
        ("first stage", "stages follow each other"),
        ("greedy", "arguments are taken as workers become free"),
    ],
)
def test_the_contract_finds(fault, rule):
    def broken(stages, arguments, limit):
        for argument in list(arguments) if fault == "greedy" else arguments:
            some = stages[: 1 if fault == "first stage" else None]
            value, text = here.try_work(partial(here.run_stages, some, argument))
            if not (fault == "forgets" and argument == 3):
                yield Outcome(argument, value, "" if fault == "silent" else text)

    with pytest.raises(AssertionError, match=rule):
        check_executor(broken)


def test_a_process_beside_this_one_takes_the_later_stages(monkeypatch):
    monkeypatch.setattr("composer_executors.here.AFTER", 0.0)
    beside = registry().make("executors", "here", beside=1)
    found = list(beside((double, surroundings_of), iter(range(5)), 60.0))
    assert [outcome.value[0] for outcome in found] == [0, 2, 4, 6, 8]
    assert os.getpid() not in {outcome.value[1] for outcome in found}


def surroundings_of(number):
    return number, os.getpid()


def test_in_a_pool_what_dies_hangs_or_eats_is_its_own_loss():
    pool = registry().make("executors", "pool", workers=2, memory=2048)
    found = outcomes(pool, [1, "die", 2, "hang", "raise", 3, "eat", 4], LIMIT)
    assert found["die"] == "its worker died (signal 9)"
    assert found["hang"] == "it took more than 4 seconds"
    assert found["raise"] == "ValueError: no such number"
    assert found["eat"] == "MemoryError"
    assert [found[number] for number in (1, 2, 3, 4)] == ["1", "2", "3", "4"]


def slow_surroundings(number):
    time.sleep(0.05)  # so that every process has its share
    return surroundings(number)


@pytest.mark.parametrize(("visible", "seen"), [(None, {"0", "1"}), ("5, GPU-8a2e, 7", {"5", "GPU-8a2e"})])
def test_there_is_a_process_for_each_gpu_which_sees_no_other(monkeypatch, visible, seen):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    pool = registry().make("executors", "pool", threads=3, gpus=2)
    found = {outcome.value for outcome in pool((slow_surroundings,), iter(range(60)), 60.0)}
    assert len(found) == 2  # processes, each with one surrounding
    assert {threads for threads, _, _ in found} == {"3"}
    assert {gpu for _, gpu, _ in found} == seen
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible  # here it is as it was


def test_more_gpus_than_may_be_used_are_refused(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(BadOption, match="2 GPUs are more than CUDA_VISIBLE_DEVICES lists"):
        registry().make("executors", "pool", gpus=2)


def test_a_pool_takes_arguments_as_it_gets_to_them():
    taken = []

    def arguments():
        for number in range(50):
            taken.append(number)
            yield number

    pool = registry().make("executors", "pool", workers=2)
    found = pool((double,), arguments(), 60.0)
    next(found)
    assert len(taken) <= 5  # two are worked on, two may have been, and one is at hand
    found.close()


@pytest.mark.parametrize("options", [{"workers": -1}, {"workers": "two"}, {"worker": 1}])
def test_options_that_are_none(options):
    with pytest.raises(BadOption):
        registry().make("executors", "pool", **options)


class Two:
    """An executor with room for two, which notes how many pieces it was given each time."""

    places = 2

    def __init__(self):
        self.sizes = []

    def __call__(self, stages, arguments, limit):
        for chunk in arguments:
            self.sizes.append(len(chunk.pieces))
            yield Outcome(chunk, here.run_stages(stages, chunk))


def test_a_small_batch_is_shared_among_all_workers(tmp_path, cells):
    two = Two()
    assert run(tmp_path / "out", cells, two).counts == Counter(done=8)
    assert two.sizes == [4, 4]


def test_chunks_are_large_at_first_and_of_one_batch_in_the_end():
    left, sizes = 10_000, []
    while left:
        size = compute_chunk_size(left, 4, 4 * BATCH_SIZE)
        sizes += [size] * 4
        left -= min(4 * size, left)
    assert max(sizes[:8]) > 3 * BATCH_SIZE
    assert all(BATCH_SIZE // 2 <= size <= BATCH_SIZE for size in sizes[-4:])
    assert sum(sizes) - 10_000 < 4 * 4


# --- a batch with a poisonous request ---------------------------------------------------------------------------------


def poisonous(monkeypatch, what):
    """Piece 5 kills, hangs or breaks whoever draws it; in this process, and through the environment in others."""
    monkeypatch.setenv("POISON", what)
    monkeypatch.setattr("composer_batch.scheduler.draw", draw_or_die)


def draw_or_die(chunk):
    from composer_batch.worker import draw

    if any(number == POISON for number, _, _ in chunk.pieces):
        poisoned(os.environ["POISON"])
    return draw(chunk)


@pytest.mark.parametrize(
    ("what", "limit", "reason"),
    [
        ("die", 60.0, "its worker died (signal 9) (3 tries)"),
        pytest.param("hang", 30.0, "it took more than 30 seconds (3 tries)", marks=pytest.mark.soak),
        ("raise", 60.0, "ValueError: no such number (3 tries)"),
    ],
    ids=str,
)
def test_a_poisonous_piece_is_set_aside_and_the_rest_completes(tmp_path, cells, monkeypatch, what, limit, reason):
    executor = registry().make("executors", "here" if what == "raise" else "pool", **POOL.get(what, {}))
    poisonous(monkeypatch, what)
    ended = run(tmp_path / "out", cells, executor, Settings(limit=limit))
    assert ended.counts == Counter(done=7, failed=1)
    with sqlite3.connect(tmp_path / "out/catalogue.sqlite") as connection:
        assert connection.execute("SELECT number, reason FROM pieces WHERE state = 'failed'").fetchall() == [
            (POISON, reason)
        ]
    monkeypatch.undo()
    alone = registry().make("executors", "here", beside=0)
    assert run(tmp_path / "out", None, alone).counts == Counter(done=7, failed=1)
    assert run(tmp_path / "out", None, alone, retry=True).counts == Counter(done=8)


POOL = {"die": {"workers": 1}, "hang": {"workers": 1}}


def test_on_the_command_line_what_is_set_aside_is_said_and_retried(tmp_path, cells, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = ["--executor", "here"]
    poisonous(monkeypatch, "raise")
    assert cli.run(["batch", "jobs.toml", "--out", "out", "--quiet", *here]) == 1
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert cli.run(["batch", "retry", "out", "--failed", "--quiet", *here]) == 0


# --- Ray --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray", reason="Ray is not installed (composer-midi[ray])")
    place = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}  # where the work of these tests stands
    ray.init(num_cpus=2, runtime_env=place, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield ray
    ray.shutdown()


def test_without_ray_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setattr("composer_executors.cluster.find_spec", lambda name: None)
    with pytest.raises(BadOption, match=r"pip install 'composer-midi\[ray\]'"):
        next(registry().make("executors", "ray")((double,), iter([1]), 1.0))


def test_on_a_cluster_one_worker_is_killed_in_the_middle(cluster, tmp_path, cells, monkeypatch):
    executor = registry().make("executors", "ray", workers=2)
    check_executor(executor)
    found = outcomes(executor, [1, "die", 2, "raise", 3])
    assert found["die"].startswith("its worker died (")
    assert found["raise"] == "ValueError: no such number"
    assert [found[number] for number in (1, 2, 3)] == ["1", "2", "3"]
    poisonous(monkeypatch, "die")
    once = tmp_path / "once"
    monkeypatch.setattr("composer_batch.scheduler.draw", DieOnce(once))
    ended = run(tmp_path / "out", cells, executor, Settings(chunk=4))
    assert once.exists()
    assert ended.counts == Counter(done=8)
    monkeypatch.undo()
    run(tmp_path / "whole", cells, registry().make("executors", "here", beside=0))
    pieces = [{p.name: p.read_bytes() for p in (tmp_path / n / "0000").iterdir()} for n in ("out", "whole")]
    assert pieces[0] == pieces[1]


@pytest.mark.soak
def test_what_hangs_on_a_cluster_is_ended(cluster):
    executor = registry().make("executors", "ray", workers=2)
    found = outcomes(executor, [1, "hang", 2], 30.0)
    assert found["hang"] == "it took more than 30 seconds"
    assert (found[1], found[2]) == ("1", "2")


class DieOnce:
    """Draws, but the first worker that comes to piece 5 dies in the middle."""

    def __init__(self, mark):
        self.mark = mark

    def __call__(self, chunk):
        from composer_batch.worker import draw

        if any(number == POISON for number, _, _ in chunk.pieces) and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return draw(chunk)
