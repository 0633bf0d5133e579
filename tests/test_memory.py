"""Samplers with memory: it follows its own row, whatever the others do, and wherever pieces are written."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from composer.generation import streaming
from composer.generation.composer import open_model
from composer.generation.continuation import encode_primer
from composer.generation.generator import generate
from composer.plugins.registry import registry
from composer.request import Request, SamplerSpec
from composer.sampling.batch_state import begin, build_context
from composer.sampling.kept import warn_of_primer
from composer.sampling.loop import sample
from composer.sampling.smc import Condition, sample_conditioned
from composer.testing import check_sampler


@dataclass(frozen=True)
class Witness:
    """A link that remembers the number of tokens, the last one, and whether it was chosen; it checks all each time."""

    size: int = 3  # more columns stay empty
    history: ClassVar[int] = 1

    def begin_memory(self, token_info):
        return np.array([0.0, -1.0, *[0.0] * (self.size - 2)])

    def __call__(self, logits, context):
        assert context.memory.shape == (len(logits), self.size)
        assert np.array_equal(context.memory[:, 0], context.step)
        assert np.array_equal(context.memory[:, 1], context.history[:, -1])
        return logits

    def update_memory(self, context, drawn):
        assert ((drawn.model <= 0) & (drawn.chain <= 0)).all()
        assert not (drawn.model + drawn.chain)[~drawn.chosen].any()
        after = context.memory.copy()
        after[:, 0] += 1
        after[:, 1], after[:, 2] = drawn.token, drawn.chosen
        return after


@dataclass(frozen=True)
class FewPitches(Witness):
    """A constraint with memory: at most so many pitches in a row that are no repetition; then a dead end."""

    most: int = 3

    def mask(self, context):
        assert np.array_equal(context.memory[:, 0], context.step)
        pitched = context.token_info.pitch >= 0
        tired = context.memory[:, 3] >= self.most
        return ~(tired[:, None] & (pitched | (context.token_info.kind == "Rest")))

    def update_memory(self, context, drawn):
        after = super().update_memory(context, drawn)
        pitched = context.token_info.pitch[drawn.token] >= 0
        after[:, 3] = np.where(pitched, context.memory[:, 3] + 1, np.where(context.music.beat == 0, 0, after[:, 3]))
        return after


def asked(count=4, **wishes):
    return [Request(index=index, **{"seed": 3, "bars": 4, **wishes}) for index in range(count)]


def sampled(player, samplers, requests):
    return sample(player.get_step(player.resolve(requests[0])), player.writing, samplers, requests)


def same(one, other):
    return [piece.tokens.tolist() for piece in one] == [piece.tokens.tolist() for piece in other]


def test_each_sampler_sees_its_own_memory_and_none_changes_a_piece(player):
    plain = sampled(player, [], asked(6))
    assert same(plain, sampled(player, [Witness(), Witness(5)], asked(6)))


def test_the_memory_of_a_piece_that_goes_back_is_what_it_was_there(player):
    found = sampled(player, [FewPitches(4), Witness()], asked(6))
    assert sum(piece.dead_ends for piece in found) > 10
    alone = [sampled(player, [FewPitches(4), Witness()], [request])[0] for request in asked(6)]
    assert same(found, alone)


def test_a_constraint_with_memory_keeps_the_contract(tokenizer):
    check_sampler(FewPitches(4, 40), tokenizer)


def test_particles_carry_their_memory(player):
    width = len(player.tokenizer.vocabulary)
    conditions = [Condition(request, lambda state: np.ones((len(state), width), bool), 6) for request in asked(2)]
    step = player.get_step(player.resolve(conditions[0].request))
    witnessed = sample_conditioned(step, player.writing, [Witness(), FewPitches(4, 100)], conditions)
    assert same(witnessed, sample_conditioned(step, player.writing, [], conditions))


def test_a_primer_is_remembered_and_not_chosen(player, small_score):
    seen = []

    @dataclass(frozen=True)
    class Listener(Witness):
        def update_memory(self, context, drawn):
            seen.append((int(drawn.token[0]), bool(drawn.chosen[0]), float(drawn.model[0])))
            return super().update_memory(context, drawn)

    primer, ticks = encode_primer(player, small_score("C5 D5*3", "C4*4"))
    sampled(player, [Listener()], asked(1, primer=primer, primer_ticks=ticks))
    assert seen[: len(primer)] == [(token, False, 0.0) for token in primer]
    assert any(chosen for _, chosen, _ in seen[len(primer) :])


MIROSTAT = SamplerSpec("mirostat", {"tau": 0.4})
BUSIER = SamplerSpec("notes-per-beat", {"notes": 6.0})


@pytest.mark.parametrize("chain", [(MIROSTAT,), (BUSIER, SamplerSpec("range", {"range": "C3:C6"}), MIROSTAT)])
def test_a_piece_is_the_same_alone_in_a_batch_and_as_a_stream(player, chain):
    requests = asked(5, samplers=chain)
    together = generate(player, requests, redraws=0)
    assert generate(player, requests[3:4], redraws=0)[0].score == together[3].score
    tokens = np.array(list(streaming.stream_tokens(player, requests[3])))
    assert player.tokenizer.decode(tokens).tracks == together[3].score.tracks


def test_what_is_steered_is_the_same_around_fixed_notes_and_in_a_form():
    model = open_model("chorales")
    for busier in ({"notes_per_beat": 5.0}, {"mirostat": 0.4}):
        piece = model.generate(bars=2, form="AB", seed=1, **busier)
        filled = model.fill(piece, bars=2, particles=4, seed=1, **busier)
        assert model.regenerate(piece).score == piece.score
        assert model.regenerate(filled).score == filled.score


@pytest.mark.parametrize(("notes", "least", "most"), [(2.0, 1.6, 2.6), (6.0, 5.2, 6.2)])
def test_pieces_have_as_many_notes_a_beat_as_were_asked_for(notes, least, most):
    model = open_model("chorales")
    pieces = model.generate(count=4, bars=8, time_signature="4/4", seed=7, notes_per_beat=notes)
    assert least < np.mean([piece.score.note_count / 32 for piece in pieces]) < most


def test_the_surprise_of_pieces_is_what_was_asked_for():
    model = open_model("chorales")
    chain = (SamplerSpec("mirostat", {"tau": 0.4}),)
    found = sampled(model, [registry().make("samplers", "mirostat", tau=0.4)], asked(4, bars=8, samplers=chain))
    chosen = [count_choices(model, piece.tokens) for piece in found]
    assert sum(piece.model_nats for piece in found) / sum(chosen) == pytest.approx(0.4, abs=0.08)


def count_choices(model, tokens):
    """The tokens that had an alternative."""
    grammar, count = model.writing.grammar, 0
    state = grammar.start(Request(bars=8), 1)
    for token in tokens:
        count += grammar.mask(state).sum() > 1
        state = grammar.advance(state, np.array([token]))
    return count


def test_where_no_sampler_asks_there_is_neither_history_nor_memory(player):
    temperature = registry().make("samplers", "temperature", temperature=0.9)
    rows = begin(player.tokenizer, [temperature], asked(2))
    context = build_context(player.tokenizer, rows)
    assert context.history.shape == context.memory.shape == context.recent_notes.tick.shape == (2, 0)


def test_a_constraint_sees_the_tokens_that_it_asks_for_also_where_a_primer_is_checked(player, small_score):
    seen = []

    @dataclass(frozen=True)
    class Looking:
        history: int = 3

        def mask(self, context):
            seen.append(context.history)
            return np.ones_like(context.allowed)

    primer, _ = encode_primer(player, small_score("C5 D5*3", "C4*4"))
    warn_of_primer(player.tokenizer, [Looking()], Request(primer=primer))
    places = [place for place, token in enumerate(primer) if player.tokenizer.token_info.pitch[token] >= 0]
    assert seen[0].tolist() == [list(primer[place - 3 : place]) for place in places]
    sampled(player, [Looking()], asked(1))
    assert {history.shape[1] for history in seen} == {3}


def test_a_sampler_sees_as_many_tokens_as_it_asks_for(player):
    @dataclass(frozen=True)
    class Looking:
        history: int

        def __call__(self, logits, context):
            assert context.history.shape[1] == 200
            return logits

    sampled(player, [Looking(200), Looking(7)], asked(1))
