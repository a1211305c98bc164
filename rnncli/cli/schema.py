"""`rnncli schema`: the JSON Schemas of what `--json` prints. No torch."""

from __future__ import annotations

import json as encoder
import sys
from typing import Annotated

import typer

from rnncli import render
from rnncli.cli.deliver import AsJson
from rnncli.cli.out import hand_over
from rnncli.cli.settings import settings
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.records import Column, Commands, Page, Table


def schema(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of a document, such as result/1. Omit it to list all.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Print the JSON Schema of a --json document, or list all documents."""
    from rnncli.schemas import about, names, schema_of

    if name is not None and json:
        raise UsageError(tr("a schema is already JSON"), where="--json", todo=tr("omit --json"))
    if name is not None:
        hand_over(encoder.dumps(schema_of(name), indent=1) + "\n")
        return
    rows = [(known, about(known)) for known in names()]
    if json:
        listed = [{"name": known, "about": command} for known, command in rows]
        render.dump_json({"schema": "rnncli/schemas/1", "rows": listed}, sys.stdout)
        return
    columns = (Column("name", tr("schema"), "text"), Column("about", tr("printed by"), "text"))
    more = Commands(
        tr("next"),
        [
            ("rnncli schema result/1", tr("print one schema")),
            ("rnncli recipes schema", tr("the schema of recipes, for editors")),
        ],
    )
    render.show(Page("", tr("JSON Schemas"), [Table("schemas", columns, rows), more]), ascii=settings.ascii)
