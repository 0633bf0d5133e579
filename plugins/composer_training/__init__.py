"""What a training is made of: objectives, optimisers, schedules of the learning rate.

objectives.py  `cross-entropy` and `label-smoothing`
optimisers.py  torch's own, `muon` and `lion`
lion.py        the steps of `lion`
pairs.py       two optimisers as one, for `muon`
schedules.py   `cosine`, `constant`, `linear`, `wsd`
"""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_objectives() -> Offers:
    """Register the plain loss and the smoothed one."""
    from composer_training.objectives import CrossEntropy, LabelSmoothing

    return {"cross-entropy": CrossEntropy, "label-smoothing": LabelSmoothing}


@hookimpl
def register_optimisers() -> Offers:
    """Register optimisers of torch, and `lion`."""
    from composer_training.optimisers import Adam, AdamW, Lion, Muon, RmsProp, Sgd

    return {"adamw": AdamW, "adam": Adam, "sgd": Sgd, "rmsprop": RmsProp, "muon": Muon, "lion": Lion}


@hookimpl
def register_schedules() -> Offers:
    """Register four courses of the learning rate."""
    from composer_training.schedules import Constant, Cosine, Linear, Wsd

    return {"cosine": Cosine, "constant": Constant, "linear": Linear, "wsd": Wsd}
