"""What a model is given of a piece: the same all at once, token by token, alone and among others."""

from types import SimpleNamespace

import numpy as np
import pytest
from music import BAR, QUARTER, drums, line, score

from composer.data.datasets import make_dataset
from composer.data.encoding import compute_inputs, encode_sources
from composer.errors import BadModelFile
from composer.music.score import Tempo, Track, make_notes
from composer.plugins.registry import registry
from composer_remi.tokenizer import Remi
from composer_voices.tokenizer import Voices

ONE_LINE = {
    "an upbeat": score(line((67, 1), (72, 2), (71, 1), (72, 3)), upbeat=QUARTER, key="Dm"),
    "6/8, then 2/4, then 6/8": score(
        line((60, 1.5), (62, 1.5), (64, 2), (65, 3)), metres=((0, 6, 8), (1440, 2, 4), (2400, 6, 8)), key="Eb"
    ),
    "an upbeat, then 3/4 for 4/4": score(
        line((67, 1), (72, 4), (0, 2), (71, 1)), metres=((0, 4, 4), (BAR + QUARTER, 3, 4)), upbeat=QUARTER
    ),
    "twenty bars with rests": score(line(*[(60, 3), (0, 2), (67, 5)] * 8)),
    "a note": score(line((60, 1))),
}
BANDS = {
    **ONE_LINE,
    "a band": score(
        line(((48, 52, 55), 2), ((50, 53), 2), ((48, 52), 4), velocity=50),
        line((67, 2), (69, 2), (67, 3), program=40),
        line((72, 1), (74, 1), (76, 2), (0, 2), (74, 1), program=73, velocity=110),
        drums(*[(beat, 36) for beat in range(8)], *[(beat / 2, 42) for beat in range(16)]),
        tempos=(Tempo(0, 90.0), Tempo(BAR, 130.0)),
    ),
    "long notes under short ones": score(line((36, 12)), line(*[(60 + n, 0.5) for n in range(24)])),
    "drums": score(drums((0, 36), (0, 42), (1.5, 38))),
}


@pytest.fixture(scope="module")
def chorales():
    dataset = make_dataset("chorales")
    return {name: music for source in dataset.list_sources()[:3] for name, music in dataset.read(source)}


def stepwise(tokenizer):
    """The same grammar, known by what every grammar has."""
    grammar = tokenizer.grammar
    needed = {name: getattr(grammar, name) for name in ("columns", "start", "advance", "make_inputs")}
    return SimpleNamespace(grammar=SimpleNamespace(**needed))


def check_same(tokenizer, scores):
    sequences = [tokenizer.encode(music, ends=ends) for music in scores for ends in (True, False)]
    at_once, by_steps = compute_inputs(tokenizer, sequences), compute_inputs(stepwise(tokenizer), sequences)
    for tokens, one, other in zip(sequences, at_once, by_steps, strict=True):
        assert one.shape == other.shape == (len(tokens), len(tokenizer.grammar.columns))
        assert one.dtype == other.dtype == np.uint16
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"velocities": 0},
        {"tempos": 0},
        {"velocities": 0, "tempos": 0, "steps_per_quarter": 4},
        {"programs": False},
        {"drums": False},
    ],
    ids=str,
)
def test_remi_gives_at_once_what_it_gives_step_by_step(options):
    tokenizer = Remi(**options)
    check_same(tokenizer, [music for name, music in BANDS.items() if tokenizer.drums or name != "drums"])


def test_remi_without_programs_or_drums():
    check_same(Remi(programs=False, drums=False, velocities=0), ONE_LINE.values())


@pytest.mark.parametrize("relative", [False, True], ids=["as they sound", "in C"])
@pytest.mark.parametrize("voices", [1, 3])
def test_voices_give_at_once_what_they_give_step_by_step(voices, relative):
    check_same(Voices(names=("",) * voices, relative=relative), ONE_LINE.values())


@pytest.mark.parametrize("tokenizer", [Remi(), Voices(), Voices(relative=True)], ids=["remi", "voices", "voices in C"])
def test_chorales_are_given_at_once_as_step_by_step(tokenizer, chorales):
    check_same(tokenizer, chorales.values())


def test_a_piece_is_the_same_among_others_of_any_length():
    tokenizer = stepwise(Remi())
    lengths = (1, 5, 3, 5, 2)
    sequences = [Remi().encode(score(Track(make_notes([(480 * i, 240, 60, 80) for i in range(n)])))) for n in lengths]
    for tokens, among in zip(sequences, compute_inputs(tokenizer, sequences), strict=True):
        assert np.array_equal(among, *compute_inputs(tokenizer, [tokens]))


def test_no_pieces_have_no_inputs():
    for tokenizer in (registry().make("tokenizers", "voices"), stepwise(Remi())):
        assert compute_inputs(tokenizer, []) == []


class Offset:
    """A grammar whose inputs are too high by so many."""

    def __init__(self, of, by):
        self.of, self.by = of, by

    def make_inputs(self, state):
        inputs = self.of.make_inputs(state).copy()
        inputs[-1, 1] += self.by
        return inputs

    def __getattr__(self, name):
        return getattr(self.of, name)


@pytest.mark.parametrize("by", [-1000, 1000, 2**16, -(2**16), 2**40])
@pytest.mark.parametrize("stepped", [False, True])
def test_inputs_beyond_the_size_of_their_feature_are_never_trained_on(by, stepped):
    tokenizer = Voices()
    grammar = Offset((stepwise(tokenizer) if stepped else tokenizer).grammar, by)
    name, size = tokenizer.grammar.columns[1].name, tokenizer.grammar.columns[1].size
    with pytest.raises(BadModelFile, match=f"gives -?\\d+ for the input feature '{name}', whose size is {size}"):
        compute_inputs(SimpleNamespace(grammar=grammar), [tokenizer.encode(ONE_LINE["a note"])])


@pytest.mark.parametrize("token", [-1, 2**16 + 1])
def test_a_piece_of_tokens_that_the_vocabulary_lacks_is_refused(token):
    class Beyond(Voices):
        def encode(self, score, *, ends=True):
            return np.append(super().encode(score, ends=ends), token)

    found = encode_sources(make_dataset("chorales"), Beyond(), make_dataset("chorales").list_sources()[:1])
    assert not found.kept
    assert found.refused[0].reason == f"becomes token {token}, and the vocabulary has {len(Voices().vocabulary)}."
