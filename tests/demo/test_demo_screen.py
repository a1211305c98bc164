"""What demo prints, against the golden files, and the size of its screens."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from tests.fixture_types import Demo, Golden

SCREENS = {
    "first": "",
    "lstm": "--cell lstm",
    "gru": "--cell gru",
    "bidirectional": "--bidirectional",
    "grid": "--num-layers 2 --bidirectional",
    "feedforward": "--cell feedforward",
    "linear": "--nonlinearity none",
    "relu": "--nonlinearity relu --no-bias",
    "hello": "--input hello",
    "explain": "--explain 1",
    "proofs": "--proofs",
    "long": "--seq-len 300",
}


def steady(text: str) -> str:
    """Without what a machine or a torch version changes: rounding differences and the version."""
    text = re.sub(r"\S+ +\(tol [^)]+\)", "DIFF  (tol TOL)", text)
    text = re.sub(r" {2,}DIFF", "  DIFF", text)
    return re.sub(r" *seed 0 · cpu · float32 · torch [\d.]+", "  META", text)


@pytest.mark.parametrize("name", SCREENS)
def test_the_screen_is_the_golden_one_and_fits_a_projector(name: str, demo: Demo, golden: Golden) -> None:
    code, out, err = demo(*SCREENS[name].split())
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(cell_len(line) for line in lines) <= 80
    assert len(lines) <= (33 if name == "explain" else 23)  # and the prompt; the sums come first, words after them
    golden(f"demo-{name}", steady(out))


def test_the_first_screen_has_the_numbers_of_the_plain_script(demo: Demo) -> None:
    _, out, _ = demo()
    for line in (
        "0  -0.7193 -0.4033 -0.5966  0.1820        0       0     -0.6982 -0.2092",
        "1  -0.8567  1.1006 -1.0712  0.1227   0.0047  0.1783      0.0192  0.2561",
        "2  -0.5663  0.3731 -0.8920 -1.5091   0.0467 -0.0397      0.4844 -0.7970",
        "RNNCell(4, 2) tanh, 16 parameters",
        "same weights at every step: 16 parameters at T = 3, 30 and 300",
    ):
        assert line in out


@pytest.mark.parametrize("words", ["", "--cell lstm", "--proofs", "--explain all", "--input héllo"])
def test_ascii_is_ascii(words: str, demo: Demo) -> None:
    code, out, _ = demo(*words.split(), "--ascii")
    assert code == 0
    assert out.isascii()


def test_wide_numbers_are_cut_and_said(demo: Demo) -> None:
    _, out, _ = demo("--hidden-size", "300", "--seq-len", "50")
    assert "of 300" in out
    assert "rows 0-1 ... 48-49 of 50" in out
    _, full, _ = demo("--hidden-size", "30", "--full")
    assert "..." not in full


def test_steps_and_units_choose(demo: Demo) -> None:
    _, out, _ = demo("--seq-len", "9", "--steps", "2:4", "--units", "1", "--hidden-size", "3")
    rows = [line for line in out.splitlines() if re.match(r"\d  ", line)]
    assert [row[0] for row in rows] == ["2", "3"]
    assert "units 1 of 3" in out


def test_next_commands_name_this_demo_and_run(demo: Demo) -> None:
    _, out, _ = demo("--cell", "lstm", "--hidden-size", "3", "--seed", "5")
    command = next(re.findall(r"rnncli demo (.*?--explain 1)", line)[0] for line in out.splitlines() if "next" in line)
    assert demo(*command.split())[0] == 0


def test_several_samples_have_a_row_each(demo: Demo) -> None:
    _, out, _ = demo("--batch-size", "2", "--seq-len", "2")
    rows = [line.split()[:2] for line in out.splitlines() if re.match(r"[ \d]  \d", line)]
    assert [row[-1] if k % 2 == 0 else row[0] for k, row in enumerate(rows)] == ["0", "1", "0", "1"]
