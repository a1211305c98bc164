"""Other libraries: the protocol with bare torch and rnncli as peers; those installed are checked for equality."""

from __future__ import annotations

import ast
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from rnncli.bench import peers, versus
from rnncli.bench.ceilings import Around, Ceiling
from rnncli.bench.measure import Interval, Paired
from rnncli.bench.peers import ALL, OURS, PEERS, PeerFailed, Process, environment, require
from rnncli.bench.peers.torch_ import Torch
from rnncli.bench.sizes import Row
from rnncli.bench.versus import Versus, check_equal, layer_arrays, loop_arrays, steps_of
from rnncli.bench.versus_page import peers_page, row_line
from rnncli.cli import run
from rnncli.errors import CheckFailed, Missing, UsageError
from tests.json_schema import document_fits
from tests.narrowed import as_read, some

ROW = Row("gru", 6, 3, 5)
pytestmark = pytest.mark.usefixtures("starts_warm")


def test_every_peer_is_a_file_and_imports_no_torch() -> None:
    folder = Path(peers.__file__).parent
    files = {kind.module for kind in ALL.values()}
    assert files == {file.stem for file in folder.glob("*.py")} - {"__init__", "worker"}
    for name in [*(kind.module for kind in PEERS.values()), "worker", "__init__"]:
        tree = ast.parse((folder / f"{name}.py").read_text("utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any(name == "torch" or name.startswith("torch.") for name in names), name


def test_what_is_not_installed_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None if name in ("keras", "jax") else object())
    with pytest.raises(Missing, match="keras-jax") as caught:
        require(["keras-jax", "onnxruntime"])
    assert caught.value.exit_code == 5
    assert "jax, keras" in caught.value.what
    assert "onnxruntime" not in caught.value.what
    assert "pip install 'rnncli[peers]'" in caught.value.todo
    assert "pip install jax keras" in caught.value.todo


def test_every_library_is_told_how_many_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    one, two = environment("torch", 1, tmp_path), environment("rnncli", 2, tmp_path)
    assert (one["OMP_NUM_THREADS"], two["OMP_NUM_THREADS"], two["NPROC"]) == ("1", "2", "2")
    assert "--xla_cpu_multi_thread_eigen=false" in one["XLA_FLAGS"]
    assert "multi_thread" not in two.get("XLA_FLAGS", "")
    assert (one.get("OMP_WAIT_POLICY"), two["OMP_WAIT_POLICY"]) == (None, "passive")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")  # a user's own
    kept = [environment(peer, 2, tmp_path).get("OMP_WAIT_POLICY") for peer in ("torch", "rnncli")]
    assert kept == [None, "active"]


def ask(process: Process, row: Row, folder: Path, what: str = "train", loop: bool = False) -> None:
    arrays = folder / "arrays.npz"
    np.savez(arrays, **(loop_arrays(row) if loop else layer_arrays(row)))  # type: ignore[arg-type]  # none is called allow_pickle
    work = {"cell": row.cell, "H": row.H, "B": row.B, "T": row.T, "pass": what, "loop": loop, "V": 65, "lr": 0.002}
    process.ask({"do": "prepare", "work": work, "arrays": str(arrays)})


def installed(peer: str) -> bool:
    return all(find_spec(name) is not None for name in ALL[peer].needs)


OPTIONAL = [
    pytest.param(name, marks=[pytest.mark.evidence, pytest.mark.skipif(not installed(name), reason="not installed")])
    for name in PEERS  # they compile for half a minute
]


@pytest.mark.parametrize("peer", ["rnncli", *OPTIONAL])
def test_a_peer_computes_what_torch_does(peer: str, tmp_path: Path) -> None:
    with Process("torch", 1, tmp_path / "torch.log") as torch_, Process(peer, 1, tmp_path / "peer.log") as other:
        for process in (torch_, other):
            process.start()
        assert other.versions
        both = {("torch", 1): torch_, (peer, 1): other}
        for cell in ("rnn", "gru", "lstm"):
            for what in ALL[peer].passes:
                for process in both.values():
                    ask(process, Row(cell, 6, 3, 5), tmp_path, what)
                assert check_equal(both, tmp_path, 1e-5)[0][peer, 1] < 1e-5
        if ALL[peer].loops:
            for process in both.values():
                ask(process, Row("lstm", 6, 4, 20), tmp_path, loop=True)
            assert check_equal(both, tmp_path, 1e-4)[0][peer, 1] < 1e-4  # of the losses after updates, too
        answer = other.ask({"do": "time", "repeat": 2})
        assert answer["seconds"] > 0


def test_what_goes_wrong_in_a_peer_is_said(tmp_path: Path) -> None:
    with Process("torch", 1, tmp_path / "log") as process:
        process.start()
        with pytest.raises(PeerFailed, match="unknown request 'dance'"):
            process.ask({"do": "dance"})
        process._process.kill()
        process._process.wait()
        assert some(process._process.stdout).read() == ""  # a warm process ends just after the one that was killed
        with pytest.raises(PeerFailed, match="torch failed"):
            process.ask({"do": "hello", "threads": 1})


class Answering:
    """A peer whose results are made up."""

    def __init__(self, results: dict[str, Any]) -> None:
        self.results = results

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        np.savez(request["into"], **self.results)
        return {"cold": 0.0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"output": np.ones(3), "d_x": np.array([1.0, 1.0, 1.01])},
        {"output": np.ones(3)},
        {"output": np.ones(3), "d_x": np.full(3, np.nan)},
    ],
    ids=["number", "missing", "nan"],
)
def test_a_peer_that_computes_something_else_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    right = {"output": np.ones(3), "d_x": np.ones(3)}
    arms: Any = {("other", 1): Answering(right), ("torch", 1): Answering(right)}
    assert check_equal(arms, tmp_path, 1e-3)[0] == {("torch", 1): 0.0, ("other", 1): 0.0}
    arms["other", 1] = Answering(wrong)
    with pytest.raises(CheckFailed, match="other"):
        check_equal(arms, tmp_path, 1e-3)


def test_the_text_has_all_its_characters_and_targets_are_one_step_on() -> None:
    row = Row("rnn", 8, 50, 50)
    arrays = loop_arrays(row)
    assert arrays["inputs"].shape == (steps_of(row), 50, 50)
    assert set(np.unique(arrays["inputs"])) == set(range(65))
    streams = arrays["inputs"].reshape(-1, 50)
    targets = arrays["targets"].reshape(-1, 50)
    assert (streams[1:] == targets[:-1]).all()


def test_rnncli_cuts_the_text_into_the_same_windows() -> None:
    from rnncli.bench.peers.rnncli_ import Loop
    from rnncli.data.batch import Order

    arrays = loop_arrays(ROW)
    loop = Loop({"cell": "gru", "H": 6, "B": 3, "T": 5, "V": 65, "lr": 0.01}, arrays, 1)
    job = loop.job
    batches = list(job.task.batches(job.config, job.splits.train, Order(0, 1)))
    assert len(job.splits.fitted.tokens.tokens) == 65
    for batch, inputs, targets in zip(batches, arrays["inputs"], arrays["targets"], strict=True):
        assert torch.equal(batch.inputs, torch.from_numpy(inputs))
        assert batch.targets is not None
        assert torch.equal(batch.targets, torch.from_numpy(targets))


def test_torch_loop_starts_anew_for_its_results() -> None:
    arrays = loop_arrays(ROW)
    loop = Torch(1).loop({"cell": "gru", "H": 6, "B": 3, "T": 5, "V": 65, "lr": 0.01}, arrays)
    first = loop.results()
    loop.once()
    assert (loop.results()["losses"] == first["losses"]).all()
    assert first["losses"][0] > 3


def test_defaults_and_what_a_peer_cannot_do() -> None:
    plan = Versus.of(["jax", "onnxruntime"], ["gru"], [], None, False, 11, None)
    assert plan.passes == ("train", "forward")
    assert plan.arms("train") == ["rnncli", "torch", "jax"]
    assert plan.arms("forward") == ["rnncli", "torch", "jax", "onnxruntime"]
    assert [row.sizes for row in Versus.of(["jax"], ["gru"], [], None, True, 11, None).rows] == [
        "32/50/50",
        "128/50/50",
        "512/50/50",
    ]
    for loop, what in ((True, None), (False, "train"), (False, "step")):
        with pytest.raises(UsageError, match="onnxruntime does not support this"):
            Versus.of(["onnxruntime"], ["gru"], [], what, loop, 11, None)  # type: ignore[arg-type]


def test_a_whole_comparison_with_our_own_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    """bare torch in the place of a peer, so that it runs where nothing optional is installed."""
    monkeypatch.setattr(versus, "usable_cores", lambda: 1)
    assert sys.executable
    plan = Versus([], [ROW], ("train",), False, 5, 0.0)
    found = versus.measure_peers(plan)
    assert [s.arm for s in found.results] == list(OURS)
    assert found.results[0].paired is None
    assert found.results[1].paired is not None
    assert found.ended is None
    for standing in found.results:
        share = ROW.flops("train") / standing.seconds.value / found.rows[0].ceiling.rate
        assert found.rows[0].of_ceiling(standing, loop=False) == pytest.approx(share)
    assert row_line(found.rows[0]).startswith("gru 6/3/5 train: rnncli ")
    document = peers_page(found)
    from rnncli import render

    assert document_fits(render.to_json(document))
    rows = [row for row in as_read(render.to_json(document))["rows"] if row["table"] == "against"]
    assert [row["arm"] for row in rows] == ["rnncli", "torch"]
    assert {"threads", "tokens_per_second", "ratio", "verdict", "difference", "of_ceiling", "ceiling"} <= set(rows[0])
    assert "same-function" in [check.name for check in document.checks()]


class Starting:
    """A process that answers hello, and takes part in nothing."""

    versions: ClassVar[dict[str, str]] = {"torch": "2"}
    closed = 0

    def __init__(self, peer: str, threads: int, log: Path) -> None: ...

    def __enter__(self) -> Starting:
        return self

    def __exit__(self, *_: object) -> None:
        Starting.closed += 1

    def start(self) -> None: ...


def stands(row: Row, ratio: float) -> versus.ArmsOfRow:
    ours, theirs = [1.0] * 11, [ratio] * 11
    one = Interval(1.0, 1.0, 1.0)
    arms = [
        versus.ArmResult(row, "train", name, 1, one, 1.0, 0.0, 1.0, 1.0, paired, 0.0)
        for name, paired in (("rnncli", None), ("torch", Paired.of(theirs, ours)))
    ]
    return versus.ArmsOfRow(row, "train", arms, Around(Ceiling(250e9, "a"), Ceiling(343e9, "a")), [])


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143), (PeerFailed("gone"), 1)])
def test_a_comparison_that_is_stopped_shows_its_rows(
    end: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two rows of made-up times, on a machine whose ceiling moves, and then the end."""
    cells = iter(("rnn", "gru"))

    def stand(plan: Versus, row: Row, *_: object) -> versus.ArmsOfRow:
        cell = next(cells, None)
        if cell is None:
            raise end
        assert row.cell == cell
        return stands(row, 1.5)

    monkeypatch.setattr(versus, "Process", Starting)
    monkeypatch.setattr(versus, "_measure_row", stand)
    monkeypatch.setattr(peers, "missing", lambda peers: {})
    Starting.closed = 0
    assert run(["bench", "--against", "jax", "--train", "--size", "6/3/5"]) == code
    shown = capsys.readouterr()
    assert "stopped: 2 of 3 rows measured" in shown.out
    assert "rnncli is faster in 2 of 2 rows" in shown.out
    assert "shares of it are rough" in shown.out
    assert "withdrawn" not in shown.out
    assert shown.err.count("1.50 times torch (faster)") == 2
    assert Starting.closed > 0


def test_a_process_is_ended_at_once_where_a_bench_is(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Process("torch", 1, tmp_path / "log") as process:
        raise KeyboardInterrupt
    assert process._process.returncode not in (None, 0)
