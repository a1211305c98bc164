"""shapes: every stage from input to head with real sizes, parameters, bytes and FLOPs, and totals that add up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from rnncli.cells import CoreSpec, parameter_of, quiet_projections, spec_of, weights_of
from rnncli.data.batch import Batch
from rnncli.locale import tr, trn
from rnncli.nn.crf import Crf
from rnncli.nn.evaluate import evaluating
from rnncli.records import Check, Checks, Column, Entry, Message, Record, Table
from rnncli.render.numbers import shape
from rnncli.replay import initial_state, trace
from rnncli.replay.loop import recording
from rnncli.replay.reference import time_first
from rnncli.views._layout import Layout
from rnncli.views._show import answer, formula
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "what is in it"
ABOUT = "every stage from input to head: sizes, parameters, bytes, FLOPs"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH
ROWS = 1

PACKED = ("packed x", "batch_sizes", "packed output")  # torch's names


@dataclass
class Stage:
    """A stage of a model: stages share no parameters and together have all of them.

    gives: (name, shape with axis names, bytes). flops: of its products in one forward pass, 2 per multiply-add.
    formula: of the parameter count. batched: whether its input has a batch axis.
    """

    name: str
    module: nn.Module | None
    parameters: int = 0
    parameter_bytes: int = 0
    flops: int = 0
    gives: list[tuple[str, str, int]] = field(default_factory=list)
    formula: str = ""
    batched: bool = True


class Products(TorchFunctionMode):
    """Counts the FLOPs of matrix products and convolutions, 2 per multiply-add; other operations count 0.

    (torch's FlopCounterMode takes seconds to import and does not see fused recurrent kernels either.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.inside = False

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        outer, self.inside = self.inside, True
        try:
            result = func(*args, **(kwargs or {}))
        finally:
            self.inside = outer
        if not outer and isinstance(result, Tensor):  # nested products count once
            self.flops += product_flops(getattr(func, "__name__", ""), args, result)
        return result


def product_flops(name: str, args: Sequence[Any], result: Tensor) -> int:
    """FLOPs of one call of a torch function, by its name."""
    if name in ("matmul", "__matmul__", "mm", "bmm", "mv", "dot"):
        return 2 * result.numel() * int(args[0].shape[-1])
    if name in ("linear", "__rmatmul__", "addmm", "baddbmm", "addmv"):
        return 2 * result.numel() * int(args[1].shape[-1])
    if name in ("conv1d", "conv2d", "conv3d"):
        return 2 * result.numel() * int(prod(args[1].shape[1:]))
    if name == "einsum":
        operands = args[1] if isinstance(args[1], (list, tuple)) else args[1:]
        letters = args[0].replace(" ", "").partition("->")[0].split(",")
        sizes: dict[str, int] = {}
        for word, operand in zip(letters, operands, strict=True):
            sizes |= dict(zip(word, operand.shape, strict=False))
        return 2 * prod(sizes.values()) if len(operands) > 1 else 0
    return 0


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    found = stages(subject.model, subject.batch, subject.layout)
    records: list[Record] = [*answer(_answers(subject, found)), table(found), _calls(subject)]
    if not subject.like.is_meta:
        records.append(Checks([*_checks(subject, found)]))
    return records


def stages(model: nn.Module, batch: Batch, layout: Layout = Layout()) -> list[Stage]:
    """Every stage in execution order, from one forward pass in eval mode; also for models on the meta device. layout:
    of the model's own input."""
    parts = {path: Stage(path, module) for path, module in _parts(model, "")}
    order: list[str] = []
    # not prepended to `parts`: `input` may be a module's name too
    T, B = batch.inputs.shape[:2]
    features: dict[int, tuple[str, ...]] = {2: (), 3: ("I",), 5: ("Y", "X", "C")}
    axes = layout.axes(features[batch.inputs.dim()]) if batch.inputs.dim() in features else ()
    first = Stage("input", None, gives=[_given("batch", layout.outside(batch.inputs), axes)])
    with ExitStack() as hooks:
        counter = hooks.enter_context(Products())
        hooks.enter_context(evaluating(model))
        for path, stage in parts.items():
            if stage.module is not None:
                for hook in _hooks(stage, path, order, counter, (T, B), layout):
                    hooks.callback(hook.remove)
        if all(isinstance(stage.module, nn.RNNBase | nn.RNNCellBase) for stage in parts.values() if _core(stage)):
            with recording():  # every engine then calls the module itself with its hooks
                model(batch)
        else:  # a cell without a torch module cannot run on packed data
            trace(model, batch, check=False)
    _count(model, parts)
    called = [parts[path] for path in dict.fromkeys(order)]
    silent = [stage for stage in parts.values() if stage.name not in order and stage.parameters]
    return [first, *called, *silent]


def _core(stage: Stage) -> bool:
    return stage.module is not None and spec_of(stage.module) is not None


def _parts(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """The largest modules that are an RNN module or contain none, and every module in between with parameters."""
    inner = any(spec_of(part) is not None for part in module.modules())
    if spec_of(module) is not None or not inner:
        yield path or type(module).__name__, module
        return
    if any(True for _ in module.parameters(recurse=False)):
        yield path or "model", module
    for name, child in module.named_children():
        yield from _parts(child, f"{path}.{name}" if path else name)


def _hooks(
    stage: Stage, path: str, order: list[str], counter: Products, sizes: tuple[int, int], layout: Layout
) -> list[RemovableHandle]:
    module = stage.module
    assert module is not None
    spec = spec_of(module)
    before: list[int] = []

    def enter(module: nn.Module, args: object) -> None:
        before.append(counter.flops)

    def leave(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: object) -> None:
        order.append(path)
        start = before.pop()
        fresh = not stage.gives
        if spec is not None:
            x: Tensor | PackedSequence = args[0] if args else kwargs["input"]
            stage.flops += core_flops(spec, x)
            if fresh:
                stage.batched = isinstance(x, PackedSequence) or x.dim() > 2 - isinstance(module, nn.RNNCellBase)
                stage.gives += _core_gives(module, spec, x, result)
        else:
            stage.flops += counter.flops - start
            if fresh:
                stage.gives += _plain_gives(stage.name, result, *sizes, layout)

    return [module.register_forward_pre_hook(enter), module.register_forward_hook(leave, with_kwargs=True)]


def core_flops(spec: CoreSpec, x: Tensor | PackedSequence) -> int:
    """2 · steps · D · [G·H·(in + Hout) + P·H] over the layers; steps are those within the sequences."""
    steps = x.data.shape[0] if isinstance(x, PackedSequence) else prod(x.shape[:-1])
    return 2 * steps * sum(prod(size) for name, size in spec.all_shapes().items() if name.startswith("weight"))


def _core_gives(
    module: nn.Module, spec: CoreSpec, x: Tensor | PackedSequence, result: object
) -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = []
    if isinstance(x, PackedSequence):
        found.append(_given(PACKED[0], x.data, ("steps", "I")))
        found.append((PACKED[1], shape(T=len(x.batch_sizes)), x.batch_sizes.numel() * 8))
    if isinstance(module, nn.RNNCellBase):  # h, or (h, c)
        states = result if isinstance(result, tuple) else (result,)
        for name, tensor in zip(spec.states, states, strict=True):
            found.append(_given(name, tensor, ("B", "H")[-tensor.dim() :]))
        return found
    assert isinstance(result, tuple)
    output, last = result
    rows: tuple[str, ...] = () if isinstance(output, Tensor) and output.dim() == 2 else ("B",)
    if isinstance(output, PackedSequence):
        found.append(_given(PACKED[2], output.data, ("steps", "D·H")))
    else:
        width = "D·P" if spec.proj_size else "D·H"
        axes = ("B", "T") if rows and getattr(module, "batch_first", False) else ("T", *rows)
        found.append(_given("output", output, (*axes, width if spec.bidirectional else width[2:])))
    states = last if isinstance(last, tuple) else (last,)
    for k, (name, tensor) in enumerate(zip(spec.states, states, strict=True)):
        sizes = ["P" if spec.proj_size and k == 0 else "H"] * (tensor.dim() - 1 - len(rows))
        found.append(_given(f"{name}_n", tensor, ("L·D", *rows, *sizes)))
    return found


def _plain_gives(name: str, result: object, T: int, B: int, layout: Layout) -> list[tuple[str, str, int]]:
    tensors = result if isinstance(result, tuple) else (result,)
    found = [tensor for tensor in tensors if isinstance(tensor, Tensor)]
    if not found:
        return []
    tensor = found[0]  # the others are lengths and states
    known = {"front": ("x", "I"), "head": ("scores", "C")}.get(name, ("output", "F"))
    axes: tuple[str, ...] = ()
    if tensor.dim() == 3:
        order = ("B", "T") if layout == Layout(1, 0) else ("T", "B")
        if tensor.shape[order.index("B")] == B:  # T may be another: of a convolution over time
            axes = (*order, known[1])
        elif tensor.shape[:2] == (T, B)[:: 1 if order[0] == "B" else -1]:  # the model swaps them inside
            axes = (*order[::-1], known[1])
    elif tensor.dim() == 2:
        letter, size = ("T", T) if layout.batch is None else ("B", B)
        axes = (letter, known[1]) if tensor.shape[0] == size else ()
    return [_given(known[0], tensor, axes)]


def _given(what: str, tensor: Tensor, axes: tuple[str, ...]) -> tuple[str, str, int]:
    size = tensor.numel() * tensor.element_size()
    if len(axes) != tensor.dim():
        return what, str(tuple(tensor.shape)), size
    return what, shape(**dict(zip(axes, tensor.shape, strict=True))), size


def _count(model: nn.Module, parts: dict[str, Stage]) -> None:
    """Parameters of every stage; a shared parameter counts once, in the first stage."""
    seen: set[int] = set()
    for stage in parts.values():
        assert stage.module is not None
        spec = spec_of(stage.module)
        alone = spec is None and any(spec_of(part) is not None for part in stage.module.modules())
        for parameter in stage.module.parameters(recurse=not alone):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                stage.parameters += parameter.numel()
                stage.parameter_bytes += parameter.numel() * parameter.element_size()
        if spec is not None:
            plain = spec.num_parameters() == sum(parameter.numel() for parameter in stage.module.parameters())
            stage.formula = formula(spec) if plain else ""  # a parametrized weight has parameters of its own
        elif isinstance(stage.module, nn.Linear):
            m = stage.module
            stage.formula = f"{m.out_features}·{m.in_features}" + (f" + {m.out_features}" if m.bias is not None else "")
            if isinstance(m, Crf):  # one score per pair of labels, and one per label at either end
                stage.formula += f" + {m.out_features}·{m.out_features} + 2·{m.out_features}"
        elif isinstance(stage.module, nn.Embedding):
            stage.formula = f"{stage.module.num_embeddings}·{stage.module.embedding_dim}"


def table(found: list[Stage]) -> Table:
    """The stages as a table with totals."""
    rows: list[list[Entry]] = []
    for stage in found:
        gives = stage.gives or [("", "", 0)]
        for k, (what, size, bytes_) in enumerate(gives):
            counts = [stage.parameters, stage.parameter_bytes, stage.flops] if k == 0 else [None] * 3
            rows.append([stage.name, what, size, *counts, bytes_])
    columns = [
        Column("stage", tr("stage"), "text", once=True),
        Column("gives", tr("gives"), "text"),
        Column("shape", tr("shape"), "shape"),
        Column("parameters", tr("parameters"), "count"),
        Column("parameter_bytes", tr("their bytes"), "bytes"),
        Column("flops", "FLOPs", "count"),
        Column("bytes", tr("output bytes"), "bytes", optional=True),
    ]
    sums = [sum(stage.parameters for stage in found), sum(stage.parameter_bytes for stage in found)]
    sums += [sum(stage.flops for stage in found), sum(bytes_ for stage in found for _, _, bytes_ in stage.gives)]
    total: list[Entry] = [tr("total"), "", "", *sums]
    return Table("stages", columns, rows, total=total)


def _answers(subject: Subject, found: Sequence[Stage]) -> dict[str, str]:
    """For each module: what the shape of its state depends on."""
    B, said = subject.batch.size, dict[str, str]()
    alone = {stage.name for stage in found if not stage.batched}
    for path, spec in subject.specs.items():
        rows = spec.num_layers * spec.num_directions
        batch = {} if path in alone else {"B": B}
        sizes = {state: shape(**{"L·D": rows, **batch, **_state_axes(spec, state)}) for state in spec.states}
        if B > 1:
            text = tr("With B={B} in x, h_0 must be {shape}; torch raises an error for any other batch size.",
                      B=B, shape=sizes["h"])  # fmt: skip
        elif len(spec.states) > 1:
            kept = ", ".join(f"{state}_n {size}" for state, size in sizes.items())
            text = tr("It has {n} states, so it returns {n} last states: {kept}.",
                      n=len(sizes), kept=kept)  # fmt: skip
        elif path in alone:
            text = tr("x has no batch axis, so h_0 and h_n have none either: they are {shape}.", shape=sizes["h"])
        else:
            text = tr(
                "No: batch_first=True changes the axes of x and output; h_0 and h_n stay {shape}.", shape=sizes["h"]
            )
        said[path or spec.cell] = text
    return said


def _state_axes(spec: CoreSpec, state: str) -> dict[str, int]:
    size = spec.states[state]
    first = "P" if spec.proj_size and state == "h" else "H"
    return {first + "'" * k: length for k, length in enumerate(size)}


def _calls(subject: Subject) -> Message:
    """How each module is called, what it returns, and which axes never change."""
    lines = []
    for spec in subject.specs.values():
        after, before = (", ".join(f"{state}_{end}" for state in spec.states) for end in ("n", "0"))
        if len(spec.states) > 1:
            after, before = f"({after})", f"({before})"
        call = f"output, {after} = {spec.cell}(x, {before})"
        if call not in lines:
            lines.append(call)
    return Message("\n".join(lines), "formula", name="calls")


def _checks(subject: Subject, found: list[Stage]) -> Iterator[Check]:
    counted = sum(stage.parameters for stage in found)
    total = sum(parameter.numel() for parameter in subject.model.parameters())
    text = trn("the stages have the single parameter", "the stages have all {n} parameters", n=total)
    yield Check("parameters-add-up", counted == total, text)
    for path, module in subject.model.named_modules():
        spec = spec_of(module)
        if spec is None:
            continue
        own, places = list(module.parameters()), spec.places
        weights = [parameter_of(module, name, *place) for place in places for name in spec.parameter_shapes(place[0])]
        held = own if {*map(id, weights)} <= {*map(id, own)} else weights  # computed: by weight norm, pruning ...
        n = spec.num_parameters()
        text = tr("{core}: {formula} = {n}", core=path or spec.cell, formula=formula(spec), n=n)
        yield Check("formula", n == sum(tensor.numel() for tensor in held), text)
        if isinstance(module, nn.RNNBase):
            yield from _module_checks(module, spec, subject)
            break


def _module_checks(module: nn.RNNBase, spec: CoreSpec, subject: Subject) -> Iterator[Check]:
    """How torch's module handles its axes, tried on this one."""
    B, T, rows = subject.batch.size, 3, spec.num_layers * spec.num_directions
    own = weights_of(module).like
    x = torch.zeros(T, B, spec.input_size).to(own)
    with torch.no_grad(), quiet_projections(spec), time_first(module, batch_first=True):
        output, last = module(x.transpose(0, 1))
    h_n = last[0] if isinstance(last, tuple) else last
    size = shape(**{"L·D": rows, "B": B, "P" if spec.proj_size else "H": spec.state_size})
    swapped = tuple(output.shape[:2]) == (B, T) and tuple(h_n.shape) == (rows, B, spec.state_size)
    text = tr("batch_first=True would change x and output to (B, T, .); h_0 and h_n stay {shape}", shape=size)
    if module.batch_first:
        text = tr("with batch_first=True, x and output are (B, T, .); h_0 and h_n are {shape}", shape=size)
    yield Check("batch-first", swapped, text)
    if len(spec.states) > 1:
        text = tr("an LSTM has two states: it takes and returns (h, c)")
        yield Check("tuple", isinstance(last, tuple), text)
    wrong = B + 1
    state = initial_state(spec, wrong, own)
    said = ""
    try:
        with torch.no_grad(), quiet_projections(spec), time_first(module):
            module(x, state if len(state) > 1 else state[0])
    except RuntimeError as error:
        said = str(error).splitlines()[0]
    text = tr(
        "h_0 must have this batch's B={B} (an epoch's last batch may be smaller); with {wrong}, torch raises: {said}",
        B=B,
        wrong=wrong,
        said=said,
    )
    yield Check("state-of-another-batch", bool(said), text)
    if B > 1:
        packed = pack_padded_sequence(x, torch.tensor([T] + [T - 1] * (B - 1)))
        text = tr(
            "packed rows of {a} and {b} steps: data {shape}, batch_sizes {sizes}",
            a=T,
            b=T - 1,
            shape=tuple(packed.data.shape),
            sizes=packed.batch_sizes.tolist(),
        )
        yield Check("batch-sizes", int(packed.batch_sizes.sum()) == packed.data.shape[0], text)
