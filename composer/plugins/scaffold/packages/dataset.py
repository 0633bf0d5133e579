"""Plain changes: a dataset for composer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Annotated, Any, ClassVar

from composer import hookimpl
from composer.music.score import TICKS_PER_QUARTER, Score, Track, make_notes
from composer.types import Offers

COMPOSER_API = 1
BELLS = (72, 71, 69, 67, 65)


@dataclass(frozen=True)
class MyThing:
    """Five bells rung in every order: 120 pieces, each an order rung over and over."""

    rounds: Annotated[int, "how often each order is rung"] = 4

    title, licence = "Plain changes on five bells", "CC0-1.0"
    source, citation = "every order of five bells", "F. Stedman, Tintinnalogia, 1668"
    tokenizer: ClassVar[str] = "voices"
    tokenizer_options: ClassVar[dict[str, Any]] = {"names": ("Bells",), "steps_per_quarter": 2}
    training_options: ClassVar[dict[str, Any]] = {"hidden_size": 64}
    suggested: ClassVar[dict[str, Any]] = {"tempo": 120.0}

    def list_sources(self) -> Sequence[str]:
        """List the units that are read one by one, in a stable order."""
        return ["".join(order) for order in permutations("12345")]

    def fingerprint(self, source: str) -> str:
        """Return a text that changes with the content."""
        return f"{source} {self.rounds}"

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """Read the pieces of a source, each with its name and labels; an unusable one comes as its error."""
        quarter, bells = TICKS_PER_QUARTER, [BELLS[int(bell) - 1] for bell in source] * self.rounds
        track = Track(make_notes((i * quarter, quarter, pitch, 80) for i, pitch in enumerate(bells)))
        yield source, Score((track,), labels=(("lead", source[0]),))


@hookimpl
def register_datasets() -> Offers:
    """Offer it by its name."""
    return {"my-thing": MyThing}
