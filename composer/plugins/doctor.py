"""The doctor of plugins: broken, slow, outdated, clashing or missing ones, each with advice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

from composer.errors import printable
from composer.plugins import cache, probing
from composer.plugins.discovery import Cause, Plugin, find, get_plugin, is_disabled, list_disabled
from composer.plugins.offers import Contribution, combine, read_plugin
from composer.plugins.probing import Probe

if TYPE_CHECKING:
    from packaging.requirements import Requirement

SLOW = 1.0
"""Seconds of an import from which a plugin is reported as slow."""

State = Literal["left out", "left out in part", "mistaken", "disabled", "slow", "missing", "outdated"]


@dataclass(frozen=True)
class Finding:
    """A problem of a plugin and advice, each in a sentence."""

    plugin: Plugin
    state: State
    text: str
    advice: str

    @property
    def is_fault(self) -> bool:
        """Whether something does not work."""
        return self.state in ("missing", "outdated", "left out in part", "mistaken") or (
            self.state == "left out" and not _is_extra(self.plugin)
        )


@dataclass(frozen=True)
class Report:
    """The findings, and the seconds that each plugin takes to import; none for those that could not be imported."""

    findings: tuple[Finding, ...]
    seconds: tuple[tuple[Plugin, float], ...]


def examine(points: Sequence[EntryPoint] | None = None) -> Report:
    """Import every installed plugin, each in a process of its own, and report the problems.

    What is found is cached anew, so that a broken plugin that was mended from outside works again.
    """
    points = find() if points is None else points
    probes = dict(zip(points, probing.probe_all(points), strict=True))
    probing.remember(probes)
    names = list_disabled()
    enabled = [point for point in points if not is_disabled(get_plugin(point), names)]
    read = {point: read_plugin(point, lost=probes[point].lost) for point in enabled}
    cache.keep(read)
    plugins = dict(zip(enabled, combine(read.values()).plugins, strict=True))
    findings = [finding for point in points for finding in _find_problems(point, plugins.get(point), probes[point])]
    findings += [finding for one in read.values() for finding in _find_uncached(one)]
    findings += [finding for point in _pick_one_each(enabled) for finding in _find_unmet(plugins[point], point.dist)]
    seconds = [(get_plugin(point), found.seconds) for point, found in probes.items() if not found.lost]
    return Report(tuple(findings), tuple(seconds))


def _find_problems(point: EntryPoint, plugin: Plugin | None, probe: Probe) -> Iterator[Finding]:
    if plugin is None:
        text = "is disabled, by COMPOSER_DISABLE_PLUGINS or --without."
        yield Finding(get_plugin(point), "disabled", text, "Take its name away there to have it again.")
        return
    if plugin.fault:
        yield Finding(plugin, "left out", f"is left out: {_end_sentence(plugin.fault)}", _give_advice(plugin))
    for note in plugin.notes:
        advice = _ADVICE[note.cause].format(name=plugin.name, package=plugin.distribution)
        yield Finding(plugin, "left out in part", f"is left out in part: {_end_sentence(note.text)}", advice)
    if not probe.lost and probe.seconds >= SLOW:
        yield Finding(plugin, "slow", f"takes {probe.seconds:.1f} seconds to import.", _FASTER)


def _end_sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


def describe_mistake(plugin: Plugin, text: str) -> Finding:
    """Describe a mistake of a plugin's author that leaves out nothing."""
    return Finding(plugin, "mistaken", f"has a mistake: {text}", _ADVICE["malformed"].format(name=plugin.name))


def _find_uncached(one: Contribution) -> Iterator[Finding]:
    """Find a plugin that is imported at every start, for an option that the cache cannot hold."""
    if odd := [(offer, option) for offer in one.offers for option in offer.options if not cache.can_keep(option)]:
        offer, option = odd[0]
        what = f"the option '{printable(option.name)}' of '{printable(offer.name)}'"
        text = f"is imported at every start: {what} has a type or a default that cannot be cached."
        yield Finding(one.plugin, "slow", text, "Its author sees by `composer plugins check` which types can be.")


# --- what a package declares to need ----------------------------------------------------------------------------------


def _pick_one_each(points: Sequence[EntryPoint]) -> list[EntryPoint]:
    """Return the first plugin of each package, to stand for it."""
    return list({get_plugin(point).distribution: point for point in reversed(points)}.values())[::-1]


def _find_unmet(plugin: Plugin, distribution: Distribution | None) -> Iterator[Finding]:
    """Find requirements of a package that are missing, or installed in an unsuitable version."""
    needed = {need.name: need for need in _read_requirements(distribution)}
    here = {name: _find_version(name) for name in needed}
    if missing := [name for name, found in here.items() if not found]:
        text = f"needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed."
        yield Finding(plugin, "missing", text, f"`pip install {' '.join(missing)}`.")
    unfit = [name for name, found in here.items() if found and not _is_met(needed[name], found)]
    if unfit:
        told = [f"{name}{needed[name].specifier}, and {here[name]} is installed" for name in unfit]
        advice = (
            f"`pip install --upgrade {' '.join([plugin.distribution, *unfit])}` brings versions that fit each other"
        )
        yield Finding(plugin, "outdated", printable(f"needs {'; '.join(told)}.", 700), f"{advice}, if there are any.")


def _read_requirements(distribution: Distribution | None) -> Iterator[Requirement]:
    """Yield the requirements of a package on this machine, without those of extras."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in (distribution.requires or []) if distribution else []:
        try:
            need = Requirement(text)
        except InvalidRequirement:
            continue  # `pip` would not have installed it either
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            yield need


def _find_version(distribution: str) -> str:
    """Return the version of an installed package; empty if it is missing."""
    try:
        return version(distribution) or ""
    except PackageNotFoundError:
        return ""


def _is_met(need: Requirement, installed: str) -> bool:
    """Tell whether an installed version meets a requirement. A malformed version may."""
    from packaging.version import InvalidVersion, Version

    try:
        return need.specifier.contains(Version(installed), prereleases=True)
    except InvalidVersion:
        return True


_FASTER = "Its author can import what is heavy inside the functions that need it."

_REMEMBERED = "It is tried again when its files or the installed packages change, and by `composer plugins doctor`."

_ADVICE: dict[Cause, str] = {
    "missing": "`pip install --upgrade {package}` brings what it declares; else install the library that it names.",
    "version": "`pip install --upgrade composer-midi {package}` brings versions that fit each other, if there are any.",
    "clash": "Keep one of the two: COMPOSER_DISABLE_PLUGINS={name} disables this one, and the other's name that one.",
    "malformed": "Its author sees it by `composer plugins check {name}`.",
    "raises": "Its author sees it by `composer plugins check {name}`.",
    "hangs": "COMPOSER_DISABLE_PLUGINS={name} disables it; tell its author.",
}


def _is_extra(plugin: Plugin) -> bool:
    """Tell whether it is one of our plugins whose optional library is missing."""
    return plugin.ours and plugin.cause == "missing"


def _give_advice(plugin: Plugin) -> str:
    if _is_extra(plugin):
        return "Nothing else needs it."
    known = _ADVICE.get(plugin.cause, "").format(name=plugin.name, package=plugin.distribution)
    return f"{known} {_REMEMBERED} `pip uninstall {plugin.distribution}` takes it away."
