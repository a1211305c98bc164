from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.data.date_forms import DAY, SECOND
from rnncli.data.dates import DateColumn, Dates
from rnncli.errors import DataError

EPOCH = datetime(1970, 1, 1)


def column(cells: list[str]) -> Dates:
    dates = DateColumn()
    for cell in cells:
        assert dates.add(cell) == ""
    return dates.done("x.csv", range(2, len(cells) + 2))


def next_dates(dates: Dates, count: int) -> list[str]:
    """The dates after the last, as a forecast writes them."""
    assert dates.step is not None
    return [dates.write(dates.step.after(int(dates.values[-1]), k)) for k in range(1, count + 1)]


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
    assert next_dates(dates, 2) == following
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


@pytest.mark.parametrize(
    ("cells", "name", "following"),
    [
        (["2018010100", "2018010106", "2018010112"], "every 6 h", ["2018010118", "2018010200"]),
        (["201801012350", "201801020000"], "every 10 min", ["201801020010", "201801020020"]),
        (["20180101235950", "20180101235955"], "every 5 s", ["20180102000000", "20180102000005"]),
        (["20180131T1800", "20180131T1900"], "hourly", ["20180131T2000", "20180131T2100"]),
        (["201811", "201812"], "monthly", ["201901", "201902"]),
        (["43101", "43102"], "daily", ["43103", "43104"]),
        (["43101.9166666667", "43101.9583333333", "43102.0"], "hourly", ["43102.0416666667", "43102.0833333333"]),
        (["946684799", "946684800"], "every 1 s", ["946684801", "946684802"]),
        (["999997200", "1000000800"], "hourly", ["1000004400", "1000008000"]),
        (["1801010000", "1801013600", "1801017200"], "hourly", ["1801020800", "1801024400"]),
        (["946684800000", "946771200000"], "daily", ["946857600000", "946944000000"]),
        (["1467331200000000", "1467334800000000"], "hourly", ["1467338400000000", "1467342000000000"]),
        (["1467331200000000000", "1467417600000000000"], "daily", ["1467504000000000000", "1467590400000000000"]),
        (["1467331200.5", "1467331201.5"], "every 1 s", ["1467331202.5", "1467331203.5"]),
        (["12/31/2021 11:00:00 PM", "1/1/2022 12:00:00 AM"], "hourly", ["1/1/2022 01:00:00 AM"]),
        (["1/31/2022 11:00 am", "1/31/2022 12:00 pm"], "hourly", ["1/31/2022 01:00 pm"]),
        (["2022-1-9", "2022-1-10"], "daily", ["2022-1-11", "2022-1-12"]),
        (["2022-01-09 22:00", "2022-01-09 23:00", "2022-01-10 0:00"], "hourly", ["2022-01-10 1:00", "2022-01-10 2:00"]),
        (["2022-01-01 23:00", "2022-01-01 24:00"], "hourly", ["2022-01-02 01:00", "2022-01-02 02:00"]),
        (["2022-01-01 12:00", "2022-01-01 24:00"], "every 12 h", ["2022-01-02 12:00", "2022-01-02 24:00"]),
        (["2022-01-01 22:00:00 UTC", "2022-01-01 23:00:00 UTC"], "hourly", ["2022-01-02 00:00:00 UTC"]),
        (["2022-01-01 22:00:00+0000", "2022-01-01 23:00:00+0000"], "hourly", ["2022-01-02 00:00:00+0000"]),
        (["12/31/98", "1/1/99"], "daily", ["1/2/99", "1/3/99"]),
        (["Nov-99", "Dec-99"], "monthly", ["Jan-00", "Feb-00"]),
        (["30-Dec-21", "31-Dec-21"], "daily", ["1-Jan-22", "2-Jan-22"]),
        (["30DEC2021", "31DEC2021"], "daily", ["1JAN2022", "2JAN2022"]),
        (["Thursday, 30 December 2021", "Friday, 31 December 2021"], "daily", ["Saturday, 1 January 2022"]),
        (["21-12-30", "21-12-31", "22-01-01"], "daily", ["22-01-02", "22-01-03"]),
        (["2021年12月30日", "2021年12月31日"], "daily", ["2022年01月01日", "2022年01月02日"]),
        (["2021年9月", "2021年10月"], "monthly", ["2021年11月", "2021年12月"]),
        (["1949 November", "1949 December"], "monthly", ["1950 January", "1950 February"]),
        (["2010 1 1 22", "2010 1 1 23"], "hourly", ["2010 1 2 0", "2010 1 2 1"]),
        (["11/2021", "12/2021"], "monthly", ["01/2022", "02/2022"]),
        (["Q3 2021", "Q4 2021"], "quarterly", ["Q1 2022", "Q2 2022"]),
        (["2020-W52", "2020-W53"], "weekly", ["2021-W01", "2021-W02"]),
        (["30/03/2004 22.00.00", "30/03/2004 23.00.00"], "hourly", ["31/03/2004 00.00.00"]),
        (["2024-01-01 00:00:00.250", "2024-01-01 00:00:00.500"], "every 0.25 s", ["2024-01-01 00:00:00.750"]),
    ],
)  # fmt: skip
def test_more_forms(cells: list[str], name: str, following: list[str]) -> None:
    dates = column(cells)
    assert next_dates(dates, len(following)) == following
    assert dates.step is not None
    assert dates.step.name == name
    assert not dates.gaps


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("2018010106", "2018-01-01 06:00"), ("201801011230", "2018-01-01 12:30"), ("43101.75", "2018-01-01 18:00"),
        ("43101.0417", "2018-01-01 01:00"), ("1/31/2022 12:30 AM", "2022-01-31 00:30"),
        ("31/12/2022 24:00", "2023-01-01 00:00"),
        ("31.1.49", "2049-01-31 00:00"), ("31.1.50", "1950-01-31 00:00"), ("2022-01-01T06:00:00Z", "2022-01-01 06:00"),
        ("May 5, 2022 3:05 p.m.", "2022-05-05 15:05"), ("1467331200", "2016-07-01 00:00"),
        ("2021-W01", "2021-01-04 00:00"),
    ],
)  # fmt: skip
def test_what_one_cell_means(cell: str, moment: str) -> None:
    assert int(column([cell]).values[0]) == (datetime.fromisoformat(moment) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "cell", ["1/1/2022 13:00 PM", "2022-01-01 24:01", "2022-01-01 25:00", "0:00", "10.2050",
             "2022-1-32", "31-Foo-22", "Q5 2022", "2022-W54", "19999", "1/1/2022 0:00 AM"]
)  # fmt: skip
def test_what_is_no_date(cell: str) -> None:
    assert "is not a recognized date" in DateColumn().add(cell)


def test_a_wrong_cell_does_not_make_seconds_of_hours() -> None:
    dates = DateColumn()
    for cell in ("2018010100", "2018010101", "2018010102"):
        assert dates.add(cell) == ""
    assert "is not a date in the format 20260131" in dates.add("2018013224")
    assert dates.add("2018010103") == ""
    assert next_dates(dates.done("x", range(4)), 1) == ["2018010104"]


def with_zone(start: str, days: int, zone: str, hour: int = 0, mark: str = " ") -> list[str]:
    first = datetime.fromisoformat(start).replace(hour=hour, tzinfo=ZoneInfo(zone))
    return [(first + timedelta(days=i)).isoformat(mark) for i in range(days)]


@pytest.mark.parametrize(
    ("zone", "hour"), [("Asia/Tokyo", 0), ("Asia/Hong_Kong", 0), ("America/New_York", 20), ("Europe/Berlin", 0)]
)
def test_days_of_the_week_are_those_of_the_file_s_zone(zone: str, hour: int) -> None:
    cells = [cell for cell in with_zone("2022-01-03", 500, zone, hour) if datetime.fromisoformat(cell).weekday() < 5]
    dates = column(cells[:300])
    assert dates.step is not None
    assert dates.step.name == "weekdays"
    assert not dates.gaps
    assert next_dates(dates, 50) == cells[300:350]  # over a change of the clocks
    dates.check_order()


def test_months_are_those_of_the_file_s_zone() -> None:
    cells = [datetime(2012 + i // 12, i % 12 + 1, 1, tzinfo=ZoneInfo("Europe/Berlin")).isoformat() for i in range(48)]
    dates = column(cells[:36])
    assert dates.step is not None
    assert (dates.step.name, dates.step.season, dates.gaps, dates.off_step) == ("monthly", 12, (), ())
    assert next_dates(dates, 12) == cells[36:]


def test_hours_go_on_when_the_clocks_change() -> None:
    first = datetime(2022, 10, 20, tzinfo=UTC)
    hours = [(first + timedelta(hours=i)).astimezone(ZoneInfo("Europe/Berlin")).isoformat() for i in range(24 * 160)]
    dates = column(hours[: 24 * 154])  # from before the end of summer time until days before it begins again
    assert dates.step is not None
    assert (dates.step.name, dates.gaps, dates.duplicates) == ("hourly", (), ())
    assert next_dates(dates, 24 * 6) == hours[24 * 154 :]
    assert [dates.write(int(value)) for value in dates.values[:300]] == hours[:300]


def test_without_a_list_of_zones_the_last_offset_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnncli.data.zones._known", tuple)
    dates = column(with_zone("2022-03-01", 60, "Europe/Berlin"))
    assert next_dates(dates, 1) == ["2022-04-30 00:00:00+02:00"]
    assert dates.write(int(dates.values[0])) == "2022-03-01 00:00:00+01:00"


def test_weeks_that_begin_on_sunday() -> None:
    days = [datetime(2022, 1, 2) + timedelta(days=i) for i in range(60)]
    dates = column([f"{day:%Y-%m-%d}" for day in days if day.weekday() not in (4, 5)])
    assert dates.step is not None
    assert (dates.step.season, dates.gaps) == (5, ())
    assert next_dates(dates, 3) == ["2022-03-03", "2022-03-06", "2022-03-07"]
    six = column([f"{day:%Y-%m-%d}" for day in days if day.weekday() != 6])
    assert six.step is not None
    assert (six.step.name, six.gaps) == ("6 days a week", ())


def test_from_new_to_old_can_be_turned_round() -> None:
    cells = [f"{month}/{day}/24" for month in (2, 1) for day in range(20, 0, -1)]
    dates = column(cells)
    assert dates.falling
    turned = dates.turned()
    turned.check_order()
    assert [turned.write(int(value)) for value in turned.values] == cells[::-1]
    assert turned.lines[0] == 41
    assert any("the rows run from newest to oldest" in line for line in turned.report())
    assert any("2024-01-01 to 2024-02-20" in line for line in turned.report())


def test_offsets_become_utc() -> None:
    dates = column(["2024-01-01T01:00+01:00", "2024-01-01T01:00+00:00"])
    assert (dates.values[1] - dates.values[0]) == 3600 * SECOND


def test_day_or_month_first() -> None:
    assert column(["01/02/2020", "13/02/2020"]).form.name.endswith("(day first)")
    assert column(["01/02/2020", "02/13/2020"]).form.name.endswith("(month first)")
    assert column(["12/30/2019", "01/02/2020"]).form.name.endswith("(month first)")
    with pytest.raises(DataError, match="ambiguous dates"):
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


def test_shuffled_dates_are_not_said_to_run_backwards() -> None:
    cells = ["2021-03-05", "2021-01-02", "2021-04-01", "2021-02-01", "2021-01-09"]
    with pytest.raises(DataError, match="2021-01-02 does not come after 2021-03-05 \\(3 occurrences\\)"):
        column(cells).check_order()


def test_from_new_to_old() -> None:
    with pytest.raises(DataError, match="the dates run from newest to oldest"):
        column(["2024-01-03", "2024-01-02", "2024-01-01"]).check_order()


def test_no_regular_step() -> None:
    dates = column(["2024-01-01", "2024-01-02", "2024-01-10", "2024-03-01"])
    assert dates.step is None
    assert "no regular step" in dates.report()[0]


@pytest.mark.parametrize("cell", ["", "soon", "2024-13-01", "2024-02-30", "0000-01-01", "99999", "1/2/3", "２０２４"])
def test_cells_that_are_no_dates(cell: str) -> None:
    assert DateColumn().add(cell)
    dates = DateColumn()
    assert dates.add("2024-01-01") == ""
    assert dates.add(cell)
    assert len(dates.done("x", [2]).values) == 1


def test_whole_days() -> None:
    assert column(["2020-01-01", "2020-01-02"]).values[1] % DAY == 0
