"""MIDI files as lists of chunks of events, for damage that keeps their structure."""

from mutations import damaged

ZOO = [
    bytes.fromhex(event)
    for event in (  # noqa: SIM905
        "FF5103000000 FF5103000001 FF5103FFFFFF FF510307A120 FF5102FFFF FF510507A1200000 "  # tempos
        "FF580404021808 FF580400021808 FF5804FFFF1808 FF580403FF0000 FF5801FF FF580406031808 FF580440061808 "  # metres
        "FF59020000 FF59028000 FF590207FF FF590200FF FF5900 "  # keys
        "FF210100 FF21017F FF2101FF FF2100 FF200109 FF2001FF "  # ports and channels
        "F003431240F7 F000 F7027F01 F704F0430102 F0FFFFFF7F F7818000 "  # of one maker alone
        "FF00020001 FF0000 FF54050000000000 FF5405FFFFFFFFFF FF7F03000041 "
        "FF0105436F6D70 FF01FF7F FF0304FFFE8041 FF0306E280AE1B5B32 FF060141 FF0601FF FF0700 "  # texts
        "FF0112636F6D706F7365723A7B22757062656174223A31 FF0114636F6D706F7365723A7B22757062656174223A397D "  # ours
        "FF2F00 FF2F0100 FFFF00 FF80 FF "  # end marks, and what is none
        "F8 FA FE FD F9 F1 F17F F20000 F2 F300 F4 F5 F6 "  # of cables
        "903C50 903C00 803C00 9F7F7F 993C50 90FF50 903CFF 900001 C005 C0FF D07F E00040 E07F7F A03C40 B07B00 B04000 "
        "3C50 3C00 00 7F 7F7F 3C503C003C50"  # without a status
    ).split()
]
TIMES = [0, 0, 0, 1, 2, 60, 120, 480, 481, 16383, 2**21 - 1, 2**28 - 1]
NOTES = [bytes([status, pitch, 80]) for status in (0x90, 0x80, 0x91, 0x99) for pitch in (60, 62, 64)]


def quantity(number):
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))


def time(draw):
    if draw.random() < 0.03:
        return draw.choice([b"\x80\x80\x80\x80\x00", b"\xff" * 5, b"\x81", b"\x80\x00", b"\xff\xff\xff\xff\x7f"])
    return quantity(draw.choice(TIMES))


def begin(draw):
    """A whole file: {"head": (kind, division), "tracks": [[(time, event)]]}."""
    tracks = []
    for _ in range(draw.choice([1, 1, 2, 3, 20])):
        events = [(b"\x00", ZOO[i]) for i in draw.sample(range(len(ZOO)), draw.choice([0, 1, 3])) if len(ZOO[i]) > 2]
        for _ in range(draw.choice([0, 4, 12, 40])):
            pitch, length = draw.randrange(48, 80), draw.choice([120, 240, 480])
            channel = draw.choice([0, 0, 1, 9])
            if draw.random() < 0.5:
                events += [(b"\x00", bytes([0x90 | channel, pitch, 80])), (quantity(length), bytes([pitch, 0]))]
            else:
                off = bytes([0x80 | channel, pitch, 0])
                events += [(b"\x00", bytes([0x90 | channel, pitch, 80])), (quantity(length), off)]
        tracks.append([*events, (b"\x00", b"\xff\x2f\x00")])
    return {"head": (draw.choice([0, 1, 1]), draw.choice([480, 480, 96, 1, 1024, 32767])), "tracks": tracks}


def changed(draw, file, other):  # noqa: C901
    """The structure with some events and tracks changed, or taken from another file."""
    head, tracks = file["head"], [list(events) for events in file["tracks"]]
    for _ in range(draw.choice([1, 1, 2, 3, 8])):
        if not tracks:
            tracks = [[]]
        events = draw.choice(tracks)
        at = draw.randrange(len(events) + 1)
        kind = draw.randrange(11)
        if kind <= 2:
            events.insert(at, (time(draw), draw.choice(ZOO)))
        elif kind == 3 and events:
            del events[at : at + draw.choice([1, 1, 3])]
        elif kind == 4 and at < len(events):
            events[at] = (time(draw), events[at][1])
        elif kind == 5:
            events[at:at] = events[at : at + 4] * draw.choice([1, 2, 100])
        elif kind == 6:
            events.insert(at, (time(draw), draw.choice(NOTES)))
        elif kind == 7 and at < len(events):
            events[at] = (events[at][0], damaged(draw, events[at][1]))
        elif kind == 8:
            tracks[draw.randrange(len(tracks))] = list(draw.choice(other["tracks"] or [[]]))
        elif kind == 9 and draw.random() < 0.2:
            head = (draw.choice([0, 1, 2, 3, 65535]), draw.choice([0, 1, 24, 480, 32767, 32768, 65535, 0xE250]))
        else:
            tracks = tracks * 2 if draw.random() < 0.5 and len(tracks) < 300 else tracks[:-1]
    return {"head": head, "tracks": tracks}


def written(draw, file):
    """Its bytes: sizes and counts that lie now and then, chunks of other kinds, and bytes before and after."""
    kind, division = file["head"]
    chunks = []
    for events in file["tracks"]:
        data = b"".join(when + event for when, event in events)
        size = len(data)
        if draw.random() < 0.05:
            size = draw.choice([0, size - 1, size + 1, size + 8, 2**31, 2**32 - 1]) % 2**32
        chunks.append(b"MTrk" + size.to_bytes(4, "big") + data)
    count = len(chunks) if draw.random() < 0.9 else draw.choice([0, 1, 2, 255, 65535])
    if draw.random() < 0.05:
        chunks.insert(draw.randrange(len(chunks) + 1), draw.choice([b"XFIH\0\0\0\2ab", b"MThd\0\0\0\0", b"\0" * 9]))
    length = 6 if draw.random() < 0.95 else draw.choice([0, 5, 7, 10, 2**32 - 1])
    header = b"MThd" + length.to_bytes(4, "big") + b"".join(n.to_bytes(2, "big") for n in (kind, count, division))
    before = b"" if draw.random() < 0.97 else draw.choice([b"RIFF\0\0\0\0RMIDdata\0\0\0\0", b"\0" * 128, b"MTh"])
    data = before + header + b"".join(chunks)
    return damaged(draw, data) if draw.random() < 0.3 else data
