"""Options of `ensemble`. Torch is imported when a module is built.

Source: Hinton 1999, "Products of Experts": the product of what several models expect, made to sum to 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from composer.building import build_module
from composer.errors import ComposerError
from composer.plugins.registry import registry
from composer.plugins.specs import parse_spec
from composer.types import Architecture, Column, HasShapes, TokenInfo

if TYPE_CHECKING:
    from torch import nn

NAME = "ensemble"


@dataclass(frozen=True)
class Ensemble:
    """Several networks as one, whose chances are the product of theirs (a product of experts, Hinton 1999).

    What one of them takes for impossible does not come, and what they doubt in different ways is doubted less. So
    networks of different kinds do more for one another than equal ones. `composer combine` makes an ensemble of models
    that have been trained apart; trained as one, its members learn to complete one another.
    """

    members: Annotated[tuple[str, ...], "architectures, each with its options as a spec"] = ("mingru", "gru")

    equations: ClassVar[tuple[str, ...]] = (
        "log p(token) = (log p_1(token) + ... + log p_n(token)) / n - log z",
        "z makes all chances sum to 1",
    )

    def __post_init__(self) -> None:
        """Raise ValueError for fewer than two members, for an ensemble in an ensemble, and for what is no spec."""
        if len(self.members) < 2:
            raise ValueError("an ensemble needs two members at least")
        try:
            specs = [parse_spec(text, "architectures") for text in self.members]
        except ComposerError as error:
            raise ValueError(str(error)) from error
        if any(spec.name == NAME for spec in specs):
            raise ValueError("an ensemble cannot be a member of another; name its members")

    def make_members(self) -> list[Architecture]:
        """Make the architectures. Raises BadOption."""
        specs = [parse_spec(text, "architectures") for text in self.members]
        return [registry().make("architectures", spec.name, **spec.options) for spec in specs]

    def build_module(self, column_sizes: Sequence[int], vocabulary_size: int) -> nn.Module:
        """Build the network for features of which the sizes alone are known."""
        return self._join(
            [one.build_module(column_sizes, vocabulary_size) for one in self.make_members()], column_sizes
        )

    def build_module_for(self, columns: Sequence[Column], vocabulary_size: int) -> nn.Module:
        """Build the network for these features. Raises BadOption where a member needs others."""
        return self._join([build_module(one, columns, vocabulary_size) for one in self.make_members()], columns)

    def build_module_of(self, columns: Sequence[Column], token_info: TokenInfo) -> nn.Module:
        """Build the network for these features and tokens. Raises BadOption where a member needs others."""
        words = len(token_info.kind)
        return self._join([build_module(one, columns, words, token_info) for one in self.make_members()], columns)

    def _join(self, members: Sequence[nn.Module], columns: Sequence[object]) -> nn.Module:
        from composer_ensemble.network import EnsembleNetwork

        return EnsembleNetwork(members, len(columns))

    def list_shapes(self, column_sizes: Sequence[int], vocabulary_size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the name and the shape of every array; a member that does not list its own is built to see them."""
        for number, member in enumerate(self.make_members()):
            if isinstance(member, HasShapes):
                shapes = member.list_shapes(column_sizes, vocabulary_size)
            else:
                built = member.build_module(column_sizes, vocabulary_size).state_dict()
                shapes = ((name, tuple(tensor.shape)) for name, tensor in built.items())
            yield from ((name_array(number, name), shape) for name, shape in shapes)


def name_array(member: int, name: str) -> str:
    """Name an array of a member, from 0, in the network."""
    return f"members.{member}.{name}"
