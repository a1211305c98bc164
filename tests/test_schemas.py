"""Every document that --json prints fits its published schema, and a broken one does not."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from rnncli import cli, render
from rnncli.errors import UsageError
from rnncli.records import Column, HeatMap, Page, Table
from rnncli.schemas import names, schema_of
from tests.json_schema import admits

ROOT = Path(__file__).parents[1]
LINES = """
demo --json
demo --cell rnn,lstm --json
demo --cell lstm --proofs --json
demo --explain 0:1 --json
demo --draw --json
demo --cell slstm --json
train hello --epochs 2 --set train.compare=[gru] --json
train hello --epochs 2 --set model.cell=lstm --json
train --resume hello-001 --epochs 3 --json
train hello --dry-run --json
train hello --print-config --json
train hello --find-lr --json
evaluate last --require accuracy>=0 --json
predict last hello --top-k 2 --json
runs list --json
runs list empty --json
runs compare hello-001 hello-002 --json
recipes list --json
recipes validate hello nothing wrong.yaml --json
sweep hello --grid train.lr=0.1,0.2 --seeds 2 --match-params 200 --dry-run --json
sweep hello --search train.lr=log:0.01..0.1 --dry-run --json
bench --cell rnn --size 2/1/2 --rounds 5 --json
schema --json
inspect last --json
inspect last embeddings --json
inspect last engines --json
inspect last gradients --json
inspect last influence --json
inspect last memory --json
inspect last neurons --json
inspect last padding --json
inspect last params --json
inspect last saturation --json
inspect last shapes --json
inspect last states --units 0-1 --json
inspect last steps --steps 0:3 --json
inspect last draw --json
inspect last step-through --steps 0:2 --json
inspect last what-if --change "h[0]@1:=0" --json
inspect last memory --with hello-001 --json
inspect parity automaton --json
inspect translation attention --json
inspect pos-tagging transitions --set model.head=crf --json
"""


@cache
def schema(name: str) -> Any:
    return schema_of(name)


@cache
def library(name: str) -> Any:
    try:
        jsonschema = import_module("jsonschema")
    except ImportError:
        return None
    jsonschema.Draft202012Validator.check_schema(schema(name))
    return jsonschema.Draft202012Validator(schema(name))


def fits(name: str, document: Any) -> bool:
    """By our own validator, and by jsonschema where it is installed."""
    found = admits(schema(name), document, schema(name))
    assert library(name) is None or library(name).is_valid(document) == found
    return found


def name_of(document: Any) -> str:
    return str(document.get("schema", "predict/1"))


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Any]]]:
    """Each line -> the documents that it printed."""
    found: dict[str, list[Any]] = {}
    with contextlib.chdir(tmp_path_factory.mktemp("schemas")):
        Path("empty").mkdir()
        Path("wrong.yaml").write_text("task: tagging\nmodle: {}\n")
        for line in LINES.strip().splitlines():
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                code = cli.run(shlex.split(line))
            assert code == (2 if "nothing" in line else 0), line
            found[line] = [json.loads(text) for text in out.getvalue().splitlines()]
            assert found[line], line
        yield found


def test_every_document_fits(printed: dict[str, list[Any]]) -> None:
    seen = set()
    for line, documents in printed.items():
        for document in documents:
            assert fits(name_of(document), document), line
            seen.add(name_of(document).removeprefix("rnncli/"))
    # by other tests of this file: doctor examines the installation, sweep starts processes
    assert seen | {"doctor/1", "sweep/1", "sweep-folder/1", "evaluate/1"} == set(names())


def broken(document: Any) -> Iterator[tuple[str, Any]]:
    """The document without one of its keys, with one too many, and with another kind of value at one."""
    for key, value in document.items():
        if key not in ("totals", "answers", "notes"):  # that are optional
            yield f"without {key}", {name: of for name, of in document.items() if name != key}
        other: Any = 3 if isinstance(value, str | dict | list) else {"x": 1}
        yield f"{key}: {other}", {**document, key: other}
    yield "one more", {**document, "more": 1}


def test_a_broken_document_does_not_fit(printed: dict[str, list[Any]]) -> None:
    for line, documents in printed.items():
        for what, document in broken(documents[-1]):
            name = name_of(documents[-1])
            held = re.match(r"without (rows|series|heatmaps|diagrams|tensors|drawings|input|steps)$", what)
            if held and "bench" not in line and held[1] not in schema(name).get("required", ()):
                continue  # a page of a view may lack any of these, and so may an answer
            assert not fits(name, document), (line, what)


DEEP: list[tuple[str, Callable[[Any], Any]]] = [
    ("demo --json", lambda d: d["tensors"][0].pop("axes")),
    ("demo --json", lambda d: d["tensors"][0].update(shape=["3"])),
    ("demo --json", lambda d: d["tensors"][0].update(values="none")),
    ("demo --json", lambda d: d["checks"][0].update(ok="yes")),
    ("demo --json", lambda d: d["config"].update(hidden_size="4")),
    ("demo --json", lambda d: d["rows"][0].update(t={})),
    ("train hello --epochs 2 --set model.cell=lstm --json", lambda d: d["metrics"].update(loss="low")),
    ("train hello --epochs 2 --set model.cell=lstm --json", lambda d: d["baselines"].update(best=3)),
    ("runs list --json", lambda d: d["rows"][0].update(state="broke")),
    ("runs list --json", lambda d: d["rows"][0].pop("score")),
    ("runs compare hello-001 hello-002 --json", lambda d: d["series"][0].pop("lines")),
    ("recipes validate hello nothing wrong.yaml --json", lambda d: d["rows"][0].update(ok=False)),
    ("recipes validate hello nothing wrong.yaml --json", lambda d: d["rows"][-1]["faults"][0].pop("key")),
    ("bench --cell rnn --size 2/1/2 --rounds 5 --json", lambda d: d["rows"][0].pop("ratio")),
    ("inspect last influence --json", lambda d: d["heatmaps"][0].update(values=[1.0])),
    ("inspect last draw --json", lambda d: d["drawings"][0]["opened"][0]["nodes"][0].update(kind="box")),
    ("inspect last states --units 0-1 --json", lambda d: d["config"].update(unitz=[1])),
    ("predict last hello --top-k 2 --json", lambda d: d["steps"][0]["choices"][0].pop("p")),
]


@pytest.mark.parametrize("place", range(len(DEEP)))
def test_what_is_broken_deep_inside_does_not_fit(printed: dict[str, list[Any]], place: int) -> None:
    line, change = DEEP[place]
    document = copy.deepcopy(printed[line][-1])
    assert fits(name_of(document), document)
    change(document)
    assert not fits(name_of(document), document)


def test_a_sweep_and_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starts_warm: None) -> None:
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert cli.run(shlex.split("sweep hello --grid train.lr=0.1,1e38 --epochs 1 --out s --json")) == 4
    assert fits("sweep/1", json.loads(out.getvalue()))
    folder = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert fits("sweep-folder/1", folder)
    assert not fits("sweep-folder/1", {**folder, "seeds": ["0"]})


def test_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its page, whose self-test has a process of its own; here it has told nothing yet."""
    from rnncli.doctor import page as doctor
    from rnncli.doctor.child import Answers

    monkeypatch.setattr(doctor, "self_test", lambda modules: Answers())
    document = render.to_json(doctor.examine())
    assert fits("doctor/1", json.loads(json.dumps(document)))
    assert not fits("doctor/1", {**document, "config": {}})


ANSWERS: list[Any] = [
    {"prompt": "a", "text": "b"},
    {"tokens": ["a"], "labels": ["X"], "notes": ["n"]},
    {"film": "f.npz", "label": None, "top": []},
    {"file": "a.wav", "text": "one"},
    {"source": "a", "translation": "", "tokens": [], "score": None},
    {"input": "0101", "answers": ["odd", 1.5]},
    {"input": "a.csv", "dates": ["2020-01"], "forecast": {"sold": [1.0, "nan"]}, "lower": {"sold": [0.0, 1.0]}},
    {"input": "a.csv", "series": [{"id": ["x"], "dates": [], "forecast": {}}]},
    {"file": "a.wav", "error": "too short"},
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_answers_of_every_task(answer: dict[str, Any]) -> None:
    assert fits("predict/1", answer)
    for key in answer.keys() - {"notes", "lower", "input"}:
        assert not fits("predict/1", {name: value for name, value in answer.items() if name != key}), key
    assert not fits("predict/1", {**answer, "more": 1})


def test_no_document_lacks_a_schema() -> None:
    """Every name in the source is one of `rnncli schema`; a page without a name is shown on the screen alone."""
    found = set()
    for file in (ROOT / "rnncli").rglob("*.py"):
        if file.parent.name != "schemas":
            found |= set(re.findall(r"[\"']rnncli/([a-z-]+/\d+)[\"']", file.read_text("utf-8")))
    assert "result/1" in found
    assert found <= set(names())
    assert {name for name in names() if name not in found and not name.startswith(tuple(_views()))} == {"predict/1"}


def _views() -> list[str]:
    from rnncli.views import VIEWS

    return ["overview", *VIEWS]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("trace/1", "rnncli/trace/1", "trace"):
        assert cli.run(["schema", name]) == 0
        assert json.loads(capsys.readouterr().out) == schema_of("trace/1")
    assert cli.run(["schema"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in names())
    assert max(map(len, out.splitlines())) <= 80
    assert cli.run(["schema", "resul/1"]) == 2
    assert "did you mean result/1?" in capsys.readouterr().err
    with pytest.raises(UsageError):
        schema_of("nothing-like-it")


def test_a_number_that_json_lacks_fits_as_a_text() -> None:
    table = Table(
        "t", [Column("a", "a"), Column("b", "b", "vector")], [[float("nan"), [float("inf"), 1.0]], [None, None]]
    )
    heat = HeatMap("h", [[float("-inf")]], ["r"], ["c"])
    config: Any = {"target": "x", "cores": {}}
    page = Page("rnncli/influence/1", "", [table, heat], config)
    assert fits("influence/1", json.loads(json.dumps(render.to_json(page))))
    assert not fits("steps/1", json.loads(json.dumps(render.to_json(page))))  # which holds no heat maps


def test_the_schema_of_a_view_of_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnncli.views import VIEWS

    monkeypatch.setitem(vars(VIEWS), "added", {"lengths": []})
    assert schema_of("lengths/1")["properties"]["schema"] == {"const": "rnncli/lengths/1"}
    assert "heatmaps" in schema_of("lengths/1")["properties"]
