"""Continuous text: one stream of tokens of any length."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from rnncli.data.batch import Batch, Order, pad, stream_batches, stream_steps
from rnncli.data.encoded import Encoded, Tokens, encode_text, measure
from rnncli.data.progress import Reading, follow
from rnncli.data.splits import Split
from rnncli.data.text import Text, read_text, scan, text_pieces
from rnncli.data.vocab import UNK, Kind, Vocab, prepared_sign, tokenize
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.recipe import Clash, DataSection
from rnncli.records import Json
from rnncli.tasks.base import FittedState, Splits
from rnncli.tasks.inputs.sources import WHOLE, Stretch, divide, sources

ENOUGH = 20  # minimum windows per stream; with fewer, an epoch would have only a handful of steps


class Data(DataSection):
    tokens: Literal["characters", "words", "whitespace", "auto", "words-0.1"] = Field(
        "characters",
        description="token type; whitespace: pre-tokenized text; auto: whitespace for a prepared corpus (with <unk>), "
        "else words",
    )
    min_count: Annotated[int, Field(ge=1)] = Field(1, description="a token seen less often is <unk>")
    max_vocab: Annotated[int, Field(ge=0)] = Field(
        0, description="vocabulary size limit (most frequent tokens); 0: none"
    )
    window: Annotated[int, Field(ge=1)] = Field(64, description="steps per training window (truncated BPTT length)")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.max_vocab == 1:
            yield Clash(
                ("max_vocab",), tr("with a vocabulary of one token there is nothing to predict"), tr("0 keeps all")
            )


@dataclass(frozen=True)
class Fitted(FittedState):
    tokens: Vocab
    kind: Kind


class Part(NamedTuple):
    """A text as token ids, and its number of characters, including spaces between words."""

    ids: Tokens
    characters: int


def read(data: Data, streams: int) -> Splits[Fitted, Part]:
    """streams: number of parallel streams for the training split. Raises DataError."""
    return follow(_read(data, streams))


def _read(data: Data, streams: int) -> Generator[Reading, None, Splits[Fitted, Part]]:
    given = sources(data)
    texts: dict[str, Text] = {}
    whole: dict[str, Stretch[Encoded]] = {}
    kind: Kind | None = None
    about: list[str] = []
    for name, files in given.items():
        texts[name] = yield from scan(files)
        kind = kind or _kind(data, texts[name], about)
        encoded = yield from encode_text(texts[name], kind)
        whole[name] = Stretch.all_of(encoded)
    about += [text.about() if name == WHOLE else f"{name}: {text.about()}" for name, text in texts.items()]
    stretches, how = divide(whole, given, lambda one: _cuts(len(one), data.split.fractions()), tr("tokens"))
    _long_enough(data.window, streams, {name: len(one) for name, one in stretches.items()})
    measured = {}
    for name, one in stretches.items():
        measured[name] = yield from measure(one.whole, one.rows.start, one.rows.stop)
    counts = {name: found.counts for name, found in measured.items()}
    least, most = data.min_count, data.max_vocab or None
    vocab = Vocab.from_counts(counts["train"], min_count=least, max_size=most)
    unknown = {name: sum(n for token, n in found.items() if token not in vocab) for name, found in counts.items()}
    if any(unknown.values()):
        vocab = Vocab.from_counts(counts["train"], min_count=least, max_size=most, specials=(UNK,))
        about += [_unknown_note(tr(name), n) for name, n in unknown.items() if n]
    parts = {
        name: Part(Tokens.of(one.whole, one.rows.start, one.rows.stop, vocab), measured[name].characters)
        for name, one in stretches.items()
    }
    return Splits(
        parts=parts,
        fitted=Fitted(vocab, kind or "characters"),
        counts={
            name: {"tokens": len(part.ids), "steps": stream_steps(len(part.ids), streams)}
            for name, part in parts.items()
        },
        fingerprint="".join(text.fingerprint for text in texts.values()),
        how=how,
        notes=[*about, *_places(one.whole for one in stretches.values())],
    )


def _kind(data: Data, text: Text, notes: list[str]) -> Kind:
    """The token type; guesses, and evidence for another choice, are noted."""
    sign = prepared_sign(next(text.pieces())) if data.tokens in ("auto", "words") else ""
    if data.tokens != "auto":
        if sign:
            todo = tr("looks like a prepared corpus ({sign}): data.tokens=whitespace would keep its tokens", sign=sign)
            notes.append(todo)
        return data.tokens
    if not sign:
        notes.append(tr("tokens: words (auto)"))
        return "words"
    notes.append(tr("tokens: whitespace (auto), because a prepared corpus was detected ({sign})", sign=sign))
    return "whitespace"


def read_part(fitted: Fitted, path: str) -> tuple[Part, list[str]]:
    """A text encoded with a run's vocabulary. Raises DataError for an unknown token if there is no <unk>."""
    return follow(_read_part(fitted, path))


def batches(part: Part, window: int, streams: int, order: Order | None) -> Iterator[Batch]:
    """Windows of parallel streams. Held-out text (order None) is one stream, so that every token but the first counts;
    a long text is read in enough streams that each has 1,000 windows, which omits at most a few tokens."""
    if order is None:
        streams = max(1, min(streams, len(part.ids) // (1000 * window)))
        order = Order(0, 0)
    for inputs, targets in stream_batches(part.ids, window, streams, order):
        yield Batch(inputs, None, targets)


def encoded(fitted: Fitted, texts: Sequence[str]) -> Batch:
    ids, lengths = pad([fitted.tokens.encode(tokenize(text, fitted.kind, newlines=True)) for text in texts])
    return Batch(ids, lengths)


def _unknown_note(part: str, n: int) -> str:
    return trn(
        "{n} token of {part} is not in the vocabulary and becomes <unk>",
        "{n} tokens of {part} are not in the vocabulary and become <unk>",
        n=n,
        part=part,
    )


def _places(texts: Iterable[Encoded]) -> list[str]:
    """Notes on where encoded texts are stored that are not in memory."""
    places = dict.fromkeys(text.place for text in texts if text.place is not None)
    return [tr("reading the encoded text from {file}", file=place) for place in places]


def _cuts(n: int, fractions: Mapping[str, float]) -> Split:
    """Contiguous splits of n tokens: training first, then validation and test."""
    stop = n - sum(int(n * share) for share in fractions.values())
    cuts = {"train": range(stop)}
    for name, share in fractions.items():
        cuts[name] = range(stop, stop + int(n * share))
        stop += int(n * share)
    parts = tr(", ").join(f"{tr(name)} {len(rows):,}" for name, rows in cuts.items())
    return Split(cuts, tr("in order: {parts}", parts=parts))


def _long_enough(window: int, streams: int, sizes: Mapping[str, int]) -> None:
    """Raise DataError, with a --set line that works, if a split has less than one full window in every stream."""
    for name, size in sizes.items():
        if name == "train" and stream_steps(size, streams) >= window:
            continue
        if name != "train" and size >= 2:
            continue  # held-out text is read as one stream of any length
        needed = window * streams + 1
        small, few = _small(size, window, streams)
        if name != "train" or size < small * few + 1:
            raise DataError(
                _too_few(tr(name), size),
                todo=tr("use a longer text, or change data.split"),
            )
        raise DataError(
            tr(
                "too short: {part} has {tokens}; {streams} with one window of {window} need {needed}",
                part=tr(name),
                tokens=trn("{n} token", "{n} tokens", n=size),
                needed=f"{needed:,}",
                streams=trn("{n} stream", "{n} streams", n=streams),
                window=window,
            ),
            todo=tr("try --set data.window={window} --set train.batch_size={streams}", window=small, streams=few),
        )


def _read_part(fitted: Fitted, path: str) -> Generator[Reading, None, tuple[Part, list[str]]]:
    text = yield from scan(path)
    encoded = yield from encode_text(text, fitted.kind)
    n = len(encoded)
    if n < 2:
        raise DataError(_too_few(path, n))
    known = fitted.tokens
    measured = yield from measure(encoded, 0, n)
    new = sum(n for token, n in measured.counts.items() if token not in known)
    ids = Tokens.of(encoded, 0, n, known)
    if new and UNK not in known:
        place, token = ids.first_unknown()
        raise known.lacks(token, place, n, path)
    notes = [text.about(), *([_unknown_note(path, new)] if new else []), *_places([encoded])]
    return Part(ids, measured.characters), notes


def _too_few(part: str, n: int) -> str:
    return trn(
        "{part} has {n} token, too few to learn from",
        "{part} has {n} tokens, too few to learn from",
        part=part,
        n=n,
    )


def _small(n: int, window: int, streams: int) -> tuple[int, int]:
    """Reduce window and streams until n tokens make ENOUGH windows in every stream, or at least one."""
    small = max(2, min(window, int((n / ENOUGH) ** 0.5)))
    return small, max(1, min(streams, n // (small * ENOUGH)))


def suggest_window(path: str) -> dict[str, Json]:
    """Window and number of streams for a text too short for 64 x 32; nothing for a longer one."""
    window, streams = 64, 32
    length = 0
    for _, piece in text_pieces(path):
        length += len(piece)
        if length >= window * streams * ENOUGH:
            return {}
    window, streams = _small(read_text(path).characters, window, streams)
    return {"data.window": window, "train.batch_size": streams}
