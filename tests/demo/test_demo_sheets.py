"""Exercise sheets: nice numbers, blanks, marking, the backward sheet, printing, several cells, stages."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch

from rnncli import records
from rnncli.cli import run
from rnncli.demos.filled import number_in
from rnncli.render.stages import stages
from tests.fixture_types import Demo, Document
from tests.narrowed import of_kind, some

Rows = list[dict[str, str]]
Sheet = Callable[..., tuple[Rows, Path]]


def rows_of(text: str) -> Rows:
    return list(csv.DictReader(io.StringIO(text)))


def save(rows: Rows, path: Path, encoding: str = "utf-8", delimiter: str = ",") -> None:
    with open(path, "w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def sheet(demo: Demo, tmp_path: Path) -> Sheet:
    """The command words, and the filled sheet's rows and path."""

    def make(*words: str) -> tuple[Rows, Path]:
        blank, key = tmp_path / "sheet.csv", tmp_path / "key.csv"
        assert demo(*words, "--blanks", "--save", str(blank))[0] == 0
        assert demo(*words, "--save", str(key))[0] == 0
        empty = [row for row in rows_of(blank.read_text()) if row["unit"]]  # without title, name and formula
        full = rows_of(key.read_text())
        assert [row["term"] for row in empty] == [row["term"] for row in full]
        assert all((row["value"] == "") != row["term"].startswith("b_") for row in empty)
        for row, right in zip(empty, full, strict=True):
            row["value"] = f"{float(right['value']):.3f}"
        return empty, tmp_path / "filled.csv"

    return make


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "feedforward"])
def test_nice_numbers_are_halves(cell: str, document: Document) -> None:
    named = document("--nice", "--cell", cell, "--seed", "5")["named"]
    for name in ("x", "h_0", "l0.fwd.weight_ih", "l0.fwd.bias_ih"):
        values = torch.tensor(named[name])
        assert (values * 2 == (values * 2).round()).all()
        assert values.abs().max() <= 2
        assert values.any()
    assert document("--nice", "--cell", cell, "--seed", "6")["named"]["x"] != named["x"]


@pytest.mark.parametrize(
    "words",
    [
        "--explain all",
        "--explain 1 --cell lstm",
        "--explain 0:2 --cell gru",
        "--explain 1 --num-layers 2",
        "--explain-backward 0",
        "--explain 1 --batch-size 2 --full",
    ],
)
@pytest.mark.parametrize("wrongs", [1, pytest.param(3, marks=pytest.mark.evidence)])
def test_a_rightly_filled_sheet_passes_and_every_wrong_cell_is_named(
    words: str, wrongs: int, sheet: Sheet, demo: Demo
) -> None:
    line = ["--nice", "--seed", "3", *words.split()]
    rows, path = sheet(*line)
    save(rows, path)
    code, out, err = demo(*line, "--check", str(path))
    assert code == 0, out + err
    asked = [k for k, row in enumerate(rows) if not row["term"].startswith("b_")]
    assert f"{len(asked)} of {len(asked)} cells are correct" in out
    for turn, k in enumerate(asked[:: max(1, len(asked) // 4)]):
        old = rows[k]["value"]
        kinds = [str(float(old) + 0.02), "", "x"]
        for wrong in (kinds[turn % 3 :] + kinds[: turn % 3])[:wrongs]:
            rows[k]["value"] = wrong
            save(rows, path)
            code, out, _ = demo(*line, "--check", str(path))
            assert code == 1
            assert f"{len(asked) - 1} of {len(asked)} cells are correct" in out
            assert rows[k]["term"] in out
        rows[k]["value"] = old


def test_a_spreadsheet_may_save_it_in_its_own_way(sheet: Sheet, demo: Demo) -> None:
    words = ("--nice", "--explain", "1")
    rows, path = sheet(*words)
    for encoding, delimiter in (("utf-8-sig", ","), ("gbk", ";"), ("utf-8", "\t")):
        save(rows, path, encoding, delimiter)
        assert demo(*words, "--check", str(path))[0] == 0
    garbled = [row | {"term": row["term"].encode().decode("gbk", "replace")} for row in rows]
    save(garbled, path)
    assert demo(*words, "--check", str(path))[0] == 0
    assert demo(*words, "--check", str(path), "--tolerance", "1e-9")[0] == 1


def test_another_sheet_is_refused_with_its_line(sheet: Sheet, demo: Demo, tmp_path: Path) -> None:
    rows, path = sheet("--nice", "--explain", "1")
    save(rows, path)
    code, _, err = demo("--nice", "--explain", "2", "--check", str(path))
    assert (code, "filled.csv:2" in err) == (3, True)
    code, _, err = demo("--nice", "--explain", "all", "--check", str(path))
    assert (code, "rows" in err) == (3, True)
    (tmp_path / "bad.csv").write_bytes(b"a,b\n1,2\n")
    assert demo("--explain", "1", "--check", str(tmp_path / "bad.csv"))[0] == 3
    (tmp_path / "bad.csv").write_bytes(b"")
    assert demo("--explain", "1", "--check", str(tmp_path / "bad.csv"))[0] == 3
    assert demo("--explain", "1", "--check", str(tmp_path / "none.csv"))[0] == 3
    for words in (["--blanks"], ["--check", "x"], ["--explain", "1", "--tolerance", "1"]):
        assert demo(*words)[0] == 2


def test_a_sheet_does_not_give_its_answers_away(demo: Demo, document: Document) -> None:
    """No result of the page stands anywhere on it, written as the key writes it."""
    words = ("--seed", "2", "--cell", "gru", "--explain", "1:3")
    out = demo(*words, "--blanks")[1]
    values = [row["value"] for row in document(*words)["rows"] if not row["term"].startswith("b_")]
    shown = [f"{value:.4f}" for value in values if abs(value) > 1e-4]
    assert shown
    assert not [number for number in shown if number in out]


def test_the_backward_sheet_is_autograd_written_out(document: Document) -> None:
    """Against a loop of torch operations written here."""
    found = document("--explain-backward", "0", "--nonlinearity", "tanh", "--dtype", "float64", "--seed", "4")
    named = {name: torch.tensor(values, dtype=torch.float64) for name, values in found["named"].items()}
    W_ih, W_hh = (named[f"l0.fwd.{name}"].requires_grad_() for name in ("weight_ih", "weight_hh"))
    b = (named["l0.fwd.bias_ih"] + named["l0.fwd.bias_hh"]).requires_grad_()
    h, states = torch.zeros(2, dtype=torch.float64), []
    for x in named["x"][:, 0]:
        h = torch.tanh(W_ih @ x + W_hh @ h + b)
        h.retain_grad()
        states.append(h)
    h.sum().backward()
    seen = 0
    for row in found["rows"]:
        unit, term, value = row["unit"], row["term"], row["value"]
        if term.startswith("dL/dh_"):
            wanted = some(states[int(term[-1])].grad)[unit]
        elif term.startswith("dL/dW"):
            i, j = map(int, term[term.index("[") + 1 : -1].split(","))
            wanted = some((W_hh if "W_hh" in term else W_ih).grad)[i, j]
        elif term.startswith("dL/db"):
            wanted = some(b.grad)[unit]
        else:
            continue
        seen += 1
        assert value == pytest.approx(float(wanted), abs=1e-12)
    assert seen == 3 * 2 + 2 * (2 + 4 + 1)
    assert all(check["ok"] for check in found["checks"])


@pytest.mark.parametrize("words", ["--nonlinearity relu", "--nonlinearity none", "--no-bias", "--batch-size 3 --nice"])
def test_backward_of_other_kinds(words: str, demo: Demo) -> None:
    code, out, _ = demo("--explain-backward", "1", *words.split())
    assert code == 0
    assert "ok  these gradients equal autograd's" in out
    assert "L is the sum of the last h" in out
    assert "Steps before 1 are omitted" in out


def test_backward_is_for_one_rnn(demo: Demo) -> None:
    for words in (["--cell", "lstm"], ["--num-layers", "2"], ["--explain", "1"], ["--steps", "1"]):
        assert demo("--explain-backward", "1", *words)[0] == 2


@pytest.mark.parametrize("ending", ["html", "md"])
def test_sheets_print_a_page_an_exercise_and_link_nothing(ending: str, demo: Demo, tmp_path: Path) -> None:
    file = tmp_path / f"sheet.{ending}"
    assert demo("--nice", "--explain", "all", "--blanks", "--save", str(file))[0] == 0
    text = file.read_text(encoding="utf-8")
    assert not any(word in text for word in ("http", "href", "src=", "@import"))
    breaks = text.count('<div class="sheet">' if ending == "html" else "break-before: page")
    assert breaks == 3
    if ending == "html":
        assert ".sheet+.sheet{break-before:page}" in text


def test_sheets_and_their_keys_one_after_the_other(tmp_path: Path, demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell's loop over seeds does; the README's test runs such a loop."""
    monkeypatch.chdir(tmp_path)
    for seed in ("1", "2"):
        words = ("--nice", "--seed", seed, "--explain", "all")
        assert demo(*words, "--blanks", "--save", f"sheet-{seed}.csv")[0] == 0
        assert demo(*words, "--save", f"key-{seed}.csv")[0] == 0
        assert demo(*words, "--check", f"key-{seed}.csv")[0] == 0
    assert (tmp_path / "sheet-1.csv").read_text() != (tmp_path / "sheet-2.csv").read_text()


def test_without_a_nonlinearity_all_steps_are_one_matrix(document: Document, demo: Demo) -> None:
    found = document("--nonlinearity", "none", "--no-bias", "--nice", "--dtype", "float64", "--proofs", "--seed", "1")
    named = {name: torch.tensor(values, dtype=torch.float64) for name, values in found["named"].items()}
    rows = [row for row in found["rows"] if row["table"] == "collapse"]
    assert [row["power"] for row in rows] == ["W_ih", "W_hh·W_ih", "W_hh^2·W_ih"]
    W_hh = named["l0.fwd.weight_hh"]
    h = W_hh @ W_hh @ W_hh @ named["h_0"][0, 0]
    for row in rows:
        h = h + torch.tensor(row["matrix"], dtype=torch.float64).reshape(2, 4) @ named["x"][int(row["of"][2:]), 0]
    assert torch.allclose(h, named["l0.fwd.h"][2, 0], atol=1e-12)
    assert "W_ih·x_k: one linear map for any T" in demo("--nonlinearity", "none")[1]


def test_cells_side_by_side_read_the_same_x(document: Document, demo: Demo) -> None:
    found = document("--cell", "rnn,gru,lstm", "--seed", "7")
    named = found["named"]
    assert {name.partition(".")[0] for name in named} == {"x", "rnn", "gru", "lstm"}
    assert named["x"] == document("--seed", "7")["named"]["x"]
    x = torch.tensor(named["x"])
    for cell, module in (("rnn", torch.nn.RNN), ("gru", torch.nn.GRU), ("lstm", torch.nn.LSTM)):
        core = module(4, 2)
        for name, parameter in core.named_parameters():
            parameter.data = torch.tensor(named[f"{cell}.l0.fwd.{name.removesuffix('_l0')}"])
        assert torch.allclose(core(x)[0], torch.tensor(named[f"{cell}.l0.fwd.h"]), atol=1e-6)
    out = demo("--cell", "rnn,gru,lstm")[1]
    assert max(map(len, out.splitlines())) <= 80
    for words in (["--explain", "1"], ["--code"], ["--input", "hello"], ["--num-layers", "2"]):
        assert demo("--cell", "rnn,gru", *words)[0] == 2
    assert demo("--cell", "rnn,nope")[0] == 2


def test_stages_show_every_row_once() -> None:
    columns = [records.Column("t", "t", "count"), records.Column("h", "h")]
    table = records.Table("steps", columns, [[0, 0.5], [0, 0.6], [1, 0.7]])
    page = records.Page("s/1", "title", [records.Message("head"), table, records.Checks([])], seed=0)
    parts = stages(page)
    assert [part.title for part in parts] == ["title", "", "", ""]
    assert [len(of_kind(records.Table, part.records[0]).rows) for part in parts[1:3]] == [2, 1]
    assert parts[3].records == [records.Checks([])]


def test_pause_waits_for_enter_in_a_terminal_only(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = demo("--seed", "1", "--explain", "all")[1]
    assert demo("--seed", "1", "--explain", "all", "--pause")[1] == plain  # no terminal: no pause
    read: list[int] = []

    def readline(_: object) -> str:
        read.append(1)
        return "\n"

    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda s: True, "readline": readline})())
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert run(["demo", "--seed", "1", "--explain", "all", "--pause"]) == 0
    out = capsys.readouterr().out
    assert len(read) == 4  # three steps, and the rest
    shown = [" ".join(line.split()) for line in out.splitlines()]
    assert all(" ".join(line.split()) in shown for line in plain.splitlines())


def test_explain_says_what_the_article_leaves_open(demo: Demo) -> None:
    out = " ".join(demo("--explain", "1", "--batch-size", "2")[1].split())
    assert "prints as [2, 4] because torch has a row for every sample" in out
    assert "calls h the output because" in out
    assert "Two biases: b_ih and b_hh are only added" in out
    assert "Shared: every step uses the same W and b" in out
    assert "Two biases" not in demo("--explain", "1", "--no-bias")[1]
    assert "r multiplies b_hn but not b_in" in " ".join(demo("--explain", "1", "--cell", "gru")[1].split())


SAME = {  # one right answer, as it may be typed; | between forms
    "0.4707": "0,4707|0.47|0,47|+0,47|.4707|,4707|0,47\u00a0|\u202f0,47|47\u00a0%|47,07%|47,07\u202f%|47 %|8/17"
    "|8\u204417|\uff10\uff0e\uff14\uff17\uff10\uff17|0\u30024707|\uff10\uff0c\uff14\uff17|4,707e-1|4.707E-01|'0,47|\u22480,47|0\u066b47",
    "-1.9854": "-1,9854|\u22121,9854|\u20131.99|\u20111,99|\uff0d\uff11\uff0e\uff19\uff19|- 1,99|-198,54%|-1,9854E+00",
    "1234.5": "1.234,5|1,234.5|1\u202f234,5|1\u2019234.5|1'234,5|1\u00a0234.5|1234,5",
}


@pytest.mark.parametrize("right", SAME)
def test_numbers_as_people_of_several_countries_write_them(right: str) -> None:
    for form in SAME[right].split("|"):
        assert number_in(form) == pytest.approx(float(right), abs=0.006), form


@pytest.mark.parametrize("text", ["", "x", "0,4,7x", "1_0", "1/0", "-", ",", "0.4.7,", "#NAME?", "h_0"])
def test_what_is_no_number_is_nan(text: str) -> None:
    assert number_in(text) != number_in(text)


def comma(text: str) -> str:
    return text.replace(".", ",")


EXCEL = [  # encoding, delimiter, quoting, line end, first line
    ("cp1252", ";", csv.QUOTE_MINIMAL, "\r\n", ""),  # German and French Excel
    ("utf-8-sig", ";", csv.QUOTE_MINIMAL, "\r\n", ""),  # "CSV UTF-8"
    ("mac_roman", ";", csv.QUOTE_MINIMAL, "\r", ""),  # Excel for Mac
    ("utf-16", "\t", csv.QUOTE_MINIMAL, "\r\n", ""),  # "Unicode text"
    ("utf-8", ",", csv.QUOTE_ALL, "\n", ""),
    ("utf-8", ",", csv.QUOTE_MINIMAL, "\n", ""),  # "0,47" in quotes
    ("cp1252", ";", csv.QUOTE_MINIMAL, "\r\n", "sep=;\r\n"),
]


@pytest.mark.parametrize(("encoding", "delimiter", "quoting", "end", "first"), EXCEL)
def test_a_sheet_with_decimal_commas(
    encoding: str, delimiter: str, quoting: Literal[0, 1, 2, 3], end: str, first: str, sheet: Sheet, demo: Demo
) -> None:
    words = ("--nice", "--explain", "1", "--cell", "lstm")
    rows, path = sheet(*words)
    for row in rows:
        row["value"] = comma(row["value"]).replace("-", "−") if encoding.startswith("utf") else comma(row["value"])
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes((first + text.getvalue()).encode(encoding))
    code, out, err = demo(*words, "--check", str(path))
    assert code == 0, out + err
    rows[0]["value"] = "77,5"
    text.seek(0)
    text.truncate()
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes((first + text.getvalue()).encode(encoding))
    code, out, _ = demo(*words, "--check", str(path))
    assert code == 1
    assert "77,5" in out


def test_a_decimal_comma_typed_between_commas(sheet: Sheet, demo: Demo) -> None:
    """In a text editor nobody quotes 0,47: the row has a cell too many, and still one answer."""
    words = ("--nice", "--explain", "1")
    rows, path = sheet(*words)
    lines = [",".join(rows[0])]
    for row in rows:
        assert "," not in row["written"]
        lines.append(",".join([*list(row.values())[:-1], comma(row["value"])]))
    path.write_text("\n".join(lines), encoding="utf-8")
    assert demo(*words, "--check", str(path))[0] == 0
    path.write_text("\n".join([*lines[:3], f"{lines[3]},5,6", *lines[4:]]), encoding="utf-8")
    code, _, err = demo(*words, "--check", str(path))
    assert (code, "filled.csv:4" in err, "quotes" in err) == (3, True, True)


@pytest.mark.parametrize(
    ("made", "checked", "said"),
    [
        ("--nice --seed 7 --explain 1", "--nice --explain 1", "--nice --seed 7;"),
        ("--seed 7 --explain 1 --cell gru", "--seed 8 --explain 1 --cell gru", "--seed 7;"),
        ("--nice --seed 7 --explain all", "--explain all", "--nice --seed 7;"),
        ("--seed 7 --explain 1", "--nice --seed 7 --explain 1", "--seed 7 and without --nice;"),
        ("--seed 2026 --explain 1", "--explain 1", "--seed, --explain and all others"),
        ("--seed 7 --explain-backward 1", "--explain-backward 1", "--seed 7;"),
    ],
)
def test_a_sheet_of_another_seed_is_known_by_its_sums(
    made: str, checked: str, said: str, sheet: Sheet, demo: Demo
) -> None:
    rows, path = sheet(*made.split())
    empty = [row | {"value": ""} for row in rows]
    for form in (rows, empty) if "backward" in made else (empty,):
        save(form, path, "cp1252", ";")
        code, out, err = demo(*checked.split(), "--check", str(path))
        assert (code, out) == (3, "")
        assert "the numbers in this worksheet's column `written` do not match these options" in err
        assert said in err
    assert demo(*made.split(), "--check", str(path))[0] == 1  # its own seed, and empty


def test_a_few_spoilt_sums_are_not_another_seed(sheet: Sheet, demo: Demo) -> None:
    words = ("--nice", "--explain", "1")
    rows, path = sheet(*words)
    rows[0]["written"] = "#NAME?"
    rows[1]["written"] = "9·9"
    save(rows, path)
    assert demo(*words, "--check", str(path))[0] == 0


def test_backward_is_without_zoneout(demo: Demo) -> None:
    code, _, err = demo("--explain-backward", "1", "--set", "zoneout=0.25")
    assert (code, "explain-backward does not support zoneout" in err) == (2, True)
    assert demo("--explain-backward", "1", "--set", "variational_dropout=0.25")[0] == 0
