"""load.py of an exported run: a script that answers as `predict` does, or shows the weights, without rnncli.

Whatever a run says of itself stands in the script as a literal (`repr`), so that no name in it can become code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from rnncli.cells import CoreSpec, core_call, core_source
from rnncli.nn.crf import Crf
from rnncli.nn.frontends import OneHot, TokenEmbedding
from rnncli.nn.heads import NoHead, PerStep, Tied
from rnncli.nn.model import SequenceModel
from rnncli.runs.open import Run
from rnncli.standalone import copied
from rnncli.tasks import Script
from rnncli.training.job import cores_of


def load_script(run: Run) -> tuple[str, bool]:
    """(the script, whether it answers inputs by the whole model). Else it runs the recurrent cores, or, where a step
    cannot do without rnncli, lists the weights. A cell that torch has no module for stands in it as a module."""
    cores = {path: spec.in_evaluation for path, spec in cores_of(run.model).items()}
    try:
        for spec in cores.values():
            _own_source(spec)
    except ValueError:
        return _weights_script(run, cores), False
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
    if spec.torch_class is None:
        return core_call(spec)
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


def _own_source(spec: CoreSpec) -> tuple[set[str], str]:
    """(imports, source) of the module of a cell that torch has none for."""
    return core_source(spec) if spec.torch_class is None else (set(), "")


def _head(run: Run, imports: Iterable[str], usage: str, about: str, source: str = "") -> str:
    """source: of what stands between the imports and the rest."""
    title = repr(f"{about} of {run.recipe.config.task} {run.folder.name}")
    lines = sorted({"from pathlib import Path", *imports}, key=lambda line: (line.startswith("from"), line))
    standard = "\n".join(lines)
    return (
        f'"""A run exported by rnncli, which this script does not need: python load.py{usage}"""\n\n'
        + "from __future__ import annotations\n\n"
        + f"{standard}\n\nimport torch\nfrom safetensors.torch import load_file\n\n"
        + (f"{source.strip()}\n\n\n" if source else "")
        + f'ABOUT = {title}\nweights = load_file(Path(__file__).parent / "model.safetensors")\n'
    )


def _whole_script(run: Run, script: Script) -> str:
    """Front end, core and head rebuilt, and the task's own way from a text to an answer."""
    model = run.model
    assert isinstance(model, SequenceModel)
    spec = next(iter(cores_of(model).values())).in_evaluation
    own_imports, own = _own_source(spec)
    parts = {"rnn": module_call(spec)}
    x = "torch.nn.functional.one_hot(ids, SIZE).to(next(net.parameters()))"
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
        _head(run, {"import sys", "import json", *imports, *own_imports}, " TEXT", "The model", own)
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


def _cores_script(run: Run, cores: Mapping[str, CoreSpec]) -> str:
    """A script that rebuilds the recurrent cores and runs each over random numbers."""
    sources = [_own_source(spec) for spec in cores.values()]
    imports, own = {line for lines, _ in sources for line in lines}, "".join(dict.fromkeys(text for _, text in sources))
    made = "\n".join(f"    {path!r}: {module_call(spec)}," for path, spec in cores.items())
    dtype = next(run.model.parameters()).dtype
    return (
        _head(run, imports, "", "The recurrent cores", own)
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
    """A script that lists the weights by name, for cells that torch has no module for, and no script the step."""
    cells = repr(", ".join(f"{path}: {spec}" for path, spec in foreign.items()))
    return (
        _head(run, (), "", "The weights").replace("import torch\n", "")
        + f"""LACKS = {cells}  # torch has no module for these
for name, tensor in weights.items():
    print(name, tuple(tensor.shape), tensor.dtype)
"""
    )
