"""Devices: one that is not here is refused, at once where that can be told."""

import os
import sys

import pytest

from composer import devices
from composer.errors import BadOption

pytestmark = pytest.mark.machine


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch is asked")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_without_a_driver_a_gpu_is_refused_before_torch_is_imported(monkeypatch, tmp_path, name):
    def refuse(library):
        raise OSError(f"{library}: cannot open shared object file")

    monkeypatch.setattr(devices.ctypes, "CDLL", refuse)
    monkeypatch.setattr(devices, "AMD", tmp_path / "kfd")
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it is an error now
    with pytest.raises(BadOption, match=f"there is no device '{name}' here; 'cpu' always works"):
        devices.choose_device(name)


def test_a_name_that_is_none_is_refused():
    with pytest.raises(BadOption, match="there is no device 'abacus' here"):
        devices.choose_device("abacus")


@pytest.mark.parametrize(
    ("found", "said", "precision"),
    [
        ({"avx512_bf16": True}, "", "bfloat16"),
        ({"avx512_bf16": True}, "0", "float32"),
        ({"avx512_bf16": False}, "", "float32"),
        ({"avx512_bf16": False}, "1", "bfloat16"),
    ],
)
def test_auto_is_bf16_where_the_processor_has_it_or_is_said_to(monkeypatch, found, said, precision):
    import torch

    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: found, raising=False)
    monkeypatch.setenv(devices.BF16, said)
    with devices.use_precision(torch.device("cpu"), "auto"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == getattr(torch, precision)


@pytest.mark.parametrize(
    ("found", "device", "said"),
    [
        ({"avx2": True, "avx512_f": False, "cpu_name": "zen"}, "cpu", "zen (avx2), 2 of 8 threads, Python"),
        ({"cpu_name": "old"}, "cpu", "old, 2 of 8 threads, Python"),
        ({"cpu_name": "m9"}, "mps", "m9, 2 of 8 threads, mps, Python"),
        ({"cpu_name": "zen"}, "xpu:0", "zen, 2 of 8 threads, xpu, Python"),
    ],
    ids=["features", "nothing known", "another device", "numbered"],
)
def test_a_machine_is_described_by_what_is_known_of_it(monkeypatch, found, device, said):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: found, raising=False)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    monkeypatch.setattr(devices, "count_processors", lambda: 8)
    assert devices.describe_machine(device).startswith(said)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no process is kept to some processors here")
def test_processors_are_those_that_this_process_may_use():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert devices.count_processors() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert devices.count_processors() == len(before)
