"""The task algorithms: what it reads, counts and measures, against plain recomputation."""

from typing import Any

import pytest
import torch

from rnncli.data.batch import Order
from rnncli.data.made.algorithms import PROBLEMS
from rnncli.errors import DataError, RnncliError, UsageError
from rnncli.nn.evaluate import outputs_of
from rnncli.runs.summary import closing
from rnncli.runs.train import run_training
from rnncli.tasks import PredictOptions, Recipe, algorithms, load_recipe
from rnncli.tasks.inputs import made
from rnncli.training.job import prepare
from rnncli.training.loop import fit


def recipe(problem: str, *, cell: str = "lstm", data: dict[str, Any] | None = None, **train: Any) -> Recipe:
    return load_recipe(
        {
            "task": "algorithms",
            "data": {"problem": problem, "max_length": 6, "test_lengths": [6, 12], "test_rows": 8, "batches": 3}
            | (data or {}),
            "model": {"cell": cell, "hidden_size": 8},
            "train": {"epochs": 1, "batch_size": 4, "threads": 1, "lr": 0.01, **train},
        }
    )


@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_problem_trains_and_its_closing_page_has_every_length(problem: str) -> None:
    job = prepare(recipe(problem, compare=["rnn-relu", "lstm", "feedforward"]))
    outcome = run_training(job, None)
    assert list(outcome.compared) == ["rnn-relu", "feedforward"]
    name = "mse" if PROBLEMS[problem].kind == "number" else "accuracy"
    size = PROBLEMS[problem].size
    for metrics in (outcome.metrics, *outcome.compared.values()):
        assert set(metrics) == {"loss", name, f"{size}=6", f"{size}=12"}
    assert set(outcome.baselines[0].metrics) == {name, f"{size}=6", f"{size}=12"}
    assert closing(job, outcome).ok()


def test_batches_are_a_function_of_seed_epoch_and_batch() -> None:
    config: Any = recipe("parity").config
    part = made.Part({})
    whole = list(algorithms.TASK.batches(config, part, Order(0, 1)))
    assert len(whole) == 3
    resumed = list(algorithms.TASK.batches(config, part, Order(0, 1, next_batch=2)))
    assert torch.equal(resumed[0].inputs, whole[2].inputs)
    shares = [next(algorithms.TASK.batches(config, part, Order(0, 1, rank=rank, world=2))).inputs for rank in (0, 1)]
    assert torch.equal(torch.stack(shares, dim=2).flatten(1), whole[0].inputs)
    others = [next(algorithms.TASK.batches(config, part, order)).inputs for order in (Order(0, 2), Order(1, 1))]
    assert all(other.shape != whole[0].inputs.shape or not torch.equal(other, whole[0].inputs) for other in others)


def test_growth_makes_the_first_epochs_short() -> None:
    config: Any = recipe("parity", data={"max_length": 41, "growth": 10, "batches": 50}).config
    part = made.Part({})
    longest = [max(len(b.inputs) for b in algorithms.TASK.batches(config, part, Order(0, e))) for e in (1, 5, 20)]
    assert longest[0] <= 5
    assert longest[1] <= 21
    assert longest[2] > 21


@pytest.mark.parametrize("problem", ["parity", "copy", "anbn", "dyck", "adding"])
def test_metrics_are_those_of_a_plain_loop_over_rows(problem: str) -> None:
    job = prepare(recipe(problem))
    config: Any = job.config
    rows = job.splits.part("validation").groups[""]
    good, total, count = [], 0.0, 0
    for row in rows:
        _, outputs = next(outputs_of(job.model, [made.batch_of(config.data, [row])]))
        scores = outputs.scores[:, 0]
        for t in range(len(row.counted)):
            target = torch.as_tensor(row.targets[t])
            if row.counted[t]:
                count += 1
                if problem == "adding":
                    total += float((scores[t, 0] - target) ** 2)
                elif target.dim():
                    p = scores[t].sigmoid()
                    total -= float((target * p.log() + (1 - target) * (1 - p).log()).sum())
                else:
                    total -= float(scores[t].log_softmax(0)[target])
        if problem == "adding":
            good.append(float((scores[-1, 0] - row.targets[-1]) ** 2))
        elif problem in ("anbn", "dyck"):
            good.append(float(((scores > 0).numpy() == (row.targets > 0)).all()))
        else:
            good += [float(scores[t].argmax() == row.targets[t]) for t in range(row.scored, len(row.targets))]
    found = algorithms.TASK.metrics(config, job.model, job.splits.part("validation"), job.splits.fitted)
    assert found["loss"] == pytest.approx(total / count, rel=1e-5)
    assert found["mse" if problem == "adding" else "accuracy"] == pytest.approx(sum(good) / len(good), rel=1e-5)


def test_last_sees_only_the_judged_answers() -> None:
    config: Any = recipe("parity", data={"answers": "last"}).config
    for batch in algorithms.TASK.batches(config, made.Part({}), Order(0, 1)):
        assert batch.extra["counted"].sum(0).tolist() == [1] * batch.size
        assert torch.equal(batch.extra["counted"], batch.extra["scored"])


def test_always_one_has_the_mean_squared_error_of_the_paper() -> None:
    job = prepare(recipe("adding", data={"test_rows": 2000, "batches": 50}))
    assert job.task.baselines(job.config, job.splits, "validation")[0].metrics["mse"] == pytest.approx(1 / 6, abs=0.01)


def test_parity_is_learned_and_held_far_beyond_the_training_lengths() -> None:
    config = {"max_length": 10, "test_lengths": [10, 100], "test_rows": 50, "batches": 60}
    job = prepare(recipe("parity", data=config, epochs=4, batch_size=32, lr=0.02, clip_grad_norm=1.0))
    *_, end = fit(job)
    assert end.metrics["T=100"] >= 0.98
    assert next(job.task.predict(job.config, job.model, job.splits.fitted, ["1 0 1 1"], PredictOptions())).text == "odd"
    with pytest.raises(UsageError, match="--beam"):
        next(job.task.predict(job.config, job.model, job.splits.fitted, ["1"], PredictOptions(beam=2)))


def test_a_person_s_own_rows() -> None:
    job = prepare(recipe("anbn"))
    batch = job.task.encode(job.config, job.splits.fitted, ["aabb", "^ab"])
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [5, 3]
    with pytest.raises(DataError, match="'x' is not a symbol of anbn"):
        job.task.encode(job.config, job.splits.fitted, ["axb"])
    parity = prepare(recipe("parity"))
    with pytest.raises(DataError, match="empty input"):
        parity.task.encode(parity.config, parity.splits.fitted, [" "])
    job = prepare(recipe("adding"))
    batch = job.task.encode(job.config, job.splits.fitted, ["0.25* 0.5 0.125*"])
    assert batch.inputs[:, 0].tolist() == [[0.25, 1], [0.5, 0], [0.125, 1]]
    assert "." in next(job.task.predict(job.config, job.model, {}, ["0.25* 0.5 0.125*"], PredictOptions())).text
    group = prepare(recipe("s3"))
    batch = group.task.encode(group.config, group.splits.fitted, ["231 213", "123"])
    symbols = PROBLEMS["s3"].symbols
    assert [symbols[i] for i in batch.inputs[:, 0].tolist()] == ["231", "213"]
    with pytest.raises(DataError, match="'231213' is not a symbol of s3"):
        group.task.encode(group.config, group.splits.fitted, ["231213"])
    with pytest.raises(DataError, match="not numbers"):
        job.task.encode(job.config, job.splits.fitted, ["one two"])


@pytest.mark.parametrize(
    ("problem", "data", "train", "words"),
    [
        ("parity", {"min_length": 9}, {}, "min_length exceeds max_length"),
        ("parity", {"test_lengths": []}, {}, "the list of lengths is empty"),
        ("parity", {"test_lengths": [9, 3]}, {}, "lengths must be increasing"),
        ("mqar", {"symbols": 17}, {}, "mqar has 16 keys"),
        ("parity", {}, {"best_by": "mse"}, "parity has no mse"),
        ("adding", {}, {"best_by": "accuracy"}, "adding has no accuracy"),
        ("parity", {"path": "x"}, {}, "path"),
    ],
)
def test_recipes_that_do_not_fit(problem: str, data: dict[str, Any], train: dict[str, Any], words: str) -> None:
    with pytest.raises(RnncliError, match=words):
        recipe(problem, data=data, **train)


def test_the_problems_with_a_number_for_an_answer_are_those_that_have_mse() -> None:
    assert {name for name, problem in PROBLEMS.items() if problem.kind == "number"} == set(made.NUMBERS)
