"""A table of sentences and a treebank of a gigabyte take no more memory than ones of a megabyte."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rnncli.data.text import read_text
from tests.evidence.test_evidence_streaming import PEAK, child, record

pytestmark = pytest.mark.evidence
SIZES = {"1 MB": 10**6, "100 MB": 10**8, "1 GB": 10**9}
HELD_OUT = 10**5
MOST = 300 << 10  # KiB that a longer file may take beyond the shortest
STEPS = 40
LABELS = ("good", "bad", "odd")
TAGS = ("NOUN", "VERB", "ADJ", "DET", "ADP", "PUNCT")

TRAIN = f"""
import json, sys, time
from pathlib import Path
{PEAK}
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from rnncli.runs.train import run_training
recipe, text, held_out, folder, *sets = sys.argv[1:]
sets = (f"data.train={{text}}", f"data.validation={{held_out}}", "data.path=null", "model.hidden_size=16",
        "train.max_steps={STEPS}", "train.threads=1", "train.control=false", *sets)
began = time.process_time()
job = prepare(load_recipe(recipe, sets))
read = time.process_time() - began
outcome = run_training(job, Path(folder), lambda progress: None)
print(json.dumps({{
    "counts": job.splits.counts["train"],
    "peak_kib": peak(),
    "reading_cpu_seconds": round(read, 1),
    "baselines": {{b.name: b.metrics for b in outcome.baselines}},
}}))
"""


def sentences(draw: random.Random) -> Iterator[str]:
    """A CSV: two lines of Python's documentation a row, and a class drawn for it."""
    lines = [line.replace('"', "") for line in documentation().split("\n") if len(line) > 50]
    yield "sentence,label\n"
    while True:
        yield "".join(f'"{" ".join(draw.choices(lines, k=2))}",{draw.choice(LABELS)}\n' for _ in range(1000))


def treebank(draw: random.Random) -> Iterator[str]:
    """CoNLL-U: words of Python's documentation, each with a tag by its length."""
    words = documentation().split()
    while True:
        block = []
        for _ in range(500):
            chosen = enumerate(draw.choices(words, k=draw.randrange(5, 30)), 1)
            block += [f"{i}\t{word}\t_\t{TAGS[len(word) % len(TAGS)]}\t_\t_\t0\troot\t_\t_\n" for i, word in chosen]
            block.append("\n")
        yield "".join(block)


def documentation() -> str:
    return "".join(read_text("builtin:python-docs").pieces())


def written(path: Path, pieces: Iterator[str], size: int) -> Path:
    done = 0
    with open(path, "wb") as file:
        while done < size:
            done += file.write(next(pieces).encode())
    return path


KINDS: dict[str, tuple[Callable[[random.Random], Iterator[str]], str, tuple[str, ...]]] = {
    "classification, sentences of a table": (sentences, "acceptability", ()),
    "tagging, a treebank": (treebank, "pos-tagging", ("model.input=embedding",)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_rows(tmp_path: Path, kind: str) -> None:
    make, recipe, sets = KINDS[kind]
    held_out = written(tmp_path / "held-out", make(random.Random(1)), HELD_OUT)
    table = {}
    for name, size in SIZES.items():
        file = written(tmp_path / "train", make(random.Random(0)), size)
        run = tmp_path / name.replace(" ", "-")
        run.mkdir()
        table[name] = child(TRAIN, recipe, file, held_out, run, *sets, cache=tmp_path / "cache")
    record(kind, table)
    for name, row in table.items():
        assert row["peak_kib"] < table["1 MB"]["peak_kib"] + MOST, name
