"""Convolutional front ends against the same sums written out, and rows alone against rows in a batch."""

import pytest
import torch

from rnncli.data.batch import Batch, pad
from rnncli.nn.frontends import ConvFrames, ConvSubsampling, subsampled
from tests.narrowed import of_kind, some


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_a_row_is_the_same_alone_and_in_a_batch(factor: int) -> None:
    torch.manual_seed(0)
    front = ConvSubsampling([0.5] * 3, [2.0] * 3, 6, factor).double()
    rows = [torch.randn(T, 3, dtype=torch.float64) for T in (1, 2, 5, 9, 12)]
    together, lengths = front(Batch(*pad(rows)))
    assert lengths is not None
    assert lengths.tolist() == [subsampled(len(row), factor) for row in rows]
    assert together.shape == (subsampled(12, factor), 5, 6)
    for b, row in enumerate(rows):
        alone, _ = front(Batch(row.unsqueeze(1)))
        assert len(alone) == lengths[b]
        assert torch.allclose(together[: len(alone), b], alone[:, 0], atol=1e-12)


def test_subsampling_is_a_sum_over_five_steps() -> None:
    torch.manual_seed(0)
    front = ConvSubsampling([1.0, -1.0], [2.0, 0.5], 3, 2)
    x = torch.randn(7, 1, 2)
    found, _ = front(Batch(x))
    standard = torch.cat([torch.zeros(2, 2), (x[:, 0] - torch.tensor([1.0, -1.0])) / torch.tensor([2.0, 0.5])])
    standard = torch.cat([standard, torch.zeros(2, 2)])
    conv = of_kind(torch.nn.Conv1d, front.convs[0])
    for step in range(4):
        window = standard[2 * step : 2 * step + 5]  # (5, 2)
        wanted = torch.einsum("kf,cfk->c", window, conv.weight) + some(conv.bias)
        assert torch.allclose(found[step, 0], wanted.clamp(min=0), atol=1e-6)


def test_frames_know_nothing_of_time_and_batch() -> None:
    """Every frame alone, and frames in another order, give the same numbers; gradients reach every weight."""
    torch.manual_seed(0)
    front = ConvFrames(7, 5, [10.0, 20.0], [3.0, 4.0], [4, 6], 8)
    x = torch.randint(0, 255, (3, 2, 7, 5, 2)).float()
    found, _ = front(Batch(x))
    assert found.shape == (3, 2, 8)
    for t in range(3):
        for b in range(2):
            image = (x[t, b] - torch.tensor([10.0, 20.0])) / torch.tensor([3.0, 4.0])
            alone = front.net(image.permute(2, 0, 1).unsqueeze(0))[0]
            assert torch.allclose(found[t, b], alone, atol=1e-5)
    found.sum().backward()
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in front.parameters())
