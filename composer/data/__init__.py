"""Datasets as corpora on disk, split and cut into batches.

datasets.py  datasets by name
encoding.py  scores to tokens, in several processes
corpus.py    the tokens of a dataset on disk, memory-mapped
splits.py    training, validation and test pieces, by melody
batches.py   the batches of an epoch
labels.py    conditions from the labels of pieces, and labels forgotten in training
augmenting.py  pieces of a batch, changed at random
parallel.py  work shared among processes
"""
