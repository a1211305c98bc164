"""What a trace costs: time beside a loop over torch's own cell, memory with what is kept. Evidence, in its own file."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from rnncli.replay import trace

EVIDENCE = Path(__file__).parents[1] / "evidence"
CELLS: dict[str, tuple[type[nn.RNN | nn.GRU | nn.LSTM], type[nn.RNNCell | nn.GRUCell | nn.LSTMCell]]] = {
    "rnn": (nn.RNN, nn.RNNCell),
    "gru": (nn.GRU, nn.GRUCell),
    "lstm": (nn.LSTM, nn.LSTMCell),
}


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.mark.evidence
@pytest.mark.parametrize("cell", CELLS)
def test_a_trace_costs_at_most_twice_a_loop_over_torchs_cell(cell: str) -> None:
    """T=10,000 at H=256, checks included; the median of paired rounds."""
    T, H = 10_000, 256
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    whole, one = CELLS[cell]
    model, single = whole(H, H), one(H, H)
    x = torch.randn(T, 1, H)

    def loop() -> None:
        state = None
        with torch.no_grad():
            for step in x:
                state = single(step, state)

    try:
        ratios = [_timed(lambda: trace(model, x)) / _timed(loop) for _ in range(7)]
    finally:
        torch.set_num_threads(threads)
    median = statistics.median(ratios)
    figures = {"T": T, "H": H, "ratios": ratios, "median": median, "torch": torch.__version__}
    EVIDENCE.mkdir(exist_ok=True)
    (EVIDENCE / f"trace-cost-{cell}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    assert median <= 2


@pytest.mark.parametrize("part", ["whole", "steps", "units"])
def test_memory_is_linear_in_what_is_kept(part: str) -> None:
    """Bytes of all recorded tensors that stay alive, counted, for T and 2T."""
    kept = []
    for T in (50, 100):
        model, x = nn.LSTM(8, 16), torch.randn(T, 1, 8)
        made = trace(model, x, steps=range(10) if part == "steps" else None, units=[0, 1] if part == "units" else None)
        storages = {}
        for layer in made.cores[0].calls[0].layers.values():
            for by_step in layer.steps.values():
                for tensor in by_step.values():
                    storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        kept.append(sum(storages.values()))
    small, large = kept
    assert large == (small if part == "steps" else 2 * small)
