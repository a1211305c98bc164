import math

import pytest

from rnncli.data.cells import NumberFormat, Thousands, is_missing, no_number, number


@pytest.mark.parametrize(
    ("cell", "decimal", "thousands", "value"),
    [
        ("1,000.5", ".", "", 1000.5),
        ("1,234,567", ".", "", 1234567.0),
        ("12,345,678.25", ".", "", 12345678.25),
        ("1.752,37", ",", "", 1752.37),
        ("1.234.567", ",", "", 1234567.0),
        ("1,000", ".", ",", 1000.0),
        ("-1.000", ",", ".", -1000.0),
        ("1 752.5", ".", "", 1752.5),
        ("1\u00a0752,5", ",", "", 1752.5),
        ("1\u202f000\u202f000", ".", "", 1e6),
        ("1'000.50", ".", "", 1000.5),
        ("$10.04", ".", "", 10.04),
        ("-$1,234.50", ".", "", -1234.5),
        ("10,50 €", ",", "", 10.5),
        ("£ 7", ".", "", 7.0),
        ("-0.52%", ".", "", -0.52),
        ("12,5 %", ",", "", 12.5),
        ("\u22122.33", ".", "", -2.33),
        ("(1,234.50)", ".", "", -1234.5),
        ("\u00a03.5\u00a0", ".", "", 3.5),
    ],
)
def test_what_people_write(cell: str, decimal: str, thousands: Thousands, value: float) -> None:
    assert number(cell, decimal, thousands) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("cell", "decimal"),
    [
        ("1,000", "."), ("1.000", ","), ("1.752,37", "."), ("1,000.5", ","), ("1,00", "."), ("1,0000", "."),
        ("1 2", "."), ("12 34", "."), ("1,000.5.6", "."), ("1.000.000", "."), ("--1", "."), ("-(1)", "."), ("$", "."),
        ("%", "."), ("$-", "."), ("1$2", "."), ("10 USD", "."), ("1,234,56", "."), ("1 000,000", "."), ("3.99M", "."),
    ],
)  # fmt: skip
def test_what_may_be_two_numbers_is_none(cell: str, decimal: str) -> None:
    assert number(cell, decimal) is None


@pytest.mark.parametrize(
    ("cell", "decimal", "says"),
    [
        ("1,000", ".", ["'1,000' in column 'y'", "1000 (data.thousands: ',')", "1.000 (data.decimal: ',')"]),
        ("1.752,37", ".", ["has , as decimal separator: set data.decimal", "data.decimal"]),
        ("1,000.5", ",", ["has . as decimal separator: set data.decimal", "data.decimal"]),
        ("soon", ".", ["'soon' in column 'y' is not a number"]),
    ],
)
def test_why_a_cell_is_no_number(cell: str, decimal: str, says: list[str]) -> None:
    assert all(one in no_number(cell, "y", decimal) for one in says)


def test_declared_missing_values() -> None:
    form = NumberFormat(na_values=("-999", "gone"))
    values = [form.number(cell) for cell in ("-999", "-999.0", "gone", "-99", "")]
    assert [value is not None and math.isnan(value) for value in values] == [True, True, True, False, True]
    assert is_missing("n/a")
    assert not is_missing("0", ("-999",))
