"""A recipe made ready to train: data read, device and threads chosen, memory checked, weights drawn."""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from rnncli.cells import CELLS, CoreSpec, spec_of
from rnncli.data.batch import Batch, Order
from rnncli.device import dtype_of, pick_device, require_memory, this_process, threads_for, usable_cores
from rnncli.errors import Missing
from rnncli.locale import tr, trn
from rnncli.nn.crf import crf_of
from rnncli.nn.recurrent import choose_engine, spec_of_section
from rnncli.recipe import CoreSection, RecipeConfig
from rnncli.tasks import AnySplits, AnyTask, Recipe
from rnncli.training.process_group import Alone, ProcessGroup


@dataclass
class Job:
    """A recipe ready to train. config: `auto` values resolved (engine, device, threads), as the run folder keeps it.
    group: the processes that train it."""

    recipe: Recipe
    config: RecipeConfig
    task: AnyTask
    splits: AnySplits
    model: nn.Module
    device: torch.device
    cost: Cost
    group: ProcessGroup = field(default_factory=Alone)

    @property
    def rank(self) -> int:
        """0 is the process that writes and speaks."""
        return self.group.rank

    @property
    def world(self) -> int:
        return self.group.world

    def batches(self, order: Order) -> Iterator[Batch]:
        """Of the training part."""
        return self.task.batches(self.config, self.splits.train, order)

    def autocast(self) -> torch.autocast:
        """The precision in which the recipe has its loss computed, as a context."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.train.precision == "bf16")

    def steps_per_epoch(self) -> int:
        """Batches of one epoch of the training part. An epoch may be begun at any batch, so a few batches are made to
        find its end, and not every one."""

        def ended(n: int) -> bool:
            order = Order(self.config.train.seed, 0, next_batch=n)
            return next(self.batches(order), None) is None

        limit = self.config.train.overfit_batches
        beyond = 1
        while not ended(beyond):
            beyond *= 2
        n = bisect_left(range(beyond), True, key=ended)
        return min(n, limit) if limit else n


@dataclass(frozen=True)
class Cost:
    """What one training step takes. T, B: the shape of a batch, padded: whether its rows differ in length. memory:
    bytes, an estimate from the sizes alone."""

    T: int
    B: int
    padded: bool
    parameters: int
    memory: int


def cores_of(model: nn.Module) -> dict[str, CoreSpec]:
    """Path in the model -> spec of every recurrent core."""
    found = {path: spec_of(module) for path, module in model.named_modules()}
    return {path: spec for path, spec in found.items() if spec is not None}


def prepare(recipe: Recipe, *, fresh: bool = True) -> Job:
    """Read the data and build the model: all that can be refused is refused here, before a run folder exists. fresh:
    whether training starts here; a resumed run's weights come from its checkpoint.

    Sets torch's thread count and seed, and flushes denormals, which slow a product down. Raises DataError
    (the data), Missing (device, memory, an extra that the recipe needs), UsageError.
    """
    task, config = recipe.task, recipe.config
    task.require(config)
    device = _own_device(config)
    splits = task.read(config)
    cost, specs = estimate(task, config, splits)
    together = this_process().local_world if device.type == "cpu" else 1
    todo = tr("lower hidden_size or batch_size")
    require_memory(together * cost.memory, tr("training this model"), where="model", todo=todo)
    config = _resolved(config, specs, device, cost)
    torch.set_num_threads(int(config.train.threads))
    torch.set_flush_denormal(True)
    torch.manual_seed(config.train.seed)
    model = task.build(config, splits.fitted).to(device=device, dtype=dtype_of(config.train.dtype))
    if fresh:
        splits = replace(splits, notes=[*splits.notes, *task.begin(config, model, splits)])
    return Job(recipe, config, task, splits, model, device, cost)


def _own_device(config: RecipeConfig) -> torch.device:
    """The device of this process: of several on a machine, each has a GPU of its own. Raises Missing."""
    process, device = this_process(), pick_device(config.train.device)
    if process.world == 1:
        return device
    if device.type == "mps":
        raise Missing(tr("torch has no data-parallel training on mps"), where="train.device", todo="--device cpu")
    if device.type == "cuda":
        found = torch.cuda.device_count()
        if process.local_world > found:
            raise Missing(
                tr(
                    "{processes} on this machine and {gpus}",
                    processes=trn("{n} process", "{n} processes", n=process.local_world),
                    gpus=trn("{n} GPU", "{n} GPUs", n=found),
                ),
                where="train.device",
                todo=tr("torchrun --nproc-per-node {found}, or --device cpu", found=found),
            )
        torch.cuda.set_device(process.local_rank)
    return device


def estimate(task: AnyTask, config: RecipeConfig, splits: AnySplits) -> tuple[Cost, list[CoreSpec]]:
    """The cost of a step, from the model's shapes on torch's meta device, where no memory is taken."""
    try:
        with torch.device("meta"):
            shape = task.build(config, splits.fitted)
        parameters = sum(parameter.numel() for parameter in shape.parameters())
    except (RuntimeError, TypeError, OverflowError):  # bytes that 64 bits cannot count
        model, todo = config.model, tr("lower hidden_size or embedding_size")
        gates = spec_of_section(model, 1).num_gates
        least = 16 * gates * model.hidden_size * (model.proj_size or model.hidden_size)  # W_hh alone, as below
        require_memory(max(least, 1 << 60), tr("training this model"), where="model", todo=todo)
        raise
    specs = list(cores_of(shape).values())
    # weights, gradients and two moments before any batch is made: the model alone may already be too large
    weights = parameters * 4 * (8 if config.train.dtype == "float64" else 4)
    require_memory(weights, tr("training this model"), where="model", todo=tr("lower hidden_size or embedding_size"))
    batch = next(iter(task.batches(config, splits.train, Order(config.train.seed, 0, world=this_process().world))))
    T, B = batch.inputs.shape[:2]
    return Cost(T, B, batch.lengths is not None, parameters, weights + activations(shape, specs, batch)), specs


def activations(shape: nn.Module, specs: list[CoreSpec], batch: Batch) -> int:
    """Bytes that one forward and backward pass holds: input, gates and states of every core, and what heads give."""
    T, B = batch.inputs.shape[:2]
    numbers = batch.inputs.numel()
    for spec in specs:
        for layer in range(spec.num_layers):
            per_step = spec.layer_input_size(layer) + spec.num_directions * spec.hidden_size * (2 * spec.num_gates + 3)
            numbers += T * B * per_step
    numbers += 3 * T * B * max((m.out_features for m in shape.modules() if isinstance(m, nn.Linear)), default=0)
    crf = crf_of(shape)
    numbers += 0 if crf is None else 2 * T * B * crf.out_features**2  # every pair of labels, at every step
    return 4 * numbers


def _resolved(config: RecipeConfig, specs: list[CoreSpec], device: torch.device, cost: Cost) -> RecipeConfig:
    """The config with `auto` engine, device and threads replaced by what they mean here."""
    engine, threads = config.model.engine, config.train.threads
    if engine == "auto" and specs:
        # of several cores some may not be given padded rows (a decoder)
        padded = cost.padded and len(specs) == 1
        engine = choose_engine(specs[0], dtype_of(config.train.dtype), device.type, T=cost.T, padded=padded)
    if threads == "auto":
        threads = threads_of(specs, cost.B, max(1, usable_cores() // this_process().local_world))
    model = config.model.model_copy(update={"engine": engine})
    train = config.train.model_copy(update={"threads": threads, "device": device.type})
    resolved: RecipeConfig = config.model_copy(update={"model": model, "train": train})
    return resolved


def threads_of(specs: list[CoreSpec], batch_size: int, cores: int) -> int:
    """CPU threads for a model with these cores, of so many that there are: as many as the largest of them wants."""
    return max(
        (threads_for(batch_size, spec.input_size, spec.hidden_size, spec.num_gates, cores) for spec in specs),
        default=1,
    )


def set_threads(model: nn.Module, batch_size: int) -> None:
    """torch's CPU threads for batches of that size: one, unless the model is large."""
    torch.set_num_threads(threads_of(list(cores_of(model).values()), batch_size, usable_cores()))


def with_cell(job: Job, name: str) -> Job:
    """The same job with another cell (rnn-tanh, rnn-relu, gru, lstm, feedforward): same seed, sizes and settings."""
    config = job.config
    variant, nonlinearity = (name, "") if name in CELLS else name.rsplit("-", 1)
    cell = CELLS[variant]
    kept = config.model.nonlinearity if config.model.nonlinearity in cell.nonlinearities else cell.nonlinearities[0]
    model = config.model.model_copy(
        update={
            "cell": variant,
            "nonlinearity": nonlinearity or kept,
            "engine": "auto",
            "proj_size": config.model.proj_size if cell.projected else 0,
        }
    )
    other = config.model_copy(update={"model": model})
    torch.manual_seed(config.train.seed)
    built = job.task.build(other, job.splits.fitted).to(next(job.model.parameters()))
    job.task.begin(other, built, job.splits)
    made = copy.copy(job)
    made.config, made.model = other, built
    return made


def cell_name(model: CoreSection) -> str:
    """What `compare` calls this cell."""
    return f"{model.cell}-{model.nonlinearity}" if CELLS[model.cell].compared else model.cell
