"""YAML as recipes read it. What is right is taken from the tables of YAML 1.2.2, chapter 10.3.2 (core schema)."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rnncli.errors import DataError, RecipeError, RnncliError
from rnncli.recipe import read_document
from rnncli.recipe.parse import dump, flow_text, parse, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("3E5", 3e5), (".5", 0.5), ("5.", 5.0), ("-0.0", -0.0), ("+12", 12), ("007", 7),
        ("0o14", 12), ("0xC", 12), ("12e03", 12000.0), ("-.inf", -math.inf), (".INF", math.inf),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("no", "no"), ("off", "off"), ("on", "on"), ("yes", "yes"), ("y", "y"), ("None", "None"),
        ("2024-01-01", "2024-01-01"), ("1:30", "1:30"), ("1_000", "1_000"), ("0b11", "0b11"), ("nan", "nan"),
        ("1e", "1e"), ("0x", "0x"), ("-0o7", "-0o7"), ("=", "="), ("<<", "<<"),
    ],
)  # fmt: skip
def test_core_schema(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_nan() -> None:
    assert math.isnan(resolve(".NaN"))  # type: ignore[arg-type]


def test_a_number_of_many_digits_is_no_hang() -> None:
    assert isinstance(resolve("9" * 100_000), str)


def test_marks_are_lines_of_the_key_or_value() -> None:
    root, faults = parse("a: 1\n\nb:\n  c: 2\n  d:\n    - 3\n    - 4\ne:\n", "r.yaml")
    assert not faults
    assert isinstance(root.content, dict)
    assert [root.content[key].where for key in "abe"] == ["r.yaml:1", "r.yaml:3", "r.yaml:8"]
    inner = root.content["b"].content
    assert isinstance(inner, dict)
    assert [inner[key].where for key in "cd"] == ["r.yaml:4", "r.yaml:5"]
    assert isinstance(inner["d"].content, list)
    assert [item.where for item in inner["d"].content] == ["r.yaml:6", "r.yaml:7"]


def test_spans_hold_the_written_value() -> None:
    text = "# 中文 🙂\r\na: 'x y' # c\nb: {c: [1, 2], d: 3}\n"
    root, _ = parse(text, "r.yaml")
    assert isinstance(root.content, dict)
    spans = [text[node.start : node.end] for node in root.content.values()]
    assert spans == ["'x y'", "{c: [1, 2], d: 3}"]


def test_both_parsers_of_pyyaml_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'a: plain\nb: "quoted 1"\nc: &x [1, 2.5, null]\nd: *x\n'
    fast = parse(text, "r.yaml")
    monkeypatch.setattr("rnncli.recipe.parse._Loader", yaml.SafeLoader)
    assert parse(text, "r.yaml") == fast


def test_an_alias_has_its_own_place_and_shares_what_is_below() -> None:
    """test_hostile_input.py holds that what is laid over one of them leaves the other as it was."""
    root, _ = parse("a: &x {b: 1}\nc: *x\n", "r.yaml")
    assert isinstance(root.content, dict)
    assert root.content["c"].where == "r.yaml:2"
    assert root.content["c"].content is root.content["a"].content
    assert root.value() == {"a": {"b": 1}, "c": {"b": 1}}


def test_duplicate_keys_and_tags_are_faults() -> None:
    _, faults = parse("a: 1\nb: {c: 1, c: 2}\na: !!python/object:os.system {}\nd: !mine x\n", "r.yaml")
    assert [(fault.where, fault.key) for fault in faults] == [
        ("r.yaml:2", "b.c"), ("r.yaml:3", "a"), ("r.yaml:3", "a"), ("r.yaml:4", "d"),
    ]  # fmt: skip
    assert "!!python/object:os.system" in faults[1].what


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (BOMB, 6, "too many"),
        ("[" * 900_000, 1, "deep"),
        ("{a: " * 200_000, 1, "deep"),
        ("".join(f"{' ' * n}a{n}:\n" for n in range(1000)), 34, "deep"),
        ("[" + "1," * 400_000 + "]", 1, "too many"),
        ("a: &a [*a]\n", 1, "*a"),
        ("a: *nowhere\n", 1, ""),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("[1, 2]: 3\n", 1, "key"),
        ("a: b: c\n", 1, "second"),
        ("a: 1\n\tb: 2\n", 2, "tab"),
        ("a: [1, 2\nb: 3\n", 2, ""),
        ("a: 'x\n", 1, "an unclosed bracket or quote"),
        ("a: 1\n  b: 2\n", 2, ""),
        ("a: @x\n", 1, "quotes"),
        ("a: \x07\n", 1, "control"),
    ],
)
def test_what_is_no_recipe_is_refused_at_its_line(text: str, line: int, word: str) -> None:
    started = time.process_time()
    with pytest.raises(RecipeError) as caught:
        parse(text, "r.yaml")
    assert time.process_time() - started < 20  # a bomb would take hours; this is no measurement
    fault = caught.value.faults[0]
    assert fault.where in (f"r.yaml:{line}", f"r.yaml:{line + 1}")
    assert word in fault.what
    assert "expected '" not in fault.what


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    def refused(data: bytes | None) -> RnncliError:
        path = tmp_path / "r.yaml"
        if data is not None:
            path.write_bytes(data)
        with pytest.raises((DataError, RecipeError)) as caught:
            read_document(str(path))
        return caught.value

    missing = refused(None)
    assert (missing.exit_code, missing.what) == (3, "no such file")
    latin = refused("task: tagging\nname: é\n".encode("latin-1"))
    assert latin.exit_code == 3
    assert latin.where.endswith("r.yaml:2")
    assert refused(b"").exit_code == 2
    assert refused(b"# only a comment\n").what == "this recipe is empty"
    assert "a list" in str(refused(b"- 1\n- 2\n"))
    assert refused(b"just words").exit_code == 2
    assert refused(b"a: 1\n" * 300_000).what.startswith("this file is too large")
    with pytest.raises(DataError, match="is a folder"):
        read_document(f"{tmp_path}/")


KEYS = st.text("abno1.: -#'\"", min_size=1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_reads_back_equal(value: object) -> None:
    values = {"task": value, "data": {"path": value}}
    assert parse(dump(values), "r.yaml")[0].value() == values


@given(st.text("0123456789eEox.+-_:nulltrueyoNaIif~ #,[]{}'\"", max_size=8))
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert parse(f"a: {flow_text(text)}\n", "r.yaml")[0].value() == {"a": text}
