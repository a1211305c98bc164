"""The weights of one layer in one direction, as passed to a cell's step."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING

from rnncli.names import OptionValue

if TYPE_CHECKING:
    from torch import Tensor


class Weights(dict[str, "Tensor"]):
    """One layer in one direction: parameter name -> tensor; `.weight_hh` etc. are torch's names.

    nonlinearity: tanh, relu or none, for cells with a choice. options: all options of the cell, by name.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        nonlinearity: str = "tanh",
        options: Mapping[str, OptionValue] | None = None,
    ) -> None:
        super().__init__(tensors)
        self.nonlinearity = nonlinearity
        self.options = options or {}
        self.mask: Tensor | None = None
        self.drop = 0.0

    def replaced(self, **tensors: Tensor) -> Weights:
        """The same with some tensors replaced, by name."""
        made = copy(self)
        made.update(tensors)
        return made

    def read(self, h: Tensor) -> Tensor:
        """h_(t-1), (B, H or P), as input of the recurrent weights: with model.variational_dropout in training, masked
        with the same mask at every step."""
        return h if self.mask is None else h * self.mask

    def dropped(self, new: Tensor) -> Tensor:
        """The new content, (B, H), to be added to the state: with model.recurrent_dropout in training, after
        dropout."""
        if not self.drop:
            return new
        from torch.nn.functional import dropout

        return dropout(new, self.drop)

    @property
    def like(self) -> Tensor:
        """One of the weights, for dtype and device: a cell may name its own as it likes."""
        return next(iter(self.values()))

    @property
    def weight_ih(self) -> Tensor:  # (G·H, I), rows gate by gate
        return self["weight_ih"]

    @property
    def weight_hh(self) -> Tensor | None:  # (G·H, P or H); None: a cell without recurrent weights
        return self.get("weight_hh")

    @property
    def bias_ih(self) -> Tensor | None:  # (G·H,)
        return self.get("bias_ih")

    @property
    def bias_hh(self) -> Tensor | None:  # (G·H,)
        return self.get("bias_hh")

    @property
    def weight_hr(self) -> Tensor | None:  # (P, H): lstm with proj_size
        return self.get("weight_hr")
