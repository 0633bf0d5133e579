"""Architectures: every registered one keeps its contract, and nonsense is refused before torch is asked."""

import subprocess
import sys

import pytest
import torch

from composer.errors import BadOption
from composer.plugins.registry import registry
from composer.testing import check_architecture
from composer_recurrent.dropout import Dropout

OURS = ["gru", "lstm", "mingru", "minlstm", "rnn"]
SIZES = (11, 4, 11)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("options", [{"layers": 1}, {"layers": 3, "hidden_size": 5}, {"tie_weights": True}], ids=str)
def test_the_contract_holds_for_other_options(name, options):
    check_architecture(registry().make("architectures", name, **{"embedding_size": 8, "hidden_size": 8, **options}))


def built(name, **options):
    options = {"hidden_size": 6, "layers": 2, "embedding_size": 5, **options}
    return registry().make("architectures", name, **options).build_module(SIZES, 11)


@pytest.mark.parametrize(("name", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_the_number_of_weights_is_what_the_articles_say(name, gates):
    layer = {0: 5 * 6, 1: 6 * 6}  # from below
    recurrent = sum(gates * (below + 6 * 6 + 2 * 6) for below in layer.values())
    assert weights_in(built(name)) == sum(SIZES) * 5 + recurrent + OUTPUT


@pytest.mark.parametrize(("name", "sums"), [("mingru", 2), ("minlstm", 3)])
def test_minimal_layers_have_no_recurrent_matrix(name, sums):
    layers = sum(sums * 6 * (below + 1) for below in (5, 6))
    assert weights_in(built(name)) == sum(SIZES) * 5 + layers + OUTPUT


def weights_in(module):
    return sum(parameter.numel() for parameter in module.parameters())


OUTPUT = (6 + 5 + 1) * (11 + 2)
"""For each token, and for each of two columns of tokens."""


@pytest.mark.parametrize("name", OURS)
def test_tied_weights_are_one_matrix(name):
    import torch

    tied, free = built(name, tie_weights=True, skip=False), built(name, skip=False)
    tables = [key for key, tensor in tied.state_dict().items() if 11 in tensor.shape and tensor.dim() == 2]
    assert tables == []
    assert any(11 in tensor.shape and tensor.dim() == 2 for tensor in free.state_dict().values())
    tied.eval()
    inputs = torch.tensor([[[3, 1, 2]]])
    before = tied(inputs)[0][0, 0]
    with torch.no_grad():
        tied.embedding.weight[7] += 1.0  # a token that is not in the input
    after = tied(inputs)[0][0, 0]
    assert (after != before).nonzero().flatten().tolist() == [7]


@pytest.mark.parametrize("name", OURS)
def test_the_pointer_raises_the_tokens_that_stand_in_the_input(name):
    import torch

    module = built(name).eval()
    inputs = torch.tensor([[[3, 1, 2], [3, 1, 3]]])
    before = module(inputs)[0][0]
    with torch.no_grad():
        module.pointer.bias += torch.tensor([1.0, -5.0])  # of the first column and the last, which hold tokens
    change = (module(inputs)[0][0] - before).round(decimals=4)
    assert {place: change[0, place].item() for place in change[0].nonzero().flatten().tolist()} == {2: -5.0, 3: 1.0}
    assert {place: change[1, place].item() for place in change[1].nonzero().flatten().tolist()} == {3: -4.0}


@pytest.mark.parametrize("name", OURS)
def test_a_column_of_the_input_has_an_embedding_of_its_own(name):
    import torch

    module = built(name).eval()
    rows = torch.tensor([[[3, 1, 2]], [[3, 1, 3]], [[2, 1, 3]], [[3, 2, 2]]])
    found = module(rows)[0][:, 0]
    assert len({tuple(row.tolist()) for row in found}) == 4


@pytest.mark.parametrize(("name", "layer"), [("rnn", "RNN"), ("gru", "GRU"), ("lstm", "LSTM")])
def test_the_weights_of_torchs_layers_have_torchs_names_as_in_the_files_of_trained_models(name, layer):
    from torch import nn

    theirs = {f"recurrence.{key}": weight.shape for key, weight in getattr(nn, layer)(5, 6, 2).named_parameters()}
    around = {"embedding.weight": (26, 5)} | {
        f"{part}.{key}": shape
        for part, size in (("head", 11), ("pointer", 2))
        for key, shape in (("weight", (size, 6 + 5)), ("bias", (size,)))
    }
    assert {key: tuple(weight.shape) for key, weight in built(name).state_dict().items()} == theirs | around


def test_the_forget_gates_of_an_lstm_begin_open():
    module = built("lstm")
    for layer in range(2):
        assert getattr(module.recurrence, f"bias_ih_l{layer}")[6:12].tolist() == [1.0] * 6


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hidden_size": 0}, "must be at least 1"),
        ({"layers": -1}, "must be at least 1"),
        ({"embedding_size": 0}, "must be at least 1"),
        ({"dropout": 1.0}, "dropout must be at least 0 and less than 1"),
        ({"dropout": float("nan")}, "dropout must be at least 0 and less than 1"),
        ({"dropout": "much"}, "which is not float"),
        ({"hidden_size": "2.5"}, "which is not int"),
        ({"tie_weights": "perhaps"}, "which is not bool"),
        ({"hiden_size": 3}, "did you mean 'hidden_size'?"),
    ],
    ids=str,
)
def test_options_that_make_no_network_are_refused(name, options, said):
    with pytest.raises(BadOption) as caught:
        registry().make("architectures", name, **options)
    assert said in str(caught.value)


def test_architectures_are_listed_and_chosen_without_torch():
    program = (
        "import sys; from composer.plugins.registry import registry\n"
        "for name in registry().list_names('architectures'): registry().make('architectures', name)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("shape", [(40, 33, 7), (1, 1, 1), (2, 0, 3)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999999])
def test_dropout_drops_its_share_and_leaves_the_mean(shape, share):
    dropout = Dropout(share)
    x = torch.full(shape, 2.0, requires_grad=True)
    assert dropout.eval()(x) is x
    torch.manual_seed(0)
    y = dropout.train()(x)
    y.sum().backward()
    assert y.shape == x.shape
    assert torch.equal(x.grad, y.detach() / 2)
    assert len(y.unique()) <= 2
    if x.numel() > 1000 and share < 0.9:
        assert (y == 0).float().mean().item() == pytest.approx(share, abs=0.02)
        assert y.mean().item() == pytest.approx(2.0, abs=0.1)


def test_dropout_follows_the_seed():
    torch.manual_seed(1)
    first = Dropout(0.5)(torch.ones(100))
    second = Dropout(0.5)(torch.ones(100))
    torch.manual_seed(1)
    assert torch.equal(Dropout(0.5)(torch.ones(100)), first)
    assert not torch.equal(first, second)
