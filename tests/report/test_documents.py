from __future__ import annotations

import csv
import io
import json
import math
import re
import xml.dom.minidom
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import yaml

from rnncli.errors import Missing, UsageError
from rnncli.records import Column, Page, Table, Tensor
from rnncli.render import DATA, PICTURES, dump_json, render_file, to_html, to_json
from tests.narrowed import as_read
from tests.report.fixed_pages import NASTY, PAGES
from tests.report.test_latex import sound


def refuse(constant: str) -> Any:
    raise ValueError(f"not strict JSON: {constant}")


def load(text: str) -> Any:
    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("suffix", DATA + PICTURES)
def test_every_page_in_every_format(page: Page, suffix: str) -> None:
    content = render_file(page, suffix)
    if suffix == ".npz":
        arrays = np.load(io.BytesIO(content), allow_pickle=False)
        assert {name: arrays[name].shape for name in arrays.files}
        assert load(str(arrays["page"]))["schema"] == page.schema
        return
    if suffix == ".png":
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        return
    text = content.decode("utf-8")
    if suffix == ".json":
        assert load(text) == to_json(page)
    elif suffix == ".yaml":
        # A JSON document is YAML; what YAML cannot hold of a half surrogate pair it escapes.
        assert json.dumps(yaml.safe_load(text)) == json.dumps(to_json(page))
    elif suffix == ".csv":
        rows = list(csv.reader(io.StringIO(text)))
        assert len({len(row) for row in rows}) == 1
        assert len(rows) > 1
    elif suffix == ".svg":
        xml.dom.minidom.parseString(text)
    elif suffix == ".tex":
        sound(text)
    elif suffix == ".html":
        parser = HTMLParser()
        parser.feed(text)
        parser.close()


@pytest.mark.parametrize("suffix", [".svg", ".html"])
def test_nothing_is_loaded_from_anywhere(page: Page, suffix: str) -> None:
    text = render_file(page, suffix).decode()
    assert set(re.findall(r"https?://[^\"' )<]*", text)) <= {"http://www.w3.org/2000/svg"}
    assert "@font-face" not in text
    assert "<script" not in text


@pytest.mark.parametrize("suffix", [".svg", ".html", ".md", ".csv", ".yaml", ".json"])
def test_no_control_characters_but_line_ends_and_those_in_data(suffix: str) -> None:
    text = render_file(PAGES["odd"](), suffix).decode()
    if suffix != ".csv":  # there a token is a quoted field, kept as it is
        assert not set(text) & set("\x1b\x00\x07")


def test_envelope() -> None:
    document = as_read(to_json(PAGES["demo"]()))
    assert list(document) == ["schema", "torch", "seed", "device", "dtype", "config", "tensors", "rows", "checks"]
    assert document["tensors"][0]["axes"] == ["T", "B", "I"]
    assert document["rows"][1]["h"] == [0.0192, 0.2561]
    assert "table" not in document["rows"][0]
    assert document["checks"][0] == {"name": "one-linear", "ok": True, "max_abs_diff": 9e-8, "tol": 1e-6}
    assert document["checks"][2]["max_abs_diff"] is None


def test_rows_of_several_tables_say_which() -> None:
    document = as_read(to_json(PAGES["inspect"]()))
    assert [row["table"] for row in document["rows"]] == ["stages"] * 4 + ["steps"] * 5
    assert document["rows"][2]["stage"] == "rnn"  # blank on the screen, whole here
    assert document["totals"]["stages"]["parameters"] == 60


def test_json_is_never_cut_and_keeps_every_digit() -> None:
    values = [math.sin(k) for k in range(500)]
    page = Page("s", "", [Table("t", [Column("v", "v", "vector")], [[values]] * 300, cut_rows=4)])
    file = io.StringIO()
    dump_json(page, file)
    rows = load(file.getvalue())["rows"]
    assert len(rows) == 300
    assert rows[0]["v"] == values


def test_non_finite_numbers_are_words_everywhere() -> None:
    document = load(render_file(PAGES["odd"](), ".json").decode())
    assert document["config"][NASTY] == ["nan", {"inf": "inf"}]
    assert document["tensors"][0]["values"] == [1.0, "nan", "-inf"]
    assert document["checks"][0]["max_abs_diff"] == "nan"
    file = io.StringIO()
    dump_json({"a": math.inf, "b": (1, -math.inf)}, file)
    assert file.getvalue() == '{"a": "inf", "b": [1, "-inf"]}\n'


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "ascii"])
def test_json_on_any_stream(page: Page, encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    dump_json(page, stream)
    stream.flush()
    assert load(raw.getvalue().decode(encoding)) == to_json(page)
    assert raw.getvalue().count(b"\n") == 1


def test_csv_spreads_vectors_over_columns() -> None:
    rows = list(csv.DictReader(io.StringIO(render_file(PAGES["demo"](), ".csv").decode())))
    assert float(rows[2]["x[3]"]) == -1.5091
    assert float(rows[2]["h[1]"]) == -0.7970
    bench = list(csv.DictReader(io.StringIO(render_file(PAGES["bench"](), ".csv").decode())))
    assert (bench[0]["ratio"], bench[0]["ratio_low"], bench[0]["ratio_high"]) == ("1.52", "1.48", "1.54")
    assert bench[1]["cell"] == "rnn"


def test_csv_of_tensors_alone() -> None:
    page = Page("s", "", [], tensors=[Tensor("h", ["T", "H"], [2, 2], [[1.0, 2.0], [3.0, 0.1]])])
    assert render_file(page, ".csv").decode().splitlines()[-1] == "h,1 1,0.1"


def test_npz_holds_tensors_in_their_dtype_without_loss() -> None:
    values = [float(value) for value in np.random.default_rng(0).standard_normal(6).astype(np.float32)]
    page = Page(
        "s", "", [], tensors=[Tensor("l0.fwd.h", ["T", "H"], [2, 3], [values[:3], values[3:]])], dtype="float32"
    )
    array = np.load(io.BytesIO(render_file(page, ".npz")))["l0.fwd.h"]
    assert array.dtype == np.float32
    assert array.ravel().tolist() == values


def test_npz_of_an_empty_tensor_and_words_for_non_finite() -> None:
    arrays = np.load(io.BytesIO(render_file(PAGES["odd"](), ".npz")))
    assert np.isnan(arrays["l0.fwd.h"][1])
    assert arrays["ids"].dtype.kind == "i"


def test_the_same_page_gives_the_same_bytes() -> None:
    for suffix in DATA + PICTURES:
        assert render_file(PAGES["demo"](), suffix) == render_file(PAGES["demo"](), suffix), suffix


def test_html_escapes_data() -> None:
    text = to_html(PAGES["odd"]())
    assert "</script>" not in text
    assert "&lt;/script&gt;" in text


def test_markdown_tables_have_as_many_cells_as_headings() -> None:
    lines = render_file(PAGES["odd"](), ".md").decode().splitlines()
    tables = [line for line in lines if line.startswith("| ")]
    assert tables
    for k, line in enumerate(lines):
        if line.startswith("| ") and lines[k - 1].startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"(?<!\\)\|", lines[k - 1]))


def test_unknown_ending_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        render_file(PAGES["demo"](), ".pdf")
    for suffix in DATA + PICTURES:
        assert suffix in caught.value.todo


def test_png_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(Missing) as caught:
        render_file(PAGES["demo"](), ".png")
    assert "rnncli[plot]" in caught.value.todo
