"""New packages: a plugin with one small thing of a kind, its tests and a README.

    usage.py  example commands of each kind

The modules are those in `packages/` and `tests/`, renamed.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from composer import __version__
from composer.errors import BadOption, CannotWrite, printable, suggest
from composer.plugins import BUILT_IN
from composer.plugins.offers import KINDS
from composer.plugins.registry import registry
from composer.plugins.scaffold.usage import show_command

_HERE = Path(__file__).parent
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME = 50

FULLER = {"cell": "architecture", "grammar": "tokenizer", "memory": "sampler"}
"""Fuller examples of a kind: an architecture with a cell, a tokenizer with a grammar of its own, a sampler that
remembers."""


def list_kinds() -> list[str]:
    """List the kinds that have a template: those of offers, `event`, and the fuller examples of some."""
    kinds = [*(kind.removesuffix("s") for kind in (*KINDS, "events")), *FULLER]
    return [kind for kind in kinds if (_HERE / "packages" / f"{kind}.py").is_file()]


def begin(name: str, kind: str, folder: Path, model: Path | None = None) -> Path:
    """Make the folder `name` in `folder`, whole or not at all; for a model, `model` is the file to include.

    Raises BadOption for an invalid or taken name, and for an unknown kind; CannotWrite.
    """
    _check(name, kind, model)
    place = folder / name
    if place.exists():
        raise CannotWrite(f"{printable(str(place))}: is there already; choose another name, or another folder.")
    try:
        with tempfile.TemporaryDirectory(prefix=".composer-", dir=folder) as scratch:
            made = Path(scratch) / name
            for path, text in render_files(name, kind, list_dependencies(model)).items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
            if model is not None:
                shutil.copyfile(model, made / _name_module(name) / "model.safetensors")
            made.rename(place)
    except OSError as error:
        raise CannotWrite(f"{printable(str(place))}: cannot be written ({error.strerror or error}).") from error
    return place


def list_dependencies(model: Path | None = None) -> list[str]:
    """List what a package needs: composer, and the packages of the architecture and the tokenizer of its model."""
    ours = f"composer-midi>={__version__}"
    if model is None:
        return [ours]
    from composer.model import load

    made = load(model)
    parts = {part.plugin: part.version for part in (made.architecture, made.tokenizer) if part.plugin}
    return [ours, *(f"{name}>={version}" for name, version in sorted(parts.items()) if name != "composer-midi")]


def render_files(name: str, kind: str, dependencies: Sequence[str]) -> Mapping[str, str]:
    """Render the files of a package, by their paths in it."""
    module, offered = _name_module(name), FULLER.get(kind, kind)
    needed = json.dumps(list(dependencies))
    return {
        "pyproject.toml": _PROJECT.format(name=name, module=module, kind=offered, dependencies=needed),
        "README.md": _README.format(
            name=name,
            kind=offered,
            command=_show_command(name, offered),
            article=choose_article(offered).capitalize(),
            options={"command": _CLICK, "event": _ARGUMENTS}.get(kind, _FIELDS),
        ),
        ".gitignore": "__pycache__/\n/dist/\n",
        f"{module}/__init__.py": render_source(name, kind),
        f"tests/test_{module}.py": _rename((_HERE / "tests" / f"{kind}.py").read_text(encoding="utf-8"), name),
    }


def render_source(name: str, kind: str) -> str:
    """Render the module of the plugin."""
    return _rename((_HERE / "packages" / f"{kind}.py").read_text(encoding="utf-8"), name)


def _check(name: str, kind: str, model: Path | None) -> None:
    if kind not in list_kinds():
        raise BadOption(f"unknown kind '{printable(kind)}': {suggest(kind, list_kinds())}")
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise BadOption(
            f"invalid plugin name '{printable(name)}': use small letters and digits, with dashes between, "
            f"as in my-swing; it begins with a letter, and has {LONGEST_NAME} characters at most."
        )
    if find_spec(_name_module(name)) is not None:
        raise BadOption(
            f"there is a module '{_name_module(name)}' already, which would stand in the way; take another name."
        )
    if kind == "command" and name in BUILT_IN:
        raise BadOption(f"composer has a command '{name}' itself; take another name.")
    kind = FULLER.get(kind, kind)
    offered = _name_suffix(name) if kind in ("reader", "exporter") else name
    if there := registry().offers.get(f"{kind}s", {}).get(offered):
        raise BadOption(f"the {kind} '{offered}' is offered by the plugin '{there.plugin.name}'; take another name.")
    if kind == "model" and model is None:
        raise BadOption("a package of a model brings a trained one; give it with --model mine.safetensors.")
    if kind != "model" and model is not None:
        raise BadOption(f"--model goes with --kind model, and not with {kind}.")
    if model is not None:
        from composer.model import load

        load(model)


def _name_module(name: str) -> str:
    return name.replace("-", "_")


def _name_suffix(name: str) -> str:
    return "." + name.replace("-", "")


def _rename(text: str, name: str) -> str:
    title = "".join(part.capitalize() for part in name.split("-"))
    for was, becomes in (("my_thing", _name_module(name)), (".mything", _name_suffix(name)), ("my-thing", name)):
        text = text.replace(was, becomes)
    return text.replace("MyThing", title).replace("mything", _name_suffix(name)[1:])


def _show_command(name: str, kind: str) -> str:
    offered = _name_suffix(name) if kind in ("reader", "exporter") else name
    return show_command(f"{kind}s", offered, f" --{name} 0.2" if kind == "sampler" else "")


def choose_article(kind: str) -> str:
    """Return the article before the name of a kind: `an` architecture, `a` sampler."""
    return "an" if kind[0] in "aeiou" else "a"


_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
description = "The {kind} {name} for composer"
readme = "README.md"
requires-python = ">=3.11"
dependencies = {dependencies}

[project.optional-dependencies]
test = ["pytest>=8.3"]

[project.entry-points.composer]
{name} = "{module}"

[tool.hatch.build.targets.wheel]
packages = ["{module}"]

[tool.pytest.ini_options]
addopts = "--composer-contracts"
testpaths = ["tests"]
"""

_FIELDS = """\
Its options are the fields of the dataclass, each `Annotated[type, "what it is", "an example"]`."""

_CLICK = """\
Its options are click's, each with its help."""

_ARGUMENTS = """\
Its functions name the arguments that they need, of those in `composer.hookspecs`."""

_README = """\
# {name}

{article} {kind} for composer (the package `composer-midi`):

    {command}

Made from a small example that works. To go on:

    pip install -e '.[test]'       # composer finds it from now on
    pytest                         # its own tests, and the contracts of what it offers
    composer plugins show {name}   # what its users see
    composer plugins doctor        # should anything be wrong with it

{options} Say here what it does,
choose a licence, and publish it as any package: `python -m build && twine upload dist/*`.
"""
