from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rnncli.data.series import Missing, RegularSeries, regular
from rnncli.data.skipped import OnBad, Skipped
from rnncli.data.table import read_panel
from rnncli.errors import DataError

MONTHS = "date,value,price\n2020-01,1,5\n2020-02,,6\n2020-05,4,\n2020-06,6,8\n2020-07,,9\n"  # March, April left out


def read(
    tmp_path: Path, text: str, missing: Missing = "interpolate", *, date: str | None = "date", on_bad: OnBad = "stop"
) -> RegularSeries:
    path = tmp_path / "s.csv"
    path.write_text(text, "utf-8")
    return regular(read_panel(str(path), (), date, ("value", "price"), Skipped(on_bad, "rows"))[0], 1, missing)


def test_the_end_of_time(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="9999"):
        read(tmp_path, "date,value,price\n9998,1,1\n9999,1,1\n").date(2)


@pytest.mark.parametrize(
    ("missing", "value", "price"),
    [
        ("interpolate", [1, 1.75, 2.5, 3.25, 4, 6], [5, 6, 6.5, 7, 7.5, 8]),
        ("previous", [1, 1, 1, 1, 4, 6], [5, 6, 6, 6, 6, 8]),
    ],
)
def test_gaps_are_opened_and_filled(tmp_path: Path, missing: Missing, value: list[float], price: list[float]) -> None:
    series = read(tmp_path, MONTHS, missing)
    np.testing.assert_allclose(series.values, np.array([value, price]).T)
    assert series.known[:, 0].tolist() == [True, False, False, False, True, True]
    assert series.known[:, 1].tolist() == [True, True, False, False, False, True]
    assert [series.date(i) for i in range(8)] == [f"2020-{m:02d}" for m in range(1, 9)]
    np.testing.assert_array_equal(series.ahead, [[np.nan, 9]])
    said = " / ".join(series.notes)
    assert "1 gap, 2 steps missing, before line 4" in said
    assert f"filled ({missing}): 6, first at" in said
    assert "rows after the last target value: 1" in said


def test_stop_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"column 'value' has no value here .2 values are missing.; 2 dates are missing"
    ) as caught:
        read(tmp_path, MONTHS, "stop")
    assert caught.value.where.endswith("s.csv:3")
    with pytest.raises(DataError, match="1 date is missing, the first before this line") as caught:
        read(tmp_path, "date,value,price\n2020-01,1,1\n2020-02,2,1\n2020-03,3,1\n2020-05,4,1\n", "stop")
    assert caught.value.where.endswith("s.csv:5")


def test_ends_repeat_the_nearest_value(tmp_path: Path) -> None:
    text = "date,value,price\n2020-01,1,\n2020-02,2,\n2020-03,3,7\n"
    for missing in ("interpolate", "previous"):
        assert read(tmp_path, text, missing).values[:, 1].tolist() == [7, 7, 7]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("date,value,price\n2020-01,,1\n2020-02,,1\n", "the target has no values"),
        ("date,value,price\n2020-01,1,\n2020-02,2,\n", "column 'price' has no values"),
        ("date,value,price\n2020-01,1,1\n2020-02,2,1\n2020-03,2,1\n2220-01,2,1\n", "more than the file has"),
        ("date,value,price\n2020-02,1,1\n2020-01,2,1\n2020-03,2,1\n", "does not come after"),
        ("date,value,price\n2020-01,1,1\n2020-01,2,1\n2020-02,2,1\n", "does not come after"),
    ],
)
def test_series_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, text)


def test_a_skipped_row_is_a_gap(tmp_path: Path) -> None:
    text = "date,value,price\n2020-01,1,1\n2020-02,2,1\n2020-03,x,1\n2020-04,4,1\n2020-05,5,1\n"
    assert read(tmp_path, text, on_bad="skip").values[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_without_dates_rows_are_steps(tmp_path: Path) -> None:
    series = read(tmp_path, "value,price\n1,2\n3,4\n", "stop", date=None)
    assert [series.date(i) for i in range(4)] == ["0", "1", "+1", "+2"]


def test_dates_without_a_step_are_taken_as_they_are(tmp_path: Path) -> None:
    text = "date,value,price\n2020-01-01,1,1\n2020-01-04,2,1\n2020-01-05,3,1\n2020-03-09,4,1\n"
    series = read(tmp_path, text, "stop")
    assert len(series) == 4
    assert series.date(3) == "2020-03-09"
    assert series.date(4) == "+1"
    assert any("each row is one step" in note for note in series.notes)
