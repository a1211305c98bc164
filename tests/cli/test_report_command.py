"""`rnncli report` as a person types it: files, exit codes, messages."""

from __future__ import annotations

import errno
from importlib import resources
from pathlib import Path

import pytest

from rnncli.render import html
from tests.fixture_types import Typed


def test_a_recipe_and_a_run_become_a_page(typed: Typed, tmp_path: Path) -> None:
    assert typed("train", "hello", "--set", "train.epochs=2")[0] == 0
    code, out, err = typed("report", "last")
    assert (code, out) == (0, "report.html\n")
    assert "hello-001: every step" in err
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h1>hello-001</h1>" in text
    assert "rnncli inspect runs/hello-001" in text
    code, out, err = typed(
        "-q", "report", "hello-001", "hello", "-o", "both.html", "--samples", "1", "--view", "memory"
    )
    assert (code, out, err) == (0, "both.html\n", "")
    text = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "hello-001 · hello" in text
    assert "hello: not trained" in text
    assert "hello-001: memory" in text


def test_its_own_page_is_written_over_and_nobody_elses(typed: Typed, tmp_path: Path) -> None:
    assert typed("report", "hello")[0] == 0
    assert typed("report", "hello")[0] == 0
    mine = tmp_path / "report.html"
    mine.write_text("<p>my own</p>", encoding="utf-8")
    for words in ((), ("-o", "report.html"), ("-o", str(mine))):
        code, _, err = typed("report", "hello", *words)
        assert code == 2
        assert "the file exists and is not a report" in err
        assert mine.read_text(encoding="utf-8") == "<p>my own</p>"
    mine.write_bytes(b"")
    assert typed("report", "hello", "-o", "report.html")[0] == 0, "an empty file holds nothing"


def test_a_file_in_its_place_that_may_not_be_read(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.html").write_text("somebody's", encoding="utf-8")

    def refused(file: Path, mode: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(file))

    monkeypatch.setattr("rnncli.pages.written.open", refused, raising=False)  # root may read whatever its mode says
    code, out, err = typed("report", "hello")
    assert (code, out) == (6, "")
    assert "cannot be written: permission denied\nwhere: report.html" in err
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "somebody's"


def test_a_name_that_is_too_long(typed: Typed) -> None:
    code, out, err = typed("report", "hello", "-o", "x" * 300 + ".html")
    assert (code, out) == (6, "")
    assert "the name is too long" in err


def test_settings_of_a_recipe(typed: Typed, tmp_path: Path) -> None:
    assert typed("report", "hello", "--set", "model.cell=gru")[0] == 0
    assert "GRU(4, 4)" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert typed("train", "hello", "--set", "train.epochs=1")[0] == 0
    assert typed("report", "last", "--set", "model.cell=gru")[0] == 2


def test_a_change_shows_what_follows(typed: Typed, tmp_path: Path) -> None:
    assert typed("report", "hello", "--change", "h@1=other", "--from-input", "hohle")[0] == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="what-if"' in text
    assert "the other input" in text
    code, out, err = typed("report", "hello", "--change", "nothing=0", "-o", "other.html")
    assert (code, out) == (2, "")
    assert "nothing" in err
    assert not (tmp_path / "other.html").exists()


def test_in_chinese(typed: Typed, tmp_path: Path) -> None:
    assert typed("--lang", "zh", "report", "hello")[0] == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<html lang="zh">' in text
    assert "逐步查看" in text


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nothing-of-that-name",), 2, "no recipe, run or file"),
        (("model.safetensors",), 2, "no task"),
        (("hello", "--view", "stepps"), 2, "did you mean steps"),
        (("hello", "--samples", "0"), 2, "--samples"),
        (("hello", "-o", "no/such/folder/report.html"), 6, "no/such/folder"),
        ((), 2, "TARGET"),
    ],
)
def test_what_is_refused(words: tuple[str, ...], code: int, said: str, typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    found, out, err = typed("report", *words)
    assert (found, out) == (code, "")
    assert said in err
    assert not (tmp_path / "report.html").exists()


def test_without_the_extra(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    html._library.cache_clear()
    monkeypatch.setattr(resources, "files", missing)
    code, out, err = typed("report", "hello")
    assert (code, out) == (5, "")
    assert "pip install 'rnncli[report]'" in err
