"""Humanizing: given notes as a player's, with new loudness and timing.

A plan is a `Fill` of all notes in which what is played, and where on the grid, is fixed. The model writes how, and its
particles look ahead at the notes that follow. `composer.types.Humanizes` is what a tokenizer needs for it.
"""

from __future__ import annotations

from dataclasses import replace

from composer.errors import BadOption
from composer.generation.accompanying import find_tempo
from composer.generation.generator import Generator
from composer.generation.infilling import (
    PARTICLES,
    Fill,
    build_request,
    check_and_warn,
    choose_fill_samplers,
    quantise,
)
from composer.generation.readings import choose_beats
from composer.music.score import Score
from composer.request import Request
from composer.tokens.conditions import split_conditions
from composer.types import Humanizes


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
        raise BadOption("this model writes neither loudness nor timing of its own; `drums` does, for drums.")
    fixed, reading = own.fix_pattern(score), choose_beats(score, generator.model.card.get("metres", {}))
    quantised = quantise(generator, reading.apply(score))
    request = replace(build_request(request, quantised), tempo=find_tempo(generator, score, reading))
    wanted = Fill(request, score, fixed, particles, None, reading, strength)
    return check_and_warn(generator, choose_fill_samplers(generator, wanted, quantised), quantised)
