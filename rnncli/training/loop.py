"""The training loop. It yields Progress and prints nothing; what a run folder keeps of it is in rnncli.runs."""

from __future__ import annotations

import importlib
import math
import os
import sys
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Literal

import torch
from torch import Tensor, nn

from rnncli.cells import State
from rnncli.data.batch import Batch, Order
from rnncli.errors import Diverged
from rnncli.locale import tr, trn
from rnncli.recipe import TrainSection
from rnncli.tasks import Loss, Metrics
from rnncli.training import scaling
from rnncli.training.best import is_better, moved, unmoved
from rnncli.training.job import Job

PER_STEP = ("OneCycleLR",)  # schedules that torch means to be stepped at every update; all others once an epoch


@dataclass
class Progress:
    """Where training stands. event: `step` after every update, `epoch` after every epoch, `end` once.

    loss: mean over the epoch so far, read only when asked for (on a GPU, reading waits for it). metrics: of the
    held-out part, at `epoch` and `end`. watch: the task's few words on what it answers, before the epoch. counted: what
    the loss counts (steps, rows), since the beginning. lr: of the last update. stopped: why, at `end` and at the `step`
    that reached a limit.
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


def _zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)


@dataclass
class TrainState:
    """All that training needs to go on from here: what a checkpoint holds, beside torch's random state.

    loss: of a batch, after a carry; the gradients of its sum, once backward has run, are those of all processes' rows.
    scaler: with fp16, of the loss, so that small gradients are not lost.
    """

    model: nn.Module
    loss: Callable[[Batch, State | None], Loss]
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None
    scaler: torch.amp.GradScaler | None = None
    epoch: int = 1
    next_batch: int = 0
    step: int = 0
    carry: State | None = None
    total: Tensor = field(default_factory=_zero)  # of the loss in the epoch so far, () float64
    count: float = 0.0
    counted: float = 0.0  # steps or rows since the beginning, for the speed
    seconds: float = 0.0
    watch: str = ""
    lr: float = 0.0  # of the last update
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    best_metrics: Metrics = field(default_factory=dict)
    moved: list[str] = field(default_factory=list)  # metrics that have had two values or more
    waited: int = 0  # epochs since the best one
    norms: deque[Tensor] = field(default_factory=lambda: deque(maxlen=5))  # of all gradients, at the last updates


def start(job: Job) -> TrainState:
    """The state before the first update."""
    train = job.config.train
    optimizer = make_optimizer(train, job.model)
    loss = job.group.data_parallel(partial(job.task.loss, job.config, job.model), job.model, train.seed)
    schedule = make_schedule(train, optimizer, job)
    scaler = scaling.make_scaler(train.precision, job.device)
    return TrainState(job.model, loss, optimizer, schedule, scaler, lr=optimizer.param_groups[0]["lr"])


def make_optimizer(train: TrainSection, model: nn.Module) -> torch.optim.Optimizer:
    """Of torch.optim, by the recipe's name; torch's fused implementation where it has one for these parameters."""
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
    """Every optimizer of torch loads its compiler, which makes a folder in TMPDIR and leaves it there, empty."""
    if "torch._dynamo" not in sys.modules and "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
            importlib.import_module("torch._dynamo")
            del os.environ["TORCHINDUCTOR_CACHE_DIR"]


def make_schedule(
    train: TrainSection, optimizer: torch.optim.Optimizer, job: Job
) -> torch.optim.lr_scheduler.LRScheduler | None:
    """Of torch.optim.lr_scheduler, or None. What follows from the run is filled in: cosine's T_max is the number of
    epochs, one-cycle's total_steps that of updates and its max_lr the recipe's lr."""
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
    elif name in ("LinearLR", "PolynomialLR", "ConstantLR"):
        arguments.setdefault("total_iters", train.epochs)
    made: torch.optim.lr_scheduler.LRScheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **arguments)
    return made


def fit(job: Job, state: TrainState | None = None) -> Iterator[Progress]:
    """Train until the recipe's limits; yields after every update and every epoch, and an `end`.

    state: where to go on from, `start(job)` if None; it is kept up to date between yields, so a caller may checkpoint
    it at any of them. A limit of steps or time cuts an epoch short: the `step` that says `stopped` is the place to go
    on from; the model is then measured as it is. Once the iteration ends the model has the weights of the best epoch.
    Raises Diverged: a loss or a gradient that is no number.
    """
    state = state or start(job)
    train, task, config = job.config.train, job.task, job.config
    clock = job.group.clock(time.perf_counter() - state.seconds)
    why = stop_reason(train, state)
    while state.epoch <= train.epochs and not why:
        if state.next_batch == 0:
            state.watch = task.epoch_preview(config, job.model, job.splits) if job.rank == 0 else ""
            state.carry, state.total, state.count = None, _zero(), 0.0
        job.model.train()
        batches = epoch_batches(job, state)
        while not why and (batch := next(batches, None)) is not None:
            update(job, state, batch)
            state.seconds = clock()
            step = _progress("step", state)
            step.stopped = why = stop_reason(train, state)
            yield step
        _require_an_update(job, state)
        task.calibrate(config, job.model, job.splits.part(job.splits.held_out))
        metrics = measured(job)
        improved = keep_if_best(job, state, metrics)
        _step_schedule(state, metrics["loss"])
        state.seconds = clock()
        epoch = _progress("epoch", state, metrics, improved)
        state.epoch, state.next_batch = state.epoch + 1, 0
        why = why or stop_reason(train, state)
        yield epoch
    end = _progress("end", state, state.best_metrics)
    end.epoch, end.stopped = state.best_epoch, why or tr("all epochs done")
    yield end
    if state.best_weights:
        job.model.load_state_dict(state.best_weights)


def keep_if_best(job: Job, state: TrainState, metrics: Metrics) -> bool:
    """Whether this epoch is the best one so far, by `train.best_by` and, where that is equal, by the loss; if so its
    weights are kept. metrics: of the held-out part, after the epoch."""
    by, known = job.config.train.best_by, job.task.METRICS
    state.moved = moved(state.moved, known, metrics, state.best_metrics or metrics)
    if not is_better(metrics, state.best_metrics, by, known[by]):
        state.waited += 1
        return False
    state.best_epoch, state.best_metrics, state.waited = state.epoch, metrics, 0
    state.best_weights = {name: tensor.detach().clone() for name, tensor in job.model.state_dict().items()}
    return True


def notes_on_best(job: Job, state: TrainState) -> list[str]:
    """Sentences on how the best epoch was chosen; one epoch alone shows no movement."""
    if state.epoch < 3 or not state.best_metrics:
        return []
    said = unmoved(state.best_metrics, job.config.train.best_by, state.moved)
    return [said] if said else []


def measured(job: Job) -> Metrics:
    """Of the model on the held-out part, by rank 0, for all processes."""

    def measure() -> Metrics:
        return job.task.metrics(job.config, job.model, job.splits.part(job.splits.held_out), job.splits.fitted)

    measured: Metrics = job.group.broadcast(measure)
    return measured


def stop_reason(train: TrainSection, state: TrainState) -> str:
    """Why training must not go on from here, other than that all epochs are done; "" where it may."""
    if train.max_steps and state.step >= train.max_steps:
        return tr("max_steps reached")
    if train.max_time and state.seconds >= train.max_time:
        return tr("max_time reached")
    if train.early_stopping and state.next_batch == 0 and state.waited >= train.early_stopping:
        return trn("no better for {n} epoch", "no better for {n} epochs", n=state.waited)
    return ""


def epoch_batches(job: Job, state: TrainState) -> Iterator[Batch]:
    """The batches of the current epoch, from state.next_batch on."""
    train = job.config.train
    if train.overfit_batches:
        order = Order(train.seed, 0, rank=job.rank, world=job.world)
        batches = islice(job.batches(order), train.overfit_batches)
        return islice(batches, state.next_batch, None)
    order = Order(train.seed, state.epoch, state.next_batch, job.rank, job.world)
    return job.batches(order)


def update(job: Job, state: TrainState, batch: Batch) -> None:
    """One update: loss, gradients, clipping, optimizer; the state moves on. With on_nan: skip, a batch whose loss or
    gradient is no number moves on without an update, and the next goes on from the carry before it. So does one whose
    gradients fp16 cannot hold, and the loss is scaled up less from there."""
    train = job.config.train
    state.lr = state.optimizer.param_groups[0]["lr"]
    batch = batch.to(job.device)
    with job.autocast():
        loss = state.loss(batch, state.carry)
    total, count = job.group.all_reduce(loss.total.detach(), loss.count)
    # Elsewhere than on the CPU, reading a number waits for the device: there it is looked at when the epoch ends.
    look = job.device.type == "cpu" or train.on_nan == "skip"
    bad = look and not math.isfinite(float(total))
    if bad and train.on_nan == "stop":
        raise _diverged(job, state, tr("the loss became {loss}", loss=float(total)), _first_bad(job, state, batch))
    if not bad:
        state.optimizer.zero_grad(set_to_none=True)
        scaling.backward(state.scaler, loss.total / (count / job.world), state.optimizer)
        gradients = [p.grad for p in job.model.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)  # ()
        bad = look and not math.isfinite(float(norm))
        if bad and scaling.lowered(state.scaler, state.optimizer):
            pass  # float16 may hold the next ones
        elif bad and train.on_nan == "stop":
            what = tr("a gradient became {value}", value=float(norm))
            raise _diverged(job, state, what, _first_bad_gradient(job.model))
    state.step += 1
    state.next_batch += 1
    if bad:
        return
    state.norms.append(norm)
    if train.clip_grad_norm:
        nn.utils.clip_grads_with_norm_(job.model.parameters(), train.clip_grad_norm, norm)
    scaling.step(state.scaler, state.optimizer)
    if state.schedule is not None and type(state.schedule).__name__ in PER_STEP:
        state.schedule.step()
    state.carry = loss.carry
    state.count += count
    state.counted += count
    state.total = state.total.to(total.device) + total.double()


def require_finite(job: Job, state: TrainState) -> None:
    """Diverged where the weights or the epoch's loss are no numbers: such a state is never kept."""
    bad = bad_tensor(job.model)
    if bad or not math.isfinite(float(state.total)):
        what = tr("the loss became {loss}", loss=float(state.total))
        raise _diverged(job, state, what, bad or tr("the loss"))


def bad_tensor(model: nn.Module) -> str:
    """The first weight that holds a NaN or an infinity, by name; "" where all are numbers."""
    return next((name for name, tensor in model.named_parameters() if not torch.isfinite(tensor).all()), "")


def _require_an_update(job: Job, state: TrainState) -> None:
    """Diverged where the epoch's loss is no number, or, with on_nan: skip, where every update was skipped."""
    if not state.count:
        raise _diverged(job, state, tr("no batch of this epoch has a loss and gradients that are numbers"), "")
    require_finite(job, state)


def _first_bad(job: Job, state: TrainState, batch: Batch) -> str:
    """Where a loss that is no number came from: a weight, the input, or the first module with such an output."""
    here = _first_bad_here(job, state, batch) if batch.size else ""
    found = job.group.all_gather_text(here)  # the rows it came from are those of one process
    return next(filter(None, found), tr("the loss"))


def _first_bad_here(job: Job, state: TrainState, batch: Batch) -> str:
    """The same for the rows of this process; "" where all are numbers."""
    bad = bad_tensor(job.model)
    if bad:
        return bad
    if batch.inputs.is_floating_point() and not torch.isfinite(batch.inputs).all():
        return tr("the input")
    found: list[str] = []

    def look(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if not all(torch.isfinite(tensor).all() for tensor in _tensors(output)):
                found.append(tr("the output of {name}", name=name))

        return hook

    hooks = [module.register_forward_hook(look(name)) for name, module in job.model.named_modules() if name]
    try:
        with torch.no_grad():
            job.task.loss(job.config, job.model, batch, state.carry)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ""


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)


def _first_bad_gradient(model: nn.Module) -> str:
    """Gradients flow from the loss to the input: the last parameter whose gradient is no number went bad first."""
    names = [name for name, p in model.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
    # Each gradient may be a number and their norm be none.
    return tr("the gradient of {name}", name=names[-1]) if names else tr("the norm of all gradients")


def _diverged(job: Job, state: TrainState, what: str, first: str) -> Diverged:
    norms = ", ".join(f"{float(norm):.4g}" for norm in state.norms)
    parts = [tr("{what} at update {step}", what=what, step=state.step + 1)]
    if first:
        parts.append(tr("first bad: {name}", name=first))
    if norms:
        parts.append(tr("norms of the gradients before it: {norms}", norms=norms))
    train = job.config.train
    return Diverged(
        "; ".join(parts),
        where=tr("epoch {epoch}", epoch=state.epoch),
        todo=tr("a smaller train.lr, or train.clip_grad_norm: 1.0")
        if train.on_nan == "skip"
        else tr("a smaller train.lr, or train.clip_grad_norm: 1.0; --on-nan skip leaves such batches out"),
    )


def _step_schedule(state: TrainState, loss: float) -> None:
    if state.schedule is None or type(state.schedule).__name__ in PER_STEP:
        return
    arguments = (loss,) if isinstance(state.schedule, torch.optim.lr_scheduler.ReduceLROnPlateau) else ()
    with warnings.catch_warnings():
        # A run resumed at the very end of its first epoch has made its updates in another process, which torch's
        # check of the order of calls cannot know.
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
