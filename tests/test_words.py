"""The words of public names and of the help: those of the field, as in the glossary of `composer/README.md`."""

import ast
import re

import click
import pytest
from documents import ENGINE, ROOT, text

from composer.cli import cli

SAY = {
    "anew": "retry",
    "beginnings": "hypothesis",
    "cloud": "particle set",
    "clouds": "particle set",
    "company": "batch",
    "foretell": "predict",
    "foretells": "predict",
    "foretold": "predict",
    "learnt": "train",
    "retreat": "backtracking",
    "retreats": "backtracking",
    "stepper": "backend",
    "steppers": "backend",
    "told": "condition",
    "wish": "condition",
    "wished": "condition",
    "wishes": "condition",
}
"""Words that are not the field's, and the one to use."""

IN_NAMES = {
    "heard": "score",
    "metre": "time signature",
    "metres": "time signature",
    "struck": "onset",
    "team": "process group",
}
"""Words that a sentence may have, but no name."""

MODULES = [
    path
    for top in ("composer", "plugins", "datasets")
    for path in sorted((ROOT / top).rglob("*.py"))
    if not any(part.startswith("_") and part != "__init__.py" for part in path.relative_to(ROOT).parts)
]


def words_of(name):
    """The words of a name in snake case, camel case or capitals."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def names_in(node):
    """The public names that a module or class defines: classes, functions with their parameters, constants, fields."""
    for one in ast.iter_child_nodes(node):
        match one:
            case ast.ClassDef(name=name) if not name.startswith("_"):
                yield name
                yield from names_in(one)
            case ast.FunctionDef(name=name, args=arguments) if not name.startswith("_") or name == "__init__":
                yield name
                yield from (inner.arg for inner in ast.walk(arguments) if isinstance(inner, ast.arg))
            case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_"):
                yield name
            case ast.Assign(targets=targets):
                found = [inner.id for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name)]
                yield from (name for name in found if not name.startswith("_"))
            case ast.If():
                yield from names_in(one)


def helps(command, context):
    """The help of a command and of all below it, by what is typed."""
    yield context.command_path, command.get_help(context)
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        inner = command.get_command(context, name)
        yield from helps(inner, click.Context(inner, info_name=name, parent=context))


@pytest.mark.parametrize("top", ["composer", "plugins", "datasets"])
def test_public_names_have_the_words_of_the_field(top):
    better = {
        f"{path.relative_to(ROOT)}: {name}": f"say {(SAY | IN_NAMES)[word]}"
        for path in MODULES
        if path.is_relative_to(ROOT / top)
        for name in [*path.relative_to(ROOT).with_suffix("").parts, *names_in(ast.parse(path.read_text("utf-8")))]
        for word in words_of(name)
        if word in SAY or word in IN_NAMES
    }
    assert better == {}


def test_the_help_has_the_words_of_the_field():
    found = dict(helps(cli, click.Context(cli, info_name="composer", **cli.context_settings)))
    assert {"composer generate", "composer batch status", "composer plugins show"} <= found.keys()
    better = {
        f"{command}: {word}": f"say {SAY[word.lower()]}"
        for command, shown in found.items()
        for word in re.findall(r"\w+", shown)
        if word.lower() in SAY
    }
    assert better == {}


def test_the_glossary_has_each_word_to_say():
    glossary = text(ENGINE).split("## Glossary")[1].split("\n## ")[0]
    assert [word for word in {**SAY, **IN_NAMES}.values() if word not in glossary] == []


def test_the_glossary_is_in_order():
    words = re.findall(r"(?m)^\| ([^|]+) \|", text(ENGINE).split("## Glossary")[1].split("\n## ")[0])[1:]
    assert words == sorted(words, key=str.casefold)


def test_a_name_is_read_word_by_word():
    module = ast.parse("class Made:\n    old_metre: int\n    def find(self, theMetre, *, METRE=1): ...\nMETRES = 4")
    assert [word for name in names_in(module) for word in words_of(name) if word in IN_NAMES] == ["metre"] * 3 + [
        "metres"
    ]
