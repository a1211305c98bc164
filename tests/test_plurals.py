"""One is, two are: what is said of 1 and of 2 things, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnncli import cli
from rnncli.data.batch import Order, stream_batches
from rnncli.data.encoded import InMemory
from rnncli.data.series import Missing, regular
from rnncli.data.skipped import Skipped
from rnncli.data.table import read_panel
from rnncli.errors import DataError
from rnncli.locale import language, speaking
from rnncli.render import to_text
from rnncli.render.numbers import size
from rnncli.runs.summary import counted
from rnncli.sweeps.pages import closing, opening
from rnncli.sweeps.plan import make_plan
from rnncli.sweeps.rows import Row, with_verdicts

Say = Callable[[int, Path], str]
CASES: list[Any] = []


def say(one: str, two: str, chinese: str) -> Callable[[Say], Say]:
    """Marks a function whose text contains `one` for 1, `two` for 2, and in Chinese `chinese` with 1 and with 2."""

    def mark(function: Say) -> Say:
        CASES.append(pytest.param(function, one, two, chinese, id=function.__name__))
        return function

    return mark


@say("1 token", "2 tokens", "{n} 个词元")
def counts(n: int, folder: Path) -> str:
    return counted(n, "tokens")


@say("1 byte", "2 bytes", "{n} 字节")
def sizes(n: int, folder: Path) -> str:
    return size(n)


@say("too short: 1 token for 3 streams in parallel", "2 tokens for 3 streams", "{n} 个词元不够分成并行的 3 条流")
def streams(n: int, folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        next(iter(stream_batches(InMemory("", "characters", [], np.zeros(n, np.int64)), 5, 3, Order(0, 1))))
    return caught.value.what


def series(folder: Path, text: str, missing: Missing) -> Sequence[str]:
    (folder / "s.csv").write_text(f"date,value\n{text}", "utf-8")
    return regular(
        read_panel(str(folder / "s.csv"), (), "date", ("value",), Skipped("stop", "rows"))[0], 1, missing
    ).notes


@say(
    "column 'value' has no value here (1 value is missing)",
    "column 'value' has no value here (2 values are missing)",
    "列 'value' 在这里没有值（共缺 {n} 个值）",
)
def missing_values(n: int, folder: Path) -> str:
    rows = [f"2020-{month:02d},{'' if month in range(3, 3 + n) else month}\n" for month in range(1, 8)]
    with pytest.raises(DataError) as caught:
        series(folder, "".join(rows), "stop")
    return caught.value.what


@say("1 gap, 1 step missing, before line 4", "2 gaps, 2 steps missing, before line 4", "{n} 处空缺，少 {n} 步")
def gaps(n: int, folder: Path) -> str:
    months = sorted({*range(1, 11)} - {*(3, 6)[:n]})
    return " / ".join(series(folder, "".join(f"2020-{month:02d},{month}\n" for month in months), "previous"))


def sweep(trials: int) -> str:
    plan = make_plan("hello", (), {}, grid=["train.lr=0.1,0.2,0.3"], seeds=3)
    rows = [Row(f"train.lr={k}", {"train.lr": str(k)}, "done", dict(enumerate([1.0, 1.2 + k, 0.9])), 3, seconds=1.0)
            for k in range(trials)]  # fmt: skip
    return " ".join(to_text(closing(plan, with_verdicts(rows, lower=True), Path("s"), "train"), width=400).split())


@say("corrected for 1 comparison (Holm)", "corrected for 2 comparisons (Holm)", "{n} 次比较")
def comparisons(n: int, folder: Path) -> str:
    return sweep(n + 1)


@say("but 1 other may be as good.", "but 2 others may be as good.", "但另有 {n} 个可能一样好。")
def ties(n: int, folder: Path) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnncli.sweeps.pages.MOST_FAILED", 0)
        return sweep(n + 1)


@say("1 trial x 1 seed = 1 run ", "2 trials x 2 seeds = 4 runs ", "{n} 个试验 x {n} 个种子")
def plans(n: int, folder: Path) -> str:
    plan = make_plan("hello", (), {}, grid=[f"train.lr={','.join(('0.1', '0.2')[:n])}"], seeds=n)
    return " ".join(to_text(opening(plan, Path("s"), False, 1), width=120).split())


@say(
    "1 token of validation is not in the vocabulary and becomes <unk>",
    "2 tokens of validation are not in the vocabulary and become <unk>",
    "{n} 个词元",
)
def unknown_tokens(n: int, folder: Path) -> str:
    (folder / "train.txt").write_text("abcd efgh " * 200, "utf-8")
    (folder / "validation.txt").write_text("abcd efgh " * 20 + "z" * n, "utf-8")
    files = f"{{train: {folder}/train.txt, validation: {folder}/validation.txt, window: 10}}"
    recipe = f"task: language-model\ndata: {files}\nmodel: {{hidden_size: 4}}\ntrain: {{batch_size: 10}}\n"
    (folder / "r.yaml").write_text(recipe, "utf-8")
    return rnncli("train", str(folder / "r.yaml"), "--dry-run")


@say("On paper x_t is a column of 1 number", "On paper x_t is a column of 2 numbers", "纸上的 x_t 是 {n} 个数的一列")
def numbers_of_x(n: int, folder: Path) -> str:
    return rnncli("demo", "--input-size", str(n), "--explain", "0")


def rnncli(*words: str) -> str:
    """Both streams of a command in this process, as one line."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(out):
        cli.run(["--lang", language(), *words])
    return " ".join(out.getvalue().split())


@pytest.mark.parametrize(("said", "one", "two", "chinese"), CASES)
def test_one_is_and_two_are(
    said: Say, one: str, two: str, chinese: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    for n, wanted in ((1, one), (2, two)):
        assert wanted in said(n, tmp_path)
        with speaking("zh"):
            assert chinese.format(n=n) in said(n, tmp_path)
