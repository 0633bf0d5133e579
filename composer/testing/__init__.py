"""The contracts of `composer.types` as checks, for the plugins here and for anybody's; it knows no plugin.

Each check takes something that a plugin offers, raises AssertionError with the rule that was broken, and returns
nothing else. In a plugin's own tests:

    from composer.testing import check_tokenizer

    def test_contract():
        check_tokenizer(MyTokenizer(), [a_small_score])
"""

from composer.testing.architectures import check_architecture
from composer.testing.datasets import check_dataset
from composer.testing.executors import check_executor
from composer.testing.files import check_round_trip
from composer.testing.given import check_given
from composer.testing.grammars import check_grammar
from composer.testing.metrics import check_metric
from composer.testing.rules import rule
from composer.testing.samplers import check_sampler
from composer.testing.sequences import draw
from composer.testing.steppers import check_stepper, random_model
from composer.testing.tokenizers import check_tokenizer

__all__ = [
    "check_architecture",
    "check_dataset",
    "check_executor",
    "check_given",
    "check_grammar",
    "check_metric",
    "check_round_trip",
    "check_sampler",
    "check_stepper",
    "check_tokenizer",
    "draw",
    "random_model",
    "rule",
]
