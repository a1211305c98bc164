"""`train --find-lr`: the learning rate grows, the loss is drawn, nothing is kept."""

from __future__ import annotations

import json
import math
from itertools import islice, pairwise
from pathlib import Path

import pytest
import torch

from rnncli.data.batch import Order
from rnncli.errors import Diverged
from rnncli.runs.find_lr import HIGHEST, LOWEST, WINDOW, RangeTest, range_test
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from tests.fixture_types import Typed

BARE = ("train.control=false", "train.compare=[]", "train.threads=1")


def test_it_is_a_loop_of_updates_with_growing_rates() -> None:
    """Against plain SGD written out: the same rates, and the losses of the same updates, averaged."""
    sets = ("train.optimizer=sgd", "data.pairs=[[hello, ohlol], [hell, ohll]]", "train.batch_size=1", *BARE)
    found = range_test(prepare(load_recipe("hello", sets)), updates=30)
    ratios = [b / a for a, b in pairwise(found.rates)]
    assert found.rates[0] == pytest.approx(LOWEST)
    assert all(ratio == pytest.approx((HIGHEST / LOWEST) ** (1 / 29)) for ratio in ratios)

    job = prepare(load_recipe("hello", sets))
    batches = [batch for epoch in range(1, 40) for batch in job.batches(Order(job.config.train.seed, epoch))]
    losses = []
    for rate, batch in zip(found.rates, batches, strict=False):
        loss = job.task.loss(job.config, job.model, batch, None)
        mean = loss.total / loss.count
        losses.append(mean.item())
        job.model.zero_grad()
        mean.backward()
        with torch.no_grad():
            for parameter in job.model.parameters():
                assert parameter.grad is not None
                parameter.sub_(rate * parameter.grad)
    for i, average in enumerate(found.losses):
        near = losses[max(0, i - WINDOW) : i + WINDOW + 1]
        assert average == pytest.approx(sum(near) / len(near), rel=1e-4)


def test_where_the_loss_falls_fastest() -> None:
    rates = [10 ** (k / 10 - 4) for k in range(40)]
    losses = [2 - 1 / (1 + math.exp(20 - k)) for k in range(35)] + [3.0, 9.0, 30.0, 90.0, 200.0]
    assert RangeTest(rates, losses).steepest == 20
    assert RangeTest(rates, [float(k) for k in range(40)]).steepest is None
    assert RangeTest(rates, losses).suggested == pytest.approx(rates[20] / 3)
    assert RangeTest(rates, [*losses[:22], *[9.0] * 18]).suggested == pytest.approx(rates[21] / 10)  # 20 is steepest
    assert RangeTest(rates, [float(k) for k in range(40)]).suggested is None


def test_it_ends_where_the_loss_grows(typed: Typed) -> None:
    code, out, _ = typed("train", "names", "--find-lr", *[word for text in BARE for word in ("--set", text)])
    assert code == 0
    assert "ended: the loss is 4 times the lowest" in out
    assert "next  rnncli train names --set train.control=false" in out
    assert not Path("runs").exists()


def test_chart_mark_sentence_and_command_agree(typed: Typed) -> None:
    """The chart ends where the test ended, at 4 times its lowest loss, and one rate is suggested everywhere."""
    words = [word for text in BARE for word in ("--set", text)]
    page = json.loads(typed("train", "names", "--find-lr", "--json", *words)[1])
    (curve,) = page["series"]
    (losses,) = curve["lines"].values()
    assert losses[-1] > 4 * min(losses)
    ((mark, place),) = curve["marks"].items()
    rate = mark.removeprefix("suggested: ")
    assert float(rate) == pytest.approx(10**place)
    steepest, lowest = (row["lr"] for row in page["rows"][:2])
    assert rate == f"{min(steepest / 3, lowest / 10):.1g}"
    assert float(curve["ticks"][-1]) == pytest.approx(10 ** curve["x"][-1], rel=0.05)
    screen = " ".join(typed("train", "names", "--find-lr", *words)[1].split())
    assert f"suggested: {rate}, a third of the rate of the steepest decrease" in screen
    assert f"--lr {rate} try it" in screen


def test_a_rate_that_makes_no_numbers_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnncli.runs.find_lr.HIGHEST", 1e30)
    monkeypatch.setattr("rnncli.runs.find_lr.APART", math.inf)
    sets = ("model.nonlinearity=none", "train.optimizer=sgd", "model.num_layers=3", *BARE)
    found = range_test(prepare(load_recipe("hello", sets)), updates=40)
    assert 5 < len(found.losses) < 40
    assert "became" in found.ended
    assert all(map(math.isfinite, found.losses))


@pytest.mark.parametrize(
    ("on_nan", "says"),
    [("stop", "the loss became nan"), ("skip", "every batch of this epoch had a NaN or infinite loss or gradient")],
)
def test_without_one_loss_that_is_a_number_it_says_so(on_nan: str, says: str) -> None:
    job = prepare(load_recipe("hello", (f"train.on_nan={on_nan}", *BARE)))
    with torch.no_grad():
        next(job.model.parameters()).fill_(math.nan)
    with pytest.raises(Diverged, match=says):
        range_test(job, updates=5)


def test_its_next_command_has_what_was_typed(typed: Typed) -> None:
    words = [word for text in BARE for word in ("--set", text)]
    code, out, _ = typed("train", "names", "--find-lr", "--batch-size", "16", "--lr", "9", "--seed", "3", *words)
    assert code == 0
    command = " ".join(out[out.index("next  ") :].split())
    assert "--batch-size 16 --seed 3 --lr " in command
    assert "--lr 9" not in command


def test_its_json(typed: Typed) -> None:
    code, out, _ = typed("train", "hello", "--find-lr", "--json")
    page = json.loads(out)
    assert code == 0
    assert page["schema"] == "rnncli/find-lr/1"
    assert typed("train", "hello", "--find-lr", "--json")[1] == out  # the same numbers, twice


def test_the_carry_of_a_text_begins_anew_with_each_epoch(tmp_path: Path) -> None:
    """A language model whose epoch is shorter than the test: batches come again, from a fresh state."""
    (tmp_path / "t.txt").write_text("so it goes, and so it went. " * 80)
    sets = (f"data.path={tmp_path / 't.txt'}", "data.window=16", "train.batch_size=4", "model.hidden_size=8", *BARE)
    job = prepare(load_recipe("language-model", sets))
    assert len(list(islice(job.batches(Order(0, 1)), 100))) < 60
    assert len(range_test(job, updates=60).losses) > 30
