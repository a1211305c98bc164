from __future__ import annotations

import io

import pytest

from rnncli.render.progress import LiveProgress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_come_at_most_once_a_second() -> None:
    clock, file = Clock(), io.StringIO()
    with LiveProgress(file, clock=clock) as progress:
        for step in range(1, 351):  # 3.5 seconds
            clock.now += 0.01
            progress.update(step, 1000, {"loss": f"{1 / step:.4f}"})
    lines = file.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("100/1,000  loss 0.0100")
    assert "\r" not in file.getvalue()


def test_fields_are_made_only_when_it_is_time() -> None:
    clock, calls = Clock(), 0

    def fields() -> dict[str, str]:
        nonlocal calls
        calls += 1
        return {}

    with LiveProgress(io.StringIO(), live=True, clock=clock) as progress:
        for step in range(100):  # one second
            progress.update(step, None, fields)
            clock.now += 0.01
    assert 1 <= calls <= 11


def test_time_left_counts_from_where_this_run_began() -> None:
    clock, file = Clock(), io.StringIO()
    with LiveProgress(file, clock=clock) as progress:
        progress.update(500, 1000, {})  # resumed here
        clock.now += 10
        progress.update(600, 1000, {})
    assert file.getvalue() == "600/1,000  40.0 s left\n"


def test_live_line_is_taken_away_and_permanent_lines_stay() -> None:
    clock, file = Clock(), io.StringIO()
    with LiveProgress(file, live=True, clock=clock) as progress:
        progress.update(1, 4, {"loss": "1.0"})
        progress.line("epoch 1 loss 0.9")
        clock.now += 1
        progress.update(2, 4, {"loss": "0.8"})
    assert terminal(file.getvalue()) == ["epoch 1 loss 0.9", ""]


def test_live_line_drops_whole_fields_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnncli.render.progress._columns", lambda file: 45)
    file = io.StringIO()
    progress = LiveProgress(file, live=True, clock=Clock())
    progress.update(5, 10, {"loss": "1.2345", "tokens/s": "123,456"})
    assert file.getvalue() == "\r██████████░░░░░░░░░░ 5/10  loss 1.2345"


def test_the_time_left_is_dropped_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnncli.render.progress._columns", lambda file: 45)
    file, now = io.StringIO(), iter([0.0, 0.0, 10.0])
    progress = LiveProgress(file, live=True, clock=lambda: next(now))
    progress.update(0, 10, {})
    progress.update(5, 10, {"loss": "1.2345", "tokens/s": "123,456"})
    assert file.getvalue().rstrip().endswith("5/10  10.0 s left")


def test_ascii_and_hostile_text() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    with LiveProgress(file, live=True, clock=Clock()) as progress:
        progress.update(1, 2, {"text": "你\x1b[2J"})
        progress.line("best → runs/\x1b]0;x")
    text = raw.getvalue().decode("ascii")
    assert "\x1b" not in text
    assert "best -> runs/\\x1b]0;x\n" in text
    assert "##########.........." in text


def terminal(text: str) -> list[str]:
    """What a screen shows after these characters, carriage returns obeyed."""
    lines = []
    for line in text.split("\n"):
        shown: list[str] = []
        for part in line.split("\r"):
            shown[: len(part)] = part
        lines.append("".join(shown).rstrip())
    return lines
