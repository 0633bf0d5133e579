"""Training and evaluation: one loop, and the record of a run.

loop.py         the training loop
callbacks.py    what listens to it, and cannot harm it
recipes.py      all choices of a training as a value
recipe_file.py  the same as TOML
train.py        the training of a recipe, from corpus to model file
state.py        a run in progress, and its outcome
run_folder.py   the folder in which a run is kept
checkpoints.py  the state of a run on disk
distributed.py  several processes as one
evaluation.py   the likelihood of pieces
model_card.py   what a model's card says, measured
asking.py       training and evaluation in one call, for Python
"""
