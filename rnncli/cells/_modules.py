"""Modules as cores: which cell a module is, and its weights."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from rnncli.cells._base import CELLS, CoreSpec, parameter_name
from rnncli.cells._weights import Weights


def spec_of(module: nn.Module) -> CoreSpec | None:
    """The spec of `module` if it is an nn.RNN/LSTM/GRU, one of their *Cell forms, or ours; None otherwise."""
    if isinstance(module, nn.RNNBase):
        kind, _, nonlinearity = module.mode.partition("_")  # LSTM, GRU, RNN_TANH, RNN_RELU
        sizes = module.input_size, module.hidden_size, module.num_layers
        nonlinearity = nonlinearity.lower() or "tanh"
        return _spec(kind, nonlinearity, *sizes, module.bidirectional, module.proj_size, module.bias)
    if isinstance(module, nn.RNNCellBase):
        kind = next(base.__name__ for base in type(module).__mro__ if base.__module__ == nn.RNNCell.__module__)
        nonlinearity = module.nonlinearity if isinstance(module, nn.RNNCell) else "tanh"
        kind = kind.removesuffix("Cell")
        return _spec(kind, nonlinearity, module.input_size, module.hidden_size, 1, False, 0, module.bias)
    spec = getattr(module, "spec", None)
    return spec if isinstance(spec, CoreSpec) else None


def cores_of(model: nn.Module) -> dict[str, CoreSpec]:
    """Path in the model -> spec of every recurrent core."""
    found = {path: spec_of(module) for path, module in model.named_modules()}
    return {path: spec for path, spec in found.items() if spec is not None}


@lru_cache
def _spec(kind: str, *rest: Any) -> CoreSpec:
    """kind: the class of torch.nn. rest: of the spec. Cached, because every batch needs it."""
    cell = next(name for name in CELLS.files if CELLS[name].torch_class == kind)
    return CoreSpec(cell, *rest)


def weights_of(module: nn.Module, layer: int = 0, direction: int = 0) -> Weights:
    """The weights of one layer and direction of a core; the tensors are the module's own, not copies."""
    spec = spec_of(module)
    assert spec is not None, f"{type(module).__name__} is not a recurrent core"
    return Weights(
        {name: parameter_of(module, name, layer, direction) for name in _names(spec)},
        spec.nonlinearity,
        spec.all_options,
    )


def torch_module(spec: CoreSpec, dropout: float = 0.0) -> nn.RNN | nn.LSTM | nn.GRU | None:
    """torch's module for a core, with fresh weights; None if torch has none."""
    kind = spec.torch_class
    if kind is None:
        return None
    options: dict[str, Any] = {"nonlinearity": spec.nonlinearity} if kind is nn.RNN else {}
    if spec.proj_size:
        options["proj_size"] = spec.proj_size
    sizes = spec.input_size, spec.hidden_size, spec.num_layers
    return kind(*sizes, bias=spec.bias, dropout=dropout, bidirectional=spec.bidirectional, **options)


@lru_cache
def _names(spec: CoreSpec) -> tuple[str, ...]:
    """Names of the parameters, the same in every layer. Cached, because every batch needs them."""
    return tuple(spec.parameter_shapes(0))


def parameter_of(module: nn.Module, name: str, layer: int, direction: int) -> Tensor:
    """One weight of a core, as currently used; a torch *Cell has one layer and no layer number in its names."""
    own = name if isinstance(module, nn.RNNCellBase) else parameter_name(name, layer, direction)
    found: Tensor = getattr(module, own)  # a parametrized weight is not in _parameters
    return found


def recurrent_matrices(spec: CoreSpec, w: Weights) -> dict[str, Tensor]:
    """Gate ("" for a cell without gates) -> the matrix applied to h_(t-1), (H, H or P): diagonal for a vector,
    block-diagonal for several heads. For a cell with recurrent weights."""
    weight = w.weight_hh
    assert weight is not None
    if weight.dim() == 1:
        return dict(zip(spec.rows, map(torch.diag, weight.chunk(spec.num_gates)), strict=True))
    size, blocks = spec.state_size // weight.shape[1], weight.chunk(spec.num_gates)
    if size == 1:
        return dict(zip(spec.rows, blocks, strict=True))
    return {gate: torch.block_diag(*block.chunk(size)) for gate, block in zip(spec.rows, blocks, strict=True)}


@contextmanager
def quiet_projections(spec: CoreSpec) -> Iterator[None]:
    """torch warns, once per process, that oneDNN has no LSTM with projections; users cannot do anything about it."""
    if not spec.proj_size:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LSTM with projections is not supported")
        yield
