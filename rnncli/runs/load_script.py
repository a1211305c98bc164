"""load.py of an exported run: a script that answers as `predict` does, or shows the weights, without rnncli.

Whatever a run says of itself stands in the script as a literal (`repr`), so that no name in it can become code.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from rnncli.cells import CoreSpec
from rnncli.nn.crf import Crf
from rnncli.nn.frontends import OneHot, TokenEmbedding
from rnncli.nn.heads import NoHead, PerStep, Tied
from rnncli.nn.model import SequenceModel
from rnncli.runs.open import Run
from rnncli.tasks import Script
from rnncli.training.job import cores_of


def load_script(run: Run) -> tuple[str, bool]:
    """(the script, whether it answers inputs by the whole model). Else it runs the recurrent cores, or, where torch
    has no module for one, lists the weights."""
    cores = cores_of(run.model)
    foreign = {path: spec for path, spec in cores.items() if spec.torch_class is None}
    if foreign:
        return _weights_script(run, foreign), False
    script = run.task.script(run.config, run.fitted) if _is_plain(run.model) else None
    return (_cores_script(run, cores), False) if script is None else (_whole_script(run, script), True)


def _is_plain(model: nn.Module) -> bool:
    return (
        isinstance(model, SequenceModel)
        and isinstance(model.front, (OneHot, TokenEmbedding))
        and isinstance(model.head, (PerStep, Tied, NoHead))
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


def _head(run: Run, imports: Iterable[str], usage: str, about: str) -> str:
    title = repr(f"{about} of {run.recipe.config.task} {run.folder.name}")
    lines = sorted({"from pathlib import Path", *imports}, key=lambda line: (line.startswith("from"), line))
    standard = "\n".join(lines)
    return (
        f'"""A run exported by rnncli, which this script does not need: python load.py{usage}"""\n\n'
        + f"{standard}\n\nimport torch\nfrom safetensors.torch import load_file\n\n"
        + f'ABOUT = {title}\nweights = load_file(Path(__file__).parent / "model.safetensors")\n'
    )


def _whole_script(run: Run, script: Script) -> str:
    """Front end, core and head rebuilt, and the task's own way from a text to an answer."""
    model = run.model
    assert isinstance(model, SequenceModel)
    (spec,) = cores_of(model).values()
    parts = {"rnn": module_call(spec)}
    x = 'torch.nn.functional.one_hot(ids, SIZE).to(weights["rnn.weight_ih_l0"])'
    if isinstance(model.front, TokenEmbedding):
        parts = {"front": f"torch.nn.Embedding({model.front.num_embeddings}, {model.front.embedding_dim})", **parts}
        x = 'net["front"](ids)'
    elif isinstance(model.front, OneHot):
        x = x.replace("SIZE", str(model.front.num_tokens))
    if isinstance(model.head, PerStep | Tied):
        parts["head"] = f"torch.nn.Linear({model.head.in_features}, {model.head.out_features})"
    made = ", ".join(f'"{name}": {call}' for name, call in parts.items())
    scores = 'net["head"](output)' if "head" in parts else "output"
    dtype = "" if next(model.parameters()).dtype == torch.float32 else f".to({next(model.parameters()).dtype})"
    imports, functions = copied(script.module, script.functions)
    known = "weights"
    if isinstance(model.head, Crf):
        known = "{name: weights[name] for name in net.state_dict()}"
    elif isinstance(model.head, Tied):  # the table scores the tokens, too
        known = '{**weights, "head.weight": weights["front.weight"]}'
    values = "".join(f"{name} = {value!r}\n" for name, value in script.values.items())
    return (
        _head(run, {"import sys", "import json", *imports}, " TEXT", "The model")
        + f'''net = torch.nn.ModuleDict({{{made}}}){dtype}.eval()
net.load_state_dict({known})
vocab = json.loads((Path(__file__).parent / "vocab.json").read_text("utf-8"))
{values}
{functions}

def numbers(steps):
    """The number of each token; of one that training did not know, that of <unk>, where there is one."""
    number = {{token: i for i, token in enumerate(tokens)}}
    for token in steps:
        if token not in number and "<unk>" not in number:
            raise SystemExit(f"error: {{token!r}} is not among the {{len(tokens)}} known tokens")
    return [number.get(token, number.get("<unk>")) for token in steps]


@torch.no_grad()
def run(row, state=None):
    """Token numbers, and the state before -> scores (T, B=1, C), and the state after."""
    ids = torch.tensor(row).unsqueeze(1)  # (T, B)
    output, state = net["rnn"]({x}, state)  # (T, B, D*H)
    return {scores}, state


tokens = {script.tokens}
text = sys.argv[1] if len(sys.argv) > 1 else {script.sample!r}
{script.body}
print(f"input {{text!r}} -> predicted {{predicted!r}}")
'''
    )


def copied(module: str, names: Iterable[str]) -> tuple[set[str], str]:
    """(imports, source) of functions of a module and whatever of that module they use, as they stand there.

    Raises ValueError: they use something that is not of Python's own library.
    """
    if not module:
        return set(), ""
    file = import_module(module).__file__
    assert file is not None
    text = Path(file).read_text("utf-8")
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
            waiting += [found.id for found in ast.walk(defined.get(name, ast.Pass())) if isinstance(found, ast.Name)]
    imports = set()
    for name in sorted(used & imported.keys()):
        node = imported[name]
        origin = node.module if isinstance(node, ast.ImportFrom) else name
        if (origin or "").partition(".")[0] not in sys.stdlib_module_names:
            raise ValueError(f"{module}: {name} is from {origin}, which a script without rnncli does not have")
        imports.add(f"from {origin} import {name}" if isinstance(node, ast.ImportFrom) else f"import {name}")
    kept = {id(node): node for name, node in defined.items() if name in used}
    pieces = [_segment(text, node) for node in sorted(kept.values(), key=lambda node: node.lineno)]
    return imports, "\n\n" + "\n\n\n".join(pieces) + "\n"


def _names_of(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def _segment(text: str, node: ast.stmt) -> str:
    decorated = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
    first = min([node.lineno, *(one.lineno for one in decorated)])
    return "\n".join(text.split("\n")[first - 1 : node.end_lineno])


def _cores_script(run: Run, cores: Mapping[str, CoreSpec]) -> str:
    """A script that rebuilds the recurrent cores and runs each over random numbers."""
    made = "\n".join(f"    {path!r}: {module_call(spec)}," for path, spec in cores.items())
    dtype = next(run.model.parameters()).dtype
    return (
        _head(run, (), "", "The recurrent cores")
        + f"""cores = {{
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


def _weights_script(run: Run, foreign: Mapping[str, CoreSpec]) -> str:
    """A script that lists the weights by name, for cells that torch has no module for."""
    cells = repr(", ".join(f"{path}: {spec}" for path, spec in foreign.items()))
    return (
        _head(run, (), "", "The weights").replace("import torch\n", "")
        + f"""LACKS = {cells}  # torch has no module for these
for name, tensor in weights.items():
    print(name, tuple(tensor.shape), tensor.dtype)
"""
    )
