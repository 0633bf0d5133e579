"""The tokenizer `leadsheet`: a melody with chord symbols."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_tokenizers() -> Offers:
    """Register `leadsheet`."""
    from composer_leadsheet.tokenizer import LeadSheet

    return {"leadsheet": LeadSheet}
