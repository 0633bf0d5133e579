"""The ports of a session: chosen, opened, and taken up again after they were unplugged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from composer.errors import BadOption, ComposerError, printable
from composer_live.jam import RELEASE, Jam
from composer_live.ports import Port, Ports, choose_port, find_port, strip_numbers
from composer_live.sending import Bytes, Sender

INTERVAL = 1.0
"""Seconds between looks at the ports."""

HELP = (
    "plug in a keyboard or start a synthesizer, make ports of your own with --virtual NAME, "
    "play a file with --in FILE, or use --osc PORT"
)


@dataclass(frozen=True)
class Wanted:
    """The ports that are asked for: names, or None for the obvious ones; or a name for virtual ones."""

    input: str | None = None
    output: str | None = None
    virtual: str | None = None
    reads: bool = True  # whether an input is wanted at all
    required: bool = True  # whether the obvious ports have to be there


class Wiring:
    """The open ports of a session."""

    def __init__(self, ports: Ports, wanted: Wanted, jam: Jam, sender: Sender) -> None:
        """Choose the ports and open them. Raises BadOption if one is missing, and says what to do."""
        self._ports, self._wanted, self._jam, self._sender = ports, wanted, jam, sender
        self._virtual = wanted.virtual is not None
        self._input: Port | None = None
        self._output: Port | None = None
        self._ends = threading.Event()
        self.input_name, self.output_name = self._choose()
        if self.output_name is None:
            sender.replace_output(Nowhere())
        else:
            self._open_output(self.output_name)
        if self.input_name is not None:
            self._open_input(self.input_name)
        self._watcher = threading.Thread(target=self._watch, name="composer-ports", daemon=True)

    def _choose(self) -> tuple[str | None, str | None]:
        wanted = self._wanted
        if wanted.virtual is not None:
            return (wanted.virtual if wanted.reads else None), wanted.virtual
        source = self._choose_one(wanted.input, self._ports.list_inputs(), "MIDI input") if wanted.reads else None
        return source, self._choose_one(wanted.output, self._ports.list_outputs(), "MIDI output")

    def _choose_one(self, name: str | None, names: Sequence[str], what: str) -> str | None:
        found = find_port(name, names, what) if name is not None else choose_port(names)
        if found is None and self._wanted.required:
            raise BadOption(f"there is no {what}; {HELP}.")
        return found

    def _open_input(self, name: str) -> None:
        self._input = self._ports.open_input(name, self._jam.receive, virtual=self._virtual)

    def _open_output(self, name: str) -> None:
        self._output = self._ports.open_output(name, virtual=self._virtual)
        self._sender.replace_output(self._output)

    def start(self) -> None:
        """Begin to watch the ports."""
        if not self._virtual:
            self._watcher.start()

    def _watch(self) -> None:
        while not self._ends.wait(INTERVAL):
            self.check()

    def check(self) -> None:
        """Look whether a port is gone, or there again."""
        if self.input_name is not None:
            found = self._find(self.input_name, self._ports.list_inputs)
            if self._input is not None and found is None:
                _close(self._input)
                self._input = None
                self._jam.command(RELEASE.name)
                self._jam.remark(f"'{printable(self.input_name)}' is unplugged; it is taken up again when it is back.")
            elif self._input is None and found is not None:
                self._try(self._open_input, found)
        if self.output_name is not None:
            found = self._find(self.output_name, self._ports.list_outputs)
            if self._output is not None and (found is None or self._sender.output is None):
                _close(self._output)
                self._output = None
                self._sender.replace_output(None)
                self._jam.remark(f"'{printable(self.output_name)}' is unplugged; it is taken up again when it is back.")
            elif self._output is None and found is not None:
                self._try(self._open_output, found)

    def _find(self, name: str, list_names: Callable[[], Sequence[str]]) -> str | None:
        try:
            names = list_names()
        except Exception:
            return None
        return next((one for one in names if strip_numbers(one) == strip_numbers(name)), None)

    def _try(self, do: Callable[[str], None], name: str) -> None:
        try:
            do(name)
        except ComposerError:
            return  # at the next look
        self._jam.remark(f"'{printable(name)}' is back.")

    def close(self) -> None:
        """Close the ports."""
        self._ends.set()
        if self._watcher.is_alive():
            self._watcher.join(2 * INTERVAL)
        _close(self._input)
        _close(self._output)
        self._input = self._output = None


def _close(port: Port | None) -> None:
    """Close a port; one that is gone may fail to."""
    try:
        if port is not None:
            port.close()
    except Exception:  # noqa: S110  (rtmidi has an error of its own for each system)
        pass


class Nowhere:
    """An output without a port, such as with OSC alone."""

    def send(self, message: Bytes) -> None:
        """Leave a message out."""
