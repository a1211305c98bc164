"""Options that cannot be, and sizes that no machine holds: one message, the right exit code, nothing allocated."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnncli.demos.settings import DemoOptions, Settings, choose
from rnncli.errors import UsageError
from tests.fixture_types import Demo

REFUSED = {
    "--seq-len 0": 2,
    "--batch-size -1": 2,
    "--input-size 0": 2,
    "--hidden-size -7": 2,
    "--num-layers 0": 2,
    "--hidden-size 1.5": 2,
    "--hidden-size 100000000000000000000000": 2,
    "--hidden-size 9000000000000000000": 5,
    "--seq-len 10000000000": 5,
    "--num-layers 1000000000": 5,
    "--nonlinearity none --seq-len 1000000": 5,
    "--cell rmm": 2,
    "--cell lsmt": 2,
    "--cell lstm --nonlinearity relu": 2,
    "--nonlinearity sigmoid": 2,
    "--dtype float16": 2,
    "--device tpu": 2,
    "--seed 99999999999999999999999": 2,
    "--seed one": 2,
    "--units 5": 2,
    "--units 3-1": 2,
    "--steps 9:": 2,
    "--steps a": 2,
    "--proofs --units 0": 2,
    "--proofs --steps 0": 2,
    "--proofs --explain 1": 2,
    "--input hello --seq-len 3": 2,
    "--input hello --batch-size 2": 2,
    "--input hello --input-size 9": 2,
    "--save x.txt": 2,
    "--save nowhere/at/all/x.json": 6,
    "--from nothing.yaml": 3,
    "extra": 2,
    "--hiden-size 3": 2,
}


@pytest.mark.parametrize("words", REFUSED)
def test_refused_with_one_message(words: str, demo: Demo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = demo(*words.split())
    assert code == REFUSED[words], err
    assert out == ""
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_memory_is_said_before_anything_is_allocated(demo: Demo) -> None:
    _, _, err = demo("--hidden-size", "30000000")
    assert "needs" in err
    assert "available" in err


def test_the_nearest_name_is_offered(demo: Demo) -> None:
    assert "did you mean lstm" in demo("--cell", "lsmt")[2]
    assert "--hidden-size" in demo("--hiden-size", "3")[2]


def test_empty_input(demo: Demo) -> None:
    code, _, err = demo("--input", "")
    assert code == 2
    assert "--input must not be empty" in err


@pytest.mark.parametrize("text", ["a", "汉字汉", "\u200bx\x1b[31m", "🙂🙂", "tab\tline\n", " ", "\udc80"])
def test_any_text_is_read_letter_by_letter(text: str, demo: Demo) -> None:
    code, out, _ = demo("--input", text)
    assert code == 0
    assert "\x1b" not in out
    assert demo("--input", text, "--ascii")[1].isascii()


def test_input_may_repeat_what_it_says(demo: Demo) -> None:
    assert demo("--input", "hello", "--seq-len", "5", "--input-size", "4", "--batch-size", "1")[0] == 0


def test_choose() -> None:
    assert choose(None, 3, "--units") == [0, 1, 2]
    assert choose("0-2", 9, "--units") == [0, 1, 2]
    assert choose("0:2", 9, "--steps") == [0, 1]
    assert choose("7:", 9, "--steps") == [7, 8]
    assert choose(":2,5", 9, "--steps") == [0, 1, 5]
    assert choose("3,3,1", 9, "--units") == [3, 1]
    assert choose("0:999999999999", 3, "--steps") == [0, 1, 2]
    for text in ("", "9", "2:2", "-1", "1-", "1e3", "0" * 60):
        with pytest.raises(UsageError):
            choose(text, 9, "--units")


def test_the_command_line_of_a_demo_says_only_what_differs() -> None:
    assert Settings().command() == "rnncli demo"
    assert (
        Settings(cell="gru", bias=False, seed=3).command("--code") == "rnncli demo --cell gru --no-bias --seed 3 --code"
    )
    assert DemoOptions(input="it's").settings().command() == "rnncli demo --input 'it'\"'\"'s'"
    assert Settings(source="a b.yaml", hidden_size=9, cell="lstm").command() == "rnncli demo --from 'a b.yaml'"


def test_help_is_short_and_complete(demo: Demo) -> None:
    from rnncli.demos.settings import DemoOptions

    _, out, _ = demo("--help")
    for name in DemoOptions.__dataclass_fields__:
        assert f"--{ {'bias': 'no-bias', 'options': 'set'}.get(name, name.replace('_', '-')) }" in out
