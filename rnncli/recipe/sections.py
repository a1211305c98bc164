"""The sections of a recipe. A task file subclasses them: `class Data(Section)`, `class Model(CoreSection)`, `class
Train(TrainSection)`, `class Config(RecipeConfig)`; this is schema and documentation at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rnncli import names
from rnncli.locale import tr
from rnncli.recipe.marks import Clash, Expected, IsPath, OneOf
from rnncli.recipe.named import Named, name_and_arguments, named_clashes, named_schema

FORMAT = 2  # 1 is also read: see formats.py


MOST = 2**31 - 1  # largest integer in a recipe
LIMITS = {"num_layers": 1000, "threads": 1024}  # far above practical values, but safe for the system
ESTIMATED = ("hidden_size", "embedding_size", "frame_size", "proj_size")  # too large values fail the memory estimate


class Section(BaseModel):
    """A mapping with known keys. Every field has a description."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    @field_validator("*")
    @classmethod
    def _countable(cls, value: object, info: ValidationInfo) -> object:
        """Integers are limited. Exceptions: seeds, and model sizes, which are checked by estimated memory."""
        numbers = value if isinstance(value, list) else [value]
        most = 2**63 - 1 if info.field_name in ("seed", *ESTIMATED) else LIMITS.get(info.field_name or "", MOST)
        if any(type(number) is int and abs(number) > most for number in numbers):
            raise ValueError(tr("expected an integer up to {n}", n=f"{most:,}"))
        return value

    def clashes(self) -> Iterator[Clash]:
        """Conflicts between fields; a subclass starts with `yield from super().clashes()`."""
        yield from ()

    @classmethod
    def may_be_null(cls, key: str) -> bool:
        """Whether null means that the key is omitted: for sections with a default."""
        field = cls.model_fields.get(key)
        kind = None if field is None or field.is_required() else field.annotation
        return isinstance(kind, type) and issubclass(kind, Section)

    def idle(self) -> Iterator[tuple[str, str]]:
        """(key, the setting that disables it) for keys without effect."""
        yield from ()

    @model_validator(mode="after")
    def _no_clash(self) -> Section:
        found = list(self.clashes())
        if found:
            raise PydanticCustomError("clash", "{text}", {"text": "; ".join(c.what for c in found), "clashes": found})
        return self


DURATION = r"([0-9]+\.?[0-9]*|\.[0-9]+)(s|m|h)"


def _duration(value: object) -> object:
    """`90`, `90s`, `1.5m`, `2h` -> seconds; anything else is left to type validation."""
    found = re.fullmatch(DURATION, value) if isinstance(value, str) else None
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] if found else value


CellName = Annotated[str, OneOf(lambda: names.CELLS)]
LoggerName = Annotated[str, OneOf(lambda: names.LOGGERS)]
DataPath = Annotated[str, IsPath(), Expected("a path")]
Seconds = Annotated[
    float,
    BeforeValidator(_duration),
    Field(ge=0),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{DURATION}$"}]}),
    Expected("seconds, or 30s, 5m, 1h"),
]


class SplitSection(Section):
    """`data.split:`, how one path is split."""

    validation: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="share for validation, used to choose the epoch"
    )
    test: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="share held out for the final test")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.validation + self.test >= 1:
            yield Clash(("validation", "test"), tr("validation and test leave nothing to train on"))

    def fractions(self) -> dict[str, float]:
        """Split -> share, for the requested splits."""
        return {name: share for name in ("validation", "test") if (share := getattr(self, name)) > 0}


class DataSection(Section):
    """`data:` of every task: one `path`, split here, or separate files."""

    SOURCES: ClassVar[tuple[str, ...]] = ("path", "train")  # keys that locate the data; a task may have more

    path: DataPath | list[DataPath] | None = Field(None, description="a file or folder, a list, or builtin:NAME")
    train: DataPath | None = Field(None, description="instead of path: separate training file")
    validation: DataPath | None = Field(None, description="with train: validation file, used to choose the epoch")
    test: DataPath | None = Field(None, description="with train: file held out for the final test")
    split: SplitSection = Field(SplitSection(), description="with path: sizes of the splits, as shares")
    on_bad: Literal["stop", "skip"] = Field("stop", description="for unusable records: stop, or skip and count")

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from super().idle()
        if self.train is not None:
            yield "split", tr("separate files")

    def has_source(self) -> bool:
        """Whether the recipe locates its data."""
        return any(getattr(self, key) is not None for key in self.SOURCES)

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if not self.has_source():
            yield Clash(self.SOURCES, tr("no data given"), tr("data.path: FILE, or --data FILE"))
        if self.path is not None and self.train is not None:
            yield Clash(
                ("train", "path"),
                tr("path and train are both given"),
                tr("path is split by rnncli; train is a separate file"),
            )
        for name in ("validation", "test"):
            if getattr(self, name) is not None and self.train is None:
                yield Clash((name,), tr("{name} requires data.train", name=name), tr("data.train: FILE"))


class CoreSection(Section):
    """`model:`, the recurrent part."""

    cell: CellName = Field("rnn", description="the recurrent cell; feedforward is the rnn cell without memory")
    engine: Annotated[str, OneOf(names.engines, names.ENGINE_ALIASES, ("scan",))] = Field(
        "auto",
        description="how time steps are computed: loop: a Python loop; torch: its own kernels; bptt: a loop with "
        "explicit backpropagation through time; compiled: the same in machine code (extra fast); "
        "parallel: a prefix scan over time, for cells with a linear recurrence",
    )
    nonlinearity: Literal["tanh", "relu", "none"] = Field(
        "tanh", description="activation of the rnn and feedforward cells"
    )
    hidden_size: Annotated[int, Field(ge=1)] = Field(description="H, the size of the hidden state h")
    num_layers: Annotated[int, Field(ge=1)] = Field(1, description="L, stacked layers; not the sequence length")
    bidirectional: bool = Field(False, description="also process the sequence in reverse, with separate weights")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="dropout between layers; needs num_layers > 1"
    )
    proj_size: Annotated[int, Field(ge=0)] = Field(0, description="lstm only: project h to this size; 0: off")
    bias: bool = Field(True, description="whether the cells have bias vectors")

    def cell_options(self) -> dict[str, names.OptionValue]:
        """Every option of the cell, by name. In a section derived from another cell's (train.compare), options unknown
        to that cell have their defaults."""
        values, found = dict(self), dict[str, names.OptionValue]()
        for name, option in names.CELLS[self.cell].options.items():
            try:
                found[name] = option.checked(values.get(name, option.default))
            except ValueError:
                found[name] = option.default
        return found

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        cell, options = names.CELLS[self.cell], self.cell_options()
        for key, what in cell.fits(options, self.hidden_size).items():
            yield Clash((key, "cell"), what)
        if self.nonlinearity not in cell.nonlinearities:
            yield Clash(
                ("nonlinearity", "cell"),
                tr("{cell} has fixed nonlinearities", cell=self.cell),
                tr("omit it, or use cell: rnn"),
            )
        if self.dropout > 0 and self.num_layers == 1:
            yield Clash(
                ("dropout", "num_layers"),
                tr("dropout applies between layers, but there is only one layer"),
                tr("num_layers: 2 or more, or dropout: 0.0"),
            )
        if self.proj_size and not cell.projected:
            yield Clash(("proj_size", "cell"), tr("only lstm supports proj_size"), tr("proj_size: 0, or cell: lstm"))
        elif self.proj_size >= self.hidden_size:
            yield Clash(
                ("proj_size", "hidden_size"),
                tr("proj_size must be smaller than hidden_size, {n}", n=self.hidden_size),
            )
        other = any(options[name] != option.default for name, option in cell.options.items())
        if self.engine == "torch" and (cell.torch_class is None or other or self.nonlinearity == "none"):
            yield Clash(
                ("engine", "cell", "nonlinearity"),
                tr("torch has no module for this cell"),
                tr("engine: auto"),
            )


class TrainSection(Section):
    """`train:` of every task."""

    epochs: Annotated[int, Field(ge=1)] = Field(10, description="passes over the training split")
    max_steps: Annotated[int, Field(ge=0)] = Field(
        0, description="stop after this many training steps (optimizer updates); 0: no limit"
    )
    max_time: Seconds = Field(0.0, description="time limit: seconds, or 30s, 5m, 1h; 0: none")
    batch_size: Annotated[int, Field(ge=1)] = Field(32, description="B, sequences per batch")
    optimizer: Annotated[
        str | Named,
        named_schema(names.OPTIMIZERS),
        Expected("an optimizer name, or {name: ..., its arguments}"),
    ] = Field("adam", description="torch.optim class: a name, or {name: sgd, momentum: 0.9}")
    lr: Annotated[float, Field(gt=0)] = Field(0.001, description="learning rate")
    weight_decay: Literal["auto"] | Annotated[float, Field(ge=0)] = Field(
        "auto", description="weight decay; auto: torch's default for the optimizer: 0.01 for adamw, else 0"
    )
    schedule: Annotated[
        str | Named,
        named_schema(names.SCHEDULES, ("none",)),
        Expected("none, a schedule name, or {name: ..., its arguments}"),
    ] = Field(
        "none",
        description="torch.optim.lr_scheduler class: none, a name, or {name: step, step_size: 10}; cosine, polynomial "
        "and one-cycle last as long as training; constant and linear reach lr after 5 epochs, from lr/3, as in torch",
    )
    accumulate_grad_batches: Annotated[int, Field(ge=1, le=1024)] = Field(
        1, description="gradient accumulation: batches per training step"
    )
    clip_grad_norm: Annotated[float, Field(ge=0)] = Field(0.0, description="maximum gradient norm; 0: no clipping")
    early_stopping: Annotated[int, Field(ge=0)] = Field(
        0, description="stop after this many epochs without improvement; 0: never"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63), Expected("an integer from 0 to 2**63 - 1")] = Field(
        0, description="random seed for weights, data order and dropout"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="device; auto: the GPU if available")
    threads: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="CPU threads of torch; auto: one for small models"
    )
    dtype: Literal["float32", "float64", "bfloat16"] = Field("float32", description="dtype of the weights")
    precision: Literal["float32", "bf16", "fp16"] = Field(
        "float32",
        description="precision of matrix products: bf16: bfloat16 (autocast); fp16: float16 on a GPU, with "
        "loss scaling",
    )
    checkpoint_every: Annotated[int, Field(ge=0)] = Field(
        0, description="also save a checkpoint every this many steps; 0: only after each epoch"
    )
    checkpoint_time: Seconds = Field(
        300.0, description="also save a checkpoint after this time: seconds, or 30s, 5m; 0: only after each epoch"
    )
    overfit_batches: Annotated[int, Field(ge=0)] = Field(
        0, description="overfit this many batches, to check that the model can learn; 0: off"
    )
    best_by: str = Field("loss", description="metric that selects the epoch to keep")
    control: bool = Field(False, description="also train the same recipe without memory (feedforward), for comparison")
    compare: list[Annotated[str, OneOf(names.compared_cells)]] = Field(
        [], description="also train the same recipe with these cells, one after the other"
    )
    log: LoggerName | list[LoggerName] = Field(
        [], description="also write results for other tools: tensorboard, or a list; each has a folder in the run's"
    )
    on_nan: Literal["stop", "skip"] = Field("stop", description="on a NaN or infinite loss: stop, or skip the step")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        own = {"lr": "train.lr", "weight_decay": "train.weight_decay"}
        yield from named_clashes("optimizer", self.optimizer, names.OPTIMIZERS, own)
        yield from named_clashes("schedule", self.schedule, names.SCHEDULES, {}, extra=("none",))
        schedule, arguments = name_and_arguments(self.schedule)
        for needed in names.SCHEDULE_NEEDS.get(str(schedule), ()):
            if needed not in arguments:
                yield Clash(
                    ("schedule",),
                    tr("{name} needs {key}", name=schedule, key=needed),
                    tr("schedule: {{name: {name}, {key}: ...}}", name=schedule, key=needed),
                )
        optimizer, _ = name_and_arguments(self.optimizer)
        if self.weight_decay not in ("auto", 0) and optimizer in names.NO_WEIGHT_DECAY:
            yield Clash(("weight_decay", "optimizer"), tr("{name} has no weight decay", name=optimizer))
        if self.precision != "float32" and self.dtype != "float32":
            what = tr("{name} requires float32 weights", name=self.precision)
            yield Clash(("precision", "dtype"), what, tr("dtype: float32"))

    def compared(self) -> list[str]:
        """The cells trained in addition to the recipe's own: those of `compare`, and feedforward for `control`."""
        return list(dict.fromkeys([*self.compare, *([names.CONTROL] if self.control else [])]))

    def loggers(self) -> list[str]:
        """The names in `log`, each once."""
        return list(dict.fromkeys([self.log] if isinstance(self.log, str) else self.log))

    def optimizer_call(self) -> tuple[str, dict[str, object]]:
        """The torch.optim class and its arguments, except the parameters."""
        name, arguments = name_and_arguments(self.optimizer)
        if self.weight_decay != "auto" and name not in names.NO_WEIGHT_DECAY:
            arguments["weight_decay"] = self.weight_decay
        return names.OPTIMIZERS[str(name)][0], {"lr": self.lr, **arguments}

    def schedule_call(self) -> tuple[str, dict[str, object]] | None:
        """The torch.optim.lr_scheduler class and its arguments; None without a schedule."""
        name, arguments = name_and_arguments(self.schedule)
        return None if name == "none" else (names.SCHEDULES[str(name)][0], arguments)


def _this_format(value: int) -> int:
    if value not in (1, FORMAT):
        raise PydanticCustomError("format", "{text}", {"text": tr("this rnncli reads format {n}", n=FORMAT)})
    return value


class RecipeConfig(Section):
    """A whole recipe. A task narrows data, model and train to its own sections."""

    format: Annotated[int, AfterValidator(_this_format), WithJsonSchema({"enum": [1, FORMAT]})] = Field(
        FORMAT, description="recipe format version; currently 2"
    )
    task: str = Field(description="name of the task")
    data: Section = Field(description="the data and how it is read")
    model: CoreSection = Field(description="the network")
    train: TrainSection = Field(description="training settings")

    def idle(self) -> Iterator[tuple[str, str]]:
        """For all sections, by dotted keys; a task adds keys of one section that another disables."""
        for name in ("data", "model", "train"):
            section: Section = getattr(self, name)
            yield from ((f"{name}.{key}", why) for key, why in section.idle())
