"""The sections of a recipe. A task file subclasses them: `class Data(Section)`, `class Model(CoreSection)`, `class
Train(TrainSection)`, `class Config(RecipeConfig)`; what it writes there is schema and documentation at once.
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

FORMAT = 2  # 1 is read, too: see formats.py


MOST = 2**31 - 1  # of a whole number in a recipe
LIMITS = {"num_layers": 1000, "threads": 1024}  # far above what anybody trains, and what the system can carry
ESTIMATED = ("hidden_size", "embedding_size", "frame_size", "proj_size")  # what is too large fails by its memory


class Section(BaseModel):
    """A mapping with known keys. Every field carries a description."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _countable(cls, value: object, info: ValidationInfo) -> object:
        """No whole number is larger than a count can be. Seeds are no counts; a model's sizes have an estimate of the
        memory that they take."""
        numbers = value if isinstance(value, list) else [value]
        most = 2**63 - 1 if info.field_name in ("seed", *ESTIMATED) else LIMITS.get(info.field_name or "", MOST)
        if any(type(number) is int and abs(number) > most for number in numbers):
            raise ValueError(tr("a whole number up to {n} is expected", n=f"{most:,}"))
        return value

    def clashes(self) -> Iterator[Clash]:
        """What is wrong between fields; a subclass begins with `yield from super().clashes()`."""
        yield from ()

    @classmethod
    def may_be_null(cls, key: str) -> bool:
        """Whether null at a key is the key left out: where a section is wanted that has a default."""
        field = cls.model_fields.get(key)
        kind = None if field is None or field.is_required() else field.annotation
        return isinstance(kind, type) and issubclass(kind, Section)

    def idle(self) -> Iterator[tuple[str, str]]:
        """(key, the setting with which it has no effect) for the keys that these values make idle."""
        yield from ()

    @model_validator(mode="after")
    def _no_clash(self) -> Section:
        found = list(self.clashes())
        if found:
            raise PydanticCustomError("clash", "{text}", {"text": "; ".join(c.what for c in found), "clashes": found})
        return self


DURATION = r"([0-9]+\.?[0-9]*|\.[0-9]+)(s|m|h)"


def _duration(value: object) -> object:
    """`90`, `90s`, `1.5m`, `2h` -> seconds; anything else is left for the type to refuse."""
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
    """`data.split:`, how one path becomes parts."""

    validation: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="the share that epochs are judged by")
    test: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="the share kept for the last word")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.validation + self.test >= 1:
            yield Clash(("validation", "test"), tr("validation and test leave nothing to train on"))

    def fractions(self) -> dict[str, float]:
        """Part -> share, the parts that are wanted."""
        return {name: share for name in ("validation", "test") if (share := getattr(self, name)) > 0}


class DataSection(Section):
    """`data:`, what every task has: one `path`, split here, or separate files."""

    SOURCES: ClassVar[tuple[str, ...]] = ("path", "train")  # keys that say where the data is; a task may have more

    path: DataPath | list[DataPath] | None = Field(None, description="a file or folder, a list, or builtin:NAME")
    train: DataPath | None = Field(None, description="instead of path: a file of its own for training")
    validation: DataPath | None = Field(None, description="with train: the file epochs are judged by")
    test: DataPath | None = Field(None, description="with train: the file kept for the last word")
    split: SplitSection = Field(SplitSection(), description="with path: the parts, as shares")
    on_bad: Literal["stop", "skip"] = Field("stop", description="when a record cannot be used: stop, or skip and count")

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from super().idle()
        if self.train is not None:
            yield "split", tr("separate files")

    def has_source(self) -> bool:
        """Whether the recipe says where the data is."""
        return any(getattr(self, key) is not None for key in self.SOURCES)

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if not self.has_source():
            yield Clash(self.SOURCES, tr("no data is named"), tr("data.path: FILE, or --data FILE"))
        if self.path is not None and self.train is not None:
            yield Clash(
                ("train", "path"),
                tr("path and train are both given"),
                tr("path is split here; train is a file of its own"),
            )
        for name in ("validation", "test"):
            if getattr(self, name) is not None and self.train is None:
                yield Clash((name,), tr("{name} needs train beside it", name=name), tr("data.train: FILE"))


class CoreSection(Section):
    """`model:`, its recurrent part."""

    cell: CellName = Field("rnn", description="the recurrent cell; feedforward is the rnn cell without memory")
    engine: Annotated[str, OneOf(names.engines, names.ENGINE_ALIASES, ("scan",))] = Field(
        "auto",
        description="how the steps are computed: loop is a Python loop, torch its own kernels, bptt a loop over the "
        "steps with backpropagation through time written out, compiled the same in machine code (extra fast), "
        "parallel a prefix scan over time, for cells whose state is linear in itself",
    )
    nonlinearity: Literal["tanh", "relu", "none"] = Field("tanh", description="of the rnn and feedforward cells")
    hidden_size: Annotated[int, Field(ge=1)] = Field(description="H, the length of the hidden state h")
    num_layers: Annotated[int, Field(ge=1)] = Field(1, description="L, stacked layers; not the sequence length")
    bidirectional: bool = Field(False, description="a second set of cells reads from the end to the start")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="between layers, so it needs num_layers > 1")
    proj_size: Annotated[int, Field(ge=0)] = Field(0, description="lstm only: h is projected to this length; 0 is off")
    bias: bool = Field(True, description="whether the cells have bias vectors")

    def cell_options(self) -> dict[str, names.OptionValue]:
        """Every option of the cell, by its name. A section that was made for another cell, as train.compare makes
        them, has the values that this one takes too, and else its defaults."""
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
                tr("{cell} has its own nonlinearities", cell=self.cell),
                tr("leave it out, or write cell: rnn"),
            )
        if self.dropout > 0 and self.num_layers == 1:
            yield Clash(
                ("dropout", "num_layers"),
                tr("dropout works between layers and there is one layer"),
                tr("num_layers: 2 or more, or dropout: 0.0"),
            )
        if self.proj_size and not cell.projected:
            yield Clash(("proj_size", "cell"), tr("only lstm has a projection"), tr("proj_size: 0, or cell: lstm"))
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
    """`train:`, what every task has."""

    epochs: Annotated[int, Field(ge=1)] = Field(10, description="passes over the training part")
    max_steps: Annotated[int, Field(ge=0)] = Field(0, description="stop after this many updates; 0: no limit")
    max_time: Seconds = Field(0.0, description="stop after this long: seconds, or 30s, 5m, 1h; 0: no limit")
    batch_size: Annotated[int, Field(ge=1)] = Field(32, description="B, sequences in one batch")
    optimizer: Annotated[
        str | Named,
        named_schema(names.OPTIMIZERS),
        Expected("the name of an optimizer, or {name: ..., its arguments}"),
    ] = Field("adam", description="of torch.optim: a name, or {name: sgd, momentum: 0.9}")
    lr: Annotated[float, Field(gt=0)] = Field(0.001, description="learning rate")
    weight_decay: Literal["auto"] | Annotated[float, Field(ge=0)] = Field(
        "auto", description="auto is the optimizer's own in torch: 0.01 for adamw, else 0"
    )
    schedule: Annotated[
        str | Named,
        named_schema(names.SCHEDULES, ("none",)),
        Expected("none, the name of a schedule, or {name: ..., its arguments}"),
    ] = Field("none", description="of torch.optim.lr_scheduler: none, a name, or {name: step, step_size: 10}")
    accumulate_grad_batches: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="batches added to one update")
    clip_grad_norm: Annotated[float, Field(ge=0)] = Field(0.0, description="largest norm of all gradients; 0 is off")
    early_stopping: Annotated[int, Field(ge=0)] = Field(0, description="epochs without improvement; 0 is never")
    seed: Annotated[int, Field(ge=0, lt=2**63), Expected("a whole number from 0 to 2**63 - 1")] = Field(
        0, description="of weights, order of the data and dropout"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto takes the GPU where one is")
    threads: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto", description="of torch's CPU kernels; auto gives small models one"
    )
    dtype: Literal["float32", "float64", "bfloat16"] = Field("float32", description="of the weights")
    precision: Literal["float32", "bf16", "fp16"] = Field(
        "float32",
        description="of products: bf16 in bfloat16 (autocast); fp16 in float16 on a GPU, the loss scaled up meanwhile",
    )
    checkpoint_every: Annotated[int, Field(ge=0)] = Field(
        0, description="also save the state every so many updates; 0 is at the end of each epoch only"
    )
    checkpoint_time: Seconds = Field(
        300.0, description="also save the state after this long: seconds, or 30s, 5m; 0 is at the end of epochs only"
    )
    overfit_batches: Annotated[int, Field(ge=0)] = Field(
        0, description="train on these first batches over and over, to see that it can learn; 0 is off"
    )
    best_by: str = Field("loss", description="the metric that decides which epoch is kept")
    control: bool = Field(False, description="also train the same recipe without memory (feedforward), to compare")
    compare: list[Annotated[str, OneOf(names.compared_cells)]] = Field(
        [], description="also train the same recipe with these cells, one after the other"
    )
    log: LoggerName | list[LoggerName] = Field(
        [], description="also write results for other tools: tensorboard, or a list; each has a folder in the run's"
    )
    on_nan: Literal["stop", "skip"] = Field("stop", description="on a NaN or infinite loss: stop, or skip the update")

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
            what = tr("{name} computes on float32 weights", name=self.precision)
            yield Clash(("precision", "dtype"), what, tr("dtype: float32"))

    def compared(self) -> list[str]:
        """The cells that are trained beside the recipe's own: those of `compare`, and feedforward for `control`."""
        return list(dict.fromkeys([*self.compare, *([names.CONTROL] if self.control else [])]))

    def loggers(self) -> list[str]:
        """The names in `log`, each once."""
        return list(dict.fromkeys([self.log] if isinstance(self.log, str) else self.log))

    def optimizer_call(self) -> tuple[str, dict[str, object]]:
        """The class of torch.optim, and every argument for it but the parameters."""
        name, arguments = name_and_arguments(self.optimizer)
        if self.weight_decay != "auto" and name not in names.NO_WEIGHT_DECAY:
            arguments["weight_decay"] = self.weight_decay
        return names.OPTIMIZERS[str(name)][0], {"lr": self.lr, **arguments}

    def schedule_call(self) -> tuple[str, dict[str, object]] | None:
        """The class of torch.optim.lr_scheduler and its arguments as given; None without a schedule."""
        name, arguments = name_and_arguments(self.schedule)
        return None if name == "none" else (names.SCHEDULES[str(name)][0], arguments)


def _this_format(value: int) -> int:
    if value not in (1, FORMAT):
        raise PydanticCustomError("format", "{text}", {"text": tr("this rnncli reads format {n}", n=FORMAT)})
    return value


class RecipeConfig(Section):
    """A whole recipe. A task narrows data, model and train to its own sections."""

    format: Annotated[int, AfterValidator(_this_format), WithJsonSchema({"enum": [1, FORMAT]})] = Field(
        FORMAT, description="of the recipe's keys; now 2"
    )
    task: str = Field(description="what is learned: the name of a task")
    data: Section = Field(description="where the data lies and how it is read")
    model: CoreSection = Field(description="the network")
    train: TrainSection = Field(description="how it is trained")

    def idle(self) -> Iterator[tuple[str, str]]:
        """Of all sections, by dotted keys; a task adds what one section makes idle in another."""
        for name in ("data", "model", "train"):
            section: Section = getattr(self, name)
            yield from ((f"{name}.{key}", why) for key, why in section.idle())
