"""The README's table of recipes, made from the evidence files by `python tests/readme_table.py`."""

import json
import re
import statistics
from pathlib import Path
from typing import Any

from rnncli.tasks import load_recipe

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- recipes: .*? -->\n).*?(<!-- end of recipes -->)", re.S)


def measured() -> list[dict[str, Any]]:
    """Every recipe's figures over seeds, in the order of the files' names and of the recipes in them."""
    files = sorted((ROOT / "tests" / "evidence").glob("*.json"))
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    return [entry for document in documents for entry in document.get("recipes", [])]


def row(entry: dict[str, Any]) -> str:
    """recipe | what is measured | this network | the best of the others | CPU seconds."""
    recipe = load_recipe(entry["recipe"], [])
    metric, better = next(iter(recipe.task.METRICS.items()))
    (cell, own), *others = entry["summary"].items()
    others = [(name, figures[metric]["mean"]) for name, figures in others if metric in figures]
    best = (min if better == "lower" else max)(others, key=lambda other: other[1]) if others else ("", None)
    command = " ".join(["rnncli train", entry["recipe"], *(f"--set {text}" for text in entry["sets"])])
    on = f", {entry['on']} part" if "on" in entry else ""
    seconds = statistics.median(run["cpu_seconds"] for run in entry["runs"])
    other = f"{best[0]} {best[1]:.4g}" if best[1] is not None else ""
    own_text = f"{cell} {own[metric]['mean']:.4g} ± {own[metric]['sd']:.2g}"
    return f"| `{command}` | {metric}{on} | {own_text} | {other} | {seconds:.0f} s |"


def table() -> str:
    head = "| recipe | measured | result, 5 seeds: mean ± sd | best of the others | CPU time |\n|---|---|---|---|---|\n"
    return head + "\n".join(row(entry) for entry in measured()) + "\n"


def with_table(text: str) -> str:
    return BLOCK.sub(lambda found: found[1] + table() + found[2], text)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")
