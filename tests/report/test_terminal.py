from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import unicodedata

import pytest
from rich.cells import cell_len

from rnncli.records import Check, Checks, ColouredText, Column, HeatMap, Message, Page, Record, Table
from rnncli.render import show, to_text

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def screen(*records: Record, width: int = 80, **options: bool) -> str:
    return to_text(Page("rnncli/test/1", "", records), width=width, **options)


@pytest.mark.parametrize("width", [50, 80, 120])
@pytest.mark.parametrize("ascii", [False, True])
def test_no_line_is_wider_than_the_screen(page: Page, width: int, ascii: bool) -> None:
    for line in to_text(page, width=width, ascii=ascii).splitlines():
        if "x" * 90 in line or "TiB" in line:
            continue  # a command is never broken
        if page.schema == "rnncli/odd/1" and "\\x1b" in line:
            continue  # code is printed exactly as it is
        assert cell_len(line) <= width, line


@pytest.mark.parametrize("name", ["demo", "inspect", "train", "bench"])
def test_main_screens_fit_a_projector(name: str, request: pytest.FixtureRequest) -> None:
    from tests.report.fixed_pages import PAGES

    assert len(to_text(PAGES[name](), width=80).splitlines()) <= 24


def test_data_cannot_command_the_terminal(page: Page) -> None:
    for text in (to_text(page), ESCAPES.sub("", to_text(page, color=True))):
        for character in text.replace("\n", ""):
            assert unicodedata.category(character) not in ("Cc", "Cf", "Cs"), repr(character)


def test_colour_changes_no_text(page: Page) -> None:
    coloured = ESCAPES.sub("", to_text(page, color=True))
    plain = to_text(page)
    if not any(isinstance(record, ColouredText) for record in page.records):  # there digits stand in for colour
        assert [line.rstrip() for line in coloured.splitlines()] == plain.splitlines()


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "latin-1", "utf-8", "cp437"])
def test_any_stream_can_carry_it(page: Page, encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    show(page, width=80, file=stream)
    stream.flush()
    text = raw.getvalue().decode(encoding)
    if encoding == "utf-8":
        assert text == to_text(page)
    if encoding == "ascii":
        assert text == to_text(page, ascii=True)


def test_gbk_keeps_what_it_has() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="gbk")
    show(Page("rnncli/test/1", "", [Message("记忆 W·h → é █ µ")]), width=80, file=stream)
    assert raw.getvalue().decode("gbk") == "记忆 W·h → é █ u\n"


def test_ascii_is_forced_on_a_stream_that_has_more() -> None:
    stream = io.StringIO()
    show(Page("rnncli/test/1", "", [Message("h → 你 é")]), width=80, file=stream, ascii=True)
    assert stream.getvalue() == "h -> \\u4f60 \\u00e9\n"


def test_markup_in_data_is_text() -> None:
    assert screen(Message("[bold]x[/bold] :smile: [/]")) == "[bold]x[/bold] :smile: [/]\n"


def test_failed_check_says_so_without_colour() -> None:
    text = screen(Checks([Check("a", True, "fine", 0.0, 1e-6), Check("b", False, "broken", 0.5, 1e-6)]))
    assert text == "ok      fine    0        (tol 1.0e-06)\nFAILED  broken  5.0e-01  (tol 1.0e-06)\n"


def test_chinese_columns_line_up() -> None:
    table = Table("t", [Column("w", "词", "code"), Column("n", "n", "count")], [["你好", 1], ["a", 20]])
    assert screen(table) == "词     n\n你好   1\na     20\n"


def test_white_space_of_tokens_is_visible() -> None:
    table = Table("t", [Column("w", "w", "code")], [[" "], ["\n"], ["a b\t"], [""]])
    assert screen(table) == "w\n␣\n↵\na␣b⇥\n''\n"
    assert screen(table, ascii=True) == "w\n\\s\n\\n\na\\sb\\t\n''\n"


def test_a_long_vector_is_cut_at_its_edges_and_says_so() -> None:
    table = Table("t", [Column("t", "t", "count"), Column("h", "h", "vector")], [[0, [k / 1000 for k in range(500)]]])
    text = screen(table, width=60)
    assert text.splitlines()[1].startswith("0       0 0.0010 0.0020") or "0.0010 0.0020" in text
    assert "... 0.4" in text
    assert "of 500" in text
    assert "--full" in text


def test_full_shows_every_number_of_it() -> None:
    values = [k / 1000 + 0.1 for k in range(500)]
    text = screen(Table("t", [Column("t", "t", "count"), Column("h", "h", "vector")], [[0, values]]), full=True)
    assert re.findall(r"0\.\d{4}", text) == [f"{value:.4f}" for value in values]
    assert all(cell_len(line) <= 80 for line in text.splitlines())
    assert "..." not in text


def test_vectors_that_do_not_fit_go_tall_and_stay_whole() -> None:
    table = Table("t", [Column("t", "t", "count"), *(Column(g, g, "vector") for g in "ifgo")], [[0, *[[0.5] * 8] * 4]])
    lines = screen(table).splitlines()
    assert lines[0] == "t 0"
    assert lines[1] == "  i  " + " ".join(["0.5000"] * 8)
    assert len(lines) == 5


def test_optional_columns_go_first_and_it_is_said() -> None:
    columns = [Column("a", "a", "text"), Column("b", "spare", "text", optional=True)]
    text = screen(Table("t", columns, [["x" * 30, "y" * 30]]), width=40)
    assert text.splitlines()[1] == "x" * 30
    assert "y" not in text.splitlines()[1]
    assert "spare" in text.splitlines()[2]
    assert "y" * 30 in screen(Table("t", columns, [["x" * 30, "y" * 30]]), width=80)


def test_rows_are_cut_only_where_the_table_asks() -> None:
    columns = [Column("t", "t", "count")]
    rows = [[t] for t in range(300)]
    assert len(screen(Table("t", columns, rows)).splitlines()) == 301
    cut = screen(Table("t", columns, rows, cut_rows=4)).split()
    assert cut[:6] == ["t", "0", "1", "...", "298", "299"]
    assert "rows 0-1 ... 298-299 of 300" in screen(Table("t", columns, rows, cut_rows=4))
    assert len(screen(Table("t", columns, rows, cut_rows=4), full=True).splitlines()) == 301


def test_repeated_values_are_blank_on_the_screen() -> None:
    table = Table("t", [Column("c", "c", "text", once=True), Column("n", "n", "count")], [["a", 1], ["a", 2], ["b", 2]])
    assert screen(table) == "c  n\na  1\n   2\nb  2\n"


def test_group_headings_stand_over_their_columns() -> None:
    columns = [Column("k", "k", "text"), *(Column(n, n, "count", group="tokens a second") for n in ("x", "y"))]
    lines = screen(Table("t", columns, [["r", 1, 2]])).splitlines()
    assert lines[0] == "   tokens a second"
    assert lines[1] == "k  x             y"


def test_total_stands_under_a_rule() -> None:
    table = Table(
        "t", [Column("k", "k", "text"), Column("n", "n", "count")], [["a", 1000], ["b", 1]], total=["sum", 1001]
    )
    assert screen(table).splitlines()[3:] == ["─" * 10, "sum  1,001"]


def test_heat_map_carries_signs_without_colour() -> None:
    text = screen(HeatMap("h", [[1.0, -1.0, 0.0, float("nan")]], ["a"], ["0", "1", "2", "3"]))
    assert text.splitlines()[1].split() == ["a", "+9", "-9", "0", "?"]


def test_coloured_text_has_digits_without_colour_and_none_with_it() -> None:
    record = ColouredText("x", list("ab"), [-1.0, 1.0])
    assert screen(record).splitlines()[:2] == ["ab", "09"]
    coloured = to_text(Page("rnncli/test/1", "", [record]), color=True)
    assert "09" not in ESCAPES.sub("", coloured)
    assert "48;2;33;102;172" in coloured


def test_environment_is_rich_s_business() -> None:
    code = (
        "from rnncli.records import *; from rnncli.render import show;"
        "show(Page('s', '', [Checks([Check('a', True, 'x')])]))"
    )
    for environment, escape in (
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({}, False),
    ):
        kept = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "NO_COLOR")}
        result = subprocess.run([sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert ("\x1b[32m" in result.stdout) == escape


def test_a_reader_that_has_gone_is_the_caller_s_to_handle() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        show(Page("s", "title", []), file=Gone())


def test_importing_report_loads_nothing_heavy() -> None:
    code = (
        "import sys, rnncli.render, rnncli.render.progress, rnncli.render.documents, rnncli.render.terminal,"
        "rnncli.render.html;"
        "print(sorted({'rich', 'numpy', 'torch', 'matplotlib', 'yaml', 'jinja2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
