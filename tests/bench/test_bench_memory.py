"""Peak memory of a run, against a tensor of a known size."""

from __future__ import annotations

import sys

import pytest
import torch

from rnncli.bench.memory import peak_of

CPU, MIB = torch.device("cpu"), 2**20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux counts it")


def test_what_a_run_holds_at_once_is_its_peak() -> None:
    """64 MiB, and twice as much where two are held; freed ones do not add up, and earlier runs hide nothing."""

    def hold(count: int, rounds: int) -> None:
        for _ in range(rounds):
            held = [torch.ones(16 * MIB) for _ in range(count)]
            assert len(held) == count
            del held

    peak_of(lambda: hold(3, 1), CPU)
    for count, rounds in ((1, 1), (1, 3), (2, 1)):
        peak = peak_of(lambda: hold(count, rounds), CPU)  # noqa: B023
        assert peak is not None
        assert 60 * MIB * count < peak < 80 * MIB * count


def test_where_nobody_counts() -> None:
    assert peak_of(lambda: None, torch.device("meta")) is None
