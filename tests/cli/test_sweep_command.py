"""`rnncli sweep` as typed: the listing, refusals, exit codes, what is shown without a terminal and on one."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rnncli.cli.live import live_page
from rnncli.cli.settings import settings
from rnncli.records import Column, Page, Table
from rnncli.sweeps import runner
from rnncli.sweeps.jobs import Status
from rnncli.sweeps.pages import board, closing, command
from rnncli.sweeps.plan import Plan, make_plan
from rnncli.sweeps.rows import Row, with_verdicts
from tests.fixture_types import Typed

GRID = ("--grid", "model.cell=rnn,gru,lstm", "--grid", "model.hidden_size=16,64", "--seeds", "5")


def test_a_dry_run_lists_every_trial_and_writes_nothing(typed: Typed, tmp_path: Path) -> None:
    code, out, err = typed("sweep", "hello", *GRID, "--dry-run")
    assert (code, err) == (0, "")
    assert "30 runs to train" in out
    assert max(map(len, out.splitlines())) <= 80
    document = json.loads(typed("sweep", "hello", *GRID, "--dry-run", "--json")[1])
    assert document["schema"] == "rnncli/sweep-plan/1"
    assert [(row["model.cell"], row["model.hidden_size"]) for row in document["rows"]] == [
        (cell, size) for cell in ("rnn", "gru", "lstm") for size in ("16", "64")
    ]
    assert {row["seeds"] for row in document["rows"]} == {5}
    assert document["config"]["seeds"] == [0, 1, 2, 3, 4]
    assert not list(tmp_path.iterdir())


def test_matched_parameters_are_said(typed: Typed) -> None:
    words = ("--grid", "model.cell=rnn,gru,lstm", "--match-params", "20000", "--dry-run")
    rows = json.loads(typed("sweep", "hello", *words, "--json")[1])["rows"]
    assert [row["hidden_size"] for row in rows] == [136, 78, 67]
    assert all(abs(row["parameters"] - 20_000) < 300 for row in rows)
    assert "136" in typed("sweep", "hello", *words)[1]


def test_a_dry_run_of_a_search_needs_no_optuna(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, out, _ = typed("sweep", "hello", "--search", "train.lr=log:1e-4..1e-1", "--trials", "9", "--dry-run")
    assert code == 0
    assert "log:1e-4..1e-1" in out
    assert "9 trials" in out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("hello",), 2, "nothing to vary"),
        (("helo", "--grid", "model.cell=rnn,gru"), 2, "did you mean hello?"),
        (("hello", "--grid", "model.cell=rnn,gro"), 2, "--grid model.cell=gro model.cell"),
        (("hello", "--grid", "model.sell=rnn,gru"), 2, "unknown key"),
        (("hello", "--grid", "train.lr=1,2", "--lr", "3"), 2, "is both set and varied"),
        (("hello", "--grid", "train.lr=1,2", "--no-prune"), 2, "storage and --no-prune need --search"),
        (("hello", "--grid", "train.lr=1,2", "--storage", "sqlite:///x"), 2, "storage and --no-prune need --search"),
        (("hello", "--grid", "train.lr=1,2", "--seeds", "0"), 2, "--seeds takes a number >= 1"),
        (("hello", "--grid", "train.lr=1,2", "--jobs", "x"), 2, "--jobs takes an integer"),
        (("hello", "--grid", "model.cell=rnn,gru", "--match-params", "3"), 2, "the smallest model has"),
        (("hello", "--search", "train.lr=1"), 2, "is neither a range nor a list of choices"),
        (("nothing.yaml", "--grid", "train.lr=1,2"), 3, "no such file"),
        (("names", "--data", "no.csv", "--grid", "model.cell=gru,lstm", "--match-params", "999"), 3, "no such file"),
    ],
)
def test_refusals(typed: Typed, tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    found, out, err = typed("sweep", *words)
    assert (found, out) == (code, "")
    assert said in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def rows_of(*scores: list[float]) -> list[Row]:
    return [
        Row(f"train.lr={k}", {"train.lr": str(k)}, "done", dict(enumerate(values)), len(values), seconds=1.0)
        for k, values in enumerate(scores)
    ]


def text_of(page: Page) -> str:
    from rnncli import render

    return render.to_text(page, width=80)


def test_the_closing_table_names_its_test() -> None:
    plan = make_plan("hello", (), {}, grid=["train.lr=0.1,0.2,0.3"], seeds=3)
    rows = with_verdicts(rows_of([5.0, 5.1, 5.2], [1.0, 1.1, 1.2], [0.0, 2.0, 1.4]), lower=True)
    text = text_of(closing(plan, rows, Path("s"), "train"))
    lines = text.splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("lr"))
    assert [line.split()[0] for line in lines[at + 1 : at + 4]] == ["1", "2", "0"]  # best first
    assert [line.split()[-1] for line in lines[at + 1 : at + 4]] == ["best", "inconclusive", "worse"]
    assert "paired t-test over the same seeds" in text
    assert lines[0].startswith("1 has the best mean,")
    assert lines[0].endswith("but 2 may be as good.")
    assert max(map(len, lines)) <= 80
    few = text_of(closing(plan, with_verdicts(rows_of([5.0], [1.0]), lower=True), Path("s"), "train"))
    assert "the test needs at least 3 seeds" in few


def test_the_command_for_the_best_settings_is_one() -> None:
    plan = make_plan("hello", ("train.clip_grad_norm=1",), {"train.epochs": ("--epochs", 3)}, grid=["train.lr=0.1,0.2"])
    assert command("train", plan, {"train.lr": "0.1"}) == (
        "rnncli train hello --set train.clip_grad_norm=1 --set train.lr=0.1 --epochs 3"
    )


def test_the_board_shows_what_runs_first_and_fits() -> None:
    plan = make_plan("hello", (), {}, grid=["train.lr=0.1,0.2,0.3"], seeds=3)
    rows = rows_of([1.0], [2.0], [3.0])
    rows[2].status, rows[2].epoch, rows[2].epochs = "running", 4, 30
    text = text_of(board(plan, rows, 2))
    assert "epoch 4 of 30" in text.splitlines()[1]
    assert "and 1 more" in text


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def page() -> Page:
    return Page("rnncli/x/1", "", [Table("t", [Column("a", "letters", "text")], [["x" * 9]])])


@pytest.mark.parametrize(("terminal", "quiet"), [(True, False), (False, False), (True, True), (False, True)])
def test_live_on_a_terminal_lines_elsewhere_and_nothing_when_quiet(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, quiet: bool
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(settings, "quiet", quiet)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with live_page() as live:
        assert live.rows() >= 3
        for done in range(50):
            live.update(page, done, 50, dict)
    written = stream.getvalue()
    assert ("xxxxxxxxx" in written) == (terminal and not quiet)
    assert written.count("letters") <= 2  # it is drawn a few times a second, not fifty times
    assert (written == "") == (quiet or not terminal)


@pytest.mark.parametrize(
    ("ends", "code", "said"),
    [
        ((("done", 0), ("done", 0), ("done", 0)), 0, ""),
        ((("pruned", 0), ("done", 0), ("done", 0)), 0, ""),
        ((("failed", 5), ("done", 0), ("done", 0)), 5, "1 trial of 3 failed or diverged: exit code 5"),
        ((("failed", 0), ("done", 0), ("done", 0)), 1, "1 trial of 3 failed or diverged: exit code 1"),
        ((("diverged", 4), ("done", 0), ("done", 0)), 4, "1 trial of 3 failed or diverged: exit code 4"),
        ((("diverged", 4), ("failed", 3), ("done", 0)), 3, "2 trials of 3 failed or diverged: exit code 3"),
        ((("diverged", 4), ("diverged", 4), ("diverged", 4)), 4, "3 trials of 3 failed or diverged: exit code 4"),
    ],
)
def test_a_sweep_with_bad_runs_says_so_by_its_exit_code(
    ends: list[tuple[Status, int]], code: int, said: str, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs that went well are still ranked and shown; a sweep with a run that diverged ended with 0."""

    def run_all(plan: Plan, work: object, jobs: int, log: Path) -> Iterator[None]:
        for number, (run, (status, own)) in enumerate(zip(made.runs, ends, strict=True)):
            run.status, run.score, run.code = status, 1.0 + number if status == "done" else None, own
        yield

    made: runner.Sweep
    begun = runner.begin

    def begin(*arguments: Any) -> runner.Sweep:
        nonlocal made
        made = begun(*arguments)
        return made

    monkeypatch.setattr(runner, "begin", begin)
    monkeypatch.setattr("rnncli.sweeps.jobs.run_all", run_all)
    found, out, err = typed("-q", "sweep", "hello", "--grid", "train.lr=0.1,0.2,0.3", "--seeds", "1")
    assert (found, err.strip()) == (code, said)
    assert all({"failed": "failed", "diverged": "diverged"}.get(status, "") in out for status, _ in ends)
    assert ("best" in out) == (code != 4 or "done" in dict(ends))
