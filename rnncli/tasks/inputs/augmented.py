"""`augment:` for audio: random changes to training clips."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from rnncli.data.augment import Augment
from rnncli.locale import tr, trn
from rnncli.recipe import Clash, Expected, Section


class AugmentSection(Section):
    speed: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0, description="a third of the clips is slowed down by this share, a third sped up (Ko et al. 2015: 0.1)"
    )
    noise: (
        Annotated[
            list[Annotated[float, Field(ge=-20, le=100)]],
            Field(min_length=2, max_length=2),
            Expected("[lowest, highest] signal-to-noise ratio in dB, -20 to 100"),
        ]
        | None
    ) = Field(None, description="add white noise at a signal-to-noise ratio in this range, in dB: [10, 40]")
    time_masks: Annotated[int, Field(ge=0, le=20)] = Field(
        0, description="time masks per clip (SpecAugment, Park et al. 2019)"
    )
    time_mask: Annotated[int, Field(ge=1, le=10_000)] = Field(
        20, description="maximum frames per time mask; also at most a fifth of the clip"
    )
    mel_masks: Annotated[int, Field(ge=0, le=20)] = Field(0, description="frequency masks per clip")
    mel_mask: Annotated[int, Field(ge=1, le=512)] = Field(8, description="maximum mel bands per mask")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if abs(100 * self.speed - round(100 * self.speed)) > 1e-9:
            yield Clash(("speed",), tr("{speed} is not a multiple of 0.01", speed=self.speed))
        if self.noise is not None and self.noise[0] > self.noise[1]:
            yield Clash(("noise",), tr("the lower ratio must come first"))

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from super().idle()
        for key, masks in (("time_mask", self.time_masks), ("mel_mask", self.mel_masks)):
            if not masks:
                yield key, f"{key}s: 0"

    def applied(self) -> Augment | None:
        """None if nothing is changed."""
        if not (self.speed or self.noise is not None or self.time_masks or self.mel_masks):
            return None
        noise = None if self.noise is None else (self.noise[0], self.noise[1])
        return Augment(self.speed, noise, self.time_masks, self.time_mask, self.mel_masks, self.mel_mask)

    def sentence(self) -> str:
        """Describes the changes; "" for none."""
        done = []
        if self.speed:
            done.append(tr("speed x {slow:g}, 1 or {fast:g}", slow=1 - self.speed, fast=1 + self.speed))
        if self.noise is not None:
            done.append(tr("white noise at {low:g} to {high:g} dB", low=self.noise[0], high=self.noise[1]))
        if self.time_masks:
            frames = trn("up to {n} frame", "up to {n} frames", n=self.time_mask)
            done.append(
                trn("{n} time mask of {frames}", "{n} time masks of {frames}", n=self.time_masks, frames=frames)
            )
        if self.mel_masks:
            bands = trn("up to {n} mel band", "up to {n} mel bands", n=self.mel_mask)
            done.append(trn("{n} mask of {bands}", "{n} masks of {bands}", n=self.mel_masks, bands=bands))
        if not done:
            return ""
        return tr("training clips are augmented differently in every epoch: {changes}", changes="; ".join(done))
