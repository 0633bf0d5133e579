"""`composer explain`: an architecture in words, and its size, counted from the network itself."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

import click

from composer.cli.options import WithPlugins, get_options
from composer.cli.train import DATASET
from composer.errors import BadOption, printable
from composer.plugins.options import make_plain
from composer.plugins.registry import registry


class ExplainCommand(WithPlugins):
    """A command with the options of architectures."""

    kinds = ("architectures",)


@click.command(cls=ExplainCommand, short_help="Describe an architecture and its size.")
@click.argument("architecture")
@click.option(
    "--dataset", default=DATASET, show_default=True, help="The dataset whose tokenizer sets the network's size."
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def explain(ctx: click.Context, architecture: str, dataset: str, as_json: bool) -> None:
    """Describe an ARCHITECTURE: its gates, state and equations, and its parameters, counted.

    \b
    composer explain lstm
    composer explain gru --hidden-size 128 --layers 1
    """  # noqa: D301  (a \b keeps click from filling the lines)
    [options] = get_options(ctx, [("architectures", architecture)])
    offer = registry().get_offer("architectures", architecture)
    made = registry().make("architectures", architecture, **options)
    suggesting: Any = registry().get_offer("datasets", dataset.partition(":")[0]).make
    tokenizer = registry().make("tokenizers", suggesting.tokenizer, **suggesting.tokenizer_options)
    words = inspect.cleandoc(type(made).__doc__ or offer.summary)
    found = {
        "architecture": architecture,
        "plugin": offer.plugin.name,
        "words": make_printable(words),
        "equations": [printable(line, 200) for line in getattr(made, "equations", ())],
        "options": {option.name: make_plain(getattr(made, option.name, None)) for option in offer.options},
        **_count_size(made, tokenizer, architecture),
    }
    click.echo(json.dumps(found, indent=1) if as_json else _format_text(found, suggesting.title))


def make_printable(text: str) -> str:
    """Make the text of a plugin safe to print; line breaks stay."""
    return "\n".join(printable(line, 200) for line in text.splitlines())


def _count_size(made: Any, tokenizer: Any, name: str) -> Mapping[str, Any]:
    from composer_compare.cost import count_size

    try:
        return count_size(made, tokenizer)
    except Exception as error:  # a plugin may raise anything
        detail = printable(" ".join(str(error).split()), 160)
        raise BadOption(f"the architecture '{printable(name)}' cannot be built ({detail}).") from error


def _format_text(found: Mapping[str, Any], music: str) -> str:
    lines = [found["words"], ""]
    if found["equations"]:
        lines += ["Of each unit (x is the input, a prime marks the new state, * is elementwise):", ""]
        lines += [f"    {line}" for line in found["equations"]] + [""]
    lines += [f"{about}: {value}" for about, value in _list_figures(found).items()]
    options = ", ".join(f"{name} {value}" for name, value in found["options"].items())
    return "\n".join([*lines, "", f"Counted with {options}, for the tokens of: {printable(music)}."])


def _list_figures(found: Mapping[str, Any]) -> dict[str, str]:
    gates, tensors = found["gates"], found["state_tensors"]
    shown = {"Parameters": f"{found['parameters']:,}", "Multiply-adds of a token": f"{found['multiply_adds']:,}"}
    if gates is not None:
        past = "see its past" if found["recurrent"] else "do not see its past"
        shown["Gates of a unit"] = f"{gates}, and the candidate; they {past}" if gates else "none"
    numbers, size = found["state_numbers"], found["state_bytes"]
    kept = f"{tensors} tensor{'s' if tensors != 1 else ''}, {numbers:,} numbers, {size:,} bytes a piece"
    return {**shown, "State": kept}
