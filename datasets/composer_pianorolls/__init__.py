"""Piano rolls as a dataset: the files of published likelihoods of polyphonic music."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_datasets() -> Offers:
    """Register a file of piano rolls."""
    from composer_pianorolls.dataset import PianoRolls

    return {"piano-rolls": PianoRolls}
