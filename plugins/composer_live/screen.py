"""The screen of a session: a roll of the last bars and of what is coming, and keys that are commands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from composer.errors import printable
from composer.music.score import Score, Track, make_notes
from composer_live.jam import Jam
from composer_live.take import pair_notes
from composer_live.writing import PLAYED, PartNote

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

FRAMES = 10
"""Pictures per second."""

STEP = 60
"""Ticks to a column."""

KEYS = {
    " ": ("start", "start or stop"),
    "a": ("again", "again"),
    "v": ("vary", "vary"),
    "k": ("keep", "keep"),
    "u": ("undo", "undo"),
    "r": ("reset", "reset"),
    "t": ("tap", "tap the tempo"),
    "m": ("mode", "next mode"),
    "+": ("temperature", "hotter"),
    "-": ("temperature", "colder"),
    "q": ("end", "end"),
}
"""Keys, their commands, and what the screen says of them."""

MODE_ORDER = ("answer", "continue", "harmonize", "accompany", "loop")


def press(jam: Jam, key: str) -> None:
    """Do what a key says; one without a meaning does nothing."""
    if key not in KEYS:
        return
    name, session = KEYS[key][0], jam.session
    if name == "start":
        jam.command("start" if session.is_stopped else "stop")
    elif name == "mode":
        jam.command("mode", find_next_mode(session.mode))
    elif name == "temperature":
        jam.command(name, round(min(max(find_temperature(jam) + (0.1 if key == "+" else -0.1), 0.1), 3.0), 2))
    else:
        jam.command(name)


def find_next_mode(mode: str) -> str:
    """Find the mode after this one."""
    return MODE_ORDER[(MODE_ORDER.index(mode) + 1) % len(MODE_ORDER)]


def find_temperature(jam: Jam) -> float:
    """Return the temperature of the session, 1 if none is set."""
    links = [link for link in jam.session.request.samplers if link.name == "temperature"]
    return float(links[0].options.get("temperature", 1.0)) if links else 1.0


def draw_screen(jam: Jam, columns: int, rows: int, symbols: str) -> RenderableType:
    """Draw the screen of a moment."""
    from rich.console import Group
    from rich.text import Text

    from composer_play.roll import MARGIN, View, draw_legend, draw_roll, make_roll

    session, tick = jam.session, jam.tick
    bar, beat = tick // session.bar_ticks + 1, tick % session.bar_ticks // session.beat_ticks + 1
    state = "stopped" if session.is_stopped else "count-in" if tick < 0 else "plays" if jam.timeline.runs else "waits"
    name = printable(session.generator.name or "model")
    status = f"{name}  {session.mode}, {session.bars} bars  {state}  bar {max(bar, 0)}.{beat}"
    status += f"  {jam.timeline.bpm:g} a minute  temperature {find_temperature(jam):g}"
    lines: list[RenderableType] = [Text(status, style="bold", no_wrap=True, overflow="crop")]
    score = make_score(jam, tick)
    if score.note_count:
        roll, width = make_roll(score), max(columns - MARGIN - 1, 8)
        head = width * 2 // 3
        column = (tick - max(tick - 32 * session.bar_ticks, 0)) // STEP if tick > 0 else 0
        view = View((column - head) * STEP, STEP, width, max(rows - 6, 2), head, symbols)
        lines += [*draw_roll(roll, view), draw_legend(roll)]
    lines += [Text(note, style="yellow", no_wrap=True, overflow="crop") for note in list(jam.notes)[-2:]]
    keys = "  ".join(f"{'space' if key == ' ' else key}: {what}" for key, (_, what) in KEYS.items())
    lines.append(Text(keys, style="dim", no_wrap=True, overflow="crop"))
    return Group(*lines)


def make_score(jam: Jam, tick: int) -> Score:
    """Make a score of the last bars, and of what is coming, for the roll; tick 0 is at most 32 bars ago."""
    session = jam.session
    begin = max(tick - 32 * session.bar_ticks, 0)
    notes: list[PartNote] = [note for note in session.memory.list_notes(max(tick, 0)) if note.start >= begin]
    mine = [(n.start - begin, n.end - n.start, n.pitch, n.velocity) for n in notes if n.part == PLAYED]
    others = [(n.start - begin, n.end - n.start, n.pitch, n.velocity) for n in notes if n.part != PLAYED]
    coming = [(e.tick - begin, e.pitch, e.velocity) for e in session.list_coming()]
    if not others:
        others = list(pair_notes(coming))
    tracks = tuple(Track(make_notes(rows), name) for rows, name in ((mine, "you"), (others, "model")) if rows)
    return Score(tracks, time_signatures=(session.setup.time_signature,))


@contextmanager
def show(jam: Jam, console: Console, keys: Callable[[float], str]) -> Iterator[None]:
    """Show the screen, and read the keys, in a thread of its own."""
    from rich.live import Live

    from composer_play.roll import ASCII, BLOCKS

    symbols = BLOCKS if console.encoding.lower().startswith("utf") else ASCII
    ends = threading.Event()

    def draw(live: Live) -> None:
        while not ends.is_set():
            live.update(draw_screen(jam, console.width, console.height, symbols), refresh=True)
            if key := keys(1 / FRAMES):
                press(jam, key)

    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        thread = threading.Thread(target=draw, args=(live,), name="composer-screen", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ends.set()
            thread.join(2)
