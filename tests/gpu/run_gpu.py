"""What has to be seen on a machine with one GPU, in eight minutes: `python -m tests.gpu.run_gpu --save found.json`.

Each step is a process of its own with a time limit of its own; a step that fails, hangs or runs out of time is said,
and the next begins. `--device cpu --small` runs the same steps where there is no GPU. Prints one JSON document; exit
code 1 where a step failed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rnncli import views
from rnncli.bench.sizes import Row, parse_size
from rnncli.bench.work import Setting, make
from rnncli.data.batch import Order
from rnncli.errors import UsageError
from rnncli.recipe import packaged_recipes
from rnncli.records import Checks, Page
from rnncli.replay import trace
from rnncli.runs.train import run_training
from rnncli.tasks import load_recipe, task_names
from rnncli.training.job import Job, prepare
from rnncli.training.loop import start, update
from rnncli.views import view_names
from rnncli.views._subject import subject_of_task

ROOT = Path(__file__).parents[2]
LIMIT = 470.0  # seconds of all steps together
SAID = 400  # characters kept of what a command says
Found = dict[str, Any]


class Failed(Exception):
    """A step saw something that it should not; its argument is what it found."""


@dataclass(frozen=True)
class Machine:
    """device: to run on. small: as little of everything as shows that the script itself is whole. patience: how many
    times its time a step may take, on a machine that does other work as well."""

    device: str
    small: bool
    folder: Path
    patience: float = 1.0

    def job(self, recipe: str, *sets: str, device: str = "") -> Job:
        return prepare(load_recipe(recipe, (f"train.device={device or self.device}", *sets)))

    def command(self, *words: str, seconds: float, **environment: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error of rnncli; 124 where it runs out of time."""
        seconds *= self.patience
        line = [sys.executable, "-m", *words]
        whole = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", **environment}
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=seconds, cwd=self.folder, env=whole)
        except subprocess.TimeoutExpired:
            return 124, "", f"not done after {seconds:.0f} s"
        return done.returncode, done.stdout, done.stderr


def losses_of(job: Job, steps: int) -> list[float]:
    """The loss of each of the first updates."""
    state, found, before = start(job), [], (0.0, 0.0)
    batches = job.batches(Order(job.config.train.seed, 1))
    for _, batch in zip(range(steps), batches, strict=False):
        update(job, state, batch)
        now = float(state.total), state.count
        found.append((now[0] - before[0]) / max(1e-9, now[1] - before[1]))
        before = now
    return found


def apart(ours: list[float], theirs: list[float]) -> float:
    """The largest difference, as a share."""
    return max(abs(a - b) / max(abs(b), 1e-9) for a, b in zip(ours, theirs, strict=True))


# ---------------------------------------------------------------------------------------------------------- the steps


def recipes(machine: Machine) -> Found:
    """Every packaged recipe, two updates and all that follows them."""
    from rnncli.cli import run

    names = ["hello"] if machine.small else packaged_recipes()
    codes = {name: run(["-q", "train", name, "--device", machine.device, "--fast-dev-run"]) for name in names}
    return require({"exit codes": codes}, not any(codes.values()))


def to_the_end(machine: Machine, recipe: str) -> Found:
    sets = ["--epochs", "1"] if machine.small else []
    words = ("rnncli", "train", recipe, "--device", machine.device, "--json", "--out", recipe, *sets)
    code, out, said = machine.command(*words, seconds=110)
    if code:
        raise Failed({"exit code": code, "said": said[-SAID:]})
    document = json.loads(out.splitlines()[-1])
    return {key: document[key] for key in ("metrics", "baselines")}


def losses(machine: Machine) -> Found:
    """The first updates of a recipe of each task, against the CPU's."""
    by_task = {load_recipe(name).config.task: name for name in packaged_recipes()}
    names = ["hello"] if machine.small else [by_task[task] for task in task_names()]
    sets, steps = ("model.engine=torch", "train.threads=1"), 3 if machine.small else 20
    shares = {
        name: apart(*(losses_of(machine.job(name, *sets, device=device), steps) for device in (machine.device, "cpu")))
        for name in names
    }
    return require({"updates": steps, "largest relative difference": shares}, max(shares.values()) < 2e-2)


def resume(machine: Machine) -> Found:
    """Cut after 7 updates and resumed, against in one piece: the same bytes of weights."""
    from rnncli.cli import run

    sets = ["train.epochs=2", "train.sample.length=0", "model.hidden_size=32", "data.window=16"]
    for name, limit in (("whole", 30), ("cut", 7)):
        (machine.folder / name).mkdir()
        run_training(machine.job("language-model", *sets, f"train.max_steps={limit}"), machine.folder / name)
    code = run(["-q", "train", "--resume", str(machine.folder / "cut"), "--set", "train.max_steps=30"])
    weights = [(machine.folder / name / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    return require({"exit code": code, "same bytes": weights[0] == weights[1]}, not code and weights[0] == weights[1])


def precision(machine: Machine) -> Found:
    """bf16 and fp16 against float32, and the scale that fp16 ends with. A CPU has no fp16, and says so."""
    steps, shares, found = 3 if machine.small else 40, {}, {}
    full = losses_of(machine.job("names"), steps)
    for name in ("bf16",) if machine.device == "cpu" else ("bf16", "fp16"):
        engine = "model.engine=torch" if name == "fp16" else "model.engine=auto"
        shares[name] = apart(losses_of(machine.job("names", f"train.precision={name}", engine), steps), full)
    if "fp16" in shares:
        sets = ("train.precision=fp16", "model.engine=torch", f"train.max_steps={steps}")
        found["metrics of a run in fp16"] = run_training(machine.job("names", *sets), None).metrics
    return require({"largest relative difference": shares, **found}, max(shares.values()) < 0.05)


def traces(machine: Machine) -> Found:
    """A trace of each cell on the device: the loop's replay against cuDNN there; then every view of a trained run."""
    checks = {}
    for cell in ("rnn", "gru", "lstm"):
        job = machine.job("names", f"model.cell={cell}", "model.num_layers=2")
        batch = next(job.batches(Order(0, 1))).to(job.device)
        checks[cell] = {check.name: check.ok for check in trace(job.model, batch).checks}
    job = machine.job("names", "train.max_steps=3", "train.epochs=1")
    run_training(job, None)
    seen = {name: viewed(job, name) for name in view_names()}
    wrong = [name for name, said in seen.items() if said not in ("ok", "not for this model")]
    fine = all(all(found.values()) for found in checks.values()) and not wrong
    return require({"checks of traces": checks, "views": seen}, fine)


def viewed(job: Job, name: str) -> str:
    """One view of the model where it lies: ok, not for this model, or what was wrong."""
    made = subject_of_task(job.recipe, job.model, job.splits.fitted, job.splits, title="run", origin="trained", rows=2)
    try:
        page: Page = views.page(name, replace(made, batch=made.batch.to(job.device)))
    except UsageError:
        return "not for this model"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:SAID]
    checks = [check for record in page.records if isinstance(record, Checks) for check in record.checks]
    return "; ".join(f"{check.name}: {check.diff} > {check.tol}" for check in checks if not check.ok) or "ok"


def bench(machine: Machine) -> Found:
    """cuDNN against bptt and loop: times, also by the device's own events, peak memory, share of the machine's peak."""
    size, engines = "8/2/5" if machine.small else "512/64/128", ("torch", "bptt", "loop")
    words = ("rnncli", "bench", "--device", machine.device, "--cell", "lstm", "--size", size, "--rounds", "5", "--json")
    given = [word for engine in engines for word in ("--engine", engine)]
    code, out, said = machine.command(*words, *given, seconds=50)
    if code:
        raise Failed({"exit code": code, "said": said[-SAID:]})
    rows = json.loads(out)["rows"]
    setting = Setting("train", torch.float32, torch.device(machine.device))
    made = make(Row("lstm", *parse_size(size)), setting)
    on_device = {engine: by_events(partial(made.once, engine), setting.device) for engine in engines}
    found = {"rows": rows, "seconds by events": on_device}
    counted = machine.device == "cpu" or all(row["peak_bytes"] and row["of_ceiling"] for row in rows)
    return require(found, counted and {row["engine"] for row in rows} == set(engines))


def by_events(run: Callable[[], object], device: torch.device, turns: int = 10) -> float:
    """Seconds of one run by the GPU's clock; elsewhere by the processor's."""
    run()
    if device.type != "cuda":
        began = time.perf_counter()
        for _ in range(turns):
            run()
        return (time.perf_counter() - began) / turns
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    for _ in range(turns):
        run()
    last.record()
    last.synchronize()
    return float(first.elapsed_time(last)) / 1000 / turns


def determinism(machine: Machine) -> Found:
    """The same command twice: the same bytes of weights."""
    weights = []
    for name in ("first", "second"):
        (machine.folder / name).mkdir()
        sets = ("train.max_steps=20", "train.epochs=1", "model.hidden_size=32")
        run_training(machine.job("names", *sets), machine.folder / name)
        weights.append((machine.folder / name / "model.safetensors").read_bytes())
    return require({"same bytes": weights[0] == weights[1]}, weights[0] == weights[1])


def two_processes(machine: Machine) -> Found:
    """Two processes: on one GPU refused in words, on CPUs they train together."""
    words = ("torch.distributed.run", "--nproc-per-node", "2", "--no-python", sys.executable, "-m", "rnncli", "train")
    rest = ("hello", "--device", machine.device, "--epochs", "2", "--out", "two")
    code, _, said = machine.command(*words, *rest, seconds=35, OMP_NUM_THREADS="1")
    refused = "1 GPU" in said
    fine = not code if machine.device == "cpu" or torch.cuda.device_count() > 1 else bool(code) and refused
    return require({"exit code": code, "refused in words": refused, "said": said[-SAID:]}, fine)


def out_of_memory(machine: Machine) -> Found:
    """More than any device holds: exit code 5, words, no traceback. One model that is too large, one batch that is."""
    found, fine = {}, True
    for name, sets in (
        ("model", ["model.hidden_size=400000"]),
        ("batch", ["train.batch_size=2000", "data.window=200", "model.hidden_size=16384"]),
    ):
        words = ("rnncli", "train", "language-model", "--device", machine.device, "--max-time", "20")
        given = [word for one in sets for word in ("--set", one)]
        code, _, said = machine.command(*words, *given, "--out", f"large-{name}", seconds=25)
        found[name] = {"exit code": code, "said": said[-SAID:]}
        fine = fine and code == 5 and "Traceback" not in said
    return require(found, fine)


def require(found: Found, fine: bool) -> Found:
    if not fine:
        raise Failed(found)
    return found


STEPS: dict[str, tuple[Callable[[Machine], Found], float]] = {  # with seconds that it may take
    "recipes": (recipes, 120),
    "losses against the CPU": (losses, 60),
    "resume": (resume, 30),
    "precision": (precision, 40),
    "traces and views": (traces, 50),
    "bench": (bench, 60),
    "determinism": (determinism, 20),
    "two processes": (two_processes, 40),
    "out of memory": (out_of_memory, 60),
    "language-model to the end": (lambda machine: to_the_end(machine, "language-model"), 120),
    "transcription to the end": (lambda machine: to_the_end(machine, "transcription"), 120),
}


# -------------------------------------------------------------------------------------------------------- all of them


def begun(step: str, words: list[str], seconds: float) -> Found:
    """A step in a process of its own: {ok, seconds, found or said}."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "tests.gpu.run_gpu", *words, "--step", step, "--save", f"{folder}/found.json"]
        with open(f"{folder}/said", "w+", encoding="utf-8") as said:
            process = subprocess.Popen(line, stdout=said, stderr=said, cwd=ROOT, start_new_session=True)
            try:
                process.wait(seconds)
                why = ""
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)  # what it has started, too
                process.wait()
                why = f"not done after {seconds:.0f} s"
            said.seek(0)
            last = said.read()[-SAID:]
        file = Path(folder) / "found.json"
        found: Found = json.loads(file.read_text("utf-8")) if file.exists() else {"ok": False, "said": why or last}
    return {"seconds": round(time.monotonic() - began, 1), **found}


def done(step: str, machine: Machine) -> Found:
    """A step in this process."""
    try:
        return {"ok": True, "found": STEPS[step][0](machine)}
    except Failed as failed:
        return {"ok": False, "found": failed.args[0]}
    except Exception as error:
        return {"ok": False, "said": f"{type(error).__name__}: {error}"[:SAID]}


def all_steps(
    names: list[str], limit: float, begin: Callable[[str, float], Found], clock: Callable[[], float] = time.monotonic
) -> dict[str, Found]:
    """Every step in turn, with its own seconds or what is left of all of them; whatever one does, the next begins."""
    until, found = clock() + limit, {}
    for name in names:
        left = until - clock()
        enough = left > 5
        own = STEPS[name][1] * patience_of(limit)
        found[name] = begin(name, min(own, left)) if enough else {"ok": False, "said": "no time left"}
    return found


def patience_of(limit: float) -> float:
    """A longer limit of all steps is one of each."""
    return max(1.0, limit / LIMIT)


def about(device: str) -> Mapping[str, Any]:
    """The machine, for the evidence."""
    found: Found = {"device": device, "torch": torch.__version__, "python": platform.python_version()}
    if device == "cuda" and torch.cuda.is_available():
        found |= {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
        found["cudnn"] = torch.backends.cudnn.version()
    return found


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="as little as shows that the script is whole")
    parser.add_argument("--only", nargs="*", choices=STEPS, help="these steps")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds of all steps together")
    parser.add_argument("--save", type=Path, help="also write the document there")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.step:
        with tempfile.TemporaryDirectory() as folder:
            document: Found = done(
                options.step, Machine(options.device, options.small, Path(folder), patience_of(options.limit))
            )
    else:
        words = ["--device", options.device, "--limit", str(options.limit), *(["--small"] if options.small else [])]
        steps = all_steps(options.only or list(STEPS), options.limit, lambda step, left: begun(step, words, left))
        document = {**about(options.device), "steps": steps, "ok": all(one["ok"] for one in steps.values())}
        print(json.dumps(document, indent=1))
    if options.save:
        options.save.write_text(json.dumps(document, indent=1, default=str) + "\n", encoding="utf-8")
    return 0 if document["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
