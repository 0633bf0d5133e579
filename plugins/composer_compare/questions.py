"""The questions of an experiment, and the change that each makes to the compared run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from composer.errors import BadOption, nearest, printable
from composer.plugins.registry import registry
from composer_compare.spec import WIDTH, Contender

if TYPE_CHECKING:
    from composer_compare.plan import Run

Change = Callable[["Run", Contender, float], "Run | None"]
"""The change to the compared run at one of the levels; None for an architecture that cannot take part."""


@dataclass(frozen=True)
class Question:
    """A question, its levels, and the length of its runs relative to the compared ones."""

    about: str
    run: Change
    levels: tuple[float, ...] = (1.0,)
    length: float = 1.0
    seconds: float = 0.0  # of a run, if independent of the experiment
    after: bool = False  # whether it needs the model of the compared run


def changed(contender: Contender, option: str, value: Any) -> Contender | None:
    """Set an option of the candidate; None if it has no such option."""
    known = {found.name for found in registry().offer("architectures", contender.name).options}
    return replace(contender, options={**contender.options, option: value}) if option in known else None


def _with(run: Run, contender: Contender, option: str, value: Any) -> Run | None:
    if changed(contender, option, value) is None:
        return None
    return replace(run, recipe={**run.recipe, "architecture": {**run.recipe["architecture"], option: value}})


def _trained(run: Run, **training: Any) -> Run:
    return replace(run, recipe={**run.recipe, "training": {**run.recipe["training"], **training}})


def _less(run: Run, _: Contender, share: float) -> Run:
    return replace(run, share=share)


def _noisy(run: Run, _: Contender, noise: float) -> Run:
    return replace(run, noise=noise)


UNSTABLE = 0.25
"""Length of a run at a learning rate that may be too high, as a share of a compared run."""


def _fast(run: Run, _: Contender, rate: float) -> Run:
    steps = max(round(UNSTABLE * run.recipe["training"]["steps"]), 1)
    count = min(5, steps)
    # Gradients are not clipped, since clipping would hide a divergence.
    rushed = _trained(run, learning_rate=rate, clip=1e9, steps=steps, evaluations=count, patience=count)
    return replace(rushed, work="tune")


def _one_key(run: Run, _: Contender, __: float) -> Run:
    return replace(_trained(run, transpose=0), shifts=(-3, 3))


def _other_width(run: Run, contender: Contender, _: float) -> Run | None:
    return _with(run, contender, WIDTH, contender.other) if contender.other else None


def _dropout(run: Run, contender: Contender, share: float) -> Run | None:
    return _with(run, contender, "dropout", share)


def _recall(run: Run, contender: Contender, rate: float) -> Run | None:
    from composer_compare.recall_task import TRAINING

    plain = _with(run, contender, "dropout", 0.0) or run
    if WIDTH in contender.options:  # half as wide: wide networks of any kind remember a motif
        plain = _with(plain, contender, WIDTH, max(int(contender.options[WIDTH]) // 2, 1)) or plain
    seed = run.recipe["training"]["seed"]
    own = {key: run.recipe["training"][key] for key in ("device", "precision") if key in run.recipe["training"]}
    training = {**TRAINING, **own, "learning_rate": rate, "seed": seed}
    return replace(
        plain, work="recall", music="", recipe={"architecture": plain.recipe["architecture"], "training": training}
    )


def _writing(run: Run, _: Contender, __: float) -> Run:
    return replace(run, work="write")


QUESTIONS: Mapping[str, Question] = {
    "likelihood": Question("nats per note on held-out pieces", lambda run, _, __: run),
    "music": Question("the pieces that each writes, beside the test pieces", _writing, (1.0,), 0.0, 30.0, after=True),
    "memory": Question("a motif recalled after a gap, in music made for it", _recall, (3e-3, 1e-2), 0.0, 120.0),
    "data": Question("with 5, 10, 25 and 50 % of the training pieces", _less, (0.05, 0.1, 0.25, 0.5)),
    "noise": Question("with wrong notes in the training pieces", _noisy, (0.05, 0.2)),
    "stability": Question("at learning rates that may be too high", _fast, (3e-3, 1e-2, 3e-2, 1e-1), UNSTABLE),
    "bias": Question("trained in the pieces' own keys, tested in others", _one_key),
    "width": Question("at equal width instead of equal parameters, or the reverse", _other_width),
    "dropout": Question("with and without dropout", _dropout, (0.0, 0.3)),
}
"""In the default order of execution."""


def named(text: str) -> tuple[str, ...]:
    """Parse questions such as `likelihood,data`, or `all`; likelihood is always included. Raises BadOption."""
    words = tuple(QUESTIONS) if text.strip() == "all" else tuple(filter(None, (w.strip() for w in text.split(","))))
    for word in words:
        if word not in QUESTIONS:
            raise BadOption(f"unknown question '{printable(word)}': {nearest(word, [*QUESTIONS, 'all'])}")
    return tuple(dict.fromkeys(("likelihood", *words)))
