"""`composer --help`, with twenty plugins more too, and a 16-bar piece from a cold start, beside importing torch."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import describe, in_turn


def twenty_plugins(folder: Path) -> str:
    """A folder in which they are installed; each would take a second to import."""
    for number in range(20):
        info = folder / f"slow{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: slow{number}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[composer]\nslow{number} = slow{number}\n")
        (folder / f"slow{number}.py").write_text("import time; time.sleep(1)\n")
    return str(folder)


def main() -> None:
    """Print seconds, and the ratio to the import of torch alone."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "piece.mid")

        def call(*arguments: str, path: str = "") -> None:
            environment = {**os.environ, "PYTHONPATH": path} if path else None
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)

        site = twenty_plugins(Path(folder))

        tasks = {
            "python": lambda: call("-c", ""),
            "composer --help": lambda: call("-m", "composer", "--help"),
            "… with twenty plugins": lambda: call("-m", "composer", "--help", path=site),
            "import torch": lambda: call("-c", "import torch"),
            "generate chorales, 16 bars": lambda: call("-m", "composer", "generate", out, "--force", "--bars", "16"),
            "generate tunes, 16 bars": lambda: call(
                "-m", "composer", "generate", out, "--force", "--bars", "16", "--model", "tunes"
            ),
        }
        found = in_turn(tasks, 5)
    print(describe())
    for name, seconds in found.items():
        print(f"{name:30} {seconds:6.2f} s   {seconds / found['import torch']:5.2f} x import torch")


if __name__ == "__main__":
    main()
