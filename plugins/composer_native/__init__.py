"""The backend `native`: steps in C, compiled on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from composer import hookimpl
from composer.types import HasCell, Step

if TYPE_CHECKING:
    from composer.model import Model


@dataclass(frozen=True)
class NativeBackend:
    """C on the CPU, compiled on first use: the fastest, where there is a C compiler.

    bfloat16 and int8 take a half and a third of the time where the processor has instructions for them; a trained
    model loses less than 0.5 % of its likelihood (bfloat16: 0.01 %). Of a cell whose gates are known, all processors
    compute the same bits, so that a piece can be made again elsewhere; other gates are computed by NumPy.
    """

    threads: Annotated[int, "at most so many share a step; 0: OMP_NUM_THREADS, or all processors"] = 0
    instructions: Annotated[str, "auto, avx512, avx2 or plain; all give the same bits"] = "auto"

    speed: ClassVar[int] = 20
    tolerances: ClassVar[Mapping[str, float]] = MappingProxyType({"float32": 1e-4, "bfloat16": 0.1, "int8": 0.1})

    def __post_init__(self) -> None:
        """Refuse an invalid number of threads, and instructions that this processor lacks."""
        from composer_native.compiling import has_instructions

        if not 0 <= self.threads <= MOST_THREADS:
            raise ValueError(f"threads must be from 0 to {MOST_THREADS}")
        if not has_instructions(self.instructions):
            raise ValueError(f"this processor lacks the instructions '{self.instructions}'")

    def supports(self, model: Model, device: str) -> bool:
        """Tell whether the model has a cell, the device is a CPU, and there is a kernel that is fast here."""
        return not self.explain(model, device)

    def explain(self, model: Model, device: str) -> str:
        """Explain why it does not run a model there; empty if it does."""
        from composer.tokens.jit.c_compiler import find_compiler
        from composer_native.compiling import load_kernel

        if device != "cpu":
            return "it runs on the CPU alone"
        if not isinstance(model.make_architecture(), HasCell):
            return f"the architecture '{model.architecture.name}' has no `build_cell`"
        kernel = load_kernel(self.instructions)
        if kernel is None:
            return "the compiler cannot build its kernel" if find_compiler() else "there is no C compiler"
        if self.instructions == "auto" and not kernel.fuses():
            return "this processor has no instruction that multiplies and adds, and others are faster"
        return ""

    def make(self, model: Model, device: str, precision: str = "float32") -> Step:
        """Make the step of the model's cell."""
        from composer_native.steps import make_native_step
        from composer_native.threads import count_threads

        names = [column.name for column in model.make_tokenizer().grammar.columns]
        threads = self.threads or min(count_threads(), MOST_THREADS)
        return make_native_step(model.make_cell(), precision, threads, names, self.instructions)


MOST_THREADS = 64
"""Most threads of the kernel."""


@hookimpl
def register_backends() -> dict[str, Callable[..., Any]]:
    """Register `native`."""
    return {"native": NativeBackend}
