"""What a benchmark ran on, and how often it ran: each figure is of runs that take turns."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping
from time import perf_counter

from composer.tokens.jit.c_compiler import describe_processor

FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
"""Instructions that a figure may depend on."""


def describe() -> str:
    """One line about this machine."""
    import torch

    name = platform.processor() or platform.machine()
    cpu = torch.cpu.get_capabilities().get("cpu_name", name) if hasattr(torch.cpu, "get_capabilities") else name
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU (GPU figures: not measured)"
    told = [feature for feature in FEATURES if feature in describe_processor().split()]
    about = f"{cpu} ({', '.join(told)}), {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return f"{about}, torch {torch.__version__}, {gpu}"


def in_turn(
    tasks: Mapping[str, Callable[[], object]],
    rounds: int,
    take: Callable[[list[float]], float] = statistics.median,
    clock: Callable[[], float] = perf_counter,
) -> dict[str, float]:
    """Seconds of each task, `take` of all rounds; A B A B …, so that a drift of the machine's speed falls on all alike.

    On a machine that others use as well, `min` and (for what runs in one thread) `process_time` tell more.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = clock()
            task()
            seconds[name].append(clock() - began)
    return {name: take(values) for name, values in seconds.items()}
