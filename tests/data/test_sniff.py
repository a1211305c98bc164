from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rnncli.data.sniff import TableGuess, sniff_table
from rnncli.errors import DataError
from tests.narrowed import some


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def dated(guess: TableGuess) -> str:
    """The columns of the dates, and their step."""
    if guess.date is None:
        return ""
    step = guess.date.dates.step if guess.date.dates is not None else None
    return " ".join([*guess.date.columns, step.name if step else "-"])


def test_a_german_spreadsheet(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "Datum;Wert;Ort\n01.02.2020;1,5;Ulm\n02.02.2020;;Ulm\n03.02.2020;2,75;Bonn\n")
    guess = sniff_table(path)
    assert (guess.header, guess.delimiter, guess.numbers_as.decimal, dated(guess)) == (True, ";", ",", "Datum daily")
    assert guess.numbers() == ["Wert"]
    assert [column.missing for column in guess.columns] == [0, 1, 0]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b\n1,2\n3,4\n", True),
        ("1,2\n3,4\n", False),
        ("2020-01-01,5\n2020-01-02,6\n", False),
        ("name,country\nAdsit,Czech\nAnt,Greek\n", True),
        ("Adsit,Czech\nAjdrna,Czech\nAnt,Greek\n", False),
        ("only\n", True),
    ],
)
def test_headers(tmp_path: Path, text: str, header: bool) -> None:
    path = write(tmp_path / "x.csv", text)
    if text == "only\n":
        with pytest.raises(DataError):
            sniff_table(path)
    else:
        assert sniff_table(path).header is header


def test_shipped_tables() -> None:
    names = sniff_table("builtin:names")
    assert (names.text, names.label, dated(names)) == ("name", "language", "")
    monthly = sniff_table("builtin:monthly")
    assert (dated(monthly), monthly.numbers()) == ("date monthly", ["value"])
    daily = sniff_table("builtin:daily")
    assert (dated(daily), daily.numbers()) == ("date daily", ["sales", "promotion", "temperature"])


def days(n: int, form: str = "%Y-%m-%d") -> list[str]:
    return [f"{datetime(2020, 1, 1) + timedelta(days=i):{form}}" for i in range(n)]


def csv_of(path: Path, header: str, *columns: Sequence[object]) -> Path:
    return write(path, header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in zip(*columns, strict=True)))


def test_digits_are_dates_where_they_are_called_so_or_keep_a_step(tmp_path: Path) -> None:
    y = [i * i % 17 for i in range(40)]
    hours = [f"201801{1 + i // 24:02d}{i % 24:02d}" for i in range(40)]
    assert dated(sniff_table(csv_of(tmp_path / "a.csv", "when,y", hours, y))) == "when hourly"
    assert dated(sniff_table(csv_of(tmp_path / "b.csv", "Date,y", range(43101, 43141), y))) == "Date daily"
    assert dated(sniff_table(csv_of(tmp_path / "c.csv", "visitors,y", range(43101, 43141), y))) == ""
    rising = [1000 + i * i for i in range(40)]
    assert dated(sniff_table(csv_of(tmp_path / "d.csv", "total,y", rising, y))) == ""
    rates = [f"1.{1000 + i}" for i in range(40)]
    assert dated(sniff_table(csv_of(tmp_path / "e.csv", "rate,y", rates, y))) == ""


@pytest.mark.parametrize(
    ("header", "columns", "found"),
    [
        (
            "year,month,passengers",
            ([1949 + i // 12 for i in range(36)], [i % 12 + 1 for i in range(36)]),
            "year month monthly",
        ),
        (
            "year,month,passengers",
            ([1949 + i // 12 for i in range(36)], [f"{datetime(2000, i % 12 + 1, 1):%B}" for i in range(36)]),
            "year month monthly",
        ),
        (
            "No,year,month,day,hour",
            (range(36), [2010] * 36, [1] * 36, [1 + i // 24 for i in range(36)], [i % 24 for i in range(36)]),
            "year month day hour hourly",
        ),
        (
            "Date,Time",
            (["16/12/2006"] * 24 + ["17/12/2006"] * 12, [f"{i % 24}:00:00" for i in range(36)]),
            "Date Time hourly",
        ),
        (
            "year,quarter",
            ([1950 + i // 4 for i in range(36)], [f"Q{i % 4 + 1}" for i in range(36)]),
            "year quarter quarterly",
        ),
        ("dteday,hr", ([d for d in days(2) for _ in range(24)][:36], [i % 24 for i in range(36)]), "dteday hr hourly"),
    ],
)  # fmt: skip
def test_dates_in_several_columns(
    tmp_path: Path, header: str, columns: tuple[Sequence[object], ...], found: str
) -> None:
    y = [i * i % 17 for i in range(36)]
    guess = sniff_table(csv_of(tmp_path / "x.csv", header + ",y" * ("passengers" not in header), *columns, y))
    assert dated(guess) == found
    assert guess.numbers()[-1] in ("y", "passengers")


def test_dates_that_do_not_rise_are_dates(tmp_path: Path) -> None:
    y = [i * i % 17 for i in range(40)]
    down = sniff_table(csv_of(tmp_path / "a.csv", "date,y", days(40)[::-1], y))
    assert (dated(down), down.falling, down.gaps) == ("date daily", True, False)
    mixed = sniff_table(csv_of(tmp_path / "b.csv", "date,y", [*days(40)[20:], *days(40)[:20]], y))
    assert (dated(mixed), mixed.falling, mixed.several) == ("date daily", False, None)
    gap = sniff_table(csv_of(tmp_path / "c.csv", "date,y", [d for d in days(41) if d != "2020-01-20"], y))
    assert gap.gaps
    bad = sniff_table(csv_of(tmp_path / "d.csv", "date,y", [*days(39), "soon"], y))
    assert bad.date is not None
    odd = [f"{i}. Tag im Jahr" for i in range(40)]
    called = sniff_table(csv_of(tmp_path / "e.csv", "Datum,y", odd, y))
    assert dated(called) == "Datum -"


@pytest.mark.parametrize("by_id", [True, False])
def test_series_one_below_the_other_are_seen(tmp_path: Path, by_id: bool) -> None:
    rows = [(name, day, f"{i * i % 17}.5") for i, day in enumerate(days(30)) for name in ("north", "south")]
    rows = sorted(rows) if by_id else rows
    guess = sniff_table(csv_of(tmp_path / "x.csv", "shop,date,y", *zip(*rows, strict=True)))
    several = some(guess.several)
    assert several.columns == ("shop",)


def test_one_date_twice_is_no_second_series(tmp_path: Path) -> None:
    y = [i * i % 17 for i in range(40)]
    guess = sniff_table(csv_of(tmp_path / "x.csv", "date,y", [*days(20), *days(39)[19:]], y))
    assert (dated(guess), guess.several) == ("date daily", None)


def test_what_looks_like_dates_is_not_dropped(tmp_path: Path) -> None:
    y = [i * i % 17 for i in range(40)]
    ranges = [f"{day} 00:00 - {day} 23:00" for day in days(40, "%d.%m.%Y")]
    assert dated(sniff_table(csv_of(tmp_path / "a.csv", "MTU,y", ranges, y))) == "MTU -"
    hours = [f"201801{1 + i // 24:02d}{i % 24:02d}" for i in range(39)] + ["2018013299"]
    assert dated(sniff_table(csv_of(tmp_path / "b.csv", "date,y", hours, y))) == "date hourly"
    both = [f"{1 + i:02d}/{2 + i:02d}/2020" for i in range(10)]
    assert dated(sniff_table(csv_of(tmp_path / "c.csv", "when,y", both, y[:10]))) == "when -"
    floats = sniff_table(csv_of(tmp_path / "d.csv", "time,y", [i / 8 for i in range(40)], y))
    assert (dated(floats), floats.undated()) == ("", ["time"])


def test_ids_and_constant_columns_are_no_targets(tmp_path: Path) -> None:
    y = [i * i % 17 for i in range(40)]
    path = csv_of(tmp_path / "x.csv", "station_id,date,flag,eor,y", [7, 8] * 20, days(40), [1] * 40, ["eor"] * 40, y)
    guess = sniff_table(path)
    assert guess.numbers() == ["y"]
    assert guess.passed_over() == ["eor"]


@pytest.mark.parametrize(
    ("cells", "decimal", "thousands", "numbers"),
    [
        (["1,000.5", "1,001.25", "999"], ".", "", ["y"]),
        (["1,000", "1,001,000", "999"], ".", ",", ["y"]),
        (["1.752,37", "2.000", "12,5"], ",", ".", ["y"]),
        (["1,5", "2,25", "12,125"], ",", "", ["y"]),
        (["1,000", "1,001", "2,500"], ".", "", []),
        (["$1.50", "-$2.25", "$0.10"], ".", "", ["y"]),
        (["12%", "-3 %", "0%"], ".", "", ["y"]),
        (["\u22121.5", "2.5", "\u22123"], ".", "", ["y"]),
    ],
)
def test_how_numbers_are_written(
    tmp_path: Path, cells: list[str], decimal: str, thousands: str, numbers: list[str]
) -> None:
    quoted = [f'"{cell}"' for cell in cells * 5]
    guess = sniff_table(csv_of(tmp_path / "x.csv", "date,y", days(15), quoted))
    assert (guess.numbers_as.decimal, guess.numbers_as.thousands, guess.numbers()) == (decimal, thousands, numbers)
    if not numbers:
        odd = guess.columns[1].odd
        assert odd is not None
        assert odd[0] == 2
        assert "may be 1000" in odd[1]


def test_names_of_columns_win(tmp_path: Path) -> None:
    texts = [f"the sentence number {i} of this file" for i in range(20)]
    path = csv_of(tmp_path / "x.csv", "source,label,sentence", ["gj04", "ks08"] * 10, [0, 1, 1, 0] * 5, texts)
    guess = sniff_table(path, ["sentence"], ["label"])
    assert (guess.text, guess.label) == ("sentence", "label")
    assert (sniff_table(path).text, sniff_table(path).label) == ("sentence", "label")
    own = csv_of(
        tmp_path / "y.csv", "grp,kind,id", ["a", "b"] * 10, ["x", "y", "z", "x"] * 5, [f"u-{i:040d}" for i in range(20)]
    )
    assert sniff_table(own, ["grp"], ["kind"]).label == "kind"
    assert sniff_table(own).text != "id"


def test_few_numbers_are_labels_of_repeated_texts(tmp_path: Path) -> None:
    texts = ["great super", "meh ok", "bad awful"] * 10
    stars = sniff_table(csv_of(tmp_path / "x.csv", "text,stars", texts, [5, 2, 1] * 10))
    assert (stars.text, stars.label) == ("text", "stars")
    words = sniff_table(csv_of(tmp_path / "w.csv", "text,stars", texts, ["five", "two", "one"] * 10))
    assert (words.text, words.label) == ("text", "stars")
    people = sniff_table(csv_of(tmp_path / "p.csv", "sex,age,survived", ["f", "m"] * 15, range(30), [0, 1, 1] * 10))
    assert (people.text, people.label) == (None, None)  # no texts
    sold = sniff_table(csv_of(tmp_path / "s.csv", "date,name,sold", days(30), ["ab", "cd"] * 15, [3, 4, 5] * 10))
    assert sold.text is None


def test_an_empty_cell_is_no_class(tmp_path: Path) -> None:
    texts = [f"the text number {i}" for i in range(20)]
    guess = sniff_table(csv_of(tmp_path / "x.csv", "text,kind", texts, ["a", "b", "a", "b", ""] * 4))
    assert (guess.label, guess.columns[1].distinct) == ("kind", 2)
