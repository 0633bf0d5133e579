"""A piece to watch and hear in a terminal."""

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@hookimpl
def register_commands() -> Offers:
    """Register `composer play`."""
    from composer_play.command import play

    return {"play": play}
