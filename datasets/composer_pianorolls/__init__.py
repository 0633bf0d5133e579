"""Piano rolls as a dataset: the files on which likelihoods of polyphonic music are published."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_datasets() -> Offers:
    """Offer a file of piano rolls."""
    from composer_pianorolls.dataset import PianoRolls

    return {"piano-rolls": PianoRolls}
