"""Chorales at 16ths: every frame of a file is in its scores, and figures are per voice and 16th."""

import json
from pathlib import Path

import numpy as np
import pytest
from music import notes, save_chorales

import composer_jsb16
from composer.building import build_network
from composer.data.corpus import build
from composer.errors import BadOption, UnreadableFile
from composer.plugins.registry import registry
from composer.training import recipe_file
from composer.training.evaluation import evaluate
from composer.training.loop import Settings, train
from composer_jsb16.dataset import Jsb16, make_score
from composer_voices.tokenizer import Voices

SIXTEENTH = 120  # ticks
CHORD = [67, 64, 60, 48]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with a file of three chorales to train, one to validate and two to test."""
    monkeypatch.chdir(tmp_path)
    save_chorales("chorales.json", 3, 1, 2)
    return tmp_path


def list_pieces(name):
    dataset = Jsb16(name)
    return dict(piece for source in dataset.list_sources() for piece in dataset.read(source))


def read_frames(score):
    """Write a score as the file does: four pitches a 16th, -1 for silence."""
    frames = np.full((score.length // SIXTEENTH, 4), -1)
    for voice, track in enumerate(score.tracks):
        for start, duration, pitch, _ in track.notes.tolist():
            frames[start // SIXTEENTH : (start + duration) // SIXTEENTH, voice] = pitch
    return frames.tolist()


def test_equal_pitches_in_a_row_are_one_note_and_minus_one_is_silence():
    frames = np.array([CHORD, CHORD, [67, -1, 60, 48], [69, 64, 60, 48]])
    soprano, alto, _, bass = make_score(frames).tracks
    assert notes(soprano) == [(0, 3 / 4, 67), (3 / 4, 1 / 4, 69)]
    assert notes(alto) == [(0, 2 / 4, 64), (3 / 4, 1 / 4, 64)]
    assert notes(bass) == [(0, 1, 48)]
    assert [track.name for track in make_score(frames).tracks] == ["Soprano", "Alto", "Tenor", "Bass"]


def test_a_piece_comes_back_from_its_score_and_from_its_tokens():
    frames = np.random.default_rng(0).integers(58, 62, (90, 4))
    frames[frames == 58] = -1
    frames[-3:] = -1
    score = make_score(frames)
    assert read_frames(score) == frames.tolist()
    frames[-1] = CHORD  # tokens say that a piece ends in silence up to the end of the bar alone
    tokenizer = Voices(relative=True, steps_per_quarter=4)
    assert read_frames(tokenizer.decode(tokenizer.encode(make_score(frames))))[:90] == frames.tolist()


def test_the_pieces_of_a_file_are_in_its_own_splits(here):
    dataset = Jsb16("chorales.json")
    corpus = build(dataset, registry().make("tokenizers", dataset.tokenizer, **dataset.tokenizer_options))
    sides = {side: corpus.names[corpus.split(side)].tolist() for side in ("train", "valid", "test")}
    assert [len(names) for names in sides.values()] == [3, 1, 2]
    assert all(name.startswith(f"{side}/") for side, names in sides.items() for name in names)


def test_figures_are_per_voice_and_16th_silence_too(here):
    plain = json.loads(Path("chorales.json").read_text())
    plain["test"][0] += [[-1] * 4] * 8
    Path("chorales.json").write_text(json.dumps(plain))
    dataset, tokenizer = Jsb16("chorales.json"), Voices(relative=True, steps_per_quarter=4)
    corpus = build(dataset, tokenizer)
    trained = train(corpus, tokenizer, architecture := registry().make("architectures", "gru", hidden_size=8), SHORT)
    sizes = [column.size for column in tokenizer.grammar.columns]
    module = build_network(architecture, sizes, len(tokenizer.vocabulary), trained.weights)
    found = evaluate(module, corpus, tokenizer)
    assert found["unit"] == "voice and 16th"
    assert found["units"] == 4 * (48 + 8 + 48)
    assert found["nats_per_unit"] * found["units"] == pytest.approx(found["nats_per_note"] * found["notes"], rel=1e-3)


SHORT = Settings(steps=2, evaluations=1, batch_size=2, device="cpu")


def test_what_is_no_piece_is_refused_and_is_not_the_end_of_the_others(here):
    odd = [[], {}, [CHORD, CHORD[:3]], [[67, 64, 60, 128]], [[67, 64, 60, 48.0]], [[67, 64, 60, None]], [CHORD] * 20000]
    Path("odd.json").write_text(json.dumps({"train": odd, "valid": [[CHORD] * 8], "test": [[CHORD] * 8]}))
    pieces = list_pieces("odd.json")
    errors = [str(piece) for piece in pieces.values() if isinstance(piece, Exception)]
    assert errors == [
        "is not a list of frames.",
        "is not a list of frames.",
        "has no list of 4 pitches in frame 2.",
        "has 128 in frame 1; pitches are 0 to 127, or -1.",
        "has 48.0 in frame 1; pitches are 0 to 127, or -1.",
        "has None in frame 1; pitches are 0 to 127, or -1.",
        "has 20,000 frames; at most 16,384 are taken.",
    ]
    assert len(pieces) == 9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "odd.json: is not JSON"),
        ("\xff", "odd.json: is not JSON"),
        ("[" * 100_000, "odd.json: is not JSON"),
        ("[1]", "odd.json: has no list of pieces 'train'; it needs train, valid and test."),
        ('{"train": [], "valid": 7, "test": []}', "odd.json: has no list of pieces 'valid'"),
    ],
)
def test_a_file_that_is_another_is_refused_in_a_sentence(here, text, said):
    Path("odd.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UnreadableFile, match=said.replace("[", r"\[")):
        Jsb16("odd.json").list_sources()


def test_a_missing_file_is_named():
    with pytest.raises(BadOption, match=r"none.json: no such file; give Jsb16thSeparated.json, with its path."):
        Jsb16("none.json").list_sources()


def test_a_file_that_has_changed_is_read_again(here):
    before = Jsb16("chorales.json").fingerprint("train/0001")
    save_chorales("chorales.json", 4, 1, 1)
    assert len(Jsb16("chorales.json").list_sources()) == 6
    assert Jsb16("chorales.json").fingerprint("train/0001") != before


def test_the_recipe_beside_the_dataset_is_one(here):
    plain = recipe_file.read_recipe(Path(composer_jsb16.__file__).with_name("jsb16.toml"))
    recipe = recipe_file.make_recipe({**plain, "dataset": "jsb16:chorales.json"})
    suggested = recipe.dataset
    assert recipe.tokenizer == registry().make("tokenizers", suggested.tokenizer, **suggested.tokenizer_options)


def chorale_in(beats, upbeat, bars=8):
    """A piece whose voices all move on downbeats, and fewer elsewhere, with a pickup of so many quarters."""
    random = np.random.default_rng(beats)
    quarters = []
    for beat in range(-upbeat, bars * beats):
        chord = random.permutation(np.arange(48, 72))[:4]
        moves = 4 if beat % beats == 0 or not quarters else beat % beats % 2 * 2 if beats == 4 else 1
        quarters.append(np.where(np.arange(4) < moves, chord, quarters[-1] if quarters else chord))
    return np.array(quarters).repeat(4, axis=0)


@pytest.mark.parametrize(("beats", "upbeat"), [(4, 0), (4, 1), (4, 2), (3, 0), (3, 1)])
def test_bars_are_found_by_the_beats_at_which_the_voices_move(beats, upbeat):
    score = make_score(chorale_in(beats, upbeat))
    assert [str(signature) for signature in score.time_signatures] == [f"{beats}/4"]
    assert score.upbeat == 480 * upbeat
    assert str(make_score(chorale_in(beats, upbeat), assumed=True).time_signatures[0]) == "4/4"


@pytest.mark.parametrize("length", [1, 3, 7, 1000])
def test_a_piece_of_one_chord_has_bars_too(length):
    score = make_score(np.array([CHORD] * length))
    assert score.length == length * SIXTEENTH
    assert str(score.time_signatures[0]) in ("3/4", "4/4")
