"""Bach's chorales at 16ths: the set on which published likelihoods of four-part music are compared."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_datasets() -> Offers:
    """Register a file of chorales at 16ths."""
    from composer_jsb16.dataset import Jsb16

    return {"jsb16": Jsb16}
