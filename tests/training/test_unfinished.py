"""What commands that failed or were killed leave behind: their own files go, a user's stay, the same command works."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import rnncli
from rnncli import cli
from rnncli.errors import UsageError
from rnncli.files import FolderLock, atomic_write
from rnncli.runs.export import export
from rnncli.runs.folder import make_folder
from rnncli.runs.unfinished import EXPORTING, folders_to_make

QUICK = ("train.epochs=1", "train.control=false")


def _failing_on(monkeypatch: pytest.MonkeyPatch, then: object = None) -> None:
    """Training fails before its first epoch; `then` is called first."""
    from rnncli.runs import train

    def fails(job: object, state: object) -> Iterator[object]:
        if callable(then):
            then()
        raise UsageError("planted")
        yield

    monkeypatch.setattr(train, "fit", fails)


def test_a_failed_start_takes_away_its_own_files_and_folders_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _failing_on(monkeypatch)
    assert cli.run(["-q", "train", "hello", "--out", "new/in/here"]) == 2
    assert not Path("new").exists()
    Path("empty").mkdir()
    assert cli.run(["-q", "train", "hello", "--out", "empty"]) == 2
    assert Path("empty").is_dir()
    assert not any(Path("empty").iterdir())
    assert cli.run(["-q", "train", "hello"]) == 2
    assert not any(Path("runs").iterdir())


def test_a_failed_start_leaves_what_a_user_put_there_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def notes() -> None:
        Path("made/notes.txt").write_text("mine")
        Path("made/resume/more.txt").write_text("mine")

    _failing_on(monkeypatch, notes)
    assert cli.run(["-q", "train", "hello", "--out", "made"]) == 2
    left = sorted(str(path) for path in Path("made").rglob("*") if path.is_file())
    assert left == ["made/notes.txt", "made/resume/more.txt"]


class Killed(BaseException):
    """As if the process had ended here: nothing of ours is done any more."""


@contextmanager
def killed_at(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The process is killed just before its write number `number` is put into place: half a file lies beside."""
    written: list[str] = []

    def replace(source: str | Path, target: str | Path) -> None:
        written.append(str(target))
        if len(written) > number:
            half = Path(source).with_name(f".{Path(target).name}.{4_190_000}.tmp")  # of a process that is not there
            shutil.copy(source, half)
            raise Killed
        os.rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        yield written


def test_the_same_command_works_wherever_training_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its recipe is written there is no run; after it, the folder is one, and is not touched."""
    for number in range(20):
        out = tmp_path / f"run{number}"
        with killed_at(number, monkeypatch) as written, pytest.raises(Killed):
            rnncli.train("hello", out=str(out), sets=QUICK)
        if (out / "recipe.yaml").exists():
            with pytest.raises(UsageError, match="not empty"):
                make_folder(str(out))
            break
        run = rnncli.train("hello", out=str(out), sets=QUICK)
        assert run.result()
        assert not list(out.rglob("*.tmp"))
    assert number == len(written) - 1 >= 5


def test_the_same_command_works_wherever_an_export_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = rnncli.train("hello", out=str(tmp_path / "run"), sets=QUICK)
    for number in range(5):
        out = tmp_path / f"out{number}"
        with killed_at(number, monkeypatch), pytest.raises(Killed):
            export(run, str(out))
        assert (out / EXPORTING).exists() == bool(number)
        export(run, str(out))
        written = ["MODEL_CARD.md", "load.py", "model.safetensors", "vocab.json"]
        assert sorted(path.name for path in out.iterdir()) == written


def test_a_lock_alone_does_not_block_but_a_process_does(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with FolderLock(tmp_path / "a"), pytest.raises(UsageError, match="not empty"):
        make_folder(str(tmp_path / "a"))
    assert (tmp_path / "a" / FolderLock.NAME).exists()
    make_folder(str(tmp_path / "a"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", '{"name": "a web app", "files": []}'),
        ("manifest.json", '{"files": {"../outside": []}}'),
        ("manifest.json", "no json"),
        (".exporting", "../outside\n"),
        ("vocab.json", "{}"),
        (".notes.txt.4190000.tmp", ""),
    ],
)
def test_files_that_are_not_ours_block_as_before_and_stay(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / "outside").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text(content)
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(UsageError, match="not empty"):
        make_folder(str(tmp_path / "out"))
    assert (tmp_path / "out" / name).read_text() == content
    assert (tmp_path / "outside").exists()


def test_half_files_of_killed_processes_go_when_the_file_is_written_again(tmp_path: Path) -> None:
    dead, living, other = (tmp_path / f".a.json.{n}.tmp" for n in (4_190_000, os.getppid(), "x"))
    for path in (dead, living, other):
        path.touch()
    atomic_write(tmp_path / "a.json", "{}")
    assert [path.exists() for path in (dead, living, other)] == [False, True, True]


def test_the_folders_that_a_command_will_make(tmp_path: Path) -> None:
    assert folders_to_make(str(tmp_path / "a" / "b")) == [tmp_path / "a" / "b", tmp_path / "a"]
    assert folders_to_make(str(tmp_path)) == []
