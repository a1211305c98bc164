"""translation: a sentence in one language, its translation in another; an encoder and a decoder with attention."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import chain, count, tee
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from rnncli.baselines.dictionary import dictionary
from rnncli.data.batch import Batch, Order, index_batches
from rnncli.data.chrf import chrf
from rnncli.data.given import texts_of_column
from rnncli.data.vocab import BOS, EOS, UNK, Kind, join, tokenize
from rnncli.errors import Missing
from rnncli.locale import tr, trn
from rnncli.nn.evaluate import device_of, evaluating, outputs_of
from rnncli.recipe import CellName, CoreSection, RecipeConfig, TrainSection
from rnncli.records import Column, HeatMap, Json, Message, Record, Table
from rnncli.tasks.base import (
    Baseline,
    Better,
    Loss,
    Metrics,
    Names,
    Prediction,
    PredictOptions,
    Splits,
    Suited,
    Task,
    loss_of_steps,
)
from rnncli.tasks.inputs import pairs
from rnncli.tasks.inputs.pairs import Data, Fitted, Part
from rnncli.tasks.inputs.tokens import not_known

if TYPE_CHECKING:
    from torch import nn

    from rnncli.cells import State
    from rnncli.data.look import Look


class Model(CoreSection):
    cell: CellName = Field(
        "lstm", description="cell of encoder and decoder; feedforward is the rnn cell without memory"
    )
    bidirectional: bool = Field(
        True, description="bidirectional encoder; the decoder has as many units as both directions"
    )
    embedding_size: Annotated[int, Field(ge=1)] = Field(64, description="size of token vectors, both sides")
    attention: Literal["general", "dot", "additive"] = Field(
        "general",
        description="how a decoder state scores a source step: h·Wm or h·m (Luong 2015), v·tanh(Wh + Um) "
        "(Bahdanau 2015)",
    )


class Train(TrainSection):
    best_by: Literal["chrf", "exact-match", "bleu", "loss"] = Field(
        "chrf", description="metric that selects the epoch to keep; bleu needs rnncli[translation]"
    )


class Config(RecipeConfig):
    task: Literal["translation"]
    data: Data
    model: Model
    train: Train


class Translation(Task[Config, Fitted, Part]):
    METRICS: Mapping[str, Better] = {"chrf": "higher", "exact-match": "higher", "bleu": "higher", "loss": "lower"}
    COUNTED = "tokens"
    config_class = Config
    fitted_class = Fitted

    def require(self, config: Config) -> None:
        """Raises Missing if bleu selects the epoch but sacrebleu is not installed."""
        if config.train.best_by == "bleu" and not _has_sacrebleu():
            raise Missing(
                tr("bleu needs sacrebleu"),
                where="train.best_by",
                todo=tr("pip install 'rnncli[translation]', or best_by: chrf"),
            )

    def read(self, config: Config) -> Splits[Fitted, Part]:
        return pairs.read(config.data, config.train.seed)

    def read_part(self, config: Config, fitted: Fitted, path: str) -> tuple[Part, list[str]]:
        return pairs.read_part(config.data, fitted, path)

    def suits(self, look: Look, config: Config) -> Suited | None:
        from rnncli.tasks.inputs import suits

        return suits.pairs(look)

    def suggest_settings(self, path: str, config: Config | None = None) -> dict[str, Json]:
        return pairs.suggest_columns(path)

    def build(self, config: Config, fitted: Fitted) -> nn.Module:
        from rnncli.nn.recurrent import spec_of_section
        from rnncli.nn.seq2seq import Seq2Seq, SpecialTokens

        model = config.model
        encoder = spec_of_section(model, model.embedding_size)
        target = fitted.target
        return Seq2Seq(
            len(fitted.source.tokens),
            len(target),
            model.embedding_size,
            encoder,
            model.attention,
            SpecialTokens(target.id(BOS), target.id(EOS), (target.id(BOS), target.id(UNK))),
            limit=2 * fitted.longest + 1,
            dropout=model.dropout,
            engine=model.engine,
        )

    def hub_task(self, config: Config) -> str:
        return "translation"

    def label_names(self, config: Config, fitted: Fitted) -> Names:
        return Names(fitted.source.tokens, fitted.target.tokens)

    def batches(self, config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
        """Sources of similar length share a training batch."""
        lengths = part.sources.lengths if order is not None else None
        for rows in index_batches(len(part.sources), config.train.batch_size, order, lengths=lengths):
            yield pairs.batch_of(part, rows)

    def encode(self, config: Config, fitted: Fitted, inputs: Sequence[str]) -> Batch:
        return pairs.encoded(fitted, inputs)

    def loss(self, config: Config, model: nn.Module, batch: Batch, carry: State | None) -> Loss:
        return loss_of_steps(model(batch).scores, batch.targets)

    def metrics(self, config: Config, model: nn.Module, part: Part, fitted: Fitted) -> Metrics:
        """loss with teacher forcing; the others on greedy translations."""
        from rnncli.nn.seq2seq import Seq2Seq

        assert isinstance(model, Seq2Seq)
        total, count = 0.0, 0.0
        written: list[list[int]] = []
        device = device_of(model)
        for batch in self.batches(config, part, None):
            with evaluating(model):
                memory, state = model.encode(batch.to(device))
                scores, _, _ = model.decode(batch.extra["given"].to(device), state, memory)
                written += model.written(model.greedy(memory, state))
            assert batch.targets is not None
            found = loss_of_steps(scores, batch.targets.to(device))
            total, count = total + float(found.total), count + found.count
        target = fitted.target
        answers = [join(target.decode(row), fitted.target_tokens) for row in written]
        return _judged(answers, part, fitted.target_tokens) | {"loss": total / count}

    def answers(self, config: Config, model: nn.Module, part: Part, fitted: Fitted) -> Iterator[str]:
        from rnncli.nn.seq2seq import Seq2Seq

        assert isinstance(model, Seq2Seq)
        for batch in self.batches(config, part, None):
            with evaluating(model):
                memory, state = model.encode(batch.to(device_of(model)))
                written = model.written(model.greedy(memory, state))
            yield from (join(fitted.target.decode(row), fitted.target_tokens) for row in written)

    def baselines(self, config: Config, splits: Splits[Fitted, Part], part: str) -> list[Baseline]:
        """Copying the source; and word-by-word translation with a dictionary learned from the training pairs."""
        rows: Part = splits.part(part)
        kind, source_kind = splits.fitted.target_tokens, splits.fitted.source_tokens
        learned = splits.train
        # a target ends with <eos>
        pairs = zip(learned.sources, (ids[:-1] for ids in learned.targets), strict=True)
        likeliest = dictionary(pairs)
        source, target = splits.fitted.source, splits.fitted.target
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
            Baseline(tr("copying"), _judged(copies, rows, kind), tr("the source, copied")),
            Baseline(
                tr("word by word"),
                _judged(by_word, rows, kind),
                tr("word-by-word with a dictionary from the training pairs (IBM model 1), in source order"),
            ),
        ]

    def summarize(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        """One pair: source, target, translation, and attention weights."""
        from rnncli.nn.seq2seq import Seq2Seq

        assert isinstance(model, Seq2Seq)
        rows: Part = splits.part(part)
        shown = int(abs(rows.sources.lengths - 8).argmin())  # neither trivial nor wide
        pair = rows.pairs[shown]
        target = splits.fitted.target
        _, outputs = next(outputs_of(model, [self.encode(config, splits.fitted, [pair.source])]))
        written = target.decode(model.written(outputs)[0])
        kind = splits.fitted.target_tokens
        columns = [Column("what", "", "text"), Column("text", "", "text")]
        table = [[tr("source"), pair.source], [tr("target"), pair.target], [tr("output"), join(written, kind)]]
        assert outputs.attention is not None
        ends = [EOS] if len(outputs.attention) > len(written) else []
        heat = HeatMap(
            "attention",
            outputs.attention[:, 0].tolist(),
            [*written, *ends],
            tokenize(pair.source, splits.fitted.source_tokens),
            tr("output"),
            tr("source"),
            tr("attention of each output token"),
        )
        text = tr("bleu is not computed: it needs the extra rnncli[translation]")
        notes = [] if _has_sacrebleu() else [Message(text, "note", name="bleu")]
        return [Table("sample", columns, table), heat, *notes]

    def texts_of(self, config: Config, fitted: Fitted, lines: Iterable[str]) -> tuple[Iterable[str], str]:
        """The sources of tab-separated pairs, if the run was trained on such a file."""
        data = config.data
        if not isinstance(data.path or data.train, str) or fitted.columns is not None:
            return lines, ""
        source, target = int(data.columns[0]), int(data.columns[1])
        texts, pairs = texts_of_column(lines, source, lambda cells: len(cells) > target, ["\t"])
        return texts, tr("read as pairs: sources from column {n}", n=source) if pairs else ""

    def predict_lines(
        self, config: Config, model: nn.Module, fitted: Fitted, lines: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        """A table like the training data is returned with one additional column."""
        bare = (line.removeprefix("\ufeff").rstrip("\r\n") for line in lines)
        table, texts = pairs.given_table(fitted, config.data, bare)
        if table is None:
            yield from super().predict_lines(config, model, fitted, texts, options)
            return
        if table.head:
            names = chain(["translation"], (f"translation_{n}" for n in count(2)))
            free = next(name for name in names if name not in table.head)
            yield Prediction(table.line(table.head, free) + "\n", None, row={})
        rows, read = tee(table.rows)
        found = self.predict(config, model, fitted, table.texts(read), options)
        for cells, one in zip(rows, found, strict=True):
            yield replace(one, text=table.line(cells, one.text) + "\n")

    def predict(
        self, config: Config, model: nn.Module, fitted: Fitted, inputs: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        """A translation of each line. options.beam: beam width, default 1 (greedy)."""
        from rnncli.nn.seq2seq import Seq2Seq

        assert isinstance(model, Seq2Seq)
        options.only("beam")
        source, target = fitted.source, fitted.target
        for text in inputs:
            tokens = tokenize(text, fitted.source_tokens)
            if not tokens:
                row = {"source": text, "translation": ""}
                yield Prediction("", {**row, "tokens": [], "score": None}, row=row)
                continue
            notes = not_known(source, tokens)
            with evaluating(model):
                memory, state = model.encode(self.encode(config, fitted, [text]).to(device_of(model)))
                best = model.beam(memory, state, options.beam or 1)[0]
            if not best.ended:
                notes.append(
                    trn(
                        "truncated at {n} token, twice the longest training target",
                        "truncated at {n} tokens, twice the longest training target",
                        n=len(best.tokens),
                    )
                )
            words = target.decode(best.tokens)
            row = {"source": text, "translation": join(words, fitted.target_tokens)}
            json: Json = {**row, "tokens": [*words], "score": best.score}
            yield Prediction(row["translation"], json, notes, row=row)


def _judged(answers: Sequence[str], part: Part, kind: Kind) -> Metrics:
    """chrf, exact-match and, if sacrebleu is installed, bleu, of translations as `predict` writes them against the
    targets as in the file. chrf and bleu range from 0 to 100; BLEU is tokenized into characters if the target is, else
    by 13a."""
    wanted = [pair.target for pair in part.pairs]
    right = sum(answer == target for answer, target in zip(answers, wanted, strict=True))
    found = {"chrf": chrf(zip(answers, wanted, strict=True)), "exact-match": right / len(wanted)}
    if _has_sacrebleu():
        from sacrebleu.metrics.bleu import BLEU

        bleu = BLEU(tokenize="char" if kind == "characters" else "13a", force=True)
        found["bleu"] = float(bleu.corpus_score(list(answers), [wanted]).score)
    return found


def _has_sacrebleu() -> bool:
    return find_spec("sacrebleu") is not None


TASK = Translation()
