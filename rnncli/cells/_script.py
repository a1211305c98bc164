"""A core as source code, for scripts that need only torch: a module around the source of a cell's step."""

from __future__ import annotations

from rnncli.cells._base import CELLS, CoreSpec
from rnncli.standalone import copied

_MODULE = '''

class Weights(dict):
    """One layer in one direction, by name. Regularization of training is not applied here."""

    nonlinearity, options = {nonlinearity!r}, {options!r}

    def __getattr__(self, name):
        return self.get(name)  # None: no such bias

    def read(self, h):
        return h

    def dropped(self, new):
        return new


class Core(torch.nn.Module):
    """{cell}, which torch has no module for: x (T, B, I), states (L*D, B, ...) -> output (T, B, D*H), last states."""

    def __init__(self, input_size, shapes, states, layers=1, directions=1):
        super().__init__()
        self.input_size, self.states, self.layers, self.directions = input_size, states, layers, directions
        for name, shape in shapes.items():
            self.register_parameter(name, torch.nn.Parameter(torch.empty(shape)))

    def weights(self, layer=0, direction=0):
        end = f"_l{{layer}}" + "_reverse" * direction
        return Weights({{name.removesuffix(end): p for name, p in self.named_parameters() if name.endswith(end)}})

    def forward(self, x, state=None):
        if state is None:
            state = [x.new_zeros(self.layers * self.directions, x.shape[1], *shape) for shape in self.states]
        state, last = [state] if isinstance(state, torch.Tensor) else state, []
        for layer in range(self.layers):
            outputs = []
            for direction in range(self.directions):
                w, now = self.weights(layer, direction), tuple(part[len(last)] for part in state)
                output = [now[0]] * len(x)
                for t in reversed(range(len(x))) if direction else range(len(x)):
                    before, (now, gates) = now, {step}(x[t], now, w){zoneout}
                    output[t] = now[0]
                outputs.append(torch.stack(output))
                last.append(now)
            x = torch.cat(outputs, dim=2)
        state = tuple(torch.stack(parts) for parts in zip(*last))
        return x, state if len(state) > 1 else state[0]
'''
_ZONEOUT = """
                    shares = {shares}  # zoneout: each state's expected value
                    now = tuple(a + p * (b - a) for p, a, b in zip(shares, now, before))"""


def core_source(spec: CoreSpec, *, draw: bool = False) -> tuple[set[str], str]:
    """(imports, text): the cell's step, and a class `Core`, instantiated by `core_call`. draw: also the function that
    initializes a parameter. Raises ValueError: the step uses more than torch and Python."""
    cell = CELLS[spec.cell]
    imports, text = copied(cell.step.__module__, [cell.step.__name__])
    if draw:
        more, drawing = copied(cell.draw.__module__, [cell.draw.__name__])
        imports, text = imports | more, text + drawing
    zoneout = _ZONEOUT.format(shares=spec.zoneout) if any(spec.zoneout) else ""
    module = _MODULE.format(
        cell=spec.cell, nonlinearity=spec.nonlinearity, options=dict(spec.all_options), step=cell.step.__name__,
        zoneout=zoneout,
    )  # fmt: skip
    return imports, text + module


def core_call(spec: CoreSpec) -> str:
    """The expression that creates this core, given the text of `core_source`."""
    sizes = f"{spec.input_size}, {spec.all_shapes()!r}, {list(spec.states.values())!r}"
    return f"Core({sizes}, {spec.num_layers}, {spec.num_directions})"
