from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rnncli.data.batch import Order
from rnncli.errors import DataError, RecipeError, UsageError
from rnncli.recipe import RecipeConfig
from rnncli.records import HeatMap, Table
from rnncli.tasks import AnySplits, PredictOptions, Recipe, load_recipe
from rnncli.tasks import classification as task
from rnncli.tasks.labels import confusion_counts, matthews
from rnncli.tasks.one_label import AnyPart
from rnncli.training.job import prepare
from rnncli.training.loop import fit
from tests.narrowed import as_read, of_kind

ROWS = [(f"{'abc'[i % 3]}{'xyzw'[i % 4]}{'xyzw'[i // 4 % 4]}", "ABC"[i % 3]) for i in range(60)]


def recipe(data: dict[str, Any], model: dict[str, Any] | None = None, train: dict[str, Any] | None = None) -> Recipe:
    return load_recipe(
        {
            "task": "classification",
            "data": data,
            "model": {"cell": "gru", "hidden_size": 8, "embedding_size": 4, **(model or {})},
            "train": {"epochs": 1, "batch_size": 8, **(train or {})},
        }
    )


def own(config: RecipeConfig) -> task.Config:
    return of_kind(task.Config, config)


def table(path: Path, rows: list[tuple[str, str]] = ROWS, header: str = "text\tlabel\n", mark: str = "\t") -> str:
    path.write_text(header + "".join(f"{text}{mark}{label}\n" for text, label in rows), "utf-8")
    return str(path)


def texts(part: AnyPart) -> list[tuple[str, str]]:
    return [("".join(row.tokens), row.label) for row in part.rows]


def all_rows(found: AnySplits) -> list[tuple[str, str]]:
    return sorted(row for part in found.parts.values() for row in texts(part))


def test_every_kind_of_source_gives_the_same_rows(tmp_path: Path) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    deep = tmp_path / "files"
    for label in "ABC":
        mine = [text for text, of in ROWS if of == label]
        (folder / f"{label}.txt").write_text("\n".join(mine) + "\n\n", "utf-8")
        (deep / label).mkdir(parents=True)
        for i, text in enumerate(mine):
            (deep / label / f"{i}.txt").write_text(text + "\n", "utf-8")
    plain = tmp_path / "t.csv.gz"
    with gzip.open(plain, "wt", encoding="utf-8") as file:
        file.writelines(f'"{text}","{label}"\n' for text, label in ROWS)
    sources: list[dict[str, Any]] = [
        {"path": str(folder)},
        {"path": str(deep)},
        {"path": table(tmp_path / "t.tsv")},
        {"path": table(tmp_path / "t.csv", header="id,text,label\n", rows=[(f"7,{t}", c) for t, c in ROWS], mark=",")},
        {"path": str(plain), "header": False, "text": 0, "label": 1},
    ]
    for data in sources:
        found = task.TASK.read(own(recipe(data).config))
        assert all_rows(found) == sorted(ROWS), data
        assert found.fitted.labels.tokens == ("A", "B", "C")
        assert found.counts["train"]["texts"] == 54
        assert found.counts["validation"]["texts"] == 6


def test_lecture_13_files_train_and_test_without_header(tmp_path: Path) -> None:
    for name, rows in (("names_train", ROWS[:48]), ("names_test", ROWS[48:])):
        with gzip.open(tmp_path / f"{name}.csv.gz", "wt", encoding="utf-8") as file:
            file.writelines(f'"{text}","{label}"\n' for text, label in rows)
    data = {f: str(tmp_path / f"names_{f}.csv.gz") for f in ("train", "test")}
    found = task.TASK.read(own(recipe({**data, "header": False, "text": 0, "label": 1}).config))
    assert texts(found.train) == ROWS[:48]
    assert texts(found.part("test")) == ROWS[48:]
    assert found.validation is None


def test_a_class_or_label_that_training_does_not_know_is_named_with_its_line(tmp_path: Path) -> None:
    train = table(tmp_path / "train.tsv")
    test = table(tmp_path / "test.tsv", [*ROWS[:3], ("odd", "D")])
    with pytest.raises(DataError, match="class 'D' is not in the training split") as caught:
        task.TASK.read(own(recipe({"train": train, "test": test}).config))
    assert caught.value.where.endswith("test.tsv:5")
    found = task.TASK.read(own(recipe({"train": train, "test": test, "on_bad": "skip"}).config))
    assert len(found.part("test").rows) == 3
    assert any("1 of 4 rows cannot be used" in note for note in found.notes)


def test_names_for_numbered_labels(tmp_path: Path) -> None:
    path = table(tmp_path / "t.tsv", [(text, str("ABC".index(label))) for text, label in ROWS])
    data = {"path": path, "classes": {"0": "first", "1": "second", "2": "third"}}
    assert task.TASK.read(own(recipe(data).config)).fitted.labels.tokens == ("first", "second", "third")
    with pytest.raises(DataError, match=r"'2' is not in data\.classes"):
        task.TASK.read(own(recipe({**data, "classes": {"0": "a", "1": "b"}}).config))


def test_groups_stay_together_by_column_and_by_pattern(tmp_path: Path) -> None:
    rows = [(f"{text}\t{label}", f"speaker{i % 10}") for i, (text, label) in enumerate(ROWS)]
    path = table(tmp_path / "t.tsv", rows, header="text\tlabel\twho\n")
    split = {"validation": 0.2, "test": 0.2}
    found = task.TASK.read(own(recipe({"path": path, "split": {**split, "by": "who"}}).config))
    groups = [{row.group for row in part.rows} for part in (found.train, found.part("validation"), found.part("test"))]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 10
    for label in "AB":
        (tmp_path / "d" / label).mkdir(parents=True)
        for i in range(20):
            (tmp_path / "d" / label / f"s{i % 5}_{i}.txt").write_text(f"{label} {i}", "utf-8")
    by_name = {"path": str(tmp_path / "d"), "split": {**split, "by": "{speaker}_*.txt"}}
    found = task.TASK.read(own(recipe(by_name).config))
    groups = [{row.group for row in part.rows} for part in (found.train, found.part("validation"), found.part("test"))]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 5
    with pytest.raises(DataError, match="the pattern"):
        task.TASK.read(own(recipe({"path": path, "split": {"by": "{speaker}_*.txt"}}).config))
    with pytest.raises(DataError, match="has no field"):
        task.TASK.read(own(recipe({"path": str(tmp_path / "d"), "split": {"by": "who"}}).config))


@pytest.mark.parametrize("weights", ["none", "balanced"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_is_torch_s_own(tmp_path: Path, weights: str, smoothing: float) -> None:
    path = table(tmp_path / "t.tsv", ROWS + [("axx", "A")] * 30)
    job = prepare(recipe({"path": path}, train={"class_weights": weights, "label_smoothing": smoothing}))
    batch = next(task.TASK.batches(own(job.config), job.splits.train, Order(0, 1)))
    loss = task.TASK.loss(own(job.config), job.model, batch, None)
    n = torch.bincount(torch.tensor(job.splits.train.targets)).float()
    balanced = n.sum() / (3 * n) if weights == "balanced" else None
    torch_loss = nn.CrossEntropyLoss(balanced, label_smoothing=smoothing)
    torch.testing.assert_close(loss.total / loss.count, torch_loss(job.model(batch).scores, batch.targets))


def test_macro_f1_and_accuracy_by_hand() -> None:
    chances = torch.tensor([[0.9, 0.1, 0, 0], [0, 0.9, 0.1, 0], [0, 0.9, 0.1, 0], [0, 0.8, 0.2, 0], [0.7, 0.3, 0, 0]])
    found = task.TASK.measured((chances + 1e-9).log(), [0, 0, 1, 1, 2])
    # class 0: 1 of 2 found, 1 of 2 said; class 1: 2 of 2, 2 of 3; class 2: none; class 3: in neither, no class here
    assert math.isclose(found["macro-f1"], (0.5 + 0.8 + 0.0) / 3, rel_tol=1e-6)
    assert found["accuracy"] == 0.6
    assert math.isclose(found["mcc"], (3 * 5 - 10) / math.sqrt((25 - 9) * (25 - 13)), rel_tol=1e-9)  # 2 2 1 of 2 3 0 0


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_mcc_is_the_correlation_of_truth_and_answer(classes: int) -> None:
    """Gorodkin's definition: the covariance of the two as rows of one-hot vectors, over their spreads."""
    torch.manual_seed(classes)
    truth = torch.randint(0, classes, (50,))
    answers = torch.where(torch.rand(50) < 0.5, truth, torch.randint(0, classes, (50,)))
    x, y = (torch.eye(classes, dtype=torch.float64)[one] for one in (truth, answers))
    x, y = x - x.mean(0), y - y.mean(0)
    wanted = (x * y).sum() / ((x * x).sum() * (y * y).sum()).sqrt()
    assert math.isclose(matthews(confusion_counts(truth.tolist(), answers, classes)), float(wanted), rel_tol=1e-12)
    if classes == 2:
        assert math.isclose(float(wanted), float(torch.corrcoef(torch.stack([truth, answers]).double())[0, 1]))


def test_mcc_of_what_is_always_the_same() -> None:
    counts = confusion_counts([0, 1, 1], torch.tensor([1, 1, 1]), 3)
    assert matthews(counts) == 0
    assert matthews(confusion_counts([0, 1, 2], torch.tensor([0, 1, 2]), 3)) == 1


@pytest.mark.parametrize("head", ["last", "mean", "max"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "feedforward"])
def test_a_text_is_answered_alike_alone_and_among_longer_ones(tmp_path: Path, head: str, cell: str) -> None:
    job = prepare(recipe({"path": table(tmp_path / "t.tsv")}, {"cell": cell, "head": head, "bidirectional": True}))
    given = ["a", "bxyzwxyzw", "cx"]
    together = job.model(task.TASK.encode(own(job.config), job.splits.fitted, given)).scores
    assert together.shape == (3, 3)
    together.sum().backward()
    for b, text in enumerate(given):
        alone = job.model(task.TASK.encode(own(job.config), job.splits.fitted, [text])).scores[0]
        torch.testing.assert_close(alone, together[b])


@pytest.mark.parametrize("model", [{"head": "last"}, {"head": "max"}, {"input": "one-hot", "head": "mean"}])
def test_it_learns_the_first_letter(tmp_path: Path, model: dict[str, Any]) -> None:
    path = table(tmp_path / "t.tsv")
    train = {"epochs": 15, "lr": 0.03, "class_weights": "balanced"}
    job = prepare(recipe({"path": path, "split": {"validation": 0.2}}, {**model, "bidirectional": True}, train))
    *_, last = fit(job)
    assert last.metrics["accuracy"] == 1.0
    records = task.TASK.summarize(own(job.config), job.model, job.splits, "validation")
    assert of_kind(Table, records[0]).rows[-1][0] == 3
    matrix = of_kind(HeatMap, records[1])
    assert [row[i] for i, row in enumerate(matrix.values)] == [sum(row) for row in matrix.values] == [4, 4, 4]
    answers = list(
        task.TASK.predict(own(job.config), job.model, job.splits.fitted, ["bxx", "q\tb", " "], PredictOptions(top_k=2))
    )
    text, label, p, second, p2 = answers[0].text.split("\t")
    assert (text, label) == ("bxx", "B")
    assert float(p) > float(p2)
    assert second in "AC"
    assert as_read(answers[0].json)["top"][0]["label"] == "B"
    assert answers[1].text.count("\t") == 4  # the text's own tab is no column
    assert "'q'" in answers[1].notes[0]
    assert as_read(answers[2].json)["label"] is None
    with pytest.raises(UsageError, match="--beam"):
        next(task.TASK.predict(own(job.config), job.model, job.splits.fitted, ["a"], PredictOptions(beam=2)))


def test_baselines(tmp_path: Path) -> None:
    path = table(tmp_path / "t.tsv", ROWS + [("ax", "A")] * 30)
    splits = task.TASK.read(own(recipe({"path": path}).config))
    majority, grams = task.TASK.baselines(own(recipe({"path": path}).config), splits, "validation")
    n = sum(row.label == "A" for row in splits.part("validation").rows)
    assert math.isclose(majority.metrics["accuracy"], n / len(splits.part("validation").rows), rel_tol=1e-6)
    assert grams.metrics["accuracy"] == 1.0  # the first letter is a 1-gram
    assert any("also occur in train" in note for note in splits.notes)


def test_a_new_file_in_a_run_s_terms(tmp_path: Path) -> None:
    config = own(recipe({"path": table(tmp_path / "t.tsv")}).config)
    splits = task.TASK.read(config)
    part, notes = task.TASK.read_part(config, splits.fitted, table(tmp_path / "new.tsv", [("aqx", "A"), ("bx", "B")]))
    assert list(part.targets) == [0, 1]
    assert any("<unk>: 1" in note for note in notes)


def test_words_are_cut_to_max_length_and_said(tmp_path: Path) -> None:
    rows = [(f"{text} one two three", label) for text, label in ROWS]
    data = {"path": table(tmp_path / "t.tsv", rows), "tokens": "words", "max_length": 2}
    config = own(recipe(data).config)
    splits = task.TASK.read(config)
    assert {len(row.tokens) for row in splits.train.rows} == {2}
    assert any("60 texts" in note for note in splits.notes)
    assert task.TASK.encode(config, splits.fitted, ["axx one two three"]).inputs.shape == (2, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        ("text\tlabel\n", "contains no usable rows"),
        ("text\tlabel\nab\tA\nac\tA\nad\tA\n", "only one class"),
        ("text\tlabel\nab\tA\nb\tB\n\tB\n", "column 'text' is empty"),
        ("text\tlabel\nab\tA\nb\n", "has 1 column, not 2"),
        ("txt\tlabel\nab\tA\nb\tB\n", "no column 'text'"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "t.tsv"
    path.write_text(content, "utf-8")
    with pytest.raises(DataError, match=said):
        task.TASK.read(own(recipe({"path": str(path), "split": {"validation": 0}}).config))


def test_clashes_are_told_before_any_data() -> None:
    with pytest.raises(RecipeError) as caught:
        recipe({"train": "a.tsv", "split": {"by": "who"}, "label": "text", "max_vocab": 1})
    assert {fault.key for fault in caught.value.faults} == {"data.split.by", "data.label", "data.max_vocab"}


def test_fill_reads_the_columns_off_the_file(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", rows=[(f"{t} and more", c) for t, c in ROWS], header="who,kind\n", mark=",")
    assert task.TASK.suggest_settings(path) == {"data.header": True, "data.text": "who", "data.label": "kind"}
    bare = table(tmp_path / "bare.csv", rows=[(f"{t} and more", c) for t, c in ROWS], header="", mark=",")
    assert task.TASK.suggest_settings(bare) == {"data.header": False, "data.text": "0", "data.label": "1"}
    (tmp_path / "folder").mkdir()
    assert task.TASK.suggest_settings(str(tmp_path / "folder")) == {}


@pytest.mark.parametrize("header", [True, False])
def test_a_labelled_table_gives_predict_the_column_that_training_used(tmp_path: Path, header: bool) -> None:
    """The label and the header are no part of a text."""
    (tmp_path / "a.csv").write_text("label,text\n" * header + "x,aa\ny,bb\n" * 10)
    columns = {"text": "text", "label": "label"} if header else {"text": 1, "label": 0, "header": False}
    job = prepare(recipe({"path": str(tmp_path / "a.csv"), **columns}))

    def answers(lines: list[str]) -> list[tuple[str, list[str]]]:
        found = task.TASK.predict_lines(own(job.config), job.model, job.splits.fitted, lines, PredictOptions())
        return [(answer.text.partition("\t")[0], list(answer.notes)) for answer in found]

    said = [f"read as a table: texts from column {columns['text']!r}"]
    rows = [*["\ufefflabel,text\r\n"][:header], "x,ab\r\n", 'x,"b,a"\r\n']
    found = answers(rows)
    assert [text for text, _ in found] == ["ab", "b,a"]
    assert found[0][1] == said
    assert said[0] not in found[1][1]
    assert [text for text, _ in answers(["ab\n", "b,a\n"])] == ["ab", "b,a"], "texts stay texts"
