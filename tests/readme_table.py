"""The documentation's tables of recipes, of options and of state tracking, made from the evidence files by
`python -m tests.readme_table`."""

import json
import re
import statistics
from pathlib import Path
from typing import Any

from rnncli.tasks import load_recipe
from tests import options_table

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- recipes: .*? -->\n).*?(<!-- end of recipes -->)", re.S)
OPTIONS = re.compile(r"(<!-- options: .*? -->\n).*?(<!-- end of options -->)", re.S)
TRACKING = re.compile(r"(<!-- state tracking: .*? -->\n).*?(<!-- end of state tracking -->)", re.S)
PAGES = [ROOT / "docs" / "explanation" / name for name in ("results.md", "state-tracking.md")]
LENGTHS = ("T=40", "T=400")  # the longest of training, and ten times that
HEAD = "| recipe | metric | this network | best baseline or other cell | CPU time |\n|---|---|---|---|---|\n"


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "tests" / "evidence" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def measured() -> list[tuple[str, dict[str, Any]]]:
    """(the evidence file's name, a recipe's figures over seeds), in the order of the files' names."""
    files = sorted((ROOT / "tests" / "evidence").glob("*.json"))
    documents = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}
    return [
        (name, entry)
        for name, document in documents.items()
        for entry in document.get("recipes", [])
        if "summary" in entry and not any(text.startswith("data.problem=") for text in entry["sets"])
    ]


def label(file: str, entry: dict[str, Any]) -> str:
    """The recipe; the file where it is named otherwise; what tells apart two entries of one recipe in one file."""
    twins = [other for name, other in measured() if name == file and other["recipe"] == entry["recipe"]]
    own = [text for text in entry["sets"] if not all(text in twin["sets"] for twin in twins)]
    words = [] if file in (entry["recipe"], "language-models") else [file]
    return f"`{entry['recipe']}`" + (f" ({', '.join([*words, *own[:1]])})" if words or own else "")


def row(file: str, entry: dict[str, Any]) -> str:
    """recipe | metric | this network, mean ± sd | the best of cells and baselines beside it | CPU seconds a run."""
    metric, better = next(iter(load_recipe(entry["recipe"], []).task.METRICS.items()))
    (cell, own), *others = entry["summary"].items()
    means = [(name, figures[metric]["mean"]) for name, figures in others if metric in figures]
    best = (min if better == "lower" else max)(means, key=lambda other: other[1]) if means else None
    seconds = statistics.median(run["cpu_seconds"] for run in entry["runs"])
    beside = f"{best[0]} {best[1]:.4g}" if best else ""
    return (
        f"| {label(file, entry)} | {metric}{' (test part)' if 'on' in entry else ''} | "
        f"{cell} {own[metric]['mean']:.4g} ± {own[metric]['sd']:.2g} | {beside} | {seconds:.0f} s |"
    )


def table() -> str:
    return HEAD + "".join(row(file, entry) + "\n" for file, entry in measured())


def state_tracking() -> str:
    """Cell by problem: the share of rows right at 40 and at 400 steps, the mean over seeds."""
    entries = document("state-tracking")["recipes"]
    problems = [entry["problem"] for entry in entries]
    cells = dict.fromkeys(cell for entry in entries for cell in entry["summary"])
    lines = [f"| | {' | '.join(problems)} |\n|---|{'---|' * len(problems)}\n"]
    for cell in cells:
        rows = [entry["summary"].get(cell) for entry in entries]
        shares = [" / ".join(f"{row[length]['mean']:.2f}" for length in LENGTHS) if row else "" for row in rows]
        lines.append(f"| {cell} | {' | '.join(shares)} |\n")
    return "".join(lines)


def with_table(text: str) -> str:
    text = TRACKING.sub(lambda found: found[1] + state_tracking() + found[2], text)
    text = OPTIONS.sub(lambda found: found[1] + options_table.table() + found[2], text)
    return BLOCK.sub(lambda found: found[1] + table() + found[2], text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")
