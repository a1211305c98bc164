"""lstm: long short-term memory. Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.

Options: peephole, the gates read the cell state (Gers and Schmidhuber 2000; Graves 2013, arXiv:1308.0850, with one
weight per unit); coupled, f = 1 - i (CIFG of Greff et al. 2017, arXiv:1503.04069); layer_norm (Ba et al. 2016,
arXiv:1607.06450).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.cells import Cell, CoreSpec, Gates, Option, Shape, State, Weights, gated, keep_biases, uniform
from rnncli.locale import tr

if TYPE_CHECKING:
    from torch import Tensor


def states(spec: CoreSpec) -> dict[str, Shape]:
    return {"h": (spec.state_size,), "c": (spec.hidden_size,)}


def rows(spec: CoreSpec) -> tuple[str, ...]:
    """f has no rows if it is 1 - i."""
    return ("i", "g", "o") if spec.option("coupled") else ("i", "f", "g", "o")


def parameters(spec: CoreSpec, inputs: int) -> dict[str, Shape]:
    """weight_ch: the peepholes of i, f and o; norm_*: the gains of layer norm, whose shifts are torch's biases."""
    H, shapes = spec.hidden_size, gated(spec, inputs)
    if spec.option("peephole"):
        shapes["weight_ch"] = ((spec.num_gates - 1) * H,)
    if spec.option("layer_norm"):
        shapes |= {"norm_ih": (spec.num_gates * H,), "norm_hh": (spec.num_gates * H,), "norm_c": (H,)}
        shapes |= {"bias_c": (H,)} if spec.bias else {}
    return shapes


def draw(name: str, parameter: Tensor, spec: CoreSpec) -> None:
    """Like torch; layer norm is initialized with gains 1 and, for c, bias 0."""
    if name.startswith("norm") or name == "bias_c":
        parameter.fill_(float(name != "bias_c"))
    else:
        uniform(name, parameter, spec)


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """c_t = f ⊙ c_(t-1) + i ⊙ g; h_t = o ⊙ tanh(c_t), through W_hr with a projection.

    x: (B, I); state: (h, c), h (B, P or H), c (B, H). Gates: i input, f forget, g candidate, o output. The projection
    is Sak et al. 2014 (arXiv:1402.1128). Without options the form and order of torch.nn.LSTM.
    """
    import torch
    from torch.nn.functional import layer_norm, linear

    h, c = state
    H = c.shape[1]
    coupled, peepholes = bool(w.options.get("coupled")), w.get("weight_ch")
    if "norm_c" in w:
        a = layer_norm(linear(x, w["weight_ih"]), [len(w["norm_ih"])], w["norm_ih"], w.bias_ih)
        a = a + layer_norm(linear(w.read(h), w["weight_hh"]), [len(w["norm_hh"])], w["norm_hh"], w.bias_hh)
    else:
        a = linear(x, w["weight_ih"], w.bias_ih) + linear(w.read(h), w["weight_hh"], w.bias_hh)  # (B, 4H)
    a_i, *a_f, a_g, a_o = a.split_with_sizes([H] * (3 if coupled else 4), dim=1)  # each (B, H)
    if peepholes is None:
        i = torch.sigmoid(a_i)
        f = 1 - i if coupled else torch.sigmoid(a_f[0])
    else:
        i = torch.sigmoid(a_i + peepholes[:H] * c)
        f = 1 - i if coupled else torch.sigmoid(a_f[0] + peepholes[H : 2 * H] * c)
    g = torch.tanh(a_g)
    c = f * c + i * w.dropped(g)
    o = torch.sigmoid(a_o if peepholes is None else a_o + peepholes[-H:] * c)
    seen = layer_norm(c, [len(w["norm_c"])], w["norm_c"], w.get("bias_c")) if "norm_c" in w else c
    h = o * torch.tanh(seen)
    if w.weight_hr is not None:
        h = linear(h, w.weight_hr)  # (B, P)
    return (h, c), {"i": i, "f": f, "g": g, "o": o}


def keep(name: str, parameter: Tensor, spec: CoreSpec) -> None:
    """Sets the forget gate's bias to 1 (Gers et al. 2000; Jozefowicz et al. 2015), or the input gate's to -1 if f = 1 -
    i."""
    set_biases = keep_biases(i=-1.0) if spec.option("coupled") else keep_biases(f=1.0)
    set_biases(name, parameter, spec)


def equation(spec: CoreSpec) -> str:
    """The equation of h, which two options change."""
    f = "(1-i)" if spec.option("coupled") else "f"
    seen = ("LN(c_t) + bias_c" if spec.bias else "LN(c_t)") if spec.option("layer_norm") else "c_t"
    return f"c_t = {f}⊙c_(t-1) + i⊙g; h_t = o⊙tanh({seen})"


def formulas(spec: CoreSpec) -> str:
    b_ih, b_hh = (" + b_ih", " + b_hh") if spec.bias else ("", "")
    sums = f"W_ih·x_t{b_ih} + W_hh·h_(t-1){b_hh}"
    last = equation(spec).replace("; ", "     ") + "     " + tr("c: the memory")
    coupled, peephole, norm = (bool(spec.option(name)) for name in ("coupled", "peephole", "layer_norm"))
    if not (coupled or peephole or norm):
        return f"i f o = sigmoid({sums}), g = tanh({tr('the same')})\n{last}"
    if norm:
        sums = f"LN(W_ih·x_t){b_ih} + LN(W_hh·h_(t-1)){b_hh}"
    lines = [f"a = {sums}"]
    if peephole:
        lines[0] += "     w_c: weight_ch"
        lines.append(f"{'i' if coupled else 'i f'} = sigmoid(a + w_c⊙c_(t-1))   o = sigmoid(a + w_c⊙c_t)   g = tanh(a)")
    else:
        lines.append(f"{'i o' if coupled else 'i f o'} = sigmoid(a)   g = tanh(a)")
    if norm:
        lines.append("LN(v) = norm⊙(v - mean(v))/sqrt(var(v) + 1e-05)")
    return "\n".join([*lines, last])


def summed(spec: CoreSpec) -> tuple[str, ...]:
    """Not with layer norm, which normalizes each product before they are added."""
    return () if spec.option("layer_norm") else rows(spec)


def written(spec: CoreSpec) -> tuple[str, ...]:
    norm = bool(spec.option("layer_norm"))
    sums = {gate: f"a_{gate}" for gate in rows(spec)}
    if spec.option("peephole"):
        names = [gate for gate in sums if gate != "g"]
        sums |= {g: f"a_{g} + weight_ch_{k}·c{'' if g == 'o' else chr(39)}" for k, g in enumerate(names)}
    found = {gate: f"{gate} = sigmoid({total})" for gate, total in sums.items()}
    found |= {"g": "g = tanh(a_g)"} | ({"f": "f = 1 - i"} if spec.option("coupled") else {})
    c = "c = f·c' + i·g"
    after = (c, found["o"]) if spec.option("peephole") else (found["o"], c)
    if not norm:
        return (found["i"], found["f"], found["g"], *after, "h = o·tanh(c)")
    of = {line[0]: line for line in (found["i"], found["f"], found["g"], *after)}
    lines = [one for gate, line in of.items() for one in (*_normed(spec, gate), line)]
    seen = f"seen = (c - mean_c)/std_c·norm_c{' + bias_c' if spec.bias else ''}"
    return (*_spread("x", "px"), *_spread("h", "ph"), *lines, *_spread("c", "c"), seen, "h = o·tanh(seen)")


def _spread(name: str, vector: str) -> tuple[str, str]:
    """The mean of a vector and its standard deviation, as in layer norm."""
    return f"mean_{name} = mean({vector})", f"std_{name} = sqrt(var({vector}) + 1e-05)"


def _normed(spec: CoreSpec, gate: str) -> list[str]:
    """The two sums of a gate with layer norm, whose statistics are over all gates."""
    if gate not in rows(spec):
        return []
    k, found = rows(spec).index(gate), []
    for way in "xh":
        name = f"{'i' if way == 'x' else 'h'}h"
        bias = f" + bias_{name}_{k}" if spec.bias else ""
        found.append(f"n{way}_{gate} = (p{way}_{gate} - mean_{way})/std_{way}·norm_{name}_{k}{bias}")
    return [*found, f"a_{gate} = nx_{gate} + nh_{gate}"]


CELL = Cell(
    step,
    equation=equation,
    states=states,
    parameters=parameters,
    draw=draw,
    keep=keep,
    gates={"i": "sigmoid", "f": "sigmoid", "g": "tanh", "o": "sigmoid"},
    rows=rows,
    about={
        "h": "hidden state",
        "c": "cell state",
        "i": "input gate",
        "f": "forget gate",
        "g": "candidate",
        "o": "output gate",
    },
    candidate="g",
    bounded=True,
    torch_class="LSTM",
    projected="c_t = f⊙c_(t-1) + i⊙g; h_t = W_hr·(o⊙tanh(c_t))",
    formulas=formulas,
    options={
        "peephole": Option(False, "whether i and f read c_(t-1), and o reads c_t, with one weight per unit"),
        "coupled": Option(False, "whether f = 1 - i: one gate for forgetting and writing (CIFG)"),
        "layer_norm": Option(False, "whether to apply layer norm to W_ih·x, W_hh·h, and c in the equation of h"),
    },
    reads=True,
    drops=True,
    zoned=("h", "c"),
    summed=summed,
    written=written,
)
