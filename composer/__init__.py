"""composer: trains small recurrent models on music, and writes new pieces with them.

What a plugin needs is `hookimpl`; what a program needs is imported from the module that holds it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from composer.hookspecs import hookimpl

__all__ = ["hookimpl"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `hookimpl` when it is asked for, since help needs no plugin."""
    if name == "hookimpl":
        from composer.hookspecs import hookimpl

        return hookimpl
    raise AttributeError(f"module 'composer' has no attribute '{name}'")
