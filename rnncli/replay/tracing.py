"""`trace`: one forward pass of a model with the recording loop instead of its cores; `Trace`: the recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from rnncli import records, render
from rnncli.cells import Step, cores_of, parameter_of
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.records import Entry
from rnncli.replay.changes import Home, Value, changes_of
from rnncli.replay.compare import compare
from rnncli.replay.forwards import RecordOptions, by_sequence, replaced
from rnncli.replay.loop import DIRECTIONS, CoreTrace, Keep, recording
from rnncli.replay.modes import evaluating, graph, require_numbers, uncollected, usable

SHOWN = 12  # states and gates listed in a trace's repr


class Trace:
    """Every state and gate of every recurrent core of a model, for one forward pass.

    Tensors are accessed by name: `l0.fwd.h` (T, B, H or P), `l0.fwd.c`, `l0.fwd.gate.f` (T, B, H), `x` (T, B, I, the
    core's input), `output` (T, B, D·H), `l0.fwd.weight_ih` and the other weights; `l1` is the second layer, `bwd` the
    reverse direction, its time axis in input order. A model with several cores prefixes the core's name in the model:
    `encoder.l0.fwd.h`. Steps after a sequence's end are 0. `result` is what the model returned, in the graph if the
    trace was made with gradients=True.

    An unknown name raises KeyError, listing the known ones.

    Examples:
        >>> import torch, rnncli
        >>> made = rnncli.trace(torch.nn.LSTM(4, 2), torch.randn(3, 1, 4))
        >>> isinstance(made, Trace), made["l0.fwd.c"].shape
        (True, torch.Size([3, 1, 2]))
    """

    def __init__(self, model: nn.Module, cores: list[CoreTrace], result: Any, keep: Keep) -> None:
        self.model = model
        self.cores = cores
        self.result = result
        self.keep = keep
        self.checks: list[records.Check] = []
        self._homes: dict[str, Home] = {}
        self._weights: dict[str, Tensor] = {}
        for core in cores:
            prefix = self.prefix(core)
            for layer, direction in core.spec.places:
                place = f"{prefix}l{layer}.{DIRECTIONS[direction]}."
                for name in core.calls[0].layers[layer, direction].steps:
                    self._homes[place + name] = (core, layer, direction, name)
                for name in core.spec.parameter_shapes(layer):
                    self._weights[place + name] = parameter_of(core.module, name, layer, direction)

    @property
    def homes(self) -> Mapping[str, Home]:
        """The states and gates: name -> core, layer, direction, and local name."""
        return self._homes

    def prefix(self, core: CoreTrace) -> str:
        """`encoder.`, or "" for a single core."""
        return "" if len(self.cores) == 1 else f"{core.path}."

    def names(self) -> list[str]:
        """The names of all tensors: inputs and outputs of the cores, states and gates, then weights."""
        ends = [f"{self.prefix(core)}{name}" for core in self.cores for name in ("x", "output")]
        return [*ends, *self._homes, *self._weights]

    def core(self, name: str = "") -> CoreTrace:
        """The core of that name, or the only one. Raises UsageError like `core_path`."""
        by_path = {core.path: core for core in self.cores}
        return by_path[core_path(name, list(by_path))]

    def axes(self, name: str) -> tuple[str, ...]:
        """One letter per dimension of that tensor."""
        if name in self._weights:
            kind = name.rsplit(".", 1)[1]
            known = {"weight_ih": ("G·H", "I"), "weight_hh": ("G·H", "H"), "weight_hr": ("P", "H")}
            axes = known.get(kind, ("G·H",))
            shape = self._weights[name].shape
            return axes if len(axes) == len(shape) else tuple(map(str, shape))
        if name in self._homes:
            core, _, _, part = self._homes[name]
            return ("T", "B", *["H"] * len(core.spec.states.get(part, (core.spec.hidden_size,))))
        return ("T", "B", {"x": "I", "output": "D·H"}[name.rsplit(".", 1)[-1]])

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def __getitem__(self, name: str) -> Tensor:
        """The tensor of that name, detached. States and gates: (T, B, size), a matrix (T, B, H, H). T: kept steps."""
        if name in self._weights:
            return self._weights[name].detach()
        steps, core = self.step_tensors(name), self._core_of(name)
        made = name in self._homes  # recorded whole while in a graph
        tensors = [self.keep.unit(t.detach()) if made and t.requires_grad else t.detach() for t in steps.values()]
        stacked = torch.stack(tensors)
        if core.lengths is None:
            return stacked
        inside = torch.tensor(list(steps)).unsqueeze(1) < core.lengths.cpu().unsqueeze(0)  # (T, B)
        return stacked * inside.to(stacked.device).view(*inside.shape, *[1] * (stacked.dim() - 2))

    def vectors(self, name: str) -> Tensor:
        """The same with one value per unit, (T, B, size): for a matrix, the norm of each row."""
        found = self[name]
        return found if found.dim() == 3 else found.flatten(3).norm(dim=3)

    def step_tensors(self, name: str) -> dict[int, Tensor]:
        """Step -> (B, size) tensor, in the graph if there is one, in input order. In a padded batch, a state is the one
        that the next step reads; h was computed from the state before rows that have ended were held (`gradient`)."""
        if name in self._homes:
            core, layer, direction, part = self._homes[name]
            return dict(sorted(core.step_tensors(layer, direction, part).items()))
        core, part = self._core_of(name), name.rsplit(".", 1)[-1]
        whole = torch.cat([call.x if part == "x" else call.output for call in core.calls])
        return {t: tensor for t, tensor in enumerate(whole.unbind(0)) if self.keep.step(t)}

    def _core_of(self, name: str) -> CoreTrace:
        if name in self._homes:
            return self._homes[name][0]
        for core in self.cores:
            if name in (f"{self.prefix(core)}x", f"{self.prefix(core)}output"):
                return core
        raise KeyError(f"no tensor {name!r} in this trace; available: {', '.join(self.names())}")

    def gradient(self, loss: Tensor, name: str) -> Tensor:
        """dloss/dname at every kept step, (T, B, size): through time, by the chain rule.

        Unlike `output.grad` of a fused module, which is only the direct gradient (`direct_gradient`). Needs
        trace(..., gradients=True).
        """
        if name.rsplit(".", 1)[-1] in ("x", "output"):
            core, part = self._core_of(name), name.rsplit(".", 1)[-1]
            wholes = [call.x if part == "x" else call.output for call in core.calls]
            found = torch.autograd.grad(loss, wholes, retain_graph=True, allow_unused=True)
            gradient = torch.cat([torch.zeros_like(w) if g is None else g for w, g in zip(wholes, found, strict=True)])
            return gradient if self.keep.steps is None else gradient[list(self.keep.steps)]
        core = self._core_of(name)
        _, layer, direction, part = self._homes[name]
        tensors = [tensor for _, tensor in sorted(core.step_tensors(layer, direction, part, held=False).items())]
        grads = torch.autograd.grad(loss, tensors, retain_graph=True, allow_unused=True)
        return torch.stack(
            [self.keep.unit(torch.zeros_like(t) if g is None else g) for t, g in zip(tensors, grads, strict=True)]
        )

    def direct_gradient(self, loss: Tensor, core: CoreTrace) -> Tensor:
        """dloss/doutput of a core, (T, B, D·H), without paths through later steps: what `output.grad` shows."""
        return self.gradient(loss, f"{self.prefix(core)}output")

    def page(self) -> records.Page:
        """The trace as one Page, schema rnncli/trace/1: a table of its tensors, all values in JSON."""
        tensors = [
            records.Tensor(name, self.axes(name), tuple(value.shape), value.double().tolist())
            for name, value in ((name, self[name]) for name in self.names())
        ]
        return replace(self._shown(), tensors=tensors)

    def _shown(self) -> records.Page:
        first = self.cores[0].calls[0].x
        columns = [
            records.Column("name", tr("tensor"), "text"),
            records.Column("shape", tr("shape"), "shape"),
            records.Column("min", "min"),
            records.Column("mean", "mean"),
            records.Column("max", "max"),
        ]
        rows: list[list[Entry]] = []
        for name in self.names():
            wide = self[name].double()
            rows.append([name, self._shape(name), wide.min().item(), wide.mean().item(), wide.max().item()])
        return records.Page(
            schema="rnncli/trace/1",
            title=", ".join(self._title(core) for core in self.cores),
            records=[records.Table("tensors", columns, rows, cut_rows=40), records.Checks(self.checks)],
            device=str(first.device),
            dtype=str(first.dtype).removeprefix("torch."),
            torch=str(torch.__version__),
        )

    def _shape(self, name: str) -> str:
        sizes = zip(self.axes(name), self[name].shape, strict=True)
        return f"({', '.join(f'{axis}={size}' for axis, size in sizes)})"

    @staticmethod
    def _title(core: CoreTrace) -> str:
        return f"{core.path or type(core.module).__name__}: {core.spec}"

    def _repr_html_(self) -> str:
        return render.to_html(self._shown())

    def __repr__(self) -> str:
        """Its cores, states and gates with shapes, and whether its checks pass."""
        ok = sum(check.ok for check in self.checks)
        named = [f"  {name} {self._shape(name)}" for name in list(self._homes)[:SHOWN]]
        more = len(self._homes) - len(named)
        head = f"Trace of {', '.join(map(self._title, self.cores))}; {ok} of {len(self.checks)} checks ok"
        return "\n".join([head, *named, *([f"  ... {more} more: names()"] if more else [])])


def core_path(name: str, paths: Sequence[str]) -> str:
    """The path of the core of that name; "" is the only core.

    First the path itself; then `model.NAME`, because `inspect` wraps a module, so that its core `rnn` is `model.rnn`;
    then the only path that ends in `.NAME`. Raises UsageError: no such core, or an ambiguous name.
    """
    if not name and len(paths) == 1:
        return paths[0]
    for path in (name, f"model.{name}"):
        if path in paths:
            return path
    found = [path for path in paths if name and path.endswith(f".{name}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(tr("{name!r} is ambiguous", name=name), todo=tr("use one of {names}", names=", ".join(found)))
    raise UsageError(
        tr("no core {name!r} in this model", name=name), todo=tr("its cores: {names}", names=", ".join(paths))
    )


def trace(
    model: nn.Module,
    *inputs: object,
    gradients: bool = False,
    steps: range | None = None,
    units: Sequence[int] | None = None,
    check: bool = True,
    step: Step | None = None,
    call: Callable[[], object] | None = None,
    patch: Mapping[str, Value] | None = None,
    **kwargs: object,
) -> Trace:
    """Run `model(*inputs, **kwargs)` once, in eval mode, with every recurrent core replaced by the recording loop.

    model: any module that contains, at any depth, or is an nn.RNN, nn.LSTM, nn.GRU or one of their *Cell forms.
    gradients: keep the graph, for `Trace.gradient`. steps, units: keep only these. check: compare with the torch
    modules; gradients are compared over the first 64 steps. step: a step function (of the same cell) to use instead of
    torch's. call: function to run instead of model(*inputs), such as a loss that calls the model. The model is not
    changed: its mode, its forwards and its parameters' gradients are restored.

    patch: states and gates to change while the model runs, with everything that depends on them. Keys are names as in
    `Trace`, or unambiguous short forms (`h`, `gate.f`), optionally with units and steps: `c[3]`,
    `l0.fwd.gate.f[0:4]@5`, `h[0,2]@2:7`, `encoder.h@5:`. A value is a number; a tensor, array or list (units,), (B,
    units) or (T, B, units), for a matrix state with its second axis appended, T the number of selected steps; or a
    function from the model's value at one step, (B, units), to the same shape. Steps after a sequence's end have no
    effect. The checks of a patched trace are those of the unpatched model, which runs once more for them. Gradients are
    those of the patched computation.

    Also works under torch.no_grad and torch.inference_mode; with gradients=True the graph is kept even then.

    Raises UsageError if the model has no recurrent core, none of its cores was called, its weights have no values (the
    meta device), or gradients of weights created in inference mode are requested; if a core's input is empty, or has
    another size or dtype than its weights; or if a patch has unknown names, or its cell's step does not allow the
    change.

    Examples:
        >>> import torch
        >>> made = trace(torch.nn.GRU(4, 2), torch.randn(3, 1, 4))  # x (T, B, I)
        >>> made["l0.fwd.gate.z"].shape  # (T, B, H)
        torch.Size([3, 1, 2])
        >>> all(check.ok for check in made.checks)
        True
    """
    how = RecordOptions(Keep(steps, units), step, ())

    def run(graph: bool) -> object:
        given, named = tree_map(usable, (inputs, kwargs)) if graph else (inputs, kwargs)
        return model(*given, **named) if call is None else call()

    if patch is None:
        return _traced(model, run, how, gradients, check)
    before = _traced(model, run, RecordOptions(Keep(), step, ()), False, check)
    made = _traced(model, run, replace(how, changes=changes_of(patch, before.homes)), gradients, False)
    made.checks = before.checks
    return made


def _traced(model: nn.Module, run: Callable[[bool], object], how: RecordOptions, gradients: bool, check: bool) -> Trace:
    """run: the model, given whether there is a graph."""
    cores = [CoreTrace(path, model.get_submodule(path), spec) for path, spec in cores_of(model).items()]
    if not cores:
        raise UsageError(tr("no recurrent core in this model"), todo=tr("rnncli traces RNN, LSTM, GRU and their cells"))
    require_numbers(model, gradients)
    with evaluating(model):
        with recording(), uncollected(), replaced(cores, how), graph(gradients):
            result = run(gradients)
        called = [part for core in cores if core.calls for part in by_sequence(core)]
        if not called:
            raise UsageError(tr("no recurrent core of this model was called"))
        made = Trace(model, called, result, how.keep)
        if check and how.step is None:
            for core in called:
                made.checks += compare(core, how.keep)
    return made
