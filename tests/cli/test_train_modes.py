"""What `rnncli train` is asked to do: of every two such options both are obeyed, or the command refuses them."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from pathlib import Path

import pytest

import rnncli
from tests.fixture_types import Typed

OPTIONS: dict[str, tuple[str, ...]] = {
    "--resume": ("--resume", "before"),
    "--init-from": ("--init-from", "before"),
    "--dry-run": ("--dry-run",),
    "--fast-dev-run": ("--fast-dev-run",),
    "--overfit-batches": ("--overfit-batches", "1"),
    "--print-config": ("--print-config",),
    "--find-lr": ("--find-lr",),
    "--code": ("--code",),
    "--out": ("--out", "new"),
    "--json": ("--json",),
}
TRAINS_NOTHING = {"--dry-run", "--print-config", "--find-lr", "--code"}
PAIRS = [*itertools.combinations(OPTIONS, 2)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modes") / "before"
    rnncli.train("hello", out=str(folder), sets=("train.epochs=2", "train.control=false"))
    return folder


def _content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def _typed(typed: Typed, *pair: str, **changed: tuple[str, ...]) -> tuple[int, str, str]:
    words = [word for option in pair for word in changed.get(option.lstrip("-").replace("-", "_"), OPTIONS[option])]
    return typed("train", *([] if "--resume" in pair else ["hello"]), "--epochs", "4", *words)


@pytest.mark.parametrize("pair", PAIRS, ids=[" ".join(pair) for pair in PAIRS])
def test_both_are_obeyed_or_refused(pair: tuple[str, str], typed: Typed, trained: Path) -> None:
    shutil.copytree(trained, "before")
    before = _content(Path("before"))
    code, out, err = _typed(typed, *pair)
    if code == 2:
        assert all(option in err for option in pair) or "--overfit-batches" in pair
        assert _content(Path("before")) == before
        assert not Path("new").exists()
        assert not Path("runs").exists()
        return
    assert code == 0, err
    untrained = bool(TRAINS_NOTHING & {*pair})
    kept = not untrained and "--fast-dev-run" not in pair
    assert (_content(Path("before")) != before) == (kept and "--resume" in pair)
    assert Path("runs").exists() == (kept and not {"--resume", "--out"} & {*pair})
    assert (Path("new") / "result.json").exists() == (kept and "--out" in pair)
    lines = [json.loads(line) for line in out.splitlines()] if "--json" in pair else []
    for option, schema, shown in (
        ("--dry-run", "rnncli/dry-run/1", "updates per epoch"),
        ("--print-config", "rnncli/config/1", "train.lr"),
        ("--find-lr", "rnncli/find-lr/1", "learning rate"),
        ("--fast-dev-run", "rnncli/result/1", "fast development run"),
        ("--code", "", "import torch"),
    ):
        if option in pair and (option, "--print-config") != pair:
            assert lines[-1]["schema"] == schema if lines else shown in out
    for option in {*pair} & {"--overfit-batches", "--fast-dev-run"} if "--print-config" in pair else ():
        assert option in out  # as the origin of what it changes


@pytest.mark.parametrize("other", [option for option in OPTIONS if option != "--init-from"])
def test_weights_that_are_not_there_are_never_passed_over(other: str, typed: Typed, trained: Path) -> None:
    shutil.copytree(trained, "before")
    assert _typed(typed, "--init-from", other, init_from=("--init-from", "absent"))[0] == 2
    assert not Path("new").exists()


@pytest.mark.parametrize("other", [option for option in OPTIONS if option != "--out"])
def test_a_folder_that_is_taken_is_never_passed_over(other: str, typed: Typed, trained: Path) -> None:
    shutil.copytree(trained, "before")
    Path("taken").mkdir()
    Path("taken/notes.txt").touch()
    assert _typed(typed, "--out", other, out=("--out", "taken"))[0] == 2
    assert [path.name for path in Path("taken").iterdir()] == ["notes.txt"]
