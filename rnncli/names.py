"""Names of cells, engines, optimizers and schedules. No torch here; tests/test_names.py compares every list with
torch."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import ModuleType
from typing import Protocol, TypeVar

from rnncli.errors import RnncliError
from rnncli.locale import tr
from rnncli.registry import Registry

T = TypeVar("T")
OptionValue = bool | int | float | str | tuple[int, ...]


@dataclass(frozen=True)
class Option:
    """A cell-specific key of `model:`, such as heads or peephole.

    default: determines the option's type: boolean, integer, number in [0, 1), or one of `choices`, which are strings or
    lists of integers. about: one line, in English. least: minimum of an integer.
    """

    default: OptionValue
    about: str
    choices: tuple[OptionValue, ...] = ()
    least: int = 1

    def checked(self, value: object) -> OptionValue:
        """The value converted to the option's type. Raises ValueError."""
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = tuple(value)
        if self.choices:
            for choice in self.choices:
                if choice == value:
                    return choice
        elif isinstance(self.default, bool):
            if isinstance(value, bool):
                return value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if isinstance(self.default, float) and 0 <= value < 1:
                return float(value)
            if isinstance(self.default, int) and isinstance(value, int) and value >= self.least:
                return value
        raise ValueError(self.expected())

    def expected(self) -> str:
        """A description of valid values: `one of [0, 1], [-1, 1]`."""
        if self.choices:
            return tr("one of {names}", names=", ".join(map(option_text, self.choices)))
        if isinstance(self.default, bool):
            return tr("true or false")
        if isinstance(self.default, float):
            return tr("a number") + " >= 0" + tr(" and") + " < 1"
        return tr("an integer") + f" >= {self.least}"


def option_text(value: OptionValue) -> str:
    """A value as written in a recipe: `true`, `0.5`, `[-1, 1]`."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)


class CellFacts(Protocol):
    """The part of `rnncli.cells.Cell` that recipe validation needs, typed without importing torch."""

    @property
    def nonlinearities(self) -> tuple[str, ...]:
        """Nonlinearities that a recipe may choose; the first is the default."""

    @property
    def compared(self) -> tuple[str, ...]:
        """Nonlinearities that are variants of `train.compare`: rnn-tanh, rnn-relu."""

    @property
    def torch_class(self) -> str | None:
        """Name of its class in torch.nn, or None."""

    @property
    def stateful(self) -> bool:
        """Whether it has a state."""

    @property
    def recurrent_weight(self) -> bool:
        """Whether it has a weight_hh."""

    @property
    def projected(self) -> str:
        """Its equation with proj_size; "" if unsupported."""

    @property
    def options(self) -> Mapping[str, Option]:
        """Its own keys of `model:`."""

    @property
    def fits(self) -> Callable[[Mapping[str, OptionValue], int], Mapping[str, str]]:
        """(values of all options, H) -> error messages by option."""


CELLS: Registry[CellFacts] = Registry("rnncli.cells", attrgetter("CELL"))
CONTROL = "feedforward"  # the cell without memory that `train.control` compares with
NONLINEARITIES = ("tanh", "relu", "none")
ENGINES: Registry[ModuleType] = Registry("rnncli.nn.engines", lambda module: module)  # besides auto
LOGGERS: Registry[ModuleType] = Registry("rnncli.loggers", lambda module: module)
ENGINE_ALIASES = {"cell": "loop", "scan": "bptt"}  # names in 0.1
DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("float32", "float64", "bfloat16")

# Every optimizer of torch.optim that uses plain gradients in one pass -> class name and the types of its arguments
# besides lr and weight_decay. Not here: LBFGS (needs a closure), SparseAdam (sparse gradients only), Muon (2-D
# parameters only), and the arguments that choose between implementations of the same arithmetic (fused, foreach).
OPTIMIZERS: dict[str, tuple[str, dict[str, type]]] = {
    "adadelta": ("Adadelta", {"rho": float, "eps": float}),
    "adafactor": ("Adafactor", {"beta2_decay": float, "eps": list, "d": float}),
    "adagrad": ("Adagrad", {"lr_decay": float, "initial_accumulator_value": float, "eps": float}),
    "adam": ("Adam", {"betas": list, "eps": float, "amsgrad": bool, "decoupled_weight_decay": bool}),
    "adamax": ("Adamax", {"betas": list, "eps": float}),
    "adamw": ("AdamW", {"betas": list, "eps": float, "amsgrad": bool}),
    "asgd": ("ASGD", {"lambd": float, "alpha": float, "t0": float}),
    "nadam": ("NAdam", {"betas": list, "eps": float, "momentum_decay": float, "decoupled_weight_decay": bool}),
    "radam": ("RAdam", {"betas": list, "eps": float, "decoupled_weight_decay": bool}),
    "rmsprop": ("RMSprop", {"alpha": float, "eps": float, "momentum": float, "centered": bool}),
    "rprop": ("Rprop", {"etas": list, "step_sizes": list}),
    "sgd": ("SGD", {"momentum": float, "dampening": float, "nesterov": bool}),
}
NO_WEIGHT_DECAY = ("rprop",)

# torch.optim.lr_scheduler by the name used in recipes -> class name and the types of its arguments.
SCHEDULES: dict[str, tuple[str, dict[str, type]]] = {
    "constant": ("ConstantLR", {"factor": float, "total_iters": int}),
    "linear": ("LinearLR", {"start_factor": float, "end_factor": float, "total_iters": int}),
    "exponential": ("ExponentialLR", {"gamma": float}),
    "step": ("StepLR", {"step_size": int, "gamma": float}),
    "multistep": ("MultiStepLR", {"milestones": list, "gamma": float}),
    "cosine": ("CosineAnnealingLR", {"T_max": int, "eta_min": float}),
    "cosine-restarts": ("CosineAnnealingWarmRestarts", {"T_0": int, "T_mult": int, "eta_min": float}),
    "one-cycle": (
        "OneCycleLR",
        {"max_lr": float, "total_steps": int, "pct_start": float, "div_factor": float, "final_div_factor": float},
    ),
    "polynomial": ("PolynomialLR", {"total_iters": int, "power": float}),
    "plateau": ("ReduceLROnPlateau", {"factor": float, "patience": int, "threshold": float, "min_lr": float}),
}
SCHEDULES_BY_EPOCHS = ("cosine", "one-cycle", "polynomial")  # depend on the number of epochs

# Required arguments of schedules. (T_max of cosine, max_lr and total_steps of one-cycle follow from the run.)
SCHEDULE_NEEDS: dict[str, tuple[str, ...]] = {
    "exponential": ("gamma",),
    "step": ("step_size",),
    "multistep": ("milestones",),
    "cosine-restarts": ("T_0",),
}

# Keys known from torch that recipes do not have: dotted key -> what to use instead.
TORCH_HABITS: dict[str, str] = {
    "model.batch_first": "rnncli is always (T, B, feature) inside; files are read row by row",
    "model.input_size": "it is determined by the data",
    "model.mode": "use cell: rnn, gru or lstm, and nonlinearity: tanh or relu",
    "model.num_directions": "use bidirectional: true or false",
    "train.learning_rate": "torch's name is lr",
}


def engines() -> list[str]:
    """Values of `model.engine`."""
    return ["auto", *ENGINES]


def torch_cells() -> list[str]:
    """The cells with a torch module."""
    return [name for name in CELLS if CELLS[name].torch_class is not None]


def differing(recipes: Sequence[Mapping[str, T]], text: Callable[[T | str | None], str]) -> list[str]:
    """The dotted keys in which settings of recipes differ. A missing cell option (`model.peephole`) equals its default;
    a cell that cannot be loaded has no options."""
    defaults: dict[str, str] = {}
    for cell in dict.fromkeys(str(settings.get("model.cell")) for settings in recipes):
        with contextlib.suppress(KeyError, RnncliError):
            defaults |= {f"model.{key}": option_text(option.default) for key, option in CELLS[cell].options.items()}
    keys = dict.fromkeys(key for settings in recipes for key in settings)
    return [key for key in keys if len({text(one.get(key, defaults.get(key))) for one in recipes}) > 1]


def cells_with(option: str) -> list[str]:
    """The built-in cells with an option of that name."""
    return [name for name in CELLS.files if option in CELLS[name].options]


Variant = tuple[str, str, dict[str, OptionValue]]  # cell, nonlinearity ("" for the recipe's), options set


def compared_cells() -> dict[str, Variant]:
    """Values of `train.compare` and their meaning: each cell as in the recipe; with each nonlinearity that makes a
    variant (rnn-relu); with each value of an option with few choices (lstm peephole=true)."""
    found: dict[str, Variant] = {}
    for name, cell in CELLS.items():
        found[name] = (name, "", {})
        found |= {f"{name}-{one}": (name, one, {}) for one in cell.compared}
        for key, option in cell.options.items():
            values = (False, True) if isinstance(option.default, bool) else option.choices
            found |= {f"{name} {key}={option_text(value)}": (name, "", {key: value}) for value in values}
    return found


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known name most similar to `name`, or "" if none reaches the similarity `cutoff`, between 0 and 1."""
    found = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=cutoff)
    return found[0] if found else ""


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "", cutoff: float = 0.6) -> str:
    """A hint for an unknown name, with the nearest known one; `otherwise` if none is near."""
    near = nearest(name, known, cutoff)
    return tr("did you mean {name}?", name=near) if near else otherwise


def similar_file(path: str) -> str:
    """The path of the file in the same folder whose name is most like this one's, or "" if there is none like it."""
    folder, name = os.path.split(path)
    try:
        near = nearest(name, set(os.listdir(folder or os.curdir)) - {name}, cutoff=0.8)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return ""
    return os.path.join(folder, near) if near else ""
