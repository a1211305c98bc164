"""How much of the package is typed, and the narrowing of documents whose types only their content tells."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import rnncli
from rnncli.records import json_list, json_number, json_object
from rnncli.render.documents import strict

MOST_ANY = 145  # lines: a third of what there were once was 187; h5py, onnx and tensorboard have no types


def test_few_lines_are_left_without_a_type() -> None:
    lines = [
        line for file in Path(rnncli.__file__).parent.rglob("*.py") for line in file.read_text("utf-8").split("\n")
    ]
    said = [line for line in lines if re.search(r"\bAny\b", line) and "import" not in line]
    assert 0 < len(said) <= MOST_ANY


@pytest.mark.parametrize("number", [3, 0.5, True, "0.5", "nan", "-inf"])
def test_numbers_of_a_document(number: float | str) -> None:
    assert json_number(number) == float(number) or number == "nan"


@pytest.mark.parametrize(
    ("narrow", "wrong"),
    [
        (json_object, [1]), (json_object, "ab"), (json_object, None),
        (json_list, {"a": 1}), (json_list, "ab"), (json_list, 1),
        (json_number, [1]), (json_number, {}), (json_number, None), (json_number, "one"),
    ],
)  # fmt: skip
def test_what_stands_where_something_else_belongs(narrow: Callable[[object], object], wrong: object) -> None:
    with pytest.raises(ValueError):
        narrow(wrong)


def test_what_no_document_can_hold_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match="Path"):
        strict({"a": [Path()]})
