"""`rnncli recipes`: the starting points."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnncli.cli.settings import settings
from rnncli.errors import CannotWrite, RecipeError, RnncliError, UsageError
from rnncli.locale import tr

if TYPE_CHECKING:
    from rnncli.tasks import Recipe

SMALL = 1_000_000  # bytes of data that are read to say whether they will do

app = typer.Typer(help="List, show, copy and validate the starting points.", no_args_is_help=False)

Sets = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Set one key, such as model.hidden_size=64. Repeatable.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.callback(invoke_without_command=True)
def _group(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_(json=False)


@app.command("list")
def list_(json: AsJson = False) -> None:
    """List the packaged recipes: what each teaches, and the command that runs it."""
    from rnncli import report
    from rnncli.recipe.locate import about, packaged_recipes
    from rnncli.records import Column, Commands, Page, Table

    columns = (
        Column("name", tr("recipe"), "text"),
        Column("about", tr("what it shows"), "text"),
    )
    rows = [(name, about(name)) for name in packaged_recipes()]
    more = Commands(
        tr("next"),
        [
            ("rnncli recipes show NAME", tr("read it, comments and all")),
            ("rnncli recipes copy NAME my.yaml", tr("make it your own")),
            ("rnncli train NAME", tr("run it")),
        ],
    )
    page = Page("rnncli/recipes/1", tr("recipes"), (Table("recipes", columns, rows), more))
    if json:
        report.dump_json(page, sys.stdout)
    else:
        report.show(page, ascii=settings.ascii)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="RECIPE", help="A packaged recipe, or a path.")],
) -> None:
    """Print a recipe as it stands, with its comments."""
    from rnncli.recipe.locate import find_recipe, recipe_text

    path, note = find_recipe(name)
    _note(note)
    text = recipe_text(path)
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


@app.command()
def copy(
    name: Annotated[str, typer.Argument(metavar="RECIPE", help="A packaged recipe, or a path.")],
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Where to; RECIPE.yaml here by default.")] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH", help="Your data: looked into, and filled in under data:.")
    ] = None,
    sets: Sets = [],  # noqa: B006  # typer's form of a repeatable option
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it is there.")] = False,
) -> None:
    """Copy a recipe to edit it: comments stay, and only the values you give are changed."""
    from rnncli.files import atomic_write
    from rnncli.recipe import copied
    from rnncli.tasks import load_recipe

    target = str(file) if file is not None else f"{Path(name).stem}.yaml"
    if not target.endswith((".yaml", ".yml")):
        raise UsageError(
            tr("a recipe's file name ends in .yaml"), where=target, todo=tr("such as {name}.yaml", name=target)
        )
    if os.path.lexists(target) and not force:
        raise CannotWrite(
            tr("a file of this name is there already"), where=target, todo=tr("choose another name, or add --force")
        )
    found = _from_data(name, data, sets) if data is not None else {}
    recipe = load_recipe(name, sets, found)
    _note(recipe.note)
    atomic_write(target, copied(recipe.document, type(recipe.config), target))
    print(tr("wrote {file}", file=target))
    if data is not None and not settings.quiet:
        _say_of(data, {key: value for key, (_, value) in found.items() if key != "data.path"}, recipe)
    if not settings.quiet:
        print(tr("next") + f"  rnncli train {target}")


@app.command()
def validate(
    files: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="Recipes: packaged names, or paths.")],
    sets: Sets = [],  # noqa: B006
    json: AsJson = False,
) -> None:
    """Check recipes without their data: every fault with its line, the key, what was expected and the nearest name."""
    from rnncli.cli import say
    from rnncli.report import dump_json
    from rnncli.tasks import load_recipe

    rows: list[dict[str, object]] = []
    code = 0
    for name in files:
        try:
            recipe = load_recipe(name, sets)
        except RnncliError as error:
            code = code or error.exit_code
            faults = error.faults if isinstance(error, RecipeError) else []
            listed = [vars(fault) for fault in faults]
            rows.append({"recipe": name, "ok": False, "error": error.what, "where": error.where, "faults": listed})
            if not json:
                say(error)
            continue
        rows.append({"recipe": name, "ok": True, "task": recipe.config.task})
        _note(recipe.note)
        if not json:
            print(tr("ok  {name}  ({task})", name=name, task=recipe.config.task))
    if json:
        dump_json({"schema": "rnncli/validate/1", "rows": rows}, sys.stdout)
    if code:
        raise typer.Exit(code)


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for editors that complete and check YAML."""
    from rnncli.recipe import json_schema
    from rnncli.report import dump_json
    from rnncli.tasks import config_class, task_names

    dump_json(json_schema({name: config_class(name) for name in task_names()}), sys.stdout)


def _from_data(name: str, path: str, sets: list[str]) -> dict[str, tuple[str, object]]:
    """What --data says of the recipe: the path, and what the task finds in the file's head; --set wins over that."""
    from rnncli.tasks import load_recipe

    found = load_recipe(name).task.suggest_settings(path)
    typed = {text.partition("=")[0].strip() for text in sets}
    return {key: ("--data", value) for key, value in ({"data.path": path} | found).items() if key not in typed}


def _say_of(path: str, filled: dict[str, object], recipe: Recipe) -> None:
    """What the data changed; and of a small file, which is read quickly, whether it can be trained on."""
    from rnncli.recipe.parse import flow_text

    if filled:
        print(tr("from {file}:", file=path) + "  " + "  ".join(f"{k}: {flow_text(v)}" for k, v in filled.items()))
    if os.path.isfile(path) and os.path.getsize(path) <= SMALL:
        try:
            recipe.task.read(recipe.config)
        except RnncliError as error:
            _note(tr("it cannot be trained on as it is: {why}", why=error.what))


def _note(text: str) -> None:
    if text and not settings.quiet:
        print(tr("note: {text}", text=text), file=sys.stderr)
