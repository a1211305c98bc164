"""The training loop. It yields Progress and prints nothing; rnncli.runs stores it in a run folder."""

from __future__ import annotations

import importlib
import math
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Literal

import torch
from torch import nn

from rnncli.data.batch import Batch, Order
from rnncli.locale import tr, trn
from rnncli.recipe import TrainSection
from rnncli.tasks import Loss, Metrics
from rnncli.training.best import is_better, moved, unmoved
from rnncli.training.divergence import diverged, first_bad, first_bad_gradient, require_an_update
from rnncli.training.job import Job
from rnncli.training.state import TrainState as TrainState
from rnncli.training.state import zero

PER_STEP = ("OneCycleLR",)  # schedules that torch steps after every training step; all others once per epoch


@dataclass
class Progress:
    """The state of training. event: `step` after every training step, `epoch` after every epoch, `end` once.

    loss: mean over the epoch so far, read on demand (on a GPU, reading synchronizes). metrics: of the held-out split,
    at `epoch` and `end`. watch: the task's preview of its output. counted: total of what the loss counts (steps, rows).
    lr: of the last step. stopped: the reason, at `end` and at the `step` that reached a limit.
    """

    event: Literal["step", "epoch", "end"]
    epoch: int
    step: int
    counted: float
    seconds: float
    lr: float
    read_loss: Callable[[], float]
    metrics: Metrics = field(default_factory=dict)
    watch: str = ""
    improved: bool = False
    stopped: str = ""

    @property
    def loss(self) -> float:
        return self.read_loss()


def start(job: Job) -> TrainState:
    """The state before the first step."""
    train = job.config.train
    optimizer = make_optimizer(train, job.model)
    loss = job.group.data_parallel(partial(job.task.loss, job.config, job.model), job.model, train.seed)
    schedule = make_schedule(train, optimizer, job)
    scaler = torch.amp.GradScaler(job.device.type, enabled=train.precision == "fp16")
    return TrainState(job.model, loss, optimizer, schedule, scaler, lr=optimizer.param_groups[0]["lr"])


def make_optimizer(train: TrainSection, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's torch.optim optimizer; uses torch's fused implementation if available for these parameters."""
    _load_dynamo()
    name, arguments = train.optimizer_call()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    cls = getattr(torch.optim, name)
    fused = name in ("Adam", "AdamW", "SGD", "Adagrad") and all(
        p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters
    )
    made: torch.optim.Optimizer = cls(parameters, **arguments, **({"fused": True} if fused else {}))
    return made


def _load_dynamo() -> None:
    """Every torch optimizer loads torch's compiler, which leaves an empty folder in TMPDIR."""
    if "torch._dynamo" not in sys.modules and "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
            importlib.import_module("torch._dynamo")
            del os.environ["TORCHINDUCTOR_CACHE_DIR"]


def make_schedule(
    train: TrainSection, optimizer: torch.optim.Optimizer, job: Job
) -> torch.optim.lr_scheduler.LRScheduler | None:
    """The recipe's torch.optim.lr_scheduler, or None. Fills in arguments that follow from the run: cosine's T_max is
    and polynomial's total_iters are the number of epochs, one-cycle's total_steps that of training steps and its max_lr
    the recipe's lr. Constant and linear rise to lr within torch's own 5 epochs."""
    call = train.schedule_call()
    if call is None:
        return None
    name, arguments = call
    if name == "CosineAnnealingLR":
        arguments.setdefault("T_max", train.epochs)
    elif name == "OneCycleLR":
        total = train.epochs * job.steps_per_epoch()
        arguments.setdefault("total_steps", min(total, train.max_steps) if train.max_steps else total)
        arguments.setdefault("max_lr", train.lr)
    elif name == "PolynomialLR":
        arguments.setdefault("total_iters", train.epochs)
    made: torch.optim.lr_scheduler.LRScheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **arguments)
    return made


def fit(job: Job, state: TrainState | None = None) -> Iterator[Progress]:
    """Train until the recipe's limits; yields after every step and every epoch, and an `end`.

    state: where to resume from, `start(job)` if None; it is up to date at every yield, so a caller can save a
    checkpoint at any of them. A limit on steps or time ends an epoch early: training can resume from the `step` with
    `stopped` set; the model is then evaluated as it is. A caller ends training by setting `state.asked`, the reason, at
    an `epoch`. After the iteration the model has the weights of the best epoch. Raises Diverged: a non-finite loss or
    gradient.
    """
    state = state or start(job)
    train, task, config = job.config.train, job.task, job.config
    clock = job.group.clock(time.perf_counter() - state.seconds)
    why = stop_reason(train, state)
    while state.epoch <= train.epochs and not why:
        if state.next_batch == 0:
            state.watch = task.epoch_preview(config, job.model, job.splits) if job.rank == 0 else ""
            state.carry, state.total, state.count = None, zero(), 0.0
        job.model.train()
        together = groups(epoch_batches(job, state), train.accumulate_grad_batches)
        while not why and (batches := next(together, None)) is not None:
            update(job, state, *batches)
            state.seconds = clock()
            step = _progress("step", state)
            step.stopped = why = stop_reason(train, state)
            yield step
        require_an_update(job, state)
        task.calibrate(config, job.model, job.splits.part(job.splits.held_out))
        metrics = measured(job)
        improved = keep_if_best(job, state, metrics)
        _step_schedule(state, metrics["loss"])
        state.seconds = clock()
        epoch = _progress("epoch", state, metrics, improved)
        state.epoch, state.next_batch = state.epoch + 1, 0
        why = why or stop_reason(train, state)
        yield epoch
        why = why or state.asked
    end = _progress("end", state, state.best_metrics)
    end.epoch, end.stopped = state.best_epoch, why or tr("all epochs done")
    yield end
    if state.best_weights:
        job.model.load_state_dict(state.best_weights)


def keep_if_best(job: Job, state: TrainState, metrics: Metrics) -> bool:
    """Whether this epoch is the best so far, by `train.best_by` and, on ties, by the loss; if so, keep its weights.
    metrics: of the held-out split, after the epoch."""
    by, known = job.config.train.best_by, job.task.METRICS
    state.moved = moved(state.moved, known, metrics, state.best_metrics or metrics)
    if not is_better(metrics, state.best_metrics, by, known[by]):
        state.waited += 1
        return False
    state.best_epoch, state.best_metrics, state.waited = state.epoch, metrics, 0
    state.best_weights = {name: tensor.detach().clone() for name, tensor in job.model.state_dict().items()}
    return True


def notes_on_best(job: Job, state: TrainState) -> list[str]:
    """Sentences on how the best epoch was chosen; a single epoch shows no change."""
    if state.epoch < 3 or not state.best_metrics:
        return []
    said = unmoved(state.best_metrics, job.config.train.best_by, state.moved)
    return [said] if said else []


def measured(job: Job) -> Metrics:
    """Metrics of the model on the held-out split, computed by rank 0 for all processes."""

    def measure() -> Metrics:
        return job.task.metrics(job.config, job.model, job.splits.part(job.splits.held_out), job.splits.fitted)

    measured: Metrics = job.group.broadcast(measure)
    return measured


def stop_reason(train: TrainSection, state: TrainState) -> str:
    """Why training must stop here, other than that all epochs are done; "" if it may continue."""
    if train.max_steps and state.step >= train.max_steps:
        return tr("max_steps reached")
    if train.max_time and state.seconds >= train.max_time:
        return tr("max_time reached")
    if train.early_stopping and state.next_batch == 0 and state.waited >= train.early_stopping:
        return trn("no improvement for {n} epoch", "no improvement for {n} epochs", n=state.waited)
    return ""


def stored_reason(stopped: str, train: TrainSection) -> tuple[str, str]:
    """The `stopped` of a result.json in the current language, and the option that doubles the budget it names."""
    if waited := re.fullmatch(r"no improvement for ([\d,]+) epochs?", stopped):
        n = int(waited[1].replace(",", ""))
        text = trn("no improvement for {n} epoch", "no improvement for {n} epochs", n=n)
        return text, f"--set train.early_stopping={2 * train.early_stopping}"
    options = {
        "max_steps reached": f"--set train.max_steps={2 * train.max_steps}",
        "max_time reached": f"--max-time {2 * train.max_time:g}",
    }
    return tr(stopped), options.get(stopped, f"--epochs {2 * train.epochs}")


def epoch_batches(job: Job, state: TrainState) -> Iterator[Batch]:
    """The batches of the current epoch, starting at state.next_batch."""
    train = job.config.train
    if train.overfit_batches:
        order = Order(train.seed, 0, rank=job.rank, world=job.world)
        batches = islice(job.batches(order), train.overfit_batches)
        return islice(batches, state.next_batch, None)
    order = Order(train.seed, state.epoch, state.next_batch, job.rank, job.world)
    return job.batches(order)


def groups(batches: Iterator[Batch], n: int) -> Iterator[list[Batch]]:
    """Groups of n batches, one group per training step; the last may be smaller."""
    while group := list(islice(batches, n)):
        yield group


def update(job: Job, state: TrainState, *batches: Batch) -> None:
    """One training step: loss, gradients, clipping, optimizer; advances the state. Gradients are accumulated over
    several batches and equal those of one batch with all their rows. With on_nan: skip, batches with a non-finite loss
    or gradient are skipped without an update, and the next ones use the carry from before. The same goes for batches
    whose gradients overflow fp16, after which the loss scale is lowered."""
    train = job.config.train
    state.lr = state.optimizer.param_groups[0]["lr"]
    # On other devices than the CPU, reading a number synchronizes: there it is checked at the end of the epoch.
    look = job.device.type == "cpu" or train.on_nan == "skip"
    added = _add_gradients(job, state, batches, look)
    if added is not None:
        gradients = [p.grad for p in job.model.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)  # ()
        if look and not math.isfinite(float(norm)):
            added = None
            if not _lowered(state) and train.on_nan == "stop":
                what = tr("a gradient became {value}", value=float(norm))
                raise diverged(job, state, what, first_bad_gradient(job.model))  # else the next may fit into float16
    state.step += 1
    state.next_batch += len(batches)
    if added is None:
        return
    state.norms.append(norm)
    if train.clip_grad_norm:
        nn.utils.clip_grads_with_norm_(job.model.parameters(), train.clip_grad_norm, norm)
    _step_scaled(state)
    if state.schedule is not None and type(state.schedule).__name__ in PER_STEP:
        state.schedule.step()
    state.carry = added.carry
    state.count += added.count
    state.counted += added.count
    state.total = state.total.to(added.total.device) + added.total.double()


def _add_gradients(job: Job, state: TrainState, batches: Sequence[Batch], look: bool) -> Loss | None:
    """Compute the gradients of the mean loss over all batches in place; return the loss summed over all processes, its
    count and the last carry. None if a loss is not finite, checked only if `look`. Raises Diverged."""
    state.optimizer.zero_grad(set_to_none=True)
    found, parts = Loss(zero(), 0.0, state.carry), 0.0
    for batch in (batch.to(job.device) for batch in batches):
        with job.autocast():
            loss = state.loss(batch, found.carry)
        total, count = job.group.all_reduce(loss.total.detach(), loss.count)
        if look and not math.isfinite(float(total)):
            if job.config.train.on_nan == "stop":
                what = tr("the loss became {loss}", loss=float(total))
                raise diverged(job, state, what, first_bad(job, found.carry, batch))
            return None
        parts = parts or count * len(batches)  # the total count, if the other batches count the same as the first
        state.scaler.scale(loss.total / (parts / job.world)).backward()
        summed = total if len(batches) == 1 else found.total.to(total.device) + total.double()
        found = Loss(summed, found.count + count, loss.carry)
    state.scaler.unscale_(state.optimizer)
    if found.count != parts:
        for parameter in job.model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(parts / found.count)
    return found


def _step_scaled(state: TrainState) -> None:
    """The optimizer's step, skipped if a scaled gradient overflowed: then the scale is halved."""
    state.scaler.step(state.optimizer)
    state.scaler.update()


def _lowered(state: TrainState) -> bool:
    """For non-finite gradients: lower the scale, and return whether that may help. At scale 1 it cannot."""
    if state.scaler.get_scale() <= 1:
        return False
    _step_scaled(state)
    return True


def _step_schedule(state: TrainState, loss: float) -> None:
    if state.schedule is None or type(state.schedule).__name__ in PER_STEP:
        return
    arguments = (loss,) if isinstance(state.schedule, torch.optim.lr_scheduler.ReduceLROnPlateau) else ()
    with warnings.catch_warnings():
        # A run resumed at the end of its first epoch made its steps in another process, which torch's call-order check
        # cannot know.
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        state.schedule.step(*arguments)


def _progress(
    event: Literal["step", "epoch", "end"],
    state: TrainState,
    metrics: Metrics | None = None,
    improved: bool = False,
) -> Progress:
    total, count = state.total, state.count
    return Progress(
        event=event,
        epoch=state.epoch,
        step=state.step,
        counted=state.counted,
        seconds=state.seconds,
        lr=state.lr,
        read_loss=lambda: float(total) / max(count, 1.0),
        metrics=metrics or {},
        watch=state.watch,
        improved=improved,
    )
