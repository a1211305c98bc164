"""A Series of pandas given to the calls, and numbers without a name."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rnncli
from rnncli.data.values import path_of
from rnncli.errors import UsageError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Series:
    """As much of a Series of pandas as could be taken for a data frame."""

    def __init__(self, values: list[object]) -> None:
        self.values, self.index = values, range(len(values))

    def __iter__(self) -> Iterator[object]:
        return iter(self.values)

    def reset_index(self) -> Series:
        raise AssertionError("not a frame")

    def to_dict(self, into: type = dict) -> dict[int, object]:
        raise AssertionError("not a frame")


def _kinds_of_series() -> list[Any]:
    return [Series, *([import_module("pandas").Series] if find_spec("pandas") else [])]


@pytest.mark.parametrize("series", _kinds_of_series())
def test_a_series_is_a_list_of_its_values(series: Any, tmp_path: Path) -> None:
    assert path_of(series(["a b", "c"]), tmp_path) == path_of(["a b", "c"], tmp_path)
    run = rnncli.train("hello", sets={"train.control": False, "train.epochs": 1})
    assert rnncli.predict(run, series(["hello", "oll"])) == rnncli.predict(run, ["hello", "oll"])
    columns = {"text": series(["a"]), "label": series([1])}
    assert Path(path_of(columns, tmp_path)).read_text("utf-8") == '{"text": "a", "label": 1}\n'
    for numbers in (series([1.5, 2.5]), [1, 2], np.array([1.5]), torch.tensor([1.5]), [np.float32(1)]):
        with pytest.raises(UsageError, match=r"no column name\ngive a dict of columns, such as \{"):
            path_of(numbers, tmp_path)
    with pytest.raises(UsageError, match="data from float cannot be read"):
        path_of(series(["a", float("nan")]), tmp_path)
