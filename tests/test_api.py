"""The calls of Python against the commands: the same figures, nothing printed, nothing of the caller's changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import rnncli
from rnncli.cli import run as command
from rnncli.data.values import Data, path_of
from rnncli.errors import DataError, RecipeError, UsageError
from rnncli.runs.resume import STOPPED

PLAIN = {"train.control": False}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def printed(capfd: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    """The documents that a command prints."""
    assert command([*words, "--json"]) == 0
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_calls_give_what_commands_print(capfd: pytest.CaptureFixture[str]) -> None:
    epochs: list[rnncli.Epoch] = []
    run = rnncli.train("hello", sets={**PLAIN, "train.epochs": 9}, on_epoch=epochs.append)
    found = rnncli.evaluate(run, require=["accuracy>=0.5", "loss<0"])
    answers = rnncli.predict(run, ["hello", "oll"])
    page = rnncli.inspect(run, "memory")
    assert capfd.readouterr() == ("", "")
    lines = printed(capfd, "train", "hello", "--set", "train.control=false", "--epochs", "9")
    timed = {"seconds", "per_second"}
    assert [{**line, "seconds": 0, "per_second": 0} for line in lines[:-1]] == [
        {key: 0 if key in timed else value for key, value in epoch.to_json().items()} for epoch in epochs
    ]
    assert run.result()["metrics"] == lines[-1]["metrics"]
    assert [epoch.values() for epoch in epochs] == run.metrics()
    assert (run.folder / "model.safetensors").read_bytes() == Path("runs/hello-002/model.safetensors").read_bytes()
    assert found.ok() is False
    assert [check.ok for check in found.checks] == [True, False]
    (document,) = printed(capfd, "evaluate", "hello-001")
    assert {**found.to_json(), "require": []} == document
    assert printed(capfd, "predict", "hello-001", "hello", "oll") == [answer.json for answer in answers]
    (shown,) = printed(capfd, "inspect", "runs/hello-001", "memory")
    assert page.to_json() == shown


def test_what_is_given_may_be_a_name_a_path_or_what_is_open() -> None:
    run = rnncli.train(rnncli.load_recipe("hello", {**PLAIN, "train.epochs": 2}), out=Path("mine"))
    answer = rnncli.predict(run, "hello")
    assert rnncli.predict(Path("mine"), "hello") == rnncli.predict("mine", ("hello",)) == answer
    values = {"task": "tagging", "data": {"pairs": [["ab", "ba"]]}, "model": {"hidden_size": 3}}
    assert "RNN(2, 3)" in repr(rnncli.inspect(values, "params", sets={"train.seed": 3}))
    assert rnncli.inspect(run, "steps", other="hello", steps=range(2), units=[0, 2]).ok()
    with pytest.raises(UsageError, match="already open"):
        rnncli.inspect(run, sets={"model.cell": "gru"})
    with pytest.raises(UsageError, match="no trained weights"):
        rnncli.predict("hello", "hello")


def test_a_module_is_looked_into() -> None:
    x = torch.randn(5, 1, 4)
    lstm = torch.nn.LSTM(4, 3)
    page = rnncli.inspect(lstm, "steps", inputs=x, steps="0:2")
    assert page.ok()
    assert [row["h"] for row in page.tables["model.l0.fwd"].to_dicts()] == [
        pytest.approx(h.tolist()) for h in lstm(x)[0][:2, 0]
    ]
    for wrong in ({}, {"inputs": "hello"}, {"inputs": x, "cell": "lstm"}):
        with pytest.raises(UsageError, match="input tensor"):
            rnncli.inspect(lstm, **wrong)


DEMOS: dict[str, dict[str, object]] = {  # words of the command -> arguments of the call
    "": {},
    "--cell gru --nice --explain all --units 0-1": {"cell": "gru", "nice": True, "explain": "all", "units": [0, 1]},
    "--cell rnn,mingru --steps 1:3": {"cell": ["rnn", "mingru"], "steps": range(1, 3)},
    "--cell lstm --set peephole=true --draw --step 1 --layer 0": {
        "cell": "lstm", "options": {"peephole": True}, "draw": True, "step": 1, "layer": 0,
    },
    "--input hello --proofs": {"text": "hello", "proofs": True},
    "--explain-backward 1 --no-bias --seed 3 --dtype float64": {
        "explain_backward": 1, "bias": False, "seed": 3, "dtype": "float64",
    },
    "--step-through --steps 0:2": {"step_through": True, "steps": slice(0, 2)},
    "--from own.yaml --batch-size 2": {"values": Path("own.yaml"), "batch_size": 2},
}  # fmt: skip


@pytest.mark.parametrize("words", DEMOS)
def test_a_demo_is_what_the_command_shows(words: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("own.yaml").write_text("x: [[[1, 0], [0, 1]], [[2, 2], [1, 1]]]\nW_hh: [[0.5]]\n")
    page = rnncli.demo(**DEMOS[words])  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", "")
    (shown,) = printed(capfd, "demo", *words.split())
    assert page.to_json() == shown


def test_a_worksheet_and_its_marks() -> None:
    sheet = rnncli.demo(nice=True, explain="all", blanks=True, title="Monday")
    sheet.save("sheet.csv")
    assert sheet.title == "Monday"
    assert not rnncli.demo(nice=True, explain="all", check="sheet.csv").ok()
    rnncli.demo(nice=True, explain="all").save("key.csv")
    assert rnncli.demo(nice=True, explain="all", check=Path("key.csv"), tolerance=0.001).ok()


def test_a_demo_of_values() -> None:
    given = {"x": torch.ones(3, 2, dtype=torch.bfloat16), "W_ih": np.array([[1, 0.1]]), "h0": [float("inf")]}
    page = rnncli.demo(values={**given, "W_hh": [[0.5]], "bias": False, "cell": "rnn"})
    found = {tensor.name: tensor.values for tensor in page.tensors}
    assert (found["x"], found["l0.fwd.weight_ih"]) == ([[[1.0, 1.0]]] * 3, [[1.0, pytest.approx(0.1)]])
    assert found["h_0"] == [[[float("inf")]]]
    assert "rnncli demo" not in repr(page)  # no command line has these numbers
    for wrong, said in (({"x": {"a"}}, "not a number"), ({"W_h": [[1]]}, "unknown name"), ({}, "no `name: values`")):
        with pytest.raises((UsageError, DataError), match=said):
            rnncli.demo(values=wrong)


def test_a_demo_ignores_nothing() -> None:
    wrong: list[tuple[dict[str, object], str]] = [
        ({"cell": "gur"}, "did you mean mgu"),
        ({"options": {"peephole": True}}, "has no option peephole"),
        ({"step": 1}, "--step needs --draw"),
        ({"animate": True}, "--animate needs"),
        ({"draw": True, "units": [0]}, "--units has no effect"),
        ({"draw": True, "step_through": True}, "--step-through has no effect"),
        ({"proofs": True, "step_through": True}, "--step-through has no effect"),
        ({"proofs": True, "steps": 1}, "--steps has no effect"),
        ({"explain": 0, "draw": True}, "cannot be combined"),
        ({"blanks": True}, "needs --explain"),
        ({"title": "Monday"}, "needs --explain"),
        ({"tolerance": 0.1}, "needs --check"),
        ({"cell": ["rnn", "gru"], "text": "hello"}, "--input has no effect"),
        ({"cell": ["rnn", "gru"], "draw": True}, "--draw has no effect"),
        ({"steps": range(0, 9, 2)}, "steps must be contiguous"),
        ({"explain": "one"}, "not a valid --explain"),
    ]
    for given, said in wrong:
        with pytest.raises(UsageError, match=said):
            rnncli.demo(**given)  # type: ignore[arg-type]


def test_what_is_wrong_is_raised_with_its_place(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        rnncli.train("hello", sets={"train.epoch": 3, "model.hidden_size": -1})
    assert [(fault.where, fault.key) for fault in caught.value.faults] == [
        ("sets", "model.hidden_size"),
        ("sets", "train.epoch"),
    ]
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: rnncli.train("helo"), "did you mean hello"),
        (lambda: rnncli.train(), "give a recipe, or a run"),
        (lambda: rnncli.train("hello", resume="last"), "give a recipe, or a run"),
        (lambda: rnncli.inspect("hello", "memroy"), "did you mean memory"),
        (lambda: rnncli.inspect("hello", "steps", steps=range(0, 9, 2)), "steps must be contiguous"),
        (lambda: rnncli.predict("last", "hello"), "no runs yet under"),
        (lambda: rnncli.sweep("hello"), "nothing to vary"),
        (lambda: rnncli.report("absent"), "no recipe, run or file"),
        (lambda: rnncli.train("names", data=[("a", "b")]), "rows as dicts"),
    ]
    for call, said in wrong:
        with pytest.raises(UsageError, match=said):
            call()
    assert capfd.readouterr() == ("", "")
    assert not Path("runs").exists()


def test_torch_is_left_as_it_was() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    threads = torch.get_num_threads()
    tiny = torch.tensor(5e-324, dtype=torch.float64)
    torch.set_num_threads(2)
    try:
        rnncli.predict(rnncli.train("hello", sets={**PLAIN, "train.epochs": 1}), "hello")
        rnncli.inspect("hello", "memory")
        assert torch.get_num_threads() == 2
        assert bool(tiny.mul(1.0))  # not flushed to zero
        assert torch.equal(torch.rand(3), expected)
    finally:
        torch.set_num_threads(threads)


def weights(run: rnncli.Run) -> bytes:
    return (run.folder / "model.safetensors").read_bytes()


def test_a_callback_stops_a_run_that_can_be_resumed() -> None:
    whole = rnncli.train("hello", sets=PLAIN)

    def third(epoch: rnncli.Epoch) -> str | None:
        return "stop" if epoch.epoch == 3 else None

    short = rnncli.train("hello", sets=PLAIN, on_epoch=third)
    assert (short.result()["stopped"], short.result()["epochs"], len(short.metrics())) == (STOPPED, 3, 3)
    assert rnncli.evaluate(short).metrics == short.result()["metrics"]
    seen: list[rnncli.Epoch] = []
    again = rnncli.train(resume=short, on_epoch=seen.append)
    assert [epoch.epoch for epoch in seen] == [*range(4, 31)]
    assert weights(again) == weights(whole)
    assert rnncli.train(resume=again, on_epoch=seen.append) is again  # finished: nothing is left to do
    assert len(seen) == 27
    longer = rnncli.train(resume="last", sets={"train.epochs": 32}, on_epoch=seen.append)
    assert [epoch.epoch for epoch in seen[27:]] == [31, 32]
    assert longer.result()["epochs"] == 32


def test_what_a_callback_raises_leaves_a_run_that_can_be_resumed() -> None:
    whole = rnncli.train("hello", sets=PLAIN)

    def fifth(epoch: rnncli.Epoch) -> None:
        if epoch.epoch == 5:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        rnncli.train("hello", sets=PLAIN, out="broken", on_epoch=fifth)
    assert rnncli.open_run("broken").result() == {}
    assert "training has not ended" in repr(rnncli.open_run("broken"))
    seen: list[rnncli.Epoch] = []
    assert weights(rnncli.train(resume="broken", on_epoch=seen.append)) == weights(whole)
    assert seen[0].epoch == 6


def test_weights_of_another_run_are_where_training_starts() -> None:
    first = rnncli.train("hello", sets=PLAIN)
    second = rnncli.train("hello", sets={**PLAIN, "train.epochs": 1}, init_from=first)
    assert second.metrics()[0]["loss"] < first.metrics()[0]["loss"]  # type: ignore[operator]


ROWS = [
    {"name": name, "language": language}
    for name, language in [("Anna", "x"), ("Otto", "y"), ("Emma", "x"), ("Hugo", "y"), ("Lisa", "x"), ("Udo", "y")]
    for _ in range(4)
]
TINY = {
    "train.epochs": 1,
    "train.control": False,
    "model.hidden_size": 4,
    "model.ngrams": 0,
    "data.split.test": 0.0,
}


class Index:
    name: str | None = None


class Frame:
    """As much of a data frame of pandas as is used."""

    def __init__(self, rows: list[dict[str, str]]) -> None:
        self.rows, self.index, self.columns = rows, Index(), list(rows[0])

    def reset_index(self) -> Frame:
        raise AssertionError("this index has no name")

    def to_dict(self, orient: str) -> list[dict[str, str]]:
        assert orient == "records"
        return self.rows


def test_own_data_as_values() -> None:
    run = rnncli.train("names", data=ROWS, sets=TINY)
    (file,) = Path("runs/data").iterdir()
    assert [json.loads(line) for line in file.read_text("utf-8").splitlines()] == ROWS
    columns = {key: np.array([row[key] for row in ROWS]) for key in ("name", "language")}
    several: list[Data] = [columns, Frame(ROWS), iter(ROWS)]
    for same in several:
        assert weights(rnncli.train("names", data=same, sets=TINY)) == weights(run)
    assert [file.name for file in Path("runs/data").iterdir()] == [file.name]
    measured = rnncli.evaluate(run, ROWS[:5])
    assert (measured.on, measured.metrics) == ("the data given", rnncli.evaluate(run, _csv(ROWS[:5])).metrics)
    assert rnncli.evaluate(run).on == "validation"  # the run finds its own data again
    assert len(rnncli.predict(run, np.array(["Otto", "Anna"]))) == 2
    with pytest.raises(UsageError, match="takes texts"):
        rnncli.predict(run, ROWS)


def _csv(rows: list[dict[str, str]]) -> str:
    Path("rows.csv").write_text("".join(",".join(row) + "\n" for row in (rows[0], *(row.values() for row in rows))))
    return "rows.csv"


def test_a_forecast_of_values() -> None:
    import datetime

    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=k) for k in range(90)]
    columns: dict[str, list[object]] = {"date": [*days], "value": [*(np.sin(np.arange(90) / 3) * 5 + 20)]}
    sets = {"data.window": 8, "data.horizon": 3, "data.season": 1, "train.epochs": 1, "model.hidden_size": 4}
    run = rnncli.train("forecasting", data=columns, sets=sets)
    path = path_of({key: values[-20:] for key, values in columns.items()}, Path("later"))
    (answer,) = rnncli.predict(run, {key: values[-20:] for key, values in columns.items()})
    (same,) = rnncli.predict(run, path)
    assert isinstance(answer.json, dict)
    assert isinstance(same.json, dict)
    assert {**answer.json, "input": path} == same.json
    assert "2024-03-31" in answer.text


@pytest.mark.parametrize(
    ("data", "name", "content"),
    [
        (["a b", "c"], ".txt", "a b\nc\n"),
        ({"n": np.array([1, 2]), "x": [0.5, float("nan")]}, ".jsonl", '{"n": 1, "x": 0.5}\n{"n": 2, "x": null}\n'),
        ([{"when": np.float32(2), 3: True}], ".jsonl", '{"when": 2.0, "3": true}\n'),
    ],
)
def test_values_as_a_file(data: Data, name: str, content: str, tmp_path: Path) -> None:
    path = Path(path_of(data, tmp_path / "kept"))
    assert path.suffix == name
    assert path.read_text("utf-8") == content
    assert path_of(data, tmp_path / "kept") == str(path)


def test_arrays_as_a_file_and_what_is_no_data(tmp_path: Path) -> None:
    frames, labels = np.zeros((2, 3, 4, 4), np.uint8), np.array([0, 1])
    kept = np.load(path_of({"frames": frames, "labels": labels}, tmp_path))
    assert kept["frames"].shape == (2, 3, 4, 4)
    assert kept["labels"].tolist() == [0, 1]
    for wrong in ({"a": [1], "b": [1, 2]}, [], [1, 2], [{"a": 1}, "b"]):
        with pytest.raises(UsageError):
            path_of(wrong, tmp_path)


def test_a_file_that_cannot_be_used_is_raised(tmp_path: Path) -> None:
    run = rnncli.train("names", data=ROWS, sets=TINY)
    with pytest.raises(DataError, match="no such file"):
        rnncli.evaluate(run, tmp_path / "absent.csv")


def test_a_sweep_and_a_report(capfd: pytest.CaptureFixture[str], starts_warm: None) -> None:
    seen: list[tuple[int, int]] = []
    done = rnncli.sweep(
        "hello",
        grid={"model.cell": ["rnn", "gru"], "train.lr": [0.1]},
        sets={"train.epochs": 2},
        out="s",
        on_change=lambda sweep: seen.append(sweep.progress()),
    )
    best = done.best()
    assert best is not None
    assert done.progress() == (2, 2) == seen[-1]
    assert f"Sweep(s: 2 of 2 done; best: {best.name}, loss" in repr(done)
    assert len(done.page().records) > 0
    both = [rnncli.open_run(row.runs[0]) for row in done.rows()]
    pytest.importorskip("plotly")
    page = rnncli.report(both, "both.html", samples=1)
    assert "GRU(4, 4)" in page.read_text("utf-8")
    assert capfd.readouterr() == ("", "")
