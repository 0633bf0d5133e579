"""Devices: one that is not here is refused, at once where that can be told."""

import sys

import pytest

from composer import devices
from composer.errors import BadOption


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
