"""Streaming: the piece that `generate` makes, while it is written, and in memory that does not grow."""

import tracemalloc
from dataclasses import dataclass
from itertools import islice, pairwise

import pytest

from composer.generation import generator, streaming
from composer.generation.composer import open_model
from composer.generation.generator import Generator, generate
from composer.music.score import compute_bars
from composer.request import Request, SamplerSpec
from composer.testing import make_random_model

PLAYERS = {
    name: Generator(make_random_model("gru", name, hidden_size=16, embedding_size=16))
    for name in ("voices", "remi", "frames")
}
PLAYERS |= {name: open_model(name) for name in ("chorales", "tunes")}
RANGE = SamplerSpec("range", {"range": "C3:C5"})


def piece_of(player, request):
    return generate(player, [request], redraws=0)[0].score


def notes_of(events):
    """(track, start, end, pitch, velocity) of events in their order, and what still sounds after them."""
    sounding, notes = {}, []
    for event in events:
        note = event.program, event.is_drum, event.track, event.pitch
        if event.velocity:
            sounding.setdefault(note, []).append(event)
        else:
            begun = sounding[note].pop(0)
            notes.append((note[:3], begun.tick, event.tick, event.pitch, begun.velocity))
    return sorted(notes), [event for begun in sounding.values() for event in begun]


@pytest.mark.uncounted
@pytest.mark.parametrize("chain", [(), (RANGE,)], ids=["free", "constrained"])
@pytest.mark.parametrize("name", PLAYERS)
def test_a_stream_is_the_piece_that_is_generated(name, chain):
    for seed in range(4):
        request = Request(seed=seed, bars=9, samplers=chain)
        score = piece_of(PLAYERS[name], request)
        heard = list(streaming.stream_bars(PLAYERS[name], request))
        notes, left = notes_of([event for bar in heard for event in bar.events])
        assert left == []
        assert notes == sorted(
            ((track.program, track.is_drum, track.name), s, s + d, p, v)
            for track in score.tracks
            for s, d, p, v in track.notes.tolist()
        )
        assert [bar.start for bar in heard] == compute_bars(score, score.length).starts[: len(heard)].tolist()


@pytest.mark.parametrize("name", PLAYERS)
def test_events_come_in_order_and_with_the_bar_in_which_they_fall(name):
    heard = list(streaming.stream_bars(PLAYERS[name], Request(seed=3, bars=12)))
    assert [bar.number for bar in heard] == list(range(len(heard)))
    assert all(one.end == other.start for one, other in pairwise(heard))
    for bar in heard:
        assert list(bar.events) == sorted(bar.events)
        assert all(bar.start <= event.tick < bar.end or bar is heard[-1] for event in bar.events)


@dataclass(frozen=True)
class NothingLate:
    """A constraint that leads into dead ends: no note from the third beat of a bar on."""

    def mask(self, context):
        return ~((context.music.beat >= 2)[:, None] & (context.token_info.pitch >= 0))


def test_the_tokens_are_those_of_the_piece_also_where_it_goes_back(monkeypatch):
    for module in (generator, streaming):
        monkeypatch.setattr(module, "make_samplers", lambda _: [NothingLate()])
    player, dead_ends = PLAYERS["voices"], 0
    for seed in range(3):
        request = Request(seed=seed, bars=4)
        (piece,) = generate(player, [request], redraws=0)
        dead_ends += piece.provenance["nats"].get("dead_ends", 0)
        assert player.tokenizer.decode(list(streaming.stream_tokens(player, request))) == piece.score
    assert dead_ends


def test_a_bar_is_there_before_the_next_is_written(monkeypatch):
    player, steps = PLAYERS["voices"], 0
    backend = player.get_step(player.resolve(Request()))

    def counting(inputs, state):
        nonlocal steps
        steps += 1
        return backend(inputs, state)

    monkeypatch.setattr(Generator, "get_step", lambda *_: counting)
    stream = streaming.stream_bars(player, Request(seed=1, bars=1_000_000))
    seen = [steps for _ in islice(stream, 5)]
    assert seen == sorted(set(seen))
    assert sum(1 for _ in streaming.stream_tokens(player, Request(seed=1, bars=5))) > seen[0]


@pytest.mark.uncounted
def test_memory_does_not_grow_with_the_bars():
    """What is kept is bounded: sampler's history, window of bars, a block of uniforms."""
    player = PLAYERS["voices"]
    stream = streaming.stream_bars(player, Request(seed=1, bars=1_000_000, samplers=(RANGE,)))
    tracemalloc.start()
    try:
        used = []
        for _ in range(3):
            for _ in islice(stream, 60):
                pass
            used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert used[2] - used[1] < 100_000
