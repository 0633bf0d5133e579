"""Batches: every token is seen once an epoch, little is padding, and a transposed piece is that piece elsewhere."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from music import line, score

from composer.data.batches import IGNORED, Stream, compute_real_share
from composer.data.encoding import compute_inputs
from composer.errors import CannotExpress
from composer.plugins.registry import registry
from composer.tokens.vocabulary import BOS, transpose_tokens
from composer.training.loop import Settings
from composer_voices.tokenizer import Voices


@pytest.fixture
def stream(corpus, tokenizer):
    """Streams over the training pieces: `stream(transpose(6))`."""

    def make(*augmentations, **options):
        options = {"batch_size": 4, "chunk": 16, **options}
        return Stream(corpus, tokenizer, corpus.split("train"), augmentations=augmentations, **options)

    return make


def transpose(reach):
    return registry().make("transforms", "transpose", reach=reach)


def pieces_of(stream, number):
    """(piece, inputs, targets) of each row of a batch, put together from its chunks."""
    rows = stream.select_batch(number)
    chunks = list(stream.cut_chunks(number))
    for place, row in enumerate(rows):
        parts = [chunk for chunk in chunks if len(chunk.inputs) > place]
        length = stream.lengths[row]
        inputs = np.concatenate([chunk.inputs[place] for chunk in parts])[:length]
        targets = np.concatenate([chunk.targets[place] for chunk in parts])
        assert (targets[length:] == IGNORED).all()
        yield int(stream.pieces[row]), inputs, targets[:length]


# --- an epoch ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("options", [{}, {"batch_size": 5, "chunk": 7}, {"batch_size": 100, "chunk": 1000}])
def test_every_token_of_every_piece_is_seen_once_an_epoch(stream, corpus, epoch, options):
    found = stream(**options)
    seen = []
    for number in range(epoch * found.batches, (epoch + 1) * found.batches):
        for piece, inputs, targets in pieces_of(found, number):
            assert np.array_equal(targets, corpus.read_piece(piece))
            assert np.array_equal(inputs, corpus.inputs[corpus.offsets[piece] : corpus.offsets[piece + 1]])
            seen.append(piece)
    assert sorted(seen) == sorted(corpus.split("train"))


def test_rows_that_go_on_are_the_first_ones_of_the_chunk_before(stream):
    for number in range(stream().batches):
        before = None
        for chunk in stream().cut_chunks(number):
            assert chunk.rows == (None if before is None else len(chunk.inputs))
            assert before is None or chunk.rows <= before
            before = len(chunk.inputs)


def test_the_stream_is_a_function_of_the_seed_and_the_number(stream):
    def content(found, number):
        return [(chunk.inputs.tobytes(), chunk.targets.tobytes()) for chunk in found.cut_chunks(number)]

    found = stream(transpose(3), seed=1)
    later = content(found, 7)
    content(found, 2)
    assert content(stream(transpose(3), seed=1), 7) == later
    assert content(stream(transpose(3), seed=2), 7) != later


def test_epochs_have_their_pieces_in_other_company(stream):
    found = stream()
    first, second = ([set(found.select_batch(n)) for n in range(e, e + found.batches)] for e in (0, found.batches))
    assert first != second


@pytest.mark.parametrize(
    ("pieces", "typical", "spread"), [(270, 450, 0.35), (1000, 300, 0.6)], ids=["chorales", "folk tunes"]
)
def test_at_least_94_percent_of_what_a_model_runs_over_is_music(tokenizer, pieces, typical, spread):
    lengths = np.random.default_rng(0).lognormal(np.log(typical), spread, pieces).astype(np.int64)
    made_up = SimpleNamespace(offsets=np.concatenate([[0], np.cumsum(lengths)]))
    usual = Settings()
    found = Stream(made_up, tokenizer, np.arange(pieces), batch_size=usual.batch_size, chunk=usual.chunk)
    assert compute_real_share(found) >= 0.94


def test_the_share_of_music_is_counted_as_it_is_run_over(stream):
    found = stream()
    chunks = [chunk for number in range(found.batches) for chunk in found.cut_chunks(number)]
    real = sum(np.count_nonzero(chunk.targets != IGNORED) for chunk in chunks)
    assert compute_real_share(found) == pytest.approx(real / sum(chunk.targets.size for chunk in chunks))


# --- transposition ----------------------------------------------------------------------------------------------------


def moved_pieces(stream, tokenizer, corpus, epochs=4):
    """(semitones, inputs, targets, tokens as they are) of many rows."""
    pitch, is_key = tokenizer.token_info.pitch, tokenizer.token_info.kind == "Key"
    for number in range(epochs * stream.batches):
        for piece, inputs, targets in pieces_of(stream, number):
            tokens = corpus.read_piece(piece)
            place = int(np.flatnonzero((pitch[tokens] >= 0) & ~is_key[tokens])[0])
            yield int(pitch[targets[place]] - pitch[tokens[place]]), inputs, targets, tokens


def test_pieces_are_moved_both_ways_and_never_out_of_reach(stream, tokenizer, corpus):
    found = stream(transpose(5))
    pitch = tokenizer.token_info.pitch
    written = np.concatenate([pitch[corpus.read_piece(piece)] for piece in corpus.split("train")])
    lowest, highest = written[written >= 0].min(), written.max()
    moves = set()
    for semitones, _, targets, _ in moved_pieces(found, tokenizer, corpus):
        sounding = pitch[targets[targets != IGNORED]]
        sounding = sounding[sounding >= 0]
        assert lowest <= sounding.min() <= sounding.max() <= highest
        assert abs(semitones) <= 5
        moves.add(semitones)
    assert min(moves) < 0 < max(moves)


def test_inputs_follow_their_targets(stream, tokenizer, corpus):
    rows = list(moved_pieces(stream(transpose(5)), tokenizer, corpus))
    moved = [transpose_tokens(tokenizer.vocabulary, semitones)[tokens] for semitones, _, _, tokens in rows]
    anew = compute_inputs(tokenizer, moved)
    for (_, inputs, targets, _), tokens, expected in zip(rows, moved, anew, strict=True):
        differs = inputs != expected  # a pitch that was out of reach before the move is still not named
        assert (inputs[differs] == BOS).all()
        assert differs.mean() < 0.001
        learnt = targets != IGNORED
        assert np.array_equal(targets[learnt], tokens[learnt])


def test_the_key_is_learnt_from_pieces_that_are_not_moved(stream, tokenizer, corpus):
    is_key = tokenizer.token_info.kind == "Key"
    counted = {True: 0, False: 0}
    for semitones, _, targets, tokens in moved_pieces(stream(transpose(5)), tokenizer, corpus):
        ignored = targets == IGNORED
        assert np.array_equal(ignored, is_key[tokens] & (semitones != 0))
        counted[semitones != 0] += 1
    assert min(counted.values()) > 0


def test_a_column_that_names_a_pitch_out_of_reach_names_none_after_a_move():
    duet = Voices(names=("High", "Low"), steps_per_quarter=4, lowest=60, highest=79)
    crossing = score(line((67, 1), (72, 1)), line((74, 1), (60, 1)))  # 79 would be in parallel
    pieces = [duet.encode(music) for music in (crossing, score(line((79, 2)), line((60, 2))))]
    inputs = np.concatenate(compute_inputs(duet, pieces))
    offsets = np.cumsum([0, *map(len, pieces)])
    reach = {"lowest": np.array([60, 60]), "highest": np.array([74, 79])}
    corpus = SimpleNamespace(tokens=np.concatenate(pieces), inputs=inputs, offsets=offsets, **reach)
    place = [column.name for column in duet.grammar.columns].index("parallel with voice 1")
    stream = Stream(corpus, duet, np.array([0, 1]), augmentations=(transpose(6),))
    named = {
        int(name) for number in range(40) for chunk in stream.cut_chunks(number) for name in chunk.inputs[0, :, place]
    }
    assert {duet.vocabulary[name] for name in named} == {"BOS_None", "Pitch_79"}


# --- augmentations ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Higher:
    """A transform of scores that moves all notes; by chance, or so far that no token is left."""

    semitones: int = 2
    by_chance: bool = False

    def __call__(self, score, rng):
        semitones = self.semitones + (int(rng.integers(0, 3)) if self.by_chance else 0)
        tracks = [replace(track, notes=track.notes.copy()) for track in score.tracks]
        for track in tracks:
            track.notes["pitch"] += semitones
        return replace(score, tracks=tuple(tracks))


@dataclass(frozen=True)
class Refusing:
    """A transform that can change no score."""

    def __call__(self, score, rng):
        raise CannotExpress("not this one.")


@dataclass(frozen=True)
class Alone:
    """A transform that leaves the first part alone, and so fewer notes."""

    def __call__(self, score, rng):
        silent = (replace(track, notes=track.notes[:0]) for track in score.tracks[1:])
        return replace(score, tracks=(score.tracks[0], *silent))


def rows_of(stream, number):
    """(inputs, targets) of each row of a batch, in order of length."""
    chunks = list(stream.cut_chunks(number))
    for place in range(len(chunks[0].inputs)):
        parts = [chunk for chunk in chunks if len(chunk.inputs) > place]
        targets = np.concatenate([chunk.targets[place] for chunk in parts])
        inputs = np.concatenate([chunk.inputs[place] for chunk in parts])
        yield inputs[targets != IGNORED], targets[targets != IGNORED]


def test_a_changed_piece_is_its_changed_score_written_anew(stream, tokenizer, corpus):
    found = stream(Higher(), augment_share=1.0)
    rng = np.random.default_rng(0)
    for number in range(found.batches):
        pieces = [corpus.read_piece(int(found.pieces[row])) for row in found.select_batch(number)]
        wanted = {tokenizer.encode(Higher()(tokenizer.decode(tokens), rng)).tobytes() for tokens in pieces}
        rows = list(rows_of(found, number))
        assert {targets.tobytes() for _, targets in rows} == wanted
        anew = compute_inputs(tokenizer, [targets for _, targets in rows])
        assert all(np.array_equal(inputs, expected) for (inputs, _), expected in zip(rows, anew, strict=True))
        assert [len(targets) for _, targets in rows] == sorted((len(targets) for _, targets in rows), reverse=True)


def content(stream, number):
    return [(chunk.inputs.tobytes(), chunk.targets.tobytes()) for chunk in stream.cut_chunks(number)]


def test_changes_are_a_function_of_the_seed_the_batch_and_the_row(stream):
    def made(seed):
        return stream(Higher(by_chance=True), transpose(3), seed=seed)

    found = made(1)
    later = content(found, 7)
    content(found, 2)
    assert content(made(1), 7) == later
    assert content(made(2), 7) != later


def test_each_augmentation_changes_a_share_of_the_pieces(stream, corpus):
    untouched = {corpus.read_piece(int(piece)).tobytes() for piece in corpus.split("train")}

    def count_changed(share):
        found = stream(Higher(), augment_share=share)
        rows = [targets for number in range(4 * found.batches) for _, targets in rows_of(found, number)]
        return np.mean([targets.tobytes() not in untouched for targets in rows])

    assert (count_changed(0.0), count_changed(1.0)) == (0, 1)
    assert 0.3 < count_changed(0.5) < 0.7


@pytest.mark.parametrize("transform", [Refusing(), Higher(semitones=60)], ids=["refuses", "leaves no token"])
def test_a_piece_that_cannot_be_changed_stays_as_it_was(stream, transform):
    plain, changed = stream(), stream(transform, augment_share=1.0)
    assert [content(changed, number) for number in range(plain.batches)] == [
        content(plain, number) for number in range(plain.batches)
    ]


def test_a_changed_piece_is_transposed_within_the_range_of_the_pieces(stream, tokenizer, corpus):
    pitch = tokenizer.token_info.pitch
    found = stream(Higher(), transpose(6), augment_share=1.0)
    highest = max(pitch[corpus.read_piece(int(piece))].max() for piece in found.pieces)
    sounding = [pitch[targets].max() for number in range(found.batches) for _, targets in rows_of(found, number)]
    assert max(sounding) <= highest + 2  # of a piece that was changed itself


def test_tokens_count_as_many_as_their_share_of_the_notes(stream, tokenizer, corpus):
    found = stream(Alone(), augment_share=1.0)
    (first, *_) = found.cut_chunks(0)
    notes = lengths = 0.0
    for row in found.select_batch(0):
        score = tokenizer.decode(corpus.read_piece(int(found.pieces[row])))
        alone = Alone()(score, np.random.default_rng(0))
        notes += found.lengths[row] * alone.note_count / score.note_count
        lengths += len(tokenizer.encode(alone))
    assert first.scale == pytest.approx(notes / lengths)


def test_where_no_token_can_be_transposed_the_score_is(stream, monkeypatch):
    before = stream(transpose(0), augment_share=1.0)
    monkeypatch.setattr("composer.data.augmenting.can_transpose", lambda *_: False)
    assert content(stream(transpose(4), augment_share=1.0), 0) != content(before, 0)
