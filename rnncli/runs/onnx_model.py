"""The network of a run as ONNX, held against ONNX Runtime before it is kept."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from importlib import import_module

import torch
from torch import Tensor, nn

from rnncli.cells import cores_of
from rnncli.data.batch import Batch
from rnncli.errors import CheckFailed, Missing, UsageError
from rnncli.locale import tr
from rnncli.nn.model import SequenceModel
from rnncli.records import Check
from rnncli.replay import initial_state
from rnncli.replay.loop import recording
from rnncli.replay.rounding import Found, function_rounding, most_apart, ratio, unit
from rnncli.runs.onnx_scan import ScanCore, exported, with_scans
from rnncli.runs.open import Run

REACHED = 4  # time steps before the states from which the comparison starts


class _Plain(nn.Module):
    """The model for ONNX: tensors in, tensors out. All sequences of a batch have the same length; states are inputs."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = copy.copy(model)
        (spec,) = cores_of(model).values()
        self.scan = None if spec.torch_class is not None else ScanCore(model.rnn, spec.in_evaluation)
        if self.scan is not None:
            self.model.add_module("rnn", self.scan)
        self.model.engine = "torch"  # one operator for all time steps; tracing `loop` would fix the length

    def forward(self, inputs: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        with nullcontext() if self.scan is None else recording():  # the core's own forward, not an engine's
            outputs = self.model(Batch(inputs), state)
        assert outputs.state is not None
        return (outputs.scores, *outputs.state)


def onnx_model(run: Run) -> tuple[bytes, list[Check]]:
    """The model as ONNX, checked: onnxruntime's outputs are compared with torch's for several lengths and batch sizes.

    Inputs: `inputs` (T, B, ...), `h_0` (L·D, B, H) and the cell's other states, such as an lstm's `c_0`; outputs:
    `scores`, (T, B, C) or, for one answer per sequence, (B, C); `h_n`, `c_n`. T and B are dynamic; all sequences of a
    batch have the same length. A float64 run is converted to float32, the only dtype of onnxruntime's recurrent layers.
    """
    try:
        import_module("onnx")
        onnxruntime = import_module("onnxruntime")
    except ImportError as error:
        raise Missing(
            tr("ONNX needs the extra onnx: {name} is not installed", name=error.name), todo="pip install 'rnncli[onnx]'"
        ) from error
    model = run.model
    if not isinstance(model, SequenceModel):
        raise UsageError(
            tr(
                "ONNX supports models of a front end, one core and a head; this one is {kind}",
                kind=type(model).__name__,
            ),
            where="--onnx",
            todo=tr("omit --onnx: weights and script are exported for every model"),
        )
    plain, (spec,) = _Plain(copy.deepcopy(model).float()).eval(), cores_of(model).values()
    like, states = next(plain.parameters()), list(spec.states)
    content = _exported(plain, (_example(run, 5, 2, like), *initial_state(spec, 2, like)), states)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    exact = copy.deepcopy(plain).double()
    found: list[Found] = []
    for T, B in ((5, 1), (1, 1), (9, 3)):
        with torch.no_grad():
            # States that the cell reaches; from others it can be ill-conditioned (slstm divides by n, positive here).
            _, *reached = plain(_example(run, REACHED, B, like), *initial_state(spec, B, like))
            given = (_example(run, T, B, like), *reached)
            expected = plain(*given)
        feeds = {name: tensor.numpy() for name, tensor in zip(_names(states, "0"), given, strict=True)}
        wide = [tensor.double() if tensor.is_floating_point() else tensor for tensor in given]
        with torch.no_grad():
            costs = function_rounding(lambda model, *inputs: model(*inputs), exact, wide, unit(expected[0].dtype))
        off = [
            most_apart(torch.from_numpy(ours), theirs)
            for ours, theirs in zip(session.run(None, feeds), expected, strict=True)
        ]
        found += zip(off, costs, strict=True)
    worst, tol = max(found, key=ratio)
    text = tr("onnxruntime gives the same scores and states")
    check = Check("onnxruntime-equals-torch", worst <= tol, text, worst, tol)
    if not check.ok:
        raise CheckFailed(
            tr("onnxruntime's scores differ from torch's by {diff}", diff=f"{worst:.2g}"), where=str(run.folder)
        )
    return content, [check]


def _names(states: list[str], end: str) -> list[str]:
    return ["inputs" if end == "0" else "scores", *(f"{state}_{end}" for state in states)]


def _example(run: Run, T: int, B: int, like: Tensor) -> Tensor:
    """Random inputs for the model, (T, B, ...): token ids, or values shaped like the run's own data, in the dtype of
    `like`."""
    generator = torch.Generator().manual_seed(T)
    tokens = run.task.label_names(run.config, run.fitted).inputs
    if tokens is not None:
        return torch.randint(len(tokens), (T, B), generator=generator)
    splits = run.task.read(run.config)
    batch = next(iter(run.task.batches(run.config, splits.part(splits.held_out), None)))
    return torch.randn(T, B, *batch.inputs.shape[2:], generator=generator).to(like.dtype)


def _exported(plain: _Plain, given: tuple[Tensor, ...], states: list[str]) -> bytes:
    with torch.no_grad():
        scores = plain(*given)[0]  # (T, B, C), with another T where the front end subsamples, or (B, C)
    steps = "T" if len(scores) == len(given[0]) else "T_out"
    axes = {"inputs": {0: "T", 1: "B"}, "scores": {0: "B"} if scores.dim() == 2 else {0: steps, 1: "B"}}
    axes |= {f"{state}_{end}": {1: "B"} for state in states for end in ("0", "n")}
    try:
        content = exported(plain, given, _names(states, "0"), _names(states, "n"), axes)
        return content if plain.scan is None else with_scans(content, plain.scan)
    except (RuntimeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        raise UsageError(
            tr("torch cannot export this model to ONNX: {why}", why=str(error).splitlines()[0]),
            where="--onnx",
            todo=tr("omit --onnx: weights and script are exported for every model"),
        ) from error
