"""language-model: predict the next character or word of a text, and generate text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from math import exp, inf, log
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from rnncli.baselines.bigrams import bigram_losses
from rnncli.data.batch import Batch, Order
from rnncli.data.encoded import Tokens
from rnncli.data.progress import follow
from rnncli.data.vocab import UNK, Vocab, join, tokenize, unit
from rnncli.locale import tr
from rnncli.names import CELLS
from rnncli.nn.evaluate import device_of, evaluating, outputs_of
from rnncli.recipe import Clash, CoreSection, RecipeConfig, Section, TrainSection
from rnncli.records import Column, Entry, Json, Message, Record, Table
from rnncli.tasks.base import (
    Baseline,
    Better,
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
from rnncli.tasks.inputs import stream
from rnncli.tasks.inputs.stream import Data, Fitted, Part
from rnncli.tasks.inputs.tokens import idle_embedding, not_known, number_values, token_front, token_values

if TYPE_CHECKING:
    from torch import nn

    from rnncli.cells import State
    from rnncli.data.look import Look

PIECE = 1024  # tokens of a prompt read at once, and of generated text yielded at once


class Model(CoreSection):
    input: Literal["one-hot", "embedding"] = Field("embedding", description="encoding of a token as x_t")
    embedding_size: Annotated[int, Field(ge=1)] = Field(
        32, description="size of the learned vectors, with input: embedding"
    )
    embedding_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="embedding dropout: share of tokens whose vector is 0 throughout a batch"
    )
    weight_drop: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="weight dropout: share of recurrent weights, W_hh, that are 0 for a batch"
    )
    tie_weights: bool = Field(False, description="use the embedding as output weights; needs equal sizes")

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from idle_embedding(self.input, "embedding_dropout")
        if not CELLS[self.cell].recurrent_weight:
            yield "weight_drop", f"cell: {self.cell}"

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.bidirectional:
            yield Clash(
                ("bidirectional",),
                tr("a bidirectional language model would already have seen the target"),
                tr("bidirectional: false"),
            )
        size = self.proj_size or self.hidden_size
        if self.tie_weights and self.input == "one-hot":
            yield Clash(("tie_weights", "input"), tr("one-hot inputs have no embedding to tie"), tr("input: embedding"))
        elif self.tie_weights and self.embedding_size != size:
            yield Clash(
                ("tie_weights", "embedding_size"),
                tr("embedding_size is {n}, but h_t has size {size}", n=self.embedding_size, size=size),
                f"embedding_size: {size}",
            )


class Sample(Section):
    """`train.sample:`, the text generated at the end of training."""

    length: Annotated[int, Field(ge=0)] = Field(300, description="number of tokens")
    temperature: Annotated[float, Field(ge=0)] = Field(
        0.8, description="softmax temperature: below 1 safer, above 1 more random; 0: greedy"
    )
    prompt: str = Field("", description="start of the text; empty: a line end")


class Train(TrainSection):
    best_by: Literal["loss", "perplexity", "bits"] = Field("loss", description="metric that selects the epoch to keep")
    sample: Sample = Field(Sample(), description="text generated at the end of training")


class Config(RecipeConfig):
    task: Literal["language-model"]
    data: Data
    model: Model
    train: Train


class LanguageModel(Task[Config, Fitted, Part]):
    METRICS: Mapping[str, Better] = {"loss": "lower", "perplexity": "lower", "bits": "lower"}
    COUNTED = "tokens"
    config_class = Config
    fitted_class = Fitted

    def read(self, config: Config) -> Splits[Fitted, Part]:
        splits = stream.read(config.data, config.train.batch_size)
        sample = config.train.sample
        if not sample.length or not sample.prompt or _prompt(sample, splits.fitted):
            return splits
        prompt = sample.prompt
        note = tr("the sample will start with a line end: {prompt!r} has words that are not in the text", prompt=prompt)
        return replace(splits, notes=[*splits.notes, note])

    def read_part(self, config: Config, fitted: Fitted, path: str) -> tuple[Part, list[str]]:
        return stream.read_part(fitted, path)

    def suits(self, look: Look, config: Config) -> Suited | None:
        from rnncli.tasks.inputs import suits

        return suits.plain_text(look, words=config.data.tokens != "characters")

    def suggest_settings(self, path: str, config: Config | None = None) -> dict[str, Json]:
        return stream.suggest_window(path)

    def build(self, config: Config, fitted: Fitted) -> nn.Module:
        from torch import nn

        from rnncli.nn.frontends import TokenEmbedding
        from rnncli.nn.heads import PerStep, Tied
        from rnncli.nn.model import SequenceModel
        from rnncli.nn.recurrent import core_of_section

        model, size = config.model, len(fitted.tokens)
        front, width = token_front(model.input, size, model.embedding_size, embedding_dropout=model.embedding_dropout)
        rnn, spec = core_of_section(model, width)
        # with a compared cell h_t may have another size: it keeps its own head
        if model.tie_weights and isinstance(front, TokenEmbedding) and width == spec.output_size:
            nn.init.uniform_(front.weight, -(width**-0.5), width**-0.5)  # like a linear head, so that scores are small
            return SequenceModel(front, rnn, Tied(front), model.engine, model.weight_drop)
        return SequenceModel(front, rnn, PerStep(spec.output_size, size), model.engine, model.weight_drop)

    def label_names(self, config: Config, fitted: Fitted) -> Names:
        return Names(fitted.tokens.tokens, fitted.tokens.tokens)

    def batches(self, config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
        return stream.batches(part, config.data.window, config.train.batch_size, order)

    def encode(self, config: Config, fitted: Fitted, inputs: Sequence[str]) -> Batch:
        return stream.encoded(fitted, inputs)

    def loss(self, config: Config, model: nn.Module, batch: Batch, carry: State | None) -> Loss:
        from rnncli.nn.losses import cross_entropy

        assert batch.targets is not None
        outputs = model(batch, carry)
        scores, targets = outputs.scores.flatten(0, 1), batch.targets.flatten()
        total = cross_entropy(scores, targets, engine=config.model.engine)
        return Loss(total, batch.targets.numel(), tuple(state.detach() for state in outputs.state))

    def metrics(self, config: Config, model: nn.Module, part: Part, fitted: Fitted) -> Metrics:
        from torch.nn import functional as F

        total, steps = 0.0, 0
        for batch, outputs in outputs_of(model, self.batches(config, part, None), carry=True):
            assert batch.targets is not None
            total += float(F.cross_entropy(outputs.scores.flatten(0, 1), batch.targets.flatten(), reduction="sum"))
            steps += batch.targets.numel()
        return _as_metrics(total / steps, part)

    def dynamic_metrics(self, config: Config, model: nn.Module, part: Part, fitted: Fitted, rate: float) -> Metrics:
        """After each evaluated window, take a gradient step: w - rate · dL/dw, with L the mean loss of its tokens;
        without dropout. Krause et al. 2018 (arXiv:1709.07432), equation 4."""
        import torch

        learning = _learning(model)
        weights, device = list(learning.parameters()), device_of(model)
        total, steps, state = 0.0, 0.0, None
        for batch in self.batches(config, part, None):
            loss = self.loss(config, learning, batch.to(device), state)
            total, steps, state = total + float(loss.total.detach()), steps + loss.count, loss.carry
            gradients = torch.autograd.grad(loss.total / loss.count, weights)
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight.sub_(rate * gradient)
        return _as_metrics(total / steps, part)

    def baselines(self, config: Config, splits: Splits[Fitted, Part], part: str) -> list[Baseline]:
        """Unigram and bigram frequencies of the training split; add-one smoothed, the bigram interpolated with the
        unigram."""
        size, tested = len(splits.fitted.tokens.tokens), splits.part(part)
        unigram, bigram = follow(bigram_losses(splits.train.ids, tested.ids, size))
        return [
            Baseline(tr("unigram"), _as_metrics(unigram, tested), tr("token frequencies, without context")),
            Baseline(
                tr("bigram"),
                _as_metrics(bigram, tested),
                tr("next-token frequencies: one token of context, like a network without memory"),
            ),
        ]

    def summarize(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        import torch

        tokens = splits.fitted.tokens
        whole: Tokens = splits.part(part).ids
        ids = torch.from_numpy(whole.read(0, min(9, len(whole))))
        _, outputs = next(outputs_of(model, [Batch(ids[:-1].unsqueeze(1))]))
        probs = outputs.scores[:, 0].softmax(1)  # (T, V)
        best, which = probs.max(1)
        rows: list[list[Entry]] = []
        for t, (given, target) in enumerate(zip(tokens.decode(ids[:-1]), tokens.decode(ids[1:]), strict=True)):
            guess = tokens.decode([int(which[t])])[0]
            rows.append([t, given, target, guess, float(best[t]), float(probs[t, ids[t + 1]])])
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
            prompt = _prompt(sample, splits.fitted)
            pieces = write(model, splits.fitted, prompt, sample.length, sample.temperature, None, config.train.seed)
            title = tr(
                "{n} {kind} at temperature {t}:",
                n=sample.length,
                kind=tr(unit(splits.fitted.kind)),
                t=sample.temperature,
            )
            records += [Message(title, "note"), Message(prompt + "".join(pieces), "code", name="text")]
        return records

    def hub_task(self, config: Config) -> str:
        return "text-generation"

    def script(self, config: Config, fitted: Fitted) -> Script:
        sample = config.train.sample
        values = {
            **token_values(fitted.kind, newlines=True),
            **number_values(fitted.tokens),
            "start": _start(fitted.tokens),
            "length": sample.length,
            "temperature": sample.temperature,
            "seed": config.train.seed,
        }
        return Script("language_model.jinja", values)

    def predict(
        self, config: Config, model: nn.Module, fitted: Fitted, inputs: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        """The prompt and its continuation; long text is yielded in chunks."""
        options.only("top_k", "temperature", "seed", "length")
        tokens, kind = fitted.tokens, fitted.kind
        sample = config.train.sample
        for prompt in inputs:
            notes = not_known(tokens, tokenize(prompt, kind, newlines=True))
            pieces = write(
                model,
                fitted,
                prompt,
                sample.length if options.length is None else options.length,
                sample.temperature if options.temperature is None else options.temperature,
                options.top_k,
                config.train.seed if options.seed is None else options.seed,
            )
            written = [next(pieces, "")]
            shown = prompt + written[0]
            for piece in pieces:
                yield Prediction(shown, None, more=True)
                written.append(piece)
                shown = piece
            text = "".join(written)
            text = text if kind == "characters" else text.removeprefix(" ")
            yield Prediction(shown, {"prompt": prompt, "text": text}, notes)


def _learning(model: nn.Module) -> nn.Module:
    """A copy that behaves as in evaluation but has gradients: cuDNN computes them only for cores in training mode."""
    from torch import nn

    made = deepcopy(model).eval()
    for part in made.modules():
        if isinstance(part, nn.RNNBase):
            part.train()
            part.dropout = 0.0
    return made


def _prompt(sample: Sample, fitted: Fitted) -> str:
    """The prompt of the final sample: empty if it has tokens that are not in the training text."""
    return "" if fitted.tokens.unknown(tokenize(sample.prompt, fitted.kind, newlines=True)) else sample.prompt


def _as_metrics(nats: float, part: Part) -> Metrics:
    """nats: mean loss per token. bits: per character of the text, even if tokens are words."""
    tokens_per_character = len(part.ids) / max(1, part.characters)
    try:
        perplexity = exp(nats)
    except OverflowError:
        perplexity = inf
    return {"loss": nats, "perplexity": perplexity, "bits": nats / log(2) * tokens_per_character}


def _start(vocab: Vocab) -> list[str]:
    """What is read in place of an empty prompt."""
    return ([token for token in ("\n", " ") if token in vocab] or [vocab.tokens[-1]])[:1]


def write(
    model: nn.Module, fitted: Fitted, prompt: str, length: int, temperature: float, top_k: int | None, seed: int
) -> Iterator[str]:
    """Generate a continuation of `prompt` (a line end if empty), token by token with carried state; yields chunks,
    including the space after the prompt.

    length: number of tokens. temperature: divides the scores; 0 is greedy. top_k: sample from the k most likely tokens.
    seed: of a separate generator. Never generates <unk>. Raises DataError for a prompt with unknown tokens.
    """
    import torch

    vocab, kind = fitted.tokens, fitted.kind
    generator = torch.Generator().manual_seed(seed)
    device = device_of(model)
    start = tokenize(prompt, kind, newlines=True)
    ids = vocab.encode(start or _start(vocab))
    unknown = vocab.id(UNK) if UNK in vocab else None
    written: list[str] = []
    before = start[-1] if start and not prompt[-1].isspace() else "\n"  # the token before the next chunk
    state = None
    for number in range(length):
        for at in range(0, len(ids), PIECE):  # a long prompt is read in chunks, too
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


TASK = LanguageModel()
