"""Where a study lies: the lock of its journal, several processes that make a database at once, and its errors."""

from __future__ import annotations

import random
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from rnncli.errors import DataError, Missing, RnncliError
from rnncli.files import cannot_write
from rnncli.locale import tr
from rnncli.locks import lock_file

Made = TypeVar("Made")

TRIES = 12  # at making a study, while other processes make its tables
_TOGETHER = re.compile("already exists|unique constraint|duplicate key|is locked", re.IGNORECASE)


class JournalLock:
    """One process at a time writes the journal. The operating system drops the lock when its process ends, however it
    ends; those of Optuna are files, which stay behind a process that was killed."""

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name(f".{journal.name}.lock")
        self.file: IO[bytes] | None = None

    def acquire(self) -> bool:
        file = open(self.path, "a+b")  # noqa: SIM115  # held open for as long as the lock is
        while not lock_file(file):
            time.sleep(0.001)
        self.file = file
        return True

    def release(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


def begun_together(make: Callable[[], Made]) -> Made:
    """What `make` returns; again where another process was making the same tables or rows at that moment."""
    for tries in range(TRIES):
        try:
            return make()
        except Exception as error:
            known = type(error).__module__.partition(".")[0] == "sqlalchemy" and _TOGETHER.search(str(error))
            if not known or tries == TRIES - 1:
                raise
            time.sleep(random.uniform(0.02, 0.1) * (tries + 1))
    raise AssertionError("the last try raises")


# Whose errors are a storage's; a journal that is damaged raises those of json and plain ones, when it is opened.
_STORAGES = ("optuna", "sqlalchemy", "json")


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """Whatever a storage raises, in words. A password in its URL is not shown."""
    where = re.sub(r"://([^:/@]*):[^@]*@", r"://\1:***@", storage)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions and experimental parts: nothing that a person here can do
            yield
    except ImportError as error:
        what = tr("the driver of this storage is not installed: {name}", name=error.name or str(error))
        raise Missing(what, where=where, todo=tr("install it beside rnncli, or use sqlite:///FILE")) from error
    except OSError as error:
        raise cannot_write(where, error) from error
    except Exception as error:
        if isinstance(error, RnncliError) or type(error).__module__.partition(".")[0] not in _STORAGES:
            raise
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(
            tr("this storage cannot be used: {why}", why=why),
            where=where,
            todo=tr("such as: sqlite:///study.db, postgresql://host/name; see Optuna's RDBStorage"),
        ) from error
