"""Humanizing: given notes as a player's, with new loudness and timing.

A plan is a `Fill` of all notes in which what is played, and where on the grid, is fixed. The model writes how, and its
particles look ahead at the notes that follow. `composer.types.Humanizes` is what a tokenizer needs for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

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
from composer.generation.readings import PLAIN, Reading
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
    fixed, reading = own.fix_pattern(score), _choose_reading(score, generator.model.card.get("metres", {}))
    quantised = quantise(generator, reading.apply(score))
    request = replace(build_request(request, quantised), tempo=find_tempo(generator, score, reading))
    wanted = Fill(request, score, fixed, particles, None, reading, strength)
    return check_and_warn(generator, choose_fill_samplers(generator, wanted, quantised), quantised)


def _choose_reading(score: Score, known: Mapping[str, Any]) -> Reading:
    """Choose the bars that a model with the time signatures `known` reads: others with the same beats, if it has these.

    2/4 and 2/2 are read as 4/4, and compound bars as triplets, such as 12/8 as 4/4.
    """
    if len(score.time_signatures) != 1 or not known or str(metre := score.time_signatures[0]) in known:
        return PLAIN
    beats, stretch = metre.numerator, Fraction(1)
    if beats % 3 == 0 and beats > 3 and metre.denominator >= 8:
        beats, stretch = beats // 3, Fraction(metre.denominator, 12)
    if beats == 2:
        beats = 4
    name = f"{beats}/4"
    return Reading(time_signature=name, stretch=stretch) if name in known else PLAIN
