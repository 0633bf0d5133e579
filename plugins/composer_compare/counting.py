"""The size of a network, counted from its module and its cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from composer.devices import switch_off_onednn
from composer.types import Architecture, HasCell

if TYPE_CHECKING:
    import torch
    from torch import nn

COPIES = 5
"""Copies of each parameter in training: weight, gradient, two moments of AdamW, and the average."""

WORD = 4
"""Bytes of a weight."""


def count_size(architecture: Architecture, column_sizes: Sequence[int], vocabulary_size: int) -> dict[str, Any]:
    """Count parameters, multiply-adds of a step, tensors and bytes of the state, and gates.

    Gates are None if the architecture does not describe its cell.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        module = architecture.build_module(column_sizes, vocabulary_size)
    state = _run_one_step(module, len(column_sizes))[1]
    return {
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "multiply_adds": count_multiply_adds(module, len(column_sizes)),
        "state_tensors": len(state),
        "state_numbers": sum(part.numel() for part in state),
        "state_bytes": sum(part.numel() * part.element_size() for part in state),
        **_count_gates(architecture, column_sizes, module),
    }


def _run_one_step(module: nn.Module, columns: int) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    import torch

    module.eval()
    with torch.no_grad():
        logits, state = module(torch.zeros(1, 1, columns, dtype=torch.int64))
    return logits, state


def count_multiply_adds(module: nn.Module, columns: int) -> int:
    """Count the multiply-adds of the matrix products of one token, as torch computes them."""
    from torch.utils.flop_counter import FlopCounterMode

    with switch_off_onednn(), FlopCounterMode(display=False) as counter:  # oneDNN's layers would count as zero
        _run_one_step(module, columns)
    return int(counter.get_total_flops()) // 2


def _count_gates(architecture: Architecture, column_sizes: Sequence[int], module: nn.Module) -> dict[str, Any]:
    """Count the gates of a unit, and tell whether they see its past, if the architecture describes its cell.

    A unit computes several weighted sums of its inputs: one is the candidate state, the others are gates.
    """
    if not isinstance(architecture, HasCell):
        return {"gates": None, "sums": None, "recurrent": None}
    weights = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
    layer = architecture.build_cell(column_sizes, weights).layers[0]
    sums = layer.inputs.shape[0] // layer.recurrent.shape[1]
    return {"gates": sums - 1, "sums": sums, "recurrent": bool(len(layer.recurrent))}


def count_training_bytes(module: nn.Module, column_sizes: Sequence[int], rows: int, places: int) -> int:
    """Count the bytes held in training: all copies of the parameters, and the activations of one chunk.

    Activations are the storages that torch saves in the forward pass; a kernel's workspace is not included.
    """
    import torch

    kept: dict[int, int] = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    module.train()
    inputs = torch.zeros(rows, places, len(column_sizes), dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        held = module(inputs)
    parameters = {p.untyped_storage().data_ptr(): p.numel() * p.element_size() for p in module.parameters()}
    activations = sum(size for place, size in kept.items() if place not in parameters)
    del held
    return COPIES * sum(parameters.values()) + activations


def count_generation_bytes(found: Mapping[str, Any], rows: int) -> int:
    """Count the bytes held in generating `rows` pieces at once: weights and states in single precision."""
    return WORD * int(found["parameters"]) + rows * int(found["state_bytes"])
