"""Files from strangers: damaged at random, each is read, or refused in one sentence, in bounded time and memory.

`pytest -m soak tests/fuzzing` tries tens of thousands; the usual run some hundred. A file that did what it should not
is printed with what makes it again.
"""

import pytest
from guarded import fuzz

MANY = {
    "models": 4000,
    "recipes": 1500,
    "jobs": 1500,
    "sidecars": 2000,
    "corpora": 500,
    "catalogues": 500,
    "checkpoints": 500,
    "ledgers": 1000,
    "indices": 1000,
    "comparisons": 2000,
    "batches": 2000,
    "runs": 2000,
    "midi": 20_000,
    "scores": 5000,
    "kern": 5000,
}
FEW = {
    "ours": 150,
    "jobs": 100,
    "sidecars": 100,
    "comparisons": 100,
    "batches": 100,
    "runs": 100,
    "midi": 500,
    "scores": 100,
    "kern": 200,
}


@pytest.mark.parametrize("kind", FEW)
def test_some_damaged_files_are_read_or_refused(kind, tmp_path):
    check(fuzz(kind, FEW[kind], tmp_path, seed=2), FEW[kind])


@pytest.mark.soak
@pytest.mark.parametrize("kind", MANY)
def test_many_damaged_files_are_read_or_refused(kind, tmp_path):
    found = fuzz(kind, MANY[kind], tmp_path)
    print(kind, dict(found.ended), f"the slowest took {found.slowest:.2f} s")
    check(found, MANY[kind])


def check(found, count):
    assert not found.faults, "\n\n".join(found.faults)
    assert sum(found.ended.values()) == count
    assert found.ended["read"] > count / 50, "too few were worth reading"
