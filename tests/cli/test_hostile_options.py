"""Every option and argument of every command, taken from the parser's own tree, with values made to hurt: one of the
known exit codes, no traceback, no hang, and nothing outside the folder changes."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import typer
from safetensors.torch import save_file

from rnncli.cli import make_app
from rnncli.runs.train import run_training
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from tests.hostile import Tally, record, slices

NUMBERS = [
    "-1", "0", "1.5", "nan", "inf", "-inf", "1e999", "-1e999", "9" * 30, "-" + "9" * 30, "9" * 5000, "0x10", "1_0",
    "١٢", "1e-400", "-0", "+1", "1 ", "true", "100000", "1000000", "3000000000", "2147483648", "9223372036854775808",
]  # fmt: skip
TEXTS = [
    "", " ", "é", "中文", "\u202e\u2066", "\ufeff", "\x00", "\n", "\t", "\x1b[2J", "\x07", "\udcff", "x" * 3000,
    "x" * 200_000, "*", "?", "{", "}", "[1", "[" * 5000, "&a", "!!x", "'", '"', "%s", "{0}", "$HOME", "`ls`", "a;b",
]  # fmt: skip
PATHS = [
    "..", "../..", "../../etc", "/", "/nonexistent/a", "nonexistent/a", "/dev/null", "/dev/full", "/dev/zero", "~",
    "fifo", "fifo/x", "folder", "folder/", "loop", "loop/x", "dangling", "junk.bin", "junk.yaml", "junk.npy",
    "junk.npz", "junk.csv", "empty", "data.csv", "data.csv/x", "r.yaml", "w.safetensors", "runs", "runs/tag", "tag",
    "last", "./x.svg/y", "x" * 300 + ".json", "folder.json", "/dev/full.json", "out.json", "out.unknown",
]  # fmt: skip
SHAPES = [
    "--", "-", "--help", "-h", "--x", "-x", "=", "a=", "=a", "a=b=c", ".=1", "..=1", "a.b.c.d=1", "train.lr=nan",
    "train.lr=-1", "train.batch_size=0", "train.epochs=" + "9" * 30, "model.hidden_size=999999999999",
    "model.hidden_size=100000000", "model.num_layers=100000", "data.path=/dev/zero", "data.path=fifo", "data.path=..",
    "data.path=junk.bin", "data={}", "model=1", "train=[]", "task=nothing", "task=../tagging", "0-", "-1:", "5:1", ":",
    "-0:", "0:99999999999", "1:2:3:4", "1,,2", ",", "l0.fwd.h", "loss<nan", "loss<", "<", "accuracy>" + "9" * 400,
    "task=tagging", "train.seed=-1", "train.seed=" + "9" * 30, "train.threads=99999999", "train.device=cuda:99",
]  # fmt: skip
VALUES = [*NUMBERS, *TEXTS, *PATHS, *SHAPES]


class Place(NamedTuple):
    """Where a value goes: an option of a command, or (option "") one of its arguments. takes: an option's value."""

    words: tuple[str, ...]
    option: str
    takes: bool


def places() -> tuple[list[Place], dict[tuple[str, ...], int]]:
    """Every option and argument of every command, and how many arguments each command must have."""
    found: list[Place] = []
    needed: dict[tuple[str, ...], int] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        inner = getattr(command, "commands", {})
        arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
        needed[words] = sum(parameter.required for parameter in arguments)
        found.extend(Place(words, "", True) for _ in arguments)
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name not in ("help", "version"):
                takes = not parameter.is_flag and not parameter.count
                found.extend(Place(words, name, takes) for name in (*parameter.opts, *parameter.secondary_opts))
        for name, below in inner.items():
            walk(below, (*words, name))

    walk(typer.main.get_command(make_app()), ())
    return found, needed


# What gives each command something to do, and little of it. One that is not here is given names of nothing, as many as
# it must have.
TARGETS: dict[tuple[str, ...], list[list[str]]] = {
    ("train",): [
        ["hello", "--fast-dev-run"],
        ["hello", "--print-config"],
        ["hello", "--dry-run"],
        ["hello", "--max-time", "1s", "--set", "train.control=false"],
        ["hello", "--init-from", "tag", "--fast-dev-run"],
        ["--resume", "runs/tag", "--dry-run"],
        ["--max-time", "1s"],
    ],
    ("inspect",): [["hello"], ["tag"], ["./w.safetensors"], ["runs/lm"]],
    ("predict",): [["tag", "hel"], ["lm", "the", "--length", "5"], ["lm", "-"]],
    ("evaluate",): [["tag"], ["lm"]],
    ("export",): [["tag", "exported"]],
    ("report",): [["tag"], ["hello"]],
    ("bench",): [["nothing"]],  # without a recipe it measures for a minute
    ("doctor",): [["nothing"]],  # it tries everything out, for some seconds
    ("sweep",): [
        ["hello", "--grid", "model.cell=rnn,gru", "--dry-run"],
        ["hello", "--search", "train.lr=0.1..0.2", "--dry-run"],
    ],
    ("runs", "list"): [["runs"]],
    ("runs", "compare"): [["tag", "lm"]],
    ("recipes", "show"): [["hello"]],
    ("recipes", "copy"): [["hello", "./copy.yaml"], ["forecasting", "./copy.yaml"]],
    ("recipes", "validate"): [["./r.yaml"]],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs and files of every kind, two folders down, so that `../..` is still ours."""
    folder = tmp_path_factory.mktemp("hostile") / "a" / "b"
    (folder / "folder").mkdir(parents=True)
    (folder / "folder.json").mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    rng = random.Random(0)
    for name in ("junk.bin", "junk.yaml", "junk.npy", "junk.npz", "junk.csv"):
        (folder / name).write_bytes(rng.randbytes(3000))
    (folder / "empty").touch()
    (folder / "data.csv").write_text("date,value\n" + "".join(f"2024-01-{d:02d},{d}\n" for d in range(1, 29)))
    (folder / "r.yaml").write_text("task: tagging\ndata: {pairs: [[ab, ba]]}\nmodel: {hidden_size: 2}\ntrain: {}\n")
    (folder / "text.txt").write_text("the cat sat on the mat\n" * 40)
    save_file(torch.nn.LSTM(3, 2, 2).state_dict(), folder / "w.safetensors")
    text = {"path": str(folder / "text.txt"), "window": 8, "split": {"validation": 0.2}}
    recipes: dict[str, Any] = {
        "tag": "hello",
        "lm": {
            "task": "language-model",
            "data": text,
            "model": {"cell": "gru", "embedding_size": 2, "hidden_size": 3},
            "train": {"epochs": 1, "batch_size": 4},
        },
    }
    for name, recipe in recipes.items():
        (folder / "runs" / name).mkdir(parents=True)
        run_training(prepare(load_recipe(recipe, ["train.epochs=1", "train.control=false"])), folder / "runs" / name)
    return folder


@pytest.fixture(autouse=True)
def _here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(made)
    monkeypatch.setenv("HOME", str(made))
    monkeypatch.delenv("RNNCLI_DEBUG", raising=False)
    yield
    torch.set_num_threads(1)


def line(place: Place, value: str, needed: int, rng: random.Random) -> list[str]:
    """The command line with the value in its place: behind the others or before, joined by =, twice, behind --."""
    target = list(rng.choice(TARGETS.get(place.words, [["nothing"] * needed])))
    if not place.option:
        if rng.randrange(2) and target:
            target[0] = value
        else:
            target.append(value)
        if value.startswith("-") and rng.randrange(2):
            target.insert(0, "--")
        return [*place.words, *target]
    given = [place.option, value] if place.takes else [place.option]
    kind = rng.randrange(8)
    if kind == 0 and place.option.startswith("--"):
        given = [f"{place.option}={value}"]
    elif kind == 1:
        given = [*given, *given]
    elif kind == 2:
        given = [place.option]
    elif kind == 3:
        given = ["--", *given]
    return [*place.words, *given, *target] if kind == 4 else [*place.words, *target, *given]


def around(folder: Path) -> tuple[set[str], set[str]]:
    """What lies outside, but for the one file there that a value names, and `report --out` may thus write."""
    return set(os.listdir(folder.parent)), set(os.listdir(folder.parent.parent)) - {"etc"}


@slices(40, 1500, 2)
def test_every_option_with_hostile_values(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, made: Path, count: int, slice_number: int
) -> None:
    rng, tally = random.Random(2 + slice_number), Tally(capsys)
    every, needed = places()
    outside = around(made)
    assert len(every) > 110
    for n in range(max(count, len(every))):
        place = every[n % len(every)]
        words = line(place, rng.choice(VALUES), needed[place.words], rng)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"hello\n"), encoding="utf-8"))
        tally(words)
    assert tally.codes[2] > count / 4
    assert tally.codes[0] > count / 20
    assert outside == around(made)
    if slice_number:
        record("inputs", f"options {slice_number}", {"options and arguments": len(every), **tally.figures()})
