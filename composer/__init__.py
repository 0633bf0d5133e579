"""composer: train small recurrent models on music, and write new pieces with them.

import composer

composer.open_model("chorales").generate(bars=8, temperature=0.95, seed=7).write("first.mid")

Names are imported on first use. Plugins need `hookimpl`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from composer.errors import ComposerError
    from composer.generation.composer import Composer, generate, open_model
    from composer.hookspecs import hookimpl
    from composer.io.objects import read, write
    from composer.io.pieces import Piece
    from composer.music.score import Score
    from composer.request import Request
    from composer.training.asking import evaluate, train

__all__ = [
    "Composer",
    "ComposerError",
    "Piece",
    "Request",
    "Score",
    "evaluate",
    "generate",
    "hookimpl",
    "open_model",
    "read",
    "train",
    "write",
]
__version__ = "0.1.0"

_MODULES = {
    "Composer": "composer.generation.composer",
    "ComposerError": "composer.errors",
    "Piece": "composer.io.pieces",
    "Request": "composer.request",
    "Score": "composer.music.score",
    "evaluate": "composer.training.asking",
    "generate": "composer.generation.composer",
    "open_model": "composer.generation.composer",
    "read": "composer.io.objects",
    "train": "composer.training.asking",
    "write": "composer.io.objects",
    "hookimpl": "composer.hookspecs",
}


def __getattr__(name: str) -> Any:
    """Import a name on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module 'composer' has no attribute '{name}'")
    found = getattr(import_module(_MODULES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
