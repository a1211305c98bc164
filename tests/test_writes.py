"""Writing whole or not at all, the lock of a folder, the manifest."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnncli.errors import CannotWrite, DataError, UsageError
from rnncli.files import FolderLock, atomic_write, cannot_write, write_output
from rnncli.runs.manifest import MANIFEST, Manifest, check_manifest
from tests.hostile import bounded


def test_atomic_write(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    atomic_write(path, "中文\n")
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("at", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, at, full)
    with pytest.raises(CannotWrite, match="the disk is full") as caught:
        atomic_write(path, "new")
    assert caught.value.exit_code == 6
    assert caught.value.where == str(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_a_link_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.txt").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "there" / "a.txt")
    write_output(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "a.txt").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["link", "there"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_output(path, b"said")
    assert os.read(reader, 10) == b"said"
    os.close(reader)
    assert path.is_fifo()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    """By a link of the test's own: were it to be replaced, it would be that."""
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    with pytest.raises(CannotWrite, match="the disk is full"):
        write_output(link, b"x")
    assert link.is_symlink()
    assert link.is_char_device()


def test_a_file_keeps_its_permissions_and_one_that_is_read_only_stays(tmp_path: Path) -> None:
    path = tmp_path / "private.csv"
    path.write_text("before")
    path.chmod(0o600)
    write_output(path, b"after")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("after", 0o600)
    path.chmod(0o444)
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(CannotWrite, match="permission denied"):
            write_output(name, b"again")
    assert path.read_text() == "after"
    write_output(tmp_path / "new.csv", b"x")
    (tmp_path / "plain").touch()
    assert (tmp_path / "new.csv").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="its folder does not exist"):
        atomic_write(tmp_path / "no" / "a.txt", "x")
    (tmp_path / "d").mkdir()
    with pytest.raises(CannotWrite, match="is a folder"):
        atomic_write(tmp_path / "d", "x")
    assert os.listdir(tmp_path) == ["d"]


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.EROFS, "read-only"), (errno.EACCES, "permission denied"), (errno.ENAMETOOLONG, "too long"), (5, "Input")],
)
def test_words_for_what_the_system_says(code: int, words: str) -> None:
    assert words in cannot_write("f", OSError(code, os.strerror(code))).what


HOLD = """
import sys
from rnncli.files import FolderLock
with FolderLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_holder_hears_the_first_one_s_number(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=str(first.pid)) as caught, FolderLock(tmp_path):
            pass
        assert caught.value.exit_code == 2
        first.kill()  # the lock goes with its process
        first.wait()
        with FolderLock(tmp_path):
            assert (tmp_path / ".lock").read_text() == str(os.getpid())
    with FolderLock(tmp_path), pytest.raises(UsageError), FolderLock(tmp_path):
        pass


def test_who_holds_a_folder_is_asked_without_standing_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FolderLock.holder(tmp_path) == ""
    lock = tmp_path / FolderLock.NAME
    lock.write_text("999999")  # of a process that was killed
    assert FolderLock.holder(tmp_path) == ""
    assert lock.read_text() == "999999"
    with FolderLock(tmp_path):
        assert FolderLock.holder(tmp_path) == str(os.getpid())
        assert lock.read_text() == str(os.getpid())
    fcntl = pytest.importorskip("fcntl")
    lock.write_text("999999")
    with open(lock, "rb") as another:  # asks at this moment, and is done a moment later
        fcntl.flock(another, fcntl.LOCK_SH)
        assert FolderLock.holder(tmp_path) == ""
        monkeypatch.setattr("rnncli.files.time.sleep", lambda _: fcntl.flock(another, fcntl.LOCK_UN))
        with FolderLock(tmp_path):
            assert lock.read_text() == str(os.getpid())


def test_manifest(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    manifest = Manifest(tmp_path)
    manifest.write({"a.bin": b"abc", "sub/b.gz": b"not really gzip"})
    assert hashlib.sha256(b"abc").hexdigest() in (tmp_path / MANIFEST).read_text()
    assert sorted(check_manifest(tmp_path)) == ["a.bin", "sub/b.gz"]
    assert check_manifest(tmp_path, ["a.bin", "unlisted"]) == ["a.bin"]
    (tmp_path / "a.bin").write_bytes(b"abd")
    with pytest.raises(DataError, match="sha256"):
        check_manifest(tmp_path)
    (tmp_path / "a.bin").write_bytes(b"ab")
    with pytest.raises(DataError, match="has 2 bytes, but had 3 when it was written"):
        check_manifest(tmp_path)
    (tmp_path / "a.bin").unlink()
    with pytest.raises(DataError, match="missing"):
        check_manifest(tmp_path)
    assert check_manifest(tmp_path, ["sub/b.gz"]) == ["sub/b.gz"]
    again = Manifest(tmp_path)
    again.load()
    again.write({"a.bin": "new"})
    (tmp_path / "log").write_text("one\n")
    again.seal(["log"])
    assert sorted(check_manifest(tmp_path)) == ["a.bin", "log", "sub/b.gz"]
    again.release(["log"])
    assert sorted(check_manifest(tmp_path)) == ["a.bin", "sub/b.gz"]
    deep = "[" * 100_000
    for broken in ("", "[]", "{}", deep, '{"files": {"a": 1}}', '{"files": {"a": [{"size": "x", "sha256": ""}]}}'):
        (tmp_path / MANIFEST).write_text(broken)
        with pytest.raises(DataError, match="damaged"):
            check_manifest(tmp_path)


def test_a_manifest_holds_wherever_writing_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each of its renames: the folder is whole, each file the old or the new one."""
    replace, left = os.replace, 99

    def cut(source: str, target: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", cut)
    Manifest(tmp_path).write({"a": "old a", "b": "old b"})
    for cut_at in range(5):
        manifest = Manifest(tmp_path)
        manifest.load()
        left = cut_at
        with contextlib.suppress(KeyboardInterrupt):
            manifest.write({"b": f"b {cut_at}", "a": f"a {cut_at}", f"c{cut_at}": "c"})
        check_manifest(tmp_path)
        left = 99


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "link", "loop", "a\0b"])
def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "outside").write_text("x")
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / MANIFEST).write_text(json.dumps({"files": {name: [None]}}))
    if name == "loop":  # leads nowhere
        with contextlib.suppress(DataError):
            check_manifest(folder)
        return
    with pytest.raises(DataError, match="points outside its folder"):
        check_manifest(folder)


def test_a_lock_is_not_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(DataError, match="points outside its folder"), FolderLock(tmp_path / "run"):
        pass
    assert (tmp_path / "precious").read_text() == "kept"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with bounded(), pytest.raises(CannotWrite):
        write_output(tmp_path / "pipe", b"said")
