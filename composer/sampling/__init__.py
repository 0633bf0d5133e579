"""Sampling: one loop that draws tokens for a batch of pieces.

loop.py             the loop
blocks.py           many steps at once, on the device of a backend
compiled_blocks.py  the same in C
batch_state.py      the state of a batch, as immutable values
memory.py           what samplers remember of each row
distribution.py     probabilities and draws, under masks and sampler chain
drawing.py          the draw of a step, in C where the whole chain is described
turns.py            masks of constraints, and the rows after a token, in C where possible
random_streams.py   counter-based random numbers, one stream a piece
backtracking.py     back from dead ends
hypotheses.py       beginnings that compete, for the next two
beams.py            beam search
smc.py              sequential Monte Carlo, around fixed notes
feasibility.py      constraints that contradict each other
watching.py         whoever waits is told the bar that is reached
kept.py             warnings of primers and fixed notes that break a constraint
torch_backend.py    the reference backend, in torch
torch_products.py   its linear layers of one row, in C with the same bits
torch_loop.py       its loops on a device, as CUDA graphs where there are such
"""
