"""Grammars compiled: array functions are traced once and become C, one loop over rows; nothing here knows any music."""

from __future__ import annotations

from composer.tokens.jit.grammars import CompiledGrammar, CompiledTokenizer, compiled

__all__ = ["CompiledGrammar", "CompiledTokenizer", "compiled"]
