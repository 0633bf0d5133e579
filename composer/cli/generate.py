"""`composer generate`: pieces from a model to files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from composer.cli import completing, presets, writing
from composer.cli.conditions import WithConditions, list_conditions
from composer.cli.options import add_backend, list_samplers, list_texts
from composer.cli.transforms import list_flagged_values
from composer.errors import BadOption
from composer.generation.options import choose_seed, merge_conditions, read_time_signature

if TYPE_CHECKING:
    from composer.generation.continuation import Continuation
    from composer.generation.form_spec import Form
    from composer.generation.generator import Generator
    from composer.generation.tasks import Task
    from composer.request import Request


@click.command(cls=WithConditions)
@writing.add_outs
@presets.option
@click.option(
    "--model",
    "model_name",
    default="chorales",
    shell_complete=completing.complete_names("models", or_files=True),
    help="Name of a model, or a .safetensors file.",
)
@click.option(
    "--count", type=click.IntRange(1, 1_000_000), default=1, help="How many; OUT is then a folder, or a page (.html)."
)
@click.option("--best", type=click.IntRange(1), help="Write only this many of the --count pieces: the best ranked.")
@click.option("--seed", type=int, help="The same seed gives the same music.  [a new one, which is shown]")
@click.option("--index", type=int, help="Only this piece of the seed, counted from 0.")
@click.option("--bars", type=int, help="Write exactly this many whole bars (after the primer).")
@click.option(
    "--form", "form_text", metavar="SECTIONS", help="Sections of --bars bars (8): AABA', or verse chorus verse."
)
@click.option("--time-signature", metavar="N/D", help="Time signature, such as 3/4.")
@click.option("--key", help="Key, such as Dm, F# or Bb.")
@click.option("--tempo", type=float, help="Beats per minute: of dotted quarters in 6/8, halves in 2/2.")
@click.option(
    "--max-copied-bars",
    type=click.IntRange(0, 1_000_000),
    help="Retry pieces that share a longer passage with the model's training pieces.",
)
@click.option("--comp", is_flag=True, help="Play the --chords on a track of their own; short for --transform comp.")
@writing.transform
@writing.rule
@click.option(
    "--beams", type=click.IntRange(1, 1024), help="Search for the likeliest piece with so many beams, without chance."
)
@click.option("--primer", help='Continue a music file, or notes: "D4 E4 F4/2 A4/2".')
@writing.add_options
@click.option("--device", default="cpu", help="cpu, cuda, …  [cpu]")
@add_backend
@click.option("--precision", default="float32", help="Number format: bfloat16 and int8 are faster.  [float32]")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.pass_context
def generate(
    ctx: click.Context,
    outs: tuple[str, ...],
    model_name: str,
    count: int,
    best: int | None,
    seed: int | None,
    index: int | None,
    bars: int | None,
    form_text: str | None,
    time_signature: str | None,
    key: str | None,
    tempo: float | None,
    max_copied_bars: int | None,
    comp: bool,
    transforms: tuple[str, ...],
    rules: tuple[str, ...],
    beams: int | None,
    primer: str | None,
    force: bool,
    title: str | None,
    export_options: tuple[str, ...],
    device: str,
    backend: str,
    precision: str,
    quiet: bool,
) -> None:
    """Write new music to OUT: a file, whose suffix is its format, or several for one piece, or a folder.

    \b
    composer generate chorale.mid
    composer generate chorale.mid chorale.wav chorale.pdf
    composer generate tune.mid --model tunes --bars 16 --seed 7 --temperature 0.9 --top-p 0.95
    composer generate out/ --count 20 --time-signature 3/4 --key Dm
    composer generate out/ --count 64 --best 4
    composer generate more.mid --primer mine.mid
    composer generate song.mid --form AABA --bars 8
    composer generate jig.mid --preset jig --instrument flute
    composer generate alive.mid --rule ends-on-tonic --transform humanize
    """  # noqa: D301  (a \b keeps click from filling the lines)
    _check_index(index, count)
    chosen, links = choose_seed(seed), list_samplers(ctx)
    kept: dict[str, Any] = {"reads": [primer, model_name, *list_texts(links)], "force": force, "quiet": quiet}
    stems = (writing.name_piece(chosen, (index or 0) + n) for n in range(count))
    with writing.open_shelf(outs, export_options, title, stems=stems, several=count > 1, **kept) as shelf:
        writing.check_best(best, count, shelf)
        from composer.generation.annotating import check_comp
        from composer.generation.composer import open_model
        from composer.generation.finishing import add_comp
        from composer.generation.tasks import get_request, replace_request

        generator = open_model(model_name)
        stated: dict[str, Any] = {"device": device, "backend": backend, "precision": precision, "beams": beams}
        metre = time_signature and read_time_signature(time_signature)
        stated |= {"bars": bars, "time_signature": metre, "key": key, "tempo": tempo}
        stated |= {"max_copied_bars": max_copied_bars, "rules": rules}
        stated |= {"transforms": add_comp(transforms, comp=comp)}
        request = _build_request(ctx, generator, chosen, stated)
        if comp and primer is None:
            check_comp(generator.tokenizer.token_info, request)
        one: Task = request if primer is None else _add_primer(generator, request, primer, tempo)
        if form_text is not None:
            one = _divide_into_sections(replace(get_request(one), bars=bars), form_text)
        wanted = (replace_request(one, replace(get_request(one), index=(index or 0) + n)) for n in range(count))
        if best is None:
            writing.write(generator, wanted, shelf)
        else:
            writing.write_best(generator, wanted, best, shelf)


def _build_request(ctx: click.Context, generator: Generator, seed: int, stated: dict[str, Any]) -> Request:
    """Build a request: the model's suggestion, with what is stated, conditions and samplers of the command line."""
    from composer.generation.defaults import choose_new_samplers
    from composer.generation.finishing import add_flagged, read_finish
    from composer.generation.generator import apply_samplers, state_edition

    if stated["max_copied_bars"] is not None:
        _index_training_music(generator)
    stated = stated | read_finish(stated["transforms"], stated["rules"])
    stated["transforms"] = add_flagged(stated["transforms"] or (), list_flagged_values(ctx))
    given = {name: value for name, value in stated.items() if value is not None}
    suggested = merge_conditions(generator.suggested, list_conditions(ctx))
    request = state_edition(generator, replace(suggested, seed=seed, **given))
    return choose_new_samplers(generator.tokenizer.token_info, apply_samplers(request, list_samplers(ctx)))


def _check_index(index: int | None, count: int) -> None:
    if count > 1 and index is not None:
        raise BadOption("--index asks for one piece and --count for several; give one of them.")


def _index_training_music(generator: Generator) -> None:
    """Index the training music of the model now, under a progress bar: the first time takes a while."""
    from composer.cli.progress import show_reading

    with show_reading() as report:
        generator.load_training_music(report)


def _add_primer(generator: Generator, request: Request, primer: str, tempo: float | None) -> Continuation:
    from composer.generation.continuation import make_continuation
    from composer.generation.finishing import include_typed
    from composer.generation.primers import is_typed, read_primer

    typed = is_typed(primer)
    request = include_typed(request) if typed else request
    return make_continuation(generator, request, read_primer(primer), tempo=tempo, own_tracks=not typed)


def _divide_into_sections(request: Request, text: str) -> Form:
    """Divide a request into sections. Raises BadOption, before the work, for an invalid form."""
    from composer.generation.form_spec import Form

    return Form.parse(request, text)
