"""ABC files read: one tune, or each tune of a book, with a warning of what is left out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from composer.errors import LeftOutWarning, ReadingWarning, UnreadableFile, printable
from composer.music.score import Score
from composer_notation.abc.score import make_score
from composer_notation.abc.tunebook import Tune, count_tunes, read_text, split_tunes
from composer_notation.bargrid import MOST_TICKS


def read_tune(path: Path, number: int = 1) -> Score:
    """Read one tune of a file, the first unless another `number` is given.

    Raises UnreadableFile; warns with ReadingWarning of a book from which the first is taken, and with LeftOutWarning.
    """
    text, shown = read_text(path), printable(str(path))
    count = count_tunes(text)
    if not count:
        raise UnreadableFile(f"{shown}: is not ABC; a tune begins with a line 'X:1'.")
    if number > count:
        raise UnreadableFile(f"{shown}: holds {count:,} tune{'s' * (count > 1)}, and tune {number} is asked for.")
    if count > 1 and number == 1:
        hint = "for another one, make a file of it by `composer export BOOK.abc TUNE.abc --tune 2`"
        warnings.warn(ReadingWarning(f"{shown}: holds {count:,} tunes; the first is taken; {hint}."), stacklevel=3)
    return _convert(next(islice(split_tunes(text), number - 1, None)), shown, path.stem)


def read_pieces(path: Path) -> Iterator[tuple[str, Score | Exception]]:
    """Read each tune of a file, by its number ("" where it is the only one); a refused one with its error.

    Raises UnreadableFile for a file without tunes; warns with LeftOutWarning.
    """
    text, shown = read_text(path), printable(str(path))
    count = count_tunes(text)
    if not count:
        raise UnreadableFile(f"{shown}: is not ABC; a tune begins with a line 'X:1'.")
    for number, tune in enumerate(split_tunes(text), start=1):
        name = str(number) if count > 1 else ""
        try:
            yield name, _convert(tune, f"{shown}#{name}" if name else shown, path.stem)
        except UnreadableFile as error:
            yield name, error


def _convert(tune: Tune, shown: str, title: str) -> Score:
    try:
        score, left_out = make_score(tune)
    except ValueError as error:
        raise UnreadableFile(f"{shown}: {error}.") from None
    if score.end > MOST_TICKS:
        raise UnreadableFile(f"{shown}: lasts for more than 100,000 bars; a note in it must be far too long.")
    if left_out:
        warnings.warn(LeftOutWarning(shown, left_out), stacklevel=3)
    return score if score.title else replace(score, title=title)
