"""Continuing: a primer comes back as it stood, in its tracks, and the piece is made again from what it carries."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from music import BAR, QUARTER, drums, line, notes, score

from composer.errors import BadOption
from composer.generation.continuation import Continuation, make_continuation
from composer.generation.generator import Generator
from composer.generation.tasks import make, read_task
from composer.io import formats
from composer.music.score import END, Tempo, Text, make_notes
from composer.request import Request
from composer.testing import make_random_model
from composer.types import Piece

TWO = ["--bars", "2", "--seed", "5"]


def rows(track, start=0, end=2**40):
    return [tuple(note) for note in track.notes.tolist() if start <= note[0] < end]


def performed(seed=0):
    """Two bars of a quartet as somebody played them: off the grid, no two notes as loud, at a tempo that changes."""
    rng = np.random.default_rng(seed)
    played = []
    for program, (name, pitch) in enumerate({"Vln I": 72, "Vln II": 67, "Viola": 60, "Cello": 48}.items(), start=40):
        begins = [(480 * beat + int(rng.integers(0, 30)), int(rng.integers(30, 120))) for beat in range(8)]
        own = make_notes([(tick, 400, pitch + n % 3, loud) for n, (tick, loud) in enumerate(begins)])
        played.append(replace(line(), notes=own, name=name, program=program))
    kit = drums(*[(beat, 38) for beat in range(8)], velocity=99)
    marks = (Text(480, "here"), Text(4 * BAR, END))
    return score(kit, *played, tempos=(Tempo(0, 71.5), Tempo(BAR, 90.0)), markers=marks)


def gone_on(player, primer, **wishes):
    return make(player, [make_continuation(player, Request(seed=5, bars=2, **wishes), primer)])[0]


def test_a_primer_stays_as_it_stood_and_its_tracks_go_on(player):
    primer = performed()
    found = gone_on(player, primer, tempo=60.0).score
    assert len(found.tracks) == len(primer.tracks)
    for before, now in zip(primer.tracks, found.tracks, strict=True):
        assert (now.name, now.program, now.is_drum) == (before.name, before.program, before.is_drum)
        assert rows(now)[: len(before.notes)] == rows(before)
    assert (found.tempos, found.markers) == (primer.tempos, (Text(480, "here"),))
    new = [rows(track, 2 * BAR) for track in found.tracks]
    assert not new[0]
    assert all(new[1:])
    for own, track in zip(new[1:], primer.tracks[1:], strict=True):
        assert {note[3] for note in own} == {int(np.median(track.notes["velocity"]))}


def test_new_music_begins_on_the_beat_after_a_note_that_was_let_go_early(player):
    assert make_continuation(player, Request(), performed()).request.primer_ticks == 2 * BAR
    staccato = score(line((60, 1), (62, 0.5)))
    assert make_continuation(player, Request(), staccato).request.primer_ticks == 720


def test_what_is_held_on_from_a_primer_is_struck_anew(player):
    """So that no note of the primer is longer than it was."""
    short = score(*[line((pitch, 2.5)) for pitch in (72, 67, 60, 48)])
    for seed in range(6):
        found = make(player, [make_continuation(player, Request(seed=seed, bars=1), short)])[0].score
        for track, pitch in zip(found.tracks, (72, 67, 60, 48), strict=True):
            assert notes(track)[0] == (0, 2.5, pitch)
            assert notes(track)[1][0] >= 2.5


def test_a_tempo_that_is_asked_for_is_that_of_the_whole_piece(player):
    (piece,) = make(player, [make_continuation(player, Request(bars=1, tempo=60.0), performed(), tempo=60.0)])
    assert piece.score.tempos == (Tempo(0, 60.0),)


def test_a_continuation_is_plain_values_and_back(player):
    wanted = make_continuation(player, Request(seed=5, bars=1), performed())
    assert Continuation.from_json(json.loads(json.dumps(wanted.to_json()))) == wanted
    (piece,) = make(player, [wanted])
    assert read_task(piece.provenance) == replace(wanted, request=player.resolve(wanted.request))


def test_a_continuation_is_the_same_alone_and_among_others(player):
    wanted = [make_continuation(player, Request(seed=5, index=n, bars=1 + n % 2), performed(n)) for n in range(3)]
    together = make(player, [wanted[0], Request(seed=1, bars=1), *wanted[1:]])
    alone = [make(player, [one])[0] for one in wanted]
    assert [together[n].score for n in (0, 2, 3)] == [piece.score for piece in alone]


def test_a_primer_that_its_tokens_do_not_tell_of_is_refused(player):
    one, other = (
        make_continuation(player, Request(bars=1), performed()),
        make_continuation(player, Request(bars=1), score(line((60, 4)))),
    )
    with pytest.raises(BadOption, match="differs from the request's tokens"):
        make(player, [replace(one, primer=other.primer)])


# --- on the command line ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    formats.write([Piece(performed())], Path("mine.mid"))
    return tmp_path


def test_a_file_goes_on_and_is_made_again_byte_for_byte(run, folder, model_file):
    assert run("generate", "more.mid", "--primer", "mine.mid", "--model", model_file, *TWO).status == 0
    before, now = formats.read(Path("mine.mid")), formats.read(Path("more.mid"))
    for track, longer in zip(before.tracks, now.tracks, strict=True):
        assert (longer.name, rows(longer)[: len(track.notes)]) == (track.name, rows(track))
    (folder / "mine.mid").unlink()
    assert run("regenerate", "more.mid", "again.mid").status == 0
    for suffix in ("", ".json"):
        assert (folder / f"again.mid{suffix}").read_bytes() == (folder / f"more.mid{suffix}").read_bytes()
    assert run("regenerate", "more.mid", "other.mid", "--seed", "+1").status == 0
    other = formats.read(Path("other.mid"))
    assert other != now
    assert [rows(track, 0, 2 * BAR) for track in other.tracks] == [rows(track, 0, 2 * BAR) for track in now.tracks]


def test_typed_notes_stand_in_the_model_s_track(run, folder, model_file):
    assert run("generate", "more.mid", "--primer", "C5 D5 E5", "--model", model_file, *TWO).status == 0
    tracks = formats.read(Path("more.mid")).tracks
    assert [track.name for track in tracks] == ["Soprano", "Alto", "Tenor", "Bass"]
    assert {track.program for track in tracks} == {52}


def test_a_file_name_may_have_spaces(run, folder, model_file):
    Path("mine.mid").rename("my own song.mid")
    assert run("generate", "more.mid", "--primer", "my own song.mid", "--model", model_file, *TWO).status == 0
    assert [track.name for track in formats.read(Path("more.mid")).tracks][1:3] == ["Vln I", "Vln II"]


def test_a_batch_writes_the_same_file(run, folder, model_file):
    options = {"model": str(model_file), "bars": 2, "seed": 5, "primer": "mine.mid", "edition": 2}
    Path("jobs.jsonl").write_text(json.dumps({**options, "file": "a", "count": 1}) + "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert run("batch", "jobs.jsonl", "--out", "out", "--executor", "here").status == 0
    assert run("generate", "a.mid", "--primer", "mine.mid", "--model", model_file, *TWO).status == 0
    (made,) = Path("out").rglob("a.mid")
    assert made.read_bytes() == Path("a.mid").read_bytes()


@pytest.fixture(scope="module")
def short():
    """A player whose tokens have no note longer than a quarter."""
    writing = {"longest_duration": 1, "programs": False, "drums": False, "time_signatures": ("4/4",)}
    return Generator(make_random_model("gru", "remi", writing, hidden_size=16, embedding_size=16))


TIED = score(line((62, 1), (64, 2), (67, 3)))


def test_new_music_begins_after_a_note_that_is_too_long_for_the_tokens(short):
    wanted = make_continuation(short, Request(seed=5, bars=2), TIED)
    assert wanted.request.primer_ticks == 6 * QUARTER
    found = make(short, [wanted])[0].score.tracks[0]
    assert rows(found)[:3] == rows(TIED.tracks[0])
    assert rows(found)[3:]
    assert rows(found, 0, 6 * QUARTER) == rows(TIED.tracks[0])


def test_a_request_from_before_that_was_so_is_still_made_and_a_line_stays_one(short):
    wanted = make_continuation(short, Request(bars=2), TIED)
    cut = 0
    for seed in range(8):
        old = Continuation(replace(wanted.request, seed=seed, primer_ticks=4 * QUARTER), TIED)
        found = make(short, [old])[0].score.tracks[0]
        following = min(note[0] for note in rows(found, 3 * QUARTER + 1))
        assert rows(found)[2][:2] == (3 * QUARTER, min(following - 3 * QUARTER, 3 * QUARTER))
        cut += following < 6 * QUARTER
    assert cut
