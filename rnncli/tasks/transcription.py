"""transcription: speech to text by CTC: no alignment of audio and characters is needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field

from rnncli.baselines.most_frequent import most_frequent
from rnncli.data.audio import Clip
from rnncli.data.batch import Batch, Order, index_batches, pad
from rnncli.data.edits import error_rates
from rnncli.data.features import ChosenFeatures, LogMel
from rnncli.data.pictures import spectrogram
from rnncli.data.skipped import Skipped
from rnncli.data.splits import Split as Parts
from rnncli.data.vocab import UNK, Kind, Vocab, join, tokenize, unit
from rnncli.files import as_cell, shown
from rnncli.locale import tr, trn
from rnncli.nn.evaluate import outputs_of
from rnncli.recipe import CoreSection, RecipeConfig, TrainSection
from rnncli.records import ColouredText, Column, Entry, Json, Record, Table
from rnncli.tasks.base import (
    Baseline,
    Better,
    FittedState,
    InputKind,
    Loss,
    Metrics,
    Names,
    Prediction,
    PredictOptions,
    Script,
    Splits,
    Suited,
    Task,
)
from rnncli.tasks.inputs.sound import SpokenData, read_clips, read_new_clips, script_values, suggest_speech
from rnncli.tasks.inputs.sources import sources, split_rows
from rnncli.tasks.inputs.tokens import token_values

if TYPE_CHECKING:
    from torch import nn

    from rnncli.cells import State
    from rnncli.data.look import Look
    from rnncli.nn.model import Outputs

BLANK = "<blank>"  # CTC's blank label; id 0
SHOWN_FRAMES = 50  # on one line of the example shown at the end of a run


class Data(SpokenData):
    tokens: Kind = Field("characters", description="output tokens")


class Model(CoreSection):
    subsampling: Literal[1, 2, 4] = Field(2, description="frames per time step, reduced by strided convolutions")
    channels: Annotated[int, Field(ge=1)] = Field(
        64, description="channels of these convolutions, the input size of the cell"
    )


class Train(TrainSection):
    best_by: Literal["cer", "wer", "loss"] = Field("cer", description="metric that selects the epoch to keep")


class Config(RecipeConfig):
    task: Literal["transcription"]
    data: Data
    model: Model
    train: Train


@dataclass(frozen=True)
class Fitted(FittedState):
    """kind: output token type. mean, std: of each mel band."""

    tokens: Vocab
    kind: Kind
    features: LogMel
    mean: list[float]
    std: list[float]


class Part(NamedTuple):
    """targets: the text of each clip as token ids."""

    rows: ChosenFeatures
    targets: Sequence[list[int]]


class Transcription(Task[Config, Fitted, Part]):
    METRICS: Mapping[str, Better] = {"cer": "lower", "wer": "lower", "loss": "lower"}
    COUNTED = "tokens"
    config_class = Config
    fitted_class = Fitted

    def input_kind(self, config: Config) -> InputKind:
        return "path"

    def read(self, config: Config) -> Splits[Fitted, Part]:
        data, given = config.data, sources(config.data)
        skipped = Skipped(data.on_bad, tr("clips"))

        def split(whole: ChosenFeatures) -> Parts:
            return split_rows(data.split, config.train.seed, [clip.group for clip in whole.listed])

        rows, how, whole = read_clips(
            given, data.clips, data, lambda clip, T: _misfit(config, clip.text, T), skipped, split
        )
        fitted = Fitted(_vocab(data, rows), data.tokens, whole.settings, whole.mean, whole.std)
        parts = {name: Part(part, _targets(fitted, part)) for name, part in rows.items()}
        return Splits(
            parts=parts,
            fitted=fitted,
            counts={name: _counts(part) for name, part in parts.items()},
            fingerprint=whole.fingerprint,
            how=how,
            notes=[*skipped.all_notes(), *_unknown_notes(fitted, parts)],
        )

    def suits(self, look: Look, config: Config) -> Suited | None:
        from rnncli.tasks.inputs import suits

        return suits.spoken(look)

    def suggest_settings(self, path: str, config: Config | None = None) -> dict[str, Json]:
        return suggest_speech(path)

    def build(self, config: Config, fitted: Fitted) -> nn.Module:
        from rnncli.nn.frontends import ConvSubsampling
        from rnncli.nn.heads import PerStep
        from rnncli.nn.model import SequenceModel
        from rnncli.nn.recurrent import core_of_section

        model = config.model
        front = ConvSubsampling(fitted.mean, fitted.std, model.channels, model.subsampling)
        rnn, spec = core_of_section(model, model.channels)
        return SequenceModel(front, rnn, PerStep(spec.output_size, len(fitted.tokens.tokens)), model.engine)

    def label_names(self, config: Config, fitted: Fitted) -> Names:
        return Names(None, fitted.tokens.tokens)

    def batches(self, config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
        """Targets: (S, B), the texts, padded with the blank. In training, clips of similar length share a batch."""
        import torch

        lengths = None if order is None else part.rows.lengths
        augment = config.data.augment.applied()

        def fits(clip: Clip, T: int) -> bool:
            return not _misfit(config, clip.text, T)

        for rows in index_batches(len(part.rows), config.train.batch_size, order, lengths=lengths):
            if augment is None or order is None:
                inputs, sizes = pad([part.rows[row] for row in rows])
            else:
                inputs, sizes = pad(augment.frames(part.rows, rows, order, fits))
            targets, target_sizes = pad([part.targets[row] for row in rows])
            yield Batch(inputs, sizes, targets, {"target_lengths": target_sizes.to(torch.int64)}, rows)

    def encode(self, config: Config, fitted: Fitted, inputs: Sequence[str]) -> Batch:
        return Batch(*pad([fitted.features.of_file(path) for path in inputs]))

    def loss(self, config: Config, model: nn.Module, batch: Batch, carry: State | None) -> Loss:
        return _loss(model(batch), batch)

    def metrics(self, config: Config, model: nn.Module, part: Part, fitted: Fitted) -> Metrics:
        """Error rates of greedy transcriptions, as `predict` writes them, against the original texts: total edits over
        total characters or words. loss: per token."""
        total, count = 0.0, 0.0
        pairs: list[tuple[str, str]] = []
        clips = part.rows.listed
        for batch, outputs in outputs_of(model, self.batches(config, part, None)):
            found = _loss(outputs, batch)
            total += float(found.total)
            count += found.count
            answers = _greedy(outputs, fitted)
            pairs += [(answer, clips[row].text) for answer, row in zip(answers, batch.rows, strict=True)]
        return _as_metrics(pairs) | {"loss": total / count}

    def answers(self, config: Config, model: nn.Module, part: Part, fitted: Fitted) -> Iterator[str]:
        for _, outputs in outputs_of(model, self.batches(config, part, None)):
            yield from _greedy(outputs, fitted)

    def baselines(self, config: Config, splits: Splits[Fitted, Part], part: str) -> list[Baseline]:
        """Always predicts the most frequent text of the training split."""
        train: Part = splits.train
        tested: Part = splits.part(part)
        often = most_frequent(Counter(clip.text for clip in train.rows.listed))
        pairs = [(often, clip.text) for clip in tested.rows.listed]
        return [Baseline(tr("most frequent text"), _as_metrics(pairs), tr("always {text}", text=repr(often[:40])))]

    def epoch_preview(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part]) -> str:
        """The transcription of the first held-out clip."""
        return _greedy(self._first(config, model, splits.part(splits.held_out)), splits.fitted)[0]

    def _first(self, config: Config, model: nn.Module, part: Part) -> Outputs:
        """The model's outputs for the first clip."""
        _, outputs = next(outputs_of(model, self.batches(config, Part(part.rows[:1], part.targets[:1]), None)))
        return outputs

    def summarize(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        """The first clip: transcript, prediction, and the most likely token of every step."""
        rows: Part = splits.part(part)
        fitted = splits.fitted
        outputs = self._first(config, model, rows)
        clip = rows.rows.listed[0]
        heard = [
            [tr("clip"), clip.where],
            [tr("target"), clip.text],
            [tr("decoded"), _greedy(outputs, fitted)[0]],
        ]
        best = outputs.scores[:, 0].argmax(1).tolist()
        tokens = fitted.tokens.tokens
        settings = rows.rows.whole.settings
        step_seconds = settings.samples[1] / settings.rate * config.model.subsampling
        lines: list[list[Entry]] = []
        if fitted.kind == "characters":
            line = "".join("-" if token == 0 else tokens[token] for token in best)
            for start in range(0, len(line), SHOWN_FRAMES):
                lines.append([start, f"{start * step_seconds:.2f}", line[start : start + SHOWN_FRAMES]])
        else:
            start = 0
            for token, run in groupby(best):
                lines.append([start, f"{start * step_seconds:.2f}", "-" if token == 0 else tokens[token]])
                start += len(list(run))
        columns = [
            Column("t", "t", "count"),
            Column("seconds", tr("seconds"), "text"),
            Column("answers", tr("most likely token of each step; - is the blank"), "code"),
        ]
        return [
            Table("sample", [Column("name", "", "text"), Column("value", "", "code")], heard),
            Table("frames", columns, lines, cut_rows=12),
        ]

    def pictures(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        """The first clip as a spectrogram, and below it the most likely token of every step."""
        rows: Part = splits.part(part)
        outputs = self._first(config, model, rows)
        probs, best = outputs.scores[:, 0].float().softmax(1).max(1)  # (T,) each
        tokens = splits.fitted.tokens.tokens
        heard = ["-" if token == 0 else tokens[token] for token in best.tolist()]
        title = tr("most likely token of each step, coloured by its probability; - is the blank")
        separator = "" if splits.fitted.kind == "characters" else " "
        return [
            spectrogram(rows.rows[0], rows.rows.whole.settings.hop / 1000),
            ColouredText("heard", heard, probs.tolist(), 0.0, 1.0, title, separator),
        ]

    def hub_task(self, config: Config) -> str:
        return "automatic-speech-recognition"

    def script(self, config: Config, fitted: Fitted) -> Script:
        values = {**script_values(fitted.features), **token_values(fitted.kind)}
        return Script("transcription.jinja", values, ["soundfile"])

    def predict(
        self, config: Config, model: nn.Module, fitted: Fitted, inputs: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        """`file<TAB>text` for each audio file; with beam, the best result of a beam search of that width."""
        from rnncli.nn.ctc import beam_search

        options.only("beam")
        for path in inputs:
            _, outputs = next(outputs_of(model, [self.encode(config, fitted, [path])]))
            if options.beam is None or options.beam == 1:
                text = _greedy(outputs, fitted)[0]
            else:
                text = _text(beam_search(outputs.scores[:, 0].float().log_softmax(1), options.beam), fitted)
            row = {"file": shown(path), "text": text}
            yield Prediction(f"{as_cell(path)}\t{text}", {**row}, row=row)

    def read_part(self, config: Config, fitted: Fitted, path: str) -> tuple[Part, list[str]]:
        """A new table or folder of clips as one split, encoded with a run's vocabulary, with notes. Raises
        DataError."""
        skipped = Skipped(config.data.on_bad, tr("clips"))
        tokens = fitted.tokens

        def misfit(clip: Clip, T: int) -> str:
            unknown = [] if UNK in tokens else tokens.unknown(tokenize(clip.text, fitted.kind))
            if unknown:
                return tr(
                    "its text has tokens that do not occur in training: {tokens}", tokens=" ".join(map(repr, unknown))
                )
            return _misfit(config, clip.text, T)

        rows = read_new_clips(path, config.data.clips, fitted.features, misfit, skipped)
        notes = [skipped.sentence()] if skipped.count else []
        return Part(rows, _targets(fitted, rows)), [*notes, *skipped.notes]


def _misfit(config: Config, text: str, T: int) -> str:
    """Why CTC cannot output this text for a clip of T frames, or "". It needs a step for every token, and one for the
    blank between equal neighbours (Graves et al. 2006, section 3.1)."""
    from rnncli.nn.frontends import subsampled

    tokens = tokenize(text, config.data.tokens)
    if not tokens:
        return tr("there is no token in {text}", text=repr(text))
    steps, needed = subsampled(T, config.model.subsampling), len(tokens) + sum(a == b for a, b in pairwise(tokens))
    if needed <= steps:
        return ""
    return tr(
        "CTC cannot output {n} {kind} in {steps}; it needs {needed} (use shorter texts, lower data.hop or "
        "model.subsampling)",
        n=len(tokens),
        kind=tr(unit(config.data.tokens)),
        steps=trn("{n} step", "{n} steps", n=steps),
        needed=needed,
    )


def _vocab(data: Data, rows: Mapping[str, ChosenFeatures]) -> Vocab:
    """The tokens of the training split, with <unk> if another split has further ones."""
    counts = {
        name: Counter(t for clip in part.listed for t in tokenize(clip.text, data.tokens))
        for name, part in rows.items()
    }
    strange = any(token not in counts["train"] for found in counts.values() for token in found)
    return Vocab.from_counts(counts["train"], specials=(BLANK, UNK) if strange else (BLANK,))


def _targets(fitted: Fitted, rows: ChosenFeatures) -> list[list[int]]:
    return [fitted.tokens.encode(tokenize(clip.text, fitted.kind), where=clip.where) for clip in rows.listed]


def _counts(part: Part) -> dict[str, int]:
    settings = part.rows.whole.settings
    seconds = sum(part.rows.lengths) * settings.samples[1] / settings.rate
    return {"clips": len(part.rows), "seconds": round(seconds), "tokens": sum(map(len, part.targets))}


def _unknown_notes(fitted: Fitted, parts: Mapping[str, Part]) -> Iterator[str]:
    tokens = fitted.tokens
    if UNK in tokens:
        for name, part in parts.items():
            unknown = sum(ids.count(tokens.id(UNK)) for ids in part.targets)
            if unknown:
                yield tr(
                    "tokens of {part} that do not occur in training, so can never be predicted: {n}",
                    part=tr(name),
                    n=f"{unknown:,}",
                )


def _loss(outputs: Outputs, batch: Batch) -> Loss:
    """Counted in tokens, so that the mean loss is per token."""
    from rnncli.nn.ctc import ctc_loss

    assert batch.targets is not None
    assert outputs.lengths is not None
    sizes = batch.extra["target_lengths"]
    return Loss(ctc_loss(outputs.scores, outputs.lengths, batch.targets, sizes), int(sizes.sum()))


def _as_metrics(pairs: Iterable[tuple[str, str]]) -> Metrics:
    cer, wer = error_rates(pairs)
    return {"cer": cer, "wer": wer}


def _greedy(outputs: Outputs, fitted: Fitted) -> list[str]:
    """The text of the most likely tokens, row by row."""
    from rnncli.nn.ctc import best_path

    assert outputs.lengths is not None
    return [_text(ids, fitted) for ids in best_path(outputs.scores, outputs.lengths)]


def _text(ids: Sequence[int], fitted: Fitted) -> str:
    return join(fitted.tokens.decode(ids), fitted.kind)


TASK = Transcription()
