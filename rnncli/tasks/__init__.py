"""Tasks: one file each, and the folder is the registry (with the entry points `rnncli.tasks` of other packages); a
recipe's `task:` is the file's name. What a task is: base.py. Tasks never import each other.

Names are imported when they are first used: to list the tasks takes no recipe and no task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.registry import on_first_use

if TYPE_CHECKING:
    from rnncli.tasks.base import SCRIPTS as SCRIPTS
    from rnncli.tasks.base import AnySplits as AnySplits
    from rnncli.tasks.base import AnyTask as AnyTask
    from rnncli.tasks.base import Baseline as Baseline
    from rnncli.tasks.base import FittedState as FittedState
    from rnncli.tasks.base import Loss as Loss
    from rnncli.tasks.base import Metrics as Metrics
    from rnncli.tasks.base import Names as Names
    from rnncli.tasks.base import Prediction as Prediction
    from rnncli.tasks.base import PredictOptions as PredictOptions
    from rnncli.tasks.base import Script as Script
    from rnncli.tasks.base import Splits as Splits
    from rnncli.tasks.base import Task as Task
    from rnncli.tasks.recipes import Recipe as Recipe
    from rnncli.tasks.recipes import load_recipe as load_recipe
    from rnncli.tasks.registry import config_class as config_class
    from rnncli.tasks.registry import load_task as load_task
    from rnncli.tasks.registry import task_names as task_names

_BASE = (
    "SCRIPTS", "AnySplits", "AnyTask", "Baseline", "FittedState", "Loss", "Metrics", "Names", "Prediction",
    "PredictOptions", "Script", "Splits", "Task",
)  # fmt: skip
_HOMES = {
    **dict.fromkeys(_BASE, "base"),
    **dict.fromkeys(("Recipe", "load_recipe"), "recipes"),
    **dict.fromkeys(("config_class", "load_task", "task_names"), "registry"),
}
__getattr__ = on_first_use(__name__, _HOMES)
