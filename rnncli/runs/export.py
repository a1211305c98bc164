"""Exports a run: weights under torch's names, a script that predicts without rnncli, a model card, and ONNX."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from rnncli.data.batch import Batch
from rnncli.errors import CheckFailed, Missing, UsageError
from rnncli.files import atomic_write, fingerprint
from rnncli.locale import tr
from rnncli.nn.crf import crf_of
from rnncli.nn.model import SequenceModel
from rnncli.records import Check
from rnncli.replay import initial_state
from rnncli.replay.rounding import Found, function_rounding, most_apart, ratio, unit
from rnncli.runs.folder import make_folder
from rnncli.runs.load_script import load_script
from rnncli.runs.model_card import model_card
from rnncli.runs.open import Run
from rnncli.runs.unfinished import filling
from rnncli.training.job import cores_of


@dataclass(frozen=True)
class Exported:
    """files: the names of the files written. why_not: why load.py only loads the weights and cannot predict; "" if it
    predicts like `predict`. notes: sentences on what differs from the run."""

    folder: Path
    files: Sequence[str]
    why_not: str
    checks: Sequence[Check] = ()
    notes: Sequence[str] = ()


def export(run: Run, out: str, *, onnx: bool = False) -> Exported:
    """Export a run into an empty or new folder. onnx: model.onnx too, checked with onnxruntime before it is kept.

    If no script can predict, load.py only loads the weights: see `Exported.why_not`. Raises UsageError (the folder is
    not empty, ONNX does not support the model), Missing (the extra `onnx`), CheckFailed (onnxruntime's scores differ).
    """
    cores = cores_of(run.model)
    foreign = {path: spec for path, spec in cores.items() if spec.torch_class is None}
    for path, spec in foreign.items() if onnx else ():
        raise UsageError(
            tr("torch has no module for the cell of {path}: {spec}", path=path, spec=spec),
            where="--onnx",
            todo=tr("omit --onnx: weights and script are exported for every model"),
        )
    content, checks = (None, []) if not onnx else onnx_model(run)
    folder = make_folder(out)
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in run.model.state_dict().items()}
    script = load_script(run)
    vocab = json.dumps(run.fitted.to_json(), ensure_ascii=False)
    files: dict[str, bytes | str] = {
        "model.safetensors": save(tensors, metadata=_metadata(run, vocab)),
        "vocab.json": vocab,
        "load.py": script.text,
        "MODEL_CARD.md": model_card(run, script),
    }
    if content is not None:
        files["model.onnx"] = content
    with filling(folder, files):
        for name, data in files.items():
            atomic_write(folder / name, data)
    notes = []
    if content is not None and next(run.model.parameters()).dtype == torch.float64:
        notes.append(tr("model.onnx computes in float32: onnxruntime has no recurrent layers in float64"))
    if content is not None and crf_of(run.model) is not None:
        notes.append(
            tr(
                "model.onnx returns the scores of each step; load.py shows how to combine them with the CRF's "
                "weights (head.*)"
            )
        )
    return Exported(folder, list(files), script.why_not, checks, notes)


def _metadata(run: Run, vocab: str) -> dict[str, str]:
    """Metadata of model.safetensors: what the weights belong to. The hashes are of the run's recipe.yaml and of the
    vocab.json next to the weights."""
    return {
        "format": "pt",
        "task": run.config.task,
        "recipe_sha256": fingerprint(run.folder / "recipe.yaml"),
        "vocab_sha256": sha256(vocab.encode()).hexdigest(),
    }


# ---------------------------------------------------------------------------------------------------------------- ONNX


class _Plain(nn.Module):
    """The model for ONNX: tensors in, tensors out. All sequences of a batch have the same length; states are inputs."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = copy.copy(model)
        self.model.engine = "torch"  # one operator for all time steps; tracing `loop` would fix the length

    def forward(self, inputs: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        outputs = self.model(Batch(inputs), state)
        assert outputs.state is not None
        return (outputs.scores, *outputs.state)


def onnx_model(run: Run) -> tuple[bytes, list[Check]]:
    """The model as ONNX, checked: onnxruntime's outputs are compared with torch's for several lengths and batch sizes.

    Inputs: `inputs` (T, B, ...), `h_0` and, for lstm, `c_0` (L·D, B, H); outputs: `scores`, `h_n`, `c_n`. T and B are
    dynamic; all sequences of a batch have the same length. A float64 run is converted to float32, the only dtype of
    onnxruntime's recurrent layers.
    """
    try:
        import_module("onnx")
        onnxruntime = import_module("onnxruntime")
    except ImportError as error:
        raise Missing(
            tr("ONNX needs the extra onnx: {name} is not installed", name=error.name),
            todo="pip install 'rnncli[onnx]'",
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
    content = _exported(plain, (_example(run, 5, 1, like), *initial_state(spec, 1, like)), states)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    exact = copy.deepcopy(plain).double()
    found: list[Found] = []
    for T, B in ((5, 1), (1, 1), (9, 3)):
        given = (
            _example(run, T, B, like),
            *(torch.randn_like(state) for state in initial_state(spec, B, like)),
        )
        with torch.no_grad():
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


def _exported(plain: nn.Module, given: tuple[Tensor, ...], states: list[str]) -> bytes:
    sequence = {0: "T", 1: "B"}
    axes: dict[str, Any] = {"inputs": sequence, "scores": sequence}
    axes |= {f"{state}_{end}": {1: "B"} for state in states for end in ("0", "n")}
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        file = Path(folder) / "model.onnx"
        # dynamo=False, torch's older exporter, writes RNN, GRU and LSTM as ONNX operators with dynamic T and B. The
        # newer exporter fixes T to that of `given` (torch 2.13; a test detects when that changes).
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                plain,
                given,
                file,
                dynamo=False,
                input_names=_names(states, "0"),
                output_names=_names(states, "n"),
                dynamic_axes=axes,
            )
        except (RuntimeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
            raise UsageError(
                tr("torch cannot export this model to ONNX: {why}", why=str(error).splitlines()[0]),
                where="--onnx",
                todo=tr("omit --onnx: weights and script are exported for every model"),
            ) from error
        return file.read_bytes()
