"""Training: it learns, it stops and goes on exactly, and no piece leaks into another."""

import contextlib
import errno
import shutil
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from walks import Walks

from composer.data.batches import Stream
from composer.data.corpus import build
from composer.errors import BadModelFile, BadOption, CannotWrite, RunWarning, TrainingFailed
from composer.plugins.registry import registry
from composer.request import Request, Spec
from composer.tokens.vocabulary import BOS
from composer.training import loop
from composer.training.evaluation import compute_likelihood, compute_piece_nats, evaluate
from composer.training.loop import Settings, make_training_stream
from composer.training.methods import Method

SETTINGS = Settings(steps=48, evaluations=6, batch_size=4, chunk=32, learning_rate=0.02, device="cpu")
METHOD = Method(augmentations=(Spec("transpose", {"reach": 3}),))
STILL = Method(optimiser=Spec("adamw", {"weight_decay": 0.0}), augmentations=())


def train(corpus, tokenizer, architecture, settings, method=METHOD, **options):
    return loop.train(corpus, tokenizer, architecture, settings, method, **options)


@pytest.fixture(scope="module")
def gru():
    """A small architecture with dropout, so that random numbers matter."""
    return registry().make("architectures", "gru", hidden_size=12, layers=1, embedding_size=12, dropout=0.2)


@pytest.fixture(scope="module")
def trained(corpus, tokenizer, gru):
    """An uninterrupted run."""
    return train(corpus, tokenizer, gru, SETTINGS)


def stop_at(validation, error):
    """A listener that raises `error` at that validation, counted from 1."""
    seen = []

    def listen(moment):
        if moment.event == "validation":
            seen.append(moment)
            if len(seen) == validation:
                raise error

    return listen


def course(found):
    """The history without its times."""
    return [replace(point, seconds=0) for point in found.history]


def equal(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


# --- learning ---------------------------------------------------------------------------------------------------------


def test_the_loss_falls(trained):
    assert trained.history[-1].train < 0.85 * trained.history[0].train
    assert trained.best.valid < trained.history[0].valid
    assert not trained.interrupted


def test_the_weights_kept_are_those_of_the_best_validation(trained, corpus, tokenizer, gru):
    import torch

    module = gru.build_module([column.size for column in tokenizer.grammar.columns], len(tokenizer.vocabulary))
    module.load_state_dict({name: torch.from_numpy(array) for name, array in trained.weights.items()})
    found = compute_likelihood(module, corpus, tokenizer, corpus.split("valid"))
    assert found.nats_per_note == trained.best.valid == min(point.valid for point in trained.history)


@pytest.mark.machine
def test_the_same_seed_gives_the_same_weights(trained, corpus, tokenizer, gru):
    short = replace(SETTINGS, evaluations=1)
    once, again = (train(corpus, tokenizer, gru, short) for _ in range(2))
    assert equal(once.weights, again.weights)
    assert not equal(train(corpus, tokenizer, gru, replace(short, seed=1)).weights, once.weights)


def test_training_leaves_torchs_random_numbers_alone(corpus, tokenizer, gru):
    import torch

    before = torch.get_rng_state()
    train(corpus, tokenizer, gru, replace(SETTINGS, steps=1, evaluations=1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("steps", "evaluations", "chunk"), [(40, 5, 32), (120, 60, 8), (12, 40, 32), (1, 1, 32)])
def test_every_validation_follows_an_update(corpus, tokenizer, gru, steps, evaluations, chunk):
    settings = replace(SETTINGS, steps=steps, evaluations=evaluations, chunk=chunk, patience=1000)
    at = [point.step for point in train(corpus, tokenizer, gru, settings).history]
    assert at == sorted(set(at))
    assert at[-1] == steps
    assert len(at) <= evaluations


def test_a_run_without_progress_is_stopped(corpus, tokenizer, gru):
    still = replace(SETTINGS, learning_rate=1e-30, patience=2)
    assert len(train(corpus, tokenizer, gru, still, STILL).history) == 3


def test_progress_is_reported(corpus, tokenizer, gru):
    told = []
    found = train(corpus, tokenizer, gru, SETTINGS, listeners=[told.append])
    validated = [moment.progress for moment in told if moment.event == "validation"]
    assert [progress.step for progress in validated] == [point.step for point in found.history]
    assert validated[-1].best == found.best.valid
    assert all(moment.progress.steps == 48 for moment in told)
    assert all(moment.progress.tokens_per_second > 0 for moment in told[1:])
    assert (told[0].event, told[-1].event) == ("start", "end")
    assert equal(told[-1].weights(), found.weights)


@pytest.mark.parametrize("chunk", [1, 2])
def test_a_chunk_in_which_nothing_is_to_be_learnt_does_no_harm(corpus, tokenizer, gru, chunk):
    settings = replace(SETTINGS, chunk=chunk, batch_size=1, steps=60, evaluations=1)
    assert np.isfinite(train(corpus, tokenizer, gru, settings).best.valid)


def test_a_learning_rate_beyond_reason_fails_in_a_sentence(corpus, tokenizer, gru):
    with pytest.raises(TrainingFailed, match=r"NaN at step \d+; try a lower --learning-rate"):
        train(corpus, tokenizer, gru, replace(SETTINGS, learning_rate=1e9))


def test_a_validation_that_is_no_number_fails_in_a_sentence(corpus, tokenizer, gru, monkeypatch):
    broken = SimpleNamespace(nats_per_note=float("nan"))
    monkeypatch.setattr("composer.training.loop.compute_likelihood", lambda *_: broken)
    with pytest.raises(TrainingFailed, match="NaN at step 8"):
        train(corpus, tokenizer, gru, SETTINGS)


@dataclass(frozen=True)
class Poisoned:
    """An architecture of which one gradient, at that update, is no number, though the loss is one."""

    inner: Any
    at: int
    poison: float

    def build_module(self, column_sizes, vocabulary_size):
        module = self.inner.build_module(column_sizes, vocabulary_size)
        updates = iter(range(10_000))
        next(module.parameters()).register_hook(
            lambda gradient: gradient * (self.poison if next(updates) == self.at else 1)
        )
        return module


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("update", [0, 20])
def test_a_gradient_that_is_no_number_reaches_no_weight(corpus, tokenizer, gru, trained, monkeypatch, poison, update):
    import torch

    runs = []

    def start(*arguments):
        runs.append(begin(*arguments))
        return runs[0]

    begin = loop._start
    monkeypatch.setattr(loop, "_start", start)
    if update == 0:
        with pytest.raises(TrainingFailed, match=r"NaN at step \d+; try a lower --learning-rate"):
            train(corpus, tokenizer, Poisoned(gru, update, poison), SETTINGS)
    else:
        found = train(corpus, tokenizer, Poisoned(gru, update, poison), SETTINGS)
        assert "became NaN" in found.failure
        assert 0 < len(found.history) < len(trained.history)
        assert course(found) == course(trained)[: len(found.history)]
        assert all(np.isfinite(array).all() for array in found.weights.values())
    (run,) = runs
    state = [value for part in run.optimiser.state_dict()["state"].values() for value in part.values()]
    for tensor in (*run.module.state_dict().values(), *run.average.state_dict().values(), *state):
        assert torch.isfinite(tensor).all()


def test_a_run_that_fails_keeps_the_best_so_far(corpus, tokenizer, gru, trained):
    failed = train(corpus, tokenizer, Poisoned(gru, 20, float("nan")), SETTINGS)
    stopped = train(corpus, tokenizer, gru, SETTINGS, listeners=[stop_at(len(failed.history), KeyboardInterrupt())])
    assert equal(failed.weights, stopped.weights)
    assert not failed.interrupted


def test_the_rate_rises_and_falls():
    cosine = Method(schedule=Spec("cosine", {"warmup": 0.1})).make().schedule
    rates = [cosine.compute_rate(step, 1000, 0.5) for step in range(1001)]
    assert rates[0] == pytest.approx(0.005)
    assert max(rates) == rates[100] == 0.5
    assert rates[:101] == sorted(rates[:101])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[1000] == pytest.approx(0.005)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_what_is_kept_is_the_average_of_the_weights_over_the_steps(corpus, tokenizer, gru, monkeypatch, average):
    short = replace(SETTINGS, average=average, steps=24, evaluations=1)
    seen = []

    def note(run, settings):
        if not seen:
            seen.append(loop.copy_weights(run.average))  # before the first step
        update(run, settings)
        seen.append(loop.copy_weights(run.module))

    update = loop._update_average
    monkeypatch.setattr(loop, "_update_average", note)
    kept = train(corpus, tokenizer, gru, short).weights
    for name in kept:
        mean = seen[0][name]
        for step, weights in enumerate(seen[1:], 1):
            held = min(average, step / (step + 10))  # the first steps are soon forgotten
            mean = held * mean + (1 - held) * weights[name]
        assert kept[name] == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"evaluations": 0},
        {"batch_size": 0},
        {"chunk": 0},
        {"patience": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"clip": -1.0},
        {"average": 1.0},
        {"augment_share": 1.5},
        {"seed": -1},
        {"precision": "float8"},
        {"checkpoint_every": -1.0},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(BadOption, match=next(iter(wrong))):
        Settings(**wrong)


@pytest.mark.parametrize("device", ["cuda:99", "nowhere", "meta"])
def test_a_device_that_is_not_here_is_refused(corpus, tokenizer, gru, device):
    with pytest.raises(BadOption, match=f"there is no device '{device}' here"):
        train(corpus, tokenizer, gru, replace(SETTINGS, device=device))


# --- stopping and going on --------------------------------------------------------------------------------------------


@pytest.mark.machine
@pytest.mark.parametrize("validation", [2, 4, 6])
@pytest.mark.parametrize("error", [RuntimeError("power cut"), KeyboardInterrupt()], ids=["killed", "interrupted"])
def test_a_run_that_was_stopped_goes_on_to_the_bit(corpus, tokenizer, gru, trained, tmp_path, validation, error):
    with contextlib.suppress(RuntimeError):
        train(corpus, tokenizer, gru, SETTINGS, listeners=[stop_at(validation, error)], folder=tmp_path)
    resumed = train(corpus, tokenizer, gru, SETTINGS, folder=tmp_path)
    assert equal(resumed.weights, trained.weights)
    assert course(resumed) == course(trained)


@pytest.mark.parametrize("batch", [1, 2, 5, 8])
def test_a_run_goes_on_from_between_two_validations(corpus, tokenizer, gru, trained, tmp_path, monkeypatch, batch):
    steady = replace(SETTINGS, checkpoint_every=0.0)
    done = []

    def stop(run, *arguments):
        if len(done) == batch:
            raise RuntimeError("power cut")
        done.append(run.step)
        return one_batch(run, *arguments)

    one_batch = loop._train_batch
    with monkeypatch.context() as broken:
        broken.setattr(loop, "_train_batch", stop)
        with pytest.raises(RuntimeError, match="power cut"):
            train(corpus, tokenizer, gru, steady, folder=tmp_path)
    resumed = train(corpus, tokenizer, gru, steady, folder=tmp_path)
    assert equal(resumed.weights, trained.weights)
    assert course(resumed) == course(trained)


def test_a_run_that_is_over_is_not_gone_on_with(corpus, tokenizer, gru, trained, tmp_path):
    told = []
    train(corpus, tokenizer, gru, SETTINGS, folder=tmp_path)
    again = train(corpus, tokenizer, gru, SETTINGS, folder=tmp_path, listeners=[told.append])
    assert equal(again.weights, trained.weights)
    assert [moment.event for moment in told] == ["start", "end"]


def steps_in(folder):
    return sorted(int(path.stem.removeprefix("step-")) for path in folder.glob("*.checkpoint"))


def test_the_last_two_checkpoints_are_kept(corpus, tokenizer, gru, trained, tmp_path):
    train(corpus, tokenizer, gru, SETTINGS, folder=tmp_path)
    assert steps_in(tmp_path) == [point.step for point in trained.history[-2:]]
    assert len(list(tmp_path.iterdir())) == 2


def test_an_interrupted_run_keeps_the_best_so_far(corpus, tokenizer, gru, trained):
    found = train(corpus, tokenizer, gru, SETTINGS, listeners=[stop_at(3, KeyboardInterrupt())])
    assert found.interrupted
    assert course(found) == course(trained)[:3]
    assert found.best == min(found.history, key=lambda point: point.valid)


def test_a_run_interrupted_before_its_first_validation_has_nothing_to_keep(corpus, tokenizer, gru, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("composer.training.loop.compute_likelihood", stop)
    with pytest.raises(TrainingFailed, match="before its first validation"):
        train(corpus, tokenizer, gru, SETTINGS)


@pytest.fixture
def begun(corpus, tokenizer, gru, tmp_path):
    """The folder of a run that was stopped at its fourth validation."""
    folder = tmp_path / "run"
    folder.mkdir()
    train(corpus, tokenizer, gru, SETTINGS, listeners=[stop_at(4, KeyboardInterrupt())], folder=folder)
    return folder


def cut(part):
    return lambda content: content[: part if isinstance(part, int) else int(part * len(content))]


def turn_a_bit(content):
    place = int(len(content) * 0.7)
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGES = {
    "empty": cut(0),
    "five bytes": cut(5),
    "header": cut(100),
    "half": cut(0.5),
    "end": cut(0.99),
    "bit": turn_a_bit,
    "zeros": lambda content: bytes(len(content)),
    "text": lambda content: b"not a checkpoint",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_of_a_damaged_checkpoint_the_one_before_is_taken(corpus, tokenizer, gru, trained, begun, damage):
    newest = begun / f"step-{steps_in(begun)[-1]:06d}.checkpoint"
    newest.write_bytes(DAMAGES[damage](newest.read_bytes()))
    with pytest.warns(
        RunWarning, match=rf"{newest.name}: is damaged .* The one before it, step-\d+.checkpoint, is taken."
    ):
        resumed = train(corpus, tokenizer, gru, SETTINGS, folder=begun)
    assert equal(resumed.weights, trained.weights)
    assert course(resumed) == course(trained)


@pytest.mark.parametrize("damage", DAMAGES)
def test_if_all_checkpoints_are_damaged_that_is_said(corpus, tokenizer, gru, begun, damage):
    for path in begun.iterdir():
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(BadModelFile, match=r"step-\d+\.checkpoint: is damaged .* Delete it to start anew\."):
        train(corpus, tokenizer, gru, SETTINGS, folder=begun)


def test_a_model_file_is_no_checkpoint(corpus, tokenizer, gru, model_file, tmp_path):
    shutil.copy(model_file, tmp_path / "step-000008.checkpoint")
    with pytest.raises(BadModelFile, match="is damaged"):
        train(corpus, tokenizer, gru, SETTINGS, folder=tmp_path)


def test_a_checkpoint_of_another_run_is_refused(corpus, tokenizer, gru, begun, tmp_path):
    before = {path: path.read_bytes() for path in begun.iterdir()}
    other_music = build(Walks(seed=2), tokenizer, cache=tmp_path, workers=1)
    for others in (
        (corpus, gru, replace(SETTINGS, seed=3)),
        (corpus, replace(gru, dropout=0.5), SETTINGS),
        (corpus, replace(gru, hidden_size=13), SETTINGS),
        (other_music, gru, SETTINGS),
    ):
        with pytest.raises(BadModelFile, match=r"was begun with other .*; delete it to start anew"):
            train(others[0], tokenizer, others[1], others[2], folder=begun)
    assert {path: path.read_bytes() for path in begun.iterdir()} == before


def test_a_full_disk_stops_the_run_and_leaves_the_checkpoints_before(
    corpus, tokenizer, gru, trained, tmp_path, monkeypatch
):
    written = []

    def fail(place):
        written.append(place)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("os.fsync", fail)
        with pytest.raises(CannotWrite) as caught:
            train(corpus, tokenizer, gru, SETTINGS, folder=tmp_path)
    second = f"step-{trained.history[1].step:06d}.checkpoint"
    assert str(caught.value).endswith(
        f": cannot be written (No space left on device). {second} is whole: make room, and go on with --resume."
    )
    assert steps_in(tmp_path) == [point.step for point in trained.history[:2]]
    assert len(list(tmp_path.iterdir())) == 2
    assert equal(train(corpus, tokenizer, gru, SETTINGS, folder=tmp_path).weights, trained.weights)


# --- no leaks ---------------------------------------------------------------------------------------------------------


@dataclass
class Call:
    """One run of the module over a chunk while it trains."""

    state: Any
    logits: Any
    after: Any


@dataclass(frozen=True)
class Watched:
    """An architecture that writes down what its module is given and gives back."""

    inner: Any
    calls: list[Call] = field(default_factory=list, compare=False)

    def build_module(self, column_sizes, vocabulary_size):
        module = self.inner.build_module(column_sizes, vocabulary_size)
        module.register_forward_hook(self._watch)
        return module

    def _watch(self, module, given, found):
        if module.training:
            self.calls.append(Call(given[1], found[0].detach().clone(), [part.detach().clone() for part in found[1]]))


@pytest.fixture
def still(lstm):
    """Settings under which no weight moves, and an architecture that is watched."""
    return replace(SETTINGS, steps=12, evaluations=1, learning_rate=1e-30), Watched(lstm)


def chunk_rows(corpus, tokenizer, settings, batches):
    """For each batch, the `rows` of its chunks."""
    stream = make_training_stream(corpus, tokenizer, settings)
    return [[chunk.rows for chunk in stream.cut_chunks(number)] for number in range(batches)]


def test_the_state_goes_from_chunk_to_chunk_and_never_from_batch_to_batch(corpus, tokenizer, still):
    import torch

    settings, watched = still
    train(corpus, tokenizer, watched, settings, STILL)
    rows = [rows for batch in chunk_rows(corpus, tokenizer, settings, 3) for rows in batch]
    before = None
    for call, going_on in zip(watched.calls, rows, strict=False):
        if going_on is None:
            assert call.state is None
        else:
            assert all(torch.equal(now, then[:going_on]) for now, then in zip(call.state, before.after, strict=True))
            assert not any(part.requires_grad for part in call.state)
        before = call


def test_a_batch_is_not_touched_by_the_music_of_the_batch_before(corpus, tokenizer, still, tmp_path):
    import torch

    settings, watched = still
    stream = make_training_stream(corpus, tokenizer, settings)
    first = tuple(int(piece) for piece in stream.pieces[stream.select_batch(0)])
    other = build(Walks(moved=first), tokenizer, cache=tmp_path, workers=1)
    elsewhere = Watched(watched.inner)
    train(corpus, tokenizer, watched, settings, STILL)
    train(other, tokenizer, elsewhere, settings, STILL)
    chunks, following = map(len, chunk_rows(corpus, tokenizer, settings, 2))
    same = [torch.equal(a.logits, b.logits) for a, b in zip(watched.calls, elsewhere.calls, strict=True)]
    assert not any(same[:chunks])
    assert all(same[chunks : chunks + following])


# --- likelihood -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def module(player):
    return player.model.make_module()


@pytest.fixture
def _in_short_chunks(monkeypatch):
    """Pieces of these tests are short; so are the chunks in which they are evaluated, then."""
    monkeypatch.setattr(
        "composer.training.evaluation.Stream", lambda *those, **__: Stream(*those, batch_size=5, chunk=16)
    )


@pytest.mark.machine
@pytest.mark.usefixtures("_in_short_chunks")
def test_a_piece_is_as_likely_in_a_batch_as_alone(module, corpus, tokenizer):
    pieces = corpus.split("train")
    together = compute_piece_nats(module, corpus, tokenizer, pieces)
    alone = [compute_piece_nats(module, corpus, tokenizer, pieces[n : n + 1])[0] for n in range(len(pieces))]
    assert together == pytest.approx(np.array(alone), rel=1e-5)


@pytest.mark.machine
@pytest.mark.usefixtures("_in_short_chunks")
@pytest.mark.parametrize("masked", [False, True])
def test_a_likelihood_is_that_of_every_token_of_the_piece(module, corpus, tokenizer, masked):
    import torch

    grammar, state, hidden, expected = tokenizer.grammar, tokenizer.grammar.start(Request(), 1), None, 0.0
    with torch.no_grad():
        for token in corpus.read_piece(5):
            logits, hidden = module(torch.from_numpy(grammar.make_inputs(state))[:, None], hidden)
            allowed = torch.from_numpy(grammar.mask(state)) if masked else torch.ones_like(logits[0], dtype=bool)
            expected -= float(torch.log_softmax(torch.where(allowed, logits[0], -torch.inf), -1)[0, token])
            state = grammar.advance(state, np.array([token]))
    found = compute_likelihood(module, corpus, tokenizer, np.array([5]), masked=masked)
    assert found.nats == pytest.approx(expected, rel=1e-5)
    assert found.nats_per_note == pytest.approx(expected / corpus.notes[5], rel=1e-5)
    assert found.nats_per_beat == pytest.approx(expected / corpus.beats[5], rel=1e-5)


def test_the_first_input_is_the_beginning_of_a_piece(corpus):
    assert (corpus.inputs[corpus.offsets[:-1], 0] == BOS).all()


def test_the_grammar_only_ever_helps(module, corpus, tokenizer):
    pieces = corpus.split("train")
    free, masked = (compute_piece_nats(module, corpus, tokenizer, pieces, masked=mask) for mask in (False, True))
    assert (masked < free).all()


def drawing(probabilities):
    """A module that gives every token the same probabilities, whatever came before."""
    import torch

    class Drawing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.logits = torch.nn.Parameter(torch.tensor(probabilities, dtype=torch.float64).log())

        def forward(self, inputs, state=None):
            return self.logits.expand(*inputs.shape[:2], -1), ()

    return Drawing()


class Cells:
    """A tokenizer of which `2` begins a frame, `3` goes on with it, and all before the first frame is heading."""

    token_info = SimpleNamespace(kind=np.array(["BOS", "EOS", "Begin", "More", "Heading"]), pitch=np.full(5, -1))

    def assign_frames(self, tokens):
        return np.where(tokens == 1, -1, np.cumsum(tokens == 2) - 1)


def pieces_of(*sequences):
    """A corpus of these pieces, with a note and two beats each."""
    tokens = np.concatenate(sequences)
    return SimpleNamespace(
        tokens=tokens,
        inputs=np.zeros((len(tokens), 1), dtype=np.uint16),
        offsets=np.concatenate([[0], np.cumsum(list(map(len, sequences)))]),
        notes=np.ones(len(sequences), dtype=np.int64),
        beats=np.full(len(sequences), 2.0),
        unit="",
        read_piece=lambda number: np.array(sequences[number]),
    )


def test_nats_per_frame_are_of_every_frame_but_the_first_of_each_piece():
    module = drawing([0.1, 0.1, 0.2, 0.5, 0.1])
    corpus = pieces_of(
        [4, 2, 3, 3, 2, 3, 2, 1],  # frames of three, two and one tokens: two begin and one goes on after the first
        [4, 4, 2, 3, 1],  # a single frame: nothing to score
        [2, 2, 3, 3, 3, 1],  # one frame is scored: one begins and three go on
    )
    found = compute_likelihood(module, corpus, Cells(), np.arange(3))
    begin, more = -np.log([0.2, 0.5])
    assert found.frames == 3
    assert found.nats_per_frame == pytest.approx((3 * begin + 4 * more) / 3)
    assert found.nats == pytest.approx(6 * begin + 7 * more - 6 * np.log(0.1))
    assert compute_likelihood(module, corpus, Cells(), np.array([2])).nats_per_frame == pytest.approx(begin + 3 * more)
    assert {"nats_per_frame", "frames"} <= found.list_figures().keys()


def test_a_piece_longer_than_any_that_is_asked_for_is_within_the_grammar():
    tokenizer = registry().make("tokenizers", "frames", lowest=60, highest=60, most_notes=1, shown=1)
    beats = 4 * Request().most_bars + 3
    corpus = pieces_of([tokenizer.vocabulary.index(token) for token in (["Pitch_60", "Frame_None"] * beats)] + [1])
    masked = compute_likelihood(drawing([0.25] * 4), corpus, tokenizer, np.arange(1), masked=True)
    assert masked.frames == beats - 1
    assert masked.nats_per_frame == pytest.approx(np.log(3))  # a note, silence or the end; then nothing but the frame's


def test_a_tokenizer_without_frames_has_no_figure_for_them(module, corpus, tokenizer):
    found = compute_likelihood(module, corpus, tokenizer, corpus.split("test"))
    assert found.nats_per_frame is None
    assert "nats_per_frame" not in found.list_figures()


def test_an_evaluation_leaves_a_module_in_training_as_it_was(module, corpus, tokenizer):
    module.train()
    found = evaluate(module, corpus, tokenizer, "valid")
    assert module.training
    module.eval()
    assert evaluate(module, corpus, tokenizer, "valid") == found
    assert found["pieces"] == found["masked"]["pieces"] == len(corpus.split("valid"))
    assert found["masked"]["nats_per_note"] < found["nats_per_note"]
