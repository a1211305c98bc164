"""step-through: every key over every cell, every size of terminal, and what is shown where there is none."""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html import unescape

import pytest
import torch

from rnncli import cli
from rnncli.cells import CELLS, OptionValue
from rnncli.cli import stepping
from rnncli.cli.walking import Walker
from rnncli.demos.page import demo_walk
from rnncli.demos.settings import Settings, Shown, with_values
from rnncli.locale import speaking
from rnncli.records import Check, Unrolled
from rnncli.render.boxes import equations
from rnncli.render.lines import cells, plain
from rnncli.render.numbers import number
from rnncli.render.stages import stages
from rnncli.targets.find import find_target
from rnncli.targets.inspect import InspectRequest, inspect, walk
from rnncli.views import Options
from tests.fixture_types import Golden
from tests.test_every_cell import NAMED, OPTIONS, settings_of

KEYS = (
    *("left", "right", "space", "enter", "home", "end", "up", "down", "tab", "shift+tab", "[", "]", "l", "d", "c"),
    *("v", "pagedown", "pageup", "v", "v", "?", "x", "F5", "g", "1", "enter", "u", "1", "backspace", "9", "enter"),
)


def walker_of(settings: Settings, **shown: int | str) -> Walker:
    return Walker(*demo_walk(settings, replace(Shown(), **shown)))  # type: ignore[arg-type]


def seen(walker: Walker, width: int = 80, height: int = 24) -> str:
    """The screen, which fills the terminal and does not leave it."""
    lines = walker.lines(width, height)
    assert len(lines) == height
    assert all(cells(plain(line)) <= width for line in lines)
    return "\n".join(plain(line) for line in lines)


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_every_key_over_every_cell(cell: str, options: dict[str, OptionValue]) -> None:
    walker = walker_of(settings_of(cell, options, num_layers=2, bidirectional=True, hidden_size=4), unit=1)
    made = walker.walk.made
    for key in KEYS:
        assert walker.press(key)
        text, at = seen(walker), walker.at
        if not (walker.helping or walker.going):
            h = made[f"l{at.layer}.{('fwd', 'bwd')[at.direction]}.h"][at.step, 0]
            assert f"[{number(float(h[at.unit])):^7}]" in text
            assert f"step {at.step} of 0-2" in text
    assert walker.at.step == 1
    assert walker.at.unit == 3
    assert walker.failed is None
    assert not walker.press("q")


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_each_part_shows_the_trace_s_numbers(cell: str, options: dict[str, OptionValue]) -> None:
    walker = walker_of(settings_of(cell, options, hidden_size=4), step=1, unit=1)
    walker.press("v")
    walker.press("v")
    names: list[str] = []
    while walker.look.chosen not in names:
        names.append(walker.look.chosen)
        found = walker.walk.made
        name = f"l0.fwd.{names[-1]}"
        if name in found and found[name].dim() == 3:
            vector = found[name][1, 0]
            for value in [float(vector[min(1, len(vector) - 1)])] if len(walker.stop().h) > 1 else []:
                assert re.search(rf"\s{re.escape(number(value))}\s", seen(walker, 100, 60)), names[-1]
        walker.press("down")
    known = CELLS[cell]
    assert {"h", "x"} <= set(names)
    changes = {row[0]: row[1:] for row in walker.stop().changes.rows}
    for gate in known.gates:
        before, now = (float(found[f"l0.fwd.gate.{gate}"][t, 0, 1]) for t in (0, 1))
        assert changes[gate] == pytest.approx([before, now, now - before], abs=1e-15)
        assert number(now) in seen(walker, 100, 60)


VALUES = {
    "σ": lambda a: 1 / (1 + math.exp(-a)),
    "logσ": lambda a: -math.log(1 + math.exp(-a)),
    "silu": lambda a: a / (1 + math.exp(-a)),
    "relu": lambda a: max(a, 0.0),
    **{name: getattr(math, name) for name in ("tanh", "exp", "log", "sqrt")},
    "max": max,
    "min": min,
    "abs": abs,
}


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_what_is_written_out_has_the_value_that_follows_it(cell: str, options: dict[str, OptionValue]) -> None:
    """Numbers of four decimals give the value to about as many."""
    walker = walker_of(settings_of(cell, options, hidden_size=4), step=1, unit=2)
    count = 0
    for box in walker.stop().picture.opened[1].boxes:
        for one in equations(box):
            text = " ".join(one.numbers).replace("·", "*").replace("^", "**").replace("log σ", "logσ")
            if not text or re.search(r"\[|=|layer norm|≠|\.\.\.", text) or len(one.line.values) > 1:
                continue
            assert eval(text, {"__builtins__": {}}, dict(VALUES)) == pytest.approx(one.line.values[0], abs=2e-3), text
            count += 1
    assert count >= 3


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (12, 5), (30, 8), (40, 12), (63, 30), (80, 13), (120, 40), (300, 90)])
def test_every_size_of_terminal(size: tuple[int, int]) -> None:
    for cell in ("rnn", "slstm"):
        walker = walker_of(Settings(cell=cell, num_layers=2, bidirectional=True))
        for key in ("right", "v", "v", "?", "?", "g"):
            walker.press(key)
            seen(walker, *size)
            walker.encoding = "ascii"
            seen(walker, *size).encode("ascii")
            walker.encoding = "utf-8"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_its_screens(language: str, golden: Golden) -> None:
    with speaking(language):
        walker = walker_of(with_values(Settings(), {"cell": "lstm", "hidden_size": 4}), step=1, unit=2)
        screens = [seen(walker), seen(walker, 120, 40)]
        for key in ("tab", "?"):
            walker.press(key)
            screens.append(seen(walker))
    golden(f"step-through-{language}", "\n".join(f"{screen}\n" for screen in screens))


def test_the_sums_scroll_no_further_than_they_go() -> None:
    walker = walker_of(with_values(Settings(), {"cell": "lstm"}))
    walker.press("tab")
    assert "more: PgDn" in seen(walker)
    for _ in range(9):
        walker.press("pagedown")
        text = seen(walker)
    assert "more: PgDn" not in text
    assert re.search(r"o\s+→|o .* 0\.\d{4}", text)
    scrolled = walker.look.scroll
    walker.press("pageup")
    seen(walker)
    assert walker.look.scroll == max(0, scrolled - 5)


def test_tokens_answers_and_cores_of_a_model() -> None:
    target = find_target("hello")
    walker = Walker(*walk(target, InspectRequest("step-through", Options(step=2))))
    text = seen(walker)
    assert re.search(r"reads\s+h\s+e\s+\[ +l +]\s+l\s+o", text)
    scores = torch.stack([row[0] for row in walker.walk.made.result.scores.unbind(0)]).double().softmax(1)  # (T, V)
    assert f"[{number(float(scores[2].max()))}]" in text
    page = inspect(target, InspectRequest("step-through", Options(steps=slice(1, 3))))
    assert [record.step for record in page.records if isinstance(record, Unrolled)] == [1, 2]
    assert [len(part.records) for part in stages(page)] == [1, 3, 3, 1]
    assert page.ok()


def test_a_failed_check_is_seen() -> None:
    walker = walker_of(Settings())
    walker.walk = replace(walker.walk, checks=[Check("planted", False, "does not hold")])
    assert Walker(walker.walk, walker.at).failed is not None
    assert "FAILED" in seen(Walker(walker.walk, walker.at))


# --- the command line

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("COLUMNS", "80")

    def call(*words: str) -> tuple[int, str, str]:
        code = cli.run(list(words))
        return code, *capsys.readouterr()

    return call


def at_terminal(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A terminal whose person presses Enter; counted in the list. No fixture: capsys begins anew after those."""
    pressed: list[int] = []

    def readline(_: object) -> str:
        pressed.append(1)
        return "\n"

    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda s: True, "readline": readline})())
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    return pressed


def test_without_a_terminal_the_steps_are_printed(run: Run) -> None:
    code, text, _ = run("demo", "--step-through")
    assert code == 0
    assert [f"step {t}, unit 0" in text for t in range(4)] == [True, True, True, False]
    assert run("demo", "--pause")[1] == text
    assert run("demo", "--step-through", "--steps", "2")[1].count("what step") == 1
    code, text, _ = run("inspect", "hello", "step-through", "--json")
    document = json.loads(text)
    assert [drawing["opened"][0]["step"] for drawing in document["drawings"]] == [0, 1, 2, 3, 4]
    value = next(row["now"] for row in document["rows"] if row["table"] == "changes2" and row["name"] == "h")
    assert value == document["drawings"][2]["rows"][0]["values"]["h"][2]


def test_where_there_is_no_screen_enter_shows_the_next_step(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pressed = at_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    _, text, _ = run("demo", "--pause")
    assert len(pressed) == 4  # three steps, and the rest
    assert text.count("what step") == 3
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setitem(sys.modules, "textual.app", None)
    monkeypatch.delitem(sys.modules, "rnncli.cli.stepper", raising=False)
    code, _, said = run("inspect", "hello", "step-through", "--steps", ":2")
    assert code == 0
    assert "pip install 'rnncli[tui]'" in said
    assert len(pressed) == 7
    run("demo", "--explain", "all", "--pause")
    assert len(pressed) == 11


@pytest.mark.parametrize("words", [("demo", "--step-through"), ("inspect", "hello", "step-through")])
def test_at_a_terminal_the_screen_is_opened(words: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    at_terminal(monkeypatch)
    stepper = pytest.importorskip("rnncli.cli.stepper", reason="needs rnncli[tui]", exc_type=ImportError)
    opened: list[Walker] = []
    monkeypatch.setattr(stepper.Stepper, "run", lambda self, mouse: opened.append(self.painted.walker))
    monkeypatch.setenv("TERM", "xterm")
    assert run(*words, "--step", "2")[0] == 0
    assert [walker.at.step for walker in opened] == [2]
    assert run(*words, "--json")[0] == 0
    assert run(*words, "--full", "--step", "1")[0] == 0
    assert len(opened) == 1
    assert stepping.at_a_terminal()


def test_in_textual() -> None:
    """Every key arrives, Tab and Ctrl-C too, and what is painted is what the walker has."""
    stepper = pytest.importorskip("rnncli.cli.stepper", reason="needs rnncli[tui]", exc_type=ImportError)
    walker = walker_of(Settings(cell="lstm", num_layers=2, bidirectional=True))
    app = stepper.Stepper(walker)

    def painted() -> str:
        rows = re.findall(r"<text[^>]*>([^<]*)</text>", app.export_screenshot())
        return unescape("".join(rows)).replace("\xa0", " ")

    async def press() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("right", "tab", "right_square_bracket", "l", "d", "pagedown")
            assert (walker.at.step, walker.at.unit, walker.at.layer, walker.at.direction) == (1, 1, 0, 1)
            assert walker.look.chosen == "gate.i"
            assert number(walker.stop().picture.opened[1].boxes[-1].lines[-1].values[0]) in painted()
            await pilot.press("question_mark")
            assert "Space and Enter" in painted()
            await pilot.press("escape", "g", "2", "enter")
            assert walker.at.step == 2
            await pilot.resize_terminal(40, 10)
            await pilot.pause()
            assert "step 2 of 0-2" in painted()
            await pilot.press("ctrl+c")
        assert not app.is_running

    asyncio.run(press())
