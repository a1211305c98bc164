"""Explains why a weight file did not open: truncated, damaged, or intact but something else. The errors of torch and
safetensors do not distinguish these."""

from __future__ import annotations

import json
import pickletools
import re
import struct
import zipfile
from pathlib import Path
from typing import IO

from rnncli.errors import DataError
from rnncli.files import open_binary
from rnncli.locale import tr

MAGIC = 0x1950A86A20F9469CFC6C  # first of the five pickles in torch's legacy format, torch/serialization.py
MOST = 1_000_000  # maximum number of pickle instructions to inspect
_FOREIGN = re.compile("Unsupported operand|magic number")


def why_not_pickled(path: Path, error: Exception) -> DataError:
    """The error for a .pt file that torch.load rejected with this error."""
    why = _damage(path)
    if not why and _FOREIGN.search(str(error)):
        what = tr("this pickle was not written by torch.save, and was not opened; nothing was run")
    elif not why and "Unpickling" in type(error).__name__:
        what = tr("this file contains more than tensors, and opening it would run code; nothing was run")
    else:
        why = why or " ".join(str(error).split())[:200]
        return DataError(tr("not a complete weight file: {why}", why=why), where=str(path))
    todo = tr("save only the weights: torch.save(model.state_dict(), 'weights.pt'), or as safetensors")
    return DataError(what, where=str(path), todo=todo)


def why_not_safetensors(path: Path, error: Exception) -> DataError:
    """The error for a .safetensors file that was rejected with this error: truncated, according to its header, or the
    original reason."""
    why = str(error)
    with open_binary(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        begin = file.read(8)
        length = int.from_bytes(begin, "little")
        try:
            header = json.loads(file.read(min(length, size)))
            whole = 8 + length + max(entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            whole = 8 + length if length < 1 << 32 else 0
    if size < whole:
        why = tr("it has {size} of {whole} bytes", size=f"{size:,}", whole=f"{whole:,}")
    return DataError(tr("not a complete safetensors file: {why}", why=why), where=str(path))


def _damage(path: Path) -> str:
    """What is missing or damaged in a .pt file; "" if its archive and its pickles are intact."""
    with open_binary(path) as file:
        if file.read(2) != b"PK":
            file.seek(0)
            return _damaged_pickle(file)
        try:
            with zipfile.ZipFile(file) as archive:
                found = [entry for entry in archive.infolist() if entry.filename.rpartition("/")[2] == "data.pkl"]
                if not found:
                    return tr("it is a ZIP archive that torch.save did not write")
                if found[0].compress_type != zipfile.ZIP_STORED:
                    return ""  # rejected for that; it may unpack to any size
                with archive.open(found[0]) as pickle:
                    return _damaged_pickle(pickle)
        except zipfile.BadZipFile:
            return tr("its end is missing")
        except (RuntimeError, ValueError, EOFError):  # encrypted, unknown compression, or impossible offsets
            return tr("it is damaged")


def _damaged_pickle(file: IO[bytes]) -> str:
    """The same for consecutive pickles, whose instructions are read but not run."""
    first = file.read(1)
    if not first:
        return tr("it is empty")
    file.seek(0)
    pickles, seen = 1, 0
    try:
        while pickles:
            for _, argument, _ in pickletools.genops(file):
                seen += 1
                pickles += 4 if argument == MAGIC and seen < 4 else 0
                if seen == MOST:
                    return ""
            pickles -= 1
    except (ValueError, OverflowError, MemoryError, LookupError, EOFError, struct.error):
        if first != b"\x80":
            return tr("it is neither an archive of torch.save nor a pickle")
        return tr("it is damaged") if file.read(1) else tr("its end is missing")
    return ""
