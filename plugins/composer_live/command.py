"""`composer jam`: playing with a model, in time."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from composer.cli import completing, writing
from composer.cli.options import WithSamplers, add_backend, list_samplers, list_texts
from composer.errors import BadOption, printable
from composer.generation.options import choose_seed

if TYPE_CHECKING:
    from pathlib import Path

    from composer.generation.generator import Generator
    from composer.music.score import Score
    from composer.request import Request
    from composer.types import OwnTask, Piece
    from composer_live.jam import Jam
    from composer_live.ports import Ports
    from composer_live.sending import Sender
    from composer_live.values import Action, Setup
    from composer_live.wiring import Wiring

MODES = ("answer", "continue", "harmonize", "accompany", "loop")

MODELS = {"harmonize": "chorales", "accompany": "chorales"}
"""The model of a mode, if none is named."""

OTHER_MODEL = "tunes"

SWITCH = 0.0005
"""Seconds after which Python's threads take turns while a session runs, so that messages are sent in time."""


class Jamming(WithSamplers):
    """The command, which reads its tasks from takes."""

    def read_task(self, provenance: Mapping[str, Any]) -> OwnTask:
        """Read a take. Raises BadOption for anything else."""
        from composer_live.take import read_take

        return read_take(provenance)


@dataclass(frozen=True)
class JamOptions:
    """The values of the options."""

    model_name: str | None
    mode: str
    bars: int
    source: str | None
    target: str | None
    virtual: str | None
    osc: str | None
    fast: bool
    record: str | None
    clock: str
    tempo: float | None
    key: str | None
    time_signature: str | None
    count_in: int
    metronome: bool
    assignments: tuple[str, ...]
    thru: int | None
    channel: int
    program: int
    seed: int | None
    seconds: float | None
    screen: bool
    force: bool
    title: str | None
    export_options: tuple[str, ...]
    device: str
    backend: str
    precision: str
    quiet: bool


@click.command(cls=Jamming, short_help="Play with a model, in time.")
@click.option(
    "--model",
    "model_name",
    shell_complete=completing.complete_names("models", or_files=True),
    help="Name of a model, or a .safetensors file.  [tunes, or chorales for harmonize and accompany]",
)
@click.option("--mode", type=click.Choice(MODES), default="answer", show_default=True, help="What the model does.")
@click.option("--bars", type=int, default=2, show_default=True, help="Bars of a turn, or of a loop.")
@click.option("--in", "source", metavar="PORT|FILE", help="A MIDI input, by name or number, or a file to play from.")
@click.option("--out", "target", metavar="PORT", help="A MIDI output, by name or number.  [the first]")
@click.option(
    "--virtual", metavar="NAME", help="Make ports of this name for other programs, instead of --in and --out."
)
@click.option("--osc", metavar="PORT", help="Serve OSC, such as at 9000; ADDRESS:PORT for others than this machine.")
@click.option("--fast", is_flag=True, help="With a file as --in: without ports and without waiting.")
@click.option("--record", metavar="OUT", help="Write what was played, by both, to a file.")
@click.option(
    "--clock",
    type=click.Choice(["own", "follow", "send"]),
    default="own",
    show_default=True,
    help="An own tempo; the MIDI clock of the input; or an own one that is sent.",
)
@click.option("--tempo", type=float, help="Quarter notes per minute.  [that of the file or model]")
@click.option("--key", help="Key, such as Dm, F# or Bb.  [estimated from what is played]")
@click.option("--time-signature", metavar="N/D", help="Time signature, such as 3/4.  [that of the file, or 4/4]")
@click.option("--count-in", type=click.IntRange(0, 8), default=1, show_default=True, help="Bars that are counted in.")
@click.option("--metronome", is_flag=True, help="Sound every beat.")
@click.option(
    "--assign",
    "assignments",
    multiple=True,
    metavar="KEY=COMMAND",
    help="Such as key108=vary, cc20=temperature, pedal=again or program1=mode:loop.",
)
@click.option("--thru", type=click.IntRange(1, 16), help="Send what is played on to this channel, too.")
@click.option("--channel", type=click.IntRange(1, 16), default=1, show_default=True, help="First channel of the model.")
@click.option(
    "--program", type=click.IntRange(1, 128), default=1, show_default=True, help="Your program in a recording."
)
@click.option("--seed", type=int, help="The same seed gives the same music.  [a new one, which is shown]")
@click.option("--seconds", type=click.FloatRange(0), help="End after so many.")
@click.option("--screen/--no-screen", default=True, help="Show a roll, and read keys.")
@writing.add_options
@click.option("--device", default="cpu", help="cpu, cuda, …  [cpu]")
@add_backend
@click.option("--precision", default="float32", help="Number format: int8 is faster.  [float32]")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.pass_context
def jam(ctx: click.Context, /, **options: Any) -> None:
    """Play with a model, in time: from a MIDI keyboard, a DAW, a file, or over OSC.

    Modes: answer (you play --bars, it answers), continue (it goes on when you stop), harmonize (voices under each
    note), accompany (other parts beside yours, or drums), loop (it repeats what you play). Without ports named, the
    first are taken. Ctrl-C or q ends.

    \b
    composer jam
    composer jam --model chorales --mode harmonize --virtual composer
    composer jam --model drums --mode accompany --tempo 96
    composer jam --in played.mid --record take.mid --fast
    """  # noqa: D301  (a \b keeps click from filling the lines)
    asked = JamOptions(**options)
    links = list_samplers(ctx)
    file = find_file(asked.source)
    if asked.fast and (file is None or asked.record is None):
        raise BadOption("--fast plays from a file to a file; name them with --in FILE and --record OUT.")
    name = asked.model_name or MODELS.get(asked.mode, OTHER_MODEL)
    outputs = None
    if asked.record is not None:
        reads = [file, name, *list_texts(links)]
        outputs = writing.make_outputs([asked.record], asked.export_options, reads=reads, force=asked.force)
    from composer.generation.composer import open_model
    from composer.generation.generator import apply_samplers
    from composer.io.formats import read_notes

    score = None if file is None else read_notes(file)
    generator = open_model(name)
    setup = _make_setup(generator, asked, score, lambda request: apply_samplers(request, links))
    piece = _play_fast(generator, setup, score) if asked.fast and score else _play(generator, setup, asked, score)
    if outputs is not None:
        if not piece.score.note_count:
            raise BadOption("nothing was played, so that nothing is recorded.")
        writing.Shelf(outputs, title=asked.title, quiet=asked.quiet).put(piece)


# --- what is asked for ------------------------------------------------------------------------------------------------


def find_file(source: str | None) -> Path | None:
    """Return the file that stands for hands, if a source is one: a name with the suffix of a format that is read."""
    if source is None:
        return None
    from composer.io.formats import is_read
    from composer.storage.inside import expand_home

    path = expand_home(source)
    return path if path.suffix and is_read(path) else None


def _make_setup(
    generator: Generator, asked: JamOptions, score: Score | None, apply: Callable[[Request], Request]
) -> Setup:
    """Make the setup from the options, the file, and what the model suggests. Raises BadOption."""
    from composer_live.following import find_placing
    from composer_live.values import Setup

    suggested = generator.suggested
    tempo = asked.tempo or (score.tempos[0].bpm if score and score.tempos else None) or suggested.tempo or 120.0
    if asked.tempo is not None and not 5 <= asked.tempo <= 1000:
        raise BadOption(f"'tempo' is {asked.tempo:g}, and must be from 5 to 1000 beats a minute.")
    metre = asked.time_signature or (str(score.time_signatures[0]) if score and score.time_signatures else "4/4")
    key = asked.key or (str(score.key_signatures[0].key) if score and score.key_signatures else None)
    request = replace(
        suggested,
        seed=choose_seed(asked.seed),
        key=key,
        time_signature=metre,
        tempo=float(tempo) if find_placing(generator) else None,
        device=asked.device,
        backend=asked.backend,
        precision=asked.precision,
    )
    request = generator.resolve(apply(request))
    return Setup(asked.mode, asked.bars, request, asked.program - 1, ((0, float(tempo)),))


def list_hands(score: Score) -> list[Action]:
    """List the notes of all tracks of a score with pitches as actions, in order."""
    from composer_live.values import Played

    found: list[Played] = []
    for track in score.tracks:
        for start, duration, pitch, velocity in track.notes.tolist() if not track.is_drum else ():
            found += [Played(start, pitch, velocity), Played(start + duration, pitch, 0)]
    found.sort(key=lambda one: (one.tick, one.velocity > 0, one.pitch))
    return list(found)


# --- playing ----------------------------------------------------------------------------------------------------------


def find_end(setup: Setup, tick: int) -> int:
    """Find the tick at which a session ends whose last action is at `tick`: after the turn, and one more."""
    bar = setup.time_signature.bar_ticks
    turn = setup.bars * bar
    return -(-tick // turn) * turn + turn


def _play_fast(generator: Generator, setup: Setup, score: Score) -> Piece:
    from composer_live.take import Take

    hands = list_hands(score)
    if not hands:
        raise BadOption("the file has no notes with a pitch to play from.")
    take = Take(setup, tuple(hands), find_end(setup, hands[-1].tick))
    return take.generate(generator)


def _play(generator: Generator, setup: Setup, asked: JamOptions, score: Score | None) -> Piece:
    """Play in time until the end, and return what was played."""
    from composer_live.receiving import Receiver, parse_assignments
    from composer_live.sending import Sender
    from composer_live.session import Session
    from composer_live.take import Take, make_piece
    from composer_live.writing import Writer

    receiver = Receiver(parse_assignments(asked.assignments))
    Writer(generator, setup.request, setup.program).warm_up()
    session = Session(generator, setup)
    session.records = asked.record is not None
    hands = [] if score is None else list_hands(score)
    sender = Sender(None)
    playing = _make_jam(session, sender, receiver, asked, hands)
    with ExitStack() as stack:
        stack.enter_context(_end_by_signals(playing))
        stack.enter_context(keep_time())
        stack.enter_context(keep_time())
        wiring = _connect(playing, sender, asked, reads=score is None)
        stack.callback(wiring.close if wiring else lambda: None)
        stack.callback(sender.close)
        sender.start()
        _serve(stack, playing, asked)
        _announce(asked, setup, wiring)
        if wiring is not None:
            wiring.start()
        _show(stack, playing, asked)
        _run(playing, asked, find_end(setup, hands[-1].tick) if hands else None)
    end = max(session.tick, 1)
    setup = replace(setup, tempos=tuple(playing.timeline.changes))
    session.close(end)
    for remark in playing.notes:
        click.echo(f"composer: {remark}", err=True)
    take = Take(setup, tuple(session.actions), end)
    return make_piece(session, take)


def _make_jam(session: Any, sender: Sender, receiver: Any, asked: JamOptions, hands: Sequence[Action]) -> Jam:
    from composer_live.jam import Jam, Manner

    manner = Manner(
        follows=asked.clock == "follow",
        sends_clock=asked.clock == "send",
        count_in=0 if asked.clock == "follow" else asked.count_in,
        metronome=asked.metronome,
        thru=None if asked.thru is None else asked.thru - 1,
        channel=asked.channel - 1,
    )
    return Jam(session, sender, receiver, manner, hands)


def open_ports() -> Ports:
    """Open the MIDI system of this machine. Raises BadOption where there is none."""
    from composer_live.ports import SystemPorts

    return SystemPorts()


def _connect(playing: Jam, sender: Sender, asked: JamOptions, *, reads: bool) -> Wiring | None:
    """Open the ports; with OSC, a machine without MIDI will do. Raises BadOption."""
    from composer_live.wiring import Nowhere, Wanted, Wiring

    source = asked.source if reads else None
    try:
        ports = open_ports()
    except BadOption:
        if asked.osc is None or asked.target or asked.virtual or source:
            raise
        sender.replace_output(Nowhere())
        return None
    wanted = Wanted(source, asked.target, asked.virtual, reads, required=asked.osc is None)
    return Wiring(ports, wanted, playing, sender)


def _serve(stack: ExitStack, playing: Jam, asked: JamOptions) -> None:
    """Serve OSC, if that is asked for."""
    if asked.osc is None:
        return
    from composer_live.osc import OscServer, parse_address

    server = OscServer(playing, parse_address(asked.osc))
    stack.callback(server.close)
    playing.on_events = server.tell
    server.start()


def _announce(asked: JamOptions, setup: Setup, wiring: Wiring | None) -> None:
    if asked.quiet:
        return
    names = () if wiring is None else (wiring.input_name or asked.source, wiring.output_name)
    ports = " to ".join(printable(name) for name in names if name) or "no MIDI ports"
    served = f", OSC at {printable(asked.osc)}" if asked.osc else ""
    click.echo(
        f"{setup.mode}, {setup.bars} bars, {setup.tempos[0][1]:g} a minute: {ports}{served}, seed {setup.request.seed}"
    )


def _show(stack: ExitStack, playing: Jam, asked: JamOptions) -> None:
    """Show the screen, where there is a terminal."""
    if not (asked.screen and sys.stdin.isatty() and sys.stdout.isatty()) or asked.quiet:
        return
    from rich.console import Console

    from composer_live.screen import show
    from composer_play.keyboard import read_keys

    keys = stack.enter_context(read_keys(sys.stdin.fileno()))
    stack.enter_context(show(playing, Console(highlight=False), keys))


def _run(playing: Jam, asked: JamOptions, end: int | None) -> None:
    """Run until the end: of the seconds, of the file, or by a key or a signal."""
    playing.start()
    until = None if asked.seconds is None else playing.clock() + asked.seconds
    if end is not None and until is None:
        until = playing.timeline.find_second(end)
    with suppress(KeyboardInterrupt):  # like `q`
        playing.run(until)


@contextmanager
def _end_by_signals(playing: Jam) -> Iterator[None]:
    """End as by `q` when the terminal is closed, at Ctrl-C, or when the system asks to."""

    def end(*_: object) -> None:
        playing.ends = True

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    try:
        before = {number: signal.signal(number, end) for number in (getattr(signal, name) for name in names)}
    except ValueError:  # not in the main thread
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def keep_time() -> Iterator[None]:
    """Let threads take turns quickly, and spare the objects that are there already the collector's looks."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
