"""The study of a search: opening and naming it, and its record of each trial. Optuna is imported lazily."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rnncli.errors import Missing
from rnncli.files import FolderLock
from rnncli.locale import tr
from rnncli.records import Json
from rnncli.sweeps.plan import Plan
from rnncli.sweeps.storage import JournalLock, storage_errors, with_retries

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"
STALE = 180.0  # seconds without a heartbeat after which a trial's process counts as gone
STARTUP = 5  # trials before pruning starts


def is_stale(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a running trial's process is gone."""
    attributes = trial.user_attrs
    if attributes.get("host") == host():
        return not FolderLock.holder(Path(attributes["folder"]))
    began = trial.datetime_start.timestamp() if trial.datetime_start is not None else 0.0
    return bool(time.time() - attributes.get("alive", began) > STALE)


def host() -> str:
    """An anonymous id of this machine and user: another user's locks cannot always be read, so their trials count as
    another machine's."""
    user = "" if sys.platform == "win32" else f" {os.getuid()}"
    return hashlib.sha256(f"{platform.node()}{user}".encode("utf-8", "replace")).hexdigest()[:12]


def sampler(plan: Plan, before: int, *, shared: bool) -> optuna.samplers.TPESampler:
    """Optuna's TPE sampler, seeded by the recipe's seed and the number of earlier trials, so that an interrupted search
    proposes the same trials as an uninterrupted one; also by the process, if several share a study and start at the
    same time."""
    from optuna.samplers import TPESampler

    own = f"{host()} {os.getpid()}" if shared else ""
    digest = hashlib.sha256(f"{plan.seeds[0]} {before} {own}".encode()).digest()
    return TPESampler(seed=int.from_bytes(digest[:4], "big"), constant_liar=True)


def open_study(plan: Plan, folder: Path, storage: str, warm_up: int | None) -> optuna.Study:
    """The study, created if necessary. warm_up: epochs before a trial may be pruned, None for never.

    Raises Missing (no Optuna, no driver), DataError (the storage is unusable).
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise Missing(
            tr("--search needs the extra sweep: {name} is not installed", name=error.name),
            todo="pip install 'rnncli[sweep]'",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if warm_up is not None:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=warm_up)
    with storage_errors(storage or str(folder / JOURNAL)):
        return with_retries(
            lambda: optuna.create_study(
                storage=storage or _journal(folder / JOURNAL),
                study_name=study_name(plan),
                direction="minimize" if plan.lower else "maximize",
                pruner=pruner,
                load_if_exists=True,
            )
        )


def _journal(path: Path) -> optuna.storages.JournalStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalLock(path)))


def study_name(plan: Plan) -> str:
    """A name, equal for the same command on every machine: paths are reduced to their last component."""

    def portable(value: Json) -> Json:
        if isinstance(value, list):
            return [portable(one) for one in value]
        return os.path.basename(value) if isinstance(value, str) and os.path.isabs(value) else value

    base = {key: portable(value) for key, value in plan.base.items()}
    whole = repr((sorted(base.items(), key=str), [(key, space.text) for key, space in plan.search.items()]))
    digest = hashlib.sha256(f"{whole} {plan.match_params} {plan.seeds[0]}".encode("utf-8", "replace")).hexdigest()
    return f"{plan.recipe.name}-{digest[:8]}"
