"""What a long reading shows, and what is left of one that is broken off."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from rnncli.cli.reading import Shown
from rnncli.data.progress import Reading
from rnncli.files import FolderLock
from rnncli.render.progress import LiveProgress
from tests.fixture_types import Typed

TEXT = "the cat sat on the mat and the dog ran\n" * 60
TRAIN = ("train", "language-model", "--data", "x.txt", "--set", "data.window=8", "--set", "train.batch_size=4")
SMALL = ("--set", "model.hidden_size=4", "--set", "train.max_steps=2", "--set", "train.sample.length=0")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Texts of any length are encoded into this folder, in pieces of a thousand bytes."""
    monkeypatch.setenv("RNNCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("rnncli.data.text.HELD", 0)
    monkeypatch.setattr("rnncli.files.CHUNK", 1000)
    (tmp_path / "x.txt").write_text(TEXT)
    return tmp_path / "cache"


def files(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.name != FolderLock.NAME)


def test_where_a_text_is_encoded_is_said_once(typed: Typed, cache: Path) -> None:
    code, out, err = typed(*TRAIN, *SMALL)
    assert code == 0, err
    assert f"x.txt once, into {cache}" in err
    assert "interrupted" not in err
    code, out, err = typed(*TRAIN, *SMALL)
    assert code == 0
    assert "once, into" not in err, "it is there already"
    assert "reading the encoded text from" in err
    assert files(cache) == ["tokens.bin"]
    code, out, err = typed("evaluate", "last", "--json")
    assert code == 0
    assert json.loads(out)["on"] == "validation"


def test_quiet_and_json(typed: Typed, cache: Path) -> None:
    assert typed("-q", *TRAIN, *SMALL)[2] == ""
    code, out, _ = typed(*TRAIN, *SMALL, "--json", "--set", "data.tokens=words")
    assert code == 0
    assert [json.loads(line)["schema"] for line in out.splitlines()][-1] == "rnncli/result/1"


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_broken_off(typed: Typed, cache: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException, code: int) -> None:
    from rnncli.data import encoded

    first = encoded._Numbers.of

    def of(self: Any, piece: str) -> Any:
        if getattr(self, "called", False):
            raise stop
        self.called = True
        return first(self, piece)

    monkeypatch.setattr(encoded._Numbers, "of", of)
    found, out, err = typed(*TRAIN)
    assert (found, out) == (code, "")
    assert err.splitlines()[-1] == "interrupted while encoding x.txt; nothing is kept"
    assert files(cache) == []
    assert not Path("runs").exists()


def test_a_full_disk(typed: Typed, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = typed(*TRAIN)
    assert code == 6
    assert "error: the disk is full" in err
    assert f"where: {cache}" in err
    assert "interrupted" not in err
    assert files(cache) == []


def test_a_bad_byte_keeps_its_line(typed: Typed, cache: Path) -> None:
    Path("x.txt").write_bytes(TEXT.encode() + b"\xff\n")
    code, _, err = typed(*TRAIN)
    assert code == 3
    assert f"{Path.cwd()}/x.txt:61\n" in err
    assert "interrupted" not in err


def test_the_live_line_goes_when_the_reading_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        "rnncli.cli.reading.LiveProgress", lambda ascii: LiveProgress(screen, live=True, clock=lambda: 1)
    )
    shown = Shown()
    shown(Reading("encoding x.txt", 5_000_000, 20_000_000, "into there"))
    assert "5/20" in screen.getvalue()
    assert "into there\n" in screen.getvalue()
    shown(Reading("counting x.txt", 2_000_000, 0))
    shown(None)
    assert screen.getvalue().rpartition("\r")[2] == ""
