"""Rows of tables given to `predict`, and texts that only look like such."""

import pytest

from rnncli.data.given import texts_of_column
from rnncli.errors import DataError


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        (["label,text", 'spam,"Win, now"', "ham,Hi", "bad"], ["Win, now", "Hi", ""]),
        (["text\tlabel\tmore", 'say "hi"\tham\t', "", "a\tb\tc"], ['say "hi"', "a"]),
        (["id;text", "1;a,b"], ["a,b"]),
        (["note|text", '1|"two', 'lines"'], ["two\nlines"]),
    ],
)
def test_the_column_of_a_header(lines: list[str], texts: list[str]) -> None:
    found, table = texts_of_column(lines, "text")
    assert table
    assert list(found) == texts


@pytest.mark.parametrize("lines", [["text", "more"], ["the text, as it is", "b"], [], ["x" * 200_000], ["a\rb,text"]])
def test_texts_that_are_no_table(lines: list[str]) -> None:
    found, table = texts_of_column(lines, "text")
    assert not table
    assert list(found) == lines


def test_without_a_header() -> None:
    found, table = texts_of_column(["ham,Hi", "spam,No"], 1, lambda cells: cells[0] in ("ham", "spam"))
    assert (table, list(found)) == (True, ["Hi", "No"])
    found, table = texts_of_column(["Well, Hi", "spam,No"], 1, lambda cells: cells[0] in ("ham", "spam"))
    assert (table, list(found)) == (False, ["Well, Hi", "spam,No"])


def test_a_quote_that_never_closes() -> None:
    found, table = texts_of_column(["label,text", 'a,"b', *["c" * 1000] * 200], "text")
    assert table
    with pytest.raises(DataError, match="unclosed quotes"):
        list(found)
