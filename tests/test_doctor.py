"""Trust: whatever an installed plugin does, the rest works, the doctor says what is wrong, and it can be left out."""

import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from composer.plugins import DISABLED, cache, offers, probing, registry
from composer.plugins.discovery import find
from composer.plugins.doctor import examine

GOOD = """
from composer import hookimpl

def dull():
    "Change nothing."
    return lambda logits, context: logits

@hookimpl
def register_samplers():
    return {NAME: dull}
"""


BELLS = """
from dataclasses import dataclass
from composer import hookimpl

@dataclass(frozen=True)
class Bells:
    "Ring."
    title = licence = source = citation = "x"
    tokenizer = "voices"
    tokenizer_options = {}
    training_options = {"hiden_size": 4, "steps": 1}
    suggested = {}

    def list_sources(self):
        return ["a"]

@hookimpl
def register_datasets():
    return {NAME: Bells}
"""


DULL = """
from dataclasses import dataclass
from composer import hookimpl

@dataclass(frozen=True)
class Dull:
    "Change nothing."

    def __call__(self, logits, context):
        return logits

@hookimpl
def register_samplers():
    return {"same": Dull, "other": Dull}
"""


class Site:
    """A folder in which packages are installed, on the path of this process and of those it begins."""

    def __init__(self, folder):
        self.folder = folder

    def install(self, name, text, *needs):
        module = f"module_of_{name}"
        (self.folder / f"{module}.py").write_text(text.replace("NAME", repr(name)))
        info = self.folder / f"{module}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        self.describe(info, f"{name}-package", "1.0", *needs)
        (info / "entry_points.txt").write_text(f"[composer]\n{name} = {module}\n")

    def library(self, name, version):
        (info := self.folder / f"{name.replace('-', '_')}-{version}.dist-info").mkdir()
        self.describe(info, name, version)

    def describe(self, info, name, version, *needs):
        needed = "".join(f"Requires-Dist: {need}\n" for need in needs)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}")

    def uninstall(self, name):
        (self.folder / f"module_of_{name}.py").unlink()
        for path in (info := self.folder / f"module_of_{name}-1.0.dist-info").iterdir():
            path.unlink()
        info.rmdir()


@pytest.fixture
def site(tmp_path, monkeypatch):
    found = Site(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv(DISABLED, raising=False)
    registry._build_registry.cache_clear()
    found.install("good", GOOD)
    yield found
    registry._build_registry.cache_clear()
    offers._load_kind.cache_clear()
    for name in [name for name in sys.modules if name.startswith("module_of_")]:
        del sys.modules[name]


def state(name):
    registry._build_registry.cache_clear()
    return next(found for found in registry.registry().plugins if found.name == name)


FAULTS = {
    "raises": ("1 / 0", "ZeroDivisionError", "composer plugins check bad"),
    "hangs": ("import time; time.sleep(600)", "was not imported after 6 seconds", "COMPOSER_DISABLE_PLUGINS=bad"),
    "ends the process": ("import os; os._exit(3)", "ended the process that imported it (exit status 3)", "tell its"),
    "misses a library": ("import no_such_library", "No module named 'no_such_library'", "pip install --upgrade bad"),
    "is for other hooks": (
        "COMPOSER_API = 99",
        "made for version 99 of the hooks",
        "pip install --upgrade composer-midi",
    ),
    "takes a name": (GOOD.replace("NAME", "'top-p'"), "for the plugin 'shaping' (composer-midi) offers", "Keep one"),
    "is malformed": (
        GOOD.replace("{NAME: dull}", "[dull]"),
        "returned list where {name: callable}",
        "plugins check bad",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_plugin_with_a_fault_hurts_nobody_and_the_doctor_says_what_to_do(fault, site, run, monkeypatch):
    text, reason, advice = FAULTS[fault]
    if fault == "hangs":
        monkeypatch.setattr(probing, "LIMIT", 6.0)
    site.install("bad", text)
    found = state("bad")
    assert reason in " ".join([found.fault, *(note.text for note in found.notes)])
    assert {"good", "top-p"} <= set(registry.registry().list_names("samplers"))
    few = [point for point in find() if point.name in ("shaping", "bad")]
    monkeypatch.setattr("composer.plugins.doctor.find", lambda: few)
    said = run("plugins", "doctor")
    assert said.status == 1
    assert reason in said.out
    assert advice in said.out
    assert ("`pip uninstall bad-package` takes it away." in said.out) == bool(found.fault)
    assert run("--without", "bad", "plugins").status == 0
    assert os.environ[DISABLED] == ""
    site.uninstall("bad")
    registry._build_registry.cache_clear()
    assert not any(found.fault for found in registry.registry().plugins if not found.ours)


def test_a_plugin_that_hangs_is_probed_once_and_not_imported_again_until_it_changes(site, monkeypatch):
    monkeypatch.setattr(probing, "LIMIT", 6.0)
    site.install("bad", FAULTS["hangs"][0])
    assert state("bad").cause == "hangs"
    began = time.monotonic()
    assert state("bad").cause == "hangs"
    assert time.monotonic() - began < 5  # the time limit of a probe is 6
    site.install("bad", GOOD)
    os.utime(site.folder / "module_of_bad.py", (1, 1))
    assert state("bad").fault == ""


def test_a_slow_plugin_and_a_missing_package_are_named(site):
    site.install("slow", "import time; time.sleep(1.2)\n" + GOOD, "no-such-package>=2")
    report = examine([point for point in find() if point.name in ("slow", "good")])
    told = {finding.state: f"{finding.text} {finding.advice}" for finding in report.findings}
    assert set(told) == {"slow", "missing"}
    assert told["slow"].startswith("takes 1.")
    assert told["missing"] == "needs no-such-package, which is not installed. `pip install no-such-package`."


def test_a_package_that_needs_other_versions_than_are_installed_is_named_with_them(site, run, monkeypatch):
    site.library("some-library", "2.5rc1")
    site.library("odd-library", "no version")
    needs = ["composer-midi>=99", "Some_Library<2,>=1", "odd-library>=3"]
    fitting = ["some-library>=2.5a1", "some-library<1; extra == 'old'", "some-library<1; python_version < '3'"]
    site.install("old", GOOD, *needs, "??")
    site.install("fits", GOOD, *fitting)
    monkeypatch.setattr("composer.plugins.doctor.SLOW", 60.0)
    few = [point for point in find() if point.name in ("old", "fits", "good")]
    monkeypatch.setattr("composer.plugins.doctor.find", lambda: few)
    said = run("plugins", "doctor")
    assert said.status == 1
    told, advice, well = said.out.splitlines()
    here = version("composer-midi")
    assert told == (
        f"old (old-package 1.0) needs composer-midi>=99, and {here} is installed; "
        "Some_Library<2,>=1, and 2.5rc1 is installed."
    )
    assert advice.strip() == (
        "`pip install --upgrade old-package composer-midi Some_Library` brings versions that fit each other, "
        "if there are any."
    )
    assert well.startswith("2 plugins are well")


def test_what_a_package_of_several_plugins_needs_is_told_once(site):
    site.install("two", GOOD, "no-such-package")
    entries = site.folder / "module_of_two-1.0.dist-info/entry_points.txt"
    entries.write_text(entries.read_text() + "three = module_of_two\n")
    report = examine([point for point in find() if point.name in ("two", "three")])
    assert [finding.state for finding in report.findings].count("missing") == 1


def test_a_disabled_plugin_is_said_to_be_and_is_no_fault(site, run, monkeypatch):
    monkeypatch.setenv(DISABLED, "good")
    report = examine([point for point in find() if point.name == "good"])
    assert [(finding.state, finding.is_fault) for finding in report.findings] == [("disabled", False)]
    assert "good" not in registry.registry().list_names("samplers")


def test_a_plugin_that_is_not_installed_cannot_be_left_out_but_in_the_environment(site, run, monkeypatch):
    assert "unknown plugin 'god' to leave out: did you mean 'good'?" in run("--without", "god", "plugins").err
    monkeypatch.setenv(DISABLED, "god")
    assert run("plugins").status == 0


def test_each_set_of_disabled_plugins_has_a_catalogue(site, monkeypatch):
    assert "good" in registry.registry().list_names("samplers")
    monkeypatch.setenv(DISABLED, "good")
    assert "good" not in registry.registry().list_names("samplers")
    monkeypatch.delenv(DISABLED)
    points = find()
    assert set(cache.recall(points)) == set(points)


def test_a_broken_plugin_makes_no_start_slower_and_is_tried_again_when_it_or_the_doctor_is(site, monkeypatch, run):
    site.install("bad", "import pathlib; pathlib.Path(__file__).with_suffix('.txt').read_text()")
    assert "FileNotFoundError" in state("bad").fault
    read = []
    real = registry.read_plugin
    monkeypatch.setattr(registry, "read_plugin", lambda point, **more: read.append(point.name) or real(point, **more))
    assert "FileNotFoundError" in state("bad").fault
    assert read == []
    (site.folder / "module_of_bad.txt").write_text("mended from outside")
    assert "FileNotFoundError" in state("bad").fault
    assert "tries again" in run("plugins").out
    few = [point for point in find() if point.name == "bad"]
    monkeypatch.setattr("composer.plugins.doctor.find", lambda: few)
    said = run("plugins", "doctor")
    assert "1 plugin is well" in said.out
    assert state("bad").fault == ""
    (site.folder / "module_of_bad.py").write_text("1 / 0")
    sys.modules.pop("module_of_bad")
    assert "ZeroDivisionError" in state("bad").fault
    assert read == ["bad"]


def test_the_health_of_a_plugin_does_not_depend_on_another_s(site, run):
    """The first takes the name of the second's sampler, and brings a tokenizer on which no sampler works."""
    broken = "\n@hookimpl\ndef register_tokenizers():\n    return {'a-broken-one': lambda: None}\n"
    site.install("aaa", GOOD.replace("NAME", "'same'").replace('"Change', '"Never change') + broken)
    site.install("mine", DULL)
    assert "'aaa' (aaa-package)" in state("mine").notes[0].text
    assert {"same", "other"} <= set(registry.registry().list_names("samplers"))
    checked = run("plugins", "check", "mine")
    assert "sampler same" in checked.out
    assert "a-broken-one" not in checked.out
    assert checked.status == 0, checked.out


def test_a_thing_that_is_left_out_fails_the_check_of_its_plugin(site, run):
    site.install("odd", GOOD.replace("NAME", "'Odd Name!'") + "\ndef register_metrics(): return {}\n")
    state("odd")
    checked = run("plugins", "check", "odd")
    assert checked.status == 1
    assert "'Odd Name!': a name is small letters" in checked.out
    assert "register_metrics offers nothing without @hookimpl" in checked.out
    shown = " ".join(run("plugins").out.split())
    assert "left out in part: register_metrics offers nothing without @hookimpl; write it above" in shown


def test_what_a_dataset_suggests_and_nothing_has_is_told(site, run, monkeypatch):
    site.install("bells", BELLS)
    registry._build_registry.cache_clear()
    few = [point for point in find() if point.name == "bells"]
    monkeypatch.setattr("composer.plugins.doctor.find", lambda: few)
    sentence = "nothing has the option 'hiden_size' of its training_options: did you mean 'hidden_size'?"
    said = run("plugins", "doctor")
    assert f"bells (bells-package 1.0) has a mistake: of the dataset 'bells', {sentence}" in said.out
    assert said.status == 1
    assert sentence in " ".join(run("plugins").out.split())
    checked = run("plugins", "check", "bells")
    assert sentence in checked.out
    assert checked.status == 1


def test_help_with_twenty_plugins_imports_none_of_them_nor_what_is_heavy(site):
    for number in range(20):
        site.install(f"plugin{number}", "raise SystemExit('imported')")
    code = (
        "import sys; from composer.cli import run; assert run(['--help']) == 0; "
        "print([name for name in sys.modules if name.startswith('module_of_') or name in ('numpy', 'torch', 'pluggy')])"
    )
    environment = {**os.environ, "PYTHONPATH": str(site.folder)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)  # each is read once
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_model_file_from_a_stranger_is_shown_without_importing_what_it_names(model_file, tmp_path, run):
    from dataclasses import replace

    from composer.model import ComponentSpec, load, save

    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    model, path = load(model_file), tmp_path / "x.safetensors"
    save(
        replace(
            model,
            architecture=ComponentSpec("evil", {"x": 1}, "evil", "1"),
            tokenizer=ComponentSpec("evil:go", {}, "evil", "1"),
        ),
        path,
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    code = (
        "import sys; from composer.cli import run; status = run(['models', 'show', sys.argv[1]]); "
        "print([name for name in sys.modules if name == 'evil' or name.startswith('composer_')]); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "[]" not in done.stdout.splitlines()[-1]:  # the first run makes the catalogue, for which ours are imported
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "evil" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
    assert not Path(tmp_path / "ran").exists()
