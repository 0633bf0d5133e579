"""Playing with a model, in time, from a keyboard or another program: `composer jam`.

values.py      what is played and commanded, and how a session is set up
session.py     what the model plays to it, at ticks; no clock is read
players.py     the modes: answer, continue, loop, accompany
harmony.py     the mode harmonize
following.py   the mode accompany for models that follow a rhythm, such as drummers
performing.py  phrases as events, played and remembered
writing.py     how a model reads what was played, and writes on
take.py        a session as a piece, and the task that makes it again
clock.py       ticks against seconds: own tempo, taps, the MIDI clock of others
receiving.py   MIDI messages become notes and commands
sending.py     messages at their time, and every note released
jam.py         a session in time
ports.py       MIDI ports of this machine, and in memory
wiring.py      the ports of a session, taken up again after they were unplugged
osc.py         the same over OSC
screen.py      the terminal, and its keys
command.py     `composer jam`
"""

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@hookimpl
def register_commands() -> Offers:
    """Register `composer jam`."""
    from composer_live.command import jam

    return {"jam": jam}
