"""Selects the epoch to keep: best by the recipe's metric, ties broken by the lowest loss."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rnncli.locale import tr
from rnncli.tasks import Metrics


def rank(metrics: Metrics, by: str, direction: str) -> tuple[float, float]:
    """Sort key of epochs, smaller is better: the metric `by`, then the held-out loss. Non-finite values come last.
    direction: of the metric, "lower" or "higher"."""
    score, loss = metrics[by], metrics["loss"]
    signed = score if direction == "lower" else -score
    return (signed if math.isfinite(score) else math.inf), (loss if math.isfinite(loss) else math.inf)


def is_better(metrics: Metrics, best: Metrics, by: str, direction: str) -> bool:
    """Whether an epoch is better than the best one before it. best: empty if there is none yet; then any epoch with a
    finite metric or loss is better."""
    before = rank(best, by, direction) if best else (math.inf, math.inf)
    return rank(metrics, by, direction) < before


def moved(before: Sequence[str], known: Iterable[str], metrics: Metrics, best: Metrics) -> list[str]:
    """The metrics that have changed so far, including this epoch. A metric that never changed equals that of the best
    epoch, whichever that is."""
    return [name for name in known if name in before or not _equal(metrics.get(name), best.get(name))]


def _equal(a: float | None, b: float | None) -> bool:
    return a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b))


def unmoved(metrics: Metrics, by: str, moved: Sequence[str]) -> str:
    """A sentence on a metric `by` that was the same at every epoch, with a suggestion; "" if it changed.

    metrics: of the best epoch. moved: the metrics that have changed.
    """
    if by in moved:
        return ""
    if "loss" not in moved:
        loss = f"{metrics['loss']:.4g}"
        return tr("the loss was {value} at every epoch; try a larger train.lr", value=loss)
    value = f"{metrics[by]:.4g}"
    said = tr("{metric} was {value} at every epoch, so the epoch was selected by loss", metric=by, value=value)
    others = [name for name in moved if name != "loss"]
    if not others:
        return said
    return said + tr("; to select by another metric: --set train.best_by={metric}", metric=others[0])
