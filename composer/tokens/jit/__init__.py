"""Compiled grammars: array functions are traced once, and become C with one loop over rows."""

from __future__ import annotations

from composer.tokens.jit.grammars import CompiledGrammar, CompiledTokenizer, compile_grammar

__all__ = ["CompiledGrammar", "CompiledTokenizer", "compile_grammar"]
