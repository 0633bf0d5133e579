"""The contracts of `composer.types` as checks, for all plugins alike.

Each check takes one thing of a plugin. It raises BrokenRule, an AssertionError with the rule and an example.
In a plugin's own tests:

    from composer.testing import check_tokenizer

    def test_contract():
        check_tokenizer(MyTokenizer(), [a_small_score])

`list_cases("my-plugin")` lists the checks of a whole plugin. `pytest --composer-contracts` and
`composer plugins check my-plugin` run them.

suite.py          the checks of each kind
architectures.py  architectures, and models in packages
backends.py       inference backends
callbacks.py      callbacks
conditions.py     tokenizers with conditions, and labels of datasets
commands.py       commands and executors
events.py         answers to events
files.py          readers, exporters and datasets
grammars.py       grammars, compiled grammars and fixed notes
metrics.py        metrics
samplers.py       constraints and logits processors
tokenizers.py     tokenizers
training.py       objectives, optimisers and schedules
transforms.py     transforms and rules
replay.py         sequences replayed through a grammar
sequences.py      random sequences of a grammar, and small scores
shrinking.py      the smallest score that breaks a rule
rules.py          rules as assertions
"""

from composer.testing.architectures import check_architecture, check_model
from composer.testing.backends import check_backend, make_random_model
from composer.testing.callbacks import check_callback
from composer.testing.commands import check_command, check_executor
from composer.testing.conditions import check_conditioned
from composer.testing.events import check_event, check_events
from composer.testing.files import check_dataset, check_exporter, check_reader, check_round_trip
from composer.testing.grammars import check_fixed_notes, check_grammar, check_infilling
from composer.testing.metrics import check_metric
from composer.testing.rules import BrokenRule, require
from composer.testing.samplers import check_sampler
from composer.testing.sequences import draw
from composer.testing.shrinking import check_smallest
from composer.testing.suite import Case, list_cases, make_cases
from composer.testing.tokenizers import check_long_score, check_tokenizer
from composer.testing.training import check_objective, check_optimiser, check_schedule
from composer.testing.transforms import check_rule, check_transform

__all__ = [
    "BrokenRule",
    "Case",
    "check_architecture",
    "check_backend",
    "check_callback",
    "check_command",
    "check_conditioned",
    "check_dataset",
    "check_event",
    "check_events",
    "check_executor",
    "check_exporter",
    "check_fixed_notes",
    "check_grammar",
    "check_infilling",
    "check_long_score",
    "check_metric",
    "check_model",
    "check_objective",
    "check_optimiser",
    "check_reader",
    "check_round_trip",
    "check_rule",
    "check_sampler",
    "check_schedule",
    "check_smallest",
    "check_tokenizer",
    "check_transform",
    "draw",
    "list_cases",
    "make_cases",
    "make_random_model",
    "require",
]
