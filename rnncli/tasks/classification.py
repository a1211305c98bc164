"""classification: one label for a whole text or audio clip: names by language, acceptability of sentences, spoken
words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from rnncli.locale import tr
from rnncli.recipe import CoreSection, RecipeConfig, TrainSection
from rnncli.records import Json, Record
from rnncli.tasks.base import Better, Splits, Suggested, Suited
from rnncli.tasks.inputs.labelled import LabelledFitted, LabelledInput
from rnncli.tasks.inputs.sound import LabelledSound, NamedSound, suggest_pattern
from rnncli.tasks.inputs.texts import TextData, TextFitted, TextInput, is_folder
from rnncli.tasks.inputs.token_choice import suggest_reading
from rnncli.tasks.inputs.tokens import idle_embedding
from rnncli.tasks.labels import mistakes
from rnncli.tasks.one_label import AnyPart, OneLabel

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.data.look import Look


class Data(TextData):
    sound: NamedSound | None = Field(
        None, description="read a folder of audio files: {pattern: '{label}_{speaker}_*.wav'}"
    )

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from super().idle()
        if self.sound is not None:
            yield from ((f"sound.{key}", why) for key, why in self.sound.idle())


class Model(CoreSection):
    input: Literal["one-hot", "embedding"] = Field("embedding", description="encoding of a token as x_t")
    embedding_size: Annotated[int, Field(ge=1)] = Field(
        32, description="size of the learned vectors, with input: embedding"
    )
    channels: Annotated[int, Field(ge=1)] = Field(
        64, description="audio: channels of the convolutions, the input size of the cell"
    )
    subsampling: Literal[1, 2, 4] = Field(2, description="audio: frames per time step, reduced by strided convolutions")
    head: Literal["last", "mean", "max"] = Field(
        "last",
        description="input of the classifier: the last states of all directions, concatenated, or outputs "
        "pooled over the steps",
    )
    ngrams: Annotated[int, Field(ge=0, le=5)] = Field(
        0,
        description="text: train a linear classifier on n-grams of 1 to this many tokens together with the "
        "network; 0: none",
    )
    outer_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="dropout on x_t and on the head's input"
    )

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from idle_embedding(self.input)


class Train(TrainSection):
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: each row is weighted by rows / (classes x rows of its class), so rare classes "
        "count more",
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="label smoothing: share of each target spread over all classes"
    )
    best_by: Literal["macro-f1", "accuracy", "mcc", "loss"] = Field(
        "macro-f1", description="metric that selects the epoch to keep"
    )


class Config(RecipeConfig):
    task: Literal["classification"]
    data: Data
    model: Model
    train: Train

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from super().idle()
        text = ("tokens", "min_count", "max_vocab", "max_length", "text", "header", "delimiter")
        of_text = (*(f"data.{key}" for key in text), "model.input", "model.embedding_size", "model.ngrams")
        sound = self.data.sound is not None
        for key in of_text if sound else ("model.channels", "model.subsampling"):
            yield key, tr("sound") if sound else tr("text")


class Classification(OneLabel[Config]):
    METRICS: Mapping[str, Better] = {"macro-f1": "higher", "accuracy": "higher", "mcc": "higher", "loss": "lower"}
    config_class = Config

    def input(self, config: Config) -> LabelledInput[Any, Any]:
        data, model = config.data, config.model
        if data.sound is None:
            return TextInput(data, model.input, model.embedding_size)
        return LabelledSound(data, data.sound, model.channels, model.subsampling)

    def label_smoothing(self, config: Config) -> float:
        return config.train.label_smoothing

    def build(self, config: Config, fitted: LabelledFitted) -> nn.Module:
        from rnncli.nn.heads import LastState, MaxPool, MeanPool
        from rnncli.nn.model import SequenceModel
        from rnncli.nn.ngrams import NgramScores
        from rnncli.nn.recurrent import core_of_section

        model, num_classes = config.model, len(fitted.labels)
        front, size = self.input(config).front(fitted)
        rnn, spec = core_of_section(model, size)
        head = {"last": LastState, "mean": MeanPool, "max": MaxPool}[model.head](spec.output_size, num_classes)
        ngrams = None
        if model.ngrams and isinstance(fitted, TextFitted):
            ngrams = NgramScores(len(fitted.tokens), num_classes, model.ngrams)
        return SequenceModel(front, rnn, head, model.engine, ngrams=ngrams, outer_dropout=model.outer_dropout)

    def read(self, config: Config) -> Splits[LabelledFitted, AnyPart]:
        splits = super().read(config)
        if config.train.class_weights == "none":
            return splits
        train = splits.train
        weighted = replace(train, class_weights=_balanced(train, len(splits.fitted.labels)))
        return replace(splits, parts={**splits.parts, "train": weighted})

    def summarize(
        self, config: Config, model: nn.Module, splits: Splits[LabelledFitted, AnyPart], part: str
    ) -> list[Record]:
        """Predictions for the first row after some of its steps, and the confusion matrix."""
        found = self.confusion(config, model, splits.fitted, splits.part(part))
        return [*super().summarize(config, model, splits, part), mistakes(found)]

    def suits(self, look: Look, config: Config) -> Suited | None:
        from rnncli.tasks.inputs import suits

        spelled = config.data.tokens == "characters"
        return suits.labelled_texts(look, spelled) or (suits.named_sounds(look) if spelled else None)

    def suggest_settings(self, path: str, config: Config | None = None) -> dict[str, Json]:
        """A table determines data.header, data.text and data.label; its texts determine data.tokens and the pooling; a
        folder of audio files determines the pattern of file names. Raises DataError if unreadable."""
        if is_folder(path) and (pattern := suggest_pattern(path)):
            return pattern
        data = config.data if config else Data(path=path)
        found = TextInput(data, "embedding", 1).suggest_settings(path)
        columns = {key.removeprefix("data."): value for key, value in found.items()}
        read = suggest_reading(data.model_copy(update=columns), config.model.head if config else "last", path)
        return Suggested({**found, **read}, reasons=read.reasons)


def _balanced(part: AnyPart, num_classes: int) -> Tensor:
    """(C,): rows / (classes x rows of the class)."""
    import torch

    rows = torch.bincount(torch.tensor(part.targets), minlength=num_classes)  # (C,), each at least 1
    return len(part.targets) / (num_classes * rows.float())


TASK = Classification()
