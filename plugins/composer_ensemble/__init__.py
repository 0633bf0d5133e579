"""The architecture `ensemble`, several networks as one, and the command that makes one of trained models.

options.py  the architecture
network.py  the network, whose logits are the mean of theirs
combine.py  `composer combine`
"""

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@hookimpl
def register_architectures() -> Offers:
    """Register `ensemble`."""
    from composer_ensemble.options import Ensemble

    return {"ensemble": Ensemble}


@hookimpl
def register_commands() -> Offers:
    """Register `composer combine`."""
    from composer_ensemble.combine import combine

    return {"combine": combine}
