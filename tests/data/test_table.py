import csv
import gzip
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.data.cells import number
from rnncli.data.skipped import Skipped
from rnncli.data.table import open_table, read_cells, read_panel
from rnncli.errors import DataError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


@given(
    st.lists(st.lists(st.text(st.characters(exclude_characters="\0\r\ufeff", exclude_categories=["Cs"])), min_size=2,
                      max_size=2), min_size=1, max_size=8)
)  # fmt: skip
def test_what_csv_wrote(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("table") / "x.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
    skipped = Skipped()
    assert [cells for _, cells in open_table(path).rows(skipped)] == rows
    assert not skipped.count


def test_line_numbers_across_quoted_line_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", 'text,label\r\n"one\r\ntwo",a\r\n\r\nthree,b\r\n')
    assert list(read_cells(path, ["label", "text"], Skipped())) == [
        (f"{path}:2", ["a", "one\ntwo"]),
        (f"{path}:5", ["b", "three"]),
    ]


def test_tabs_keep_stray_quotes(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", 'text\tlabel\n"He left," she said\ta\n6" pipe\tb\n"a ""b"" c"\tc\n')
    assert [cells[0] for _, cells in read_cells(path, ["text"], Skipped())] == [
        '"He left," she said',
        '6" pipe',
        'a "b" c',
    ]


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("x.csv", "a,b\n1,2\n", ("a", "b")),
        ("x.csv", "a;b\n1,5;2\n", ("a", "b")),
        ("x.txt", "a\tb\n1\t2\n", ("a", "b")),
        ("x.csv", "a|b|c\n1|2|3\n", ("a", "b", "c")),
        ("x.tsv", "a b\tc\n1\t2\n", ("a b", "c")),
        ("x.csv", "only\n1\n2\n", ("only",)),
        ("x.csv", "\ufeffa,b\n1,2\n", ("a", "b")),
    ],
)
def test_delimiters(tmp_path: Path, name: str, text: str, columns: tuple[str, ...]) -> None:
    assert open_table(write(tmp_path / name, text)).columns == columns
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert open_table(packed).columns == columns


def test_columns_by_name_and_number(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "x.csv", "name,Language,name,7\na,b,c,d\n"))
    assert (table.index("Language"), table.index(0), table.index(7), table.index("7")) == (1, 0, 3, 3)
    with pytest.raises(DataError, match="did you mean 'Language'"):
        table.index("langage")
    with pytest.raises(DataError, match="2 columns are named 'name'"):
        table.index("name")
    for wrong in (4, -1, "4"):
        with pytest.raises(DataError, match="no column"):
            table.index(wrong)
    bare = open_table(write(tmp_path / "y.csv", "Adsit,Czech\nAnt,Greek\n"), header=False)
    assert [cells for _, cells in bare.rows(Skipped())] == [["Adsit", "Czech"], ["Ant", "Greek"]]
    assert (bare.index(0), bare.index("1")) == (0, 1)


def test_a_first_row_of_data_is_suspected(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "x.csv", "2020-01-01,5\n2020-01-02,6\n"))
    with pytest.raises(DataError, match="header: false"):
        table.index("date")


def test_ragged_rows_are_counted_and_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", 'a,b\n1,2\n1\n1,2,3\n"x"y,2\n3,4\n')
    skipped = Skipped("skip", "rows")
    assert [cells for _, cells in read_cells(path, ["a", "b"], skipped)] == [["1", "2"], ["3", "4"]]
    assert skipped.sentence() == f"3 of 5 rows cannot be used; first: {path}:3: has 1 column, not 2"
    with pytest.raises(DataError, match="3 of 5 rows cannot be used") as caught:
        list(read_cells(path, ["a", "b"], Skipped("stop", "rows")))
    assert f"{path}:4: has 3 columns" in str(caught.value)


def test_a_quote_that_never_closes_takes_no_other_row_along_for_ever(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", 'a,b\n1,2\n"open,2\n' + "3,4\n" * 100_000)
    skipped = Skipped("skip", "rows")
    assert len(list(read_cells(path, ["a"], skipped))) == 100_001
    assert skipped.first[0][0] == f"{path}:3"
    assert "quote" in skipped.first[0][1]
    write(path, 'a,b\n"\n' + '","\n' * 250_000)
    with pytest.raises(DataError, match="contains no usable rows"):
        list(read_cells(path, ["a"], Skipped("skip", "rows")))


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1", 1.0), (" -2.5 ", -2.5), ("+.5", 0.5), ("1e-3", 1e-3), ("3.", 3.0), ("1E5", 1e5), ("007", 7.0)],
)
def test_numbers(cell: str, value: float) -> None:
    assert number(cell) == value


@pytest.mark.parametrize("cell", ["", " ", "NA", "n/a", "NaN", "null", "None", "-", "?", ".", "#N/A"])
def test_missing_markers(cell: str) -> None:
    value = number(cell)
    assert value is not None
    assert math.isnan(value)


@pytest.mark.parametrize("cell", ["1_000", "1,000", "inf", "-Infinity", "1e999", "0x10", "１", "1 2", "x", "--1", "1e"])
def test_cells_that_are_no_numbers(cell: str) -> None:
    assert number(cell) is None


def test_decimal_comma() -> None:
    assert number("1,5", ",") == 1.5
    assert number("1.5", ",") is None
    assert number("-", ",") is not None


def test_series(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.csv",
        "t,a,b\n2024-01-01,1,\n2024-01-02,x,2\nsoon,3,3\n2024-01-03,4,NA\n2024-01-04,5,6\n2024-01-05,7,8\n",
    )
    skipped = Skipped("skip", "rows")
    series = read_panel(path, (), "t", ["b", "a"], skipped)[0]
    np.testing.assert_array_equal(series.values, [[np.nan, 1], [np.nan, 4], [6, 5], [8, 7]])
    assert series.lines.tolist() == [2, 5, 6, 7]
    assert skipped.count == 2
    assert skipped.first == [
        (f"{path}:3", "'x' in column 'a' is not a number"),
        (f"{path}:4", "'soon' is not a date in the format 2026-01-31"),
    ]
    assert series.dates is not None
    assert series.dates.gaps == ((1, 1),)
    assert series.dates.lines.tolist() == [2, 5, 6, 7]
    assert read_panel(path, (), None, ["b"], Skipped("skip"))[0].dates is None


@pytest.mark.parametrize(("text", "says"), [("", "empty"), ("\n\n", "empty"), ("a,b\n", "no usable"), ('"a', "quotes")])
def test_tables_without_rows(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        list(read_cells(write(tmp_path / "x.csv", text), [0], Skipped(what="rows")))
