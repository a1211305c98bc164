"""Every equation of --explain, evaluated by Python from what the page says: by its names exactly, by its numbers to the
decimals that are shown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import pytest

from rnncli import records
from rnncli.demos.network import Network, build
from rnncli.demos.page import demo_page
from rnncli.demos.settings import Settings, Shown
from rnncli.names import OptionValue
from rnncli.replay import Trace, trace
from tests.narrowed import of_kind
from tests.test_every_cell import OPTIONS

ZONEOUT: dict[str, OptionValue] = {"zoneout": 0.25}
BOTH: dict[str, OptionValue] = {"zoneout": 0.125, "zoneout_memory": 0.5}
CASES: list[tuple[str, dict[str, OptionValue], bool]] = [
    *((cell, options, True) for cell, options in OPTIONS),
    *((cell, options, False) for cell, options in OPTIONS if cell in ("lstm", "deltanet", "linear", "mgu")),
    *((cell, ZONEOUT, True) for cell in ("rnn", "indrnn", "mgu", "mingru", "minlstm", "linear", "deltanet")),
    *((cell, BOTH, True) for cell in ("lstm", "deltanet")),
    ("slstm", {"zoneout": 0.25, "heads": 2}, True),
    ("lstm", {"layer_norm": True, "peephole": True, "coupled": True, "zoneout_memory": 0.25}, True),
    ("gru", {"variational_dropout": 0.5, "recurrent_dropout": 0.5}, True),
]
STEP = 1
FUNCTIONS = {
    "tanh": math.tanh,
    "relu": lambda a: max(a, 0.0),
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    "silu": lambda a: a / (1 + math.exp(-a)),
    "log": math.log,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "max": max,
    "min": min,
}


def evaluated(text: str, known: Mapping[str, float]) -> float:
    """The value of an expression as it is written on paper, · for *."""
    for name in sorted(known, key=len, reverse=True):
        text = re.sub(rf"(?<![\w.]){re.escape(name)}(?![\w'])", f"({known[name]!r})", text)
    value = eval(text.replace("·", "*"), {"__builtins__": {}}, FUNCTIONS)
    assert isinstance(value, float)
    return value


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def of_vectors(vectors: dict[str, list[float]], net: Network, made: Trace, unit: int) -> dict[str, float]:
    """What the names stand for that are more than one number: `k·q`, `S_0[1]·k`, `length(s_q)`, `mean(W_ih·x_1)`."""
    w, found = net.weights(net.places()[0]), dict[str, float]()
    x = net.x[STEP, 0].tolist()
    vectors |= {"W_ih·x_1": (w.weight_ih @ net.x[STEP, 0]).tolist()}
    if w.weight_hh is not None and w.weight_hh.dim() == 2 and w.weight_hh.shape[1] == net.spec.hidden_size:
        vectors["W_hh·h_0"] = (w.weight_hh @ made["l0.fwd.h"][STEP - 1, 0]).tolist()
    for name, v in vectors.items():
        mean = sum(v) / len(v)
        found |= {f"mean({name})": mean, f"var({name})": sum((a - mean) ** 2 for a in v) / len(v)}
        found[f"length({name})"] = math.sqrt(dot(v, v))
    if "S" in net.spec.states:
        row = made["l0.fwd.S"][STEP - 1, 0, unit].tolist()
        found |= {f"S_0[{unit}]·{name}": dot(row, vectors[name]) for name in ("k", "q")}
        found |= {"k·q": dot(vectors["k"], vectors["q"]), "weight_b·x_1": dot(w["weight_b"][0].tolist(), x)}
    H = net.spec.hidden_size
    for name, parameter in w.items():
        numbers = parameter.flatten().tolist()
        found[name] = numbers[unit % len(numbers)]
        if len(numbers) % H == 0:
            found |= {f"{name}_{k}": numbers[k * H + unit] for k in range(len(numbers) // H)}
    for name, shape in net.spec.states.items():
        if len(shape) == 1:
            found[f"{name}_0"] = float(made[f"l0.fwd.{name}"][STEP - 1, 0, unit])
    return found


def short(term: str) -> str:
    """i_1 is i in an equation; a_i and n_x stay."""
    return term.removesuffix(f"_{STEP}")


@pytest.mark.parametrize(("cell", "options", "bias"), CASES)
def test_its_equations(cell: str, options: dict[str, OptionValue], bias: bool) -> None:
    settings = Settings(cell=cell, options=tuple(options.items()), bias=bias, dtype="float64", hidden_size=4, seed=3)
    net = build(settings)
    made = trace(net.core, net.x, net.state if len(net.state) > 1 else net.state[0])
    page = demo_page(settings, Shown(explain=str(STEP)))
    assert all(check.ok for check in page.checks())
    rows = next(of_kind(records.Table, one) for one in page.records if isinstance(one, records.Table)).rows
    told = [(int(str(u)), str(term), str(written), float(str(value))) for u, term, written, value in rows]
    vectors = {name: [v for _, term, _, v in told if term == name] for _, name, _, _ in told}
    vectors |= {short(name): values for name, values in vectors.items()}
    seen = 0
    for unit in range(4):
        known, sums = of_vectors(dict(vectors), net, made, unit), 0.0
        for u, term, written, value in told:
            if u != unit:
                continue
            if written == "the sum of these":
                assert value == pytest.approx(sums, abs=1e-12), term
                sums = 0.0
            elif not written or re.match(r"W_", term):  # a bias; products, whose numbers are added up here
                sums += value
                assert not written or evaluated(written, {}) == pytest.approx(value, abs=2e-3), term
            else:
                names, *numbers = written.split(" = ")
                exact = numbers and not re.search(r"\d\.\d{4}", names)
                assert evaluated(names, known) == pytest.approx(value, abs=1e-12 if exact else 5e-4), (term, names)
                assert not numbers or evaluated(numbers[0], {}) == pytest.approx(value, abs=5e-3, rel=1e-2), term
                sums, seen = 0.0, seen + 1
            known |= {term: value, short(term): value}
        if "h" in known:
            assert known[f"h_{STEP}"] == pytest.approx(float(made["l0.fwd.h"][STEP, 0, unit]), abs=1e-12)
    assert seen >= 4
