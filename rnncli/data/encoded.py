"""A text as token ids, read on demand: a language model's text may be larger than memory.

Each token is stored as its index among the text's distinct tokens (`types`); a run's vocabulary maps these indices to
its ids on reading. So one encoding serves every vocabulary, split and window. A short text is encoded in memory; a
longer one is encoded once into a file in the cache folder, named by its hash and the kind of token (see `data.stored`
for how it is read).
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
import weakref
import zlib
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rnncli.data.progress import Reading
from rnncli.data.stored import InArray, Numbers, Stored, pread
from rnncli.data.text import Text, bytes_of
from rnncli.data.vocab import LONGEST_SIGN, UNK, WRITTEN, Kind, Vocab, gaps, tokenize
from rnncli.errors import CannotWrite, DataError, UsageError
from rnncli.files import FolderLock, cache_folder, shown, write_errors, writing
from rnncli.locale import tr

BLOCK = 1 << 20  # tokens counted or written at a time
LONGEST = 16 << 20  # characters of one word; a longer one means that the text is not made of words
WAIT = 1.0  # seconds between checks whether another process is done
FILE = "tokens.bin"
_END = struct.Struct("<8sQI")  # footer: a magic number, the JSON's size in bytes, a CRC of all before
_MARK = b"rnncli-2"


class Encoded(Stored, Protocol):
    """The ids of tokens, of some unsigned integer type. types: the distinct tokens. kind: what a token is. name: of the
    text. place: path of the file, None if in memory."""

    @property
    def types(self) -> Sequence[str]: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def name(self) -> str: ...
    @property
    def place(self) -> Path | None: ...


class InMemory(InArray):
    """An encoded text as an array."""

    place = None

    def __init__(self, name: str, kind: Kind, types: Sequence[str], numbers: Numbers) -> None:
        super().__init__(numbers)
        self.name, self.kind, self.types = name, kind, types


class InFile:
    """An encoded text as a file: ids of `dtype`, then JSON with the dtype and the types, then _END."""

    def __init__(self, name: str, kind: Kind, place: Path) -> None:
        """Raises DataError: missing, or not written by `encode_text`."""
        self.name, self.kind, self.place = name, kind, place
        try:
            self._file = os.open(place, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            weakref.finalize(self, os.close, self._file)
            size = os.fstat(self._file).st_size - _END.size
            mark, length, self._checksum = _END.unpack(self._bytes(size, _END.size))
            about = json.loads(self._bytes(size - length, length)) if mark == _MARK and length <= size else {}
            self.types = about["types"]
            self._dtype = np.dtype(about["dtype"])
            self._size = int(about["size"])
        except (OSError, ValueError, LookupError, TypeError, struct.error) as error:
            raise _damaged(place) from error
        if size - length != self._size * self._dtype.itemsize:
            raise _damaged(place)

    def __len__(self) -> int:
        return self._size

    def read(self, start: int, stop: int) -> Numbers:
        width = self._dtype.itemsize
        return np.frombuffer(self._bytes(start * width, (stop - start) * width), self._dtype)

    def check(self) -> None:
        """Read it through once. Raises DataError: it is corrupted."""
        found, stop = 0, os.fstat(self._file).st_size - _END.size
        for start in range(0, stop, BLOCK):
            found = zlib.crc32(self._bytes(start, min(BLOCK, stop - start)), found)
        if found != self._checksum:
            raise _damaged(self.place)

    def _bytes(self, offset: int, length: int) -> bytes:
        data = pread(self._file, length, offset) if offset >= 0 else b""
        if len(data) != length:
            raise _damaged(self.place)
        return data


def _damaged(place: Path) -> DataError:
    return DataError(tr("this file is damaged"), where=shown(place), todo=tr("delete it; it will be created again"))


def encode_text(text: Text, kind: Kind) -> Generator[Reading, None, Encoded]:
    """Encode the text: in memory if the text is held there, else in a file, created if missing.

    Raises CannotWrite, and whatever reading a text raises. An interrupted call leaves no partial file. If another
    process is writing the same file, this one waits for it.
    """
    if text.held is not None:
        numbers = _Numbers(text, kind)
        pieces = [*(numbers.of(piece) for piece in text.pieces()), numbers.rest()]
        return InMemory(text.name, kind, numbers.types, np.concatenate(pieces))
    place = cache_folder() / "texts" / f"{text.fingerprint[:32]}-{WRITTEN.get(kind, kind)}" / FILE
    if not _usable(text, kind, place):
        with write_errors(place.parent):
            place.parent.mkdir(parents=True, exist_ok=True)
        lock = yield from _alone(place.parent, text.short)
        try:
            if not _usable(text, kind, place):  # another process may have written it in the meantime
                yield from _write(text, kind, place)
        finally:
            lock.__exit__()
    return InFile(text.name, kind, place)


def _usable(text: Text, kind: Kind, place: Path) -> bool:
    try:
        InFile(text.name, kind, place).check()
    except DataError:
        return False
    return True


def _alone(folder: Path, name: str) -> Generator[Reading, None, FolderLock]:
    """The folder's lock, once it is free."""
    waited = 0
    while True:
        lock = FolderLock(folder)
        try:
            lock.__enter__()
        except UsageError:
            yield Reading(tr("waiting for another process that encodes {name}", name=name), waited, 0)
            time.sleep(WAIT)
            waited += 1
        else:
            return lock


def _write(text: Text, kind: Kind, place: Path) -> Generator[Reading, None, None]:
    for beside in place.parent.glob(".*.tmp"):
        beside.unlink(missing_ok=True)  # left by a killed process: this one holds the lock
    numbers = _Numbers(text, kind)
    if kind == "characters":
        _require_room(place.parent, text.characters * numbers.dtype.itemsize)
    what, total = tr("encoding {name}", name=text.short), bytes_of(text.source)
    said = tr("encoding {name} once, into {file}", name=text.name, file=shown(place))
    if place.exists():
        said = tr("{file} was damaged: encoding {name} again", name=text.name, file=shown(place))
    yield Reading(what, 0, total, said)
    with writing(place) as file:
        done = size = checksum = 0
        for piece in text.pieces():
            found = numbers.of(piece).tobytes()
            file.write(found)
            size, checksum = size + len(found), zlib.crc32(found, checksum)
            done += len(piece.encode("utf-8"))
            yield Reading(what, done, total)
        rest = numbers.rest().tobytes()
        file.write(rest)
        size = (size + len(rest)) // numbers.dtype.itemsize
        about = {"kind": kind, "dtype": numbers.dtype.str, "size": size, "types": list(numbers.types)}
        raw = json.dumps(about).encode("ascii")
        file.write(raw + _END.pack(_MARK, len(raw), zlib.crc32(rest + raw, checksum)))


def _require_room(folder: Path, needed: int) -> None:
    """Raise CannotWrite before anything is written, rather than fill the disk."""
    with write_errors(folder):
        free = shutil.disk_usage(folder).free
    if free < needed:
        raise CannotWrite(
            tr(
                "the encoded text takes {needed} MB, but only {free} MB are free",
                needed=needed // 10**6,
                free=free // 10**6,
            ),
            where=shown(folder),
            todo=tr("free some space, or choose another cache folder: RNNCLI_CACHE=FOLDER"),
        )


class _Numbers:
    """Encodes a text's chunks one after the other."""

    def __init__(self, text: Text, kind: Kind) -> None:
        self.kind, self.name = kind, text.name
        if kind == "characters":
            n = len(text.alphabet)
            self.dtype = np.dtype("u1" if n <= 1 << 8 else "<u2" if n <= 1 << 16 else "<u4")
            self._of_code = np.zeros(ord(text.alphabet[-1]) + 1, self.dtype)
            self._of_code[[ord(character) for character in text.alphabet]] = np.arange(n)
            self._types: Sequence[str] = text.alphabet
        else:
            self.dtype = np.dtype("<u4")
            self._of_word = defaultdict[str, int]()
            self._of_word.default_factory = self._of_word.__len__  # the next id for every new token
            self._open = ""  # the end of the last chunk: its word may continue in the next

    @property
    def types(self) -> Sequence[str]:
        return list(self._types) if self.kind == "characters" else list(self._of_word)

    def of(self, piece: str) -> Numbers:
        """Ids of the tokens that this chunk completes."""
        if self.kind == "characters":
            found: Numbers = self._of_code[np.frombuffer(piece.encode("utf-32-le"), "<u4")]
            return found
        whole = self._open + piece
        tokens = tokenize(whole, self.kind, newlines=True)
        cut = whole.rfind(tokens[-1]) if tokens else len(whole)
        sign = max(whole.rfind("<"), whole.rfind("&"))  # of one that the next chunk may complete: <un
        if max(0, len(whole) - LONGEST_SIGN) <= sign < cut and self.kind != "whitespace":
            cut = sign
            tokens = tokenize(whole[:cut], self.kind, newlines=True)
        elif tokens:
            tokens.pop()
        self._open = whole[cut:]
        if len(self._open) > LONGEST:
            raise DataError(
                tr("a word of more than {n} characters", n=f"{LONGEST:,}"),
                where=self.name,
                todo=tr("does this text consist of words? --set data.tokens=characters works for any text"),
            )
        return self._words(tokens)

    def rest(self) -> Numbers:
        """Ids of the tokens after the last chunk."""
        return self._words([] if self.kind == "characters" else tokenize(self._open, self.kind, newlines=True))

    def _words(self, tokens: Sequence[str]) -> Numbers:
        return np.array([self._of_word[token] for token in tokens], self.dtype)


@dataclass(frozen=True)
class Measured:
    """Counts over a stretch of a text. counts: token -> count, for tokens that occur. characters: length as readable
    text, including the spaces between words."""

    counts: Mapping[str, int]
    characters: int


def measure(text: Encoded, start: int, stop: int) -> Generator[Reading, None, Measured]:
    """Count the tokens start ... stop."""
    n = len(text.types)
    counts = np.zeros(n, np.int64)
    lengths = np.array([len(token) for token in text.types], np.int64)
    none_before, none_after = (np.array(flags, bool) for flags in gaps(text.types, text.kind))
    spaces = 0
    after = True  # no space before the first token
    for at in range(start, stop, BLOCK):
        block = text.read(at, min(at + BLOCK, stop))
        try:
            counts += np.bincount(block, minlength=n)
            if text.kind != "characters":
                closed = np.concatenate(([after], none_after[block[:-1]]))
                spaces += int((~closed & ~none_before[block]).sum())
                after = bool(none_after[block[-1]])
        except (ValueError, IndexError) as error:  # an index without a type
            raise _damaged(text.place or Path(text.name)) from error
        if text.place is not None:
            yield Reading(tr("counting {name}", name=Path(text.name).name), at - start, stop - start)
    found = {token: count for token, count in zip(text.types, counts.tolist(), strict=True) if count}
    return Measured(found, int(counts @ lengths) + spaces)


@dataclass(frozen=True)
class Tokens:
    """Tokens start ... stop of an encoded text as ids of a vocabulary. numbers: (types,) int64, the id of each type."""

    text: Encoded
    start: int
    stop: int
    numbers: npt.NDArray[np.int64]

    @classmethod
    def of(cls, text: Encoded, start: int, stop: int, vocab: Vocab) -> Tokens:
        """Out-of-vocabulary tokens become <unk>, or -1 if the vocabulary has no <unk>: `first_unknown` finds them."""
        other = vocab.id(UNK) if UNK in vocab else -1
        numbers = [vocab.id(token) if token in vocab else other for token in text.types]
        return cls(text, start, stop, np.array(numbers, np.int64))

    def __len__(self) -> int:
        return self.stop - self.start

    def read(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Tokens start ... stop of these, (stop - start,) int64."""
        return self.numbers[self.text.read(self.start + start, self.start + stop)]

    def blocks(self, overlap: int = 0) -> Iterator[npt.NDArray[np.int64]]:
        """All of them, BLOCK at a time; each block begins with the last `overlap` of the one before."""
        for start in range(0, max(1, len(self) - overlap), BLOCK):
            yield self.read(start, min(start + BLOCK + overlap, len(self)))

    def first_unknown(self) -> tuple[int, str]:
        """Position and text of the first out-of-vocabulary token. Raises LookupError if there is none."""
        for number, block in enumerate(self.blocks()):
            places = np.flatnonzero(block < 0)
            if len(places):
                place = number * BLOCK + int(places[0])
                return place, self.text.types[int(self.text.read(self.start + place, self.start + place + 1)[0])]
        raise LookupError
