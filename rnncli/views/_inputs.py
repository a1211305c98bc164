"""Batches without a task: random ones, numbers from a file, repeated rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from rnncli.data.arrays import read_arrays
from rnncli.data.batch import Batch
from rnncli.data.records import delimited, delimiter_of
from rnncli.errors import DataError, UsageError
from rnncli.files import shown
from rnncli.locale import tr, trn
from rnncli.recipe import RecipeConfig
from rnncli.tasks import AnyTask, FittedState


def random_steps(text: str) -> int:
    """random:64 -> 64. Raises UsageError."""
    number = text.removeprefix("random:")
    if not number.isdecimal() or not 1 <= int(number) <= 10_000_000:
        raise UsageError(tr("random:T needs a number of time steps"), where="--input", todo="--input random:64")
    return int(number)


def random_features(steps: int, rows: int, shape: tuple[int, ...], seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(torch.randn(steps, rows, *shape, generator=generator))


def with_rows(batch: Batch, rows: int) -> Batch:
    """A batch of at least `rows` rows; rows are repeated if there are too few."""
    B = batch.size
    if rows <= B:
        return batch
    index = torch.arange(rows) % B

    def widened(tensor: Tensor) -> Tensor:
        return tensor[index] if tensor.dim() == 1 else tensor[:, index]

    try:
        return Batch(
            batch.inputs[:, index],
            None if batch.lengths is None else batch.lengths[index],
            None if batch.targets is None else widened(batch.targets),
            {name: widened(tensor) for name, tensor in batch.extra.items()},
            tuple(batch.rows[i] for i in index.tolist()) if len(batch.rows) else (),
        )
    except IndexError as error:
        raise UsageError(
            trn("there is only {n} example", "there are only {n} examples", n=B), where="--batch-size"
        ) from error


def features_of_file(path: str, size: int) -> Batch:
    """Numbers of a .npy file, (T, I) or (T, B, I), or of a .csv file (see rnncli.data.table) with a row per step; a
    header is skipped.

    size: I. Raises DataError for a missing file, non-numeric data, or another width.
    """
    numbers = _npy(path) if Path(path).suffix.lower() == ".npy" else _csv(path)
    if numbers.dim() == 2:
        numbers = numbers.unsqueeze(1)
    if numbers.dim() != 3 or numbers.shape[2] != size or not numbers.numel():
        raise DataError(
            tr("the array is {shape}, but x_t has {size} values", shape=tuple(numbers.shape), size=size),
            where=path,
            todo=tr("expected (T, I) or (T, B, I) with I={size}", size=size),
        )
    return Batch(numbers)


def _npy(path: str) -> Tensor:
    import numpy as np

    array = read_arrays(path)["array"]
    if array.dtype.kind not in "uifb":
        raise DataError(tr("contains {kind}, not numbers", kind=array.dtype), where=path)
    return torch.from_numpy(np.asarray(array, dtype=np.float64))


def _csv(path: str) -> Tensor:
    rows: list[list[float]] = []
    for line, cells in delimited(path, delimiter_of(path)):
        where = f"{shown(path)}:{line}"
        if isinstance(cells, str):
            raise DataError(cells, where=where)
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError as error:
            if line > 1:
                raise DataError(tr("not a number: {text}", text=", ".join(cells)[:80]), where=where) from error
        if rows and len(rows[-1]) != len(rows[0]):
            n, m = len(rows[-1]), len(rows[0])
            what = trn(
                "{n} number, but the lines above have {m}", "{n} numbers, but the lines above have {m}", n=n, m=m
            )
            raise DataError(what, where=where)
    return torch.tensor(rows, dtype=torch.float64)


def encoded(task: AnyTask, config: RecipeConfig, fitted: FittedState, inputs: Sequence[str]) -> Batch:
    """Inputs of `predict`, or random:T tokens. Raises UsageError, DataError."""
    if len(inputs) == 1 and inputs[0].startswith("random:"):
        steps = random_steps(inputs[0])
        known = task.label_names(config, fitted).inputs
        if known is None:
            raise UsageError(
                tr("random input is only available for models of tokens and for weight files"),
                where="--input",
                todo=tr("give a file as for `predict`"),
            )
        generator = torch.Generator().manual_seed(config.train.seed)
        return Batch(torch.randint(len(known), (steps, 1), generator=generator))
    if any(not text for text in inputs):
        raise UsageError(tr("empty input"), where="--input")
    return task.encode(config, fitted, inputs)
