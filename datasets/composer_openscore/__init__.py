"""OpenScore's songs and string quartets, from a folder of MusicXML files."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_datasets() -> Offers:
    """Register a folder of OpenScore."""
    from composer_openscore.dataset import OpenScore

    return {"openscore": OpenScore}
