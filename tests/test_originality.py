"""Originality: lines, the suffix array, what pieces share, and the command."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from music import drums, line, score
from walks import walk

from composer.data.corpus import build
from composer.data.datasets import make_dataset
from composer.data.encoding import get_predefined_split
from composer.errors import RequestWarning
from composer.generation.composer import open_model
from composer.generation.form_spec import Form
from composer.generation.generator import Generator, generate
from composer.generation.tasks import make, regenerate
from composer.io import formats
from composer.model import load
from composer.model import save as save_model
from composer.music.score import Score, Track
from composer.originality import suffixes
from composer.originality.index import build_index, extract_lines
from composer.originality.passages import compare
from composer.plugins.registry import registry
from composer.types import Piece
from composer_callbacks.samples import Originality

# --- lines ------------------------------------------------------------------------------------------------------------


def pitches(piece):
    return [found.notes["pitch"].tolist() for found in extract_lines(piece)]


def symbols(*notes, start=0):
    return [found.symbols.tolist() for found in extract_lines(score(line(*notes, start=start)))]


def test_a_line_is_the_same_in_any_key_and_at_any_speed():
    tune = ((60, 1), (62, 0.5), (64, 0.5), (0, 1), (67, 2))
    higher_and_faster = tuple((pitch and pitch + 3, quarters / 4) for pitch, quarters in tune)
    assert symbols(*tune) == symbols(*higher_and_faster, start=77)
    assert symbols(*tune) != symbols(*tune[:-1], (68, 2))
    assert symbols(*tune) != symbols((60, 1.5), *tune[1:])


def test_a_rest_belongs_to_the_note_before_it():
    assert symbols((60, 1), (62, 1), (64, 1)) == symbols((60, 0.25), (0, 0.75), (62, 0.5), (0, 0.5), (64, 1))


def test_a_track_is_split_by_what_sounds_above_each_note_and_drums_are_left_out():
    melody_over_chords = line((72, 2), (74, 2))
    accompaniment = line((60, 1), (64, 1), ((60, 64), 1), (59, 1))
    both = np.concatenate([melody_over_chords.notes, accompaniment.notes])
    piano = Track(both[np.lexsort((both["pitch"], both["start"]))])
    assert pitches(score(piano, drums((0, 36), (1, 36)))) == [[72, 74], [60, 64, 64, 59]]  # of the chord's C, no line


def test_notes_that_merely_lap_over_the_next_are_one_line():
    legato = line((67, 1), (65, 1), (64, 1))
    legato.notes["duration"] += 100
    assert pitches(score(legato)) == [[67, 65, 64]]


# --- the suffix array, beside the plain definition --------------------------------------------------------------------


def random_text(seed, length, letters):
    return np.random.default_rng(seed).integers(0, letters, length).astype(np.int32)


@pytest.mark.parametrize(("length", "letters"), [(0, 1), (1, 1), (50, 1), (200, 2), (300, 5), (300, 300)])
def test_suffixes_are_sorted(length, letters):
    text = random_text(length, length, letters)
    assert suffixes.build_suffix_array(text).tolist() == sorted(range(length), key=lambda i: text[i:].tolist())


@pytest.mark.parametrize("seed", range(20))
def test_matches_are_the_longest_there_are_in_the_admitted_part(seed):
    rng = np.random.default_rng(seed)
    letters = 1 + seed % 4  # one letter: a note struck again and again
    text = np.append(random_text(seed, 60, letters), 99).astype(np.int32)
    query = np.append(random_text(seed + 100, 40, letters), -1).astype(np.int32)
    admitted = rng.random(61) < 0.5

    def common(i, j):
        length = 0
        while query[i + length] == text[j + length]:
            length += 1
        return length

    order = suffixes.build_suffix_array(text)
    ranks, counts = suffixes.compute_ranks(order), suffixes.count_admitted(admitted[order])
    found = suffixes.find_longest_matches(text, order, ranks, counts, query)
    wanted = [max((common(i, j) for j in np.flatnonzero(admitted)), default=0) for i in range(41)]
    assert found.lengths.tolist() == wanted
    places = [(i, j) for i, j in enumerate(found.places.tolist()) if wanted[i]]
    assert all(admitted[j] and common(i, j) == wanted[i] for i, j in places)


def test_one_note_struck_again_and_again_takes_few_steps(monkeypatch):
    """Of each place the run goes up to the end of the query, and the steps grow with its logarithm."""
    steps, first = [], suffixes._find_first
    monkeypatch.setattr(suffixes, "_find_first", lambda *arguments: steps.append(1) or first(*arguments))
    text, query = np.append(np.full(3000, 7), 99), np.append(np.full(2000, 7), -1)
    order = suffixes.build_suffix_array(text.astype(np.int32))
    ranks, counts = suffixes.compute_ranks(order), suffixes.count_admitted(np.ones(3001, dtype=bool))
    found = suffixes.find_longest_matches(text, order, ranks, counts, query)
    assert found.lengths.tolist() == list(range(2000, -1, -1))
    assert all(found.places[:-1] + found.lengths[:-1] <= 3000)
    assert len(steps) < 60


# --- what pieces share ------------------------------------------------------------------------------------------------


@pytest.fixture
def index(corpus, tokenizer):
    return build_index(corpus, tokenizer)


def moved(piece, semitones):
    tracks = []
    for track in piece.tracks:
        notes = track.notes.copy()
        notes["pitch"] += semitones
        tracks.append(Track(notes, track.name, track.program, track.is_drum))
    return Score(tuple(tracks), piece.tempos, piece.time_signatures, upbeat=piece.upbeat)


def test_a_training_piece_moved_up_a_tone_is_copied_through_and_through(index, corpus, tokenizer):
    number = int(corpus.split("train")[3])
    piece = moved(tokenizer.decode(corpus.read_piece(number)), 2)
    found = compare(piece, index.select_split("train"))
    assert found.copied_share == 1.0
    assert not any(found.novelty)
    assert (found.longest.source, found.longest.split) == (corpus.names[number], "train")
    assert found.longest.notes == max(len(track.notes) for track in piece.tracks)
    assert found.longest.here.bars == found.longest.there.bars


@pytest.mark.parametrize(("name", "sources"), [("chorales", 4), ("tunes", 1)])
def test_real_pieces_are_recognised_as_they_are_and_in_another_key(name, sources, monkeypatch):
    """As the dataset reads them, though the index holds what their tokens say."""
    dataset = make_dataset(name)
    divided = [source for source in dataset.list_sources() if not get_predefined_split(dataset, source)]
    few = divided[1 : 1 + sources]
    monkeypatch.setattr(type(dataset), "list_sources", lambda _: few)
    tokenizer = registry().make("tokenizers", dataset.tokenizer, **dataset.tokenizer_options)
    corpus = build(dataset, tokenizer, name=name)
    music = build_index(corpus, tokenizer).select_split("all")
    shown, piece = next(found for found in dataset.read(few[-1]) if found[0] in corpus.names)
    for semitones in (0, 2):
        found = compare(moved(piece, semitones), music)
        assert (found.copied_share, found.longest.source) == (1.0, shown)


def test_an_index_that_a_disk_has_spoilt_is_built_anew(corpus, tokenizer):
    def suffixes():
        return build_index(corpus, tokenizer).suffixes.tolist()

    right = suffixes()
    (path,) = corpus.folder.glob("*/suffixes.npy")
    path.write_bytes(path.read_bytes()[:-4] + bytes(4))
    assert suffixes() == right


def test_only_pieces_of_the_split_count(index, corpus, tokenizer):
    held_out = tokenizer.decode(corpus.read_piece(int(corpus.split("test")[0])))
    assert compare(held_out, index.select_split("all")).copied_share == 1.0
    assert compare(held_out, index.select_split("train")).copied_share < 1.0


def test_a_planted_passage_is_found_where_it_stands(index, corpus, tokenizer):
    number = int(corpus.split("train")[0])
    source = tokenizer.decode(corpus.read_piece(number))
    taken = source.tracks[0].notes[4:14].copy()
    assert len(taken) == 10
    shift = taken["start"][0] - 5 * 480
    taken["start"] -= shift
    before = line((60, 1.5), (71, 0.5), (48, 3)).notes
    after = line((49, 1.75), (71, 0.25), start=int(taken["start"][-1] + taken["duration"][-1])).notes
    planted = score(Track(np.concatenate([before, taken, after]), name="Flute"))
    found = compare(planted, index.select_split("train"))
    assert found.notes == 15
    assert 10 <= found.copied < 15
    assert found.longest.here.track == "Flute"
    assert found.longest.here.bars[0] == 2
    assert found.longest.there.ticks[0] == found.longest.here.ticks[0] + shift


def test_the_novelty_curve_is_of_all_runs_of_so_many_notes(index, corpus, tokenizer):
    """Beside the plain definition."""
    known = [extract_lines(tokenizer.decode(corpus.read_piece(int(n)))) for n in corpus.split("train")]
    train = [found.symbols.tolist() for piece in known for found in piece]
    tune = walk(77)
    own = [found.symbols.tolist() for found in extract_lines(tune)]
    novelty = compare(tune, index.select_split("train")).novelty
    for n in (1, 2, 3, 5, 9):
        heard = {tuple(text[i : i + n - 1]) for text in train for i in range(len(text) - n + 2)}
        runs = [tuple(text[i : i + n - 1]) for text in own for i in range(len(text) - n + 2)]
        assert novelty[n - 1] == pytest.approx(np.mean([run not in heard for run in runs]))
    assert novelty == sorted(novelty)


def test_a_piece_without_a_line_shares_nothing(index):
    found = compare(score(line((60, 1))), index.select_split("all"))
    assert (found.notes, found.copied_share, found.longest, found.novelty) == (0, 0.0, None, [])


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch, tunes):
    """A folder to work in, with a folder of tunes and one of pieces."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pieces").mkdir()
    return tmp_path


AGAINST = ["--dataset", "folder:tunes", "--workers", 1]


def save(piece, path):
    formats.write([Piece(piece)], path)


def test_a_training_piece_in_another_key_is_recognised_by_name(run, here):
    """All bars of it, whichever side of the split it is on."""
    save(moved(formats.read(here / "tunes/3.mid"), 2), here / "pieces/mine.mid")
    said = run("originality", "pieces/mine.mid", *AGAINST, "--split", "all", "--json")
    assert said.status == 0
    found = json.loads(said.out)
    assert found["copied_share"] == 1.0
    assert not any(found["novelty"])
    assert found["longest"]["source"] == "3.mid"
    assert found["longest"]["positions"]["piece"]["bars"] == found["longest"]["positions"]["source"]["bars"]
    assert found["longest"]["bars"] == pytest.approx(found["copied_bars"])
    assert found["held_out"]["pieces"] == 1
    assert "3.mid" in run("originality", "pieces/mine.mid", *AGAINST, "--split", "all").out


def test_what_cannot_be_compared_is_named_and_skipped(run, here):
    save(walk(50), here / "pieces/good.mid")
    save(score(line((60, 1), (62, 1))), here / "pieces/short.mid")
    (here / "pieces/bad.mid").write_bytes(b"no music")
    said = run("originality", "pieces", *AGAINST, "--json")
    found = json.loads(said.out)
    assert [one["file"] for one in found["pieces"]] == ["pieces/good.mid"]
    assert [one["file"] for one in found["skipped"]] == ["pieces/bad.mid", "pieces/short.mid"]
    assert "skipped: pieces/short.mid: is too short; no line in it has 8 notes." in said.err
    assert run("originality", "pieces/short.mid", *AGAINST).err.endswith("all were skipped.\n")


def test_music_that_has_changed_is_indexed_anew_and_that_is_said(run, here):
    save(walk(50), here / "pieces/mine.mid")
    command = ["originality", "pieces/mine.mid", *AGAINST, "--split", "all", "--json"]
    before = run(*command)
    assert json.loads(before.out)["copied_share"] < 1.0
    assert "has changed" not in before.err + run(*command).err
    save(walk(50), here / "tunes/new.mid")
    after = run(*command)
    assert json.loads(after.out)["copied_share"] == 1.0
    assert "the music of 'folder:tunes' has changed since it was indexed; indexing it again." in after.err


def test_a_dataset_of_one_piece_is_refused_in_a_sentence(run, here):
    for path in sorted((here / "tunes").iterdir())[1:]:
        path.unlink()
    said = run("originality", "tunes/0.mid", *AGAINST)
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "at least 3 are needed" in said.err


# --- pieces that copy are drawn anew ----------------------------------------------------------------------------------


@pytest.fixture
def parrot(run, here, model_file):
    """The file of a model that was trained, if one believes its card, on the very pieces that it writes with seed 1."""
    assert run(*ASKED, "learnt", "--model", model_file, "--quiet").status == 0
    model = load(model_file)
    about = {"name": "folder:learnt", "options": {"path": "learnt"}}
    save_model(replace(model, card={**model.card, "dataset": about}), here / "parrot.safetensors")
    return "parrot.safetensors"


ASKED = ["generate", "--seed", 1, "--count", 6, "--bars", 8]


def test_what_copies_too_much_is_drawn_anew_and_can_be_made_again_without_the_music(run, parrot, here):
    held = run(*ASKED, "held", "--model", parrot, "--max-copied-bars", 2)
    assert held.status == 0
    assert "6 pieces: 4 redrawn" in held.out  # the other two are not in the training split
    music = open_model(parrot).load_training_music()
    for path in (here / "held").glob("*.mid"):
        assert compare(formats.read(path), music).copied_bars <= 2
    shutil.rmtree(here / "learnt")
    for path in (here / "held").glob("*.mid"):
        assert run("regenerate", path, "again.mid", "--model", parrot, "--force").status == 0
        assert (here / "again.mid").read_bytes() == path.read_bytes()


def test_what_copies_after_all_redraws_is_kept_and_said_to_be(parrot, here):
    player = open_model(parrot)
    asked = [replace(player.suggested, seed=1, index=n, bars=8, max_copied_bars=2) for n in range(6)]
    for piece in generate(player, [replace(one, attempt=1) for one in asked], redraws=0):
        save(piece.score, here / f"learnt/redrawn-{piece.provenance['request'].get('index', 0)}.mid")
    with pytest.warns(RequestWarning, match=r"of seed 1 has \d\.\d bars copied after 1 retries, and is kept"):
        generate(player, asked, redraws=1)


def forms(player, text, **fields):
    """Four forms of four bars a section."""
    request = replace(player.suggested, seed=1, bars=4, backend="numpy", **fields)
    return [replace(Form.parse(replace(request, index=n), text), particles=2) for n in range(4)]


def learns(player, folder, pieces):
    """The same model, trained on these pieces, if one believes its card."""
    folder.mkdir()
    for number, piece in enumerate(pieces):
        save(piece.score, folder / f"{number}.mid")
    about = {"name": "folder:learnt", "options": {"path": "learnt"}}
    return Generator(replace(player.model, card={**player.model.card, "dataset": about}), "parrot")


@pytest.mark.parametrize(("text", "anew"), [("AB", "B"), ("AA", "A")])
def test_a_form_is_held_to_it_as_a_whole(text, anew, here, player):
    """A section alone copies no more than is allowed: four bars of five."""
    parrot = learns(player, here / "learnt", make(player, forms(player, text)))
    held = make(parrot, forms(parrot, text, max_copied_bars=5))
    for piece in held:
        assert compare(piece.score, parrot.load_training_music()).copied_bars <= 5
        assert piece.provenance["request"]["max_copied_bars"] == 5
    redrawn = [piece for piece in held if "redrawn" in piece.provenance]
    assert redrawn
    assert {"AB"[bool(piece.provenance["form"].get("attempts"))] for piece in redrawn} == {anew}
    shutil.rmtree(here / "learnt")
    assert regenerate(player, redrawn[0].provenance).score == redrawn[0].score


def test_a_form_that_copies_after_all_redraws_is_kept_and_said_to_do_so(here, player):
    asked = forms(player, "AA")
    later = [replace(one, request=replace(one.request, attempt=1)) for one in asked]
    parrot = learns(player, here / "learnt", make(player, [*asked, *later], redraws=0))
    with pytest.warns(RequestWarning, match=r"of seed 1 has \d\.\d bars copied after 1 retries, and is kept") as told:
        make(parrot, forms(parrot, "AA", max_copied_bars=5), redraws=1)
    said = [str(warning.message).split(" of seed")[0] for warning in told]
    assert len(said) == len(set(said))


def test_a_gate_refuses_what_copies(run, parrot, here):
    job = '[[job]]\nmodel = "parrot.safetensors"\nbars = 8\ncount = 6\nseed = 1\nattempts = 1\n'
    (here / "jobs.toml").write_text(job + "gates = {max_copied_bars = 2}\n")
    run("batch", "jobs.toml", "--out", "out", "--executor", "here")
    assert "copied bars" in run("batch", "status", "out").out


def test_a_model_whose_music_is_not_here_says_so(run, tmp_path, model_file):
    said = run("generate", tmp_path / "x.mid", "--model", model_file, "--max-copied-bars", 2)
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "the training music of this model is missing: no plugin offers the dataset 'walks'" in said.err


# --- training ---------------------------------------------------------------------------------------------------------

TRAIN = ["train", "folder:tunes", "--tokenizer", "voices", "--architecture", "gru", "--hidden-size", 8, "--layers", 1]
TRAIN += ["--embedding-size", 8, "--steps", 6, "--evaluations", 2, "--device", "cpu", "--workers", 1]
TRAIN += ["--out", "mine.safetensors"]


def test_memorising_shows_while_it_happens(parrot):
    """A line of `metrics.jsonl` of a model that writes what it was trained on, and of one that does not."""
    player, callback = open_model(parrot), Originality()
    callback._music = player.load_training_music()
    seen = [SimpleNamespace(model=lambda: player.model, seed=seed) for seed in (1, 2)]
    parroting, other = map(callback.on_validation, seen)
    assert other["copied_share"] < 0.1 < 0.4 < parroting["copied_share"]
    assert parroting["longest"]["source"].endswith(".mid")
    assert other["novelty"][7] > parroting["novelty"][7]


def test_copies_are_counted_at_each_validation(run, here):
    assert run(*TRAIN, "--run", "run", "--originality").status == 0
    course = [json.loads(text) for text in (here / "run/metrics.jsonl").read_text().splitlines()]
    assert [one["step"] for one in course] == [3, 6]
    assert all({"copied_share", "copied_bars", "longest", "novelty"} <= set(one) for one in course)


def test_what_is_measured_in_training_needs_a_folder(run, here):
    assert "originality writes into the folder of a run; give --run as well." in run(*TRAIN, "--originality").err
