"""Draws: the compiled function draws what NumPy draws, whatever the chain."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from composer.errors import BadModelFile
from composer.plugins.registry import registry
from composer.sampling import drawing
from composer.sampling.distribution import compute_exponentials
from composer.types import Context, Operation

CHAINS = {
    "nothing": [],
    "temperature": [("temperature", {"temperature": 0.8})],
    "top-k": [("top-k", {"k": 7})],
    "top-k of one": [("top-k", {"k": 1})],
    "top-p": [("top-p", {"p": 0.9})],
    "top-p of nearly nothing": [("top-p", {"p": 1e-9})],
    "top-p of everything": [("top-p", {"p": 1.0}), ("temperature", {"temperature": 100.0})],
    "min-p": [("min-p", {"p": 0.05})],
    "min-p of 0": [("min-p", {"p": 0.0})],
    "everything": [
        ("temperature", {"temperature": 1.3}),
        ("top-k", {"k": 40}),
        ("top-p", {"p": 0.8}),
        ("min-p", {"p": 0.01}),
        ("temperature", {"temperature": 0.5}),
    ],
}
"""Chains of logits processors that are described by operations."""

LOGITS = {
    "usual": lambda rng, shape: 3 * rng.normal(size=shape),
    "equal ones": lambda rng, shape: np.round(rng.normal(size=shape)),
    "all equal": lambda rng, shape: np.zeros(shape),
    "far apart": lambda rng, shape: 1000 * rng.normal(size=shape),
    "falling": lambda rng, shape: np.broadcast_to(np.linspace(0, -60, shape[1]), shape).copy(),
    "denormal": lambda rng, shape: 1e-42 * rng.normal(size=shape),
    "partly -inf": lambda rng, shape: np.where(rng.random(shape) < 0.3, -np.inf, rng.normal(size=shape)),
}


def links(name):
    return [registry().make("samplers", sampler, **options) for sampler, options in CHAINS[name]]


def cases(seed, kind, rows=5):
    """Logits, masks of grammar and constraints, uniforms and given tokens, for some vocabularies of odd sizes."""
    rng = np.random.default_rng(seed)
    for width in (1, 2, 3, 17, 64, 389):
        logits = LOGITS[kind](rng, (rows, width)).astype(np.float32)
        legal = rng.random((rows, width)) < 0.6
        allowed = legal & (rng.random((rows, width)) < 0.7)
        best = np.where(np.isfinite(logits), logits, -np.inf).argmax(axis=1)
        legal[np.arange(rows), best] = allowed[np.arange(rows), best] = True
        logits[np.arange(rows), best] = np.maximum(logits[np.arange(rows), best], -1e4)
        given = np.where(rng.random(rows) < 0.2, best, -1)
        yield logits, SimpleNamespace(allowed=allowed), legal, rng.random(rows), given


@pytest.fixture
def compiled():
    if drawing.load_choice() is None:
        pytest.skip("there is no C compiler here")


@pytest.mark.parametrize("kind", LOGITS)
@pytest.mark.parametrize("name", CHAINS)
def test_compiled_draws_are_those_of_numpy(compiled, name, kind):
    chain = links(name)
    draw = drawing.make_draw(chain)
    for seed in range(4):
        for logits, context, legal, uniforms, given in cases(seed, kind):
            for grammar in (None, legal):
                found = draw(logits, context, grammar, uniforms, given)
                wanted = drawing.draw_tokens(chain, logits, context, grammar, uniforms, given)
                assert found.tokens.tolist() == wanted.tokens.tolist()
                assert np.allclose(found.nats, wanted.nats, rtol=1e-12, atol=1e-12)


def test_a_row_is_drawn_alone_as_in_a_batch(compiled):
    draw = drawing.make_draw(links("everything"))
    for logits, context, legal, uniforms, given in cases(9, "usual"):
        together = draw(logits, context, legal, uniforms, given)
        for row in range(len(logits)):
            one = slice(row, row + 1)
            alone = draw(
                logits[one], SimpleNamespace(allowed=context.allowed[one]), legal[one], uniforms[one], given[one]
            )
            assert alone.tokens == together.tokens[one]
            assert alone.nats.tobytes() == together.nats[one].tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_without_probabilities_is_refused(value):
    logits = np.zeros((2, 5), dtype=np.float32)
    logits[1, 3] = value
    context = SimpleNamespace(allowed=np.ones((2, 5), dtype=bool))
    for chain in (links("top-p"), links("nothing"), [lambda logits, context: logits]):
        draw = drawing.make_draw(chain)
        with pytest.raises(BadModelFile, match="train it again"):
            draw(logits, context, None, np.array([0.5, 0.5]), np.array([-1, -1]))
        assert draw(logits, context, None, np.array([0.5, 0.5]), np.array([-1, 4])).tokens[1] == 4


def test_masks_that_do_not_fit_are_refused_before_c_reads_them(compiled):
    draw, uniforms, given = drawing.make_draw(links("nothing")), np.array([0.5]), np.array([-1])
    logits, fits = np.zeros((1, 5), dtype=np.float32), np.ones((1, 5), dtype=bool)
    for odd in (fits[:, :4], fits.astype(np.int64)):
        for allowed, legal in ((odd, None), (fits, odd)):
            with pytest.raises(ValueError, match="a mask has another shape"):
                draw(logits, SimpleNamespace(allowed=allowed), legal, uniforms, given)


def test_a_chain_with_a_link_that_is_not_described_is_drawn_by_numpy():
    described, foreign = links("top-p"), [*links("top-p"), lambda logits, context: logits]
    assert drawing.find_operations(described)
    assert drawing.find_operations(foreign) is None


def test_without_a_compiler_the_same_tokens_are_drawn(monkeypatch):
    chain = links("everything")
    found = [drawing.make_draw(chain)(*case).tokens.tolist() for case in cases(3, "usual")]
    monkeypatch.setattr(drawing, "load_choice", lambda: None)
    assert [drawing.make_draw(chain)(*case).tokens.tolist() for case in cases(3, "usual")] == found


def test_a_count_beyond_all_numbers_keeps_all_tokens(compiled):
    huge, none = drawing.make_draw([registry().make("samplers", "top-k", k=10**400)]), drawing.make_draw([])
    for case in cases(5, "usual"):
        assert huge(*case).tokens.tolist() == none(*case).tokens.tolist()


@pytest.mark.parametrize(
    ("kind", "value"), [("keep count", 0), ("keep count", -9), ("keep mass", 1.1), ("divide", np.nan), ("keep", 1)]
)
def test_an_operation_that_makes_no_sense_is_refused(kind, value):
    with pytest.raises(ValueError, match=f"there is no operation '{kind}' with the value {value}"):
        Operation(kind, value)


def test_exponentials_are_right_to_the_last_bits():
    values = -np.geomspace(1e-30, 86, 20_000).astype(np.float32)
    exact = np.exp(values.astype(np.float64))
    assert np.abs(compute_exponentials(values) / exact - 1).max() < 2e-7
    assert compute_exponentials(np.array([0, -88, -np.inf], np.float32)).tolist() == [1, 0, 0]


@pytest.mark.parametrize("is_constrained", [False, True])
@pytest.mark.parametrize("kind", LOGITS)
@pytest.mark.parametrize("chain", CHAINS)
def test_particles_are_drawn_in_c_as_by_numpy(chain, kind, is_constrained):
    rng = np.random.default_rng(5)
    for logits, context, legal, _, given in cases(3, kind):
        kept = context.allowed & (rng.random(legal.shape) < 0.7)
        rows = np.arange(len(legal))
        kept[rows, context.allowed.argmax(axis=1)] = True
        spared = given >= 0  # dead ends, where any legal token is drawn
        kept[spared] = legal[spared]
        context = Context(*[None] * 4, np.where(spared[:, None], False, context.allowed), None)
        at, uniforms = rng.integers(0, len(rows), 12), rng.random(12)
        told = (logits, context, legal if is_constrained else None, kept, spared, uniforms, at)
        with np.errstate(invalid="ignore"):
            quick = drawing.make_particle_draw(links(chain))(*told)
            plain = drawing.draw_particles(links(chain), *told)
        if plain.emptied is not None:
            continue  # where nothing but -inf is kept
        living = (np.isfinite(plain.share) & ~spared)[at]  # the others have no weight
        np.testing.assert_array_equal(quick.tokens[living], plain.tokens[living])
        np.testing.assert_array_equal(quick.nats[living], plain.nats[living])
        np.testing.assert_array_equal(quick.share[~spared], plain.share[~spared])


def test_particles_of_a_model_without_probabilities_are_refused():
    logits, all_of, none = np.zeros((2, 5), dtype=np.float32), np.ones((2, 5), dtype=bool), np.zeros(2, dtype=bool)
    logits[1, 2] = np.nan
    given = (Context(*[None] * 4, all_of, None), None, all_of, none, np.array([0.5]), np.array([0]))
    for draw in (drawing.make_particle_draw([]), partial(drawing.draw_particles, [])):
        with pytest.raises(BadModelFile, match="no probabilities"):
            draw(logits, *given)
