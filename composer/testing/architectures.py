"""The contracts of architectures and of models in packages.

An architecture is checked on a module with random weights. A model loads, writes music, and states its origin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer.building import build_module
from composer.errors import BadModelFile, ComposerError
from composer.model import Model, load
from composer.testing.backends import check_backends, limit_threads, make_columns, make_token_info
from composer.testing.rules import rebuild, require
from composer.types import Architecture, HasShapes, ModelFile

if TYPE_CHECKING:
    from torch import Tensor, nn


# --- architectures ----------------------------------------------------------------------------------------------------


SIZES, VOCABULARY = (13, 5, 3), 13
ROWS, PLACES = 4, 9
CLOSE = 1e-5


def check_architecture(architecture: Architecture) -> None:
    """Check that whole, chunks and single steps agree, rows are independent, all weights learn, and saving restores.

    All randomness is torch's, and a module holds nothing that changes but its parameters.
    Every backend that supports it computes what its module does (`check_backends`).
    """
    import torch

    require(rebuild(architecture) == architecture, "options rebuilt from their fields are equal")
    with torch.random.fork_rng(), limit_threads(1):
        torch.manual_seed(0)
        module = _build(architecture)
        inputs = torch.stack([torch.randint(0, size, (ROWS, PLACES)) for size in SIZES], dim=-1)
        _check_arrays(architecture, module)
        _check_seed(architecture, inputs)
        _check_training(module, inputs)
        module.eval()
        with torch.no_grad():
            whole = _check_shapes(module, inputs)
            _check_states(module, inputs)
            for chunk in (1, 4):
                _check_chunks(module, inputs, whole, chunk)
            _check_rows(module, inputs, whole)
            _check_saved(architecture, module, inputs, whole)
        check_backends(architecture)


def _build(architecture: Architecture) -> nn.Module:
    return build_module(architecture, make_columns(SIZES, VOCABULARY), VOCABULARY, make_token_info(VOCABULARY))


def _check_arrays(architecture: Architecture, module: nn.Module) -> None:
    """Check the names and shapes that the architecture lists; otherwise every file of its models would be refused.

    They are the same whether or not the network is told what its features and tokens are.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    plain = architecture.build_module(SIZES, VOCABULARY).state_dict()
    same = shapes == {name: tuple(tensor.shape) for name, tensor in plain.items()}
    require(same, "a network has the same arrays whether or not it is told what its features and tokens are")
    if not isinstance(architecture, HasShapes):
        return
    said = {name: tuple(shape) for name, shape in architecture.list_shapes(SIZES, VOCABULARY)}
    others = sorted(name for name in {*said, *shapes} if said.get(name) != shapes.get(name))
    require(not others, f"shapes() lists the arrays of the module, with their shapes; not so {', '.join(others)}")


def _check_seed(architecture: Architecture, inputs: Tensor) -> None:
    """Check that weights, and what is random in training, follow the seed of torch alone, as a resumed run does."""
    import torch

    def build(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return _build(architecture)

    def train(module: nn.Module) -> Tensor:
        torch.manual_seed(1)
        logits: Tensor = module.train()(inputs)[0]
        return logits

    one, same, other = build(0), build(0), build(1)
    off = [name for name, tensor in one.state_dict().items() if not tensor.equal(same.state_dict()[name])]
    require(not off, f"the same seed of torch gives the same weights; not so {', '.join(off)}")
    moved = (not a.equal(b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    require(any(moved), "another seed of torch gives other weights")
    require(
        train(one).equal(train(one)),
        "what is random in training is drawn by torch, not NumPy or Python: the same seed gives the same logits",
    )


def _check_training(module: nn.Module, inputs: Tensor) -> None:
    """Check that all parameters learn, and that nothing else changes: only parameters are averaged."""
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    _check_gradient(module.train(), inputs)
    moved = [name for name, buffer in module.named_buffers() if name not in before or not buffer.equal(before[name])]
    require(
        not moved,
        "no buffer changes in training, as running statistics do: only parameters are averaged and restored; "
        f"not so {', '.join(moved)}",
    )


def _check_shapes(module: nn.Module, inputs: Tensor) -> Tensor:
    logits: Tensor
    before = inputs.clone()
    logits, state = module(inputs)
    require(inputs.equal(before), "the inputs of a module are unchanged")
    training = [name or "the module itself" for name, part in module.named_modules() if part.training]
    require(not training, f"a module stays in evaluation mode after eval(); not so {', '.join(training)}")
    require(logits.shape == (ROWS, PLACES, VOCABULARY), f"logits are (B, T, V), not {tuple(logits.shape)}")
    require(isinstance(state, tuple), "the state is a tuple of tensors")
    require(all(part.shape[0] == ROWS for part in state), "the state's tensors are batch-first")
    require(module(inputs, None)[0].equal(logits), "after eval() the same inputs give the same logits")
    return logits


def _check_states(module: nn.Module, inputs: Tensor) -> None:
    """Check that states are of one size, and that none is changed by later steps; rows may share one."""
    import torch

    state, kept = None, []
    for step in torch.split(inputs, 1, dim=1):
        _, state = module(step, state)
        kept.append((state, tuple(part.clone() for part in state)))
        sizes = [[tuple(part.shape) for part in copies] for _, copies in (kept[0], kept[-1])]
        require(
            sizes[0] == sizes[1],
            f"a state has one size after any number of steps; after 1 it is {sizes[0]}, after {len(kept)} {sizes[1]}",
        )
    stays = (part.equal(copy) for parts, copies in kept for part, copy in zip(parts, copies, strict=True))
    require(all(stays), "a state stays as it is when later steps are made, never changed in place")


def _check_chunks(module: nn.Module, inputs: Tensor, whole: Tensor, chunk: int) -> None:
    import torch

    parts, state = [], None
    for part in torch.split(inputs, chunk, dim=1):
        logits, state = module(part, state)
        parts.append(logits)
    far = (torch.cat(parts, dim=1) - whole).abs().amax(dim=(0, 2))
    off, place = float(far.max()), int((far > CLOSE).int().argmax())
    require(
        off <= CLOSE,
        f"whole is equal to chunks of {chunk} within {CLOSE}; it is off by {off:.1e}, from place {place} on",
    )


def _check_rows(module: nn.Module, inputs: Tensor, whole: Tensor) -> None:
    """Check a row alone, and rows in another order from the middle on."""
    half = PLACES // 2
    alone = module(inputs[1:2])[0]
    off = float((alone - whole[1:2]).abs().max())
    require(off <= CLOSE, f"a row of a batch is equal to that row alone within {CLOSE}; it is off by {off:.1e}")
    _, state = module(inputs[:, :half])
    order = [2, 0, 2]
    gathered = module(inputs[order, half:], tuple(part[order] for part in state))[0]
    off = float((gathered - whole[order, half:]).abs().max())
    require(off <= CLOSE, f"rows gathered from a state continue as before; they are off by {off:.1e}")


def _check_gradient(module: nn.Module, inputs: Tensor) -> None:
    from torch.nn import functional

    logits, _ = module(inputs[:, :-1])
    functional.cross_entropy(logits.flatten(0, 1), inputs[:, 1:, 0].flatten()).backward()
    dead = [name for name, p in module.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    require(not dead, f"the gradient reaches every parameter; not these: {dead}")


def _check_saved(architecture: Architecture, module: nn.Module, inputs: Tensor, whole: Tensor) -> None:
    saved = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    again = _build(architecture)
    again.load_state_dict(saved)
    again.eval()
    require(again(inputs)[0].equal(whole), "a module with the saved weights of another gives the same logits")


# --- models -----------------------------------------------------------------------------------------------------------


BARS = 2


def check_model(offered: ModelFile) -> None:
    """Check that the file loads, its plugins are installed, its card is complete, and it writes music."""
    path = offered()
    require(isinstance(path, Path) and path.is_file(), f"a model is offered as the path of its file; {path} is none")
    require(path.suffix == ".safetensors", f"a model file ends in .safetensors; not so {path.name}")
    model = _load(path)
    _check_card(model.card)
    _check_writes(model)


def _load(path: Path) -> Model:
    try:
        model = load(path)
        model.make_tokenizer()
        model.make_module()
    except BadModelFile as error:
        require(False, f"a model file loads, and what it needs is installed; {error}")
    return model


def _check_card(card: Mapping[str, Any]) -> None:
    missing = [name for name in ("title", "licence", "command", "seed") if card.get(name) in (None, "")]
    dataset, test = card.get("dataset", {}), card.get("test", {})
    missing += [f"dataset.{name}" for name in ("name", "source", "citation") if not dataset.get(name)]
    require(not missing, f"the card of a model is complete; it lacks {', '.join(missing)}")
    require(test.get("nats_per_note", 0) > 0, "the card of a model states its likelihood on the test split")
    json.dumps(card)


def _check_writes(model: Model) -> None:
    from composer.generation.generator import Generator, generate

    player = Generator(model)
    try:
        request = replace(player.suggested, bars=BARS, seed=1)
        first, again = (generate(player, [request])[0].score for _ in range(2))
    except ComposerError as error:
        require(False, f"a model can write its own suggested request; {error}")
    require(first.note_count, "a model writes notes")
    require(first == again, "the same request makes the same piece")
