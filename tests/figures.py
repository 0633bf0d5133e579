"""The code in figures: files, functions, names and docstrings that begin with a verb. Run `python tests/figures.py`."""

import ast
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
VERBS = set(Path(__file__).with_name("verbs.txt").read_text(encoding="utf-8").split())
"""Base forms. Words that are nouns in this code although they may be verbs (note, order, score, time) count, too."""


def functions():
    """Every function of the packages; not those that Python calls, nor properties, which are nouns."""
    for path in files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_property = any("property" in ast.unparse(one) for one in getattr(node, "decorator_list", ()))
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("__") and not is_property:
                yield node


def files():
    return [path for top in ("composer", "plugins", "datasets") for path in sorted((ROOT / top).rglob("*.py"))]


def is_imperative(text):
    word = text.split(maxsplit=1)[0].strip(".,:;`").lower()
    return word in VERBS


def tell():
    """Print the figures."""
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in files()]
    found = list(functions())
    lengths = [node.end_lineno - node.lineno + 1 for node in found]
    named = [node.name.lstrip("_").split("_")[0] in VERBS for node in found]
    told = [is_imperative(text) for node in found if (text := ast.get_docstring(node))]
    print(f"files      {len(lines)}, of {median(lines):.0f} lines in the median and {max(lines)} at most")
    print(f"functions  {len(found)}, of {median(lengths):.0f} lines in the median and {max(lengths)} at most")
    print(f"names      {sum(named) / len(named):.0%} begin with a verb")
    print(f"docstrings {sum(told) / len(told):.0%} of {len(told)} begin with a verb")


if __name__ == "__main__":
    sys.exit(tell())
