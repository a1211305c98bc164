import gzip
from pathlib import Path

import pytest

from rnncli.data.pairs import Pair, read_pairs, read_parallel
from rnncli.data.skipped import Skipped
from rnncli.errors import DataError


def test_pairs_and_the_columns_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b'Go.\tVa !\tCC-BY 2.0\r\n\r\n"Hi"\tSalut\tx\r\nalone\n\tempty\n')
    skipped = Skipped("skip", "pairs")
    assert list(read_pairs(path, skipped)) == [
        Pair(f"{path}:1", "Go.", "Va !"),
        Pair(f"{path}:3", '"Hi"', "Salut"),
    ]
    assert skipped.notes == [f"{path}: reading columns 0 and 1 of 3 (counted from 0), ignoring the others"]
    assert skipped.sentence() == f"2 of 4 pairs cannot be used; first: {path}:4: has 1 tab-separated column, not 2"
    turned = list(read_pairs(path, Skipped("skip"), (1, 0)))
    assert (turned[0].source, turned[0].target) == ("Va !", "Go.")
    with pytest.raises(DataError, match="2 of 4 pairs"):
        list(read_pairs(path, Skipped("stop", "pairs")))


def test_parallel_files(tmp_path: Path) -> None:
    one, two = tmp_path / "x.en", tmp_path / "x.fr"
    one.write_text("Go.\n\nHi\n\n")
    two.write_text("Va !\n\nSalut\nrien")
    skipped = Skipped("skip", "pairs")
    assert [(p.source, p.target) for p in read_parallel(one, two, skipped)] == [("Go.", "Va !"), ("Hi", "Salut")]
    assert skipped.first == [(f"{one}:4", "one side is empty")]
    two.write_text("Va !\n")
    with pytest.raises(DataError, match=f"has 4 lines, but {two} has 1"):
        list(read_parallel(one, two, Skipped("skip")))


def test_no_pair_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("\n")
    with pytest.raises(DataError, match="no usable"):
        list(read_pairs(path, Skipped("skip")))


CSV = 'id,en,fr\r\n1,"Go, now.",Va !\r\n2,"He said ""hi"".","Il dit\nbonjour"\r\n3,Yes,\r\n4,No\r\n'


@pytest.mark.parametrize("columns", [("en", "fr"), (1, 2), ("1", "fr")])
@pytest.mark.parametrize("packed", [False, True])
def test_pairs_of_a_csv(tmp_path: Path, columns: tuple[str | int, str | int], packed: bool) -> None:
    path = tmp_path / ("x.csv.gz" if packed else "x.csv")
    path.write_bytes(gzip.compress(CSV.encode()) if packed else CSV.encode())
    skipped = Skipped("skip", "pairs")
    found = [(pair.where, pair.source, pair.target) for pair in read_pairs(path, skipped, columns)]
    assert found == [(f"{path}:2", "Go, now.", "Va !"), (f"{path}:3", 'He said "hi".', "Il dit\nbonjour")]
    said = [where for where, _ in skipped.first]
    assert said == [f"{path}:5", f"{path}:6"]
    by_number = int in map(type, columns)
    assert skipped.notes == [f"{path}: reading columns 'en' and 'fr', ignoring the others"] * by_number
    with pytest.raises(DataError, match="no column 'de'"):
        list(read_pairs(path, Skipped("skip"), ("de", "fr")))


@pytest.mark.parametrize(
    ("name", "text", "header", "delimiter"),
    [
        ("x.csv", "a;b\nc;d\n", False, None),
        ("x.txt", "a;b\nc;d\n", False, ";"),
        ("x.txt", "s|t\na|b\nc|d\n", None, "|"),
        ("x.tsv", "s\tt\na\tb\nc\td\n", True, None),
        ("x.csv", "a\tb\nc\td\n", None, None),  # tabs, as 0.1 read it
        ("x.csv", "sep=;\ns;t\na;b\nc;d\n", None, None),
        ("x.jsonl", '{"s": "a", "t": "b"}\n{"s": "c", "t": "d"}\n', None, None),
    ],
)
def test_the_header_and_the_delimiter(
    tmp_path: Path, name: str, text: str, header: bool | None, delimiter: str | None
) -> None:
    (tmp_path / name).write_text(text)
    pairs = list(read_pairs(tmp_path / name, Skipped(), (0, 1), header, delimiter))
    assert [(pair.source, pair.target) for pair in pairs] == [("a", "b"), ("c", "d")]


def test_named_columns_between_tabs(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("en\tfr\nGo\tVa\n")
    assert [pair.target for pair in read_pairs(path, Skipped(), ("en", "fr"))] == ["Va"]
    assert [pair.target for pair in read_pairs(path, Skipped())] == ["fr", "Va"]
