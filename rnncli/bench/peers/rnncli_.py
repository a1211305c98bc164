"""rnncli itself, engine auto: a core through `nn.recurrent.run`, and the training loop of `rnncli train`."""

from __future__ import annotations

import tempfile
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

import rnncli
from rnncli.bench.peers import torch_
from rnncli.bench.peers.worker import CHECKED, LAYERS, Arrays, Job, Work, loop_results, serve
from rnncli.data.batch import Batch, Order
from rnncli.nn.recurrent import run
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from rnncli.training.loop import TrainState, epoch_batches, start, update

FIRST = 0x4E00  # first of the text's V consecutive characters, none of which counts as white space


class Layer(torch_.Layer):
    """The same module, with engine auto."""

    def run(self) -> Tensor:
        return run(self.core, self.x)[0]


class Loop(Work):
    """An epoch of the language-model task: its batches, loss, optimizer and bookkeeping, without the evaluation at the
    end. Like the other peers, and unlike `rnncli train`, each window starts from state 0."""

    def __init__(self, work: Job, arrays: Arrays, threads: int) -> None:
        self.arrays = arrays
        with tempfile.TemporaryDirectory() as folder:
            text = Path(folder) / "text.txt"
            text.write_text(as_text(arrays), "utf-8")
            recipe = load_recipe(
                {
                    "task": "language-model",
                    "data": {"path": str(text), "window": work["T"], "split": {"validation": 0.0}},
                    "model": {
                        "cell": work["cell"],
                        "hidden_size": work["H"],
                        "embedding_size": work["H"],
                        "num_layers": LAYERS,
                    },
                    "train": {"batch_size": work["B"], "lr": work["lr"], "threads": threads, "device": "cpu"},
                }
            )
            self.job = prepare(recipe)
        self.begin()

    def begin(self) -> None:
        names = {"embedding.weight": "front.weight"}
        state = {names.get(name, name): value for name, value in torch_.weights(self.arrays).items()}
        self.job.model.load_state_dict(state)
        self.state: TrainState = start(self.job)

    def once(self) -> None:
        self.train(len(self.arrays["inputs"]))

    def train(self, updates: int) -> list[float]:
        losses, self.state.next_batch = [], 0
        for batch in islice(epoch_batches(self.job, self.state), updates):
            self.state.carry = None
            before = self.state.total
            update(self.job, self.state, batch)
            losses.append(float(self.state.total - before) / batch.inputs.numel())
        return losses

    def results(self) -> Arrays:
        self.begin()
        job = self.job
        batch: Batch = next(job.batches(Order(0, 1)))
        with torch.no_grad():
            scores = job.model(batch).scores.numpy()
        return loop_results(self.train(CHECKED), scores)


def as_text(arrays: Arrays) -> str:
    """The windows joined into the text they were cut from: B lanes of (updates · T) steps one after the other, and the
    last lane's last target."""
    inputs = arrays["inputs"]  # (updates, T, B)
    streams = inputs.reshape(-1, inputs.shape[2]).T  # (B, updates · T)
    tokens = [*streams.reshape(-1).tolist(), int(arrays["targets"][-1, -1, -1])]
    return "".join(chr(FIRST + token) for token in tokens)


class Rnncli(torch_.Torch):
    def versions(self) -> dict[str, str]:
        return {"rnncli": rnncli.__version__, "torch": torch.__version__}

    def layer(self, work: Job, arrays: Arrays) -> Work:
        return Layer(work, arrays)

    def loop(self, work: Job, arrays: Arrays) -> Work:
        return Loop(work, arrays, self.threads)


if __name__ == "__main__":
    serve(Rnncli)
