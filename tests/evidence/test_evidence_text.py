"""The hello family over seeds 0 to 4; parts of speech; the language model beside a loop in plain torch.

RNNCLI_TEXT=FILE names a text of about a megabyte of UTF-8, such as the tiny Shakespeare of char-rnn's examples.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncli.cli.watching import Lines
from rnncli.render.progress import LiveProgress
from rnncli.tasks import language_model, load_recipe
from rnncli.training.job import Job, prepare, with_cell
from rnncli.training.loop import Progress, fit
from tests.evidence.evidence_runs import SEEDS, figures, write
from tests.evidence.measured_runs import figures_on_test
from tests.narrowed import of_kind

pytestmark = pytest.mark.evidence


def test_the_hello_family_reaches_ohlol_for_every_seed() -> None:
    found: list[dict[str, Any]] = []
    for name in ("hello", "hello-cell", "hello-embedding"):
        runs: list[dict[str, Any]] = []
        for seed in SEEDS:
            job = prepare(load_recipe(name, (f"train.seed={seed}",)))
            epochs = [p for p in fit(job) if p.event == "epoch"]
            first = next(p.epoch for p in epochs if p.watch == "ohlol")
            control = with_cell(job, "feedforward")
            *_, last = fit(control)
            runs.append(
                {
                    "seed": seed,
                    "answer": epochs[-1].watch,
                    "letters": sum(map(str.__eq__, epochs[-1].watch, "ohlol")),
                    "first_right": first,
                    "without_memory": round(5 * last.metrics["accuracy"]),
                    "loss": epochs[-1].loss,
                }
            )
        found.append({"recipe": name, "runs": runs})
    write("hello", found)
    assert all(run["answer"] == "ohlol" for recipe in found for run in recipe["runs"])


def test_parts_of_speech_beat_the_most_frequent_tag() -> None:
    found = figures_on_test("pos-tagging")
    write("pos-tagging", [found])
    for run in found["runs"]:
        reached = run["rows"]["lstm"]["accuracy"]
        assert reached > run["rows"]["most frequent label"]["accuracy"] + 0.05, run["seed"]
        assert reached > run["rows"]["feedforward"]["accuracy"] + 0.05, run["seed"]


def test_language_models_beat_the_bigram() -> None:
    found = [figures(name, ("train.threads=1",)) for name in ("language-model", "word-language-model")]
    write("language-models", found)
    for recipe in found:
        for run in recipe["runs"]:
            assert run["rows"]["lstm"]["bits"] < 0.85 * run["rows"]["bigram"]["bits"], (recipe["recipe"], run["seed"])


class Bare:
    """The language model's recipe in plain torch: one epoch, step by step."""

    def __init__(self, ids: Tensor, config: Any, size: int, *, fused: bool) -> None:
        model, train = config.model, config.train
        torch.manual_seed(train.seed)
        self.front = nn.Embedding(size, model.embedding_size)
        self.rnn = nn.LSTM(model.embedding_size, model.hidden_size)
        self.head = nn.Linear(model.hidden_size, size)
        self.parameters = [*self.front.parameters(), *self.rnn.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=train.lr, fused=fused)
        self.clip, self.window = train.clip_grad_norm, config.data.window
        steps = (len(ids) - 1) // train.batch_size
        used = steps * train.batch_size
        self.inputs = ids[:used].view(train.batch_size, steps).t().contiguous()  # (S, B)
        self.targets = ids[1 : used + 1].view(train.batch_size, steps).t().contiguous()

    def steps(self) -> Iterator[Tensor]:
        state = None
        for start in range(0, len(self.inputs), self.window):
            x, y = self.inputs[start : start + self.window], self.targets[start : start + self.window]
            output, state = self.rnn(self.front(x), state)
            state = (state[0].detach(), state[1].detach())
            loss = F.cross_entropy(self.head(output).flatten(0, 1), y.flatten())
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters, self.clip)
            self.optimizer.step()
            yield loss.detach()

    def held_out(self, ids: Tensor) -> float:
        with torch.no_grad():
            return F.cross_entropy(self.head(self.rnn(self.front(ids[:-1, None]))[0])[:, 0], ids[1:]).item()


@pytest.mark.skipif("RNNCLI_TEXT" not in os.environ, reason="RNNCLI_TEXT=FILE is not set")
def test_a_megabyte_of_text_trains_as_in_a_bare_loop() -> None:
    path = Path(os.environ["RNNCLI_TEXT"])
    sets = (f"data.path={path}", "train.epochs=1", "train.sample.length=0", "train.threads=1")
    job = prepare(load_recipe("language-model", sets))
    *_, end = fit(job)
    text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    letters = {letter: i for i, letter in enumerate(sorted(set(text)))}
    ids = torch.tensor([letters[letter] for letter in text])
    held = int(len(ids) * 0.1)
    bare = Bare(ids[:-held], job.config, len(letters), fused=False)
    for _ in bare.steps():
        pass
    plain = bare.held_out(ids[-held:])
    unigram, bigram = (b.metrics["loss"] for b in job.task.baselines(job.config, job.splits, "validation"))
    run = {"characters": len(text), "loss": end.metrics["loss"], "bare_loss": plain, "unigram": unigram}
    write(
        "language-model-bare", [{"recipe": "language-model", "sets": list(sets[1:]), "run": run | {"bigram": bigram}}]
    )
    assert end.metrics["loss"] == pytest.approx(plain, rel=0.01)
    assert end.metrics["loss"] < bigram


ROUNDS, CHUNK = 40, 10  # of each loop in turn; updates in a chunk


def test_the_progress_display_costs_less_than_three_hundredths() -> None:
    """Tokens a second with the live display, over those of a bare loop with the same fused optimizer: chunks of the two
    in turn, each round led by the other one; processor time, so that other work on the machine does not count."""
    sets = ("train.epochs=1000", "train.threads=1")
    job = prepare(load_recipe("language-model", sets))
    ids = torch.from_numpy(job.splits.train.ids.read(0, len(job.splits.train.ids)))
    bare = Bare(ids, job.config, len(job.splits.fitted.tokens.tokens), fused=True)
    live = LiveProgress(io.StringIO(), live=True)
    watched, plain = _watched(job, Lines(job, live)), _endless(bare)
    loops: dict[str, Iterator[Any]] = {"rnncli": watched, "bare": plain}
    seconds: dict[str, list[float]] = {"rnncli": [], "bare": []}
    for number in range(ROUNDS + 2):
        for name in ("rnncli", "bare") if number % 2 else ("bare", "rnncli"):
            began = time.process_time()
            for _ in range(CHUNK):
                next(loops[name])
            if number >= 2:  # the first rounds warm up
                seconds[name].append(time.process_time() - began)
    ratios = [b / r for r, b in zip(seconds["rnncli"], seconds["bare"], strict=True)]
    tokens = CHUNK * of_kind(language_model.Config, job.config).data.window * job.config.train.batch_size
    run = {
        "rounds": ROUNDS,
        "tokens_per_second": tokens / median(seconds["rnncli"]),
        "bare_tokens_per_second": tokens / median(seconds["bare"]),
        "ratio": median(ratios),
    }
    write("progress-overhead", [{"recipe": "language-model", "sets": list(sets), "run": run}])
    assert run["ratio"] >= 0.97


def _watched(job: Job, lines: Lines) -> Iterator[Progress]:
    """Updates as the command makes and shows them; what an epoch's end does is not part of a bare loop."""
    for progress in fit(job):
        if progress.event == "step":
            lines(progress)
            yield progress


def _endless(bare: Bare) -> Iterator[Tensor]:
    while True:
        yield from bare.steps()
