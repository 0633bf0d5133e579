"""What a benchmark ran on, and how often it ran: each figure is a median of runs that take turns."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping
from time import perf_counter


def describe() -> str:
    """One line about this machine."""
    import torch

    name = platform.processor() or platform.machine()
    cpu = torch.cpu.get_capabilities().get("cpu_name", name) if hasattr(torch.cpu, "get_capabilities") else name
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU (GPU figures: not measured)"
    return f"{cpu}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, {gpu}"


def in_turn(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each task; A B A B …, so that a drift of the machine's speed falls on all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            began = perf_counter()
            task()
            seconds[name].append(perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}
