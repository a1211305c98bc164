"""The loop against loops written out here, in plain torch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rnncli import names
from rnncli.data.batch import Batch, Order
from rnncli.errors import Diverged
from rnncli.locale import english, speaking
from rnncli.recipe import TrainSection
from rnncli.training.loop import Progress, epoch_batches, fit, start, stored_reason
from tests.narrowed import some
from tests.training.training_runs import epochs, job_of

HELLO = [1.5635, 1.2524]  # the losses of plain torch at seed 0, as the design has them


def bare_hello(seed: int, num_epochs: int) -> list[float]:
    """hello -> ohlol with torch alone."""
    letters = "ehlo"
    x = F.one_hot(torch.tensor([letters.index(c) for c in "hello"]), 4).float().unsqueeze(1)  # (5, 1, 4)
    y = torch.tensor([letters.index(c) for c in "ohlol"])
    torch.manual_seed(seed)
    rnn, head = nn.RNN(4, 4), nn.Linear(4, 4)
    optimizer = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=0.1)
    losses = []
    for _ in range(num_epochs):
        loss = F.cross_entropy(head(rnn(x)[0]).flatten(0, 1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("engine", ["torch", "loop"])
def test_hello_has_the_losses_of_a_bare_loop(seed: int, engine: str) -> None:
    found = [p.loss for p in epochs("hello", f"train.seed={seed}", f"model.engine={engine}")]
    assert found == pytest.approx(bare_hello(seed, 30), rel=1e-4, abs=1e-6)


def test_hello_keeps_its_figures() -> None:
    found = epochs("hello")
    assert [round(p.loss, 4) for p in found[:2]] == HELLO
    assert round(found[-1].loss, 4) == 0.0108
    assert [p.watch for p in (found[0], found[6], found[7], found[-1])] == ["eeeee", "ohlll", "ohlol", "ohlol"]


def bare_language_model(config: dict[str, Any], num_epochs: int) -> tuple[list[float], float]:
    """The mean loss of every epoch, and the last validation loss, of a loop in torch alone; no dropout."""
    text = Path(config["data"]["path"]).read_text(encoding="utf-8")
    letters = sorted(set(text))
    ids = torch.tensor([letters.index(c) for c in text])
    held = int(len(ids) * 0.1)
    train, validation = ids[:-held], ids[-held:]
    window, streams = config["data"]["window"], config["train"]["batch_size"]
    steps = (len(train) - 1) // streams
    inputs = torch.stack([train[b * steps : (b + 1) * steps] for b in range(streams)], dim=1)  # (S, B)
    targets = torch.stack([train[b * steps + 1 : (b + 1) * steps + 1] for b in range(streams)], dim=1)
    torch.manual_seed(0)
    front, rnn, head = nn.Embedding(len(letters), 8), nn.LSTM(8, 12, 2), nn.Linear(12, len(letters))
    parameters = [*front.parameters(), *rnn.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=config["train"]["lr"])
    losses = []
    for _ in range(num_epochs):
        state, total, count = None, 0.0, 0
        for start_ in range(0, steps, window):
            x, y = inputs[start_ : start_ + window], targets[start_ : start_ + window]
            output, state = rnn(front(x), state)
            state = tuple(s.detach() for s in state)
            loss = F.cross_entropy(head(output).flatten(0, 1), y.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, config["train"]["clip_grad_norm"])
            optimizer.step()
            total, count = total + loss.item() * y.numel(), count + y.numel()
        losses.append(total / count)
    with torch.no_grad():
        scores = head(rnn(front(validation[:-1].unsqueeze(1)))[0]).squeeze(1)
        return losses, float(F.cross_entropy(scores, validation[1:]))


def test_a_language_model_has_the_losses_of_a_bare_loop(small_lm: dict[str, Any]) -> None:
    small_lm["model"]["dropout"] = 0.0
    found = epochs(small_lm)
    losses, validation = bare_language_model(small_lm, 3)
    assert [p.loss for p in found] == pytest.approx(losses, rel=1e-4)
    assert found[-1].metrics["loss"] == pytest.approx(validation, rel=1e-4)
    assert found[-1].metrics["perplexity"] == pytest.approx(math.exp(validation), rel=1e-4)
    assert found[-1].metrics["bits"] == pytest.approx(validation / math.log(2), rel=1e-4)


OPTIMIZER_ARGUMENTS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9, "nesterov": True},
    "rmsprop": {"momentum": 0.5},
    "adam": {"betas": [0.8, 0.9]},
}


@pytest.mark.parametrize("name", names.OPTIMIZERS)
def test_every_optimizer_does_what_torch_does(name: str) -> None:
    arguments = OPTIMIZER_ARGUMENTS.get(name, {})
    recipe = {
        "task": "tagging",
        "data": {"pairs": [["hello", "ohlol"]]},
        "model": {"hidden_size": 4},
        "train": {"epochs": 5, "batch_size": 1, "lr": 0.02, "optimizer": {"name": name, **arguments}},
    }
    found = [p.loss for p in epochs(recipe)]
    job = job_of(recipe)
    optimizer = getattr(torch.optim, names.OPTIMIZERS[name][0])(job.model.parameters(), lr=0.02, **arguments)
    losses = []
    for _ in range(5):
        (batch,) = job.task.batches(job.config, job.splits.train, None)
        scores = job.model(batch).scores
        loss = F.cross_entropy(scores.flatten(0, 1), some(batch.targets).flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert found == pytest.approx(losses, rel=1e-4)
    assert len(set(found)) == 5


SCHEDULE_ARGUMENTS: dict[str, dict[str, Any]] = {
    "constant": {"factor": 0.5, "total_iters": 2},
    "exponential": {"gamma": 0.5},
    "step": {"step_size": 2},
    "multistep": {"milestones": [1, 3]},
    "cosine-restarts": {"T_0": 2},
    "plateau": {"patience": 0, "threshold": 0.9},
}


@pytest.mark.parametrize("name", ["constant", "linear"])
def test_a_warm_up_reaches_the_recipes_rate(name: str) -> None:
    rates = [p.lr for p in fit(job_of("hello", "train.epochs=8", f"train.schedule={name}")) if p.event == "epoch"]
    assert rates[0] == pytest.approx(0.1 / 3)
    assert rates[5:] == pytest.approx([0.1] * 3)


@pytest.mark.parametrize("name", names.SCHEDULES)
def test_a_schedule_that_depends_on_the_number_of_epochs_is_known(name: str) -> None:
    """Its runs are not resumed for longer."""

    def rates(epochs: int) -> list[float]:
        schedule = {"name": name, **SCHEDULE_ARGUMENTS.get(name, {})}
        job = job_of("hello", f"train.epochs={epochs}", f"train.schedule={json.dumps(schedule)}")
        return [p.lr for p in fit(job) if p.event == "epoch"][:3]

    assert (rates(5) != rates(9)) == (name in names.SCHEDULES_BY_EPOCHS)


@pytest.mark.parametrize("name", names.SCHEDULES)
def test_every_schedule_gives_the_rates_that_torch_gives(name: str) -> None:
    arguments = SCHEDULE_ARGUMENTS.get(name, {})
    recipe = {
        "task": "tagging",
        "data": {"pairs": [["hello", "ohlol"], ["hole", "oleh"]]},
        "model": {"hidden_size": 4},
        "train": {"epochs": 5, "batch_size": 1, "lr": 0.1, "schedule": {"name": name, **arguments}},
    }
    found = [p for p in fit(job_of(recipe)) if p.event != "end"]
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=0.1)
    of_the_run: dict[str, dict[str, Any]] = {
        "cosine": {"T_max": 5},
        "one-cycle": {"max_lr": 0.1, "total_steps": 10},
        "polynomial": {"total_iters": 5},
    }
    made = getattr(torch.optim.lr_scheduler, names.SCHEDULES[name][0])(
        optimizer, **{**of_the_run.get(name, {}), **arguments}
    )
    rates: list[float] = []
    for progress in found:
        if progress.event == "step":
            rates.append(optimizer.param_groups[0]["lr"])  # what this update was made with
            optimizer.step()
            if name == "one-cycle":
                made.step()
            continue
        rates.append(rates[-1])
        if name == "plateau":
            made.step(progress.metrics["loss"])
        elif name != "one-cycle":
            made.step()
    assert [p.lr for p in found] == pytest.approx(rates)
    assert len(set(rates)) > 1


def test_clipping_bounds_the_norm_of_all_gradients() -> None:
    job = job_of("hello", "train.clip_grad_norm=0.01", "train.epochs=1")
    list(fit(job))
    norm = torch.stack([some(p.grad).norm() for p in job.model.parameters()]).norm()
    assert float(norm) == pytest.approx(0.01, rel=1e-3)


def test_the_best_epoch_is_kept() -> None:
    job = job_of("hello", "train.lr=3.0", "train.epochs=12")  # too large a rate: the loss jumps about
    found = [(p.metrics["loss"], p) for p in fit(job) if p.event == "epoch"]
    best = min(loss for loss, _ in found)
    assert best < found[-1][0], "the last epoch is the best one: nothing is shown"
    assert job.task.metrics(job.config, job.model, job.splits.train, job.splits.fitted)["loss"] == pytest.approx(best)
    marks = [p.improved for _, p in found]
    running = [loss == min(other for other, _ in found[: i + 1]) for i, (loss, _) in enumerate(found)]
    assert marks == running


def test_early_stopping_counts_epochs_without_improvement() -> None:
    job = job_of("hello", "train.lr=1e-9", "train.optimizer=sgd", "train.early_stopping=3", "train.epochs=50")
    *_, end = fit(job)
    assert end.stopped == "no improvement for 3 epochs"
    assert end.step < 50


def test_limits_of_steps_and_time(small_lm: dict[str, Any]) -> None:
    *before, end = fit(job_of(small_lm, "train.max_steps=7"))
    assert (end.step, end.stopped) == (7, "max_steps reached")
    assert [p.event for p in before] == ["step"] * 7 + ["epoch"], "cut within the epoch, then measured"
    *before, end = fit(job_of(small_lm, "train.max_time=0.000001"))
    assert (end.step, end.stopped) == (1, "max_time reached")
    assert before[-1].metrics["loss"] > 0


def test_overfit_batches_trains_on_the_same_few(small_lm: dict[str, Any]) -> None:
    job = job_of(small_lm, "train.overfit_batches=2", "train.epochs=60", "model.dropout=0.0", "train.lr=0.03")
    assert job.steps_per_epoch() == 2
    state = start(job)
    first = [batch.inputs for batch in epoch_batches(job, state)]
    state.epoch = 9
    again = [batch.inputs for batch in epoch_batches(job, state)]
    assert len(first) == 2
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    found = [p.loss for p in fit(job) if p.event == "epoch"]
    assert found[-1] < 0.5 * found[0]


def test_a_loss_that_is_no_number_stops_or_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(job: Any, steps: set[int]) -> None:
        plain, calls = job.task.loss, iter(range(1, 1000))

        def loss(config: Any, model: Any, batch: Batch, carry: Any) -> Any:
            found = plain(config, model, batch, carry)
            if next(calls) in steps:
                found.total = found.total * math.nan
            return found

        monkeypatch.setattr(job.task, "loss", loss)

    job = job_of("hello")
    spoil(job, {3})
    with pytest.raises(Diverged, match="step 3") as raised:
        list(fit(job))
    assert raised.value.exit_code == 4
    monkeypatch.undo()
    recipe = {
        "task": "tagging",
        "data": {"pairs": [["hello", "ohlol"], ["hole", "oleh"]]},
        "model": {"hidden_size": 4},
        "train": {"epochs": 20, "batch_size": 1, "lr": 0.05, "on_nan": "skip"},
    }
    job = job_of(recipe)
    spoil(job, {3})
    *_, end = fit(job)
    assert end.step == 40
    assert all(torch.isfinite(p).all() for p in job.model.parameters())
    monkeypatch.undo()
    job = job_of(recipe)
    spoil(job, {1, 2})
    with pytest.raises(Diverged):
        list(fit(job))


def test_a_rate_far_too_large_diverges() -> None:
    with pytest.raises(Diverged):
        list(fit(job_of("hello", "train.optimizer=sgd", "train.lr=1e30", "model.nonlinearity=relu")))


def test_the_order_of_rows_is_a_pure_function_of_the_seed_and_the_epoch() -> None:
    job = job_of({"task": "tagging", "data": {"path": "builtin:treebank"}, "model": {"hidden_size": 4}, "train": {}})
    rows = [
        [list(b.rows) for b in job.task.batches(job.config, job.splits.train, Order(0, epoch))] for epoch in (1, 1, 2)
    ]
    assert rows[0] == rows[1] != rows[2]
    for epoch in rows:
        assert sorted(row for batch in epoch for row in batch) == list(range(len(job.splits.train.rows)))


def test_progress_reads_the_loss_only_when_asked() -> None:
    read: list[int] = []

    def read_loss() -> float:
        read.append(1)
        return 0.5

    progress = Progress("step", 1, 1, 1.0, 0.1, 0.1, read_loss)
    assert not read
    assert progress.loss == 0.5
    assert read == [1]


@pytest.mark.parametrize(
    ("stopped", "chinese", "options"),
    [
        ("no improvement for 1,200 epochs", "1,200 轮没有进步", "--set train.early_stopping=2400"),
        ("no improvement for 1 epoch", "1 轮没有进步", "--set train.early_stopping=2400"),
        ("max_steps reached", "达到 max_steps", "--set train.max_steps=10"),
        ("max_time reached", "达到 max_time", "--max-time 60"),
        ("all epochs done", "全部轮次完成", "--epochs 14"),
    ],
)
def test_a_stored_reason_is_said_in_the_readers_language_and_with_the_option_that_lifts_it(
    stopped: str, chinese: str, options: str
) -> None:
    train = TrainSection(epochs=7, early_stopping=1200, max_steps=5, max_time=30.0)
    assert stored_reason(stopped, train) == (stopped, options)
    with speaking("zh"):
        text, option = stored_reason(stopped, train)
    assert (text, english(text), option) == (chinese, stopped, options)
