"""`composer cache`: where corpora are cached, and how to delete them."""

from __future__ import annotations

import shutil

import click

from composer.errors import CannotWrite


@click.group(invoke_without_command=True)
@click.pass_context
def cache(ctx: click.Context) -> None:
    """Show where corpora are cached, and their size."""
    if ctx.invoked_subcommand is None:
        from composer.storage.cache import find_cache_folder

        folder = find_cache_folder() / "corpora"
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
        click.echo(f"{folder}: {size / 1e6:.1f} MB")


@cache.command()
def clear() -> None:
    """Delete all cached corpora; they are rebuilt when needed."""
    from composer.storage.cache import find_cache_folder

    folder = find_cache_folder() / "corpora"
    try:
        if folder.is_dir():
            shutil.rmtree(folder)
    except OSError as error:
        raise CannotWrite(f"{folder}: cannot be cleared ({error.strerror}).") from error
    click.echo(f"{folder}: cleared.")
