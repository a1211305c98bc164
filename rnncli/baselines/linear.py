"""Ridge regression from a window to its next steps: the linear baseline that a network should beat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

STRENGTHS = tuple(10.0 ** (k / 2) for k in range(-8, 11))  # of the penalty: 1e-4 to 1e5

Pairs = Callable[[], Iterator["tuple[Tensor, Tensor]"]]  # batches of windows (n, inputs) and targets (n, outputs)


class Ridge:
    """W = (XᵀX + λI)⁻¹ XᵀY for centred X and Y, float64 (Hoerl and Kennard 1970). The intercept is not penalized. Only
    the sums of X, Y, XᵀX and XᵀY over the training pairs are kept."""

    def __init__(self, train: Pairs) -> None:
        import torch

        n = 0
        held: list[Tensor] = []
        for X, Y in train():
            X, Y = X.double(), Y.double()
            n += len(X)
            found = [X.sum(0), Y.sum(0), X.T @ X, X.T @ Y]
            held = [a + b for a, b in zip(held, found, strict=True)] if held else found
        x, y, gram, cross = held
        self.x, self.y = x / n, y / n  # (inputs,), (outputs,)
        self.gram = gram - n * torch.outer(self.x, self.x)
        self.cross = cross - n * torch.outer(self.x, self.y)
        self.strength, self.weights = STRENGTHS[0], self._solved(STRENGTHS[0])  # (inputs, outputs)

    def choose(self, held_out: Pairs) -> None:
        """Choose the strength with the smallest mean absolute error on held-out pairs."""
        missed = []
        for strength in STRENGTHS:
            self.weights = self._solved(strength)
            missed.append(sum(float((self(X) - Y).abs().nansum()) for X, Y in held_out()))
        self.strength = STRENGTHS[missed.index(min(missed))]
        self.weights = self._solved(self.strength)

    def __call__(self, X: Tensor) -> Tensor:
        """(n, inputs) -> (n, outputs), float64."""
        found: Tensor = (X.double() - self.x) @ self.weights + self.y
        return found

    def _solved(self, strength: float) -> Tensor:
        import torch

        penalty = strength * torch.eye(len(self.x), dtype=torch.float64)
        found: Tensor = torch.linalg.solve(self.gram + penalty, self.cross)
        return found
