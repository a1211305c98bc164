"""Weight drop: DropConnect on the recurrent weights. Merity, Keskar, Socher 2017 (arXiv:1708.02182), section 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn import functional as F

from rnncli.cells import parameter_name, spec_of


@contextmanager
def dropped(core: nn.Module, p: float) -> Iterator[None]:
    """A context in which a share p of W_hh in every layer and direction is 0, the same elements at every step, and the
    others are scaled by 1 / (1 - p). All engines see this: each reads a core's weights by name, and torch's module
    reads its list of weights. Gradients reach the full weights, which are restored afterwards."""
    spec = spec_of(core)
    assert spec is not None
    has_any = p and "weight_hh" in spec.parameter_shapes(0)
    names = [parameter_name("weight_hh", *place) for place in spec.places] if has_any else []
    whole = {name: core.get_parameter(name) for name in names}
    try:
        for name, weight in whole.items():
            _put(core, name, F.dropout(weight, p))
        yield
    finally:
        for name, weight in whole.items():
            _put(core, name, weight)


def _put(core: nn.Module, name: str, weight: Tensor) -> None:
    """Replaces a parameter: in the module, keeping the order, and, for torch's module, in the list passed to its
    kernels."""
    core._parameters[name] = weight  # type: ignore[assignment]
    if isinstance(core, nn.RNNBase):
        core._flat_weights[core._flat_weights_names.index(name)] = weight
