"""Notes off the beat: a metric for composer."""

import numpy as np

from composer import hookimpl
from composer.metrics.heard import Heard
from composer.types import Array, Metric, Offers

COMPOSER_API = 1


def my_thing() -> Metric:
    """Notes that are struck off the beat, of all notes; a beat is a dotted value in compound metres.

    This text is the definition, with its source where there is one. Options would be parameters.
    """

    def count(heard: Heard) -> Array:
        """(rows, 2) for each bar the notes off the beat, and all notes: what adds up over bars and pieces."""
        struck = heard.notes["start"].astype(np.int64)
        row = heard.bar_of(struck)
        off = (struck - heard.origins[row]) % heard.beat_ticks[row] > 0
        counts = np.zeros((heard.rows, 2))
        np.add.at(counts, row, np.stack([off, np.ones_like(off)], axis=-1))
        return counts

    def value(sums: Array) -> Array:
        """The figure of summed counts (..., 2), NaN where there is not a note."""
        return 100 * sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan)

    return Metric("% of notes", count, value)


@hookimpl
def register_metrics() -> Offers:
    """Offer it to `composer metrics` and `composer evaluate --metrics`."""
    return {"my-thing": my_thing}
