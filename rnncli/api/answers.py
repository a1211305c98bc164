"""predict, evaluate and export."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from rnncli.api.given import RunLike, run_of
from rnncli.data.values import Data, Frame, path_of
from rnncli.device import borrowed
from rnncli.errors import UsageError
from rnncli.locale import tr

if TYPE_CHECKING:
    from rnncli.runs.evaluation import Evaluation
    from rnncli.runs.export import Exported
    from rnncli.tasks import Prediction


def predict(
    run: RunLike,
    inputs: Data,
    *,
    top_k: int | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    beam: int | None = None,
    length: int | None = None,
) -> list[Prediction]:
    """Predict on new input with a run: continue, tag, classify, forecast, transcribe, translate.

    Args:
        run: A `Run`, its folder, its name under `runs/`, or `"last"`.
        inputs: A text, or several. For series, audio and image sequences: the path of a file, or several; or the file's
            contents as values, as for `train`, such as a data frame whose next rows are forecast.
        top_k: Number of most likely answers to return, or of most likely tokens to sample from.
        temperature: Sampling temperature; 0 always takes the most likely token.
        seed: Random seed for sampling; default: the run's.
        beam: Beam width; 1 is greedy search.
        length: Number of tokens to generate.

    Returns:
        The answers, in order: one per text, or per example of a file. `text` is in the format of the input, `json` has
        the same as plain values (probabilities from 0 to 1, forecasts in the units of the data), `notes` are remarks,
        for example on unknown characters.

    Raises:
        UsageError: No such run, or an option that its task does not support.
        DataError: An input or a file of the run is unusable.

    Examples:
        >>> [answer] = predict("last", "hello")
        >>> answer.text, answer.json["labels"]
        ('ohlol', ['o', 'h', 'l', 'o', 'l'])
    """
    from rnncli.runs.prediction import joined, predictions
    from rnncli.tasks import PredictOptions

    with borrowed(), TemporaryDirectory() as folder:
        opened = run_of(run).with_threads(1)
        texts = opened.task.input_kind(opened.config) == "text"
        given = _inputs(inputs, texts, Path(folder))
        return list(joined(predictions(opened, given, PredictOptions(top_k, temperature, seed, beam, length))))


def _inputs(inputs: Data, texts: bool, folder: Path) -> list[str]:
    """Texts, or paths; values are written to a file first."""
    if isinstance(inputs, str | PathLike):
        return [fspath(inputs)]
    if isinstance(inputs, Iterable) and not isinstance(inputs, Mapping | Frame):
        inputs = list(inputs)
        named = [fspath(one) for one in inputs if isinstance(one, str | PathLike)]
        if len(named) == len(inputs):
            return named
    if texts:
        raise UsageError(tr("this task takes texts"), where="inputs", todo='for example: predict(run, ["one", "two"])')
    return [path_of(inputs, folder)]


def evaluate(
    run: RunLike,
    data: Data | None = None,
    *,
    split: str | None = None,
    dynamic: float | None = None,
    require: str | Sequence[str] = (),
    confusion: Literal["counts", "percent"] | None = None,
) -> Evaluation:
    """Evaluate a run and its baselines.

    Args:
        run: A `Run`, its folder, its name under `runs/`, or `"last"`.
        data: New data, evaluated whole: a path, or values as for `train`. Default: a split of the run's own.
        split: "test", "validation" or "train"; default: the first of these that the data has.
        dynamic: For language models: learning rate of dynamic evaluation.
        require: Requirement, such as `"accuracy>=0.9"`; `Evaluation.ok()` returns whether it is met.
        confusion: Also compute the confusion matrix; displayed as counts, or in percent of each true class.

    Returns:
        `metrics` by name, `baselines` with theirs, and `on`, the split. Losses are means in nats, errors are in the
        units of the data, accuracies are from 0 to 1.

    Raises:
        UsageError: No such run, split or metric.
        DataError: The data is unusable, or has changed since training.

    Examples:
        >>> found = evaluate("last", require="accuracy>=1")
        >>> found.on, found.metrics["accuracy"], found.ok()
        ('train', 1.0, True)
    """
    from rnncli.runs import evaluation

    required = [require] if isinstance(require, str) else require
    with borrowed(), TemporaryDirectory() as folder:
        opened = run_of(run)
        path = None if data is None else path_of(data, Path(folder))
        opened.with_threads(opened.config.train.batch_size)
        found = evaluation.evaluate(opened, path, split, dynamic=dynamic, require=required, confusion=confusion)
    given = path is not None and not isinstance(data, str | PathLike)
    return replace(found, on=tr("the data given")) if given else found


def export(run: RunLike, out: str | PathLike[str], *, onnx: bool = False) -> Exported:
    """Export a run's weights under torch's own names, with a script to use them without rnncli.

    Args:
        run: A `Run`, its folder, its name under `runs/`, or `"last"`.
        out: Output folder, new or empty.
        onnx: Also write `model.onnx`, checked against ONNX Runtime (extra `onnx`).

    Returns:
        `folder`, `files`, and `notes` on what differs from the run.

    Raises:
        UsageError: No such run, the folder is not empty, or ONNX does not support the model.
        Missing: The extra `onnx` is not installed.
        CheckFailed: ONNX Runtime's scores differ.
        CannotWrite: The folder cannot be written.

    Examples:
        >>> "load.py" in export("last", "exported").files
        True
    """
    from rnncli.runs import export as exporting

    with borrowed():
        return exporting.export(run_of(run).with_threads(1), fspath(out), onnx=onnx)
