"""`rnncli bench --against`: compares rnncli and bare torch with other libraries, each in its own process, on the same
data.

First every arm's results from the same weights are compared with bare torch's; an arm that differs is rejected. Then
each arm finds its best thread count, and these are timed in turn.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from rnncli import cells
from rnncli.bench.ceilings import Around, square_ceiling
from rnncli.bench.engines import OnProgress, no_progress
from rnncli.bench.measure import Arm, Interval, Paired, Watch, median_of, row_by_row, spread_of, take_turns, warm_up
from rnncli.bench.peers import ALL, PEERS, Process
from rnncli.bench.peers.worker import LAYERS, LOSSES, Arrays
from rnncli.bench.sizes import CELLS, CHARACTER, CHARACTER_HIDDEN, DEFAULT, Pass, Row
from rnncli.bench.work import require_equal
from rnncli.data.batch import generator
from rnncli.device import usable_cores
from rnncli.errors import CheckFailed, UsageError
from rnncli.locale import tr
from rnncli.records import Json

LEARNING_RATE = 0.002
TOLERANCE = 2e-4  # for one layer's outputs and gradients, relative to the largest
LOOP_TOLERANCE = 1e-4  # for the scores before training and the losses of the first steps
TRIAL = 3  # rounds for choosing a thread count
SETTLE = 0.08  # seconds before each timing: threads of the arm before it spin on, ONNX Runtime's for 50 ms
SHORTEST = 0.03  # seconds: shorter work is repeated, after one untimed run
TOO_SLOW = 4.0  # a thread count this many times slower in its first run is dropped: its threads are waiting
FLOPS_PER_EPOCH = 4e10  # a training loop has 4 to 40 steps, as many as come close to this


@dataclass(frozen=True)
class Versus:
    """What to compare. loop: training of the character model; else one layer, for each of `passes`."""

    peers: Sequence[str]
    rows: Sequence[Row]
    passes: Sequence[Pass]
    loop: bool
    rounds: int
    budget: float

    @classmethod
    def of(
        cls,
        peers: Sequence[str],
        cells: Sequence[str],
        sizes: Sequence[tuple[int, int, int]],
        what: Pass | None,
        loop: bool,
        rounds: int,
        budget: float | None,
    ) -> Versus:
        """The plan with its defaults. Raises UsageError: a peer does not support the request."""
        B, T, _ = CHARACTER
        chosen = sizes or ([(H, B, T) for H in CHARACTER_HIDDEN] if loop else DEFAULT)
        rows = [Row(cell, *size) for cell in cells for size in chosen]
        passes: tuple[Pass, ...] = ("train",) if loop else (what,) if what else ("train", "forward")
        for peer in peers:
            able = PEERS[peer].loops if loop else bool(set(passes) & set(PEERS[peer].passes))
            if not able:
                raise UsageError(
                    tr("{peer} does not support this: {what}", peer=peer, what=tr("training") if loop else passes[0]),
                    where="--against",
                    todo=tr("supported: {passes}", passes=", ".join(PEERS[peer].passes)),
                )
        return cls(peers, rows, passes, loop, rounds, 12.0 if budget is None else budget)

    def arms(self, what: Pass) -> list[str]:
        """The arms of a pass: ours, then the peers that support it."""
        return [name for name in ("rnncli", "torch", *self.peers) if what in ALL[name].passes]


@dataclass(frozen=True)
class ArmResult:
    """One arm on one row. paired: speedup of rnncli; None for rnncli itself."""

    row: Row
    what: Pass
    arm: str
    threads: int
    seconds: Interval
    cold: float
    spread: float
    rate: float
    processors: float  # CPU seconds per second: the cores really used
    paired: Paired | None
    difference: float


@dataclass(frozen=True)
class ArmsOfRow:
    """Every arm on one row. ceiling: of products on all cores, around this row. trials: seconds by thread count."""

    row: Row
    what: Pass
    results: list[ArmResult]
    ceiling: Around
    trials: list[dict[str, Json]]

    def of_ceiling(self, standing: ArmResult, loop: bool) -> float:
        """The share of the ceiling that an arm reached, counting only the FLOPs of products."""
        return flops_of(self.row, self.what, loop) / standing.seconds.value / self.ceiling.rate


@dataclass
class Compared:
    """The measured rows. ended: why it ended before the last one."""

    plan: Versus
    versions: dict[str, str]
    watch: Watch
    rows: list[ArmsOfRow] = field(default_factory=list)
    ended: BaseException | None = None

    @property
    def results(self) -> list[ArmResult]:
        return [one for row in self.rows for one in row.results]


def layer_arrays(row: Row) -> Arrays:
    """x, the output's gradient, and weights in torch's layout, float32, drawn with a fixed seed."""
    draw = generator(0, row.H, row.B, row.T, CELLS.index(row.cell))
    bound, rows = row.H**-0.5, cells.CELLS[row.cell].num_gates * row.H
    return {
        "x": draw.standard_normal((row.T, row.B, row.inputs)).astype(np.float32),
        "d_output": draw.standard_normal((row.T, row.B, row.H)).astype(np.float32),
        "weight_ih": draw.uniform(-bound, bound, (rows, row.inputs)).astype(np.float32),
        "weight_hh": draw.uniform(-bound, bound, (rows, row.H)).astype(np.float32),
        "bias_ih": draw.uniform(-bound, bound, rows).astype(np.float32),
        "bias_hh": draw.uniform(-bound, bound, rows).astype(np.float32),
    }


def loop_arrays(row: Row) -> Arrays:
    """A text over V characters, each likely to follow a certain other, cut into windows (updates, T, B); and the
    weights of the character model, 2 layers."""
    V = CHARACTER[2]
    draw = generator(1, row.H, row.B, row.T, CELLS.index(row.cell))
    updates = steps_of(row)
    length = row.B * updates * row.T + 1
    follows = draw.permutation(V)
    surprise, drawn = draw.uniform(size=length) < 0.3, draw.randint(0, V, length)
    text = np.zeros(length, np.int64)
    for k in range(1, length):
        text[k] = drawn[k] if surprise[k] else follows[text[k - 1]]
    text[:V] = np.arange(V)  # every character occurs, so that a vocabulary of the text has size V
    windows = [text[s : s + row.B * updates * row.T].reshape(row.B, updates, row.T).transpose(1, 2, 0) for s in (0, 1)]
    found: Arrays = {"inputs": np.ascontiguousarray(windows[0]), "targets": np.ascontiguousarray(windows[1])}
    bound, rows = row.H**-0.5, cells.CELLS[row.cell].num_gates * row.H
    shapes = {"weight_ih": (rows, row.H), "weight_hh": (rows, row.H), "bias_ih": (rows,), "bias_hh": (rows,)}
    for k in range(LAYERS):
        for name, shape in shapes.items():
            found[f"{name}_l{k}"] = draw.uniform(-bound, bound, shape).astype(np.float32)
    found["embedding"] = draw.standard_normal((V, row.H)).astype(np.float32)
    found["head_weight"] = draw.uniform(-bound, bound, (V, row.H)).astype(np.float32)
    found["head_bias"] = draw.uniform(-bound, bound, V).astype(np.float32)
    return found


def steps_of(row: Row) -> int:
    """Training steps in one epoch of the training loop."""
    return int(min(40, max(4, FLOPS_PER_EPOCH // (LAYERS * row.flops("train")))))


def flops_of(row: Row, what: Pass, loop: bool) -> float:
    """FLOPs of the products of one layer, or of one epoch of the training loop, including the head."""
    if not loop:
        return row.flops(what)
    head = 3 * 2.0 * row.B * row.T * row.H * CHARACTER[2]
    return steps_of(row) * (LAYERS * row.flops(what) + head)


def measure_peers(
    plan: Versus, on_progress: OnProgress = no_progress, done: Callable[[ArmsOfRow], object] = no_progress
) -> Compared:
    """Measure every row of the plan; `done` is called for each. An error or a signal keeps the rows before it, see
    `Compared.ended`; on the first row it is raised: PeerFailed (a process), CheckFailed (a library's results
    differ)."""
    counts = tuple(dict.fromkeys((1, usable_cores())))
    rows = [(what, row) for what in plan.passes for row in plan.rows]
    found = Compared(plan, {}, Watch())
    on_progress(tr("starting the libraries"), 0, len(rows))
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        everyone = list(dict.fromkeys(arm for what in plan.passes for arm in plan.arms(what)))
        processes = {
            (arm, threads): stack.enter_context(Process(arm, threads, folder / f"{arm}-{threads}.log"))
            for arm in everyone
            for threads in counts
        }
        for process in processes.values():
            process.start()
            found.versions |= process.versions

        def measure(k: int) -> ArmsOfRow:
            what, row = rows[k]
            on_progress(f"{row.cell} {row.sizes} {what}", k, len(rows))
            mine = {key: process for key, process in processes.items() if key[0] in plan.arms(what)}
            return _measure_row(plan, row, what, mine, folder)

        found.rows, found.ended = row_by_row(range(len(rows)), measure, done)
    return found


def _measure_row(
    plan: Versus, row: Row, what: Pass, processes: dict[tuple[str, int], Process], folder: Path
) -> ArmsOfRow:
    """One row: prepare, compare with torch, choose thread counts, time."""
    file = folder / "arrays.npz"
    np.savez(file, **(loop_arrays(row) if plan.loop else layer_arrays(row)))  # type: ignore[arg-type]  # none is called allow_pickle
    work = {"cell": row.cell, "H": row.H, "B": row.B, "T": row.T, "pass": what, "loop": plan.loop}
    work |= {"V": CHARACTER[2], "lr": LEARNING_RATE}
    for process in processes.values():
        process.ask({"do": "prepare", "work": work, "arrays": str(file)})
    differences, cold = check_equal(processes, folder, LOOP_TOLERANCE if plan.loop else TOLERANCE)
    used: dict[tuple[str, int], list[float]] = {key: [] for key in processes}
    arms = {key: _arm(key, process, used[key]) for key, process in processes.items()}
    trials: list[dict[str, Json]] = []
    best = _best_threads(row, what, arms, trials)
    for key in best.values():
        arms[key].times.clear()
        used[key].clear()
    cpu = torch.device("cpu")
    before = square_ceiling(torch.float32, cpu)
    take_turns([arms[key] for key in best.values()], plan.rounds, plan.budget)
    ceiling = Around(before, square_ceiling(torch.float32, cpu))
    ours = arms[best["rnncli"]].times
    steps = row.B * row.T * (steps_of(row) if plan.loop else 1)
    results = []
    for name, key in best.items():
        times = arms[key].times
        seconds = median_of(times)
        results.append(
            ArmResult(
                row,
                what,
                name,
                key[1],
                seconds,
                cold[key],
                spread_of(times),
                steps / seconds.value,
                median_of(used[key]).value,
                None if name == "rnncli" else Paired.of(times, ours),
                differences[key],
            )
        )
    return ArmsOfRow(row, what, results, ceiling, trials)


def _best_threads(
    row: Row, what: Pass, arms: dict[tuple[str, int], Arm], trials: list[dict[str, Json]]
) -> dict[str, tuple[str, int]]:
    """For each library, the arm with the fastest thread count in a few rounds, which are recorded in `trials`."""
    warm_up(list(arms.values()), shortest=SHORTEST)
    quickest = {name: min(arm.cold for (peer, _), arm in arms.items() if peer == name) for name, _ in arms}
    hopeful = {key: arm for key, arm in arms.items() if arm.cold <= TOO_SLOW * quickest[key[0]]}
    take_turns(list(hopeful.values()), TRIAL)
    best: dict[str, tuple[str, int]] = {}
    for key, arm in hopeful.items():
        took = median_of(arm.times).value
        trials.append(
            {"cell": row.cell, "sizes": row.sizes, "pass": what, "arm": key[0], "threads": key[1], "seconds": took}
        )
        if key[0] not in best or took < median_of(arms[best[key[0]]].times).value:
            best[key[0]] = key
    return best


def _arm(key: tuple[str, int], process: Process, used: list[float]) -> Arm:
    """An arm timed by its own process, once the others' threads sleep: the pipe is not included."""

    def itself(repeat: int) -> float:
        time.sleep(SETTLE)
        answer = process.ask({"do": "time", "repeat": repeat})
        used.append(answer["processor"] / answer["seconds"])
        return float(answer["seconds"])

    return Arm(f"{key[0]}/{key[1]}", lambda: None, itself=itself)


def check_equal(
    processes: dict[tuple[str, int], Process], folder: Path, tolerance: float
) -> tuple[dict[tuple[str, int], float], dict[tuple[str, int], float]]:
    """Each arm's largest difference from bare torch, and the seconds of its first run.

    Raises CheckFailed naming the arm whose results differ.
    """
    expected: dict[str, torch.Tensor] = {}
    found: dict[tuple[str, int], float] = {}
    cold: dict[tuple[str, int], float] = {}
    for key in sorted(processes, key=lambda key: key[0] != "torch"):
        into = folder / "results.npz"
        cold[key] = processes[key].ask({"do": "results", "into": str(into)})["cold"]
        with np.load(into) as file:
            results = {name: torch.from_numpy(np.array(file[name], np.float64)) for name in file}
        expected = expected or results
        names = sorted(name for name in expected if name in results or name not in LOSSES)
        if set(LOSSES) & set(expected) and not set(LOSSES) & set(results):
            raise CheckFailed(tr("{name} returned no losses", name=key[0]), todo=tr("not timed"))
        found[key] = require_equal(
            [expected[name] for name in names],
            [results[name] for name in names if name in results],
            key[0],
            tolerance,
        )
    return found, cold
