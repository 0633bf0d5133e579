"""The top line of any score: a tokenizer for composer, built on another."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated

import numpy as np

from composer import hookimpl
from composer.music.score import Score, Track, concatenate_notes
from composer.plugins.registry import registry
from composer.types import Offers, Tokens

COMPOSER_API = 1
voices = lru_cache(lambda steps: registry().make("tokenizers", "voices", names=("Melody",), steps_per_quarter=steps))


@dataclass(frozen=True)
class MyThing:
    """The highest note at each onset, as the tokenizer `voices` writes a single voice."""

    steps: Annotated[int, "steps of the grid in a quarter note"] = 4
    vocabulary = property(lambda self: voices(self.steps).vocabulary)
    token_info = property(lambda self: voices(self.steps).token_info)
    grammar = property(lambda self: voices(self.steps).grammar)
    decode = property(lambda self: voices(self.steps).decode)

    def encode(self, score: Score, *, ends: bool = True) -> Tokens:
        """Encode the line as tokens (T,); each note ends at the next. With `ends=False` the piece is open."""
        notes = np.sort(
            concatenate_notes([track.notes for track in score.tracks if not track.is_drum]), order=["start", "pitch"]
        )
        top = notes[np.append(np.diff(notes["start"]) > 0, True)[: len(notes)]]
        top["duration"][:-1] = np.minimum(top["duration"][:-1], np.diff(top["start"]))
        tokens: Tokens = voices(self.steps).encode(replace(score, tracks=(Track(top),)), ends=ends)
        return tokens


@hookimpl
def register_tokenizers() -> Offers:
    """Offer it to `composer train --tokenizer my-thing`."""
    return {"my-thing": MyThing}
