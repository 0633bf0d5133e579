"""Sampling: one loop that draws tokens for a batch of pieces.

loop.py            the loop
batch_state.py     the state of each row of the batch
distribution.py    the probabilities of the next token
choice.py          one token for each row, from its stream
random_streams.py  counter-based random numbers, one stream a piece
backtracking.py    back from dead ends
smc.py             sequential Monte Carlo, where notes are fixed
feasibility.py     requests that contradict themselves
naming.py          the words for them
kept.py            the constraints that fixed notes leave
torch_stepper.py   the step of a network in torch
"""
