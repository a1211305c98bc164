"""`engine: auto` chooses by what was measured, and the table in the code is what was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import rnncli
from rnncli.bench import gains
from rnncli.cells import CoreSpec
from rnncli.nn.engines import Work
from rnncli.nn.engines._measured import ENGINES, kind_of, times_torch
from rnncli.nn.recurrent import choose_engine
from rnncli.ratios import RATIOS
from tests.fixture_types import AsKept

EVIDENCE = Path(__file__).parents[1] / "evidence" / "compiled.json"
TABLE = Path(rnncli.__file__).with_name("ratios.py")
NUMBA = ENGINES[1]


def test_the_table_is_what_was_measured(as_kept: AsKept) -> None:
    lines = [
        '"""How many times as fast as torch\'s module bptt and compiled are, by cell and kind of work; rows of H, B, T',
        "and the two, medians of paired rounds. One thread if not stated. Written from tests/evidence/compiled.json:",
        'pytest --rewrite-golden tests/nn/test_measured.py."""',
        "",
        "RATIOS: dict[tuple[str, str], tuple[tuple[float, ...], ...]] = {",
    ]
    for name, found in json.loads(EVIDENCE.read_text("utf-8")).items():
        cell, _, kind = name.partition(", ")
        lines.append(f'    ("{cell}", "{kind}"): (')
        for row in found["rows"]:
            ratios = [f"{row['over torch'][engine][0]:.2f}" for engine in ENGINES]
            lines.append(f"        ({row['H']}, {row['B']}, {row['T']}, {', '.join(ratios)}),")
        lines.append("    ),")
    as_kept(TABLE, "\n".join([*lines, "}", ""]))


WORK = {
    "train": Work(torch.float32, "cpu", 20),
    "train, float64": Work(torch.float64, "cpu", 20),
    "train, padded": Work(torch.float32, "cpu", 20, padded=True),
    "forward": Work(torch.float32, "cpu", 20, gradients=False),
    "forward, padded": Work(torch.float32, "cpu", 20, padded=True, gradients=False),
    "train, 2 threads": Work(torch.float32, "cpu", 20, threads=2),
    "forward, 2 threads": Work(torch.float32, "cpu", 20, gradients=False, threads=2),
}


@pytest.mark.parametrize(("cell", "kind"), RATIOS)
def test_auto_takes_nothing_slower_than_torch_by_more_than_a_twentieth(
    cell: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every size that was measured, B=1 and B=512 among them, with and without numba."""
    work = WORK[kind]
    assert kind_of(work) == kind
    sizes = {row[:3] for row in RATIOS[cell, kind]}
    assert {1, 512} <= {int(B) for _, B, _ in sizes}
    for installed in (True, False):
        monkeypatch.setattr("rnncli.nn.engines._base._installed", lambda name, here=installed: here)
        for H, B, T, *ratios in RATIOS[cell, kind]:
            spec = CoreSpec(cell, "tanh", int(H), int(H))
            kind_of_work = {"padded": work.padded, "gradients": work.gradients}
            taken = choose_engine(spec, work.dtype, "cpu", T=int(T), B=int(B), threads=work.threads, **kind_of_work)
            over = dict(zip(ENGINES, ratios, strict=True)) | {"torch": 1.0}
            assert over[taken] >= 0.95
            assert taken != NUMBA or installed


def test_the_nearest_sizes_decide_and_what_was_not_measured_is_torchs() -> None:
    for cell, kind in RATIOS:
        for H, B, T, *ratios in RATIOS[cell, kind]:
            spec, work = CoreSpec(cell, "tanh", 3, int(H)), WORK[kind]
            here = replace(work, T=int(T), B=int(B))
            assert [times_torch(engine, spec, here) for engine in ENGINES] == ratios
    for work in (Work(torch.float32, "cuda", 20), Work(torch.bfloat16, "cpu", 20)):
        assert choose_engine(CoreSpec("gru", "tanh", 9, 64), work.dtype, work.device, T=20) == "torch"
        assert times_torch("compiled", CoreSpec("gru", "tanh", 9, 64), work) == 0.0


def test_what_numba_would_gain_is_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over what `auto` takes without it: torch's module, or bptt; never below 1."""
    table = {
        ("gru", "train"): ((8, 8, 20, 1.5, 3.0), (32, 512, 20, 0.9, 0.8)),
        ("lstm", "train"): ((8, 8, 20, 0.3, 2.0),),
    }
    monkeypatch.setattr(gains, "RATIOS", table)
    assert gains.gain("gru", "train") == (1.0, 2.0)
    assert gains.gain("rnn", "train") is None
    assert gains.gain_text(("rnn", "gru", "lstm"), "train") == "gru 1.0 to 2.0, lstm 2.0"
    assert gains.gain_text(("rnn",), "train") == ""
