"""MIDI files for tests, byte by byte."""

C4 = "00 90 3C 50  83 60 80 3C 00"  # a quarter note: on at once, off 480 ticks later
D4 = "00 90 3E 50  83 60 80 3E 00"
END = "00 FF 2F 00"


def header(kind=1, tracks=1, division=480):
    return b"MThd" + bytes([0, 0, 0, 6, 0, kind]) + tracks.to_bytes(2, "big") + division.to_bytes(2, "big")


def track(*events):
    data = bytes.fromhex(" ".join(events))
    return b"MTrk" + len(data).to_bytes(4, "big") + data


def tune(*events, **head):
    """A file of one track: the events, then C4 and D4."""
    return header(**head) + track(*events, C4, D4, END)


def text_event(text, kind=1):
    """A text of any size, which is written in three bytes of seven bits."""
    size = len(text)
    return f"00 FF {kind:02X} {0x80 | size >> 14:02X} {0x80 | size >> 7 & 0x7F:02X} {size & 0x7F:02X} {text.hex()}"
