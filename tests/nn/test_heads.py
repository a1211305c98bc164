"""Heads, against a loop over rows that knows nothing of padding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from rnncli.nn.heads import DirectHorizon, LastState, MaxPool, MeanPool

LENGTHS = [5, 1, 3]


Cell = type[nn.GRU | nn.LSTM | nn.RNN]


def ragged(cell: Cell = nn.GRU) -> tuple[list[Tensor], Tensor, tuple[Tensor, ...], nn.RNNBase]:
    """A two-layer bidirectional core over packed rows: rows, output (T, B, 2H), state, and the core."""
    torch.manual_seed(0)
    core = cell(2, 3, num_layers=2, bidirectional=True)
    rows = [torch.randn(n, 2) for n in LENGTHS]
    packed = pack_padded_sequence(pad_sequence(rows), torch.tensor(LENGTHS), enforce_sorted=False)
    output, state = core(packed)
    return rows, pad_packed_sequence(output)[0], state if isinstance(state, tuple) else (state,), core


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM, nn.RNN])
def test_last_state_of_a_padded_row_is_that_of_the_row_alone(cell: Cell) -> None:
    rows, output, state, core = ragged(cell)
    head = LastState(6, 4)
    scores = head(output, state, torch.tensor(LENGTHS))  # (B, C)
    for b, row in enumerate(rows):
        alone, _ = core(row[:, None])
        # forward: what the last step gives; reverse: what the first gives
        joined = torch.cat([alone[-1, 0, :3], alone[0, 0, 3:]])
        torch.testing.assert_close(scores[b], head.weight @ joined + head.bias)


@pytest.mark.parametrize(
    ("head", "pool"), [(MeanPool, lambda steps: steps.mean(0)), (MaxPool, lambda steps: steps.max(0).values)]
)
def test_pools_see_no_padding(head: type[MeanPool | MaxPool], pool: Callable[[Tensor], Tensor]) -> None:
    _, output, state, _ = ragged()
    # whatever stands behind a row's end, large or small, changes nothing
    for filler in (0.0, 9.0, -9.0):
        spoilt = output.clone()
        for b, n in enumerate(LENGTHS):
            spoilt[n:, b] = filler
        made = head(6, 4)
        scores = made(spoilt, state, torch.tensor(LENGTHS))
        for b, n in enumerate(LENGTHS):
            torch.testing.assert_close(scores[b], made.weight @ pool(output[:n, b]) + made.bias)
    whole = made(output[:, :1], state, None)
    torch.testing.assert_close(whole, made(output[:, :1], state, torch.tensor([5])))


def test_direct_horizon_gives_step_k_of_series_n_from_its_own_rows_of_weight() -> None:
    _, output, state, _ = ragged()
    head = DirectHorizon(6, horizon=4, num_targets=2, known_ahead=1)
    future = torch.randn(4, 3, 1)
    forecast = head(output, state, None, future)
    assert forecast.shape == (4, 3, 2)
    for b in range(3):
        given = torch.cat([state[0][2, b], state[0][3, b], future[:, b, 0]])  # top layer, both directions, then ahead
        for k in range(4):
            for n in range(2):
                row = k * 2 + n
                torch.testing.assert_close(forecast[k, b, n], head.weight[row] @ given + head.bias[row])
