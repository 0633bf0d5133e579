"""Any folder of music files as a dataset."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_datasets() -> Offers:
    """Register a folder of the user's files."""
    from composer_folder.dataset import Folder

    return {"folder": Folder}
