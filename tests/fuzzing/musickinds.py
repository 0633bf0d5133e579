"""Music files: MIDI by its structure and led by what is new to our reader, and scores as texts."""

import io
import sys
import zipfile
from dataclasses import replace

import midifiles
import numpy as np
import scorefiles
from kerntables import RandomPiece
from mutations import damaged, damaged_columns, damaged_text

from composer.data.encoding import count_beats
from composer.data.splits import hash_melody
from composer.errors import CannotExpress, CannotWrite
from composer.io import formats
from composer.music.score import compute_bars
from composer.plugins.registry import registry
from composer.types import Piece

MOST_PARENTS = 600


class Music:
    """A music file is read, and what is read is a score that the rest of the house can live with."""

    foreign = False

    def __init__(self, folder, suffixes):
        self.folder, self.suffixes, self.data = folder, suffixes, b""
        self.readers = {suffix: registry().make("readers", suffix) for suffix in suffixes}
        self.tokenizers = [registry().make("tokenizers", "remi"), registry().make("tokenizers", "voices")]
        self.write = registry().make("exporters", ".mid")

    def put(self, draw):
        suffix = draw.choice(self.suffixes)
        self.data = self.make(draw, suffix)
        path = self.folder / f"now{suffix}"
        for place in (path, self.folder / "now"):
            place.write_bytes(self.data)
        return path

    def use(self, path):
        reader = self.readers[path.suffix]
        reader.read_provenance(path)
        score = formats.read_with(reader, path) if self.foreign else reader(path)
        check(score)
        self.follow(score)

    def follow(self, score):
        """What is done with scores that are read."""
        hash_melody(score)
        try:
            count_beats(score)
        except CannotExpress:
            return
        if compute_bars(score).starts.size > 5000:
            return
        for tokenizer in self.tokenizers:
            try:
                tokens = tokenizer.encode(score)
            except CannotExpress:
                continue
            assert tokens.min() >= 0
            assert tokens.max() < len(tokenizer.vocabulary)
            tokenizer.decode(tokens)
        try:
            self.write([Piece(score)], self.folder / "written.mid")
        except CannotWrite:
            return
        back = self.readers.get(".mid", registry().make("readers", ".mid"))(self.folder / "written.mid")
        if not self.foreign:
            kept = tuple(track for track in score.tracks if len(track.notes))
            assert back == replace(score, tracks=kept), "it is not read back as it was written"

    def learn(self, said):
        """What was said may lead to what is tried next."""


def check(score):
    """Raise AssertionError for what is no Score."""
    for track in score.tracks:
        notes = track.notes
        assert np.all(notes["start"] >= 0)
        assert np.all(notes["duration"] >= 1)
        assert np.all((notes["pitch"] >= 0) & (notes["pitch"] <= 127))
        assert np.all((notes["velocity"] >= 1) & (notes["velocity"] <= 127))
        assert np.all(np.diff(notes["start"]) >= 0)
        assert 0 <= track.program <= 127
    for events in (score.tempos, score.time_signatures, score.key_signatures, score.markers, score.chords):
        ticks = [event.tick for event in events]
        assert ticks == sorted(ticks)
        assert all(0 <= tick < 2**40 for tick in ticks)
    assert all(np.isfinite(tempo.bpm) and tempo.bpm > 0 for tempo in score.tempos)
    first = score.time_signatures[0] if score.time_signatures else None
    assert score.upbeat == 0 or first is None or 0 <= score.upbeat < first.bar_ticks


class Midi(Music):
    """MIDI files; a structure that leads to lines in a new order in our reader is changed further."""

    def __init__(self, folder):
        super().__init__(folder, [".mid"])
        self.parents, self.seen, self.new, self.structure = [], set(), False, None

    def make(self, draw, suffix):
        fresh = midifiles.begin(draw)
        if not self.parents or draw.random() < 0.2:
            self.structure = fresh
        else:
            recent = draw.random() < 0.5
            parent = draw.choice(self.parents[-50:] if recent else self.parents)
            self.structure = midifiles.changed(draw, parent, draw.choice([fresh, *self.parents[-20:]]))
        return midifiles.written(draw, self.structure)

    def use(self, path):
        self.new, last = False, {}

        def line(frame, event, argument):
            code = frame.f_code
            edge = (code, last.get(code), frame.f_lineno)
            last[code] = frame.f_lineno
            if edge not in self.seen:
                self.seen.add(edge)
                self.new = True
            return line

        sys.settrace(lambda frame, event, _: line if "composer_midifile" in frame.f_code.co_filename else None)
        try:
            super().use(path)
        finally:
            sys.settrace(None)
        self.readers[".mid"].lint(path)

    def learn(self, said):
        if self.new and len(self.data) < 20_000:
            self.parents = [*self.parents, self.structure][-MOST_PARENTS:]


class Scores(Music):
    """MusicXML, plain and packed, kern and ABC, damaged as texts and as bytes."""

    foreign = True

    def __init__(self, folder):
        super().__init__(folder, [".musicxml", ".mxl", ".krn", ".abc"])

    def make(self, draw, suffix):
        text = draw.choice(scorefiles.SCORES[".musicxml" if suffix == ".mxl" else suffix])
        for _ in range(draw.choice([0, 1, 1, 1, 2, 3])):
            text = damaged_text(draw, text)
        data = text.encode(draw.choice(["utf-8"] * 9 + ["utf-16"]), "replace")
        if suffix == ".mxl":
            data = packed(draw, data)
        return damaged(draw, data) if draw.random() < 0.2 else data


class Kern(Scores):
    """Kern whose columns split, join and end where they should not."""

    def __init__(self, folder):
        Music.__init__(self, folder, [".krn"])

    def make(self, draw, suffix):
        text = draw.choice(scorefiles.SCORES[suffix]) if draw.random() < 0.3 else RandomPiece(draw).text
        for _ in range(draw.choice([0, 1, 1, 2, 4])):
            text = draw.choice([damaged_columns, damaged_columns, damaged_text])(draw, text)
        data = text.encode("utf-8", "replace")
        return damaged(draw, data) if draw.random() < 0.1 else data


def packed(draw, data):
    file = io.BytesIO()
    names = ["META-INF/container.xml", "score.xml", "../../out.xml", "/score.xml", "score.txt", "a" * 300 + ".xml"]
    with zipfile.ZipFile(file, "w", draw.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name in [*draw.sample(names, draw.choice([0, 1, 3])), "score.xml" if draw.random() < 0.8 else "x.musicxml"]:
            if name not in archive.namelist():
                archive.writestr(name, data)
    return file.getvalue()


MUSIC = {"midi": Midi, "scores": Scores, "kern": Kern}
