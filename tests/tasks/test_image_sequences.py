"""A run on films from reading to predicting, and what single frames can and cannot tell."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnncli.data.batch import Order
from rnncli.data.vocab import Vocab
from rnncli.errors import DataError
from rnncli.tasks import PredictOptions, image_sequences, load_recipe
from rnncli.tasks.inputs.frames import FrameFitted, numbers_first
from rnncli.training.job import prepare
from rnncli.training.loop import fit
from tests.narrowed import as_read


def archive(path: Path, motion: bool, n: int = 80) -> Path:
    """A point that goes to the right or to the left (motion), or films that are bright or dark."""
    draw = np.random.RandomState(0)
    frames, labels = np.zeros((n, 4, 6, 6), np.uint8), np.arange(n) % 2
    for i, label in enumerate(labels):
        start, row = draw.randint(6), draw.randint(6)
        for t in range(4):
            frames[i, t, row, (start + (t if label else -t)) % 6] = 255
        if not motion:
            frames[i] = 40 + 100 * label
    np.savez(path, frames=frames, labels=labels, who=np.arange(n) // 4)
    return path


def recipe(path: Path, *sets: str) -> Any:
    return load_recipe(
        "image-sequences",
        [f"data.path={path}", "data.split={validation: 0.25}", "model.hidden_size=16", "model.channels=[8]",
         "model.frame_size=16", "train.control=false", "train.threads=1", "train.lr=0.01",
         "train.batch_size=10", *sets],
    )  # fmt: skip


def test_motion_is_learned_and_a_single_frame_is_not_enough(tmp_path: Path) -> None:
    job = prepare(recipe(archive(tmp_path / "a.npz", True, 160), "train.epochs=25"))
    *_, end = fit(job)
    assert end.metrics["accuracy"] > 0.9
    majority, single = job.task.baselines(job.config, job.splits, "validation")
    assert majority.metrics["accuracy"] == 0.5
    assert single.metrics["accuracy"] < 0.75
    pictures, sample = job.task.summarize(job.config, job.model, job.splits, "validation")
    assert pictures.text.count("@") == 4  # type: ignore[union-attr]
    assert [row[0] for row in sample.rows] == [0, 1, 2, 3]  # type: ignore[union-attr]
    film = job.splits.part("validation").inputs[0]
    np.save(tmp_path / "one.npy", film[..., 0])
    answers = list(
        job.task.predict(job.config, job.model, job.splits.fitted, [str(tmp_path / "one.npy")], PredictOptions())
    )
    assert answers[0].text.split("\t")[1] == sample.rows[-1][1]  # type: ignore[union-attr]
    many = list(
        job.task.predict(job.config, job.model, job.splits.fitted, [str(tmp_path / "a.npz")], PredictOptions(top_k=2))
    )
    assert len(many) == 160
    right = sum(as_read(answer.json)["label"] == str(i % 2) for i, answer in enumerate(many))
    assert right > 144
    part, _ = job.task.read_part(job.config, job.splits.fitted, str(tmp_path / "a.npz"))
    accuracy = job.task.metrics(job.config, job.model, part, job.splits.fitted)["accuracy"]
    assert accuracy == pytest.approx(right / 160)


def test_the_single_frame_net_finds_what_one_frame_tells(tmp_path: Path) -> None:
    config = recipe(archive(tmp_path / "a.npz", False), "train.epochs=10").config
    before = torch.get_rng_state()
    splits = image_sequences.TASK.read(config)
    single = image_sequences.TASK.baselines(config, splits, "validation")[1]
    assert single.metrics["accuracy"] == 1.0
    assert torch.equal(torch.get_rng_state(), before)


def test_groups_and_classes(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", True)
    splits = image_sequences.TASK.read(recipe(path, "data.split.by=who").config)
    groups = [{one.group for one in part.rows.listed} for part in splits.parts.values()]
    assert not groups[0] & groups[1]
    with np.load(path) as arrays:
        frames = arrays["frames"]
    np.savez(tmp_path / "b.npz", frames=frames[:4], labels=np.array([0, 1, 2, 10]))
    sets = [f"data.train={path}", f"data.validation={tmp_path / 'b.npz'}", "data.path=null"]
    with pytest.raises(DataError, match="class '2' is not in the training split"):
        image_sequences.TASK.read(recipe(path, *sets).config)
    splits = image_sequences.TASK.read(recipe(path, *sets, "data.on_bad=skip").config)
    assert splits.counts["validation"]["films"] == 2
    assert splits.notes[0].startswith("2 of 4 image sequences cannot be used")
    assert sorted(["10", "9", "b", "a"], key=numbers_first) == ["a", "b", "9", "10"]


def test_batches_are_a_function_of_integers(tmp_path: Path) -> None:
    config = recipe(archive(tmp_path / "a.npz", True)).config
    train = image_sequences.TASK.read(config).train
    whole = list(image_sequences.TASK.batches(config, train, Order(1, 2)))
    later = list(image_sequences.TASK.batches(config, train, Order(1, 2, 3)))
    assert [batch.rows for batch in whole[3:]] == [batch.rows for batch in later]
    assert torch.equal(whole[3].inputs, later[0].inputs)
    assert whole[0].inputs.shape == (4, 10, 6, 6, 1)


def test_fill_and_files_of_other_frames(tmp_path: Path) -> None:
    archive(tmp_path / "a.npz", True)
    with np.load(tmp_path / "a.npz") as arrays:
        np.savez(tmp_path / "b.npz", x=arrays["frames"], y=arrays["labels"], len_of=np.full(80, 4))
    assert image_sequences.TASK.suggest_settings(str(tmp_path / "b.npz")) == {
        "data.frames": "x",
        "data.lengths": "len_of",
        "data.labels": "y",
    }
    fitted = FrameFitted(Vocab(("0", "1")), [6, 6, 1], [0.0], [1.0])
    np.save(tmp_path / "c.npy", np.zeros((3, 9, 9)))
    with pytest.raises(DataError, match="contains 0 arrays with frames of shape"):
        image_sequences.TASK.encode(recipe(tmp_path / "a.npz").config, fitted, [str(tmp_path / "c.npy")])
