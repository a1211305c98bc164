"""A small text and a language model for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

WORDS = "the cat sat on the mat and the dog ran to the old red door while a bird sang in the tall green tree\n"


@pytest.fixture
def text_file(tmp_path: Path) -> str:
    """A small text that is not the same line over and over."""
    words = WORDS.split()
    lines = [" ".join(words[(i * k) % len(words)] for k in range(1, 9)) for i in range(1, 120)]
    path = tmp_path / "text.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def small_lm(text_file: str) -> dict[str, Any]:
    """A language model with everything that makes going on hard: carried state, dropout, clipping, a held-out part."""
    return {
        "task": "language-model",
        "data": {"path": text_file, "window": 16, "split": {"validation": 0.1}},
        "model": {"cell": "lstm", "embedding_size": 8, "hidden_size": 12, "num_layers": 2, "dropout": 0.3},
        "train": {
            "epochs": 3,
            "batch_size": 8,
            "lr": 0.01,
            "clip_grad_norm": 0.5,
            "sample": {"length": 0},
        },
    }
