"""Notes off the beat: a metric for composer."""

import numpy as np

from composer import hookimpl
from composer.metrics.score_view import ScoreView
from composer.types import Array, Metric, Offers

COMPOSER_API = 1


def my_thing() -> Metric:
    """Measure the onsets off the beat, as a share of all onsets; in compound time a beat is a dotted value.

    This text is the definition, with its source where there is one. Options would be parameters.
    """

    def count(heard: ScoreView) -> Array:
        """Count (rows, 2) the onsets off the beat, and all onsets, of each bar; both add up over bars and pieces."""
        onsets = heard.notes["start"].astype(np.int64)
        row = heard.find_bar(onsets)
        off = (onsets - heard.origins[row]) % heard.beat_ticks[row] > 0
        counts = np.zeros((heard.rows, 2))
        np.add.at(counts, row, np.stack([off, np.ones_like(off)], axis=-1))
        return counts

    def value(sums: Array) -> Array:
        """Compute the figure of summed counts (..., 2), NaN where there are no notes."""
        return 100 * sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan)

    return Metric("% of notes", count, value)


@hookimpl
def register_metrics() -> Offers:
    """Offer it to `composer metrics` and `composer evaluate --metrics`."""
    return {"my-thing": my_thing}
