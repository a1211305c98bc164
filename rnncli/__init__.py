"""rnncli: look inside recurrent networks from the shell, and from Python.

The public names are imported when they are first used, so that `rnncli --help` never waits for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnncli.version import __version__ as __version__

if TYPE_CHECKING:
    from rnncli.api.answers import evaluate as evaluate
    from rnncli.api.answers import export as export
    from rnncli.api.answers import predict as predict
    from rnncli.api.by_hand import demo as demo
    from rnncli.api.looking import inspect as inspect
    from rnncli.api.looking import report as report
    from rnncli.api.training import sweep as sweep
    from rnncli.api.training import train as train
    from rnncli.errors import RnncliError as RnncliError
    from rnncli.notebook import PageView as PageView
    from rnncli.notebook import TableView as TableView
    from rnncli.replay import Trace as Trace
    from rnncli.replay import trace as trace
    from rnncli.runs.evaluation import Evaluation as Evaluation
    from rnncli.runs.export import Exported as Exported
    from rnncli.runs.open import Run as Run
    from rnncli.runs.open import open_run as open_run
    from rnncli.runs.train import StoppedBySignal as StoppedBySignal
    from rnncli.sweeps.runner import Sweep as Sweep
    from rnncli.tasks import Prediction as Prediction
    from rnncli.tasks import Recipe as Recipe
    from rnncli.tasks import load_recipe as load_recipe
    from rnncli.training.epoch import Epoch as Epoch

_HOMES = {
    **dict.fromkeys(("evaluate", "export", "predict"), "rnncli.api.answers"),
    "demo": "rnncli.api.by_hand",
    **dict.fromkeys(("inspect", "report"), "rnncli.api.looking"),
    **dict.fromkeys(("sweep", "train"), "rnncli.api.training"),
    "RnncliError": "rnncli.errors",
    **dict.fromkeys(("PageView", "TableView"), "rnncli.notebook"),
    **dict.fromkeys(("Trace", "trace"), "rnncli.replay"),
    "Evaluation": "rnncli.runs.evaluation",
    "Exported": "rnncli.runs.export",
    **dict.fromkeys(("Run", "open_run"), "rnncli.runs.open"),
    "StoppedBySignal": "rnncli.runs.train",
    "Sweep": "rnncli.sweeps.runner",
    **dict.fromkeys(("Prediction", "Recipe", "load_recipe"), "rnncli.tasks"),
    "Epoch": "rnncli.training.epoch",
}
__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rnncli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
