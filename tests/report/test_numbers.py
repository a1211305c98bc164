from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.render import numbers, symbols
from rnncli.render.lines import cells, wrap


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.38149, "0.3815"),
        (-1.07117, "-1.0712"),
        (1e-4, "0.0001"),
        (9.999e-5, "9.9990e-05"),
        (9999.9999, "9999.9999"),
        (9999.99999, "1.0000e+04"),
        (-20000.0, "-2.0000e+04"),
        (5e-324, "4.9407e-324"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert numbers.number(value) == text


@given(st.floats(-1e300, 1e300))  # the last digit share of max float rounds to infinity
def test_a_number_reads_back_to_four_decimals_or_digits(value: float) -> None:
    back = float(numbers.number(value))
    assert abs(back - value) <= max(0.5001e-4, abs(value) * 0.5001e-4)
    assert (back == 0) == (value == 0)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (numbers.diff(9e-8), "9e-08"),
        (numbers.diff(0.0), "0"),
        (numbers.diff(math.nan), "nan"),
        (numbers.count(1193920), "1,193,920"),
        (numbers.count(-0.2), "0"),
        (numbers.percent(0.12), "12%"),
        (numbers.percent(0.0), "0%"),
        (numbers.percent(0.001), "<1%"),
        (numbers.percent(0.9999), ">99%"),
        (numbers.percent(1.0), "100%"),
        (numbers.percent(1.5), "150%"),
        (numbers.seconds(0), "0 s"),
        (numbers.seconds(4.5e-5), "45 us"),
        (numbers.seconds(0.0032), "3.2 ms"),
        (numbers.seconds(0.154), "0.15 s"),
        (numbers.seconds(12.34), "12.3 s"),
        (numbers.seconds(59.97), "1:00"),
        (numbers.seconds(3725), "1:02:05"),
        (numbers.size(240), "240 bytes"),
        (numbers.size(1536), "1.5 KiB"),
        (numbers.size(3.2 * 2**30), "3.2 GiB"),
        (numbers.size(2**20 - 1), "1.0 MiB"),
        (numbers.interval((1.52, 1.48, 1.54)), "1.52 [1.48 1.54]"),
        (numbers.shape(T=3, B=1), "(T=3, B=1)"),
        (numbers.vector([0.5, -0.25, 0.0]), " 0.5000 -0.2500       0"),
        (numbers.vector([0.1] * 7, edge=3), "0.1000 0.1000 0.1000 ... 0.1000 0.1000 0.1000"),
        (numbers.vector([0.1] * 6, edge=3), " ".join(["0.1000"] * 6)),
        (numbers.vector([]), ""),
    ],
)
def test_other_formats(written: str, text: str) -> None:
    assert written == text


@given(st.text(), st.sampled_from(["ascii", "gbk", "utf-8", "latin-1"]))
def test_fit_always_gives_what_the_stream_can_carry(text: str, encoding: str) -> None:
    fitted = symbols.fit(text, encoding)
    fitted.encode(encoding)
    assert fitted.isprintable() or any(character.isspace() for character in fitted)
    assert symbols.fit(fitted, encoding) == fitted


def test_every_twin_is_ascii() -> None:
    assert all(twin.isascii() and len(symbol) == 1 for symbol, twin in symbols.TWINS.items())


@given(st.text(alphabet="ab ，你好。e", max_size=60), st.integers(2, 20))
def test_wrap_keeps_every_character_and_the_width(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cells(line) <= width for line in lines)


def test_a_difference_and_its_tolerance_look_different_where_they_are() -> None:
    assert numbers.beside(2.1e-6, 8.0e-6) == ("2.1e-06", "8.0e-06")
    assert numbers.beside(2.11e-6, 2.09e-6) == ("2.11e-06", "2.09e-06")
    assert numbers.beside(1.00000001e-6, 1e-6) == ("1.00000001e-06", "1.00000000e-06")
    assert numbers.beside(1e-6, 1e-6) == ("1.0e-06", "1.0e-06")
    assert numbers.beside(0.0, 0.0) == ("0", "0")
    assert numbers.beside(math.nan, 1e-6) == ("nan", "1.0e-06")
    assert numbers.beside(None, 0.01) == ("", "1.0e-02")
    assert numbers.beside(0.25, None) == ("2.5e-01", "")
