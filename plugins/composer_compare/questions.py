"""The questions of an experiment, and the change that each makes to the compared run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from composer.errors import BadOption, printable, suggest
from composer.plugins.registry import registry
from composer_compare.spec import DROPOUT, Candidate

if TYPE_CHECKING:
    from composer_compare.plan import ExperimentRun

Change = Callable[["ExperimentRun", Candidate, float], "ExperimentRun | None"]
"""The change to the compared run at one of the levels; None for an architecture that cannot take part."""


@dataclass(frozen=True)
class Ablation:
    """A question, its levels, and the length of its runs relative to the compared ones."""

    about: str
    run: Change
    levels: tuple[float, ...] = (1.0,)
    length: float = 1.0
    seconds: float = 0.0  # of a run, if independent of the experiment
    after: bool = False  # whether it needs the model of the compared run


def set_option(contender: Candidate, option: str, value: Any) -> Candidate | None:
    """Set an option of the candidate; None if it has no such option."""
    known = {found.name for found in registry().get_offer("architectures", contender.name).options}
    return replace(contender, options={**contender.options, option: value}) if option in known else None


def _set_option(run: ExperimentRun, contender: Candidate, option: str, value: Any) -> ExperimentRun | None:
    if set_option(contender, option, value) is None:
        return None
    return replace(run, recipe={**run.recipe, "architecture": {**run.recipe["architecture"], option: value}})


def _set_training(run: ExperimentRun, **training: Any) -> ExperimentRun:
    return replace(run, recipe={**run.recipe, "training": {**run.recipe["training"], **training}})


def _reduce_data(run: ExperimentRun, _: Candidate, share: float) -> ExperimentRun:
    return replace(run, share=share)


def _add_noise(run: ExperimentRun, _: Candidate, noise: float) -> ExperimentRun:
    return replace(run, noise=noise)


UNSTABLE = 0.25
"""Length of a run at a learning rate that may be too high, as a share of a compared run."""


def _raise_rate(run: ExperimentRun, _: Candidate, rate: float) -> ExperimentRun:
    steps = max(round(UNSTABLE * run.recipe["training"]["steps"]), 1)
    count = min(5, steps)
    # Gradients are not clipped, since clipping would hide a divergence.
    rushed = _set_training(run, learning_rate=rate, clip=1e9, steps=steps, evaluations=count, patience=count)
    return replace(rushed, work="tune")


def _keep_key(run: ExperimentRun, _: Candidate, __: float) -> ExperimentRun:
    return replace(_set_training(run, transpose=0), shifts=(-3, 3))


def _swap_width(run: ExperimentRun, contender: Candidate, _: float) -> ExperimentRun | None:
    return _set_option(run, contender, contender.width, contender.other) if contender.other else None


def _set_dropout(run: ExperimentRun, contender: Candidate, share: float) -> ExperimentRun | None:
    return _set_option(run, contender, DROPOUT, share)


def _make_recall_run(run: ExperimentRun, contender: Candidate, rate: float) -> ExperimentRun | None:
    from composer_compare.probes import TRAINING

    plain = _set_option(run, contender, DROPOUT, 0.0) or run
    if contender.width in contender.options:  # half as wide: wide networks of any kind remember a motif
        half = max(int(contender.options[contender.width]) // 2, 1)
        plain = _set_option(plain, contender, contender.width, half) or plain
    seed = run.recipe["training"]["seed"]
    own = {key: run.recipe["training"][key] for key in ("device", "precision") if key in run.recipe["training"]}
    training = {**TRAINING, **own, "learning_rate": rate, "seed": seed}
    return replace(
        plain, work="recall", music="", recipe={"architecture": plain.recipe["architecture"], "training": training}
    )


def _make_writing_run(run: ExperimentRun, _: Candidate, __: float) -> ExperimentRun:
    return replace(run, work="write")


ABLATIONS: Mapping[str, Ablation] = {
    "likelihood": Ablation("nats per note on held-out pieces", lambda run, _, __: run),
    "music": Ablation(
        "the pieces that each writes, beside the test pieces", _make_writing_run, (1.0,), 0.0, 30.0, after=True
    ),
    "memory": Ablation(
        "a motif recalled after a gap, in music made for it", _make_recall_run, (3e-3, 1e-2), 0.0, 120.0
    ),
    "data": Ablation("with 5, 10, 25 and 50 % of the training pieces", _reduce_data, (0.05, 0.1, 0.25, 0.5)),
    "noise": Ablation("with wrong notes in the training pieces", _add_noise, (0.05, 0.2)),
    "stability": Ablation("at learning rates that may be too high", _raise_rate, (3e-3, 1e-2, 3e-2, 1e-1), UNSTABLE),
    "bias": Ablation("trained in the pieces' own keys, tested in others", _keep_key),
    "width": Ablation("at equal width instead of equal parameters, or the reverse", _swap_width),
    "dropout": Ablation("with and without dropout", _set_dropout, (0.0, 0.3)),
}
"""In the default order of execution."""


def parse_ablations(text: str) -> tuple[str, ...]:
    """Parse questions such as `likelihood,data`, or `all`; likelihood is always included. Raises BadOption."""
    words = tuple(ABLATIONS) if text.strip() == "all" else tuple(filter(None, (w.strip() for w in text.split(","))))
    for word in words:
        if word not in ABLATIONS:
            raise BadOption(f"unknown question '{printable(word)}': {suggest(word, [*ABLATIONS, 'all'])}")
    return tuple(dict.fromkeys(("likelihood", *words)))
