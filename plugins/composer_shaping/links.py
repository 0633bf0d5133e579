"""Links that shape a distribution over tokens; they know no grammar. Tokens at -inf are out of play and stay so."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Annotated

from composer.arrays import like, namespace, numbers
from composer.types import Array, Context


@dataclass(frozen=True)
class Temperature:
    """Divide the logits: below 1 the model is surer of itself, above 1 more daring."""

    temperature: Annotated[float, "1 leaves the model as it is"]

    def __post_init__(self) -> None:
        """Refuse what is no temperature."""
        if not 0.01 <= self.temperature <= 100:
            raise ValueError("temperature must be from 0.01 to 100")

    def __call__(self, logits: Array, context: Context) -> Array:
        """Logits over the temperature."""
        return logits / self.temperature


@dataclass(frozen=True)
class TopK:
    """Keep the k likeliest tokens (Fan et al. 2018); of equals, those with the lower ids."""

    k: Annotated[int, "how many to keep"]

    def __post_init__(self) -> None:
        """Refuse to keep none."""
        if self.k < 1:
            raise ValueError("k must be at least 1")

    def __call__(self, logits: Array, context: Context) -> Array:
        """Logits with all but k tokens out of play."""
        return _keep(logits, _ranks(logits) < self.k)


@dataclass(frozen=True)
class TopP:
    """Keep the likeliest tokens that together hold a share p of the probability (Holtzman et al. 2020)."""

    p: Annotated[float, "the share to keep"]

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0 < self.p <= 1:
            raise ValueError("p must be above 0 and at most 1")

    def __call__(self, logits: Array, context: Context) -> Array:
        """Logits with the tail out of play; the likeliest token always stays."""
        xp = namespace(logits)
        order = _order(logits)
        weights = xp.take_along_axis(_weights(logits), order, axis=1)
        before = xp.cumulative_sum(weights, axis=1) - weights
        kept = before < self.p * xp.sum(weights, axis=1, keepdims=True)
        return _keep(logits, xp.take_along_axis(kept, _ranks(logits), axis=1))


@dataclass(frozen=True)
class MinP:
    """Keep tokens at least p times as likely as the likeliest (Nguyen et al. 2024)."""

    p: Annotated[float, "the share of the likeliest token's probability"]

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0 <= self.p <= 1:
            raise ValueError("p must be from 0 to 1")

    def __call__(self, logits: Array, context: Context) -> Array:
        """Logits with unlikely tokens out of play."""
        return _keep(logits, _weights(logits) >= self.p)


@dataclass(frozen=True)
class RepetitionPenalty:
    """Make pitches that were written lately less likely (as Keskar et al. 2019, on pitches alone)."""

    penalty: Annotated[float, "1 changes nothing; above 1, repeated pitches lose log(penalty)"]
    window: Annotated[int, "how many tokens to look back, at most 64"] = 32

    def __post_init__(self) -> None:
        """Refuse what is no penalty."""
        if not 0.1 <= self.penalty <= 100:
            raise ValueError("penalty must be from 0.1 to 100")
        if not 1 <= self.window <= 64:
            raise ValueError("window must be from 1 to 64")

    def __call__(self, logits: Array, context: Context) -> Array:
        """Logits of recent pitches lowered; bars, holds and the like are left alone."""
        xp = namespace(logits)
        recent = context.history[:, -self.window :]
        seen = xp.any(recent[:, :, None] == numbers(logits.shape[1], logits)[None], axis=1)
        pitched = like(context.meaning.pitch >= 0, logits)[None, :]
        lowered = logits - log(self.penalty)
        return xp.where(seen & pitched, lowered, logits)


def _weights(logits: Array) -> Array:
    """Probabilities over the greatest of their row."""
    xp = namespace(logits)
    return xp.exp(logits - xp.max(logits, axis=1, keepdims=True))


def _order(logits: Array) -> Array:
    """(B, V) token ids from the likeliest down; equals in the order of their ids."""
    return namespace(logits).argsort(-logits, axis=1, stable=True)


def _ranks(logits: Array) -> Array:
    """(B, V) each token's place in `_order`."""
    return namespace(logits).argsort(_order(logits), axis=1, stable=True)


def _keep(logits: Array, kept: Array) -> Array:
    xp = namespace(logits)
    return xp.where(kept, logits, xp.full_like(logits, -float("inf")))
