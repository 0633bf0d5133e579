"""The catalogue: what plugins offer is known without importing them, and never when something has changed."""

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from composer.errors import BadOption, UnknownName
from composer.plugins import cache, offers
from composer.plugins.discovery import find
from composer.plugins.options import name_type
from composer.storage.cache import find_cache_folder

TEXT = '''
from dataclasses import dataclass
from typing import Annotated, Literal
from composer import hookimpl

@dataclass(frozen=True)
class Swing:
    """Lengthen every other note."""
    amount: Annotated[float, "how much"]
    beats: int | None = None
    names: tuple[str, ...] = ("a", "b")
    feel: Literal["late", "early"] = "late"

@hookimpl
def register_samplers():
    return {"swing": Swing}
'''


@pytest.fixture
def points(tmp_path, monkeypatch):
    """The entry point of a plugin in a file of its own."""
    (tmp_path / "swing_plugin.py").write_text(TEXT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "swing_plugin", raising=False)
    offers._load_kind.cache_clear()
    return [EntryPoint("swing", "swing_plugin", "composer")]


def kept(points):
    """What is recalled of the plugins that were kept; None where one is not."""
    cache.keep({point: offers.read_plugin(point) for point in points})
    sys.modules.pop("swing_plugin", None)
    return recalled(points)


def recalled(points):
    found = cache.recall(points)
    return offers.combine(found.values()) if len(found) == len(points) else None


def test_what_is_recalled_is_what_was_offered_and_nothing_is_imported_for_it(points):
    offer = kept(points).get_offer("samplers", "swing")
    assert "swing_plugin" not in sys.modules
    assert offer.summary == "Lengthen every other note."
    assert offer.options == offers.load(points).get_offer("samplers", "swing").options


def test_a_thing_is_imported_when_it_is_made(points):
    found = kept(points)
    swing = found.make("samplers", "swing", amount="0.5", names="x,y")
    assert (swing.amount, swing.beats, swing.names) == (0.5, None, ("x", "y"))
    with pytest.raises(BadOption, match=r"sampler 'swing' needs the option 'amount'\."):
        found.make("samplers", "swing")


def test_a_plugin_that_breaks_later_is_named(points, tmp_path):
    found = kept(points)
    (tmp_path / "swing_plugin.py").write_text("1 / 0")
    with pytest.raises(UnknownName, match="the plugin 'swing', which offered 'swing', is left out: ZeroDivisionError"):
        found.make("samplers", "swing", amount=1)


def test_a_changed_file_or_another_plugin_makes_it_anew(points, tmp_path):
    assert kept(points)
    os.utime(tmp_path / "swing_plugin.py", (1, 1))
    assert recalled(points) is None
    assert kept(points)
    assert list(cache.recall([*points, EntryPoint("other", "json", "composer")])) == points


def test_a_changed_file_of_a_class_that_is_inherited_makes_it_anew(points, tmp_path, monkeypatch):
    (tmp_path / "heir_plugin.py").write_text(
        "from composer import hookimpl\nfrom swing_plugin import Swing\n\nclass Lilt(Swing):\n    'Swing a little.'\n\n"
        "@hookimpl\ndef register_samplers():\n    return {'lilt': Lilt}\n"
    )
    monkeypatch.delitem(sys.modules, "heir_plugin", raising=False)
    heir = [EntryPoint("heir", "heir_plugin", "composer")]
    assert kept(heir)
    os.utime(tmp_path / "swing_plugin.py", (1, 1))
    assert recalled(heir) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"fingerprint": 1}', "null"])
def test_a_damaged_catalogue_is_made_anew(points, text):
    assert kept(points)
    (find_cache_folder() / "plugins.json").write_text(text)
    assert recalled(points) is None


def test_entries_that_are_none_are_made_anew(points):
    assert kept(points)
    place = find_cache_folder() / "plugins.json"
    values = json.loads(place.read_text())
    values["entries"]["swing=swing_plugin"]["plugin"]["offers"][0]["kind"] = "toys"
    place.write_text(json.dumps(values))
    assert recalled(points) is None


def test_a_plugin_with_an_option_that_a_file_cannot_hold_is_not_kept_and_the_others_are(points, tmp_path):
    (tmp_path / "swing_plugin.py").write_text(TEXT.replace("int | None = None", "object = object()"))
    assert kept(points) is None
    (tmp_path / "fine_plugin.py").write_text(TEXT.replace("swing", "fine"))
    both = [*points, EntryPoint("fine", "fine_plugin", "composer")]
    assert kept(both) is None
    assert list(cache.recall(both)) == both[1:]


def test_what_was_kept_of_types_of_a_plugin_makes_the_things_themselves(points, tmp_path):
    (tmp_path / "swing_plugin.py").write_text(
        TEXT.replace("int | None = None", "Feel | None = Feel.SLOW").replace(
            "@dataclass", "from enum import Enum\nFeel = Enum('Feel', 'SLOW FAST')\n\n@dataclass", 1
        )
    )
    found = kept(points)
    beats = found.get_offer("samplers", "swing").options[1]
    assert (name_type(beats.type), beats.default) == ("SLOW or FAST or none", "SLOW")
    assert found.make("samplers", "swing", amount=1, beats="FAST").beats.name == "FAST"
    with pytest.raises(BadOption, match=r"'beats' is 'MILD', which is not SLOW or FAST or none\."):
        found.make("samplers", "swing", amount=1, beats="MILD")


@pytest.mark.parametrize("text", ["1 / 0", "COMPOSER_API = 7", "register_samplers = 3\nraise SystemExit", "def f(:"])
def test_why_a_plugin_is_broken_is_kept_until_its_files_change(points, tmp_path, text):
    (tmp_path / "swing_plugin.py").write_text(text)
    (before,) = offers.load(points).plugins
    assert kept(points).plugins == (before,)
    assert before.fault
    (tmp_path / "swing_plugin.py").write_text(TEXT)
    os.utime(tmp_path / "swing_plugin.py", (2, 2))
    assert recalled(points) is None


def test_that_a_plugin_misses_a_library_is_kept(points, tmp_path):
    (tmp_path / "swing_plugin.py").write_text("import a_library_that_is_not_here")
    (plugin,) = kept(points).plugins
    assert (plugin.cause, "a_library_that_is_not_here" in plugin.fault) == ("missing", True)


def test_our_plugins_are_recalled_as_they_are():
    points = find()
    loaded, found = offers.load(points), kept(points)
    assert found.plugins == loaded.plugins
    for kind, of_kind in loaded.offers.items():
        for name, offer in of_kind.items():
            one = found.get_offer(kind, name)
            assert (one.options, one.summary, one.plugin) == (offer.options, offer.summary, offer.plugin)


def test_a_piece_is_written_without_what_it_does_not_need(tmp_path):
    """Neither torch nor a tokenizer, reader or dataset that has no part in it."""
    code = (
        "import sys; from composer.cli import run; "
        f"assert run(['generate', {str(tmp_path / 'x.mid')!r}, '--model', 'tunes', '--bars', '1', '--quiet', "
        "'--force']) == 0; "
        "print([m for m in sys.modules if m in ('torch', 'music21', 'symusic', 'composer_frames.tokenizer', "
        "'composer_notation.reader', 'composer.data.corpus', 'composer.generation.infilling')])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    again = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert again.stdout.splitlines()[-1] == "[]"
    assert Path(tmp_path / "x.mid").exists()


def test_what_was_kept_and_then_changed_is_not_believed(points):
    kept(points)
    place = find_cache_folder() / "plugins.json"
    place.write_text(place.read_text().replace("Lengthen", "Shorten"))
    assert recalled(points) is None
    place.write_text("[" * 100_000)
    assert recalled(points) is None
