"""What a user would notice of it; `--composer-contracts` checks the rest."""

from dataclasses import replace

from my_thing import my_thing

from composer.generation.composer import open_model
from composer.generation.generator import generate


def test_it_writes_as_many_bars_as_are_asked_for() -> None:
    generator = open_model(str(my_thing()))
    (piece,) = generate(generator, [replace(generator.suggested, bars=2)])
    assert piece.score.note_count
