"""composer: trains small recurrent models on music, and writes new pieces with them.

What a plugin needs is `hookimpl`; what a program needs is imported from the module that holds it.
"""

from composer.hookspecs import hookimpl

__all__ = ["hookimpl"]
__version__ = "0.1.0"
