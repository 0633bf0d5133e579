"""Particles: pieces follow the model's distribution given the notes, and the same piece comes in any company."""

from dataclasses import replace

import numpy as np
import pytest
from music import line, score

from composer.errors import NothingAllowed
from composer.plugins.registry import registry
from composer.request import Request
from composer.sampling.loop import sample
from composer.sampling.smc import Condition, compute_effective_sample_size, resample_systematically, sample_conditioned
from composer.tokens.vocabulary import EOS
from composer.types import Span

ALWAYS = 10**9
LITTLE = {"names": ("Upper", "Lower"), "steps_per_quarter": 1, "lowest": 60, "highest": 61, "time_signatures": ("2/4",)}


def toy_step(tokenizer, seed=0, size=12, strength=1.0):
    """A recurrent network with random weights, as a backend that treats each row by itself."""
    rng = np.random.default_rng(seed)
    tables = [rng.normal(size=(column.size, size)) for column in tokenizer.grammar.columns]
    inner = rng.normal(size=(size, size)) / np.sqrt(size)
    out = strength * rng.normal(size=(size, len(tokenizer.vocabulary))) / np.sqrt(size)

    def step(inputs, state):
        total = sum(table[inputs[:, c]] for c, table in enumerate(tables)) / len(tables)
        if state is not None:
            total = total + 2 * np.matmul(state[0][:, None], inner)[:, 0]
        hidden = np.tanh(2 * total)
        return np.matmul(hidden[:, None], out)[:, 0], (hidden,)

    return step


def log_softmax(logits):
    top = logits.max(axis=1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))


def enumerated(step, tokenizer, request, mask):
    """Every piece that keeps what is given, with its probability under the model within the grammar."""
    grammar, found = tokenizer.grammar, {}
    state, recurrent = grammar.start(request, 1), None
    before, chance = [()], np.zeros(1)
    while before:
        logits, recurrent = step(grammar.make_inputs(state), recurrent)
        allowed = grammar.mask(state)
        scores = log_softmax(np.where(allowed, logits, -np.inf))
        rows, tokens = np.nonzero(allowed & mask(state))
        chance = chance[rows] + scores[rows, tokens]
        before = [(*before[row], int(token)) for row, token in zip(rows, tokens, strict=True)]
        found |= {t: np.exp(c) for t, c in zip(before, chance, strict=True) if t[-1] == EOS}
        going = np.flatnonzero(tokens != EOS)
        state = grammar.advance(state[rows], tokens)[going]
        recurrent, chance = tuple(part[rows][going] for part in recurrent), chance[going]
        before = [before[i] for i in going]
    return found


@pytest.fixture(scope="module")
def little():
    """A model so small that all its pieces can be counted, with the lower voice given."""
    tokenizer = registry().make("tokenizers", "voices", **LITTLE)
    whole = score(line((60, 2), (61, 2)), line((60, 3), (61, 1)), metres=((0, 2, 4),))
    mask = tokenizer.grammar.fix_notes(tokenizer.decode(tokenizer.encode(whole)), [Span(0, ALWAYS, 1)])
    request = Request(bars=2, time_signature="2/4", key="C")
    step = toy_step(tokenizer)
    return step, tokenizer, request, mask, enumerated(step, tokenizer, request, mask)


def drawn(little, particles, count, settle=()):
    step, tokenizer, request, mask, _ = little
    wanted = [Condition(replace(request, index=index), mask, particles, settle) for index in range(count)]
    return sample_conditioned(step, tokenizer, [], wanted)


def chi_square(little, results):
    """How far the pieces are from the posterior, and how far 99.9 % of draws from it would be at most."""
    from scipy.stats import chi2

    posterior = little[-1]
    total = sum(posterior.values())
    expected = {tokens: len(results) * chance / total for tokens, chance in posterior.items()}
    counts = dict.fromkeys(posterior, 0)
    for result in results:
        counts[tuple(result.tokens.tolist())] += 1
    often = [tokens for tokens, share in expected.items() if share >= 5]
    rest = len(results) - sum(expected[t] for t in often), len(results) - sum(counts[t] for t in often)
    pairs = [*((expected[t], counts[t]) for t in often), rest]
    return sum((c - e) ** 2 / e for e, c in pairs), chi2.ppf(0.999, len(pairs) - 1)


@pytest.fixture(scope="module")
def many(little):
    return drawn(little, 64, 400)


def test_pieces_follow_the_posterior(little, many):
    found, limit = chi_square(little, many)
    assert found < limit


def test_forward_sampling_does_not_follow_it(little):
    """The test above can tell."""
    found, limit = chi_square(little, drawn(little, 1, 400))
    assert found > 2 * limit


def test_no_particle_is_punished_for_having_written_more_tokens(little, many):
    """The posterior is over pieces of many lengths in tokens, and so are the pieces that are drawn."""
    posterior = little[-1]
    lengths = np.array([len(tokens) for tokens in posterior])
    expected = (lengths * np.fromiter(posterior.values(), float)).sum() / sum(posterior.values())
    found = np.array([len(result.tokens) for result in many])
    assert len(set(lengths.tolist())) == 3
    assert abs(found.mean() - expected) < 4 * found.std() / np.sqrt(len(found))


@pytest.mark.parametrize(("particles", "settle"), [(1, ()), (4, ()), (4, (1,))], ids=str)
def test_the_estimate_of_the_normalising_constant_is_unbiased(little, particles, settle):
    estimates = np.exp([-result.fixed_nats for result in drawn(little, particles, 500, settle)])
    error = estimates.std() / np.sqrt(len(estimates))
    assert abs(estimates.mean() - sum(little[-1].values())) < 4 * error
    assert error < 0.1 * estimates.mean()


def test_more_particles_estimate_better(little):
    spread = [np.std([result.fixed_nats for result in drawn(little, count, 60)]) for count in (1, 8, 64)]
    assert spread[0] > 2 * spread[1] > 4 * spread[2]


class Watch:
    """A link that changes nothing and writes down where the rows are."""

    def __init__(self):
        self.places = []

    def __call__(self, logits, context):
        self.places.append(set(zip(context.music.bar.tolist(), context.music.beat.tolist(), strict=True)))
        return logits


def test_no_particle_of_a_piece_goes_on_before_all_have_reached_the_same_beat(little):
    step, tokenizer, request, mask, _ = little
    watch = Watch()
    sample_conditioned(step, tokenizer, [watch], [Condition(request, mask, 64)])
    assert all(len(places) == 1 for places in watch.places)
    order = [place for (place,) in watch.places]
    assert order == sorted(order)


def test_one_particle_with_nothing_given_is_plain_sampling(player):
    requests = [Request(seed=3, index=index, bars=2) for index in range(3)]
    step, tokenizer = player.get_step(player.resolve(requests[0])), player.tokenizer

    def free(state):
        return np.ones((len(state), len(tokenizer.vocabulary)), dtype=bool)

    plain = sample(step, tokenizer, [], requests)
    found = sample_conditioned(step, tokenizer, [], [Condition(request, free) for request in requests])
    for one, other in zip(plain, found, strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
        assert other.chain_nats == pytest.approx(one.chain_nats)
        assert other.fixed_nats == pytest.approx(0)


def test_constraints_that_no_particle_can_meet_are_named_with_the_bar(little):
    step, tokenizer, request, mask, _ = little

    class Nothing:
        def mask(self, context):
            return np.tile(context.token_info.pitch < 0, (len(context.step), 1)) & (context.music.bar < 1)[:, None]

    (found,) = sample_conditioned(step, tokenizer, [Nothing()], [Condition(request, mask, 8)])
    assert isinstance(found, NothingAllowed)
    assert str(found).startswith("in bar 2 Nothing leaves nothing that fits the fixed notes; loosen it, ")


# --- resampling -------------------------------------------------------------------------------------------------------


def test_effective_sample_size():
    assert compute_effective_sample_size(np.zeros(8)) == 8
    assert compute_effective_sample_size(np.array([0.0, -np.inf, -np.inf])) == 1
    assert compute_effective_sample_size(np.log([0.5, 0.5, 1e-300])) == pytest.approx(2)


@pytest.mark.parametrize("uniform", [0.0, 0.3, 1 - 2**-30])
def test_systematic_resampling_gives_each_its_share_rounded_up_or_down(uniform):
    weights = np.array([0.5, 0.0, 0.2, 0.05, 0.25, 0.0])
    with np.errstate(divide="ignore"):
        counts = np.bincount(resample_systematically(np.log(weights), uniform), minlength=6)
    assert counts.sum() == 6
    assert (counts >= np.floor(6 * weights)).all()
    assert (counts <= np.ceil(6 * weights)).all()
