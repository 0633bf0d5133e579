"""Jobs: tables of a file as checked values, with their grids expanded, and the names of their files."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from string import Formatter
from typing import Annotated, Any

from composer.errors import BadOption, ComposerError, printable, suggest
from composer.generation.finishing import add_flagged, list_flagged, read_transforms
from composer.generation.options import list_sampler_options
from composer.generation.presets import get_preset
from composer.music.score import Labels
from composer.plugins.options import Option, convert, make_plain, read_options, takes_several
from composer.request import EDITION, SamplerSpec
from composer_batch.filters import Gates, Keep
from composer_batch.jobfile import Table

# --- names of files, which stay in the folder of a batch --------------------------------------------------------------


FOLDER = 1000
"""Pieces that share a folder."""

PATTERN = "{number:06}"
"""The default pattern of file names."""

LONGEST = 120
"""Characters of a name without its suffix."""

OWN = ("number", "index")
"""Fields that differ between the pieces of one cell."""

_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_WIDTH = re.compile(r"0?\d{0,2}")
_ODD = re.compile(r"[^A-Za-z0-9._+#-]+")


@dataclass(frozen=True)
class Names:
    """The file names of the pieces of one cell: only number and index are still to be filled in."""

    template: str  # a %-format with `number` and `index`

    @property
    def has_index(self) -> bool:
        """Whether the names contain the index."""
        return "%(index)" in self.template

    @property
    def are_unique(self) -> bool:
        """Whether no two pieces of the cell share a name.

        Numbers grow with indexes and never get shorter, so that names of equal length contain different numbers.
        """
        return self.template % {"number": 0, "index": 0} != self.template % {"number": 1, "index": 1}

    def make_stem(self, number: int, index: int) -> str:
        """Return the path of a piece in the batch, without suffix. Raises BadOption for an invalid name."""
        name = self.template % {"number": number, "index": index}
        if not name.strip(". ") or name != name.strip(" ") or name.startswith(".") or name.endswith("."):
            raise BadOption(f"invalid file name '{printable(name)}'.")
        if len(name) > LONGEST or len(name.encode()) > 2 * LONGEST:
            raise BadOption(f"'{printable(name)}' has {len(name)} characters; {LONGEST} are the most.")
        if _RESERVED.fullmatch(name):
            raise BadOption(f"'{printable(name)}' is a name that Windows keeps for devices.")
        return f"{name_folder(number)}/{name}"


def name_folder(number: int) -> str:
    """Return the name of the folder of a piece. Raises BadOption for a negative number."""
    if number < 0:
        raise BadOption(f"there is no piece {number}.")
    return f"{number // FOLDER:04}"


def make_names(pattern: str, fields: Mapping[str, Any]) -> Names:
    """Build file names from a pattern.

    Here, file names are made from the words of strangers. Raises BadOption for a pattern that would lead out of its
    folder, and for unknown fields.
    """
    shown = f"the file name '{printable(pattern)}'"
    try:
        parts = list(Formatter().parse(pattern))
    except ValueError as error:
        raise BadOption(f"{shown} is not a pattern: {error}.") from None
    literal = "".join(text for text, *_ in parts)
    if any(letter in '/\\:*?"<>|' or not letter.isprintable() for letter in literal):
        raise BadOption(f"{shown} contains a character that no file name may have, such as '/'.")
    found = []
    for text, name, form, conversion in parts:
        found.append(text.replace("%", "%%"))
        if name is not None:
            found.append(_fill_field(shown, name, form or "", fields, plain=not conversion))
    return Names("".join(found))


def _fill_field(shown: str, name: str, form: str, fields: Mapping[str, Any], *, plain: bool) -> str:
    """Return the template text for one field: its value, or a placeholder for number and index."""
    if name not in fields and name not in OWN:
        raise BadOption(f"{shown} has '{{{printable(name)}}}': {suggest(name, [*fields, *OWN])}")
    if not plain or not _WIDTH.fullmatch(form):
        raise BadOption(f"{shown} may give a width, as in {{index:04}}, and no other format.")
    if name in OWN:
        return f"%({name}){form}d"
    if form:
        raise BadOption(f"{shown} may give a width to {' and '.join(OWN)} alone.")
    value = fields[name]
    return "" if value is None else _ODD.sub("_", str(value))


# --- jobs -------------------------------------------------------------------------------------------------------------


MOST_PIECES = 1_000_000
"""Pieces of one job, for each point of its grid."""

MOST_CELLS = 10_000
"""Points of all grids of a file together."""

MOST_PIECE_BARS = 4096
"""Bars of one piece."""

MOST_ATTEMPTS = 100

LARGEST = 2**62
"""Seeds and indexes are smaller, so that SQLite can hold them."""

GRID = frozenset(
    "model seed index bars form time_signature key tempo beams primer device backend precision".split()  # noqa: SIM905
)
"""Options in which a list makes a grid; all options of samplers do so, too."""

LISTS = ("formats", "transforms")
"""Options whose value is a list, and which make no grid."""

FLAGGED = "transform"
"""What stands before the names of transforms with an option of their own."""

CONDITIONS = "conditions"
"""The key of the conditions of a job, by name."""

PRESET = "preset"
"""The key of a job for a set of options, as `composer generate --preset` takes it."""

_PLURALS = {"transform": "transforms"}
"""Options of the command that a job has under another name."""

TABLES = ("gates", "export_options", CONDITIONS)

Axis = tuple[str, str, Sequence[Any]]
"""A key as written, the option it names, and its values."""


@dataclass(frozen=True)
class Job:
    """A job without samplers, gates and export options. Raises BadOption for invalid values."""

    name: Annotated[str, "name of the job"] = ""
    file: Annotated[str, "pattern of the file names, such as {model}-{key}-{index:04}"] = PATTERN
    model: Annotated[str, "name of a model, or a .safetensors file"] = "chorales"
    count: Annotated[int, "how many pieces, for each point of the grid"] = 1
    seed: Annotated[int, "the same seed, the same music"] = 0
    index: Annotated[int | None, "only this piece of those of the seed, counted from 0"] = None
    bars: Annotated[int | None, "exactly so many whole bars (after the primer)"] = None
    form: Annotated[str | None, "sections of so many bars (8), such as AABA"] = None
    time_signature: Annotated[str | None, "time signature, such as 3/4"] = None
    key: Annotated[str | None, "key, such as Dm, F# or Bb"] = None
    tempo: Annotated[float | None, "quarter notes per minute; beats in edition 2"] = None
    edition: Annotated[int, "2: tempos, keys, chords and endings are those of `composer generate`"] = 1
    beams: Annotated[int | None, "search for the likeliest piece with so many beams"] = None
    primer: Annotated[str | None, "a music file, or notes: D4 E4 F4/2 A4/2"] = None
    transforms: Annotated[tuple[str, ...], "changes of the finished piece, in order: quantize:grid=8"] = ()
    title: Annotated[str | None, "title, in formats that have one"] = None
    formats: Annotated[tuple[str, ...], "formats of each piece, by suffix"] = ("mid",)
    device: Annotated[str, "cpu, cuda, …"] = "cpu"
    backend: Annotated[str, "inference backend; auto: the fastest one that can"] = "auto"
    precision: Annotated[str, "number format, such as int8"] = "float32"
    attempts: Annotated[int, "how often a piece is drawn, at most, until it passes the gates"] = 8
    keep: Annotated[str | None, "which pieces of the job to keep, such as: best 100 by likelihood"] = None

    def __post_init__(self) -> None:
        """Check the values that no request checks."""
        if not 1 <= self.count <= MOST_PIECES:
            raise BadOption(f"'count' is {self.count:,}, and must be from 1 to {MOST_PIECES:,}.")
        if self.bars is not None and self.bars > MOST_PIECE_BARS:
            raise BadOption(f"'bars' is {self.bars:,}; {MOST_PIECE_BARS:,} are the most in a batch.")
        for name, value in (("seed", self.seed), ("index", self.index or 0)):
            if not 0 <= value < LARGEST:
                raise BadOption(f"'{name}' is {printable(str(value))}, and must be from 0 to 2^62-1 in a batch.")
        if not 1 <= self.attempts <= MOST_ATTEMPTS:
            raise BadOption(f"'attempts' is {self.attempts:,}, and must be from 1 to {MOST_ATTEMPTS}.")
        if self.index is not None and self.count > 1:
            raise BadOption("'index' asks for one piece and 'count' for several; give one of them.")
        if self.beams is not None and self.count > 1:
            raise BadOption("'beams' find one piece, whatever its index; leave out 'count'.")
        if not self.formats or len(set(self.formats)) < len(self.formats):
            raise BadOption('\'formats\' names each form once, such as ["mid", "wav"].')
        if self.keep is not None:
            Keep.parse(self.keep)
        read_transforms(self.transforms)


@dataclass(frozen=True)
class GridPoint:
    """One point of a job's grid."""

    job: Job
    links: tuple[SamplerSpec, ...]
    gates: Mapping[str, Any]
    export_options: Mapping[str, Mapping[str, Any]]
    varied: tuple[str, ...]  # options with several values
    conditions: Labels
    flagged: Labels  # transforms with an option of their own, each with its value as typed
    table: Table = field(compare=False)


def list_sampler_keys() -> dict[str, tuple[str, Option]]:
    """List the keys of samplers' options, as on the command line: `top-p`, `density-per`."""
    own = [option.name for option in read_options(Job)]
    taken = {f"--{name.replace('_', '-')}" for name in (*own, *TABLES)}
    return {flag[2:]: (offer.name, option) for flag, (offer, option) in list_sampler_options(taken).items()}


def list_transform_keys() -> tuple[str, ...]:
    """List the transforms with an option of their own, as on the command line."""
    return tuple(list_flagged())


def expand_grids(tables: Sequence[Table]) -> list[GridPoint]:
    """Expand every job's grid, in the order of the file. Raises BadJobs, with file and line."""
    samplers = list_sampler_keys()
    found: list[GridPoint] = []
    for table in map(_apply_preset, tables):
        axes = _find_axes(table, samplers)
        size = math.prod(len(values) for _, _, values in axes)
        if len(found) + size > MOST_CELLS:
            many = f"{len(found) + size:,}" if size < 10**9 else "more than a billion"
            raise table.make_error(f"with this grid there are {many} jobs; {MOST_CELLS:,} are the most.")
        found += _expand_grid(table, axes, samplers)
    return found


def _apply_preset(table: Table) -> Table:
    """Put the options of a table's preset, if it names one, before its own; they mean what they do in the command."""
    if PRESET not in table.values:
        return table
    own = {key: value for key, value in table.values.items() if key != PRESET}
    try:
        options = dict(get_preset(str(table.values[PRESET])).options)
    except ComposerError as error:
        raise table.make_error(error, PRESET) from None
    usual = {_PLURALS.get(key, key): value for key, value in options.items()}
    stated = {key.replace("_", "-") for key in own}
    found = {key: value for key, value in usual.items() if key not in stated}
    return replace(table, values={"edition": EDITION, **found, **own})


def _find_axes(table: Table, samplers: Mapping[str, tuple[str, Option]]) -> list[Axis]:
    own, flagged, axes = _list_job_options(), list_transform_keys(), []
    stands: dict[str, str] = {}
    for written, value in table.values.items():
        name, dashed = written.replace("-", "_"), written.replace("_", "-")
        name = {"stepper": "backend"}.get(name, name)  # its first name
        if (other := stands.setdefault(name, written)) != written:
            raise table.make_error(
                f"'{printable(other)}' and '{printable(written)}' are the same; leave one out.", written
            )
        if name in own:
            axes.append((written, name, _check_values(table, written, value, name in GRID)))
        elif dashed in flagged:
            axes.append((written, f"{FLAGGED}.{dashed}", _check_values(table, written, value, grid=True)))
        elif dashed in samplers:
            listed = takes_several(samplers[dashed][1].type)  # for such an option, a list is one value
            nested = isinstance(value, list) and bool(value) and isinstance(value[0], list)
            axes.append((written, dashed, _check_values(table, written, value, nested or not listed, one=listed)))
        elif name in TABLES:
            if not isinstance(value, Mapping):
                raise table.make_error(f"'{name}' is a table of options.", written)
            if name == CONDITIONS:
                axes += _find_condition_axes(table, written, value)
        else:
            known = [*own, *samplers, *flagged, *TABLES, PRESET]
            raise table.make_error(
                f"a job has no '{printable(written)}': {suggest(printable(written), known)}", written
            )
    return axes


def _find_condition_axes(table: Table, written: str, conditions: Mapping[str, Any]) -> Iterator[Axis]:
    """Yield the axis of each condition of a job: a text, or a list of texts, which makes a grid."""
    for name, value in conditions.items():
        values = _check_values(table, written, value, grid=True)
        if not all(isinstance(one, str) for one in values):
            raise table.make_error(f"'{CONDITIONS}.{printable(name)}' is a text, or a list of texts.", written)
        yield written, f"{CONDITIONS}.{name}", values


def _check_values(table: Table, key: str, value: Any, grid: bool, *, one: bool = False) -> Sequence[Any]:
    if isinstance(value, Mapping):
        raise table.make_error(f"'{printable(key)}' is a table, and takes a value.", key)
    if not isinstance(value, list) or (one and not grid):
        return [_read_list(key, value)]
    if not grid:
        if key in LISTS:
            return [value]
        raise table.make_error(f"'{printable(key)}' takes one value; a list makes a grid of other options.", key)
    if not value:
        raise table.make_error(f"'{printable(key)}' is an empty list, which asks for nothing.", key)
    return value


def _read_list(key: str, value: Any) -> Any:
    """Return a list for a single transform or rule, whose commas stand between its options."""
    return [value] if key in ("transforms", "rules") and isinstance(value, str) else value


def _expand_grid(table: Table, axes: Sequence[Axis], samplers: Mapping[str, tuple[str, Option]]) -> Iterator[GridPoint]:
    gates, exporting = _read_gates(table), _read_export_options(table)
    varied = tuple(name.replace("-", "_") for _, name, values in axes if len(values) > 1)
    written, own = [key for key, _, _ in axes], _list_job_options()
    for point in itertools.product(*(values for _, _, values in axes)):
        options: dict[str, Any] = {}
        chain: dict[str, dict[str, Any]] = {}
        conditions: dict[str, str] = {}
        flagged: dict[str, str] = {}
        for key, (_, name, _), value in zip(written, axes, point, strict=True):
            try:
                if name in own:
                    options[name] = convert(value, own[name], f"job {table.number}")
                elif name.startswith(f"{FLAGGED}."):
                    flagged[name.partition(".")[2]] = value
                    add_flagged((), flagged, usual=False)
                elif name.startswith(f"{CONDITIONS}."):
                    conditions[name.partition(".")[2]] = value
                else:
                    sampler, option = samplers[name]
                    chosen = make_plain(convert(value, option, f"sampler '{sampler}'"))
                    chain.setdefault(sampler, {})[option.name] = list(chosen) if isinstance(chosen, tuple) else chosen
            except ComposerError as error:
                raise table.make_error(error, key) from None
        try:
            job = Job(**options)
        except ComposerError as error:
            raise table.make_error(error, _find_named_key(str(error), written)) from None
        links = tuple(SamplerSpec(name, chosen) for name, chosen in chain.items())
        told, asked = tuple(conditions.items()), tuple(flagged.items())
        yield GridPoint(job, links, gates, exporting, varied, told, asked, table)


def _find_named_key(text: str, keys: Sequence[str]) -> str:
    """Find the key that an error is about, by its first quoted word."""
    return next((key for key in keys if f"'{key.replace('-', '_')}'" in text), "")


@lru_cache(maxsize=1)
def _list_job_options() -> Mapping[str, Option]:
    """List the options of a job."""
    return {option.name: option for option in read_options(Job)}


@lru_cache(maxsize=1)
def _list_gate_options() -> Mapping[str, Option]:
    return {option.name: option for option in read_options(Gates)}


def _read_gates(table: Table) -> dict[str, Any]:
    known = _list_gate_options()
    chosen: dict[str, Any] = {}
    for key, value in dict(table.values.get("gates", {})).items():
        name = key.replace("-", "_")
        if name not in known:
            raise table.make_error(f"there is no gate '{printable(key)}': {suggest(name, known)}", "gates")
        try:
            chosen[name] = convert(_read_list(name, value), known[name], "gates")
        except BadOption as error:
            raise table.make_error(error, "gates") from None
    try:
        Gates(**chosen)
    except ComposerError as error:
        raise table.make_error(error, "gates") from None
    return {name: list(value) if isinstance(value, tuple) else value for name, value in chosen.items()}


def _read_export_options(table: Table) -> dict[str, dict[str, Any]]:
    chosen: Mapping[str, Any] = table.values.get("export_options", table.values.get("export-options", {}))
    for suffix, options in chosen.items():
        if not isinstance(options, Mapping):
            raise table.make_error(f"'export_options.{printable(suffix)}' is a table of options.", "export_options")
    return {suffix.lower().removeprefix("."): dict(options) for suffix, options in chosen.items()}
