"""What the tests share: small music, a small trained model, and the command line as a function."""

import os
import random
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from walks import VOICES, Walks, walk

from composer.generation.primers import parse_notes
from composer.music.keys import parse_key
from composer.music.score import KeySignature, Score, parse_time_signature
from composer.plugins.registry import registry
from composer.request import Spec

_collecting = tempfile.TemporaryDirectory(prefix="composer-tests-")
os.environ["COMPOSER_CACHE"] = _collecting.name  # for what is asked while tests are collected
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for models as small as these, a second thread only waits


def pytest_unconfigure():
    _collecting.cleanup()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Where lines are counted, a test that is marked `uncounted` runs without, and takes half the time."""
    counting = "coverage" in sys.modules and sys.modules["coverage"].Coverage.current()
    if counting and item.get_closest_marker("uncounted"):
        with _stopped(counting):
            return (yield)
    return (yield)


@contextmanager
def _stopped(counting):
    """No line is counted for a while, in this process and those that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
            patch.delenv(name, raising=False)
        patch.setattr(os, "_exit", os._exit)  # which the counting replaces each time that it starts
        counting.stop()
        try:
            yield
        finally:
            counting.start()


@pytest.fixture
def tmp_path(tmp_path_factory):
    """A short path, since messages cut long ones."""
    return tmp_path_factory.mktemp("t")


@pytest.fixture(scope="session")
def _libraries(tmp_path_factory):
    """Where all workers of a run keep what they compile."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "native"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch, _libraries):
    """No test reads or fills the user's cache; what is compiled is shared, since it takes a while and has no state."""
    cache = tmp_path_factory.mktemp("cache")
    (cache / "native").symlink_to(_libraries)
    monkeypatch.setenv("COMPOSER_CACHE", str(cache))


@pytest.fixture(autouse=True)
def _same_seeds(monkeypatch):
    """A command that is given no seed takes the same in every run of a test, so that none fails by chance."""
    monkeypatch.setattr("secrets.randbelow", random.Random(1).randrange)


@pytest.fixture(scope="session")
def small_score():
    """`small_score("C5 D5*3", "C4*4")`: a score of parts in the notation of typed primers."""

    def make(*parts, metre="4/4", key="C", upbeat=0):
        tracks = tuple(parse_notes(part).tracks[0] for part in parts)
        keys = (KeySignature(0, parse_key(key)),)
        return Score(tracks, time_signatures=(parse_time_signature(metre),), key_signatures=keys, upbeat=upbeat)

    return make


@pytest.fixture(scope="session")
def tokenizer():
    """`voices` with a small vocabulary, as `Walks` suggests it."""
    return registry().make("tokenizers", "voices", **VOICES)


@pytest.fixture(scope="session")
def corpus(tokenizer, tmp_path_factory):
    """The random walks as a corpus."""
    from composer.data.corpus import build

    return build(Walks(), tokenizer, name="walks", cache=tmp_path_factory.mktemp("corpora"), workers=1)


@pytest.fixture(scope="session")
def tunes_once(tmp_path_factory):
    """A folder of eight random walks as MIDI files."""
    from composer.types import Piece

    folder = tmp_path_factory.mktemp("music") / "tunes"
    folder.mkdir()
    for number in range(8):
        registry().make("exporters", ".mid")([Piece(walk(number))], folder / f"{number}.mid")
    return folder


@pytest.fixture
def tunes(tunes_once, tmp_path):
    """A copy of that folder, `tunes` in the test's own."""
    return shutil.copytree(tunes_once, tmp_path / "tunes")


@pytest.fixture(scope="session")
def lstm():
    """An LSTM as small as can be."""
    return registry().make("architectures", "lstm", hidden_size=16, layers=1, embedding_size=16, dropout=0.0)


@pytest.fixture(scope="session")
def model_file(corpus, tokenizer, lstm, tmp_path_factory):
    """A model file trained for a moment on the random walks."""
    from composer.training.loop import Settings
    from composer.training.methods import Method
    from composer.training.recipes import Recipe
    from composer.training.train import train_recipe

    path = tmp_path_factory.mktemp("model") / "walks.safetensors"
    settings = Settings(steps=150, evaluations=3, chunk=32, learning_rate=0.02, device="cpu", precision="float32")
    method = Method(augmentations=(Spec("transpose", {"reach": 2}),))
    train_recipe(Recipe(Walks(), "voices", tokenizer, "lstm", lstm, settings, method=method), corpus, path)
    return path


@pytest.fixture(scope="session")
def player(model_file):
    """The model, ready to write."""
    from composer.generation.composer import open_model

    return open_model(model_file)


@dataclass(frozen=True)
class Ran:
    """What came of a command line."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """The command line in this process: `run("generate", "x.mid").status`."""
    from composer import cli

    def call(*arguments):
        capsys.readouterr()
        status = cli.run([str(argument) for argument in arguments])
        return Ran(status, *capsys.readouterr())

    return call


@pytest.fixture
def here(tmp_path, monkeypatch, tunes):
    """An empty folder to work in, beside the folder of tunes."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
