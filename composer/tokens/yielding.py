"""Constraints that yield: wishes, which give way where they would leave nothing."""

from __future__ import annotations

from collections.abc import Sequence

from composer.arrays import get_namespace
from composer.types import Array, Constraint, Context


def is_yielding(constraint: Constraint) -> bool:
    """Tell whether a constraint gives way where it would leave nothing (`composer.types.Constraint`)."""
    return bool(getattr(constraint, "yields", False))


def list_firm(constraints: Sequence[Constraint]) -> list[Constraint]:
    """List the constraints that never give way: they alone can contradict others."""
    return [constraint for constraint in constraints if not is_yielding(constraint)]


def compute_mask(constraint: Constraint, context: Context) -> Array:
    """Compute the mask (B, V) of a constraint in a context: all true in rows where it gives way."""
    mask = constraint.mask(context)
    if not is_yielding(constraint):
        return mask
    return mask | ~get_namespace(context.allowed).any(context.allowed & mask, axis=1)[:, None]
