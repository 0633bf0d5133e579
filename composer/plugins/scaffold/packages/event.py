"""A playlist beside new pieces: events for composer."""

from collections.abc import Mapping
from pathlib import Path

from composer import hookimpl
from composer.errors import CannotWrite
from composer.types import Piece

COMPOSER_API = 1


@hookimpl
def piece_written(paths: tuple[Path, ...], piece: Piece) -> None:
    """Add a piece of a model, and not what was only read, to `my-thing.m3u8` in its folder."""
    if piece.provenance.get("request"):
        seconds, title = round(piece.seconds), piece.title or paths[0].stem
        _add(paths[0].with_name("my-thing.m3u8"), f"#EXTINF:{seconds},{title}\n{paths[0].name}\n")


@hookimpl(trylast=True)
def batch_finished(folder: Path, counts: Mapping[str, int]) -> None:
    """Add a remark; other arguments and other events are left out where they are not needed."""
    _add(folder / "my-thing.m3u8", f"# {counts.get('done', 0)} pieces\n")


def _add(path: Path, text: str) -> None:
    """Append to a playlist. Raises CannotWrite, which is shown in one line, once."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise CannotWrite(f"{path}: cannot be written ({error.strerror}).") from error
