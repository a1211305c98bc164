"""The `Result` paragraph of every recipe, made by `python tests/recipe_results.py` from recipe_results.yaml and the
evidence files.

A figure is written as {row[metric]:format}: the mean over seeds 0 to 4, followed by the lowest and highest where they
differ. A row of a second file: {file/row[metric]}. Counts: {test part[rows]}; settings: {config.train.epochs}.
"""

import json
import re
import statistics
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rnncli.tasks import load_recipe

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
SEEDS = [0, 1, 2, 3, 4]
BLOCK = re.compile(r"^# Result.*\n(?:# (?!Then:|Your own:).*\n)*", re.M)
MEASURED = re.compile(r"\d+\.\d+|\d+ ?%|\d+ (?:s|seconds|minutes)\b")
DERIVED = {"memory-adding": ("0.167",)}  # not measured: the variance of a sum of two uniform numbers
HEAD = "Result, mean of seeds 0 to 4 (lowest to highest): "

RESULTS: dict[str, str] = yaml.safe_load((ROOT / "tests" / "recipe_results.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Figure:
    """One metric over the seeds."""

    values: list[float]

    @property
    def mean(self) -> float:
        return statistics.mean(self.values)

    def __format__(self, spec: str) -> str:
        mean, low, high = (format(value, spec) for value in (self.mean, min(self.values), max(self.values)))
        return mean if low == high else f"{mean} ({low} to {high})"


def entries() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(the evidence file's name, a recipe's entry in it); of two entries of a recipe in one file, the plain one."""
    for path in sorted((ROOT / "tests" / "evidence").glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        seen = set[str]()
        for entry in document.get("recipes", []):
            if "runs" in entry and "figures" not in entry and entry["recipe"] not in seen:
                seen.add(entry["recipe"])
                yield path.stem, entry


def evidence(recipe: str) -> dict[str, Any]:
    """Row -> metric -> Figure, of every file that has seeds of this recipe; its own file's rows have no prefix."""
    found: dict[str, Any] = {"config": load_recipe(recipe).config}
    for file, entry in entries():
        if entry["recipe"] != recipe:
            continue
        assert [run["seed"] for run in entry["runs"]] == SEEDS, f"{file}.json: not the seeds {SEEDS}"
        prefix = f"{file}/" if file.startswith(f"{recipe}-") else ""
        rows = [run.get("rows") or {"run": run} for run in entry["runs"]]
        for row in rows[0]:
            metrics = [name for name, value in rows[0][row].items() if isinstance(value, int | float)]
            found[prefix + row] = {name: Figure([seed[row][name] for seed in rows]) for name in metrics}
        counts = entry["runs"][0].get("counts", {})
        found |= {f"{prefix}{part} part": numbers for part, numbers in counts.items()}
        found[f"{prefix}all parts"] = sum((Counter(numbers) for numbers in counts.values()), Counter[str]())
    return found


def block(recipe: str) -> str:
    """The paragraph as it stands in the recipe's header. Raises KeyError: a figure without evidence."""
    text = HEAD + RESULTS[recipe].format_map(evidence(recipe))
    return "".join(f"# {line}\n" for line in textwrap.wrap(text, 78, break_on_hyphens=False))


def with_results(recipe: str, text: str) -> str:
    return BLOCK.sub(lambda _: block(recipe), text)


def problems(recipe: str, text: str) -> list[str]:
    """What is wrong with a recipe's claims: a result that evidence does not give, or figures beside it."""
    header = "".join(re.findall(r"^#.*\n", text.split("\ntask:")[0], re.M))
    rest = re.sub(r'"[^"]*"', "", BLOCK.sub("", header))  # without what is typed
    found = [figure for figure in MEASURED.findall(rest) if figure not in DERIVED.get(recipe, ())]
    said = [f"a figure outside the result: {figure}" for figure in found]
    blocks = BLOCK.findall(header)
    if recipe not in RESULTS:
        return [*said, "a result without evidence"] if blocks else said
    return said if blocks == [block(recipe)] else [*said, "not what the evidence says: python tests/recipe_results.py"]


if __name__ == "__main__":
    for path in RECIPES:
        path.write_text(with_results(path.stem, path.read_text(encoding="utf-8")), encoding="utf-8")
