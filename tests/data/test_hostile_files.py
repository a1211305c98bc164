"""Mutated files: every reader either reads them or says in one DataError what is wrong; nothing else escapes."""

import gzip
import math
import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.data.cells import NumberFormat, number
from rnncli.data.columns import Columns, columns_of_file
from rnncli.data.conllu import Conllu, Sentence
from rnncli.data.dates import DateColumn
from rnncli.data.folder import read_class_folder
from rnncli.data.given import texts_of_column
from rnncli.data.pairs import read_pairs, read_parallel
from rnncli.data.series import regular
from rnncli.data.skipped import OnBad, Skipped
from rnncli.data.sniff import sniff_table
from rnncli.data.table import read_cells, read_panel
from rnncli.data.text import read_text
from rnncli.errors import DataError
from rnncli.files import MAX_LINE, read_lines
from rnncli.tasks.inputs.tagged import GivenLines
from tests.hostile import bounded, counts, mutated, record

CONLLU = (
    "# text = al mar\n1-2\tal\t_\t_\t_\t_\t_\t_\t_\t_\n1\ta\ta\tADP\t_\t_\t2\tcase\t_\t_\n"
    "2\tel\tel\tDET\t_\tNumber=Sing\t0\troot\t_\t_\n2.1\tx\tx\tX\t_\t_\t_\t_\t_\t_\n\n1\tSí\tsí\tINTJ\t_\t_\t0\troot\t_\t_\n\n"
)
CSV = 'date,value,label\n2024-01-01,1.5,"a, ""b"""\n2024-01-02,NA,b\n2024-01-03,3e2,"two\nlines"\n2024-01-05,-4,b\n'
JSON = '{"date": "2024-01-01", "value": 1.5, "label": "a"}\n{"date": "2024-01-02", "value": null, "label": "b"}\n' * 2
DATES = (
    'date,value\n1/31/2022 11:00:00 PM,$1\n2/1/2022 12:00:00 AM,"1,000.5"\n2/1/2022 01:00:00 AM,\u22122\n'
    "2/1/22 2:00 am,3%\n"
)
ZONED = [f"2022-{3 + i // 28:02d}-{1 + i % 28:02d}T00:00:00+0{1 + i // 30}:00;{i},5\n" for i in range(50)]
ZONES = "date;value\n" + "".join(ZONED)
DIGITS = "date,value\n" + "".join(f"20180101{i:02d},{i}\n" for i in range(9))
TSV = "the\tDET\nlight\tNOUN\n\nthey\tPRON\nlight\tVERB\n"
CONLL03 = "-DOCSTART- -X- -X- O\n\nU.N. NNP I-NP I-ORG\nofficial  NN I-NP O\n\n# # # O\n1996 CD\tI-NP O\n"
PIECES = [
    b"\0", b"\xff", b"\xe2\x82", b"\r\n", b"\r", b"\n", b"\t", b'"', b",", b";", b"\xef\xbb\xbf", b"_", b"-", b"1",
    b"9" * 400, b"\xc2\x85", b"\xe2\x80\xa8", b"\x1f\x8b", b"=", b"|", b"#", b"1-", b".", b"nan", b"1e999",
    b" AM", b"+09:00", b"24:00", b"%", b"{", b"sep=;\n",
]  # fmt: skip


def _table(path: Path, on_bad: OnBad) -> None:
    list(read_cells(path, ["label", 1], Skipped(on_bad)))


def _series(path: Path, on_bad: OnBad, numbers: NumberFormat = NumberFormat()) -> None:
    series = read_panel(path, (), "date", ["value"], Skipped(on_bad), numbers=numbers)[0]
    assert series.dates is not None
    series.dates.report()
    series.dates.check_order()
    whole = regular(series, 1, "interpolate")
    whole.date(len(whole) + 1)


def _conllu(path: Path, on_bad: OnBad) -> None:
    blocks = list(Conllu("Number").blocks(path))
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        assert "".join("".join(block.raw) for block in blocks).encode() == file.read()
    for block in blocks:
        if isinstance(block, Sentence):
            changed = Conllu().with_tags(block, ["T"] * len(block.tokens))
            assert len(changed.split("\n")) == len("".join(block.raw).split("\n"))
    list(Conllu().sentences(path, Skipped(on_bad)))


def _tsv(path: Path, on_bad: OnBad) -> None:
    columns = columns_of_file(path)
    blocks = list(columns.blocks(path))
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        assert "".join("".join(block.raw) for block in blocks).encode() == file.read()
    for block in blocks:
        if isinstance(block, Sentence) and None not in block.tags:
            changed = columns.with_tags(block, [f"<{tag}>" for tag in block.tags])
            lines = [line + "\n" for line in changed.split("\n")]
            again = next(columns.blocks("-", enumerate(lines, 1)))
            assert isinstance(again, Sentence)
            assert (again.tokens, again.tags) == (block.tokens, tuple(f"<{tag}>" for tag in block.tags))
    list(columns.sentences(path, Skipped(on_bad)))


def _given(path: Path, on_bad: OnBad) -> None:
    """As `predict` reads a file of columns, and gives it back."""
    lines = [line for _, line in read_lines(path, raw=True)]
    given = GivenLines(lines, Columns("blanks", 4, 3), "upos", {"O", "I-ORG"})
    if given.file is None:
        assert list(given) == lines
    else:
        assert "".join("".join(block.raw) for block in given.file.blocks("-", given.numbered())) == "".join(lines)


def _table_given(path: Path, on_bad: OnBad) -> None:
    list(texts_of_column((line.rstrip("\r\n") for _, line in read_lines(path, raw=True)), "value")[0])


READERS: dict[str, tuple[str, Callable[[Path, OnBad], object]]] = {
    "text.txt": (TSV, lambda path, on_bad: read_text(path)),
    "table.csv": (CSV, _table),
    "series.csv": (CSV, _series),
    "sniff.csv": (CSV, lambda path, on_bad: sniff_table(path)),
    "sniff-dates.csv": (DATES, lambda path, on_bad: sniff_table(path)),
    "sniff-lines.jsonl": (JSON, lambda path, on_bad: sniff_table(path)),
    "lines.jsonl": (JSON, _table),
    "dates.csv": (DATES, _series),
    "digits.csv": (DIGITS, _series),
    "zones.csv": (ZONES, lambda path, on_bad: _series(path, on_bad, NumberFormat(","))),
    "tabs.tsv": (CSV.replace(",", "\t"), _table),
    "x.conllu": (CONLLU, _conllu),
    "tags.tsv": (TSV, _tsv),
    "conll03.txt": (CONLL03, _tsv),
    "given.txt": (CONLL03, _given),
    "given.csv": (CSV, _table_given),
    "pairs.tsv": (TSV, lambda path, on_bad: list(read_pairs(path, Skipped(on_bad)))),
}


@pytest.mark.parametrize("name", READERS)
@counts(100, 1000)
def test_mutated_files(tmp_path: Path, name: str, count: int) -> None:
    seed, read = READERS[name]
    rng = random.Random(name)
    outcomes = {"read": 0, "refused": 0}
    for i in range(count):
        data = mutated(seed.encode(), rng, PIECES)
        path = tmp_path / name
        if i % 4 == 0:
            path = tmp_path / f"{name}.gz"
            data = gzip.compress(data)
            if i % 8 == 0:
                data = mutated(data, rng, PIECES)
        path.write_bytes(data)
        for on_bad in ("stop", "skip"):
            try:  # anything but a DataError fails the test
                with bounded():
                    read(path, on_bad)
                outcomes["read"] += 1
            except DataError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > count / 20
    if count > 300:
        record("files", name, {"inputs": count, "readings": outcomes})


def test_one_line_of_a_hundred_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with open(path, "wb") as file:
        for _ in range(100):
            file.write(b"x" * (1 << 20))
    tracemalloc.start()
    for name, read in (
        ("It is expected to consist of lines", lambda: list(read_cells(path, [0], Skipped("skip")))),
        ("pairs", lambda: list(read_pairs(path, Skipped("skip")))),
        ("tags", lambda: list(Conllu().sentences(path, Skipped("skip")))),
    ):
        with pytest.raises(DataError, match="the line is longer than"):
            read()
        assert tracemalloc.get_traced_memory()[1] < 5 * MAX_LINE, name
    tracemalloc.stop()


def test_rows_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("some words here\tand some more there\n" * 100_000)
    tracemalloc.start()
    assert sum(1 for _ in read_pairs(path, Skipped())) == 100_000
    assert sum(1 for _ in read_cells(path, [0], Skipped())) == 99_999
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6  # the file is read by the megabyte


@pytest.mark.parametrize("name", READERS)
def test_places_that_are_no_files(tmp_path: Path, name: str) -> None:
    _, read = READERS[name]
    loop = tmp_path / name
    loop.symlink_to(loop)
    for path in (loop, tmp_path / "nowhere" / name, tmp_path / ("y" * 300 + name), Path("/dev/null")):
        with pytest.raises(DataError):
            read(path, "skip")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError):
        read(tmp_path / "folder", "skip")


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    import os

    fifo = tmp_path / "fifo.tsv"
    os.mkfifo(fifo)
    with pytest.raises(DataError, match="not a regular file"):
        list(read_pairs(fifo, Skipped()))
    with pytest.raises(DataError, match="not a regular file"):
        list(read_parallel(fifo, fifo, Skipped()))


def test_class_folder_with_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ok\n\xff\n")
    (tmp_path / "b.txt").write_text("fine\n")
    with pytest.raises(DataError, match=r"a\.txt:2: byte 0xff at offset 3"):
        list(read_class_folder(tmp_path, Skipped("skip")))


@counts(30, 1000)
def test_mutated_parquet(tmp_path: Path, count: int) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "x.parquet"
    rows = "select date '2024-01-01' + i::int as date, i * 0.5 as value, 'a' || i as label from range(500) t(i)"
    duckdb.sql(rows).write_parquet(str(path))
    seed, rng = path.read_bytes(), random.Random("parquet")
    outcomes = {"read": 0, "refused": 0}
    for _ in range(count):
        path.write_bytes(mutated(seed, rng, PIECES))
        try:
            with bounded():
                _table(path, "skip")
            outcomes["read"] += 1
        except DataError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 0
    if count > 300:
        record("files", "x.parquet", {"inputs": count, "readings": outcomes})


@given(st.text(st.sampled_from("0123456789-/:. ,TZ+%$()AMPQWjan年月日UTC\u2212"), max_size=30))
def test_any_cell_is_a_date_and_a_number_or_none(cell: str) -> None:
    column = DateColumn()
    why = column.add(cell)
    if not why:
        dates = column.done("x", [1])
        again = DateColumn()
        assert again.add(dates.write(int(dates.values[0]))) == ""
        assert int(again.done("x", [1]).values[0]) == int(dates.values[0])
    value = number(cell)
    assert value is None or math.isnan(value) or math.isfinite(value)


LONG = ["9" * 10**5, "1," * 10**5, "\t" * 10**5, " " * 10**5 + "x", "1:" * 10**5, "(" * 10**5]


@pytest.mark.parametrize("cell", LONG, ids=range(len(LONG)))
def test_a_long_cell_costs_little(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f'date,value\n2024-01-01,"{cell}"\n2024-01-02,1\n"{cell}",2\nsep=;{cell}\n')
    with bounded(seconds=5):
        for read in (lambda: sniff_table(path), lambda: _series(path, "skip"), lambda: _table(path, "skip")):
            with suppress(DataError):
                read()
