"""The rooms of the engine: which may import which, drawn from the code, lazy imports included."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[1] / "composer"
FLOORS = (
    {"errors"},
    {"storage"},
    {"music", "types", "arrays", "hookspecs", "devices", "request"},
    {"plugins"},
    {"tokens"},
    {"fitting", "building", "model"},
    {"io"},
    {"data"},
    {"sampling"},
    {"metrics"},
    {"originality"},
    {"generation"},
    {"training"},
    {"testing"},
)
"""From the lowest: a room may import those below it, and those beside it."""

EXCEPTIONS = {
    ("plugins.scaffold", "model"),  # writes a small model file for a new package
    ("plugins.pytest_plugin", "testing.suite"),  # is where pytest looks, and imports it when it is asked
    ("types", "io.pieces"),  # offers `Piece` to plugins, which writes itself; imported when it is asked for
}


def modules():
    """The path of each module, by its name in the engine; templates of new packages are none."""
    for path in ENGINE.rglob("*.py"):
        parts = path.relative_to(ENGINE).with_suffix("").parts
        if "scaffold" not in parts or parts[-2:] == ("scaffold", "__init__"):
            yield ".".join(parts).removesuffix("__init__").removesuffix("."), path


MODULES = dict(modules())


def only_for_types(tree):
    """All that stands under `if TYPE_CHECKING`."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    return {inner for block in blocks for inner in ast.walk(block)}


def imported(name):
    """The modules of the engine that one imports, at its top or in a function."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    left = set(ast.walk(tree)) - only_for_types(tree)
    found = {alias.name for node in left if isinstance(node, ast.Import) for alias in node.names}
    for node in left:
        if isinstance(node, ast.ImportFrom):
            found |= {name_of(node.module or "", alias.name) for alias in node.names}
    ours = {one.removeprefix("composer.") for one in found if one.startswith("composer.")}  # `types` is Python's
    return ours & MODULES.keys() - {name}


def name_of(module, name):
    """What `from module import name` imports: a module of that name, or the one that holds it."""
    inner = f"{module}.{name}"
    return inner if inner.removeprefix("composer.") in MODULES else module


@cache
def find_arrows():
    """Each module with each that it imports."""
    return {(name, aim) for name in MODULES for aim in imported(name)}


FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room(name):
    return name.partition(".")[0]


def test_no_room_imports_one_above_it():
    up = {
        (name, aim)
        for name, aim in find_arrows()
        if room(name) in FLOOR and FLOOR[room(name)] < FLOOR.get(room(aim), len(FLOORS))
    }
    assert up == EXCEPTIONS


def test_every_room_has_its_floor():
    rooms = {room(name) for name in MODULES} - {"", "__main__", "cli"}
    assert rooms == FLOOR.keys()


def reached(name):
    """All modules that one imports, and that those import."""
    found, waiting = set(), {name}
    while waiting:
        new = {aim for one, aim in find_arrows() if one in waiting} - found
        found, waiting = found | new, new
    return found


def test_no_modules_import_each_other_round_about():
    assert {name for name in MODULES if name in reached(name)} == set()


@pytest.mark.parametrize("name", [name for name in MODULES if "." not in name and MODULES[name].name == "__init__.py"])
def test_a_room_says_what_is_in_it(name):
    assert ast.get_docstring(ast.parse(MODULES[name].read_text(encoding="utf-8")))


ROOT = ENGINE.parent
PACKAGES = {
    path.parent.relative_to(ROOT).as_posix(): path
    for top in ("composer/*", "plugins/composer_*", "datasets/composer_*")
    for path in sorted(ROOT.glob(f"{top}/**/__init__.py"))
    if "scaffold/packages" not in path.as_posix()
}


def listed(path):
    """The modules and packages in the list of a package's docstring, a line each."""
    words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return re.findall(r"(?m)^ *(\w+\.py|\w+/)  ", words)


def held(folder):
    """The modules and packages in a folder."""
    inner = {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
    return {path.name for path in folder.glob("*.py")} - {"__init__.py"} | inner


@pytest.mark.parametrize("name", PACKAGES)
def test_the_list_of_a_package_names_the_modules_that_are_there(name):
    """A package of the engine has a list of all its modules; one of a plugin has a whole list or none."""
    named = listed(PACKAGES[name])
    assert len(named) == len(set(named))
    if named or name.startswith("composer/"):
        assert set(named) == held(PACKAGES[name].parent)
