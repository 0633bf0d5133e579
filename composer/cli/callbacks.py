"""The callbacks of a training on the command line, and their options, merged into a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from composer.cli import completing
from composer.errors import BadOption, printable, suggest
from composer.plugins.options import convert, make_plain
from composer.plugins.registry import registry

if TYPE_CHECKING:
    from composer.training.recipes import Plain

SHORT = {
    "tensorboard": "Let TensorBoard show the run: `tensorboard --logdir FOLDER`.",
    "originality": "Measure at each validation what the model copies, into its metrics.",
}
"""Callbacks with a flag of their own."""

PARAMETERS = ("callbacks", "no_callbacks", "callback_options", *SHORT)


@dataclass(frozen=True)
class CallbackChoice:
    """The choice of callbacks on the command line."""

    callbacks: Sequence[str] = ()
    without: Sequence[str] = ()
    options: Sequence[str] = ()

    @classmethod
    def take_from(cls, given: dict[str, Any]) -> CallbackChoice:
        """Take the parameters of callbacks out of a command's."""
        named, without, options, *short = (given.pop(name) for name in PARAMETERS)
        return cls([*named, *(name for name, on in zip(SHORT, short, strict=True) if on)], without, options)

    def apply_to(self, plain: Plain) -> Plain:
        """Merge these callbacks into a recipe.

        Raises UnknownName, and BadOption for options of a callback that is not chosen.
        """
        from composer.training.recipe_file import CALLBACKS

        chosen = dict(plain.get("callbacks", {}))
        for name in self.callbacks:
            registry().get_offer("callbacks", name)
            chosen[name] = chosen.get(name) or True
        for name in self.without:
            registry().get_offer("callbacks", name)
            chosen[name] = False
        for text in self.options:
            name, option, value = _parse_option(text)
            if not chosen.get(name, "run" in plain and name in CALLBACKS):
                raise BadOption(f"{printable(text)} is for a callback that is not chosen; give --callback {name}.")
            before = chosen.get(name)
            chosen[name] = {**(before if isinstance(before, dict) else {}), option: value}
        return {**plain, "callbacks": chosen} if chosen else plain


def _parse_option(text: str) -> tuple[str, str, Any]:
    """Parse `samples.bars=4` as callback, option and value. Raises BadOption, UnknownName."""
    left, equals, value = text.partition("=")
    name, _, option = left.strip().rpartition(".")
    if not (equals and name and option):
        raise BadOption(
            f"invalid callback option '{printable(text)}': expected NAME.OPTION=VALUE, such as samples.bars=4."
        )
    known = {one.name: one for one in registry().get_offer("callbacks", name).options}
    option = option.replace("-", "_")
    if option not in known:
        raise BadOption(f"callback '{name}' has no option '{printable(option)}': {suggest(option, known)}")
    return name, option, make_plain(convert(value, known[option], f"callback '{name}'"))


def add_options(command: Any) -> Any:
    """Add `--callback`, `--no-callback`, `--callback-option`, and a flag for each callback of `SHORT`."""
    complete = completing.complete_names("callbacks")
    own = [
        click.option(
            "--callback",
            "callbacks",
            multiple=True,
            metavar="NAME",
            shell_complete=complete,
            help="Add a callback; may be repeated. A run with a folder has `samples`.",
        ),
        click.option(
            "--no-callback",
            "no_callbacks",
            multiple=True,
            metavar="NAME",
            shell_complete=complete,
            help="Leave out a callback that the recipe names, or `samples`.",
        ),
        click.option(
            "--callback-option",
            "callback_options",
            multiple=True,
            metavar="NAME.OPTION=VALUE",
            help="An option of a callback, such as samples.bars=4.",
        ),
        *(
            click.option(f"--{name}", is_flag=True, help=f"As --callback {name}: {text}")
            for name, text in SHORT.items()
        ),
    ]
    for option in reversed(own):
        command = option(command)
    return command
