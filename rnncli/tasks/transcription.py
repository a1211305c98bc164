"""transcription: from recorded speech to text, by CTC: no one says where in the sound a letter lies."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from rnncli.data.batch import Batch, Order, index_batches, pad
from rnncli.data.edits import error_rates
from rnncli.data.pictures import spectrogram
from rnncli.data.skipped import Skipped
from rnncli.data.splits import Split as Parts
from rnncli.data.vocab import UNK, Kind, Vocab, join, tokenize
from rnncli.locale import tr
from rnncli.recipe import Clash, CoreSection, RecipeConfig, TrainSection
from rnncli.records import ColouredText, Column, Json, Record, Table
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
    Splits,
    Task,
)
from rnncli.tasks.inputs.sound import LogMelSettings, SoundSection, read_clips, read_new_clips
from rnncli.tasks.inputs.sources import GroupedData, GroupedSplit, sources, split_rows

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State
    from rnncli.data.audio import ChosenFeatures, Clip

BLANK = "<blank>"  # CTC's answer of a frame that adds nothing; number 0
SHOWN_FRAMES = 50  # on one line of the example that closes a run


class Split(GroupedSplit):
    by: str | int | None = Field(
        None, description="clips that agree here stay in one part: a field of pattern, or a column of the table"
    )


class Data(GroupedData, SoundSection):
    split: Split = Field(Split(), description="with path: the parts, as shares of the clips")
    pattern: str | None = Field(
        None, description="a folder whose file names say what is said: {text}_{speaker}_{take}.wav"
    )
    text: str | int = Field("text", description="what is said: the column of the table, or the field of pattern")
    file: str | int = Field("file", description="table: the column of file names")
    place: str = Field("{file}", description="table: where a file lies beside it: clips/{file}, wavs/{file}.wav")
    header: bool = Field(True, description="table: the first row names the columns")
    tokens: Literal["characters", "words"] = Field("characters", description="what the answer is spelled in")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if "{file}" not in self.place:
            yield Clash(("place",), tr("{{file}} does not stand in it, so all clips would be one file"))


class Model(CoreSection):
    subsampling: Literal[1, 2, 4] = Field(2, description="frames that become one step, by convolutions")
    channels: Annotated[int, Field(ge=1)] = Field(64, description="of these convolutions, the input of the cell")


class Train(TrainSection):
    best_by: Literal["cer", "wer", "loss"] = Field("cer", description="the metric that decides which epoch is kept")


class Config(RecipeConfig):
    task: Literal["transcription"]
    data: Data
    model: Model
    train: Train


@dataclass(frozen=True)
class Fitted(FittedState):
    """kind: what the answer is spelled in. mean, std: of each mel band."""

    tokens: Vocab
    kind: Kind
    features: LogMelSettings
    mean: list[float]
    std: list[float]


class Part(NamedTuple):
    """targets: the text of each clip as token numbers."""

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
            return split_rows(data.split, config.train.seed, [clip.group for clip in whole.clips])

        rows, how, scaling = read_clips(
            given, partial(_clips, data), data, lambda clip, T: _misfit(config, clip.text, T), skipped, split
        )
        fitted = Fitted(_vocab(data, rows), data.tokens, scaling.features, scaling.mean, scaling.std)
        parts = {name: Part(part, _targets(fitted, part)) for name, part in rows.items()}
        notes = [note for note in (skipped.sentence(), *skipped.notes) if note]
        return Splits(
            parts=parts,
            fitted=fitted,
            counts={name: _counts(part) for name, part in parts.items()},
            fingerprint=rows["train"].features.fingerprint,
            how=how,
            notes=[*notes, *_unknown_notes(fitted, parts)],
        )

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
        """Targets: (S, B), the texts, padded with the blank. In training, clips of like length share a batch."""
        import torch

        lengths = part.rows.lengths if order is not None else None
        where = order or Order(0, 0)
        shuffle = order is not None
        for rows in index_batches(len(part.rows), config.train.batch_size, where, shuffle=shuffle, lengths=lengths):
            inputs, sizes = pad([part.rows[row] for row in rows])
            targets, target_sizes = pad([part.targets[row] for row in rows])
            yield Batch(inputs, sizes, targets, {"target_lengths": target_sizes.to(torch.int64)}, rows)

    def encode(self, config: Config, fitted: Fitted, inputs: Sequence[str]) -> Batch:
        settings = fitted.features.log_mel()
        return Batch(*pad([settings.of_file(path) for path in inputs]))

    def loss(self, config: Config, model: nn.Module, batch: Batch, carry: State | None) -> Loss:
        return _loss(model(batch), batch)

    def metrics(self, config: Config, model: nn.Module, part: Part, fitted: Fitted) -> Metrics:
        """Error rates of the greedy answers, as `predict` writes them, against the texts as they are in the data: all
        edits over all characters or words. The loss of a token."""
        from rnncli.nn.evaluate import outputs_of

        total, count = 0.0, 0.0
        pairs: list[tuple[str, str]] = []
        clips = part.rows.clips
        for batch, outputs in outputs_of(model, self.batches(config, part, None)):
            found = _loss(outputs, batch)
            total += float(found.total)
            count += found.count
            answers = _greedy(outputs, fitted)
            pairs += [(answer, clips[row].text) for answer, row in zip(answers, batch.rows, strict=True)]
        return _as_metrics(pairs) | {"loss": total / count}

    def answers(self, config: Config, model: nn.Module, part: Part, fitted: Fitted) -> Iterator[str]:
        from rnncli.nn.evaluate import outputs_of

        for _, outputs in outputs_of(model, self.batches(config, part, None)):
            yield from _greedy(outputs, fitted)

    def baselines(self, config: Config, splits: Splits[Fitted, Part], part: str) -> list[Baseline]:
        """The commonest text of the training part as the answer to everything."""
        train: Part = splits.train
        tested: Part = splits.part(part)
        counts = Counter(clip.text for clip in train.rows.clips)
        often = min(counts, key=lambda text: (-counts[text], text))
        pairs = [(often, clip.text) for clip in tested.rows.clips]
        return [Baseline(tr("commonest text"), _as_metrics(pairs), tr("always {text}", text=repr(often[:40])))]

    def epoch_preview(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part]) -> str:
        """What it hears in the first held-out clip."""
        from rnncli.nn.evaluate import outputs_of

        one = _first(splits.part(splits.held_out))
        _, outputs = next(outputs_of(model, self.batches(config, one, None)))
        return _greedy(outputs, splits.fitted)[0]

    def summarize(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        """The first clip: what is said, what is heard, and the likeliest answer of every step."""
        from rnncli.nn.evaluate import outputs_of

        rows: Part = splits.part(part)
        fitted = splits.fitted
        _, outputs = next(outputs_of(model, self.batches(config, _first(rows), None)))
        clip = rows.rows.clips[0]
        heard = [
            [tr("clip"), clip.where],
            [tr("target"), clip.text],
            [tr("decoded"), _greedy(outputs, fitted)[0]],
        ]
        best = outputs.scores[:, 0].argmax(1).tolist()
        tokens = fitted.tokens.tokens
        settings = rows.rows.features.settings
        step_seconds = settings.samples[1] / settings.rate * config.model.subsampling
        lines: list[list[Any]] = []
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
            Column("answers", tr("the likeliest token of each step; - is the blank"), "code"),
        ]
        return [
            Table("sample", [Column("name", "", "text"), Column("value", "", "code")], heard),
            Table("frames", columns, lines, cut_rows=12),
        ]

    def pictures(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        """The first clip as a spectrogram, and below it the likeliest token of every step."""
        from rnncli.nn.evaluate import outputs_of

        rows: Part = splits.part(part)
        _, outputs = next(outputs_of(model, self.batches(config, _first(rows), None)))
        chances, best = outputs.scores[:, 0].float().softmax(1).max(1)  # (T,) each
        tokens = splits.fitted.tokens.tokens
        heard = ["-" if token == 0 else tokens[token] for token in best.tolist()]
        title = tr("the likeliest token of each step, coloured by its probability; - is the blank")
        separator = "" if splits.fitted.kind == "characters" else " "
        return [
            spectrogram(rows.rows[0], rows.rows.features.settings.hop / 1000),
            ColouredText("heard", heard, chances.tolist(), 0.0, 1.0, title, separator),
        ]

    def predict(
        self, config: Config, model: nn.Module, fitted: Fitted, inputs: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        """One line of text for each sound file; with beam, the best of a beam search of that width."""
        from rnncli.nn.evaluate import outputs_of

        options.only("beam")
        settings = fitted.features.log_mel()
        for path in inputs:
            _, outputs = next(outputs_of(model, [Batch(*pad([settings.of_file(path)]))]))
            if options.beam is None or options.beam == 1:
                text = _greedy(outputs, fitted)[0]
            else:
                text = _text(_beam(outputs.scores[:, 0].float().log_softmax(1), options.beam), fitted)
            yield Prediction(text, {"file": path, "text": text})

    def read_part(self, config: Config, fitted: Fitted, path: str) -> tuple[Part, list[str]]:
        """A new table or folder of clips as one part, in a run's vocabulary; and notes on it. Raises DataError."""
        skipped = Skipped(config.data.on_bad, tr("clips"))
        tokens = fitted.tokens

        def misfit(clip: Clip, T: int) -> str:
            unknown = [] if UNK in tokens else tokens.unknown(tokenize(clip.text, fitted.kind))
            if unknown:
                return tr(
                    "its text has tokens that training does not have: {tokens}", tokens=" ".join(map(repr, unknown))
                )
            return _misfit(config, clip.text, T)

        rows = read_new_clips(path, partial(_clips, config.data), fitted.features, misfit, skipped)
        notes = [skipped.sentence()] if skipped.count else []
        return Part(rows, _targets(fitted, rows)), [*notes, *skipped.notes]

    def suggest_settings(self, path: str) -> dict[str, Json]:
        """What a recipe should say of the data at `path`, dotted key -> value, as far as its names show it.

        A table: which columns hold files and texts. A folder without a table: the pattern of its first file's name,
        such as {text}_{speaker}_{take}.wav for 7_jackson_0.wav. Raises DataError.
        """
        from rnncli.data.audio import TABLES, pattern_of_folder
        from rnncli.data.folder import files_in
        from rnncli.data.table import open_table

        folder = Path(path)
        tables = [folder]
        if os.path.isdir(folder):
            tables = files_in(folder, TABLES, Skipped())
            if not tables:
                pattern = pattern_of_folder(folder, "text")
                if pattern is None:
                    return {}
                return {"data.pattern": pattern, "data.split.by": "speaker" if "{speaker}" in pattern else None}
        columns = open_table(tables[0]).columns
        found: dict[str, Json] = {"data.path": str(tables[0])} if len(tables) > 1 else {}
        for key, known in (
            ("file", ("file", "path", "filename", "audio", "wav")),
            ("text", ("text", "sentence", "transcript")),
        ):
            for name in known:
                if name in columns:
                    found[f"data.{key}"] = name
                    break
        # The recipe's own `by` names a column that this table may not have.
        found["data.split.by"] = next((name for name in ("speaker", "client_id") if name in columns), None)
        return found


def _clips(data: Data, source: str, skipped: Skipped) -> list[Clip]:
    from rnncli.data.audio import list_clips

    by = data.split.by
    if data.pattern is not None:
        return list_clips(source, skipped, pattern=data.pattern, text=data.text, by=by)
    return list_clips(source, skipped, text=data.text, file=data.file, place=data.place, by=by, header=data.header)


def _misfit(config: Config, text: str, T: int) -> str:
    """Why CTC cannot spell this text in a clip of T frames, or "". It needs a step for every token, and one for the
    blank that must stand between two equal ones (Graves et al. 2006, section 3.1)."""
    from rnncli.nn.frontends import subsampled

    tokens = tokenize(text, config.data.tokens)
    if not tokens:
        return tr("there is no token in {text}", text=repr(text))
    steps, needed = subsampled(T, config.model.subsampling), len(tokens) + sum(a == b for a, b in pairwise(tokens))
    if needed <= steps:
        return ""
    return tr(
        "CTC cannot spell {n} {kind} in {steps} steps; it needs {needed} (shorter text, lower data.hop or "
        "model.subsampling)",
        n=len(tokens),
        kind=tr(config.data.tokens),
        steps=steps,
        needed=needed,
    )


def _vocab(data: Data, rows: Mapping[str, ChosenFeatures]) -> Vocab:
    """The tokens of the training part; <unk> where another part has further ones."""
    counts = {
        name: Counter(t for clip in part.clips for t in tokenize(clip.text, data.tokens)) for name, part in rows.items()
    }
    strange = any(token not in counts["train"] for found in counts.values() for token in found)
    return Vocab.from_counts(counts["train"], specials=(BLANK, UNK) if strange else (BLANK,))


def _targets(fitted: Fitted, rows: ChosenFeatures) -> list[list[int]]:
    return [fitted.tokens.encode(tokenize(clip.text, fitted.kind), where=clip.where) for clip in rows.clips]


def _counts(part: Part) -> dict[str, int]:
    settings = part.rows.features.settings
    seconds = sum(part.rows.lengths) * settings.samples[1] / settings.rate
    return {"clips": len(part.rows), "seconds": round(seconds), "tokens": sum(map(len, part.targets))}


def _unknown_notes(fitted: Fitted, parts: Mapping[str, Part]) -> Iterator[str]:
    tokens = fitted.tokens
    if UNK in tokens:
        for name, part in parts.items():
            unknown = sum(ids.count(tokens.id(UNK)) for ids in part.targets)
            if unknown:
                yield tr(
                    "tokens of {part} that training does not have, and so can never be answered: {n}",
                    part=name,
                    n=f"{unknown:,}",
                )


def _loss(outputs: Any, batch: Batch) -> Loss:
    """CTC: minus the logarithm of the probability of all ways to spell the text (Graves et al. 2006, eq. 3 and 8),
    summed over the clips; counted in tokens, so that the mean loss is that of a token. scores: (T, B, V)."""
    from torch.nn import functional as F

    assert batch.targets is not None
    chances = outputs.scores.float().log_softmax(2)
    sizes = batch.extra["target_lengths"]
    total = F.ctc_loss(chances, batch.targets.t(), outputs.lengths, sizes, blank=0, reduction="sum")
    return Loss(total, int(sizes.sum()))


def _as_metrics(pairs: Iterable[tuple[str, str]]) -> Metrics:
    cer, wer = error_rates(pairs)
    return {"cer": cer, "wer": wer}


def _greedy(outputs: Any, fitted: Fitted) -> list[str]:
    """The likeliest token of every step; equal neighbours are one, blanks none (Graves et al. 2006, section 3.2)."""
    best = outputs.scores.argmax(2).t().tolist()  # B lists of T
    return [
        _text([token for token, _ in groupby(row[:length]) if token], fitted)
        for row, length in zip(best, outputs.lengths.tolist(), strict=True)
    ]


def _text(ids: Sequence[int], fitted: Fitted) -> str:
    return join(fitted.tokens.decode(ids), fitted.kind)


def _beam(chances: Tensor, width: int) -> list[int]:
    """The likeliest text among those that a beam of `width` prefixes keeps (Hannun et al. 2014, algorithm 1, without a
    language model). chances: (T, V), logarithms. For every prefix: the log probability of all ways to it that end in a
    blank, and of those that end in its last token."""
    from math import exp, inf, log1p

    def plus(a: float, b: float) -> float:
        high, low = max(a, b), min(a, b)
        return high if low == -inf else high + log1p(exp(low - high))

    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -inf)}
    for step in chances.tolist():
        new: dict[tuple[int, ...], tuple[float, float]] = {}

        def add(prefix: tuple[int, ...], blank: float, token: float, new: dict[Any, Any] = new) -> None:
            before = new.get(prefix, (-inf, -inf))
            new[prefix] = (plus(before[0], blank), plus(before[1], token))

        for prefix, (blank, token) in beam.items():
            either = plus(blank, token)
            add(prefix, either + step[0], -inf)
            for v in range(1, len(step)):
                if prefix and v == prefix[-1]:
                    add(prefix, -inf, token + step[v])
                    add((*prefix, v), -inf, blank + step[v])
                else:
                    add((*prefix, v), -inf, either + step[v])
        best = sorted(new.items(), key=lambda item: (-plus(*item[1]), item[0]))
        beam = dict(best[:width])
    return list(next(iter(beam)))


def _first(part: Part) -> Part:
    return Part(part.rows[:1], part.targets[:1])


TASK = Transcription()
