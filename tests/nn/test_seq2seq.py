"""The attention decoder: masks, bridge and search, against plain computations and brute force."""

from itertools import product
from typing import Any

import pytest
import torch

import rnncli
from rnncli.cells import CoreSpec
from rnncli.data.batch import Batch
from rnncli.nn.seq2seq import Attention, Memory, Seq2Seq, SpecialTokens
from tests.narrowed import some

CELLS = [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh"), ("feedforward", "tanh")]
KINDS = ["general", "dot", "additive"]


def model(
    cell: str = "lstm", nonlinearity: str = "tanh", kind: Any = "general", limit: int = 6, **core: Any
) -> Seq2Seq:
    torch.manual_seed(1)
    spec = CoreSpec(cell, nonlinearity, 5, 4, **({"bidirectional": True} | core))
    return Seq2Seq(7, 6, 5, spec, kind, SpecialTokens(1, 2, (1, 0)), limit)


def batch(lengths: tuple[int, ...] = (5, 3, 1), T_out: int = 4) -> Batch:
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randint(7, (max(lengths), len(lengths)), generator=draw)
    given = torch.randint(6, (T_out, len(lengths)), generator=draw)
    return Batch(inputs, torch.tensor(lengths), extra={"given": given})


@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_its_equation_word_for_word(kind: Any) -> None:
    torch.manual_seed(0)
    attention = Attention(kind, 3, 3)
    W = {name.removesuffix(".weight"): weight for name, weight in attention.named_parameters()}
    h, m = torch.randn(2, 2, 3), torch.randn(4, 2, 3)
    inside = torch.tensor([[True, True], [True, True], [True, False], [True, False]])
    contexts, weights = attention(h, Memory(m, attention.key(m), inside))
    for o, b in product(range(2), range(2)):
        n = int(inside[:, b].sum())
        scores = []
        for i in range(n):
            if kind == "dot":
                scores.append(h[o, b] @ m[i, b])
            elif kind == "general":
                scores.append(h[o, b] @ (W["key"] @ m[i, b]))
            else:
                scores.append(W["v"][0] @ torch.tanh(W["query"] @ h[o, b] + W["key"] @ m[i, b]))
        a = torch.stack(scores).softmax(0)
        torch.testing.assert_close(weights[o, b, :n], a)
        assert (weights[o, b, n:] == 0).all()
        torch.testing.assert_close(contexts[o, b], sum(a[i] * m[i, b] for i in range(n)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("cell", "nonlinearity"), CELLS)
def test_a_row_in_a_padded_batch_is_the_row_alone(cell: str, nonlinearity: str, kind: Any) -> None:
    net, both = model(cell, nonlinearity, kind, num_layers=2), batch()
    whole = net(both)
    assert whole.attention.shape == (4, 3, 5)
    torch.testing.assert_close(whole.attention.sum(2), torch.ones(4, 3))
    for b, length in enumerate(some(both.lengths).tolist()):
        alone = net(Batch(both.inputs[:length, b : b + 1], None, extra={"given": both.extra["given"][:, b : b + 1]}))
        torch.testing.assert_close(whole.scores[:, b], alone.scores[:, 0], atol=1e-5, rtol=1e-5)
        assert (whole.attention[:, b, length:] == 0).all()


def test_the_bridge_puts_both_directions_side_by_side() -> None:
    net = model(num_layers=2)
    given = batch()
    _, (h, c) = net.encode(given)
    x = net.source(given.inputs)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, some(given.lengths), enforce_sorted=False)
    _, (h_n, c_n) = net.encoder(packed)
    for layer in range(2):
        torch.testing.assert_close(h[layer], torch.cat([h_n[2 * layer], h_n[2 * layer + 1]], dim=1))
        torch.testing.assert_close(c[layer], torch.cat([c_n[2 * layer], c_n[2 * layer + 1]], dim=1))


def test_step_by_step_is_the_whole_sequence() -> None:
    net, given = model("gru"), batch()
    memory, state = net.encode(given)
    whole, _, _ = net.decode(given.extra["given"], state, memory)
    for t in range(4):
        step, state, _ = net.decode(given.extra["given"][t : t + 1], state, memory)
        torch.testing.assert_close(step[0], whole[t], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("cell", "nonlinearity"), CELLS)
@pytest.mark.parametrize("own", [False, True])
def test_trace_sees_encoder_and_decoder_with_true_gradients(cell: str, nonlinearity: str, own: bool) -> None:
    """The recording is the model itself: same scores, and d loss / d embeddings as autograd has it on the original."""
    net, given = model(cell, nonlinearity, num_layers=2).eval(), batch()
    if own:  # the model writes its own words, step by step
        given.extra = {}
    plain = net(given)
    weight = torch.randn(plain.scores.shape, generator=torch.Generator().manual_seed(2))
    tables = (net.source.weight, net.target.weight)
    wanted = torch.autograd.grad((plain.scores * weight).sum(), tables)
    trace = rnncli.trace(net, given, gradients=True)
    assert all(check.ok for check in trace.checks), trace.checks
    torch.testing.assert_close(trace.result.scores, plain.scores, atol=1e-6, rtol=0)
    torch.testing.assert_close(trace.result.attention, plain.attention, atol=1e-6, rtol=0)
    loss = (trace.result.scores * weight).sum()
    found = torch.autograd.grad(loss, tables, retain_graph=True)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert trace["encoder.l0.fwd.h"].shape == (5, 3, 4)
    assert trace["encoder.l1.bwd.h"].shape == (5, 3, 4)
    assert trace["decoder.l0.fwd.h"].shape == (len(plain.scores), 3, 8)
    # through time: the source reaches the loss through every encoder state of a row
    assert trace.gradient(loss, "encoder.l0.fwd.h")[:, 0].abs().sum(1).gt(0).all()


@torch.no_grad()
def chance_of(net: Seq2Seq, given: Batch, tokens: list[int]) -> float:
    """log p of writing exactly these tokens and the end sign, over how many they are."""
    memory, state = net.encode(given)
    wanted = [*tokens, net.special.end]
    scores, _, _ = net.decode(torch.tensor([[net.special.begin, *tokens]]).t(), state, memory)
    logs = scores[:, 0].double().log_softmax(1)
    return float(sum(logs[t, token] for t, token in enumerate(wanted))) / len(wanted)


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_finds_what_brute_force_finds(seed: int) -> None:
    net = model("gru", limit=4).eval().double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
    given = Batch(torch.tensor([[3], [1], [4]]), torch.tensor([3]))
    memory, state = net.encode(given)
    sequences = [list(tokens) for n in range(4) for tokens in product((3, 4, 5), repeat=n)]
    scored = sorted(((chance_of(net, given, tokens), tokens) for tokens in sequences), reverse=True)
    found = net.beam(memory, state, 1000)
    assert len(found) == len(sequences)
    assert [written.tokens for written in found[:5]] == [tokens for _, tokens in scored[:5]]
    assert found[0].score == pytest.approx(scored[0][0], abs=1e-6)
    assert net.beam(memory, state, 3)[0].score <= found[0].score + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_one_is_greedy_and_both_stop_at_the_limit(seed: int) -> None:
    net = model("lstm", limit=5).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
    given = Batch(batch().inputs, batch().lengths)
    rows = net.written(net(given))
    for b, length in enumerate(some(given.lengths).tolist()):
        memory, state = net.encode(Batch(given.inputs[:length, b : b + 1], torch.tensor([length])))
        written = net.beam(memory, state, 1)[0]
        assert written.tokens == rows[b]
        assert len(written.tokens) <= 5
        assert not set(written.tokens) & {0, 1, 2}
        assert written.ended == (len(written.tokens) < 5)
