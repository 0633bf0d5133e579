"""Sampling: the same request makes the same piece in any company, and what was asked is in the piece."""

from collections import Counter
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from walks import VOICES

from composer.data.encoding import compute_inputs
from composer.errors import BadOption, CannotExpress, NothingAllowed, UnknownName
from composer.generation import generator
from composer.generation.continuation import add_primer
from composer.generation.generator import apply_samplers, generate
from composer.io.outputs import write_piece
from composer.music.keys import parse_key
from composer.music.score import TICKS_PER_QUARTER, compute_bars
from composer.plugins.registry import registry
from composer.request import Request, SamplerSpec
from composer.sampling import loop
from composer.sampling.distribution import Distribution
from composer.sampling.loop import sample
from composer.sampling.random_streams import BLOCK, Streams, draw_uniforms
from composer.testing.sequences import count_bars
from composer.tokens.vocabulary import EOS
from composer.training.evaluation import compute_piece_nats


def asked(count=1, **wishes):
    """Requests for the first pieces of a seed."""
    return [Request(index=index, **{"seed": 3, "bars": 2, **wishes}) for index in range(count)]


def link(name, **options):
    return SamplerSpec(name, options)


@pytest.fixture
def written(player, tmp_path):
    """The bytes of the files of a piece, and of what made it, for each request."""

    def make(requests):
        contents = []
        for piece in generate(player, requests):
            write_piece(piece, tmp_path / "piece.mid")
            contents.append((tmp_path / "piece.mid").read_bytes() + (tmp_path / "piece.mid.json").read_bytes())
        return contents

    return make


# --- the same request, the same piece ---------------------------------------------------------------------------------


@pytest.fixture
def alone(written):
    """Pieces 0, 3 and 6 of seed 3, each made by itself."""
    return {index: written([Request(seed=3, bars=2, index=index)])[0] for index in (0, 3, 6)}


@pytest.mark.parametrize("count", [7, 64])
def test_a_piece_is_the_same_alone_and_among_many(written, alone, count):
    together = written(asked(count))
    assert len(set(together)) == count
    assert {index: together[index] for index in alone} == alone


def test_a_piece_is_the_same_in_several_batches(written, alone, monkeypatch):
    monkeypatch.setattr(generator, "BATCH_SIZE", 2)
    together = written(asked(7))
    assert {index: together[index] for index in alone} == alone


def test_a_piece_is_the_same_in_other_company_and_order(written, alone):
    others = [
        Request(seed=9, bars=5),
        Request(seed=3, index=1, key="Dm"),
        Request(seed=3, samplers=(link("top-k", k=2),)),
    ]
    mixed = written([*others, *asked(7)[::-1]])
    assert {index: mixed[-1 - index] for index in alone} == alone


def test_a_piece_can_be_made_again_from_what_stands_beside_it(player):
    chain = (link("temperature", temperature=1.5), link("top-p", p=0.9))
    first = generate(player, [Request(seed=2, index=5, bars=3, key="Dm", tempo=72.0, samplers=chain)])[0]
    again = generate(player, [Request.from_json(first.provenance["request"])])[0]
    assert again == first


def test_seed_index_and_attempt_make_other_pieces(player):
    requests = [
        Request(seed=seed, index=index, attempt=attempt) for seed in (0, 1) for index in (0, 1) for attempt in (0, 1)
    ]
    starts = {piece.score.tracks[0].notes.tobytes() for piece in generate(player, requests)}
    assert len(starts) == 8


# --- the random stream ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "first"),
    [
        ((0, 0, 0, 0), [0.8190880816522024, 0.8590851774368006, 0.3796452328160239]),
        ((2**64 - 1, 17, 2, 3), [0.4508106168769299, 0.2728505039472413, 0.08098443185753035]),
        ((3, 17, 0, 0, "other"), [0.4112204274046427, 0.5414510928365652, 0.5233667443465551]),
    ],
)
def test_the_stream_of_a_piece_never_changes(key, first):
    assert draw_uniforms(*key)[:3].tolist() == first


def test_another_seed_index_attempt_block_or_purpose_is_another_stream():
    keys = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, 0, 0, 0, "rank")]
    numbers = np.concatenate([draw_uniforms(*key) for key in keys])
    assert len(np.unique(numbers)) == len(keys) * BLOCK
    assert ((numbers >= 0) & (numbers < 1)).all()


def test_rows_that_go_on_keep_their_streams():
    rows = [(5, 0, 0), (5, 1, 0), (5, 2, 0)]
    streams = Streams()
    streams.add(rows[:2])
    streams.draw(np.array([0, 0]))
    streams.add(rows[2:])
    streams.draw(np.array([1, 1, 0]))
    streams.keep(np.array([0, 2]))
    for step in (1, BLOCK - 1, BLOCK, BLOCK + 1):
        block, place = divmod(step, BLOCK)
        expected = [draw_uniforms(*rows[0], block)[place], draw_uniforms(*rows[2], 0)[5]]
        assert streams.draw(np.array([step, 5])).tolist() == expected


# --- the draw ---------------------------------------------------------------------------------------------------------


def test_draws_follow_the_distribution():
    shares = np.array([0.0, 0.4, 0.25, 0.2, 0.1, 0.04, 0.01, 0.0])
    numbers = np.concatenate([draw_uniforms(1, index, 0, 0) for index in range(80)])
    with np.errstate(divide="ignore"):
        tokens = Distribution(np.tile(np.log(shares), (len(numbers), 1))).draw(numbers)
    counts = np.bincount(tokens, minlength=8)
    assert counts[shares == 0].tolist() == [0, 0]
    expected = shares[1:-1] * len(numbers)
    chi_square = ((counts[1:-1] - expected) ** 2 / expected).sum()
    assert chi_square < 20.5  # 99.9 % of draws from it, with five degrees of freedom, lie below


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
def test_no_draw_is_a_token_that_is_not_allowed(uniform):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(500, 12), scale=3)
    allowed = rng.random(logits.shape) < 0.3
    allowed[:, 5] = True
    tokens = Distribution(np.where(allowed, logits, -np.inf)).draw(np.full(len(logits), uniform))
    assert allowed[np.arange(len(logits)), tokens].all()


# --- the chain --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recorder:
    """A link that changes nothing and writes down what it saw."""

    name: str
    seen: list = field(compare=False)
    history: ClassVar[int] = 64

    def __call__(self, logits, context):
        self.seen.append((self.name, logits.copy(), context))
        return logits


@dataclass(frozen=True)
class Only(Recorder):
    """A constraint: of pitches, only multiples of a number."""

    every: int = 2

    def mask(self, context):
        self.seen.append((self.name, None, context))
        pitch = context.token_info.pitch
        return np.tile((pitch < 0) | (pitch % self.every == 0), (len(context.allowed), 1))


@dataclass(frozen=True)
class Careless:
    """A link that gives every token the same chance, or none."""

    value: float

    def __call__(self, logits, context):
        return np.full_like(logits, self.value)


def sampled(player, samplers, requests):
    return sample(player.get_step(player.resolve(requests[0])), player.tokenizer, samplers, requests)


def test_links_come_in_the_order_of_the_user_and_constraints_before_them_all(player):
    seen = []
    samplers = [Recorder("first", seen), Only("even", seen), Recorder("second", seen), Only("by three", seen, 3)]
    sampled(player, samplers, asked())
    seen = [call for call in seen if len(call[2].allowed) == 1]  # without those that ask for contradictions
    assert [name for name, *_ in seen[:4]] == ["even", "by three", "first", "second"]
    for (_, _, early), (_, _, late), (_, logits, context) in zip(seen[0::4], seen[1::4], seen[2::4], strict=True):
        pitch = context.token_info.pitch
        assert np.array_equal(late.allowed, early.allowed & ((pitch < 0) | (pitch % 2 == 0)))
        assert np.array_equal(context.allowed, late.allowed & ((pitch < 0) | (pitch % 3 == 0)))
        assert np.array_equal(logits > -np.inf, context.allowed)


def test_the_order_of_the_chain_matters(player):
    hot, few = link("temperature", temperature=4.0), link("top-p", p=0.6)
    one, other = (generate(player, asked(4, samplers=chain)) for chain in ((hot, few), (few, hot)))
    assert [piece.score for piece in one] != [piece.score for piece in other]


def test_a_link_sees_the_place_and_the_last_tokens(player):
    seen = []
    (result,) = sampled(player, [Recorder("link", seen)], asked())
    for place, (_, _, context) in enumerate(seen):
        assert context.step.tolist() == [place]
        recent = context.history[0][context.history[0] >= 0]
        assert recent.tolist() == result.tokens[max(0, place - 64) : place].tolist()


def test_a_constraint_is_never_broken(player):
    requests = asked(20, bars=4, samplers=(link("pitch-range", range="C4:A4"),))
    for piece in generate(player, requests):
        pitches = np.concatenate([track.notes["pitch"] for track in piece.score.tracks])
        assert ((pitches >= 60) & (pitches <= 69)).all()


def test_no_link_brings_back_what_is_not_allowed(player):
    for result in sampled(player, [Only("even", []), Careless(0.0)], asked(5)):
        notes = [track.notes["pitch"] for track in player.tokenizer.decode(result.tokens).tracks]
        assert (np.concatenate(notes) % 2 == 0).all()
        assert np.isfinite(result.model_nats)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), float("inf")])
def test_a_link_that_leaves_nothing_is_named(player, value):
    with pytest.raises(NothingAllowed, match="in bar 1 the sampler Careless leaves nothing"):
        sampled(player, [Careless(value)], asked())


@dataclass(frozen=True)
class Stop:
    """A constraint: nothing from some bar on, or no notes on from some beat of every bar."""

    bar: int = 10**6
    beat: int = 10**6

    def mask(self, context):
        pitched, music = context.token_info.pitch >= 0, context.music
        return ~((music.bar >= self.bar)[:, None] | ((music.beat >= self.beat)[:, None] & pitched))


def test_a_constraint_that_leaves_nothing_is_named_with_the_bar(player):
    with pytest.raises(NothingAllowed, match=r"^in bar 2 Stop leaves nothing .*; loosen it\.$"):
        sampled(player, [Stop(bar=1)], asked(5))


def test_a_piece_goes_back_from_where_nothing_is_allowed_and_is_the_same_in_any_company(player):
    requests = asked(7, bars=4)
    together = sampled(player, [Stop(beat=2)], requests)
    assert sum(result.dead_ends for result in together) > 0
    for request, result in zip(requests, together, strict=True):
        (alone,) = sampled(player, [Stop(beat=2)], [request])
        assert np.array_equal(alone.tokens, result.tokens)
        assert alone == replace(result, tokens=alone.tokens)
        assert count_bars(player.tokenizer, result.tokens) == 4
        score = player.tokenizer.decode(result.tokens)
        beats = [
            note["start"] % compute_bars(score).time_signatures[0].bar_ticks // 480
            for t in score.tracks
            for note in t.notes
        ]
        assert all(beat < 2 for beat in beats)


@dataclass(frozen=True)
class Hush:
    """A constraint: no note after the first bar."""

    def mask(self, context):
        return ~((context.music.bar >= 1)[:, None] & (context.token_info.pitch >= 0))


def test_bars_that_were_asked_for_are_there_also_where_they_are_silent(player, monkeypatch):
    monkeypatch.setattr("composer.generation.generator.make_samplers", lambda _: [Hush()])
    (piece,) = generate(player, [Request(seed=1, bars=5)], redraws=0)
    assert len(compute_bars(piece.score).signatures) < 5
    assert len(compute_bars(piece.score, piece.score.length).signatures) == 5


def test_what_constraints_cost_is_the_mass_that_they_leave(player):
    (free,), (bound,) = (sampled(player, chain, asked()) for chain in ([], [Only("even", [])]))
    assert (free.constraint_nats, free.dead_ends) == (0, 0)
    assert bound.constraint_nats > 0
    grammar, step, state, mass = player.tokenizer.grammar, player.get_step(player.resolve(Request())), None, 0.0
    place = grammar.start(asked()[0], 1)
    for token in bound.tokens:
        logits, state = step(grammar.make_inputs(place), state)
        allowed, pitch = grammar.mask(place)[0], player.tokenizer.token_info.pitch
        shares = np.exp(logits[0].astype(float)) * allowed
        mass -= np.log(shares[(pitch < 0) | (pitch % 2 == 0)].sum() / shares.sum())
        place = grammar.advance(place, np.array([token]))
    assert bound.constraint_nats == pytest.approx(mass, rel=1e-4)


# --- one after another ------------------------------------------------------------------------------------------------


def side_by_side(player, samplers, requests, most):
    """(the results by number, how many rows each step had)."""
    step, widths = player.get_step(player.resolve(requests[0])), []

    def counting(inputs, state):
        widths.append(len(inputs))
        return step(inputs, state)

    made = loop.sample_each(counting, player.tokenizer, samplers, loop.make_source(requests), most)
    return dict(made), widths


@pytest.mark.parametrize("chain", [[], [Stop(beat=2)]], ids=["plain", "going back"])
def test_a_row_whose_piece_has_ended_goes_on_with_the_next_request(player, small_score, chain):
    primed = add_primer(player, Request(seed=8, bars=1), small_score("C5 D5"))
    requests = [*asked(3, bars=1), *asked(2, bars=4), primed, *asked(4, seed=5, bars=2)]
    found, widths = side_by_side(player, chain, requests, 3)
    lengths = [len(result.tokens) for result in found.values()]
    assert max(widths) == 3
    assert sum(widths) >= sum(lengths)
    assert len(widths) < 0.6 * sum(lengths)  # three to a step would be a third; the first step of a piece is apart
    for number, request in enumerate(requests):
        (alone,) = sampled(player, chain, [request])
        assert np.array_equal(alone.tokens, found[number].tokens)
        assert alone == replace(found[number], tokens=alone.tokens)


@dataclass(frozen=True)
class NotIn:
    """A constraint: nothing from the second bar on in some keys."""

    keys: tuple[int, ...]

    def mask(self, context):
        over = np.isin(context.music.key, self.keys) & (context.music.bar >= 1)
        return np.tile(~over[:, None], (1, context.allowed.shape[1]))


def test_a_piece_at_a_dead_end_is_lost_alone(player):
    requests = [replace(request, key=key) for request, key in zip(asked(4), ("C", "Dm", "G", "Dm"), strict=True)]
    found, _ = side_by_side(player, [NotIn((parse_key("Dm").index,))], requests, 4)
    assert [isinstance(found[number], NothingAllowed) for number in range(4)] == [False, True, False, True]
    assert str(found[1]).startswith("in bar 2 NotIn leaves nothing")
    for number in (0, 2):
        (alone,) = sampled(player, [], requests[number : number + 1])
        assert np.array_equal(alone.tokens, found[number].tokens)


@pytest.fixture
def lost_attempts(monkeypatch):
    """Functions of a request, of which any says that this attempt at it is lost."""
    pieces, lost = loop.sample_each, []

    def losing(step, tokenizer, samplers, more, most):
        begun = []

        def noted(room):
            begun.extend(new := more(room))
            return new

        for number, made in pieces(step, tokenizer, samplers, noted, most):
            is_lost = any(which(begun[number]) for which in lost)
            yield number, NothingAllowed("a dead end.") if is_lost else made

    monkeypatch.setattr(loop, "sample_each", losing)
    return lost


def test_a_piece_at_a_dead_end_is_drawn_anew(player, lost_attempts):
    """As the next attempt of its own request, up to the last; here as if every attempt before the second failed."""
    later = [generate(player, [replace(request, attempt=2)])[0] for request in asked(2)]
    lost_attempts.append(lambda request: request.attempt < 2)
    assert generate(player, asked(2)) == later
    assert [piece.provenance["redrawn"] for piece in later] == [2, 2]
    with pytest.raises(NothingAllowed):
        generate(player, asked(2), redraws=1)


def test_a_piece_that_cannot_be_written_leaves_the_others(run, player, model_file, tmp_path, lost_attempts):
    lost_attempts.append(lambda request: request.index in (1, 4))
    made = dict(generator.generate_each(player, asked(8)))
    lost = sorted(number for number, piece in made.items() if isinstance(piece, NothingAllowed))
    assert lost == [1, 4]
    ran = run("generate", tmp_path / "out", "--model", model_file, "--seed", 3, "--bars", 2, "--count", 8)
    assert ran.status == 1
    *told, last = ran.err.splitlines()
    assert [line.partition(":")[2].partition(" cannot")[0] for line in told] == [f" piece {number}" for number in lost]
    assert last.startswith(f"composer: {len(lost)} of the pieces")
    names = {f"3-{number:06d}.mid" for number in range(8) if number not in lost}
    assert {path.name for path in (tmp_path / "out").glob("*.mid")} == names


# --- likelihood -------------------------------------------------------------------------------------------------------


def test_the_likelihood_of_a_piece_is_what_the_evaluation_finds(player, tokenizer):
    requests = [Request(seed=seed, samplers=(link("temperature", temperature=0.8),)) for seed in range(3)]
    found = [result for seed in requests for result in sampled(player, generator.make_samplers(seed.samplers), [seed])]
    sequences = [result.tokens for result in found]
    pieces = SimpleNamespace(
        tokens=np.concatenate(sequences),
        inputs=np.concatenate(compute_inputs(tokenizer, sequences)),
        offsets=np.concatenate([[0], np.cumsum(list(map(len, sequences)))]),
        read_piece=lambda number: sequences[number],
    )
    nats = compute_piece_nats(player.model.make_module(), pieces, tokenizer, np.arange(3), masked=True)
    assert [result.model_nats for result in found] == pytest.approx(nats, rel=1e-5)


def test_the_chain_has_a_likelihood_of_its_own(player):
    free, sure, greedy = (
        generate(player, asked(samplers=chain))[0].provenance["nats"]
        for chain in ((), (link("temperature", temperature=0.5),), (link("top-k", k=1),))
    )
    assert free["model"] == free["chain"] > 0
    assert sure["model"] != sure["chain"]
    assert greedy["chain"] == 0 < greedy["model"]


# --- wishes -----------------------------------------------------------------------------------------------------------


def whole_bars(score):
    return len(compute_bars(score).signatures) - (score.upbeat > 0)


@pytest.mark.parametrize("count", [1, 3, 20])
def test_a_piece_has_the_bars_that_were_asked_for(player, count):
    results = sampled(player, [], asked(6, bars=count))
    assert {count_bars(player.tokenizer, result.tokens) for result in results} == {count}
    lengths = [whole_bars(player.tokenizer.decode(result.tokens)) for result in results]
    assert max(lengths) == count  # a score without notes in its last bar looks shorter


def test_a_piece_that_ends_by_itself_ends_in_time(player):
    lengths = Counter(whole_bars(piece.score) for piece in generate(player, asked(20, bars=None, most_bars=4)))
    assert max(lengths) <= 4
    assert len(lengths) > 1


@pytest.mark.parametrize("metre", ["3/4", "4/4"])
def test_a_piece_is_in_the_metre_that_was_asked_for(player, metre):
    for piece in generate(player, asked(6, bars=3, time_signature=metre)):
        assert [str(signature) for signature in piece.score.time_signatures] == [metre]


@pytest.mark.parametrize("key", ["C", "Ebm", "F#", "d"])
def test_a_piece_is_in_the_key_that_was_asked_for(player, key):
    for piece in generate(player, asked(6, key=key)):
        assert str(piece.score.key_signatures[0].key) == {"d": "Dm"}.get(key, key)


def test_a_piece_has_the_tempo_that_was_asked_for(player):
    (piece,) = generate(player, asked(tempo=66.5))
    assert [(tempo.tick, tempo.bpm) for tempo in piece.score.tempos] == [(0, 66.5)]


def test_a_metre_that_the_model_does_not_know_is_refused(player):
    with pytest.raises(BadOption, match="no bars of 5/8; it has 3/4, 4/4"):
        generate(player, asked(time_signature="5/8"))


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"backend": "fast"}, "no plugin offers the backend 'fast'"),
        ({"backend": "numpy", "device": "cuda"}, "'numpy' cannot run this model on 'cuda'"),
        ({"precision": "int4"}, "unknown precision 'int4' for this model here; choose from .*float32"),
        (
            {"precision": "int8", "backend": "numpy"},
            "unknown precision 'int8' in the backend 'numpy'; choose from float32",
        ),
        ({"device": "abacus"}, "there is no device 'abacus'"),
    ],
)
def test_a_backend_precision_or_device_that_is_not_here_is_refused(player, wish, said):
    with pytest.raises((BadOption, UnknownName), match=said):
        generate(player, asked(**wish))


def notes_of(pieces):
    return [[track.notes.tobytes() for track in piece.score.tracks] for piece in pieces]


def test_every_backend_writes_the_same_piece_and_is_named_in_it(player):
    makers = {name: registry().make("backends", name) for name in registry().list_names("backends")}
    suiting = [name for name, maker in makers.items() if maker.supports(player.model, "cpu")]
    unasked = generate(player, asked(3))
    for name in suiting:
        pieces = generate(player, asked(3, backend=name))
        assert notes_of(pieces) == notes_of(unasked)
        assert [piece.provenance["request"]["stepper"] for piece in pieces] == [name] * 3
    fastest = max(suiting, key=lambda name: makers[name].speed)
    assert [piece.provenance["request"]["stepper"] for piece in unasked] == [fastest] * 3


def test_a_piece_says_its_precision_and_none_is_changed_unasked(player):
    makers = {name: registry().make("backends", name) for name in registry().list_names("backends")}
    suiting = [maker for maker in makers.values() if maker.supports(player.model, "cpu")]
    if not any("int8" in maker.tolerances for maker in suiting):
        pytest.skip("no backend has int8 here")
    asked_for = [request.to_json() for request in map(player.resolve, asked(2, precision="int8"))]
    pieces = generate(player, asked(2, precision="int8"))
    assert [piece.provenance["request"] for piece in pieces] == asked_for
    again = generate(player, [Request.from_json(request) for request in asked_for[::-1]])[::-1]
    assert notes_of(again) == notes_of(pieces)
    assert player.resolve(Request()).precision == "float32"


# --- primers ----------------------------------------------------------------------------------------------------------


def struck(score, start, end):
    """(voice, start, pitch) of the notes that begin from `start` up to `end`."""
    return [
        (voice, int(note["start"]), int(note["pitch"]))
        for voice, track in enumerate(score.tracks)
        for note in track.notes
        if start <= note["start"] < end
    ]


PRIMERS = {
    "one bar": (["C5 D5 E5 F5", "C4*2 A3*2"], 1),
    "two bars and a half": (["C5*4 G4*4 C5*2", "C4*4 E4*4 E4*2"], 3),
    "one voice, with rests": (["C5 R E5/2 R/2 D5 E5*4"], 2),
}


@pytest.fixture(params=PRIMERS)
def primed(request, small_score, player):
    """A primer, how many bars it begins, and what goes on from it."""
    parts, begun = PRIMERS[request.param]
    primer = small_score(*parts)
    requests = [add_primer(player, wanted, primer) for wanted in asked(8, bars=3)]
    return primer, begun, [piece.score for piece in generate(player, requests)]


def test_a_piece_begins_with_its_primer(primed):
    primer, _, pieces = primed
    assert struck(primer, 0, primer.end)
    for score in pieces:
        assert struck(score, 0, primer.end) == struck(primer, 0, primer.end)
        for given, track in zip(primer.tracks, score.tracks, strict=False):
            ended = given.notes[given.notes["start"] + given.notes["duration"] < primer.end]
            assert np.array_equal(track.notes[: len(ended)]["duration"], ended["duration"])


def test_new_music_begins_where_the_primer_ends(primed):
    primer, _, pieces = primed
    assert any(struck(score, primer.end, primer.end + TICKS_PER_QUARTER) for score in pieces)


def test_bars_are_counted_after_the_primer(primed):
    _, begun, pieces = primed
    assert {whole_bars(score) for score in pieces} == {begun + 3}


def test_what_a_primer_has_is_not_held_to_a_constraint(player, small_score):
    low = small_score("C3 D3 C3 D3")
    request = add_primer(player, Request(bars=2, samplers=(link("pitch-range", range="C4:B5"),)), low)
    (piece,) = generate(player, [request])
    assert struck(piece.score, 0, low.end) == struck(low, 0, low.end)
    assert all(pitch >= 60 for _, _, pitch in struck(piece.score, low.end, piece.score.end))


def test_what_a_primer_has_is_no_part_of_the_likelihood(player, small_score):
    short, long = small_score("C5 D5 E5 F5"), small_score("C5 D5 E5 F5 " * 12)
    nats = [
        generate(player, [add_primer(player, Request(bars=1), primer)])[0].provenance["nats"]["model"]
        for primer in (short, long)
    ]
    assert nats[1] < 3 * nats[0]


def test_a_primer_that_the_model_has_no_tokens_for_is_refused(player, small_score):
    with pytest.raises(CannotExpress, match=r"cannot go on from this primer: .*the pitch 24; there are tokens for 36"):
        add_primer(player, Request(), small_score("C1 D1"))


@pytest.mark.parametrize("wrong", ["unknown", "illegal", "ended", "too short", "too long"])
def test_tokens_that_are_no_primer_are_refused(player, small_score, wrong):
    """Those of a file that somebody changed: a piece might never end."""
    request = add_primer(player, Request(bars=1), small_score("C5 D5 E5 F5"))
    tokens, ticks = request.primer, request.primer_ticks
    changed = {
        "unknown": ((*tokens, 10**6), ticks),
        "illegal": (tokens[1:], ticks),
        "ended": ((*tokens, EOS), ticks),
        "too short": (tokens, 1),
        "too long": (tokens, 2**31),
    }
    primer, primer_ticks = changed[wrong]
    with pytest.raises(BadOption, match="the primer's"):
        generate(player, [replace(request, primer=primer, primer_ticks=primer_ticks)])


def test_a_primer_takes_on_the_metre_and_key_that_were_asked_for(player, small_score):
    plain = replace(small_score("C5 D5 E5"), time_signatures=(), key_signatures=())
    (piece,) = generate(player, [add_primer(player, Request(bars=1, time_signature="3/4", key="F"), plain)])
    assert [str(signature) for signature in piece.score.time_signatures] == ["3/4"]
    assert str(piece.score.key_signatures[0].key) == "F"
    assert whole_bars(piece.score) == 2


@pytest.mark.parametrize("wish", [{"time_signature": "3/4"}, {"key": "F"}], ids=str)
def test_a_primer_in_another_metre_or_key_than_asked_is_refused(player, small_score, wish):
    with pytest.raises(BadOption, match=r"the primer is in .*, and .* was asked for; leave one of them out"):
        add_primer(player, Request(**wish), small_score("C5 D5 E5 F5"))


def test_another_tokenizer_goes_through_the_same_loop(small_score):
    """A model without training, of the other tokenizer, goes on from a primer with bars to write."""
    from composer.model import ComponentSpec, Model
    from composer.training.loop import copy_weights

    tokenizer = registry().make("tokenizers", "remi")
    architecture = registry().make("architectures", "rnn", hidden_size=8, layers=1, embedding_size=8)
    module = architecture.build_module([column.size for column in tokenizer.grammar.columns], len(tokenizer.vocabulary))
    made = (
        ComponentSpec.describe("architectures", "rnn", architecture),
        ComponentSpec.describe("tokenizers", "remi", tokenizer),
    )
    player = generator.Generator(Model(*made, tokenizer.vocabulary, copy_weights(module)))
    primer = small_score("C5 D5 E5 F5")
    (piece,) = generate(player, [add_primer(player, Request(bars=2), primer)])
    assert struck(piece.score, 0, primer.end)[:4] == struck(primer, 0, primer.end)
    assert len(compute_bars(piece.score).signatures) <= 3


def test_the_small_vocabulary_of_these_tests_is_what_it_says(player):
    assert player.tokenizer.time_signatures == VOICES["time_signatures"]


def test_constraints_alone_leave_the_chain_that_was_suggested():
    suggested = Request(samplers=(link("temperature", temperature=0.9),))
    narrow, sharp = link("pitch-range", range="C4:B5"), link("top-k", k=3)
    assert apply_samplers(suggested, (narrow,)).samplers == (narrow, *suggested.samplers)
    assert apply_samplers(suggested, (narrow, sharp)).samplers == (narrow, sharp)
    assert apply_samplers(suggested, ()) == suggested
