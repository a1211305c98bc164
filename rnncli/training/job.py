"""Prepares a recipe for training: reads data, chooses device and threads, checks memory, initializes weights."""

from __future__ import annotations

import copy
import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from rnncli import loggers
from rnncli.cells import CELLS, CoreSpec, cores_of
from rnncli.data.batch import Batch, Order
from rnncli.device import dtype_of, pick_device, require_memory, this_process, threads_for, usable_cores
from rnncli.errors import Missing, UsageError
from rnncli.locale import tr, trn
from rnncli.names import compared_cells
from rnncli.nn.crf import crf_of
from rnncli.nn.heads import Tied
from rnncli.nn.recurrent import choose_engine, spec_of_section
from rnncli.recipe import CoreSection, RecipeConfig
from rnncli.tasks import AnySplits, AnyTask, Recipe
from rnncli.training.process_group import ProcessGroup

HELD = 5  # copies of the weights that training holds: with gradients, two moments, and the best (or a dry run's copy)
SAVED = 8  # and those that a checkpoint needs temporarily: all but the gradients, as tensors and as a file's bytes


@dataclass
class Job:
    """A recipe ready to train. config: with `auto` values resolved (engine, device, threads), as stored in the run
    folder. group: the training processes."""

    recipe: Recipe
    config: RecipeConfig
    task: AnyTask
    splits: AnySplits
    model: nn.Module
    device: torch.device
    cost: Cost
    group: ProcessGroup = field(default_factory=ProcessGroup)

    @property
    def rank(self) -> int:
        """Rank 0 writes and prints."""
        return self.group.rank

    @property
    def world(self) -> int:
        return self.group.world

    def batches(self, order: Order) -> Iterator[Batch]:
        """The batches of an epoch of this process."""
        return self.task.batches(self.config, self.splits.train, order)

    def first_batch(self) -> Batch:
        """The first batch of the first epoch, on the job's device."""
        return next(self.batches(Order(self.config.train.seed, 1))).to(self.device)

    def autocast(self) -> torch.autocast:
        """A context manager for the precision of the recipe's loss."""
        return autocast(self.device, self.config.train.precision)

    def steps_per_epoch(self) -> int:
        """Training steps per epoch."""
        return -(-self.batches_per_epoch() // self.config.train.accumulate_grad_batches)

    def batches_per_epoch(self) -> int:
        """Number of batches in the training split. An epoch can start at any batch, so only a few batches are built to
        find its end."""

        def ended(n: int) -> bool:
            order = Order(self.config.train.seed, 0, next_batch=n)
            return next(self.batches(order), None) is None

        limit, generated = self.config.train.overfit_batches, self.task.generated(self.config)
        if generated is not None:
            return min(generated.batches, limit or generated.batches)
        beyond = 1
        while not ended(beyond):
            beyond *= 2
        n = bisect_left(range(beyond), True, key=ended)
        return min(n, limit) if limit else n


@dataclass(frozen=True)
class Cost:
    """The cost of a training step. T, B: shape of a batch. padded: whether its rows differ in length. memory: estimated
    bytes, from sizes alone."""

    T: int
    B: int
    padded: bool
    parameters: int
    memory: int


def prepare(recipe: Recipe, *, fresh: bool = True) -> Job:
    """Read the data and build the model; everything that can be rejected is rejected here, before a run folder exists.
    fresh: whether training starts from scratch; a resumed run's weights come from its checkpoint.

    Sets torch's thread count and seed, and flushes denormals, which slow down matrix products. Raises DataError
    (the data), Missing (device, memory, an extra that the recipe needs), UsageError.
    """
    task, config = recipe.task, recipe.config
    task.require(config)
    for name in config.train.loggers():
        loggers.require(name, "train.log")
    device = _own_device(config)
    splits = task.read(config)
    cost, specs = estimate(task, config, splits)
    config = _resolved(config, specs, device, cost)
    _require_fp16(config, device)
    torch.set_num_threads(int(config.train.threads))
    torch.set_flush_denormal(True)
    torch.manual_seed(config.train.seed)
    model = task.build(config, splits.fitted).to(device=device, dtype=dtype_of(config.train.dtype))
    if fresh:
        splits = replace(splits, notes=[*splits.notes, *task.begin(config, model, splits)])
    return Job(recipe, config, task, splits, model, device, cost)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context manager for matrix products in that precision."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=precision != "float32")


def _require_fp16(config: RecipeConfig, device: torch.device) -> None:
    """Raises Missing or UsageError if fp16 is requested but unavailable. Not all of torch's CPU kernels support it."""
    if config.train.precision != "fp16":
        return
    if device.type != "cuda":
        todo = tr("--set train.precision=bf16, or --device cuda")
        raise Missing(tr("fp16 needs a GPU"), where="train.precision", todo=todo)
    if config.model.engine not in ("torch", "loop"):
        what = tr("engine {engine} does not support fp16", engine=config.model.engine)
        raise UsageError(what, where="train.precision", todo=tr("use engine: torch, or engine: loop"))


def _own_device(config: RecipeConfig) -> torch.device:
    """The device of this process: several processes on a machine each have their own GPU. Raises Missing."""
    process, device = this_process(), pick_device(config.train.device)
    if process.world == 1:
        return device
    if device.type == "mps":
        raise Missing(
            tr("torch does not support data-parallel training on mps"), where="train.device", todo="--device cpu"
        )
    if device.type == "cuda":
        found = torch.cuda.device_count()
        if process.local_world > found:
            raise Missing(
                tr(
                    "{processes} on this machine, but {gpus}",
                    processes=trn("{n} process", "{n} processes", n=process.local_world),
                    gpus=trn("{n} GPU", "{n} GPUs", n=found),
                ),
                where="train.device",
                todo=tr("torchrun --nproc-per-node {found}, or --device cpu", found=found),
            )
        torch.cuda.set_device(process.local_rank)
    return device


def estimate(
    task: AnyTask, config: RecipeConfig, splits: AnySplits, *, trains: bool = True
) -> tuple[Cost, list[CoreSpec]]:
    """The cost of a step, from the model's shapes on torch's meta device, which allocates no memory. trains: False if
    the model only runs forward and backward on a batch. Raises Missing: not enough memory."""
    what, where = tr("training this model") if trains else tr("this model"), "model"
    todo = tr("lower hidden_size or batch_size")
    try:
        with torch.device("meta"):
            shape = task.build(config, splits.fitted)
        parameters = sum(parameter.numel() for parameter in shape.parameters())
    except (RuntimeError, TypeError, OverflowError):  # byte count overflows 64 bits
        model = config.model
        gates = spec_of_section(model, 1).num_gates
        least = 16 * gates * model.hidden_size * (model.proj_size or model.hidden_size)  # W_hh alone
        require_memory(max(least, 1 << 60), what, where=where, todo=tr("lower hidden_size or embedding_size"))
        raise
    specs = list(cores_of(shape).values())
    weights = parameters * dtype_of(config.train.dtype).itemsize
    held, saved = (HELD * weights, SAVED * weights) if trains else (2 * weights, 0)
    # before any batch is made: the model alone may already be too large
    require_memory(held + saved, what, where=where, todo=tr("lower hidden_size or embedding_size"))
    processes = this_process().local_world if trains and pick_device(config.train.device).type == "cpu" else 1
    if generated := task.generated(config):  # as many rows as the recipe asks for, so before any batch is made
        per_row = activations(shape, specs, generated.longest)
        per_step = per_row // 3 // max(1, len(generated.longest.inputs))  # without gradients and copies
        most = max(per_row * config.train.batch_size // this_process().world, per_step * generated.held_out)
        require_memory(processes * (held + max(saved, most)), what, where=where, todo=todo)
    batch = next(iter(task.batches(config, splits.train, Order(config.train.seed, 0, world=this_process().world))))
    memory = held + max(saved, activations(shape, specs, batch))
    require_memory(processes * memory, what, where=where, todo=todo)
    T, B = batch.inputs.shape[:2]
    return Cost(T, B, batch.lengths is not None, parameters, memory), specs


def activations(shape: nn.Module, specs: list[CoreSpec], batch: Batch) -> int:
    """Bytes held by one forward and backward pass: inputs and outputs of convolutions, cores and linear layers at each
    step, and the gates, each with its gradient and a temporary copy."""
    inputs = batch.inputs
    tensors = [inputs, *(t for t in (batch.targets, *batch.extra.values()) if t is not None)]
    steps = max(tensor.shape[:2].numel() for tensor in tensors)  # of a decoder, or of a word's characters, too
    places = inputs.numel() // max(1, inputs.shape[-1])  # for a convolution, whose channels are the last axis
    numbers = inputs.numel()
    for module in shape.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            numbers += places * module.out_channels
        elif isinstance(module, nn.Linear | Tied):
            numbers += steps * module.out_features
    for spec in specs:
        for layer in range(spec.num_layers):
            per_step = spec.layer_input_size(layer) + spec.num_directions * spec.hidden_size * (2 * spec.num_gates + 3)
            matrices = sum(math.prod(shape) for shape in spec.states.values() if len(shape) > 1)  # states of a step
            numbers += steps * (per_step + spec.num_directions * matrices)
    crf = crf_of(shape)
    numbers += 0 if crf is None else steps * crf.out_features**2  # every pair of labels, at every step
    return 3 * 4 * numbers


def _resolved(config: RecipeConfig, specs: list[CoreSpec], device: torch.device, cost: Cost) -> RecipeConfig:
    """The config with `auto` engine, device and threads resolved."""
    engine, threads = config.model.engine, config.train.threads
    if threads == "auto":
        threads = threads_of(specs, cost.B, max(1, usable_cores() // this_process().local_world))
    if engine == "auto" and specs:
        # some of several cores may not get padded rows (a decoder)
        padded, dtype = cost.padded and len(specs) == 1, dtype_of(config.train.dtype)
        engine = choose_engine(specs[0], dtype, device.type, T=cost.T, B=cost.B, padded=padded, threads=threads)
    model = config.model.model_copy(update={"engine": engine})
    train = config.train.model_copy(update={"threads": threads, "device": device.type})
    resolved: RecipeConfig = config.model_copy(update={"model": model, "train": train})
    return resolved


def threads_of(specs: list[CoreSpec], batch_size: int, cores: int) -> int:
    """CPU threads for a model with these cores, up to the available number: as many as its largest core can use."""
    return max(
        (threads_for(batch_size, spec.input_size, spec.hidden_size, spec.num_gates, cores) for spec in specs), default=1
    )


def set_threads(model: nn.Module, batch_size: int) -> None:
    """torch's CPU threads for batches of this size: one, unless the model is large."""
    torch.set_num_threads(threads_of(list(cores_of(model).values()), batch_size, usable_cores()))


def with_cell(job: Job, name: str) -> Job:
    """The same job with another cell, named as in `train.compare`: same seed, sizes and settings."""
    config = job.config
    other = config.model_copy(update={"model": model_with_cell(config.model, name)})
    torch.manual_seed(config.train.seed)
    built = job.task.build(other, job.splits.fitted).to(next(job.model.parameters()))
    job.task.begin(other, built, job.splits)
    made = copy.copy(job)
    made.config, made.model = other, built
    return made


def model_with_cell(model: CoreSection, name: str) -> CoreSection:
    """The `model:` of a recipe with another cell, named as in `train.compare`."""
    variant, nonlinearity, options = compared_cells()[name]
    cell = CELLS[variant]
    kept = model.nonlinearity if model.nonlinearity in cell.nonlinearities else cell.nonlinearities[0]
    own = {
        "cell": variant,
        "nonlinearity": nonlinearity or kept,
        "engine": "auto",
        "proj_size": model.proj_size if cell.projected else 0,
    }
    return model.model_copy(update=own | options)


def is_own_cell(model: CoreSection, name: str) -> bool:
    """Whether this entry of `train.compare` is the recipe's own cell."""
    return spec_of_section(model_with_cell(model, name), 1) == spec_of_section(model, 1)
