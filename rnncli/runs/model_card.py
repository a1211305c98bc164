"""MODEL_CARD.md of an exported run, in the Hugging Face Hub's format: YAML between two lines of ---, then Markdown.

Text from data (names of columns, labels, files, runs) is kept on one line, in a code span or with Markdown characters
escaped, so that it can neither end the YAML nor become a link, an image or HTML.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from rnncli.recipe.keys import keys
from rnncli.recipe.parse import flow_text
from rnncli.records import Json
from rnncli.render import symbols
from rnncli.runs.load_script import LoadScript, listed
from rnncli.runs.open import Run
from rnncli.runs.summary import model_line
from rnncli.version import __version__

# Our metric -> the Hub's name; metrics that the Hub does not know keep ours.
_HUB_METRICS = {"macro-f1": "f1", "mcc": "matthews_correlation"}
_KNOWN = ("accuracy", "f1", "matthews_correlation", "precision", "recall", "perplexity", "wer", "cer", "chrf", "mae",
          "mse", "mase", "smape")  # fmt: skip
_SIGNS = re.compile(r"[\\`*_{}\[\]<>#|&~$@]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def model_card(run: Run, script: LoadScript) -> str:
    """The card. script: load.py, next to it."""
    result, environment = run.result(), run.environment()
    head = yaml.safe_dump(_head(run, result), allow_unicode=True, sort_keys=False, width=math.inf)
    parts = [
        f"# {escaped(run.folder.name)}",
        _what(run),
        "## How to use it",
        _use(script),
        "## Results",
        _results(result),
        "## Training",
        _training(run, environment),
        "## Limits",
        _limits(result),
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(parts) + "\n"


def _head(run: Run, result: Mapping[str, Any]) -> dict[str, object]:
    """The fields that the Hub documents. license: `unknown` until the user chooses one. language, datasets and
    base_model are unknown here."""
    task = run.task.hub_task(run.config)
    metrics = {name: value for name, value in result.get("metrics", {}).items() if _is_number(value)}
    named = [_HUB_METRICS.get(name, name) for name in metrics]
    head: dict[str, object] = {
        "license": "unknown",
        "library_name": "pytorch",
        "tags": ["rnncli", "rnn", str(run.config.model_dump()["model"]["cell"]), run.config.task],
    }
    if task:
        head["pipeline_tag"] = task
    if known := [name for name in named if name in _KNOWN]:
        head["metrics"] = known
    if metrics:
        data = {"type": "other", "name": ", ".join(_data_names(run)) or "inline", "split": str(result["on"])}
        measured = [
            {"type": kind, "value": value, "name": name}
            for kind, (name, value) in zip(named, metrics.items(), strict=True)
        ]
        of_task = {"type": task or "other", "name": run.config.task}
        results = [{"task": of_task, "dataset": data, "metrics": measured}]
        head["model-index"] = [{"name": symbols.fit(run.folder.name), "results": results}]
    return head


def _what(run: Run) -> str:
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    rows = [
        ("task", code(run.config.task)),
        ("model", code(model_line(run.model))),
        ("parameters", f"{parameters:,}, {str(next(run.model.parameters()).dtype).removeprefix('torch.')}"),
    ]
    return "A recurrent network, trained with rnncli.\n\n" + _table(["", ""], rows)


def _use(script: LoadScript) -> str:
    if script.why_not:
        return (
            f"`python load.py` (needs {listed(script.needs)}) rebuilds the recurrent cores and lists them, for use in "
            f"your own code. It cannot predict: {escaped(script.why_not)}."
        )
    return (
        f"`python load.py --help` shows the options; it needs {listed(script.needs)}, but not rnncli. `load.py` "
        f"contains the model in plain PyTorch, and everything between an input and its prediction."
    )


def _results(result: Mapping[str, Any]) -> str:
    """The metrics, with those of the baselines and of the other cells trained."""
    if not result:
        return "Training has not ended, so nothing was evaluated."
    others = {**result["baselines"], **result["compared"]}
    names = list(result["metrics"])
    rows = [("this model", result["metrics"]), *((code(name), found) for name, found in others.items())]
    cells = [[name, *(_cell(found.get(metric)) for metric in names)] for name, found in rows]
    return f"Evaluated on the {escaped(str(result['on']))} split of the data.\n\n" + _table(["", *names], cells)


def _training(run: Run, environment: Mapping[str, Any]) -> str:
    sha = str(environment.get("data_sha256", ""))
    data = ", ".join(map(code, _data_names(run))) or "inline, in the recipe"
    device = escaped(str(environment.get("device", "")))
    versions = f"rnncli {environment.get('rnncli', __version__)}, torch {environment.get('torch', '')}"
    lines = [
        f"Data: {data}; SHA-256 {code(sha)}.",
        f"Trained with {escaped(versions)} on {device}, seed {run.config.train.seed}.",
        "The recipe, without the folders of its files:",
        fenced(_recipe(run), "yaml"),
    ]
    return "\n\n".join(lines)


def _limits(result: Mapping[str, Any]) -> str:
    told = [one["text"] for one in result.get("advice", [])]
    lines = [
        "It was trained only on the training split of the data above; on other data it may be worse.",
        "The results are from a single training run with one seed.",
        *(f"{text[:1].upper()}{text[1:]}." for text in map(str, told)),
    ]
    return "\n".join(f"- {escaped(line)}" for line in lines)


# ---------------------------------------------------------------------------------------------------- recipe and data


def _data_names(run: Run) -> list[str]:
    """The names of the training files, without their folders."""
    named = [value for key, value in _short_paths(run).items() if key.startswith("data.")]
    flat = [one for value in named for one in (value if isinstance(value, list) else [value])]
    return [symbols.fit(str(one)) for one in flat]


def _short_paths(run: Run) -> dict[str, Json]:
    """Dotted key -> the file's name, or names, for every key that is a path. Folders are private."""
    values, found = run.config.model_dump(mode="json"), dict[str, Json]()
    for key in (one.name for one in keys(type(run.config)) if one.is_path):
        section, _, name = key.partition(".")
        value = values[section].get(name)
        if value is not None:
            found[key] = [_base(one) for one in value] if isinstance(value, list) else _base(value)
    return found


def _base(path: str) -> str:
    return path if path.startswith("builtin:") else re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def _recipe(run: Run) -> str:
    values, paths = run.config.model_dump(mode="json", exclude_defaults=True), _short_paths(run)
    lines = [f"task: {run.config.task}"]
    for section in ("data", "model", "train"):
        lines.append(f"{section}:")
        for name, value in values.get(section, {}).items():
            lines.append(f"  {name}: {flow_text(paths.get(f'{section}.{name}', value))}")
    return "\n".join(map(symbols.fit, lines))


# ---------------------------------------------------------------------------------------------------------- Markdown


def escaped(text: str) -> str:
    """Untrusted text as running Markdown: on one line, special characters escaped."""
    return _SIGNS.sub(lambda found: "\\" + found[0], symbols.fit(text))


def code(text: str) -> str:
    """Untrusted text as a code span, in a table too."""
    line = symbols.fit(text).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    edge = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{edge}{line or ' '}{edge}{fence}"


def fenced(text: str, language: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else str(value or "")  # "inf"
