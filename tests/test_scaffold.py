"""`composer plugins new`: for each kind a package that installs, passes its own tests, and is as short as promised."""

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from composer import __version__
from composer.errors import BadOption, CannotWrite
from composer.io.formats import read
from composer.model import load, save
from composer.music.score import TICKS_PER_QUARTER
from composer.plugins.offers import KINDS
from composer.plugins.offers import load as load_plugins
from composer.plugins.registry import registry
from composer.plugins.scaffold import FULLER, begin, list_kinds, render_files, render_source
from composer.testing import make_random_model
from composer_tunes import locate_model

NAME = "my-swing"


def installed(folder, site):
    """What an installer leaves of a package: its module, and metadata made of its pyproject.toml."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    module = project["entry-points"]["composer"][project["name"]]
    shutil.copytree(folder / module, site / module)
    info = site / f"{module}-{project['version']}.dist-info"
    info.mkdir()
    needs = "".join(f"Requires-Dist: {one}\n" for one in project["dependencies"])
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n{needs}"
    )
    (info / "entry_points.txt").write_text(f"[composer]\n{project['name']} = {module}\n")


def python(*arguments, site, cwd):
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_a_package_of_a_model_needs_the_packages_that_its_model_needs(tmp_path):
    made = load(locate_model())
    path = tmp_path / "foreign.safetensors"
    save(replace(made, architecture=replace(made.architecture, plugin="composer-waltz", version="3.2")), path)
    folder = begin("my-band", "model", tmp_path, path)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == [f"composer-midi>={__version__}", "composer-waltz>=3.2"]


def test_there_is_a_beginning_of_every_kind():
    assert {f"{FULLER.get(kind, kind)}s" for kind in list_kinds()} == {*KINDS, "events"}


@pytest.mark.uncounted
def test_a_new_package_of_each_kind_passes_its_tests_and_the_contracts(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    asked = []
    for kind in list_kinds():
        installed(begin(f"my-{kind}", kind, tmp_path, locate_model() if kind == "model" else None), site)
        asked += [f"--composer-contracts-of=my-{kind}", f"my-{kind}/tests"]
    done = python("-m", "pytest", "-v", "-p", "no:cacheprovider", *asked, site=site, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    for kind in list_kinds():
        offered = f".my{kind}" if kind in ("reader", "exporter") else f"my-{kind}"
        title = f"{FULLER.get(kind, kind)} {offered}"
        first = "piece_written" if kind == "event" else "options"
        assert f"{title}: {first} PASSED" in done.stdout
        assert f"test_my_{kind}.py::test" in done.stdout
        assert len([line for line in done.stdout.splitlines() if f"::{title}" in line]) >= 2


BOTH_CHECKS = """
import sys, pytest
from composer.cli import main
pytest.main(["-q", "-p", "no:cacheprovider"])
print("=== and the command ===")
main(["plugins", "check", sys.argv[1]])
"""
"""In one process, which starts once."""


@pytest.mark.uncounted
def test_in_its_folder_pytest_alone_checks_the_contracts_and_names_the_rule_that_is_broken(tmp_path):
    folder, site = begin(NAME, "sampler", tmp_path), tmp_path / "site"
    site.mkdir()
    installed(folder, site)
    good = python("-m", "pytest", "-q", "-p", "no:cacheprovider", site=site, cwd=folder)
    assert good.returncode == 0, good.stdout
    module = folder / "my_swing" / "__init__.py"  # which goes before the installed one
    module.write_text(module.read_text().replace("- self.amount * leap", "+ float('-inf') * (leap >= 0)"))
    bad = python("-c", BOTH_CHECKS, NAME, site=site, cwd=folder)
    tested, checked = bad.stdout.split("=== and the command ===")
    assert "broken rule: at least one token stays possible; in a batch of 1, after nothing" in tested
    assert "at least one token stays possible" in checked
    assert bad.returncode == 1


LINES = {"cell": 60, "grammar": 100}


@pytest.mark.parametrize("kind", list_kinds())
def test_its_module_has_forty_lines_at_most_and_a_fuller_example_few_more(kind):
    assert len([line for line in render_source(NAME, kind).splitlines() if line.strip()]) <= LINES.get(kind, 40)


@pytest.mark.parametrize("kind", list_kinds())
def test_nothing_of_the_example_s_name_is_left(kind):
    for path, text in render_files("ab-cd", kind, ["composer-midi"]).items():
        assert not any(word in (path + text).lower() for word in ("thing:", "my-thing", "my_thing", "mything")), path


def test_pip_installs_it(tmp_path):
    pytest.importorskip("hatchling")
    folder = begin(NAME, "sampler", tmp_path)
    offline = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    done = python("-m", "pip", "install", *offline, "--target", tmp_path / "site", folder, site=tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = python("-m", "composer", "plugins", "show", NAME, site=tmp_path / "site", cwd=tmp_path).stdout
    assert "sampler my-swing, of the plugin my-swing (my-swing 0.1.0)" in shown
    assert "--my-swing                   float, default 0.1" in shown
    assert "composer generate piece.mid --my-swing 0.1" in shown


def test_the_command_makes_it_and_says_how_to_go_on(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "pip install -e my-swing" in run("plugins", "new", NAME, "--kind", "reader").out
    assert "a package that offers an architecture. " in run("plugins", "new", "my-net", "--kind", "cell").out
    assert run("plugins", "new", "a-b", "--kind", "rule", "--kind", "transform").err == (
        "composer: a package begins with one --kind; others are added to its module, each with its own hook.\n"
    )
    assert "An exporter" not in (tmp_path / NAME / "README.md").read_text()
    assert "composer export piece.myswing piece.mid" in (tmp_path / NAME / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("My Swing", "sampler", "invalid plugin name 'My Swing': use small letters and digits, with dashes between"),
        ("../x", "sampler", "invalid plugin name"),
        ("json", "sampler", "there is a module 'json' already"),
        ("top-p", "sampler", "the sampler 'top-p' is offered by the plugin 'shaping'; take another name."),
        ("mid", "reader", "the reader '.mid' is offered by the plugin 'midi-file'"),
        ("my-swing", "smapler", "unknown kind 'smapler': did you mean 'sampler'?"),
        ("my-band", "model", "give it with --model mine.safetensors."),
    ],
)
def test_what_cannot_be_begun_is_one_sentence(name, kind, sentence, tmp_path):
    with pytest.raises(BadOption) as caught:
        begin(name, kind, tmp_path)
    assert sentence in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_stays_as_it_is(tmp_path):
    (tmp_path / NAME).mkdir()
    with pytest.raises(CannotWrite, match="is there already"):
        begin(NAME, "sampler", tmp_path)
    assert not list((tmp_path / NAME).iterdir())


def test_the_plugin_of_pytest_imports_nothing_of_composer_unless_it_is_asked():
    code = (
        "import sys, composer.plugins.pytest_plugin; "
        "print([m for m in sys.modules if m in ('numpy', 'composer.plugins.registry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_with_the_grammar_of_the_guide_writes_bars_a_form_and_fills(run, tmp_path, monkeypatch):
    name = "composer.plugins.scaffold.packages.grammar"
    found, mine = registry(), load_plugins([EntryPoint("my-thing", name, "composer")])
    offers = {kind: {**found.offers[kind], **mine.offers[kind]} for kind in KINDS}
    monkeypatch.setattr("composer.plugins.registry._build_registry", lambda _: replace(found, offers=offers))
    monkeypatch.chdir(tmp_path)
    made = make_random_model("gru", "my-thing", hidden_size=8, embedding_size=8, layers=1)
    fair = {key: np.zeros_like(array) for key, array in made.weights.items()}  # any token is as likely, but for pickups
    fair["head.bias"][made.vocabulary.index("Upbeat_0")] = 50
    save(replace(made, weights=fair), tmp_path / "drums.safetensors")
    model = ("--model", "drums.safetensors", "--seed", 1)
    assert run("generate", "bars.mid", *model, "--bars", 3, "--time-signature", "3/4").status == 0
    assert run("generate", "form.mid", *model, "--bars", 2, "--form", "ABA").status == 0
    assert run("fill", "bars.mid", "filled.mid", *model, "--bars", "2").status == 0
    bars, form, filled = (read(tmp_path / f"{name}.mid") for name in ("bars", "form", "filled"))
    assert [track.is_drum for track in bars.tracks] == [True]
    assert len(list_drums(bars, 0, 9)) == len(bars.tracks[0].notes)
    assert list_drums(form, 0, 8) == list_drums(form, 16, 24) != list_drums(form, 8, 16)
    assert list_drums(filled, 0, 3) == list_drums(bars, 0, 3)
    assert list_drums(filled, 6, 9) == list_drums(bars, 6, 9)
    assert list_drums(filled, 3, 6) != list_drums(bars, 3, 6)


def list_drums(score, begin, end):
    """The drums of a score between two quarters: the ticks from the first of them, and the sounds."""
    notes, first = score.tracks[0].notes, begin * TICKS_PER_QUARTER
    inside = notes[(notes["start"] >= first) & (notes["start"] < end * TICKS_PER_QUARTER)]
    return [(int(note["start"]) - first, int(note["pitch"])) for note in inside]
