"""A pipe, a socket, a folder, an endless device and files that cannot be read, wherever a command takes a path: each is
answered, and none is waited for."""

from __future__ import annotations

import io
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

import rnncli
from rnncli.cli import make_app
from tests.hostile import Tally

PATHS = {"PATH", "DIR", "RUN", "TARGET", "RECIPE", "FOLDER", "FILE", "FILE.yaml", "FILE.csv", "OLD.json"}
SWEEP = "--grid model.cell=rnn,gru --dry-run"
BENCH = "--size 1/1/1 --cell rnn --rounds 1 --time-budget 0.01 --pass forward --engine torch"
READS = """
demo --from @.yaml
demo --check @.csv
inspect @.safetensors
inspect @.pt
inspect ./@.yaml
inspect run tensors --with @.pt
train ./@.yaml --dry-run
train hello --init-from ./@ --fast-dev-run
train --resume ./@
predict ./@ hel
predict run --file @.txt
evaluate ./@
evaluate run --data @.tsv
export ./@ out
report ./@
bench ./@.yaml
bench --compare @.json
runs list ./@
runs compare run ./@
recipes show ./@.yaml
recipes validate ./@.yaml
recipes copy ./@.yaml copied.yaml
recipes copy forecasting copied.yaml --data @.csv
recipes copy names copied.yaml --data @.parquet
train names --data @.tsv --dry-run
train names --data @.parquet --dry-run
train names --data @.jsonl --dry-run
train names --train-data @.csv --validation-data @.csv --dry-run
train names --train-data @.csv --validation-data @.csv --test-data @.csv --dry-run
train language-model --data @.txt --dry-run
train language-model --data @.txt.gz --dry-run
train forecasting --data @.csv --dry-run
train pos-tagging --data @.conllu --dry-run
train pos-tagging --data @.tsv --dry-run
train pos-tagging --set model.vectors=@.txt --dry-run
train translation --data @.tsv --dry-run
train transcription --data @.wav --dry-run
train transcription --data @.tsv --dry-run
train image-sequences --data @.npz --dry-run
train image-sequences --data @.npy --dry-run
sweep ./@.yaml --grid model.cell=rnn,gru --dry-run
sweep names --data @.csv --grid model.cell=rnn --out swept
""".strip().splitlines()
WRITES = f"""
demo --save @.json
inspect run states --save @.npz
train hello --epochs 1 --set train.control=false --out @
export run @
report run --out @.html
recipes copy hello @.yaml --force
bench {BENCH} --save @.json
sweep hello {SWEEP} --save @.csv
sweep hello {SWEEP} --out @
runs export run --to tensorboard --out @
runs list --save @.csv
runs compare run run --save @.csv
""".strip().splitlines()
KINDS = ("fifo", "socket", "folder", "zero", "broken", "unreadable")
pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


def combined(lines: list[str]) -> list[Any]:
    """Every line with a pipe and one kind in turn; the others as evidence."""
    found = []
    for number, line in enumerate(lines):
        fast = {KINDS[0], KINDS[1 + number % (len(KINDS) - 1)]}
        found += [pytest.param(line, kind, marks=() if kind in fast else pytest.mark.evidence) for kind in KINDS]
    return found


def make(kind: str, path: Path) -> None:
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))
        case "folder":
            path.mkdir()
        case "zero":
            path.symlink_to("/dev/zero")
        case "broken":  # opens, and cannot be read
            path.symlink_to("/proc/self/mem")
        case "unreadable":
            path.touch(mode=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    rnncli.train("hello", out=str(folder), sets=("train.control=false", "train.epochs=1"))
    return folder


@pytest.fixture(autouse=True)
def _here(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RNNCLI_DEBUG", raising=False)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    Path("run").symlink_to(run)
    yield
    torch.set_num_threads(1)


def given(kind: str, line: str) -> tuple[list[str], Path]:
    """The words of a command, and the file of that kind that they name."""
    words = line.split()
    (name,) = {word.split("=")[-1] for word in words if "@" in word}
    path = Path(name.replace("@", "given"))
    make(kind, path)
    return [word.replace("@", "given") for word in words], path


@pytest.mark.parametrize(("line", "kind"), combined(READS))
def test_what_cannot_be_read(line: str, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    if kind == "unreadable" and not os.geteuid():
        pytest.skip("root reads every file")
    words, path = given(kind, line)
    before = path.lstat().st_mode
    code = Tally(capsys)(words)
    assert code in (2, 3) or kind == "folder"
    assert path.lstat().st_mode == before


@pytest.mark.parametrize(("line", "kind"), combined(WRITES))
def test_where_nothing_can_be_written(line: str, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, path = given(kind, line)
    before = path.lstat().st_mode
    code = Tally(capsys)(words)
    if code:
        assert stat.S_IFMT(path.lstat().st_mode) == stat.S_IFMT(before)


def test_every_option_that_takes_a_path_is_here() -> None:
    lines = [line.split() for line in (*READS, *WRITES)]
    tried = {(words[0], words[1] if words[0] in ("runs", "recipes") else "", word) for words in lines for word in words}

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.metavar in PATHS:
                yield words[0], words[1] if len(words) > 1 else "", parameter.opts[0]
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(below, (*words, name))

    every = set(walk(typer.main.get_command(make_app()), ()))
    assert len(every) > 20
    assert every - tried == {("doctor", "", "--save")}  # seconds of its own tests; writes as the others do
