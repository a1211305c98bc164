from pathlib import Path

import pytest

from rnncli.data.sniff import sniff_table
from rnncli.errors import DataError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_german_spreadsheet(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "Datum;Wert;Ort\n01.02.2020;1,5;Ulm\n02.02.2020;;Ulm\n03.02.2020;2,75;Bonn\n")
    guess = sniff_table(path)
    assert (guess.header, guess.delimiter, guess.decimal, guess.date, guess.season) == (True, ";", ",", "Datum", 7)
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
    assert (names.text, names.label, names.date) == ("name", "language", None)
    monthly = sniff_table("builtin:monthly")
    assert (monthly.date, monthly.season, monthly.numbers()) == ("date", 12, ["value"])
    daily = sniff_table("builtin:daily")
    assert daily.step is not None
    assert (daily.step.name, daily.numbers()) == ("daily", ["sales", "promotion", "temperature"])
