"""Tables of Humdrum kern for tests: written by hand with wide gaps for tabs, or from random music."""

import re
from fractions import Fraction

_VALUES = [Fraction(4, n) for n in (1, 2, 4, 8, 16, 6, 12, 24, 10, 20, 14)] + [Fraction(3, n) for n in (1, 2, 4)]
_LETTERS = ["c", "c#", "d", "e-", "e", "f", "f#", "g", "a-", "a", "b-", "b"]


def table(text):
    """Lines whose columns stand two spaces or more apart, as a file of kern."""
    lines = [re.sub(r" {2,}", "\t", line.strip()) for line in text.strip().splitlines()]
    return "\n".join(lines) + "\n"


def pitch_token(pitch):
    """MIDI pitch 60 as `c`, 72 as `cc`, 48 as `C`."""
    octave, place = divmod(pitch, 12)
    letter, sign = _LETTERS[place][0], _LETTERS[place][1:]
    return (letter * (octave - 4) if octave > 4 else letter.upper() * (5 - octave)) + sign


def length_token(length, draw):
    """Quarter notes as a reciprocal: `4`, `4.` or `8%3`."""
    plain, dotted = 4 / length, 6 / length
    if plain.denominator == 1:
        return str(plain)
    if dotted.denominator == 1 and draw.random() < 0.7:
        return f"{dotted}."
    return f"{plain.numerator}%{plain.denominator}"


class RandomPiece:
    """Music in columns that split and join, as a file of kern (`text`) and as what it should be read as (`notes`).

    `notes` holds (start, length, pitch) in quarter notes for each column, from the left.
    """

    def __init__(self, draw):
        self.draw = draw
        self.columns = draw.randint(1, 4)
        self.bar = Fraction(draw.choice([2, 3, 4, 6]), 1)
        self.lines = [["**kern"] * self.columns, [f'*I"column {i}' for i in range(self.columns)]]
        self.lines.append([f"*M{self.bar}/4"] * self.columns)
        self.voices = [1] * self.columns
        self.tied = {}  # (column, voice): [pitch, start] of a note that goes on in the next bar
        self.notes = [[] for _ in range(self.columns)]
        count = draw.randint(1, 6)
        for number in range(count):
            self._bar_line(f"={number + 1}")
            self._arrange([draw.choice([1, 1, 1, 2, 3]) for _ in range(self.columns)])
            self._measure(number * self.bar, is_last=number == count - 1)
        self._bar_line("==")
        self._arrange([1] * self.columns)
        self.lines.append(["*-"] * self.columns)

    @property
    def text(self):
        return "\n".join("\t".join(line) for line in self.lines) + "\n"

    def _bar_line(self, text):
        self.lines.append([text] * sum(self.voices))

    def _arrange(self, wanted):
        """Join and split columns until each has so many voices."""
        together = self.draw.random() < 0.5
        for column in range(self.columns):
            if self.voices[column] > 1 and wanted[column] != self.voices[column] and not together:
                self._manipulate({column: ["*v"] * self.voices[column]})
                self.voices[column] = 1
        joined = [i for i in range(self.columns) if self.voices[i] > 1 and wanted[i] != self.voices[i]]
        if joined:  # in one row; neighbours are told apart by what follows
            self._manipulate({i: ["*v"] * self.voices[i] for i in joined})
            for i in joined:
                self.voices[i] = 1
        while self.voices != wanted:
            split = [i for i in range(self.columns) if self.voices[i] < wanted[i]]
            self._manipulate({i: ["*"] * (self.voices[i] - 1) + ["*^"] for i in split})
            for i in split:
                self.voices[i] += 1

    def _manipulate(self, tokens):
        self.lines.append([text for i in range(self.columns) for text in tokens.get(i, ["*"] * self.voices[i])])

    def _measure(self, start, *, is_last):
        paths = [(column, voice) for column in range(self.columns) for voice in range(self.voices[column])]
        tokens = {path: dict(self._voice(path, start, is_last=is_last)) for path in paths}
        for place in sorted({place for own in tokens.values() for place in own}):
            self.lines.append([tokens[path].get(place, ".") for path in paths])

    def _voice(self, path, start, *, is_last):
        """The tokens of one voice in one bar, by their places."""
        place, draw = Fraction(0), self.draw
        tie = self.tied.pop(path, None)
        while place < self.bar:
            length = draw.choice([value for value in _VALUES if value <= self.bar - place] or [self.bar - place])
            value = length_token(length, draw)
            ends_bar = place + length == self.bar
            goes_on = ends_bar and not is_last and path[1] == 0 and draw.random() < 0.4
            if tie:
                pitches = [tie[0]]
            elif draw.random() < 0.2:
                pitches, goes_on = [], False
            else:
                pitches = sorted({draw.randint(36, 84) for _ in range(1 if goes_on else draw.choice([1, 1, 1, 3]))})
            marks = ("_", "_") if tie and goes_on else ("]", "]") if tie else ("[", "[") if goes_on else ("", "")
            if not pitches:
                yield place, f"{value}r"
            else:
                yield place, " ".join(f"{marks[0]}{value}{pitch_token(pitch)}" for pitch in pitches)
            for pitch in pitches:
                begin = tie[1] if tie else start + place
                if goes_on:
                    self.tied[path] = (pitch, begin)
                else:
                    self.notes[path[0]].append((begin, start + place + length - begin, pitch))
            tie = None
            place += length
