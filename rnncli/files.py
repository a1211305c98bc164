"""Files in and out: streaming reads of UTF-8 text, plain or .gz, whose errors name file, line and byte."""

from __future__ import annotations

import codecs
import errno
import gzip
import hashlib
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rnncli.errors import DataError
from rnncli.locale import tr

CHUNK = 1 << 20  # bytes read at a time
MAX_LINE = 16 << 20  # characters in one line of a file that is read line by line; more is not such a file


def shown(path: str | Path) -> str:
    """The path as a message shows it: what is no UTF-8 is written as escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


@contextmanager
def open_binary(path: str | Path) -> Iterator[IO[bytes]]:
    """The file's bytes, those inside for a name ending in .gz. Whatever goes wrong, then or later, is a DataError."""
    where = shown(path)
    if "\0" in where:
        raise DataError(tr("a file name cannot hold a NUL character"), where=repr(where))
    try:
        # Pipes and devices can wait or run for ever, and data is read more than once.
        if not stat.S_ISREG(os.stat(path).st_mode):
            if os.path.isdir(path):
                raise DataError(tr("is a folder, and a file is wanted here"), where=where)
            raise DataError(tr("is not a regular file"), where=where, todo=tr("write its contents to a file first"))
        with open(path, "rb") as raw:
            if where.endswith(".gz"):
                with gzip.open(raw, "rb") as inside:
                    yield inside  # type: ignore[misc]  # GzipFile reads as IO[bytes] does
            else:
                yield raw
    except FileNotFoundError as error:
        raise DataError(
            tr("there is no such file"), where=where, todo=tr("looked in {folder}", folder=shown(Path.cwd()))
        ) from error
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
            raise DataError(tr("may not be read: permission denied"), where=where) from error
        if error.errno == errno.ELOOP:
            raise DataError(tr("is a symbolic link that leads back to itself"), where=where) from error
        raise DataError(tr("cannot be read: {why}", why=error.strerror or str(error)), where=where) from error
    except UnicodeEncodeError as error:
        raise DataError(tr("this is not a possible file name"), where=where) from error


def fingerprint(path: str | Path) -> str:
    """sha256 of the file's bytes (those inside a .gz), in hexadecimal."""
    digest = hashlib.sha256()
    with open_binary(path) as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def read_chunks(path: str | Path) -> Iterator[str]:
    """The text of a UTF-8 file in pieces of about a megabyte: every line end becomes \\n, a leading BOM goes.

    Raises DataError with line and byte offset at the first byte that is not UTF-8 and at the first NUL.
    """
    where = shown(path)
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    line = 1  # of the next character
    offset = 0  # of pending[0] in the file
    pending = b""  # the first bytes of a character that the next block ends
    with open_binary(path) as file:
        while True:
            block = file.read(CHUNK)
            data = pending + block
            if offset == 0 and data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                raise DataError(
                    tr("is UTF-16 text, and UTF-8 is wanted"),
                    where=where,
                    todo=tr("convert it: iconv -f UTF-16 -t UTF-8 {name} > utf8.txt", name=where),
                )
            try:
                text, used = codecs.utf_8_decode(data, "strict", not block)
            except UnicodeDecodeError as error:
                before = newlines.decode(data[: error.start].decode("utf-8"), final=True)
                raise DataError(
                    tr(
                        "byte {byte} at offset {offset} is not UTF-8",
                        byte=f"0x{data[error.start]:02x}",
                        offset=offset + error.start,
                    ),
                    where=f"{where}:{line + before.count(chr(10))}",
                    todo=tr("convert it, for instance: iconv -f LATIN1 -t UTF-8 {name} > utf8.txt", name=where),
                ) from error
            nul = text.find("\0")
            if nul >= 0:
                before = newlines.decode(text[:nul], final=True)
                raise DataError(
                    tr(
                        "a NUL character at offset {offset}: this is not a text file",
                        offset=offset + len(text[:nul].encode("utf-8")),
                    ),
                    where=f"{where}:{line + before.count(chr(10))}",
                )
            if offset == 0 and text.startswith("\ufeff"):
                text = text[1:]
            offset += used
            pending = data[used:]
            text = newlines.decode(text, final=not block)
            line += text.count("\n")
            if text:
                yield text
            if not block:
                return


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end) for each line of a UTF-8 file, in constant memory.

    Raises DataError as read_chunks does, and for a line of more than MAX_LINE characters.
    """
    number = 1
    pieces: list[str] = []  # of the line that is not ended yet
    length = 0
    for text in read_chunks(path):
        *ended, rest = text.split("\n")
        for line in ended:
            if pieces:
                line = "".join([*pieces, line])
                pieces, length = [], 0
            yield number, line
            number += 1
        if rest:
            pieces.append(rest)
            length += len(rest)
        if length > MAX_LINE:
            raise DataError(
                tr("the line is longer than {n} characters", n=MAX_LINE),
                where=f"{shown(path)}:{number}",
                todo=tr("is this the right file? It is read line by line"),
            )
    if pieces:
        yield number, "".join(pieces)
