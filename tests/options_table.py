"""What each option brings, as the documentation's tables say: made from the evidence files by
`python -m tests.readme_table`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from rnncli.sweeps.statistics import holm, paired_t_test, spread

EVIDENCE = Path(__file__).parent / "evidence"
Scores = Mapping[int, float]  # seed -> figure
SPEAKERS = 6


def entry(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVIDENCE / f"{name}.json").read_text(encoding="utf-8"))["recipes"][0]
    return found


def p_value(p: float | None) -> str:
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def compared(rows: Mapping[str, Scores], digits: int) -> str:
    """A row each: mean ± deviation over the seeds, and the difference to the first over the same seeds."""
    (first, reference), *others = rows.items()
    tests = [paired_t_test(scores, reference) for _, scores in others]
    known = [p for p in tests if p is not None]
    corrected = iter(holm(known))
    lines = [line(first, reference, digits)]
    for (name, scores), p in zip(others, tests, strict=True):
        gain = fmean(scores[seed] - reference[seed] for seed in scores if seed in reference)
        lines.append(line(name, scores, digits, f"{gain:+.{digits}f}", p_value(None if p is None else next(corrected))))
    return "".join(lines)


def line(name: str, scores: Scores, digits: int, gain: str = "", p: str = "") -> str:
    deviation = spread(list(scores.values()))
    plus = "" if deviation is None else f" ± {deviation:.{digits}f}"
    return f"| {name} | {len(scores)} | {fmean(scores.values()):.{digits}f}{plus} | {gain} | {p} |\n"


def head(title: str, metric: str) -> str:
    return f"\n{title}\n\n| | seeds | {metric} | difference | p |\n|---|---|---|---|---|\n"


def label(row: str, sets: list[str]) -> str:
    return f"{row}: {', '.join(f'`{text}`' for text in sets)}" if sets else row


def epochs(found: dict[str, Any]) -> str:
    (text,) = (text for text in found["sets"] if text.startswith("train.epochs="))
    return str(text).partition("=")[2]


def taggers() -> str:
    found = entry("tagging-ewt")
    rows = {
        label(row, figures["sets"]): {run["seed"]: 100 * run["accuracy"] for run in figures["runs"]}
        for row, figures in found["rows"].items()
    }
    title = (
        f"**Tagging.** Parts of speech of UD English-EWT, its own test file, {epochs(found)} epochs. "
        f"The most frequent tag of each word has {found['baseline']['accuracy']:.1%}."
    )
    return head(title, "accuracy, %") + compared(rows, 2)


def language_models() -> str:
    found = entry("language-model-options")
    rows: dict[str, dict[int, float]] = {}
    for row, figures in found["rows"].items():
        rows[label(row, figures["sets"])] = {run["seed"]: run["bits"] for run in figures["runs"]}
        if row == "recipe":
            runs = [run for run in figures["runs"] if "dynamic" in run]
            rows["dynamic evaluation: `evaluate --dynamic`"] = {run["seed"]: run["dynamic"]["bits"] for run in runs}
    title = (
        f"**Language models.** Tiny Shakespeare by characters (1.1 MB), {epochs(found)} epochs, the last "
        f"twentieth; lower is better. A bigram model has {found['bigram']:.2f}."
    )
    return head(title, "bits per character") + compared(rows, 3)


def spoken_digits() -> str:
    found, svm = entry("spoken-digits"), entry("spoken-digits-svm")["figures"]
    tables = ""
    for part, who in {"unheard": "a speaker not heard in training", "known": "new takes of known speakers"}.items():
        rows = {}
        for row in found["figures"]:
            runs = [run for run in found["runs"] if run["row"] == row]
            shares = {seed: [run[part] for run in runs if run["seed"] == seed] for seed in {r["seed"] for r in runs}}
            name = {"none": "none", "all": "all three"}.get(row, f"`{runs[0]['augment']}`")
            rows[name] = {seed: 100 * fmean(of) for seed, of in sorted(shares.items()) if len(of) == SPEAKERS}
        best = max(figures[part]["mean"] for figures in svm.values())
        title = (
            f"**Recordings.** Spoken digits (FSDD), {epochs(found)} epochs, options of `data.sound.augment`: {who}; "
            f"each of six speakers left out once. A support vector machine on MFCCs has {best:.1%}."
        )
        tables += head(title, "accuracy, %") + compared(rows, 1)
    return tables


def classifiers() -> str:
    """The network against letter n-grams, on all of both data sets and on less of the larger one."""
    limit = entry("names-limit")["rows"]
    rows = {
        "`builtin:names`": whole("names"),
        "`builtin:names`, `train.early_stopping=0`": limit["all epochs"]["runs"],
        "PyTorch's tutorial folder, 6 % to train on": limit["6 %"]["runs"],
        "PyTorch's tutorial folder, 25 %": limit["25 %"]["runs"],
        "PyTorch's tutorial folder, 80 %": whole("names-folder"),
    }
    title = (
        "**Classification.** The recipe `names`, a GRU with the scores of n-grams next to it, compared with letter "
        "n-grams alone. One name of the 191 in the test split of `builtin:names` is half a point."
    )
    columns = ("", "names to train on", "seeds", "n-grams, macro-F1 in %", "recipe", "difference", "p")
    lines = "".join(limited(name, runs) for name, runs in rows.items())
    return f"\n{title}\n\n| {' | '.join(columns).lstrip()} |\n|{'---|' * len(columns)}\n{lines}"


def whole(name: str) -> list[dict[str, Any]]:
    """The runs of a recipe's own evidence, with the figures of names-limit.json."""
    kinds = {"macro-f1": "gru", "n-grams": "n-grams"}
    return [run | {key: run["rows"][kind]["macro-f1"] for key, kind in kinds.items()} for run in entry(name)["runs"]]


def limited(name: str, runs: list[dict[str, Any]]) -> str:
    ours, theirs = ({run["seed"]: 100 * run[kind] for run in runs} for kind in ("macro-f1", "n-grams"))
    texts = runs[0]["counts"]["train"]["texts"]
    means = f"{fmean(theirs.values()):.1f} | {fmean(ours.values()):.1f}"
    gain = fmean(ours.values()) - fmean(theirs.values())
    p = p_value(paired_t_test(ours, theirs))
    return f"| {name} | {texts:,} | {len(runs)} | {means} | {gain:+.1f} | {p} |\n"


def table() -> str:
    return (taggers() + language_models() + spoken_digits() + classifiers()).lstrip("\n")
