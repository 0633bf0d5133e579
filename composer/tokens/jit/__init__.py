"""Compiled grammars and constraints: array functions are traced once, and become C with one loop over rows.

tracing.py      operations of a function, recorded by a call with tracing arrays
c_source.py     a traced function as C
c_compiler.py   C to a library, once, in the cache
grammars.py     a compiled grammar, and masks that keep fixed notes
constraints.py  constraints, compiled with the grammar's turn
"""

from __future__ import annotations

from composer.tokens.jit.constraints import CompiledConstraints, Past, Turn, compile_constraints
from composer.tokens.jit.grammars import CompiledGrammar, CompiledTokenizer, compile_grammar, compile_mask

__all__ = [
    "CompiledConstraints",
    "CompiledGrammar",
    "CompiledTokenizer",
    "Past",
    "Turn",
    "compile_constraints",
    "compile_grammar",
    "compile_mask",
]
