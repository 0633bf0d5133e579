"""The course of a training as a table: a callback for composer."""

import csv
from dataclasses import dataclass
from typing import Annotated

from composer import hookimpl
from composer.storage.atomic import write_whole_file
from composer.types import Callback, Offers, RunView

COMPOSER_API = 1


@dataclass(frozen=True)
class MyThing(Callback):
    """Write the course of a run as a table, with a row a validation."""

    path: Annotated[str, "the file, in the folder of the run"] = "my-thing.csv"

    @property
    def writes(self) -> tuple[str, ...]:
        """The files that it makes in the run's folder, which it then needs."""
        return (self.path,)

    def on_validation(self, run: RunView) -> None:
        """Add a row; `run.model()` would be the current model."""
        path, now = run.file(self.path), run.progress
        table = csv.reader(path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else [])
        # A resumed run repeats some steps.
        rows = [*(row for row in table if int(row[0]) < now.step), (now.step, now.train, now.valid)]
        with write_whole_file(path) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("step", "train", "valid"), *rows])


@hookimpl
def register_callbacks() -> Offers:
    """Offer it to `composer train --run run/ --callback my-thing`."""
    return {"my-thing": MyThing}
