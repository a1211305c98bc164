"""image-sequences: one label per image sequence. A convolutional network encodes each frame, the recurrent core their
order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from rnncli.recipe import CoreSection, RecipeConfig, TrainSection
from rnncli.records import Json, Record
from rnncli.tasks.base import Better, Splits, Suited
from rnncli.tasks.inputs.frames import FrameData, FrameFitted, FrameInput
from rnncli.tasks.inputs.labelled import LabelledFitted
from rnncli.tasks.one_label import AnyPart, OneLabel

if TYPE_CHECKING:
    from torch import nn

    from rnncli.data.look import Look


class Model(CoreSection):
    channels: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=8)] = Field(
        [8, 16], description="channels of the convolutions over a frame, each followed by 2x downsampling"
    )
    frame_size: Annotated[int, Field(ge=1)] = Field(32, description="features per frame, the input size of the cell")


class Train(TrainSection):
    best_by: Literal["accuracy", "loss"] = Field("accuracy", description="metric that selects the epoch to keep")


class Config(RecipeConfig):
    task: Literal["image-sequences"]
    data: FrameData
    model: Model
    train: Train


class ImageSequences(OneLabel[Config]):
    METRICS: Mapping[str, Better] = {"accuracy": "higher", "loss": "lower"}
    config_class = Config

    def input(self, config: Config) -> FrameInput:
        return FrameInput(config.data, config.model.channels, config.model.frame_size)

    def build(self, config: Config, fitted: LabelledFitted) -> nn.Module:
        """The convolutions' weights are drawn last, after the core's and the head's, to keep old seeds reproducible."""
        from rnncli.nn.heads import LastState
        from rnncli.nn.model import SequenceModel
        from rnncli.nn.recurrent import core_of_section

        rnn, spec = core_of_section(config.model, config.model.frame_size)
        head = LastState(spec.output_size, len(fitted.labels))
        assert isinstance(fitted, FrameFitted)
        front, _ = self.input(config).front(fitted)
        return SequenceModel(front, rnn, head, config.model.engine)

    def pictures(
        self, config: Config, model: nn.Module, splits: Splits[LabelledFitted, AnyPart], part: str
    ) -> list[Record]:
        """The frames of the example, and the confusion matrix."""
        found = self.confusion(config, model, splits.fitted, splits.part(part))
        return [*super().pictures(config, model, splits, part), found.shown()]

    def suits(self, look: Look, config: Config) -> Suited | None:
        from rnncli.tasks.inputs import suits

        return suits.image_sequences(look)

    def suggest_settings(self, path: str, config: Config | None = None) -> dict[str, Json]:
        return FrameInput(FrameData(path=path), [], 0).suggest_settings(path)


TASK = ImageSequences()
