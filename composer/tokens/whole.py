"""The model's inputs along a whole piece that is there already."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from composer.types import Grammar, SupportsInputs, SupportsStates, Tokens


def make_piece_inputs(grammar: Grammar, tokens: Tokens) -> NDArray[np.int64]:
    """Make the inputs before each token of a piece, (T, C): without its states, where the grammar can.

    The grammar computes all states of a piece at once. Raises TypeError for another.
    """
    if isinstance(grammar, SupportsInputs):
        return grammar.compute_inputs(tokens)
    if not isinstance(grammar, SupportsStates):
        raise TypeError("the grammar computes its states one by one")
    inputs: NDArray[np.int64] = grammar.make_inputs(grammar.compute_states(tokens))
    return inputs
