"""Worksheets for a class: what --nice draws, the name line, title and formulas of every form, many sheets at once."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import torch

from rnncli.cells import CELLS
from rnncli.demos.network import build
from rnncli.demos.settings import Settings
from tests.fixture_types import Demo
from tests.report.test_latex import sound

SEEDS = range(12)
WIDER = Settings(seq_len=5, batch_size=2, input_size=6, hidden_size=3, num_layers=2, bidirectional=True, nice=True)


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))


def gradients(settings: Settings) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The states h of an rnn written out here, (B, H) each, and the gradients of the last one's sum towards them."""
    net = build(settings)
    w = {name: tensor.detach().double() for name, tensor in net.core.named_parameters()}
    h = net.state[0][0].double().requires_grad_()
    states = []
    for x in net.x.double():
        a = x @ w["weight_ih_l0"].T + w["bias_ih_l0"] + h @ w["weight_hh_l0"].T + w["bias_hh_l0"]
        h = torch.tanh(a)
        states.append(h)
    found = torch.autograd.grad(states[-1].sum(), states)
    return [h.detach() for h in states], list(found)


@pytest.mark.parametrize("seed", SEEDS)
def test_nice_numbers_of_an_rnn_do_not_saturate(seed: int) -> None:
    """Written out: |h| leaves a slope of tanh, and the gradient reaches the first step."""
    states, found = gradients(Settings(seed=seed, nice=True))
    assert max(float(h.abs().max()) for h in states) <= 0.9
    assert min(float(gradient.abs().max()) for gradient in found) >= 0.02
    assert min(float(h.abs().max()) for h in states) > 0


@pytest.mark.parametrize("cell", [cell for cell in CELLS.files if CELLS[cell].torch_class])
def test_nice_numbers_of_torch_modules_do_not_saturate(cell: str) -> None:
    """torch's own module runs them; several layers, directions and samples too."""
    for settings in (*(Settings(cell=cell, nice=True, seed=seed) for seed in SEEDS), WIDER):
        net = build(settings)
        with torch.no_grad():
            output, _ = net.core(net.x, net.state if len(net.state) > 1 else net.state[0])
        assert float(output.abs().max()) <= 0.9
        assert bool((output.abs().amax((0, 1)) >= 0.02).all())


@pytest.mark.parametrize("cell", CELLS.files)
def test_nice_numbers_are_halves_in_every_cell(cell: str) -> None:
    net = build(Settings(cell=cell, nice=True, seed=4))
    for values in (net.x, *net.state, *net.core.parameters()):
        assert bool((values * 2 == (values * 2).round()).all())
        assert float(values.detach().abs().max()) <= 1
        assert not bool((torch.signbit(values) & (values == 0)).any())  # no -0 on paper
    weights = [parameter for name, parameter in net.core.named_parameters() if parameter.dim() > 1]
    assert all(bool((weight != 0).any(1).all()) for weight in weights)


def test_nice_numbers_go_around_those_that_are_given(demo: Demo, tmp_path: Path) -> None:
    given = tmp_path / "own.yaml"
    given.write_text("x: [[3, 2, 3, 2], [3, 3, 2, 2], [2, 3, 2, 3]]\n", encoding="utf-8")
    file = tmp_path / "made.csv"
    assert demo("--from", str(given), "--nice", "--seed", "1", "--save", str(file))[0] == 0
    rows = rows_of(file)
    assert max(abs(float(row[f"h[{k}]"])) for row in rows for k in (0, 1)) <= 0.9
    assert [float(rows[0][f"x[{k}]"]) for k in range(4)] == [3, 2, 3, 2]


@pytest.mark.parametrize("ending", ["html", "md", "tex", "csv"])
@pytest.mark.parametrize("explain", ["--explain", "--explain-backward"])
def test_every_form_has_a_title_a_name_line_and_the_formula(
    ending: str, explain: str, demo: Demo, tmp_path: Path
) -> None:
    file = tmp_path / f"sheet.{ending}"
    words = ("--nice", explain, "0", "--title", "Homework 3")
    out = demo(*words, "--blanks", "--save", str(file))[1]
    assert out.startswith("Homework 3")
    assert "Name: ____" in out
    assert "h_t = tanh(W_ih·x_t" in out
    text = file.read_text(encoding="utf-8")
    assert "Homework 3" in text
    assert ("name" if ending == "csv" else "Name:") in text
    assert (r"h_{t} = {\tanh}(W_{ih}" if ending == "tex" else "tanh(W") in text
    assert "Name:" not in demo(*words)[1]  # of its key


def test_a_name_in_a_sheet_is_said_with_its_result(demo: Demo, tmp_path: Path) -> None:
    blank, key = tmp_path / "sheet.csv", tmp_path / "key.csv"
    words = ("--nice", "--explain", "1", "--cell", "gru")
    demo(*words, "--blanks", "--save", str(blank))
    demo(*words, "--save", str(key))
    rows, right = rows_of(blank), [row["value"] for row in rows_of(key)]
    sums = [row for row in rows if row["unit"]]
    assert [row["term"] for row in rows if not row["unit"]] == ["title", "name", "formula", "formula"]
    for row, value in zip(sums, right, strict=True):
        row["value"] = value
    for column in ("written", "value"):
        rows[1] |= {"written": "", "value": "", column: "Ann Lee"}
        with open(tmp_path / "filled.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        code, out, err = demo(*words, "--check", str(tmp_path / "filled.csv"))
        assert code == 0, err
        assert "name: Ann Lee" in out


@pytest.mark.parametrize("ending", ["html", "csv", "tex"])
def test_many_sheets_in_one_process(ending: str, demo: Demo, tmp_path: Path) -> None:
    words = ("--nice", "--explain", "1", "--blanks", "--count", "11", "--save", str(tmp_path / f"s.{ending}"))
    code, out, err = demo(*words)
    assert (code, out) == (0, "")
    said = f"wrote 11 worksheets and their keys: {tmp_path}/s-01.{ending} ... {tmp_path}/s-11-key.{ending}"
    assert err.splitlines()[-1] == said
    names = [f"s-{seed:02}{end}.{ending}" for seed in range(1, 12) for end in ("", "-key")]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(names)
    texts = {(tmp_path / name).read_bytes() for name in names}
    assert len(texts) == len(names)
    alone = tmp_path / f"alone.{ending}"
    assert demo("--nice", "--explain", "1", "--seed", "7", "--save", str(alone))[0] == 0
    assert alone.read_bytes() == (tmp_path / f"s-07-key.{ending}").read_bytes()
    if ending == "csv":
        assert demo("--nice", "--explain", "1", "--seed", "7", "--check", str(tmp_path / "s-07-key.csv"))[0] == 0
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    code, _, err = demo(*words)
    assert code == 2
    assert "s-01" in err
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_sheets_are_numbered_by_their_seeds(demo: Demo, tmp_path: Path) -> None:
    words = ("--explain", "1", "--blanks", "--save", str(tmp_path / "s.md"))
    assert demo(*words, "--seed", "41", "--count", "2")[0] == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["s-41-key.md", "s-41.md", "s-42-key.md", "s-42.md"]
    blocked = tmp_path / "s-44-key.md"
    blocked.write_text("mine", encoding="utf-8")
    assert demo(*words, "--seed", "43", "--count", "2")[0] == 2  # before anything is written
    assert blocked.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "s-43.md").exists()


@pytest.mark.parametrize(
    "words",
    [
        "--count 2",
        "--explain 1 --count 2 --save s.html",
        "--explain 1 --blanks --count 2",
        "--explain 1 --blanks --count 0 --save s.html",
        "--explain 1 --blanks --count 2 --save s.nope",
        "--explain 1 --blanks --count 2 --save s.html --json",
        "--explain 1 --blanks --count 2 --save s.html --from x.yaml",
        "--title x",
        "--title x --proofs",
    ],
)
def test_what_does_not_go_with_sheets(words: str, demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = demo(*words.split())
    assert (code, out) == (2, "")
    assert "error: " in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cell", [cell for cell in CELLS.files if CELLS[cell].written])
def test_sheets_of_every_cell_are_sound_latex(cell: str, demo: Demo, tmp_path: Path) -> None:
    for k, words in enumerate(("--blanks", "--num-layers 2 --bidirectional")):
        file = tmp_path / f"{cell}-{k}.tex"
        assert demo("--nice", "--cell", cell, "--explain", "0", *words.split(), "--save", str(file))[0] == 0
        sound(file.read_text(encoding="utf-8"))
