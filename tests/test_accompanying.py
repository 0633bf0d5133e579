"""Accompaniments: what is given stays in its part, note for note, and the model's other parts are new."""

from pathlib import Path

import numpy as np
import pytest
from music import BAR, drums, line, score

from composer import read
from composer.errors import BadOption
from composer.generation.accompanying import plan_parts
from composer.generation.composer import Composer
from composer.generation.tasks import make
from composer.io import formats
from composer.model import save
from composer.music.score import ChordSymbol, Tempo
from composer.request import Request
from composer.testing import make_random_model
from composer.types import Piece, PlacesGiven, Span
from composer_remi.tokenizer import Remi

SONGS = {"parts": ("Voice=52", "Piano=0"), "drums": False, "velocities": 0, "steps_per_quarter": 4, "harmony": True}
BAND = {"velocities": 0, "tempos": 0, "steps_per_quarter": 4}
SMALL = {"hidden_size": 16, "embedding_size": 16}
TUNE = ((67, 1), (69, 1.5), (71, 0.5), (72, 1), (0, 1), (71, 1), (69, 1), (67, 1))
FEW = {"particles": 4}


def make_player(**writing):
    return Composer(make_random_model("mingru", "remi", {"time_signatures": ("4/4",), **writing}, **SMALL))


@pytest.fixture(scope="module")
def songs():
    return make_player(**SONGS)


@pytest.mark.parametrize("own", [{"name": "Flute", "program": 73}, {"name": "Piano"}, {}])
def test_a_tune_stays_beside_a_new_piano_whatever_plays_it(songs, own):
    tune = score(line(*TUNE, **own), upbeat=0)
    (piece,) = make(songs, [plan_parts(songs, tune, Request(seed=1), **FEW)])
    voice, piano = piece.score.tracks
    assert np.array_equal(voice.notes, tune.tracks[0].notes)
    assert (voice.name, voice.program) == (own.get("name", "Voice"), own.get("program", 0))
    assert (piano.name, piano.program) == ("Piano", 0)
    assert len(piano.notes)
    assert int(piano.notes["start"].max()) < 2 * BAR


def test_a_part_with_chords_may_be_given_and_a_voice_written_to_it(songs):
    chords = score(line(((48, 52, 55), 2), ((47, 50, 55), 2), ((48, 52, 55), 4)))
    (piece,) = make(songs, [plan_parts(songs, chords, Request(seed=1), voice="piano", **FEW)])
    voice, piano = piece.score.tracks
    assert np.array_equal(piano.notes, chords.tracks[0].notes)
    assert (voice.name, bool(len(voice.notes))) == ("Voice", True)


def test_chord_symbols_of_a_lead_sheet_are_obeyed(songs):
    sheet = score(line(*TUNE), chords=(ChordSymbol(0, "C"), ChordSymbol(BAR, "G7")))
    pieces = songs.accompany(sheet, seed=1, count=6, **FEW)
    tones = {0: {0, 4, 7}, 1: {7, 11, 2, 5}}
    found = [note for piece in pieces for note in piece.score.tracks[1].notes.tolist() if note[0] % 480 == 0]
    assert len(found) > 6
    assert all(pitch % 12 in tones[start // BAR] for start, _, pitch, _ in found)


def test_a_model_that_writes_tempos_writes_for_that_of_the_tune(songs):
    slow = score(line(*TUNE), tempos=(Tempo(0, 50.0),))
    wanted = plan_parts(songs, slow, Request(seed=1), **FEW)
    assert wanted.request.tempo == 50
    (piece,) = make(songs, [wanted])
    assert piece.score.tempos == slow.tempos
    silent = make_player(**{**SONGS, "tempos": 0})
    assert plan_parts(silent, slow, Request(seed=1), **FEW).request.tempo is None


def test_a_model_of_programs_adds_tracks_of_others():
    band = make_player(**BAND)
    tune = score(line(*TUNE, program=73))
    (piece,) = make(band, [plan_parts(band, tune, Request(seed=1), **FEW)])
    assert np.array_equal(piece.score.tracks[0].notes, tune.tracks[0].notes)
    assert len(piece.score.tracks) > 1
    assert 73 not in {track.program for track in piece.score.tracks[1:]}


class Rhythmic(Remi):
    """A tokenizer that lets what is given stand beside its own parts."""

    def place_given(self, given):
        return score(line((60, 8), name="Voice", program=52), *given.tracks), (Span(0, 10**9, 0),)


def test_a_tokenizer_may_place_what_is_given_in_a_way_of_its_own(songs):
    own = Composer(make_random_model("mingru", "remi", {"time_signatures": ("4/4",), **SONGS}, **SMALL))
    placing = Rhythmic(time_signatures=("4/4",), **SONGS)
    assert isinstance(placing, PlacesGiven)
    own.__dict__["tokenizer"] = placing
    riff = score(line(*TUNE, name="Piano"), drums((0, 36)))
    wanted = plan_parts(own, riff, Request(seed=1), **FEW)
    assert [track.name for track in wanted.score.tracks] == ["Voice", "Piano", ""]
    assert wanted.fixed[0] == Span(0, 10**9, 0)


def test_what_no_model_can_accompany_is_refused(songs):
    with pytest.raises(BadOption, match="a melody is one part with pitches, and there is none"):
        plan_parts(songs, score(drums((0, 36))), Request())
    alone = make_player(programs=False, drums=False)
    with pytest.raises(BadOption, match="this model does not write in several voices"):
        plan_parts(alone, score(line(*TUNE)), Request())


def test_accompany_writes_a_song_to_a_file_and_to_notes_that_are_typed(run, songs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(songs.model, Path("songs.safetensors"))
    formats.write([Piece(score(line(*TUNE)))], Path("melody.mid"))
    few = ["--model", "songs.safetensors", "--particles", "4", "--seed", "1"]
    assert run("accompany", "melody.mid", "song.mid", *few).status == 0
    assert len(read("song.mid").score.tracks) == 2
    done = run("accompany", "C4 E4 G4*2", "choose.html", "--key", "C", *few, "--count", "2", "--best", "1")
    assert (done.status, done.out.count("choose.html")) == (0, 1)
    assert run("regenerate", "song.mid", "again.mid", "--model", "songs.safetensors").status == 0
    assert read("again.mid").score == read("song.mid").score
