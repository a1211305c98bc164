"""Storage of a study: locking its journal, creating a database from several processes at once, and errors."""

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

TRIES = 12  # attempts to create a study while other processes create its tables
_CONCURRENT = re.compile("already exists|unique constraint|duplicate key|is locked", re.IGNORECASE)


class JournalLock:
    """A lock for the journal's writer. The operating system releases it when its process ends for any reason; Optuna's
    own locks are files, which a killed process leaves behind."""

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


def with_retries(make: Callable[[], Made]) -> Made:
    """Returns `make()`, retrying if another process was creating the same tables or rows."""
    for tries in range(TRIES):
        try:
            return make()
        except Exception as error:
            known = type(error).__module__.partition(".")[0] == "sqlalchemy" and _CONCURRENT.search(str(error))
            if not known or tries == TRIES - 1:
                raise
            time.sleep(random.uniform(0.02, 0.1) * (tries + 1))
    raise AssertionError("unreachable: the last attempt raises")


# Modules whose errors come from a storage; a damaged journal also raises json and built-in errors on opening.
_STORAGES = ("optuna", "sqlalchemy", "json")


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """Convert a storage's errors to ours. A password in its URL is not shown."""
    where = re.sub(r"://([^:/@]*):[^@]*@", r"://\1:***@", storage)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about versions and experimental features: nothing a user can act on
            yield
    except ImportError as error:
        what = tr("the driver of this storage is not installed: {name}", name=error.name or str(error))
        raise Missing(
            what, where=where, todo=tr("install it in the same environment, or use sqlite:///FILE")
        ) from error
    except OSError as error:
        raise cannot_write(where, error) from error
    except Exception as error:
        if isinstance(error, RnncliError) or type(error).__module__.partition(".")[0] not in _STORAGES:
            raise
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(
            tr("this storage cannot be used: {why}", why=why),
            where=where,
            todo=tr("for example sqlite:///study.db, postgresql://host/name; see Optuna's RDBStorage"),
        ) from error
