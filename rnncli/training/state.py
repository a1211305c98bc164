"""The state needed to resume training."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from rnncli.cells import State
from rnncli.data.batch import Batch
from rnncli.tasks import Loss, Metrics


def zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)


@dataclass
class TrainState:
    """Everything needed to resume training: the content of a checkpoint, except torch's random state.

    loss: computes a batch's loss from a carry; after backward, its gradients cover the rows of all processes. scaler:
    for fp16, whose small gradients are zero unless the loss is scaled up (Micikevicius et al. 2018, arXiv:1710.03740,
    section 3.2); bfloat16 has the range of float32. asked: why training should end after this epoch; not part of a
    checkpoint.
    """

    model: nn.Module
    loss: Callable[[Batch, State | None], Loss]
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None
    scaler: torch.amp.GradScaler = field(default_factory=partial(torch.amp.GradScaler, enabled=False))
    epoch: int = 1
    next_batch: int = 0
    step: int = 0
    carry: State | None = None
    total: Tensor = field(default_factory=zero)  # of the loss in the epoch so far, () float64
    count: float = 0.0
    counted: float = 0.0  # steps or rows since the start, for the speed
    seconds: float = 0.0
    watch: str = ""
    lr: float = 0.0  # of the last training step
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    best_metrics: Metrics = field(default_factory=dict)
    moved: list[str] = field(default_factory=list)  # metrics that have had more than one value
    waited: int = 0  # epochs since the best one
    asked: str = ""
    norms: deque[Tensor] = field(default_factory=lambda: deque(maxlen=5))  # gradient norms of the last training steps
