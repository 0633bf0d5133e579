"""What tokenizers share: vocabularies and grammars, by bars and positions in them.

vocabulary.py    tokens by name, and those that every vocabulary has
bar_grammar.py   which tokens may follow, by bar and position, as tables
bar_encoding.py  a score cut into bars, for tokenizers
fixed_bars.py    tokens with notes that are fixed, for infilling
jit/             grammars traced and compiled to C
"""
