"""Baselines against counts made by hand."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.training.training_runs import job_of


def test_unigram_and_bigram_against_a_brute_force_count(small_lm: dict[str, Any]) -> None:
    job = job_of(small_lm)
    text = Path(small_lm["data"]["path"]).read_text(encoding="utf-8")
    held = int(len(text) * 0.1)
    train, tested = text[:-held], text[-held:]
    size = len(set(text))
    unigram = {c: (train.count(c) + 1) / (len(train) + size) for c in set(text)}
    pairs, before = Counter(pairwise(train)), Counter(train[:-1])
    nats = {"unigram": 0.0, "bigram": 0.0}
    for a, b in pairwise(tested):
        nats["unigram"] -= math.log(unigram[b])
        nats["bigram"] -= math.log((pairs[a, b] + unigram[b]) / (before[a] + 1))
    found = {b.name: b.metrics for b in job.task.baselines(job.config, job.splits, "validation")}
    for name, total in nats.items():
        mean = total / (held - 1)
        assert found[name]["loss"] == pytest.approx(mean, rel=1e-9)
        assert found[name]["perplexity"] == pytest.approx(math.exp(mean), rel=1e-9)
        assert found[name]["bits"] == pytest.approx(mean / math.log(2), rel=1e-9)


def test_bits_of_words_are_per_character(small_lm: dict[str, Any]) -> None:
    job = job_of(small_lm, "data.tokens=words")
    text = Path(small_lm["data"]["path"]).read_text(encoding="utf-8")
    assert [job.splits.part(name).characters for name in ("train", "validation")] == pytest.approx(
        [len(text) * 0.9, len(text) * 0.1], rel=0.02
    )
    part = job.splits.part("validation")
    metrics = job.task.metrics(job.config, job.model, part, job.splits.fitted)
    assert metrics["bits"] == pytest.approx(metrics["loss"] / math.log(2) * len(part.ids) / part.characters)


def test_a_net_without_memory_cannot_pass_the_most_frequent_label() -> None:
    job = job_of("hello")
    (baseline,) = job.task.baselines(job.config, job.splits, "train")
    assert baseline.metrics == {"accuracy": 0.8}
