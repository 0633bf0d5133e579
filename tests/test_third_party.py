"""A package of somebody else's: installed with pip, and its cell, sampler and file format work like ours."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile

import pytest
from walks import walk

from composer.plugins.registry import registry
from composer.types import Piece

pytest.importorskip("pip")

MODULE = '''
"""An architecture, a sampler and a file format for composer."""

from dataclasses import dataclass
from typing import Annotated

from composer import hookimpl
from composer.storage.atomic import write_whole_file

COMPOSER_API = 1


@dataclass(frozen=True)
class Fading:
    """Remembers every token a little less at each step."""

    width: Annotated[int, "numbers that are remembered"] = 16

    def build_module(self, column_sizes, vocabulary_size):
        import torch
        from torch import nn

        class Network(nn.Module):
            def __init__(self, width):
                super().__init__()
                self.tables = nn.ModuleList(nn.Embedding(size, width) for size in column_sizes)
                self.fade = nn.Parameter(torch.linspace(-2.0, 2.0, width))
                self.out = nn.Linear(2 * width, vocabulary_size)

            def forward(self, inputs, state=None):
                here = sum(table(inputs[:, :, column]) for column, table in enumerate(self.tables))
                memory = torch.zeros_like(here[:, 0]) if state is None else state[0]
                keep, memories = torch.sigmoid(self.fade), []
                for place in range(here.shape[1]):
                    memory = keep * memory + here[:, place]
                    memories.append(memory)
                return self.out(torch.cat([here, torch.stack(memories, dim=1)], dim=-1)), (memory,)

        return Network(self.width)


@dataclass(frozen=True)
class Hush:
    """Make every pitch less likely."""

    amount: Annotated[float, "subtracted from its logit", "2"]

    def __call__(self, logits, context):
        return logits - self.amount * (context.token_info.pitch >= 0)


def text_file():
    """One line a note: start, duration and pitch."""

    def write(pieces, path):
        notes = [note for piece in pieces for track in piece.score.tracks for note in track.notes]
        with write_whole_file(path) as scratch:
            scratch.write_text("".join(f"{n['start']} {n['duration']} {n['pitch']}\\n" for n in notes))

    return write


@hookimpl
def register_architectures():
    return {"fading": Fading}


@hookimpl
def register_samplers():
    return {"hush": Hush}


@hookimpl
def register_exporters():
    return {".txt": text_file}
'''

METADATA = "Metadata-Version: 2.1\nName: composer-fading\nVersion: 1.2\nRequires-Dist: composer-midi\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
ENTRY_POINTS = "[composer]\nfading = composer_fading\n"


def wheel(folder):
    """A wheel as any build tool writes it, without needing one."""
    info = "composer_fading-1.2.dist-info"
    members = {
        "composer_fading.py": MODULE,
        f"{info}/METADATA": METADATA,
        f"{info}/WHEEL": WHEEL,
        f"{info}/entry_points.txt": ENTRY_POINTS,
    }
    record = f"{info}/RECORD"
    rows = [f"{name},sha256={_digest(text)},{len(text.encode())}" for name, text in members.items()]
    path = folder / "composer_fading-1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**members, record: "\n".join([*rows, f"{record},,"]) + "\n"}.items():
            archive.writestr(name, text)
    return path


def _digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


ONE_AFTER_ANOTHER = """
import json, sys
from composer.cli import run
for command in json.loads(sys.argv[1]):
    assert run(list(map(str, command))) == 0
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Python in a process that finds the installed package: `python("-m", "composer", "plugins")`."""
    folder = tmp_path_factory.mktemp("third-party")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", folder / "site", wheel(folder)], check=True)
    paths = [str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COMPOSER_CACHE": str(folder / "cache")}

    def run(*arguments):
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_its_package_is_listed_with_all_that_it_offers(python):
    shown = python("-m", "composer", "plugins").splitlines()
    (line,) = [line for line in shown if "composer-fading 1.2" in line]
    took, offers = line.split("1.2", 1)[1].split(" s ")
    assert float(took) >= 0
    assert offers.strip() == "architectures: fading; samplers: hush; exporters: .txt"


@pytest.mark.uncounted
def test_its_architecture_is_trained_and_its_sampler_and_format_are_used(python, tmp_path):
    for number in range(6):
        registry().make("exporters", ".mid")([Piece(walk(number))], tmp_path / f"{number}.mid")
    model = tmp_path / "x.safetensors"
    things = ["--architecture", "fading", "--width", 9, "--tokenizer", "voices", "--names", "A,B,C,D"]
    wishes = ["--model", model, "--bars", 4, "--seed", 1, "--no-ending"]
    commands = [
        ["train", f"folder:{tmp_path}", "--out", model, *things, "--steps", 2, "--evaluations", 1],
        ["generate", tmp_path / "plain.txt", *wishes],
        ["generate", tmp_path / "hushed.txt", *wishes, "--hush", 50],
    ]
    python("-c", ONE_AFTER_ANOTHER, json.dumps(commands, default=str))
    plain, hushed = ((tmp_path / name).read_text().splitlines() for name in ("plain.txt", "hushed.txt"))
    notes = [tuple(map(int, line.split())) for line in plain]
    assert all(start >= 0 and duration > 0 and 0 <= pitch < 128 for start, duration, pitch in notes)
    assert len(hushed) < len(plain)
    made = json.loads((tmp_path / "hushed.txt.json").read_text())
    assert made["request"]["samplers"] == [{"name": "hush", "options": {"amount": 50}}]


@pytest.mark.uncounted
def test_its_contracts_are_checked_by_our_suite(python):
    said = python("-m", "composer", "plugins", "check", "composer-fading")
    assert "ok      sampler hush with voices" in said
    assert "ok      architecture fading\n" in said


def test_it_is_left_out_for_one_run_and_by_the_environment(python):
    assert "hush" not in python("-m", "composer", "--without", "fading", "plugins")
    python(
        "-c",
        "import os; from composer.plugins.registry import registry\n"
        "assert 'hush' in registry().list_names('samplers')\n"
        "for names in ('all', 'composer-fading', ' x , fading'):\n"
        "    os.environ['COMPOSER_DISABLE_PLUGINS'] = names\n"
        "    found = registry().list_names('samplers')\n"
        "    assert 'hush' not in found and 'top-p' in found, names\n",
    )
