"""language-model: predict the next character or word of a text, then write some."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from math import exp, log
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from rnncli.data.batch import Batch, Order, pad, stream_batches, stream_steps
from rnncli.data.bigrams import bigram_losses
from rnncli.data.encoded import Encoded, Tokens, counted, encode_text, measure
from rnncli.data.progress import Reading, follow
from rnncli.data.text import Text, read_text, scan, text_pieces
from rnncli.data.vocab import UNK, Kind, Vocab, join, tokenize
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.recipe import Clash, CoreSection, DataSection, RecipeConfig, Section, TrainSection
from rnncli.records import Column, Json, Message, Record, Table
from rnncli.tasks import Asked, Baseline, Loss, Metrics, Names, Prediction, Splits, Vocabulary

if TYPE_CHECKING:
    from torch import nn

    from rnncli.cells import State

METRICS: Mapping[str, Literal["lower", "higher"]] = {"loss": "lower", "perplexity": "lower", "bits": "lower"}
INPUT: Literal["text", "path"] = "text"
COUNTED = "tokens"  # by `loss`: what the speed is of
PIECE = 1024  # tokens of a prompt read at once, and of a written text given out at once
ENOUGH = 20  # windows of every stream that a text should have: fewer, and an epoch is a handful of updates


class Data(DataSection):
    tokens: Literal["characters", "words"] = Field("characters", description="what one step is")
    min_count: Annotated[int, Field(ge=1)] = Field(1, description="a token seen less often is <unk>")
    max_vocab: Annotated[int, Field(ge=0)] = Field(0, description="keep the commonest so many tokens; 0 is all")
    window: Annotated[int, Field(ge=1)] = Field(64, description="steps between two updates, the BPTT length")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.max_vocab == 1:
            yield Clash(("max_vocab",), tr("a vocabulary of one token has nothing to predict"), tr("0 keeps all"))


class Model(CoreSection):
    input: Literal["one-hot", "embedding"] = Field("embedding", description="how a token becomes x_t")
    embedding_size: Annotated[int, Field(ge=1)] = Field(
        32, description="length of the learned vectors of input: embedding"
    )

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.bidirectional:
            yield Clash(
                ("bidirectional",),
                tr("a language model that reads from right to left has already seen the answer"),
                tr("bidirectional: false"),
            )


class Sample(Section):
    """`train.sample:`, the text written when training ends."""

    length: Annotated[int, Field(ge=0)] = Field(300, description="how many tokens")
    temperature: Annotated[float, Field(ge=0)] = Field(
        0.8, description="below 1 safer, above 1 wilder; 0: the likeliest"
    )
    prompt: str = Field("", description="what it begins with; empty: a line end")


class Train(TrainSection):
    best_by: Literal["loss", "perplexity", "bits"] = Field(
        "loss", description="the metric that decides which epoch is kept"
    )
    sample: Sample = Field(Sample(), description="the text written when training ends")


class Config(RecipeConfig):
    task: Literal["language-model"]
    data: Data
    model: Model
    train: Train


class Part(NamedTuple):
    """A text as token numbers, and how many characters it has, the spaces between words included."""

    ids: Tokens
    characters: int


def read(config: Config) -> Splits:
    return follow(_read(config))


def _read(config: Config) -> Generator[Reading, None, Splits]:
    data = config.data
    texts: dict[str, Text] = {}
    stretches: dict[str, tuple[Encoded, int, int]] = {}  # part -> text, first token, behind the last
    if data.path is not None:
        texts["all"] = yield from scan(data.path)
        encoded = yield from encode_text(texts["all"], data.tokens)
        cuts = _cuts(len(encoded), data.split.fractions())
        stretches = {name: (encoded, start, stop) for name, (start, stop) in cuts.items()}
        about = [texts["all"].about()]
        how = tr("in order: {parts}", parts=", ".join(f"{name} {b - a:,}" for name, (a, b) in cuts.items()))
    else:
        for name in ("train", "validation", "test"):
            source = getattr(data, name)
            if source is not None:
                texts[name] = yield from scan(source)
                encoded = yield from encode_text(texts[name], data.tokens)
                stretches[name] = (encoded, 0, len(encoded))
        about = [f"{name}: {text.about()}" for name, text in texts.items()]
        how = tr("separate files")
    _long_enough(config, {name: stop - start for name, (_, start, stop) in stretches.items()})
    measured = {}
    for name, stretch in stretches.items():
        measured[name] = yield from measure(*stretch)
    counts = {name: counted(stretches[name][0], measured[name].counts) for name in stretches}
    limits: dict[str, Any] = {"min_count": data.min_count, "max_size": data.max_vocab or None}
    vocab = Vocab.from_counts(counts["train"], **limits)
    unknown = {name: sum(n for token, n in found.items() if token not in vocab) for name, found in counts.items()}
    if any(unknown.values()):
        vocab = Vocab.from_counts(counts["train"], specials=(UNK,), **limits)
        about += [_unknown_note(name, n) for name, n in unknown.items() if n]
    about += _places(stretches.values())
    sample = config.train.sample
    if sample.length and sample.prompt and not _prompt(sample, vocab, data.tokens):
        about.append(
            tr("the sample will begin with a line end: the text lacks words of {prompt!r}", prompt=sample.prompt)
        )
    found = {name: Part(Tokens.of(*stretch, vocab), measured[name].characters) for name, stretch in stretches.items()}
    return Splits(
        train=found["train"],
        validation=found.get("validation"),
        test=found.get("test"),
        vocab={"tokens": vocab.to_json(), "kind": data.tokens},
        counts={
            name: {"tokens": len(part.ids), "steps": stream_steps(len(part.ids), config.train.batch_size)}
            for name, part in found.items()
        },
        fingerprint="".join(text.fingerprint for text in texts.values()),
        how=how,
        notes=about,
    )


def _prompt(sample: Sample, vocab: Vocab, kind: Kind) -> str:
    """What the text written at the end begins with: nothing where the training text lacks a token of it."""
    return "" if vocab.unknown(tokenize(sample.prompt, kind, newlines=True)) else sample.prompt


def _unknown_note(part: str, n: int) -> str:
    return trn(
        "{n} token of {part} is not in the vocabulary and is read as <unk>",
        "{n} tokens of {part} are not in the vocabulary and read as <unk>",
        n=n,
        part=part,
    )


def _places(stretches: Iterable[tuple[Encoded, int, int]]) -> list[str]:
    """Where the encoded texts lie that are not held in memory."""
    places = dict.fromkeys(encoded.place for encoded, _, _ in stretches if encoded.place is not None)
    return [tr("read from its encoded form, {file}", file=place) for place in places]


def _cuts(n: int, fractions: Mapping[str, float]) -> dict[str, tuple[int, int]]:
    """Contiguous parts of n tokens: training first, validation and test behind it."""
    stop = n - sum(int(n * share) for share in fractions.values())
    cuts = {"train": (0, stop)}
    for name, share in fractions.items():
        cuts[name] = (stop, stop + int(n * share))
        stop += int(n * share)
    return cuts


def _long_enough(config: Config, sizes: Mapping[str, int]) -> None:
    """DataError, with a --set line that works, where a part has not one full window in every stream."""
    window, streams = config.data.window, config.train.batch_size
    for name, size in sizes.items():
        if name == "train" and stream_steps(size, streams) >= window:
            continue
        if name != "train" and size >= 2:
            continue  # held-out text is read as one stream, whatever its length
        needed = window * streams + 1
        small, few = _small(size, window, streams)
        if name != "train" or size < small * few + 1:
            raise DataError(
                trn(
                    "{part} has {n} token, too few to learn from",
                    "{part} has {n} tokens, too few to learn from",
                    part=name,
                    n=size,
                ),
                todo=tr("take a longer text, or change data.split"),
            )
        raise DataError(
            tr(
                "too short: {part} has {tokens}; {needed} are needed for {streams} of one window of {window}",
                part=name,
                tokens=trn("{n} token", "{n} tokens", n=size),
                needed=f"{needed:,}",
                streams=trn("{n} stream", "{n} streams", n=streams),
                window=window,
            ),
            todo=tr("try --set data.window={window} --set train.batch_size={streams}", window=small, streams=few),
        )


def read_part(config: Config, vocab: Vocabulary, path: str) -> tuple[Part, list[str]]:
    """A text in terms of a run's vocabulary. Raises DataError: a token that it lacks, where it has no <unk>."""
    return follow(_read_part(vocab, path))


def _read_part(vocab: Vocabulary, path: str) -> Generator[Reading, None, tuple[Part, list[str]]]:
    text = yield from scan(path)
    encoded = yield from encode_text(text, vocab["kind"])
    n = len(encoded)
    if n < 2:
        raise DataError(
            trn(
                "{part} has {n} token, too few to learn from",
                "{part} has {n} tokens, too few to learn from",
                part=path,
                n=n,
            )
        )
    known = Vocab.from_json(vocab["tokens"])
    measured = yield from measure(encoded, 0, n)
    new = sum(n for token, n in counted(encoded, measured.counts).items() if token not in known)
    ids = Tokens.of(encoded, 0, n, known)
    if new and UNK not in known:
        place, token = ids.first_unknown()
        raise known.lacks(token, place, n, path)
    notes = [text.about(), *([_unknown_note(path, new)] if new else []), *_places([(encoded, 0, n)])]
    return Part(ids, measured.characters), notes


def fill(path: str) -> dict[str, Json]:
    """Window and number of streams for a text that is short for 64 x 32; nothing for a longer one."""
    window, streams = 64, 32
    length = 0
    for _, piece in text_pieces(path):
        length += len(piece)
        if length >= window * streams * ENOUGH:
            return {}
    window, streams = _small(read_text(path).characters, window, streams)
    return {"data.window": window, "train.batch_size": streams}


def _small(n: int, window: int, streams: int) -> tuple[int, int]:
    """Window and streams lowered until n tokens have ENOUGH windows in every stream, or at least one."""
    small = max(2, min(window, int((n / ENOUGH) ** 0.5)))
    return small, max(1, min(streams, n // (small * ENOUGH)))


def build(config: Config, vocab: Vocabulary) -> nn.Module:
    from rnncli.nn.frontends import OneHot, TokenEmbedding
    from rnncli.nn.heads import PerStep
    from rnncli.nn.model import SequenceModel
    from rnncli.nn.recurrent import core_of_section

    model = config.model
    size = len(vocab["tokens"]["tokens"])
    one_hot = model.input == "one-hot"
    front = OneHot(size) if one_hot else TokenEmbedding(size, model.embedding_size)
    rnn, spec = core_of_section(model, size if one_hot else model.embedding_size)
    return SequenceModel(front, rnn, PerStep(spec.output_size, size), model.engine)


def names(config: Config, vocab: Vocabulary) -> Names:
    return Names(vocab["tokens"]["tokens"], vocab["tokens"]["tokens"])


def batches(config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
    """Windows of parallel streams. Held-out text (order None) is one stream, so that every token but the first counts;
    a long one is read in as many streams as keep each at 1,000 windows, which leaves out a few tokens at most."""
    streams = config.train.batch_size
    if order is None:
        streams = max(1, min(streams, len(part.ids) // (1000 * config.data.window)))
        order = Order(0, 0)
    for inputs, targets in stream_batches(part.ids, config.data.window, streams, order):
        yield Batch(inputs, None, targets)


def encode(config: Config, vocab: Vocabulary, inputs: Sequence[str]) -> Batch:
    tokens = Vocab.from_json(vocab["tokens"])
    ids, lengths = pad([tokens.encode(tokenize(text, vocab["kind"], newlines=True)) for text in inputs])
    return Batch(ids, lengths)


def loss(config: Config, model: Any, batch: Batch, carry: State | None) -> Loss:
    from torch.nn import functional as F

    assert batch.targets is not None
    outputs = model(batch, carry)
    total = F.cross_entropy(outputs.scores.flatten(0, 1), batch.targets.flatten(), reduction="sum")
    return Loss(total, batch.targets.numel(), tuple(state.detach() for state in outputs.state))


def metrics(config: Config, model: Any, part: Part, vocab: Vocabulary) -> Metrics:
    from torch.nn import functional as F

    from rnncli.nn.evaluate import outputs_of

    total, steps = 0.0, 0
    for batch, outputs in outputs_of(model, batches(config, part, None), carry=True):
        assert batch.targets is not None
        total += float(F.cross_entropy(outputs.scores.flatten(0, 1), batch.targets.flatten(), reduction="sum"))
        steps += batch.targets.numel()
    return _as_metrics(total / steps, part)


def _as_metrics(nats: float, part: Part) -> Metrics:
    """nats: mean loss of a token. bits: per character of the text, also where tokens are words."""
    tokens_per_character = len(part.ids) / max(1, part.characters)
    return {"loss": nats, "perplexity": exp(min(nats, 700.0)), "bits": nats / log(2) * tokens_per_character}


def baselines(config: Config, splits: Splits, part: str) -> list[Baseline]:
    """Unigram and bigram frequencies of the training part; add-one, the bigram backing off to the unigram."""
    size, tested = len(splits.vocab["tokens"]["tokens"]), splits.part(part)
    unigram, bigram = follow(bigram_losses(splits.train.ids, tested.ids, size))
    return [
        Baseline(tr("unigram"), _as_metrics(unigram, tested), tr("how often each token is: knows no context")),
        Baseline(
            tr("bigram"),
            _as_metrics(bigram, tested),
            tr("what follows each token: one token of context, as a net without memory has"),
        ),
    ]


def watch(config: Config, model: Any, splits: Splits) -> str:
    return ""


def show(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    import torch

    from rnncli.nn.evaluate import outputs_of

    tokens = Vocab.from_json(splits.vocab["tokens"])
    whole: Tokens = splits.part(part).ids
    ids = torch.from_numpy(whole.read(0, min(9, len(whole))))
    _, outputs = next(outputs_of(model, [Batch(ids[:-1].unsqueeze(1))]))
    chances = outputs.scores[:, 0].softmax(1)  # (T, V)
    best, which = chances.max(1)
    rows: list[list[Any]] = []
    for t, (given, target) in enumerate(zip(tokens.decode(ids[:-1]), tokens.decode(ids[1:]), strict=True)):
        guess = tokens.decode([int(which[t])])[0]
        rows.append([t, given, target, guess, float(best[t]), float(chances[t, ids[t + 1]])])
    columns = [
        Column("t", "t", "count"),
        Column("in", tr("in"), "code"),
        Column("target", tr("target"), "code"),
        Column("predicted", tr("predicted"), "code"),
        Column("p", "p"),
        Column("p_target", tr("p of target")),
    ]
    records: list[Record] = [Table("sample", columns, rows)]
    sample = config.train.sample
    if sample.length:
        kind, seed = splits.vocab["kind"], config.train.seed
        prompt = _prompt(sample, tokens, kind)
        pieces = write(model, tokens, kind, prompt, sample.length, sample.temperature, None, seed)
        title = tr("{n} {kind} at temperature {t}:", n=sample.length, kind=splits.vocab["kind"], t=sample.temperature)
        records += [Message(title, "note"), Message(prompt + "".join(pieces), "code", name="text")]
    return records


def write(
    model: Any, vocab: Vocab, kind: Kind, prompt: str, length: int, temperature: float, top_k: int | None, seed: int
) -> Iterator[str]:
    """A text that goes on from `prompt` (a line end where it is empty), token by token, the state carried; in pieces.

    length: how many tokens. temperature: divides the scores; 0 takes the likeliest. top_k: draw among so many. seed: of
    the draws, a generator of its own. Never writes <unk>. Raises DataError: a prompt with unknown tokens.
    """
    import torch

    from rnncli.nn.evaluate import device_of, evaluating

    generator = torch.Generator().manual_seed(seed)
    device = device_of(model)
    start = tokenize(prompt, kind, newlines=True)
    ids = vocab.encode(start or ([token for token in ("\n", " ") if token in vocab] or [vocab.tokens[-1]])[:1])
    unknown = vocab.id(UNK) if UNK in vocab else None
    written: list[str] = []
    before = "\n"  # the token that the next piece goes on from
    state = None
    for number in range(length):
        for at in range(0, len(ids), PIECE):  # a long prompt a stretch at a time, too
            with evaluating(model):
                outputs = model(Batch(torch.tensor(ids[at : at + PIECE], device=device).unsqueeze(1)), state)
            state = outputs.state
        scores = outputs.scores[-1, 0].float().cpu()  # (V,)
        if unknown is not None:
            scores[unknown] = -torch.inf
        if top_k is not None and top_k < len(scores):
            scores[scores < scores.topk(top_k).values[-1]] = -torch.inf
        if temperature == 0:
            token = int(scores.argmax())
        else:
            token = int(torch.multinomial((scores / temperature).softmax(0), 1, generator=generator))
        ids = [token]
        written.append(vocab.tokens[token])
        if len(written) == PIECE or number == length - 1:
            yield join(written, kind, before)
            before, written = written[-1], []


def predict(config: Config, model: Any, vocab: Vocabulary, inputs: Iterable[str], asked: Asked) -> Iterator[Prediction]:
    """The prompt and what is written after it, of which a long text comes in pieces."""
    asked.only("top_k", "temperature", "seed", "length")
    tokens, kind = Vocab.from_json(vocab["tokens"]), vocab["kind"]
    sample = config.train.sample
    for prompt in inputs:
        unknown = tokens.unknown(tokenize(prompt, kind, newlines=True))
        notes = [tr("not in the vocabulary: {tokens}", tokens=" ".join(map(repr, unknown)))] if unknown else []
        pieces = write(
            model,
            tokens,
            kind,
            prompt,
            sample.length if asked.length is None else asked.length,
            sample.temperature if asked.temperature is None else asked.temperature,
            asked.top_k,
            config.train.seed if asked.seed is None else asked.seed,
        )
        written = [next(pieces, "")]
        space = " " if kind == "words" and prompt and not prompt[-1].isspace() and written[0][:1].isalnum() else ""
        shown = prompt + space + written[0]
        for piece in pieces:
            yield Prediction(shown, None, more=True)
            written.append(piece)
            shown = piece
        yield Prediction(shown, {"prompt": prompt, "text": "".join(written)}, notes)
