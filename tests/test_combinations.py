"""Every pair of an architecture, a tokenizer, a sampler, a backend and an exporter works: ours and somebody else's.

Models are trained for a moment, once for each architecture and tokenizer; each piece is one row of a pairwise cover of
what makes it, and each exporter writes pieces that have all of that among them. Samplers change logits, whichever
network they are from: with an architecture they are paired in the soak run alone.
"""

import importlib
import itertools
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_third_party import wheel
from walks import VOICES, Walks

from composer.data.corpus import build
from composer.errors import BadOption, ComposerError, NothingAllowed
from composer.generation.composer import open_model
from composer.generation.generator import generate
from composer.plugins import offers
from composer.plugins import registry as plugins
from composer.plugins.registry import registry
from composer.request import Request, SamplerSpec
from composer.training.loop import Settings
from composer.training.recipes import Recipe
from composer.training.train import train_recipe

KINDS = ("architectures", "tokenizers", "samplers", "backends", "exporters")

SMALL = {"hidden_size": 8, "layers": 2, "embedding_size": 8, "dropout": 0.0, "width": 8, "heads": 2, "blocks": 1}
"""For architectures that have such options."""

OPTIONS = {
    "voices": VOICES,
    "remi": {"steps_per_quarter": 4},
    "top-p": {"p": 0.9},
    "top-k": {"k": 8},
    "min-p": {"p": 0.01},
    "temperature": {"temperature": 0.9},
    "repetition-penalty": {"penalty": 1.1},
    "mirostat": {"tau": 0.5},
    "notes-per-beat": {"notes": 2.0},
    "pitch-range": {"range": "C3:C6"},
    "range": {"range": "C3:C6"},
    "widest-leap": {"widest_leap": 12},
    "programs": {"programs": "0,52"},
    "scale": {"scale": "C"},
    "chords": {"chords": "C"},
    "ending": {"key": "C"},
    "polyphony": {"polyphony": 4},
    "density": {"density": 16},
    "rhythm": {"rhythm": "1/8"},
    "no-repeat": {"n": 4},
    "hush": {"amount": 1.0},
}
"""What things are made with here; all that need options are among them."""


FEW_NOTES = (SamplerSpec("density", {"density": 24}),)
"""A model as little trained as these may strike notes at one place for thousands of tokens."""


def cover(axes, possible=lambda row: True, apart=()):
    """Rows with one value of each axis, in which every possible pair of values of two axes stands; greedily, few.

    Pairs of the axes `apart` stand in them as it comes.
    """
    places = [place for place in itertools.combinations(range(len(axes)), 2) if place not in apart]
    missing = {
        (i, a, j, b): None for i, j in places for a, b in itertools.product(axes[i], axes[j]) if possible({i: a, j: b})
    }  # a dict keeps its order, so that the cover is always the same
    rows = []
    while missing:
        i, a, j, b = next(iter(missing))
        row = {i: a, j: b}
        for place in sorted(set(range(len(axes))) - {i, j}, key=lambda place: -len(axes[place])):
            fits = [value for value in axes[place] if possible({**row, place: value})]

            def gain(value, place=place, row=row):
                return sum(
                    tuple(x for at in sorted([(place, value), pair]) for x in at) in missing for pair in row.items()
                )

            row[place] = max(fits, key=gain)
        for (i, a), (j, b) in itertools.combinations(sorted(row.items()), 2):
            missing.pop((i, a, j, b), None)
        rows.append(tuple(row[place] for place in range(len(axes))))
    return rows


def few(rows):
    """Rows in which every value of each axis stands that stands in any; greedily, few."""
    missing = {value: None for row in rows for value in enumerate(row)}
    chosen = []
    while missing:
        chosen.append(max(rows, key=lambda row: sum(value in missing for value in enumerate(row))))
        for value in enumerate(chosen[-1]):
            missing.pop(value, None)
    return chosen


def test_a_cover_holds_every_possible_pair():
    axes = [["a", "b", "c"], [1, 2], ["x", "y", "z"], [True, False]]
    rows = cover(axes, lambda row: not (row.get(0) == "c" and row.get(1) == 2))
    for i, j in itertools.combinations(range(4), 2):
        wanted = set(itertools.product(axes[i], axes[j])) - ({("c", 2)} if (i, j) == (0, 1) else set())
        assert {(row[i], row[j]) for row in rows} == wanted
    assert len(rows) < 3 * 3 + 4
    assert rows == cover(axes, lambda row: not (row.get(0) == "c" and row.get(1) == 2))
    assert len(cover(axes, apart=[(0, 2)])) < 3 * 3
    for values, axis in zip(zip(*few(rows), strict=True), axes, strict=True):
        assert set(values) == set(axis)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of packages; the one of `test_third_party` is there."""
    monkeypatch.syspath_prepend(str(wheel(tmp_path)))  # a wheel is a zip archive, from which Python imports
    forget()
    yield tmp_path
    forget()
    sys.modules.pop("composer_fading", None)


def forget():
    importlib.invalidate_caches()
    plugins._build_registry.cache_clear()
    offers._load_kind.cache_clear()


def install(folder, module, monkeypatch):
    """One of the examples in `third_party`."""
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[composer]\n{module} = {module}\n")
    for place in (Path(__file__).parent / "third_party", folder):
        monkeypatch.syspath_prepend(str(place))
    forget()


def made(kind, name):
    known = {option.name for option in registry().get_offer(kind, name).options}
    small = SMALL if kind == "architectures" else {}
    return registry().make(kind, name, **{key: v for key, v in small.items() if key in known}, **OPTIONS.get(name, {}))


def trained(architecture, tokenizer, corpus, path):
    settings = Settings(steps=2, evaluations=1, chunk=16, batch_size=4, device="cpu", precision="float32")
    things = (tokenizer, made("tokenizers", tokenizer), architecture, made("architectures", architecture))
    train_recipe(Recipe(Walks(6), *things, settings), corpus, path)
    return open_model(path)


TRIES = 24
"""Pieces among which one has a note."""


def tune(player, samplers, backend, seed):
    """A bar with a note in it: models as little trained as these write rests and drums alone, and come to dead ends."""
    for index in range(TRIES):
        request = Request(seed, index, bars=1, tempo=480.0, samplers=samplers, backend=backend)
        try:
            (piece,) = generate(player, [request], redraws=0)
        except NothingAllowed:
            continue
        if any(len(track.notes) and not track.is_drum for track in piece.score.tracks):
            return piece
    raise AssertionError(f"not a note in {TRIES} pieces")


@pytest.mark.uncounted
def test_every_pair_of_things_works(site):
    """Of each plugin one architecture and tokenizer; the soak run takes all, and samplers with all architectures."""
    axes = [registry().list_names(kind) for kind in KINDS]
    for axis in (0, 1):
        by_plugin = {registry().get_offer(KINDS[axis], name).plugin.name: name for name in axes[axis]}
        axes[axis] = sorted(by_plugin.values())
    assert "fading" in axes[0]
    check(axes, site, apart=[(0, 2)])


@pytest.mark.soak
def test_every_pair_of_things_works_whatever_is_installed(site, monkeypatch):
    if find_spec("xlstm"):
        install(site, "composer_xlstm_large", monkeypatch)
    check([registry().list_names(kind) for kind in KINDS], site)


def check(axes, tmp_path, apart=()):
    # walks have pitches, in parts
    axes = [axes[0], [name for name in axes[1] if name not in ("drums", "leadsheet")], *axes[2:]]
    corpora = {name: build(Walks(6), made("tokenizers", name), name="walks", cache=tmp_path) for name in axes[1]}
    players = {
        (architecture, tokenizer): trained(architecture, tokenizer, corpora[tokenizer], tmp_path / f"{n}.safetensors")
        for n, (architecture, tokenizer) in enumerate(itertools.product(axes[0], axes[1]))
    }
    backends = {name: made("backends", name) for name in axes[3]}
    suits = {
        (architecture, backend): maker.supports(players[architecture, axes[1][0]].model, "cpu")
        for architecture in axes[0]
        for backend, maker in backends.items()
    }

    def possible(row):
        return not {0, 3} <= row.keys() or suits[row[0], row[3]]

    pieces, failed = {}, []
    with warnings.catch_warnings(action="ignore"):
        for seed, row in enumerate(cover(axes[:4], possible, apart)):
            architecture, tokenizer, sampler, backend = row
            samplers = (SamplerSpec(sampler, OPTIONS.get(sampler, {})), *FEW_NOTES)
            try:
                pieces[row] = tune(players[architecture, tokenizer], samplers, backend, seed)
            except (ComposerError, AssertionError) as error:
                failed.append((row, error))
        for (n, row), suffix in itertools.product(enumerate(few(pieces)), axes[4]):
            try:
                made("exporters", suffix)([pieces[row]], tmp_path / f"{n}{suffix}")
                assert (tmp_path / f"{n}{suffix}").stat().st_size
            except (ComposerError, AssertionError) as error:
                failed.append((row, suffix, error))
    assert not failed
    for (architecture, backend), fits in suits.items():
        if not fits:
            with pytest.raises(BadOption, match="cannot run this model"):
                generate(players[architecture, axes[1][0]], [Request(bars=1, backend=backend)])
