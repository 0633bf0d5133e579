"""`composer --help`, and one 16-bar piece from a cold start, beside a bare interpreter and the import of torch."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from machine import describe, in_turn


def main() -> None:
    """Print seconds, and the ratio to the import of torch alone."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "piece.mid")

        def call(*arguments: str) -> None:
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

        tasks = {
            "python": lambda: call("-c", ""),
            "composer --help": lambda: call("-m", "composer", "--help"),
            "import torch": lambda: call("-c", "import torch"),
            "generate chorales, 16 bars": lambda: call("-m", "composer", "generate", out, "--bars", "16"),
            "generate tunes, 16 bars": lambda: call(
                "-m", "composer", "generate", out, "--bars", "16", "--model", "tunes"
            ),
        }
        found = in_turn(tasks, 5)
    print(describe())
    for name, seconds in found.items():
        print(f"{name:30} {seconds:6.2f} s   {seconds / found['import torch']:5.2f} x import torch")


if __name__ == "__main__":
    main()
