"""`trace`: one forward pass of a model with the recording loop in place of its cores; `Trace`: what it recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torch.utils._pytree import tree_map

from rnncli import records
from rnncli.cells import State, Step, parameter_of, spec_of, weights_of
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.records import Entry
from rnncli.replay.compare import compare
from rnncli.replay.loop import (
    DIRECTIONS,
    Call,
    CoreTrace,
    Keep,
    initial_state,
    layer_records,
    recording,
    run_core,
    run_layer,
)
from rnncli.replay.modes import evaluating, graph, require_numbers, uncollected, usable


class Trace:
    """Every state and gate of every recurrent core of a model, for one forward pass.

    Tensors go by name: `l0.fwd.h` (T, B, H or P), `l0.fwd.c`, `l0.fwd.gate.f` (T, B, H), `x` (T, B, I, the core's
    input), `output` (T, B, D·H), `l0.fwd.weight_ih` and the other weights; `l1` is the second layer, `bwd` the reverse
    direction, its time axis in input order. A model with several cores prefixes the core's name in the model:
    `encoder.l0.fwd.h`. Steps after a sequence's end are 0. `result` is what the model returned, in the graph if the
    trace was made with gradients=True.

    A name that is not there raises KeyError with the names that are.

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
        self._homes: dict[str, tuple[CoreTrace, int, int, str]] = {}
        self._weights: dict[str, Tensor] = {}
        for core in cores:
            prefix = self.prefix(core)
            for layer in range(core.spec.num_layers):
                for direction in range(core.spec.num_directions):
                    place = f"{prefix}l{layer}.{DIRECTIONS[direction]}."
                    for name in core.calls[0].layers[layer, direction].steps:
                        self._homes[place + name] = (core, layer, direction, name)
                    for name in core.spec.parameter_shapes(layer):
                        self._weights[place + name] = parameter_of(core.module, name, layer, direction)

    def prefix(self, core: CoreTrace) -> str:
        """`encoder.`, or nothing for a lone core."""
        return "" if len(self.cores) == 1 else f"{core.path}."

    def names(self) -> list[str]:
        """The names of all tensors: inputs and outputs of the cores, states and gates, then weights."""
        ends = [f"{self.prefix(core)}{name}" for core in self.cores for name in ("x", "output")]
        return [*ends, *self._homes, *self._weights]

    def core(self, name: str = "") -> CoreTrace:
        """The core of that name, or the lone one."""
        for core in self.cores:
            if name == core.path or (not name and len(self.cores) == 1):
                return core
        raise UsageError(
            tr("no core {name!r} in this model", name=name),
            todo=tr("its cores: {names}", names=", ".join(core.path for core in self.cores)),
        )

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
        stacked = torch.stack([self._kept(name, tensor.detach(), tensor.requires_grad) for tensor in steps.values()])
        if core.lengths is None:
            return stacked
        inside = torch.tensor(list(steps)).unsqueeze(1) < core.lengths.cpu().unsqueeze(0)  # (T, B)
        return stacked * inside.to(stacked.device).view(*inside.shape, *[1] * (stacked.dim() - 2))

    def vectors(self, name: str) -> Tensor:
        """The same with a number for each unit, (T, B, size): of a matrix, the length of each row."""
        found = self[name]
        return found if found.dim() == 3 else found.flatten(3).norm(dim=3)

    def step_tensors(self, name: str) -> dict[int, Tensor]:
        """Step -> (B, size) tensor, in the graph where there is one, in input order."""
        if name in self._homes:
            core, layer, direction, part = self._homes[name]
            return dict(sorted(core.step_tensors(layer, direction, part).items()))
        core, part = self._core_of(name), name.rsplit(".", 1)[-1]
        whole = torch.cat([call.xs if part == "x" else call.output for call in core.calls])
        return {t: tensor for t, tensor in enumerate(whole.unbind(0)) if self.keep.step(t)}

    def _kept(self, name: str, tensor: Tensor, whole: bool) -> Tensor:
        return self.keep.unit(tensor) if whole and name in self._homes else tensor

    def _core_of(self, name: str) -> CoreTrace:
        if name in self._homes:
            return self._homes[name][0]
        for core in self.cores:
            if name in (f"{self.prefix(core)}x", f"{self.prefix(core)}output"):
                return core
        raise KeyError(f"no tensor {name!r} in this trace; there are {', '.join(self.names())}")

    def gradient(self, loss: Tensor, name: str) -> Tensor:
        """dloss/dname at every kept step, (T, B, size): through time, as the chain rule has it.

        Not what `output.grad` of a fused module gives: that is the direct gradient only (`direct_gradient`). Needs
        trace(..., gradients=True).
        """
        if name.rsplit(".", 1)[-1] in ("x", "output"):
            core, part = self._core_of(name), name.rsplit(".", 1)[-1]
            wholes = [call.xs if part == "x" else call.output for call in core.calls]
            found = torch.autograd.grad(loss, wholes, retain_graph=True, allow_unused=True)
            gradient = torch.cat([torch.zeros_like(w) if g is None else g for w, g in zip(wholes, found, strict=True)])
            return gradient if self.keep.steps is None else gradient[list(self.keep.steps)]
        tensors = list(self.step_tensors(name).values())
        grads = torch.autograd.grad(loss, tensors, retain_graph=True, allow_unused=True)
        return torch.stack(
            [self.keep.unit(torch.zeros_like(t) if g is None else g) for t, g in zip(tensors, grads, strict=True)]
        )

    def direct_gradient(self, loss: Tensor, core: CoreTrace) -> Tensor:
        """dloss/doutput of a core, (T, B, D·H), without the way through later steps: what `output.grad` shows."""
        return self.gradient(loss, f"{self.prefix(core)}output")

    def page(self) -> records.Page:
        """The trace as one Page, schema rnncli/trace/1: a table of its tensors, all values in JSON."""
        first = self.cores[0].calls[0].x
        columns = [
            records.Column("name", tr("tensor"), "text"),
            records.Column("shape", tr("shape"), "shape"),
            records.Column("min", "min"),
            records.Column("mean", "mean"),
            records.Column("max", "max"),
        ]
        rows: list[list[Entry]] = []
        tensors: list[records.Tensor] = []
        for name in self.names():
            value = self[name]
            axes = self.axes(name)
            shown = ", ".join(f"{axis}={size}" for axis, size in zip(axes, value.shape, strict=True))
            wide = value.double()
            rows.append([name, f"({shown})", wide.min().item(), wide.mean().item(), wide.max().item()])
            tensors.append(records.Tensor(name, axes, tuple(value.shape), wide.tolist()))
        return records.Page(
            schema="rnncli/trace/1",
            title=", ".join(f"{core.path or type(core.module).__name__}: {core.spec}" for core in self.cores),
            records=[records.Table("tensors", columns, rows), records.Checks(self.checks)],
            tensors=tensors,
            device=str(first.device),
            dtype=str(first.dtype).removeprefix("torch."),
            torch=str(torch.__version__),
        )

    def _repr_html_(self) -> str:
        from rnncli.report import to_html

        return to_html(self.page())


def trace(
    model: nn.Module,
    *inputs: object,
    gradients: bool = False,
    steps: range | None = None,
    units: Sequence[int] | None = None,
    check: bool = True,
    step: Step | None = None,
    call: Callable[[], object] | None = None,
    **kwargs: object,
) -> Trace:
    """Run `model(*inputs, **kwargs)` once, in eval mode, with every recurrent core replaced by the recording loop.

    model: any module that holds nn.RNN, nn.LSTM, nn.GRU or their *Cell forms (or is one), at any depth. gradients: keep
    the graph, for `Trace.gradient`. steps, units: keep only these. check: compare with the torch modules; the
    comparison of gradients covers the first 64 steps. step: another step function (of the same cell) than torch's.
    call: what to run in place of model(*inputs), where a model is called by something else, such as a loss of it.
    The model is left as it was: its mode, its forwards, its parameters' gradients.

    Under torch.no_grad and torch.inference_mode too; with gradients=True the graph is kept all the same.

    Raises UsageError where the model has no recurrent core, none of its cores was called, its weights have no numbers
    (the meta device), or gradients are wanted of weights that were made in inference mode.

    >>> import torch
    >>> made = trace(torch.nn.GRU(4, 2), torch.randn(3, 1, 4))  # x (T, B, I)
    >>> made["l0.fwd.gate.z"].shape  # (T, B, H)
    torch.Size([3, 1, 2])
    >>> all(check.ok for check in made.checks)
    True
    """
    keep = Keep(steps, units)
    cores: dict[str, CoreTrace] = {}
    for path, module in model.named_modules():
        spec = spec_of(module)
        if spec is not None:
            cores[path] = CoreTrace(path, module, spec)
    if not cores:
        raise UsageError(tr("no recurrent core in this model"), todo=tr("rnncli traces RNN, LSTM, GRU and their cells"))
    require_numbers(model, gradients)
    with evaluating(model):
        with recording(), uncollected(), _replaced(list(cores.values()), keep, step), graph(gradients):
            if gradients:
                inputs, kwargs = tree_map(usable, inputs), tree_map(usable, kwargs)
            result = model(*inputs, **kwargs) if call is None else call()
        called = [part for core in cores.values() if core.calls for part in _by_sequence(core)]
        if not called:
            raise UsageError(tr("no recurrent core of this model was called"))
        made = Trace(model, called, result, keep)
        if check and step is None:
            for core in called:
                made.checks += compare(core, keep)
    return made


@contextmanager
def _replaced(cores: list[CoreTrace], keep: Keep, step: Step | None) -> Iterator[None]:
    """Every core's forward is the recording loop; undone whatever happens."""
    try:
        for core in cores:
            if isinstance(core.module, nn.RNNCellBase):
                core.module.forward = _cell_forward(core, keep, step)
            else:
                core.module.forward = _core_forward(core, keep, step)
        yield
    finally:
        for core in cores:
            core.module.__dict__.pop("forward", None)


def _record(core: CoreTrace, x: Tensor, state: State, lengths: Tensor | None, keep: Keep, step: Step | None) -> Call:
    spec = core.spec
    layers = layer_records(spec)
    if torch.is_grad_enabled() and not x.requires_grad:
        x = x.detach().requires_grad_()
    if isinstance(core.module, nn.RNNCellBase):
        output, last = run_layer(
            step or spec.step,
            weights_of(core.module),
            [x[0]],
            tuple(tensor[0] for tensor in state),
            record=layers[0, 0],
            keep=Keep(None, keep.units) if keep.step(core.num_steps) else None,
        )
        return Call(x, x, state, None, output[0].unsqueeze(0), tuple(t.unsqueeze(0) for t in last), layers)
    output_, last = run_core(core.module, x, state, lengths, record=layers, keep=keep, step=step)
    return Call(x, x, state, lengths, output_, last, layers)


def _cell_forward(core: CoreTrace, keep: Keep, step: Step | None) -> Callable[..., object]:
    """What stands in for nn.RNNCell.forward and its sisters: one step, x (B, I) or (I,)."""

    def forward(input: Tensor, hx: Tensor | Sequence[Tensor] | None = None) -> object:
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        if hx is None:
            state = initial_state(core.spec, x.shape[0], x)
        else:
            given: tuple[Tensor, ...] = (hx,) if isinstance(hx, Tensor) else tuple(hx)
            state = tuple((t if batched else t.unsqueeze(0)).unsqueeze(0) for t in given)
        call = _record(core, x.unsqueeze(0), state, None, keep, step)
        core.calls.append(call)
        last = tuple(t[0] if batched else t[0, 0] for t in call.last)
        return last if len(last) > 1 else last[0]

    return forward


def _core_forward(core: CoreTrace, keep: Keep, step: Step | None) -> Callable[..., object]:
    """What stands in for nn.RNN.forward and its sisters: padded or packed, batch first or not, batched or not."""
    batch_first = bool(getattr(core.module, "batch_first", False))

    def forward(input: Tensor | PackedSequence, hx: Tensor | Sequence[Tensor] | None = None) -> object:
        given: State | None = None if hx is None else ((hx,) if isinstance(hx, Tensor) else tuple(hx))
        lengths: Tensor | None = None
        batched = True
        if isinstance(input, PackedSequence):
            x, lengths = pad_packed_sequence(input)  # (T, B, I), in the caller's order
        else:
            batched = input.dim() == 3
            x = input if batched else input.unsqueeze(1)
            if batched and batch_first:
                x = x.transpose(0, 1)
            if not batched and given is not None:
                given = tuple(t.unsqueeze(1) for t in given)
        state = initial_state(core.spec, x.shape[1], x) if given is None else given
        call = _record(core, x, state, lengths, keep, step)
        core.calls.append(call)
        last = call.last if batched else tuple(t[:, 0] for t in call.last)
        output: Tensor | PackedSequence = call.output
        if isinstance(input, PackedSequence):
            assert lengths is not None
            output = _pack_like(call.output, lengths, input)
        elif not batched:
            output = call.output[:, 0]
        elif batch_first:
            output = call.output.transpose(0, 1)
        return output, (last if len(last) > 1 else last[0])

    return forward


def _pack_like(padded: Tensor, lengths: Tensor, like: PackedSequence) -> PackedSequence:
    """padded (T, B, .) in the caller's order -> packed in the order of `like`."""
    order = like.sorted_indices
    if order is not None:
        padded, lengths = padded.index_select(1, order), lengths[order.cpu()]
    packed = pack_padded_sequence(padded, lengths.cpu())
    return PackedSequence(packed.data, packed.batch_sizes, like.sorted_indices, like.unsorted_indices)


def _by_sequence(core: CoreTrace) -> list[CoreTrace]:
    """One CoreTrace per sequence the core ran over: a call that goes on from the last state of the call before (a
    decoder's step, a cell in a loop) belongs to its sequence; any other call begins a new one, named `path#2`."""
    sequences: list[list[Call]] = []
    for call in core.calls:
        if sequences and _continues(sequences[-1][-1], call):
            sequences[-1].append(call)
        else:
            sequences.append([call])
    return [
        CoreTrace(core.path if i == 0 else f"{core.path}#{i + 1}", core.module, core.spec, calls)
        for i, calls in enumerate(sequences)
    ]


def _continues(before: Call, after: Call) -> bool:
    if before.lengths is not None or after.lengths is not None or (0, 1) in before.layers:
        return False
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(before.last, after.initial, strict=True))
