"""MidiTok's tokenizers, where MidiTok is installed: REMI, TSD, Structured and MIDI-Like.

tokenizer.py    scores to tokens and back
scheme.py       one of MidiTok's tokenizers, on its grid
sounds.py       notes, rounded to the grid
tables.py       the content of each token; scores prepared
merges.py       byte pair encoding within notes
state.py        the state of the grammar
grammar.py      the grammar
mask.py         the tokens that may come next
plan.py         fixed notes as tables over time
fixed_notes.py  masks that keep fixed notes
telling.py      the model's input and the musical state
"""

from importlib.util import find_spec

from composer import hookimpl
from composer.plugins.checks import LeftOut
from composer.types import Offers


@hookimpl
def register_tokenizers() -> Offers:
    """Register MidiTok's tokenizers. Raises LeftOut where MidiTok is not installed."""
    if find_spec("miditok") is None:
        raise LeftOut("missing", "it needs MidiTok; install it with 'pip install \"composer-midi[miditok]\"'")
    from composer_miditok.tokenizer import MidiLike, Remi, Structured, Tsd

    return {
        "miditok-remi": Remi,
        "miditok-tsd": Tsd,
        "miditok-structured": Structured,
        "miditok-midi-like": MidiLike,
    }
