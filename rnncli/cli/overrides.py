"""Options that override recipe keys: `--lr 0.1` is `--set train.lr=0.1`."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

_override = partial(typer.Option, rich_help_panel="Recipe")

Data = Annotated[str | None, _override("--data", metavar="PATH", help="Data file or folder (data.path).")]
TrainData = Annotated[str | None, _override("--train-data", metavar="PATH", help="Training split (data.train).")]
ValidationData = Annotated[
    str | None, _override("--validation-data", metavar="PATH", help="Validation split (data.validation).")
]
TestData = Annotated[str | None, _override("--test-data", metavar="PATH", help="Test split (data.test).")]
Sets = Annotated[
    list[str] | None,
    _override("--set", metavar="KEY=VALUE", help="Override one key, such as model.hidden_size=64. Repeatable."),
]
Epochs = Annotated[int | None, _override("--epochs", help="Passes over the training data (train.epochs).")]
BatchSize = Annotated[int | None, _override("--batch-size", help="Examples per step (train.batch_size).")]
Lr = Annotated[float | None, _override("--lr", help="Learning rate (train.lr).")]
Seed = Annotated[int | None, _override("--seed", help="Random seed; in a sweep, the first one (train.seed).")]
Device = Annotated[
    str | None, _override("--device", metavar="auto|cpu|cuda|mps", help="Device to train on (train.device).")
]
Threads = Annotated[str | None, _override("--threads", metavar="auto|N", help="CPU threads (train.threads).")]
MaxTime = Annotated[
    str | None,
    _override("--max-time", metavar="TIME", help="Stop training after this time: 90, 90s, 5m, 1h (train.max_time)."),
]
OnNan = Annotated[
    str | None,
    _override("--on-nan", metavar="stop|skip", help="What to do on a NaN or infinite loss or gradient (train.on_nan)."),
]


def flags_of(
    data: str | None,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    seed: int | None,
    device: str | None,
    threads: str | None,
    max_time: str | None,
    on_nan: str | None,
) -> dict[str, tuple[str, object]]:
    """Dotted key -> (flag as typed, value) for each given option."""
    return {
        key: (flag, value)
        for key, flag, value in (
            ("data.path", "--data", data),
            ("train.epochs", "--epochs", epochs),
            ("train.batch_size", "--batch-size", batch_size),
            ("train.lr", "--lr", lr),
            ("train.seed", "--seed", seed),
            ("train.device", "--device", device),
            ("train.threads", "--threads", threads),
            ("train.max_time", "--max-time", max_time),
            ("train.on_nan", "--on-nan", on_nan),
        )
        if value is not None
    }
