"""`rnncli recipes`: packaged recipes to start from."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnncli import render
from rnncli.cli.live import waiting
from rnncli.cli.out import fitted, hand_over, note, printed, put
from rnncli.cli.settings import settings
from rnncli.errors import CannotWrite, RecipeError, RnncliError, UsageError
from rnncli.locale import language, tr
from rnncli.records import Column, Commands, Json, Page, Table

if TYPE_CHECKING:
    from rnncli.tasks import Recipe

WRITTEN = ("data.delimiter=", "data.decimal=", "data.thousands=", "data.na_values=")  # format of the data file
LARGE = 200_000_000  # bytes; larger data is not read to set the epochs

app = typer.Typer(help="List, show, copy and validate recipes.", no_args_is_help=False)

Sets = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Override one key, such as model.hidden_size=64. Repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.callback(invoke_without_command=True)
def _group(context: typer.Context) -> None:
    from rnncli.cli.editors import renew_schema

    renew_schema()
    if context.invoked_subcommand is None:
        list_(json=False)


@app.command("list")
def list_(json: AsJson = False) -> None:
    """List the packaged recipes: what each demonstrates and the kind of file it reads."""
    from rnncli.starters import about, data_wanted, packaged_recipes

    columns = (
        Column("name", tr("recipe"), "text"),
        Column("about", tr("what it shows"), "text"),
        Column("data", "--data", "text"),
    )
    rows = [(name, about(name), data_wanted(name)) for name in packaged_recipes()]
    more = Commands(
        tr("next"),
        [
            ("rnncli recipes copy --data FILE", tr("find a recipe for your file")),
            ("rnncli recipes show NAME", tr("print it with its comments")),
            ("rnncli recipes copy NAME my.yaml", tr("copy it to edit it")),
            ("rnncli train NAME", tr("run it")),
        ],
    )
    page = Page("rnncli/recipes/1", tr("recipes"), (Table("recipes", columns, rows), more))
    if json:
        render.dump_json(page, sys.stdout)
    else:
        render.show(page, ascii=settings.ascii)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="RECIPE", help="Packaged recipe, or path to a YAML file.")],
) -> None:
    """Print a recipe with its comments."""
    from rnncli.starters import find_recipe, recipe_text

    path, hidden = find_recipe(name)
    note(hidden)
    text = recipe_text(path)
    if language() != "en":
        from rnncli.recipe.comments import localized

        text = localized(text)
    hand_over(text if text.endswith("\n") else text + "\n")


@app.command()
def copy(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE]",
            help="Packaged recipe, or path to a YAML file. Omit it to see which recipes can read --data.",
        ),
    ] = None,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="File to write; default: RECIPE.yaml.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH", help="Fill in the data section from this file.")
    ] = None,
    sets: Sets = [],  # noqa: B006  # typer's form of a repeatable option
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing FILE.")] = False,
) -> None:
    """Copy a recipe to edit it. Comments are kept; only the values you give change."""
    from rnncli.files import atomic_write
    from rnncli.recipe import copied
    from rnncli.tasks import load_recipe

    if name is None:
        _propose(data)
        return
    target = str(file) if file is not None else f"{Path(name).stem}.yaml"
    if not target.endswith((".yaml", ".yml")):
        raise UsageError(
            tr("a recipe's file name ends in .yaml"), where=target, todo=tr("for example {name}.yaml", name=target)
        )
    if os.path.lexists(target) and not force:
        raise CannotWrite(tr("file already exists"), where=target, todo=tr("choose another name, or add --force"))
    found, notes = _from_data(name, data, sets) if data is not None else ({}, [])
    recipe = load_recipe(name, sets, found)
    note(recipe.note)
    fit = _fitted(name, data, sets, found, recipe) if data is not None else Fit(recipe)
    recipe = fit.recipe
    idle = [key for key, _ in recipe.config.idle()]
    atomic_write(target, copied(recipe.document, type(recipe.config), target, fit.comments, _schema(), idle))
    put(tr("wrote {file}", file=target))
    if data is not None and not settings.quiet:
        _print_changes(data, {key: value for key, (_, value) in found.items() if key != "data.path"}, fit.length)
        for text in notes:
            note(text)
    todo = f"rnncli train {shlex.quote(target)}"
    if fit.fault is not None:
        where = f" ({fit.fault.where})" if fit.fault.where else ""
        note(tr("it cannot be trained as it is: {why}", why=fit.fault.what + where))
        todo = fit.fault.todo
    if todo and not settings.quiet:
        put(tr("next") + f"  {todo}")


def _propose(data: str | None) -> None:
    """List the recipes that can read the data, and why."""
    from rnncli.tasks.propose import proposals

    if data is None:
        raise UsageError(
            tr("which recipe?"),
            todo=tr("rnncli recipes copy NAME; with --data FILE it lists the recipes that can read it"),
        )
    found = proposals(data)
    columns = (Column("recipe", tr("recipe"), "text"), Column("why", tr("why"), "text"))
    table = Table("proposals", columns, [(one.recipe, one.why) for one in found])
    command = f"rnncli recipes copy {found[0].recipe} my.yaml --data {shlex.quote(data)}"
    more = Commands(tr("next"), [(command, tr("a recipe for your file"))])
    render.show(Page("", tr("recipes for {file}", file=data), (table, more)), ascii=settings.ascii)


@app.command()
def validate(
    files: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="Packaged recipes, or paths to YAML files.")],
    sets: Sets = [],  # noqa: B006
    json: AsJson = False,
) -> None:
    """Validate recipes without reading their data: report every error with its line, key and the nearest valid name."""
    from rnncli.cli import print_error
    from rnncli.tasks import load_recipe

    rows: list[Json] = []
    code = 0
    for name in files:
        try:
            recipe = load_recipe(name, sets)
        except RnncliError as error:
            code = code or error.exit_code
            faults = error.faults if isinstance(error, RecipeError) else []
            listed = [asdict(fault) for fault in faults]
            rows.append({"recipe": name, "ok": False, "error": error.what, "where": error.where, "faults": listed})
            if not json:
                print_error(error)
            continue
        rows.append({"recipe": name, "ok": True, "task": recipe.config.task})
        note(recipe.note)
        if not json:
            put(tr("ok  {name}  ({task})", name=name, task=recipe.config.task))
    if json:
        render.dump_json({"schema": "rnncli/validate/1", "rows": rows}, sys.stdout)
    if code:
        raise typer.Exit(code)


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for completion and checks in editors. Copied recipes refer to it."""
    from rnncli.cli.editors import schema_text

    hand_over(schema_text())


def _schema() -> str:
    """The URI of the schema for editors; empty if it cannot be written, since the recipe works without it."""
    from rnncli.cli.editors import schema_uri

    try:
        return schema_uri()
    except RnncliError as error:
        note(tr("editors cannot check this recipe: {why}", why=f"{error.what} ({error.where})"))
        return ""


def _from_data(name: str, path: str, sets: list[str]) -> tuple[dict[str, tuple[str, Json]], list[str]]:
    """Settings from --data: the path and what the task infers from the start of the file; --set takes precedence. Also
    sentences on skipped alternatives."""
    from rnncli.recipe.parse import Verbatim
    from rnncli.tasks import load_recipe
    from rnncli.tasks.base import Suggested
    from rnncli.tasks.inputs.sources import parts_in

    recipe = load_recipe(name, [text for text in sets if text.startswith(WRITTEN)])
    found = recipe.task.suggest_settings(parts_in(path).get("train", [path])[0], recipe.config)
    exact = {key: Verbatim(value) if isinstance(value, str) else value for key, value in found.items()}
    values = _unless_typed({"data.path": path, **exact}, sets)
    if not isinstance(found, Suggested):
        return values, []
    return values, [*found.notes, *(f"{key}: {why}" for key, why in found.reasons.items() if key in values)]


def _unless_typed(values: Mapping[str, Json], sets: list[str]) -> dict[str, tuple[str, Json]]:
    """The values with the flag they come from, except keys set by --set."""
    typed = {text.partition("=")[0].strip() for text in sets}
    return {key: ("--data", value) for key, value in values.items() if key not in typed}


@dataclass(frozen=True)
class Fit:
    """A recipe with epochs that suit its data. comments: dotted key -> comment for the copy. length: a sentence on the
    epochs. fault: why it cannot be trained on this data."""

    recipe: Recipe
    comments: Mapping[str, str] = field(default_factory=dict)
    length: str = ""
    fault: RnncliError | None = None


def _fitted(name: str, path: str, sets: list[str], found: dict[str, tuple[str, Json]], recipe: Recipe) -> Fit:
    """The recipe with epochs derived from the number of steps. Reads the data for that, unless it is large."""
    from rnncli.tasks import load_recipe

    if _bytes(path) > LARGE:
        about = tr("the data is larger than {n} MB and was not read; epochs are those of the recipe", n=LARGE // 10**6)
        return Fit(recipe, length=about)
    with waiting(tr("reading the data ...")):
        from rnncli.training.length import length_of

        try:
            fits = length_of(recipe)
        except RnncliError as error:
            return Fit(recipe, fault=error)
    settled = _unless_typed(fits.settings(), sets)
    comments = {"train.epochs": fits.why} if "train.epochs" in settled else {}
    if "train.early_stopping" in settled:
        comments["train.early_stopping"] = tr("epochs without improvement; 0 = off")
    summary = "  ".join(f"{key}: {value}" for key, (_, value) in settled.items()) + (
        " " + tr(" ({note})", note=fits.why) if comments else ""
    )
    return Fit(load_recipe(name, sets, found | settled), comments, summary)


def _bytes(path: str) -> int:
    """Total bytes of a file or of the files in a folder; otherwise 0."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    found = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sum(os.path.getsize(file) for file in found if os.path.isfile(file))


def _print_changes(path: str, filled: dict[str, object], length: str) -> None:
    """Print what the data changed."""
    from rnncli.recipe.parse import flow_text

    if filled:
        text = tr("from {file}:", file=path) + "  " + "  ".join(f"{k}: {flow_text(v)}" for k, v in filled.items())
        put(fitted(printed(text), sys.stdout))
    if length:
        put(length)
