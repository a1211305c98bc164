"""Extracts functions as source text, with their dependencies, for a script that runs without rnncli."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path


class Code(str):
    """Text that a script template inserts verbatim; anything else is written as a Python literal."""


FOLLOWED = (
    "rnncli.cells",
    "rnncli.data.date_forms",
)  # modules whose names are copied along if another module uses them


def copied(module: str, names: Iterable[str], *more: tuple[str, Iterable[str]]) -> tuple[set[str], str]:
    """(imports, source) of functions of a module, with everything they use from it and from FOLLOWED, verbatim. more:
    other modules and names from them. Names in annotations do not count as used: the script has `from __future__ import
    annotations`.

    Raises ValueError: they use something from elsewhere, except the standard library.
    """
    if not module:
        return set(), ""
    imports, pieces = set[str](), list[str]()
    for origin, wanted in ((module, names), *more):
        _copy(origin, list(wanted), imports, pieces, set())
    return imports, "\n\n" + "\n\n\n".join(pieces) + "\n"


def _copy(module: str, names: list[str], imports: set[str], pieces: list[str], done: set[str]) -> None:
    """Add to imports and pieces; code from other files comes first."""
    text = _text(module)
    defined: dict[str, ast.stmt] = {}
    imported: dict[str, ast.Import | ast.ImportFrom] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported |= {(alias.asname or alias.name).partition(".")[0]: node for alias in node.names}
        for name in _names_of(node):
            defined[name] = node
    used, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting += _read(defined[name]) if name in defined else []
    for name in sorted(used & imported.keys()):
        node = imported[name]
        origin = (node.module or "") if isinstance(node, ast.ImportFrom) else name
        if origin.startswith(FOLLOWED):
            if f"{origin}.{name}" not in done:
                done.add(f"{origin}.{name}")
                _copy(origin, [name], imports, pieces, done)
            continue
        if origin.partition(".")[0] not in sys.stdlib_module_names:
            raise ValueError(f"{module}: {name} is from {origin}, which a script without rnncli does not have")
        imports.add(f"from {origin} import {name}" if isinstance(node, ast.ImportFrom) else f"import {name}")
    kept = {id(node): node for name, node in defined.items() if name in used}
    new = [piece for node in sorted(kept.values(), key=lambda node: node.lineno)
           if (piece := _segment(text, node)) not in pieces]  # fmt: skip
    if twice := _defined(new) & _defined(pieces):
        raise ValueError(f"{module}: {min(twice)} is defined elsewhere, too")
    pieces += new


def _defined(pieces: Iterable[str]) -> set[str]:
    return {name for piece in pieces for node in ast.parse(piece).body for name in _names_of(node)}


def _text(module: str) -> str:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"{module} has no source")
    return Path(spec.origin).read_text("utf-8")


def _read(node: ast.AST) -> Iterator[str]:
    """The names used in code, without annotations."""
    if isinstance(node, ast.Name):
        yield node.id
    for field, value in ast.iter_fields(node):
        if field not in ("annotation", "returns"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _read(child)


def _names_of(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def _segment(text: str, node: ast.stmt) -> str:
    decorated = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
    first = min([node.lineno, *(one.lineno for one in decorated)])
    return "\n".join(text.split("\n")[first - 1 : node.end_lineno])
