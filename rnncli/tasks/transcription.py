"""transcription: from recorded speech to text, by CTC: no one says where in the sound a letter lies."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from rnncli.data.batch import Batch, Order, index_batches, pad
from rnncli.data.edits import error_rates
from rnncli.data.pictures import spectrogram
from rnncli.data.skipped import Skipped
from rnncli.data.source import name_of
from rnncli.data.splits import split_by_group, split_random
from rnncli.data.vocab import UNK, Vocab, join, tokenize
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.recipe import Clash, CoreSection, DataSection, RecipeConfig, SplitSection, TrainSection
from rnncli.records import ColouredText, Column, Json, Record, Table
from rnncli.tasks import Asked, Baseline, Loss, Metrics, Names, Prediction, Splits, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State
    from rnncli.data.audio import Clip, Features, LogMel

METRICS: Mapping[str, Literal["lower", "higher"]] = {"cer": "lower", "wer": "lower", "loss": "lower"}
INPUT: Literal["text", "path"] = "path"
COUNTED = "tokens"  # by `loss`: what the speed is of
BLANK = "<blank>"  # CTC's answer of a frame that adds nothing; number 0
SHOWN_FRAMES = 50  # on one line of the example that closes a run


class Split(SplitSection):
    by: str | int | None = Field(
        None, description="clips that agree here stay in one part: a field of pattern, or a column of the table"
    )


class Data(DataSection):
    split: Split = Field(Split(), description="with path: the parts, as shares of the clips")
    pattern: str | None = Field(
        None, description="a folder whose file names say what is said: {text}_{speaker}_{take}.wav"
    )
    text: str | int = Field("text", description="what is said: the column of the table, or the field of pattern")
    file: str | int = Field("file", description="table: the column of file names")
    place: str = Field("{file}", description="table: where a file lies beside it: clips/{file}, wavs/{file}.wav")
    header: bool = Field(True, description="table: the first row names the columns")
    tokens: Literal["characters", "words"] = Field("characters", description="what the answer is spelled in")
    sample_rate: Annotated[int, Field(ge=0)] = Field(
        0, description="Hz that all clips are brought to; 0 is the rate of the first"
    )
    mels: Annotated[int, Field(ge=1, le=512)] = Field(40, description="mel bands, the features of a frame")
    window: Annotated[float, Field(gt=0, le=1000)] = Field(25.0, description="milliseconds that a frame looks at")
    hop: Annotated[float, Field(gt=0, le=1000)] = Field(10.0, description="milliseconds from a frame to the next")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.split.by is not None and self.train is not None:
            yield Clash(("split.by", "train"), tr("separate files are not split"), tr("remove data.split"))
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


class Part(NamedTuple):
    """rows: of `features`, which all parts share. targets: the text of each as token numbers."""

    features: Features
    rows: Sequence[int]
    targets: Sequence[list[int]]

    def clip(self, i: int) -> Clip:
        return self.features.clips[self.rows[i]]


def read(config: Config) -> Splits:
    from rnncli.data.audio import LogMel, first_rate, read_features

    data = config.data
    skipped = Skipped(data.on_bad, tr("clips"))
    given = {name: source for name in ("train", "validation", "test") if (source := getattr(data, name)) is not None}
    if data.path is not None:
        sources = [data.path] if isinstance(data.path, str) else data.path
    else:
        sources = list(given.values())
    listed = {source: _clips(data, source, skipped) for source in sources}
    clips = [clip for source in sources for clip in listed[source]]
    settings = LogMel(data.sample_rate or first_rate(clips), data.mels, data.window, data.hop)
    features = read_features(clips, settings, skipped, lambda clip, T: _misfit(config, clip.text, T))
    skipped.finish(", ".join(map(name_of, sources)))
    found = features.clips
    if data.path is not None:
        shares, seed = data.split.fractions(), config.train.seed
        if data.split.by is None:
            split = split_random(len(found), shares, seed)
        else:
            split = split_by_group([clip.group for clip in found], shares, seed, by=str(data.split.by))
        rows, how = split.parts, split.how
    else:
        owner = {id(clip): name for name, source in given.items() for clip in listed[source]}
        rows = {name: [i for i, clip in enumerate(found) if owner[id(clip)] == name] for name in given}
        how = tr("separate files")
        for name, part in rows.items():
            if not part:
                raise DataError(tr("there are no usable clips in it"), where=name_of(given[name]))
    vocab = _vocab(config, features, rows)
    parts = {name: Part(features, part, _targets(vocab, features, part)) for name, part in rows.items()}
    notes = [skipped.sentence()] if skipped.count else []
    return Splits(
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts.get("test"),
        vocab=vocab,
        counts={name: _counts(part) for name, part in parts.items()},
        fingerprint=features.fingerprint,
        how=how,
        notes=[*notes, *skipped.notes, *_unknown_notes(vocab, parts)],
    )


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
        "CTC cannot spell {n} {kind} in {steps}; it needs {needed} (shorter text, lower data.hop or model.subsampling)",
        n=len(tokens),
        kind=tr(config.data.tokens),
        steps=trn("{n} step", "{n} steps", n=steps),
        needed=needed,
    )


def _vocab(config: Config, features: Features, rows: Mapping[str, Sequence[int]]) -> Vocabulary:
    data, clips = config.data, features.clips
    counts = Counter(token for row in rows["train"] for token in tokenize(clips[row].text, data.tokens))
    held_out = [token for part in rows.values() for row in part for token in tokenize(clips[row].text, data.tokens)]
    specials = (BLANK, UNK) if any(token not in counts for token in held_out) else (BLANK,)
    mean, std = features.moments(rows["train"])
    settings = features.settings
    return {
        "tokens": Vocab.from_counts(counts, specials=specials).to_json(),
        "kind": data.tokens,
        "features": {"rate": settings.rate, "mels": settings.mels, "window": settings.window, "hop": settings.hop},
        "mean": mean,
        "std": std,
    }


def _targets(vocab: Vocabulary, features: Features, rows: Iterable[int]) -> list[list[int]]:
    tokens = Vocab.from_json(vocab["tokens"])
    return [
        tokens.encode(tokenize(features.clips[row].text, vocab["kind"]), where=features.clips[row].where)
        for row in rows
    ]


def _counts(part: Part) -> dict[str, int]:
    settings = part.features.settings
    seconds = sum(part.features.lengths[row] for row in part.rows) * settings.samples[1] / settings.rate
    return {"clips": len(part.rows), "seconds": round(seconds), "tokens": sum(map(len, part.targets))}


def _unknown_notes(vocab: Vocabulary, parts: Mapping[str, Part]) -> Iterator[str]:
    tokens = Vocab.from_json(vocab["tokens"])
    if UNK in tokens:
        for name, part in parts.items():
            unknown = sum(ids.count(tokens.id(UNK)) for ids in part.targets)
            if unknown:
                yield tr(
                    "tokens of {part} that training does not have, and so can never be answered: {n}",
                    part=name,
                    n=f"{unknown:,}",
                )


def build(config: Config, vocab: Vocabulary) -> nn.Module:
    from rnncli.nn.frontends import ConvSubsampling
    from rnncli.nn.heads import PerStep
    from rnncli.nn.model import SequenceModel
    from rnncli.nn.recurrent import core_of_section

    model = config.model
    front = ConvSubsampling(vocab["mean"], vocab["std"], model.channels, model.subsampling)
    rnn, spec = core_of_section(model, model.channels)
    return SequenceModel(front, rnn, PerStep(spec.output_size, len(vocab["tokens"]["tokens"])), model.engine)


def names(config: Config, vocab: Vocabulary) -> Names:
    return Names(None, vocab["tokens"]["tokens"])


def batches(config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
    """Targets: (S, B), the texts, padded with the blank. In training, clips of like length share a batch."""
    import torch

    lengths = [part.features.lengths[row] for row in part.rows] if order is not None else None
    where = order or Order(0, 0)
    shuffle = order is not None
    for rows in index_batches(len(part.rows), config.train.batch_size, where, shuffle=shuffle, lengths=lengths):
        inputs, sizes = pad([part.features[part.rows[row]] for row in rows])
        targets, target_sizes = pad([part.targets[row] for row in rows])
        yield Batch(inputs, sizes, targets, {"target_lengths": target_sizes.to(torch.int64)}, rows)


def _settings(vocab: Vocabulary) -> LogMel:
    from rnncli.data.audio import LogMel

    return LogMel(**vocab["features"])


def encode(config: Config, vocab: Vocabulary, inputs: Sequence[str]) -> Batch:
    settings = _settings(vocab)
    return Batch(*pad([settings.of_file(path) for path in inputs]))


def loss(config: Config, model: Any, batch: Batch, carry: State | None) -> Loss:
    return _loss(model(batch), batch)


def _loss(outputs: Any, batch: Batch) -> Loss:
    """CTC: minus the logarithm of the probability of all ways to spell the text (Graves et al. 2006, eq. 3 and 8),
    summed over the clips; counted in tokens, so that the mean loss is that of a token. scores: (T, B, V)."""
    from torch.nn import functional as F

    assert batch.targets is not None
    chances = outputs.scores.float().log_softmax(2)
    sizes = batch.extra["target_lengths"]
    total = F.ctc_loss(chances, batch.targets.t(), outputs.lengths, sizes, blank=0, reduction="sum")
    return Loss(total, int(sizes.sum()))


def metrics(config: Config, model: Any, part: Part, vocab: Vocabulary) -> Metrics:
    """Error rates of the greedy answers, as `predict` writes them, against the texts as they are in the data: all edits
    over all characters or words. The loss of a token."""
    from rnncli.nn.evaluate import outputs_of

    total, count = 0.0, 0.0
    pairs: list[tuple[str, str]] = []
    for batch, outputs in outputs_of(model, batches(config, part, None)):
        found = _loss(outputs, batch)
        total += float(found.total)
        count += found.count
        answers = _greedy(outputs, vocab)
        pairs += [(answer, part.clip(row).text) for answer, row in zip(answers, batch.rows, strict=True)]
    return _as_metrics(pairs) | {"loss": total / count}


def answers(config: Config, model: Any, part: Part, vocab: Vocabulary) -> Iterator[str]:
    from rnncli.nn.evaluate import outputs_of

    for _, outputs in outputs_of(model, batches(config, part, None)):
        yield from _greedy(outputs, vocab)


def _as_metrics(pairs: Iterable[tuple[str, str]]) -> Metrics:
    cer, wer = error_rates(pairs)
    return {"cer": cer, "wer": wer}


def _greedy(outputs: Any, vocab: Vocabulary) -> list[str]:
    """The likeliest token of every step; equal neighbours are one, blanks none (Graves et al. 2006, section 3.2)."""
    best = outputs.scores.argmax(2).t().tolist()  # B lists of T
    return [
        _text([token for token, _ in groupby(row[:length]) if token], vocab)
        for row, length in zip(best, outputs.lengths.tolist(), strict=True)
    ]


def _text(ids: Sequence[int], vocab: Vocabulary) -> str:
    return join(Vocab.from_json(vocab["tokens"]).decode(ids), vocab["kind"])


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


def baselines(config: Config, splits: Splits, part: str) -> list[Baseline]:
    """The commonest text of the training part as the answer to everything."""
    train: Part = splits.train
    tested: Part = splits.part(part)
    counts = Counter(train.clip(i).text for i in range(len(train.rows)))
    often = min(counts, key=lambda text: (-counts[text], text))
    pairs = [(often, tested.clip(i).text) for i in range(len(tested.rows))]
    return [Baseline(tr("commonest text"), _as_metrics(pairs), tr("always {text}", text=repr(often[:40])))]


def watch(config: Config, model: Any, splits: Splits) -> str:
    """What it hears in the first held-out clip."""
    from rnncli.nn.evaluate import outputs_of

    one = _first(splits.part(splits.held_out))
    _, outputs = next(outputs_of(model, batches(config, one, None)))
    return _greedy(outputs, splits.vocab)[0]


def _first(part: Part) -> Part:
    return Part(part.features, part.rows[:1], part.targets[:1])


def show(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    """The first clip: what is said, what is heard, and the likeliest answer of every step."""
    from rnncli.nn.evaluate import outputs_of

    rows: Part = splits.part(part)
    vocab = splits.vocab
    _, outputs = next(outputs_of(model, batches(config, _first(rows), None)))
    clip = rows.clip(0)
    heard = [
        [tr("clip"), clip.where],
        [tr("target"), clip.text],
        [tr("decoded"), _greedy(outputs, vocab)[0]],
    ]
    best = outputs.scores[:, 0].argmax(1).tolist()
    tokens = vocab["tokens"]["tokens"]
    settings = rows.features.settings
    step_seconds = settings.samples[1] / settings.rate * config.model.subsampling
    lines: list[list[Any]] = []
    if vocab["kind"] == "characters":
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


def pictures(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    """The first clip as a spectrogram, and below it the likeliest token of every step."""
    from rnncli.nn.evaluate import outputs_of

    rows: Part = splits.part(part)
    _, outputs = next(outputs_of(model, batches(config, _first(rows), None)))
    chances, best = outputs.scores[:, 0].float().softmax(1).max(1)  # (T,) each
    tokens = splits.vocab["tokens"]["tokens"]
    heard = ["-" if token == 0 else tokens[token] for token in best.tolist()]
    title = tr("the likeliest token of each step, coloured by its probability; - is the blank")
    separator = "" if splits.vocab["kind"] == "characters" else " "
    return [
        spectrogram(rows.features[rows.rows[0]], rows.features.settings.hop / 1000),
        ColouredText("heard", heard, chances.tolist(), 0.0, 1.0, title, separator),
    ]


def predict(config: Config, model: Any, vocab: Vocabulary, inputs: Iterable[str], asked: Asked) -> Iterator[Prediction]:
    """One line of text for each sound file; with beam, the best of a beam search of that width."""
    from rnncli.nn.evaluate import outputs_of

    asked.only("beam")
    settings = _settings(vocab)
    for path in inputs:
        _, outputs = next(outputs_of(model, [Batch(*pad([settings.of_file(path)]))]))
        if asked.beam is None or asked.beam == 1:
            text = _greedy(outputs, vocab)[0]
        else:
            text = _text(_beam(outputs.scores[:, 0].float().log_softmax(1), asked.beam), vocab)
        yield Prediction(text, {"file": path, "text": text})


def read_part(config: Config, vocab: Vocabulary, path: str) -> tuple[Part, list[str]]:
    """A new table or folder of clips as one part, in a run's vocabulary; and notes on it. Raises DataError."""
    from rnncli.data.audio import read_features

    skipped = Skipped(config.data.on_bad, tr("clips"))
    tokens = Vocab.from_json(vocab["tokens"])

    def misfit(clip: Clip, T: int) -> str:
        unknown = [] if UNK in tokens else tokens.unknown(tokenize(clip.text, vocab["kind"]))
        if unknown:
            return tr("its text has tokens that training does not have: {tokens}", tokens=" ".join(map(repr, unknown)))
        return _misfit(config, clip.text, T)

    features = read_features(_clips(config.data, path, skipped), _settings(vocab), skipped, misfit)
    skipped.finish(name_of(path))
    rows = range(len(features.clips))
    notes = [skipped.sentence()] if skipped.count else []
    return Part(features, rows, _targets(vocab, features, rows)), [*notes, *skipped.notes]


def fill(path: str) -> dict[str, Json]:
    """What a recipe should say of the data at `path`, dotted key -> value, as far as its names show it.

    A table: which columns hold files and texts. A folder without a table: the pattern of its first file's name, such as
    {text}_{speaker}_{take}.wav for 7_jackson_0.wav. Raises DataError.
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
