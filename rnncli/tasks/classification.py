"""classification: one label for a whole text or sound. Names by language, sentences well-formed or not, words heard."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, cast

from pydantic import Field

from rnncli.data.batch import Batch, Order, index_batches, pad
from rnncli.data.builtin import is_builtin
from rnncli.data.folder import NamePattern, Sample, class_folder_fingerprint, read_class_folder
from rnncli.data.ngrams import LONGEST, NgramClassifier, thinned
from rnncli.data.pictures import confusion, spectrogram
from rnncli.data.ragged import Few, Gathering, GatheringPlaces, Numbering, Places, Ragged
from rnncli.data.skipped import Skipped
from rnncli.data.sniff import sniff_table
from rnncli.data.source import fingerprint_of, name_of
from rnncli.data.splits import split_by_class, split_by_group
from rnncli.data.table import Key, read_cells
from rnncli.data.vocab import UNK, Vocab, join, tokenize
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.recipe import Clash, CoreSection, DataSection, RecipeConfig, Section, SplitSection, TrainSection
from rnncli.records import Column, Json, Record, Table
from rnncli.tasks import Asked, Baseline, Loss, Metrics, Names, Prediction, Splits, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State
    from rnncli.data.audio import Clip, Features, LogMel

METRICS: Mapping[str, Literal["lower", "higher"]] = {"macro-f1": "higher", "accuracy": "higher", "loss": "lower"}
INPUT: Literal["text", "path"] = "text"
COUNTED = "rows"  # by `loss`: what the speed is of
SHOWN_PREFIXES = 12  # of the example that closes a run
SHOWN_CLASSES = 24  # in the confusion matrix; more classes: the commonest mistakes as a table


class Split(SplitSection):
    by: str | int | None = Field(
        None,
        description="rows that agree here stay in one part: a column; for a folder of texts a pattern, "
        "{speaker}_*.txt; for sound a field of its pattern",
    )


class Sound(Section):
    """`data.sound:`, a folder of sound files in place of texts."""

    pattern: str = Field(description="how file names say the class: {label}_{speaker}_{take}.wav")
    sample_rate: Annotated[int, Field(ge=0)] = Field(
        0, description="Hz that all clips are brought to; 0 is the rate of the first"
    )
    mels: Annotated[int, Field(ge=1, le=512)] = Field(40, description="mel bands, the features of a frame")
    window: Annotated[float, Field(gt=0, le=1000)] = Field(25.0, description="milliseconds that a frame looks at")
    hop: Annotated[float, Field(gt=0, le=1000)] = Field(10.0, description="milliseconds from a frame to the next")


class Data(DataSection):
    split: Split = Field(Split(), description="with path: the parts, as shares, drawn within each class")
    text: str | int = Field("text", description="table: column that holds the text, by name, or by number from 0")
    label: str | int = Field("label", description="table: column that holds the class")
    header: bool = Field(True, description="table: the first row names the columns")
    sound: Sound | None = Field(None, description="read a folder of sound files: {pattern: '{label}_{speaker}_*.wav'}")
    classes: dict[str, str] | None = Field(
        None, description="label in the file -> name shown, where the file has numbers: {0: bad, 1: good}"
    )
    tokens: Literal["characters", "words"] = Field("characters", description="what one step is")
    min_count: Annotated[int, Field(ge=1)] = Field(1, description="a token seen less often is <unk>")
    max_vocab: Annotated[int, Field(ge=0)] = Field(0, description="keep the commonest so many tokens; 0 is all")
    max_length: Annotated[int, Field(ge=0)] = Field(0, description="read so many tokens of a text; 0 is all")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.split.by is not None and self.train is not None:
            yield Clash(("split.by", "train"), tr("separate files are not split"), tr("remove data.split"))
        if self.text == self.label:
            yield Clash(("label", "text"), tr("text and label are the same column"))
        if self.max_vocab == 1:
            yield Clash(("max_vocab",), tr("a vocabulary of one token, <unk>, tells nothing"), tr("0 keeps all"))


class Model(CoreSection):
    input: Literal["one-hot", "embedding"] = Field("embedding", description="how a token becomes x_t")
    embedding_size: Annotated[int, Field(ge=1)] = Field(
        32, description="length of the learned vectors of input: embedding"
    )
    channels: Annotated[int, Field(ge=1)] = Field(64, description="sound: of its convolutions, the input of the cell")
    subsampling: Literal[1, 2, 4] = Field(2, description="sound: frames that become one step, by convolutions")
    head: Literal["last", "mean", "max"] = Field(
        "last", description="what is scored: the last states of all directions joined, or outputs pooled over the steps"
    )


class Train(TrainSection):
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: a row counts rows / (classes x rows of its class), so rare classes count more"
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="the share of a target that is spread over all classes"
    )
    best_by: Literal["macro-f1", "accuracy", "loss"] = Field(
        "macro-f1", description="the metric that decides which epoch is kept"
    )


class Config(RecipeConfig):
    task: Literal["classification"]
    data: Data
    model: Model
    train: Train


class Row(NamedTuple):
    """One labelled text: where it stands (`file:line`), its tokens, its label, the group that a split keeps whole. Of a
    sound: its file, and no tokens."""

    where: str
    tokens: list[str]
    label: str
    group: str


class Rows(Sequence[Row]):
    """Labelled texts as numbers of few different words, labels and groups; a row is made when asked for."""

    def __init__(self, places: Places, tokens: Ragged, labels: Few, groups: Few) -> None:
        self.places, self.tokens, self.labels, self.groups = places, tokens, labels, groups

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Rows:
        places, tokens, labels, groups = GatheringPlaces(), Gathering(), Numbering(), Numbering()
        for row in rows:
            places.add(row.where)
            tokens.add(row.tokens)
            labels.extend((row.label,))
            groups.extend((row.group,))
        return cls(places.done(), tokens.done(), labels.done(), groups.done())

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return Rows(self.places[i], self.tokens[i], self.labels[i], self.groups[i])
        return Row(self.places[i], self.tokens[i], self.labels[i], self.groups[i])

    def chosen(self, rows: Sequence[int]) -> Rows:
        """These rows, in this order."""
        tokens, labels, groups = self.tokens.chosen(rows), self.labels.chosen(rows), self.groups.chosen(rows)
        return Rows(self.places.chosen(rows), tokens, labels, groups)


class Part(NamedTuple):
    """Rows, and the same as numbers: token numbers, or the features of a sound, (T, mels) each. class_weights: (C,) of
    the loss; None where all classes count alike."""

    rows: Sequence[Row]
    inputs: Sequence[Any]
    targets: Sequence[int]
    class_weights: Tensor | None = None

    def lengths(self) -> list[int]:
        from rnncli.data.audio import ChosenFeatures

        if isinstance(self.inputs, ChosenFeatures):
            return self.inputs.lengths
        if isinstance(self.inputs, Ragged):
            return cast(list[int], self.inputs.lengths.tolist())
        return [len(row) for row in self.inputs]


def read(config: Config) -> Splits:
    data = config.data
    if data.sound is not None:
        return _read_sounds(config, data.sound)
    skipped = Skipped(data.on_bad, tr("rows"))
    notes: list[str] = []
    if data.path is not None:
        sources = [data.path] if isinstance(data.path, str) else data.path
        rows = Rows.of(row for source in sources for row in _rows(config, source, skipped, notes))
        shares, seed = data.split.fractions(), config.train.seed
        if data.split.by is None or not shares:
            split = split_by_class(rows.labels, shares, seed)
        else:
            split = split_by_group(rows.groups, shares, seed, by=str(data.split.by))
        parts = {name: rows.chosen(numbers) for name, numbers in split.parts.items()}
        how = split.how
    else:
        given = {name: getattr(data, name) for name in ("train", "validation", "test")}
        sources = [source for source in given.values() if source is not None]
        parts = {
            name: Rows.of(_rows(config, source, skipped, notes)) for name, source in given.items() if source is not None
        }
        how = tr("separate files")
    if skipped.count:
        notes.append(skipped.sentence())
    notes += skipped.notes
    labels = Vocab(tuple(sorted(set(parts["train"].labels))))
    if len(labels) < 2:
        raise DataError(
            tr("the training part has one class only, {label}", label=repr(labels.tokens[0])),
            where=name_of(sources[0]),
            todo=tr("is data.label the column of classes?"),
        )
    tokens = Vocab.from_counts(
        parts["train"].tokens.counts(),
        specials=(UNK,),
        min_count=data.min_count,
        max_size=data.max_vocab or None,
    )
    vocab: Vocabulary = {"tokens": tokens.to_json(), "labels": labels.to_json(), "kind": data.tokens}
    found = {name: _part(config, name, rows, vocab, notes) for name, rows in parts.items()}
    notes += _seen_before(parts)
    return Splits(
        train=found["train"]._replace(class_weights=_class_weights(config, found["train"].targets, len(labels))),
        validation=found.get("validation"),
        test=found.get("test"),
        vocab=vocab,
        counts={name: {"texts": len(part.rows), "steps": sum(part.lengths())} for name, part in found.items()},
        fingerprint=_fingerprint(sources),
        how=trn("{how}; {n} class", "{how}; {n} classes", how=how, n=len(labels)),
        notes=notes,
    )


def _read_sounds(config: Config, sound: Sound) -> Splits:
    from rnncli.data.audio import LogMel, first_rate, read_features

    data = config.data
    given = {name: source for name in ("train", "validation", "test") if (source := getattr(data, name)) is not None}
    sources = list(given.values())
    if data.path is not None:
        sources = [data.path] if isinstance(data.path, str) else data.path
    skipped = Skipped(data.on_bad, tr("clips"))
    listed = {source: _clips(config, sound, source, skipped) for source in sources}
    clips = [clip for source in sources for clip in listed[source]]
    settings = LogMel(sound.sample_rate or first_rate(clips), sound.mels, sound.window, sound.hop)
    features = read_features(clips, settings, skipped, lambda clip, T: _no_class(data, clip.text))
    skipped.finish(", ".join(map(name_of, sources)))
    found = features.clips
    if data.path is not None:
        shares, seed = data.split.fractions(), config.train.seed
        if data.split.by is None or not shares:
            split = split_by_class([clip.text for clip in found], shares, seed)
        else:
            split = split_by_group([clip.group for clip in found], shares, seed, by=str(data.split.by))
        chosen, how = dict(split.parts), split.how
    else:
        owner = {id(clip): name for name, source in given.items() for clip in listed[source]}
        chosen = {name: [i for i, clip in enumerate(found) if owner[id(clip)] == name] for name in given}
        how = tr("separate files")
    labels = Vocab(tuple(sorted({_class_of(data, found[i].text) for i in chosen["train"]})))
    if len(labels) < 2:
        raise DataError(
            tr("the training part has one class only, {label}", label=repr("".join(labels.tokens))),
            where=name_of(sources[0]),
        )
    mean, std = features.moments(chosen["train"])
    vocab: Vocabulary = {
        "labels": labels.to_json(),
        "features": {"rate": settings.rate, "mels": settings.mels, "window": settings.window, "hop": settings.hop},
        "mean": mean,
        "std": std,
    }
    notes = [skipped.sentence()] if skipped.count else []
    notes += skipped.notes
    parts = {name: _sound_part(config, name, features, rows, vocab, notes) for name, rows in chosen.items()}
    return Splits(
        train=parts["train"]._replace(class_weights=_class_weights(config, parts["train"].targets, len(labels))),
        validation=parts.get("validation"),
        test=parts.get("test"),
        vocab=vocab,
        counts={name: {"clips": len(part.rows), "frames": sum(part.lengths())} for name, part in parts.items()},
        fingerprint=features.fingerprint,
        how=trn("{how}; {n} class", "{how}; {n} classes", how=how, n=len(labels)),
        notes=notes,
    )


def _clips(config: Config, sound: Sound, source: str, skipped: Skipped) -> list[Clip]:
    """The sound files of a folder; what is said in each is its class as the file name has it."""
    from rnncli.data.audio import list_clips

    data = config.data
    return list_clips(source, skipped, pattern=sound.pattern, text=data.label, by=data.split.by)


def _class_of(data: Data, label: str) -> str:
    return label if data.classes is None else data.classes[label]


def _no_class(data: Data, label: str) -> str:
    """Why a label of the files has no class, or ""."""
    if data.classes is None or label in data.classes:
        return ""
    return tr("label {label} is not in data.classes: {known}", label=repr(label), known=", ".join(data.classes))


def _sound_part(
    config: Config, name: str, features: Features, rows: Iterable[int], vocab: Vocabulary, notes: list[str]
) -> Part:
    """These rows of the features. A class that training does not have is a bad record."""
    from rnncli.data.audio import ChosenFeatures

    labels = Vocab.from_json(vocab["labels"])
    skipped = Skipped(config.data.on_bad, tr("clips"))
    usable: dict[int, Row] = {}
    for row in rows:
        clip = features.clips[row]
        label = _class_of(config.data, clip.text)
        if label in labels:
            skipped.good()
            usable[row] = Row(clip.where, [], label, clip.group)
        else:
            skipped.bad(clip.where, tr("class {label} is not in the training part", label=repr(label)))
    skipped.finish(name)
    if skipped.count:
        notes.append(skipped.sentence())
    chosen = list(usable.values())
    return Part(chosen, ChosenFeatures(features, list(usable)), [labels.id(row.label) for row in chosen])


def _settings(vocab: Vocabulary) -> LogMel | None:
    """How sound becomes features; None where the model reads texts."""
    from rnncli.data.audio import LogMel

    return LogMel(**vocab["features"]) if "features" in vocab else None


def _is_folder(source: str) -> bool:
    return not is_builtin(source) and os.path.isdir(source)


def _rows(config: Config, source: str, skipped: Skipped, notes: list[str]) -> Iterator[Row]:
    """The labelled texts of one source, a folder or a table; those of it that cannot be used are told to `skipped`."""
    data = config.data
    cut = 0
    for where, text, label, group in _texts(data, source, skipped):
        tokens = tokenize(text, data.tokens)
        if data.max_length and len(tokens) > data.max_length:
            tokens = tokens[: data.max_length]
            cut += 1
        yield Row(where, tokens, _class_of(data, label), group)
    if cut:
        notes.append(
            tr(
                "{texts} of {file} cut after {tokens}",
                texts=trn("{n} text", "{n} texts", n=cut),
                file=name_of(source),
                tokens=trn("{n} token", "{n} tokens", n=data.max_length),
            )
        )


def _texts(data: Data, source: str, skipped: Skipped) -> Iterator[tuple[str, str, str, str]]:
    """(where, text, label, group) of each row that can be used."""
    by = data.split.by
    fit = Skipped(data.on_bad, skipped.what)  # what is wrong with a row that could be read
    rows: Iterable[tuple[str, str, str, str]]
    if _is_folder(source):
        rows = _grouped(read_class_folder(source, skipped), by, source, fit)
    else:
        if isinstance(by, str) and "{" in by:
            raise DataError(
                tr("a pattern, {by}, is for a folder of files; this is a table", by=repr(by)),
                where=name_of(source),
                todo=tr("split.by: the name of a column"),
            )
        keys: list[Key] = [data.text, data.label] if by is None else [data.text, data.label, by]
        cells = read_cells(source, keys, skipped, header=data.header)
        rows = ((where, row[0], row[1], row[2] if by is not None else "") for where, row in cells)
    for where, text, label, group in rows:
        if why := _no_class(data, label):
            fit.bad(where, why)
        elif not tokenize(text[:100], data.tokens) and not tokenize(text, data.tokens):
            fit.bad(where, tr("there is no token in this text"))
        else:
            fit.good()
            yield where, text, label, group
    fit.finish(name_of(source))
    if fit.count:
        skipped.note(fit.sentence())


def _grouped(
    samples: Iterable[Sample], by: str | int | None, folder: str, fit: Skipped
) -> Iterator[tuple[str, str, str, str]]:
    """Samples of a folder with their groups: the fields of `by`, a pattern of file names, side by side."""
    pattern = NamePattern(str(by)) if by is not None else None
    if pattern is not None and not pattern.fields:
        raise DataError(
            tr("split.by {by} names no field", by=repr(by)),
            where=name_of(folder),
            todo=tr("for a folder, a pattern of file names such as {example}", example="{speaker}_*.txt"),
        )
    for sample in samples:
        group: dict[str, str] | None = {}
        if pattern is not None:
            group = pattern.match(Path(sample.where).name)
        if group is None:
            fit.bad(sample.where, tr("the name does not fit {pattern}", pattern=by))
            continue
        yield sample.where, sample.text, sample.label, "\t".join(group.values())


def _fingerprint(sources: Sequence[str]) -> str:
    prints = [class_folder_fingerprint(one) if _is_folder(one) else fingerprint_of([one]) for one in sources]
    return "-".join(prints)


def _part(config: Config, name: str, rows: Rows, vocab: Vocabulary, notes: list[str]) -> Part:
    """The rows of a part as numbers. A class that training does not have is a bad record."""
    tokens, labels = Vocab.from_json(vocab["tokens"]), Vocab.from_json(vocab["labels"])
    skipped = Skipped(config.data.on_bad, tr("rows"))
    usable, targets = [], []
    for i, label in enumerate(rows.labels):
        if label in labels:
            skipped.good()
            usable.append(i)
            targets.append(labels.id(label))
        else:
            skipped.bad(rows.places[i], tr("class {label} is not in the training part", label=repr(label)))
    skipped.finish(name)
    if skipped.count:
        notes.append(skipped.sentence())
        rows = rows.chosen(usable)
    unknown = sum(n for token, n in rows.tokens.counts().items() if token not in tokens or token == UNK)
    if unknown:
        notes.append(
            tr("tokens of {part} that are not in the vocabulary, read as <unk>: {n}", part=name, n=f"{unknown:,}")
        )
    return Part(rows, rows.tokens.as_values(tokens.encode(rows.tokens.types)), targets)


def _class_weights(config: Config, targets: Sequence[int], num_classes: int) -> Tensor | None:
    import torch

    if config.train.class_weights == "none":
        return None
    rows = torch.bincount(torch.tensor(targets), minlength=num_classes)  # (C,), each at least 1
    return len(targets) / (num_classes * rows.float())


def _seen_before(parts: Mapping[str, Rows]) -> Iterator[str]:
    """A sentence for each held-out part that holds texts of the training part: there, memory looks like skill."""
    import numpy as np

    seen = _prints(parts["train"])
    for name, rows in parts.items():
        again = int(np.isin(_prints(rows), seen).sum()) if name != "train" else 0
        if again:
            yield tr(
                "texts of {part} that also stand in train: {n} of {total}",
                part=name,
                n=f"{again:,}",
                total=f"{len(rows):,}",
            )


def _prints(rows: Rows) -> Any:
    """64 bits of a hash of each text, (rows,)."""
    import numpy as np

    prints = (int.from_bytes(blake2b("\0".join(tokens).encode(), digest_size=8).digest()) for tokens in rows.tokens)
    return np.fromiter(prints, np.uint64, len(rows))


def build(config: Config, vocab: Vocabulary) -> nn.Module:
    from rnncli.nn.frontends import ConvSubsampling, OneHot, TokenEmbedding
    from rnncli.nn.heads import LastState, MaxPool, MeanPool
    from rnncli.nn.model import SequenceModel
    from rnncli.nn.recurrent import core_of_section

    model = config.model
    num_classes = len(vocab["labels"]["tokens"])
    front: nn.Module
    if "features" in vocab:
        front, size = ConvSubsampling(vocab["mean"], vocab["std"], model.channels, model.subsampling), model.channels
    else:
        size = len(vocab["tokens"]["tokens"])
        front = OneHot(size)
        if model.input == "embedding":
            front, size = TokenEmbedding(size, model.embedding_size), model.embedding_size
    rnn, spec = core_of_section(model, size)
    head = {"last": LastState, "mean": MeanPool, "max": MaxPool}[model.head](spec.output_size, num_classes)
    return SequenceModel(front, rnn, head, model.engine)


def names(config: Config, vocab: Vocabulary) -> Names:
    return Names(None if "features" in vocab else vocab["tokens"]["tokens"], vocab["labels"]["tokens"])


def batches(config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
    """In training, rows of like length share a batch, which saves padding; to be judged, rows come in order."""
    import torch

    lengths = part.lengths() if order is not None else None
    extra = {} if part.class_weights is None else {"class_weights": part.class_weights}
    where = order or Order(0, 0)
    for rows in index_batches(
        len(part.inputs), config.train.batch_size, where, shuffle=order is not None, lengths=lengths
    ):
        inputs, sizes = pad([part.inputs[row] for row in rows])
        targets = torch.tensor([part.targets[row] for row in rows])  # (B,)
        yield Batch(inputs, sizes, targets, extra=extra, rows=rows)


def encode(config: Config, vocab: Vocabulary, inputs: Sequence[str]) -> Batch:
    settings = _settings(vocab)
    if settings is not None:
        return Batch(*pad([settings.of_file(path) for path in inputs]))
    tokens = Vocab.from_json(vocab["tokens"])
    steps = [_steps(config, text) for text in inputs]
    for text, row in zip(inputs, steps, strict=True):
        if not row:
            raise DataError(tr("there is no token in {text}", text=repr(text)))
    ids, lengths = pad([tokens.encode(row) for row in steps])
    return Batch(ids, lengths)


def _steps(config: Config, text: str) -> list[str]:
    """The tokens of a text as the model reads them."""
    steps = tokenize(text.strip(), config.data.tokens)
    return steps[: config.data.max_length or None]


def loss(config: Config, model: Any, batch: Batch, carry: State | None) -> Loss:
    """Cross-entropy, with class weights and label smoothing as torch.nn.CrossEntropyLoss means them: the count is the
    sum of the rows' weights, so the loop's division is torch's weighted mean."""
    from torch.nn import functional as F

    assert batch.targets is not None
    weights = batch.extra.get("class_weights")
    scores = model(batch).scores  # (B, C)
    weights = None if weights is None else weights.to(scores.dtype)
    total = F.cross_entropy(
        scores, batch.targets, weights, label_smoothing=config.train.label_smoothing, reduction="sum"
    )
    return Loss(total, batch.size if weights is None else float(weights[batch.targets].sum()))


def metrics(config: Config, model: Any, part: Part, vocab: Vocabulary) -> Metrics:
    """macro-f1, accuracy, and the plain cross-entropy of a row (no class weights, no smoothing)."""
    return _as_metrics(_log_chances(config, model, part), part)


def _log_chances(config: Config, model: Any, part: Part) -> Tensor:
    """Of every class for every row, in order, (rows, C), on the CPU."""
    import torch

    from rnncli.nn.evaluate import outputs_of

    found = [outputs.scores.log_softmax(1).cpu() for _, outputs in outputs_of(model, batches(config, part, None))]
    return torch.cat(found)


def _as_metrics(log_chances: Tensor, part: Part) -> Metrics:
    import torch

    targets = torch.tensor(part.targets)
    confusion = _confusion(log_chances, part)
    return {
        "macro-f1": _macro_f1(confusion),
        "accuracy": int(confusion.diag().sum()) / len(part.targets),
        "loss": float(-log_chances.double().gather(1, targets[:, None]).mean()),
    }


def _confusion(log_chances: Tensor, part: Part) -> Tensor:
    """How many rows of each class were taken for each class, (C true, C predicted)."""
    import torch

    C = log_chances.shape[1]
    pairs = torch.tensor(part.targets) * C + log_chances.argmax(1)
    return torch.bincount(pairs, minlength=C * C).view(C, C)


def _macro_f1(confusion: Tensor) -> float:
    """The mean of the classes' F1 = 2 TP / (2 TP + FP + FN), over the classes that stand in truth or prediction (what
    scikit-learn's f1_score(average="macro") gives)."""
    both = confusion.sum(0) + confusion.sum(1)  # (C,), 2 TP + FP + FN
    present = both > 0
    return float((2 * confusion.diag()[present] / both[present]).mean())


def baselines(config: Config, splits: Splits, part: str) -> list[Baseline]:
    """The commonest class; logistic regression on the n-grams of a text, or, of sounds, the nearest mean spectrum. All
    fitted on the training part."""
    import torch

    train, tested = splits.train, splits.part(part)
    size = len(splits.vocab["labels"]["tokens"])
    shares = torch.bincount(torch.tensor(train.targets), minlength=size).double()
    majority = (shares / shares.sum()).log().expand(len(tested.rows), size)
    label = splits.vocab["labels"]["tokens"][int(shares.argmax())]
    always = Baseline(tr("majority"), _as_metrics(majority, tested), tr("always {label}", label=label))
    if "features" in splits.vocab:
        about = tr("the class whose mean over all frames is nearest: knows no order")
        return [always, Baseline(tr("mean spectrum"), _as_metrics(_by_spectrum(train, tested, size), tested), about)]
    every = thinned(sum(train.lengths()))
    bag = NgramClassifier(train.rows.tokens[::every], train.targets[::every], size)
    about = tr("logistic regression on runs of 1 to {n} {kind}", n=LONGEST, kind=tr(config.data.tokens))
    if every > 1:
        about = tr("{about}, fitted to one training text in {n}", about=about, n=every)
    return [always, Baseline(tr("n-grams"), _as_metrics(bag.log_chances(tested.rows.tokens), tested), about)]


def _by_spectrum(train: Part, tested: Part, num_classes: int) -> Tensor:
    """Log chances by the distance of a clip's mean frame to that of each class, each band scaled by its spread over the
    training clips: a Gaussian for each class, all of one width. (rows, C)"""
    import torch

    points = torch.stack([row.double().mean(0) for row in train.inputs])  # (rows, mels)
    asked = torch.stack([row.double().mean(0) for row in tested.inputs])
    spread = points.std(0, correction=0).clamp(min=1e-6)
    targets = torch.tensor(train.targets)
    centres = torch.stack([points[targets == c].mean(0) for c in range(num_classes)])  # (C, mels)
    return (-0.5 * torch.cdist(asked / spread, centres / spread).square()).log_softmax(1)


def watch(config: Config, model: Any, splits: Splits) -> str:
    return ""


def show(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    """The first text of the part, read so far and answered after every step; and which class was taken for which."""
    rows: Part = splits.part(part)
    labels = splits.vocab["labels"]["tokens"]
    chances = _log_chances(config, model, rows)
    return [_example(config, model, rows, labels), _mistakes(_confusion(chances, rows), labels)]


def _example(config: Config, model: Any, part: Part, labels: Sequence[str]) -> Table:
    row, ids, target = part.rows[0], part.inputs[0], part.targets[0]
    n = len(ids)
    sound = config.data.sound
    if sound is None:
        shown = sorted({*range(1, min(n, SHOWN_PREFIXES)), n})  # the first steps, and the whole text
    else:
        shown = sorted({-(-n * k // SHOWN_PREFIXES) for k in range(1, SHOWN_PREFIXES + 1)})  # a frame says little
    prefixes = Part([row] * len(shown), [ids[:stop] for stop in shown], [target] * len(shown))
    chances = _log_chances(config, model, prefixes).exp()
    best, which = chances.max(1)
    table: list[list[Any]] = []
    for k, stop in enumerate(shown):
        read_so_far = join(row.tokens[max(0, stop - 16) : stop], config.data.tokens)
        given = ("" if stop <= 16 else "…") + read_so_far
        if sound is not None:
            given = tr("{seconds} s", seconds=f"{stop * sound.hop / 1000:.2f}")
        table.append([stop, given, labels[int(which[k])], float(best[k]), float(chances[k, target])])
    columns = [
        Column("steps", tr("steps"), "count"),
        Column("read", tr("read so far"), "code" if config.data.tokens == "characters" and sound is None else "text"),
        Column("predicted", tr("predicted"), "text"),
        Column("p", "p"),
        Column("p_target", tr("p of {label}", label=labels[target])),
    ]
    return Table("sample", columns, table, title=tr("an example: {label}", label=labels[target]))


def _mistakes(counts: Tensor, labels: Sequence[str]) -> Record:
    """The confusion matrix as shares of each true class; with very many classes, the commonest mistakes."""
    if len(labels) <= SHOWN_CLASSES:
        return confusion(counts.tolist(), labels)
    wrong = counts.clone()
    wrong.fill_diagonal_(0)
    most = Counter({(i, j): int(wrong[i, j]) for i, j in wrong.nonzero().tolist()}).most_common(SHOWN_PREFIXES)
    columns = [
        Column("target", tr("true class"), "text"),
        Column("predicted", tr("predicted"), "text"),
        Column("count", tr("rows"), "count"),
    ]
    table = [[labels[i], labels[j], n] for (i, j), n in most]
    return Table("confusion", columns, table, title=tr("the commonest mistakes"))


def pictures(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    """Of a sound, the example as a spectrogram."""
    sound = config.data.sound
    return [] if sound is None else [spectrogram(splits.part(part).inputs[0], sound.hop / 1000)]


def predict(config: Config, model: Any, vocab: Vocabulary, inputs: Iterable[str], asked: Asked) -> Iterator[Prediction]:
    """`text<TAB>label<TAB>p` for each text or sound file; with top_k, the next likeliest labels follow it."""
    from rnncli.nn.evaluate import outputs_of

    asked.only("top_k")
    labels = vocab["labels"]["tokens"]
    tokens = None if "features" in vocab else Vocab.from_json(vocab["tokens"])
    for text in inputs:
        shown = " ".join(text.split())  # a tab in a text would be read as a column
        unknown: list[str] = []
        if tokens is not None:
            steps = _steps(config, text)
            unknown = tokens.unknown(steps)
            if not steps:
                why = tr("there is no token in this text")
                yield Prediction(shown, {"input": text, "label": None, "top": []}, [why])
                continue
        _, outputs = next(outputs_of(model, [encode(config, vocab, [text])]))
        best = outputs.scores[0].float().softmax(0).topk(min(asked.top_k or 1, len(labels)))
        top = [(labels[i], p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)]
        notes = [tr("not in the vocabulary: {tokens}", tokens=" ".join(map(repr, unknown)))] if unknown else []
        cells = [cell for label, p in top for cell in (label, f"{p:.4f}")]
        yield Prediction(
            "\t".join([shown, *cells]),
            {"input": text, "label": top[0][0], "top": [{"label": label, "p": p} for label, p in top]},
            notes,
        )


def read_part(config: Config, vocab: Vocabulary, path: str) -> tuple[Part, list[str]]:
    """A new file or folder of labelled texts as one part, in a run's vocabulary; and notes on it. Raises DataError."""
    skipped = Skipped(config.data.on_bad, tr("rows"))
    notes: list[str] = []
    settings = _settings(vocab)
    if settings is not None and config.data.sound is not None:
        return _read_sound_part(config, config.data.sound, vocab, settings, path)
    rows = Rows.of(_rows(config, path, skipped, notes))
    if skipped.count:
        notes.append(skipped.sentence())
    part = _part(config, name_of(path), rows, vocab, notes)
    return part, [*notes, *skipped.notes]


def _read_sound_part(
    config: Config, sound: Sound, vocab: Vocabulary, settings: LogMel, path: str
) -> tuple[Part, list[str]]:
    from rnncli.data.audio import read_features

    skipped = Skipped(config.data.on_bad, tr("clips"))
    clips = _clips(config, sound, path, skipped)
    features = read_features(clips, settings, skipped, lambda clip, T: _no_class(config.data, clip.text))
    skipped.finish(name_of(path))
    notes = [skipped.sentence()] if skipped.count else []
    part = _sound_part(config, name_of(path), features, range(len(features.clips)), vocab, notes)
    return part, [*notes, *skipped.notes]


def input_kind(config: Config) -> Literal["text", "path"]:
    """What `predict` takes under this recipe: paths where it reads sound."""
    return INPUT if config.data.sound is None else "path"


def fill(path: str) -> dict[str, Json]:
    """What a recipe should say of the data at `path`, dotted key -> value, as far as its first rows show it.

    A table gives data.header, data.text and data.label; a folder of texts needs nothing; a folder of sound files gives
    the pattern of their names. Raises DataError: not to be read.
    """
    if _is_folder(path):
        from rnncli.data.audio import pattern_of_folder

        pattern = pattern_of_folder(path, "label")
        if pattern is None:
            return {}
        by = "speaker" if "{speaker}" in pattern else None
        return {"data.sound": {"pattern": pattern}, "data.label": "label", "data.split.by": by}
    found = sniff_table(path)
    guessed = {"data.header": found.header, "data.text": found.text, "data.label": found.label}
    return {key: value for key, value in guessed.items() if value is not None}
