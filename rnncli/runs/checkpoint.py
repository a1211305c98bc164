"""A checkpoint: all that bit-exact resuming needs, in one safetensors file; no pickle.

Tensors by name: `model.*`, `best.*`, `optimizer.INDEX.KEY`, `total`; per process `carry.INDEX`, `random.cpu`,
`random.cuda.0`; those of further processes are prefixed `process.1.` etc. Everything else is JSON in the file's
metadata.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.records import Json, json_number, json_object
from rnncli.runs.checkpoint_schema import check_carry, number, require_same_shape, state_after_step
from rnncli.training.job import Job
from rnncli.training.loop import TrainState
from rnncli.weights.read import utf8_path

FORMAT = 1
PLAIN = (
    "epoch",
    "next_batch",
    "step",
    "count",
    "counted",
    "seconds",
    "watch",
    "lr",
    "best_epoch",
    "best_metrics",
    "moved",
    "waited",
)


def own_part(state: TrainState) -> bytes:
    """State that only this process has: the carry to its next batch, and its random states."""
    tensors = {f"carry.{i}": tensor for i, tensor in enumerate(state.carry or ())}
    tensors["random.cpu"] = torch.get_rng_state()
    if next(state.model.parameters()).device.type == "cuda":
        tensors["random.cuda.0"] = torch.cuda.get_rng_state()
    return save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})


def checkpoint(state: TrainState, extra: dict[str, Json], parts: Sequence[bytes]) -> bytes:
    """The file's bytes. parts: own_part of every process. extra: further plain values to store."""
    tensors: dict[str, Tensor] = {"total": state.total}
    tensors |= {f"model.{name}": tensor for name, tensor in state.model.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in state.best_weights.items()}
    for rank, part in enumerate(parts):
        tensors |= {_of(rank) + name: tensor for name, tensor in load(part).items()}
    optimizer = state.optimizer.state_dict()
    plain_state: dict[str, dict[str, Json]] = {}
    for index, values in optimizer["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{key}"] = value
            else:
                plain_state.setdefault(str(index), {})[key] = value
    document = {
        "format": FORMAT,
        "state": {name: getattr(state, name) for name in PLAIN},
        "has_carry": state.carry is not None,
        "optimizer": {"groups": optimizer["param_groups"], "state": plain_state},
        "scaler": state.scaler.state_dict() or None,
        "schedule": None if state.schedule is None else _to_json(state.schedule.state_dict()),
        "extra": extra,
    }
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return save(whole, metadata={"rnncli": json.dumps(document)})


def best_epoch_in(path: Path) -> int:
    """The best epoch when the checkpoint was written; 0 if none had ended. Raises DataError: missing or damaged."""
    try:
        with utf8_path(path) as name, safe_open(name, framework="pt") as file:
            document = json_object(json.loads((file.metadata() or {})["rnncli"]))
            return int(json_number(json_object(document["state"])["best_epoch"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(tr("this file is damaged: {why}", why=error), where=str(path)) from error


def _of(rank: int) -> str:
    """Prefix of the names of a process's own tensors."""
    return f"process.{rank}." if rank else ""


def load_checkpoint(path: Path, job: Job, state: TrainState) -> dict[str, int]:
    """Load a checkpoint into a fresh `start(job)` state and restore torch's random states; returns the length of each
    log (`extra["logs"]`). Each process loads its own part.

    Raises DataError: the file is missing, truncated, changed, or from another recipe.
    """
    try:
        fresh = state_after_step(state.optimizer)
        with utf8_path(path) as name, safe_open(name, framework="pt") as file:
            document = json.loads((file.metadata() or {})["rnncli"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if document["format"] != FORMAT:
            raise DataError(tr("a checkpoint of format {n}", n=document["format"]), where=str(path))
        values = {**_defaults_of_0_1(job, document), **document["state"]}
        for name in PLAIN:
            setattr(state, name, _with_type_of(name, getattr(state, name), values[name]))
        state.total = require_same_shape(state.total, tensors["total"], "total")
        device = next(state.model.parameters()).device
        weights = dict(state.model.state_dict())
        state.model.load_state_dict(require_same_shape(weights, _under(tensors, "model."), "model"))
        best = _under(tensors, "best.")
        if best:  # an epoch has ended
            require_same_shape(weights, best, "best")
        state.best_weights = {name: tensor.to(device) for name, tensor in best.items()}
        own = _under(tensors, _of(job.rank))
        carry = _under(own, "carry.")
        state.carry = tuple(carry[str(i)].to(device) for i in range(len(carry))) if document["has_carry"] else None
        check_carry(job, state)
        _load_optimizer(state.optimizer, fresh, document["optimizer"], _under(tensors, "optimizer."))
        if state.schedule is not None:
            before = _to_json(state.schedule.state_dict())
            state.schedule.load_state_dict(_from_json(require_same_shape(before, document["schedule"], "schedule")))
        if state.scaler.is_enabled():
            state.scaler.load_state_dict(require_same_shape(state.scaler.state_dict(), document["scaler"], "scaler"))
        logs = json_object(document["extra"]["logs"])
        sizes = {name: size for name, size in logs.items() if isinstance(size, int) and size >= 0}
        if len(sizes) < len(logs):
            raise ValueError(f"invalid logs {logs!r:.60}")
        torch.set_rng_state(own["random.cpu"])
        if device.type == "cuda" and "random.cuda.0" in own:
            torch.cuda.set_rng_state(own["random.cuda.0"])
    except FileNotFoundError as error:
        raise DataError(tr("no checkpoint to resume from"), where=str(path)) from error
    except (
        SafetensorError,
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RuntimeError,  # torch's errors, and RecursionError
    ) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            tr("this checkpoint cannot be used: {why}", why=why),
            where=str(path),
            todo=tr("its best weights may still be intact: rnncli evaluate, or train --init-from"),
        ) from error
    return sizes


def _defaults_of_0_1(job: Job, document: Any) -> dict[str, Json]:
    """Defaults for checkpoints of rnncli 0.1, which lack the learning rate of the last step (a schedule may have
    changed it since) and the metrics that have changed (assume that all have)."""
    return {"lr": document["optimizer"]["groups"][0]["lr"], "moved": list(job.task.METRICS)}


def _with_type_of(name: str, fresh: object, value: object) -> object:
    """The value, with the type of the same name in a fresh state. Raises ValueError."""
    if name == "best_metrics":
        fits = isinstance(value, dict) and all(number(figure) for figure in value.values())
    elif name == "moved":
        fits = isinstance(value, list) and all(isinstance(metric, str) for metric in value)
    elif isinstance(fresh, int):  # a count
        fits = isinstance(value, int) and number(value) and value >= 0
    else:
        fits = number(value) if isinstance(fresh, float) else isinstance(value, type(fresh))
    if not fits:
        raise ValueError(f"{name} is {value!r:.40}")
    return value


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _load_optimizer(
    optimizer: torch.optim.Optimizer, fresh: dict[str, Any], document: Any, tensors: dict[str, Tensor]
) -> None:
    """fresh: the optimizer's state_dict after a step; a parameter without updates has no state."""
    found: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in document["state"].items()}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        found.setdefault(int(index), {})[key] = tensor
    for number_of, values in found.items():
        require_same_shape(fresh["state"][number_of], values, f"optimizer.{number_of}")
    require_same_shape(fresh["param_groups"], document["groups"], "optimizer")
    if [group["params"] for group in document["groups"]] != [group["params"] for group in fresh["param_groups"]]:
        raise ValueError("its optimizer has different parameters")
    optimizer.load_state_dict({"state": found, "param_groups": document["groups"]})


def _to_json(value: object) -> Json:
    """A schedule's state: MultiStepLR keeps its milestones in a Counter with integer keys."""
    if isinstance(value, Counter):
        return {"counter": sorted(value.items())}
    if isinstance(value, dict):
        return {key: _to_json(part) for key, part in value.items()}
    if value is None or isinstance(value, str | int | float | list | tuple):
        return value
    raise TypeError(f"unsupported type in a schedule's state: {type(value).__name__}")


def _from_json(value: Json) -> Any:
    if isinstance(value, dict) and set(value) == {"counter"}:
        return Counter(dict(value["counter"]))
    if isinstance(value, dict):
        return {key: _from_json(part) for key, part in value.items()}
    return value
