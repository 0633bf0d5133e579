"""A GPU in one command of at most eight minutes: its tests, sampling and training, beside naive torch and the roofline.

    python tests/benchmarks/gpu.py                              # on the GPU
    python tests/benchmarks/gpu.py --device cpu --small         # a small form, which only shows that it runs

The roofline is measured in the same run: bytes a second of a large copy, and operations a second of a large product in
bf16. A step can take no less than reading its matrices once, nor than its products at the peak; the table gives the
share of that. Naive torch steps the module with softmax and multinomial. In training it is the same network with its
scan in torch operations, and the products are those of all matrices, forward and backward, each as one large product.

What does not fit into the time is left out, and said to be.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import perf_counter
from unittest import mock

import torch
from machine import describe
from torch import Tensor, nn
from torch.nn import functional

from composer.devices import choose_device, use_precision
from composer.model import Model
from composer.plugins.registry import registry
from composer.request import Request
from composer.sampling.loop import make_source, run_steps
from composer.sampling.torch_backend import TorchStep, make_torch_step
from composer.testing import make_random_model
from composer.types import Array
from composer_minimal import compiled, layers

TESTS = ("test_blocks.py", "test_minimal.py")


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    width: int
    depth: int
    batches: tuple[int, ...]  # of sampling
    training: tuple[int, int]  # rows and places of a batch
    product: int  # rows and columns of the matrices of the roofline
    copied: int  # bytes
    block: int  # steps
    seconds: float  # of each figure


FULL = Size(512, 3, (1, 64, 1024), (64, 512), 8192, 2**30, 64, 4.0)
SMALL = Size(16, 1, (2,), (2, 16), 64, 2**16, 4, 0.02)

Row = tuple[str, ...]


class Clock:
    """The time that is left."""

    def __init__(self, minutes: float) -> None:
        self._end = perf_counter() + 60 * minutes

    def has(self, seconds: float) -> bool:
        """Whether so many are left."""
        return perf_counter() + seconds < self._end

    def left(self) -> float:
        """Seconds that are left."""
        return max(self._end - perf_counter(), 1.0)


# --- the roofline -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Roofline:
    """What the device reaches at most."""

    bandwidth: float  # bytes a second
    operations: float  # a second, in bf16

    def find_least(self, matrices: Sequence[Tensor], rows: int) -> float:
        """Seconds that products of rows with these matrices, read once, take at least."""
        numbers = sum(matrix.numel() for matrix in matrices)
        return max(numbers * matrices[0].element_size() / self.bandwidth, 2 * numbers * rows / self.operations)


def take_time(device: torch.device, run: Callable[[], object], seconds: float) -> float:
    """Seconds of one run, after two; the mean of as many as fit into the time."""
    for _ in range(2):
        run()
    wait(device)
    began = perf_counter()
    for number in count(1):
        run()
        if number % 4 == 0 or device.type == "cpu":
            wait(device)
            if perf_counter() - began > seconds:
                break
    return (perf_counter() - began) / number


def wait(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_roofline(device: torch.device, size: Size) -> Roofline:
    """Copy much, and multiply large matrices."""
    source = torch.empty(size.copied, dtype=torch.uint8, device=device).random_()
    goal = torch.empty_like(source)
    copying = take_time(device, lambda: goal.copy_(source), size.seconds)
    matrix = torch.randn(size.product, size.product, device=device).bfloat16()
    multiplying = take_time(device, lambda: matrix @ matrix, size.seconds)
    return Roofline(2 * size.copied / copying, 2 * size.product**3 / multiplying)


# --- sampling ---------------------------------------------------------------------------------------------------------


def list_matrices(module: nn.Module) -> list[Tensor]:
    """The matrices that a step multiplies by: all but tables of embeddings."""
    tables = [part.weight for part in module.modules() if isinstance(part, nn.Embedding | nn.EmbeddingBag)]
    return [one for one in module.parameters() if one.dim() == 2 and all(one is not table for table in tables)]


def time_naive_step(device: torch.device, module: nn.Module, columns: Tensor, seconds: float) -> float:
    """Seconds of a step as one would write it: forward, softmax, multinomial."""
    state: object = None
    fed = columns.clone()

    def run() -> None:
        nonlocal state
        logits, state = module(fed[:, None], state)
        fed[:, 0] = torch.multinomial(logits[:, 0].float().softmax(-1), 1)[:, 0]

    with torch.inference_mode():
        return take_time(device, run, seconds)


def time_raw_steps(device: torch.device, step: TorchStep, columns: Tensor, seconds: float) -> float:
    """Seconds of a step of the network alone, in blocks on the device; the likeliest token is fed back."""
    size = step.pad(len(columns))
    fed = columns[:1].repeat(size, 1)

    def turn(carried: Sequence[Array], given: Sequence[Array]) -> tuple[Sequence[Array], Sequence[Array]]:
        logits, state = step.run(carried[0], tuple(carried[1:]))
        token = logits.argmax(dim=1)
        return [torch.cat([token[:, None], carried[0][:, 1:]], dim=1), *state], [token]

    begun, given = [fed, *step.begin(size)], [torch.zeros((step.block, size), device=device)]
    repeat = step.make_repeat(turn, begun, [given[0][0]])
    assert repeat is not None
    return take_time(device, lambda: repeat(begun, given), seconds) / step.block


def time_raw_steps_low(device: torch.device, step: TorchStep, columns: Tensor, seconds: float) -> float:
    """Seconds of the same with products in bf16; a recorded graph would not fill the cache of matrices anew."""
    with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
        return time_raw_steps(device, step, columns, seconds)


def time_whole_loop(model: Model, step: TorchStep, rows: int, seconds: float) -> float:
    """Seconds of a step of the whole loop, with grammar, chain and draw, and new pieces for those that end."""
    samplers = [
        registry().make("samplers", "temperature", temperature=0.95),
        registry().make("samplers", "top-p", p=0.95),
    ]
    source = make_source(Request(seed=1, index=index, bars=64) for index in count())
    began, warm, steps = perf_counter(), 2 * step.block, 0
    for drawn in run_steps(step, model.make_tokenizer(), samplers, source, rows):
        steps += len(drawn.number) / rows if steps >= warm else 1
        if steps == warm:
            began = perf_counter()
        if perf_counter() - began > seconds and steps >= warm + 2 * step.block:
            break
    return (perf_counter() - began) / (steps - warm)


def compare_sampling(device: torch.device, size: Size, roof: Roofline, clock: Clock) -> Iterator[Row]:
    """Yield a row for each batch and way."""
    model = make_random_model("lstm", "voices", hidden_size=size.width, layers=size.depth, embedding_size=size.width)
    module, columns = model.make_module().to(device).eval(), model.make_tokenizer().grammar.columns
    blocks, plain = (make_torch_step(module, columns, block) for block in (size.block, 1))
    for rows in size.batches:
        fed = torch.zeros((rows, len(columns)), dtype=torch.int64, device=device)
        least = roof.find_least(list_matrices(module), rows)
        ways = {
            "naive torch, step": lambda fed=fed: time_naive_step(device, module, fed, size.seconds),
            "raw steps in blocks": lambda fed=fed: time_raw_steps(device, blocks, fed, size.seconds),
            "raw steps in blocks, bf16": lambda fed=fed: time_raw_steps_low(device, blocks, fed, size.seconds),
            "whole loop on the host": lambda rows=rows: time_whole_loop(model, plain, rows, size.seconds),
            "whole loop in blocks": lambda rows=rows: time_whole_loop(model, blocks, rows, size.seconds),
        }
        yield from report(f"batch {rows}", ways, rows, least, clock, 8 * size.seconds)


def report(
    title: str, ways: dict[str, Callable[[], float]], tokens: int, least: float, clock: Clock, needed: float
) -> Iterator[Row]:
    """Yield a row for each way: tokens a second, times the first way, and the share of the roofline."""
    first = None
    for name, way in ways.items():
        if not clock.has(needed):
            yield title, name, "left out: no time", "", ""
            continue
        seconds = way()
        first = first or seconds
        yield title, name, f"{tokens / seconds:,.0f}", f"{first / seconds:.2f}", f"{least / seconds:.1%}"


# --- training ---------------------------------------------------------------------------------------------------------


def time_training(device: torch.device, module: nn.Module, inputs: Tensor, seconds: float) -> float:
    """Seconds of a step of training on inputs (B, T + 1, C): forward, backward, update."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-4)

    def run() -> None:
        with use_precision(device, "bfloat16"):
            logits = module(inputs[:, :-1])[0]
            loss = functional.cross_entropy(logits.flatten(0, 1).float(), inputs[:, 1:, 0].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return take_time(device, run, seconds)


def time_products(device: torch.device, module: nn.Module, rows: int, seconds: float) -> float:
    """Seconds of the products of a training step alone: each matrix once forward and twice backward, in bf16."""
    matrices = [matrix.detach().bfloat16() for matrix in list_matrices(module)]
    given = [torch.randn(rows, matrix.shape[1], device=device).bfloat16() for matrix in matrices]
    heard = [torch.randn(rows, matrix.shape[0], device=device).bfloat16() for matrix in matrices]

    def run() -> None:
        for matrix, x, gradient in zip(matrices, given, heard, strict=True):
            for one, other in ((x, matrix.t()), (gradient, matrix), (gradient.t(), x)):
                one @ other

    return take_time(device, run, seconds)


@contextmanager
def in_torch_operations() -> Iterator[None]:
    """Let minimal layers compute without kernels inside."""
    with (
        mock.patch.object(layers, "has_kernel", return_value=False),
        mock.patch.object(compiled, "is_available", return_value=False),
        mock.patch.object(layers, "run_recurrence", layers.run_in_parallel),
    ):
        yield


def compare_training(device: torch.device, size: Size, roof: Roofline, clock: Clock) -> Iterator[Row]:
    """Yield a row for each architecture and way."""
    for name in ("mingru", "minlstm", "lstm"):
        model = make_random_model(name, "voices", hidden_size=size.width, layers=size.depth, embedding_size=size.width)
        module, (rows, places) = model.make_module().to(device).train(), size.training
        sizes = [column.size for column in model.make_tokenizer().grammar.columns]
        drawn = [torch.randint(0, one, (rows, places + 1), device=device) for one in sizes]
        inputs = torch.stack(drawn, dim=-1)

        def naive(module: nn.Module = module, inputs: Tensor = inputs) -> float:
            with in_torch_operations():
                return time_training(device, module, inputs, size.seconds)

        ways = {
            "naive torch": naive,
            "as trained": lambda m=module, x=inputs: time_training(device, m, x, size.seconds),
            "products alone": lambda m=module, n=rows * places: time_products(device, m, n, size.seconds),
        }
        least = 3 * roof.find_least(list_matrices(module), rows * places)
        yield from report(name, ways, rows * places, least, clock, 4 * size.seconds)


# --- all of it --------------------------------------------------------------------------------------------------------


def run_tests(clock: Clock) -> str:
    """Run the tests that need a GPU; return their last line."""
    paths = [str(Path(__file__).parents[1] / name) for name in TESTS]
    asked = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-k", "cuda", *paths]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=min(clock.left(), 180))
    except subprocess.TimeoutExpired:
        return "left out: they took more than three minutes"
    return (done.stdout.strip() or done.stderr.strip()).splitlines()[-1]


def show(title: str, rows: Iterator[Row]) -> None:
    """Print a table, line by line."""
    print(
        f"\n| {title} | way | tokens a second | times the first | of the roofline |\n|---|---|---|---|---|", flush=True
    )
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    """Run the tests, and print the roofline and both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="a network and batches as small as can be")
    parser.add_argument("--minutes", type=float, default=7.5)
    given = parser.parse_args()
    device, size, clock = choose_device(given.device), SMALL if given.small else FULL, Clock(given.minutes)
    print(describe())
    print(f"tests on cuda: {run_tests(clock) if device.type == 'cuda' else 'none, on this device'}")
    roof = measure_roofline(device, size)
    print(f"roofline: {roof.bandwidth / 1e9:,.1f} GB/s copied, {roof.operations / 1e12:,.3f} TFLOP/s in bf16")
    show(f"sampling, LSTM {size.depth} x {size.width}, float32", compare_sampling(device, size, roof, clock))
    rows, places = size.training
    show(f"training {size.depth} x {size.width}, {rows} x {places}, bf16", compare_training(device, size, roof, clock))


if __name__ == "__main__":
    main()
