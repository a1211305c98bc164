"""A run for others: its weights by torch's own names, a short script that loads them without rnncli, and ONNX."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from rnncli.cells import CoreSpec
from rnncli.data.batch import Batch
from rnncli.data.vocab import UNK
from rnncli.errors import CheckFailed, Missing, UsageError
from rnncli.files import atomic_write
from rnncli.locale import tr
from rnncli.nn.frontends import OneHot, TokenEmbedding
from rnncli.nn.heads import NoHead, PerStep
from rnncli.nn.model import SequenceModel
from rnncli.records import Check
from rnncli.replay import initial_state
from rnncli.replay.rounding import Found, function_rounding, most_apart, ratio, unit
from rnncli.runs.folder import make_folder
from rnncli.runs.open import Run
from rnncli.training.job import cores_of


@dataclass(frozen=True)
class Exported:
    """files: what was written. whole: whether the script runs the whole model, or its recurrent cores alone."""

    folder: Path
    files: Sequence[str]
    whole: bool
    checks: Sequence[Check] = ()


def export(run: Run, out: str, *, onnx: bool = False) -> Exported:
    """Write a run into an empty or new folder. onnx: model.onnx too, held against onnxruntime before it is kept.

    Of a cell that torch lacks the script shows the weights by name. Raises UsageError (a folder that is not empty, a
    model that ONNX cannot hold), Missing (the extra `onnx`), CheckFailed (onnxruntime gives other scores).
    """
    cores = cores_of(run.model)
    foreign = {path: spec for path, spec in cores.items() if spec.torch_class is None}
    for path, spec in foreign.items() if onnx else ():
        raise UsageError(
            tr("torch has no module for the cell of {path}: {spec}", path=path, spec=spec),
            where="--onnx",
            todo=tr("leave --onnx away: the weights and the script hold every model"),
        )
    content, checks = (None, []) if not onnx else onnx_model(run)
    folder = make_folder(out)
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in run.model.state_dict().items()}
    whole = not foreign and _is_whole(run.model, run)
    script = whole_script(run) if whole else weights_script(run, foreign) if foreign else cores_script(run, cores)
    files: dict[str, bytes | str] = {
        "model.safetensors": save(tensors, metadata={"format": "pt"}),
        "vocab.json": json.dumps(run.fitted.to_json(), ensure_ascii=False),
        "load.py": script,
    }
    if content is not None:
        files["model.onnx"] = content
    for name, data in files.items():
        atomic_write(folder / name, data)
    return Exported(folder, list(files), whole, checks)


def _is_whole(model: nn.Module, run: Run) -> bool:
    return (
        isinstance(model, SequenceModel)
        and isinstance(model.front, (OneHot, TokenEmbedding))
        and isinstance(model.head, (PerStep, NoHead))
        and run.task.label_names(run.config, run.fitted).inputs is not None
    )


def module_call(spec: CoreSpec) -> str:
    """The expression that makes this core with torch alone: `torch.nn.LSTM(32, 128)`."""
    assert spec.torch_class is not None
    arguments = [str(spec.input_size), str(spec.hidden_size)]
    if spec.num_layers > 1:
        arguments.append(f"num_layers={spec.num_layers}")
    if spec.nonlinearity != "tanh":
        arguments.append(f"nonlinearity={spec.nonlinearity!r}")
    if not spec.bias:
        arguments.append("bias=False")
    if spec.bidirectional:
        arguments.append("bidirectional=True")
    if spec.proj_size:
        arguments.append(f"proj_size={spec.proj_size}")
    return f"torch.nn.{spec.torch_class.__name__}({', '.join(arguments)})"


_HEAD = '''"""{title}, without rnncli: python load.py{argument}"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

here = Path(__file__).parent
'''


def whole_script(run: Run) -> str:
    """A script that rebuilds front end, core and head and answers a text."""
    model = run.model
    assert isinstance(model, SequenceModel)
    (spec,) = cores_of(model).values()
    names = run.task.label_names(run.config, run.fitted)
    assert names.inputs is not None
    parts = {"rnn": module_call(spec)}
    x = 'torch.nn.functional.one_hot(ids, len(tokens)).to(weights["rnn.weight_ih_l0"])'
    if isinstance(model.front, TokenEmbedding):
        parts = {"front": f"torch.nn.Embedding({model.front.num_embeddings}, {model.front.embedding_dim})", **parts}
        x = 'net["front"](ids)'
    if isinstance(model.head, PerStep):
        parts["head"] = f"torch.nn.Linear({model.head.in_features}, {model.head.out_features})"
    made = ", ".join(f'"{name}": {call}' for name, call in parts.items())
    scores = 'net["head"](output)' if "head" in parts else "output"
    dtype = "" if next(model.parameters()).dtype == torch.float32 else f".to({next(model.parameters()).dtype})"
    vocab = run.fitted.to_json()
    words = vocab.get("kind") == "words"
    known = [token for token in names.inputs if not token.startswith("<") and not token.isspace()][:5]
    sample = (" " if words else "").join(known)
    unknown = f'number.get(token, number["{UNK}"])' if UNK in names.inputs else "number[token]"
    answers = "labels" if "labels" in vocab else "tokens"
    return (
        _HEAD.format(title=f"{run.recipe.config.task} {run.folder.name}", argument=" TEXT")
        + f'''tokens = json.loads((here / "vocab.json").read_text("utf-8"))["tokens"]["tokens"]
answers = json.loads((here / "vocab.json").read_text("utf-8"))["{answers}"]["tokens"]
weights = load_file(here / "model.safetensors")
net = torch.nn.ModuleDict({{{made}}}){dtype}.eval()
net.load_state_dict(weights)

text = sys.argv[1] if len(sys.argv) > 1 else {sample!r}
number = {{token: i for i, token in enumerate(tokens)}}
ids = torch.tensor([[{unknown}] for token in {"text.split()" if words else "text"}])  # (T, B=1)
output, state = net["rnn"]({x})  # (T, B, D*H)
scores = {scores}  # (T, B, C)
predicted = {'" "' if words else '""'}.join(answers[i] for i in scores[:, 0].argmax(1))  # at every step
print(f"input {{text!r}} -> predicted {{predicted!r}}")
'''
    )


def cores_script(run: Run, cores: dict[str, CoreSpec]) -> str:
    """A script that rebuilds the recurrent cores and runs each over random numbers."""
    made = "\n".join(f'    "{path}": {module_call(spec)},' for path, spec in cores.items())
    dtype = next(run.model.parameters()).dtype
    return (
        _HEAD.format(title=f"The recurrent cores of {run.recipe.config.task} {run.folder.name}", argument="").replace(
            "import json\nimport sys\n", ""
        )
        + f"""weights = load_file(here / "model.safetensors")
cores = {{
{made}
}}
for name, core in cores.items():
    core.to({dtype}).eval()
    own = {{key.removeprefix(f"{{name}}."): w for key, w in weights.items() if key.startswith(f"{{name}}.")}}
    core.load_state_dict(own)
    x = torch.randn(5, 1, core.input_size, dtype={dtype})  # (T, B, I)
    output, state = core(x)
    print(name, tuple(output.shape))
"""
    )


def weights_script(run: Run, foreign: dict[str, CoreSpec]) -> str:
    """A script that lists the weights by name, for cells that torch has no module for."""
    cells = ", ".join(f"{path}: {spec}" for path, spec in foreign.items())
    title = f"The weights of {run.recipe.config.task} {run.folder.name}"
    head = _HEAD.format(title=title, argument="").replace("import json\nimport sys\n", "").replace("import torch\n", "")
    return (
        head
        + f"""# torch has no module for {cells}
weights = load_file(here / "model.safetensors")
for name, tensor in weights.items():
    print(name, tuple(tensor.shape), tensor.dtype)
"""
    )


# ---------------------------------------------------------------------------------------------------------------- ONNX


class _Plain(nn.Module):
    """The model as ONNX has it: tensors in, tensors out. Rows are equally long, and states are given."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = copy.copy(model)
        self.model.engine = "torch"  # one operator for all steps; the loop of `loop` would be of one length for good

    def forward(self, inputs: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        outputs = self.model(Batch(inputs), state)
        assert outputs.state is not None
        return (outputs.scores, *outputs.state)


def onnx_model(run: Run) -> tuple[bytes, list[Check]]:
    """The model as ONNX, and how far onnxruntime's outputs are from torch's for several lengths and batch sizes.

    Inputs: `inputs` (T, B, ...), `h_0` and, for lstm, `c_0` (L·D, B, H); outputs: `scores`, `h_n`, `c_n`. T and B are
    free; rows of a batch are equally long.
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
            tr("ONNX holds models of a front end, one core and a head; this one is {kind}", kind=type(model).__name__),
            where="--onnx",
            todo=tr("leave --onnx away: the weights and the script hold every model"),
        )
    plain, (spec,) = _Plain(model).eval(), cores_of(model).values()
    states = list(spec.states)
    example = _example(run, 5, 1)
    content = _exported(plain, (example, *initial_state(spec, 1, next(model.parameters()))), states)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    exact = copy.deepcopy(plain).double()
    found: list[Found] = []
    for T, B in ((5, 1), (1, 1), (9, 3)):
        given = (
            _example(run, T, B),
            *(torch.randn_like(state) for state in initial_state(spec, B, next(model.parameters()))),
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


def _example(run: Run, T: int, B: int) -> Tensor:
    """Inputs as the model takes them, (T, B, ...): token numbers, or numbers shaped as the run's own data."""
    generator = torch.Generator().manual_seed(T)
    tokens = run.task.label_names(run.config, run.fitted).inputs
    if tokens is not None:
        return torch.randint(len(tokens), (T, B), generator=generator)
    splits = run.task.read(run.config)
    batch = next(iter(run.task.batches(run.config, splits.part(splits.held_out), None)))
    return torch.randn(T, B, *batch.inputs.shape[2:], generator=generator).to(next(run.model.parameters()).dtype)


def _exported(plain: nn.Module, given: tuple[Tensor, ...], states: list[str]) -> bytes:
    sequence = {0: "T", 1: "B"}
    axes: dict[str, Any] = {"inputs": sequence, "scores": sequence}
    axes |= {f"{state}_{end}": {1: "B"} for state in states for end in ("0", "n")}
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        file = Path(folder) / "model.onnx"
        # The exporter in use is torch's older one: it writes RNN, GRU and LSTM as ONNX's own operators, any T and B.
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
                tr("torch cannot write this model as ONNX: {why}", why=str(error).splitlines()[0]),
                where="--onnx",
                todo=tr("leave --onnx away: the weights and the script hold every model"),
            ) from error
        return file.read_bytes()
