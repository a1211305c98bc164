"""Searches with Optuna, most of them driven by hand in place of workers: asked, told, pruned, retried, shared."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rnncli.cli import run as command
from rnncli.errors import DataError, Missing
from rnncli.files import FolderLock
from rnncli.sweeps import search as module
from rnncli.sweeps.jobs import RunState
from rnncli.sweeps.plan import Plan, Space, make_plan
from rnncli.sweeps.rows import rows_of_study, with_verdicts
from rnncli.sweeps.runner import begin
from rnncli.sweeps.search import Search, rounded
from rnncli.sweeps.study import host, is_stale, open_study, study_name

optuna = pytest.importorskip("optuna")
SPACE = ["train.lr=log:1e-4..1e-1", "model.cell=rnn,gru,lstm", "model.hidden_size=int:4..64"]


OPENED: list[Search] = []


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starts_warm: None) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    while OPENED:
        search = OPENED.pop()
        search.stop()
        engine = getattr(getattr(search.study._storage, "_backend", None), "engine", None)
        if engine is not None:
            engine.dispose()


def plan_of(trials: int = 8, seeds: int = 2, space: list[str] = SPACE) -> Plan:
    return make_plan("hello", (), {}, search=space, trials=trials, seeds=seeds)


def search_of(plan: Plan, folder: str = "s", storage: str = "", prune: bool = False) -> Search:
    Path(folder).mkdir(exist_ok=True)
    OPENED.append(Search(plan, Path(folder), 1, storage, prune))
    return OPENED[-1]


def score(run: RunState) -> float:
    """Lowest at lr = 0.01 with gru."""
    return abs(float(run.settings["train.lr"]) - 0.01) * 100 + (run.settings["model.cell"] != "gru") + run.seed / 10


def finish(search: Search, run: RunState, value: float | None = None) -> None:
    run.status, run.score, run.seconds = "done", score(run) if value is None else value, 1.0
    search.handle(run, {"event": "done"})


def drive(search: Search, runs: int = 10_000) -> list[RunState]:
    """Do as workers would, until nothing is left or so many runs are done."""
    made: list[RunState] = []
    while len(made) < runs and (run := search.take()) is not None:
        run.status = "running"
        made.append(run)
        finish(search, run)
    return made


def test_every_trial_is_within_its_space_and_every_seed_is_run() -> None:
    plan = plan_of()
    search = search_of(plan)
    made = drive(search)
    assert search.finished()
    assert [run.seed for run in made] == [0, 1] * 8
    for run in made:
        assert 1e-4 <= float(run.settings["train.lr"]) <= 1e-1
        assert run.settings["model.cell"] in ("rnn", "gru", "lstm")
        assert 4 <= int(run.settings["model.hidden_size"]) <= 64
        plan.load(run.settings, run.seed)
    assert len({tuple(run.settings.items()) for run in made}) == 8
    rows = with_verdicts(rows_of_study(plan, search.found(), []), lower=True)
    best = min(made[::2], key=score)
    assert rows[0].settings == best.settings
    assert rows[0].mean == pytest.approx(score(best) + 0.05)
    assert rows[0].scores == {0: pytest.approx(score(best)), 1: pytest.approx(score(best) + 0.1)}


def test_a_search_that_was_cut_proposes_what_one_in_a_piece_does() -> None:
    plan = plan_of(trials=14, seeds=1)
    whole = [run.settings for run in drive(search_of(plan, "whole"))]
    cut: list[dict[str, str]] = []
    for runs in (3, 8, 100):
        search = search_of(plan, "cut")
        cut += [run.settings for run in drive(search, runs)]
        search.stop()
    assert cut == whole


def test_a_trial_whose_process_has_gone_is_taken_up_again() -> None:
    plan = plan_of(trials=3)
    first = search_of(plan)
    drive(first, 3)  # the second trial has one of its two seeds
    (current,) = first.running
    done = current.runs[0]
    done.folder.mkdir(parents=True)
    (done.folder / "recipe.yaml").write_text("model: {}\ntrain: {best_by: loss}\n")
    result = {"on": "train", "metrics": {"loss": done.score}, "best_epoch": 1, "epochs": 1}
    (done.folder / "result.json").write_text(json.dumps(result))

    second = search_of(plan)
    assert second.found()[1].status == "elsewhere"  # its process, this one, lives
    first.stop()  # and now it does not
    made = drive(second)
    assert [run.trial for run in made] == [current.name, made[1].trial, made[1].trial]
    assert (made[0].settings, made[0].seed) == (current.settings, 1)  # what was finished is not repeated
    states = [trial.state.name for trial in second.study.get_trials()]
    assert sorted(states) == ["COMPLETE"] * 3 + ["FAIL"]
    assert len(second.found()) == 3
    assert second.found()[2].scores[0] == done.score or second.found()[1].scores[0] == done.score


def test_two_processes_share_a_study_and_make_no_trial_too_many() -> None:
    plan = plan_of(trials=7, seeds=1)
    one, other = (search_of(plan, folder, "sqlite:///study.db") for folder in ("one", "other"))
    made: list[RunState] = []
    for _ in range(10):
        for search in (one, other):  # both always have a running trial
            run = search.take()
            if run is not None:
                run.status = "running"
                made.append(run)
        for search in (one, other):
            for current in list(search.running):
                finish(search, current.runs[0])
    assert len(made) == 7
    assert len({tuple(run.settings.items()) for run in made}) == 7
    assert one.found() == other.found()
    assert one.finished()
    assert other.finished()


def test_of_trials_asked_for_at_the_same_moment_the_surplus_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(trials=1, seeds=1)
    one, other = search_of(plan, "one", "sqlite:///study.db"), search_of(plan, "other", "sqlite:///study.db")
    asked = one.study.ask

    def ask_late() -> Any:
        assert other.take() is not None  # between this one's look and its asking
        return asked()

    monkeypatch.setattr(one.study, "ask", ask_late)
    assert one.take() is None
    assert [trial.state.name for trial in one.study.get_trials()] == ["RUNNING", "FAIL"]


@pytest.mark.parametrize(("age", "stale"), [(10.0, False), (1000.0, True)])
def test_on_another_machine_the_heartbeat_decides(age: float, stale: bool) -> None:
    beat = {"host": "elsewhere", "folder": "/nowhere", "alive": time.time() - age}
    assert is_stale(SimpleNamespace(user_attrs=beat, datetime_start=None)) is stale


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no user ids")
def test_another_users_trials_are_those_of_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock in a folder that cannot be entered told nothing, and running trials were taken from their process."""
    monkeypatch.setattr(os, "getuid", lambda: 61001)
    beat = {"host": host(), "folder": "/nowhere", "alive": time.time() - 10.0}
    assert is_stale(SimpleNamespace(user_attrs=beat, datetime_start=None))
    monkeypatch.undo()
    assert not is_stale(SimpleNamespace(user_attrs=beat, datetime_start=None))


def test_heartbeats_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    search = search_of(plan_of())
    run = search.take()
    assert run is not None
    before = search.study.trials[0].user_attrs
    assert before["host"] == host()
    monkeypatch.setattr(module, "ALIVE", -1.0)
    search.tick()
    assert search.study.trials[0].user_attrs["alive"] > before["alive"]


def test_hopeless_trials_are_given_up() -> None:
    plan = plan_of(trials=8, seeds=2)
    search = search_of(plan, prune=True)
    answers: list[list[str]] = []
    while (run := search.take()) is not None:
        run.status = "running"
        number = int(run.trial[-4:])
        assert run.ask == (run.seed == 0)
        if run.ask:
            answers.append([])
            for epoch in range(1, 11):
                run.epoch, run.score = epoch, (9.0 if number == 6 else 1.0) / epoch
                answers[-1].append(search.handle(run, {"event": "epoch"}))
                if answers[-1][-1] == "prune":
                    run.status = "pruned"
                    search.handle(run, {"event": "pruned"})
                    break
        if run.status == "running":
            finish(search, run, 1.0)
    assert answers[6][-1] == "prune"
    assert len(answers[6]) < 10
    assert all(answer == ["go"] * 10 for k, answer in enumerate(answers) if k != 6)
    assert [found.status for found in search.found()].count("pruned") == 1


def test_a_trial_that_another_machine_took_for_dead_is_left_to_it() -> None:
    """With a real worker: the trial is failed in the middle of its run, which is stopped, and taken up again later."""
    made = begin(make_plan("hello", ("train.epochs=60",), {}, search=SPACE[:1], trials=1), "s", jobs=1)
    search = made.search
    assert search is not None
    OPENED.append(search)
    seen: list[RunState] = []
    for _ in made.go():
        runs = [run for current in search.running for run in current.runs]
        if not seen and any(run.epoch >= 3 for run in runs):
            seen += runs
            elsewhere = open_study(made.plan, Path("s"), "", None)
            elsewhere.tell(0, state=optuna.trial.TrialState.FAIL)
            elsewhere.enqueue_trial(elsewhere.trials[0].params, user_attrs={"name": seen[0].trial})
    assert [trial.state.name for trial in search.study.trials] == ["FAIL", "COMPLETE"]
    assert seen[0].status == "waiting"
    (row,) = made.rows()
    (run,) = row.runs
    assert row.name == seen[0].trial
    epochs = [json.loads(line)["epoch"] for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    assert epochs == list(range(1, 61))


def test_a_trial_in_line_whose_folder_is_locked_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(trials=1, seeds=1)
    search = search_of(plan)
    settings = {"train.lr": 0.01, "model.cell": "gru", "model.hidden_size": 8}
    search.study.enqueue_trial(settings, user_attrs={"name": "trial-0000"})
    held = Path("s/trial-0000")
    held.mkdir()
    with FolderLock(held):
        assert [search.take() for _ in range(5)] == [None] * 5
        assert not search.finished()
        assert [trial.state.name for trial in search.study.trials] == ["FAIL", "WAITING"]  # asked for once, not again
    monkeypatch.setattr(search, "_not_before", 0.0)
    (run,) = drive(search)
    assert (run.trial, run.settings["train.lr"]) == ("trial-0000", "0.01")
    assert [trial.state.name for trial in search.study.trials] == ["FAIL", "COMPLETE"]


def test_a_trial_that_diverges_has_the_worst_score() -> None:
    search = search_of(plan_of(trials=2, seeds=2))
    run = search.take()
    assert run is not None
    run.status, run.what, run.code = "diverged", "the loss became nan", 4
    search.handle(run, {"event": "failed"})
    drive(search)
    assert search.study.trials[0].value == float("inf")
    rows = with_verdicts(rows_of_study(search.plan, search.found(), []), lower=True)
    assert [(row.status, row.what, row.code) for row in rows][-1] == ("diverged", "seed 0: the loss became nan", 4)


def test_proposed_numbers_are_short_and_stay_within() -> None:
    space = Space("float", 0.12345, 0.98765)
    assert rounded(0.2222222, space) == "0.2222"
    assert rounded(0.98765, space) == "0.98765"  # 0.9877 would lie outside
    assert (rounded(7, space), rounded("gru", space)) == ("7", "gru")


def test_the_same_command_names_the_same_study_wherever_the_data_lies(tmp_path: Path) -> None:
    names = set()
    for folder in ("a", "b"):
        flags = {"data.path": ("--data", f"/{folder}/names.csv")}
        names.add(study_name(make_plan("names", (), flags, search=SPACE, trials=2)))
    assert len(names) == 1
    names.add(study_name(make_plan("names", ("train.epochs=3",), {}, search=SPACE, trials=2)))
    assert len(names) == 2


def test_without_optuna(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert command(["sweep", "hello", "--search", "train.lr=0.1..0.2"]) == 5
    assert "pip install 'rnncli[sweep]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("storage", "kind"),
    [
        ("nonsense", DataError),
        ("sqlite:////nowhere/at/all.db", DataError),
        ("nodriver://me:secret@host/name", DataError),
        ("mysql://me:secret@host/name", Missing),
    ],
)
def test_storages_that_cannot_be_used(storage: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as refused:
        open_study(plan_of(), Path(), storage, None)
    assert "secret" not in str(refused.value)


def test_a_journal_that_is_damaged() -> None:
    Path("s").mkdir()
    Path("s/study.journal").write_text("{]\n{]\n")
    with pytest.raises(DataError, match=r"study\.journal"):
        search_of(plan_of())


def test_a_whole_search(capfd: pytest.CaptureFixture[str]) -> None:
    """With real workers: one trial of three diverges at once, or not at all, and the best is what its runs say."""
    words = ["sweep", "hello", "--search", "train.lr=0.05,0.1,0.2", "--trials", "3", "--seeds", "2", "--epochs", "3"]
    assert command([*words, "--jobs", "2", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert len(document["rows"]) == 3
    best = document["rows"][0]
    for seed, value in enumerate(best["scores"]):
        folder = Path(document["config"]["folder"]) / best["trial"] / f"seed-{seed}"
        assert json.loads((folder / "result.json").read_text())["metrics"]["loss"] == value
        assert f"lr: {best['train.lr']}\n" in (folder / "recipe.yaml").read_text()
    assert command([*words, "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == document  # nothing was left to do
