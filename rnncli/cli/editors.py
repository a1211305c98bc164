"""The JSON Schema of recipes as a file for editors, in the user's cache folder."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path

from rnncli import names, render
from rnncli.errors import RnncliError
from rnncli.files import atomic_write, cache_folder, write_errors
from rnncli.starters import SCHEMA_FILE
from rnncli.version import __version__


def schema_text() -> str:
    """The schema of this installation's tasks and cells, as JSON."""
    from rnncli.recipe import json_schema
    from rnncli.tasks import config_class, task_names

    text = io.StringIO()
    render.dump_json({"$comment": _made_by(), **json_schema({name: config_class(name) for name in task_names()})}, text)
    return text.getvalue()


def schema_uri() -> str:
    """URI of the schema file, written if it is missing or was made by another version or with other tasks, cells or
    engines. Raises CannotWrite, and Missing if a task of another package cannot be loaded."""
    file = _file()
    if _maker(file) != _made_by():
        with write_errors(file.parent):
            file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(file, schema_text())
    return file.as_uri()


def renew_schema() -> None:
    """Update an outdated schema file that copied recipes may refer to. If that fails, the file is left unchanged."""
    if _file().is_file():
        with suppress(RnncliError):
            schema_uri()


def _file() -> Path:
    return cache_folder().absolute() / SCHEMA_FILE


def _made_by() -> str:
    """Versions and names that the schema depends on, as stored in the file."""
    from rnncli.tasks import task_names

    parts = (task_names(), list(names.CELLS), names.engines())
    return "; ".join([f"rnncli {__version__}", *(", ".join(part) for part in parts)])


def _maker(file: Path) -> object:
    """The stored stamp; None if the file cannot be read."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found.get("$comment") if isinstance(found, dict) else None
