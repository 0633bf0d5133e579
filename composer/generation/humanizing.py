"""Humanizing: given notes as a player's, with new loudness and timing.

A plan is a `Fill` of all notes in which what is played, and where on the grid, is fixed. The model writes how, and its
particles look ahead at the notes that follow. `composer.types.Humanizes` is what a tokenizer needs for it.
"""

from __future__ import annotations

from composer.errors import BadOption
from composer.generation.generator import Generator
from composer.generation.infilling import (
    PARTICLES,
    Fill,
    build_request,
    check_and_warn,
    choose_fill_samplers,
    quantise,
)
from composer.generation.readings import PLAIN, Reading, choose_bars
from composer.music.score import Score
from composer.request import Request
from composer.tokens.conditions import split_conditions
from composer.types import Humanizes

DRUMMER = "drums"
"""The model that plays, unless another is named."""


def plan_performance(
    generator: Generator,
    score: Score,
    request: Request,
    *,
    strength: float = 1.0,
    particles: int = PARTICLES,
) -> Fill:
    """Make the fill that plays a piece: its notes stay, but for onset, length and loudness.

    `strength` goes from 0, the positions of the grid and the loudness given, to 1, what the model plays. Raises
    BadOption for a model that writes neither loudness nor timing, and for a strength out of bounds; CannotExpress for
    music that it does not play. Warns with RequestWarning of parts that stay as they are.
    """
    own, _ = split_conditions(generator.tokenizer)
    if not (isinstance(own, Humanizes) and own.plays):
        raise BadOption(f"this model writes neither loudness nor timing of its own; '{DRUMMER}' does, for drums.")
    fixed, reading = own.fix_pattern(score), _choose_reading(generator, score)
    quantised = quantise(generator, reading.apply(score))
    wanted = Fill(build_request(request, quantised), score, fixed, particles, None, reading, strength)
    return check_and_warn(generator, choose_fill_samplers(generator, wanted, quantised), quantised)


def _choose_reading(generator: Generator, score: Score) -> Reading:
    """Choose the bars that the model reads: those of the piece, or in place of 2/4 that it does not know, 4/4."""
    known = generator.model.card.get("metres", {})
    metres = {str(metre) for metre in score.time_signatures}
    if metres == {"2/4"} and "2/4" not in known and "4/4" in known:
        return Reading(time_signature="4/4")
    return choose_bars(score, known) if metres else PLAIN
