"""Which epoch is kept: the best by the recipe's metric, and among equals the one with the lowest loss."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rnncli.locale import tr
from rnncli.tasks import Metrics


def rank(metrics: Metrics, by: str, direction: str) -> tuple[float, float]:
    """What epochs are ordered by, the smaller the better: the metric `by`, then the held-out loss. What is not finite
    comes last. direction: of the metric, "lower" or "higher"."""
    score, loss = metrics[by], metrics["loss"]
    signed = score if direction == "lower" else -score
    return (signed if math.isfinite(score) else math.inf), (loss if math.isfinite(loss) else math.inf)


def is_better(metrics: Metrics, best: Metrics, by: str, direction: str) -> bool:
    """Whether an epoch is better than the best one before it. best: empty where there is none yet; then any epoch is
    whose metric or loss is a number."""
    before = rank(best, by, direction) if best else (math.inf, math.inf)
    return rank(metrics, by, direction) < before


def moved(before: Sequence[str], known: Iterable[str], metrics: Metrics, best: Metrics) -> list[str]:
    """The metrics that have changed, those of this epoch added. A metric that has been the same at every epoch is equal
    to that of the best epoch, whichever that was."""
    return [name for name in known if name in before or not _equal(metrics.get(name), best.get(name))]


def _equal(a: float | None, b: float | None) -> bool:
    return a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b))


def unmoved(metrics: Metrics, by: str, moved: Sequence[str]) -> str:
    """A sentence on a metric `by` that was the same at every epoch, and what to do; "" where it changed.

    metrics: of the best epoch. moved: the metrics that have changed.
    """
    if by in moved:
        return ""
    if "loss" not in moved:
        loss = f"{metrics['loss']:.4g}"
        return tr("the loss was {value} at every epoch; try a larger train.lr", value=loss)
    value = f"{metrics[by]:.4g}"
    said = tr("{metric} was {value} at every epoch, so the loss decided which epoch is kept", metric=by, value=value)
    others = [name for name in moved if name != "loss"]
    if not others:
        return said
    return said + tr("; another metric can decide: --set train.best_by={metric}", metric=others[0])
