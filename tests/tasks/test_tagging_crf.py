"""A tagger with a CRF: trained, measured, asked, looked at, exported."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch

import rnncli
from rnncli import views
from rnncli.data.batch import Batch
from rnncli.errors import UsageError
from rnncli.nn.crf import Crf, crf_of
from rnncli.records import HeatMap, Table
from rnncli.runs.export import export
from rnncli.runs.open import Run, open_run
from rnncli.tasks import PredictOptions, load_recipe
from rnncli.tasks.inputs.sentences import Fitted
from rnncli.training.job import estimate
from tests.narrowed import as_read, of_kind, some

# No word tells B from I: only what stands before it does.
SENTENCES = "a B-X\na I-X\nb O\n\nb O\na B-X\na I-X\na I-X\n\na B-X\n\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A feedforward tagger, whose scores know no neighbour: all that a row shares is the CRF's."""
    folder = tmp_path_factory.mktemp("crf")
    (folder / "all.txt").write_text(SENTENCES * 4)
    model = {"input": "embedding", "embedding_size": 4, "cell": "feedforward", "hidden_size": 4, "head": "crf"}
    train = {"epochs": 8, "batch_size": 4, "lr": 0.3, "best_by": "f1", "dtype": "float64"}
    recipe = load_recipe(
        {"task": "tagging", "data": {"train": str(folder / "all.txt")}, "model": model, "train": train}
    )
    return rnncli.train(recipe, out=str(folder / "run"))


def asked(run: Run, text: str, top_k: int | None = None) -> dict[str, object]:
    (found,) = run.task.predict(run.config, run.model, run.fitted, [text], PredictOptions(top_k=top_k))
    answer: dict[str, object] = as_read(found.json)
    return answer


def test_it_learns_what_no_network_without_memory_can(run: Run) -> None:
    assert run.result()["metrics"]["f1"] == 1.0  # type: ignore[index,call-overload]
    assert asked(run, "a a b a")["labels"] == ["B-X", "I-X", "O", "B-X"]
    assert asked(run, "")["labels"] == []


def test_choices_are_marginals(run: Run) -> None:
    """Of all 27 rows of labels of three words, one by one."""
    batch = run.task.encode(run.config, run.fitted, ["a b a"])
    scores, crf = run.model(batch).scores[:, 0], of_kind(Crf, crf_of(run.model))
    rows = list(product(range(3), repeat=3))
    each = torch.stack(
        [
            crf.start[a] + scores[0, a] + crf.transitions[a, b] + scores[1, b] + crf.transitions[b, c] + scores[2, c]
            + crf.end[c]
            for a, b, c in rows
        ]
    ).softmax(0).detach()  # fmt: skip
    labels = of_kind(Fitted, run.fitted).labels
    for t, step in enumerate(as_read(asked(run, "a b a", top_k=3)["steps"])):
        for choice in step["choices"]:
            there = sum(float(p) for p, row in zip(each, rows, strict=True) if row[t] == labels.id(choice["label"]))
            assert choice["p"] == pytest.approx(there, abs=1e-6)


def test_the_loss_is_that_of_whole_rows_for_each_step(run: Run) -> None:
    splits = run.task.read(run.config)
    batch = next(iter(run.task.batches(run.config, splits.train, None)))
    loss = run.task.loss(run.config, run.model, batch, None)
    outputs = run.model(batch)
    wanted = -of_kind(Crf, crf_of(run.model)).log_likelihood(outputs.scores, some(batch.targets), batch.lengths).sum()
    assert (loss.total.item(), loss.count) == (wanted.item(), int(some(batch.lengths).sum()))
    metrics = run.task.metrics(run.config, run.model, splits.train, run.fitted)
    assert metrics["loss"] < 0.2


def test_views_show_marginals_and_transitions(run: Run) -> None:
    recipe, splits = run.recipe, run.task.read(run.config)
    subject = views.subject_of_task(recipe, run.model, run.fitted, splits, title="run", origin="")
    sums = subject.outputs.scores.exp().sum(2)
    torch.testing.assert_close(sums, torch.ones_like(sums))
    labels = of_kind(Fitted, run.fitted).labels
    crf = of_kind(Crf, crf_of(run.model))
    picture, table = views.page("transitions", subject).records[:2]
    heat, pairs = of_kind(HeatMap, picture), of_kind(Table, table)
    assert heat.values[1 + labels.id("B-X")][labels.id("I-X")] == float(
        crf.transitions[labels.id("B-X"), labels.id("I-X")].detach()
    )
    assert heat.values[0][:3] == crf.start.tolist()
    assert {tuple(row[:2]) for row in pairs.rows} >= {("O", "I-X"), ("B-X", "I-X")}
    for name in views.view_names():
        if {"tokens", "crf"} >= views.load_view(name).NEEDS:
            assert all(check.ok for check in views.page(name, subject).checks()), name
    views.overview(subject)


def test_gradients_ask_for_the_marginal(run: Run) -> None:
    """`--loss last`: -log p of the last label, whatever the others are."""
    splits = run.task.read(run.config)
    subject = views.subject_of_task(run.recipe, run.model, run.fitted, splits, title="run", origin="")
    crf = of_kind(Crf, crf_of(run.model))
    batch = subject.batch
    p = crf.log_marginals(run.model(batch).scores, batch.lengths)[-1, 0, int(some(batch.targets)[-1, 0])]
    from rnncli.views._losses import ask

    assert ask(subject, "last").loss.item() == pytest.approx(-p.item(), rel=1e-12)


def test_a_run_opens_and_exports(run: Run, tmp_path: Path) -> None:
    again = open_run(run.folder)
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), run.model.parameters(), strict=True))
    done = export(run, str(tmp_path / "out"))
    assert list(done.files) == ["model.safetensors", "vocab.json", "load.py", "MODEL_CARD.md"]


def test_onnx_holds_the_scores_of_each_step(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    sets = ("model.head=crf", "train.epochs=1", "train.control=false")
    done = export(rnncli.train("hello", out=str(tmp_path / "run"), sets=sets), str(tmp_path / "out"), onnx=True)
    assert all(check.ok for check in done.checks)
    assert any("load.py shows" in note for note in done.notes)


def test_memory_counts_every_pair_of_labels() -> None:
    costs = {}
    for head in ("linear", "crf"):
        recipe = load_recipe("pos-tagging", (f"model.head={head}", "model.input=embedding"))
        splits = recipe.task.read(recipe.config)
        costs[head], _ = estimate(recipe.task, recipe.config, splits)
    C = len(splits.fitted.labels)
    assert costs["crf"].memory - costs["linear"].memory >= 4 * 2 * costs["crf"].T * costs["crf"].B * C**2


def test_no_plain_script_for_a_crf() -> None:
    from rnncli.runs.script import code

    with pytest.raises(UsageError, match=r"does not support model\.head"):
        code(load_recipe("hello", ("model.head=crf",)))


def test_a_missing_label_may_be_any(run: Run) -> None:
    """A step without a label counts neither for nor against the row."""
    batch = run.task.encode(run.config, run.fitted, ["a a"])
    labels = of_kind(Fitted, run.fitted).labels
    losses = []
    for first in (-100, *range(3)):
        targets = torch.tensor([[first], [labels.id("I-X")]])
        losses.append(run.task.loss(run.config, run.model, Batch(batch.inputs, batch.lengths, targets), None))
    assert [loss.count for loss in losses] == [1, 2, 2, 2]
    together = torch.stack([-loss.total for loss in losses[1:]]).logsumexp(0)
    torch.testing.assert_close(-losses[0].total, together)
