"""docs/tutorials/notebook.ipynb: `python -m tests.notebook` runs its cells, and keeps what they show.

Its cells run here as in a notebook's kernel: in one namespace, what is printed first, then the value of a last
expression, as HTML where it has that form. So no kernel is needed, and none of its packages.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "docs" / "tutorials" / "notebook.ipynb"
Output = dict[str, Any]


def shown(value: object) -> Output:
    """What a kernel's display hook sends."""
    data = {"text/plain": repr(value).splitlines(keepends=True)}
    html = getattr(type(value), "_repr_html_", None)
    return data if html is None else {"text/html": html(value).splitlines(keepends=True), **data}


def outputs_of(source: str, names: dict[str, Any], number: int) -> Iterator[Output]:
    """Run one cell in the namespace `names`."""
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), f"cell {number}", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
    if printed.getvalue():
        yield {"output_type": "stream", "name": "stdout", "text": printed.getvalue().splitlines(keepends=True)}
    if value is not None:
        yield {"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": shown(value)}


def executed(text: str) -> str:
    """The notebook with every code cell's outputs made anew, in the current folder."""
    notebook, names, number = json.loads(text), dict[str, Any](), 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            number += 1
            cell |= {"execution_count": number, "outputs": list(outputs_of("".join(cell["source"]), names, number))}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    text = FILE.read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ |= {"COLUMNS": "80", "LC_ALL": "C.UTF-8"}
        FILE.write_text(executed(text), encoding="utf-8")


if __name__ == "__main__":
    main()
