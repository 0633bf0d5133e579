"""MidiTok's tokenizers as a plugin: they keep the contract and learn tokens, and models write with them."""

from dataclasses import replace

import numpy as np
import pytest
from music import ALWAYS, BAR, QUARTER, drums, line, notes, score, words
from walks import Walks, walk

from composer.data.batches import Stream
from composer.data.corpus import build, fit_tokenizer
from composer.data.encoding import compute_inputs
from composer.errors import BadOption, CannotExpress
from composer.generation.generator import Generator, generate_each
from composer.io.formats import read
from composer.model import load
from composer.plugins.registry import registry
from composer.request import Request, SamplerSpec
from composer.testing import (
    check_conditioned,
    check_fixed_notes,
    check_grammar,
    check_tokenizer,
    draw,
    make_random_model,
)
from composer.testing.grammars import find_counterpart, make_request
from composer.tokens.vocabulary import transpose_tokens
from composer.types import Piece, Span, Trainable

pytest.importorskip("miditok", reason="MidiTok is not installed (composer-midi[miditok])")

from composer_miditok.tokenizer import MidiLike, Remi, Structured, Tsd

NAMES = {"miditok-remi": Remi, "miditok-tsd": Tsd, "miditok-structured": Structured, "miditok-midi-like": MidiLike}
SMALL = {"lowest": 36, "highest": 90, "steps_per_beat": 2, "velocities": 2, "longest": 8}
TUNE = {**SMALL, "programs": False, "velocities": 0}
METRES = {"time_signatures": ("4/4", "3/4", "6/8", "2/4")}
MUSIC = {
    "a scale": score(line((60, 1), (62, 1), (64, 1), (65, 1), (67, 4))),
    "repeated notes": score(line(*[(60, 0.5)] * 8, (60, 2), (60, 2))),
    "rests": score(line((0, 1), (60, 1), (0, 2), (0, 3), (64, 0.5), (0, 0.5), (62, 2))),
    "an upbeat": score(line((67, 1), (72, 2), (71, 1), (72, 3)), upbeat=QUARTER, key="Dm"),
    "a band": score(
        line((72, 1), (74, 1), (0, 1), (76, 1), program=73),
        line(((48, 52), 2), (0, 1), (50, 2), (52, 3)),
        drums((0, 36), (1, 42), (1, 36)),
    ),
}
CHANGES = {
    "4/4, then 3/4": score(line((60, 4), (62, 3), (64, 1), (65, 2)), metres=((0, 4, 4), (BAR, 3, 4))),
    "6/8, then 2/4, then 6/8": score(
        line((60, 1.5), (62, 1.5), (64, 2), (65, 3)), metres=((0, 6, 8), (1440, 2, 4), (2400, 6, 8))
    ),
}


def options(cls, **chosen):
    return {**chosen, **({} if cls is Structured else METRES)}


@pytest.fixture(params=NAMES.values(), ids=NAMES)
def cls(request):
    return request.param


@pytest.fixture
def band(cls):
    return cls(**options(cls, **SMALL))


@pytest.fixture
def tune(cls):
    return cls(**options(cls, **TUNE))


@pytest.fixture
def learned(cls):
    """One that has learnt from some pieces to join tokens."""
    plain = cls(**options(cls, **SMALL, bpe=60))
    return plain.fit([plain.encode(common(number)) for number in range(8)])


def common(number):
    """A walk; in 4/4, which every tokenizer here has."""
    return replace(walk(number), time_signatures=())


# --- the contract -----------------------------------------------------------------------------------------------------


def test_scores_come_back_from_every_tokenizer(cls, band):
    other = MUSIC["an upbeat"] if cls is Structured else CHANGES["6/8, then 2/4, then 6/8"]
    check_tokenizer(band, [MUSIC["a band"], other])


def test_random_pieces_keep_the_contract(band):
    check_grammar(band, rows=3)


@pytest.mark.soak
def test_a_thousand_random_pieces_keep_the_contract(cls, learned):
    check_tokenizer(cls(), [*MUSIC.values(), *(CHANGES.values() if cls is not Structured else ())])
    check_grammar(cls())
    check_grammar(learned)


@pytest.mark.uncounted
def test_without_programs_and_velocities_it_is_the_contract_still(tune):
    check_tokenizer(tune, [MUSIC["rests"]])
    check_grammar(tune, rows=3)


@pytest.mark.uncounted
def test_with_tokens_that_were_learnt_it_is_the_contract_still(learned):
    assert any("+" in token for token in learned.vocabulary)
    check_tokenizer(learned, [common(1)])
    check_grammar(learned, rows=3)


def test_each_is_offered_by_its_name():
    assert {name: type(registry().make("tokenizers", name)) for name in NAMES} == NAMES


# --- what is written, and what is kept --------------------------------------------------------------------------------

SAID = {
    Remi: "Bar_None TimeSignature_3/4 Position_2 Pitch_60 Duration_2.0.2 Bar_None TimeSignature_3/4 Position_1 "
    "Pitch_62 Duration_0.1.2 EOS_None",
    Tsd: "TimeSignature_3/4 TimeShift_1.0.2 Pitch_60 Duration_2.0.2 TimeShift_2.1.2 Pitch_62 Duration_0.1.2 EOS_None",
    MidiLike: "TimeSignature_3/4 TimeShift_1.0.2 NoteOn_60 TimeShift_2.0.2 NoteOff_60 TimeShift_0.1.2 NoteOn_62 "
    "TimeShift_0.1.2 NoteOff_62 EOS_None",
    Structured: "TimeShift_1.0.2 Pitch_60 Duration_2.0.2 TimeShift_2.1.2 Pitch_62 Duration_0.1.2 EOS_None",
}


def test_tokens_are_those_of_miditok(cls, tune):
    metre = ((0, 4, 4),) if cls is Structured else ((0, 3, 4),)
    assert words(tune, tune.encode(score(line((0, 1), (60, 2), (0, 0.5), (62, 0.5)), metres=metre))) == SAID[cls]


def test_notes_programs_and_drums_are_kept(band):
    kept = band.decode(band.encode(MUSIC["a band"]))
    assert [(track.program, track.is_drum) for track in kept.tracks] == [(0, False), (73, False), (0, True)]
    assert notes(kept.tracks[0]) == notes(MUSIC["a band"].tracks[1])
    assert notes(kept.tracks[1]) == notes(MUSIC["a band"].tracks[0])
    assert [n[::2] for n in notes(kept.tracks[2])] == [(0, 36), (1, 36), (1, 42)]


def test_an_upbeat_becomes_a_bar_that_begins_with_a_rest(tune):
    kept = tune.decode(tune.encode(MUSIC["an upbeat"]))
    assert (kept.upbeat, notes(kept.tracks[0])[:2]) == (0, [(3, 1, 67), (4, 2, 72)])


def test_changes_of_metre_are_kept(cls, tune):
    if cls is Structured:
        with pytest.raises(CannotExpress, match="no bars of 3/4; it has 4/4"):
            tune.encode(CHANGES["4/4, then 3/4"])
    else:
        for music in CHANGES.values():
            assert tune.decode(tune.encode(music)).time_signatures == music.time_signatures


def test_of_notes_of_one_pitch_the_earlier_ends_where_the_later_begins(tune):
    music = score(line((60, 4)), line((60, 2), start=QUARTER))
    assert notes(tune.decode(tune.encode(music)).tracks[0]) == [(0, 1, 60), (1, 2, 60)]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("music", "said"),
    [
        (score(line()), "contains no notes"),
        (score(line((60, 1), (7, 1))), "it has the pitch 7; there are tokens for 36 to 90"),
        (score(line((60, 4), (0, 399), (60, 1))), r"nothing begins for \d+ bars"),
        (score(line((60, 1)), metres=((0, 11, 8),)), "no bars of 11/8"),
    ],
)
def test_what_has_no_tokens_is_refused(tune, music, said):
    with pytest.raises(CannotExpress, match=said):
        tune.encode(music)


@pytest.mark.parametrize(
    ("scheme", "said"),
    [(MidiLike, "40 notes sound at once; at most 32"), (Tsd, "40 notes begin at once; at most 32")],
)
def test_more_notes_at_once_than_are_known_of_are_refused(scheme, said):
    with pytest.raises(CannotExpress, match=said):
        scheme(**SMALL).encode(score(line((tuple(range(40, 80)), 1))))


def test_a_place_takes_no_more_notes_than_are_known_of():
    """Or a model whose music may not end yet would strike drums there for ever."""
    tsd = Tsd(**SMALL)
    full = tuple(tsd.encode(score(line((tuple(range(40, 72)), 1))), ends=False).tolist())
    state = tsd.grammar.start(Request(), 1)
    for token in full:
        state = tsd.grammar.advance(state, np.array([token]))
    kinds = {tsd.vocabulary[token].partition("_")[0] for token in np.flatnonzero(tsd.grammar.mask(state)[0])}
    assert "TimeShift" in kinds
    assert not kinds & {"Pitch", "PitchDrum"}


def test_the_tokens_of_drums_are_known_as_such_alone_and_merged(cls, learned):
    found = {learned.vocabulary[token] for token in np.flatnonzero(learned.token_info.is_drum)}
    assert found == {
        token for token in learned.vocabulary if {"PitchDrum", "DrumOn"} & set(token.partition("_")[0].split("+"))
    }
    assert found


def follow(tokenizer, names):
    """The state after these tokens, and those of them that the grammar refuses."""
    state, refused = tokenizer.grammar.start(Request(), 1), []
    for name in names:
        token = tokenizer.vocabulary.index(name)
        refused += [name] if not tokenizer.grammar.mask(state)[0, token] else []
        state = tokenizer.grammar.advance(state, np.array([token]))
    return state, refused


def test_a_note_that_ends_where_another_begins_still_counts():
    """Of several programs, MidiTok writes the note-offs of one after the notes of another."""
    like = MidiLike(**{**SMALL, "velocities": 0})
    held = [word for pitch in range(40, 72) for word in ("Program_0", f"NoteOn_{pitch}")]
    released = ["TimeShift_1.0.2", "Program_0", "NoteOff_40", "Program_0", "NoteOff_41"]
    state, refused = follow(like, ["TimeSignature_4/4", *held, *released])
    assert not refused
    may = {like.vocabulary[token].partition("_")[0] for token in np.flatnonzero(like.grammar.mask(state)[0])}
    assert {"Program", "TimeShift"} <= may  # of a program that has notes to release
    _, refused = follow(like, ["TimeSignature_4/4", *held, *released, "Program_0", "NoteOn_80"])
    assert refused == ["NoteOn_80"]
    _, refused = follow(like, ["TimeSignature_4/4", *held, *released, "TimeShift_0.1.2", "Program_0", "NoteOn_80"])
    assert not refused


def test_beside_many_fixed_notes_new_ones_leave_room_and_the_music_can_be_encoded():
    like = MidiLike(**{**SMALL, "velocities": 0})
    chords = line((tuple(range(40, 55)), 4), (tuple(range(41, 56)), 4))
    music = score(chords, line((60, 4), (62, 4), program=5))
    _, pieces = check_fixed_notes(like, music, [Span(0, ALWAYS, 0)], rows=6)
    _, more = check_fixed_notes(like, music, [Span(0, BAR // 2), Span(BAR, ALWAYS, 0)], rows=6)
    for piece in [*pieces, *more]:
        like.encode(piece)


def test_a_silence_that_structured_has_no_move_for_is_refused():
    with pytest.raises(CannotExpress, match="more than 8 beats"):
        Structured(**SMALL).encode(score(line((60, 1), (0, 9), (60, 1))))


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"lowest": 90, "highest": 80}, "lowest must not be above highest"),
        ({"velocities": 128}, "0 to 127 velocities"),
        ({"time_signatures": ("3/4",)}, "needs 4/4"),
        ({"steps_per_beat": 7}, "must divide 240"),
        ({"merges": ("Pitch_60 Duration_9.9.9",), "bpe": 1}, "merges are of tokens in the vocabulary"),
        ({"merges": ("Pitch_60",), "bpe": 1}, "pairs of tokens"),
    ],
)
def test_options_that_make_no_vocabulary_are_refused(chosen, said):
    with pytest.raises(BadOption, match=said):
        registry().make("tokenizers", "miditok-remi", **chosen)


@pytest.mark.parametrize(
    ("asked", "said"), [({"time_signature": "11/8"}, "no bars of 11/8"), ({"key": "Dm"}, "no keys")]
)
def test_a_wish_without_tokens_is_refused(tune, asked, said):
    with pytest.raises(BadOption, match=said):
        tune.grammar.start(Request(**asked), 1)


# --- what is drawn ----------------------------------------------------------------------------------------------------


def test_an_asked_metre_is_kept_throughout(cls, tune):
    asked = "4/4" if cls is Structured else "6/8"
    for tokens in draw(tune, Request(bars=3, time_signature=asked), 6):
        assert {str(metre) for metre in tune.decode(tokens).time_signatures} == {asked}


def test_no_note_sounds_beyond_the_bars_that_were_asked_for(tune):
    for tokens in draw(tune, Request(bars=2, time_signature="4/4"), 12):
        assert tune.decode(tokens).end <= 2 * BAR


def test_a_drum_is_never_a_note_of_an_instrument(band):
    for tokens in draw(band, Request(bars=2), 6):
        for one, other in zip(words(band, tokens).split(), words(band, tokens).split()[1:], strict=False):
            if one.startswith("Program_"):
                assert other.startswith("Drum") or ("Drum" in other) == (one == "Program_-1")


# --- what is given ----------------------------------------------------------------------------------------------------

SPANS = {
    "one track": [Span(0, ALWAYS, 1)],
    "all but the drums": [Span(0, ALWAYS, 0), Span(0, ALWAYS, 1)],
    "all but the second bar": [Span(0, BAR), Span(2 * BAR, ALWAYS)],
    "off the grid": [Span(137, 1111), Span(1500, 1503), Span(2000, 2444, 2)],
}
LONGER = replace(
    MUSIC["a band"], tracks=(*MUSIC["a band"].tracks, line((60, 2), (62, 3), (0, 4), ((64, 67), 3), program=40))
)


@pytest.mark.parametrize("spans", SPANS.values(), ids=SPANS)
def test_given_notes_are_kept_and_there_is_always_a_way_on(band, spans):
    kept, pieces = check_fixed_notes(band, LONGER, spans, rows=2)
    for found in pieces if spans is SPANS["one track"] else ():
        assert notes(find_counterpart(kept, found, 1)) == notes(kept.tracks[1])


def test_given_notes_are_kept_by_tokens_that_were_learnt(learned):
    check_fixed_notes(learned, LONGER, SPANS["all but the second bar"], rows=3)


def test_given_bars_keep_their_metres(cls, tune):
    if cls is not Structured:
        music = CHANGES["6/8, then 2/4, then 6/8"]
        kept, pieces = check_fixed_notes(tune, music, [Span(0, 1440), Span(2880, ALWAYS)], rows=4)
        assert {piece.time_signatures for piece in pieces} == {kept.time_signatures}


def test_with_everything_given_only_the_score_itself_can_be_written(band):
    kept = band.decode(band.encode(LONGER))
    given = band.grammar.fix_notes(kept, [Span(0, ALWAYS)])
    for tokens in draw(band, make_request(kept), 2, mask=given):
        assert band.decode(tokens) == kept


def test_what_is_held_into_given_bars_is_let_go_where_they_begin():
    tokenizer = MidiLike(**TUNE, **METRES)
    kept = tokenizer.decode(tokenizer.encode(score(line((60, 2), (62, 2), (0, 2), (64, 1), (65, 1)))))
    given = tokenizer.grammar.fix_notes(kept, [Span(BAR, ALWAYS)])
    for tokens in draw(tokenizer, make_request(kept), 8, mask=given):
        found = notes(tokenizer.decode(tokens).tracks[0])
        assert all(start + length <= 4 for start, length, _ in found if start < 4)
        assert [note for note in found if note[0] >= 4] == [(6, 1, 64), (7, 1, 65)]


def test_an_end_that_no_piece_of_these_tokens_has_is_refused(cls, tune):
    music = score(line((60, 3), (62, 3)))
    if cls is MidiLike:  # where notes end apart, a bar may hold an end alone
        check_fixed_notes(tune, music, [Span(0, ALWAYS)], rows=2)
    else:
        with pytest.raises(BadOption, match="no new note may begin in the last bar"):
            tune.grammar.fix_notes(music, [Span(0, ALWAYS)])


def test_a_track_that_is_not_there_cannot_be_given(tune):
    with pytest.raises(BadOption, match="no track 7 to keep; the tracks are 0 to 0"):
        tune.grammar.fix_notes(MUSIC["a scale"], [Span(0, BAR, 7)])


# --- what is learnt ---------------------------------------------------------------------------------------------------


def test_what_is_learnt_writes_the_same_music_with_fewer_tokens(cls, learned):
    plain = cls(**options(cls, **SMALL))
    for number in range(8, 12):
        music = common(number)
        assert len(learned.encode(music)) < 0.75 * len(plain.encode(music))
        assert learned.decode(learned.encode(music)) == plain.decode(plain.encode(music))


def test_what_is_learnt_says_one_pitch_and_no_move(learned):
    for token in learned.vocabulary:
        kinds = token.partition("_")[0].split("+")
        if len(kinds) > 1:
            assert not {"Bar", "Position", "TimeShift", "TimeSignature", "BOS", "EOS"} & set(kinds)
            assert len({"Pitch", "PitchDrum", "NoteOn", "NoteOff"} & set(kinds)) <= 1


def test_the_same_music_teaches_the_same(cls):
    plain = cls(**options(cls, **SMALL, bpe=10))
    pieces = [plain.encode(common(number)) for number in range(4)]
    assert isinstance(plain, Trainable)
    assert (plain.is_trained, plain.fit(pieces).is_trained) == (False, True)
    assert plain.fit(pieces) == plain.fit(iter(pieces))
    assert plain.fit([]).is_trained


def test_a_corpus_teaches_with_the_pieces_to_train_on(tmp_path):
    plain = Tsd(**SMALL, bpe=20)
    found = fit_tokenizer(plain, lambda: build(Walks(), plain, name="walks", cache=tmp_path))
    corpus = build(Walks(), plain, name="walks", cache=tmp_path)
    assert found == plain.fit([corpus.read_piece(number) for number in corpus.split("train")])
    assert len(found.merges) == 20
    again = build(Walks(), found, name="walks", cache=tmp_path)
    assert again.split("train").tolist() == corpus.split("train").tolist()
    assert fit_tokenizer(found, None) is found


def test_every_note_is_transposed_and_joined_anew(cls, learned):
    vocabulary = MidiLike(**TUNE).vocabulary
    moved = transpose_tokens(vocabulary, 2)
    assert vocabulary[moved[vocabulary.index("NoteOff_60")]] == "NoteOff_62"
    music, higher = (replace(walk(3, shift=shift), time_signatures=()) for shift in (0, 2))
    tokens = learned.encode(music)
    assert np.array_equal(learned.transpose(tokens, 2), learned.encode(higher))
    assert learned.transpose(tokens, 60) is tokens


@pytest.mark.parametrize("bpe", [0, 20])
def test_pieces_are_transposed_in_training(tmp_path, bpe):
    plain = Tsd(**SMALL, bpe=bpe)
    tokenizer = fit_tokenizer(plain, lambda: build(Walks(), plain, cache=tmp_path))
    corpus = build(Walks(), tokenizer, cache=tmp_path)
    stream = Stream(
        corpus,
        tokenizer,
        corpus.split("train"),
        augmentations=(registry().make("transforms", "transpose"),),
        chunk=10_000,
    )
    (chunk,) = stream.cut_chunks(0)
    moves = set()
    lengths = np.count_nonzero(chunk.targets >= 0, axis=1)
    assert lengths.tolist() == sorted(lengths, reverse=True)
    assert chunk.scale == pytest.approx(stream.lengths[stream.select_batch(0)].sum() / lengths.sum())
    pieces = {
        shape(tokenizer.decode(corpus.read_piece(int(n)))): corpus.read_piece(int(n)) for n in corpus.split("train")
    }
    for inputs, targets in zip(chunk.inputs, chunk.targets, strict=True):
        targets = targets[targets >= 0]
        assert np.array_equal(inputs[: len(targets)], compute_inputs(tokenizer, [targets])[0])
        music = tokenizer.decode(targets)
        before, after = (found.tracks[0].notes for found in (tokenizer.decode(pieces[shape(music)]), music))
        moves |= set((np.sort(after["pitch"]) - np.sort(before["pitch"])).tolist())
    assert len(moves) > 2
    assert max(map(abs, moves)) <= 6


def shape(music):
    """What a transposition leaves as it is."""
    found = music.tracks[0].notes
    return tuple(found["start"].tolist()), tuple(found["duration"].tolist()), tuple(np.diff(found["pitch"]).tolist())


# --- models -----------------------------------------------------------------------------------------------------------

TRAINING = ("--hidden-size", 8, "--embedding-size", 8, "--layers", 1, "--steps", 4, "--evaluations", 1)


@pytest.mark.uncounted
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bpe", [0, 30])
def test_a_model_is_trained_and_writes_music(run, tunes, tmp_path, name, bpe):
    chosen = [f"--{key.replace('_', '-')}={value}" for key, value in {**SMALL, "bpe": bpe}.items()]
    out = tmp_path / "mine.safetensors"
    trained = run("train", f"folder:{tunes}", "--out", out, "--tokenizer", name, *chosen, *TRAINING)
    assert trained.status == 0, trained.err
    model = load(out)
    assert len(model.make_tokenizer().merges) == bpe
    piece = tmp_path / "piece.mid"
    ran = run("generate", "--model", out, "--bars", 3, "--seed", 5, piece)
    assert ran.status == 0, ran.err
    assert piece.stat().st_size > 60
    mine, again = tmp_path / "mine.mid", tmp_path / "again.mid"
    registry().make("exporters", ".mid")([Piece(common(3))], mine)
    ran = run("fill", mine, again, "--model", out, "--bars", 2, "--seed", 5, "--particles", 4)
    assert ran.status == 0, ran.err
    before, after = outside(read(mine)), outside(read(again))
    assert len(before) > 8
    assert after == before

    registry().make("exporters", ".mid")([Piece(replace(MUSIC["an upbeat"], key_signatures=()))], mine)
    for command in (("fill", mine, again, "--bars", 2), ("generate", again, "--primer", mine, "--bars", 2)):
        ran = run(*command, "--model", out, "--force")
        assert (ran.status, "begins with an upbeat, and this model's tokens have none" in ran.err) == (2, True)


@pytest.mark.parametrize("bars", [1, pytest.param(2, marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.uncounted
def test_an_ending_is_kept_by_tokens_that_do_not_say_beforehand_where_they_go(name, bars):
    """Of models that know nothing: some pieces come to a dead end, and none goes on for ever."""
    player = Generator(make_random_model("gru", name, options(NAMES[name], **TUNE), hidden_size=16, embedding_size=16))
    samplers = (SamplerSpec("ending", {"key": "C"}), SamplerSpec("density", {"density": 12}))
    asked = [Request(5, index, bars=bars, samplers=samplers) for index in range(4)]
    made = [piece for _, piece in generate_each(player, asked) if isinstance(piece, Piece)]
    assert len(made) > 1
    for piece in made:
        found = piece.score.tracks[0].notes
        last = found["start"].max()
        final = found["pitch"][found["start"] + found["duration"] > last]
        assert set(final % 12) <= {0, 4, 7}
        assert final.min() % 12 == 0


def outside(music):
    """(tick, pitch) of the notes that do not begin in the second bar of 4/4."""
    found = (note for track in music.tracks for note in track.notes.tolist())
    return sorted((start, pitch) for start, _, pitch, _ in found if not BAR <= start < 2 * BAR)


@pytest.mark.parametrize("name", ["miditok-tsd", "miditok-midi-like"])
def test_a_late_bar_of_a_long_piece_has_the_inputs_of_an_early_one(name):
    """Also after more bars than a request allows that says nothing of them."""
    tokenizer = registry().make("tokenizers", name)
    tokens = tokenizer.encode(score(line(*[(60, 4)] * 300)), ends=False)
    (inputs,) = compute_inputs(tokenizer, [tokens])
    ends = np.flatnonzero(tokens == tokens[-1])
    assert len(ends) == 300
    late, early = (inputs[ends[bar] : ends[bar + 1]] for bar in (298, 298 - 12 * 16))  # bars may be counted up to 16
    assert np.array_equal(late, early)


def test_a_tokenizer_keeps_its_contract_with_conditions(learned):
    check_conditioned(learned, [score(line((60, 4), (64, 2), (0, 1), (62, 1)))], rows=6)
