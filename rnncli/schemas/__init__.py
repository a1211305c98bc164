"""The JSON Schemas of what `--json` prints: one for each name that a document has under `schema`.

    from rnncli.schemas import names, schema_of
    schema_of("result/1")["required"]

A view has a name of its own, `steps/1`, those of installed packages too. No torch here.
"""

from __future__ import annotations

from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.names import did_you_mean
from rnncli.schemas._parts import Schema, named, whole
from rnncli.schemas.documents import DOCUMENTS, UNNAMED, of_view
from rnncli.views import VIEWS

PREFIX = "rnncli/"


def names() -> list[str]:
    """`bench/1` ...: every name, those of views last."""
    return [*(f"{name}/1" for name in DOCUMENTS), *(f"{view}/1" for view in ("overview", *VIEWS))]


def about(name: str) -> str:
    """The command that prints it, `train --json`; of a name of names()."""
    stem = name.removesuffix("/1")
    if stem in DOCUMENTS:
        return DOCUMENTS[stem][0]
    return "inspect TARGET --json" if stem == "overview" else f"inspect TARGET {stem} --json"


def schema_of(name: str) -> Schema:
    """The schema of that name, with or without `rnncli/` before it. Raises UsageError with the nearest name."""
    known, wanted = names(), name.removeprefix(PREFIX)
    if wanted not in known and f"{wanted}/1" in known:
        wanted = f"{wanted}/1"
    if wanted not in known:
        todo = did_you_mean(wanted, known, tr("see: {command}", command="rnncli schema"))
        raise UsageError(tr("there is no schema {name!r}", name=name), where="rnncli schema", todo=todo)
    stem = wanted.removesuffix("/1")
    body = DOCUMENTS[stem][1] if stem in DOCUMENTS else of_view(stem, stem == "overview" or stem in VIEWS.files)
    return whole(wanted, f"rnncli {about(wanted)}", body if stem in UNNAMED else named(wanted, body))
