"""Callbacks that draw pieces at each validation, to hear them or to compare them with the training music."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from composer.errors import CannotWrite, ComposerError, RunWarning, printable
from composer.types import Callback, Piece, RunView

SAMPLES = "samples"

Bars = Annotated[int, "bars of each piece"]


@dataclass(frozen=True)
class Samples(Callback):
    """Write a few bars at each validation, to listen to: `samples/step-000500.mid`.

    Pieces that loop are not retried, so that one hears what the model has learned.
    """

    bars: Bars = 8

    @property
    def writes(self) -> tuple[str, ...]:
        """The folder of the samples."""
        return (SAMPLES,)

    def on_validation(self, run: RunView) -> None:
        """Write one piece. If none can be written, warn; the next validation tries again."""
        from composer.io.formats import write

        with _warn_on_error("no sample could be written"):
            path = run.file(SAMPLES, f"step-{run.progress.step:06d}.mid")
            pieces = _draw_pieces(run, self.bars, name=path.stem)
            try:
                path.parent.mkdir(exist_ok=True)
            except OSError as error:
                raise CannotWrite(f"{printable(str(path.parent))}: cannot be made ({error.strerror}).") from error
            write(pieces, path)


@dataclass
class Originality(Callback):
    """Draw pieces at each validation, and add to `metrics.jsonl` what they copy from the training split.

    The figures are `copied_share`, `copied_bars`, `longest` and `novelty`, as in `composer originality`.
    """

    pieces: Annotated[int, "pieces that are drawn"] = 8
    bars: Bars = 8
    _music: Any = field(default=None, init=False, repr=False)  # composer.originality.index.Music

    @property
    def writes(self) -> tuple[str, ...]:
        """The file of the figures."""
        return ("metrics.jsonl",)

    def on_start(self, run: RunView) -> None:
        """Index the training music."""
        from composer.originality.index import build_index

        self._music = build_index(run.corpus, run.tokenizer).select_split("train")

    def on_validation(self, run: RunView) -> Mapping[str, Any]:
        """Compare new pieces with the training music. If none can be drawn, warn; the next validation tries again."""
        from composer.originality.passages import combine, compare

        with _warn_on_error("no copies could be counted"):
            pieces = _draw_pieces(run, self.bars, self.pieces)
            found = combine([compare(piece.score, self._music) for piece in pieces]).to_json()
            return {name: found[name] for name in ("copied_share", "copied_bars", "longest", "novelty")}
        return {}


@contextmanager
def _warn_on_error(what: str) -> Iterator[None]:
    """Warn in one line if something could not be done."""
    try:
        yield
    except ComposerError as error:  # an untrained model may fail
        warnings.warn(f"{what}: {printable(str(error), 200)}", RunWarning, stacklevel=3)


def _draw_pieces(run: RunView, bars: int, count: int = 1, name: str = "") -> list[Piece]:
    """Draw pieces from the model as it is now, without retries."""
    from composer.generation.generator import Generator, generate

    generator = Generator(run.model(), name)
    asked = [replace(generator.suggested, seed=run.seed, index=index, bars=bars) for index in range(count)]
    return generate(generator, asked, redraws=0)
