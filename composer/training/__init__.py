"""Training and evaluation: one loop, and the record of a run.

loop.py         the training loop
callbacks.py    listeners, and callbacks that cannot harm a run
methods.py      objective, optimiser, schedule and augmentations as a value
optimising.py   steps and state of any optimiser
recipes.py      all choices of a training as a value
recipe_file.py  recipes as TOML
suggestions.py  what datasets suggest and nothing knows
train.py        the training of a recipe, from corpus to model file
state.py        a run in progress, and its outcome
run_folder.py   the folder of a run
checkpoints.py  the state of a run on disk
distributed.py  process groups
evaluation.py   the likelihood of pieces
model_card.py   figures for a model's card
asking.py       training and evaluation in one call, for Python
"""
