"""The README's picture: a score and its piano roll, both by `composer`; `python tests/picture.py` makes it anew."""

import tempfile
from pathlib import Path

import pypdfium2
from documents import ROOT
from PIL import Image, ImageChops

from composer.cli import run

PICTURE = ROOT / "datasets" / "chorale.png"
COMMAND = "composer generate score.pdf score.png --bars 4 --seed 3 --time-signature 4/4 --title Chorale"
MARGIN = 16


def draw(folder):
    """Draw the score above the roll, from the files that the command writes in a folder."""
    arguments = COMMAND.replace("score.p", f"{folder}/score.p").split()[1:]
    assert run(arguments) == 0
    page = pypdfium2.PdfDocument(folder / "score.pdf")[0].render(scale=1.6).to_pil().convert("RGB")
    _, top, _, bottom = ImageChops.invert(page).getbbox()
    score = page.crop((0, top - MARGIN, page.width, bottom + MARGIN))
    roll = Image.open(folder / "score.png").convert("RGB")
    roll = roll.resize((page.width, roll.height * page.width // roll.width), Image.Resampling.LANCZOS)
    both = Image.new("RGB", (page.width, score.height + roll.height), "white")
    both.paste(score, (0, 0))
    both.paste(roll, (0, score.height))
    return both.quantize(64, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder)).save(PICTURE, optimize=True)
