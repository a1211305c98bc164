"""classification of sound files: the class in the file's name, takes of one speaker in one part."""

import wave
from pathlib import Path
from typing import Any

import pytest
import torch

from rnncli.baselines.mean_spectrum import by_mean_spectrum
from rnncli.data.audio import list_clips
from rnncli.data.batch import Order
from rnncli.data.made import speech
from rnncli.data.skipped import Skipped
from rnncli.errors import DataError
from rnncli.tasks import PredictOptions, classification, load_recipe
from rnncli.training.job import prepare
from rnncli.training.loop import fit
from tests.narrowed import as_read


def recordings(folder: Path) -> Path:
    for take in range(24):
        for text in ("one", "six"):
            with wave.open(str(folder / f"{text}_s{take % 6}_{take}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(speech.RATE)
                file.writeframes(speech.speak([text], speech.voice_of(take % 6), take).astype("<i2").tobytes())
    return folder


def recipe(path: Path, *sets: str) -> Any:
    return load_recipe(
        "names",
        [f"data.path={path}", "data.sound={pattern: '{label}_{speaker}_{take}.wav'}", "data.label=label",
         "data.split={validation: 0.25, by: speaker}", "model.hidden_size=16", "model.channels=16",
         "train.control=false", "train.threads=1", "train.epochs=8", "train.lr=0.01", "train.batch_size=8", *sets],
    )  # fmt: skip


def test_from_files_to_answers(tmp_path: Path) -> None:
    job = prepare(recipe(recordings(tmp_path)))
    train, held_out = job.splits.train, job.splits.part("validation")
    assert not {clip.group for clip in train.rows.listed} & {clip.group for clip in held_out.rows.listed}
    *_, end = fit(job)
    assert end.metrics["accuracy"] > 0.9
    majority, spectrum = job.task.baselines(job.config, job.splits, "validation")
    assert majority.metrics["accuracy"] == 0.5
    assert spectrum.metrics["accuracy"] > 0.5
    assert len(job.task.summarize(job.config, job.model, job.splits, "validation")) == 2
    paths = [clip.where for clip in held_out.rows.listed]
    found = list(job.task.predict(job.config, job.model, job.splits.fitted, paths, PredictOptions()))
    right = sum(as_read(one.json)["label"] == clip.text for one, clip in zip(found, held_out.rows.listed, strict=True))
    assert right / len(paths) == pytest.approx(end.metrics["accuracy"])
    part, _ = job.task.read_part(job.config, job.splits.fitted, str(tmp_path))
    assert len(part.rows) == 48
    assert job.task.input_kind(job.config) == "path"
    assert classification.TASK.input_kind(load_recipe("names").config) == "text"  # type: ignore[arg-type]
    assert job.task.label_names(job.config, job.splits.fitted).answers == ("one", "six")


def test_spectra_know_no_order(tmp_path: Path) -> None:
    """The nearest mean is that of the frames turned around, too."""
    splits = classification.TASK.read(recipe(recordings(tmp_path)).config)
    train = splits.train
    plain = by_mean_spectrum(train.inputs, train.targets, train.inputs, 2)
    turned = [row.flip(0) for row in train.inputs]
    assert torch.allclose(plain, by_mean_spectrum(turned, train.targets, turned, 2))
    assert torch.allclose(plain.exp().sum(1), torch.ones(len(train.rows), dtype=torch.float64))


def test_batches_classes_and_bad_files(tmp_path: Path) -> None:
    recordings(tmp_path)
    (tmp_path / "one_s0_0.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match="Format not recognised"):
        classification.TASK.read(recipe(tmp_path).config)
    config = recipe(tmp_path, "data.on_bad=skip", "data.classes={one: eins, six: sechs}").config
    splits = classification.TASK.read(config)
    assert splits.notes[0].startswith("1 of 48 clips cannot be used; first: ")
    assert splits.fitted.labels.tokens == ("eins", "sechs")
    batches = list(classification.TASK.batches(config, splits.train, Order(0, 1)))
    assert sorted(row for batch in batches for row in batch.rows) == list(range(len(splits.train.rows)))
    with pytest.raises(DataError, match="label 'one' is not in data"):
        classification.TASK.read(recipe(tmp_path, "data.on_bad=stop", "data.classes={six: sechs}").config)


def test_fill(tmp_path: Path) -> None:
    (tmp_path / "yes_1.wav").touch()
    assert classification.TASK.suggest_settings(str(tmp_path))["data.sound"] == {"pattern": "{label}_{take}.wav"}
    (tmp_path / "no_ann_1_x.wav").touch()
    assert classification.TASK.suggest_settings(str(tmp_path)) == {
        "data.sound": {"pattern": "{label}_{speaker}_{take}_*.wav"},
        "data.label": "label",
        "data.split.by": "speaker",
    }


def test_files_of_several_kinds_have_one_pattern(tmp_path: Path) -> None:
    for name in ("是_王 一_1.wav", "否_李 二_2.flac"):
        (tmp_path / name).touch()
    found = classification.TASK.suggest_settings(str(tmp_path))
    assert found["data.sound"] == {"pattern": "{label}_{speaker}_{take}.*"}
    clips = list_clips(tmp_path, Skipped(), pattern="{label}_{speaker}_{take}.*", text="label", by="speaker")
    assert [(clip.text, clip.group) for clip in clips] == [("否", "李 二"), ("是", "王 一")]
