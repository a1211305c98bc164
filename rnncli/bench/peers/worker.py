"""The main loop of a peer's process: reads a request, runs it, answers. Only numpy and the standard library."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]  # float32; inputs and targets are integers
Job = TypedDict(
    "Job",
    {"cell": str, "H": int, "B": int, "T": int, "V": int, "pass": str, "loop": bool, "updates": int, "lr": float},
    total=False,
)


class Answer(TypedDict, total=False):
    """The answer to a request: hello, prepare (empty), results, time; or an error. All times in seconds."""

    versions: dict[str, str]
    cold: float
    seconds: float
    processor: float
    error: str


class Work(ABC):
    """Prepared work that can be run repeatedly."""

    @abstractmethod
    def once(self) -> None:
        """Run it once, synchronously."""

    @abstractmethod
    def results(self) -> Arrays:
        """Its results by name, in torch's layout, for the comparison before timing. The first call: compilation happens
        here."""


class Library(ABC):
    """A peer: its versions and what it can build. work: cell, H, B, T, pass (layer); cell, H, B, T, V, updates, lr
    (loop).

    arrays, a layer: x (T, B, I), d_output (T, B, H), weight_ih, weight_hh, bias_ih, bias_hh as in torch. A loop:
    inputs and targets (updates, T, B), embedding (V, H), weight_ih_l0 ... bias_hh_l1, head_weight (V, H), head_bias.
    """

    def __init__(self, threads: int) -> None:  # JAX reads them from the environment
        self.threads = threads

    @abstractmethod
    def versions(self) -> dict[str, str]: ...

    @abstractmethod
    def layer(self, work: Job, arrays: Arrays) -> Work: ...

    def loop(self, work: Job, arrays: Arrays) -> Work:
        raise NotImplementedError("this peer does not train")


def serve(make: Callable[[int], Library]) -> None:
    """Answer requests until standard input ends. make: threads -> Library. The library's output goes to stderr.

    Ctrl-C is handled by the parent process: it shows what it has, and ends this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    library: Library | None = None
    work: Work | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer: Answer = {}
            match request["do"]:
                case "hello":
                    library = make(request["threads"])
                    answer = {"versions": library.versions()}
                case "prepare":
                    assert library is not None
                    with np.load(request["arrays"]) as file:
                        arrays = dict(file)
                    build = library.loop if request["work"]["loop"] else library.layer
                    work = build(request["work"], arrays)
                case "results":
                    assert work is not None
                    began = time.perf_counter()
                    results = work.results()
                    answer = {"cold": time.perf_counter() - began}
                    np.savez(request["into"], **results)  # type: ignore[arg-type]  # none is called allow_pickle
                case "time":
                    assert work is not None
                    if request["repeat"] > 1:  # its threads wake up, and the caches hold its data again
                        work.once()
                    processor, began = time.process_time(), time.perf_counter()
                    for _ in range(request["repeat"]):
                        work.once()
                    answer = {
                        "seconds": (time.perf_counter() - began) / request["repeat"],
                        "processor": (time.process_time() - processor) / request["repeat"],
                    }
                case other:
                    raise ValueError(f"unknown request {other!r}")
        except Exception as error:  # an exception of the library is the answer to this request
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


LAYERS = 2
CHECKED = 3  # training steps whose losses are compared; see loop_results


LOSSES = ("losses", "losses_one_bias")


def loop_results(losses: list[float], scores: npt.ArrayLike, *, one_bias: bool = False) -> Arrays:
    """The results that training loops are compared on: the scores of the first window before training, and the losses
    of the first steps. one_bias: for layers with one bias where torch has b_ih and b_hh, which Adam moves twice as far;
    bare torch computes both kinds of losses, the second with b_hh frozen."""
    name = LOSSES[1] if one_bias else LOSSES[0]
    return {"scores": np.asarray(scores, np.float64), name: np.asarray(losses, np.float64)}
