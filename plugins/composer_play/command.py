"""`composer play`: a piece to watch in the terminal, and to hear if there is sound."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from composer.cli.options import WithReaders, get_reader_options
from composer.cli.progress import format_clock
from composer.errors import UnreadableFile, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from composer.music.score import Score
    from composer.music.tempo_map import TempoMap
    from composer_play.audio import Attempt
    from composer_play.keyboard import Keys, Transport
    from composer_play.roll import Roll

FRAMES = 20
"""Pictures per second."""

STEP = 120
"""Ticks in a column: a sixteenth."""

TAIL = 1.0
"""Seconds for the sound to die away."""

MOST_COLUMNS = 4_000
"""Columns of a whole roll; a longer piece has more ticks in a column."""

STILL_ROWS = 24


@click.command(cls=WithReaders, short_help="Play a piece in the terminal.")
@click.argument("piece", type=click.Path(path_type=Path))
@click.option("--no-sound", is_flag=True, help="Only show it.")
@click.option("--still", is_flag=True, help="Print the whole piano roll, and end.")
@click.pass_context
def play(ctx: click.Context, /, piece: Path, no_sound: bool, still: bool) -> None:
    """Play PIECE, a file in any form that can be read, with a piano roll that scrolls.

    Space pauses, the arrows move by a bar, and q ends. Where the output is no terminal, the whole roll is printed.
    """
    from composer.io.formats import read_with_warnings
    from composer_play.roll import make_roll

    (score, remarks), shown = read_with_warnings(piece, **get_reader_options(ctx, piece)), printable(str(piece))
    if not score.note_count:
        raise UnreadableFile(f"{shown}: contains no notes.")
    for remark in remarks:
        click.echo(f"composer: {remark}", err=True)
    try:
        roll = make_roll(score)
    except ValueError as error:
        raise UnreadableFile(f"{shown}: is too long to be shown ({error}).") from None
    console = _make_console()
    if still or not console.is_terminal or console.is_dumb_terminal:
        _print_whole(console, roll)
    else:
        _play(console, score, roll, sounding=not no_sound)


def _make_console() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def _choose_symbols(console: Console) -> str:
    from composer_play.roll import ASCII, BLOCKS

    return BLOCKS if console.encoding.lower().startswith("utf") else ASCII


# --- the whole roll ---------------------------------------------------------------------------------------------------


def _print_whole(console: Console, roll: Roll) -> None:
    """Print the whole roll, in lines as wide as the terminal."""
    from composer_play.roll import MARGIN, View, draw_legend, draw_roll

    columns = max(console.width - MARGIN, 16)
    step = STEP
    while -(-roll.length // step) > MOST_COLUMNS:
        step *= 2
    for begin in range(0, max(roll.length, 1), columns * step):
        left = min(columns, -(-(roll.length - begin) // step))
        view = View(
            begin, step, left, STILL_ROWS, None, _choose_symbols(console), in_colour=console.color_system is not None
        )
        for line in draw_roll(roll, view):
            console.print(line)
    console.print(draw_legend(roll))


# --- while it plays ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Stage:
    """A roll, the seconds of its ticks, and the console that shows it."""

    roll: Roll
    timing: TempoMap
    console: Console

    @property
    def lasts(self) -> float:
        """The length of the piece in seconds."""
        return self.timing.find_second(self.roll.length)

    def draw_moment(self, second: float, *, pauses: bool) -> RenderableType:
        """Draw the picture at a second of the piece."""
        from rich.console import Group

        from composer_play.roll import MARGIN, View, draw_legend, draw_roll

        columns = max(self.console.width - MARGIN - 1, 8)
        rows = max(self.console.height - 4, 2)
        head = columns // 4
        column = int(self.timing.find_tick(second) // STEP)
        view = View((column - head) * STEP, STEP, columns, rows, head, _choose_symbols(self.console))
        return Group(*draw_roll(self.roll, view), draw_legend(self.roll), self._format_status(second, pauses=pauses))

    def _format_status(self, second: float, *, pauses: bool) -> Text:
        from rich.text import Text

        bar = self.roll.find_bar(self.timing.find_tick(second)) + self.roll.first_bar
        last = len(self.roll.bars.starts) - 2 + self.roll.first_bar
        state = "paused" if pauses else "plays "
        status = f"{state} {format_clock(int(second))} of {format_clock(int(self.lasts))}, bar {bar} of {last}"
        return Text(f"{status}   space: pause, arrows: a bar, q: end", no_wrap=True, overflow="crop", style="bold")


def _play(console: Console, score: Score, roll: Roll, *, sounding: bool) -> None:
    from rich.live import Live

    from composer.music.tempo_map import make_tempo_map
    from composer_play.audio import Attempt, try_sound
    from composer_play.keyboard import read_keys

    with ExitStack() as stack:
        stack.enter_context(_catch_signals())
        keys = stack.enter_context(read_keys(sys.stdin.fileno() if sys.stdin.isatty() else None))
        live = stack.enter_context(Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop"))
        stage, sound = Stage(roll, make_tempo_map(score), console), Attempt(None)
        try:
            if sounding:
                live.update("Its sound is being made …", refresh=True)
                sound = stack.enter_context(try_sound(score))
            for picture in draw_moments(stage, keys, sound, time.monotonic):
                live.update(picture, refresh=True)
        except KeyboardInterrupt:
            pass  # like `q`
    if sound.why:
        click.echo(f"composer: no sound: {sound.why}.", err=True)


@contextmanager
def _catch_signals() -> Iterator[None]:
    """Handle a closed terminal, or a request to end, like Ctrl-C, so that no player keeps running."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {
        number: signal.signal(number, signal.default_int_handler) for number in (getattr(signal, n) for n in names)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def draw_moments(stage: Stage, keys: Keys, sound: Attempt, clock: Callable[[], float]) -> Iterator[RenderableType]:
    """Yield the pictures from the beginning to the end, or until `q`. Read the keys and the clock between them."""
    from composer_play.keyboard import Transport

    transport = Transport(since=clock())
    until = stage.lasts + (TAIL if sound.sound else 0.0)
    sound.do(lambda its: its.start(0.0))
    while (second := transport.find_second(clock())) < until:
        yield stage.draw_moment(min(second, stage.lasts), pauses=transport.is_paused)
        sound.do(lambda its: its.check())
        key = keys(1 / FRAMES)
        if key == "q":
            return
        moved = _apply_key(stage, transport, key, clock())
        if moved is not transport:
            transport = moved
            sound.do(lambda its: its.stop() if moved.is_paused else its.start(moved.second))  # noqa: B023  (called at once)


def _apply_key(stage: Stage, transport: Transport, key: str, time: float) -> Transport:
    """Apply a key. Return the same transport for any other key."""
    from composer_play.keyboard import find_next_bar, find_previous_bar

    if key == " ":
        return transport.pause_or_resume(time)
    if key in ("left", "right"):
        to = find_previous_bar if key == "left" else find_next_bar
        return transport.move_to(to(stage.roll, stage.timing, transport.find_second(time)), time)
    return transport
