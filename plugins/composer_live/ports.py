"""MIDI ports: those of this machine, through mido and rtmidi, and ports in memory that behave as they do."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, Protocol

from composer.errors import BadOption, printable
from composer_live.sending import Bytes, Output

Receive = Callable[[float, Bytes], None]
"""Takes the second of arrival and a message, in a thread of the port."""

INSTALL = "playing live needs two packages more: pip install 'composer-midi[live]'."


class Port(Output, Protocol):
    """An open port."""

    def close(self) -> None:
        """Close it. No message comes afterwards."""


class Ports(Protocol):
    """The ports of a machine. Names are those that the machine shows; opening raises BadOption."""

    def list_inputs(self) -> Sequence[str]:
        """List the names of ports that messages come from."""

    def list_outputs(self) -> Sequence[str]:
        """List the names of ports that messages go to."""

    def open_input(self, name: str, receive: Receive, *, virtual: bool = False) -> Port:
        """Open a port for messages that come in, or make a virtual one."""

    def open_output(self, name: str, *, virtual: bool = False) -> Port:
        """Open a port for messages that go out, or make a virtual one."""


# --- names ------------------------------------------------------------------------------------------------------------


def strip_numbers(name: str) -> str:
    """Strip the numbers that ALSA adds to a name, which change when a port is plugged in again."""
    return re.sub(r"\s+\d+:\d+$", "", name)


def is_through(name: str) -> bool:
    """Tell whether a port only passes messages on, as ALSA's own; nobody means it."""
    return name.lower().startswith(("midi through", "midi thru"))


def find_port(wanted: str, names: Sequence[str], what: str) -> str:
    """Find the port that is meant by a name, a part of it, or its number from 1. Raises BadOption with the nearest."""
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1]
    for test in (
        lambda name: name == wanted,
        lambda name: strip_numbers(name).lower() == strip_numbers(wanted).lower(),
        lambda name: wanted.lower() in name.lower(),
    ):
        if found := [name for name in names if test(name)]:
            return found[0]
    near = get_close_matches(wanted.lower(), [strip_numbers(name).lower() for name in names], 1, 0.4)
    hint = next((name for name in names if near and strip_numbers(name).lower() == near[0]), None)
    if hint is not None:
        raise BadOption(f"there is no {what} '{printable(wanted)}'; did you mean '{printable(hint)}'?")
    there = ", ".join(f"'{printable(name)}'" for name in names) or "none"
    raise BadOption(f"there is no {what} '{printable(wanted)}'; there is {there}.")


def choose_port(names: Sequence[str]) -> str | None:
    """Choose the obvious port: the first that does not only pass messages on; None if there is none."""
    return next((name for name in names if not is_through(name)), None)


# --- ports of this machine --------------------------------------------------------------------------------------------


class SystemPorts:
    """The ports of this machine, through mido and rtmidi. Raises BadOption where these, or MIDI itself, are missing."""

    def __init__(self) -> None:
        """Load rtmidi, and try whether the machine has MIDI."""
        try:
            import mido
            import rtmidi
        except ImportError:
            raise BadOption(INSTALL) from None
        self._mido = mido
        self._backend = mido.Backend("mido.backends.rtmidi")
        try:
            with _silence():
                rtmidi.MidiIn()
        except Exception as error:  # rtmidi has an error of its own for each system
            raise BadOption(
                f"this machine has no MIDI system ({printable(str(error), 60)}); "
                "play a file with --in FILE, or use --osc."
            ) from None

    def list_inputs(self) -> Sequence[str]:
        """List the names of ports that messages come from."""
        return list(dict.fromkeys(self._backend.get_input_names()))

    def list_outputs(self) -> Sequence[str]:
        """List the names of ports that messages go to."""
        return list(dict.fromkeys(self._backend.get_output_names()))

    def open_input(self, name: str, receive: Receive, *, virtual: bool = False) -> Port:
        """Open a port for messages that come in. Messages of a clock come, too; those longer than a note do not."""

        def forward(message: Any) -> None:
            if message.type != "sysex":
                receive(time.monotonic(), tuple(message.bytes()))

        return self._open(lambda: self._backend.open_input(name, virtual=virtual, callback=forward), name)

    def open_output(self, name: str, *, virtual: bool = False) -> Port:
        """Open a port for messages that go out."""
        return self._open(lambda: self._backend.open_output(name, virtual=virtual, autoreset=False), name)

    def _open(self, make: Callable[[], Any], name: str) -> Port:
        try:
            return _SystemPort(self._mido, make())
        except Exception as error:  # of rtmidi or mido, such as for a port that another program has taken
            shown = printable(str(error), 80) or "it may be taken by another program"
            raise BadOption(f"the MIDI port '{printable(name)}' cannot be opened: {shown}.") from None


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the system's library from writing its own errors to the terminal."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class _SystemPort:
    def __init__(self, mido: Any, port: Any) -> None:
        self._mido, self._port = mido, port

    def send(self, message: Bytes) -> None:
        try:
            self._port.send(self._mido.Message.from_bytes(message))
        except Exception as error:  # rtmidi has an error of its own for each system
            raise OSError(str(error)) from None

    def close(self) -> None:
        self._port.close()


# --- ports in memory --------------------------------------------------------------------------------------------------


class MemoryPorts:
    """Ports in memory: what is sent stands in `sent`, and `play` plays on an input. Ports can be unplugged."""

    def __init__(
        self,
        inputs: Sequence[str] = ("Keys",),
        outputs: Sequence[str] = ("Synth",),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with these ports, all plugged in."""
        self._clock = clock
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.sent: dict[str, list[tuple[float, Bytes]]] = {}
        self._receivers: dict[str, Receive] = {}
        self.taken: set[str] = set()  # by another program

    def list_inputs(self) -> Sequence[str]:
        """List the names of inputs."""
        return list(self.inputs)

    def list_outputs(self) -> Sequence[str]:
        """List the names of outputs."""
        return list(self.outputs)

    def open_input(self, name: str, receive: Receive, *, virtual: bool = False) -> Port:
        """Open an input."""
        self._check(name, self.inputs, virtual=virtual)
        self._receivers[name] = receive
        return _MemoryPort(self, name)

    def open_output(self, name: str, *, virtual: bool = False) -> Port:
        """Open an output."""
        self._check(name, self.outputs, virtual=virtual)
        return _MemoryPort(self, name)

    def _check(self, name: str, names: list[str], *, virtual: bool) -> None:
        if virtual and name not in names:
            names.append(name)
        if name not in names or name in self.taken:
            raise BadOption(f"the MIDI port '{printable(name)}' cannot be opened: it is taken or gone.")

    def play(self, name: str, *message: int) -> None:
        """Let a message come in, if somebody listens and the port is plugged in."""
        if name in self.inputs and (receive := self._receivers.get(name)):
            receive(self._clock(), message)

    def is_open(self, name: str) -> bool:
        """Tell whether somebody listens to an input."""
        return name in self._receivers

    def unplug(self, name: str) -> None:
        """Unplug a port."""
        self.inputs = [one for one in self.inputs if one != name]
        self.outputs = [one for one in self.outputs if one != name]

    def deliver(self, name: str, message: Bytes) -> None:
        """Take a message that is sent. Raises OSError if the port is unplugged."""
        if name not in self.outputs:
            raise OSError(f"{name} is unplugged")
        self.sent.setdefault(name, []).append((self._clock(), message))

    def forget(self, name: str) -> None:
        """Forget who listens to an input."""
        self._receivers.pop(name, None)


class _MemoryPort:
    def __init__(self, ports: MemoryPorts, name: str) -> None:
        self._ports, self._name = ports, name

    def send(self, message: Bytes) -> None:
        self._ports.deliver(self._name, message)

    def close(self) -> None:
        self._ports.forget(self._name)
