"""--code and --classic against the article's script, written out here by hand, and against the demo's own numbers."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import warm
from tests.fixture_types import Demo, Document


def article(cell: str = "RNNCell", seed: int = 0, T: int = 3, B: int = 1, I: int = 4, H: int = 2, **more: Any) -> str:  # noqa: E741
    """The article's loop, its prints as it has them."""
    torch.manual_seed(seed)
    module = getattr(torch.nn, cell)(I, H, **more)
    dataset = torch.randn(T, B, I)
    hidden = torch.zeros(B, H)
    c = torch.zeros(B, H)
    printed = io.StringIO()
    with redirect_stdout(printed):
        for idx, input in enumerate(dataset):
            print("=" * 20, idx, "=" * 20)
            print("Input size:", input.shape)
            if cell == "LSTMCell":
                hidden, c = module(input, (hidden, c))
            else:
                hidden = module(input, hidden)
            print("outputs size: ", hidden.shape)
            print(hidden)
    return printed.getvalue()


def test_classic_prints_the_articles_text_and_nothing_else(demo: Demo) -> None:
    code, out, err = demo("--classic")
    assert code == 0
    assert out == (
        "==================== 0 ====================\n"
        "Input size: torch.Size([1, 4])\n"
        "outputs size:  torch.Size([1, 2])\n"
        "tensor([[-0.6982, -0.2092]], grad_fn=<TanhBackward0>)\n"
        "==================== 1 ====================\n"
        "Input size: torch.Size([1, 4])\n"
        "outputs size:  torch.Size([1, 2])\n"
        "tensor([[0.0192, 0.2561]], grad_fn=<TanhBackward0>)\n"
        "==================== 2 ====================\n"
        "Input size: torch.Size([1, 4])\n"
        "outputs size:  torch.Size([1, 2])\n"
        "tensor([[ 0.4844, -0.7970]], grad_fn=<TanhBackward0>)\n"
    )
    assert "sets no seed" in err
    assert demo("--classic")[1] == out


@pytest.mark.parametrize("seed", [0, 1, 2, 12345, -3])
@pytest.mark.parametrize("sizes", [(3, 1, 4, 2), (1, 1, 1, 1), (7, 3, 5, 6), (2, 20, 40, 30)])
def test_classic_is_byte_for_byte_the_plain_script(seed: int, sizes: tuple[int, int, int, int], demo: Demo) -> None:
    T, B, I, H = sizes  # noqa: E741
    words = f"--seed {seed} --seq-len {T} --batch-size {B} --input-size {I} --hidden-size {H} --classic"
    assert demo(*words.split())[1] == article("RNNCell", seed, T, B, I, H)


@pytest.mark.parametrize(
    ("words", "more"),
    [
        ("--cell lstm", {"cell": "LSTMCell"}),
        ("--cell gru", {"cell": "GRUCell"}),
        ("--cell gru --no-bias", {"cell": "GRUCell", "bias": False}),
        ("--nonlinearity relu", {"nonlinearity": "relu"}),
    ],
)
def test_classic_of_other_cells(words: str, more: dict[str, Any], demo: Demo) -> None:
    assert demo(*words.split(), "--classic")[1] == article(**more)


@pytest.mark.parametrize("words", ["", "--seed 3 --cell lstm --hidden-size 5 --seq-len 4", "--dtype float64"])
def test_the_printed_script_runs_alone_and_prints_what_classic_prints(words: str, demo: Demo, tmp_path: Path) -> None:
    _, script, err = demo(*words.split(), "--code")
    assert err == ""
    assert "rnncli" not in script
    assert script.isascii()
    (tmp_path / "plain.py").write_text(script, "ascii")
    alone = subprocess.run(
        [warm.python(), "-W", "error", "-I", str(tmp_path / "plain.py")], capture_output=True, text=True, check=True
    )
    assert alone.stdout == demo(*words.split(), "--classic")[1]


def executed(script: str) -> tuple[dict[str, Any], str]:
    scope: dict[str, Any] = {}
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(script, "demo.py", "exec"), scope)
    return scope, printed.getvalue()


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "feedforward"])
@pytest.mark.parametrize("more", ["", "--no-bias", "--batch-size 2 --dtype float64", "--nonlinearity none"])
def test_the_scripts_values_are_the_demos(cell: str, more: str, demo: Demo, document: Document) -> None:
    if "none" in more and cell in ("lstm", "gru"):
        pytest.skip("their nonlinearities are part of them")
    words = ["--cell", cell, *more.split(), "--seed", "4"]
    scope, printed = executed(demo(*words, "--code")[1])
    found = document(*words)["named"]
    hidden = scope["hidden"].detach()
    assert torch.equal(torch.tensor(found["x"], dtype=hidden.dtype), scope["dataset"])
    torch.testing.assert_close(torch.tensor(found["l0.fwd.h"][-1], dtype=hidden.dtype), hidden, rtol=0, atol=1e-6)
    shown = [ast.literal_eval(text) for text in re.findall(r"tensor\((\[\[.*?\]\])", printed, re.DOTALL)]
    for step, values in enumerate(shown):
        assert torch.allclose(torch.tensor(values), torch.tensor(found["l0.fwd.h"][step]), atol=6e-5)
    assert len(shown) == 3


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("more", ["--num-layers 2", "--bidirectional", "--num-layers 3 --bidirectional"])
def test_the_script_of_a_stack_is_the_module(cell: str, more: str, demo: Demo, document: Document) -> None:
    words = ["--cell", cell, *more.split()]
    scope, _ = executed(demo(*words, "--code")[1])
    output = torch.tensor(document(*words)["named"]["output"])
    torch.testing.assert_close(output, scope["output"].detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "words",
    [
        "--classic --num-layers 2",
        "--classic --bidirectional",
        "--classic --cell feedforward",
        "--classic --nonlinearity none",
        "--classic --input hello",
        "--code --input hello",
        "--classic --json",
        "--classic --full",
        "--code --save x.json",
        "--code --classic",
    ],
)
def test_what_has_no_script_is_said_and_exits_2(words: str, demo: Demo) -> None:
    code, out, err = demo(*words.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


def test_code_needs_no_torch() -> None:
    program = "import sys; from rnncli.cli import run; run(['demo', '--code']); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("words", "omitted"),
    [
        ("--set zoneout=0.3", "--set zoneout=0.3"),
        ("--cell lstm --num-layers 2", "--num-layers 2"),
        ("--cell mingru --bidirectional", "--bidirectional, --cell mingru"),
        ("--nonlinearity none --seed 4", "--nonlinearity none"),
    ],
)
def test_classic_names_what_it_does_not_support(words: str, omitted: str, demo: Demo) -> None:
    assert demo("--classic", *words.split())[2].splitlines()[-1] == f"next:  omit {omitted}"
