"""Rules of finished pieces: `within`, `ends-on-tonic`, `lasts` and `leaps`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isnan
from typing import Annotated

import numpy as np

from composer.metrics.measurements import evaluate_metric
from composer.metrics.score_view import find_final_chord, find_top_line, select_lasting, view_score
from composer.music.keys import name_pitch
from composer.music.score import Score
from composer.music.tempo_map import make_tempo_map
from composer.plugins.registry import registry
from composer.types import Metric


def _check_range(least: float | None, most: float | None) -> None:
    if least is None and most is None:
        raise ValueError("give 'least', 'most' or both")
    for name, bound in (("least", least), ("most", most)):
        if bound is not None and isnan(bound):
            raise ValueError(f"'{name}' is nan, and must be a number")
    if least is not None and most is not None and least > most:
        raise ValueError(f"'least' is {least:g}, and 'most' is only {most:g}")


def _describe_outside(name: str, value: float, unit: str, least: float | None, most: float | None) -> str:
    """Describe a value outside of a range; empty if it is inside."""
    if least is not None and value < least:
        return f"{name} {value:.4g} {unit}, less than {least:g}"
    if most is not None and value > most:
        return f"{name} {value:.4g} {unit}, more than {most:g}"
    return ""


@dataclass(frozen=True)
class Within:
    """Keep the figure of a metric within a range; where there is nothing to measure, the rule is kept.

    `composer metrics` lists the metrics, with units and definitions. Those that are distances from real pieces have no
    figure of one piece.
    """

    metric: Annotated[str, "name of the metric", "polyphony"]
    least: Annotated[float | None, "its figure at least", "0"] = None
    most: Annotated[float | None, "its figure at most"] = None

    def __post_init__(self) -> None:
        """Check the range, and that the metric has figures."""
        _check_range(self.least, self.most)
        if self._metric.value is None:
            raise ValueError(f"'{self.metric}' is a distance from real pieces, and has no figure of one piece")

    @cached_property
    def _metric(self) -> Metric:
        made: Metric = registry().make("metrics", self.metric)
        return made

    def __call__(self, score: Score) -> str:
        """Describe the figure of a score outside of the range."""
        figure = float(evaluate_metric(self._metric, self._metric.count(view_score(score)).sum(axis=0), None))
        name = f"{self.metric.replace('-', ' ')} is"
        return "" if isnan(figure) else _describe_outside(name, figure, self._metric.unit, self.least, self.most)


@dataclass(frozen=True)
class EndsOnTonic:
    """End on the tonic: it is the lowest pitch that sounds at the last onset.

    The key is that of the last key signature, or else estimated.
    """

    def __call__(self, score: Score) -> str:
        """Describe the end of a score on any other pitch."""
        view = view_score(score)
        chord = find_final_chord(view.notes)
        key = score.key_signatures[-1].key if score.key_signatures else view.key
        if not len(chord):
            return "ends without a pitch"
        return "" if chord[0] % 12 == key.tonic else f"ends on {name_pitch(int(chord[0]))} in {key}"


@dataclass(frozen=True)
class Lasts:
    """Last a number of seconds, at the piece's own tempos."""

    least: Annotated[float | None, "seconds at least", "0"] = None
    most: Annotated[float | None, "seconds at most"] = None

    def __post_init__(self) -> None:
        """Check the range."""
        _check_range(self.least, self.most)

    def __call__(self, score: Score) -> str:
        """Describe the length of a score outside of the range."""
        seconds = make_tempo_map(score).find_second(score.length)
        return _describe_outside("lasts", seconds, "seconds", self.least, self.most)


@dataclass(frozen=True)
class Leaps:
    """Leap no farther than so many semitones: from note to note in the top line of each part; drums are free."""

    most: Annotated[int, "semitones at most", "12"] = 12

    def __post_init__(self) -> None:
        """Check the number."""
        if self.most < 0:
            raise ValueError(f"'most' is {self.most}, and must be 0 or more")

    def __call__(self, score: Score) -> str:
        """Describe the widest leap of a score, if it is too wide."""
        lines = [find_top_line(select_lasting(track.notes))["pitch"] for track in score.tracks if not track.is_drum]
        widest = max((int(np.abs(np.diff(line.astype(np.int64))).max(initial=0)) for line in lines), default=0)
        return f"leaps {widest} semitones, more than {self.most}" if widest > self.most else ""
