"""Cells: one file each; the folder is the registry, together with the entry points `rnncli.cells` of installed
packages.

A cell file defines `CELL`, a `Cell`: its states, parameters, step, gates and equation. All commands then support it. It
imports torch only inside its functions, so that recipes are validated without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnncli.cells._base import CELLS as CELLS
from rnncli.cells._base import NONLINEARITIES as NONLINEARITIES
from rnncli.cells._base import REGULARIZERS as REGULARIZERS
from rnncli.cells._base import Cell as Cell
from rnncli.cells._base import CoreSpec as CoreSpec
from rnncli.cells._base import Gates as Gates
from rnncli.cells._base import Parallel as Parallel
from rnncli.cells._base import Range as Range
from rnncli.cells._base import Shape as Shape
from rnncli.cells._base import State as State
from rnncli.cells._base import Step as Step
from rnncli.cells._base import checked_options as checked_options
from rnncli.cells._base import gated as gated
from rnncli.cells._base import input_alone as input_alone
from rnncli.cells._base import keep_biases as keep_biases
from rnncli.cells._base import parameter_name as parameter_name
from rnncli.cells._base import positive as positive
from rnncli.cells._base import uniform as uniform
from rnncli.cells._script import core_call as core_call
from rnncli.cells._script import core_source as core_source
from rnncli.cells._weights import Weights as Weights
from rnncli.names import Option as Option
from rnncli.names import OptionValue as OptionValue

if TYPE_CHECKING:
    from rnncli.cells._modules import cores_of as cores_of
    from rnncli.cells._modules import parameter_of as parameter_of
    from rnncli.cells._modules import quiet_projections as quiet_projections
    from rnncli.cells._modules import recurrent_matrices as recurrent_matrices
    from rnncli.cells._modules import spec_of as spec_of
    from rnncli.cells._modules import torch_module as torch_module
    from rnncli.cells._modules import weights_of as weights_of

_NEED_TORCH = (
    "cores_of", "parameter_of", "quiet_projections", "recurrent_matrices", "spec_of", "torch_module", "weights_of",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _NEED_TORCH:
        from rnncli.cells import _modules

        return getattr(_modules, name)
    raise AttributeError(f"module 'rnncli.cells' has no attribute {name!r}")
