"""Corpora: built once, in parallel as in one process, whole or not at all, with a reason for every refused piece."""

import json
import os
import signal
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from walks import VOICES, Walks, walk

from composer.data import corpus as corpora
from composer.data import encoding
from composer.data import parallel as processes
from composer.data.corpus import build
from composer.errors import (
    CannotWrite,
    ComposerError,
    EmptyDataset,
    LeftOutWarning,
    ReadingWarning,
    RoundingWarning,
    RunWarning,
    UnreadableFile,
)
from composer.io import lint
from composer.music.score import Score, Track, make_notes
from composer.plugins.registry import registry
from composer.types import Piece


@pytest.fixture
def built(tokenizer, tmp_path):
    """Builds in a cache of this test alone: `built(Walks())`."""

    def make(dataset, **options):
        return build(dataset, tokenizer, name="some", cache=tmp_path, **{"workers": 1, **options})

    return make


@dataclass(frozen=True)
class Half(Walks):
    """Random walks of which every other one is refused or breaks."""

    title = "Half"
    tokenizer_options: ClassVar = VOICES

    def read(self, source):
        number = int(source.split()[1])
        if number % 4 == 1:
            yield source, UnreadableFile(f"{source}: is damaged.")
        elif number % 4 == 3:
            raise RecursionError("deep\nin a \x1b[31mparser")
        else:
            warnings.warn("mended", ReadingWarning, stacklevel=1)
            yield source, walk(number, self.seed)


@dataclass(frozen=True)
class Told(Walks):
    """Random walks, of each of which its reader says something."""

    def read(self, source):
        number = int(source.split()[1])
        warnings.warn(LeftOutWarning(source, {"grace notes": number, "lyrics": number % 2}), stacklevel=1)
        warnings.warn(f"{source}: bar {number} was too long (1,234 times).", ReadingWarning, stacklevel=1)
        warnings.warn(f"{source}: {number} notes were moved.", RoundingWarning, stacklevel=1)
        yield source, walk(number, self.seed)
        yield f"{source} again", walk(number + 100, self.seed)


@dataclass(frozen=True)
class Nothing(Walks):
    """All pieces are refused."""

    def read(self, source):
        yield source, UnreadableFile(f"{source}: is damaged.")


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# --- what a corpus holds ----------------------------------------------------------------------------------------------


def test_every_piece_is_there_and_decodes_to_itself(built, tokenizer):
    corpus = built(Walks())
    assert corpus.names.tolist() == [f"walk {number}" for number in range(24)]
    for number in range(24):
        expected = tokenizer.encode(walk(number))
        assert np.array_equal(corpus.read_piece(number), expected)
        assert corpus.notes[number] == walk(number).note_count
        assert corpus.beats[number] == walk(number).end / 480
        pitches = [note["pitch"] for track in walk(number).tracks for note in track.notes]
        assert (corpus.lowest[number], corpus.highest[number]) == (min(pitches), max(pitches))
    assert corpus.inputs.shape == (len(corpus.tokens), len(tokenizer.grammar.columns))


def test_the_splits_cover_every_piece_once(built):
    corpus = built(Walks())
    sides = [corpus.split(side) for side in ("train", "valid", "test")]
    assert all(len(side) for side in sides)
    assert sorted(np.concatenate(sides)) == list(range(24))


def test_a_transposed_piece_is_on_the_side_of_the_piece(built):
    plain, moved = built(Walks()), built(Walks(moved=tuple(range(0, 24, 2))))
    assert not np.array_equal(plain.tokens, moved.tokens)
    for side in ("train", "valid", "test"):
        assert np.array_equal(plain.split(side), moved.split(side))


def test_bad_pieces_are_set_aside_with_their_reasons_and_the_rest_is_kept(built):
    corpus = built(Half())
    assert len(corpus.names) == corpus.about["kept"] == 12
    assert corpus.about["mended"] == 12
    reasons = {row.name: row.reason for row in corpus.refused}
    assert len(reasons) == 12
    assert reasons["walk 1"] == "is damaged."
    assert reasons["walk 3"] == "cannot be read (RecursionError: deep in a \\x1b[31mparser)"


def test_what_readers_say_is_added_up_by_kind(built, tokenizer, tmp_path, monkeypatch):
    corpus = built(Told(count=12))
    assert corpus.about["mended"] == 12
    assert list(lint.format_lines(corpus.about)) == [
        "left out: grace notes (66 in 11 files); lyrics (6 in 6 files).",
        "mended: bar N was too long (12 files).",
    ]
    monkeypatch.setattr(processes, "POOL_AFTER", 0.0)
    parallel = build(Told(count=12), tokenizer, name="some", cache=tmp_path / "other", workers=2)
    assert contents(parallel.folder) == contents(corpus.folder)


def test_a_report_names_the_kinds_that_are_most_frequent():
    found = lint.Remarks()
    for kind in range(1, 2 * lint.MOST_KINDS + 1):
        found.note([LeftOutWarning("x", {f"things {kind}": kind})])
    [line] = lint.format_lines(found.to_plain())
    assert line.startswith("left out: other things (1,500,500 in 1,000 files); things 1000 (1,000 in 1 file); ")
    assert line.endswith("; and 993 more kinds.")


def test_a_piece_that_the_tokenizer_has_no_tokens_for_is_set_aside(tmp_path):
    narrow = registry().make("tokenizers", "voices", **{**VOICES, "highest": 77})
    corpus = build(Walks(), narrow, cache=tmp_path, workers=1)
    assert 0 < len(corpus.refused) < 24
    assert all("there are tokens for 36 to 77" in row.reason for row in corpus.refused)


def test_a_dataset_of_which_nothing_is_left_gives_the_reasons(built):
    with pytest.raises(EmptyDataset) as caught:
        built(Nothing())
    assert str(caught.value) == (
        "no piece of some can be used. Refused: walk 0: is damaged; walk 1: is damaged; walk 2: is damaged; "
        "and 21 more."
    )


def test_too_few_pieces_to_split_give_the_reasons_as_well(built):
    with pytest.raises(EmptyDataset, match=r"at least 3 .*\. Refused: walk 1: is damaged; walk 3: .*\."):
        built(Half(count=4))


# --- given sides ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given(Walks):
    """Random walks with sides of their own: the pieces of these numbers are for validation and test."""

    valid: tuple[int, ...] = (0, 1, 2)
    test: tuple[int, ...] = (3,)
    refused: tuple[int, ...] = ()

    def split(self, source):
        number = int(source.split()[1])
        return "valid" if number in self.valid else "test" if number in self.test else "train"

    def read(self, source):
        if int(source.split()[1]) in self.refused:
            yield source, UnreadableFile(f"{source}: is damaged.")
        else:
            yield from super().read(source)


def test_pieces_are_on_the_side_that_their_dataset_gives(built):
    corpus = built(Given(refused=(1, 20)))
    sides = {side: corpus.names[corpus.split(side)].tolist() for side in ("train", "valid", "test")}
    assert sides["valid"] == ["walk 0", "walk 2"]
    assert sides["test"] == ["walk 3"]
    assert sides["train"] == [f"walk {number}" for number in range(4, 24) if number != 20]


def test_two_processes_give_the_same_sides(built, tokenizer, tmp_path, monkeypatch):
    serial = built(Given())
    monkeypatch.setattr(processes, "POOL_AFTER", 0.0)
    parallel = build(Given(), tokenizer, name="some", cache=tmp_path / "other", workers=2)
    assert contents(parallel.folder) == contents(serial.folder)


def test_other_sides_are_another_corpus(built, monkeypatch):
    first = built(Given())
    assert built(Given()).folder == first.folder
    monkeypatch.setattr(Given, "split", lambda _, source: {"walk 1": "valid", "walk 2": "test"}.get(source, "train"))
    second = built(Given())
    assert second.folder != first.folder
    assert second.names[second.split("test")].tolist() == ["walk 2"]


def test_a_given_side_without_a_piece_is_a_mistake_with_reasons(built, tmp_path):
    with pytest.raises(EmptyDataset) as caught:
        built(Given(refused=(3,)))
    assert str(caught.value) == (
        "the dataset divides its pieces itself, and has none to use for test. Refused: walk 3: is damaged."
    )
    with pytest.raises(EmptyDataset, match="none to use for valid and test"):
        built(Given(valid=(), test=()))
    assert list((tmp_path / "corpora").iterdir()) == []


# --- the cache --------------------------------------------------------------------------------------------------------


def test_a_second_build_reads_nothing(built, monkeypatch):
    first = built(Walks())
    monkeypatch.setattr(Walks, "read", lambda *_: pytest.fail("a source was read again"))
    assert built(Walks()).folder == first.folder


@pytest.mark.parametrize("name", ["tokens.bin", "inputs.bin", "pieces.npz", "names.json", "corpus.json"])
def test_a_corpus_that_a_disk_has_spoilt_is_built_anew(tokenizer, tmp_path, name):
    def build():
        return corpora.build(Walks(6), tokenizer, name="walks", cache=tmp_path)

    path = build().folder / name
    whole = path.read_bytes()
    half = len(whole) // 2
    for spoilt in (whole[:half], whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]):
        path.write_bytes(spoilt)
        build()
        assert path.read_bytes() == whole


def test_another_option_tokenizer_or_content_is_another_corpus(built, tmp_path, monkeypatch):
    folders = {built(Walks()).folder, built(Walks(seed=2)).folder}
    coarse = registry().make("tokenizers", "voices", **{**VOICES, "steps_per_quarter": 4})
    folders.add(build(Walks(), coarse, cache=tmp_path, workers=1).folder)
    monkeypatch.setattr(Walks, "fingerprint", lambda self, source: "changed" if source == "walk 5" else "")
    folders.add(built(Walks()).folder)
    assert len(folders) == 4


def test_a_folder_is_read_again_when_a_file_in_it_changes(tokenizer, tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    for number in range(6):
        registry().make("exporters", ".mid")([Piece(walk(number))], music / f"{number}.mid")
    folder = registry().make("datasets", "folder", path=str(music))
    first = build(folder, tokenizer, cache=tmp_path, workers=1)
    registry().make("exporters", ".mid")([Piece(walk(17))], music / "3.mid")
    second = build(folder, tokenizer, cache=tmp_path, workers=1)
    assert np.array_equal(first.read_piece(2), second.read_piece(2))
    assert np.array_equal(second.read_piece(3), tokenizer.encode(walk(17)))


@pytest.mark.machine
def test_two_processes_build_what_one_does(built, tokenizer, tmp_path, monkeypatch):
    serial = built(Half(count=40))
    monkeypatch.setattr(processes, "POOL_AFTER", 0.0)  # at once, and not only after some work
    told = []
    options = {"cache": tmp_path / "other", "workers": 2, "report": lambda done, total: told.append((done, total))}
    parallel = build(Half(count=40), tokenizer, name="some", **options)
    assert contents(parallel.folder) == contents(serial.folder)
    assert told[-1] == (40, 40)


def test_pieces_are_the_same_in_groups_of_any_size(built, tokenizer, tmp_path, monkeypatch):
    whole = built(Walks())
    monkeypatch.setattr(corpora, "GROUP", 100)
    parts = build(Walks(), tokenizer, name="some", cache=tmp_path / "other", workers=1)
    assert contents(parts.folder) == contents(whole.folder)


@pytest.mark.parametrize(("seconds", "most"), [(0.5, 1), (0.1, 2), (0.001, corpora.CHUNK)])
def test_progress_is_told_often_however_slow_the_sources_are(built, monkeypatch, seconds, most):
    clock, told = [0.0], [0]
    monkeypatch.setattr(corpora, "monotonic", lambda: clock[0])

    def read(self, source):
        clock[0] += seconds
        yield source, walk(int(source.split()[1]))

    monkeypatch.setattr(Walks, "read", read)
    built(Walks(count=100), report=lambda done, total: told.append(done))
    steps = np.diff(told)
    assert steps.sum() == 100
    assert steps.max() == most


def test_no_more_is_made_ahead_than_keeps_the_processes_busy(monkeypatch):
    monkeypatch.setattr(processes, "POOL_AFTER", 0.0)
    taken = []
    with processes.share_work(2) as each:
        results = each(abs, (taken.append(number) or -number for number in range(20)), long=True)
        assert next(results) == 0
        assert len(taken) <= 4
        assert list(results) == list(range(1, 20))


def test_a_process_that_is_ended_from_outside_is_told_of_in_a_sentence(monkeypatch):
    monkeypatch.setattr(processes, "POOL_AFTER", 0.0)
    with pytest.raises(ComposerError, match="ended before it was done"), processes.share_work(2) as each:
        list(each(signal.raise_signal, [signal.SIGKILL] * 8, long=True))


@pytest.mark.parametrize("done", [4, 20, 24])
def test_a_build_that_is_stopped_leaves_nothing(built, tmp_path, done):
    def stop(so_far, total):
        if so_far >= done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built(Walks(), report=stop)
    assert list((tmp_path / "corpora").iterdir()) == []
    assert len(built(Walks()).names) == 24


def test_a_refused_dataset_leaves_nothing(built, tmp_path):
    with pytest.raises(EmptyDataset):
        built(Nothing())
    assert list((tmp_path / "corpora").iterdir()) == []


@pytest.mark.machine
def test_a_cache_that_cannot_be_written_is_named(tokenizer, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="the cache cannot be written"):
        build(Walks(), tokenizer, cache=tmp_path / "file", workers=1)


@pytest.mark.machine
def test_where_the_cache_cannot_be_written_a_corpus_is_for_this_process_and_its_children(
    tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setenv("COMPOSER_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    with pytest.warns(RunWarning, match=r"file: cannot be written \(.*\); music is encoded for this run alone"):
        made = build(Walks(), tokenizer)
    assert len(made.names) == 24
    assert Path(os.environ["COMPOSER_CACHE"]) in made.folder.parents
    with warnings.catch_warnings(action="error"):
        assert build(Walks(), tokenizer).folder == made.folder


def test_a_corpus_says_what_it_was_built_from(built):
    about = json.loads((built(Walks()).folder / "corpus.json").read_text())
    assert (about["name"], about["title"], about["licence"]) == ("some", "Random walks", "CC0-1.0")


def test_a_note_of_three_days_is_refused_and_not_the_end_of_the_others(small_score):
    endless = Score(tracks=(Track(make_notes([(0, 10**9, 60, 80)])),))
    result = encoding.encode_sources(
        Listed((endless, small_score("C4 D4"))), registry().make("tokenizers", "remi"), ["0", "1"]
    )
    assert [piece.name for piece in result.kept] == ["1"]
    assert "more than 100000 bars" in result.refused[0].reason


@dataclass(frozen=True)
class Listed:
    """A dataset of the scores it is given, each its own source."""

    scores: tuple[Score, ...]

    def read(self, source):
        yield source, self.scores[int(source)]
