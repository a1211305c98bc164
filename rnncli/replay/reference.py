"""The reference for a replay: torch's own module with the same weights, or a closed form if torch has none.

Copies are plain: the weights that a module currently computes with, regardless of hooks, parametrizations or masks,
become parameters of a fresh module, so that float64 and single layers run with the same code, and the model is
not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnncli.cells import (
    CELLS,
    NONLINEARITIES,
    CoreSpec,
    State,
    parameter_name,
    quiet_projections,
    spec_of,
    torch_module,
    weights_of,
)
from rnncli.locale import tr
from rnncli.replay.loop import run_core
from rnncli.replay.scan import scan

# module, spec, x (T, B, I), initial states, lengths -> output, last states
Run = Callable[[nn.Module, CoreSpec, Tensor, State, Tensor | None], tuple[Tensor, State]]


class Bare(nn.Module):
    """Weights under torch's names, and their spec: a core that torch has no module for."""

    def __init__(self, spec: CoreSpec, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.spec = spec
        for name, tensor in tensors.items():
            self.register_parameter(name, nn.Parameter(tensor))


def name_of_reference(module: nn.Module, spec: CoreSpec) -> str:
    """`nn.LSTM`, the closed form, or the loop without recording."""
    if isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        return f"nn.{_torch_type(module).__name__}"
    if has_closed_form(spec) and CELLS[spec.cell].parallel is not None:
        return tr("the prefix scan")
    return tr("the closed form") if has_closed_form(spec) else tr("the loop without recording")


def _torch_type(module: nn.Module) -> type[nn.Module]:
    """nn.LSTM for a subclass of it; parametrizations create one."""
    return next(kind for kind in type(module).__mro__ if kind.__module__ == "torch.nn.modules.rnn")


def has_closed_form(spec: CoreSpec) -> bool:
    """Whether `closed_form` supports such a core."""
    cell = CELLS[spec.cell]
    return not any(spec.zoneout) and (spec.nonlinearity in cell.closed_form or cell.parallel is not None)


def plain_copy(module: nn.Module, dtype: torch.dtype | None = None) -> nn.Module:
    """A core with the weights that `module` currently computes with, as its own parameters, on its device."""
    spec = spec_of(module)
    assert spec is not None
    if isinstance(module, nn.RNNCellBase):
        tensors = {name: _own(getattr(module, name), dtype) for name in spec.parameter_shapes(0)}
        more = {"nonlinearity": spec.nonlinearity} if isinstance(module, nn.RNNCell) else {}
        with torch.device("meta"):
            made: nn.Module = _torch_type(module)(spec.input_size, spec.hidden_size, bias=spec.bias, **more)
        made.load_state_dict(tensors, assign=True)
        return made
    return _filled(spec, {name: _own(getattr(module, name), dtype) for name in spec.all_shapes()})


def exact_copy(module: nn.Module) -> nn.Module:
    """The same in float64; on the CPU if the device does not support float64."""
    return plain_copy(module, torch.float64)


def one_layer(module: nn.Module, layer: int, direction: int) -> nn.Module:
    """One layer in one direction of a core as a separate forward core, in the module's dtype."""
    spec, w = spec_of(module), weights_of(module, layer, direction)
    assert spec is not None
    alone = replace(spec, input_size=spec.layer_input_size(layer), num_layers=1, bidirectional=False)
    return _filled(alone, {parameter_name(name, 0, 0): _own(tensor) for name, tensor in w.items()})


def _own(tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    exact_on_mps = dtype == torch.float64 and tensor.device.type == "mps"  # which has no float64
    return tensor.detach().to("cpu" if exact_on_mps else None, dtype, copy=True)


def _filled(spec: CoreSpec, tensors: Mapping[str, Tensor]) -> nn.Module:
    with torch.device("meta"), quiet_projections(spec):
        made = torch_module(spec)
    if made is None:
        return Bare(spec, tensors)
    made.load_state_dict(dict(tensors), assign=True)
    return made


@torch.no_grad()
def perturb_(tensor: Tensor, size: float, generator: torch.Generator) -> None:
    """Perturb every value by a relative `size`, up or down."""
    signs = torch.randint(0, 2, tensor.shape, generator=generator) * 2 - 1
    tensor.mul_(1 + size * signs.to(tensor))


def run_reference(
    module: nn.Module, spec: CoreSpec, x: Tensor, state: State, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """The same function, computed independently of the loop: by torch's own module, or a closed form. A cell with
    neither is compared with the loop without recording; its equations are verified by its tests.

    x: (T, B, I). The module's forward is called without its hooks, which have already run: x is their result.
    Returns output (T, B, D·H) and the last states.
    """
    if isinstance(module, nn.RNNCellBase):
        hx = tuple(tensor[0] for tensor in state)
        out = module.forward(x[0], hx if len(hx) > 1 else hx[0])
        last: State = tuple(out) if isinstance(out, tuple) else (out,)
        return last[0].unsqueeze(0), tuple(t.unsqueeze(0) for t in last)
    if not isinstance(module, nn.RNNBase):
        if has_closed_form(spec):
            return closed_form(module, spec, x, state, lengths)
        return run_core(module, x, state, lengths)
    with time_first(module):
        return run_module(module.forward, spec, x, state, lengths)


@contextmanager
def time_first(module: nn.Module, batch_first: bool = False) -> Iterator[None]:
    """torch's module reading (T, B, I) even if it has batch_first=True, or the other way round."""
    before = getattr(module, "batch_first", batch_first)
    if before == batch_first:
        yield
        return
    module.batch_first = batch_first  # type: ignore[assignment]
    try:
        yield
    finally:
        module.batch_first = before  # type: ignore[assignment]


def run_module(
    forward: Callable[..., tuple[Any, Any]], spec: CoreSpec, x: Tensor, state: State | None, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """A core's own forward on padded data, (T, B, I), with states as in `run_core`."""
    hx = None if state is None else state if len(state) > 1 else state[0]
    with quiet_projections(spec):
        if lengths is None:
            output, last = forward(x, hx)
        else:
            output, last = forward(pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False), hx)
            output, _ = pad_packed_sequence(output, total_length=x.shape[0])
    return output, (tuple(last) if isinstance(last, (tuple, list)) else (last,))


def closed_form(
    module: nn.Module, spec: CoreSpec, x: Tensor, state: State, lengths: Tensor | None
) -> tuple[Tensor, State]:
    """Cores that torch has no module for, computed without a loop over steps: all steps at once.

    feedforward: tanh(W_ih x + b) on all T·B rows together. rnn without nonlinearity: h_t = W^t h_0 + sum_k W^(t-k) a_k,
    a_k = W_ih x_k + b, by powers of W = W_hh. A cell with a parallel form: a prefix scan over time. x: (T, B, I);
    returns output (T, B, D·H) and h (L·D, B, H).
    """
    T, B = x.shape[:2]
    lengths = torch.full((B,), T) if lengths is None else lengths.cpu()
    inside = (torch.arange(T).unsqueeze(1) < lengths.unsqueeze(0)).unsqueeze(2).to(x.device)  # (T, B, 1)
    last: list[Tensor] = []
    for layer in range(spec.num_layers):
        outputs: list[Tensor] = []
        for direction in range(spec.num_directions):
            w = weights_of(module, layer, direction)
            h0 = state[0][layer * spec.num_directions + direction]  # (B, H)
            a = F.linear(x, w.weight_ih, w.bias_ih)
            a = a if w.bias_hh is None else a + w.bias_hh  # (T, B, G·H)
            parallel = CELLS[spec.cell].parallel
            if parallel is not None:
                h, end = _scanned(*parallel(a, w), h0, inside, direction)
                outputs.append(h)
                last.append(end)
                continue
            a = a * inside
            if w.weight_hh is None:
                h = NONLINEARITIES[spec.nonlinearity](a) * inside
                end = h[0] if direction else h[lengths - 1, torch.arange(B)]
            else:
                a = a.flip(0) if direction else a
                powers = [torch.eye(spec.hidden_size, dtype=x.dtype, device=x.device)]
                for _ in range(T):
                    powers.append(w.weight_hh @ powers[-1])
                W = torch.stack(powers)  # (T+1, H, H): W^0 ... W^T
                lag = torch.arange(T).unsqueeze(1) - torch.arange(T).unsqueeze(0)  # (T, T): t - k
                M = W[lag.clamp(min=0)] * (lag >= 0)[:, :, None, None].to(x.device, x.dtype)  # (T, T, H, H)
                h = torch.einsum("tkij,kbj->tbi", M, a)
                # h_0 enters at the first step actually taken: step T - length in reverse, 0 otherwise
                start = (T - lengths) if direction else torch.zeros(B, dtype=torch.long)
                since = torch.arange(T).unsqueeze(1) - start.unsqueeze(0) + 1  # (T, B) steps taken so far
                h = h + torch.einsum("tbij,bj->tbi", W[since.clamp(min=0)], h0)
                h = h.flip(0) if direction else h
                end = h[0] if direction else h[lengths - 1, torch.arange(B)]
                h = h * inside
            outputs.append(h)
            last.append(end)
        x = torch.cat(outputs, dim=2)
    return x, (torch.stack(last),)


def _scanned(a: Tensor, b: Tensor, h_0: Tensor, inside: Tensor, direction: int) -> tuple[Tensor, Tensor]:
    """Output (T, B, H) and last h (B, H): after a row's end h is kept. a, b: (T, B, H); inside: (T, B, 1)."""
    a, b = torch.where(inside, a, 1.0), torch.where(inside, b, 0.0)
    h = scan(a.flip(0), b.flip(0), h_0).flip(0) if direction else scan(a, b, h_0)
    return h * inside, h[0 if direction else -1]


@contextmanager
def exact_cudnn() -> Iterator[None]:
    """cuDNN computes recurrent layers in TF32 by default, about three digits; the comparison needs full float32."""
    with ExitStack() as stack:
        if torch.cuda.is_available():
            before = torch.backends.cudnn.allow_tf32
            torch.backends.cudnn.allow_tf32 = False
            stack.callback(setattr, torch.backends.cudnn, "allow_tf32", before)
        yield
