"""Commands other than training, killed at any of their writes: the same command then works, and gives what one that was
never killed gives."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rnncli
from rnncli import cli
from tests.hostile import EVIDENCE, counts

COMMANDS = {
    "export": ["export", "run", "out"],
    "report": ["report", "run", "--out", "out.html"],
    "inspect": ["inspect", "run", "states", "--save", "out.npz"],
    "recipes copy": ["recipes", "copy", "hello", "out.yaml", "--force"],
    "dry run": ["sweep", "hello", "--grid", "model.cell=rnn,gru", "--dry-run", "--save", "out.csv"],
}
CALLS = ("fsync", "replace", "rename", "truncate", "mkdir", "unlink", "open", "write", "close")


def killed(words: list[str], left: int) -> int | None:
    """Run a command in a process that kills itself at the `left`-th of its calls of the system that files pass through.
    Returns how many there were; None where it was killed."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        seen = 0

        def before(plain: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                nonlocal seen
                seen += 1
                if seen == left:
                    os.kill(os.getpid(), signal.SIGKILL)
                return plain(*arguments, **named)

            return call

        try:
            for name in CALLS:
                setattr(os, name, before(getattr(os, name)))
            code = cli.run(words)
            with open(writing, "w", closefd=False) as file:
                file.write(str(seen))
            os._exit(code)
        except BaseException:
            traceback.print_exc()
            os._exit(99)
    os.close(writing)
    with open(reading) as file:
        said = file.read()
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return None
    assert os.WEXITSTATUS(status) == 0
    return int(said)


def sizes() -> dict[str, int]:
    """Of every file but the run's: nothing half written is among them, and what is there is whole."""
    found = [path for path in Path().rglob("*") if path.is_file() and path.parts[0] != "run"]
    return {str(path): path.stat().st_size for path in found}


def clean() -> None:
    for path in Path().glob("out*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@counts(2, 50)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_anywhere_works_again(
    name: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RNNCLI_CACHE", "out of the cache")  # what `clean` removes, so that each copy writes the schema
    rnncli.train("hello", out="run", sets=("train.control=false", "train.epochs=1"))
    words, rng = COMMANDS[name], random.Random(name)
    moments = killed(words, 0)
    assert moments
    whole = sizes()
    assert whole
    points = []
    for _ in range(count):
        clean()
        points.append(rng.randrange(1, moments + 1))
        assert killed(words, points[-1]) is None
        assert cli.run(words) == 0, points
        assert sizes() == whole, points
    if count > 10:
        file = EVIDENCE.with_name("killed.json")
        found = json.loads(file.read_text())
        file.write_text(json.dumps(found | {name: {"kills": count, "at_moments": points}}, indent=1) + "\n")
