"""The shared path of most models: front end -> recurrent core -> head."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from rnncli.cells import State
from rnncli.data.batch import Batch
from rnncli.nn.frontends import Rows, rows_of
from rnncli.nn.ngrams import NgramScores
from rnncli.nn.recurrent import Core, reads_tables, run
from rnncli.nn.weight_drop import dropped


class Outputs(NamedTuple):
    """The output of a model. scores: depending on the task, usually (T, B, C) or (B, C). state: the core's last state.
    lengths: of scores, if the front end changed them. attention: (T_out, B, T_in), for models with attention. bounds:
    (2, *scores.shape), lower and upper, for models that predict them."""

    scores: Tensor
    state: State | None = None
    lengths: Tensor | None = None
    attention: Tensor | None = None
    bounds: Tensor | None = None


class SequenceModel(nn.Module):
    """front: Batch -> x (T, B, I), lengths. rnn: the core. head: (output (T, B, D·H), last state, lengths) -> scores.

    The core's weights have nn.LSTM's own names under `rnn.`. engine: how the core runs; it affects results only by
    rounding. weight_drop: share of the recurrent weights dropped per training batch. ngrams: added to the scores of a
    whole text. outer_dropout: dropout on x_t and on the head's input in training.
    """

    def __init__(
        self,
        front: nn.Module,
        rnn: Core,
        head: nn.Module,
        engine: str = "auto",
        weight_drop: float = 0.0,
        ngrams: NgramScores | None = None,
        outer_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.front = front
        self.rnn = rnn
        self.head = head
        self.engine = engine
        self.weight_drop = weight_drop
        self.ngrams = ngrams
        self.outer_dropout = outer_dropout

    def forward(self, batch: Batch, state: State | None = None) -> Outputs:
        x, lengths = self._input(batch)
        with dropped(self.rnn, self.weight_drop if self.training else 0.0):
            output, last = run(self.rnn, x, lengths, state, engine=self.engine)
        scores = self.head(self._thinned(output), tuple(map(self._thinned, last)), lengths)
        if self.ngrams is not None:
            scores = scores + self.ngrams(batch.inputs, batch.lengths)
        return Outputs(scores, last, lengths)

    def _input(self, batch: Batch) -> tuple[Tensor | Rows, Tensor | None]:
        if self.training and self.outer_dropout:
            x, lengths = self.front(batch)
            return self._thinned(x), lengths
        found: tuple[Tensor | Rows, Tensor | None]
        found = rows_of(self.front, batch) if reads_tables(self.engine) else self.front(batch)
        return found

    def _thinned(self, values: Tensor) -> Tensor:
        return F.dropout(values, self.outer_dropout, self.training) if self.outer_dropout else values
