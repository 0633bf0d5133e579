"""Playing with a model, in time, from a keyboard or another program: `composer jam`.

values.py, session.py   what is played and commanded, and what the model plays to it, at ticks; no clock is read
players.py, harmony.py  the modes
writing.py              how a model reads what was played, and writes on
take.py                 a session as a piece, and the task that makes it again
"""

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@hookimpl
def register_commands() -> Offers:
    """Register `composer jam`."""
    from composer_live.command import jam

    return {"jam": jam}
