"""Room to breathe: a rule for composer."""

from dataclasses import dataclass
from typing import Annotated

from composer import hookimpl
from composer.music.score import TICKS_PER_QUARTER, Notes, Score
from composer.types import Offers

COMPOSER_API = 1


@dataclass(frozen=True)
class MyThing:
    """Rest often enough to breathe, in each part but drums."""

    quarters: Annotated[float, "quarter notes without a rest, at most"] = 16

    def __post_init__(self) -> None:
        """Refuse impossible values; the sentence is shown to the user."""
        if self.quarters <= 0:
            raise ValueError("quarters must be above 0")

    def __call__(self, score: Score) -> str:
        """Describe in a few words what is broken; empty where the rule is kept."""
        longest = max((find_longest(track.notes) for track in score.tracks if not track.is_drum), default=0)
        quarters = longest / TICKS_PER_QUARTER
        return f"sounds {quarters:g} quarters without a rest" if quarters > self.quarters else ""


def find_longest(notes: Notes) -> int:
    """Find the longest time without a rest, in ticks."""
    longest = begin = end = 0
    for start, duration, _, _ in notes.tolist():
        begin = start if start > end else begin
        end = max(end, start + duration)
        longest = max(longest, end - begin)
    return longest


@hookimpl
def register_rules() -> Offers:
    """Offer it for `--rule my-thing:8`, and for the gates of batches."""
    return {"my-thing": MyThing}
