"""tagging: one label for every step. hello -> ohlol, parts of speech and other columns of a treebank."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from rnncli.data.batch import Batch, Order, index_batches, pad
from rnncli.data.conllu import (
    Broken,
    check_field,
    conllu_blocks,
    conllu_with_tags,
    read_conllu,
    read_tagged_tsv,
    tsv_blocks,
    tsv_with_tags,
)
from rnncli.data.pictures import confusion
from rnncli.data.ragged import Gathering, Ragged
from rnncli.data.skipped import Skipped
from rnncli.data.source import fingerprint_of, lines_of, name_of
from rnncli.data.splits import split_random
from rnncli.data.vocab import PAD, UNK, Vocab, join, tokenize
from rnncli.errors import DataError, UsageError
from rnncli.locale import tr, trn
from rnncli.recipe import Clash, CoreSection, DataSection, Expected, RecipeConfig, Section, TrainSection
from rnncli.records import Column, Json, Message, Record, Table
from rnncli.tasks import (
    IGNORED,
    Asked,
    Baseline,
    Loss,
    Metrics,
    Names,
    Prediction,
    Splits,
    Vocabulary,
    loss_of_steps,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import CoreSpec, State

METRICS: Mapping[str, Literal["lower", "higher"]] = {"accuracy": "higher", "loss": "lower"}
INPUT: Literal["text", "path"] = "text"


class Data(DataSection):
    SOURCES: ClassVar[tuple[str, ...]] = (*DataSection.SOURCES, "pairs")

    pairs: list[Annotated[list[str], Field(min_length=2, max_length=2), Expected("[input, labels]")]] | None = Field(
        None, description="inline data: [input, labels], equally long; both sides share one alphabet"
    )
    tokens: Literal["characters", "words"] = Field("characters", description="what one step of an inline pair is")
    format: Literal["auto", "conllu", "tsv"] = Field(
        "auto", description="of files: CoNLL-U, or lines of word, tab, tag; auto looks at the first line"
    )
    tag: str = Field("upos", description="CoNLL-U: upos, xpos, lemma, deprel, or a feature such as Number")
    min_count: Annotated[int, Field(ge=1)] = Field(
        2, description="a word seen less often in the training files is <unk>; inline pairs keep all"
    )

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.pairs is not None and not self.pairs:
            yield Clash(("pairs",), tr("the list of pairs is empty"), tr("pairs: [[hello, ohlol]]"))
        if self.pairs is not None and (self.path is not None or self.train is not None):
            yield Clash(("pairs", "path"), tr("pairs and a path are both given"), tr("remove one of them"))
        for number, (given, wanted) in enumerate(self.pairs or []):
            steps, labels = tokenize(given, self.tokens), tokenize(wanted, self.tokens)
            if not steps:
                yield Clash((f"pairs.{number}",), tr("an input without steps"), tr("remove the pair"))
            elif len(steps) != len(labels):
                yield Clash(
                    (f"pairs.{number}",),
                    trn(
                        "{given!r} has {n} step and {wanted!r} has {m}",
                        "{given!r} has {n} steps and {wanted!r} has {m}",
                        given=given,
                        n=len(steps),
                        wanted=wanted,
                        m=len(labels),
                    ),
                    tr("one label for every step"),
                )
        try:
            check_field(self.tag)
        except DataError as error:
            yield Clash(("tag",), error.what, error.todo)


class Characters(Section):
    """`model.characters:`, the core that reads each word letter by letter, with input: embedding + characters."""

    embedding_size: Annotated[int, Field(ge=1)] = Field(16, description="length of the learned vector of a letter")
    hidden_size: Annotated[int, Field(ge=1)] = Field(32, description="H of the core over letters; read both ways")


class Model(CoreSection):
    input: Literal["one-hot", "embedding", "embedding + characters"] = Field(
        "one-hot", description="how a token becomes x_t; + characters: beside a second core over each word's letters"
    )
    embedding_size: Annotated[int, Field(ge=1)] = Field(16, description="length of the learned vectors of tokens")
    characters: Characters = Field(Characters(), description="with input: embedding + characters")
    head: Literal["linear", "none"] = Field("linear", description="linear scores the labels; none: h_t is the score")


class Train(TrainSection):
    best_by: Literal["accuracy", "loss"] = Field("loss", description="the metric that decides which epoch is kept")


class Config(RecipeConfig):
    task: Literal["tagging"]
    data: Data
    model: Model
    train: Train


class Row(NamedTuple):
    """One sequence: its tokens, and one label for each; None where the file has none."""

    tokens: Sequence[str]
    labels: Sequence[str | None]


class Rows(Sequence[Row]):
    """Sequences of a file: tokens and labels as numbers of few different ones, a row made when asked for."""

    def __init__(self, tokens: Ragged, labels: Ragged) -> None:
        self.tokens, self.labels = tokens, labels

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return Rows(self.tokens[i], self.labels[i])
        return Row(self.tokens[i], self.labels[i])

    def chosen(self, rows: Sequence[int]) -> Rows:
        return Rows(self.tokens.chosen(rows), self.labels.chosen(rows))


class Gathered:
    """Takes rows one after the other; `done` gives them all."""

    def __init__(self) -> None:
        self._tokens, self._labels = Gathering(), Gathering()

    def add(self, tokens: Sequence[str], labels: Sequence[str | None]) -> None:
        self._tokens.add(tokens)
        self._labels.add(labels)

    def done(self) -> Rows:
        return Rows(self._tokens.done(), self._labels.done())


class Part(NamedTuple):
    """Rows, and the same as numbers. targets: IGNORED for a label that is missing, or that training never saw.
    letters: of each token, numbers from 1, where the model reads them."""

    rows: Rows
    inputs: Ragged
    targets: Ragged
    letters: Ragged | None = None


def read(config: Config) -> Splits:
    return _read_files(config) if config.data.pairs is None else _read_pairs(config, config.data.pairs)


def _read_pairs(config: Config, pairs: Sequence[Sequence[str]]) -> Splits:
    kind = config.data.tokens
    gathered = Gathered()
    for given, wanted in pairs:
        gathered.add(tokenize(given, kind), tokenize(wanted, kind))
    rows = gathered.done()
    # One alphabet for both sides, so that a letter has the same number as input and as answer.
    shared = Vocab.from_counts(Counter(rows.tokens.counts()) + Counter(rows.labels.counts()))
    vocab: Vocabulary = {"tokens": shared.to_json(), "labels": shared.to_json(), "kind": kind, "format": "pairs"}
    if config.model.input == "embedding + characters":
        vocab["characters"] = _alphabet(rows.tokens.counts()).to_json()
    counts = {"train": {"sequences": len(rows), "steps": int(rows.tokens.lengths.sum())}}
    fingerprint = sha256(repr([(row.tokens, row.labels) for row in rows]).encode()).hexdigest()
    return Splits(_part(rows, vocab), vocab, counts, fingerprint, how=tr("inline pairs, all for training"))


def _alphabet(words: Iterable[str]) -> Vocab:
    """The letters of the words. <pad> is number 0, which stands behind a word's end."""
    return Vocab.from_tokens((letter for word in words for letter in word), specials=(PAD, UNK))


def _read_files(config: Config) -> Splits:
    data = config.data
    notes: list[str] = []
    if data.path is not None:
        sources = data.path if isinstance(data.path, list) else [data.path]
        form, rows = _sentences(sources, data, notes)
        split = split_random(len(rows), data.split.fractions(), config.train.seed)
        parts = {name: rows.chosen(numbers) for name, numbers in split.parts.items()}
        how = split.how
    else:
        assert data.train is not None
        sources = [source for source in (data.train, data.validation, data.test) if source is not None]
        form, train = _sentences([data.train], data, notes)
        parts, how = {"train": train}, tr("separate files")
        for name in ("validation", "test"):
            source = getattr(data, name)
            if source is not None:
                parts[name] = _sentences([source], data, notes)[1]
    words = parts["train"].tokens.counts()
    labels = {label: n for label, n in parts["train"].labels.counts().items() if label is not None}
    vocab: Vocabulary = {
        "tokens": Vocab.from_counts(words, specials=(UNK,), min_count=data.min_count).to_json(),
        "labels": Vocab.from_counts(labels).to_json(),
        "kind": "words",
        "format": form,
        "tag": data.tag,
    }
    if config.model.input == "embedding + characters":
        vocab["characters"] = _alphabet(words).to_json()
    found = {name: _part(rows, vocab) for name, rows in parts.items()}
    for name, part in found.items():
        notes += _strange(name, part.rows, words, labels)
    counts = {name: {"sentences": len(rows), "words": int(rows.tokens.lengths.sum())} for name, rows in parts.items()}
    return Splits(
        train=found["train"],
        validation=found.get("validation"),
        test=found.get("test"),
        vocab=vocab,
        counts=counts,
        fingerprint=fingerprint_of(sources),
        how=how,
        notes=notes,
    )


def _sentences(sources: Sequence[str], data: Data, notes: list[str]) -> tuple[str, Rows]:
    """(format, rows) of files of one kind. Sentences without any tag are bad records; what was skipped is noted."""
    form = _format(sources[0]) if data.format == "auto" else data.format
    gathered = Gathered()
    for source in sources:
        skipped = Skipped(data.on_bad, tr("sentences"))
        read = read_conllu(source, skipped, data.tag) if form == "conllu" else read_tagged_tsv(source, skipped)
        missing, tagged = 0, False
        bare = partly = ""  # where the first sentence without any tag stands, and the first without some
        for sentence in read:
            missing += sentence.tags.count(None)
            if any(sentence.tags):
                tagged = True
                gathered.add(sentence.tokens, sentence.tags)
                partly = partly or (sentence.where if None in sentence.tags else "")
            else:
                bare = bare or sentence.where
        if not tagged:
            raise DataError(
                tr("no word has a tag here"), where=name_of(source), todo=tr("another column? --set data.tag=xpos")
            )
        if missing:
            notes.append(
                trn(
                    "{n} word of {name} has no tag and does not count; first: {where}",
                    "{n} words of {name} have no tag and do not count; first: {where}",
                    n=missing,
                    name=name_of(source),
                    where=bare or partly,
                )
            )
        notes += [note for note in (skipped.sentence(), *skipped.notes) if note]
    return form, gathered.done()


def _format(source: str) -> str:
    """conllu or tsv, by the first line that is neither blank nor a comment."""
    return _format_of_line(next((line for _, line in lines_of(source) if not _passed_over(line)), ""))


def _passed_over(line: str) -> bool:
    return not line.strip() or line.startswith("#")


def _format_of_line(line: str) -> str:
    return "conllu" if line.count("\t") > 1 else "tsv"


def _strange(name: str, rows: Rows, words: Container[str], labels: Container[str]) -> Iterator[str]:
    """Notes on the words and tags that a part has and training had not."""
    found = rows.tokens.counts()
    new = sum(n for token, n in found.items() if token not in words)
    if new:
        yield trn(
            "{n} of {words} of {part} was never seen in training",
            "{n} of {words} of {part} were never seen in training",
            n=new,
            words=trn("{n} word", "{n} words", n=sum(found.values())),
            part=name,
        )
    yield from _strange_tags(name, rows, labels)


def _strange_tags(name: str, rows: Rows, labels: Container[str]) -> Iterator[str]:
    tags = Counter({tag: n for tag, n in rows.labels.counts().items() if tag is not None and tag not in labels})
    if tags:
        yield tr(
            "tags of {part} that training never saw count as wrong: {tags}",
            part=name,
            tags=", ".join(f"{tag} ({n})" for tag, n in tags.most_common(5)),
        )


def read_part(config: Config, vocab: Vocabulary, path: str) -> tuple[Part, list[str]]:
    """A file of sentences in terms of a run's vocabulary. Raises DataError: no tag of it is one that the run knows."""
    if vocab["format"] == "pairs":
        raise UsageError(
            tr("this run was trained on inline pairs, which no file holds"), where="--data", todo=tr("leave it away")
        )
    notes: list[str] = []
    rows = _sentences([path], config.data, notes)[1]
    known = Vocab.from_json(vocab["labels"])
    tags = [tag for tag in rows.labels.counts() if tag is not None]
    if not any(tag in known for tag in tags):
        raise DataError(
            tr("none of its tags is one that this run knows: {tags}", tags=", ".join(sorted(tags)[:8])),
            where=name_of(path),
            todo=tr("it knows {tags}", tags=", ".join(known.tokens[:20])),
        )
    tokens, words = Vocab.from_json(vocab["tokens"]), rows.tokens.counts()
    new = sum(n for token, n in words.items() if token not in tokens)
    if new:
        total = trn("{n} word", "{n} words", n=sum(words.values()))
        notes.append(
            trn(
                "{n} of {words} is not in the vocabulary",
                "{n} of {words} are not in the vocabulary",
                n=new,
                words=total,
            )
        )
    return _part(rows, vocab), notes + list(_strange_tags(name_of(path), rows, known.tokens))


def fill(path: str) -> dict[str, Json]:
    """The tag to learn: upos, or xpos where the file has no upos. Nothing to say of two-column files."""
    if _format(path) == "tsv":
        return {}
    for tag in ("upos", "xpos"):
        if any(any(sentence.tags) for sentence in islice(read_conllu(path, Skipped("skip"), tag), 100)):
            return {"data.tag": tag}
    raise DataError(tr("neither upos nor xpos holds a tag"), where=name_of(path))


def _part(rows: Rows, vocab: Vocabulary) -> Part:
    tokens, labels = Vocab.from_json(vocab["tokens"]), Vocab.from_json(vocab["labels"])
    numbers: dict[str | None, int] = {label: i for i, label in enumerate(labels.tokens)}
    letters = None
    if "characters" in vocab:
        alphabet = Vocab.from_json(vocab["characters"])
        letters = rows.tokens.as_values([alphabet.encode(token) for token in rows.tokens.types])
    return Part(
        rows,
        rows.tokens.as_values(tokens.encode(rows.tokens.types)),
        rows.labels.as_values([numbers.get(label, IGNORED) for label in rows.labels.types]),
        letters,
    )


def build(config: Config, vocab: Vocabulary) -> nn.Module:
    from rnncli.nn.frontends import OneHot, TokenEmbedding
    from rnncli.nn.heads import NoHead, PerStep
    from rnncli.nn.model import SequenceModel
    from rnncli.nn.recurrent import core_of_section

    model = config.model
    num_tokens, num_labels = len(vocab["tokens"]["tokens"]), len(vocab["labels"]["tokens"])
    if model.input == "embedding + characters":
        return _with_characters(config, vocab)
    one_hot = model.input == "one-hot"
    front = OneHot(num_tokens) if one_hot else TokenEmbedding(num_tokens, model.embedding_size)
    rnn, spec = core_of_section(model, num_tokens if one_hot else model.embedding_size)
    _fits(model, spec, num_labels)
    head = NoHead() if model.head == "none" else PerStep(spec.output_size, num_labels)
    return SequenceModel(front, rnn, head, model.engine)


def _fits(model: Model, spec: CoreSpec, num_labels: int) -> None:
    """DataError where h_t is to be the score and has another length."""
    if model.head == "none" and spec.output_size != num_labels:
        raise DataError(
            trn(
                "head: none scores {n} label with an output of {size}",
                "head: none scores {n} labels with an output of {size}",
                n=num_labels,
                size=spec.output_size,
            ),
            where="model.head",
            todo=tr("--set model.hidden_size={n}, or model.head=linear", n=num_labels // spec.num_directions),
        )


def _with_characters(config: Config, vocab: Vocabulary) -> nn.Module:
    from torch import nn

    from rnncli.nn.characters import WordsAndCharacters
    from rnncli.nn.heads import NoHead, PerStep
    from rnncli.nn.recurrent import core_of_section

    model, small = config.model, config.model.characters
    num_labels = len(vocab["labels"]["tokens"])
    words = nn.Embedding(len(vocab["tokens"]["tokens"]), model.embedding_size)
    letters = nn.Embedding(len(vocab["characters"]["tokens"]), small.embedding_size)
    changes = {"hidden_size": small.hidden_size, "num_layers": 1, "bidirectional": True, "dropout": 0.0, "proj_size": 0}
    characters, small_spec = core_of_section(model.model_copy(update=changes), small.embedding_size)
    rnn, spec = core_of_section(model, model.embedding_size + small_spec.output_size)
    _fits(model, spec, num_labels)
    head = NoHead() if model.head == "none" else PerStep(spec.output_size, num_labels)
    return WordsAndCharacters(words, letters, characters, rnn, head, model.engine)


def names(config: Config, vocab: Vocabulary) -> Names:
    return Names(vocab["tokens"]["tokens"], vocab["labels"]["tokens"])


def batches(config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
    """Rows of similar length share a batch; without an order, from the shortest on."""
    lengths = part.inputs.lengths
    where = order or Order(0, 0)
    shuffle = order is not None
    for rows in index_batches(len(lengths), config.train.batch_size, where, shuffle=shuffle, lengths=lengths):
        inputs, sizes = pad([part.inputs[row] for row in rows])
        targets, _ = pad([part.targets[row] for row in rows], IGNORED)
        extra = {} if part.letters is None else {"characters": _spelled([part.letters[row] for row in rows])}
        yield Batch(inputs, sizes, targets, extra, rows)


def _spelled(rows: Sequence[Sequence[list[int]]]) -> Tensor:
    """(T, B, longest word): the letters of every token of every row, 0 behind the ends."""
    import torch

    longest = max((len(word) for row in rows for word in row), default=0)
    padded = torch.zeros(max(map(len, rows), default=0), len(rows), longest, dtype=torch.int64)
    for b, row in enumerate(rows):
        padded[: len(row), b] = torch.tensor([word + [0] * (longest - len(word)) for word in row])
    return padded


def encode(config: Config, vocab: Vocabulary, inputs: Sequence[str]) -> Batch:
    return _encoded(vocab, [tokenize(text, vocab["kind"]) for text in inputs])


def _encoded(vocab: Vocabulary, rows: Sequence[Sequence[str]]) -> Batch:
    tokens = Vocab.from_json(vocab["tokens"])
    ids, lengths = pad([tokens.encode(row) for row in rows])
    if "characters" not in vocab:
        return Batch(ids, lengths)
    alphabet = Vocab.from_json(vocab["characters"])
    return Batch(
        ids, lengths, extra={"characters": _spelled([[alphabet.encode(word) for word in row] for row in rows])}
    )


def loss(config: Config, model: Any, batch: Batch, carry: State | None) -> Loss:
    return loss_of_steps(model(batch).scores, batch.targets)


def metrics(config: Config, model: Any, part: Part, vocab: Vocabulary) -> Metrics:
    from rnncli.nn.evaluate import outputs_of

    total, steps, right = 0.0, 0.0, 0
    for batch, outputs in outputs_of(model, batches(config, part, None)):
        assert batch.targets is not None
        found = loss_of_steps(outputs.scores, batch.targets)
        total += float(found.total)
        steps += found.count
        right += int(outputs.scores.argmax(2).eq(batch.targets).sum())
    return {"accuracy": right / _labelled(part), "loss": total / steps}


def _labelled(part: Part) -> int:
    return sum(n for label, n in part.rows.labels.counts().items() if label is not None)


def baselines(config: Config, splits: Splits, part: str) -> list[Baseline]:
    """The most frequent label of each token: on the training part itself, the best that no memory can pass."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    overall: Counter[str] = Counter()
    for token, label in _pairs(splits.train):
        seen[token][label] += 1
        overall[label] += 1
    often = _first(overall)
    best = {token: _first(labels) for token, labels in seen.items()}
    tested: Part = splits.part(part)
    right = sum(best.get(token, often) == label for token, label in _pairs(tested))
    if part == "train":
        about = tr("the commonest label of each token: no net without memory can pass it on its training data")
    else:
        about = tr("the commonest label of each token in training; unknown tokens: {label}", label=often)
    return [Baseline(tr("most frequent label"), {"accuracy": right / _labelled(tested)}, about)]


def _pairs(part: Part) -> Iterator[tuple[str, str]]:
    for row in part.rows:
        for token, label in zip(row.tokens, row.labels, strict=True):
            if label is not None:
                yield token, label


def _first(counts: Counter[str]) -> str:
    """The commonest; of equals, the first in the alphabet."""
    return min(counts, key=lambda label: (-counts[label], label))


def watch(config: Config, model: Any, splits: Splits) -> str:
    part: Part = splits.train
    if splits.vocab["format"] != "pairs" or len(part.rows) > 8:
        return ""
    labels = Vocab.from_json(splits.vocab["labels"])
    kind = splits.vocab["kind"]
    return " ".join(join(labels.decode(row), kind) for row in _answers(config, model, part))


def _answers(config: Config, model: Any, part: Part) -> list[list[int]]:
    """The likeliest label of every step, row by row."""
    from rnncli.nn.evaluate import outputs_of

    found: list[list[int]] = [[] for _ in part.rows]
    for batch, outputs in outputs_of(model, batches(config, part, None)):
        assert batch.lengths is not None
        best = outputs.scores.argmax(2)  # (T, B)
        for b, (row, length) in enumerate(zip(batch.rows, batch.lengths.tolist(), strict=True)):
            found[row] = best[:length, b].tolist()
    return found


SHOWN = 16  # steps of the example, and tags of the table, that a closing screen shows


def show(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    rows: Part = splits.part(part)
    if splits.vocab["format"] == "pairs":
        return [_steps(config, model, splits.vocab, rows, 0)]
    short = next((i for i, row in enumerate(rows.rows) if 4 <= len(row.tokens) <= SHOWN), 0)
    return [_steps(config, model, splits.vocab, rows, short), *_by_tag(config, model, splits, rows)]


def _steps(config: Config, model: Any, vocab: Vocabulary, part: Part, row: int) -> Table:
    """One row step by step."""
    from rnncli.nn.evaluate import outputs_of

    labels = Vocab.from_json(vocab["labels"])
    letters = None if part.letters is None else part.letters[row : row + 1]
    one = Part(part.rows[row : row + 1], part.inputs[row : row + 1], part.targets[row : row + 1], letters)
    _, outputs = next(outputs_of(model, batches(config, one, None)))
    chances = outputs.scores[:, 0].float().softmax(1)  # (T, C)
    top = chances.topk(min(2, len(labels)), dim=1)
    table: list[list[Any]] = []
    for t, (token, target) in enumerate(zip(*one.rows[0], strict=True)):
        values, found = top.values[t].tolist(), labels.decode(top.indices[t].tolist())
        second = f"{found[1]} {values[1]:.4f}" if len(found) > 1 else ""
        table.append([t, token, target, found[0], values[0], second])
    columns = [
        Column("t", "t", "count"),
        Column("in", tr("in"), "code"),
        Column("target", tr("target"), "code"),
        Column("predicted", tr("predicted"), "code"),
        Column("p", "p"),
        Column("second", tr("second"), "text"),
    ]
    return Table("sample", columns, table, cut_rows=SHOWN)


def _by_tag(config: Config, model: Any, splits: Splits, part: Part) -> list[Record]:
    """Precision, recall and F1 of every tag, the commonest first; and how well words fare that training never saw."""
    labels = Vocab.from_json(splits.vocab["labels"])
    trained = splits.train.rows.tokens.counts()
    target: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    right: Counter[str] = Counter()
    known, new = [0, 0], [0, 0]  # right, all
    for row, answers in zip(part.rows, _answers(config, model, part), strict=True):
        for token, label, answer in zip(row.tokens, row.labels, labels.decode(answers), strict=True):
            if label is None:
                continue
            target[label] += 1
            predicted[answer] += 1
            right[label] += label == answer
            of = known if token in trained else new
            of[0] += label == answer
            of[1] += 1
    rows = [[label, n, *_precision_recall_f1(right[label], predicted[label], n)] for label, n in target.most_common()]
    columns = [
        Column("tag", tr("tag"), "code"),
        Column("words", tr("words"), "count"),
        Column("precision", tr("precision")),
        Column("recall", tr("recall")),
        Column("f1", "F1"),
    ]
    table = Table("by-tag", columns, rows, cut_rows=SHOWN)
    if not new[1] or part is splits.train:
        return [table]
    text = trn(
        "accuracy on words seen in training {known}, on the {n} other {new}",
        "accuracy on words seen in training {known}, on the {n} others {new}",
        known=f"{known[0] / max(1, known[1]):.4f}",
        n=new[1],
        new=f"{new[0] / new[1]:.4f}",
    )
    return [table, Message(text, "note")]


def _precision_recall_f1(right: int, predicted: int, target: int) -> tuple[float, float, float]:
    """0 where there is nothing to divide by."""
    return right / predicted if predicted else 0.0, right / target if target else 0.0, 2 * right / (predicted + target)


SHOWN_LABELS = 40  # in the confusion matrix


def pictures(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    """Which label was taken for which, of the labels that training knows; with very many there is no such picture."""
    labels = Vocab.from_json(splits.vocab["labels"])
    rows: Part = splits.part(part)
    if len(labels) > SHOWN_LABELS:
        return []
    counts = [[0] * len(labels) for _ in labels.tokens]
    for row, answers in zip(rows.rows, _answers(config, model, rows), strict=True):
        for label, answer in zip(row.labels, answers, strict=True):
            if label is not None and label in labels:
                counts[labels.id(label)][answer] += 1
    return [confusion(counts, labels.tokens)]


def predict(config: Config, model: Any, vocab: Vocabulary, inputs: Iterable[str], asked: Asked) -> Iterator[Prediction]:
    asked.only("top_k")
    for text in inputs:
        steps = tokenize(text, vocab["kind"])
        found, json, notes = _tagged(model, vocab, steps, asked)
        if asked.top_k is not None:
            shown = "\n".join(_choices_line(step) for step in json["steps"])
        elif vocab["format"] == "pairs":
            shown = join(found, vocab["kind"])
        else:
            shown = " ".join(f"{token}/{tag}" for token, tag in zip(steps, found, strict=True))
        yield Prediction(shown, {"input": text, **json}, notes)


def _tagged(
    model: Any, vocab: Vocabulary, steps: Sequence[str], asked: Asked
) -> tuple[list[str], dict[str, Json], list[str]]:
    """The likeliest label of each token; the same as JSON, with top_k choices if asked; what should be said."""
    from rnncli.nn.evaluate import outputs_of

    json: dict[str, Json] = {"tokens": list(steps), "labels": []}
    if not steps:
        return [], json if asked.top_k is None else json | {"steps": []}, []
    tokens, labels = Vocab.from_json(vocab["tokens"]), Vocab.from_json(vocab["labels"])
    _, outputs = next(outputs_of(model, [_encoded(vocab, [steps])]))
    scores = outputs.scores[:, 0].float()  # (T, C)
    found = labels.decode(scores.argmax(1).tolist())
    json["labels"] = found
    if asked.top_k is not None:
        top = scores.softmax(1).topk(min(asked.top_k, len(labels)), dim=1)
        json["steps"] = [
            {
                "token": token,
                "choices": [{"label": label, "p": p} for label, p in zip(labels.decode(which), ps, strict=True)],
            }
            for token, which, ps in zip(steps, top.indices.tolist(), top.values.tolist(), strict=True)
        ]
    unknown = tokens.unknown(steps)
    notes = [tr("not in the vocabulary: {tokens}", tokens=" ".join(map(repr, unknown)))] if unknown else []
    return found, json, notes


def _choices_line(step: Mapping[str, Any]) -> str:
    return "\t".join([step["token"], *(f"{choice['label']} {choice['p']:.4f}" for choice in step["choices"])])


def predict_lines(
    config: Config, model: Any, vocab: Vocabulary, lines: Iterable[str], asked: Asked
) -> Iterator[Prediction]:
    """CoNLL-U and, for a run that learnt from one, two-column TSV come back as they were, with the tags in place;
    other lines are texts."""
    asked.only("top_k")
    lines = iter(lines)
    head: list[str] = []
    for line in lines:
        head.append(line)
        if not _passed_over(line):
            break
    first = head[-1] if head else ""
    form = _format_of_line(first) if "\t" in first else "text"
    whole = chain(head, lines)
    if vocab["format"] == "pairs" or form == "text" or (form == "tsv" and vocab["format"] != "tsv"):
        texts = (line.removeprefix("\ufeff").rstrip("\r\n") for line in whole)
        for found in predict(config, model, vocab, texts, asked):
            yield replace(found, text=found.text + "\n")
        return
    numbered = enumerate(whole, 1)
    tag = vocab.get("tag", "upos")
    blocks = conllu_blocks("-", tag, numbered) if form == "conllu" else tsv_blocks("-", numbered)
    for block in blocks:
        if isinstance(block, Broken):
            yield Prediction(
                "".join(block.raw), None, [tr("left as it is: {where}: {why}", where=block.where, why=block.why)]
            )
            continue
        tags, json, notes = _tagged(model, vocab, block.tokens, asked)
        written = conllu_with_tags(block, tags, tag) if form == "conllu" else tsv_with_tags(block, tags)
        yield Prediction(written, json if block.tokens else None, notes)
