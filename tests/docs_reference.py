"""The reference pages that are made from the program; `python -m tests.docs_reference` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from rnncli.cells import REGULARIZERS
from rnncli.cli import help as help_texts
from rnncli.cli import make_app
from rnncli.names import CELLS, Option, option_text
from rnncli.recipe.hints import known_fields
from rnncli.recipe.keys import keys
from rnncli.schemas import about, names
from rnncli.tasks import load_task, task_names
from rnncli.views import VIEWS, about_views

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from typer._click.core import Command, Context, Parameter

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MADE = "<!-- made by python -m tests.docs_reference; not edited by hand -->\n\n"
OURS = ("algorithms", "classification", "forecasting", "image-sequences", "language-model", "tagging", "transcription",
        "translation")  # fmt: skip


def cell(text: str) -> str:
    """Text in a cell of a table: no bar ends it, and nothing in it is HTML or Markdown."""
    return re.sub(r"([|<>*_\[\]`\\])", r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`" if text else ""


def table(head: str, rows: list[list[str]]) -> str:
    columns = head.split(" | ")
    lines = [head, " | ".join("---" for _ in columns), *(" | ".join(row) for row in rows)]
    return "".join(f"| {line} |\n" for line in lines) + "\n"


# ------------------------------------------------------------------------------------------------------------ commands


def each_command(words: str, command: Command) -> Iterator[tuple[str, Command]]:
    yield words, command
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from each_command(f"{words} {name}", inner)


def option(parameter: Parameter, context: Context) -> list[str]:
    names, taken = "", ""
    if isinstance(parameter, TyperArgument):
        names = (parameter.metavar or parameter.name or "").upper().strip("{}[]")
    elif isinstance(parameter, TyperOption):
        names = ", ".join(sorted(parameter.opts, key=len, reverse=True))
        taken = "" if parameter.is_flag else parameter.metavar or parameter.display_type(context)
    about = getattr(parameter, "help", "") or ""
    if about == help_texts.VIEWS:
        about = "A view; default: an overview. See Views."
    return [code(names), code(taken), cell(about)]


def commands() -> str:
    text = MADE + "# Commands\n\nEvery command and option, as `rnncli COMMAND --help` shows them.\n\n"
    root = typer.main.get_command(make_app())
    for words, command in each_command("rnncli", root):
        context = command.make_context(words, [], resilient_parsing=True)
        text += f"## {words}\n\n{cell(command.help or '')}\n\n"
        if not isinstance(command, TyperGroup):
            text += f"```text\n{command.get_usage(context)}\n```\n\n"
        shown = [one for one in command.get_params(context) if not getattr(one, "hidden", False)]
        text += table("option | value | meaning", [option(one, context) for one in shown])
    return text


# ---------------------------------------------------------------------------------------------------------------- keys


def kind(field: FieldInfo, choices: list[str]) -> str:
    if choices:
        return " ".join(code(choice) for choice in choices)
    hint = str(field.annotation)
    words = {"int": "whole number", "float": "number", "bool": "true or false", "str": "text"}
    found = [word for name, word in words.items() if re.search(rf"\b{name}\b", hint)]
    return ("list of " if "list[" in hint and found else "") + " or ".join(found)


def default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    if field.is_required():
        return "required"
    written = {None: "null", True: "true", False: "false"}
    return code(written[value] if isinstance(value, bool | None) else repr(value) if value == "" else str(value))


def rows_of(task: str) -> dict[str, list[str]]:
    """Dotted key -> its row: key, type, default, meaning."""
    config = load_task(task).config_class
    fields = dict(known_fields(config))
    return {
        key.name: [code(key.name), kind(fields[key.name], key.choices), default(fields[key.name]), cell(key.about)]
        for key in keys(config)
        if key.name != "task"
    }


def recipe_keys() -> str:
    text = MADE + (
        "# Recipe keys\n\nA recipe is a YAML file with `task`, `data`, `model` and `train`. "
        "`--set model.hidden_size=64` sets\n"
        "one key from the command line, and `rnncli train RECIPE --print-config` shows every value with its origin.\n"
        "`rnncli recipes schema` prints the same as a JSON Schema, for editors.\n\n"
    )
    found = {task: rows_of(task) for task in OURS}
    shared = {key: row for key, row in found[OURS[0]].items() if all(rows.get(key) == row for rows in found.values())}
    head = "key | type | default | meaning"
    text += "## Every task\n\n" + table(head, list(shared.values()))
    for task, rows in found.items():
        own = [row for key, row in rows.items() if key not in shared]
        text += f"## {task}\n\n" + table(head, own)
    text += "## Options of cells\n\nIn every task, for the cells that are named; `demo --set` takes them too.\n\n"
    return text + table("key | cells | type | default | meaning", cell_options())


def cell_options() -> list[list[str]]:
    """A row per option of a cell: key, the cells that have it, type, default, meaning."""
    cells: dict[tuple[str, Option], list[str]] = {}
    for cell_name in CELLS.files:
        for name, option in CELLS[cell_name].options.items():
            cells.setdefault((name, option), []).append(cell_name)
    rows = []
    last = {name: number for number, name in enumerate(REGULARIZERS, 1)}  # after those of one cell
    for (name, option), having in sorted(cells.items(), key=lambda item: last.get(item[0][0], 0)):
        words = {bool: "`true` `false`", int: "whole number", float: "number"}
        taken = " ".join(code(option_text(one)) for one in option.choices) or words[type(option.default)]
        having_it = " ".join(map(code, having))
        rows.append([code(f"model.{name}"), having_it, taken, code(option_text(option.default)), cell(option.about)])
    return rows


def views() -> str:
    text = MADE + "# Views\n\n`rnncli inspect TARGET VIEW`, of a recipe, a run or a weight file.\n\n"
    rows = [
        [code(name), group, cell(about)]
        for group, listed in about_views().items()
        for name, about in listed
        if name in VIEWS.files
    ]
    return text + table("view | question | shows", rows)


def json_page() -> str:
    """The page as it stands, its table of schemas made anew; views are one row."""
    text = (FOLDER / "json.md").read_text("utf-8")
    rows = [[code(f"rnncli/{name}"), cell(about(name))] for name in names() if not name.startswith(tuple(VIEWS))]
    rows.append(["`rnncli/VIEW/1`", "inspect TARGET VIEW --json"])
    made = table("schema | printed by", rows)
    return re.sub(r"(<!-- schemas -->\n).*?(<!-- end)", lambda found: f"{found[1]}\n{made}{found[2]}", text, flags=re.S)


PAGES = {"json.md": json_page, "commands.md": commands, "recipe-keys.md": recipe_keys, "views.md": views}

if __name__ == "__main__":
    assert set(OURS) <= set(task_names())
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make().rstrip("\n") + "\n", encoding="utf-8")
