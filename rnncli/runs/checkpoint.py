"""Everything that training needs to resume exactly, in one safetensors file; no pickle.

Tensors by name: `model.*`, `best.*`, `optimizer.INDEX.KEY`, `total`; of each process `carry.INDEX`, `random.cpu`,
`random.cuda.0`, and behind `process.1.` and so on those of further ones. All else is JSON in the file's metadata.
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
from rnncli.records import Json, json_object
from rnncli.runs.checkpoint_schema import after_a_step, check_carry, fitting, number
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
    """What only this process has: the state that it carries to its next batch, and its random states."""
    tensors = {f"carry.{i}": tensor for i, tensor in enumerate(state.carry or ())}
    tensors["random.cpu"] = torch.get_rng_state()
    if next(state.model.parameters()).device.type == "cuda":
        tensors["random.cuda.0"] = torch.cuda.get_rng_state()
    return save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()})


def checkpoint(state: TrainState, extra: dict[str, Json], parts: Sequence[bytes]) -> bytes:
    """The file's bytes. parts: own_part of every process. extra: plain values to keep beside."""
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
        "scaler": None if state.scaler is None else state.scaler.state_dict(),
        "schedule": None if state.schedule is None else _to_json(state.schedule.state_dict()),
        "extra": extra,
    }
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return save(whole, metadata={"rnncli": json.dumps(document)})


def _of(rank: int) -> str:
    """Before the names of a process's own tensors."""
    return f"process.{rank}." if rank else ""


def load_checkpoint(path: Path, job: Job, state: TrainState) -> dict[str, int]:
    """Put a checkpoint into a fresh `start(job)` state, and torch's random states back; returns how long each log was
    (`extra["logs"]`). Of several processes each takes its own part.

    Raises DataError: a file that is missing, cut, changed, or of another recipe.
    """
    try:
        fresh = after_a_step(state.optimizer)
        with utf8_path(path) as name, safe_open(name, framework="pt") as file:
            document = json.loads((file.metadata() or {})["rnncli"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if document["format"] != FORMAT:
            raise DataError(tr("a checkpoint of format {n}", n=document["format"]), where=str(path))
        values = {**_unknown_to_old_ones(job, document), **document["state"]}
        for name in PLAIN:
            setattr(state, name, _as_before(name, getattr(state, name), values[name]))
        state.total = fitting(state.total, tensors["total"], "total")
        device = next(state.model.parameters()).device
        weights = dict(state.model.state_dict())
        state.model.load_state_dict(fitting(weights, _under(tensors, "model."), "model"))
        best = _under(tensors, "best.")
        if best:  # an epoch has ended
            fitting(weights, best, "best")
        state.best_weights = {name: tensor.to(device) for name, tensor in best.items()}
        own = _under(tensors, _of(job.rank))
        carry = _under(own, "carry.")
        state.carry = tuple(carry[str(i)].to(device) for i in range(len(carry))) if document["has_carry"] else None
        check_carry(job, state)
        _load_optimizer(state.optimizer, fresh, document["optimizer"], _under(tensors, "optimizer."))
        if state.schedule is not None:
            before = _to_json(state.schedule.state_dict())
            state.schedule.load_state_dict(_from_json(fitting(before, document["schedule"], "schedule")))
        if state.scaler is not None:
            state.scaler.load_state_dict(fitting(state.scaler.state_dict(), document["scaler"], "scaler"))
        logs = json_object(document["extra"]["logs"])
        sizes = {name: size for name, size in logs.items() if isinstance(size, int) and size >= 0}
        if len(sizes) < len(logs):
            raise ValueError(f"logs are {logs!r:.60}")
        torch.set_rng_state(own["random.cpu"])
        if device.type == "cuda" and "random.cuda.0" in own:
            torch.cuda.set_rng_state(own["random.cuda.0"])
    except FileNotFoundError as error:
        raise DataError(tr("there is no checkpoint to resume from"), where=str(path)) from error
    except (
        SafetensorError,
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RuntimeError,  # torch's own errors, and RecursionError
    ) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            tr("this checkpoint cannot be used: {why}", why=why),
            where=str(path),
            todo=tr("its best weights may still be whole: rnncli evaluate, or train --init-from"),
        ) from error
    return sizes


def _unknown_to_old_ones(job: Job, document: Any) -> dict[str, Json]:
    """What checkpoints of rnncli 0.1 do not hold: the rate of the last update, which a schedule may have changed since;
    and which metrics have moved, so that none is said not to have."""
    return {"lr": document["optimizer"]["groups"][0]["lr"], "moved": list(job.task.METRICS)}


def _as_before(name: str, fresh: object, value: object) -> object:
    """The value, of the type that a fresh state has at that name. Raises ValueError."""
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
    """fresh: the optimizer's own state_dict after an update; a parameter that has had none has no state."""
    found: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in document["state"].items()}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        found.setdefault(int(index), {})[key] = tensor
    for number_of, values in found.items():
        fitting(fresh["state"][number_of], values, f"optimizer.{number_of}")
    fitting(fresh["param_groups"], document["groups"], "optimizer")
    if [group["params"] for group in document["groups"]] != [group["params"] for group in fresh["param_groups"]]:
        raise ValueError("its optimizer has other parameters")
    optimizer.load_state_dict({"state": found, "param_groups": document["groups"]})


def _to_json(value: object) -> Json:
    """A schedule's state: MultiStepLR keeps its milestones in a Counter with whole numbers for keys."""
    if isinstance(value, Counter):
        return {"counter": sorted(value.items())}
    if isinstance(value, dict):
        return {key: _to_json(part) for key, part in value.items()}
    if value is None or isinstance(value, str | int | float | list | tuple):
        return value
    raise TypeError(f"a schedule keeps a {type(value).__name__}")


def _from_json(value: Json) -> Any:
    if isinstance(value, dict) and set(value) == {"counter"}:
        return Counter(dict(value["counter"]))
    if isinstance(value, dict):
        return {key: _from_json(part) for key, part in value.items()}
    return value
