"""--explain-backward: the chain rule from the last step back to a given step, with every product's numbers.

For an rnn, L is the sum of the last h, so dL/dh_(T-1) = 1,

    dL/da_t = f'(a_t) · dL/dh_t                a_t = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh
    dL/dh_t = W_hhᵀ dL/da_(t+1)                for t < T-1
    dL/dW_hh = Σ_t dL/da_t h_(t-1)ᵀ            dL/dW_ih = Σ_t dL/da_t x_tᵀ      dL/db = Σ_t dL/da_t

summed in plain Python floats and compared with autograd through torch's module over the same steps.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from rnncli import records
from rnncli.demos.arithmetic import products
from rnncli.demos.explain import UNITS, explained_table
from rnncli.demos.network import Network, detached
from rnncli.demos.proofs import states_before
from rnncli.demos.settings import Settings, Shown, choose, spec_for
from rnncli.demos.shaped import places_in
from rnncli.demos.user_values import File
from rnncli.demos.written import Term
from rnncli.errors import UsageError
from rnncli.locale import sentences, tr
from rnncli.render.boxes import factor
from rnncli.replay import Trace, exact_copy, run_reference
from rnncli.replay.rounding import Found, checked, function_rounding, most_apart, unit

_ROWS = 20_000


def require_supported(settings: Settings, file: File | None) -> None:
    """Raises UsageError, naming the options or the lines of the file that are not supported."""
    unlike = {
        "cell": settings.cell != "rnn",
        "num_layers": settings.num_layers > 1,
        "bidirectional": settings.bidirectional,
    }
    what = tr("--explain-backward supports one layer and direction of an rnn")
    if not any(unlike.values()):
        unlike = {"zoneout": any(spec_for(settings).zoneout)}
        what = tr("--explain-backward does not support zoneout")
    places = {} if file is None else places_in(file, settings)
    wrong = [name for name, is_unlike in unlike.items() if is_unlike]
    flags = [flag for name in wrong if name not in places for flag in settings.flags(name)]
    if wrong:
        where = ", ".join(places[name] for name in wrong if name in places)
        raise UsageError(what, where=where, todo=tr("omit {option}", option=", ".join(flags)) if flags else "")


def explanations(net: Network, trace: Trace, shown: Shown) -> tuple[list[records.Record], records.Check]:
    """The definition of L, a table for each step from the last back to STEP, one for the weights, and the check against
    autograd."""
    assert shown.explain_backward is not None
    s = net.settings
    steps = choose(shown.explain_backward, s.seq_len, "--explain-backward")
    units = choose(shown.units, s.hidden_size, "--units")
    units = units if shown.units or shown.full else units[:UNITS]
    if (s.seq_len - min(steps)) * s.hidden_size + len(units) * (s.input_size + s.hidden_size) > _ROWS:
        raise UsageError(
            tr("--explain-backward would write too many lines"), todo=tr("choose a later step or fewer units")
        )
    chain = _Chain(net, trace, min(steps), shown)
    tables: list[records.Record] = []
    for t in range(s.seq_len - 1, chain.first - 1, -1):
        terms = [(u, term) for u in units for term in chain.terms(t, u)]
        tables.append(explained_table(net, f"backward.{t}", tr("back through step {t}", t=t), terms))
    weights = [(u, term) for u in units for term in chain.weights(u)]
    last = s.seq_len - 1
    title = tr("the weights, over step {t}", t=last)
    if chain.first < last:
        title = tr("the weights, over steps {first} to {last}", first=chain.first, last=last)
    tables.append(explained_table(net, "backward.weights", title, weights))
    text = tr(
        "L is the sum of the last h, so dL/dh_{t} = 1 for every unit. a_t is the argument of the nonlinearity.", t=last
    )
    if chain.first:
        more = tr("Steps before {t} are omitted, as if h_{s} were given.", t=chain.first, s=chain.first - 1)
        text = sentences([text, more])
    return [records.Message(text, name="loss"), *tables], checked(
        "backward-by-hand", tr("these gradients equal autograd's"), *chain.differences()
    )


class _Chain:
    """dL/dh_t and dL/da_t of the first sample for every step from the last back to `first`, as plain floats."""

    def __init__(self, net: Network, trace: Trace, first: int, shown: Shown) -> None:
        self.net, self.first, self.full, self.blanks = net, first, shown.full, shown.blanks
        self.T, self.H = net.settings.seq_len, net.spec.hidden_size
        place = net.places()[0]
        w = detached(net.weights(place))
        assert w.weight_hh is not None
        self.bias = w.bias_ih is not None
        self.W: list[list[float]] = w.weight_hh.tolist()
        self.h: list[list[float]] = trace["l0.fwd.h"][:, 0].tolist()
        self.before_all: Tensor = states_before(net, trace, place)[0]  # (T, B, H)
        self.before: list[list[float]] = self.before_all[:, 0].tolist()
        self.x: list[list[float]] = net.x[:, 0].tolist()
        self.dh: dict[int, list[float]] = {}
        self.da: dict[int, list[float]] = {}
        for t in range(self.T - 1, first - 1, -1):
            if t == self.T - 1:
                self.dh[t] = [1.0] * self.H
            else:
                self.dh[t] = [sum(self.W[k][j] * self.da[t + 1][k] for k in range(self.H)) for j in range(self.H)]
            self.da[t] = [d * self.slope(self.h[t][j]) for j, d in enumerate(self.dh[t])]

    def slope(self, h: float) -> float:
        """f'(a), from h = f(a)."""
        kind = self.net.settings.nonlinearity
        return 1 - h * h if kind == "tanh" else 1.0 if kind == "none" or h > 0 else 0.0

    def terms(self, t: int, j: int) -> Iterator[Term]:
        dh, da = f"dL/dh_{t}", f"dL/da_{t}"
        if t == self.T - 1:
            yield Term(dh, tr("direct contribution to L"), self.dh[t][j])
        else:
            column = [row[j] for row in self.W]
            yield Term(dh, self.sum(column, self.da[t + 1], f"dL/da_{t + 1}"), self.dh[t][j])
        kind, value = self.net.settings.nonlinearity, (dh if self.blanks else factor(self.dh[t][j]))
        slope = {"tanh": f"(1 - {factor(self.h[t][j])}^2)", "none": "1"}.get(kind, f"{self.slope(self.h[t][j]):.0f}")
        yield Term(da, f"{slope}·{value}", self.da[t][j])

    def weights(self, j: int) -> Iterator[Term]:
        steps = range(self.first, self.T)
        da = [self.da[t][j] for t in steps]
        names = "dL/da"
        for name, vectors in (("W_hh", self.before), ("W_ih", self.x)):
            for k in range(len(vectors[0])):
                other = [vectors[t][k] for t in steps]
                written = self.sum(other, da, names, steps)
                yield Term(f"dL/d{name}[{j},{k}]", written, sum(a * b for a, b in zip(da, other, strict=True)))
        if self.bias:
            written = " + ".join(
                f"{names}_{t}" if self.blanks else factor(value) for t, value in zip(steps, da, strict=True)
            )
            yield Term(f"dL/db[{j}]", written, sum(da))

    def sum(self, numbers: list[float], hidden: list[float], name: str, steps: range | None = None) -> str:
        """`0.5·0.3 + ...`; in a worksheet the second factors, which are results to fill in, appear as names."""
        if not self.blanks:
            return products(numbers, hidden, self.full)
        labels = [f"{name}_{t}" for t in steps] if steps is not None else [f"{name}[{k}]" for k in range(len(hidden))]
        return products(numbers, labels, self.full)

    def differences(self) -> Iterator[Found]:
        """The differences from autograd through torch's module over the same steps, and their rounding tolerances."""
        truth = self.gradients(self.net.core, self.net.x, self.before_all)
        mine = [torch.tensor(self.dh[t], dtype=torch.float64) for t in range(self.first, self.T - 1)]
        vectors = {"weight_hh_l0": self.before, "weight_ih_l0": self.x}
        steps = range(self.first, self.T)
        for name, parameter in self.net.core.named_parameters():
            of = vectors.get(name, [[1.0]] * self.T)  # a bias multiplies 1
            width = range(len(of[0]))
            sums = [[sum(self.da[t][j] * of[t][k] for t in steps) for k in width] for j in range(self.H)]
            mine.append(torch.tensor(sums, dtype=torch.float64).view(parameter.shape))
        exact = exact_copy(self.net.core)
        inputs = [tensor.detach().to(next(exact.parameters())) for tensor in (self.net.x, self.before_all)]
        costs = function_rounding(self.gradients, exact, inputs, unit(self.net.x.dtype))
        off = [most_apart(ours, theirs.cpu()) for ours, theirs in zip(mine, truth, strict=True)]
        return zip(off, costs, strict=True)

    def gradients(self, core: nn.Module, x: Tensor, before: Tensor) -> list[Tensor]:
        """Gradients by autograd of L of the first sample, through torch's module: with respect to h_t for every step
        but the last (through the steps after it), then the weights. x: (T, B, I); before: (T, B, H), h_(t-1)."""
        found = []
        with torch.enable_grad():
            for t in range(self.first, self.T - 1):
                start = before[t + 1].detach().clone().unsqueeze(0).requires_grad_()  # (1, B, H)
                loss = run_reference(core, self.net.spec, x[t + 1 :], (start,), None)[0][-1, 0].sum()
                found.append(torch.autograd.grad(loss, start)[0][0, 0])
            start = before[self.first].detach().unsqueeze(0)
            loss = run_reference(core, self.net.spec, x[self.first :], (start,), None)[0][-1, 0].sum()
            return [*found, *torch.autograd.grad(loss, list(core.parameters()))]
