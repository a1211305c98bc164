"""Writes a run folder during training, and restores it on resuming."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save

from rnncli.files import FolderLock, inside, write_errors
from rnncli.recipe import print_config, resolved_yaml
from rnncli.records import Json
from rnncli.render.documents import strict
from rnncli.runs.checkpoint import checkpoint, load_checkpoint
from rnncli.runs.manifest import Manifest, check_manifest, wrong_size
from rnncli.tasks import Recipe
from rnncli.training.epoch import Epoch
from rnncli.training.job import Job
from rnncli.training.loop import TrainState
from rnncli.version import __version__
from rnncli.weights.record import metadata_of

CHECKPOINT = "resume/state.safetensors"
WEIGHTS = "model.safetensors"
LOGS = ("metrics.jsonl", "timing.jsonl", "answers.jsonl")


class Writer:
    """Writes a run folder during training. One process at a time: the folder is locked."""

    def __init__(self, folder: Path, job: Job) -> None:
        self.folder = folder
        self.job = job
        self.saved = time.monotonic()
        self.lock = FolderLock(folder)
        self.manifest = Manifest(folder)

    def __enter__(self) -> Writer:
        self.lock.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.lock.__exit__(*error)

    def begin(self, state: TrainState, parts: Sequence[bytes]) -> None:
        """Write what is known before the first step. The recipe comes last: with it the folder becomes a run, which can
        be resumed from then on, whatever happens."""
        with write_errors(self.folder):
            (self.folder / "resume").mkdir(exist_ok=True)
        self.manifest.write(
            {
                "vocab.json": json.dumps(self.job.splits.fitted.to_json(), ensure_ascii=False),
                "environment.json": json.dumps(environment(self.job), indent=1),
                **self._state(state, parts),
                "recipe.yaml": resolved_yaml(self.job.config),
            }
        )

    def epoch(self, epoch: Epoch) -> None:
        """Append an epoch to the logs."""
        self._append("metrics.jsonl", epoch.values())
        self._append("timing.jsonl", epoch.timing())
        if epoch.answers:
            self._append("answers.jsonl", {"epoch": epoch.epoch, "answers": epoch.answers})

    def checkpoint(self, state: TrainState, parts: Sequence[bytes]) -> None:
        """Save everything needed to resume, and the best weights so far. parts: own_part of every process."""
        self.manifest.write(self._state(state, parts))
        self.saved = time.monotonic()

    def waited(self) -> float:
        """Seconds since the last checkpoint."""
        return time.monotonic() - self.saved

    def _state(self, state: TrainState, parts: Sequence[bytes]) -> dict[str, bytes]:
        logs = {name: self._size(name) for name in LOGS}
        extra: dict[str, Json] = {"logs": logs, "fingerprint": self.job.splits.fingerprint}
        return {CHECKPOINT: checkpoint(state, extra, parts), WEIGHTS: self._weights(state)}

    def _weights(self, state: TrainState) -> bytes:
        """The best weights so far, or the current ones if no epoch has ended yet."""
        best = state.best_weights or state.model.state_dict()
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in best.items()}
        return save(tensors, metadata=metadata_of(state.model))

    def finish(self, state: TrainState, result: Json) -> None:
        """Write the result and its weights, and seal the logs."""
        self.manifest.write({WEIGHTS: self._weights(state), "result.json": json.dumps(strict(result), indent=1)})
        self.manifest.seal(name for name in LOGS if (self.folder / name).exists())

    def _append(self, name: str, values: Mapping[str, Json]) -> None:
        path = self.folder / name
        with write_errors(path), open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(strict(values)) + "\n")

    def _size(self, name: str) -> int:
        path = self.folder / name
        return path.stat().st_size if path.exists() else 0

    def resume(self, state: TrainState) -> None:
        """Load the checkpoint into `state`, truncate the logs to its position, write the recipe with its new budgets,
        and remove the result. Raises DataError: a file has changed, or points outside the folder."""
        for name in (CHECKPOINT, WEIGHTS, "recipe.yaml", "result.json", *LOGS):
            inside(self.folder, name)
        check_manifest(self.folder)
        known = load_checkpoint(self.folder / CHECKPOINT, self.job, state)
        sizes = {name: known.get(name, 0) for name in LOGS}
        self.manifest.load()
        self.manifest.release(["result.json", *LOGS])
        with write_errors(self.folder):
            for beside in (*self.folder.glob(".*.tmp"), *(self.folder / "resume").glob(".*.tmp")):
                beside.unlink()  # left by a killed process
            (self.folder / "result.json").unlink(missing_ok=True)
            for name, size in sizes.items():
                _cut(self.folder / name, size)
        self.manifest.write({"recipe.yaml": resolved_yaml(self.job.config)})


def _cut(path: Path, size: int) -> None:
    """Truncate the file to `size` bytes. Raises DataError if it is shorter."""
    found = path.stat().st_size if path.exists() else 0
    if found < size:
        raise wrong_size(path, found, size)
    if found > size:
        os.truncate(path, size)


def environment(job: Job) -> dict[str, Json]:
    """Versions, machine, device, seed and the data's hash: the provenance of a run."""
    import numpy

    return {
        "rnncli": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "system": platform.platform(),
        "device": job.device.type,
        "device_name": torch.cuda.get_device_name() if job.device.type == "cuda" else platform.processor(),
        "threads": job.config.train.threads,
        "processes": job.world,
        "seed": job.config.train.seed,
        "data_sha256": job.splits.fingerprint,
        "recipe": job.recipe.name,
        "origins": _origins(job.recipe),
        "git_commit": _git_commit(job.recipe),
    }


def _origins(recipe: Recipe) -> dict[str, Json]:
    """Dotted key -> origin of its value (`hello.yaml:12`, `--lr`), for non-default values."""
    rows = print_config(recipe.document, recipe.config).rows
    return {str(key): str(origin) for key, _, origin in rows if origin != "default"}


def _git_commit(recipe: Recipe) -> str | None:
    """The commit checked out in the recipe's folder, None outside a repository or without git."""
    folder = Path(recipe.document.name).resolve().parent
    if not Path(recipe.document.name).exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None
