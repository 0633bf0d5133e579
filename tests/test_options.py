"""Options of plugins: of any type that can be typed, and each of the thing that was named."""

import enum
import json
import shlex
import sys
import types
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Literal

import pytest

from composer import hookimpl
from composer.errors import BadOption, UnknownName
from composer.plugins import offers
from composer.plugins import registry as plugins
from composer.plugins.offers import Registry
from composer.plugins.options import get_values, name_type, read_options
from composer.plugins.specs import format_spec, parse_spec
from composer.request import Spec
from composer.training import recipe_file, recipes
from composer_batch import jobs, schema


class Feel(enum.Enum):
    LATE = "late"
    EARLY = "early"


class Depth(enum.IntEnum):
    ONE = 1
    TWO = 2


@dataclass(frozen=True)
class Many:
    """An option of each type."""

    feel: Annotated[Feel, "when"] = Feel.LATE
    depth: Annotated[Depth, "how deep"] = Depth.ONE
    table: Annotated[Path | None, "a file"] = None
    layers: Annotated[Literal[1, 2, "all"], "which"] = 1
    widths: Annotated[list[int], "of each"] = field(default_factory=lambda: [8, 8])
    span: Annotated[tuple[int, float], "from, to"] = (1, 2.0)
    limit: Annotated[int | Literal["auto"] | None, "at most"] = None
    names: Annotated[str | tuple[str, ...], "names"] = "x"


@dataclass(frozen=True)
class Switched:
    """A network whose dropout is on or off."""

    dropout: Annotated[bool, "whether to drop"] = False
    hidden_size: Annotated[int, "width", "4"] = 77


class Bare:
    """A sampler without options."""


@pytest.fixture
def with_plugin(monkeypatch):
    """A plugin beside ours: `with_plugin(architectures={"odd": Odd})`."""

    def add(**things):
        module = types.ModuleType("module_of_mine")
        for kind, named in things.items():
            hook = _make_hook(named)
            hook.__name__ = f"register_{kind}"
            setattr(module, hook.__name__, hook)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        ours = plugins.registry()
        mine = offers.load([EntryPoint("mine", module.__name__, "composer")])
        both = {kind: {**ours.offers[kind], **mine.offers[kind]} for kind in offers.KINDS}
        found = Registry(both, (*ours.plugins, *mine.plugins))
        monkeypatch.setattr(plugins, "_build_registry", lambda _: found)
        return found

    return add


def _make_hook(named):
    return hookimpl(lambda: named)


# --- types ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("feel", "early", Feel.EARLY),
        ("feel", Feel.EARLY, Feel.EARLY),
        ("depth", "TWO", Depth.TWO),
        ("depth", 2, Depth.TWO),
        ("table", "a/b.csv", Path("a/b.csv")),
        ("table", None, None),
        ("layers", "2", 2),
        ("layers", "all", "all"),
        ("widths", "3,4,5", [3, 4, 5]),
        ("widths", "", []),
        ("widths", (3, 4), [3, 4]),
        ("span", "3,4", (3, 4.0)),
        ("limit", "auto", "auto"),
        ("limit", "7", 7),
        ("limit", "none", None),
        ("names", "one", "one"),
        ("names", "one,two", ("one", "two")),
    ],
)
def test_an_option_of_any_type_is_read_from_text_and_from_plain_values(with_plugin, name, typed, value):
    made = getattr(with_plugin(samplers={"many": Many}).make("samplers", "many", **{name: typed}), name)
    assert (made, type(made)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "typed", "sentence"),
    [
        ("feel", "soon", "'feel' is 'soon', which is not late or early."),
        ("depth", 3, "'depth' is 3, which is not ONE or TWO."),
        ("table", 3, "'table' is 3, which is not path or none."),
        ("table", "", "'table' is '', which is not path or none."),
        ("layers", "3", "'layers' is '3', which is not 1 or 2 or all."),
        ("layers", True, "'layers' is True, which is not 1 or 2 or all."),
        ("widths", "3,x", "'widths' is '3,x', which is not several of int."),
        ("widths", {"a": 1}, "'widths' is {'a': 1}, which is not several of int."),
        ("span", "3", "'span' is '3', which is not int, float together."),
        ("limit", "much", "'limit' is 'much', which is not int or auto or none."),
    ],
)
def test_a_wrong_value_is_one_sentence_and_the_plugin_does_not_see_it(with_plugin, name, typed, sentence):
    def build(**options):
        raise AssertionError("was made")

    build.__signature__ = __import__("inspect").signature(Many)
    build.__annotations__ = Many.__annotations__
    with pytest.raises(BadOption) as caught:
        with_plugin(samplers={"many": build}).make("samplers", "many", **{name: typed})
    assert str(caught.value) == f"sampler 'many': {sentence}"


def test_what_was_made_is_plain_in_recipes_and_cards_and_makes_the_same_again(with_plugin):
    found = with_plugin(samplers={"many": Many})
    made = Many(Feel.EARLY, Depth.TWO, Path("x"), 2, [1], (2, 3.0), "auto", ("a", "b"))
    plain = json.loads(json.dumps(get_values(made)))
    assert (plain["feel"], plain["depth"], plain["table"]) == ("early", "TWO", "x")
    assert found.make("samplers", "many", **plain) == made


def test_defaults_are_told_as_they_are_typed():
    defaults = {option.name: option.default for option in read_options(Many)}
    assert defaults == {
        "feel": "late",
        "depth": "ONE",
        "table": None,
        "layers": 1,
        "widths": (8, 8),
        "span": (1, 2.0),
        "limit": None,
        "names": "x",
    }
    assert name_type(list[int] | None) == "several of int or none"


def test_a_callable_that_takes_anything_has_no_option_for_it():
    def build(width: int = 1, *rest: int, **more: int) -> None: ...

    assert [option.name for option in read_options(build)] == ["width"]


# --- the command line -------------------------------------------------------------------------------------------------


def test_an_option_is_that_of_the_thing_that_was_named(with_plugin, run):
    with_plugin(architectures={"odd": Switched})
    printed = run("train", "tunes", "--print-recipe", "--architecture", "gru", "--dropout", "0.5")
    assert "dropout = 0.5" in printed.out, printed.err
    assert "dropout = 0.5" in run("train", "tunes", "--dropout", "0.5", "--print-recipe").out
    assert "dropout = true" in run("train", "--dropout", "tunes", "--architecture=odd", "--print-recipe").out
    assert "dropout = false" in run("train", "--no-dropout", "tunes", "--architecture=odd", "--print-recipe").out
    refused = run("train", "tunes", "--architecture", "gru", "--dropout", "much", "--print-recipe")
    assert refused.err == "composer: architecture 'gru': 'dropout' is 'much', which is not float.\n"


def test_options_that_the_program_states_are_not_in_help(run):
    shown = run("generate", "--help").out + run("plugins", "show", "ending").out
    assert "--ending-kind" in shown
    assert not [flag for flag in ("--ending-yields", "--ending-at", "--chords-edition") if flag in shown]


def test_a_recipe_names_things_too(with_plugin, run, tmp_path):
    with_plugin(architectures={"odd": Switched})
    (tmp_path / "recipe.toml").write_text('dataset = "tunes"\n[architecture]\nname = "odd"\n')
    printed = run("train", str(tmp_path / "recipe.toml"), "--dropout", "--print-recipe")
    assert "dropout = true" in printed.out, printed.err


def test_an_option_of_another_tokenizer_leaves_that_of_the_dataset_as_it_is(with_plugin, run):
    @dataclass(frozen=True)
    class Relative:
        """Tokens."""

        relative: Annotated[int, "how much"] = 3

    with_plugin(tokenizers={"odd": Relative})
    printed = run("train", "--relative", "chorales", "--print-recipe")
    assert "relative = true" in printed.out, printed.err


def test_an_option_of_a_reader_is_that_of_the_file(with_plugin, run, tmp_path):
    @dataclass(frozen=True)
    class Piano:
        """Reads what pianos write."""

        pedal: Annotated[bool, "whether there is one"] = False

    with_plugin(readers={".piano": Piano})
    (tmp_path / "x.abc").write_text("X:1\nK:C\nCDEF|\n")
    assert run("export", str(tmp_path / "x.abc"), str(tmp_path / "x.mid")).status == 0
    assert run("export", str(tmp_path / "x.mid"), "--pedal", "ignore", str(tmp_path / "y.mid")).status == 0
    refused = run("export", str(tmp_path / "x.mid"), "--pedal", "soft", str(tmp_path / "z.mid"))
    assert refused.err == "composer: reader '.mid': 'pedal' is 'soft', which is not extend or ignore.\n"


def test_help_shows_each_thing_with_its_own_default(with_plugin, run):
    with_plugin(architectures={"odd": Switched})
    whole = " ".join(run("train", "--help").out.split())
    assert "--hidden-size INTEGER [odd] width, 77 unless given" in whole
    assert "width of each recurrent layer, 256 unless given" in whole
    assert "--dropout / --no-dropout [odd] whether to drop, no unless given" in whole
    assert "--dropout NUMBER" in whole
    named = " ".join(run("train", "--architecture", "odd", "--help").out.split())
    assert "77 unless given" in named
    assert "256 unless given" not in named


def test_options_of_two_kinds_that_a_command_has_too_are_told_apart(with_plugin, run):
    @dataclass(frozen=True)
    class Sized:
        """A thing with a seed."""

        seed: Annotated[int, "of chance"] = 5

    with_plugin(architectures={"odd": Sized}, tokenizers={"odd": Sized})
    shown = run("plugins", "show", "odd").out
    assert "--architecture-seed" in shown
    assert "--tokenizer-seed" in shown
    printed = run("train", "tunes", "--architecture", "odd", "--architecture-seed", "9", "--print-recipe")
    assert "seed = 9" in printed.out, printed.err


def test_what_show_prints_can_be_typed(with_plugin, run, capsys):
    @dataclass(frozen=True)
    class Wide:
        """A network."""

        feel: Annotated[Feel, "when", "early"] = Feel.LATE
        widths: Annotated[list[int], "of each", "3,4"] = field(default_factory=list)
        title: Annotated[str, "a text", "it's $5"] = "x"
        deep: Annotated[bool, "or not", "no"] = True
        table: Annotated[Path | None, "a file", "a b.csv"] = None

    with_plugin(architectures={"odd": Wide})
    shown = run("plugins", "show", "odd").out
    assert "late or early, default late" in shown
    assert "path or none, default none" in shown
    words = shlex.split(shown.splitlines()[-1])
    assert words[:2] == ["composer", "train"]
    printed = run(*["tunes" if word.startswith("folder:") else word for word in words[1:]], "--print-recipe")
    assert 'feel = "early"' in printed.out, printed.err
    assert "widths = [3, 4]" in printed.out
    assert 'title = "it\'s $5"' in printed.out
    assert "deep = false" in printed.out
    assert 'table = "a b.csv"' in printed.out


# --- recipes and jobs -------------------------------------------------------------------------------------------------


def test_a_recipe_holds_any_option_and_is_read_back(with_plugin, tmp_path):
    with_plugin(architectures={"odd": Many})
    plain = {"dataset": "tunes", "architecture": {"name": "odd", "feel": "early", "table": "x", "widths": [3]}}
    recipe = recipe_file.make_recipe(plain)
    (tmp_path / "recipe.toml").write_text(recipe_file.format_recipe(recipes.convert_to_plain(recipe, "tunes")))
    again = recipe_file.make_recipe(recipe_file.read_recipe(tmp_path / "recipe.toml"))
    assert again.architecture == Many(feel=Feel.EARLY, table=Path("x"), widths=[3])


def test_jobs_and_their_schema_know_any_option(with_plugin):
    with_plugin(samplers={"many": Many})
    keys = jobs.list_sampler_keys()
    assert keys["many"][1].name == "feel"
    described = schema.build_schema()["properties"]["job"]["items"]["properties"]
    assert described["many"]["anyOf"][0] == {"enum": ["late", "early"]}
    assert described["many-layers"]["anyOf"][0] == {"enum": [1, 2, "all"]}
    assert described["many-limit"]["anyOf"][0] == {"anyOf": [{"type": "integer"}, {"enum": ["auto"]}]}
    assert described["many-widths"]["default"] == [8, 8]


# --- specs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("many", {}),
        ("many:early", {"feel": "early"}),
        ("many:depth=2", {"depth": "TWO"}),
        ("many:early,depth=TWO,layers=all", {"feel": "early", "depth": "TWO", "layers": "all"}),
        ("many: widths=3,4, depth=ONE", {"widths": [3, 4], "depth": "ONE"}),
        ("many:names=one,two", {"names": ["one", "two"]}),
        ("many:table=a/b=c.csv", {"table": "a/b=c.csv"}),
        ("many:limit=none", {"limit": None}),
    ],
)
def test_a_spec_is_a_name_with_plain_values_and_is_typed_as_it_is_written(with_plugin, text, options):
    with_plugin(samplers={"many": Many})
    parsed = parse_spec(text, "samplers")
    assert parsed == Spec("many", options)
    assert parse_spec(format_spec(parsed), "samplers") == parsed
    assert json.loads(json.dumps(parsed.options)) == options


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("mny", UnknownName, "no plugin offers the sampler 'mny': did you mean 'many'?"),
        ("many:", BadOption, "sampler 'many': there is nothing after the colon of 'many:'."),
        ("many:dept=1", BadOption, "sampler 'many' has no option 'dept': did you mean 'depth'?"),
        ("many:early,feel=late", BadOption, "sampler 'many': 'feel' is given twice."),
        ("many:layers=7", BadOption, "sampler 'many': 'layers' is '7', which is not 1 or 2 or all."),
        ("many:layers=1,2", BadOption, "sampler 'many': 'layers' is '1,2', which is not 1 or 2 or all."),
        ("bare:3", BadOption, "sampler 'bare' has no options, and so takes no '3'."),
    ],
)
def test_a_wrong_spec_is_one_sentence(with_plugin, text, error, sentence):
    with_plugin(samplers={"many": Many, "bare": Bare})
    with pytest.raises(error) as caught:
        parse_spec(text, "samplers")
    assert str(caught.value) == sentence
