"""The doctor of plugins: what is broken, slow, outdated, clashing or missing, and what to do; it knows no plugin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, version
from typing import Literal

from composer import probing
from composer.installed import Cause, Plugin, disabled, find, is_left_out, plugin_of
from composer.plugins import load
from composer.probing import Probe

SLOW = 1.0
"""Seconds from which on importing a plugin is called slow."""

State = Literal["left out", "disabled", "slow", "missing"]


@dataclass(frozen=True)
class Finding:
    """Something about a plugin, and what to do about it, each in a sentence."""

    plugin: Plugin
    state: State
    text: str
    advice: str

    @property
    def is_fault(self) -> bool:
        """Whether something does not work."""
        return self.state == "missing" or (self.state == "left out" and not _is_extra(self.plugin))


@dataclass(frozen=True)
class Report:
    """What was found, and how long each plugin takes, in seconds; nothing of those that could not be imported."""

    findings: tuple[Finding, ...]
    seconds: tuple[tuple[Plugin, float], ...]


def examine(points: Sequence[EntryPoint] | None = None) -> Report:
    """Import every plugin that is installed, each in a process of its own, and say what is wrong."""
    points = find() if points is None else points
    probes = dict(zip(points, probing.probes(points), strict=True))
    probing.remember(probes)
    names = disabled()
    enabled = [point for point in points if not is_left_out(plugin_of(point), names)]
    loaded = load(enabled, lost={point: found.lost for point, found in probes.items() if found.lost})
    plugins = dict(zip(enabled, loaded.plugins, strict=True))
    findings = [finding for point in points for finding in _findings(point, plugins.get(point), probes[point])]
    seconds = [(plugin_of(point), found.seconds) for point, found in probes.items() if not found.lost]
    return Report(tuple(findings), tuple(seconds))


def _findings(point: EntryPoint, plugin: Plugin | None, probe: Probe) -> Iterator[Finding]:
    if plugin is None:
        text = "is disabled, by COMPOSER_DISABLE_PLUGINS or --without."
        yield Finding(plugin_of(point), "disabled", text, "Take its name away there to have it again.")
        return
    if plugin.fault:
        yield Finding(plugin, "left out", f"is left out: {plugin.fault.rstrip('.')}.", _advice(plugin))
    if not probe.lost and probe.seconds >= SLOW:
        yield Finding(plugin, "slow", f"takes {probe.seconds:.1f} seconds to import.", _FASTER)
    if missing := _missing(point):
        text = f"needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed."
        yield Finding(plugin, "missing", text, f"`pip install {' '.join(missing)}`.")


def _missing(point: EntryPoint) -> list[str]:
    """The packages that one declares to need, whatever the machine, and that are not here."""
    declared = (point.dist.requires or []) if point.dist else []
    needed = [re.split(r"[^\w.-]", text.strip())[0] for text in declared if ";" not in text]
    return [name for name in needed if not _is_here(name)]


def _is_here(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


_FASTER = "Its author can import what is heavy inside the functions that need it."

_ADVICE: dict[Cause, str] = {
    "missing": "`pip install --upgrade {package}` brings what it declares; else install the library that it names.",
    "version": "`pip install --upgrade composer-midi {package}` brings versions that fit each other, if there are any.",
    "clash": "Keep one of the two: COMPOSER_DISABLE_PLUGINS={name} disables this one, and the other's name that one.",
    "malformed": "Its author sees it by `composer plugins check {name}`.",
    "raises": "Its author sees it by `composer plugins check {name}`.",
    "hangs": "COMPOSER_DISABLE_PLUGINS={name} disables it; tell its author.",
}


def _is_extra(plugin: Plugin) -> bool:
    """Whether it is one of ours that waits for a library of an extra: nobody need have it."""
    return plugin.ours and plugin.cause == "missing"


def _advice(plugin: Plugin) -> str:
    if _is_extra(plugin):
        return "Nothing else needs it."
    known = _ADVICE.get(plugin.cause, "").format(name=plugin.name, package=plugin.distribution)
    return f"{known} `pip uninstall {plugin.distribution}` takes it away."
