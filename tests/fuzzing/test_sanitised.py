"""Model files from strangers, run by compiled code that looks at each access to memory: music, or one sentence."""

import pytest
from guarded import fuzz
from sanitising import environment


@pytest.fixture
def sanitised(tmp_path):
    """What a process needs beside its own environment."""
    found = environment(tmp_path)
    if found is None:
        pytest.skip("there is no compiler here whose address sanitiser works")
    return found


@pytest.mark.uncounted
@pytest.mark.parametrize("count", [1000, pytest.param(20_000, marks=pytest.mark.soak)])
def test_models_of_parts_that_do_not_belong_together_touch_no_memory_but_their_own(count, sanitised, tmp_path):
    found = fuzz("sanitised", count, tmp_path, seed=count, environment=sanitised)
    assert not found.faults, "\n\n".join(found.faults)
    assert sum(found.ended.values()) == count
    assert found.ended["read"] > count / 5, "too few were worth running"
    assert found.ended["refused"] > count / 5


@pytest.mark.uncounted
@pytest.mark.parametrize("count", [3, pytest.param(100, marks=pytest.mark.soak)])
def test_compiled_grammars_touch_no_memory_but_their_own_whatever_the_state(count, sanitised, tmp_path):
    found = fuzz("grammars", count, tmp_path, seed=count, environment=sanitised)
    assert not found.faults, "\n\n".join(found.faults)
    assert found.ended["read"] > count / 2, "too few were compiled"
