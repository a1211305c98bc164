"""rnncli: look inside recurrent networks from the shell, and from Python.

The public names are imported when they are first used, so that `rnncli --help` never waits for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnncli.version import __version__ as __version__

if TYPE_CHECKING:
    from rnncli.replay import Trace as Trace
    from rnncli.replay import trace as trace
    from rnncli.runs.open import open_run as open_run
    from rnncli.runs.train import train as train
    from rnncli.tasks import load_recipe as load_recipe

_HOMES = {
    "Trace": "rnncli.replay",
    "trace": "rnncli.replay",
    "load_recipe": "rnncli.tasks",
    "open_run": "rnncli.runs.open",
    "train": "rnncli.runs.train",
}

__all__ = ["Trace", "__version__", "load_recipe", "open_run", "trace", "train"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rnncli' has no attribute {name!r}")
