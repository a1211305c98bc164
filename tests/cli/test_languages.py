"""--lang zh: data stays what it is, screens are Chinese, two-cell characters line up, GBK carries them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from rnncli.cli.start import groups
from rnncli.locale import COMMANDS, no_typed_language, typed_language, with_language
from tests.fixture_types import Run, Typed

TIMES = ("seconds", "per_second", "run", "steps_per_second", "counted_per_second")


def without_times(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


@pytest.mark.parametrize(
    "words",
    [
        "demo",
        "demo --cell gru --explain all",
        "demo --explain-backward 0 --blanks",
        "demo --cell rnn,lstm",
        "demo --proofs --num-layers 2",
        "inspect hello",
        "inspect hello steps",
        "inspect hello padding",
        "inspect hello gradients",
        "train hello --epochs 2",
        "train hello --dry-run",
    ],
)
def test_json_never_changes_with_the_language(words: str, typed: Typed) -> None:
    found = []
    for lang in ("en", "zh"):
        code, out, _ = typed("--lang", lang, *words.split(), "--json")
        assert code == 0
        assert out.isascii() or lang == "en" or not any("一" <= c <= "鿿" for c in out)
        found.append(without_times(out))
    if "--dry-run" in words:
        assert [list(document) for document in found[0]] == [list(document) for document in found[1]]
    else:
        assert found[0] == found[1]


@pytest.mark.parametrize("ending", ["json", "yaml", "csv"])
@pytest.mark.parametrize("words", ["demo --explain 0", "inspect hello params"])
def test_saved_data_never_changes_with_the_language(words: str, ending: str, typed: Typed, tmp_path: Path) -> None:
    texts = []
    for lang in ("en", "zh"):
        code, out, _ = typed("--lang", lang, *words.split(), "--save", f"{lang}.{ending}")
        assert code == 0
        assert any("一" <= c <= "鿿" for c in out) == (lang == "zh")
        texts.append((tmp_path / f"{lang}.{ending}").read_bytes())
    assert texts[0] == texts[1]


def test_a_run_folder_never_changes_with_the_language(typed: Typed, tmp_path: Path) -> None:
    for lang in ("en", "zh"):
        assert typed("--lang", lang, "-q", "train", "hello", "--epochs", "2", "--out", lang)[0] == 0
    for name in ("recipe.yaml", "vocab.json", "metrics.jsonl", "model.safetensors"):
        assert (tmp_path / "en" / name).read_bytes() == (tmp_path / "zh" / name).read_bytes(), name
    results = [json.loads((tmp_path / lang / "result.json").read_text()) | {"run": ""} for lang in ("en", "zh")]
    assert results[0] == results[1]


@pytest.mark.parametrize(
    "words",
    [
        "demo",
        "demo --explain 1",
        "demo --proofs",
        "demo --cell lstm",
        "demo --cell rnn,gru,lstm",
        "demo --input hello",
        "demo --nice --explain-backward 1",
        "inspect hello",
        "inspect hello steps",
        "inspect hello saturation",
        "inspect hello shapes",
        "inspect hello padding",
        "train hello --epochs 2",
    ],
)
def test_screens_are_chinese_and_fit(words: str, typed: Typed) -> None:
    code, out, err = typed("--lang", "zh", *words.split())
    assert code == 0
    assert any("一" <= c <= "鿿" for c in out)
    assert max(map(cell_len, out.splitlines())) <= 80
    assert (out + err).encode("gbk", "replace").count(b"?") <= out.count("?") + err.count("?") + sum(
        out.count(mark) for mark in "▁▂▃▄▅▆▇█░"
    )


def test_columns_line_up_under_two_cell_headings(typed: Typed) -> None:
    """Cells of a table's column end or begin at the same cell of the screen as their heading."""
    _, out, _ = typed("--lang", "zh", "demo", "--nice", "--explain", "0", "--units", "0")
    lines = out.splitlines()
    head = next(line for line in lines if line.startswith("单元"))
    row = next(line for line in lines if "b_ih" in line and "=" not in line)
    assert cell_len(head) == cell_len(row)
    assert cell_len(head[: head.index("项")]) == cell_len(row[: row.index("b_ih")])


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_a_saved_sheet_is_marked_in_either_language(cell: str, typed: Typed) -> None:
    """Step 0 too, whose sums name the state at the start."""
    sheet = ["demo", "--nice", "--cell", cell, "--num-layers", "2", "--explain", "all"]
    assert typed("--lang", "zh", *sheet, "--save", "key.csv")[0] == 0
    for lang in ("zh", "en"):
        code, _out, err = typed("--lang", lang, *sheet, "--check", "key.csv")
        assert code == 0, err


@pytest.mark.parametrize(
    "words",
    [
        "demo --explain 9",
        "demo --cell gruu",
        "inspect nope",
        "train nope",
        "train hello --set model.cel=rnn",
        "demo --blanks",
        "--lang xx demo",
        "train hello --data none.txt",
    ],
)
def test_errors_are_chinese(words: str, typed: Typed) -> None:
    code, _, err = typed("--lang", "zh", *words.split())
    assert code in (2, 3)
    if "xx" not in words:
        assert err.startswith("错误：")


def test_a_gbk_terminal_shows_it(rnncli: Run) -> None:
    done = rnncli("--lang", "zh", "demo", "--explain", "1", PYTHONIOENCODING="gbk", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_chinese_locale_is_enough(rnncli: Run) -> None:
    done = rnncli(LC_ALL="zh_CN.UTF-8", PYTHONUTF8="1")
    assert "从这里开始" in done.stdout
    assert "从这里开始" not in rnncli("--lang", "en", LC_ALL="zh_CN.UTF-8", PYTHONUTF8="1").stdout


def test_help_is_chinese_and_whole(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chinese has no spaces to break a line at: nothing is cut off at 80 columns, and no English sentence is left."""
    monkeypatch.setenv("COLUMNS", "80")
    commands = [name for _, lines in groups() for name, _ in lines]
    for words in ([], *([name] for name in commands), ["recipes", "copy"], ["runs", "compare"]):
        code, out, _ = typed("--lang", "zh", *words, "--help")
        assert (code, "…" in out) == (0, False), words
        assert not re.search(r"[A-Za-z]{2,} [a-z]{2,} [a-z]{2,} [a-z]{2,}", out), out


HIDDEN = re.compile(r"(?<![\w/.-])rnncli (?!--lang )[a-z]")  # a command that would lose the language


@pytest.mark.parametrize("words", ["", "demo", "demo --draw", "recipes list", "inspect hello", "train nothing.yaml",
                                   "recipes copy", "train my-csv", "runs list", "predict hello"])  # fmt: skip
def test_a_suggested_command_keeps_a_typed_language(
    words: str, typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "my-csv").write_text("a,b\n")
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    for lang, system, repeated in (
        ("zh", "C.UTF-8", True),
        ("en", "zh_CN.UTF-8", True),
        ("zh", "zh_CN.UTF-8", False),
        ("", "zh_CN.UTF-8", False),
        ("", "C.UTF-8", False),
    ):
        monkeypatch.setenv("LANG", system)
        _, out, err = typed(*(["--lang", lang] if lang else []), *words.split())
        if repeated:
            assert f"rnncli --lang {lang} " in out + err
            assert not HIDDEN.search(out + err), (lang, out + err)
        else:
            assert "--lang zh" not in (out + err).replace("中文界面: rnncli --lang zh", "")


def test_only_commands_are_given_the_language(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not data, and not a sentence about the program."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert typed("--lang", "zh", "recipes", "show", "hello")[1].count("--lang") == 0
    assert typed("--lang", "zh", "train", "hello", "--code")[1].count("--lang") == 0
    with_typed = "rnncli reads it; ./rnncli train; python -m rnncli train; `rnncli runs`; rnncli trains"
    typed_language("zh")
    try:
        assert with_language(with_typed) == with_typed.replace("-m rnncli", "-m rnncli --lang zh").replace(
            "`rnncli", "`rnncli --lang zh"
        )
    finally:
        no_typed_language()


def test_the_commands_are_those_of_the_start_screen() -> None:
    assert sorted(name for _, lines in groups() for name, _ in lines) == sorted(COMMANDS)
