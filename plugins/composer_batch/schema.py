"""The JSON schema of a file of jobs, from the signatures of jobs, gates and all samplers."""

from __future__ import annotations

import types
import typing
from typing import Any

from composer.plugins.options import Option, list_choices, read_options
from composer_batch.filters import Gates
from composer_batch.jobfile import DEFAULTS, JOB, LONGEST
from composer_batch.jobs import GRID, MOST_ATTEMPTS, MOST_PIECE_BARS, MOST_PIECES, Job, list_sampler_keys

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NAMES = {int: "integer", float: "number", bool: "boolean", str: "string"}

_BOUNDS: dict[str, dict[str, Any]] = {
    "count": {"minimum": 1, "maximum": MOST_PIECES},
    "attempts": {"minimum": 1, "maximum": MOST_ATTEMPTS},
    "bars": {"minimum": 1, "maximum": MOST_PIECE_BARS},
    "seed": {"minimum": 0},
    "index": {"minimum": 0},
    "tempo": {"minimum": 5, "maximum": 1000},
}


def build_schema() -> dict[str, Any]:
    """Build the schema of a whole TOML file. `properties.job.items` is the schema of one JSON line."""
    job = {"type": "object", "additionalProperties": False, "properties": _list_properties()}
    return {
        "$schema": DIALECT,
        "title": "Jobs of composer batch",
        "type": "object",
        "additionalProperties": False,
        "required": [JOB],
        "properties": {
            JOB: {"type": "array", "minItems": 1, "items": job},
            DEFAULTS: {**job, "description": "defaults for all jobs"},
        },
    }


def _list_properties() -> dict[str, Any]:
    found = {option.name: _describe_option(option, grid=option.name in GRID) for option in read_options(Job)}
    for key, (_, option) in list_sampler_keys().items():
        found[key] = _describe_option(option, grid=True)
    gates = {option.name: _describe_option(option, grid=False) for option in read_options(Gates)}
    found["gates"] = {"type": "object", "additionalProperties": False, "properties": gates}
    found["export_options"] = {"type": "object", "additionalProperties": {"type": "object"}}
    return found


def _describe_option(option: Option, *, grid: bool) -> dict[str, Any]:
    one = {**_describe_type(option.type), **_BOUNDS.get(option.name, {})}
    shape: dict[str, Any] = {"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]} if grid else one
    about: dict[str, Any] = {"description": option.help} if option.help else {}
    if not option.required and option.default is not None:
        about["default"] = list(option.default) if isinstance(option.default, tuple) else option.default
    return {**shape, **about}


def _describe_type(annotation: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return _describe_type(next(one for one in arguments if one is not type(None)))
    if origin is tuple:
        return {
            "anyOf": [
                {"type": "array", "items": _describe_type(arguments[0])},
                {"type": "string", "maxLength": LONGEST},
            ]
        }
    if words := list_choices(annotation):
        return {"enum": list(words)}
    kind = _NAMES.get(annotation)
    if kind == "string":
        return {"type": "string", "maxLength": LONGEST}
    return {"type": kind} if kind else {}
