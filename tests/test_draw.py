"""draw: every cell's picture shows the trace's numbers; nothing lies on anything else; whatever a token says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from rnncli import cli, views
from rnncli.cells import CELLS, CoreSpec, Gates, OptionValue, State, Weights, weights_of
from rnncli.demos.network import build
from rnncli.demos.page import demo_page
from rnncli.demos.settings import Settings, Shown, with_values
from rnncli.errors import UsageError
from rnncli.nn.recurrent import make_core
from rnncli.records import Box, Commands, OpenedCell, Page, Position, Unrolled
from rnncli.render import layered, render_file, scene, to_text, unrolled_lines, unrolled_scene
from rnncli.render.lines import View
from rnncli.replay import trace, walk
from rnncli.replay.elements import StepRecord
from rnncli.replay.opened import Place, open_step
from rnncli.replay.unrolled import open_cell
from rnncli.tasks import load_recipe
from tests.fixture_types import Golden
from tests.report.test_layered import faults
from tests.test_every_cell import NAMED, OPTIONS, settings_of

GRID = with_values(Settings(), {"num_layers": 2, "bidirectional": True})


def drawn(page: Page) -> Unrolled:
    (found,) = [record for record in page.records if isinstance(record, Unrolled)]
    return found


def of_demo(settings: Settings, **shown: bool | int | str) -> Unrolled:
    return drawn(demo_page(settings, replace(Shown(draw=True), **shown)))  # type: ignore[arg-type]


def boxes(cell: OpenedCell) -> dict[str, Box]:
    return {box.name: box for box in cell.boxes}


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_every_number_is_the_trace_s(cell: str, options: dict[str, OptionValue]) -> None:
    """States and gates of each cell, with every option; and every sum is the sum of its terms."""
    settings = settings_of(cell, options, num_layers=2, bidirectional=True, dtype="float64", hidden_size=4)
    net = build(settings)
    made = trace(net.core, net.x, net.state if len(net.state) > 1 else net.state[0])
    opened = of_demo(settings, step=1, unit=2, layer=1, direction="bwd").opened[1]
    found, names = boxes(opened), [*net.spec.states, *(f"gate.{g}" for g in CELLS[cell].gates), *CELLS[cell].records]
    assert set(net.spec.states) <= found.keys()
    for name in names:
        values = torch.tensor(found[name].lines[-1].values, dtype=torch.float64) if name in found else None
        if values is not None:
            truth = made[f"l1.bwd.{name}"][1, 0]
            part = truth if values.numel() == truth.numel() else truth[min(2, len(truth) - 1)]
            torch.testing.assert_close(values, part.flatten().double(), rtol=0, atol=1e-14)
    for box in opened.boxes:
        terms: list[list[float]] = []
        for line in box.lines:
            if line.products:
                assert sum(a * b for a, b in line.products) == pytest.approx(line.values[0], abs=1e-14)
            if line.role == "term":
                terms.append(list(line.values))
            elif terms:
                wide = [one * (len(line.values) if len(one) == 1 else 1) for one in terms]
                assert [sum(each) for each in zip(*wide, strict=True)] == pytest.approx(line.values, abs=1e-14)
                terms = []
            assert set(line.sources) <= found.keys()
    read = {name for box in opened.boxes for line in box.lines for name in line.sources}
    assert {name for name in found if name.startswith(("x", "before"))} <= read


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_nothing_lies_on_anything_else(
    cell: str, options: dict[str, OptionValue], monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[tuple[list[layered.Block], layered.Plan]] = []

    def kept(blocks: list[layered.Block], gaps: layered.Gaps) -> layered.Plan:
        plans.append((blocks, layered.plan(blocks, gaps)))
        return plans[-1][1]

    for module in (unrolled_lines, unrolled_scene):
        monkeypatch.setattr(module, "plan", kept)
    record = of_demo(settings_of(cell, options, hidden_size=4))
    text = to_text(Page("rnncli/draw/1", "", [record]), 80)
    assert max(map(len, text.splitlines())) <= 80
    made = unrolled_scene.scene(record)
    assert [faults(*one) for one in plans] == [[], []]
    for mark in made.marks:
        xs, ys = mark.points[::2], mark.points[1::2]
        if mark.kind != "box":
            assert min(xs) >= 0
            assert max(xs) <= made.width
            assert max(ys) <= made.height
    assert ElementTree.fromstring(scene.svg(made)).tag.endswith("svg")
    assert not re.search(r"[\d(]\.\.\.", text)  # no number is cut


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "slstm"])
def test_its_text(name: str, golden: Golden) -> None:
    settings = with_values(GRID if name == "lstm" else Settings(), {"cell": name})
    page = Page("rnncli/draw/1", name, [of_demo(settings, step=2)])
    golden(f"draw-{name}", to_text(page, 80))
    if name == "lstm":
        golden("draw-lstm-ascii", to_text(page, 80, ascii=True))


def hostile(token: str) -> Unrolled:
    record = of_demo(Settings(), moving=True)
    return replace(record, inputs=[token] * 3, heads=[token] * 3, answer=token, title=token, notes=[token])


HOSTILE = ("<script>alert(1)</script>&\"'", "\x1b[31m\x00\u202e", "]]>--><g>", "$\\frac$", "汉字" * 40)


@pytest.mark.parametrize("token", HOSTILE, ids=["script", "controls", "cdata", "formula", "wide"])
def test_whatever_a_token_says(token: str) -> None:
    page = Page("rnncli/draw/1", token, [hostile(token)])
    text = render_file(page, ".svg").decode()
    root = ElementTree.fromstring(text)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "title", "style", "rect", "path", "text", "g"}
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", text + to_text(page, 80))
    assert render_file(page, ".png").startswith(b"\x89PNG")


def test_a_moving_picture_needs_no_script_and_shows_one_step_where_nothing_moves() -> None:
    record = of_demo(with_values(GRID, {"cell": "lstm", "seq_len": 5}), moving=True, step=3)
    text = scene.svg(unrolled_scene.scene(record))
    assert len(text) < 200_000
    assert not re.search(r"<script|href|url\(|@import", text)
    groups = re.findall(r'<g class="rd-f (rd-f\d)( rd-still)?">(.*?)</g>', text)
    assert [bool(still) for _, still, _ in groups] == [False, False, False, True, False]
    assert all(f"step {t}, unit 0" in inside for t, (_, _, inside) in enumerate(groups))
    assert "@media screen and (prefers-reduced-motion:no-preference)" in text
    assert "prefers-color-scheme:dark" in text
    assert text == scene.svg(unrolled_scene.scene(record))


def test_what_to_type_next_keeps_the_place() -> None:
    page = demo_page(with_values(Settings(), {"cell": "lstm"}), replace(Shown(draw=True), step=2, unit=1))
    (found,) = [record for record in page.records if isinstance(record, Commands)]
    place = "--step 2 --unit 1"
    assert [command for command, _ in found.commands] == [
        f"rnncli demo --cell lstm --draw {place} --save lstm.svg",
        f"rnncli demo --cell lstm --step-through {place}",
    ]


def test_a_printed_picture_lies_as_it_is_drawn() -> None:
    """A file of its own; in a page it says nothing of the paper."""
    for cell, lies in (("rnn", "landscape"), ("lstm", "portrait")):
        record = of_demo(with_values(Settings(), {"cell": cell}))
        assert f"@page{{size:{lies};" in render_file(Page("rnncli/draw/1", "", [record]), ".svg").decode()
        assert "@page" not in scene.svg(unrolled_scene.scene(record))


@pytest.mark.parametrize("cell", CELLS)
def test_its_letters_are_as_large_as_a_page_and_a_projector_allow(cell: str) -> None:
    """At least 6 points on A4, and 8 of the 768 lines of a projector, for the widest and highest of them."""
    made = unrolled_scene.scene(of_demo(with_values(Settings(), {"cell": cell})))
    size = scene.STYLES["text"].size
    long, short = (277, 190) if made.width > made.height else (190, 277)
    assert size * min(long / made.width, short / made.height) / 25.4 * 72 >= 6
    assert size * min(1024 / made.width, 768 / made.height) >= 8


def test_negative_numbers_are_told_apart_without_colour() -> None:
    made = unrolled_scene.scene(of_demo(Settings()))
    assert all(scene.STYLES[style].dash for style in ("negative-wire", "negative-strong"))
    assert all(mark.text.startswith("-") for mark in made.marks if mark.kind == "text" and mark.style == "negative")
    assert not any(mark.text.startswith("-") for mark in made.marks if mark.style == "positive")


REFUSED = [
    (["demo", "--draw", "--step", "3"], "is out of range: 0 to 2"),
    (["demo", "--draw", "--unit", "2"], "is out of range: 0 to 1"),
    (["demo", "--draw", "--direction", "bwd"], "one direction"),
    (["demo", "--step", "1"], "step needs --draw or --step-through"),
    (["demo", "--draw", "--animate"], "--save"),
    (["demo", "--draw", "--step", "0", "--steps", "1:3"], "is not in --steps"),
    (["demo", "--draw", "--proofs"], "cannot be combined"),
    (["inspect", "hello", "draw", "--step", "99"], "out of range: 0 to"),
    (["inspect", "hello", "draw", "--unit", "99"], "out of range: 0 to"),
    (["inspect", "hello", "steps", "--step", "1"], "does not support --step"),
    (["inspect", "hello", "draw", "--animate"], "--save"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_what_is_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(words) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_moving_file(tmp_path: Path) -> None:
    file = tmp_path / "moving.svg"
    words = ["-q", "inspect", "hello", "draw", "--step", "2", "--unit", "1", "--animate", "--save", str(file)]
    assert cli.run(words) == 0
    assert "rd-f4" in file.read_text("utf-8")


def test_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["inspect", "hello", "draw", "--step", "2", "--json", "--set", "model.cell=lstm"]) == 0
    (drawing,) = json.loads(capsys.readouterr().out)["drawings"]
    (cell,) = drawing["opened"]
    names = {node["name"] for node in cell["nodes"]}
    assert {"x", "before.h", "before.c", "gate.i", "gate.f", "gate.g", "gate.o", "c", "h"} == names
    assert {("gate.f", "c"), ("before.c", "c"), ("x", "gate.i")} <= {(e["from"], e["to"]) for e in cell["edges"]}
    subject = views.subject_of_recipe(load_recipe("hello", ["model.cell=lstm"]))
    value = next(node["values"] for node in cell["nodes"] if node["name"] == "h")
    assert value == [float(subject.trace()["l0.fwd.h"][2, 0, 0])]


def strangers_step(x: torch.Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """Written as no cell of ours: weights and inputs joined, a softmax over the units, a loop."""
    (h,) = state
    both = torch.cat([x, h], dim=1) @ torch.cat([w["weight_ih"], w["weight_hh"]], dim=1).T
    for _ in range(2):
        both = both * 0.5 + both.softmax(dim=1)
    return (torch.stack([both, both.exp()]).mean(dim=0),), {}


def given(spec: CoreSpec) -> tuple[torch.Tensor, State, Weights]:
    torch.manual_seed(0)
    return torch.randn(1, 3), (torch.rand(1, spec.hidden_size),), weights_of(make_core(spec))


def test_a_strangers_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any operation of torch: what it makes of all units is shown as a vector."""
    spec = CoreSpec("rnn", "tanh", 3, 4)
    x, state, w = given(spec)
    monkeypatch.setitem(CELLS.loaded, "rnn", replace(CELLS["rnn"], step=strangers_step))
    opened = open_step(Place(spec, 1, 0, "1"), x, state, w)
    found = boxes(opened)
    assert found["h"].lines[-1].values == [float(strangers_step(x, state, w)[0][0][0, 1].detach())]
    assert found["x"].lines[0].values == x[0].tolist()
    assert any("softmax" in line.text for box in opened.boxes for line in box.lines)
    assert len(unrolled_lines.opened_lines(opened, "", View())) > 10


def test_a_step_in_place() -> None:
    """A whole tensor changed in place is followed; a part of one is refused, not drawn wrongly."""
    x, state, w = given(CoreSpec("rnn", "tanh", 3, 4))

    def whole(x: torch.Tensor, state: State, w: Weights) -> tuple[State, Gates]:
        a = x @ w["weight_ih"].T
        return (a.add_(state[0]).tanh_(),), {}

    def part(x: torch.Tensor, state: State, w: Weights) -> tuple[State, Gates]:
        a = x @ w["weight_ih"].T
        a[:, 0] = 0.0
        return (a,), {}

    record = StepRecord(whole, whole, x, state, ["h"], w)
    assert record.source_of(int(record.states["h"][0, 0])).name == "tanh"
    with pytest.raises(UsageError, match="in place"):
        StepRecord(part, part, x, state, ["h"], w)


def test_the_gru_s_step_as_boxes() -> None:
    """From the definition alone: what a box reads is what the paper's equations read."""
    spec = CoreSpec("gru", "tanh", 3, 2)
    cell = open_step(Place(spec, 0, 1, "0"), *given(spec))
    reads = {box.name: sorted({name for line in box.lines for name in line.sources}) for box in cell.boxes}
    assert reads == {
        "x": [],
        "before.h": [],
        "gate.r": ["before.h", "x"],
        "gate.z": ["before.h", "x"],
        "q": ["before.h"],
        "gate.n": ["gate.r", "q", "x"],
        "h": ["before.h", "gate.n", "gate.z"],
    }
    assert [line.text for line in boxes(cell)["h"].lines] == ["(1 - z)·n", "z·h_0[0]", "h_1"]
    assert [line.text for line in boxes(cell)["gate.n"].lines] == ["W_in·x_1", "b_in", "r·q", "sum", "tanh(sum)"]


@pytest.mark.parametrize("wrong", [0.5, float("nan"), float("inf")])
def test_a_wrong_number_is_found(wrong: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(*given: Any) -> OpenedCell:
        cell = open_cell(*given)
        *others, last = cell.boxes
        line = replace(last.lines[-1], values=[wrong])
        return replace(cell, boxes=[*others, replace(last, lines=[*last.lines[:-1], line])])

    monkeypatch.setattr(walk, "open_cell", planted)
    made = trace(torch.nn.RNN(4, 2), torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(0)))
    _, check = walk.Walk(made, lambda core, steps: walk.StepTexts([""] * 3), "", []).picture(Position(step=1), range(3))
    assert not check.ok
