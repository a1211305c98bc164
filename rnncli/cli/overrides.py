"""Options that override recipe keys: `--lr 0.1` is `--set train.lr=0.1`."""

from __future__ import annotations

from typing import Annotated

import typer

_PANEL = "Recipe"

Data = Annotated[
    str | None, typer.Option("--data", metavar="PATH", help="Data file or folder (data.path).", rich_help_panel=_PANEL)
]
TrainData = Annotated[
    str | None,
    typer.Option("--train-data", metavar="PATH", help="Training split (data.train).", rich_help_panel=_PANEL),
]
ValidationData = Annotated[
    str | None,
    typer.Option(
        "--validation-data", metavar="PATH", help="Validation split (data.validation).", rich_help_panel=_PANEL
    ),
]
TestData = Annotated[
    str | None, typer.Option("--test-data", metavar="PATH", help="Test split (data.test).", rich_help_panel=_PANEL)
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override one key, such as model.hidden_size=64. Repeatable.",
        rich_help_panel=_PANEL,
    ),
]
Epochs = Annotated[
    int | None, typer.Option("--epochs", help="Passes over the training data (train.epochs).", rich_help_panel=_PANEL)
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", help="Examples per step (train.batch_size).", rich_help_panel=_PANEL)
]
Lr = Annotated[float | None, typer.Option("--lr", help="Learning rate (train.lr).", rich_help_panel=_PANEL)]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="Random seed; in a sweep, the first one (train.seed).", rich_help_panel=_PANEL),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="auto|cpu|cuda|mps", help="Device to train on (train.device).", rich_help_panel=_PANEL
    ),
]
Threads = Annotated[
    str | None, typer.Option("--threads", metavar="auto|N", help="CPU threads (train.threads).", rich_help_panel=_PANEL)
]
MaxTime = Annotated[
    str | None,
    typer.Option(
        "--max-time",
        metavar="TIME",
        help="Stop training after this time: 90, 90s, 5m, 1h (train.max_time).",
        rich_help_panel=_PANEL,
    ),
]
OnNan = Annotated[
    str | None,
    typer.Option(
        "--on-nan",
        metavar="stop|skip",
        help="What to do on a NaN or infinite loss or gradient (train.on_nan).",
        rich_help_panel=_PANEL,
    ),
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
