"""The contracts as tests: `pytest --composer-contracts` checks the offers of a package; without it nothing happens."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # this module is imported by every pytest where composer is installed
    from composer.testing.suite import Case


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("composer")
    group.addoption(
        "--composer-contracts",
        action="store_true",
        help="Check that what the plugins of this project (by its pyproject.toml) offer keeps its contracts.",
    )
    group.addoption(
        "--composer-contracts-of", action="append", default=[], metavar="PLUGIN", help="The same, of this plugin."
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the contracts before the tests, where they are asked for."""
    names = list(config.getoption("--composer-contracts-of"))
    if config.getoption("--composer-contracts"):
        names += _read_plugins(config.rootpath)
    items[:0] = [item for name in names for item in _make_items(session, name)]


def _read_plugins(folder: Path) -> list[str]:
    """Read the names of the plugins that the project in a folder declares."""
    path = folder / "pyproject.toml"
    try:
        declared = tomllib.loads(path.read_text(encoding="utf-8"))["project"]["entry-points"]["composer"]
    except (OSError, ValueError, LookupError, TypeError):
        raise pytest.UsageError(
            f"{path} declares no [project.entry-points.composer]; name a plugin: --composer-contracts-of my-plugin"
        ) from None
    return list(declared)


def _make_items(session: pytest.Session, plugin: str) -> Iterator[pytest.Item]:
    from composer.errors import ComposerError
    from composer.testing.suite import list_cases

    try:
        found = list_cases(plugin)
    except ComposerError as error:
        raise pytest.UsageError(str(error)) from None
    for case in found:
        yield Contract.from_parent(session, name=f"{plugin}: {case}", nodeid=f"composer-contracts::{case}", case=case)


class Contract(pytest.Item):
    """One case of the suite."""

    def __init__(self, *, case: Case, **more: Any) -> None:
        super().__init__(**more)
        self.case = case

    def runtest(self) -> None:
        """Run the case."""
        self.case.run()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the broken rule and its example, rather than lines of the suite."""
        if isinstance(excinfo.value, AssertionError) and excinfo.value.__cause__ is None:
            return f"broken rule: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the location and the name."""
        return self.path, None, self.name
