"""Blocks of steps in C: the pieces of the plain loop, to the bit, and the plain loop where it is needed."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from composer.errors import BadModelFile
from composer.generation.continuation import add_primer
from composer.generation.generator import generate, make_samplers
from composer.generation.streaming import stream_tokens
from composer.request import Request, SamplerSpec
from composer.sampling import compiled_blocks, loop
from composer.tokens.jit.c_compiler import find_compiler
from composer.types import SupportsC

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")

CHAINS = {
    "nothing": {},
    "described": {"temperature": {"temperature": 1.2}, "top-k": {"k": 12}, "top-p": {"p": 0.9}, "min-p": {"p": 0.01}},
    "constraints": {"scale": {"scale": "C major"}, "polyphony": {"polyphony": 4}, "temperature": {"temperature": 0.9}},
    "with the last notes and tokens": {"no-repeat": {"n": 3}, "rhythm": {"rhythm": "1/8"}},
}


def ask(player, count, **wishes):
    return [player.resolve(Request(seed=2**64 - 5, index=index, bars=2, **wishes)) for index in range(count)]


def sample(player, samplers, requests, most=3, step=None):
    """All pieces and errors of a loop by their number, and how often Python called the step."""
    step, calls = step or player.get_step(requests[0]), []
    plain = type(step).__call__
    source = loop.make_source(requests)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(step), "__call__", lambda self, *given: (calls.append(1), plain(self, *given))[1])
        found = dict(loop.sample_each(step, player.writing, samplers, source, most))
    return found, len(calls)


def sample_plainly(*given, **options):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "make_compiled_blocks", lambda *_: None)
        return sample(*given, **options)


def check_same(found, wanted):
    assert found.keys() == wanted.keys()
    for number, piece in wanted.items():
        assert found[number].tokens.tolist() == piece.tokens.tolist()
        assert found[number] == replace(piece, tokens=found[number].tokens)


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
@pytest.mark.parametrize("count", [1, 7])
def test_pieces_are_those_of_the_plain_loop_and_no_step_is_pythons(player, chain, count):
    samplers = make_samplers([SamplerSpec(*link) for link in chain.items()])
    wanted, steps = sample_plainly(player, samplers, ask(player, count))
    found, called = sample(player, samplers, ask(player, count))
    check_same(found, wanted)
    assert called <= 0.2 * steps  # of pieces at a dead end alone


def test_primers_are_read_in_blocks_too(player, small_score):
    plain = ask(player, 2)
    requests = [
        plain[0],
        player.resolve(add_primer(player, Request(seed=8, bars=2), small_score("C5 D5 E5*2"))),
        plain[1],
    ]
    wanted, _ = sample_plainly(player, [], requests)
    found, called = sample(player, [], requests)
    check_same(found, wanted)
    assert not called


@dataclass(frozen=True)
class Stop:
    """A constraint: nothing of pitch after that beat, and so a dead end in a bar that has to go on."""

    beat: int

    def mask(self, context):
        pitched = context.token_info.pitch >= 0
        return ~((context.music.beat >= self.beat)[:, None] & pitched)


def test_a_piece_at_a_dead_end_goes_back_as_in_the_plain_loop(player):
    requests = ask(player, 6)
    wanted, steps = sample_plainly(player, [Stop(2)], requests)
    assert sum(piece.dead_ends for piece in wanted.values()) > 0
    found, called = sample(player, [Stop(2)], requests)
    check_same(found, wanted)
    assert called < steps


@pytest.mark.parametrize("name", ["mirostat", "repetition-penalty"])
def test_a_sampler_that_has_to_see_each_step_does(player, name):
    samplers = make_samplers([SamplerSpec(name, {"tau": 2.0} if name == "mirostat" else {"penalty": 1.5})])
    wanted, steps = sample_plainly(player, samplers, ask(player, 2))
    found, called = sample(player, samplers, ask(player, 2))
    check_same(found, wanted)
    assert called == steps


def test_a_model_without_probabilities_is_told_as_in_the_plain_loop(player):
    step = player.get_step(ask(player, 1)[0])
    assert isinstance(step, SupportsC)
    bias = {name: array for name, array in player.model.weights.items() if array.ndim == 1}
    broken = replace(
        player.model, weights={**player.model.weights, **{n: np.full_like(a, np.nan) for n, a in bias.items()}}
    )
    with pytest.raises(BadModelFile):
        generate(replace(player, model=broken), ask(player, 1))


def test_a_stream_computes_few_tokens_ahead(player, monkeypatch):
    taken, finish = [], compiled_blocks.CompiledBlocks._finish

    def watch(self, block, steps, *rest):
        taken.append(steps)
        return finish(self, block, steps, *rest)

    monkeypatch.setattr(compiled_blocks.CompiledBlocks, "_finish", watch)
    for read, _ in enumerate(stream_tokens(player, Request(seed=3, bars=8)), start=1):
        assert sum(taken) <= 2 * read
    assert max(taken) > 8
