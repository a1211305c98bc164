"""`rnncli inspect`: any recipe, run or weight file, in many views."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rnncli.cli.deliver import SHOWN, AsJson, Full, Save, deliver
from rnncli.cli.settings import settings
from rnncli.errors import DataError, UsageError
from rnncli.locale import tr
from rnncli.views import about_views

if TYPE_CHECKING:
    from rnncli.data.batch import Batch
    from rnncli.records import Page
    from rnncli.tasks import Recipe
    from rnncli.views import Options, Subject

_WHAT = "What is looked at"


def inspect(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="A recipe (fresh weights), a run, `last`, or a file .safetensors or .pt."
        ),
    ],
    view: Annotated[
        str,
        typer.Argument(
            metavar="VIEW",
            help="\n\n".join(
                ["One of these; without one, an overview."]
                + [f"{name}: {line}." for listed in about_views().values() for name, line in listed]
            ),
        ),
    ] = "",
    view_: Annotated[str, typer.Option("--view", metavar="VIEW", help="The same as VIEW.", rich_help_panel=_WHAT)] = "",
    other: Annotated[
        str | None,
        typer.Option("--with", metavar="TARGET", help="A second target, side by side.", rich_help_panel=_WHAT),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a key of a recipe. Repeatable.", rich_help_panel=_WHAT),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="INPUT",
            help="A text, or a file as the task reads it; for weights .csv, .npy; random:T.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", min=0, help="Which sample of the data; 0.", rich_help_panel=_WHAT)
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", min=1, max=2**31 - 1, help="B, how many samples at once.", rich_help_panel=_WHAT),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of fresh weights, of random input.", rich_help_panel=_WHAT)
    ] = None,
    cell: Annotated[
        str | None, typer.Option("--cell", metavar="rnn|lstm|gru", help="Of a weight file.", rich_help_panel=_WHAT)
    ] = None,
    nonlinearity: Annotated[
        str | None,
        typer.Option(
            "--nonlinearity", metavar="tanh|relu|none", help="Of a weight file: it says nothing.", rich_help_panel=_WHAT
        ),
    ] = None,
    core: Annotated[
        str | None,
        typer.Option("--core", metavar="NAME", help="One core among several.", rich_help_panel=_WHAT),
    ] = None,
    layer: Annotated[int | None, typer.Option("--layer", min=0, help="0 is the lowest.", rich_help_panel=SHOWN)] = None,
    direction: Annotated[
        str | None, typer.Option("--direction", metavar="fwd|bwd", help="One of two.", rich_help_panel=SHOWN)
    ] = None,
    steps: Annotated[
        str | None, typer.Option("--steps", metavar="0:20", help="Only these steps.", rich_help_panel=SHOWN)
    ] = None,
    units: Annotated[
        str | None, typer.Option("--units", metavar="0-7", help="Only these units.", rich_help_panel=SHOWN)
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            "--loss", metavar="last|all", help="Asked at the last step, or as in training.", rich_help_panel=SHOWN
        ),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            "--variant",
            metavar="NAME",
            help="steps: both (two forms of the GRU). influence: swapped (axes). neurons: c, gate.f ...",
            rich_help_panel=SHOWN,
        ),
    ] = None,
    full: Full = False,
    json: AsJson = False,
    save: Save = None,
) -> None:
    """Look inside a recurrent network: any tensor, any step, of a recipe, a run, or anybody's weights."""
    from rnncli.views import load_view, refuse_unread, view_names

    if view and view_ and view != view_:
        raise UsageError(tr("two views: {first} and {second}", first=view, second=view_), where="--view")
    name = view or view_
    options = _options(steps, units, layer, direction, core, loss, variant)
    batch = {"sample": sample, "input": inputs or None, "batch_size": batch_size}
    given = [*options.given(), *(key for key, value in batch.items() if value is not None)]
    if sample is not None and inputs:
        raise UsageError(tr("--sample and --input do not go together"), where="--sample")
    if name:
        if name not in view_names():
            load_view(name)  # says which there are
        given = (
            [key for key in given if key != "core" or "core" in load_view(name).OPTIONS] if _weights(target) else given
        )
        refuse_unread(name, given)
    elif any(key in given for key in ("steps", "units", "layer", "direction", "loss", "variant")):
        first = next(key for key in given if key in ("steps", "units", "layer", "direction", "loss", "variant"))
        raise UsageError(
            tr("the overview does not read --{option}", option=first),
            todo=tr("name a view: rnncli inspect TARGET VIEW"),
        )

    import torch

    torch.set_num_threads(1)
    asked = Asked(name, options, sample, batch_size, tuple(inputs or ()), tuple(sets or ()), seed, cell, nonlinearity)

    def make() -> Page:
        page = _page(target, asked)
        if other is None:
            return page
        from rnncli.views import side_by_side

        # --set makes the first target; the second is as it stands
        beside = _page(other, replace(asked, sets=(), cell=None, nonlinearity=None, seed=None))
        label = " ".join([Path(target).name, *asked.sets])
        return side_by_side(page, beside, (label, Path(other).name))

    deliver(make, json=json, save=save, full=full)


@dataclass(frozen=True)
class Asked:
    """What the command line said, but for its targets."""

    view: str
    options: Options
    sample: int | None
    batch_size: int | None
    inputs: tuple[str, ...]
    sets: tuple[str, ...]
    seed: int | None
    cell: str | None
    nonlinearity: str | None


def _page(word: str, asked: Asked) -> Page:
    from rnncli import views

    subject = _subject(word, asked)
    if not asked.view:
        return views.overview(subject)
    return views.page(asked.view, subject, asked.options)


def _weights(word: str) -> bool:
    from rnncli.cli.target import find_target

    return find_target(word).kind == "weights"


def _subject(word: str, asked: Asked) -> Subject:
    from rnncli.cli.target import find_target
    from rnncli.views import load_view

    target = find_target(word)
    if target.note and not settings.quiet:
        print(target.note, file=sys.stderr)
    if target.kind == "weights":
        return _foreign(word, asked)
    for flag, value in (("--cell", asked.cell), ("--nonlinearity", asked.nonlinearity)):
        if value is not None:
            raise UsageError(
                tr("{flag} is for weight files: a recipe says it", flag=flag),
                where=flag,
                todo="--set model.{}={}".format(flag.removeprefix("--"), value),
            )
    rows = load_view(asked.view).ROWS if asked.view else 1
    chosen: dict[str, Any] = {
        "sample": asked.sample or 0,
        "rows": rows,
        "batch_size": asked.batch_size,
        "inputs": asked.inputs or None,
    }
    if target.kind == "run":
        return _of_run(target.path, word, asked, chosen)
    return _of_recipe(target.path, word, asked, chosen)


def _of_recipe(path: str, word: str, asked: Asked, chosen: dict[str, Any]) -> Subject:
    from rnncli import views
    from rnncli.tasks import load_recipe
    from rnncli.training.job import estimate

    flags = {} if asked.seed is None else {"train.seed": ("--seed", asked.seed)}
    recipe = load_recipe(path, asked.sets, flags)
    if recipe.note and not settings.quiet:
        print(recipe.note, file=sys.stderr)
    splits = recipe.task.read(recipe.config)
    _enough_memory(recipe, estimate(recipe.task, recipe.config, splits)[0].memory)
    return views.subject_of_recipe(recipe, splits=splits, title=word, **chosen)


def _enough_memory(recipe: Recipe, needed: int) -> None:
    from rnncli.device import require_memory

    what = tr("this model")
    require_memory(needed, what, where="model", todo=tr("lower hidden_size or batch_size: --set model.hidden_size=64"))


def _of_run(path: str, word: str, asked: Asked, chosen: dict[str, Any]) -> Subject:
    from rnncli import views
    from rnncli.training.run import open_run

    if asked.seed is not None:
        raise UsageError(tr("--seed draws fresh weights; a run has its own"), where="--seed")
    run = open_run(path, asked.sets)
    name = Path(path).name if word == "last" else word
    return views.subject_of_trained(run.recipe, run.model, run.vocab, title=name, origin=tr("run, trained"), **chosen)


def _foreign(word: str, asked: Asked) -> Subject:
    from rnncli import views, weights
    from rnncli.views import load_view

    if asked.sets:
        raise UsageError(tr("--set is for recipes: a weight file has no keys"), where="--set")
    if asked.sample is not None:
        raise UsageError(
            tr("a weight file has no data to take a sample of"), where="--sample", todo="--input random:64"
        )
    tensors = weights.read_weights(word)
    cores = weights.find_cores(tensors, cell=asked.cell, nonlinearity=asked.nonlinearity, where=word)
    name = asked.options.core
    core = weights.choose_core(cores, name, word)
    rows = asked.batch_size or (load_view(asked.view).ROWS if asked.view else 1)
    seed = asked.seed or 0
    steps, batch = 20, None
    if asked.inputs:
        steps, batch = _features(asked.inputs, core.spec.input_size, rows)
    return views.subject_of_weights(
        core,
        title=word,
        batch=batch,
        rows=rows,
        steps=steps,
        seed=seed,
        tables=weights.embeddings(tensors, core.spec.input_size),
    )


def _features(inputs: tuple[str, ...], size: int, rows: int) -> tuple[int, Batch | None]:
    """Steps of a random sequence, or numbers of a file."""
    from rnncli.views._inputs import features_of_file, random_steps, with_rows

    if len(inputs) > 1:
        raise UsageError(tr("one --input goes with a weight file"), where="--input")
    if inputs[0].startswith("random:"):
        return random_steps(inputs[0]), None
    if not inputs[0].lower().endswith((".npy", ".csv")):
        raise DataError(
            tr("weights know no tokens: a text cannot be read"),
            where="--input",
            todo=tr("give numbers: FILE.csv, FILE.npy (T, I) or (T, B, I), or random:T"),
        )
    return 0, with_rows(features_of_file(inputs[0], size), rows)


def _options(
    steps: str | None,
    units: str | None,
    layer: int | None,
    direction: str | None,
    core: str | None,
    loss: str | None,
    variant: str | None,
) -> Options:
    from rnncli.views import Options

    if direction not in (None, "fwd", "bwd"):
        raise UsageError(tr("a direction is fwd or bwd"), where="--direction")
    if loss not in (None, "last", "all"):
        raise UsageError(tr("a loss is last or all"), where="--loss")
    return Options(
        steps=None if steps is None else _steps(steps),
        units=None if units is None else _units(units),
        layer=layer,
        direction=direction,  # type: ignore[arg-type]
        core=core,
        loss=loss,  # type: ignore[arg-type]
        variant=variant,
    )


def _steps(text: str) -> slice:
    """0:20, :20, -10:, 7 -> a slice of the time axis."""
    start, colon, stop = text.partition(":")
    try:
        if not colon:
            one = int(start)
            return slice(one, one + 1 or None)
        return slice(int(start) if start else None, int(stop) if stop else None)
    except ValueError as error:
        raise UsageError(
            tr("{text!r} are no steps", text=text), where="--steps", todo=tr("such as 0:20, -10: or 7")
        ) from error


def _units(text: str) -> tuple[int, ...]:
    """0-7,12 -> 0 ... 7, 12."""
    found: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            begin, end = int(first), int(last if dash else first)
            if end < begin or end - begin > 100_000:
                raise ValueError(part)
            found += range(begin, end + 1)
    except ValueError as error:
        raise UsageError(
            tr("{text!r} are no units", text=text), where="--units", todo=tr("such as 7, 0-7 or 0-3,12")
        ) from error
    return tuple(dict.fromkeys(found))
