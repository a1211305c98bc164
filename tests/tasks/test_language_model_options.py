"""Options of a language model: tied weights, weight drop, embedding dropout, dynamic evaluation; prepared corpora."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import rnncli
from rnncli.errors import RecipeError, UsageError
from rnncli.names import CELLS
from rnncli.nn.heads import PerStep, Tied
from rnncli.nn.model import SequenceModel
from rnncli.runs.evaluation import evaluate
from rnncli.runs.export import export
from rnncli.runs.open import open_run
from rnncli.runs.summary import metrics_table
from rnncli.tasks import Recipe, load_recipe
from rnncli.tasks import language_model as task
from rnncli.tasks.language_model import Model
from rnncli.training.job import Job, prepare, with_cell
from rnncli.training.loop import fit
from tests.narrowed import of_kind, some

TEXT = "the cat <unk> on the mat\nthe dog sat\n\na <unk> ran\n" * 40
SMALL: dict[str, Any] = {"cell": "lstm", "hidden_size": 5, "embedding_size": 5}


def recipe(path: Path, model: dict[str, Any] | None = None, train: dict[str, Any] | None = None) -> Recipe:
    if not path.exists():
        path.write_text(TEXT)
    return load_recipe(
        {
            "task": "language-model",
            "data": {"path": str(path), "tokens": "whitespace", "window": 6},
            "model": {**SMALL, **(model or {})},
            "train": {"epochs": 1, "batch_size": 4, "sample": {"length": 0}, **(train or {})},
        }
    )


def parts(job: Job) -> SequenceModel:
    return of_kind(SequenceModel, job.model)


def test_tied_weights_score_tokens_by_their_own_vectors(tmp_path: Path) -> None:
    """One table in the model, in its gradient from both ends, and in its file."""
    made = recipe(tmp_path / "a.txt", {"tie_weights": True}, {"dtype": "float64"})
    job = prepare(made)
    model, batch = parts(job), next(iter(job.task.batches(job.config, job.splits.train, None)))
    assert not [name for name in model.state_dict() if name == "head.weight"]
    table, head = model.get_parameter("front.weight"), of_kind(Tied, model.head)
    output, _ = model.rnn(F.embedding(batch.inputs, table))
    wanted = output @ table.t() + head.bias
    torch.testing.assert_close(model(batch).scores, wanted, rtol=1e-12, atol=1e-12)
    (found,) = torch.autograd.grad(model(batch).scores.square().sum(), [table])
    (both,) = torch.autograd.grad(wanted.square().sum(), [table])
    torch.testing.assert_close(found, both, rtol=1e-10, atol=1e-10)
    run = rnncli.train(made, out=str(tmp_path / "run"))
    again = open_run(run.folder)
    torch.testing.assert_close(again.model(batch).scores, run.model(batch).scores, rtol=0, atol=0)
    assert isinstance(parts(with_cell(job, "gru")).head, Tied)


def test_a_compared_cell_of_another_size_keeps_its_own_head(tmp_path: Path) -> None:
    job = prepare(recipe(tmp_path / "a.txt", {"tie_weights": True, "hidden_size": 8, "proj_size": 5}))
    assert isinstance(parts(job).head, Tied)
    assert isinstance(parts(with_cell(job, "gru")).head, PerStep)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"tie_weights": True, "hidden_size": 6}, "embedding_size is 5, but h_t has size 6"),
        ({"tie_weights": True, "input": "one-hot"}, "one-hot inputs have no embedding to tie"),
        ({"weight_drop": 1.0}, "weight_drop"),
        ({"embedding_dropout": -0.1}, "embedding_dropout"),
    ],
)
def test_what_cannot_be(tmp_path: Path, model: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path / "a.txt", model)
    assert said in str(caught.value)


@pytest.mark.parametrize("option", [{"weight_drop": 0.5}, {"embedding_dropout": 0.5}, {"tie_weights": True}])
def test_each_trains_and_changes_training_alone(tmp_path: Path, option: dict[str, Any]) -> None:
    plain, other = prepare(recipe(tmp_path / "a.txt")), prepare(recipe(tmp_path / "a.txt", option))
    if "tie_weights" not in option:
        batch = next(iter(plain.task.batches(plain.config, plain.splits.train, None)))
        torch.testing.assert_close(other.model.eval()(batch).scores, plain.model.eval()(batch).scores, rtol=0, atol=0)
    (*_, without), (*_, end) = fit(plain), fit(other)
    assert without.metrics["loss"] != end.metrics["loss"]


OTHERS: dict[str, tuple[Any, ...]] = {
    "nonlinearity": ("tanh", "relu", "none"),
    "hidden_size": (4,),
    "num_layers": (1,),
    "bidirectional": (True,),
    "dropout": (0.5,),
    "proj_size": (3,),
    "bias": (False,),
    "input": ("one-hot",),
    "embedding_size": (4,),
    "embedding_dropout": (0.5,),
    "weight_drop": (0.5,),
    "tie_weights": (True,),
}


@pytest.mark.parametrize("cell", CELLS)
def test_no_key_is_silently_ignored_by_a_cell(tmp_path: Path, cell: str) -> None:
    """Each key of `model:` changes the weights or a batch in training, or is refused, or a note says: no effect."""
    own = {name: (0.5, 2, True, False, *option.choices) for name, option in CELLS[cell].options.items()}
    assert OTHERS.keys() == Model.model_fields.keys() - {"cell", "engine"}  # engines compute the same
    base = {"cell": cell, "hidden_size": 6, "embedding_size": 6, "num_layers": 2}
    unchanged = recipe(tmp_path / "a.txt", base)
    plain, wrong = _trained_once(unchanged), []
    for key, values in (OTHERS | own).items():
        for value in values:
            try:
                made = recipe(tmp_path / "a.txt", {**base, key: value})
            except RecipeError:
                continue
            if made.config == unchanged.config:
                continue
            noted = any(name == f"model.{key}" for name, _ in made.config.idle())
            if noted != (_trained_once(made) == plain):
                wrong.append((key, value, noted))
    assert not wrong


def _trained_once(made: Recipe) -> list[float]:
    """The weights and the scores of a batch, in training mode, as numbers."""
    job = prepare(made)
    batch = next(iter(job.task.batches(job.config, job.splits.train, None)))
    torch.manual_seed(0)
    scores = job.model.train()(batch).scores
    return [*(x for w in job.model.parameters() for x in w.flatten().tolist()), *scores.flatten().tolist()]


def test_a_perplexity_beyond_the_largest_number_is_infinite(tmp_path: Path) -> None:
    """Not exp(700). Every file stays JSON, where infinity is text, and what reads it reads infinity."""
    run = rnncli.train(
        recipe(tmp_path / "a.txt", train={"lr": 1e6, "best_by": "perplexity"}), out=str(tmp_path / "run")
    )
    files = [(run.folder / name).read_text() for name in ("metrics.jsonl", "result.json")]
    for found in (json.loads(text, parse_constant=pytest.fail) for text in files):
        metrics = found.get("validation", found.get("metrics"))
        assert metrics["loss"] > 710  # the logarithm of the largest float64 is 709.8
        assert metrics["perplexity"] == "inf"
    assert evaluate(run).metrics["perplexity"] == math.inf
    assert "perplexity inf" in repr(run)
    export(run, str(tmp_path / "out"))
    assert "| inf |" in (tmp_path / "out" / "MODEL_CARD.md").read_text()


def test_dynamic_evaluation_against_the_loop_written_out(tmp_path: Path) -> None:
    """One stream of windows of 6, the state carried; the run's own weights stay as they are."""
    run = rnncli.train(recipe(tmp_path / "a.txt", train={"dtype": "float64"}), out=str(tmp_path / "run"))
    splits = run.task.read(run.config)
    ids = torch.from_numpy(splits.part("validation").ids.read(0, len(splits.part("validation").ids)))
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    weights = {name: w.detach().clone().requires_grad_() for name, w in run.model.named_parameters()}
    core, state, total = torch.nn.LSTM(5, 5).double(), None, 0.0
    for start in range(0, len(ids) - 1, 6):
        x, y = ids[start : start + 6][: len(ids) - 1 - start], ids[start + 1 : start + 7]
        own = {name.removeprefix("rnn."): w for name, w in weights.items() if name.startswith("rnn.")}
        output, state = torch.func.functional_call(core, own, (F.embedding(x, weights["front.weight"]), state))
        loss = F.cross_entropy(F.linear(output, weights["head.weight"], weights["head.bias"]), y)
        total += float(loss.detach()) * len(y)
        gradients = torch.autograd.grad(loss, list(weights.values()))
        state = tuple(s.detach() for s in some(state))
        pairs = zip(weights.items(), gradients, strict=True)
        weights = {name: (w - 0.3 * g).detach().requires_grad_() for (name, w), g in pairs}
    found = evaluate(run, split="validation", dynamic=0.3)
    assert found.metrics["loss"] == pytest.approx(total / (len(ids) - 1), rel=1e-10)
    assert found.metrics["loss"] < evaluate(run, split="validation").metrics["loss"]
    assert "dynamic evaluation: one SGD step after each window, learning rate 0.3" in found.notes[-1]
    assert all(torch.equal(tensor, before[name]) for name, tensor in run.model.state_dict().items())


def test_no_dynamic_evaluation_without_an_order(tmp_path: Path) -> None:
    run = rnncli.train("hello", out=str(tmp_path / "run"), sets=("train.epochs=1", "train.control=false"))
    with pytest.raises(UsageError, match="task tagging does not support dynamic evaluation"):
        evaluate(run, dynamic=0.1)


def test_perplexity_of_a_prepared_corpus_is_that_of_published_figures(tmp_path: Path) -> None:
    """Every token but the first is predicted, line ends (blank lines' too) and <unk> among them, with no other <unk>:
    what the figures of Penn Treebank and WikiText-2 count."""
    path = tmp_path / "a.txt"
    job = prepare(recipe(path, train={"dtype": "float64"}))
    tokens = TEXT.replace("\n", " <eos> ").split()
    held = tokens[len(tokens) - int(len(tokens) * 0.1) :]
    fitted = job.splits.fitted.tokens
    assert sorted(fitted.tokens) == sorted({"\n" if token == "<eos>" else token for token in tokens})
    ids = torch.tensor([fitted.id("\n" if token == "<eos>" else token) for token in held])
    model = parts(job)
    with torch.no_grad():
        output, _ = model.rnn(F.embedding(ids[:-1], model.get_parameter("front.weight")))
        loss = F.cross_entropy(model.head(output, (), None), ids[1:])
    config = of_kind(task.Config, job.config)
    metrics = task.TASK.metrics(config, job.model, job.splits.part("validation"), job.splits.fitted)
    assert metrics["perplexity"] == pytest.approx(math.exp(float(loss)), rel=1e-10)


def test_bits_are_named_for_what_they_are_of() -> None:
    table = metrics_table([("lstm", {"loss": 1.0, "perplexity": 2.7, "bits": 1.4}, "")])
    assert [(column.name, column.label) for column in table.columns[1:4]] == [
        ("loss", "loss"),
        ("perplexity", "perplexity"),
        ("bits", "bits per character"),
    ]
