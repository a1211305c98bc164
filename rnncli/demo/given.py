"""--from FILE.yaml: somebody's own x, h_0, c_0 and weights, by any of the names people use for them. No torch.

    x: [[1, 1], [1, 1], [2, 2]]       # a row a step (T, I), or (T, B, I)
    W_ih: [[1, 1], [1, 1]]            # also weight_ih, weight_ih_l0, l0.fwd.weight_ih
    W_hh: [[1, 1], [1, 1]]
    bias: false                       # also cell, nonlinearity, num_layers, bidirectional, seed, dtype
    h0: [0, 0]                        # (H), (B, H) or (L·D, B, H)

What is missing is drawn by the seed. A file that `--save x.yaml` wrote is read too. Every fault is one message with
file, line and key: DataError.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from rnncli import names
from rnncli.cells import CELLS, CoreSpec
from rnncli.demo.settings import Asked, Settings, option, with_values
from rnncli.errors import DataError, RecipeError, UsageError
from rnncli.files import read_chunks, shown
from rnncli.locale import tr, trn
from rnncli.recipe.parse import Node, parse

MAX_BYTES = 20_000_000
MAX_NODES = 2_000_000
MAX_NODES_WITH_ALIASES = 20_000  # *name repeats a value: a few lines could stand for millions

_WEIGHTS = {
    "weight_ih": "weight_ih",
    "W_ih": "weight_ih",
    "weight_hh": "weight_hh",
    "W_hh": "weight_hh",
    "bias_ih": "bias_ih",
    "b_ih": "bias_ih",
    "bias_hh": "bias_hh",
    "b_hh": "bias_hh",
}
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
_RESULTS = re.compile(r"output|logits|head\..*|l\d+\.(fwd|bwd)\.(gate\.)?\w+")  # of a saved demo: made again
_WORDS = {"nan": float("nan"), "inf": float("inf"), "+inf": float("inf"), "-inf": float("-inf")}


@dataclass(frozen=True)
class Given:
    """One tensor of the file. values: nested lists of floats. where: `own.yaml:4 W_ih`."""

    values: Any
    shape: tuple[int, ...]
    where: str


@dataclass(frozen=True)
class File:
    """tensors: x, h_0, c_0 and weights by torch's names (weight_ih_l0_reverse). settings: value and place of each."""

    tensors: dict[str, Given]
    settings: dict[str, tuple[Any, str]]
    not_finite: tuple[str, ...] = ()  # places that hold nan or inf


def read(path: str) -> File:
    """The file's tensors and settings. Raises DataError."""
    name = shown(path)
    try:
        if os.path.isfile(path) and os.path.getsize(path) > MAX_BYTES:
            raise DataError(tr("is too large: at most {n} MB", n=MAX_BYTES // 10**6), where=name)
        text = "".join(read_chunks(path))
        most = MAX_NODES_WITH_ALIASES if "*" in text else MAX_NODES
        root, faults = parse(text, name, max_bytes=MAX_BYTES, max_nodes=most)
    except RecipeError as error:
        faults = error.faults
    if faults:
        first = faults[0]
        raise DataError(first.what, where=" ".join(filter(None, (first.where, first.key))), todo=first.todo)
    if not isinstance(root.content, dict) or not root.content:
        raise DataError(
            tr("holds no `name: values` pairs"),
            where=name,
            todo=tr(
                "write for instance  x: [[1, 1], [1, 1], [2, 2]]  and on a line of its own  W_ih: [[1, 1], [1, 1]]"
            ),
        )
    saved = "schema" in root.content
    return _File(_saved_items(root, name) if saved else list(root.content.items()), saved).read()


def settings_of(asked: Asked, file: File, source: str) -> Settings:
    """The demo that the file and the options make together. An option beats the file's setting, never its shapes.

    Raises DataError where tensors contradict each other, UsageError where an option contradicts them.
    """
    if asked.input is not None:
        raise UsageError(
            tr("--input does not go with --from"), todo=tr("--input draws its own weights; x is the text's letters")
        )
    typed = asked.typed()
    settings = Settings(source=source)
    for name, (value, where) in file.settings.items():
        try:
            settings = with_values(settings, {name: value})
        except UsageError as error:
            raise DataError(error.what, where=where, todo=error.todo) from error
    if "cell" not in typed and "cell" not in file.settings:
        settings = with_values(settings, {"cell": _cell_of(file)})
    chosen = ("cell", "nonlinearity", "bias", "seed", "dtype", "device", "nice")
    settings = with_values(settings, {name: typed[name] for name in chosen if name in typed})
    sizes = _Sizes(settings, file, typed).found
    for name, (size, where) in sizes.items():
        if name in typed and typed[name] != size:
            raise UsageError(
                tr(
                    "{option} {n}, but {where} makes it {size}",
                    option=option(name),
                    n=typed[name],
                    where=where,
                    size=size,
                ),
                todo=tr("leave {option} out", option=option(name)),
            )
    extra = {name: value for name, value in typed.items() if name not in chosen}
    return with_values(settings, extra | {name: size for name, (size, _) in sizes.items()})


class _File:
    """The items of one file, read one after another."""

    def __init__(self, items: list[tuple[str, Node]], saved: bool) -> None:
        self.items, self.saved = items, saved
        self.not_finite: list[str] = []

    def read(self) -> File:
        tensors: dict[str, Given] = {}
        settings: dict[str, tuple[Any, str]] = {}
        for key, node in self.items:
            where = f"{node.where} {key}"
            if key in _SETTINGS:
                settings[key] = (self.setting(key, node, where), where)
                continue
            name = _tensor_name(key)
            if name is None:
                if self.saved and _RESULTS.fullmatch(key):
                    continue
                _unknown(key, where)
            if name in tensors:
                raise DataError(tr("stands for the same tensor as {other}", other=tensors[name].where), where=where)
            values = self.numbers(node, key)
            tensors[name] = Given(values, _shape(values), where)
        return File(tensors, settings, tuple(dict.fromkeys(self.not_finite)))

    def setting(self, key: str, node: Node, where: str) -> Any:
        kind = _SETTINGS[key]
        if isinstance(node.content, kind) and not (kind is int and isinstance(node.content, bool)):
            return node.content
        wanted = {str: tr("a name"), bool: tr("true or false"), int: tr("a whole number")}[kind]
        raise DataError(tr("{value} is not {wanted}", value=node.text()[:40], wanted=wanted), where=where)

    def numbers(self, node: Node, key: str, depth: int = 0) -> Any:
        """A node as nested lists of floats, every row as long as its neighbours."""
        where = f"{node.where} {key}"
        content = node.content
        if isinstance(content, list):
            if not content:
                raise DataError(tr("is an empty list"), where=where)
            if depth == 3:
                raise DataError(tr("lists nested too deeply: at most (T, B, I)"), where=where)
            rows = [self.numbers(child, f"{key}[{k}]", depth + 1) for k, child in enumerate(content)]
            shapes = [_shape(row) for row in rows]
            for k, shape in enumerate(shapes):
                if shape != shapes[0]:
                    raise DataError(
                        tr(
                            "item {k} is {this}, item 0 is {first}: all must be alike",
                            k=k,
                            this=_words(shape),
                            first=_words(shapes[0]),
                        ),
                        where=f"{content[k].where} {key}",
                    )
            return rows
        if isinstance(content, str) and content.lower() in _WORDS:
            content = _WORDS[content.lower()]
        if isinstance(content, bool) or not isinstance(content, (int, float)):
            raise DataError(tr("{value!r} is not a number", value=node.text()[:40]), where=where)
        try:
            value = float(content)
        except OverflowError as error:
            raise DataError(tr("this number is too large"), where=where) from error
        if value - value != 0:  # nan or infinite
            self.not_finite.append(f"{node.where} {key.partition('[')[0]}")
        return value


def _saved_items(root: Node, name: str) -> list[tuple[str, Node]]:
    """The settings and tensors of a file that --save wrote, as if they were written by hand."""
    top = root.content
    assert isinstance(top, dict)
    if not str(top["schema"].content).startswith("rnncli/trace/"):
        raise DataError(
            tr("is a saved result, but not of demo: its schema is {schema}", schema=top["schema"].text()[:60]),
            where=f"{top['schema'].where} schema",
        )
    items: list[tuple[str, Node]] = [(key, top[key]) for key in ("seed", "dtype") if key in top]
    config = top.get("config")
    if config is not None and isinstance(config.content, dict):
        items += [(key, node) for key, node in config.content.items() if key in _SETTINGS]
    tensors = top.get("tensors")
    if tensors is None or not isinstance(tensors.content, list):
        raise DataError(tr("has a schema, but no list of tensors"), where=name)
    for k, entry in enumerate(tensors.content):
        parts = entry.content
        if not isinstance(parts, dict) or "values" not in parts or "name" not in parts:
            raise DataError(tr("a tensor needs `name` and `values`"), where=f"{entry.where} tensors[{k}]")
        items.append((str(parts["name"].content), parts["values"]))
    return items


def _tensor_name(key: str) -> str | None:
    if key == "x":
        return key
    for state in _states():
        if key in (f"{state}0", f"{state}_0"):
            return f"{state}_0"
    match = _WEIGHT.fullmatch(key)
    if match is None or (match["before"] is not None and match["after"] is not None):
        return None
    layer = int(match["before"] or match["after"] or 0)
    reverse = match["direction"] == "bwd" or match["reverse"] is not None
    return f"{_WEIGHTS[match['name']]}_l{layer}{'_reverse' if reverse else ''}"


def _unknown(key: str, where: str) -> NoReturn:
    known = ["x", *(f"{state}0" for state in _states()), "W_ih", "W_hh", "b_ih", "b_hh", *_SETTINGS]
    spelled = {name.lower(): name for name in (*_WEIGHTS, *known)}
    near = spelled.get(names.nearest(key, spelled), "")
    raise DataError(
        tr("this name is not known"),
        where=where,
        todo=(tr("did you mean {near}? ", near=near) if near else "")
        + tr(
            "There are {known}; weights of other layers as weight_ih_l1, weight_ih_l0_reverse", known=", ".join(known)
        ),
    )


def _shape(values: Any) -> tuple[int, ...]:
    return (len(values), *_shape(values[0])) if isinstance(values, list) else ()


def _words(shape: tuple[int, ...]) -> str:
    if not shape:
        return tr("a single number")
    return tr("a row of {n}", n=shape[0]) if len(shape) == 1 else tr("a table ({shape})", shape=_sizes(shape))


def _sizes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _cell_of(file: File) -> str:
    """The cell that W_hh (G·H, H) belongs to; rnn where it does not say."""
    for name, given in file.tensors.items():
        if name.startswith("weight_hh") and len(given.shape) == 2 and given.shape[0] % given.shape[1] == 0:
            gates = given.shape[0] // given.shape[1]
            return next((name for name in names.torch_cells() if len(CELLS[name].gates) == gates), "rnn")
    return "rnn"


def _states(*cells: str) -> list[str]:
    """The states of these cells, or of all: h, c ..."""
    return list(dict.fromkeys(state for cell in cells or CELLS for state in CoreSpec(cell, "tanh", 1, 1).states))


class _Sizes:
    """Every size that the file's tensors say, with where it was said; two that differ are a DataError."""

    def __init__(self, settings: Settings, file: File, typed: Mapping[str, Any]) -> None:
        self.settings, self.file = settings, file
        self.found: dict[str, tuple[Any, str]] = {}
        for name in ("num_layers", "bidirectional"):
            if name in typed:
                self.found[name] = (typed[name], option(name))
            elif name in file.settings:
                self.found[name] = file.settings[name]
        self.said = set(self.found)
        self.gates = CELLS[settings.cell].num_gates
        starts = [f"{state}_0" for state in _states()]
        for name in file.tensors:
            if name not in ("x", *starts):
                self.stack(name)
        directions = 2 if self.found.get("bidirectional", (False, ""))[0] else 1
        for name, given in file.tensors.items():
            if name not in ("x", *starts):
                self.weight(name, given)
        if "x" in file.tensors:
            self.x(file.tensors["x"])
        for name in starts:
            if name in file.tensors:
                self.state(name, file.tensors[name], self.found.get("num_layers", (1, ""))[0] * directions)
        self.upper_inputs(directions)

    def stack(self, name: str) -> None:
        """Weights of a second layer or of the reverse direction say that there is one."""
        where = self.file.tensors[name].where
        number, _, reverse = name.rpartition("_l")[2].partition("_")
        layers, told = self.found.get("num_layers", (1, ""))
        if int(number) >= layers:
            if "num_layers" in self.said:
                raise DataError(
                    tr("is of layer {k}, but num_layers is {n} by {told}", k=int(number), n=layers, told=told),
                    where=where,
                )
            self.found["num_layers"] = (int(number) + 1, where)
        if reverse:
            both, told = self.found.get("bidirectional", (True, where))
            if not both:
                raise DataError(
                    tr("is of the reverse direction, but bidirectional is false by {told}", told=told), where=where
                )
            self.found["bidirectional"] = (True, told)

    def note(self, name: str, size: int, where: str) -> None:
        before, said = self.found.setdefault(name, (size, where))
        if before != size:
            raise DataError(
                tr("{name} is {size} here, but {before} by {said}", name=name, size=size, before=before, said=said),
                where=where,
            )

    def want(self, given: Given, shapes: str, *dimensions: int) -> None:
        if len(given.shape) not in dimensions:
            raise DataError(
                tr("has shape ({shape}); wanted {shapes}", shape=_sizes(given.shape), shapes=shapes), where=given.where
            )

    def x(self, given: Given) -> None:
        self.want(given, tr("(T, I), a row of numbers for each step, or (T, B, I)"), 2, 3)
        self.note("seq_len", given.shape[0], given.where)
        self.note("batch_size", given.shape[1] if len(given.shape) == 3 else 1, given.where)
        self.note("input_size", given.shape[-1], given.where)

    def state(self, name: str, given: Given, rows: int) -> None:
        self.want(given, tr("(H), (B, H) or (L·D, B, H)"), *((1, 2, 3) if rows == 1 else (3,)))
        state = name.removesuffix("_0")
        cell = self.settings.cell
        if state not in _states(cell):
            raise DataError(
                tr("{cell} has no state {name}", cell=cell, name=state),
                where=given.where,
                todo=tr("add a line  cell: {cell}", cell=next(other for other in CELLS if state in _states(other))),
            )
        if len(given.shape) == 3 and given.shape[0] != rows:
            raise DataError(
                trn(
                    "has {n} row; wanted L·D = {rows}", "has {n} rows; wanted L·D = {rows}", n=given.shape[0], rows=rows
                ),
                where=given.where,
            )
        if len(given.shape) > 1:
            self.note("batch_size", given.shape[-2], given.where)
        self.note("hidden_size", given.shape[-1], given.where)

    def weight(self, name: str, given: Given) -> None:
        bias = name.startswith("bias")
        if bias and not self.settings.bias:
            raise DataError(
                tr("there is no bias here"),
                where=given.where,
                todo=tr("leave out --no-bias and `bias: false`, or this line"),
            )
        if name.startswith("weight_hh") and not CELLS[self.settings.cell].recurrent_weight:
            raise DataError(
                tr("{cell} has no W_hh", cell=self.settings.cell),
                where=given.where,
                todo=tr("choose --cell rnn, or leave it out"),
            )
        shapes = {"weight_ih": "(G·H, I)", "weight_hh": "(G·H, H)"}.get(name[:9], "(G·H)")
        self.want(given, shapes, 1 if bias else 2)
        if given.shape[0] % self.gates:
            raise DataError(
                trn(
                    "has {n} row; {cell} needs {gates}·H",
                    "has {n} rows; {cell} needs {gates}·H",
                    n=given.shape[0],
                    cell=self.settings.cell,
                    gates=self.gates,
                ),
                where=given.where,
            )
        self.note("hidden_size", given.shape[0] // self.gates, given.where)
        if name.startswith("weight_hh"):
            self.note("hidden_size", given.shape[1], given.where)
        elif name.startswith("weight_ih_l0"):
            self.note("input_size", given.shape[1], given.where)

    def upper_inputs(self, directions: int) -> None:
        """A second layer reads the first one's output: D·H columns."""
        for name, given in self.file.tensors.items():
            if not name.startswith("weight_ih") or name.startswith("weight_ih_l0"):
                continue
            size = directions * self.found["hidden_size"][0]
            if given.shape[1] != size:
                raise DataError(
                    trn(
                        "has {n} column; wanted D·H = {size}",
                        "has {n} columns; wanted D·H = {size}",
                        n=given.shape[1],
                        size=size,
                    ),
                    where=given.where,
                )
