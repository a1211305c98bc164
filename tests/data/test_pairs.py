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
    assert skipped.notes == [f"{path}: columns 0 and 1 of 3, counted from 0, are read, the others are not"]
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
