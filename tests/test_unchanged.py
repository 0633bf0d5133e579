"""What commands write, held to hashes while the code moves from room to room; it goes when all is in its place."""

import hashlib
import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest

TABLE = Path(__file__).with_name("unchanged.json")
COMMANDS = """
generate chorale.mid chorale.musicxml chorale.abc chorale.svg chorale.png chorale.roll.svg --bars 6 --seed 3
generate tune.mid tune.mxl tune.html --model tunes --bars 8 --seed 7 --temperature 0.9 --top-p 0.95 --tempo 96
generate out/ --model chorales --count 5 --bars 4 --time-signature 3/4 --key Dm --seed 1
generate best/ --model tunes --bars 4 --count 4 --best 2 --seed 1
generate more.mid --model chorales --primer chorale.mid --bars 2 --seed 1
generate longer.mid --model tunes --primer "D4 E4 F4/2 A4/2" --bars 4 --seed 1
generate dorian.mid --bars 6 --scale "D dorian" --range bass=E2:C4 --ending --seed 1
generate changes.mid --model tunes --bars 4 --chords "Dm7 G7 | Cmaj7" --seed 1
generate song.mid --model tunes --form "A A' B A" --bars 4 --seed 1
generate whole.mid --bars 4 --precision int8 --seed 5
fill chorale.mid filled.mid --bars 3-4 --seed 1
fill chorale.mid lower.mid --voice tenor,bass --particles 8 --seed 1
harmonize "D4 E4 F4/2 A4/2 G4*2" typed.mid --key Dm --seed 1
vary chorale.mid varied/ --count 2 --keep 0.7 --seed 1
regenerate filled.mid again.mid
regenerate filled.mid other.mid --bars 3 --seed +1
export chorale.mid copy.midi small.wav copy.krn.abc
batch jobs.toml --out pieces/ --executor here --quiet
"""
JOBS = "[[job]]\nmodel = 'tunes'\nkey = ['C', 'Dm']\nbars = 2\ncount = 2\nfile = '{name}-{key}-{index:03}'\n"
TOLD = (".mid", ".midi", ".musicxml", ".mxl", ".abc", ".svg", ".png", ".html", ".wav", ".json", ".jsonl")


def hashes(run, folder):
    """The hash of each file that the commands write, by its name."""
    (folder / "jobs.toml").write_text(JOBS)
    for line in COMMANDS.strip().splitlines():
        assert run(*shlex.split(line)).status == 0, line
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in TOLD]
    return {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest() for path in files
    }


@pytest.mark.skipif(not shutil.which("cc"), reason="without the kernel, logits are rounded by whatever NumPy uses")
@pytest.mark.filterwarnings("ignore")
def test_what_commands_write_is_what_it_was(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hashes(run, tmp_path) == json.loads(TABLE.read_text())


if __name__ == "__main__":
    import os
    import tempfile
    from types import SimpleNamespace

    from composer import cli

    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        made = hashes(lambda *words: SimpleNamespace(status=cli.run(list(words))), Path(scratch))
        TABLE.write_text(json.dumps(made, indent=1) + "\n")
        sys.exit(f"{len(made)} files")
