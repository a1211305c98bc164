"""One label per row, for any input: the objective shared by `classification` and `image-sequences`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rnncli.baselines.most_frequent import majority
from rnncli.data.batch import Batch, Order, index_batches
from rnncli.data.pictures import Confusion
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.nn.evaluate import outputs_of
from rnncli.records import Json, Record
from rnncli.tasks.base import (
    Baseline,
    ConfigT,
    InputKind,
    Loss,
    Metrics,
    Names,
    Prediction,
    PredictOptions,
    Script,
    Splits,
    Task,
)
from rnncli.tasks.inputs.labelled import LabelledFitted, LabelledInput, LabelledPart, log_probs
from rnncli.tasks.labels import confusion_counts, macro_f1, matthews

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State

AnyPart = LabelledPart[Any]  # of the input chosen by the recipe


class OneLabel(Task[ConfigT, LabelledFitted, AnyPart]):
    COUNTED = "rows"
    fitted_class = LabelledFitted

    @abstractmethod
    def input(self, config: ConfigT) -> LabelledInput[Any, Any]:
        """The recipe's input."""

    def label_smoothing(self, config: ConfigT) -> float:
        """Label smoothing: share of a target spread over all classes."""
        return 0.0

    def input_kind(self, config: ConfigT) -> InputKind:
        return self.input(config).kind

    def fitted_from_json(self, config: ConfigT, value: Json, *, where: str = "") -> LabelledFitted:
        found: LabelledFitted = self.input(config).fitted_class.from_json(value, where=where)
        return found

    def read(self, config: ConfigT) -> Splits[LabelledFitted, AnyPart]:
        return self.input(config).read(config.train.seed)

    def read_part(self, config: ConfigT, fitted: LabelledFitted, path: str) -> tuple[AnyPart, list[str]]:
        return self.input(config).read_part(fitted, path)

    def texts_of(self, config: ConfigT, fitted: LabelledFitted, lines: Iterable[str]) -> tuple[Iterable[str], str]:
        return self.input(config).texts_of(fitted, lines)

    def label_names(self, config: ConfigT, fitted: LabelledFitted) -> Names:
        return Names(self.input(config).token_names(fitted), fitted.labels.tokens)

    def batches(self, config: ConfigT, part: AnyPart, order: Order | None) -> Iterator[Batch]:
        """In training, rows of similar length share a batch to save padding; in evaluation, rows keep their order."""
        import torch

        read, size = self.input(config), config.train.batch_size
        lengths = None if order is None else part.lengths
        for rows in index_batches(len(part.inputs), size, order, lengths=lengths):
            inputs = [part.inputs[row] for row in rows] if order is None else read.training_inputs(part, rows, order)
            batch = read.batch(inputs)
            batch.targets = torch.tensor([part.targets[row] for row in rows], dtype=torch.int64)  # (B,)
            batch.extra = {} if part.class_weights is None else {"class_weights": part.class_weights}
            batch.rows = rows
            yield batch

    def encode(self, config: ConfigT, fitted: LabelledFitted, inputs: Sequence[str]) -> Batch:
        read = self.input(config)
        found = [given for text in inputs for given in read.given(fitted, text)]
        for given in found:
            if given.inputs is None:
                raise DataError(tr("{text} contains no tokens", text=repr(given.name)))
        return read.batch([given.inputs for given in found])

    def loss(self, config: ConfigT, model: nn.Module, batch: Batch, carry: State | None) -> Loss:
        """Cross-entropy with class weights and label smoothing as in torch.nn.CrossEntropyLoss: the count is the sum of
        the rows' weights, so that the loop's division gives torch's weighted mean."""
        from torch.nn import functional as F

        assert batch.targets is not None
        weights = batch.extra.get("class_weights")
        scores = model(batch).scores  # (B, C)
        weights = None if weights is None else weights.to(scores.dtype)
        total = F.cross_entropy(
            scores, batch.targets, weights, label_smoothing=self.label_smoothing(config), reduction="sum"
        )
        return Loss(total, batch.size if weights is None else float(weights[batch.targets].sum()))

    def log_probs(self, config: ConfigT, model: nn.Module, part: AnyPart) -> Tensor:
        """Log probabilities of every class for every row, in order, (rows, C), on the CPU."""
        return log_probs(model, self.batches(config, part, None))

    def metrics(self, config: ConfigT, model: nn.Module, part: AnyPart, fitted: LabelledFitted) -> Metrics:
        """METRICS; loss is the plain mean cross-entropy (no class weights, no smoothing)."""
        return self.measured(self.log_probs(config, model, part), part.targets)

    def measured(self, log_probs: Tensor, targets: Sequence[int]) -> Metrics:
        """log_probs: (rows, C)."""
        import torch

        counts = confusion_counts(targets, log_probs.argmax(1), log_probs.shape[1])
        found = {
            "macro-f1": macro_f1(counts),
            "accuracy": int(counts.diag().sum()) / len(targets),
            "mcc": matthews(counts),
            "loss": float(-log_probs.double().gather(1, torch.tensor(targets)[:, None]).mean()),
        }
        return {name: found[name] for name in self.METRICS}

    def confusion(self, config: ConfigT, model: nn.Module, fitted: LabelledFitted, part: AnyPart) -> Confusion:
        found = self.log_probs(config, model, part)
        counts = confusion_counts(part.targets, found.argmax(1), found.shape[1])
        return Confusion(counts.tolist(), fitted.labels.tokens)

    def baselines(self, config: ConfigT, splits: Splits[LabelledFitted, AnyPart], part: str) -> list[Baseline]:
        """The most frequent class, and the input's own baseline, fitted on the training split."""
        tested, labels = splits.part(part), splits.fitted.labels
        shares = majority(splits.train.targets, len(labels))
        always = tr("always {label}", label=labels.tokens[int(shares.argmax())])
        name, found, about = self.input(config).baseline(config.train, splits, tested)
        return [
            Baseline(tr("majority"), self.measured(shares.expand(len(tested.targets), -1), tested.targets), always),
            Baseline(name, self.measured(found, tested.targets), about),
        ]

    def summarize(
        self, config: ConfigT, model: nn.Module, splits: Splits[LabelledFitted, AnyPart], part: str
    ) -> list[Record]:
        return self.input(config).example(model, splits.fitted, splits.part(part))

    def pictures(
        self, config: ConfigT, model: nn.Module, splits: Splits[LabelledFitted, AnyPart], part: str
    ) -> list[Record]:
        return self.input(config).pictures(splits.part(part))

    def hub_task(self, config: ConfigT) -> str:
        return self.input(config).hub_task

    def script(self, config: ConfigT, fitted: LabelledFitted) -> Script:
        return self.input(config).script(fitted)

    def predict(
        self,
        config: ConfigT,
        model: nn.Module,
        fitted: LabelledFitted,
        inputs: Iterable[str],
        options: PredictOptions,
    ) -> Iterator[Prediction]:
        """`row<TAB>label<TAB>p` for each row; with top_k, followed by the next most likely labels."""
        options.only("top_k")
        read, labels = self.input(config), fitted.labels.tokens
        shown = min(options.top_k or 1, len(labels))
        for given in (given for text in inputs for given in read.given(fitted, text)):
            if given.inputs is None:
                json: Json = {read.name_key: given.name, "label": None, "top": []}
                row = _row(read.name_key, given.name, [("", "")] * shown)
                yield Prediction(given.text, json, given.notes, row=row)
                continue
            _, outputs = next(outputs_of(model, [read.batch([given.inputs])]))
            best = outputs.scores[0].float().softmax(0).topk(shown)
            top = [(labels[i], p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)]
            cells = [cell for label, p in top for cell in (label, f"{p:.4f}")]
            json = {
                read.name_key: given.name,
                "label": top[0][0],
                "top": [{"label": label, "p": p} for label, p in top],
            }
            row = _row(read.name_key, given.name, top)
            yield Prediction("\t".join([given.text, *cells]), json, given.notes, row=row)


def _row(key: str, name: str, top: Sequence[tuple[str, str | float]]) -> dict[str, str | float]:
    """The columns label and p; label_2, p_2 ... for the next most likely ones."""
    row: dict[str, str | float] = {key: name}
    for n, (label, p) in enumerate(top, 1):
        end = "" if n == 1 else f"_{n}"
        row |= {f"label{end}": label, f"p{end}": p}
    return row
