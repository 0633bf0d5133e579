"""The training loop: one for every architecture. It sees tokens and modules, and no music.

Everything that varies is passed in. The loop is resumed exactly: its position in the data is one number. A checkpoint,
always between two batches, holds the weights, the best so far, the optimiser, the random state and the sums.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import numpy as np

from composer.building import build_new_network
from composer.data.batches import IGNORED, Chunk, Stream
from composer.data.corpus import Corpus
from composer.devices import PRECISIONS, choose_device, keep_freed_memory, use_precision
from composer.errors import BadModelFile, BadOption, TrainingFailed, printable
from composer.fitting import Weights
from composer.plugins.options import get_values
from composer.training import checkpoints
from composer.training.callbacks import Listener, Notifier, Progress
from composer.training.distributed import ALONE, ProcessGroup
from composer.training.evaluation import compute_likelihood
from composer.training.methods import USUAL, Method, Parts
from composer.training.optimising import apply_gradient
from composer.training.state import Point, Run, Trained
from composer.types import Architecture, Objective, Tokenizer, Transform

if TYPE_CHECKING:
    import torch
    from torch import nn

REPORT_EVERY = 0.25
"""Seconds between two reports of progress."""


@dataclass(frozen=True)
class Settings:
    """Hyperparameters of a training; the defaults train a listenable model of the chorales on a laptop."""

    steps: Annotated[int, "updates of the weights, of about batch_size x chunk tokens each"] = 5000
    evaluations: Annotated[int, "validations on the way, evenly spread; the best weights are kept"] = 40
    batch_size: Annotated[int, "pieces side by side"] = 16
    chunk: Annotated[int, "tokens that a gradient reaches back"] = 128
    learning_rate: Annotated[float, "of the optimiser, at its highest"] = 3e-3
    average: Annotated[float, "share that the average of the weights, which is kept, holds on to at each step"] = 0.998
    clip: Annotated[float, "largest norm of a gradient"] = 1.0
    augment_share: Annotated[float, "share of the pieces that each augmentation changes; all are transposed"] = 0.5
    forget_labels: Annotated[float, "share of the pieces that come without a label, if the model has conditions"] = 0.1
    patience: Annotated[int, "stop after so many validations without a better one"] = 10
    seed: Annotated[int, "of the weights, the order and the dropout"] = 0
    device: Annotated[str, "auto, cpu, cuda, …"] = "auto"
    precision: Annotated[str, "auto, float32 or bfloat16"] = "auto"
    checkpoint_every: Annotated[float, "seconds between two checkpoints of a run that is kept"] = 300.0

    def __post_init__(self) -> None:
        """Raise BadOption for values out of range."""
        if min(self.steps, self.evaluations, self.batch_size, self.chunk, self.patience) < 1:
            raise BadOption("steps, evaluations, batch_size, chunk and patience must be at least 1.")
        if not (self.learning_rate > 0 and self.clip > 0):
            raise BadOption("learning_rate and clip must be positive.")
        if not 0 <= self.average < 1:
            raise BadOption("average must be at least 0 and less than 1.")
        if not 0 <= self.augment_share <= 1:
            raise BadOption("augment_share must be from 0 to 1.")
        if not 0 <= self.forget_labels <= 1:
            raise BadOption("forget_labels must be from 0 to 1.")
        if not self.checkpoint_every >= 0:
            raise BadOption("checkpoint_every must be at least 0 seconds.")
        if not 0 <= self.seed < 2**63:
            raise BadOption("seed must be from 0 to 2^63-1.")
        if self.precision not in PRECISIONS:
            raise BadOption(f"unknown precision '{self.precision}'; choose from {', '.join(PRECISIONS)}.")


FINETUNING = Settings(steps=600, evaluations=20, learning_rate=5e-4, average=0.99)
"""Defaults for finetuning: fewer and smaller steps, so that the model does not forget."""


def train(
    corpus: Corpus,
    tokenizer: Tokenizer,
    architecture: Architecture,
    settings: Settings = Settings(),
    method: Method = USUAL,
    *,
    beginning: Weights | None = None,
    listeners: Sequence[Listener] = (),
    folder: Path | None = None,
    processes: ProcessGroup = ALONE,
) -> Trained:
    """Train on a corpus by a method, and keep the weights with the best validation loss.

    `beginning` are weights of this architecture to start from, instead of random ones. With `folder`, the run is saved
    there after every validation and every `checkpoint_every` seconds, and resumed from its newest checkpoint. A run
    killed at any moment and resumed equals an uninterrupted one; on a CPU, bit for bit. KeyboardInterrupt and a loss of
    NaN end the run, and keep the best weights so far. Raises TrainingFailed if there are none, BadModelFile if the
    beginning does not fit. The processes of a group train as one; all must call this. All `listeners` are notified of
    each moment, in order; an exception in one of them ends the run.
    """
    import torch

    device, parts = choose_device(settings.device), method.make()
    keep_freed_memory()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        run = _start(corpus, tokenizer, architecture, settings, method, device, beginning)
        if folder is not None:
            checkpoints.load(run, folder, device)
        processes.broadcast_weights(run.step, (run.module, run.average))
        interrupted, failure = False, ""
        notifier = Notifier(listeners, lambda: copy_weights(run.average))
        try:
            _run(run, corpus, tokenizer, settings, parts, device, notifier, folder, processes)
        except KeyboardInterrupt:
            if run.best is None:
                raise TrainingFailed("the run was stopped before its first validation: nothing to keep.") from None
            interrupted = True
        except TrainingFailed as error:
            if run.best is None:
                raise
            failure = str(error)
        assert run.best is not None  # noqa: S101  (a run is validated at least once)
        with contextlib.suppress(KeyboardInterrupt):  # keep the model if a listener is interrupted now
            notifier.notify_end(run.best)
    parameters = sum(p.numel() for p in run.module.parameters())
    with use_precision(device, settings.precision):
        low = torch.is_autocast_enabled(device.type)
    precision = "bfloat16" if low else "float32"
    return Trained(run.best, tuple(run.history), parameters, interrupted, precision, device.type, failure)


def _start(
    corpus: Corpus,
    tokenizer: Tokenizer,
    architecture: Architecture,
    settings: Settings,
    method: Method,
    device: torch.device,
    beginning: Weights | None = None,
) -> Run:
    if beginning is None:
        columns, words = tokenizer.grammar.columns, len(tokenizer.vocabulary)
        module = build_new_network(architecture, columns, words, tokenizer.token_info)
    else:
        module = _load_beginning(architecture, tokenizer, beginning)
    module = module.to(device)
    options = {type(architecture).__name__: get_values(architecture)}
    about = {"settings": asdict(settings), "architecture": options, "music": corpus.folder.name}
    about["method"] = method.to_plain()
    if beginning is not None:
        about["beginning"] = _hash_weights(beginning)
    optimiser = method.make().optimiser

    def build(module: nn.Module) -> torch.optim.Optimizer:
        return optimiser.build(list(module.parameters()), settings.learning_rate)

    return Run(json.loads(json.dumps(about)), module, copy.deepcopy(module), build(module), build)


def _load_beginning(architecture: Architecture, tokenizer: Tokenizer, weights: Weights) -> nn.Module:
    from composer.building import build_network
    from composer.fitting import UnfitWeights

    try:
        columns, words = tokenizer.grammar.columns, len(tokenizer.vocabulary)
        return build_network(architecture, columns, words, weights, tokenizer.token_info)
    except UnfitWeights as error:
        raise BadModelFile(f"the weights to begin with do not fit ({printable(str(error), 240)}).") from error


def _hash_weights(weights: Weights) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, array in sorted(weights.items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _run(
    run: Run,
    corpus: Corpus,
    tokenizer: Tokenizer,
    settings: Settings,
    parts: Parts,
    device: torch.device,
    notifier: Notifier,
    folder: Path | None,
    processes: ProcessGroup,
) -> None:
    folder = folder if processes.leads else None
    saved, unseen = monotonic(), corpus.split("valid")
    stream = make_training_stream(corpus, tokenizer, settings, parts.augmentations)
    notes_per_token = float(corpus.notes[stream.pieces].sum() / stream.lengths.sum())
    meter = Meter(run, settings.steps, notes_per_token, parts.objective.unit)
    notifier.notify("start", _add_validation(run, meter.compute_progress(run.batch / stream.batches)))
    while run.step < settings.steps and not _is_exhausted(run, settings):
        meter = Meter(run, settings.steps, notes_per_token, parts.objective.unit)
        passed = run.step * settings.evaluations // settings.steps  # one batch may pass several
        until = min(settings.steps, (passed + 1) * settings.steps / settings.evaluations)
        while run.step < until:
            _train_batch(run, stream, settings, parts, device, meter, processes)
            if meter.is_due:
                notifier.notify("step", meter.compute_progress(run.batch / stream.batches))
            # At `until` comes the validation: a checkpoint before it would be taken for one after it.
            if folder is not None and run.step < until and monotonic() - saved >= settings.checkpoint_every:
                now = meter.compute_progress(run.batch / stream.batches)  # raises if the run is not worth saving
                saved = _save(run, folder, device, notifier, now)
        now = meter.compute_progress(run.batch / stream.batches)
        valid = processes.broadcast(lambda: compute_likelihood(run.average, corpus, tokenizer, unseen).nats_per_note)
        valid, weights = _check_finite(valid, run.step), copy_weights(run.average)
        meter.add_time()
        if run.best_point is None or valid < run.best_point.valid:
            run.best = weights
        run.history.append(Point(run.step, now.epoch, now.train, valid, run.seconds))
        run.nats, run.tokens = 0.0, 0
        now = _add_validation(run, replace(now, seconds=run.seconds))
        notifier.notify("validation", now)
        if folder is not None:
            saved = _save(run, folder, device, notifier, now)


def _save(run: Run, folder: Path, device: torch.device, notifier: Notifier, now: Progress) -> float:
    """Write a checkpoint, notify listeners, and return its time."""
    checkpoints.save(run, folder, device)
    saved = monotonic()
    notifier.notify("checkpoint", now)
    return saved


def _add_validation(run: Run, now: Progress) -> Progress:
    """Add the last validation to the progress, if there was one."""
    if not run.history:
        return now
    return replace(now, valid=run.history[-1].valid, best=min(point.valid for point in run.history))


def _check_finite(nats: float, step: int) -> float:
    if not math.isfinite(nats):
        raise TrainingFailed(f"the loss became NaN at step {step}; try a lower --learning-rate or --clip.")
    return nats


def make_training_stream(
    corpus: Corpus, tokenizer: Tokenizer, settings: Settings, augmentations: Sequence[Transform] = ()
) -> Stream:
    """Build the stream of batches that a run with these settings and augmentations sees."""
    return Stream(
        corpus,
        tokenizer,
        corpus.split("train"),
        batch_size=settings.batch_size,
        chunk=settings.chunk,
        augmentations=tuple(augmentations),
        augment_share=settings.augment_share,
        seed=settings.seed,
        forget=settings.forget_labels,
    )


def _is_exhausted(run: Run, settings: Settings) -> bool:
    best = run.best_point
    return best is not None and len(run.history) - 1 - run.history.index(best) >= settings.patience


def _train_batch(
    run: Run,
    stream: Stream,
    settings: Settings,
    parts: Parts,
    device: torch.device,
    meter: Meter,
    processes: ProcessGroup = ALONE,
) -> None:
    """Train on one batch of pieces: one update a chunk, with the state carried along, up to the last step."""
    run.module.train()
    processes.set_seed(settings.seed, run.batch)
    state: tuple[torch.Tensor, ...] | None = None
    for chunk in islice(stream.cut_chunks(run.batch), settings.steps - run.step):
        for group in run.optimiser.param_groups:
            group["lr"] = parts.schedule.compute_rate(run.step, settings.steps, settings.learning_rate)
        mine = processes.share(chunk)
        if state is not None:
            state = tuple(tensor.detach()[: mine.rows] for tensor in state)
        learnt = int(np.count_nonzero(chunk.targets != IGNORED))  # a chunk may hold nothing but ignored keys
        loss, state = _update(run, mine, max(1, learnt), state, settings, parts.objective, device, processes)
        run.step += 1
        _update_average(run, settings)
        meter.add(loss, chunk)
    run.batch += 1


def _update(
    run: Run,
    chunk: Chunk,
    tokens: int,
    state: tuple[torch.Tensor, ...] | None,
    settings: Settings,
    objective: Objective,
    device: torch.device,
    processes: ProcessGroup,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...] | None]:
    """Make one update. Return the loss per token of the whole batch, and the state after this process's shard."""
    import torch

    run.optimiser.zero_grad(set_to_none=True)
    loss = torch.zeros((), device=device)
    if len(chunk.inputs):
        inputs = torch.from_numpy(chunk.inputs).to(device, non_blocking=True)
        targets = torch.from_numpy(chunk.targets).to(device, non_blocking=True)
        with use_precision(device, settings.precision):
            logits, state = run.module(inputs, state)
        # Ignored positions are computed, as token 0, and left out: to select the others would copy their logits.
        losses = objective(logits.flatten(0, 1).float(), targets.flatten().clamp_min(0))
        loss = torch.where(targets.flatten() == IGNORED, 0.0, losses).sum() / tokens
        loss.backward()
    loss = processes.summed(loss, run.parameters)
    norm = torch.nn.utils.clip_grad_norm_(run.parameters, settings.clip)
    # A gradient of NaN is not applied; the loss becomes NaN, which the meter reports.
    sound = torch.isfinite(norm)
    apply_gradient(run.optimiser, sound)
    return torch.where(sound, loss.detach(), torch.nan), state


def _update_average(run: Run, settings: Settings) -> None:
    import torch

    held = min(settings.average, run.step / (run.step + 10))  # the first steps are soon forgotten
    with torch.no_grad():
        torch._foreach_lerp_(run.means, run.parameters, 1 - held)  # one kernel for all on a GPU


class Meter:
    """Sums losses on their device, so that no step waits for a GPU.

    The sums are the run's, and last from one validation to the next.
    """

    def __init__(self, run: Run, steps: int, notes_per_token: float, unit: str = "nats") -> None:
        self._run, self._steps, self._notes_per_token, self._unit = run, steps, notes_per_token, unit
        self._began = self._shown = self._ticked = monotonic()
        self._first_step, self._first_token = run.step, run.tokens

    def add(self, loss: torch.Tensor, chunk: Chunk) -> None:
        """Count one update."""
        tokens = int(np.count_nonzero(chunk.targets >= 0))
        self._run.nats = self._run.nats + loss * tokens
        self._run.tokens += tokens * chunk.scale

    @property
    def is_due(self) -> bool:
        """Whether the next report of progress is due."""
        return monotonic() - self._shown > REPORT_EVERY

    def add_time(self) -> None:
        """Add the time since the last tick to the run."""
        now = monotonic()
        self._run.seconds += now - self._ticked
        self._ticked = now

    def compute_progress(self, epoch: float) -> Progress:
        """Compute the progress. Raises TrainingFailed for NaN."""
        run = self._run
        nats = _check_finite(float(run.nats), run.step)
        self.add_time()
        self._shown = self._ticked
        passed = max(self._ticked - self._began, 1e-9)
        left = (self._steps - run.step) * passed / max(run.step - self._first_step, 1)
        rate = (run.tokens - self._first_token) / passed
        train = nats / max(run.tokens, 1) / self._notes_per_token
        return Progress(run.step, self._steps, epoch, rate, run.seconds, max(left, 0.0), train, unit=self._unit)


def copy_weights(module: nn.Module) -> Weights:
    """Copy a module's weights to NumPy arrays."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}
