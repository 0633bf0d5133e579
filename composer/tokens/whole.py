"""The model's inputs along a whole piece that is there already."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from composer.types import SupportsInputs, SupportsStates, Tokens


def make_piece_inputs(grammar: SupportsStates, tokens: Tokens) -> NDArray[np.int64]:
    """Make the inputs before each token of a piece, (T, C): without its states, where the grammar can."""
    if isinstance(grammar, SupportsInputs):
        return grammar.compute_inputs(tokens)
    inputs: NDArray[np.int64] = grammar.make_inputs(grammar.compute_states(tokens))  # type: ignore[attr-defined]
    return inputs
