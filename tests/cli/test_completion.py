"""Completion, asked as the shells ask: by Typer's environment variables, and by bash (zsh, fish) where it is here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import CompletionItem  # type: ignore[attr-defined]  # Typer's own click has no public name

from rnncli import cli, names, tasks
from rnncli.cli import completion
from rnncli.recipe import keys, known_keys
from tests import warm
from tests.fixture_types import Run

ROOT = Path(__file__).parents[2]
LIGHT = """
import sys
from rnncli.cli import run
code = run([])
heavy = sorted({"torch", "matplotlib", "safetensors", "optuna"} & set(sys.modules))
sys.stderr.write(f"{code} {heavy}")
"""
# What nothing is offered for: a number, a text, a file (which every shell completes itself).
FREE = {
    "",
    "TEXT",
    "FILE",
    "FILE.yaml",
    "FILE.csv",
    "OLD.json",
    "DIR",
    "FOLDER",
    "URL",
    "INPUT",
    "NAME",
    "STEP",
    "TIME",
}
FREE |= {"N", "CHANGE", "0:20", "0-7", "1,2", "H/B/T", "METRIC<NUMBER", "RATE", "KEY"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with two runs, a recipe, weights, data."""
    for name in ("hello-001", "names-002"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        recipe = (ROOT / "recipes" / f"{name.partition('-')[0]}.yaml").read_text("utf-8")
        (tmp_path / "runs" / name / "recipe.yaml").write_text(recipe, "utf-8")
    (tmp_path / "helper.yaml").write_text("task: tagging\n")
    (tmp_path / "weights.pt").write_bytes(b"")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.csv").write_text("")
    return tmp_path


def asked(shell: str, words: list[str]) -> dict[str, str]:
    """What a shell sets to ask for words, the last of which is being typed."""
    return {
        "LC_ALL": "C.UTF-8",
        "_RNNCLI_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "\n".join(["rnncli", *words]),
        "COMP_CWORD": str(len(words)),
        "_TYPER_COMPLETE_ARGS": " ".join(["rnncli", *words]),
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }


def offered(shell: str, text: str) -> list[str]:
    """The words in what a shell gets."""
    if shell == "zsh":
        words = re.findall(r'^(?:_arguments .*\(\()?"((?:[^"]|"")+)"', text, re.M)
        return [word.replace(r"\\:", ":") for word in words]
    return [line.partition("\t")[0] for line in text.splitlines() if line]


def ask(shell: str, words: list[str], place: Path) -> list[str]:
    """What a shell gets for words, from a process that imports nothing heavy for it."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", **asked(shell, words)}
    found = subprocess.run(
        [warm.python("light"), "-W", "error", "-c", LIGHT], cwd=place, env=environment, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert found.stderr == "0 []", found.stderr
    return offered(shell, found.stdout)


CASES = [
    (["re"], ["report", "recipes"]),
    (["train", "hello", "--bat"], ["--batch-size"]),
    (["train", "hello-"], ["hello-cell", "hello-embedding"]),
    (["train", "helper"], ["helper.yaml"]),
    (["inspect", "la"], ["last", "language-model"]),
    (["inspect", "nam"], ["names-002", "names"]),
    (["inspect", "weights"], ["weights.pt"]),
    (["inspect", "last", "sa"], ["saturation"]),
    (["report", "last", "--view", "neu"], ["neurons"]),
    (["inspect", "hello", "--with", "las"], ["last"]),
    (["runs", "compare", "hello-001", "na"], ["names-002"]),
    (["train", "--resume", "la"], ["last"]),
    (["train", "hello", "--device", ""], ["auto", "cpu", "cuda", "mps"]),
    (["train", "hello", "--threads", ""], ["auto"]),
    (["bench", "--against", "jax,o"], ["jax,onnxruntime"]),
    (["demo", "--cell", "gru,min"], ["gru,mingru", "gru,minlstm"]),
    (["inspect", "weights.pt", "--cell", "sl"], ["slstm"]),
    (["train", "names", "--data", "builtin:nam"], ["builtin:names"]),
    (["train", "hello", "--set", "model.num"], ["model.num_layers=", "model.num_layers=1"]),
    (["train", "hello", "--set", "model.cell=g"], ["model.cell=gru"]),
    (["train", "hello", "--set", "model.bidirectional=t"], ["model.bidirectional=true"]),
    (["train", "hello", "--set", "train.optimizer=ada"],
     [f"train.optimizer={name}" for name in ("adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw")]),
    (["inspect", "hello-001", "--set", "model.head=l"], ["model.head=linear"]),
    (["sweep", "hello", "--grid", "model.cell=rnn,g"], ["model.cell=rnn,gru"]),
    (["recipes", "validate", "names", "--set", "train.best_by=macro"], ["train.best_by=macro-f1"]),
    (["train", "names", "--set", "data.path=da"], ["data.path=data/"]),
    (["train", "nothing-of-this-name", "--set", "mo"], []),
    (["train", "./nowhere.yaml", "--set", "mo"], []),
    (["predict", "last", "a text"], []),
]  # fmt: skip


@pytest.mark.parametrize("shell", ["zsh", "fish"])
@pytest.mark.parametrize(("words", "expected"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_shells_that_replace_a_whole_word(
    shell: str,
    words: list[str],
    expected: list[str],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process: in those of bash, below, it is also seen that nothing heavy is imported."""
    if shell == "fish" and words[-1] == "":
        pytest.skip("asked with a blank at the end, which the line of this test has not")
    monkeypatch.chdir(place)
    for name, value in asked(shell, words).items():
        monkeypatch.setenv(name, value)
    assert cli.run([]) == 0
    assert offered(shell, capsys.readouterr().out) == expected


def split(words: list[str]) -> list[str]:
    """As bash splits them."""
    return [part for word in words for part in (re.split(r"([=:])", word) if word else [""]) if part or not word]


@pytest.mark.parametrize(("words", "expected"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_bash_replaces_what_follows_its_word_breaks(words: list[str], expected: list[str], place: Path) -> None:
    kept = max(words[-1].rfind("="), words[-1].rfind(":")) + 1
    assert ask("bash", split(words), place) == [word[kept:] for word in expected]


def test_bash_with_other_word_breaks_gets_whole_words(place: Path) -> None:
    assert ask("bash", ["train", "hello", "--set", "model.cell=g"], place) == ["model.cell=gru"]


def test_a_key_of_its_own_kind(place: Path) -> None:
    """All keys that have values, those of this recipe's task, and the recipe's own value of one."""
    found = ask("fish", ["train", "forecasting", "--set", "data."], place)
    known = [key.name for key in keys(tasks.config_class("forecasting")) if key.name.startswith("data.")]
    assert found == [f"{name}=" for name in known]
    assert "data.horizon=" in found
    assert ask("fish", ["train", "forecasting", "--set", "data.horiz"], place) == ["data.horizon=", "data.horizon=12"]


@pytest.mark.parametrize("name", tasks.task_names())
def test_keys_are_those_that_hold_values(name: str) -> None:
    config = tasks.config_class(name)
    known = known_keys(config)
    found = [key.name for key in keys(config)]
    assert found == [key for key in known if not any(other.startswith(f"{key}.") for other in known)]
    by_name = {key.name: key for key in keys(config)}
    assert by_name["model.cell"].choices == list(names.CELLS)
    assert by_name["model.engine"].choices == names.engines()
    assert by_name["data.path"].is_path if "data.path" in by_name else True
    assert not by_name["train.lr"].choices


def every_parameter() -> Iterator[tuple[str, Any]]:
    def walk(words: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield from ((f"{words} {parameter.name}", parameter) for parameter in command.params)
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(f"{words} {name}".strip(), child)

    return walk("", typer.main.get_command(cli.make_app()))


@pytest.mark.parametrize(
    ("name", "parameter"), list(every_parameter()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_metavar_says_what_to_offer(name: str, parameter: Any) -> None:
    """A new option is completed by its metavar; one that nothing can be offered for is listed above."""
    metavar = str(parameter.metavar or "")
    words = metavar.strip("[]").removesuffix("...")
    assert (completion.offers_of(metavar) is None) == (words in FREE), f"{name}: {metavar}"


def test_nothing_changes_where_no_shell_asks() -> None:
    command = typer.main.get_command(cli.make_app())
    completion.prepare(command, {completion.VARIABLE: "source_bash"})
    assert all("shell_complete" not in vars(parameter) for parameter in command.params)
    assert CompletionItem("word", help="about").value == "word"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell(shell: str, rnncli: Run) -> None:
    found = rnncli("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert found.returncode == 0, found.stderr
    assert f"complete_{shell}" in found.stdout


BASH = """
PATH="$1:$PATH"
eval "$(_RNNCLI_COMPLETE=source_bash rnncli)"
complete -p rnncli
shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_rnncli_completion rnncli
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None or sys.platform == "win32", reason="there is no bash here")
def test_in_bash_itself(place: Path) -> None:
    commands = place / "bin"
    commands.mkdir()
    (commands / "rnncli").write_text(f"#!/bin/sh\nexec '{warm.python('light')}' -m rnncli \"$@\"\n")
    (commands / "rnncli").chmod(0o755)

    def replies(*words: str) -> list[str]:
        found = subprocess.run(
            ["bash", "--norc", "-c", BASH, "bash", str(commands), *words],
            cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}, capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip
        assert found.stderr == ""
        first, *rest = found.stdout.splitlines()
        assert first == "complete -o default -F _rnncli_completion rnncli"  # files, where nothing is offered
        return [line for line in rest if line]

    assert replies("rnncli", "train", "hello", "--set", "model.cell", "=", "ls") == ["lstm"]
    assert replies("rnncli", "inspect", "names-") == ["names-002"]
    assert replies("rnncli", "train", "names", "--data", "builtin", ":", "nam") == ["names"]
    assert replies("rnncli", "predict", "last", "--file", "da") == []


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish here")
def test_in_fish_itself(place: Path) -> None:
    commands = place / "bin"
    commands.mkdir()
    (commands / "rnncli").write_text(f"#!/bin/sh\nexec '{warm.python('light')}' -m rnncli \"$@\"\n")
    (commands / "rnncli").chmod(0o755)
    script = "_RNNCLI_COMPLETE=source_fish rnncli | source; complete -C $line"
    for line, expected in (
        ("rnncli train hello --set model.cell=g", ["model.cell=gru"]),
        ("rnncli inspect names-", ["names-002"]),
        ("rnncli predict last --file da", ["data/"]),  # fish's own
    ):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "HOME": str(place), "line": line}
        environment["PATH"] = os.pathsep.join([str(commands), os.environ["PATH"]])
        found = subprocess.run(
            ["fish", "-c", script], cwd=place, env=environment, capture_output=True, text=True, timeout=60
        )
        assert [word.partition("\t")[0] for word in found.stdout.splitlines()] == expected
