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


_DATA = {"data": "data.path"} | {f"{part}_data": f"data.{part}" for part in ("train", "validation", "test")}


def flags_of(**given: object) -> dict[str, tuple[str, object]]:
    """Dotted key -> (flag as typed, value) for each option that was given, by its name."""
    return {
        _DATA.get(name, f"train.{name}"): (f"--{name.replace('_', '-')}", value)
        for name, value in given.items()
        if value is not None
    }
