"""File input and output: streaming reads of UTF-8 text, plain or .gz, with errors that give file, line and byte; atomic
writes; a lock for folders. In one file because all turn the errors of the system into the same messages."""

from __future__ import annotations

import codecs
import errno
import glob
import gzip
import hashlib
import json
import os
import re
import shlex
import stat
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from rnncli.errors import CannotWrite, DataError, UsageError
from rnncli.filetypes import not_utf8
from rnncli.locale import tr
from rnncli.locks import lock_file, process_runs
from rnncli.names import similar_file
from rnncli.records import Json

CHUNK = 1 << 20  # bytes read at a time
MAX_RATIO = 100  # maximum compression ratio: text and tables rarely exceed it; a repetitive file reaches 1,000
UNPACKED = 4 << 20  # always allowed, in bytes unpacked
PATIENCE, MOMENT = 0.1, 0.02  # seconds to try to get a lock, and between attempts: `holder` takes it for a moment
MAX_LINE = 16 << 20  # maximum characters per line in a file read line by line


def shown(path: str | Path) -> str:
    """The path for messages: bytes that are not UTF-8 are escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def as_cell(path: str | Path) -> str:
    """The path as one column of a line: as `shown`, with tabs and line ends escaped."""
    return shown(path).replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


class _Unpacking(gzip.GzipFile):
    """A .gz reader that raises a DataError if the file unpacks to implausibly much data."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self.where = where
        self.packed = file
        super().__init__(fileobj=file, mode="rb")

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self.tell() > max(UNPACKED, MAX_RATIO * self.packed.tell()):
            raise DataError(
                tr("unpacks to more than {n} times its size; stopped unpacking", n=MAX_RATIO),
                where=self.where,
                todo=tr("if this is intended, unpack it first: gunzip {name}", name=shlex.quote(self.where)),
            )
        return data


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Sort key: frame2 before frame10."""
    pieces = re.split(r"([0-9]+)", name)
    return [(0, int(piece), piece) if i % 2 else (1, 0, piece) for i, piece in enumerate(pieces)]


def require_regular(path: str | Path) -> None:
    """Pipes and devices can block or never end, and files are read more than once. Raises DataError, and OSError."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        if os.path.isdir(path):
            raise DataError(tr("is a folder; expected a file"), where=shown(path))
        raise DataError(tr("is not a regular file"), where=shown(path), todo=tr("write its contents to a file first"))


@contextmanager
def open_binary(path: str | Path) -> Iterator[IO[bytes]]:
    """The file's bytes, decompressed for a name ending in .gz. All errors, then or later, are DataErrors."""
    where = shown(path)
    if "\0" in where:
        raise DataError(tr("a file name cannot contain a NUL character"), where=repr(where))
    try:
        require_regular(path)
        with open(path, "rb") as raw:
            if where.endswith(".gz"):
                with _Unpacking(raw, where) as inside:
                    yield inside  # type: ignore[misc]  # GzipFile reads as IO[bytes] does
            else:
                yield raw
    except FileNotFoundError as error:
        folder = os.path.dirname(os.path.abspath(path))
        if near := similar_file(where):
            todo = tr("did you mean {name}?", name=near)
        elif os.path.isdir(folder):
            todo = tr("looked in {folder}", folder=shown(folder))
        else:
            todo = tr("there is no folder {folder}", folder=shown(folder))
        raise DataError(tr("no such file"), where=where, todo=todo) from error
    except gzip.BadGzipFile as error:
        raise DataError(
            tr("ends in .gz but is not gzip data, or is damaged"), where=where, todo=tr("check it with: gzip -t")
        ) from error
    except (EOFError, zlib.error) as error:
        raise DataError(
            tr("is cut short or damaged inside the .gz"), where=where, todo=tr("check it with: gzip -t")
        ) from error
    except OSError as error:
        if error.errno == errno.EACCES:
            raise DataError(tr("cannot be read: permission denied"), where=where) from error
        if error.errno == errno.ELOOP:
            raise DataError(tr("is a circular symbolic link"), where=where) from error
        raise DataError(tr("cannot be read: {why}", why=error.strerror or str(error)), where=where) from error
    except UnicodeEncodeError as error:
        raise DataError(tr("invalid file name"), where=where) from error


def fingerprint(path: str | Path) -> str:
    """sha256 of the file's bytes (decompressed for a .gz), in hexadecimal."""
    digest = hashlib.sha256()
    with open_binary(path) as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def read_chunks(path: str | Path, *, raw: bool = False, by_line: bool = False) -> Iterator[str]:
    """The text of a UTF-8 file in pieces of about a megabyte, with line ends converted to \\n and without a leading
    BOM.

    raw: keep line ends and BOM, to write the text back byte for byte. by_line: line numbers matter, so a carriage
    return alone ends a line only if that is the file's line end (old Macs); otherwise it is inside a line, and is read
    as a blank.

    Raises DataError with line and byte offset of the first byte that is not UTF-8 or the first NUL.
    """
    where = shown(path)
    ends = _LineEnds(raw, by_line)
    line = 1  # of the next character
    offset = 0  # of pending[0] in the file
    pending = b""  # the first bytes of a character completed by the next block
    head = b""
    with open_binary(path) as file:
        while True:
            block = file.read(CHUNK)
            data = pending + block
            head = head or data
            if offset == 0 and data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                raise DataError(
                    tr("is UTF-16 text; expected UTF-8"),
                    where=where,
                    todo=tr("convert it: iconv -f UTF-16 -t UTF-8 {name} > utf8.txt", name=shlex.quote(where)),
                )
            try:
                text, used = codecs.utf_8_decode(data, "strict", not block)
                nul = text.find("\0")
                bad = len(text[:nul].encode("utf-8")) if nul >= 0 else -1
            except UnicodeDecodeError as error:
                bad = error.start
            if bad >= 0:
                before = ends.translated(data[:bad].decode("utf-8"), final=True)
                raise not_utf8(where, head, data, bad, offset, line + before.count("\n"))
            if offset == 0 and not raw and text.startswith("\ufeff"):
                text = text[1:]
            offset += used
            pending = data[used:]
            text = ends.translated(text, final=not block)
            line += text.count("\n")
            if text:
                yield text
            if not block:
                return


class _LineEnds:
    """Converts line ends to \\n in the pieces of a text; parameters as in read_chunks."""

    def __init__(self, raw: bool, by_line: bool) -> None:
        self.raw = raw
        self.held = ""  # a \\r that may be followed by \\n
        self.alone = None if by_line else "\n"  # replacement for a lone \\r; None: not known yet

    def translated(self, text: str, final: bool) -> str:
        if self.raw:
            return text
        text = self.held + text
        self.held = "\r" if text.endswith("\r") and not final else ""
        text = text[: len(text) - len(self.held)].replace("\r\n", "\n")
        if self.alone is None and ("\r" in text or "\n" in text):
            self.alone = "\n" if text.count("\r") > text.count("\n") else " "
        return text.replace("\r", self.alone or "\n") if "\r" in text else text


def read_lines(path: str | Path, *, raw: bool = False) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end) for each line of a UTF-8 file, in constant memory.

    raw: lines end only at \\n and keep their line ends, and the first its BOM: joined, they equal the file.

    Raises DataError like read_chunks, and for a line of more than MAX_LINE characters.
    """
    number = 1
    pieces: list[str] = []  # of the current line
    length = 0
    end = "\n" if raw else ""
    for text in read_chunks(path, raw=raw, by_line=True):
        *ended, rest = text.split("\n")
        for line in ended:
            if pieces:
                line = "".join([*pieces, line])
                pieces, length = [], 0
            yield number, line + end
            number += 1
        if rest:
            pieces.append(rest)
            length += len(rest)
        if length > MAX_LINE:
            raise DataError(
                tr("the line is longer than {n} characters", n=MAX_LINE),
                where=f"{shown(path)}:{number}",
                todo=tr("is this the right file? It is expected to consist of lines"),
            )
    if pieces:
        yield number, "".join(pieces)


@contextmanager
def writing(path: str | Path) -> Iterator[IO[bytes]]:
    """A context for writing a file atomically: a temporary file in the same folder, synced and renamed to `path` on
    success, removed on failure. Raises CannotWrite (disk full, read-only, folder missing)."""
    path = Path(path)
    half = path.parent / f".{path.name}.{os.getpid()}.tmp"
    with write_errors(path):
        try:
            _remove_partial(path)
            with open(half, "wb") as file:
                if sys.platform != "win32":  # where locks move the file position
                    with suppress(OSError):  # file system without locks
                        lock_file(file)
                with suppress(OSError):  # an existing file keeps its permissions
                    os.chmod(half, stat.S_IMODE(os.stat(path).st_mode))
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(half, path)
        finally:
            half.unlink(missing_ok=True)


def _remove_partial(path: Path) -> None:
    """Remove partial files of killed processes: no process with that id runs here, and none has its lock."""
    for half in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        number = half.name.removeprefix(f".{path.name}.").removesuffix(".tmp")
        if number.isdigit() and not process_runs(int(number)):
            with suppress(OSError), open(half, "r+b") as file:
                if lock_file(file):
                    half.unlink()


def atomic_write(path: str | Path, data: bytes | str) -> None:
    """Write `data` to `path` atomically, like `writing`. Text is UTF-8."""
    with writing(path) as file:
        file.write(data.encode("utf-8") if isinstance(data, str) else data)


def _nonblocking(path: str, flags: int) -> int:
    """Opener for open: a pipe without a reader is an error instead of blocking."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return descriptor


def write_output(path: str | Path, data: bytes) -> None:
    """Write `data` to a path given by the user. Follows symbolic links; a device or a pipe (/dev/stdout, /dev/null) is
    written to directly, not replaced. Raises CannotWrite.

    Files inside a run folder use atomic_write, which does not follow links that may have been planted there.
    """
    place = Path(os.path.realpath(path))
    if os.path.isfile(place) and not os.stat(place).st_mode & 0o222:  # a rename would ignore the permissions
        raise cannot_write(path, PermissionError(errno.EACCES, "read-only"))
    if not os.path.exists(path) or os.path.isfile(place) or os.path.isdir(place):
        atomic_write(place if os.path.islink(path) else path, data)
        return
    with write_errors(path), open(path, "wb", opener=_nonblocking) as file:
        file.write(data)


def cache_folder() -> Path:
    """The cache folder: RNNCLI_CACHE, else the system's folder for caches."""
    if chosen := os.environ.get("RNNCLI_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "rnncli" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "rnncli"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnncli"


@contextmanager
def write_errors(path: str | Path) -> Iterator[None]:
    """Convert an OSError in this context to a CannotWrite for the file or folder at `path`."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: str | Path, error: OSError) -> CannotWrite:
    """A CannotWrite that explains `error` for the file at `path`."""
    where = shown(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CannotWrite(tr("the disk is full"), where=where, todo=tr("free some space, or choose another folder"))
    if error.errno == errno.EROFS:
        return CannotWrite(tr("this file system is read-only"), where=where, todo=tr("choose another folder"))
    if error.errno in (errno.EACCES, errno.EPERM):
        return CannotWrite(tr("cannot be written: permission denied"), where=where, todo=tr("choose another folder"))
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return CannotWrite(tr("its folder does not exist"), where=where, todo=tr("create the folder first"))
    if error.errno == errno.EISDIR:
        return CannotWrite(tr("is a folder; cannot write a file there"), where=where)
    if error.errno == errno.ENAMETOOLONG:
        return CannotWrite(tr("the name is too long"), where=where)
    return CannotWrite(tr("cannot be written: {why}", why=error.strerror or str(error)), where=where)


class FolderLock:
    """A lock that admits one process at a time to a folder: `with FolderLock(run): ...`.

    The operating system releases the lock when the process ends for any reason. Entering raises UsageError, with the
    holder's process id, if another process has it for longer than `patience`, in seconds.
    """

    NAME = ".lock"

    def __init__(self, folder: str | Path, patience: float = PATIENCE) -> None:
        self.path = Path(folder) / self.NAME
        self.patience = patience
        self.file: IO[bytes] | None = None

    def __enter__(self) -> FolderLock:
        inside(self.path.parent, self.NAME)
        with write_errors(self.path):
            file = open(self.path, "a+b")  # kept open as long as the lock
        if not self._lock(file):
            file.seek(0)
            holder = file.read(20).decode("ascii", "replace").strip() or "?"
            file.close()
            raise UsageError(
                tr("another process is working in this folder: {pid}", pid=holder),
                where=shown(self.path.parent),
                todo=tr("wait for it, or end it: kill {pid}", pid=holder),
            )
        with write_errors(self.path):
            file.truncate(0)
            file.write(str(os.getpid()).encode("ascii"))
            file.flush()
        self.file = file
        return self

    def __exit__(self, *_: object) -> None:
        assert self.file is not None
        self.file.truncate(0)
        self.file.close()
        self.file = None

    def _lock(self, file: IO[bytes]) -> bool:
        until = time.monotonic() + self.patience
        while not (locked := lock_file(file)) and time.monotonic() < until:
            time.sleep(MOMENT)
        return locked

    @classmethod
    def holder(cls, folder: str | Path) -> str:
        """Id of the process working in a folder, "" if none; ignores ids left by killed processes. Writes nothing and
        does not block."""
        try:
            with open(Path(folder) / cls.NAME, "rb", opener=_nonblocking) as file:
                found = file.read(20).decode("ascii", "replace").strip()
                return found if found and not lock_file(file, shared=True) else ""
        except OSError:  # not readable: none of our processes works there
            return ""


def inside(folder: str | Path, name: str) -> Path:
    """folder/name. Raises DataError if that is outside the folder: through `..`, an absolute path or a link."""
    path = Path(folder) / name
    try:
        within = path.resolve().is_relative_to(Path(folder).resolve())
    except (OSError, RuntimeError, ValueError):  # a circular link, a NUL
        within = False
    if not within:
        raise DataError(tr("points outside its folder"), where=shown(path), todo=tr("refusing to follow it"))
    return path


def read_json(path: str | Path) -> dict[str, Json]:
    """The object in a JSON file. Raises DataError: no such file, invalid JSON, not an object, nested too deeply."""
    try:
        value = json.loads("".join(read_chunks(path)))
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, ValueError) else tr("nested too deeply")
        raise DataError(tr("this file is damaged: {why}", why=why), where=shown(path)) from error
    if not isinstance(value, dict):
        raise DataError(tr("this file is damaged: {why}", why=tr("not a JSON object")), where=shown(path))
    return value
