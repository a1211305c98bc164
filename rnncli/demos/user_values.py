"""--from FILE.yaml: the user's x, h_0, c_0 and weights, under any of their usual names. No torch.

    x: [[1, 1], [1, 1], [2, 2]]       # (T, I), a row per step, or (T, B, I)
    W_ih: [[1, 1], [1, 1]]            # also weight_ih, weight_ih_l0, l0.fwd.weight_ih
    W_hh: [[1, 1], [1, 1]]
    bias: false                       # also cell, nonlinearity, num_layers, bidirectional, seed, dtype
    h0: [0, 0]                        # (H), (B, H) or (L·D, B, H)

Missing values are drawn from the seed. Files written by `--save x.yaml` are accepted too. Errors are DataErrors with
file, line and key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

from rnncli import names
from rnncli.cells import CELLS, CoreSpec
from rnncli.demos.settings import WRITTEN
from rnncli.errors import DataError, RecipeError
from rnncli.files import read_chunks, shown
from rnncli.locale import tr
from rnncli.recipe.parse import Node, parse

MAX_BYTES = 20_000_000
MAX_NODES = 2_000_000
MAX_NODES_WITH_ALIASES = 20_000  # aliases (*name) could expand a few lines to millions of nodes

_WEIGHTS = {alias: name for name, short in WRITTEN.items() for alias in (name, short)}
_WEIGHT = re.compile(
    rf"(?:l(?P<before>\d{{1,4}})\.(?P<direction>fwd|bwd)\.)?(?P<name>{'|'.join(_WEIGHTS)})"
    r"(?:_l(?P<after>\d{1,4})(?P<reverse>_reverse)?)?"
)
_SETTINGS: dict[str, type] = {
    "cell": str,
    "nonlinearity": str,
    "bias": bool,
    "num_layers": int,
    "bidirectional": bool,
    "seed": int,
    "dtype": str,
    "nice": bool,
}
_RESULTS = re.compile(r"output|logits|head\..*|l\d+\.(fwd|bwd)\.(gate\.)?\w+")  # results in a saved demo, recomputed
_WORDS = {name: float(name) for name in ("nan", "inf", "+inf", "-inf", "infinity", "-infinity")}


Numbers: TypeAlias = "float | list[Numbers]"
Setting = str | int | bool


@dataclass(frozen=True)
class UserTensor:
    """A tensor of the file. values: nested lists of floats. where: `own.yaml:4 W_ih`."""

    values: Numbers
    shape: tuple[int, ...]
    where: str


@dataclass(frozen=True)
class File:
    """tensors: x, h_0, c_0 and weights by torch's names (weight_ih_l0_reverse). settings: value and location of
    each."""

    tensors: dict[str, UserTensor]
    settings: dict[str, tuple[Setting, str]]
    not_finite: tuple[str, ...] = ()  # locations of nan or inf
    options: Mapping[str, tuple[object, str]] = field(
        default_factory=dict
    )  # options of the cell: value and location of each


def read(path: str) -> File:
    """Read the file's tensors and settings. Raises DataError."""
    name = shown(path)
    if os.path.isfile(path) and os.path.getsize(path) > MAX_BYTES:
        raise DataError(tr("is too large: at most {n} MB", n=MAX_BYTES // 10**6), where=name)
    return parsed("".join(read_chunks(path)), name)


def parsed(text: str, name: str) -> File:
    """The tensors and settings of a file's text. name: of the file. Raises DataError."""
    try:
        most = MAX_NODES_WITH_ALIASES if "*" in text else MAX_NODES
        root, faults = parse(text, name, max_bytes=MAX_BYTES, max_nodes=most)
    except RecipeError as error:
        faults = error.faults
    if faults:
        first = faults[0]
        raise DataError(first.what, where=" ".join(filter(None, (first.where, first.key))), todo=first.todo)
    if not isinstance(root.content, dict) or not root.content:
        raise DataError(
            tr("contains no `name: values` pairs"),
            where=name,
            todo=tr("for example  x: [[1, 1], [1, 1], [2, 2]]  and on another line  W_ih: [[1, 1], [1, 1]]"),
        )
    saved = "schema" in root.content
    return _File(_saved_items(root, name) if saved else list(root.content.items()), saved).read()


class _File:
    """Reads the entries of a file one by one."""

    def __init__(self, items: list[tuple[str, Node]], saved: bool) -> None:
        self.items, self.saved = items, saved
        self.not_finite: list[str] = []

    def read(self) -> File:
        tensors: dict[str, UserTensor] = {}
        settings: dict[str, tuple[Setting, str]] = {}
        options: dict[str, tuple[object, str]] = {}
        for key, node in self.items:
            where = f"{node.where} {key}"
            if key in _SETTINGS:
                settings[key] = (self.setting(key, node, where), where)
                continue
            if any(key in CELLS[cell].options for cell in CELLS):
                options[key] = (node.value(), where)
                continue
            name = _tensor_name(key)
            if name is None:
                if self.saved and _RESULTS.fullmatch(key):
                    continue
                _unknown(key, where)
            if name in tensors:
                raise DataError(tr("names the same tensor as {other}", other=tensors[name].where), where=where)
            values = self.numbers(node, key)
            tensors[name] = UserTensor(values, _shape(values), where)
        return File(tensors, settings, tuple(dict.fromkeys(self.not_finite)), options)

    def setting(self, key: str, node: Node, where: str) -> Setting:
        kind = _SETTINGS[key]
        value = node.content
        if isinstance(value, Setting) and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        wanted = {str: tr("a name"), bool: tr("true or false"), int: tr("an integer")}[kind]
        raise DataError(tr("{value} is not {wanted}", value=node.text()[:40], wanted=wanted), where=where)

    def numbers(self, node: Node, key: str, depth: int = 0) -> Numbers:
        """A node as nested lists of floats of regular shape."""
        where = f"{node.where} {key}"
        content = node.content
        if isinstance(content, list):
            if not content:
                raise DataError(tr("empty list"), where=where)
            if depth == 3:
                raise DataError(tr("lists nested too deeply: at most (T, B, I)"), where=where)
            rows = [self.numbers(child, f"{key}[{k}]", depth + 1) for k, child in enumerate(content)]
            shapes = [_shape(row) for row in rows]
            for k, shape in enumerate(shapes):
                if shape != shapes[0]:
                    this, first = _words(shape), _words(shapes[0])
                    what = tr("item {k} is {this}, but item 0 is {first}", k=k, this=this, first=first)
                    raise DataError(what, where=f"{content[k].where} {key}")
            return rows
        if isinstance(content, str) and content.lower() in _WORDS:
            content = _WORDS[content.lower()]
        if isinstance(content, bool) or not isinstance(content, (int, float)):
            raise DataError(tr("{value!r} is not a number", value=node.text()[:40]), where=where)
        try:
            value = float(content)
        except OverflowError as error:
            raise DataError(tr("number too large"), where=where) from error
        if value - value != 0:  # nan or infinite
            self.not_finite.append(f"{node.where} {key.partition('[')[0]}")
        return value


def _saved_items(root: Node, name: str) -> list[tuple[str, Node]]:
    """The settings and tensors of a file written by --save, like those of a handwritten file."""
    top = root.content
    assert isinstance(top, dict)
    if not str(top["schema"].content).startswith("rnncli/trace/"):
        raise DataError(
            tr("not a result of demo: its schema is {schema}", schema=top["schema"].text()[:60]),
            where=f"{top['schema'].where} schema",
        )
    items: list[tuple[str, Node]] = [(key, top[key]) for key in ("seed", "dtype") if key in top]
    config = top.get("config")
    known = {*_SETTINGS, *(name for cell in CELLS for name in CELLS[cell].options)}
    if config is not None and isinstance(config.content, dict):
        items += [(key, node) for key, node in config.content.items() if key in known]
    tensors = top.get("tensors")
    if tensors is None or not isinstance(tensors.content, list):
        raise DataError(tr("has a schema but no list of tensors"), where=name)
    for k, entry in enumerate(tensors.content):
        parts = entry.content
        if not isinstance(parts, dict) or "values" not in parts or "name" not in parts:
            raise DataError(tr("a tensor needs `name` and `values`"), where=f"{entry.where} tensors[{k}]")
        items.append((str(parts["name"].content), parts["values"]))
    return items


def _tensor_name(key: str) -> str | None:
    if key == "x":
        return key
    for state in states_of():
        if key in (f"{state}0", f"{state}_0"):
            return f"{state}_0"
    match = _WEIGHT.fullmatch(key)
    if match is None or (match["before"] is not None and match["after"] is not None):
        return None
    layer = int(match["before"] or match["after"] or 0)
    reverse = match["direction"] == "bwd" or match["reverse"] is not None
    return f"{_WEIGHTS[match['name']]}_l{layer}{'_reverse' if reverse else ''}"


def _unknown(key: str, where: str) -> NoReturn:
    known = ["x", *(f"{state}0" for state in states_of()), "W_ih", "W_hh", "b_ih", "b_hh", *_SETTINGS]
    spelled = {name.lower(): name for name in (*_WEIGHTS, *known)}
    near = spelled.get(names.nearest(key, spelled), "")
    raise DataError(
        tr("unknown name"),
        where=where,
        todo=(tr("did you mean {near}? ", near=near) if near else "")
        + tr("known: {known}; weights of other layers: weight_ih_l1, weight_ih_l0_reverse", known=", ".join(known)),
    )


def _shape(values: Numbers) -> tuple[int, ...]:
    return (len(values), *_shape(values[0])) if isinstance(values, list) else ()


def _words(shape: tuple[int, ...]) -> str:
    if not shape:
        return tr("a single number")
    return tr("a row of {n}", n=shape[0]) if len(shape) == 1 else tr("a table ({shape})", shape=written(shape))


def written(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def states_of(*cells: str) -> list[str]:
    """The state names of these cells, or of all: h, c ..."""
    return list(dict.fromkeys(state for cell in cells or CELLS for state in CoreSpec(cell, "tanh", 1, 1).states))
