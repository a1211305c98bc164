"""what-if: the answers of a changed run in each task's words, and what is typed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from rnncli import render
from rnncli.cli import run
from rnncli.errors import UsageError
from rnncli.records import Message, Page, Table
from rnncli.render.lines import cells as width_of
from rnncli.replay import trace
from rnncli.tasks import PredictOptions, load_recipe
from rnncli.tasks.base import AnyTask
from rnncli.views import Options, Subject, page, subject_of_recipe


@cache
def subject(name: str = "hello", *sets: str) -> Subject:
    return subject_of_recipe(load_recipe(name, sets))


def shown(of: Subject, *change: str, other: str | None = None) -> Page:
    found = page("what-if", of, Options(change=change or None, from_input=other))
    for width in (80, 120):
        assert all(width_of(line) <= width for line in render.to_text(found, width=width).splitlines())
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    render.dump_json(found, stream)
    assert render.render_file(found, ".csv")
    return found


def table(of: Page, name: str) -> Table:
    return next(record for record in of.records if isinstance(record, Table) and record.name == name)


def answer(of: Page) -> str:
    first = of.records[0]
    assert isinstance(first, Message)
    return first.text


LSTM = ("hello", "model.cell=lstm", "model.num_layers=2")


def test_every_step_before_and_after() -> None:
    """Tagging: the numbers are the model's own and the patched trace's own."""
    of = subject(*LSTM)
    found = shown(of, "l1.gate.f[0]=1", "l0.h@2:=0")
    wanted = trace(of.model, of.batch, check=False, patch={"l1.fwd.gate.f[0]": 1.0, "l0.fwd.h@2:": 0.0})
    after = of.read(wanted.result).scores[:, 0].double().softmax(1).max(1)
    before = of.outputs.scores[:, 0].double().softmax(1).max(1)
    rows = [list(row) for row in table(found, "answers").rows]
    assert [row[1] for row in rows] == list("hello")
    assert [row[3] for row in rows] == before.values.tolist()
    assert [row[5] for row in rows] == after.values.tolist()
    parts = {row[0]: row[1] for row in table(found, "parting").rows}
    assert parts["l0.fwd.h"] == 2
    assert parts["l1.fwd.gate.f"] == 0
    assert parts["l0.fwd.c"] == 3  # c_2 was computed before h_2 was changed
    assert "l1.fwd.gate.i" not in parts
    differ = [t for t, row in enumerate(rows) if row[-1] == "*"]
    assert ("No prediction changes" in answer(found)) == (not differ)


def test_a_range_clamps_and_itself_changes_nothing() -> None:
    of = subject(*LSTM)
    found = shown(of, "l0.c=-100..100")
    assert "the largest change of a probability is 0" in answer(found)
    assert all(row[1] is None and row[2] == 0 for row in table(found, "parting").rows)
    clamped = trace(of.model, of.batch, check=False, patch={"l0.c": lambda c: c.clamp(-0.01, 0.01)})
    before = trace(of.model, of.batch, check=False)
    most = float((clamped["l1.fwd.h"] - before["l1.fwd.h"]).abs().max())
    assert {row[0]: row[2] for row in table(shown(of, "l0.c=-0.01..0.01"), "parting").rows}["l1.fwd.h"] == most > 0


def test_the_states_of_another_input() -> None:
    of = subject(*LSTM)
    names = [f"l{k}.{part}" for k in range(2) for part in "hc"]
    changes = [f"{name}@2=other" for name in names]
    found = shown(of, *changes, other="ohelo")
    assert {row[1] for row in table(found, "parting").rows} == {2}
    same = shown(of, *changes, other="hello")
    assert {row[1] for row in table(same, "parting").rows} == {None}
    short = shown(of, "l1.h@1:=other", "l0.h[0]@:2=other", other="ell")
    assert table(short, "parting").rows
    with pytest.raises(UsageError, match="the other input has 3 steps"):
        shown(of, "l1.h@3=other", other="ell")


def test_one_answer_for_a_sample(thinned: None) -> None:
    found = shown(subject("names", "model.num_layers=1", "model.bidirectional=false"), "h@-1=0")
    rows = table(found, "answers").rows
    assert "prediction" in answer(found)
    assert 3 <= len(rows) <= 6
    assert abs(sum(float(str(row[3])) - float(str(row[2])) + float(str(row[1])) for row in rows)) < 1e-9


def test_forecasts_are_in_the_units_of_the_data() -> None:
    """Those that `predict` writes for the same window."""
    small = ("data.window=12", "data.season=12", "model.hidden_size=4")
    recipe, of = load_recipe("forecasting", small), subject("forecasting", *small)
    task: AnyTask = recipe.task
    path = recipe.config.model_dump()["data"]["path"]
    batch = task.encode(recipe.config, of.fitted, [path])
    said = next(task.predict(recipe.config, of.model, of.fitted, [path], PredictOptions())).json
    assert isinstance(said, dict)
    (wanted,) = said["forecast"].values()
    with torch.no_grad():
        scores = task.in_units(recipe.config, of.fitted, batch, of.model(batch).scores)
    torch.testing.assert_close(scores[:, 0, 0].tolist(), wanted, rtol=1e-6, atol=0)
    found = shown(of, "h=0")
    first = table(found, "answers").rows[0]
    assert float(first[1][0]) > 50  # type: ignore[index]  # passengers, not deviations


def test_a_translation_may_become_longer(thinned: None) -> None:
    found = shown(subject("translation"), "encoder.fwd.h=0")
    assert any(row[0] == "decoder.l0.fwd.h" and row[1] == 0 for row in table(found, "parting").rows)


def test_without_a_change_it_says_what_can_be(make: Callable[..., Subject]) -> None:
    names = [row[0] for row in table(shown(make("minlstm")), "choices").rows]
    assert names == ["l0.fwd.h", "l0.fwd.gate.n", "l0.fwd.k"]  # f and i are returned for show
    assert len(table(shown(make("deltanet")), "choices").rows) == 7
    assert table(shown(make("gru"), "gate.z[0]@1=0.5"), "answers").rows


@pytest.mark.parametrize(
    ("change", "other", "said"),
    [
        ("h", None, "missing value in 'h'"),
        ("h=", None, "a number, a range such as -1..1"),
        ("h=1..0", None, "not a valid value"),
        ("h=..", None, "not a valid value"),
        ("h=x", None, "not a valid value"),
        ("=0", None, "not a change"),
        ("hh=0", None, "did you mean h?"),
        ("h@2=other", None, "needs --from-input"),
        ("c=0", "hello", "from-input is not used by any change"),
    ],
)
def test_what_cannot_be_read_is_answered(change: str, other: str | None, said: str) -> None:
    with pytest.raises(UsageError) as error:
        shown(subject("hello", "model.cell=lstm"), change, other=other)
    assert said in str(error.value)


def test_at_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def typed(*words: str) -> int:
        return run(["inspect", "hello", *words])

    saved = tmp_path / "found.json"
    assert typed("what-if", "--change", "h[0]@1:=0", "--json", "--save", str(saved)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads(saved.read_text("utf-8"))
    assert document["schema"] == "rnncli/what-if/1"
    assert document["config"]["change"] == ["h[0]@1:=0"]
    assert typed("what-if", "--change", "h[9]=0") == 2
    assert "units go from 0 to 3" in capsys.readouterr().err
    assert typed("steps", "--change", "h=0") == 2
    assert "does not support --change" in capsys.readouterr().err
