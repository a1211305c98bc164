"""`--match-params N`: finds, for each trial, the hidden size whose number of parameters is closest to N.

Every candidate size is built on torch's meta device, which allocates no memory, and its parameters are counted. The
count grows with the size, so bisection works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rnncli.errors import UsageError
from rnncli.locale import tr, trn
from rnncli.recipe import RecipeConfig
from rnncli.recipe.show import plain
from rnncli.sweeps.plan import Plan, described
from rnncli.tasks import AnyTask, FittedState

LARGEST = 1 << 20  # largest hidden size to try


@dataclass(frozen=True)
class Match:
    """The size chosen for a trial, and its number of parameters."""

    hidden_size: int
    parameters: int

    @property
    def settings(self) -> dict[str, str]:
        return {"model.hidden_size": str(self.hidden_size)}


class Matcher:
    """Matches one trial after the other; the data is read once per distinct data configuration."""

    def __init__(self, plan: Plan) -> None:
        assert plan.match_params is not None
        self.plan, self.target = plan, plan.match_params
        self._fitted: dict[str, FittedState] = {}

    def match(self, settings: Mapping[str, str]) -> Match:
        """The hidden size for these settings. Raises UsageError: even one unit has too many parameters, or the recipe
        fixes the size; DataError: the data cannot be read."""
        recipe = self.plan.load(settings)
        fitted = self._read(recipe.task, recipe.config)

        def parameters(hidden_size: int) -> int:
            return count(recipe.task, recipe.config, fitted, hidden_size)

        found = nearest(parameters, self.target, 1 + recipe.config.model.proj_size)
        if found is None:
            raise UsageError(
                trn(
                    "{trial}: the smallest model has {n} parameter",
                    "{trial}: the smallest model has {n} parameters",
                    trial=described(settings),
                    n=parameters(1),
                ),
                where=f"--match-params {self.target}",
                todo=tr("use a larger target"),
            )
        match = Match(*found)
        self.plan.load({**settings, **match.settings})  # report conflicts of the size with other keys now
        return match

    def _read(self, task: AnyTask, config: RecipeConfig) -> FittedState:
        key = repr(plain(config)["data"])
        if key not in self._fitted:
            self._fitted[key] = task.read(config).fitted
        return self._fitted[key]


def count(task: AnyTask, config: RecipeConfig, fitted: FittedState, hidden_size: int) -> int:
    """The parameters of the recipe's model with that hidden size."""
    import torch

    model = config.model.model_copy(update={"hidden_size": hidden_size})
    with torch.device("meta"):
        built = task.build(config.model_copy(update={"model": model}), fitted)
    return sum(parameter.numel() for parameter in built.parameters())


def nearest(parameters: Callable[[int], int], target: int, smallest: int = 1) -> tuple[int, int] | None:
    """(size, count) with the count closest to the target, preferring the smaller size on ties; None if the smallest
    size exceeds the target. parameters: size -> count, increasing."""
    if parameters(smallest) > target:
        return None
    low, high = smallest, 2 * smallest
    while high < LARGEST and parameters(high) < target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle) <= target else (low, middle)
    return min(((size, parameters(size)) for size in (low, high)), key=lambda found: abs(found[1] - target))
