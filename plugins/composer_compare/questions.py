"""The questions that a trial may ask, and what each changes in the run that is compared; it runs nothing."""

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
"""What a question makes of the run that is compared, at one of its levels; None for an architecture that cannot."""


@dataclass(frozen=True)
class Question:
    """What is asked, the levels at which it is, and the length of its runs beside those that are compared."""

    about: str
    run: Change
    levels: tuple[float, ...] = (1.0,)
    length: float = 1.0
    seconds: float = 0.0  # that a run takes, where that does not depend on the trial
    after: bool = False  # whether it is asked of the model that the run which is compared has left


def changed(contender: Contender, option: str, value: Any) -> Contender | None:
    """The contender with another value of an option, None if it has no such option."""
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
"""Length of a run at a learning rate that may be too high."""


def _fast(run: Run, _: Contender, rate: float) -> Run:
    steps = max(round(UNSTABLE * run.recipe["training"]["steps"]), 1)
    count = min(5, steps)
    # Gradients are not clipped, as a careful training would: the question is what would happen.
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
    if WIDTH in contender.options:  # half as wide: wide ones hold a motif whatever they are made of
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
    "likelihood": Question("nats per note on pieces that none was trained on", lambda run, _, __: run),
    "music": Question("what each writes, beside the test pieces", _writing, (1.0,), 0.0, 30.0, after=True),
    "memory": Question("a motif recalled after a gap, in music made for it", _recall, (3e-3, 1e-2), 0.0, 120.0),
    "data": Question("with 5, 10, 25 and 50 % of the training pieces", _less, (0.05, 0.1, 0.25, 0.5)),
    "noise": Question("with wrong notes in the training pieces", _noisy, (0.05, 0.2)),
    "stability": Question("at learning rates that may be too high", _fast, (3e-3, 1e-2, 3e-2, 1e-1), UNSTABLE),
    "bias": Question("trained in the pieces' own keys, tested in others", _one_key),
    "width": Question("with the other thing equal: width instead of parameters, or the reverse", _other_width),
    "dropout": Question("with and without dropout", _dropout, (0.0, 0.3)),
}
"""In the order in which they are run unless another is asked for."""


def named(text: str) -> tuple[str, ...]:
    """The questions in a text such as `likelihood,data`, or `all`. Raises BadOption. Likelihood is always asked."""
    words = tuple(QUESTIONS) if text.strip() == "all" else tuple(filter(None, (w.strip() for w in text.split(","))))
    for word in words:
        if word not in QUESTIONS:
            raise BadOption(f"unknown question '{printable(word)}': {nearest(word, [*QUESTIONS, 'all'])}")
    return tuple(dict.fromkeys(("likelihood", *words)))
