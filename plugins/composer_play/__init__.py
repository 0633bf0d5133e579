"""A piece to watch and to hear in a terminal; it knows no format and no other plugin."""

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@hookimpl
def register_commands() -> Offers:
    """Offer `composer play`."""
    from composer_play.command import play

    return {"play": play}
