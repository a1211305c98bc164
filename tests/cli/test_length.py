"""How long data of one's own is trained on: the rule, and what `recipes copy` writes of it for every task."""

from __future__ import annotations

import json
import random
import wave
from pathlib import Path

import pytest

from rnncli.training.length import length
from tests.fixture_types import Typed

MINUTE = 60.0


@pytest.mark.parametrize(
    ("updates", "epochs", "patience"),
    [(1, 300, 60), (6, 300, 60), (7, 286, 57), (23, 87, 17), (100, 20, 4), (784, 20, 4), (50_000, 20, 4)],
)
def test_epochs_follow_from_updates(updates: int, epochs: int, patience: int) -> None:
    found = length(updates, 1e-6, validated=True)
    assert found.settings() == {"train.epochs": epochs, "train.early_stopping": patience}
    assert f"{updates:,} step{'s' * (updates > 1)} each" in found.why
    assert length(updates, 1e-6, validated=False).settings() == {"train.epochs": epochs}


def test_what_takes_longer_than_half_an_hour_has_fewer_epochs() -> None:
    assert length(1000, 0.18, validated=True).epochs == 10  # three minutes each
    assert length(1000, 0.18, validated=True).early_stopping == 3
    assert "about 30 minutes" in length(1000, 0.18, validated=True).why
    assert length(10_000, 1.0, validated=True).epochs == 1  # and never none
    assert length(1000, 0.09 - 1e-9, validated=True).epochs == 20


def texts(path: Path) -> None:
    path.write_text("the cat sat on the mat, and the dog on the log.\n" * 60, encoding="utf-8")


def table(path: Path) -> None:
    rows = [f"{'good' if n % 2 else 'bad'} word {n} again,{'plus' if n % 2 else 'minus'}" for n in range(50)]
    path.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")


def tagged(path: Path) -> None:
    path.write_text("the\tDET\ncat\tNOUN\nsat\tVERB\n\na\tDET\ndog\tNOUN\n\n" * 20, encoding="utf-8")


def pairs(path: Path) -> None:
    path.write_text("".join(f"word {n} is here\t{n} ici\n" for n in range(80)), encoding="utf-8")


def series(path: Path) -> None:
    rows = [f"{2000 + n // 12}-{n % 12 + 1:02d}-01,{10 + n % 12 + n / 10}" for n in range(150)]
    path.write_text("\n".join(["date,sales", *rows]) + "\n", encoding="utf-8")


def sounds(path: Path) -> None:
    path.mkdir()
    draw = random.Random(0)
    for n in range(30):
        with wave.open(str(path / f"{n % 3}_ann{n % 5}_{n}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(
                b"".join(draw.randrange(-9999, 9999).to_bytes(2, "little", signed=True) for _ in range(2400))
            )


def frames(path: Path) -> None:
    import numpy as np

    draw = np.random.default_rng(0)
    np.savez(path, frames=draw.random((40, 4, 8, 8)).astype("float32"), labels=np.arange(40) % 2)


OWN = {  # recipe -> its data's name, what makes it, updates in an epoch: rows of the training part over batch_size
    "language-model": ("my.txt", texts, 18),  # nine tenths of the 20 windows that each stream is given
    "names": ("my.csv", table, 1),  # 40 of 50, 64 at once
    "acceptability": ("my.csv", table, 2),
    "pos-tagging": ("my.tsv", tagged, 2),  # 32 of 40, 16 at once
    "translation": ("my.tsv", pairs, 1),  # 64 of 80
    "forecasting": ("my.csv", series, None),
    "transcription": ("sound", sounds, 2),  # 18 of 30: whole speakers
    "image-sequences": ("my.npz", frames, 1),
}


@pytest.mark.parametrize("name", OWN)
def test_a_copy_has_epochs_that_fit_its_data(name: str, typed: Typed) -> None:
    file, make, wanted = OWN[name]
    make(Path(file))
    code, out, err = typed("recipes", "copy", name, "mine.yaml", "--data", file)
    chosen = ("note: data.tokens: ", "note: model.head: ")  # from the texts, with the reason
    assert (code, [line for line in err.splitlines() if not line.startswith(chosen)]) == (0, [])
    code, shown, _ = typed("train", "mine.yaml", "--dry-run", "--json")
    updates = next(
        int(row["value"].replace(",", ""))
        for row in json.loads(shown)["rows"]
        if row.get("name") == "updates per epoch"
    )
    assert wanted in (None, updates)
    fits = length(updates, 1e-6, validated=True)
    text = Path("mine.yaml").read_text(encoding="utf-8")
    (epochs,) = [line for line in text.splitlines() if line.startswith("  epochs:")]
    (patience,) = [line for line in text.splitlines() if line.startswith("  early_stopping:")]
    assert epochs.split("#") == [f"  epochs: {fits.epochs}".ljust(30), f" {fits.why}"]
    assert patience.split("#") == [
        f"  early_stopping: {fits.early_stopping}".ljust(30),
        " epochs without improvement; 0 = off",
    ]
    assert f"train.epochs: {fits.epochs}" in out


def test_what_is_typed_wins_and_no_validation_part_means_no_early_stopping(typed: Typed) -> None:
    table(Path("my.csv"))
    words = ("recipes", "copy", "names", "mine.yaml", "--data", "my.csv", "--force")
    assert typed(*words, "--set", "train.epochs=7")[0] == 0
    text = Path("mine.yaml").read_text(encoding="utf-8")
    assert "  epochs: 7\n" in text
    assert "  early_stopping: 60 " in text
    assert typed(*words, "--set", "data.split.validation=0", "--set", "train.early_stopping=0")[0] == 0
    assert "early_stopping: 0 " in Path("mine.yaml").read_text(encoding="utf-8")


def test_train_is_not_suggested_where_it_would_fail(typed: Typed) -> None:
    Path("my.txt").write_text("ab", encoding="utf-8")
    code, out, err = typed("recipes", "copy", "language-model", "mine.yaml", "--data", "my.txt")
    assert code == 0
    assert "it cannot be trained as it is" in err
    assert "rnncli train" not in out
    assert "epochs: 8\n" in Path("mine.yaml").read_text(encoding="utf-8")


def test_a_lot_of_data_is_not_read(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    texts(Path("my.txt"))
    monkeypatch.setattr("rnncli.cli.recipes.LARGE", 1000)
    code, out, _ = typed("recipes", "copy", "language-model", "mine.yaml", "--data", "my.txt")
    assert code == 0
    assert "MB and was not read; epochs are those of the recipe" in out
    assert "epochs: 8\n" in Path("mine.yaml").read_text(encoding="utf-8")
