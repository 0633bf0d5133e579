"""Compiled grammars: array functions are traced once, and become C with one loop over rows.

tracing.py     operations of a function, recorded by a call with tracing arrays
c_source.py    a traced function as C
c_compiler.py  C to a library, once, in the cache
grammars.py    a compiled grammar
"""

from __future__ import annotations

from composer.tokens.jit.grammars import CompiledGrammar, CompiledTokenizer, compile_grammar

__all__ = ["CompiledGrammar", "CompiledTokenizer", "compile_grammar"]
