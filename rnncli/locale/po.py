"""What gettext's tools write, a `.po` file, as the bytes of the `.mo` file that Python's `gettext` reads.

The wheel holds the `.mo` files, made by this when it is built (`hatch_build.py`). A source tree has none, so none can
be out of date.
"""

from __future__ import annotations

import json
import re
import struct

_LINE = re.compile(r'(msgid|msgid_plural|msgstr(?:\[\d+\])?)?\s*(".*")\s*')


def compiled(po: str) -> bytes:
    """The `.mo` file of a `.po` file. What is untranslated, fuzzy or obsolete is left out.

    Raises ValueError with the number of the line that cannot be read; contexts (msgctxt) are not used here.
    """
    texts: dict[str, str] = {}
    for entry in _entries(po):
        names = [entry.pop(key) for key in ("msgid", "msgid_plural") if key in entry]
        if all(entry.values()):
            texts["\0".join(names)] = "\0".join(entry.values())
    return _mo(texts)


def _entries(po: str) -> list[dict[str, str]]:
    """The entries that count, each keyword with its text: {"msgid": "{n} epochs", "msgstr": "{n} 轮"}."""
    entries: list[dict[str, str]] = []
    entry: dict[str, str] = {}
    flags = keyword = ""
    for number, line in enumerate(po.split("\n"), 1):
        if line.startswith("#") or not line.strip():
            flags += line if line.startswith("#,") else ""
            continue
        found = _LINE.fullmatch(line)
        if found is None or not (found[1] or keyword):
            raise ValueError(f'line {number}: not msgid, msgid_plural, msgstr or msgstr[N] and "text": {line}')
        keyword = found[1] or keyword
        if found[1] == "msgid":
            entry = {}
            if "fuzzy" not in flags or not entries:  # the first is the head, which new files mark as fuzzy
                entries.append(entry)
            flags = ""
        try:
            entry[keyword] = entry.get(keyword, "") + json.loads(found[2])
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    return entries


def _mo(texts: dict[str, str]) -> bytes:
    """The format of gettext's manual, "The Format of GNU MO Files": two tables of (length, offset), then the texts."""
    names = sorted(texts, key=str.encode)
    blobs = [text.encode() for text in (*names, *(texts[name] for name in names))]
    n, table = len(names), []
    end = first = 28 + 16 * n
    for blob in blobs:
        table += [len(blob), end]
        end += len(blob) + 1  # a NUL after each
    head = (0x950412DE, 0, n, 28, 28 + 8 * n, 0, first)
    return struct.pack(f"<{7 + 4 * n}I", *head, *table) + b"".join(blob + b"\0" for blob in blobs)
