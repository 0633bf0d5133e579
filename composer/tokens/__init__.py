"""Vocabularies and grammars of tokens by bar and position, shared by tokenizers.

vocabulary.py    tokens by name, and those in every vocabulary
bar_grammar.py   the tokens that may follow, by bar and position
bar_sections.py  sections in that grammar
bar_encoding.py  scores cut into bars
fixed_bars.py    fixed notes, for infilling
lookback.py      what stood some bars ago, told to the model
matching.py      the longest earlier stretch that is as the latest
whole.py         the model's inputs along a whole piece
conditions.py    labels of a piece as tokens before it
yielding.py      constraints that give way
jit/             grammars traced and compiled to C
"""
