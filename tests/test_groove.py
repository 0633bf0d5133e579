"""The Groove MIDI Dataset: its takes in its own splits, with what its table says, and a model that plays."""

import json
from pathlib import Path

import numpy as np
import pytest
from music import BAR, save_groove

from composer.data.corpus import build
from composer.errors import BadOption, EmptyDataset, UnreadableFile
from composer.io import formats
from composer.plugins.registry import registry
from composer_groove.dataset import Groove


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with a small set of takes."""
    monkeypatch.chdir(tmp_path)
    save_groove("groove", 6, 2, 2)
    return tmp_path


def change_table(old, new):
    table = Path("groove/info.csv")
    table.write_text(table.read_text().replace(old, new))


def test_a_take_has_the_tempo_the_time_signature_and_the_labels_of_the_table(here):
    change_table("rock/halftime,90,beat,4-4", "rock/halftime,90,beat,6-8")
    dataset = Groove("groove")
    [(name, take)] = dataset.read("drummer1/train0.mid")
    assert name == "drummer1/train0.mid"
    assert take.labels == (("kind", "beat"), ("style", "rock"))
    assert [tempo.bpm for tempo in take.tempos] == [90]
    assert [str(signature) for signature in take.time_signatures] == ["6/8"]
    [(_, fill)] = dataset.read("drummer1/train1.mid")
    assert fill.labels == (("kind", "fill"), ("style", "funk"))


def test_takes_are_in_the_splits_of_the_table_and_known_to_the_tokenizer(here):
    dataset = Groove("groove")
    corpus = build(dataset, registry().make("tokenizers", dataset.tokenizer, **dataset.tokenizer_options))
    assert [len(corpus.split(side)) for side in ("train", "valid", "test")] == [6, 2, 2]
    assert all("/test" in name for name in corpus.names[corpus.split("test")])


def test_a_fingerprint_changes_with_the_take_and_with_its_row(here):
    before = Groove("groove").fingerprint("drummer1/train0.mid")
    change_table("rock/halftime,90", "rock/halftime,91")
    after = Groove("groove").fingerprint("drummer1/train0.mid")
    Path("groove/drummer1/train0.mid").write_bytes(Path("groove/drummer1/train1.mid").read_bytes())
    assert len({before, after, Groove("groove").fingerprint("drummer1/train0.mid")}) == 3


def test_a_take_that_cannot_be_read_is_named_and_the_rest_goes_on(here):
    Path("groove/drummer1/train0.mid").write_bytes(b"MThd nothing")
    [(name, found)] = Groove("groove").read("drummer1/train0.mid")
    assert name == "drummer1/train0.mid"
    assert isinstance(found, UnreadableFile)


@pytest.mark.parametrize(
    ("folder", "error", "message"),
    [
        ("nowhere", BadOption, "there is no such folder; give the folder of the Groove MIDI Dataset"),
        ("groove/info.csv", BadOption, "is a file, not a folder"),
        ("groove/drummer1", BadOption, "has no info.csv"),
    ],
)
def test_a_wrong_folder_is_refused_in_a_sentence(here, folder, error, message):
    with pytest.raises(error, match=message):
        Groove(folder).list_sources()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("style,bpm", "kind,bpm", "lacks the columns style"),
        ("funk,105", "funk,fast", "line 3 cannot be read"),
        ("funk,105", "funk,nan", "line 3 cannot be read"),
        ("4-4", "4-", "line 2 cannot be read"),
        ("drummer1/train0.mid,train", "drummer1/train0.mid,sometimes", "line 2 cannot be read"),
        ("drummer1/train0.mid", "../train0.mid", "line 2 cannot be read"),
        ("drummer1/train0.mid,train", "", "line 2 cannot be read"),
    ],
)
def test_a_wrong_table_is_refused_in_a_sentence(here, old, new, message):
    change_table(old, new)
    with pytest.raises(UnreadableFile, match=message):
        Groove("groove").list_sources()


def test_files_that_are_missing_are_left_out_but_no_split_is_empty(here):
    Path("groove/drummer1/test0.mid").unlink()
    assert len(Groove("groove").list_sources()) == 9
    Path("groove/drummer1/test1.mid").unlink()
    with pytest.raises(EmptyDataset, match="has no files of the splits test of info"):
        Groove("groove").list_sources()


def make_model(run):
    """A small model, hardly trained, of the takes."""
    small = ("--hidden-size", "16", "--layers", "1", "--steps", "2", "--evaluations", "1")
    done = run("train", "groove:groove", "--condition", "style", "--out", "beats.safetensors", *small)
    assert done.status == 0, done.err
    return "beats.safetensors"


def test_a_model_plays_in_a_style_at_a_tempo_with_timing_and_loudness(here, run):
    asked = ("--bars", "3", "--tempo", "96", "--style", "funk", "--time-signature", "4/4", "--seed", "3")
    done = run("generate", "beat.mid", "--model", make_model(run), *asked)
    assert done.status == 0, done.err
    [track] = formats.read(Path("beat.mid")).tracks
    assert track.is_drum
    music = formats.read(Path("beat.mid"))
    assert music.tempos[0].bpm * 480 / music.time_signatures[0].beat_ticks == pytest.approx(96, abs=0.01)
    assert len(np.unique(track.notes["velocity"])) > 1
    assert (track.notes["start"] % 40 != 0).any()  # between the steps of the grid
    done = run("fill", "beat.mid", "new.mid", "--bars", "2", "--model", "beats.safetensors", "--particles", "2")
    assert done.status == 0, done.err
    second = music.upbeat + BAR
    given, kept = (list_outside(formats.read(Path(name)), second, second + BAR) for name in ("beat.mid", "new.mid"))
    assert given == kept


def test_likelihood_is_told_apart_by_kinds_of_tokens(here, run):
    done = run("evaluate", make_model(run), "groove:groove", "--json")
    found = json.loads(done.out)
    kinds = found["nats_per_note_by_kind"]
    assert {"Position", "Drum", "Velocity", "Timing", "Bar", "Tempo", "EOS"} <= set(kinds)
    assert not [kind for kind in kinds if kind == "Condition"]  # labels are given, and cost nothing
    assert sum(kinds.values()) == pytest.approx(found["nats_per_note"], abs=1e-3)


def list_outside(music, begin, end):
    """Onsets, sounds and loudness of what is not from `begin` up to `end`."""
    rows = music.tracks[0].notes[["start", "pitch", "velocity"]].tolist()
    return sorted(row for row in rows if not begin <= row[0] < end)
