"""The engines against each other and against torch's modules: outputs, last states, every gradient."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnncli.cells import CoreSpec
from rnncli.errors import UsageError
from rnncli.nn.engines import check_engine, engine_of
from rnncli.nn.recurrent import choose_engine, make_core, run

D64 = torch.float64
ENGINES = ("torch", "loop", "bptt")
KINDS = [("rnn", "tanh", 0), ("rnn", "relu", 0), ("gru", "tanh", 0), ("lstm", "tanh", 0), ("lstm", "tanh", 2)]
SHAPES = [*itertools.product((1, 2), (False, True), (0.0, 0.4), (False, True), (True, False))]


def everything(
    core: Any, x: Tensor, lengths: Tensor | None, state: Any, engine: str
) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs and last states; gradients of a fixed functional of them towards x, h_0, c_0 and every weight."""
    x = x.clone().requires_grad_()
    state = tuple(t.clone().requires_grad_() for t in state)
    torch.manual_seed(7)  # dropout
    output, last = run(core, x, lengths, state, engine=engine)
    found = [output, *last]
    generator = torch.Generator().manual_seed(3)
    loss = sum((torch.randn(t.shape, generator=generator, dtype=t.dtype) * t).sum() for t in found)
    gradients = torch.autograd.grad(loss, [x, *state, *core.parameters()])  # type: ignore[arg-type]
    return found, list(gradients)


@pytest.mark.parametrize(("layers", "bidirectional", "dropout", "padded", "bias"), SHAPES)
@pytest.mark.parametrize(("cell", "nonlinearity", "proj"), KINDS)
def test_engines_agree(
    cell: str, nonlinearity: str, proj: int, layers: int, bidirectional: bool, dropout: float, padded: bool, bias: bool
) -> None:
    torch.manual_seed(0)
    spec = CoreSpec(cell, nonlinearity, 4, 5, layers, bidirectional, proj, bias)
    core = make_core(spec, dropout).double().train()
    x = torch.randn(6, 3, 4, dtype=D64)
    lengths = torch.tensor([3, 6, 1]) if padded else None
    rows = layers * spec.num_directions
    state = tuple(torch.randn(rows, 3, *shape, dtype=D64) for shape in spec.states.values())
    (theirs, their_gradients), *others = (
        everything(core, x, lengths, state, e) for e in ENGINES if e != "bptt" or engine_of(e).can(spec)
    )
    for ours, our_gradients in others:
        for a, b in zip([*ours, *our_gradients], [*theirs, *their_gradients], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-11)
    if dropout and layers > 1:  # it was really on: without it the outputs are others
        plain = run(core.eval(), x, lengths, state, engine="loop")[0]
        assert (plain - ours[0]).abs().max() > 1e-3


@pytest.mark.parametrize(("cell", "nonlinearity", "proj"), KINDS)
def test_torch_engine_is_torchs_module_on_packed_data(cell: str, nonlinearity: str, proj: int) -> None:
    torch.manual_seed(0)
    core = make_core(CoreSpec(cell, nonlinearity, 4, 5, 2, True, proj)).double()
    x, lengths = torch.randn(6, 3, 4, dtype=D64), torch.tensor([3, 6, 1])
    wanted, last = core(pack_padded_sequence(x, lengths, enforce_sorted=False))
    output, state = run(core, x, lengths, engine="torch")
    assert torch.equal(output, pad_packed_sequence(wanted)[0])
    assert all(map(torch.equal, state, last if cell == "lstm" else (last,)))
    for b, length in enumerate(lengths.tolist()):
        alone, _ = run(core, x[:length, b : b + 1], engine="loop")
        torch.testing.assert_close(output[:length, b : b + 1], alone, rtol=0, atol=1e-12)
        assert not output[length:, b].any()


def test_same_seed_same_weights_as_a_bare_script() -> None:
    torch.manual_seed(3)
    ours = make_core(CoreSpec("lstm", "tanh", 4, 5, 2, True))
    torch.manual_seed(3)
    theirs = nn.LSTM(4, 5, 2, bidirectional=True)
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))
    torch.manual_seed(3)
    plain = make_core(CoreSpec("rnn", "none", 4, 5, 2, True))
    torch.manual_seed(3)
    bare = nn.RNN(4, 5, 2, bidirectional=True)
    assert [*plain.state_dict()] == [*bare.state_dict()]
    assert all(map(torch.equal, plain.parameters(), bare.parameters()))


@pytest.mark.parametrize("cell", ["feedforward", "rnn"])
def test_plain_cores_train(cell: str) -> None:
    core = make_core(CoreSpec(cell, "none", 4, 5, 2, True), 0.3).train()
    output, (last,) = run(core, torch.randn(6, 3, 4), torch.tensor([3, 6, 1]))
    assert output.shape == (6, 3, 10)
    assert last.shape == (4, 3, 5)
    (output.sum() + last.sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in core.parameters())


def test_auto_is_a_pure_function() -> None:
    assert choose_engine(CoreSpec("feedforward", "tanh", 2, 2), torch.float32, "cpu", T=20) == "loop"
    assert choose_engine(CoreSpec("rnn", "none", 2, 2), torch.float32, "cpu", T=20) == "loop"
    for cell in ("rnn", "gru", "lstm"):
        assert choose_engine(CoreSpec(cell, "tanh", 2, 2), torch.float32, "cpu", T=20) in ("torch", "bptt")


def test_what_cannot_be_run_is_said() -> None:
    core = make_core(CoreSpec("feedforward", "tanh", 2, 2))
    with pytest.raises(UsageError, match="feedforward"):
        run(core, torch.zeros(1, 1, 2), engine="torch")
    with pytest.raises(UsageError, match="nonlinearity"):
        check_engine(CoreSpec("rnn", "none", 2, 2), "torch")
    with pytest.raises(ValueError, match="no steps"):
        run(core, torch.zeros(2, 2, 2), torch.tensor([2, 0]))
