import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pad_sequence

from rnncli.data.batch import Order, index_batches, mask, pad, permutation, stream_batches, stream_steps
from rnncli.errors import DataError, UsageError

SIZES = {"n": st.integers(0, 200), "batch_size": st.integers(1, 17), "seed": st.integers(0, 2**70)}


@given(**SIZES, epoch=st.integers(0, 5), world=st.integers(1, 4), shuffle=st.booleans(), bucket=st.booleans())
def test_processes_share_the_very_batches_of_one(
    n: int, batch_size: int, seed: int, epoch: int, world: int, shuffle: bool, bucket: bool
) -> None:
    lengths = [i * 7919 % 31 for i in range(n)] if bucket else None
    whole = list(index_batches(n, batch_size, Order(seed, epoch), shuffle=shuffle, lengths=lengths))
    assert len(whole) == math.ceil(n / batch_size)
    assert sorted(itertools.chain(*whole)) == list(range(n))
    shares = [
        list(index_batches(n, batch_size, Order(seed, epoch, 0, rank, world), shuffle=shuffle, lengths=lengths))
        for rank in range(world)
    ]
    for k, batch in enumerate(whole):
        merged = [row for group in itertools.zip_longest(*(share[k] for share in shares)) for row in group]
        assert [row for row in merged if row is not None] == batch
    for k in range(len(whole) + 1):
        assert list(index_batches(n, batch_size, Order(seed, epoch, k), shuffle=shuffle, lengths=lengths)) == whole[k:]


def test_epochs_and_seeds_differ() -> None:
    orders = [(seed, epoch) for seed in range(5) for epoch in range(5)]
    drawn = {tuple(itertools.chain(*index_batches(50, 8, Order(*order), shuffle=True))) for order in orders}
    assert len(drawn) == 25


def test_the_order_of_a_seed_is_fixed_for_good() -> None:
    assert permutation(10, 0, 0).tolist() == [3, 1, 5, 8, 6, 4, 9, 7, 0, 2]


def test_buckets_hold_similar_lengths() -> None:
    lengths = [i * 7919 % 1000 for i in range(3200)]
    spans = []
    for given_lengths in (None, lengths):
        batches = index_batches(3200, 16, Order(0, 0), shuffle=True, lengths=given_lengths)
        spans.append([max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in batches])
    assert sum(spans[1]) < 0.05 * sum(spans[0])
    starts = [batch[0] for batch in index_batches(3200, 16, Order(0, 0), shuffle=True, lengths=lengths)]
    assert [lengths[i] for i in starts] != sorted(lengths[i] for i in starts)


@given(st.lists(st.lists(st.integers(-9, 9), max_size=6), min_size=1, max_size=5), st.integers(-3, 3))
def test_pad_against_torch(rows: list[list[int]], value: int) -> None:
    padded, lengths = pad(rows, value)
    expected = pad_sequence([torch.tensor(row, dtype=torch.int64) for row in rows], padding_value=value)
    assert torch.equal(padded, expected)
    assert lengths.tolist() == [len(row) for row in rows]
    inside = mask(lengths, padded.shape[0])
    assert inside.shape == padded.shape
    assert torch.equal(inside.sum(0), lengths)
    assert padded[inside].sum() == sum(itertools.chain(*rows))


def test_pad_of_features_and_of_nothing() -> None:
    padded, lengths = pad([torch.ones(3, 2), torch.ones(1, 2, dtype=torch.float32)], value=-1)
    assert padded.tolist() == [[[1, 1], [1, 1]], [[1, 1], [-1, -1]], [[1, 1], [-1, -1]]]
    assert lengths.tolist() == [3, 1]
    assert pad([])[0].shape == (0, 0)
    assert pad([[], [0.5]])[0].tolist() == [[0, 0.5]]


class Held:
    """A tensor (N,) as a long text."""

    def __init__(self, ids: torch.Tensor) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, start: int, stop: int) -> Any:
        assert 0 <= start <= stop <= len(self.ids)
        return self.ids[start:stop].to(torch.int64).numpy()


def test_streams_by_hand() -> None:
    text = torch.arange(12, dtype=torch.uint8)
    windows = [(x.T.tolist(), y.T.tolist()) for x, y in stream_batches(Held(text), 3, 2, Order(0, 0))]
    # 11 steps, two streams of 5; token 11 is left over.
    assert windows == [
        ([[0, 1, 2], [5, 6, 7]], [[1, 2, 3], [6, 7, 8]]),
        ([[3, 4], [8, 9]], [[4, 5], [9, 10]]),
    ]


@pytest.mark.parametrize("ahead", [1, 40, 1 << 18])
@settings(max_examples=50)
@given(
    n=st.integers(2, 300), window=st.integers(1, 20), streams=st.integers(1, 8), world=st.integers(1, 3),
    start=st.integers(0, 5)
)  # fmt: skip
def test_streams_read_the_text_once(ahead: int, n: int, window: int, streams: int, world: int, start: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnncli.data.batch.AHEAD", ahead)
        streams_read_the_text_once(n, window, streams, world, start)


def streams_read_the_text_once(n: int, window: int, streams: int, world: int, start: int) -> None:
    text = torch.randperm(n, generator=torch.Generator().manual_seed(n))
    if n - 1 < streams or streams < world:
        with pytest.raises((DataError, UsageError)):
            next(stream_batches(Held(text), window, streams, Order(0, 0, 0, world - 1, world)))
        return
    whole = list(stream_batches(Held(text), window, streams, Order(0, 0)))
    inputs, targets = torch.cat([x for x, _ in whole]), torch.cat([y for _, y in whole])  # (S, B)
    steps = stream_steps(n, streams)
    assert inputs.shape == (steps, streams)
    assert torch.equal(inputs.T.reshape(-1), text[: steps * streams])
    assert torch.equal(targets.T.reshape(-1), text[1 : steps * streams + 1])
    later = list(stream_batches(Held(text), window, streams, Order(0, 0, start)))
    assert [x.tolist() for x, _ in later] == [x.tolist() for x, _ in whole[start:]]
    shares = [list(stream_batches(Held(text), window, streams, Order(7, 3, 0, rank, world))) for rank in range(world)]
    for k, (x, y) in enumerate(whole):
        for rank in range(world):
            assert torch.equal(shares[rank][k][0], x[:, rank::world])
            assert torch.equal(shares[rank][k][1], y[:, rank::world])
            assert shares[rank][k][0].is_contiguous()


def test_orders_that_are_none() -> None:
    for wrong in ({"seed": -1}, {"epoch": -1}, {"rank": 1}, {"next_batch": -1}, {"world": 0}):
        with pytest.raises(ValueError, match="not an order"):
            Order(**{"seed": 0, "epoch": 0, **wrong})
