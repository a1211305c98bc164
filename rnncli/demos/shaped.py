"""Settings derived from a user's tensors: sizes follow their shapes, and contradictions are errors. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from rnncli import names
from rnncli.cells import CELLS, checked_options
from rnncli.demos.settings import DemoOptions, Settings, option, with_values
from rnncli.demos.user_values import File, Setting, UserTensor, states_of, written
from rnncli.errors import DataError, UsageError
from rnncli.locale import tr, trn


def settings_of(options: DemoOptions, file: File, source: str) -> Settings:
    """Combine the file and the options. Options override the file's settings, but not its shapes.

    Raises DataError if tensors contradict each other, UsageError if an option contradicts them.
    """
    if options.input is not None:
        raise UsageError(
            tr("--input and --from cannot be combined"),
            todo=tr("--input draws its own weights, and x are the characters of the text"),
        )
    typed = {name: value for name, value in options.typed().items() if isinstance(value, Setting)}
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
    settings = _with_options(settings, file, options)
    sizes = _Sizes(settings, file, typed).found
    for name, (size, where) in sizes.items():
        if name in typed and typed[name] != size:
            flag, n = option(name), typed[name]
            what = tr("{option} is {n}, but {where} implies {size}", option=flag, n=n, where=where, size=size)
            raise UsageError(what, todo=tr("omit {option}", option=flag))
    extra = {name: value for name, value in typed.items() if name not in chosen}
    return with_values(settings, extra | {name: size for name, (size, _) in sizes.items()})


def places_in(file: File, settings: Settings) -> dict[str, str]:
    """Where the file sets a field of the settings or an option of the cell, or has the weight that implies it."""
    found = {name: where for name, (value, where) in file.settings.items() if value == getattr(settings, name)}
    implied = {"cell": "weight_hh", "num_layers": "_l1", "bidirectional": "_reverse"}
    for field, part in implied.items():
        wheres = [given.where for name, given in file.tensors.items() if part in name]
        if wheres and field not in found:
            found[field] = wheres[0]
    chosen = dict(settings.options)
    return found | {name: where for name, (value, where) in file.options.items() if chosen.get(name) == value}


def _with_options(settings: Settings, file: File, options: DemoOptions) -> Settings:
    """The options of the cell; typed ones override the file's."""
    found = dict(options.options or ())
    for name, (value, where) in file.options.items():
        try:
            found = checked_options(settings.cell, {name: value}) | found
        except UsageError as error:
            raise DataError(error.what, where=where, todo=error.todo) from error
    return with_values(settings, {"options": tuple(found.items())}) if found else settings


def _cell_of(file: File) -> str:
    """The cell implied by the shape of W_hh (G·H, H); rnn if undetermined."""
    for name, given in file.tensors.items():
        if name.startswith("weight_hh") and len(given.shape) == 2 and given.shape[0] % given.shape[1] == 0:
            gates = given.shape[0] // given.shape[1]
            return next((name for name in names.torch_cells() if len(CELLS[name].gates) == gates), "rnn")
    return "rnn"


class _Sizes:
    """Collect the sizes implied by the file's tensors, with their locations. Raises DataError on a contradiction."""

    def __init__(self, settings: Settings, file: File, typed: Mapping[str, Setting]) -> None:
        self.settings, self.file = settings, file
        self.found: dict[str, tuple[int, str]] = {}
        for name in ("num_layers", "bidirectional"):
            value, where = (typed[name], option(name)) if name in typed else file.settings.get(name, (None, ""))
            if isinstance(value, int):
                self.found[name] = (value, where)
        self.typed = set(self.found)
        self.gates = CELLS[settings.cell].num_gates
        starts = [f"{state}_0" for state in states_of()]
        weights = {name: given for name, given in file.tensors.items() if name not in ("x", *starts)}
        for name in weights:
            self.stack(name)
        directions = 2 if self.found.get("bidirectional", (False, ""))[0] else 1
        for name, given in weights.items():
            self.weight(name, given)
        if "x" in file.tensors:
            self.x(file.tensors["x"])
        for name in starts:
            if name in file.tensors:
                self.state(name, file.tensors[name], self.found.get("num_layers", (1, ""))[0] * directions)
        self.upper_inputs(directions)

    def stack(self, name: str) -> None:
        """Weights of a second layer or of the reverse direction imply that it exists."""
        where = self.file.tensors[name].where
        number, _, reverse = name.rpartition("_l")[2].partition("_")
        layers, source = self.found.get("num_layers", (1, ""))
        if int(number) >= layers:
            if "num_layers" in self.typed:
                k, n = int(number), layers
                what = tr("belongs to layer {k}, but num_layers is {n} (from {where})", k=k, n=n, where=source)
                raise DataError(what, where=where)
            self.found["num_layers"] = (int(number) + 1, where)
        if reverse:
            both, source = self.found.get("bidirectional", (True, where))
            if not both:
                raise DataError(
                    tr("belongs to the reverse direction, but bidirectional is false (from {where})", where=source),
                    where=where,
                )
            self.found["bidirectional"] = (True, source)

    def note(self, name: str, size: int, where: str) -> None:
        before, source = self.found.setdefault(name, (size, where))
        if before != size:
            raise DataError(
                tr("{name} is {size} here, but {before} in {where}", name=name, size=size, before=before, where=source),
                where=where,
            )

    def want(self, given: UserTensor, shapes: str, *dimensions: int) -> None:
        if len(given.shape) not in dimensions:
            raise DataError(
                tr("has shape ({shape}); expected {shapes}", shape=written(given.shape), shapes=shapes),
                where=given.where,
            )

    def x(self, given: UserTensor) -> None:
        self.want(given, tr("(T, I), a row per step, or (T, B, I)"), 2, 3)
        self.note("seq_len", given.shape[0], given.where)
        self.note("batch_size", given.shape[1] if len(given.shape) == 3 else 1, given.where)
        self.note("input_size", given.shape[-1], given.where)

    def state(self, name: str, given: UserTensor, rows: int) -> None:
        self.want(given, tr("(H), (B, H) or (L·D, B, H)"), *((1, 2, 3) if rows == 1 else (3,)))
        state = name.removesuffix("_0")
        cell = self.settings.cell
        if state not in states_of(cell):
            raise DataError(
                tr("{cell} does not have a state {name}", cell=cell, name=state),
                where=given.where,
                todo=tr("add a line  cell: {cell}", cell=next(other for other in CELLS if state in states_of(other))),
            )
        if len(given.shape) == 3 and given.shape[0] != rows:
            n = given.shape[0]
            what = trn("has {n} row; expected L·D = {rows}", "has {n} rows; expected L·D = {rows}", n=n, rows=rows)
            raise DataError(what, where=given.where)
        if len(given.shape) > 1:
            self.note("batch_size", given.shape[-2], given.where)
        self.note("hidden_size", given.shape[-1], given.where)

    def weight(self, name: str, given: UserTensor) -> None:
        bias = name.startswith("bias")
        if bias and not self.settings.bias:
            raise DataError(
                tr("this network does not have biases"),
                where=given.where,
                todo=tr("omit --no-bias and `bias: false`, or this line"),
            )
        if name.startswith("weight_hh") and not CELLS[self.settings.cell].recurrent_weight:
            raise DataError(
                tr("{cell} does not have W_hh", cell=self.settings.cell),
                where=given.where,
                todo=tr("choose --cell rnn, or omit this line"),
            )
        shapes = {"weight_ih": "(G·H, I)", "weight_hh": "(G·H, H)"}.get(name[:9], "(G·H)")
        self.want(given, shapes, 1 if bias else 2)
        if given.shape[0] % self.gates:
            what = trn("has {n} row; {cell} needs {gates}·H", "has {n} rows; {cell} needs {gates}·H",
                       n=given.shape[0], cell=self.settings.cell, gates=self.gates)  # fmt: skip
            raise DataError(what, where=given.where)
        self.note("hidden_size", given.shape[0] // self.gates, given.where)
        if name.startswith("weight_hh"):
            self.note("hidden_size", given.shape[1], given.where)
        elif name.startswith("weight_ih_l0"):
            self.note("input_size", given.shape[1], given.where)

    def upper_inputs(self, directions: int) -> None:
        """A second layer reads the output of the first: D·H columns."""
        for name, given in self.file.tensors.items():
            if not name.startswith("weight_ih") or name.startswith("weight_ih_l0"):
                continue
            size = directions * self.found["hidden_size"][0]
            if given.shape[1] != size:
                what = trn("has {n} column; expected D·H = {size}", "has {n} columns; expected D·H = {size}",
                           n=given.shape[1], size=size)  # fmt: skip
                raise DataError(what, where=given.where)
