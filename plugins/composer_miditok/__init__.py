"""MidiTok's tokenizers, where MidiTok is installed: REMI, TSD, Structured and MIDI-Like."""

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
