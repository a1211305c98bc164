"""load.py of an exported run: a script that predicts like `predict`, without rnncli.

Rendered from the templates in rnncli/tasks/scripts. Every value is written as a Python literal, so that no name of a
run, a token or a column can become code; only Code is inserted verbatim.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from torch import nn

from rnncli.cells import CoreSpec, core_call, core_source, cores_of
from rnncli.errors import RnncliError
from rnncli.locale import tr
from rnncli.nn.forecast import SMALLEST_RATIO, SMALLEST_SPREAD
from rnncli.nn.model import SequenceModel
from rnncli.nn.ngrams import FACTOR, PRIME, SCALE
from rnncli.runs.open import Run
from rnncli.standalone import Code
from rnncli.tasks import SCRIPTS, Script

_IMPORTS = {  # a name that a script uses -> the line that imports it
    **{name: f"import {name}" for name in ("argparse", "csv", "io", "json", "math", "re", "sys", "unicodedata")},
    **{name: f"import {name}" for name in ("duckdb", "soundfile", "torch")},
    "np": "import numpy as np",
    "F": "from torch.nn import functional as F",
    "nn": "from torch import nn",
    "Path": "from pathlib import Path",
    "bisect": "from bisect import bisect",
    "chain": "from itertools import chain",
    "groupby": "from itertools import groupby",
    "islice": "from itertools import islice",
    "datetime": "from datetime import datetime",
    "timedelta": "from datetime import timedelta",
    "load_file": "from safetensors.torch import load_file",
}
_HERE = "# imports"
DEFAULTS = {"carries"}  # values that a task may give anew


class _Unsupported(Exception):
    """The templates do not support a part of the model, or a step of a cell needs rnncli."""


@dataclass(frozen=True)
class LoadScript:
    """text: of load.py. why_not: why it only loads the weights and cannot predict; "" if it can. needs: packages."""

    text: str
    why_not: str = ""
    needs: Sequence[str] = ("torch", "safetensors")


def load_script(run: Run) -> LoadScript:
    """The script of a run. For a task without a template it rebuilds the recurrent cores; if a step of a cell needs
    rnncli, it only lists the weights. A cell without a torch module is written out as a module."""
    specs = {path: spec.in_evaluation for path, spec in cores_of(run.model).items()}
    try:
        own = [core_source(spec) for spec in specs.values() if spec.torch_class is None]
    except ValueError:
        foreign = ", ".join(f"{path}: {spec}" for path, spec in specs.items())
        return LoadScript(
            _rendered(run, Script("cores.jinja", {"foreign": foreign}), {}, []), tr("its cell needs rnncli")
        )
    try:
        script = run.task.script(run.config, run.fitted)
        if script is not None:
            return LoadScript(_rendered(run, script, specs, own), needs=["torch", "safetensors", *script.needs])
        why = tr("task {name} has no prediction script", name=run.config.task)
    except RnncliError as error:
        why = str(error).splitlines()[0]
    except _Unsupported as error:
        why = tr("{part} cannot be written as a script", part=error)
    return LoadScript(_rendered(run, Script("cores.jinja", {}), specs, own), why)


def module_call(spec: CoreSpec) -> str:
    """The expression that creates this core with torch alone: `nn.LSTM(32, 128)`."""
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
    return f"nn.{spec.torch_class.__name__}({', '.join(arguments)})"


def _rendered(run: Run, script: Script, specs: Mapping[str, CoreSpec], own: Sequence[tuple[set[str], str]]) -> str:
    """The template, filled in. own: (imports, source) of each core that torch has no module for."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    template = Path(script.template)
    jinja = Environment(
        loader=FileSystemLoader([str(template.parent), str(SCRIPTS)] if template.is_absolute() else str(SCRIPTS)),
        finalize=lambda value: value if isinstance(value, Code) else repr(value),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters["code"] = Code
    cells = "".join(dict.fromkeys(text for _, text in own)).strip()
    values = {
        **_of_model(run.model, specs),
        "about": f"The model of {run.config.task} {run.folder.name}",
        "needs": Code(listed(["torch", "safetensors", *script.needs])),
        "imports": Code(_HERE),
        "cells": Code(f"\n\n{cells}\n" if cells else ""),
    }
    if taken := sorted(values.keys() & script.values.keys() - DEFAULTS):
        raise ValueError(f"{script.template}: {listed(taken)} of the task would hide the model's")
    text = jinja.get_template(template.name).render({**values, **script.values})
    return text.replace(
        _HERE, _imports(text, {line for lines in (script.imports, *(lines for lines, _ in own)) for line in lines}), 1
    )


def _of_model(model: nn.Module, specs: Mapping[str, CoreSpec]) -> dict[str, Any]:
    """The model, as the templates read it."""

    def unsupported(part: str) -> NoReturn:
        raise _Unsupported(part)

    dtype = next(model.parameters()).dtype
    return {
        "net": model,
        "kind": lambda module: type(module).__name__,
        "core": lambda path: Code(module_call(specs[path])),
        "spec": specs.__getitem__,
        "several": lambda path: len(specs[path].states) > 1,
        "cores": list(specs),
        "dtype": Code(dtype),
        "wide": Code(".float()" if dtype.itemsize < 4 else ""),
        "ngrams": model.ngrams if isinstance(model, SequenceModel) else None,
        "ngram_factor": FACTOR,
        "ngram_prime": PRIME,
        "ngram_scale": SCALE,
        "smallest_ratio": SMALLEST_RATIO,
        "smallest_spread": SMALLEST_SPREAD,
        "carries": False,
        "unsupported": unsupported,
    }


def listed(names: Sequence[str]) -> str:
    """`torch, safetensors and soundfile`."""
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _imports(text: str, more: set[str]) -> str:
    """The import lines of a script, the standard library's first."""
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    lines = {_IMPORTS[name] for name in used & _IMPORTS.keys()} | more
    names: dict[str, list[str]] = {}  # "from itertools import" -> chain, islice
    for line in sorted(lines):
        start, _, name = line.rpartition(" import ")
        names.setdefault(f"{start} import" if start else line, []).append(name if start else "")
    joined = [" ".join([start, ", ".join(of)]).rstrip() for start, of in names.items()]
    standard = [line for line in joined if line.split()[1].partition(".")[0] in sys.stdlib_module_names]
    others = [line for line in joined if line not in standard]
    return "\n\n".join("\n".join(sorted(part, key=lambda line: line.startswith("from"))) for part in (standard, others))
