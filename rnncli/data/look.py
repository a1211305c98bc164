"""A first look at a user's file or folder, to suggest a recipe; only its head is read."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from rnncli.data.conllu import WHITE, bare
from rnncli.data.records import kind_of
from rnncli.data.sniff import TableGuess, sniff_table
from rnncli.errors import DataError
from rnncli.files import read_chunks

HEAD = 400  # lines examined
MOST = 2000  # files of a folder examined


@dataclass(frozen=True)
class Look:
    """path: of a file or folder. Fields that do not apply are empty or None."""

    path: str

    @cached_property
    def folder(self) -> bool:
        return os.path.isdir(self.path)

    @cached_property
    def endings(self) -> Counter[str]:
        """Extension -> number of files in a folder and its subfolders."""
        return Counter(file.suffix.lower() for file in islice(self._files(), MOST))

    def _files(self) -> list[Path]:
        found: list[Path] = []
        for above, folders, names in os.walk(self.path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += [Path(above, name) for name in sorted(names) if not name.startswith(".")]
            if len(found) >= MOST or above != self.path:
                folders.clear()
        return found

    def mostly(self, endings: tuple[str, ...]) -> bool:
        """Whether most of a folder's files have one of these extensions."""
        return 2 * sum(self.endings[ending] for ending in endings) > self.endings.total()

    @cached_property
    def lines(self) -> list[str]:
        """The first lines of a text, blank ones included."""
        if self.folder:
            return []
        try:
            text = next(read_chunks(self.path, by_line=True), "")
        except DataError:
            return []
        return [bare(line) for line in text.split("\n", HEAD)[:HEAD]]

    @cached_property
    def filled(self) -> list[str]:
        """The non-blank lines among them."""
        return [line for line in self.lines if line.strip(WHITE)]

    @cached_property
    def table(self) -> TableGuess | None:
        """What a table of at least two columns contains; a line of plain text with a comma does not count."""
        if self.folder:
            return None
        try:
            found = sniff_table(self.path)
            text = kind_of(self.path) == "text"
        except DataError:
            return None
        width = len(found.columns)
        if width < 2 or (text and not self._even(found.delimiter, width)):
            return None
        return found

    def _even(self, delimiter: str, width: int) -> bool:
        """Whether nearly all lines have as many delimiters as a row of this width, or more if some are quoted."""
        enough = sum(line.count(delimiter) == width - 1 or '"' in line for line in self.filled)
        return enough >= 0.9 * len(self.filled)
