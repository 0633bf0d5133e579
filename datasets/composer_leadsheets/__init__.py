"""Lead sheets of old songs: melodies with chord symbols (OpenEWLD)."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_datasets() -> Offers:
    """Register a folder of OpenEWLD's lead sheets."""
    from composer_leadsheets.dataset import OpenEwld

    return {"openewld": OpenEwld}
