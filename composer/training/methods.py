"""The method of a training: objective, optimiser, schedule and augmentations, by name and with their options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from composer.errors import BadRecipe, printable
from composer.plugins.options import get_values
from composer.plugins.registry import registry
from composer.request import Spec
from composer.types import Objective, Optimiser, Schedule, Transform

PARTS: Mapping[str, str] = {"objective": "objectives", "optimiser": "optimisers", "schedule": "schedules"}
"""The kind of each part that has exactly one thing; its key in a recipe is its field in `Method`."""

TRANSPOSE = Spec("transpose", {"reach": 6})
"""The augmentation of a training that names no other."""

MOVED: Mapping[str, tuple[str, str]] = {
    "weight_decay": ("optimiser", "weight_decay"),
    "warmup": ("schedule", "warmup"),
}
"""Options that stood in `[training]`, and the part that they are options of."""


_OBJECTIVE, _OPTIMISER, _SCHEDULE = Spec("cross-entropy"), Spec("adamw"), Spec("cosine")


@dataclass(frozen=True)
class Method:
    """The names and options of the parts of a training."""

    objective: Spec = _OBJECTIVE
    optimiser: Spec = _OPTIMISER
    schedule: Spec = _SCHEDULE
    augmentations: tuple[Spec, ...] = (TRANSPOSE,)

    def make(self) -> Parts:
        """Make the parts. Raises UnknownName, BadOption."""
        made = {key: registry().make(kind, spec.name, **spec.options) for key, kind, spec in self._list_parts()}
        transforms = (registry().make("transforms", one.name, **one.options) for one in self.augmentations)
        return Parts(**made, augmentations=tuple(transforms))

    def _list_parts(self) -> list[tuple[str, str, Spec]]:
        return [(key, kind, getattr(self, key)) for key, kind in PARTS.items()]

    def complete(self) -> Method:
        """Return the same method with every option of each part. Raises UnknownName, BadOption."""
        made = self.make()
        parts = {key: Spec(spec.name, get_values(getattr(made, key))) for key, _, spec in self._list_parts()}
        named = zip(self.augmentations, made.augmentations, strict=True)
        return Method(**parts, augmentations=tuple(Spec(one.name, get_values(thing)) for one, thing in named))

    def to_plain(self) -> dict[str, Any]:
        """Return the tables of a recipe, with every option. A default augmentation that is left out is `false`."""
        whole = self.complete()
        plain: dict[str, Any] = {key: {"name": spec.name, **spec.options} for key, _, spec in whole._list_parts()}
        augmentations: dict[str, Any] = {one.name: dict(one.options) for one in whole.augmentations}
        return {**plain, "augmentations": {**_leave_out(augmentations), **augmentations}}


def _leave_out(augmentations: Mapping[str, Any]) -> dict[str, bool]:
    return {} if TRANSPOSE.name in augmentations else {TRANSPOSE.name: False}


USUAL = Method()
"""The method of a training, where a recipe states none."""

FINETUNING = Method(schedule=Spec("cosine", {"warmup": 0.1}))
"""The method of finetuning, unless another is named."""


@dataclass(frozen=True)
class Parts:
    """The parts of a training, made."""

    objective: Objective
    optimiser: Optimiser
    schedule: Schedule
    augmentations: tuple[Transform, ...]


def read_method(plain: Mapping[str, Any], usual: Method = USUAL) -> Method:
    """Read the method of a recipe, whose old keys have been moved, with every option. It may leave out what is usual.

    Raises BadRecipe, UnknownName, BadOption.
    """
    specs = {key: _read_part(key, plain.get(key, {}), getattr(usual, key)) for key in PARTS}
    chosen: dict[str, Any] = {one.name: one.options for one in usual.augmentations}
    chosen |= plain.get("augmentations", {})
    for name, options in chosen.items():
        registry().get_offer("transforms", name)
        if not isinstance(options, Mapping | bool):
            raise BadRecipe(
                f"[augmentations] has a '{printable(name)}' that is no table of options, nor true or false."
            )
    augmentations = tuple(Spec(name, _get_options(name, on)) for name, on in chosen.items() if on is not False)
    return Method(**specs, augmentations=augmentations).complete()


def _read_part(key: str, table: Mapping[str, Any], usual: Spec) -> Spec:
    name = table.get("name", usual.name)
    if not isinstance(name, str):
        raise BadRecipe(f"the 'name' in [{key}] is {printable(repr(name))}, which is not a text.")
    own = {option: value for option, value in table.items() if option != "name"}
    return Spec(name, {**usual.options, **own} if name == usual.name else own)


def _get_options(name: str, options: Mapping[str, Any] | bool) -> Mapping[str, Any]:
    """Return the options of an augmentation; those of the default one where it is merely `true`."""
    if isinstance(options, bool):
        return TRANSPOSE.options if name == TRANSPOSE.name else {}
    return options


def move_old_keys(plain: Mapping[str, Any]) -> Mapping[str, Any]:
    """Move `weight_decay`, `warmup` and `transpose` from `[training]`, where they once were, to their parts.

    Raises BadRecipe for one that is in both places.
    """
    training = plain.get("training")
    if not isinstance(training, Mapping):
        return plain
    moved: dict[str, Any] = {}
    for key, (part, option) in MOVED.items():
        if key in training:
            moved[part] = _add(plain, part, option, training[key])
    if "transpose" in training:
        moved["augmentations"] = _add(plain, "augmentations", "transpose", make_transposition(training["transpose"]))
    left = {key: value for key, value in training.items() if key not in (*MOVED, "transpose")}
    return {**plain, **moved, "training": left} if moved else plain


def _add(plain: Mapping[str, Any], table: str, key: str, value: Any) -> Any:
    there = plain.get(table, {})
    if isinstance(there, Mapping) and key in there:
        raise BadRecipe(f"'{key}' is in [training] and in [{table}]; leave out the former.")
    return {**there, key: value} if isinstance(there, Mapping) else there


def make_transposition(semitones: Any) -> Any:
    """Return what `[augmentations]` has under `transpose` for so many semitones; none for 0."""
    return {"reach": semitones} if semitones else False
