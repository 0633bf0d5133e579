"""Model files for the compiled code, which is run under a sanitiser: networks of parts that do not belong together.

Nothing here imports torch, which takes long to start with a sanitiser.
"""

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from filekinds import Kind
from mutations import damaged, damaged_value
from sanitising import CHECKS

from composer.errors import BadModelFile, ComposerError
from composer.fitting import check_cell
from composer.generation import generator
from composer.generation.generator import Generator, generate
from composer.model import FORMAT, load
from composer.plugins.registry import registry
from composer.request import Request
from composer.sampling import drawing
from composer.tokens.jit import compile_grammar, grammars
from composer_native import compiling as native_compiling
from composer_native import steps

ARCHITECTURES = ("lstm", "gru", "rnn", "mingru", "minlstm")
TOKENIZERS = {
    "frames": {"lowest": 60, "highest": 66, "most_notes": 2, "shown": 1},
    "voices": {"names": ("Tune",), "steps_per_quarter": 1, "lowest": 60, "highest": 66, "time_signatures": ("2/4",)},
}
WIDTHS = (2, 3, 7, 8, 9, 15, 16, 17, 24, 33)
HUGE = (0, -1, 2**20, 2**31, 2**40, 2**62, 2**63, 10**30)


def whole(options):
    """Options without what cannot be a key."""
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in options.items())


@lru_cache(maxsize=256)
def tokenizer_of(name, options):
    return registry().make("tokenizers", name, **dict(options))


@dataclass
class Network:
    """What a file is to hold: the options that its arrays are of, their shapes, and what its header says."""

    name: str
    options: dict
    tokenizer: object
    about: dict
    arrays: dict

    def shapes(self, name, options):
        """The arrays of another network for the same tokens. Raises BadOption."""
        architecture = registry().make("architectures", name, **options)
        sizes = [column.size for column in self.tokenizer.grammar.columns]
        return {array: list(shape) for array, shape in architecture.list_shapes(sizes, len(self.tokenizer.vocabulary))}


def network(draw):
    """A network that is right."""
    name, options = of_any(draw)
    written = draw.choice(list(TOKENIZERS))
    choices, tokenizer = TOKENIZERS[written], tokenizer_of(written, whole(TOKENIZERS[written]))
    if draw.random() < 0.1:
        number = draw.choice([name for name, value in choices.items() if isinstance(value, int)])
        other = {**choices, number: draw.choice([*range(8), 16, 48, 70, 127, 128, *HUGE])}
        with suppress(ComposerError):
            tokenizer = tokenizer_of(written, whole(other))
        choices = other
    plugin = {"plugin": "composer-midi", "version": "1"}
    about = {
        "format": FORMAT,
        "architecture": {"name": name, "options": options, **plugin},
        "tokenizer": {"name": written, "options": choices, **plugin},
        "vocabulary": tokenizer.vocabulary,
        "card": {"suggested": {"bars": 1}},
    }
    made = Network(name, options, tokenizer, about, {})
    made.arrays = made.shapes(name, options)
    return made


def of_any(draw):
    """The name and the options of an architecture."""
    sizes = {"hidden_size": draw.choice(WIDTHS), "embedding_size": draw.choice((1, *WIDTHS))}
    flags = {name: draw.random() < 0.5 for name in ("skip", "pointer", "tie_weights")}
    return draw.choice(ARCHITECTURES), {**sizes, "layers": draw.choice([1, 1, 2, 3]), **flags}


# --- what is changed --------------------------------------------------------------------------------------------------


def mixed(draw, of):
    """Some arrays are those of another network, or of a network like this one."""
    name, options = of_any(draw)
    if draw.random() < 0.7:
        name, options = of.name, {**of.options, **some(draw, options)}
    others = of.shapes(name, options)
    part = draw.choice(["_l0", "_l1", "_l2", ".0.", ".1.", "head", "pointer", "embedding", "", "recurrence"])
    of.arrays.update({array: shape for array, shape in others.items() if part in array})


def some(draw, options):
    return {name: value for name, value in options.items() if draw.random() < 0.3}


def reshaped(draw, of):
    """One array is of another shape."""
    array = draw.choice(list(of.arrays))
    shape = list(of.arrays[array])
    kind = draw.randrange(6)
    if kind <= 2 and shape:
        place = draw.randrange(len(shape))
        shape[place] = draw.choice([*WIDTHS, 0, 1, shape[place] * 2, shape[place] + 1, max(shape[place] - 1, 0)])
    elif kind == 3:
        shape.reverse()
    else:
        shape = draw.choice([[], [int(np.prod(shape))], [1, *shape], [*shape, 1]])
    of.arrays[array] = shape


def rearranged(draw, of):
    """Arrays are exchanged, missing, doubled, or called otherwise."""
    one, other = draw.choice(list(of.arrays)), draw.choice(list(of.arrays))
    kind = draw.randrange(4)
    if kind == 0:
        of.arrays[one], of.arrays[other] = of.arrays[other], of.arrays[one]
    elif kind == 1 and len(of.arrays) > 1:
        del of.arrays[one]
    elif kind == 2:
        of.arrays[one.replace("0", "1") if "0" in one else f"{one}x"] = of.arrays[one]
    else:
        of.arrays[draw.choice(["", "x", "bias", "recurrence.weight_ih_l9"])] = of.arrays.pop(one)


def asked(draw, of):
    """The header asks for another architecture, or for other options."""
    architecture, kind = {**of.about["architecture"]}, draw.randrange(3)
    if kind == 0:
        architecture["name"] = draw.choice([*ARCHITECTURES, "lstm ", ""])
    elif kind == 1:
        architecture["options"] = {**of.options, **some(draw, of_any(draw)[1])}
    else:
        name = draw.choice(["hidden_size", "embedding_size", "layers"])
        architecture["options"] = {**of.options, name: draw.choice(HUGE)}
    of.about["architecture"] = architecture


def disordered(draw, of):
    """The header holds what no header holds."""
    part = draw.choice(["architecture", "tokenizer", "vocabulary", "card"])
    of.about[part] = damaged_value(draw, of.about[part])


CHANGES = (mixed, mixed, mixed, reshaped, rearranged, asked)

NUMBERS = {
    "<f2": [0.0, -0.0, 6e-8, 65504.0, -65504.0, 1.0, np.inf, np.nan],
    "<f4": [0.0, -0.0, 1e-45, 1e-38, 3.4e38, -3.4e38, 1.0, 1e30, np.inf, np.nan],
}


def in_bytes(draw, of):
    """The file: arrays of random numbers, some of them far from any that a network learns, and now and then damage."""
    header, body = {}, []
    source, end = np.random.default_rng(draw.randrange(2**32)), 0
    for array, shape in of.arrays.items():
        kind = draw.choice(["<f2", "<f4"])
        values = source.normal(0, draw.choice([0.1, 0.1, 1, 100]), shape).astype(kind)
        if values.size and draw.random() < 0.03:
            values = values.reshape(-1)
            values[source.integers(0, values.size, draw.choice([1, values.size]))] = draw.choice(NUMBERS[kind])
        body.append(values.tobytes())
        begin, end = end, end + len(body[-1])
        header[array] = {"dtype": f"F{8 * values.itemsize}", "shape": shape, "data_offsets": [begin, end]}
    if draw.random() < 0.06:
        at = header[draw.choice(list(header))]
        at["dtype"] = draw.choice(["F32", "F16", "BF16", "F64", "I8", "U8", "I32", "I64", "BOOL", "F8_E4M3", "C64"])
    if draw.random() < 0.06:
        other = header[draw.choice(list(header))]["data_offsets"]
        offsets = [other, [0, end], [0, 2**62], [2, 1], [end, end + 8], [-2, 2]]
        header[draw.choice(list(header))]["data_offsets"] = draw.choice(offsets)
    header["__metadata__"] = {"composer": json.dumps(of.about)}
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    data, how = len(text).to_bytes(8, "little") + text + b"".join(body), draw.random()
    return damaged(draw, data) if how < 0.03 else data[: draw.randrange(len(data))] if how < 0.05 else data


# --- how it is used ---------------------------------------------------------------------------------------------------


class SanitisedModel(Kind):
    """A model file that is run by the kernel, a compiled grammar and draws in C, which look at every access."""

    suffixes = (".safetensors",)

    def begin(self):
        native_compiling.FLAGS = (*native_compiling.FLAGS, *CHECKS)
        grammars.FLAGS = (*grammars.FLAGS, *CHECKS)
        drawing.FLAGS = (*drawing.FLAGS, *CHECKS)
        assert drawing.load_choice() is not None
        plain = [tokenizer_of(name, whole(options)) for name, options in TOKENIZERS.items()]
        quick = {tokenizer: compile_grammar(tokenizer) for tokenizer in plain}
        assert all(quick[tokenizer] is not tokenizer for tokenizer in plain)
        assert native_compiling.load_kernel() is not None
        steps.ENOUGH, steps.ThreadTuner.choose_threads = 0, lambda pace: max(pace.seconds)  # every step is shared
        generator.compile_grammar = lambda tokenizer: quick.get(
            tokenizer, tokenizer
        )  # no other, since each takes seconds

    def make(self, draw, suffix):
        of = network(draw)
        for _ in range(draw.choice([0, 1, 1, 1, 2])):
            draw.choice(CHANGES)(draw, of)
        if draw.random() < 0.06:
            disordered(draw, of)
        return in_bytes(draw, of)

    def use(self, path):
        model = load(path)
        try:
            piece, *_ = generate(Generator(model, "x"), [Request(bars=1, most_bars=2)], redraws=0)
            self.step(model)
        except BadModelFile:
            self.step(model)
            raise
        str(piece.score)

    def step(self, model):
        """The kernel by itself: nobody has looked whether the arrays fit, and it may refuse them or not."""
        sizes = [column.size for column in model.make_tokenizer().grammar.columns]
        weights = {name: array.astype(np.float32) for name, array in model.weights.items()}
        steps.check_cell = lambda *_: None
        try:
            cell = model.make_architecture().build_cell(sizes, weights)
            cells = [(cell, "float32"), (cell, "bfloat16"), (cell, "int8", 2), (careless(cell),)]
            for other, *options in [*cells, *((named(cell, gates),) for gates in ("", "lstm", "rnn", "mingru"))]:
                with suppress(TypeError, ValueError, BadModelFile):  # it refuses them, or an update does
                    walk(steps.make_native_step(other, *options), other)
        except (LookupError, TypeError, ValueError):
            return
        finally:
            steps.check_cell = check_cell


def named(cell, gates):
    """The cell with other gates, be it right or not; of no name: what the layers compute themselves."""
    return replace(cell, layers=tuple(replace(layer, gates=gates) for layer in cell.layers))


def careless(cell):
    """The cell with updates that write to all they are given, and to what they were given before."""

    def spoil(update, kept):
        def spoiled(*given):
            made = update(*given)
            kept.extend((*given[:2], *given[2]))
            for array in kept:
                array[:] = np.nan
            return tuple(part.copy() for part in made)

        return spoiled

    layers = (replace(layer, gates="", update=spoil(layer.update, [])) for layer in cell.layers)
    return replace(cell, layers=tuple(layers))


def walk(step, cell):
    """Some steps of as many rows as the kernel treats apart, then states and a column that there are not."""
    draw, sizes = np.random.default_rng(0), [len(table) for table in cell.columns]
    for rows in (1, 2, 3, 7):
        _, state = step(draw.integers(0, sizes, (rows, len(sizes))), None)
        step(draw.integers(0, sizes, (rows, len(sizes))), state)
    for wrong in ((), (*state, *state), tuple(part[:3] for part in state), tuple(part[:, :, 1:] for part in state)):
        refused(step, np.zeros((7, len(sizes)), dtype=np.int64), wrong, ValueError)
    beyond = np.zeros((2, len(sizes)), dtype=np.int64)
    beyond[1, -1] = sizes[-1]
    refused(step, beyond, None, BadModelFile)


def refused(step, columns, state, error):
    try:
        step(columns, state)
    except error:
        return
    raise AssertionError("what does not fit was used")


CHOICES = {
    "frames": {
        "frames_per_quarter": [1, 2, 480], "lowest": [0, 21, 60], "highest": [60, 108, 127], "most_notes": [4, 12, 128],
        "shown": [1, 4], "lookback": [(), (1,), (256,), (3, 1, 8)], "in_c": [False, True],
    },
    "voices": {
        "names": [("Tune",), tuple("abcd"), tuple("abcdefghijklmnop")], "steps_per_quarter": [1, 8, 480],
        "relative": [False, True], "lowest": [0, 60], "highest": [60, 127],
        "time_signatures": [("4/4",), ("1/4", "64/1")],
    },
    "remi": {
        "steps_per_quarter": [1, 12, 480], "velocities": [0, 1, 64], "tempos": [0, 2, 64], "programs": [False, True],
        "drums": [False, True], "longest_duration": [1, 8, 1000], "time_signatures": [("4/4",), ("1/4", "64/1")],
    },
}  # fmt: skip


class SanitisedGrammar(Kind):
    """The options of a tokenizer, whose compiled grammar is asked of states that there never are."""

    suffixes = (".json",)

    def begin(self):
        grammars.FLAGS = (*grammars.FLAGS, *CHECKS)

    def make(self, draw, suffix):
        name = list(CHOICES)[self.number % len(CHOICES)]
        self.number += 1
        options = {option: draw.choice(values) for option, values in CHOICES[name].items()}
        self.tokenizer = registry().make("tokenizers", name, **options)
        self.quick = compile_grammar(self.tokenizer)  # here, since a compiler may not be started by a file that is read
        return json.dumps([name, options]).encode()

    number = 0

    def use(self, path):
        plain, quick = self.tokenizer.grammar, self.quick.grammar
        if quick is plain:
            raise BadModelFile("it is too large to be compiled.")
        draw, state = np.random.default_rng(0), quick.start(Request(bars=2), 8)
        for _ in range(40):
            allowed = quick.mask(state)
            assert np.array_equal(allowed, plain.mask(state))
            assert np.array_equal(quick.make_inputs(state), plain.make_inputs(state))
            state = quick.advance(state, (allowed * draw.random(allowed.shape)).argmax(axis=1))
        for most in (2, 100, 2**20, 2**62):
            states = draw.integers(-most, most, (50, state.shape[1]))
            states[:, ::2] = np.where(
                draw.random(states[:, ::2].shape) < 0.5, state[draw.integers(8), ::2], states[:, ::2]
            )
            for function in (quick.mask, quick.make_inputs, quick.interpret):
                with suppress(IndexError):  # as of NumPy
                    function(states)
            with suppress(IndexError):
                quick.advance(states, draw.integers(-most, most, 50))


MODELS = {"sanitised": SanitisedModel, "grammars": SanitisedGrammar}
