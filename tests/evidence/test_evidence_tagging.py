"""What each addition to a tagger brings, on a public treebank and on public chunks.

RNNCLI_EWT=FOLDER: train.conllu, dev.conllu and test.conllu of UD English-EWT. RNNCLI_CONLL2000=FOLDER: train.txt and
test.txt of the CoNLL-2000 task; every tenth sentence of train.txt judges the epochs. RNNCLI_VECTORS=FILE: vectors of
words, such as GloVe's; without it their rows are left out. RNNCLI_SEEDS=N: seeds 0 to N - 1, by default five.
RNNCLI_EPOCHS=N: by default four. What the file already has of the same settings is not measured again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from rnncli.training.loop import fit
from tests.evidence.evidence_runs import compared

pytestmark = pytest.mark.evidence

SEEDS = range(int(os.environ.get("RNNCLI_SEEDS", "5")))
VECTORS = os.environ.get("RNNCLI_VECTORS", "")
EPOCHS = os.environ.get("RNNCLI_EPOCHS", "4")
SETS = ("train.control=false", "train.threads=1", "train.batch_size=32", f"train.epochs={EPOCHS}")


def rows() -> dict[str, tuple[str, ...]]:
    """Name -> settings that are added to the recipe, whose own are the first row's."""
    dropout, crf = ("model.word_dropout=0.1",), ("model.head=crf",)
    locked = ("model.variational_dropout=0.25",)
    found = {"recipe": (), "CRF": crf, "word dropout": dropout, "locked dropout": locked}
    if VECTORS:
        vectors = (f"model.vectors={VECTORS}",)
        found |= {"vectors": vectors, "all three": (*dropout, *crf, *vectors)}
    return found


def measured(name: str, metric: str, sets: tuple[str, ...]) -> dict[str, Any]:
    """Every row over the seeds, on the test part."""
    width = ("model.embedding_size=100",) if VECTORS else ()

    def run(seed: int, added: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
        job = prepare(load_recipe("pos-tagging", (*SETS, *width, *sets, *added, f"train.seed={seed}")))
        *_, last = fit(job)
        metrics = job.task.metrics(job.config, job.model, job.splits.part("test"), job.splits.fitted)
        common: dict[str, Any] = {"baseline": job.task.baselines(job.config, job.splits, "test")[0].metrics}
        if said := [note.replace(VECTORS, Path(VECTORS).name) for note in job.splits.notes if "vectors for" in note]:
            common["notes"] = said
        return {"epoch": last.epoch, **metrics}, common

    spec = {"recipe": "pos-tagging", "on": "test", "sets": [*SETS, *width]}
    return compared(name, spec, rows(), SEEDS, metric, run)


@pytest.mark.skipif("RNNCLI_EWT" not in os.environ, reason="RNNCLI_EWT=FOLDER is not set")
def test_parts_of_speech_of_a_public_treebank() -> None:
    folder = Path(os.environ["RNNCLI_EWT"])
    parts = {"train": "train", "validation": "dev", "test": "test"}
    sets = tuple(f"data.{part}={folder / file}.conllu" for part, file in parts.items())
    found = measured("tagging-ewt", "accuracy", sets)
    assert found["rows"]["recipe"]["accuracy"]["mean"] > found["baseline"]["accuracy"] + 0.05


@pytest.mark.skipif("RNNCLI_CONLL2000" not in os.environ, reason="RNNCLI_CONLL2000=FOLDER is not set")
def test_chunks_of_the_conll_2000_task(tmp_path: Path) -> None:
    folder = Path(os.environ["RNNCLI_CONLL2000"])
    sentences = (folder / "train.txt").read_text(encoding="utf-8").strip().split("\n\n")
    parts = {"train": [s for n, s in enumerate(sentences) if n % 10 != 9], "validation": sentences[9::10]}
    for name, chosen in parts.items():
        (tmp_path / f"{name}.txt").write_text("\n\n".join(chosen) + "\n", encoding="utf-8")
    files = [f"data.{name}={tmp_path / name}.txt" for name in ("train", "validation")]
    found = measured(
        "tagging-conll2000", "f1", (*files, f"data.test={folder / 'test.txt'}", "data.tag=2", "train.best_by=f1")
    )
    chunks = {row: figures["f1"]["mean"] for row, figures in found["rows"].items()}
    assert chunks["CRF"] > chunks["recipe"] > found["baseline"]["f1"]
