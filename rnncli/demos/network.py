"""The network of a demo, with random numbers drawn in the plain script's order."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rnncli.cells import CELLS, CoreSpec, State, Weights, weights_of
from rnncli.demos import easy
from rnncli.demos.settings import Settings, characters_of, spec_for
from rnncli.device import dtype_of, pick_device, require_memory
from rnncli.errors import Missing
from rnncli.locale import tr
from rnncli.nn.recurrent import Core, make_core
from rnncli.replay import DIRECTIONS, initial_state

if TYPE_CHECKING:
    from rnncli.demos.user_values import File


@dataclass(frozen=True)
class Place:
    """One layer and direction of a network. row: its row in h_0 and h_n."""

    layer: int
    direction: int
    row: int

    @property
    def name(self) -> str:
        """`l0.fwd.`, the prefix of its tensors in a Trace."""
        return f"l{self.layer}.{DIRECTIONS[self.direction]}."


@dataclass(frozen=True)
class Network:
    """x: (T, B, I). state: h_0 and the cell's other states, such as an lstm's c_0, (L·D, B, H). head: the linear layer
    of --input, or None."""

    settings: Settings
    spec: CoreSpec
    core: Core
    x: Tensor
    state: State
    head: nn.Linear | None = None
    drawn: tuple[str, ...] = ()  # with --from: tensors still drawn from the seed
    not_finite: tuple[str, ...] = ()  # with --from: locations of nan or inf

    def places(self) -> list[Place]:
        return [Place(*place, row) for row, place in enumerate(self.spec.places)]

    def weights(self, place: Place) -> Weights:
        return weights_of(self.core, place.layer, place.direction)


def detached(w: Weights) -> Weights:
    """The same numbers, detached from the graph."""
    return w.replaced(**{name: tensor.detach() for name, tensor in w.items()})


def is_linear(spec: CoreSpec) -> bool:
    """Whether all steps together form one linear map: an rnn without nonlinearity."""
    return spec.nonlinearity == "none" and CELLS[spec.cell].recurrent_weight


def build(settings: Settings, file: File | None = None) -> Network:
    """Draw weights, then x, in float32 on the CPU and cast them, so that every dtype shows the same network; states are
    zero.

    Raises Missing, before allocating anything, if it does not fit in memory.
    """
    spec = spec_for(settings)
    require_memory(_bytes(settings, spec), tr("this demo"), todo=tr("choose smaller sizes"))
    try:
        device = pick_device(settings.device)
    except Missing as error:
        raise Missing(error.what, where="--device", todo=error.todo) from error
    dtype = dtype_of(settings.dtype)
    torch.manual_seed(settings.seed)
    core = make_core(spec)
    head = None
    if settings.input is None:
        x = torch.randn(settings.seq_len, settings.batch_size, settings.input_size)  # (T, B, I)
    else:
        vocabulary = characters_of(settings.input)
        head = nn.Linear(spec.output_size, len(vocabulary)).to(device, dtype)
        index = {letter: k for k, letter in enumerate(vocabulary)}
        tokens = torch.tensor([index[letter] for letter in settings.input])  # (T,)
        x = nn.functional.one_hot(tokens, len(vocabulary)).float().unsqueeze(1)  # (T, 1, V)
    core, x = core.to(device, dtype).eval(), x.to(device, dtype)
    state = initial_state(spec, settings.batch_size, x)

    def given(x: Tensor, state: State) -> tuple[Tensor, State]:
        return (x, state) if file is None else _fill(file, spec, core, x, state)

    x, state = easy.draw(spec, core, x, state, given) if settings.nice else given(x, state)
    if file is None:
        return Network(settings, spec, core, x, state, head)
    names = ["x", *(name for name, _ in core.named_parameters())]
    drawn = tuple(name for name in names if name not in file.tensors)
    return Network(settings, spec, core, x, state, None, drawn, file.not_finite)


def _fill(file: File, spec: CoreSpec, core: Core, x: Tensor, state: State) -> tuple[Tensor, State]:
    """Replace drawn tensors by those of the file."""
    states, starts = list(state), [f"{name}_0" for name in spec.states]
    with torch.no_grad():
        for name, given in file.tensors.items():
            values = torch.tensor(given.values, dtype=torch.float64).to(x)
            if name == "x":
                x = values.reshape(x.shape)
            elif name in starts:
                k = starts.index(name)
                states[k] = values.expand(state[k].shape).clone() if values.dim() < 3 else values
            else:
                core.get_parameter(name).copy_(values)
    return x, tuple(states)


def _bytes(settings: Settings, spec: CoreSpec) -> int:
    """Estimated bytes: the weights and their copies in the proofs, x, and every state and gate twice."""
    s, D, cell = settings, spec.num_directions, CELLS[settings.cell]
    first, other = (sum(map(prod, spec.parameter_shapes(layer).values())) for layer in (0, 1))
    weights = D * (first + (s.num_layers - 1) * other)
    steps = s.seq_len * s.batch_size
    kept = len(spec.states) + len(cell.gates) + 2
    numbers = sum(map(prod, spec.states.values())) + (len(cell.gates) + 2) * s.hidden_size
    per_step = s.input_size + D * s.num_layers * numbers
    # Without a nonlinearity the proof computes every power of W_hh between any two steps.
    powers = s.seq_len**2 * (s.hidden_size**2 + 1) if is_linear(spec) else 0
    # A tensor of one step has about a kilobyte of overhead.
    return 4 * (4 * weights + 3 * steps * per_step + 3 * powers) + 1024 * s.seq_len * D * s.num_layers * kept
