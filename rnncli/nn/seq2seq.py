"""An encoder, a decoder that attends to it, and the search for the best output sequence.

The design is Luong, Pham and Manning 2015 (arXiv:1508.04025), global attention: the decoder's state h_t attends to
every encoder output, so with teacher forcing the decoder runs over a whole sequence in one call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncli.cells import CoreSpec, State
from rnncli.data.batch import Batch, mask
from rnncli.nn.model import Outputs
from rnncli.nn.recurrent import make_core, run

AttentionKind = Literal["general", "dot", "additive"]


class Attention(nn.Module):
    """The attention of each decoder step: a_t = softmax over the source of score(h_t, m_s), c_t = sum of a_t(s) m_s.

    h_t (B, Q): a decoder output; m_s (B, M): an encoder output. Scores: `dot` h·m and `general` h·(W m), Luong et al.
    2015, equation 8; `additive` v·tanh(W h + U m), Bahdanau, Cho and Bengio 2015 (arXiv:1409.0473), section A.1.2,
    there with the decoder's state before the step, here, as in Luong, with the state after it. additive needs memory
    for T_out·B·T_in·Q values, the others for T_out·B·T_in.
    """

    def __init__(self, kind: AttentionKind, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.kind = kind
        self.key = nn.Identity() if kind == "dot" else nn.Linear(memory_size, query_size, bias=False)
        if kind == "additive":
            self.query = nn.Linear(query_size, query_size, bias=False)
            self.v = nn.Linear(query_size, 1, bias=False)

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """query: (T_out, B, Q). Returns the contexts (T_out, B, M) and the weights (T_out, B, T_in), 0 on padding."""
        if self.kind == "additive":
            # (T_out, 1, B, Q) + (1, T_in, B, Q)
            sums = torch.tanh(self.query(query).unsqueeze(1) + memory.keys.unsqueeze(0))
            scores = self.v(sums).squeeze(3).transpose(1, 2)  # (T_out, B, T_in)
        else:
            scores = torch.einsum("obq,ibq->obi", query, memory.keys)
        if memory.inside is not None:
            scores = scores.masked_fill(~memory.inside.t(), -torch.inf)  # (B, T_in)
        weights = scores.softmax(2)
        return torch.einsum("obi,ibm->obm", weights, memory.values), weights

    def extra_repr(self) -> str:
        return self.kind


class Memory(NamedTuple):
    """The source as the decoder sees it. values: (T_in, B, M) encoder outputs; keys: (T_in, B, Q), the same transformed
    for the scores; inside: (T_in, B), False on padding, None without padding."""

    values: Tensor
    keys: Tensor
    inside: Tensor | None

    def rows(self, index: Tensor) -> Memory:
        """The selected rows of the batch."""
        inside = None if self.inside is None else self.inside[:, index]
        return Memory(self.values[:, index], self.keys[:, index], inside)


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of special target tokens. never: tokens that are never generated."""

    begin: int
    end: int
    never: tuple[int, ...]


class Seq2Seq(nn.Module):
    """source -> encoder -> bridge -> decoder with attention -> scores of the next target token.

    source, target: embeddings. The decoder has the encoder's cell and layers, and as many units as the encoder's
    output, D·H; its layer l starts from the last states of the encoder's layer l, directions concatenated (the bridge,
    without parameters). Scores are W_s tanh(W_c [c_t; h_t]), Luong et al. 2015, equations 5 and 6.

    limit: maximum number of tokens generated for one source.
    """

    def __init__(
        self,
        num_source: int,
        num_target: int,
        embedding_size: int,
        encoder: CoreSpec,
        attention: AttentionKind,
        special: SpecialTokens,
        limit: int,
        dropout: float = 0.0,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        self.special, self.limit, self.engine = special, limit, engine
        self.directions = encoder.num_directions
        size = encoder.output_size
        decoder = replace(
            encoder,
            input_size=embedding_size,
            hidden_size=encoder.hidden_size * self.directions,
            bidirectional=False,
            proj_size=encoder.proj_size * self.directions,
        )
        self.source = nn.Embedding(num_source, embedding_size)
        self.encoder = make_core(encoder, dropout)
        self.target = nn.Embedding(num_target, embedding_size)
        self.decoder = make_core(decoder, dropout)
        self.attention = Attention(attention, size, size)
        self.combine = nn.Linear(2 * size, size, bias=False)
        self.scores = nn.Linear(size, num_target)

    def forward(self, batch: Batch, state: State | None = None) -> Outputs:
        """batch.inputs: (T_in, B) source tokens. batch.extra["given"]: (T_out, B), the target shifted by the
        begin-of-sequence token; if missing, the model generates (`greedy`). Returns scores (T_out, B, V)."""
        memory, state = self.encode(batch)
        if "given" in batch.extra:
            scores, state, weights = self.decode(batch.extra["given"], state, memory)
            return Outputs(scores, state, attention=weights)
        return self.greedy(memory, state)

    def encode(self, batch: Batch) -> tuple[Memory, State]:
        """The source as the decoder sees it, and the decoder's initial state, (L, B, D·H) each."""
        values, last = run(self.encoder, self.source(batch.inputs), batch.lengths, engine=self.engine)
        inside = None
        if batch.lengths is not None and int(batch.lengths.min()) < len(values):
            inside = mask(batch.lengths.to(values.device), len(values))
        return Memory(values, self.attention.key(values), inside), tuple(self._bridge(part) for part in last)

    def _bridge(self, state: Tensor) -> Tensor:
        """(L·D, B, H) -> (L, B, D·H). A matrix (L·D, B, H, H) -> (L, B, D·H, D·H): the directions' blocks on its
        diagonal, so that one direction's rows meet the same columns as in the encoder."""
        D = self.directions
        LD, B, *sizes = state.shape
        apart = state.view(LD // D, D, B, *sizes)
        if len(sizes) == 1 or D == 1:
            return apart.transpose(1, 2).flatten(2, 3).contiguous()
        whole = state.new_zeros(LD // D, B, *(D * size for size in sizes))
        for d in range(D):
            block = tuple(slice(d * size, (d + 1) * size) for size in sizes)
            whole[(slice(None), slice(None), *block)] = apart[:, d]
        return whole

    def decode(self, given: Tensor, state: State, memory: Memory) -> tuple[Tensor, State, Tensor]:
        """given: (T, B), the tokens before each step. Returns scores (T, B, V), the last state, weights (T, B,
        T_in)."""
        output, state = run(self.decoder, self.target(given), None, state, engine=self.engine)
        context, weights = self.attention(output, memory)
        mixed = torch.tanh(self.combine(torch.cat([context, output], dim=2)))  # (T, B, D·H)
        return self.scores(mixed), state, weights

    def greedy(self, memory: Memory, state: State) -> Outputs:
        """Greedy decoding, until every sequence has ended. Outputs.lengths: steps of each sequence, (B,), including the
        end token. In the graph, if there is one."""
        B = memory.values.shape[1]
        tokens = torch.full((1, B), self.special.begin, device=memory.values.device)
        lengths = torch.full((B,), self.limit)
        scores: list[Tensor] = []
        weights: list[Tensor] = []
        for t in range(self.limit):
            step, state, weight = self.decode(tokens, state, memory)
            scores.append(step)
            weights.append(weight)
            tokens = self.allowed(step.detach()).argmax(2)
            ended = (tokens[0] == self.special.end).cpu() & (lengths == self.limit)
            lengths[ended] = t + 1
            if bool((lengths <= t + 1).all()):
                break
        return Outputs(torch.cat(scores), state, lengths, torch.cat(weights))

    def allowed(self, scores: Tensor) -> Tensor:
        """The same scores (..., V), -inf for tokens that are never generated."""
        scores = scores.clone()
        scores[..., list(self.special.never)] = -torch.inf
        return scores

    def written(self, outputs: Outputs) -> list[list[int]]:
        """The tokens generated by `greedy`, per sequence, without the end token."""
        assert outputs.lengths is not None
        best = self.allowed(outputs.scores).argmax(2)  # (T_out, B)
        rows = [best[:length, b].tolist() for b, length in enumerate(outputs.lengths.tolist())]
        return [row[:-1] if row[-1:] == [self.special.end] else row for row in rows]

    @torch.no_grad()
    def beam(self, memory: Memory, state: State, width: int) -> list[Written]:
        """Beam search for one source: the `width` best output sequences found, best first.

        Sequences are ranked by log probability divided by length, including the end token (without normalization short
        ones win; Cho et al. 2014, arXiv:1409.1259). A finished sequence leaves the beam, which continues with the rest
        of its width; a width of 1 is `greedy`. Sequences unfinished at the limit count only if none has finished.
        """
        done: list[Written] = []
        open_: list[tuple[list[int], float]] = [([], 0.0)]
        for t in range(self.limit):
            last = [tokens[-1] if tokens else self.special.begin for tokens, _ in open_]
            given = torch.tensor([last], device=memory.values.device)  # (1, K)
            K = len(open_)
            step, state, _ = self.decode(given, state, memory.rows(torch.zeros(K, dtype=torch.int64)))
            log_probs = self.allowed(F.log_softmax(step[0].double(), 1)).cpu()  # (K, V)
            sums = torch.tensor([total for _, total in open_], dtype=torch.float64).unsqueeze(1) + log_probs
            best = sums.flatten().topk(min(width - len(done), sums.numel()))
            kept: list[int] = []
            found: list[tuple[list[int], float]] = []
            for total, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                row, token = divmod(place, log_probs.shape[1])
                if total == -float("inf"):
                    continue
                if token == self.special.end:
                    done.append(Written(open_[row][0], total / (t + 1), True))
                else:
                    kept.append(row)
                    found.append(([*open_[row][0], token], total))
            open_ = found
            if not open_:
                break
            index = torch.tensor(kept, device=memory.values.device)
            state = tuple(part.index_select(1, index) for part in state)
        if not done:
            done = [Written(tokens, total / len(tokens), False) for tokens, total in open_]
        return sorted(done, key=lambda written: -written.score)


class Written(NamedTuple):
    """tokens: without the end token. score: mean log probability per token, including the end token. ended: whether the
    end token came before the limit."""

    tokens: list[int]
    score: float
    ended: bool
