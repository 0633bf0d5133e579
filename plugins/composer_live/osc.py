"""OSC: the same commands for SuperCollider, Max, Pure Data and others, and the notes of the model for them.

/composer/start  /composer/stop  /composer/again  /composer/vary  /composer/keep  /composer/undo  /composer/reset
/composer/mode answer      /composer/bars 4       /composer/temperature 0.9       /composer/seed 7
/composer/tempo 96         /composer/tap          /composer/note PITCH VELOCITY   (velocity 0 ends a note)
/composer/listen PORT      from now on `/composer/note PITCH VELOCITY CHANNEL SECONDS` goes to this port of the
                           sender's; SECONDS are those until it sounds
/composer/next             answers with `/composer/next PITCH VELOCITY SECONDS`: the next event, if one is known
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from composer.errors import BadOption, printable
from composer_live.jam import Jam
from composer_live.ports import INSTALL
from composer_live.sending import NOTE_OFF, NOTE_ON, Bytes

LOOPBACK = "127.0.0.1"

PLAIN = ("start", "stop", "again", "vary", "keep", "undo", "reset", "tap")
VALUED = ("mode", "bars", "temperature", "seed", "tempo")


def parse_address(text: str) -> tuple[str, int]:
    """Parse `9000`, or `ADDRESS:9000` for another address than the loopback. Raises BadOption."""
    host, colon, port = text.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) <= 65535 or (colon and not host):
        raise BadOption(f"invalid OSC port '{printable(text)}': expected a number such as 9000, or ADDRESS:9000.")
    return host or LOOPBACK, int(port)


class OscServer:
    """A server in a thread of its own."""

    def __init__(self, jam: Jam, address: tuple[str, int]) -> None:
        """Bind the port. Raises BadOption if it is taken, or if python-osc is missing."""
        try:
            from pythonosc.dispatcher import Dispatcher
            from pythonosc.osc_server import BlockingOSCUDPServer
            from pythonosc.udp_client import SimpleUDPClient
        except ImportError:
            raise BadOption(INSTALL) from None
        self._jam, self._client = jam, SimpleUDPClient
        self._listeners: dict[tuple[str, int], Any] = {}
        dispatcher = Dispatcher()
        for name in PLAIN:
            dispatcher.map(f"/composer/{name}", lambda address, *_: jam.command(address.rsplit("/", 1)[1]))
        for name in VALUED:
            dispatcher.map(f"/composer/{name}", self._take_value)
        dispatcher.map("/composer/note", self._take_note)
        dispatcher.map("/composer/listen", self._add_listener, needs_reply_address=True)
        dispatcher.map("/composer/next", self._tell_next, needs_reply_address=True)
        try:
            self._server = BlockingOSCUDPServer(address, dispatcher)
        except OSError as error:
            where = f"{address[0]}:{address[1]}"
            raise BadOption(f"the OSC port {printable(where)} cannot be opened: {error.strerror or error}.") from None
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="composer-osc", daemon=True
        )

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def _take_value(self, address: str, *values: object) -> None:
        if len(values) == 1 and isinstance(values[0], int | float | str):
            self._jam.command(address.rsplit("/", 1)[1], values[0])

    def _take_note(self, _: str, *values: object) -> None:
        numbers = [int(value) for value in values if isinstance(value, int | float)]
        if len(numbers) == len(values) == 2 and all(0 <= number <= 127 for number in numbers):
            pitch, velocity = numbers
            self._jam.receive(self._jam.clock(), (NOTE_ON, pitch, velocity))

    def _add_listener(self, sender: tuple[str, int], _: str, *values: object) -> None:
        if len(values) == 1 and isinstance(values[0], int | float) and 0 < int(values[0]) < 65536:
            place = sender[0], int(values[0])
            self._listeners.setdefault(place, self._client(*place))

    def _tell_next(self, sender: tuple[str, int], *_: object) -> None:
        coming = self._jam.session.list_coming()
        if coming:
            event = coming[0]
            left = self._jam.timeline.find_second(event.tick) - self._jam.clock()
            self._client(*sender).send_message("/composer/next", [event.pitch, event.velocity, float(left)])

    def tell(self, timed: Sequence[tuple[float, Bytes]]) -> None:
        """Tell all listeners of notes, each with the second at which it sounds."""
        for second, message in timed if self._listeners else ():
            kind, channel = message[0] & 0xF0, message[0] & 0x0F
            if kind in (NOTE_ON, NOTE_OFF):
                velocity = message[2] if kind == NOTE_ON else 0
                values = [message[1], velocity, channel, float(max(second - self._jam.clock(), 0))]
                for client in list(self._listeners.values()):
                    try:
                        client.send_message("/composer/note", values)
                    except OSError:
                        continue  # nobody is there any more
