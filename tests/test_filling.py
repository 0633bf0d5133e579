"""Filling: what is given stays, to the tick; the same request, the same bytes; what cannot be met is said first."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from music import line, notes, score

from composer.errors import BadOption, CannotExpress, RequestWarning
from composer.generation import generator, infilling
from composer.generation.accompanying import plan_parts
from composer.generation.composer import open_model
from composer.generation.infilling import ALWAYS, Fill, find_settled_bars, plan_gap, plan_variation
from composer.generation.tasks import make
from composer.io import formats
from composer.music.merging import is_fixed
from composer.music.score import Tempo, Text, Track, compute_bars, make_notes
from composer.plugins.registry import registry
from composer.request import Request, SamplerSpec
from composer.testing import make_random_model
from composer.testing.grammars import check_span
from composer.types import Piece, Span

BAR = 1920
FEW = {"particles": 4}


def four_voices(**fields):
    """Four bars of four voices, each on its own pitches."""
    tracks = [line(*[(pitch + i % 3, 1) for i in range(16)], name=f"voice {pitch}") for pitch in (72, 67, 60, 48)]
    return score(*tracks, **fields)


@pytest.fixture(scope="module")
def whole():
    return four_voices()


def rows(track, start=0, end=ALWAYS):
    return [tuple(note) for note in track.notes.tolist() if start <= note[0] < end]


def written(player, tmp_path, pieces):
    from composer.io.outputs import write_piece

    contents = []
    for piece in pieces:
        write_piece(piece, tmp_path / "piece.mid")
        contents.append((tmp_path / "piece.mid").read_bytes() + (tmp_path / "piece.mid.json").read_bytes())
    return contents


# --- what is given stays ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"bars": (2, 3)}, {"bars": (4, 4)}, {"bars": (1, 1)}], ids=str)
def test_bars_outside_the_gap_stay_note_for_note(player, whole, settings):
    pieces = make(player, [plan_gap(player, whole, Request(seed=s), **settings, **FEW) for s in range(2)])
    start, end = infilling.locate_bars(whole, settings["bars"])
    for piece in pieces:
        for before, after in zip(whole.tracks, piece.score.tracks, strict=True):
            assert after.name == before.name
            assert rows(after, 0, start)[:-1] == rows(before, 0, start)[:-1]  # the last may reach into the gap
            assert rows(after, end) == rows(before, end)
    assert len({str([rows(track, start, end) for track in piece.score.tracks]) for piece in pieces}) == 2


def test_voices_that_are_not_named_stay(player, whole):
    (piece,) = make(player, [plan_gap(player, whole, Request(seed=1), voices=["Tenor", "4"], **FEW)])
    assert [rows(t) for t in piece.score.tracks[:2]] == [rows(t) for t in whole.tracks[:2]]
    assert [rows(t) for t in piece.score.tracks[2:]] != [rows(t) for t in whole.tracks[2:]]
    assert piece.score.tracks[3].notes["start"].max() >= 2 * BAR


def test_bars_of_a_voice(player, whole):
    (piece,) = make(player, [plan_gap(player, whole, Request(seed=1), bars=(2, 3), voices=["alto"], **FEW)])
    changed = [rows(a) != rows(b) for a, b in zip(whole.tracks, piece.score.tracks, strict=True)]
    assert changed == [False, True, False, False]
    assert rows(piece.score.tracks[1], 3 * BAR) == rows(whole.tracks[1], 3 * BAR)


def test_what_the_tokenizer_does_not_hold_stays_as_well(player):
    """Velocities, times off the grid, names, tempos, markers, and drums, which this tokenizer drops."""
    rng = np.random.default_rng(0)
    tracks = []
    for track in four_voices().tracks:
        moved = [(s + int(rng.integers(0, 40)), d - 60, p, int(rng.integers(30, 120))) for s, d, p, _ in rows(track)]
        tracks.append(replace(track, notes=make_notes(moved), program=7))
    beat = Track(make_notes([(tick, 30, 38, 99) for tick in range(0, 4 * BAR, 480)]), "kit", is_drum=True)
    loose = four_voices(tempos=(Tempo(0, 71.5),), markers=(Text(960, "here"),))
    loose = replace(loose, tracks=(beat, *tracks))
    (piece,) = make(player, [plan_gap(player, loose, Request(seed=2), bars=(2, 2), **FEW)])
    assert (piece.score.tempos, piece.score.markers) == (loose.tempos, loose.markers)
    assert rows(piece.score.tracks[0]) == rows(beat)
    for before, after in zip(tracks, piece.score.tracks[1:], strict=True):
        assert (after.name, after.program) == (before.name, before.program)
        assert rows(after, 2 * BAR) == rows(before, 2 * BAR)
        assert rows(after, 0, BAR - 480) == rows(before, 0, BAR - 480)
        assert (after.notes["duration"] > 0).all()


def test_a_note_that_reaches_into_a_gap_keeps_its_beginning(player):
    long = score(line((72, 6), (74, 10)), line((60, 16)))
    for piece in make(player, [plan_gap(player, long, Request(seed=s), bars=(2, 3), **FEW) for s in range(2)]):
        upper, lower = piece.score.tracks[:2]
        assert notes(upper)[0][::2] == (0, 72)
        assert notes(lower)[0][::2] == (0, 60)
        for track, pitch in ((upper, 74), (lower, 60)):  # and what sounds beyond it sounds there still
            assert any(s <= 12 < s + d and p == pitch for s, d, p in notes(track))
            assert max(s + d for s, d, _ in notes(track)) == 16


def test_given_notes_are_kept_with_remi(small_score):
    from composer.model import ComponentSpec, Model
    from composer.training.loop import copy_weights

    tokenizer = registry().make("tokenizers", "remi")
    architecture = registry().make("architectures", "rnn", hidden_size=8, layers=1, embedding_size=8)
    module = architecture.build_module([column.size for column in tokenizer.grammar.columns], len(tokenizer.vocabulary))
    made = (
        ComponentSpec.describe("architectures", "rnn", architecture),
        ComponentSpec.describe("tokenizers", "remi", tokenizer),
    )
    model = generator.Generator(Model(*made, tokenizer.vocabulary, copy_weights(module)))
    tracks = [line(*[((60, 64 + i % 3), 1) for i in range(12)]), line(*[(40 + i, 2) for i in range(6)], program=32)]
    whole = score(*tracks, metres=((0, 3, 4),))
    wanted = plan_gap(model, whole, Request(seed=1), bars=(2, 3), particles=4)
    (piece,) = make(model, [wanted])
    for before, after in zip(whole.tracks, piece.score.tracks, strict=False):
        for start, end in ((0, 1440), (4320, ALWAYS)):
            assert rows(after, start, end) == rows(before, start, end)


# --- the upbeat, bars and voices as musicians count -------------------------------------------------------------------


def with_upbeat():
    return score(line(*[(72 + i % 3, 1) for i in range(9)]), line((60, 1), (62, 8)), upbeat=480)


def test_bar_one_is_the_first_whole_bar(player):
    found = infilling.quantise(player, with_upbeat())
    assert infilling.locate_bars(found, (1, 1)) == (480, 480 + BAR)
    assert infilling.locate_bars(found, (0, 1)) == (0, 480 + BAR)
    (piece,) = make(player, [plan_gap(player, with_upbeat(), Request(seed=4), bars=(1, 1), **FEW)])
    assert piece.score.upbeat == 480
    assert rows(piece.score.tracks[0], 0, 480) == rows(with_upbeat().tracks[0], 0, 480)
    assert rows(piece.score.tracks[0], 480 + BAR) == rows(with_upbeat().tracks[0], 480 + BAR)


def test_gaps_are_settled_some_bars_later_if_no_other_gap_follows_sooner(whole):
    def at(*given, ahead=1):
        return find_settled_bars(Fill(Request(), whole, given, 4, ahead), whole)

    first, last = Span(0, BAR), Span(3 * BAR, ALWAYS)
    assert at(first, Span(2 * BAR, ALWAYS)) == (3,)
    assert at(first, Span(2 * BAR, ALWAYS), ahead=0) == (2,)
    assert at(first, Span(2 * BAR, ALWAYS), ahead=None) == ()
    assert at(Span(BAR, 2 * BAR), last) == (2, 4)
    assert at(Span(BAR, 2 * BAR), last, ahead=2) == (5,)  # the second gap follows before the first is heard out
    assert at(Span(BAR, 2 * BAR), last, ahead=0) == (1, 3)
    assert at(Span(0, ALWAYS, 0)) == (5,)


def test_what_constraints_cost_is_told(player, whole):
    chain = (SamplerSpec("range", {"range": "C4:C5"}),)
    free, bound = (
        make(player, [plan_gap(player, whole, Request(seed=1, samplers=links), bars=(2, 3), voices=["soprano"], **FEW)])
        for links in ((), chain)
    )
    assert "constraints" not in free[0].provenance["nats"]
    assert bound[0].provenance["nats"]["constraints"] > 0


# --- harmonize --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("voice", "place"), [(None, 0), ("bass", 3), ("2", 1)])
def test_a_melody_stays_in_its_voice(player, voice, place):
    melody = score(line((69, 1), (71, 1.5), (72, 0.5), (74, 2), (0, 1), (76, 3), name="Tune"), key="Am", upbeat=480)
    melody = replace(melody, tempos=(Tempo(0, 63.0),))
    (piece,) = make(player, [plan_parts(player, melody, Request(seed=1), voice=voice, **FEW)])
    assert rows(piece.score.tracks[place]) == rows(melody.tracks[0])
    names = ["Soprano", "Alto", "Tenor", "Bass"]
    assert [track.name for track in piece.score.tracks] == [*names[:place], "Tune", *names[place + 1 :]]
    assert any(len(track.notes) for n, track in enumerate(piece.score.tracks) if n != place)
    assert (piece.score.upbeat, piece.score.tempos) == (480, melody.tempos)
    assert str(piece.score.key_signatures[0].key) == "Am"
    assert len(compute_bars(piece.score).signatures) == len(compute_bars(melody).signatures)


def test_a_melody_keeps_its_program_unless_it_has_no_track_of_its_own(player):
    melody = score(line((69, 1), (71, 1), (72, 2), program=73))
    for own_track, program in ((True, 73), (False, 52)):
        wanted = plan_parts(player, melody, Request(seed=1), voice="alto", own_track=own_track, **FEW)
        alto = wanted.score.tracks[1]
        assert (alto.name, alto.program, rows(alto)) == ("Alto", program, rows(melody.tracks[0]))


def test_a_melody_takes_on_a_key_and_a_metre_that_it_does_not_state(player):
    bare = replace(score(line((69, 1), (71, 1), (72, 1))), key_signatures=(), time_signatures=())
    wanted = plan_parts(player, bare, Request(key="Am", time_signature="3/4"), **FEW)
    assert (wanted.request.key, wanted.request.time_signature) == ("Am", "3/4")
    with pytest.raises(BadOption, match="the melody is in C, and Am was asked for; leave one of them out"):
        plan_parts(player, score(line((69, 1))), Request(key="Am"), **FEW)


def test_the_key_of_a_melody_is_estimated(player):
    melody = replace(score(line((62, 1), (66, 1), (69, 1), (67, 1), (66, 1), (64, 1), (62, 2))), key_signatures=())
    wanted = plan_parts(player, melody, Request(), **FEW)
    assert wanted.request.key == "D" == str(wanted.score.key_signatures[0].key)


# --- vary -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keep", "kept"), [(0.0, 0), (0.7, 11), (0.5, 8), (0.99, 15)])
def test_so_many_bars_of_voices_are_kept(player, whole, keep, kept):
    wanted = plan_variation(player, whole, Request(seed=1), keep=keep)
    cells = [(track, bar * BAR) for track in range(4) for bar in range(4)]
    assert sum(is_fixed(wanted.fixed, track, tick) for track, tick in cells) == kept


def test_variations_differ_and_keep_what_they_say(player, whole):
    wanted = [plan_variation(player, whole, Request(seed=1, index=index), keep=0.6, **FEW) for index in range(2)]
    assert len({fill_.fixed for fill_ in wanted}) == 2
    for fill_, piece in zip(wanted, make(player, wanted), strict=True):
        for span in fill_.fixed:
            heard, found = (infilling.quantise(player, s).tracks[span.track] for s in (whole, piece.score))
            check_span(heard, found, span)


# --- the same bytes ---------------------------------------------------------------------------------------------------


def test_a_fill_is_the_same_alone_and_among_others(player, whole, tmp_path, monkeypatch):
    wanted = [plan_gap(player, whole, Request(seed=3, index=i), bars=(2, 2 + i), particles=3 + i) for i in range(2)]
    wanted.append(plan_parts(player, replace(whole, tracks=whole.tracks[:1]), Request(seed=3), particles=3))
    together = written(player, tmp_path, make(player, wanted))
    assert [written(player, tmp_path, make(player, [one]))[0] for one in wanted] == together
    monkeypatch.setattr(infilling, "ROWS", 7)
    assert written(player, tmp_path, make(player, wanted[::-1])) == together[::-1]


def test_a_fill_is_plain_values_and_back(player, whole):
    chain = (SamplerSpec("temperature", {"temperature": 0.9}),)
    wanted = plan_gap(player, whole, Request(seed=3, samplers=chain), bars=(1, 2), voices=["bass"], look_ahead=None)
    assert Fill.from_json(json.loads(json.dumps(wanted.to_json()))) == wanted


@pytest.mark.parametrize(
    "values",
    [
        {"request": {}, "given": {}},
        {"request": {}, "given": {"score": [], "spans": [], "particles": 1, "look_ahead": 2}},
        {"request": {}, "given": {"score": {"tracks": [{"notes": [[0, 1, 999, 4]]}]}, "spans": []}},
        {"request": {}, "given": {"score": {}, "spans": [[1]], "particles": 1, "look_ahead": 2}},
        {"request": {}, "given": {"score": {}, "spans": [], "particles": 0, "look_ahead": 2}},
        {"request": {"bars": "many"}, "given": {}},
    ],
    ids=str,
)
def test_what_is_no_fill_is_refused(values):
    with pytest.raises(BadOption):
        Fill.from_json(values)


@pytest.fixture
def folder(tmp_path, monkeypatch, model_file, whole):
    """A folder with a piece and a melody in it, in which commands are run with the small model."""
    from composer.io.formats import write
    from composer.types import Piece

    monkeypatch.chdir(tmp_path)
    write([Piece(replace(whole, tempos=(Tempo(0, 100.0),)))], tmp_path / "piece.mid")
    write([Piece(replace(whole, tracks=whole.tracks[:1]))], tmp_path / "melody.mid")
    return tmp_path


COMMANDS = {
    "generate": ["generate", "out.mid", "--bars", "3", "--temperature", "0.9"],
    "fill bars": ["fill", "piece.mid", "out.mid", "--bars", "2-3", "--particles", "3"],
    "fill voices": ["fill", "piece.mid", "out.mid", "--voice", "tenor,bass", "--particles", "3", "--look-ahead", "all"],
    "harmonize": ["harmonize", "melody.mid", "out.mid", "--voice", "alto", "--particles", "3", "--top-k", "20"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_piece_is_made_again_byte_for_byte(run, folder, model_file, name):
    assert run(*COMMANDS[name], "--model", model_file, "--seed", "5").status == 0
    for original in ("piece.mid", "melody.mid"):
        (folder / original).unlink()
    assert run("regenerate", "out.mid", "again.mid").status == 0
    (folder / "bare.mid").write_bytes(b"")
    for suffix in ("", ".json"):
        assert (folder / f"again.mid{suffix}").read_bytes() == (folder / f"out.mid{suffix}").read_bytes()


def test_a_melody_may_be_typed(run, folder, model_file):
    arguments = ["harmonize", "A4 B4 C5 B4", "out.mid", "--key", "Am", "--model", model_file, "--seed", "5"]
    assert run(*arguments, "--particles", "2").status == 0
    found = formats.read(Path("out.mid"))
    assert notes(found.tracks[0]) == [(0, 1, 69), (1, 1, 71), (2, 1, 72), (3, 1, 71)]
    assert {(track.program, len(track.notes) > 0) for track in found.tracks} == {(52, True)}
    assert str(found.key_signatures[0].key) == "Am"
    assert run("regenerate", "out.mid", "again.mid").status == 0
    assert Path("again.mid").read_bytes() == Path("out.mid").read_bytes()


def test_a_piece_is_made_again_from_the_json_beside_it(run, folder, model_file):
    options = ["--bars", "2", "--seed", "5", "--model", model_file]
    assert run("generate", "out.wav", "out.mid", *options).status == 0
    made = Path("out.mid").read_bytes()
    Path("out.mid").unlink()
    for carries in ("out.wav", "out.wav.json"):
        assert run("regenerate", carries, "again.mid", "--force").status == 0
        assert Path("again.mid").read_bytes() == made
    assert run("regenerate", "out.wav.json", "other.mid", "--bars", "2", "--particles", "2", "--seed", "+1").status == 0
    first, second = (formats.read(Path(name)) for name in ("again.mid", "other.mid"))
    start, _ = infilling.locate_bars(first, (2, 2))
    assert first != second
    for before, now in zip(first.tracks, second.tracks, strict=True):
        assert rows(now, 0, start)[:-1] == rows(before, 0, start)[:-1]  # the last may reach into the gap


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--particles", "0"], "--particles needs --bars or --voice; add one of them"),
        (["--particles", "8", "--seed", "+1"], "--particles needs --bars or --voice"),
        (["--look-ahead", "3"], "--look-ahead counts bars after those that --bars names"),
        (["--look-ahead", "3", "--voice", "alto"], "--look-ahead counts bars after those that --bars names"),
        (["--bars", "1", "--particles", "0"], "'particles' is 0, and must be from 1"),
        (["--voice", ","], "',' names no voice"),
    ],
    ids=str,
)
def test_what_has_no_effect_on_a_piece_made_again_is_refused(run, folder, model_file, options, said):
    run("generate", "out.mid", "--bars", "2", "--seed", "5", "--model", model_file)
    ran = run("regenerate", "out.mid", "again.mid", *options)
    assert (ran.status, said in ran.err, ran.err.count("\n")) == (2, True, 1)
    assert not (folder / "again.mid").exists()


def test_variations_are_made_again_byte_for_byte(run, folder, model_file):
    options = ["--model", model_file, "--seed", "5", "--particles", "3"]
    assert run("vary", "piece.mid", "out/", "--count", "2", "--keep", "0.5", *options).status == 0
    names = sorted(path.name for path in (folder / "out").glob("*.mid"))
    assert names == ["5-000000.mid", "5-000001.mid"]
    assert run("regenerate", f"out/{names[1]}", "again.mid").status == 0
    assert (folder / "again.mid").read_bytes() == (folder / "out" / names[1]).read_bytes()


def test_only_some_bars_anew(run, folder, model_file):
    from composer.io.formats import read

    run("generate", "out.mid", "--bars", "4", "--seed", "5", "--model", model_file)
    assert run("regenerate", "out.mid", "other.mid", "--bars", "3-4", "--seed", "+1", "--particles", "3").status == 0
    one, other = (read(folder / name) for name in ("out.mid", "other.mid"))
    start, _ = infilling.locate_bars(one, (3, 4))
    before = [[[note[::2] for note in rows(track, 0, start)] for track in made.tracks] for made in (one, other)]
    assert before[0] == before[1]
    assert [rows(t, start) for t in one.tracks] != [rows(t, start) for t in other.tracks]
    made_by = json.loads((folder / "other.mid.json").read_text())
    assert made_by["request"]["seed"] == 6
    assert run("regenerate", "other.mid", "again.mid").status == 0
    assert (folder / "again.mid").read_bytes() == (folder / "other.mid").read_bytes()


# --- what cannot be met -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fill", "piece.mid", "o.mid"], "choose with --bars or --voice which notes to rewrite"),
        (["fill", "piece.mid", "o.mid", "--bars", "3-9"], "bars 3-9 asked for, and the piece has bars 1 to 4"),
        (["fill", "piece.mid", "o.mid", "--bars", "0"], "bar 0 asked for, and the piece has bars 1 to 4"),
        (["fill", "piece.mid", "o.mid", "--bars", "3-2"], "the first is after the last"),
        (["fill", "piece.mid", "o.mid", "--bars", "some"], "invalid bars 'some': expected a bar or a range"),
        (["fill", "piece.mid", "o.mid", "--voice", "tenr"], "unknown voice 'tenr'; did you mean 'tenor'?"),
        (["fill", "piece.mid", "o.mid", "--voice", "7"], "unknown voice '7'"),
        (["fill", "piece.mid", "o.mid", "--bars", "1", "--particles", "0"], "'particles' is 0, and must be from 1"),
        (["fill", "piece.mid", "o.mid", "--bars", "1", "--look-ahead", "-1"], "invalid look-ahead '-1'"),
        (["fill", "none.mid", "o.mid", "--bars", "1"], "no such file"),
        (["fill", "high.mid", "o.mid", "--bars", "1"], "the model has no tokens for this piece"),
        (["fill", "odd.mid", "o.mid", "--bars", "1"], "no bars of 5/8"),
        (["fill", "piece.mid", "o.xyz", "--bars", "1"], "no plugin writes '.xyz' files"),
        (
            ["harmonize", "piece.mid", "o.mid"],
            "a melody is one part, and there are 4; to keep one voice of several, fill the others",
        ),
        (["harmonize", "chords.mid", "o.mid"], "a melody is a single line"),
        (["harmonize", "melody.mid", "o.mid", "--voice", "oboe"], "unknown voice 'oboe'"),
        (["vary", "piece.mid", "o/", "--keep", "1"], "'keep' is 1.0"),
    ],
    ids=str,
)
def test_what_cannot_be_met_is_one_sentence_before_sampling(run, folder, model_file, arguments, said, monkeypatch):
    from composer.io.formats import write
    from composer.types import Piece

    strange = {"high": line((120, 4), (119, 4)), "chords": line(((60, 64), 4), (62, 4))}
    for name, track in strange.items():
        write([Piece(score(track))], folder / f"{name}.mid")
    write([Piece(score(line((60, 2.5)), metres=((0, 5, 8),)))], folder / "odd.mid")
    monkeypatch.setattr(infilling, "sample_conditioned", None)
    ran = run(*arguments, "--model", model_file)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not list(folder.glob("o.*"))


def test_a_model_of_one_voice_harmonizes_nothing(run, folder):
    ran = run("harmonize", "melody.mid", "o.mid", "--model", "tunes")
    assert (ran.status, "does not write in several voices" in ran.err) == (2, True)


def test_it_is_said_what_is_missing_to_make_a_piece_again(run, folder, model_file, tmp_path):
    run("generate", "out.mid", "--bars", "2", "--seed", "5", "--model", model_file)
    made_by = json.loads((folder / "out.mid.json").read_text())
    ran = run("regenerate", "piece.mid", "again.mid")
    assert (ran.status, "contains no provenance, and no file beside it does" in ran.err) == (2, True)
    ran = run("regenerate", "out.mid", "again.mid", "--model", "tunes")
    assert ran.status == 2
    assert f"hash {made_by['model_hash'][:12]}), and 'tunes' is not the same" in ran.err
    from composer.io.formats import write
    from composer.types import Piece

    write([Piece(four_voices(), {**made_by, "model": "lost"})], folder / "lost.mid")
    ran = run("regenerate", "lost.mid", "again.mid")
    assert (ran.status, "which is not here; name it with --model" in ran.err) == (2, True)
    write([Piece(four_voices(), {**made_by, "request": {"bars": "many"}})], folder / "bad.mid")
    ran = run("regenerate", "bad.mid", "again.mid", "--model", model_file)
    assert (ran.status, "Traceback" in ran.err) == (2, False)
    assert not (folder / "again.mid").exists()


def test_the_json_beside_a_file_is_enough(run, folder, model_file):
    """As it is for formats that carry nothing."""
    from composer.io.formats import read_provenance, write
    from composer.types import Piece

    run("fill", "piece.mid", "out.mid", "--bars", "2", "--seed", "5", "--particles", "3", "--model", model_file)
    before, carried = (folder / "out.mid").read_bytes(), read_provenance(folder / "out.mid")
    write([Piece(four_voices())], folder / "out.mid")
    assert read_provenance(folder / "out.mid") == carried
    assert run("regenerate", "out.mid", "again.mid").status == 0
    assert (folder / "again.mid").read_bytes() == before


# --- constraints ------------------------------------------------------------------------------------------------------


def test_new_notes_are_held_to_a_constraint_and_given_ones_are_not(player, whole):
    low = Request(seed=1, samplers=(SamplerSpec("pitch-range", {"range": "C4:C5"}),))
    (piece,) = make(player, [plan_gap(player, whole, low, bars=(2, 3), **FEW)])
    assert rows(piece.score.tracks[3], 3 * BAR) == rows(whole.tracks[3], 3 * BAR)  # below C4
    new = [note for track in piece.score.tracks for note in rows(track, BAR, 3 * BAR)]
    assert new
    assert all(60 <= note[2] <= 72 for note in new)


def test_a_piece_without_tokens_is_refused(player):
    with pytest.raises(CannotExpress, match="the model has no tokens for this piece: "):
        plan_gap(player, score(line((20, 1))), Request(), bars=(1, 1))


# --- that it works ----------------------------------------------------------------------------------------------------


@pytest.mark.soak
def test_more_particles_fit_what_follows_better():
    """On chorales that no model has seen; `tests/benchmarks/filling.py` is the same on more of them."""
    import benchmarks.filling as benchmark

    player = open_model("chorales")
    cases = [benchmark.case_of(piece, 2, ()) for piece in benchmark.held_out(player, 16)]
    found = {count: benchmark.figures(player, cases, count, 1, 2) for count in (1, 32)}
    better = np.array(found[1]["next"]) - np.array(found[32]["next"])
    _, low, _ = benchmark.interval(better)
    assert low > 0


def test_a_piece_is_filled_by_the_model_that_made_it_and_one_that_is_not_here_is_named(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("generate", "tune.mid", "--model", "tunes", "--bars", "4", "--seed", "1").status == 0
    assert run("fill", "tune.mid", "out.mid", "--bars", "2", "--particles", "2").status == 0
    assert formats.read_provenance(Path("out.mid"))["model"] == "tunes"
    piece = Piece(formats.read(Path("tune.mid")), {"model": "lost", "request": {}})
    formats.write([piece], Path("lost.mid"))
    ran = run("fill", "lost.mid", "out.mid", "--bars", "2", "--particles", "2", "--model", "tunes", "--force")
    assert (ran.status, ran.err) == (0, "")
    with pytest.warns(RequestWarning, match=r"the model 'lost', which is not here; 'chorales' goes on with it\."):
        assert run("fill", "lost.mid", "out.mid", "--bars", "2", "--particles", "2", "--force").status == 0


def test_a_note_that_is_too_long_for_the_tokens_ends_where_a_new_one_begins():
    writing = {"longest_duration": 1, "programs": False, "drums": False, "time_signatures": ("4/4",)}
    short = generator.Generator(make_random_model("gru", "remi", writing, hidden_size=16, embedding_size=16))
    played = (62, 2), (67, 4), (0, 2), (65, 4)
    tied = score(line(*played))
    cut = 0
    for piece in make(short, [plan_gap(short, tied, Request(seed=seed), bars=(2, 2), **FEW) for seed in range(8)]):
        found = rows(piece.score.tracks[0])
        new = [start for start, *_ in found if BAR <= start < 2 * BAR]
        end = min([BAR + 960, *new])
        assert [note[:3] for note in found[:2]] == [(0, 960, 62), (960, end - 960, 67)]
        assert found[-1][:3] == (2 * BAR, BAR, 65)
        cut += end < BAR + 960
    assert cut
