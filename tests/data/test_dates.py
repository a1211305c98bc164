from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.data.dates import DAY, SECOND, DateColumn, Dates
from rnncli.errors import DataError

EPOCH = datetime(1970, 1, 1)


def column(cells: list[str]) -> Dates:
    dates = DateColumn()
    for cell in cells:
        assert dates.add(cell) == ""
    return dates.done("x.csv", range(2, len(cells) + 2))


@pytest.mark.parametrize(
    ("cells", "name", "season", "following"),
    [
        (["2016-07-01 22:00:00", "2016-07-01 23:00:00"], "hourly", 24, ["2016-07-02 00:00:00", "2016-07-02 01:00:00"]),
        (["2016-07-01T22:45", "2016-07-01T23:00"], "every 15 min", 96, ["2016-07-01T23:15", "2016-07-01T23:30"]),
        (["2024-02-27", "2024-02-28"], "daily", 7, ["2024-02-29", "2024-03-01"]),
        (["1960-11", "1960-12"], "monthly", 12, ["1961-01", "1961-02"]),
        (["2023-12-31", "2024-01-31"], "monthly", 12, ["2024-02-29", "2024-03-31"]),
        (["2023-11-30", "2023-12-30", "2024-01-30"], "monthly", 12, ["2024-02-29", "2024-03-30"]),
        (["2019", "2020"], "yearly", 1, ["2021", "2022"]),
        (["2020Q3", "2020Q4"], "quarterly", 4, ["2021Q1", "2021Q2"]),
        (["02.01.2024", "09.01.2024"], "weekly", 52, ["16.01.2024", "23.01.2024"]),
        (["Jan 1949", "Feb 1949"], "monthly", 12, ["Mar 1949", "Apr 1949"]),
        (["31 Jan 2026", "1 Feb 2026"], "daily", 7, ["2 Feb 2026", "3 Feb 2026"]),
        (["20260131", "20260201"], "daily", 7, ["20260202", "20260203"]),
        (["12/30/2025", "12/31/2025"], "daily", 7, ["01/01/2026", "01/02/2026"]),
        (["30/12/2025 9:00", "30/12/2025 10:00"], "hourly", 24, ["30/12/2025 11:00", "30/12/2025 12:00"]),
        (["1467331200", "1467334800"], "hourly", 24, ["1467338400", "1467342000"]),
        (["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"], "weekdays", 5, ["2024-01-10", "2024-01-11"]),
        (["2024-03-30T23:00Z", "2024-03-31T00:00Z"], "hourly", 24, ["2024-03-31T01:00Z", "2024-03-31T02:00Z"]),
    ],
)
def test_forms_and_steps(cells: list[str], name: str, season: int, following: list[str]) -> None:
    dates = column(cells)
    assert dates.step is not None
    assert (dates.step.name, dates.step.season) == (name, season)
    assert dates.following(2) == following
    dates.check_order()
    assert not dates.gaps
    assert not dates.off_step
    assert dates.write(int(dates.values[-1])) == cells[-1]


@given(
    st.datetimes(datetime(1000, 1, 1), datetime(3000, 1, 1)).map(lambda moment: moment.replace(microsecond=0)),
    st.sampled_from(["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y %H:%M:%S"]),
)
def test_numbers_against_datetime(moment: datetime, layout: str) -> None:
    dates = column([moment.strftime(layout)])
    assert int(dates.values[0]) == (moment - EPOCH) // timedelta(microseconds=1)
    assert dates.write(int(dates.values[0])) == moment.strftime(layout)


def test_offsets_become_utc() -> None:
    dates = column(["2024-01-01T01:00+01:00", "2024-01-01T01:00+00:00"])
    assert (dates.values[1] - dates.values[0]) == 3600 * SECOND


def test_day_or_month_first() -> None:
    assert column(["01/02/2020", "13/02/2020"]).form.name.endswith("(day first)")
    assert column(["01/02/2020", "02/13/2020"]).form.name.endswith("(month first)")
    assert column(["12/30/2019", "01/02/2020"]).form.name.endswith("(month first)")
    with pytest.raises(DataError, match="two ways"):
        column(["01/02/2020", "02/03/2020"])


def test_gaps_duplicates_and_disorder_by_line() -> None:
    days = [1, 2, 3, 6, 7, 8, 9, 10, 10, 11, 12, 13, 5, 14, 15]
    dates = column([f"2024-01-{day:02d}" for day in days])
    assert dates.step is not None
    assert dates.gaps == ((3, 2), (13, 8))
    assert dates.duplicates == (8,)
    assert dates.backwards == (12,)
    said = "\n".join(dates.report())
    assert "15 dates from 2024-01-01 to 2024-01-15, daily" in said
    assert "2 gaps, 10 steps missing, before line 5, line 15" in said
    with pytest.raises(DataError, match=r"x\.csv:10: 2024-01-10 does not come after 2024-01-10 \(2 occurrences\)"):
        dates.check_order()


def test_from_new_to_old() -> None:
    with pytest.raises(DataError, match="from new to old"):
        column(["2024-01-03", "2024-01-02", "2024-01-01"]).check_order()


def test_no_regular_step() -> None:
    dates = column(["2024-01-01", "2024-01-02", "2024-01-10", "2024-03-01"])
    assert dates.step is None
    with pytest.raises(DataError, match="no regular step"):
        dates.following(1)


@pytest.mark.parametrize("cell", ["", "soon", "2024-13-01", "2024-02-30", "0000-01-01", "99999", "1/2/3", "２０２４"])
def test_cells_that_are_no_dates(cell: str) -> None:
    assert DateColumn().add(cell)
    dates = DateColumn()
    assert dates.add("2024-01-01") == ""
    assert dates.add(cell)
    assert len(dates.done("x", [2]).values) == 1


def test_the_end_of_time() -> None:
    dates = column(["9998", "9999"])
    with pytest.raises(DataError, match="9999"):
        dates.following(1)
    assert column(["2020-01-01", "2020-01-02"]).values[1] % DAY == 0
