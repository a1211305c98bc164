"""Entities: which stretches BIO and BIOES tags mark, and how many were found; numbers as seqeval gives them."""

from __future__ import annotations

import random
from importlib import import_module
from pathlib import Path

import pytest

from rnncli.errors import DataError, UsageError
from rnncli.records import Table
from rnncli.runs.evaluation import requirement
from rnncli.tasks import load_recipe
from rnncli.tasks import tagging as task
from rnncli.tasks.entities import Found, are_entity_tags, entities
from rnncli.training.job import Job, prepare
from rnncli.training.loop import fit
from tests.narrowed import of_kind


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ("B-PER I-PER O", [("PER", 0, 2)]),
        ("B-PER B-PER I-PER", [("PER", 0, 1), ("PER", 1, 3)]),
        ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]),
        ("O I-PER I-PER", [("PER", 1, 3)]),  # IOB1 begins with I-
        ("I-NP B-NP I-NP", [("NP", 0, 1), ("NP", 1, 3)]),
        ("S-LOC B-ORG I-ORG E-ORG", [("LOC", 0, 1), ("ORG", 1, 4)]),
        ("S-LOC E-LOC I-LOC", [("LOC", 0, 1), ("LOC", 1, 2), ("LOC", 2, 3)]),
        ("B-LOC S-LOC", [("LOC", 0, 1), ("LOC", 1, 2)]),
        ("B-CONJ-P I-CONJ-P", [("CONJ-P", 0, 2)]),
        ("O O", []),
        ("", []),
    ],
)
def test_which_stretches_tags_mark(tags: str, wanted: list[tuple[str, int, int]]) -> None:
    assert list(entities(tags.split())) == wanted


TARGET = ["B-PER I-PER O B-LOC O", "S-ORG O B-PER E-PER", "O O"]
SAID = ["B-PER I-PER O B-ORG O", "S-ORG O B-PER I-PER", "S-LOC O"]


def test_precision_recall_and_f1_by_hand() -> None:
    """Said: PER, ORG, ORG, PER, LOC; there: PER, LOC, ORG, PER. Three of them are the same."""
    found = Found()
    for target, said in zip(TARGET, SAID, strict=True):
        found.add(target.split(), said.split())
    assert found.metrics() == {"f1": pytest.approx(6 / 9), "precision": 3 / 5, "recall": 3 / 4}
    assert (found.right["PER"], found.target["LOC"], found.predicted["LOC"]) == (2, 1, 1)
    assert Found().metrics() == {"f1": 0.0, "precision": 0.0, "recall": 0.0}


@pytest.mark.filterwarnings("ignore")
def test_the_same_figures_as_seqeval() -> None:
    seqeval = pytest.importorskip("seqeval.metrics", reason="seqeval is not installed", exc_type=ImportError)
    labelling = import_module("seqeval.metrics.sequence_labeling")
    draw = random.Random(0)
    tags = ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("PER", "LOC", "X-Y"))]
    rows = [[draw.choice(tags) for _ in range(draw.randint(1, 12))] for _ in range(400)]
    others = [[tag if draw.random() < 0.7 else draw.choice(tags) for tag in row] for row in rows]
    found = Found()
    for row, said in zip(rows, others, strict=True):
        assert [(kind, a, b - 1) for kind, a, b in entities(row)] == labelling.get_entities(row), row
        found.add(row, said)
    for name, value in found.metrics().items():
        assert value == pytest.approx(getattr(seqeval, f"{name}_score")(rows, others), abs=1e-15), name


def test_which_labels_mark_entities() -> None:
    assert are_entity_tags(["O", "B-PER", "I-PER"])
    assert are_entity_tags(["I-NP", "O"])
    assert not are_entity_tags(["NOUN", "O", "X"])
    assert not are_entity_tags(["B-PER", "I-PER"]), "without O everything is an entity"
    assert not are_entity_tags(["O", "B-"])
    assert not are_entity_tags([])


NAMES = "Ann B-PER\nLee I-PER\nlives O\nin O\nRome B-LOC\n\nIn O\nOslo B-LOC\nBo B-PER\nsleeps O\n\n"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "train.txt").write_text(NAMES * 6)
    (tmp_path / "dev.txt").write_text(NAMES.replace("Bo B-PER", "Bo O") + "Lee B-DOG\n")
    sets = {"input": "embedding", "hidden_size": 6, "embedding_size": 5}
    data = {"train": str(tmp_path / "train.txt"), "validation": str(tmp_path / "dev.txt")}
    train = {"epochs": 12, "batch_size": 4, "lr": 0.05, "best_by": "f1"}
    return prepare(load_recipe({"task": "tagging", "data": data, "model": sets, "train": train}))


def test_a_run_on_entities(job: Job) -> None:
    """The last epoch finds all three kinds of them; DOG, which training never saw, counts as missed."""
    *_, end = fit(job)
    config = of_kind(task.Config, job.config)
    train = task.TASK.metrics(config, job.model, job.splits.train, job.splits.fitted)
    assert list(train) == ["f1", "precision", "recall", "accuracy", "loss"]
    assert train["f1"] == train["precision"] == train["recall"] == 1.0
    assert end.metrics["recall"] < 1.0
    table = task.TASK.summarize(config, job.model, job.splits, "validation")[1]
    rows = of_kind(Table, table).rows
    assert {str(row[0]): row[1] for row in rows} == {"PER": 1, "LOC": 2, "DOG": 1}
    (baseline,) = task.TASK.baselines(config, job.splits, "train")
    assert baseline.metrics["f1"] == 1.0
    assert baseline.metrics["accuracy"] == 1.0


def test_f1_without_entities_is_refused() -> None:
    sets = ("train.best_by=f1", "data.path=builtin:treebank")
    with pytest.raises(
        DataError, match=r"f1 is an entity metric, but these labels mark no entities: PRON, .*"
    ) as caught:
        prepare(load_recipe("pos-tagging", sets))
    assert caught.value.where == "train.best_by"


def test_a_metric_that_the_run_has_not_cannot_be_required() -> None:
    one = requirement("f1>0.5", list(task.TASK.METRICS))
    assert one.check({"f1": 0.75}).ok
    with pytest.raises(UsageError, match="this run has no f1"):
        one.check({"accuracy": 1.0, "loss": 0.0})
