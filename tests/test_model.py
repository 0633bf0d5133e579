"""Model files: what is saved is loaded equal, and what is no model is refused in one sentence."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from composer import model as models
from composer.errors import BadModelFile, BadOption, CannotWrite, ComposerError, UnknownName
from composer.generation.generator import Generator, generate
from composer.model import ComponentSpec, load, save
from composer.request import Request


@pytest.fixture
def model(player):
    return player.model


@pytest.fixture
def data(model_file):
    """The bytes of a good model file."""
    return model_file.read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.safetensors"


def header_of(data):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(data, change):
    """The same weights under a header that `change` has changed in place, or replaced."""
    header, weights = header_of(data)
    composer = json.loads(header["__metadata__"]["composer"])
    changed = change(composer)
    header["__metadata__"]["composer"] = json.dumps(composer if changed is None else changed)
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + weights


def refusal(path, data):
    """What is said of a file of these bytes."""
    path.write_bytes(data)
    with pytest.raises(BadModelFile) as caught:
        load(path)
    return sentence(caught.value)


def sentence(error):
    text = str(error)
    assert text.endswith(".")
    assert text.isprintable()
    return text


# --- saved and loaded -------------------------------------------------------------------------------------------------


def test_a_model_is_loaded_as_it_was_saved(model, path):
    save(model, path)
    again = load(path)
    assert (again.architecture, again.tokenizer, again.vocabulary) == (
        model.architecture,
        model.tokenizer,
        model.vocabulary,
    )
    assert dict(again.card) == json.loads(json.dumps(model.card))
    assert again.weights.keys() == model.weights.keys()
    assert all(np.array_equal(again.weights[name], array) for name, array in model.weights.items())
    assert again.hash == model.hash
    assert again.make_tokenizer() == model.make_tokenizer()


def test_a_loaded_model_writes_the_same_music(model, path):
    save(model, path)
    asked = [Request(seed=4, bars=2)]
    assert generate(Generator(load(path)), asked)[0].score == generate(Generator(model), asked)[0].score


def test_a_file_names_the_plugins_that_it_needs(model):
    assert (model.architecture.name, model.architecture.plugin) == ("lstm", "composer-midi")
    assert (model.tokenizer.name, model.tokenizer.plugin) == ("voices", "composer-midi")


def test_the_hash_does_not_see_the_card(model):
    assert replace(model, card={"title": "another"}).hash == model.hash


@pytest.mark.parametrize("part", ["weights", "architecture", "tokenizer", "vocabulary"])
def test_the_hash_sees_what_the_model_does(model, part):
    weights = {name: array.copy() for name, array in model.weights.items()}
    next(iter(weights.values())).flat[0] += 1
    changes = {
        "weights": weights,
        "architecture": replace(model.architecture, options={**model.architecture.options, "layers": 2}),
        "tokenizer": replace(model.tokenizer, options={**model.tokenizer.options, "program": 1}),
        "vocabulary": (*model.vocabulary, "Pitch_127"),
    }
    assert replace(model, **{part: changes[part]}).hash != model.hash


def test_loading_a_model_imports_no_torch_and_no_plugin(model_file):
    program = (
        "import sys; from pathlib import Path; from composer.model import load\n"
        "load(Path(sys.argv[1])).hash\n"
        "print([name for name in sys.modules if name == 'torch' or name.startswith('composer_')])"
    )
    done = subprocess.run([sys.executable, "-c", program, model_file], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_making_the_module_leaves_torchs_random_numbers_alone(model):
    import torch

    before = torch.get_rng_state()
    model.make_module()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_is_found_by_name_or_by_file(model_file):
    assert models.find_model(str(model_file)) == model_file
    with pytest.raises(BadModelFile, match=r"no such file\."):
        models.find_model("nowhere.safetensors")
    with pytest.raises(UnknownName, match=r"did you mean 'chorales'\?"):
        models.find_model("chorale")


def test_a_folder_that_is_not_there_is_named(model, tmp_path):
    with pytest.raises(CannotWrite, match="No such file"):
        save(model, tmp_path / "nowhere" / "x.safetensors")


# --- what is no model -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0, 1e-9, 0.001, 0.02, 0.3, 0.7, 0.9999])
def test_a_truncated_file_is_refused(data, path, share):
    kept = data[: max(round(share * len(data)), 3 if share else 0)]
    assert len(kept) < len(data)
    assert refusal(path, kept).startswith(str(path))


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("weights", bytes(100))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(np.random.default_rng(0).bytes(5000), id="random bytes"),
        pytest.param(zipped(), id="zip"),
        pytest.param(bytes([255] * 8) + b"{}", id="header of 2^64 bytes"),
        pytest.param((2**40).to_bytes(8, "little") + b"{}" * 100, id="header larger than the file"),
        pytest.param((50 * 2**20).to_bytes(8, "little") + b" " * 50 * 2**20, id="header larger than any"),
        pytest.param((40_000).to_bytes(8, "little") + b"[" * 40_000, id="deeply nested header"),
        pytest.param((2).to_bytes(8, "little") + b"{}", id="no metadata"),
        pytest.param((2).to_bytes(8, "little") + b"\xff\xfe", id="no text"),
    ],
)
def test_what_is_no_model_file_is_refused(path, content):
    assert refusal(path, content).startswith(str(path))


def test_a_pickle_is_never_opened(path, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    refusal(path, pickle.dumps(Trap()))
    assert not (tmp_path / "sprung").exists()


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(BadModelFile, match="is a folder"):
        load(tmp_path)


def test_a_safetensors_file_of_another_program_is_refused(path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, path)
    assert "is not a model file of this program" in refusal(path, path.read_bytes())


@pytest.mark.parametrize("header", [7, [], "format", {"format": None}, {}])
def test_a_header_of_another_kind_is_refused(data, path, header):
    refusal(path, with_header(data, lambda _: header))


def test_a_file_of_a_later_format_says_so(data, path):
    assert "is of format 2; this version reads 1" in refusal(path, with_header(data, lambda h: h.update(format=2)))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda h: h.pop("card") and None, id="no card"),
        pytest.param(lambda h: h.update(card=[1, 2]), id="card is a list"),
        pytest.param(lambda h: h.update(vocabulary=7), id="vocabulary is a number"),
        pytest.param(lambda h: h.update(vocabulary="abc"), id="vocabulary is a text"),
        pytest.param(lambda h: h.update(architecture="lstm"), id="architecture is a text"),
        pytest.param(lambda h: h["architecture"].update(path="/etc"), id="architecture has more"),
        pytest.param(lambda h: h["architecture"].update(name=["lstm"]), id="name is a list"),
        pytest.param(lambda h: h["tokenizer"].update(options=[1]), id="options are a list"),
        pytest.param(lambda h: h["tokenizer"].update(plugin=None), id="plugin is nothing"),
    ],
)
def test_a_header_that_is_not_one_of_a_model_is_refused(data, path, change):
    assert refusal(path, with_header(data, change)) == f"{path}: its header is not one of a model."


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda a, b, end: a.update(data_offsets=b["data_offsets"]), id="over each other"),
        pytest.param(lambda a, b, end: a.update(data_offsets=[0, end]), id="over all"),
        pytest.param(lambda a, b, end: b.update(data_offsets=[end, end + 8]), id="beyond the end"),
        pytest.param(lambda a, b, end: b.update(data_offsets=[0, 2**62]), id="far beyond"),
        pytest.param(lambda a, b, end: b.update(data_offsets=[-2, 2]), id="before the beginning"),
        pytest.param(lambda a, b, end: a.update(data_offsets=a["data_offsets"][::-1]), id="backwards"),
        pytest.param(lambda a, b, end: a.update(shape=[2**62, 4]), id="more than there are"),
        pytest.param(lambda a, b, end: a.update(shape=[2**62, 0]), id="none of very many"),
        pytest.param(lambda a, b, end: a.update(shape=[]), id="a single one"),
    ],
)
def test_arrays_that_lie_where_they_cannot_are_refused(data, path, change):
    header, weights = header_of(data)
    arrays = [at for name, at in header.items() if name != "__metadata__"]
    change(*arrays[:2], len(weights))
    raw = json.dumps(header).encode()
    assert "is damaged" in refusal(path, len(raw).to_bytes(8, "little") + raw + weights)


def test_a_file_larger_than_any_model_is_refused_before_it_is_read(data, path):
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(5 * 2**30)  # of which nothing is written
    with pytest.raises(BadModelFile, match="is larger than 4 GiB, which no model is"):
        load(path)


def test_weights_that_are_no_numbers_are_refused(model, path):
    name, array = next(iter(model.weights.items()))
    broken = array.copy()
    broken.flat[3] = np.nan
    save(replace(model, weights={**model.weights, name: broken}), path)
    with pytest.raises(BadModelFile, match="contains weights that are NaN or infinite"):
        load(path)


# --- a model that does not fit what is installed ----------------------------------------------------------------------


def refused(model):
    with pytest.raises(BadModelFile) as caught:
        model.make_module()
    return sentence(caught.value)


@pytest.mark.parametrize("part", ["architecture", "tokenizer"])
def test_a_missing_plugin_is_named_with_what_to_install(model, part):
    made = ComponentSpec("waltz", {}, "composer-waltz", "3.2")
    text = refused(replace(model, **{part: made}))
    assert f"no plugin offers the {part} 'waltz'" in text
    assert "composer-waltz 3.2" in text


@pytest.mark.parametrize("part", ["architecture", "tokenizer"])
def test_another_package_with_something_of_that_name_does_not_stand_in(model, part):
    made = replace(getattr(model, part), plugin="composer-waltz", version="3.2")
    text = refused(replace(model, **{part: made}))
    assert f"its {part} '{made.name}' is that of composer-waltz 3.2, and the one here is that of composer-midi" in text
    assert "--without" in text
    assert replace(model, **{part: replace(made, plugin="Composer_MIDI")}).make_module()


def test_an_option_that_a_plugin_no_longer_has_is_named(model):
    made = replace(model.architecture, options={**model.architecture.options, "zoneout": 0.1})
    assert "has no option 'zoneout'" in refused(replace(model, architecture=made))


def test_a_tokenizer_that_has_changed_is_named(model):
    assert "the tokenizer 'voices' has changed" in refused(replace(model, vocabulary=(*model.vocabulary, "Trill_1")))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"hidden_size": 17}, id="a little wider"),
        pytest.param({"hidden_size": 200_000}, id="wider than memory"),
        pytest.param({"hidden_size": 30_000}, id="as wide as memory, perhaps"),
        pytest.param({"hidden_size": 2**62}, id="wider than a number"),
        pytest.param({"layers": 2}, id="deeper"),
        pytest.param({"layers": 1_000_000}, id="deeper than patience"),
        pytest.param({"tie_weights": True}, id="other parts"),
    ],
)
def test_weights_of_another_shape_are_refused(model, options):
    made = replace(model.architecture, options={**model.architecture.options, **options})
    assert "do not fit" in refused(replace(model, architecture=made))


def test_weights_that_are_missing_are_refused(model):
    fewer = dict(list(model.weights.items())[1:])
    assert "do not fit" in refused(replace(model, weights=fewer))


def test_half_a_pointer_is_refused_before_any_backend_reads_beyond_it(model):
    fewer = {**model.weights}
    del fewer["pointer.bias"]
    with pytest.raises(BadModelFile, match="do not fit"):
        replace(model, weights=fewer).make_cell()


@pytest.mark.parametrize("suggested", [7, "fast", {"bars": 0}, {"bars": "many"}, {"colour": "red"}, {"samplers": [3]}])
def test_a_card_that_suggests_nonsense_is_refused_in_a_sentence(model, suggested):
    with pytest.raises(BadOption) as caught:
        Generator(replace(model, card={"suggested": suggested})).suggested  # noqa: B018  (a property that reads the card)
    sentence(caught.value)


def test_every_refusal_is_an_error_of_ours():
    assert issubclass(BadModelFile, ComposerError)
