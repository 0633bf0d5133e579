"""Seeded damage to bytes, texts and plain values; it knows no file format."""

import json
import re
from contextlib import suppress

WORDS = (
    b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\x80\x00\x00\x00", b"\x00" * 64, b"\xff\xfe",
    b"\xe2\x80\xae", b"\x1b[2J", b"\n", b"\r", b"\\", b'"', b"%s%n", b"../../",
)  # fmt: skip
NUMBERS = (
    "0", "-1", "1", "2", "7", "64", "127", "128", "255", "256", "65536", "4294967296", "9223372036854775808", "-0",
    "1e999", "1e-999", "nan", "inf", "0.5", "1/0", "0/0", "1/3", "9" * 30, "9" * 5000, "", "x", "0x10", "٣",
    "0x" + "f" * 5000, "0o" + "7" * 5000, "0b1" + "0" * 40_000, "-0x1", "1979-05-27T07:32:00Z", "07:32:00",
    "5_000_000", "1e400",
)  # fmt: skip
TEXTS = (
    "", "x", "../../etc/passwd", "/dev/zero", "\x00", "\x1b[31m", "\u202e", "\ud800", "a" * 5000, "hostile_canary",
    "hostile_canary:run", "os", "__class__", "{0.__class__}", "%n", "nan", "1e999", "true", "folder:/proc", "C", "4/4",
    "~nobody-is-called-so/x", "~x.safetensors", "x" * 300 + ".safetensors", "/" + "x/" * 3000 + "y.mid", "\ufffe",
    "\u2028", "/dev/stdin",
)  # fmt: skip


def numbered(draw):
    return draw.choice([0, -1, 1, 2, 3, 127, 128, 2**16, 2**31, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e308])


def value(draw):
    """A plain value that hardly anything expects."""
    return draw.choice(
        [
            lambda: numbered(draw),
            lambda: draw.choice(TEXTS),
            lambda: draw.choice([None, True, False, [], {}, [[]], {"": ""}, [None], float("nan"), float("inf")]),
            lambda: [numbered(draw) for _ in range(draw.randint(1, 4))],
            lambda: {draw.choice(TEXTS): draw.choice(TEXTS)},
            lambda: nested(draw.choice([5, 50, 400])),
            lambda: draw.choice(TEXTS) * draw.choice([1, 20]),
        ]
    )()


def nested(depth):
    found = []
    for _ in range(depth):
        found = [found]
    return found


def damaged(draw, data):
    """Bytes with some of them changed, lost, repeated or moved."""
    data = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 2, 4, 16])):
        size = len(data)
        at, width = draw.randrange(size + 1), draw.choice([1, 1, 2, 4, 8, 64, 1024])
        kind = draw.randrange(8)
        if kind == 0:
            data[at : at + 1] = bytes([draw.randrange(256)])
        elif kind == 1 and at < size:
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 2:
            data[at : at + width] = b""
        elif kind == 3:
            data[at:at] = data[at : at + width] * draw.choice([1, 2, 50])
        elif kind == 4:
            data[at:at] = draw.choice(WORDS)
        elif kind == 5:
            data[at : at + width] = draw.randbytes(width)
        elif kind == 6:
            other = draw.randrange(size + 1)
            data[at:at] = data[other : other + width]
        else:
            data[at:] = b"" if draw.random() < 0.3 else data[at:]
    return bytes(data)


def damaged_text(draw, text):
    """A text with other numbers and words, and with lines or pieces of it lost, repeated and exchanged."""
    for _ in range(draw.choice([1, 1, 2, 3, 6])):
        kind = draw.choice([1, 1, 1, 1, 2, 3, 3, 4, 5, 6])
        if kind == 1 and (found := list(re.finditer(r"-?\d+(?:\.\d+)?", text))):
            place = draw.choice(found)
            text = text[: place.start()] + draw.choice(NUMBERS) + text[place.end() :]
        elif kind == 2 and (found := list(re.finditer(r"[A-Za-z_-]+", text))):
            place, other = draw.choice(found), draw.choice(found)[0]
            text = text[: place.start()] + draw.choice([other, *TEXTS]) + text[place.end() :]
        elif kind == 3:
            lines = text.splitlines(keepends=True) or [""]
            at, width = draw.randrange(len(lines)), draw.choice([1, 1, 2, 5])
            lines[at : at + width] = lines[at : at + width] * draw.choice([0, 0, 2, 30])
            text = "".join(lines)
        elif kind == 4:
            lines = text.splitlines(keepends=True) or [""]
            at, other = draw.randrange(len(lines)), draw.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
            text = "".join(lines)
        elif kind == 5:
            at, width = draw.randrange(len(text) + 1), draw.choice([0, 1, 10])
            text = text[:at] + draw.choice([*TEXTS, "<", ">", "[", "]", "{", "=", "\t", '"', "\n"]) + text[at + width :]
        elif draw.random() < 0.3:
            text = text[: draw.randrange(len(text) + 1)]
    return text


def damaged_value(draw, plain):
    """Plain values (of JSON) with some of them exchanged, lost, renamed or wrapped; never the same object."""
    plain = json.loads(json.dumps(plain))
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        places = list(_places(plain))
        if not places:
            return value(draw)
        inside, key = draw.choice(places)
        kind = draw.randrange(6)
        if kind == 0:
            del inside[key]
        elif kind == 1 and isinstance(inside, dict):
            inside[draw.choice(TEXTS)] = inside.pop(key)
        elif kind == 2:
            inside[key] = [inside[key]] * draw.choice([1, 2, 1000 if len(json.dumps(inside[key])) < 200 else 3])
        elif kind == 3:
            other, another = draw.choice(places)
            with suppress(LookupError):  # it may be gone by now
                inside[key] = json.loads(json.dumps(other[another]))
        else:
            inside[key] = value(draw)
    return plain


def _places(plain):
    """Each (container, key) in nested lists and dicts."""
    waiting = [plain]
    while waiting:
        inside = waiting.pop()
        keys = list(inside) if isinstance(inside, dict) else range(len(inside)) if isinstance(inside, list) else ()
        for key in list(keys)[:200]:
            yield inside, key
            waiting.append(inside[key])


def as_json(draw, plain):
    """JSON, now and then with a key that is there twice, or damaged as a text."""
    try:
        text = json.dumps(plain)
    except RecursionError:
        text = '{"a":' * 10_000
    if draw.random() < 0.1 and text.startswith("{") and len(text) > 2:
        text = text[:-1] + ", " + text[1:]
    return damaged_text(draw, text) if draw.random() < 0.1 else text
