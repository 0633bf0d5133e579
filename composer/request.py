"""Request: all choices of one piece, as plain values.

A piece depends on its request and the model alone: the same request makes the same bytes.

What plugins may rely on is listed in `plugins/README.md`, under the helpers that are stable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from composer.errors import BadOption, printable
from composer.music.keys import parse_key
from composer.music.score import parse_time_signature


@dataclass(frozen=True)
class Spec:
    """Something that a plugin offers, by name and with its options as plain values: a sampler, a transform."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


SamplerSpec = Spec
"""Its name where it is a sampler."""

_SPECS = ("samplers", "transforms", "rules")
"""The fields of a request that name things of plugins."""


EDITION = 2
"""The meaning of new requests: a tempo counts beats of the time signature, and a key keeps its spelling."""


@dataclass(frozen=True)
class Request:
    """The request for one piece. Raises BadOption for a value that no model could follow."""

    seed: int = 0
    index: int = 0  # number of the piece among those of its seed
    attempt: int = 0  # number of the retry
    bars: int | None = None  # whole bars after the primer; None: the model decides
    most_bars: int = 128  # limit of a piece without `bars`
    time_signature: str | None = None
    key: str | None = None
    tempo: float | None = None  # quarter notes per minute; from edition 2 on beats of the time signature
    primer: tuple[int, ...] = ()  # tokens of the model's tokenizer, without EOS
    primer_ticks: int = 0  # begin of new music: at the end of the primer's last note, or a little later
    samplers: tuple[Spec, ...] = ()  # in the user's order
    beams: int | None = None  # of a search for the likeliest piece; None: sample
    max_copied_bars: int | None = None  # retry a piece that shares a longer passage with the training music
    transforms: tuple[Spec, ...] = ()  # changes of the finished piece, in this order
    rules: tuple[Spec, ...] = ()  # retry a piece that breaks one of them
    backend: str = "auto"  # auto: the fastest that supports the model
    precision: str = "float32"
    device: str = "cpu"  # kind of device
    edition: int = 1  # of the meaning of these values, so that older requests mean what they meant
    conditions: tuple[tuple[str, str], ...] = ()  # labels of the piece, such as ("style", "funk"); "" for none

    def __post_init__(self) -> None:
        """Check every value by itself."""
        _check(_is_whole(self.seed, 0, 2**64), "seed", self.seed, "a whole number from 0 to 2^64-1")
        _check(_is_whole(self.index, 0, 2**64), "index", self.index, "a whole number from 0 to 2^64-1")
        _check(_is_whole(self.attempt, 0, 2**32), "attempt", self.attempt, "a whole number from 0 to 2^32-1")
        bars_fit = self.bars is None or _is_whole(self.bars, 1, 1_000_001)
        _check(bars_fit, "bars", self.bars, "a whole number from 1 to 1,000,000")
        _check(
            _is_whole(self.most_bars, 1, 1_000_001), "most_bars", self.most_bars, "a whole number from 1 to 1,000,000"
        )
        _check(self.tempo is None or _is_tempo(self.tempo), "tempo", self.tempo, "from 5 to 1000 beats a minute")
        for name in ("backend", "precision", "device"):
            _check(isinstance(getattr(self, name), str), name, getattr(self, name), "a name")
        tokens_fit = isinstance(self.primer, tuple) and all(_is_whole(token, 0, 2**31) for token in self.primer)
        _check(tokens_fit, "primer", self.primer, "tokens, which are whole numbers from 0")
        _check(
            _is_whole(self.primer_ticks, 0, 2**40), "primer_ticks", self.primer_ticks, "a whole number from 0 to 2^40-1"
        )
        for name in _SPECS:
            specs = getattr(self, name)
            specs_fit = isinstance(specs, tuple) and all(map(_is_spec, specs))
            _check(specs_fit, name, specs, f"names of {name}, each with its options")
        beams_fit = self.beams is None or _is_whole(self.beams, 1, 1025)
        _check(beams_fit, "beams", self.beams, "a whole number from 1 to 1,024")
        if self.beams is not None and self.index:
            raise BadOption("'beams' find one piece, whatever its seed and index; ask for one.")
        _check(_is_whole(self.edition, 1, EDITION + 1), "edition", self.edition, f"from 1 to {EDITION}")
        copied_fit = self.max_copied_bars is None or _is_whole(self.max_copied_bars, 0, 1_000_001)
        _check(copied_fit, "max_copied_bars", self.max_copied_bars, "a whole number from 0 to 1,000,000")
        _check(_are_conditions(self.conditions), "conditions", self.conditions, "names of labels, each with a text")
        try:
            if self.time_signature is not None:
                parse_time_signature(self.time_signature)
            if self.key is not None:
                parse_key(self.key)
        except ValueError as error:
            raise BadOption(f"{printable(str(error))}.") from None
        except (AttributeError, TypeError):
            raise BadOption("'time_signature' and 'key' must be texts such as 3/4 and Dm.") from None

    def to_json(self) -> dict[str, Any]:
        """Return plain values, without those left at their defaults."""
        plain = {name: value for name, value in asdict(self).items() if value != getattr(_DEFAULT, name)}
        plain |= {"conditions": dict(self.conditions)} if self.conditions else {}
        return {_IN_JSON.get(name, name): value for name, value in plain.items()}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Request:
        """Make a request from the result of `to_json`. Raises BadOption for anything else."""
        try:
            if unknown := sorted(set(values) - list_keys()):
                raise BadOption(f"a request has no '{printable(unknown[0])}'.")
            specs = {name: read_specs(values.get(name, ())) for name in _SPECS}
            plain = {**values, **specs, "primer": tuple(values.get("primer", ()))}
            plain["conditions"] = tuple(sorted(dict(values.get("conditions", {})).items()))
            return replace(Request(), **{_OF_JSON.get(name, name): value for name, value in plain.items()})
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            raise BadOption(f"this is not a request: {printable(str(error))}.") from None


def read_specs(values: Iterable[Mapping[str, Any]]) -> tuple[Spec, ...]:
    """Read specs from plain values, as in JSON. Raises TypeError, KeyError or ValueError for anything else."""
    return tuple(Spec(one["name"], dict(one["options"])) for one in values)


def list_keys() -> set[str]:
    """List the fields of a request, as in JSON."""
    return {_IN_JSON.get(field.name, field.name) for field in fields(Request)}


def _check(true: bool, name: str, value: object, wanted: str) -> None:
    if not true:
        raise BadOption(f"'{name}' is {printable(str(value))}, and must be {wanted}.")


def _is_whole(value: object, least: int, end: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < end


def _is_tempo(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 5 <= value <= 1000


def _are_conditions(value: object) -> bool:
    pairs = list(value) if isinstance(value, tuple) else [None]
    return all(
        isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in pairs
    )


def _is_spec(value: object) -> bool:
    if not (isinstance(value, Spec) and isinstance(value.name, str) and isinstance(value.options, Mapping)):
        return False
    return all(isinstance(name, str) for name in value.options)


WHOLE = Request(most_bars=1_000_000)
"""The request that any piece which is there already would meet, however long it is."""

_DEFAULT = Request()
_IN_JSON = {"backend": "stepper"}  # its first name, which files keep
_OF_JSON = {word: name for name, word in _IN_JSON.items()}
