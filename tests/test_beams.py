"""Beam search: the likeliest piece, the same in any company; grammar, constraints and logits processors hold."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from test_memory import Witness
from test_particles import LITTLE, enumerated, toy_step

from composer.errors import BadOption, NothingAllowed
from composer.generation import streaming
from composer.generation.composer import open_model
from composer.generation.continuation import encode_primer
from composer.generation.form_spec import Form
from composer.generation.generator import generate
from composer.generation.tasks import regenerate
from composer.plugins.registry import registry
from composer.request import Request, SamplerSpec
from composer.sampling.beams import search_each
from composer.sampling.loop import make_source
from composer.tokens.vocabulary import EOS


@pytest.fixture(scope="module")
def little():
    """A model so small that all its pieces of a bar can be counted."""
    tokenizer = registry().make("tokenizers", "voices", **LITTLE)
    return toy_step(tokenizer, strength=2.0), tokenizer


def searched(step, tokenizer, samplers, requests, most=64):
    found = dict(search_each(step, tokenizer, samplers, make_source(requests), most))
    return [found[number] for number in range(len(requests))]


def asked(beams, **wishes):
    return Request(**{"bars": 1, "time_signature": "2/4", "key": "C", "beams": beams, **wishes})


def count_all(little, request):
    step, tokenizer = little
    return enumerated(step, tokenizer, request, lambda state: np.ones((len(state), len(tokenizer.vocabulary)), bool))


def test_with_many_beams_the_likeliest_of_all_pieces_is_found(little):
    pieces = count_all(little, asked(1))
    assert len(pieces) > 200
    (found,) = searched(*little, [], [asked(1024)])
    assert tuple(found.tokens.tolist()) == max(pieces, key=pieces.get)
    assert found.chain_nats == found.model_nats == pytest.approx(-np.log(max(pieces.values())), abs=1e-5)


def test_the_likelihood_that_is_compared_is_that_of_the_whole_chain(little):
    """At this temperature every piece is about as likely as any other of its length, and so the shortest is."""
    hot = registry().make("samplers", "temperature", temperature=100.0)
    (found,) = searched(*little, [hot], [asked(1024)])
    assert len(found.tokens) == min(map(len, count_all(little, asked(1))))
    assert found.chain_nats > found.model_nats / 100


def test_one_beam_takes_the_likeliest_token_each_time(player):
    (found,) = searched(player.get_step(player.resolve(Request())), player.writing, [], [Request(bars=2, beams=1)])
    step, grammar = player.get_step(player.resolve(Request())), player.tokenizer.grammar
    state, recurrent, tokens = grammar.start(Request(bars=2), 1), None, []
    while not tokens or tokens[-1] != EOS:
        logits, recurrent = step(grammar.make_inputs(state), recurrent)
        tokens.append(int(np.where(grammar.mask(state), logits, -np.inf).argmax()))
        state = grammar.advance(state, np.array(tokens[-1:]))
    assert found.tokens.tolist() == tokens


def test_a_piece_is_the_same_alone_and_among_others(player):
    requests = [
        Request(beams=beams, bars=bars, key=key) for beams, bars, key in ((4, 2, "C"), (1, 3, None), (7, 1, "Am"))
    ]
    step = player.get_step(player.resolve(requests[0]))
    for chain in ([], [Witness(), registry().make("samplers", "notes-per-beat", notes=3.0)]):
        together = searched(step, player.writing, chain, [*requests, replace(requests[0], bars=None, most_bars=3)])
        for request, piece in zip(requests, together, strict=False):
            (alone,) = searched(step, player.writing, chain, [request])
            assert alone.tokens.tolist() == piece.tokens.tolist()
            assert alone == replace(piece, tokens=alone.tokens)


def test_of_equally_likely_beams_the_first_goes_on(little):
    """With all logits equal, one beam takes the lowest token each time."""
    tokenizer = little[1]

    def step(inputs, state):
        return np.zeros((len(inputs), len(tokenizer.vocabulary))), (np.zeros((len(inputs), 1)),)

    (found,) = searched(step, tokenizer, [], [asked(1)])
    state = tokenizer.grammar.start(asked(1), 1)
    for token in found.tokens:
        assert token == tokenizer.grammar.mask(state)[0].argmax()
        state = tokenizer.grammar.advance(state, np.array([token]))


@dataclass(frozen=True)
class NotAfter:
    """A constraint: after a first token, nothing in the second bar."""

    token: int
    history = 64

    def mask(self, context):
        dead = (context.history == self.token).any(axis=1) & (context.music.bar == 1)
        return np.repeat(~dead[:, None], context.allowed.shape[1], axis=1)


def test_beams_at_a_dead_end_are_dropped_and_others_go_on(little):
    step, tokenizer = little
    request = asked(1, bars=2, key=None)
    (greedy,) = searched(step, tokenizer, [], [request])
    key = next(token for token in greedy.tokens if tokenizer.token_info.key[token] >= 0)
    (lost,) = searched(step, tokenizer, [NotAfter(int(key))], [request])
    assert isinstance(lost, NothingAllowed)
    text = "in bar 2 NotAfter leaves nothing that could be written on the only beam; loosen it, take more beams"
    assert str(lost) == f"{text}, or sample."
    (found,) = searched(step, tokenizer, [NotAfter(int(key))], [replace(request, beams=12)])
    assert key not in found.tokens
    assert found.dead_ends > 0


def test_constraints_hold_for_new_notes_and_a_primer_stays(player, small_score):
    given = small_score("C5 D5*3", "C4*4")
    primer, ticks = encode_primer(player, given)
    chain = (SamplerSpec("pitch-range", {"range": "C4:E5"}), SamplerSpec("top-p", {"p": 0.9}))
    request = Request(bars=2, beams=4, primer=primer, primer_ticks=ticks, samplers=chain)
    (piece,) = generate(player, [request])
    own = [track.notes[track.notes["start"] < ticks]["pitch"].tolist() for track in piece.score.tracks]
    assert own == [*(track.notes["pitch"].tolist() for track in given.tracks), [], []]
    notes = np.concatenate([track.notes[track.notes["start"] >= ticks] for track in piece.score.tracks])
    assert len(notes)
    assert ((notes["pitch"] >= 60) & (notes["pitch"] <= 76)).all()


def test_constraints_that_contradict_each_other_are_refused(player):
    chain = (SamplerSpec("pitch-range", {"range": "C4:C4"}), SamplerSpec("scale", {"scale": "D major"}))
    with pytest.raises(BadOption, match="together leave no note"):
        generate(player, [Request(bars=2, beams=2, samplers=chain)])


def test_a_piece_of_any_length_is_compared_by_the_likelihood_of_a_token(little):
    other = toy_step(little[1], seed=2, strength=2.0), little[1]
    request = asked(1024, bars=None, most_bars=1)
    pieces = count_all(other, request)
    (found,) = searched(*other, [], [request])
    likeliest = max(pieces, key=pieces.get)
    best = max(pieces, key=lambda tokens: np.log(pieces[tokens]) / len(tokens))
    assert tuple(found.tokens.tolist()) == best != likeliest


def test_beams_go_by_no_seed_and_are_not_retried(monkeypatch):
    monkeypatch.setattr("composer.generation.degeneration.describe_loops", lambda *_: "one note 99 times in a row")
    model = open_model("chorales")
    one, other = (model.generate(bars=2, beams=3, seed=seed) for seed in (1, 2))
    assert one.score == other.score
    assert one.provenance["degenerate"]
    assert "redrawn" not in one.provenance
    assert regenerate(model, one.provenance).score == one.score
    assert one.provenance["request"]["beams"] == 3


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda model: model.generate(beams=0), "'beams' is 0, and must be a whole number from 1 to 1,024."),
        (
            lambda model: model.generate(beams=2, count=2),
            "'beams' find one piece, whatever its seed and index; ask for one.",
        ),
        (lambda model: model.generate(beams=2, bars=2, form="AB"), "beams write new music, or continue a primer"),
        (lambda _: Form.parse(Request(beams=2), "AB"), "around fixed notes and in forms there are particles."),
        (lambda model: list(streaming.stream_bars(model, Request(beams=2))), "leave them out to stream"),
    ],
)
def test_what_does_not_go_with_beams_is_refused_in_a_sentence(make, said):
    with pytest.raises(BadOption, match=said):
        make(open_model("chorales"))


def test_the_command_line_and_jobs_take_beams(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("generate", "best.mid", "--model", "tunes", "--bars", "2", "--beams", "4").status == 0
    assert (tmp_path / "best.mid").is_file()
    refused = run("generate", "out", "--model", "tunes", "--count", "2", "--beams", "4")
    assert refused.status == 2
    assert "'beams' find one piece" in refused.err
    (tmp_path / "jobs.toml").write_text('[[job]]\nmodel = "tunes"\nbars = 2\nbeams = [2, 4]\nfile = "{beams}"\n')
    assert run("batch", "jobs.toml", "--out", "pieces").status == 0
    assert sorted(path.name for path in tmp_path.glob("pieces/**/*.mid")) == ["2.mid", "4.mid"]
    (tmp_path / "jobs.toml").write_text("[[job]]\nbeams = 2\ncount = 3\n")
    assert "line 2: 'beams' find one piece" in run("batch", "jobs.toml", "--out", "others").err
