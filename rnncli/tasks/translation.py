"""translation: a sentence in one language, its translation in another; an encoder, and a decoder that attends to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from rnncli.data.batch import Batch, Order, index_batches, pad
from rnncli.data.pairs import Pair, read_pairs, read_parallel
from rnncli.data.ragged import Gathering, GatheringPlaces, GatheringTexts, Numbering, Places, Ragged, Texts
from rnncli.data.skipped import Skipped
from rnncli.data.source import fingerprint_of, lines_of, name_of
from rnncli.data.splits import split_random
from rnncli.data.vocab import BOS, EOS, UNK, Kind, Vocab, join, tokenize
from rnncli.errors import DataError, Missing
from rnncli.locale import tr, trn
from rnncli.recipe import CellName, Clash, CoreSection, DataPath, DataSection, Expected, RecipeConfig, TrainSection
from rnncli.records import Column, HeatMap, Json, Record, Table
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
    from torch import nn

    from rnncli.cells import State

METRICS: Mapping[str, Literal["lower", "higher"]] = {
    "exact-match": "higher",
    "loss": "lower",
    "bleu": "higher",
    "chrf": "higher",
}
INPUT: Literal["text", "path"] = "text"
COUNTED = "tokens"  # by `loss`: what the speed is of
SHARED = 2_000_000  # pairs of a source and a target word that the dictionary baseline learns from, at most

Paths = DataPath | Annotated[list[DataPath], Field(min_length=2, max_length=2), Expected("[source file, target file]")]


class Data(DataSection):
    path: Paths | None = Field(
        None, description="tab-separated pairs, or [source file, target file] that go line by line"
    )
    train: Paths | None = Field(None, description="instead of path: training pairs of their own")  # type: ignore[assignment]
    validation: Paths | None = Field(None, description="with train: the pairs epochs are judged by")  # type: ignore[assignment]
    test: Paths | None = Field(None, description="with train: the pairs kept for the last word")  # type: ignore[assignment]
    columns: Annotated[
        list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2), Expected("[source column, target column]")
    ] = Field([0, 1], description="of tab-separated pairs, from 0: source, target; [1, 0] turns the direction")
    source_tokens: Literal["words", "characters"] = Field("words", description="what one step of the source is")
    target_tokens: Literal["words", "characters"] = Field("words", description="what one step of the target is")
    min_count: Annotated[int, Field(ge=1)] = Field(1, description="a token seen less often is <unk>")
    max_vocab: Annotated[int, Field(ge=0)] = Field(0, description="keep the commonest so many of each side; 0 is all")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if len(set(self.columns)) < len(self.columns):
            yield Clash(("columns",), tr("source and target are the same column"), tr("columns: [0, 1]"))


class Model(CoreSection):
    cell: CellName = Field("lstm", description="of encoder and decoder; feedforward is the rnn cell without memory")
    bidirectional: bool = Field(True, description="the encoder reads both ways; the decoder has as many units as both")
    embedding_size: Annotated[int, Field(ge=1)] = Field(64, description="length of the vector of a token, both sides")
    attention: Literal["general", "dot", "additive"] = Field(
        "general",
        description="how a decoder state scores a source step: h·Wm or h·m (Luong 2015), v·tanh(Wh + Um) "
        "(Bahdanau 2015)",
    )


class Train(TrainSection):
    best_by: Literal["exact-match", "loss", "bleu", "chrf"] = Field(
        "loss", description="the metric that decides which epoch is kept; bleu and chrf need rnncli[translation]"
    )


class Config(RecipeConfig):
    task: Literal["translation"]
    data: Data
    model: Model
    train: Train


class Pairs(Sequence[Pair]):
    """Pairs of a file: their texts in one piece, their tokens as numbers; a pair is made when asked for.

    target_tokens: with the end sign."""

    def __init__(self, places: Places, texts: tuple[Texts, Texts], tokens: tuple[Ragged, Ragged]) -> None:
        self._places, self._texts = places, texts
        self.source_tokens, self.target_tokens = tokens

    @classmethod
    def of(cls, pairs: Iterable[Pair], kinds: tuple[Kind, Kind]) -> Pairs:
        places = GatheringPlaces()
        sources, targets, source_tokens, target_tokens = GatheringTexts(), GatheringTexts(), Gathering(), Gathering()
        for pair in pairs:
            places.add(pair.where)
            sources.add(pair.source)
            targets.add(pair.target)
            source_tokens.add(tokenize(pair.source, kinds[0]))
            target_tokens.add([*tokenize(pair.target, kinds[1]), EOS])
        return cls(places.done(), (sources.done(), targets.done()), (source_tokens.done(), target_tokens.done()))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return self.chosen(range(*i.indices(len(self))))
        return Pair(self._places[i], self._texts[0][i], self._texts[1][i])

    def chosen(self, rows: Sequence[int]) -> Pairs:
        """These of them, in this order."""
        texts = self._texts[0].chosen(rows), self._texts[1].chosen(rows)
        tokens = self.source_tokens.chosen(rows), self.target_tokens.chosen(rows)
        return Pairs(self._places.chosen(rows), texts, tokens)


class Part(NamedTuple):
    """Pairs, and the same as numbers, the target's end sign among them."""

    pairs: Pairs
    sources: Ragged
    targets: Ragged


def read(config: Config) -> Splits:
    data = config.data
    notes: list[str] = []
    if data.path is not None:
        pairs = _pairs(data.path, data, notes)
        parts, how = _split(config, pairs)
        files = _files(data.path)
    else:
        named = {name: getattr(data, name) for name in ("train", "validation", "test")}
        parts = {name: _pairs(source, data, notes) for name, source in named.items() if source is not None}
        how = tr("separate files")
        files = [file for source in named.values() if source is not None for file in _files(source)]
    vocab = _vocab(parts["train"], data)
    found = {name: _part(rows, vocab) for name, rows in parts.items()}
    for name, part in found.items():
        notes += _unknown(name, part, vocab)
    if not _has_sacrebleu():
        notes.append(tr("bleu and chrf are not measured: they need the extra rnncli[translation]"))
    return Splits(
        train=found["train"],
        validation=found.get("validation"),
        test=found.get("test"),
        vocab=vocab,
        counts={
            name: {
                "pairs": len(part.pairs),
                "source tokens": int(part.sources.lengths.sum()),
                "target tokens": int(part.targets.lengths.sum()) - len(part.targets),
            }
            for name, part in found.items()
        },
        fingerprint=fingerprint_of(files),
        how=how,
        notes=notes,
    )


def _split(config: Config, pairs: Pairs) -> tuple[dict[str, Pairs], str]:
    """The parts, and how they were drawn. Equal sources stay together, or a sentence would be judged that was
    learned."""
    import numpy as np

    numbering = Numbering()
    for pair in pairs:
        numbering.extend((sha256(pair.source.encode()).digest()[:16],))
    sources = numbering.done()
    split = split_random(len(sources.types), config.data.split.fractions(), config.train.seed)
    home = np.zeros(len(sources.types), np.int8)
    for number, rows in enumerate(split.parts.values()):
        home[np.asarray(rows, np.int64)] = number
    of_pair = home[sources.numbers]
    parts = {name: pairs.chosen(np.flatnonzero(of_pair == k).tolist()) for k, name in enumerate(split.parts)}
    how = split.how
    if len(sources.types) < len(pairs):
        how += tr("; {n} sources, equal ones in one part", n=f"{len(sources.types):,}")
    return parts, how


def _files(source: str | list[str]) -> list[str]:
    return [source] if isinstance(source, str) else source


def _pairs(source: str | list[str], data: Data, notes: list[str]) -> Pairs:
    skipped = Skipped(data.on_bad, tr("pairs"))
    if isinstance(source, str):
        read = read_pairs(source, skipped, (data.columns[0], data.columns[1]))
    else:
        read = read_parallel(source[0], source[1], skipped)
    found = Pairs.of(read, (data.source_tokens, data.target_tokens))
    notes += [note for note in (skipped.sentence(), *skipped.notes) if note]
    return found


def _vocab(pairs: Pairs, data: Data) -> Vocabulary:
    """The tokens of both sides, their kinds, and the longest target, by which the length of translations is bounded."""
    limits: dict[str, Any] = {"min_count": data.min_count, "max_size": data.max_vocab or None}
    return {
        "source": Vocab.from_counts(pairs.source_tokens.counts(), specials=(UNK,), **limits).to_json(),
        "target": Vocab.from_counts(pairs.target_tokens.counts(), specials=(UNK, BOS, EOS), **limits).to_json(),
        "source_tokens": data.source_tokens,
        "target_tokens": data.target_tokens,
        "longest": int(pairs.target_tokens.lengths.max()) - 1,
    }


def _part(pairs: Pairs, vocab: Vocabulary) -> Part:
    source, target = Vocab.from_json(vocab["source"]), Vocab.from_json(vocab["target"])
    return Part(
        pairs,
        pairs.source_tokens.as_values(source.encode(pairs.source_tokens.types)),
        pairs.target_tokens.as_values(target.encode(pairs.target_tokens.types)),
    )


def _unknown(name: str, part: Part, vocab: Vocabulary) -> Iterator[str]:
    for side, rows in (("source", part.pairs.source_tokens), ("target", part.pairs.target_tokens)):
        known = Vocab.from_json(vocab[side])
        n = sum(n for token, n in rows.counts().items() if token not in known or token == UNK)
        if n:
            yield trn(
                "{n} {side} token of {part} is not in the vocabulary and is read as <unk>",
                "{n} {side} tokens of {part} are not in the vocabulary and read as <unk>",
                n=n,
                side=tr(side),
                part=name,
            )


def read_part(config: Config, vocab: Vocabulary, path: str) -> tuple[Part, list[str]]:
    """A file of pairs in terms of a run's vocabulary."""
    notes: list[str] = []
    part = _part(_pairs(path, config.data, notes), vocab)
    return part, [*notes, *_unknown(name_of(path), part, vocab)]


def build(config: Config, vocab: Vocabulary) -> nn.Module:
    from rnncli.nn.recurrent import spec_of_section
    from rnncli.nn.seq2seq import Seq2Seq, Signs

    model = config.model
    encoder = spec_of_section(model, model.embedding_size)
    target = Vocab.from_json(vocab["target"])
    return Seq2Seq(
        len(vocab["source"]["tokens"]),
        len(target),
        model.embedding_size,
        encoder,
        model.attention,
        Signs(target.id(BOS), target.id(EOS), (target.id(BOS), target.id(UNK))),
        limit=2 * vocab["longest"] + 1,
        dropout=model.dropout,
        engine=model.engine,
    )


def names(config: Config, vocab: Vocabulary) -> Names:
    return Names(vocab["source"]["tokens"], vocab["target"]["tokens"])


def batches(config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
    """inputs (T_in, B); extra["given"] (T_out, B): the begin sign, then the target without its last token; targets
    (T_out, B): the target. Sources of similar length share a training batch."""
    lengths = part.sources.lengths if order is not None else None
    where = order or Order(0, 0)
    size = config.train.batch_size
    for rows in index_batches(len(part.sources), size, where, shuffle=order is not None, lengths=lengths):
        inputs, sizes = pad([part.sources[row] for row in rows])
        given, _ = pad([[BEGIN, *part.targets[row][:-1]] for row in rows], END)
        targets, _ = pad([part.targets[row] for row in rows], IGNORED)
        yield Batch(inputs, sizes, targets, {"given": given}, rows)


BEGIN, END = 1, 2  # numbers of <bos> and <eos>: the specials of the target are UNK, BOS, EOS, in this order


def encode(config: Config, vocab: Vocabulary, inputs: Sequence[str]) -> Batch:
    """Without targets: the model writes its own."""
    source = Vocab.from_json(vocab["source"])
    rows = [tokenize(text, vocab["source_tokens"]) for text in inputs]
    if not all(rows):
        raise DataError(tr("an input without tokens"), todo=tr("give a sentence"))
    return Batch(*pad([source.encode(row) for row in rows]))


def loss(config: Config, model: Any, batch: Batch, carry: State | None) -> Loss:
    return loss_of_steps(model(batch).scores, batch.targets)


def metrics(config: Config, model: Any, part: Part, vocab: Vocabulary) -> Metrics:
    """loss with the right words given; the others of what the model writes by itself, greedily."""
    from rnncli.nn.evaluate import device_of, evaluating

    total, count = 0.0, 0.0
    written: list[list[int]] = []
    device = device_of(model)
    for batch in batches(config, part, None):
        with evaluating(model):
            memory, state = model.encode(batch.to(device))
            scores, _, _ = model.decode(batch.extra["given"].to(device), state, memory)
            written += model.written(model.greedy(memory, state))
        assert batch.targets is not None
        found = loss_of_steps(scores, batch.targets.to(device))
        total, count = total + float(found.total), count + found.count
    target = Vocab.from_json(vocab["target"])
    answers = [join(target.decode(row), vocab["target_tokens"]) for row in written]
    return {**_judged(answers, part, vocab["target_tokens"]), "loss": total / count}


def answers(config: Config, model: Any, part: Part, vocab: Vocabulary) -> Iterator[str]:
    from rnncli.nn.evaluate import device_of, evaluating

    target = Vocab.from_json(vocab["target"])
    for batch in batches(config, part, None):
        with evaluating(model):
            memory, state = model.encode(batch.to(device_of(model)))
            written = model.written(model.greedy(memory, state))
        yield from (join(target.decode(row), vocab["target_tokens"]) for row in written)


def _judged(answers: Sequence[str], part: Part, kind: Kind) -> Metrics:
    """exact-match; and bleu and chrf, 0 to 100, where sacrebleu is installed: of the answers as `predict` writes them,
    against the targets as they are in the file. BLEU's tokens are characters where the target's are, else its 13a."""
    wanted = [pair.target for pair in part.pairs]
    right = sum(answer == target for answer, target in zip(answers, wanted, strict=True))
    found: Metrics = {"exact-match": right / len(wanted)}
    if _has_sacrebleu():
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF

        bleu = BLEU(tokenize="char" if kind == "characters" else "13a", force=True)
        found["bleu"] = float(bleu.corpus_score(list(answers), [wanted]).score)
        found["chrf"] = float(CHRF().corpus_score(list(answers), [wanted]).score)
    return found


def require(config: Config) -> None:
    """Raises Missing where an epoch is to be chosen by a metric that sacrebleu measures, and it is not installed."""
    by = config.train.best_by
    if by in ("bleu", "chrf") and not _has_sacrebleu():
        raise Missing(
            tr("{metric} needs sacrebleu", metric=by),
            where="train.best_by",
            todo=tr("pip install 'rnncli[translation]', or best_by: loss"),
        )


def _has_sacrebleu() -> bool:
    from importlib.util import find_spec

    return find_spec("sacrebleu") is not None


def baselines(config: Config, splits: Splits, part: str) -> list[Baseline]:
    """The source as it is; and each word by the likeliest word of a dictionary learned from the training pairs."""
    rows: Part = splits.part(part)
    kind, source_kind = splits.vocab["target_tokens"], splits.vocab["source_tokens"]
    likeliest = dictionary(splits.train)
    source, target = Vocab.from_json(splits.vocab["source"]), Vocab.from_json(splits.vocab["target"])
    unk = source.id(UNK)
    by_word = []
    for pair, ids in zip(rows.pairs, rows.sources, strict=True):
        tokens = tokenize(pair.source, source_kind)
        words = [
            target.tokens[likeliest[i]] if i != unk and i in likeliest else token
            for i, token in zip(ids, tokens, strict=True)
        ]
        by_word.append(join(words, kind))
    copies = [pair.source for pair in rows.pairs]
    return [
        Baseline(tr("copying"), _judged(copies, rows, kind), tr("the source as it is")),
        Baseline(
            tr("word by word"),
            _judged(by_word, rows, kind),
            tr("each word by a dictionary from the training pairs (IBM model 1), in the source's order"),
        ),
    ]


def dictionary(part: Part, rounds: int = 5) -> dict[int, int]:
    """Source token -> the target token it most probably means, by IBM model 1 (Brown et al. 1993, section 4.1).

    t(e|f), uniform at first, is learned from co-occurrence by `rounds` of expectation and maximization over the first
    pairs, as many as have SHARED pairs of a source and a target token. No empty source word, no end signs.
    """
    import numpy as np

    sides: list[tuple[Any, Any, Any]] = []
    shared = 0
    for source, target in zip(part.sources, part.targets, strict=True):
        f, e = np.array(source, dtype=np.int64), np.array(target[:-1], dtype=np.int64)
        shared += len(f) * len(e)
        if shared > SHARED and sides:
            break
        place = sum(len(side[1]) for side in sides[-1:])
        start = int(sides[-1][2][-1]) + 1 if place else 0
        sides.append((np.repeat(f, len(e)), np.tile(e, len(f)), np.tile(np.arange(start, start + len(e)), len(f))))
    sources, targets, slots = (np.concatenate(arrays) for arrays in zip(*sides, strict=True))
    size = int(targets.max()) + 1
    words, entry = np.unique(sources * size + targets, return_inverse=True)  # entries (f, e), and the one of each link
    f_of = words // size
    chance = np.ones(len(words))  # t(e|f) up to a factor
    for _ in range(rounds):
        share = chance[entry]
        share = share / np.bincount(slots, share)[slots]  # of a target token's one count, among its source tokens
        counts = np.bincount(entry, share)
        chance = counts / np.bincount(f_of, counts)[f_of]
    found: dict[int, int] = {}
    for place in np.lexsort((-chance, f_of)).tolist():
        found.setdefault(int(f_of[place]), int(words[place] % size))
    return found


def watch(config: Config, model: Any, splits: Splits) -> str:
    return ""


def show(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    """One pair: source, target, what the model writes, and where it looked while writing."""
    from rnncli.nn.evaluate import outputs_of

    rows: Part = splits.part(part)
    shown = int(abs(rows.sources.lengths - 8).argmin())  # neither trivial nor wide
    pair = rows.pairs[shown]
    target = Vocab.from_json(splits.vocab["target"])
    _, outputs = next(outputs_of(model, [encode(config, splits.vocab, [pair.source])]))
    written = target.decode(model.written(outputs)[0])
    kind = splits.vocab["target_tokens"]
    columns = [Column("what", "", "text"), Column("text", "", "text")]
    table = [[tr("source"), pair.source], [tr("target"), pair.target], [tr("output"), join(written, kind)]]
    assert outputs.attention is not None
    ends = [EOS] if len(outputs.attention) > len(written) else []
    heat = HeatMap(
        "attention",
        outputs.attention[:, 0].tolist(),
        [*written, *ends],
        tokenize(pair.source, splits.vocab["source_tokens"]),
        tr("output"),
        tr("source"),
        tr("attention: where each output token looks"),
    )
    return [Table("sample", columns, table), heat]


def predict(config: Config, model: Any, vocab: Vocabulary, inputs: Iterable[str], asked: Asked) -> Iterator[Prediction]:
    """A translation of each line. asked.beam: the width of the beam search, 1 (greedy) where it is not given."""
    from rnncli.nn.evaluate import device_of, evaluating

    asked.only("beam")
    source, target = Vocab.from_json(vocab["source"]), Vocab.from_json(vocab["target"])
    for text in inputs:
        tokens = tokenize(text, vocab["source_tokens"])
        if not tokens:
            yield Prediction("", {"source": text, "translation": "", "tokens": [], "score": None})
            continue
        notes = []
        unknown = source.unknown(tokens)
        if unknown:
            notes.append(tr("not in the vocabulary: {tokens}", tokens=" ".join(map(repr, unknown))))
        with evaluating(model):
            memory, state = model.encode(encode(config, vocab, [text]).to(device_of(model)))
            best = model.beam(memory, state, asked.beam or 1)[0]
        if not best.ended:
            notes.append(
                trn(
                    "cut at {n} token, twice the longest target of the training",
                    "cut at {n} tokens, twice the longest target of the training",
                    n=len(best.tokens),
                )
            )
        words = target.decode(best.tokens)
        answer = join(words, vocab["target_tokens"])
        yield Prediction(answer, {"source": text, "translation": answer, "tokens": words, "score": best.score}, notes)


def fill(path: str) -> dict[str, Json]:
    """Which columns of a tab-separated file hold the texts (numbers, as in Tatoeba's exports, do not), and what a step
    of each is: characters where a text has Chinese, Japanese or Thai letters, else words."""
    rows = [line.split("\t") for _, line in islice(lines_of(path), 200) if line.strip()]
    width = min((len(row) for row in rows), default=0)
    texts = [place for place in range(width) if not all(row[place].strip().isdigit() for row in rows)]
    if len(texts) < 2:
        raise DataError(
            tr("has no two tab-separated columns of text"),
            where=name_of(path),
            todo=tr("one pair a line: source, a tab, target"),
        )
    found: dict[str, Json] = {"data.columns": texts[:2]}
    for side, place in zip(("source", "target"), texts, strict=False):
        characters = any(_unspaced(letter) for row in rows for letter in row[place])
        found[f"data.{side}_tokens"] = "characters" if characters else "words"
    return found


def _unspaced(letter: str) -> bool:
    return "\u3040" <= letter <= "\u30ff" or "\u3400" <= letter <= "\u9fff" or "\u0e00" <= letter <= "\u0e7f"
