"""`rnncli train`, as its user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnncli.recipe import packaged_recipes
from tests import warm
from tests.fixture_types import Typed

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", packaged_recipes())
@pytest.mark.parametrize("rows", ["thinned", pytest.param("", marks=pytest.mark.evidence)])
def test_every_shipped_recipe_runs_for_two_steps(
    typed: Typed, rows: str, name: str, request: pytest.FixtureRequest
) -> None:
    if rows:
        request.getfixturevalue(rows)
    code, out, err = typed("train", name, "--fast-dev-run")
    assert code == 0, err
    assert "fast development run" in out
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", ["hello", "hello-cell", "hello-embedding"])
def test_the_hello_family_learns_ohlol(typed: Typed, name: str) -> None:
    code, out, err = typed("train", name)
    assert code == 0, err
    assert err.splitlines()[-1].split()[-1] == "ohlol"
    assert f"saved runs/{name}-001" in out
    answers = [line.split()[3] for line in out.splitlines() if line[:1].isdigit()]
    assert answers == list("ohlol")
    assert typed("predict", "last", "hello")[:2] == (0, "ohlol\n")


def test_the_screen_of_hello(typed: Typed) -> None:
    _, out, err = typed("train", "hello")
    assert "OneHot(4) -> RNN(4, 4) tanh -> Linear(4, 4)   60 parameters" in err
    table = [line for line in err.splitlines() if line.split() and line.split()[0].isdigit()]
    assert [line.split() for line in table] == [
        ["1", "1.5635", "eeeee"],
        ["2", "1.2524", "oolll"],
        ["3", "1.0707", "ollll"],
        ["7", "0.6605", "ohlll"],
        ["8", "0.5879", "ohlol"],
        ["30", "0.0108", "ohlol"],
    ]
    assert "without memory         0.8000" in out
    assert all(len(line) <= 80 for line in (out + err).splitlines())


def test_the_logged_rate_is_the_one_of_the_epochs_updates(typed: Typed) -> None:
    schedule = "train.schedule={name: exponential, gamma: 0.5}"
    flags = ["--set", "train.optimizer=sgd", "--lr", "0.1", "--set", schedule, "--epochs", "4"]
    _, out, _ = typed("train", "hello", *flags, "--json")
    assert [json.loads(line)["lr"] for line in out.splitlines()[:-1]] == [0.1, 0.05, 0.025, 0.0125]
    log = Path("runs/hello-001/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["lr"] for line in log] == [0.1, 0.05, 0.025, 0.0125]


def test_json_is_one_document_a_line_and_ends_with_the_result(typed: Typed) -> None:
    code, out, err = typed("train", "hello", "--json", "--epochs", "4")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert err == ""
    assert [line["schema"] for line in lines] == ["rnncli/epoch/1"] * 4 + ["rnncli/result/1"]
    assert [line["epoch"] for line in lines[:-1]] == [1, 2, 3, 4]
    assert set(lines[0]) == {"schema", "epoch", "step", "loss", "lr", "train", "seconds", "per_second", "answers"}
    assert lines[-1]["run"] == "runs/hello-001"
    assert lines[-1]["baselines"] == {"most frequent label": {"accuracy": 0.8}}
    assert lines[-1] == json.loads(Path("runs/hello-001/result.json").read_text())


def test_quiet_shows_the_result_alone(typed: Typed) -> None:
    code, out, err = typed("-q", "train", "hello")
    assert (code, err) == (0, "")
    assert "result on train" in out


def test_print_config_says_where_each_value_is_from(typed: Typed) -> None:
    code, out, _ = typed("train", "hello", "--print-config", "--json", "--lr", "0.5", "--set", "model.hidden_size=8")
    rows = {row["key"]: (row["value"], row["origin"]) for row in json.loads(out)["rows"]}
    assert code == 0
    assert rows["train.lr"] == ("0.5", "--lr")
    assert rows["model.hidden_size"] == ("8", "--set")
    assert rows["train.epochs"][0] == "30"
    assert rows["train.epochs"][1].startswith("hello.yaml:")
    assert rows["train.weight_decay"] == ("auto", "default")
    assert not Path("runs").exists()


def test_dry_run_counts_and_trains_nothing(typed: Typed) -> None:
    code, out, _ = typed("train", "hello", "--dry-run")
    assert code == 0
    assert "(T=5, B=1)" in out
    assert "4: e h l o" in out
    assert not Path("runs").exists()


def test_out_refuses_a_folder_that_is_not_empty(typed: Typed) -> None:
    Path("mine").mkdir()
    assert typed("train", "hello", "--out", "mine", "--epochs", "1")[0] == 0
    before = Path("mine/result.json").read_bytes()
    code, _, err = typed("train", "hello", "--out", "mine")
    assert code == 2
    assert "not empty" in err
    assert Path("mine/result.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["hullo"], 2, "did you mean hello?"),
        (["hello", "--set", "model.hiden_size=3"], 2, "did you mean hidden_size?"),
        (["hello", "--set", "model.batch_first=true"], 2, "always (T, B, feature)"),
        (["hello", "--set", "data.pairs=[[hello, oh]]"], 2, "'hello' has 5 steps and 'oh' has 2"),
        (
            ["hello", "--set", "model.head=none", "--set", "model.hidden_size=3"],
            3,
            "head: none needs one unit per label: 4 labels, output size",
        ),
        (["hello", "--set", "model.hidden_size=99999999"], 5, "of memory"),
        (["language-model", "--data", "nowhere.txt"], 3, "no such file"),
        (["pos-tagging", "--data", "nowhere.conllu"], 3, "no such file"),
        (["hello", "--resume", "last"], 2, "a recipe and --resume cannot be combined"),
        ([], 2, "missing recipe (or --resume RUN)"),
        (["--resume", "last"], 2, "no runs yet under"),
    ],
)
def test_what_is_wrong_is_one_message_and_leaves_no_folder(
    typed: Typed, words: list[str], code: int, said: str
) -> None:
    found, out, err = typed("train", *words)
    assert found == code, err
    assert said in err
    assert "Traceback" not in err
    assert out == ""
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


def test_resume_of_a_finished_run_says_so_and_goes_on_with_more(typed: Typed) -> None:
    typed("train", "hello", "--epochs", "10")
    code, out, _ = typed("train", "--resume", "last")
    assert code == 0
    assert "is finished: all epochs done" in out
    code, _, err = typed("train", "--resume", "last", "--epochs", "30")
    assert code == 0
    assert "0.0108  ohlol" in err
    assert len(Path("runs/hello-001/metrics.jsonl").read_text().splitlines()) == 30
    code, _, err = typed("train", "--resume", "last", "--lr", "0.2")
    assert code == 2
    assert "train.lr: 0.1 -> 0.2" in err


def test_init_from_begins_with_the_weights_of_a_run(typed: Typed) -> None:
    typed("train", "hello")
    _, out, _ = typed("train", "hello", "--init-from", "last", "--epochs", "1", "--json")
    assert json.loads(out.splitlines()[0])["loss"] < 0.02
    assert typed("train", "hello-embedding", "--init-from", "hello-001")[0] == 3


def test_init_from_another_size_names_the_weight_and_the_key(typed: Typed) -> None:
    assert typed("train", "hello", "--epochs", "1", "--set", "train.control=false")[0] == 0
    code, _, err = typed("train", "hello", "--init-from", "last", "--set", "model.hidden_size=5")
    said = " ".join(err.split())
    assert code == 3
    assert "rnn.weight_ih_l0 is (4, 4) there and (5, 4) here; changed since that run: model.hidden_size: 4 -> 5" in said
    assert "use its settings (--set model.hidden_size=4), or omit --init-from" in said
    code, _, err = typed("train", "hello", "--init-from", "last", "--set", "model.cell=gru", "--lang", "zh")
    assert "changed since" not in err
    assert "--set model.cell=rnn" in " ".join(err.split())
    assert "null" not in err  # gru's own options are no difference
    assert "rnn.weight_ih_l1" in typed("train", "hello", "--init-from", "last", "--set", "model.num_layers=2")[2]


def test_init_from_takes_no_damaged_run_and_no_other_alphabet_or_task(typed: Typed) -> None:
    assert typed("train", "hello", "--epochs", "1")[0] == 0
    code, _, err = typed("train", "hello", "--init-from", "last", "--set", "data.pairs=[[abcd, dcba]]")
    assert code == 2
    assert "4 ('e' 'h' 'l' 'o')" in err
    assert "4 ('a' 'b' 'c' 'd')" in err
    code, _, err = typed("train", "parity", "--init-from", "last")
    assert (code, "task is tagging" in err) == (2, True)
    for name in ("model.safetensors", "vocab.json"):
        path = Path("runs/hello-001") / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        code, _, err = typed("train", "hello", "--init-from", "hello-001", "--dry-run")
        assert (code, "has changed since it was written" in err) == (3, True), name
        path.write_bytes(whole)
    Path("runs/hello-001/manifest.json").unlink()
    assert typed("train", "hello", "--init-from", "hello-001")[0] == 3
    assert not Path("runs/hello-002").exists()


def test_a_reader_that_leaves_does_not_end_training(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rnncli train hello --json | head -1`"""
    whole = sys.stdout.write
    written: list[str] = []

    def write(text: str) -> int:
        written.append(text)
        if len(written) > 3:
            raise BrokenPipeError
        return whole(text)

    with monkeypatch.context() as patch:
        patch.setattr(sys.stdout, "write", write)
        patch.setattr("rnncli.cli.watching.drop_output", lambda: None)
        code, _, err = typed("train", "hello", "--json", "--epochs", "30")
    assert code == 0
    assert err.count("training continues") == 1
    assert len(Path("runs/hello-001/metrics.jsonl").read_text().splitlines()) == 30
    assert json.loads(Path("runs/hello-001/result.json").read_text())["epochs"] == 30


def test_a_run_that_diverges_exits_with_4(typed: Typed) -> None:
    words = ["--lr", "1e30", "--set", "train.optimizer=sgd", "--set", "model.nonlinearity=relu"]
    code, out, err = typed("train", "hello", *words)
    assert code == 4, err
    assert "the loss became" in err
    assert "clip_grad_norm" in err
    assert out == ""


def test_an_interrupted_run_is_saved_and_resumes(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    command = [warm.python(), "-W", "error", "-m", "rnncli", "train"]
    running = subprocess.Popen(
        [*command, "hello", "--epochs", "1000000", "--set", "train.control=false"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    log = tmp_path / "runs" / "hello-001" / "metrics.jsonl"
    for _ in range(600):
        if log.exists() and log.stat().st_size:
            break
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "rnncli train --resume runs/hello-001" in err
    assert "Traceback" not in out + err
    done = len(log.read_text().splitlines())
    again = [*command, "--resume", "last", "--epochs", str(done + 5)]
    found = subprocess.run(again, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    assert len(log.read_text().splitlines()) == done + 5
