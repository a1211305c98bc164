"""The self-test, run as a separate process: `python -m rnncli.doctor.selftest MODULE ...` writes JSON lines.

{"trying": NAME} before each part; then {"fact": NAME, "value": ...}, or {"check": NAME, "ok": ..., "diff", "tol",
"why"}. A final "trying" without a result shows what crashed the process. MODULE: modules to import as well.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

from rnncli.records import Json

if TYPE_CHECKING:
    from rnncli.training.outcome import Outcome

Made = TypeVar("Made")
Measured = tuple[float, float]  # the largest difference, and the tolerance


def torch_facts() -> dict[str, Json]:
    """torch's build options, and the devices it finds."""
    import torch

    gpus: list[Json] = []
    found: dict[str, Json] = {
        "version": str(torch.__version__),
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "onednn": torch.backends.mkldnn.is_available(),
        "mkl": torch.backends.mkl.is_available(),
        "openmp": torch.backends.openmp.is_available(),
        "threads": torch.get_num_threads(),
        "cuda_built": torch.version.cuda or torch.version.hip,
        "mps": torch.backends.mps.is_available(),
        "gpus": gpus,
    }
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            gpus.append({"name": about.name, "memory": about.total_memory})
        found["cudnn"] = torch.backends.cudnn.version()
    return found


def proofs() -> Measured:
    """The proofs of `rnncli demo --proofs`, for every cell; returns the one closest to its tolerance."""
    from rnncli.demos.page import demo_page
    from rnncli.demos.settings import Settings, Shown
    from rnncli.names import CELLS

    worst = (0.0, 1.0)
    for cell in CELLS:
        page = demo_page(Settings(cell=cell, seed=0), Shown(proofs=True))
        for check in page.checks():
            if not check.ok:
                raise AssertionError(f"{cell}: {check.name}: {check.text}")
            if check.tol and check.diff is not None and check.diff / check.tol > worst[0] / worst[1]:
                worst = (check.diff, check.tol)
    return worst


def engines() -> Measured:
    """rnn, gru and lstm with every engine that needs no extra: outputs and gradients with respect to x, in float64."""
    import torch

    from rnncli.cells import CoreSpec
    from rnncli.names import torch_cells
    from rnncli.nn.engines import ENGINES
    from rnncli.nn.recurrent import make_core, run_by
    from rnncli.replay import difference
    from rnncli.replay.rounding import SAFE_EXACT, unit

    worst = 0.0
    for cell in torch_cells():
        torch.manual_seed(0)
        spec = CoreSpec(cell, "tanh", 3, 5, 2, True, 0, True)
        core = make_core(spec).double()
        x = torch.randn(12, 4, 3, dtype=torch.float64)  # (T, B, I)
        found = []
        for engine in sorted(ENGINES, key=lambda name: name != "loop"):
            if ENGINES[engine].needs or not ENGINES[engine].can(spec):
                continue
            ours = x.clone().requires_grad_()
            output, _ = run_by(engine, core, ours, torch.tensor([12, 9, 5, 1]), None)
            found.append((output, torch.autograd.grad((output * output).sum(), ours)[0]))
        first, *others = found
        worst = max(worst, *(difference(a, b) for other in others for a, b in zip(first, other, strict=True)))
    return worst, SAFE_EXACT * unit(torch.float64)


def training(folder: Path) -> Outcome:
    """Train the recipe `hello` into a run folder. Raises AssertionError if it does not learn ohlol."""
    from rnncli.runs.train import run_training
    from rnncli.tasks import load_recipe
    from rnncli.training.job import prepare

    outcome = run_training(prepare(load_recipe("hello", ["train.device=cpu"])), folder, baselines=False)
    if outcome.metrics["accuracy"] != 1.0:
        raise AssertionError(f"accuracy {outcome.metrics['accuracy']:.4f} after {outcome.epochs} epochs, expected 1.0")
    return outcome


def reopening(folder: Path, outcome: Outcome) -> Measured:
    """Reopen the run folder: its weights reproduce the loss that training measured."""
    import torch

    from rnncli.replay.rounding import FACTOR, unit
    from rnncli.runs.evaluation import evaluate
    from rnncli.runs.open import open_run

    found = evaluate(open_run(folder), None, outcome.on)
    loss = outcome.metrics["loss"]
    return abs(found.metrics["loss"] - loss), FACTOR * unit(torch.float32) * max(1.0, loss)


def main(modules: list[str], to: TextIO) -> None:
    def say(**line: object) -> None:
        to.write(json.dumps(line) + "\n")
        to.flush()

    def check(name: str, what: Callable[[], Made]) -> Made | None:
        """Its return value; None if it failed. A broken library may raise anything."""
        say(trying=name)
        try:
            found = what()
        except Exception as error:
            say(check=name, ok=False, why=" ".join(f"{type(error).__name__}: {error}".split())[:300])
            return None
        diff, tol = found if isinstance(found, tuple) else (None, None)
        say(check=name, ok=diff is None or diff <= tol, diff=diff, tol=tol)
        return found

    imported = {name: bool(check(f"import {name}", partial(import_module, name))) for name in modules}
    if not imported.get("torch", True):
        say(trying="")
        return
    say(trying="torch")
    facts = torch_facts()
    say(fact="torch", value=facts)
    check("proofs", proofs)
    check("engines", engines)
    with tempfile.TemporaryDirectory() as folder:
        outcome = check("training", lambda: training(Path(folder)))
        if outcome is not None:
            check("reopening", lambda: reopening(Path(folder), outcome))
    say(trying="")


if __name__ == "__main__":
    # Output of libraries goes to stderr; only the JSON lines go to the original stdout.
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as own:  # libraries write settings and caches on import
        os.environ |= dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "KERAS_HOME", "MPLCONFIGDIR"), own)
        os.environ.setdefault("KERAS_BACKEND", "jax")
        main(sys.argv[1:], lines)
