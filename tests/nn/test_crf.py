"""The CRF against all sequences of labels, one by one, and against pytorch-crf."""

from __future__ import annotations

from importlib import import_module
from itertools import product

import pytest
import torch
from torch import Tensor

from rnncli.nn.crf import Crf
from tests.narrowed import some

C, LENGTHS = 3, [4, 1, 3]


@pytest.fixture
def crf() -> Crf:
    torch.manual_seed(0)
    made = Crf(2, C).double()
    with torch.no_grad():
        for parameter in (made.transitions, made.start, made.end):
            parameter.normal_()
    return made


def scores_and_lengths() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(max(LENGTHS), len(LENGTHS), C, dtype=torch.float64), torch.tensor(LENGTHS)


def score(crf: Crf, scores: Tensor, labels: tuple[int, ...]) -> Tensor:
    """Of one row's labels, by the definition. scores: (T, C)."""
    total = crf.start[labels[0]] + crf.end[labels[-1]]
    for t, label in enumerate(labels):
        total = total + scores[t, label]
        if t:
            total = total + crf.transitions[labels[t - 1], label]
    return total


def test_against_all_sequences_of_labels(crf: Crf) -> None:
    """log Z, the likelihood (of labels of which one is not given, too), marginals and the best row."""
    scores, lengths = scores_and_lengths()
    targets = torch.tensor([[0, 2, 1], [1, 0, -100], [2, 0, 0], [2, 1, 1]])  # (T, B)
    likelihood, partition = crf.log_likelihood(scores, targets, lengths), crf.log_partition(scores, lengths)
    marginals, best = crf.log_marginals(scores, lengths), crf.best(scores, lengths)
    for b, T in enumerate(LENGTHS):
        rows = list(product(range(C), repeat=T))
        each = torch.stack([score(crf, scores[:, b], row) for row in rows])
        torch.testing.assert_close(partition[b], each.logsumexp(0), rtol=1e-13, atol=1e-13)
        wanted = targets[:T, b].tolist()
        fit = [all(w in (-100, label) for w, label in zip(wanted, row, strict=True)) for row in rows]
        torch.testing.assert_close(likelihood[b], each[fit].logsumexp(0) - each.logsumexp(0), rtol=1e-13, atol=1e-13)
        chances = each.softmax(0)
        for t, label in product(range(T), range(C)):
            there = chances[[row[t] == label for row in rows]].sum()
            torch.testing.assert_close(marginals[t, b, label].exp(), there, rtol=1e-12, atol=1e-13)
        assert tuple(best[:T, b].tolist()) == rows[int(each.argmax())]


def test_what_stands_after_a_row_changes_nothing(crf: Crf) -> None:
    """Neither a value nor a gradient, whether numbers or infinities stand there."""
    scores, lengths = scores_and_lengths()
    targets = torch.zeros(scores.shape[:2], dtype=torch.int64)
    found = []
    for filler in (0.0, 1e6, -1e6):
        spoilt = scores.clone()
        for b, T in enumerate(LENGTHS):
            spoilt[T:, b] = filler
        crf.zero_grad()
        crf.log_likelihood(spoilt, targets, lengths).sum().backward()
        marginals, best = crf.log_marginals(spoilt, lengths), crf.best(spoilt, lengths)
        inside = torch.arange(len(scores))[:, None] < lengths
        found.append([marginals, best[inside], some(crf.transitions.grad), some(crf.end.grad)])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=0)
    alone = crf.best(scores[: LENGTHS[2], 2:], None)
    assert alone[:, 0].tolist() == crf.best(scores, lengths)[: LENGTHS[2], 2].tolist()


def test_fresh_it_is_a_softmax_at_every_step() -> None:
    """All that joins labels begins at 0: the likelihood is that of independent steps, and so is the best row."""
    torch.manual_seed(0)
    fresh, (scores, lengths) = Crf(2, C).double(), scores_and_lengths()
    inside = torch.arange(len(scores))[:, None] < lengths
    targets = torch.randint(C, scores.shape[:2])
    independent = scores.log_softmax(2).gather(2, targets[..., None])[..., 0].masked_fill(~inside, 0.0).sum(0)
    torch.testing.assert_close(fresh.log_likelihood(scores, targets, lengths), independent, rtol=1e-13, atol=1e-13)
    assert torch.equal(fresh.best(scores, lengths)[inside], scores.argmax(2)[inside])


def test_scores_in_bfloat16_are_added_up_in_float32(crf: Crf) -> None:
    low = crf.to(torch.bfloat16)
    scores, lengths = scores_and_lengths()
    given = scores.to(torch.bfloat16)
    wide = Crf(2, C)
    wide.load_state_dict({name: tensor.float() for name, tensor in low.state_dict().items()})
    assert torch.equal(low.log_partition(given, lengths), wide.log_partition(given.float(), lengths))


def test_gradients_by_differences(crf: Crf) -> None:
    scores, lengths = scores_and_lengths()
    targets = torch.tensor([[0, 2, 1], [1, 0, -100], [2, 0, 0], [2, 1, 1]])

    def likelihood(given: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> Tensor:
        parameters = {"transitions": transitions, "start": start, "end": end}
        made: Tensor = torch.func.functional_call(
            _Likelihood(crf), {f"crf.{k}": v for k, v in parameters.items()}, (given, targets, lengths)
        )
        return made

    given = [tensor.detach().clone().requires_grad_() for tensor in (scores, crf.transitions, crf.start, crf.end)]
    assert torch.autograd.gradcheck(likelihood, given)


class _Likelihood(torch.nn.Module):
    def __init__(self, crf: Crf) -> None:
        super().__init__()
        self.crf = crf

    def forward(self, scores: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
        return self.crf.log_likelihood(scores, targets, lengths)


@pytest.mark.parametrize("seed", range(3))
def test_the_same_as_pytorch_crf(seed: int) -> None:
    """Likelihood, gradients and the best rows, in float64, of padded rows."""
    torch.manual_seed(seed)
    pytest.importorskip("torchcrf", reason="pytorch-crf is not installed")
    T, B, size = 9, 5, 6
    lengths = torch.tensor([9, 1, 4, 7, 2])
    theirs, ours = import_module("torchcrf").CRF(size).double(), Crf(2, size).double()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_()
        ours.transitions.copy_(theirs.transitions)
        ours.start.copy_(theirs.start_transitions)
        ours.end.copy_(theirs.end_transitions)
    scores = torch.randn(T, B, size, dtype=torch.float64, requires_grad=True)
    targets, inside = torch.randint(size, (T, B)), torch.arange(T)[:, None] < lengths
    wanted = theirs(scores, targets, mask=inside, reduction="none")
    found = ours.log_likelihood(scores, targets, lengths)
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=1e-12)
    weights = torch.randn(B, dtype=torch.float64)
    all_theirs = [scores, theirs.transitions, theirs.start_transitions, theirs.end_transitions]
    for one, other in zip(
        torch.autograd.grad(found @ weights, [scores, ours.transitions, ours.start, ours.end]),
        torch.autograd.grad(wanted @ weights, all_theirs),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    rows = [row[:n] for row, n in zip(ours.best(scores, lengths).t().tolist(), lengths.tolist(), strict=True)]
    assert rows == theirs.decode(scores, mask=inside)
