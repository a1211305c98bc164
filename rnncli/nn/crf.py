"""A linear-chain conditional random field: it scores the labels of a sequence jointly, so that no I-PER follows B-LOC.

The score of labels y_1 ... y_T is start[y_1] + Σ_t scores[t, y_t] + Σ_t transitions[y_(t-1), y_t] + end[y_T]; their
probability is its exponential divided by Z, the sum over all label sequences, computed by a recursion over the steps.
Lafferty, McCallum, Pereira 2001; over an LSTM: Lample et al. 2016 (arXiv:1603.01360), section 2.2.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from rnncli.data.batch import mask
from rnncli.nn.heads import PerStep
from rnncli.nn.model import Outputs


class Crf(PerStep):
    """Scores at every step like `PerStep`, and transition scores. transitions: (C, C), from the row's label to the
    column's. start, end: (C,). All three are initialized to 0, where labels are independent.

    In all methods, scores are (T, B, C), and lengths (B,), None if all sequences have T steps.
    """

    def __init__(self, size: int, num_labels: int) -> None:
        super().__init__(size, num_labels)
        self.transitions = nn.Parameter(torch.zeros(num_labels, num_labels))
        self.start = nn.Parameter(torch.zeros(num_labels))
        self.end = nn.Parameter(torch.zeros(num_labels))

    def log_likelihood(self, scores: Tensor, targets: Tensor, lengths: Tensor | None) -> Tensor:
        """log p of each sequence's labels, (B,). targets: (T, B); steps with a negative target are marginalized out."""
        given = targets.unsqueeze(2)
        other = torch.arange(self.out_features, device=scores.device) != given  # (T, B, C)
        wanted = scores.masked_fill(other & (given >= 0), -torch.inf)
        twice = None if lengths is None else lengths.repeat(2)
        allowed, all_ = self.log_partition(torch.cat((wanted, scores), dim=1), twice).chunk(2)
        return allowed - all_

    def log_partition(self, scores: Tensor, lengths: Tensor | None) -> Tensor:
        """log Z of each sequence, (B,): the logarithm of the sum over all its label sequences."""
        (*_, last) = self._forward(_wide(scores), lengths)
        return (last + self.end.to(last)).logsumexp(1)

    def _forward(self, scores: Tensor, lengths: Tensor | None) -> Iterator[Tensor]:
        """For each t, (B, C): log of the sum over all prefixes that end in each label there; constant after a
        sequence's end."""
        transitions, inside = self.transitions.to(scores), _inside(scores, lengths)
        alpha = self.start.to(scores) + scores[0]
        yield alpha
        for t in range(1, len(scores)):
            after = (alpha.unsqueeze(2) + transitions).logsumexp(1) + scores[t]
            alpha = torch.where(inside[t], after, alpha)
            yield alpha

    def log_marginals(self, scores: Tensor, lengths: Tensor | None) -> Tensor:
        """Log marginal probability of each label at each step, (T, B, C); 0 after a sequence's end."""
        scores = _wide(scores)
        transitions, inside, end = self.transitions.to(scores), _inside(scores, lengths), self.end.to(scores)
        alpha = torch.stack(list(self._forward(scores, lengths)))  # (T, B, C)
        beta = [end.expand_as(alpha[0])]  # from the last step on: log of the sum over all suffixes
        for t in range(len(scores) - 1, 0, -1):
            before = (transitions + (scores[t] + beta[-1]).unsqueeze(1)).logsumexp(2)
            beta.append(torch.where(inside[t], before, end))
        joint = alpha + torch.stack(beta[::-1])
        return (joint - joint.logsumexp(2, keepdim=True)).masked_fill(~inside, 0.0)

    @torch.no_grad()
    def best(self, scores: Tensor, lengths: Tensor | None) -> Tensor:
        """The most likely label sequence of each row, (T, B); after its end, its last label. Viterbi 1967."""
        scores = _wide(scores)
        transitions, inside = self.transitions.to(scores), _inside(scores, lengths)
        stay = torch.arange(self.out_features, device=scores.device)
        value, came = self.start.to(scores) + scores[0], []  # (B, C); backpointers for each t from 1
        for t in range(1, len(scores)):
            top, origin = (value.unsqueeze(2) + transitions).max(1)
            came.append(torch.where(inside[t], origin, stay))
            value = torch.where(inside[t], top + scores[t], value)
        path = [(value + self.end.to(scores)).argmax(1, keepdim=True)]  # (B, 1), from the last step on
        for origin in reversed(came):
            path.append(origin.gather(1, path[-1]))
        return torch.cat(path[::-1], dim=1).t()


def _wide(scores: Tensor) -> Tensor:
    """Sums over a sequence need more precision than bfloat16."""
    return scores if scores.dtype == torch.float64 else scores.float()


def _inside(scores: Tensor, lengths: Tensor | None) -> Tensor:
    """(T, B, 1): whether a step is inside its sequence."""
    T, B = scores.shape[:2]
    if lengths is None:
        return torch.ones(T, B, 1, dtype=torch.bool, device=scores.device)
    return mask(lengths.to(scores.device), T).unsqueeze(2)


def crf_of(model: nn.Module) -> Crf | None:
    """The model's CRF, None if it has none."""
    return next((module for module in model.modules() if isinstance(module, Crf)), None)


def best_labels(model: nn.Module, outputs: Outputs) -> Tensor:
    """The predicted labels, (T, B): the best sequence with a CRF, else each step's best score."""
    crf = crf_of(model)
    return outputs.scores.argmax(2) if crf is None else crf.best(outputs.scores, outputs.lengths)


def with_marginals(model: nn.Module, outputs: Outputs) -> Outputs:
    """The same outputs with scores whose softmax is the probability of each label at each step: the log marginals with
    a CRF, else the scores unchanged."""
    crf = crf_of(model)
    if crf is None:
        return outputs
    with torch.set_grad_enabled(outputs.scores.requires_grad):
        return outputs._replace(scores=crf.log_marginals(outputs.scores, outputs.lengths))
