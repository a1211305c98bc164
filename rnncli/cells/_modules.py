"""torch's modules as cores: which cell a module is, and its weights."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from rnncli.cells._base import CELLS, CoreSpec, Weights, parameter_name


def spec_of(module: nn.Module) -> CoreSpec | None:
    """What kind of core `module` is: nn.RNN/LSTM/GRU, their *Cell forms, or ours; None where it is none of them."""
    spec = getattr(module, "spec", None)
    if isinstance(spec, CoreSpec):
        return spec
    if isinstance(module, nn.RNNBase):
        kind, _, nonlinearity = module.mode.partition("_")  # LSTM, GRU, RNN_TANH, RNN_RELU
        return CoreSpec(
            cell=_cell_of(kind),
            nonlinearity=nonlinearity.lower() or "tanh",
            input_size=module.input_size,
            hidden_size=module.hidden_size,
            num_layers=module.num_layers,
            bidirectional=module.bidirectional,
            proj_size=module.proj_size,
            bias=module.bias,
        )
    if isinstance(module, nn.RNNCellBase):
        kind = next(base.__name__ for base in type(module).__mro__ if base.__module__ == nn.RNNCell.__module__)
        nonlinearity = module.nonlinearity if isinstance(module, nn.RNNCell) else "tanh"
        return CoreSpec(
            _cell_of(kind.removesuffix("Cell")), nonlinearity, module.input_size, module.hidden_size, bias=module.bias
        )
    return None


def _cell_of(kind: str) -> str:
    """The cell that a class of torch.nn computes."""
    return next(name for name in CELLS.files if CELLS[name].torch_class == kind)


def weights_of(module: nn.Module, layer: int = 0, direction: int = 0) -> Weights:
    """The weights of one layer and direction of a core; the tensors are the module's own, not copies."""
    spec = spec_of(module)
    assert spec is not None, f"{type(module).__name__} is not a recurrent core"
    return Weights(
        {name: parameter_of(module, name, layer, direction) for name in spec.parameter_shapes(layer)},
        spec.nonlinearity,
    )


def parameter_of(module: nn.Module, name: str, layer: int, direction: int) -> Tensor:
    """One weight of a core, as it computes with it now; a *Cell of torch has one layer and no number in its names."""
    own = name if isinstance(module, nn.RNNCellBase) else parameter_name(name, layer, direction)
    found: Tensor = getattr(module, own)  # a parametrized weight is not in _parameters
    return found


@contextmanager
def quiet_projections(spec: CoreSpec) -> Iterator[None]:
    """torch warns, once per process, that oneDNN has no LSTM with projections; users cannot do anything about it."""
    if not spec.proj_size:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LSTM with projections is not supported")
        yield
