"""Devices and precisions: which this machine has, and which are used."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer.errors import BadOption, printable

if TYPE_CHECKING:
    import torch

AMD = Path("/dev/kfd")
"""The driver of an AMD GPU, which torch calls `cuda` too."""

PRECISIONS = ("auto", "float32", "bfloat16")

BF16 = "COMPOSER_BF16"
"""Environment variable, 0 or 1, that overrides detection of bf16, so that tests try both on any machine."""


_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Numbers of glibc's options in `malloc.h`."""


def count_processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of that name; `auto` is a GPU where there is one. Raises BadOption for a missing device."""
    if name.partition(":")[0] == "cuda" and _has_no_driver():
        raise BadOption(f"there is no device '{printable(name)}' here; 'cpu' always works.")
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise BadOption(f"there is no device '{printable(name)}' here; 'cpu' always works.") from error
    return device


def _has_no_driver() -> bool:
    """Tell whether this machine surely lacks a driver for a GPU that torch would call `cuda`; asked without torch."""
    if sys.platform != "linux" or AMD.exists():
        return False
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return True
    return False


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether the device computes in bf16 natively."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if override := os.environ.get(BF16):
        return override == "1"
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(found.get("avx512_bf16") or found.get("amx_bf16") or found.get("sve_bf16"))


def use_precision(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Return a context in which a model runs at that precision; `auto` is bf16 where the device has it, else fp32."""
    import torch

    if precision not in PRECISIONS:
        raise BadOption(f"unknown precision '{precision}'; choose from {', '.join(PRECISIONS)}.")
    if precision == "bfloat16" or (precision == "auto" and has_bfloat16(device)):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


@contextmanager
def switch_off_onednn() -> Iterator[None]:
    """Disable oneDNN inside: it repacks a layer's weights at every call, which one step does not repay."""
    import torch

    onednn: Any = torch.backends.mkldnn
    before = onednn.enabled  # `mkldnn.flags` would set TF32 as well, and warn of missing hardware
    onednn.enabled = False
    try:
        yield
    finally:
        onednn.enabled = before


FEATURES = ("avx2", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_bf16", "sve_bf16")
"""Features of processors that training is faster with."""


def describe_machine(device: str) -> str:
    """Describe what computes, for figures of time: the processor and its features, or the GPU; threads; versions.

    Another device is named by its type, after the processor.
    """
    import torch

    kind = device.partition(":")[0]
    name = torch.cuda.get_device_name(device) if kind == "cuda" else _describe_processor()
    other = "" if kind in ("cpu", "cuda") else f", {kind}"
    return f"{name}{other}, Python {platform.python_version()}, torch {torch.__version__}"


def _describe_processor() -> str:
    import torch

    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    features = ", ".join(name for name in FEATURES if found.get(name))
    name = f"{found.get('cpu_name') or platform.machine()}{features and f' ({features})'}"
    return f"{name}, {torch.get_num_threads()} of {count_processors()} threads"


@contextmanager
def use_one_thread() -> Iterator[None]:
    """Limit torch to one thread inside: fastest for small single steps, and the same sums on any machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def run_alike() -> Iterator[None]:
    """Let torch compute a step with the same bits for a row, whatever the machine does beside; without gradients."""
    import torch

    with torch.inference_mode(), use_one_thread(), switch_off_onednn():
        yield


def keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next step of a training, in huge pages; only of glibc, on Linux.

    By default it returns large arrays to the system, which zeroes their pages at every step: 10 to 20 % of the time.
    And arrays are read in order once, so a processor that looks up small pages waits: another 2 to 4 %.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, 32 * 2**20)  # the largest that glibc takes
        library.mallopt(_TRIM_THRESHOLD, 2**30)
        _ask_for_huge_pages(library)


def _ask_for_huge_pages(library: ctypes.CDLL) -> None:
    """Let a smaller heap grow by half a gigabyte of addresses, to be backed by huge pages when used."""
    size = ctypes.c_size_t
    library.sbrk.restype = library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes, library.free.argtypes = [size], [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, size, ctypes.c_int]
    library.mallopt(_TOP_PAD, 2**29)
    begin = library.sbrk(0)
    library.free(library.malloc(16 * 2**20))
    library.mallopt(_TOP_PAD, 2**17)  # its default
    begin, end = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE, library.sbrk(0)
    if end > begin:
        library.madvise(begin, end - begin, mmap.MADV_HUGEPAGE)  # refused by a system that has none
