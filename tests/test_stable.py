"""What plugin authors rely on: the helpers that are declared stable have these names and parameters."""

import ast
import inspect
import re
from dataclasses import dataclass, fields
from functools import cached_property
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
from documents import PLUGINS, text
from octaves import Octaves

from composer.arrays import get_namespace, make_range, replace_column
from composer.music.score import Score, Track, make_notes
from composer.plugins.scaffold.packages.grammar import DrumGrammar, MyThing
from composer.testing import check_grammar, check_infilling, check_tokenizer
from composer.testing.sequences import SAMPLES
from composer.tokens import bar_grammar
from composer.tokens.bar_encoding import Reading, make_heading, walk
from composer.tokens.bar_grammar import Field, Grid, Slot
from composer.tokens.fixed_bars import choose_spans, fix_tokens
from composer.types import MusicalState

STABLE = {
    "composer.arrays": {
        "get_namespace": "array",
        "convert_like": "constant, array",
        "make_range": "count, array",
        "stack_columns": "columns",
        "look_up": "table, places",
        "make_parameter": "value, array",
        "replace_column": "array, column, values",
        "carry_forward": "values, stated, first",
    },
    "composer.tokens.vocabulary": {
        "BOS": "",
        "EOS": "",
        "describe_tokens": "vocabulary, step_ticks, voices=(), *, sustains=False",
        "compute_pitches": "token_info, music",
    },
    "composer.tokens.bar_grammar": {
        "Grid": "steps_per_quarter, time_signatures, sections=False",
        "Field": "",
        "Slot": "",
        "COUNTDOWN": "",
        "TIME_SIGNATURES": "",
        "start": "grid, request, rows",
        "mask_tokens": "grid, state, may_move",
        "can_add_notes": "state",
        "find_last_step": "state",
        "find_onset_step": "state",
        "advance": "grid, state, tokens",
        "compute_states": "grid, tokens",
        "shift_tokens": "tokens",
        "make_inputs": "state",
        "make_grid_inputs": "grid, state",
        "interpret": "grid, state, **own",
    },
    "composer.tokens.bar_encoding": {
        "Measures": "starts, origins, time_signatures, key, upbeat, sections=[]",
        "find_bars": "grid, score, end",
        "assemble_tokens": "grid, found, steps, rows, *, ends",
        "mark_changes": "values",
        "Reading": "key=None, upbeat=0, time_signatures=[], step=0, end=0, ended=False, origin=0, bars=0, sections=[], "
        "lengths=[]",
        "walk": "grid, tokens, reading",
        "make_heading": "grid, reading",
    },
    "composer.tokens.fixed_bars": {
        "choose_spans": "score, spans, wanted",
        "fix_tokens": "grid, size, found, steps, rows, spans, note=0",
        "mark_fixed": "grid, spans, parts, steps",
        "fix_bars": "grid, found, cover",
        "check_track": "span, tracks",
        "clip_step": "state, length, further=0",
        "NEVER": "",
    },
    "composer.tokens.lookback": {
        "add_lookback": "grammar, token_info, bars, tokens_per_bar, *, sequences=False, recall=False, alike=()",
        "check_lookback": "bars",
    },
    "composer.music.keys": {
        "Key": "tonic, minor=False, signature=None",
        "ALL_KEYS": "",
        "parse_key": "text",
    },
    "composer.request": {"Request": ""},
}
"""The parameters of each helper; a value, a class of constants and a request have none here."""

GRID = {"step_ticks", "tokens", "first", "last", "longest_bar", "bar_steps", "beat_steps", "signatures", "index_of"}


def show_parameters(thing):
    """The parameters of a function or of a class, without their types."""
    made = []
    for parameter in inspect.signature(thing).parameters.values():
        default = parameter.default
        shown = "[]" if "factory" in repr(default) else repr(default)
        plain = parameter.replace(annotation=inspect.Parameter.empty, default=inspect.Parameter.empty)
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and "*" not in made:
            made.append("*")
        made.append(str(plain) if default is inspect.Parameter.empty else f"{plain}={shown}")
    return ", ".join(made)


@pytest.mark.parametrize("module", STABLE)
def test_the_helpers_of_grammars_have_these_names_and_parameters(module):
    found = import_module(module)
    for name, parameters in STABLE[module].items():
        thing = getattr(found, name)
        assert not parameters or show_parameters(thing) == parameters, name
    assert "What plugins may rely on is listed in `plugins/README.md`" in found.__doc__


def describe(module, name):
    """The first line of what a name says of itself; of a value, the text below it."""
    thing = getattr(module, name)
    if not STABLE[module.__name__][name] and not isinstance(thing, type):
        body = ast.parse(inspect.getsource(module)).body
        pairs = [
            (ast.unparse(one), below) for one, below in pairwise(body) if isinstance(one, ast.Assign | ast.AnnAssign)
        ]
        (found,) = [below for code, below in pairs if name in re.findall(r"\w+", re.split("[:=]", code)[0])]
        return inspect.cleandoc(found.value.value).partition("\n")[0]
    return inspect.getdoc(thing).partition("\n")[0]


def list_helpers():
    """The table of the helpers, for the guide."""
    rows = ["| helper | what it does, or is |", "|---|---|"]
    for module in STABLE:
        rows.append(f"| **`{module}`** | |")
        for name, parameters in STABLE[module].items():
            shown = f"{name}({parameters})" if parameters else name
            rows.append(f"| `{shown}` | {describe(import_module(module), name)} |")
    return "\n".join(rows)


def list_music():
    """The table of the fields of a musical state, for the guide."""
    meanings = re.findall(r"(?m)^(\w+): (.*)$", inspect.getdoc(MusicalState))
    assert [name for name, _ in meanings] == [field.name for field in fields(MusicalState)]
    return "\n".join(f"| `{name}` | {meaning} |" for name, meaning in meanings)


@pytest.mark.parametrize("table", [list_helpers, list_music])
def test_the_guide_has_what_the_code_says(table):
    assert f"\n{table()}\n\n" in text(PLUGINS)


def test_the_values_behind_them_have_these_names():
    grid = Grid(4, ("4/4", "3/4"))
    assert all(hasattr(grid, name) for name in GRID)
    assert inspect.signature(grid.make_columns).parameters.keys() == {"vocabulary_size", "slots"}
    assert grid.round_to_steps(np.array([0, 59, 60, 180])).tolist() == [0, 0, 1, 2]
    names = {name for name in vars(Field) if name.isupper()}
    assert {"TOKEN", "SLOT", "POSITION", "ORIGIN", "NEXT", "LENGTH", "BAR", "COUNTDOWN", "FLOOR", "KEY", "OWN"} <= names
    assert {"TIME_SIGNATURE", "KEY", "UPBEAT", "BAR", "MOVE", "END", "OWN"} <= set(vars(Slot))
    asked = {"bars", "most_bars", "time_signature", "key", "tempo", "primer", "primer_ticks"}
    assert asked <= {field.name for field in fields(bar_grammar.Request)}


# --- a grammar of two tokens a note, by these helpers alone -----------------------------------------------------------

NOTE, LOUD, MORE = Field.OWN, Slot.OWN + 1, Slot.OWN + 2
DEGREES = (20, 60, 90, 120)


@dataclass(frozen=True)
class AccentGrammar(DrumGrammar):
    """A drum, then its loudness: `Drum_38 Velocity_90`."""

    loud = property(lambda self: self.first + 128)
    tokens = property(lambda self: (*super().tokens, *(f"Velocity_{degree}" for degree in DEGREES)))
    columns = property(lambda self: self.grid.make_columns(len(self.tokens), slots=Slot.OWN + 3))
    compute_states = None  # which is optional

    def start(self, request, rows):
        return np.concatenate([super().start(request, rows), np.zeros((rows, 1), dtype=np.int64)], axis=1)

    def mask(self, state):
        slot = state[:, Field.SLOT]
        sounds = make_range(128, state) + self.first > state[:, NOTE][:, None]
        blocks = [
            bar_grammar.mask_tokens(self.grid, state, (slot == MORE) | (slot == Slot.MOVE)),
            (bar_grammar.can_add_notes(state) & (slot != LOUD))[:, None] & sounds,
            (slot == LOUD)[:, None] & (make_range(len(DEGREES), state) >= 0),
        ]
        return get_namespace(state).concat(blocks, axis=1)

    def advance(self, state, tokens):
        xp, after = get_namespace(state), super().advance(state[:, : Field.OWN], tokens)
        is_own, is_drum = tokens >= self.first, (tokens >= self.first) & (tokens < self.loud)
        note = xp.where(is_drum, tokens, xp.where(is_own, state[:, NOTE], 0))
        slot = xp.where(is_drum, LOUD, xp.where(is_own, MORE, after[:, Field.SLOT]))
        after = xp.concat([replace_column(after, Field.SLOT, slot), note[:, None]], axis=1)
        return xp.where((state[:, Field.SLOT] == Slot.END)[:, None], state, after)

    def fix_notes(self, score, spans):
        spans = choose_spans(score, spans, lambda track: track.is_drum)
        return fix_tokens(self.grid, len(self.tokens), *self.find_drums(score), spans, note=NOTE)

    def find_drums(self, score):
        found, steps, rows = super().find_drums(score)
        struck = {(n["start"] // self.grid.step_ticks, n["pitch"]): n["velocity"] for n in score.tracks[-1].notes}
        loud = [
            self.loud + np.abs(np.array(DEGREES) - struck[step, drum]).argmin()
            for step, drum in zip(steps.tolist(), (rows[:, 0] - self.first).tolist(), strict=True)
        ]
        return found, steps, np.column_stack([rows, loud])


@dataclass(frozen=True)
class Accents(MyThing):
    """Drums with their loudness."""

    @cached_property
    def grammar(self):
        return AccentGrammar(Grid(self.steps, self.time_signatures))

    def decode(self, tokens):
        grid, reading, notes = self.grammar.grid, Reading(), []
        for step, token in walk(grid, tokens, reading):
            if token < self.grammar.loud:
                sound = token - self.grammar.first
            else:
                notes.append((step * grid.step_ticks, grid.step_ticks, sound, DEGREES[token - self.grammar.loud]))
        return Score((Track(make_notes(notes), is_drum=True),), **make_heading(grid, reading))


def test_a_grammar_of_two_tokens_a_note_needs_these_helpers_alone():
    score = SAMPLES["a tune with drums"]
    check_tokenizer(Accents(), [score])
    check_infilling(Accents(), [score], rows=10)
    check_grammar(Accents(), rows=12)


def test_a_grammar_of_pitches_needs_them_alone_too():
    melodies = [SAMPLES[name] for name in ("a tune with a rest", "an upbeat", "3/4 in D minor")]
    check_tokenizer(Octaves(), melodies)
    check_infilling(Octaves(), melodies, rows=10)
    check_grammar(Octaves(), rows=12)
