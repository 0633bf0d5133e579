"""Plugins: what is broken is left out with its reason, and everything else works."""

import re
import sys
import types
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Literal

import click
import pytest

import composer
from composer import hookimpl, hookspecs
from composer.errors import BadOption, UnknownName
from composer.plugins import registry as plugins
from composer.plugins.checks import SUFFIXES
from composer.plugins.hooks import EVENTS
from composer.plugins.offers import KINDS, load
from composer.plugins.options import read_options


@dataclass(frozen=True)
class Swing:
    """Lengthen every other note.

    More about it.
    """

    amount: Annotated[float, "how much"]
    beats: int = 4
    names: tuple[str, ...] = ("a", "b")
    loud: bool = False
    limit: int | None = None
    feel: Literal["late", "early"] = "late"

    def __post_init__(self):
        if self.amount < 0:
            raise ValueError("amount must not be below 0")


@pytest.fixture
def plugin(monkeypatch):
    """The entry point of a module with such hooks and constants: `plugin("mine", samplers={…}, COMPOSER_API=7)`."""

    def make(name, *, hooks=(), constants=(), **offers):
        module = types.ModuleType(f"module_of_{name}")
        for kind, things in offers.items():
            setattr(module, f"register_{kind}", hookimpl(_returns(things, f"register_{kind}")))
        for constant, value in dict(constants).items():
            setattr(module, constant, value)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return EntryPoint(name, module.__name__, "composer")

    return make


def _returns(things, name):
    def hook():
        return things

    hook.__name__ = name
    return hook


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The entry point of a module with this source text."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name, text):
        (tmp_path / f"source_of_{name}.py").write_text(text)
        return EntryPoint(name, f"source_of_{name}", "composer")

    return make


def fault(registry, name):
    return next(found.fault for found in registry.plugins if found.name == name)


def notes(registry, name):
    return [note.text for found in registry.plugins if found.name == name for note in found.notes]


# --- what is left out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'", id="import"),
        pytest.param("1 / 0", "ZeroDivisionError: division by zero", id="any error"),
        pytest.param("raise SystemExit('I want Python 2')", "SystemExit: I want Python 2", id="SystemExit"),
        pytest.param("def f(:", "SyntaxError: .*", id="syntax"),
        pytest.param("raise ValueError('\\x1b[31mred')", r"\\x1b\[31mred", id="control characters"),
    ],
)
def test_a_plugin_that_fails_at_import_is_left_out_and_the_others_work(source, plugin, text, reason):
    found = load([source("broken", text), plugin("good", samplers={"swing": Swing})])
    assert re.fullmatch(reason, fault(found, "broken"))
    assert fault(found, "good") == ""
    assert found.list_names("samplers") == ["swing"]


def test_of_two_things_with_one_name_the_second_is_left_out_alone_and_says_whose_name_it_is(plugin):
    first = plugin("first", samplers={"swing": Swing})
    second = plugin("second", samplers={"shuffle": Swing, "swing": Swing}, datasets={"dances": Swing})
    found = load([first, second])
    assert (found.plugins[0].notes, fault(found, "second")) == ((), "")
    assert notes(found, "second") == [
        "the sampler 'swing' is left out, for the plugin 'first' (?) offers that name already"
    ]
    assert (found.list_names("samplers"), found.list_names("datasets")) == (["shuffle", "swing"], ["dances"])
    assert found.offers["samplers"]["swing"].plugin.name == "first"


def test_one_name_may_stand_for_things_of_two_kinds(plugin):
    found = load([plugin("one", samplers={"swing": Swing}), plugin("two", datasets={"swing": Swing})])
    assert not any(entry.fault for entry in found.plugins)


def test_two_plugins_may_have_the_same_entry_point_name(plugin, source):
    other = source("good", "from composer import hookimpl\n@hookimpl\ndef register_models(): return {'mine': print}")
    found = load([plugin("good", samplers={"swing": Swing}), other])
    assert [entry.fault for entry in found.plugins] == ["", ""]
    assert (found.list_names("samplers"), found.list_names("models")) == (["swing"], ["mine"])


@pytest.mark.parametrize(
    ("offers", "reason"),
    [
        pytest.param([Swing], "register_samplers returned list where {name: callable} is asked for", id="no mapping"),
        pytest.param(None, "register_samplers returned NoneType", id="nothing"),
    ],
)
def test_a_hook_that_returns_something_else_is_left_out_alone(plugin, offers, reason):
    found = load([plugin("odd", samplers=offers, datasets={"walks": Swing}), plugin("none", samplers=offers)])
    assert fault(found, "odd") == ""
    assert reason in notes(found, "odd")[0]
    assert reason in fault(found, "none")
    assert (found.list_names("samplers"), found.list_names("datasets")) == ([], ["walks"])


def test_a_hook_that_raises_is_left_out_alone(source):
    hooks = "from composer import hookimpl\n@hookimpl\ndef register_samplers(): return 1 / 0\n"
    good = "@hookimpl\ndef register_models(): return {'mine': print}\n"
    found = load([source("raising", hooks + good)])
    assert notes(found, "raising") == ["register_samplers raised ZeroDivisionError: division by zero"]
    assert found.list_names("models") == ["mine"]


@pytest.mark.parametrize(
    ("kind", "name", "thing", "reason"),
    [
        ("samplers", "swing", 3, "register_samplers offers 'swing', which is not a name with a callable"),
        ("samplers", 3, Swing, "register_samplers offers 3, which is not a name with a callable"),
        ("samplers", "Odd Name!", Swing, "a name is small letters and digits, with dashes between, such as 'odd-name'"),
        ("samplers", "", Swing, "such as 'my-name'"),
        ("datasets", "a:b", Swing, "such as 'a-b'"),
        ("readers", "foo", Swing, "a suffix is a dot and small letters or digits, such as '.foo'"),
        ("exporters", ".Foo", Swing, "such as '.foo'"),
        ("exporters", "../x", Swing, "such as '.x'"),
        ("commands", "mine", Swing, "register_commands offers 'mine', which is not a click command"),
    ],
)
def test_a_thing_that_cannot_be_used_is_left_out_alone(plugin, kind, name, thing, reason):
    found = load([plugin("odd", **{kind: {name: thing, ".ok" if kind in SUFFIXES else "ok": _fit(kind)}})])
    assert fault(found, "odd") == ""
    assert reason in notes(found, "odd")[0]
    assert len(found.offers[kind]) == 1


def _fit(kind):
    return click.Command("ok") if kind == "commands" else Swing


def test_a_thing_with_an_option_called_name_which_a_recipe_has_no_place_for_is_left_out(plugin):
    def named(name: str = "x") -> None: ...

    found = load([plugin("odd", architectures={"wide": named}), plugin("fine", samplers={"wide": named})])
    assert notes(found, "odd") == [
        "register_architectures offers 'wide' with an option 'name', which stands for 'wide' in recipes"
    ]
    assert found.list_names("samplers") == ["wide"]


def test_a_thing_whose_signature_cannot_be_read_is_left_out(source):
    text = "from composer import hookimpl\ndef f(x: Nowhere = 1): ...\n@hookimpl\ndef register_samplers():"
    found = load([source("odd", f"from __future__ import annotations\n{text} return {{'f': f}}")])
    assert "whose signature cannot be read: name 'Nowhere' is not defined" in notes(found, "odd")[0]
    assert found.list_names("samplers") == []


def test_an_unknown_hook_is_left_out_alone(plugin):
    found = load([plugin("future", foo={"x": Swing}, samplers={"swing": Swing})])
    assert (fault(found, "future"), found.list_names("samplers")) == ("", ["swing"])
    assert notes(found, "future") == ["register_foo is not a hook of this version, and is left out"]


def test_a_misspelt_hook_is_left_out_alone_with_the_nearest(plugin):
    found = load([plugin("mine", sampler={"swing": Swing}, datasets={"walks": Swing}), plugin("no", sampler={})])
    told = "register_sampler is not a hook, and is left out: did you mean 'register_samplers'?"
    assert (notes(found, "mine"), found.list_names("datasets")) == ([told], ["walks"])
    assert fault(found, "no") == told  # which has no other


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("register_samplers", "register_samplers offers nothing without @hookimpl; write it above"),
        ("register_sampler", "without @hookimpl; write it above and call it register_samplers"),
        ("register_fonts", None),
        ("make_samplers", None),
    ],
)
def test_a_forgotten_hookimpl_is_told(source, name, sentence):
    found = load([source(name, f"def {name}():\n    return {{}}\n")])
    told = notes(found, name)
    assert (sentence in told[0]) if sentence else not told


@pytest.mark.parametrize(("version", "works"), [("1", True), (1.0, True), ("2", False), (True, False), (None, False)])
def test_a_version_that_is_no_whole_number_is_told_so_and_is_understood_where_it_can_be(plugin, version, works):
    found = load([plugin("mine", constants={"COMPOSER_API": version}, samplers={"swing": Swing})])
    assert (notes(found, "mine")[0] if works else fault(found, "mine")) == (
        f"states COMPOSER_API = {version!r}, which is no whole number; write COMPOSER_API = {hookspecs.API_VERSION}"
    )
    assert found.list_names("samplers") == ["swing"] * works


@pytest.mark.parametrize(("number", "kept"), [(hookspecs.API_VERSION, True), (hookspecs.API_VERSION + 1, False)])
def test_a_plugin_for_another_version_of_the_hooks_is_left_out(plugin, number, kept):
    found = load([plugin("mine", constants={"COMPOSER_API": number}, samplers={"swing": Swing})])
    assert (found.list_names("samplers") == ["swing"]) is kept
    assert (f"version {number} of the hooks; this is {hookspecs.API_VERSION}" in fault(found, "mine")) is not kept


def test_the_command_line_shows_what_was_left_out_and_why(source, plugin, run, monkeypatch):
    points = [source("broken", "1 / 0"), plugin("good", samplers={"swing": Swing})]
    monkeypatch.setattr("composer.plugins.registry._build_registry", lambda _: load(points))
    shown = run("plugins").out
    assert "left out: ZeroDivisionError: division by zero" in shown
    assert "samplers: swing" in shown
    assert "composer plugins doctor" in shown


# --- making things by name --------------------------------------------------------------------------------------------


@pytest.fixture
def registry(plugin):
    return load([plugin("mine", samplers={"swing": Swing})])


def test_an_unknown_name_gives_the_nearest(registry):
    with pytest.raises(UnknownName, match=r"no plugin offers the sampler 'swnig': did you mean 'swing'\?"):
        registry.make("samplers", "swnig")
    with pytest.raises(UnknownName, match=r"no plugin offers the dataset 'x': there is none\."):
        registry.make("datasets", "x")


def test_options_in_text_are_read_as_their_annotations_say(registry):
    made = registry.make("samplers", "swing", amount="0.5", beats="3", names="x,y", loud="yes", limit="7")
    assert made == Swing(0.5, 3, ("x", "y"), True, 7)
    assert registry.make("samplers", "swing", amount=1, names=["x"], limit=None) == Swing(1.0, names=("x",))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"amuont": 1}, "sampler 'swing' has no option 'amuont': did you mean 'amount'?"),
        ({}, "sampler 'swing' needs the option 'amount'."),
        ({"amount": "much"}, "sampler 'swing': 'amount' is 'much', which is not float."),
        ({"amount": 1, "beats": "3.5"}, "sampler 'swing': 'beats' is '3.5', which is not int."),
        ({"amount": 1, "beats": True}, "sampler 'swing': 'beats' is True, which is not int."),
        ({"amount": 1, "loud": "maybe"}, "sampler 'swing': 'loud' is 'maybe', which is not bool."),
        ({"amount": 1, "feel": "soon"}, "sampler 'swing': 'feel' is 'soon', which is not late or early."),
        ({"amount": 1, "names": 5}, "sampler 'swing': 'names' is 5, which is not"),
        ({"amount": -1}, "sampler 'swing': amount must not be below 0"),
    ],
)
def test_a_wrong_option_is_one_sentence(registry, options, sentence):
    with pytest.raises(BadOption) as caught:
        registry.make("samplers", "swing", **options)
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith((".", "?"))


def test_the_summary_is_the_first_line_of_the_docstring(registry):
    assert registry.offers["samplers"]["swing"].summary == "Lengthen every other note."
    amount = read_options(Swing)[0]
    assert (amount.name, amount.help, amount.required) == ("amount", "how much", True)


def test_options_of_a_base_class_elsewhere_are_read_where_it_stands(monkeypatch):
    """Its module writes annotations as text, of names that the module of the subclass need not know."""
    module = types.ModuleType("elsewhere")
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    program = (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from typing import Annotated as Told\n"
        "@dataclass(frozen=True)\n"
        "class Base:\n"
        "    width: Told[int, 'of it'] = 3\n"
    )
    exec(program, vars(module))

    @dataclass(frozen=True)
    class Own(module.Base):
        depth: int = 2

    found = {option.name: (option.type, option.help, option.default) for option in read_options(Own)}
    assert found == {"width": (int, "of it", 3), "depth": (int, "", 2)}


# --- the engine and its own plugins -----------------------------------------------------------------------------------


def test_the_engine_names_no_plugin():
    for path in Path(composer.__file__).parent.rglob("*.py"):
        named = re.findall(r"\bcomposer_[a-z]+", path.read_text(encoding="utf-8"))
        assert not named, f"{path} names {named}"


def test_the_hooks_are_the_kinds():
    hooks = {name for name, thing in vars(hookspecs).items() if hasattr(thing, "composer_spec")}
    assert hooks == {*(f"register_{kind}" for kind in KINDS), *EVENTS}


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_answered_by_a_plugin_of_ours(event):
    assert plugins.registry().answering[event]


@pytest.mark.parametrize("kind", KINDS)
def test_every_hook_has_a_plugin_of_ours(kind):
    offers = plugins.registry().offers[kind].values()
    assert any(offer.plugin.distribution == "composer-midi" for offer in offers)


def test_none_of_our_plugins_is_left_out_and_all_that_they_offer_says_what_it_is():
    found = plugins.registry()
    assert [entry for entry in found.plugins if entry.fault and entry.cause != "missing"] == []  # of an extra
    assert [offer.name for kind in KINDS for offer in found.offers[kind].values() if not offer.summary] == []
