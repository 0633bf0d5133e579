"""The errors that a user can act on. Only `composer.cli` turns them into messages.

    ComposerError             what is wrong, and what there is instead; exit status 2
    ├── UnknownName           no plugin offers that name
    ├── BadOption             an option that is unknown, of the wrong type or out of range
    ├── UnreadableFile        a music file that is not what its name says, or is damaged
    ├── BadModelFile          a model file that is truncated, foreign or from a later version
    ├── BadRecipe             a recipe that is not TOML, or holds an unknown key or value
    ├── BadJobs               a malformed file of jobs, or an impossible job in it
    ├── CannotExpress         a score that a tokenizer has no tokens for
    ├── EmptyDataset          a dataset without a single usable piece, or too few to split
    ├── NothingAllowed        constraints and grammar together allow no token: a dead end
    ├── CannotWrite           an output that cannot be written
    ├── BatchFailed           a batch that cannot go on, or misses pieces; exit status 1
    └── TrainingFailed        a run that cannot go on; exit status 1

Catch them all with `except ComposerError as error: print(error)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = [
    "OF_ONE_PIECE",
    "BadJobs",
    "BadModelFile",
    "BadOption",
    "BadRecipe",
    "BatchFailed",
    "CannotExpress",
    "CannotWrite",
    "ComposerError",
    "EmptyDataset",
    "LeftOutWarning",
    "NothingAllowed",
    "ReadingWarning",
    "RequestWarning",
    "RoundingWarning",
    "RunWarning",
    "TrainingFailed",
    "UnknownName",
    "UnreadableFile",
    "printable",
    "suggest",
]


class ComposerError(Exception):
    """Anything a user can act on; its text is one clear sentence."""

    exit_status = 2


class UnknownName(ComposerError):
    """No plugin offers that name."""


class BadOption(ComposerError):
    """An option is unknown, of the wrong type or out of range."""


class UnreadableFile(ComposerError):
    """A music file is not what its name says, or is damaged."""


class BadModelFile(ComposerError):
    """A model file is truncated, foreign or made by a later version."""


class BadRecipe(ComposerError):
    """A recipe is not TOML, or holds an unknown key or value."""


class BadJobs(ComposerError):
    """A file of jobs is malformed, or a job in it asks for something impossible."""


class CannotExpress(ComposerError):
    """A score holds something that the tokenizer has no tokens for."""


class EmptyDataset(ComposerError):
    """A dataset has no usable piece, or too few to be split."""


class NothingAllowed(ComposerError):
    """The constraints and the grammar together allow no token: a dead end."""


class CannotWrite(ComposerError):
    """An output cannot be written where it was asked for."""


OF_ONE_PIECE = (BadOption, CannotExpress, NothingAllowed)
"""What is wrong with a piece that was asked for, and with no other beside it."""


class TrainingFailed(ComposerError):
    """A training run cannot go on, through no fault of the user's input."""

    exit_status = 1


class BatchFailed(ComposerError):
    """A batch cannot go on, or has set pieces aside, through no fault of the user's input."""

    exit_status = 1


class ReadingWarning(UserWarning):
    """Something in a music file was dropped or mended; the text names it."""


class LeftOutWarning(ReadingWarning):
    """A reader left something out of a file; the text names each kind with its number.

    It reads `x.abc: left out: grace notes (12), lyrics (3).` The numbers stand in `counts`, by kind (a plural such as
    `grace notes`), so that those of a folder can be added up.
    """

    def __init__(self, shown: str, counts: Mapping[str, int]) -> None:
        self.counts = {kind: times for kind, times in counts.items() if times}
        super().__init__(f"{shown}: left out: {', '.join(f'{kind} ({n:,})' for kind, n in self.counts.items())}.")
        self._shown = shown

    def __reduce__(self) -> tuple[type[LeftOutWarning], tuple[str, Mapping[str, int]]]:
        """Keep the numbers on the way to another process."""
        return type(self), (self._shown, self.counts)


class RoundingWarning(ReadingWarning):
    """Notes in a music file lie between the ticks of a Score, and were rounded: no fault of the file."""


class RequestWarning(UserWarning):
    """A request can be met only in part; the text names the part."""


class RunWarning(UserWarning):
    """Something beside the work went wrong, such as a plugin that follows it, and the work goes on."""


_LOOKED_AT = 100
"""Characters of a name that are compared: the time grows with their square."""


MOST_NAMES = 32
"""Names that a sentence lists."""


def suggest(name: str, names: Iterable[str]) -> str:
    """End a sentence about an unknown `name`: with the closest of `names`, or with all of them if none is close."""
    import difflib  # only once something is wrong

    known = sorted(names)
    if close := difflib.get_close_matches(name[:_LOOKED_AT], known, n=1):
        return f"did you mean '{close[0]}'?"
    shown = known if len(known) <= MOST_NAMES else [*known[:MOST_NAMES], f"and {len(known) - MOST_NAMES} more"]
    return f"there is: {', '.join(shown)}." if known else "there is none."


def printable(text: str, limit: int = 80) -> str:
    """Make text from outside safe to print: control characters escaped, at most `limit` characters."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
