"""TensorBoard's own reader finds in the file what the run folder holds."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnncli.errors import CannotWrite
from rnncli.runs.logs import export_log
from rnncli.runs.open import open_run
from rnncli.runs.train import StoppedBySignal, run_training
from rnncli.tasks import PredictOptions
from tests.training.training_runs import interrupted_then_resumed, job_of, run_in, stop_after

pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
pytest.importorskip("matplotlib", reason="needs the extra tensorboard")

LOGGED = ("train.epochs=4", "train.control=false", "train.log=tensorboard")


def read(folder: Path) -> Any:
    """As TensorBoard does, with everything kept."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "images": 0})
    return found.Reload()


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def texts(found: Any, tag: str) -> list[str]:
    """By step, without the indent that keeps TensorBoard from reading Markdown in them."""
    return [
        "\n".join(line.removeprefix("    ") for line in event.tensor_proto.string_val[0].decode().split("\n")[:-1])
        for event in found.Tensors(tag)
    ]


def hparams(found: Any) -> dict[str, Any]:
    from tensorboard.plugins.hparams import metadata

    start = metadata.parse_session_start_info_plugin_data(
        found.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    )
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    run_in(folder, job_of("hello", *LOGGED))
    return folder


def test_curves(run: Path) -> None:
    found, logged, timing = read(run / "tensorboard"), lines(run, "metrics.jsonl"), lines(run, "timing.jsonl")
    wanted = {
        "loss": [line["loss"] for line in logged],
        "lr": [line["lr"] for line in logged],
        "train/loss": [line["train"]["loss"] for line in logged],
        "train/accuracy": [line["train"]["accuracy"] for line in logged],
    }
    for tag, values in wanted.items():
        events = found.Scalars(tag)
        assert [event.step for event in events] == [1, 2, 3, 4]
        assert [event.value for event in events] == [float(np.float32(value)) for value in values], tag
        seconds = [event.wall_time - events[0].wall_time for event in events]
        assert seconds == pytest.approx([line["seconds"] - timing[0]["seconds"] for line in timing], abs=1e-5)
    result = json.loads((run / "result.json").read_text())
    for name, value in result["metrics"].items():
        (event,) = found.Scalars(f"result/{name}")
        assert (event.step, event.value) == (result["best_epoch"], float(np.float32(value)))
    assert set(found.Tags()["scalars"]) == {*wanted, "result/loss", "result/accuracy"}


def test_hyperparameters_and_answers(run: Path) -> None:
    found = read(run / "tensorboard")
    values = hparams(found)
    assert (values["model.cell"], values["model.hidden_size"], values["model.bias"]) == ("rnn", 4.0, True)
    assert (values["train.lr"], values["train.log"]) == (0.1, "tensorboard")
    assert texts(found, "answers") == [line["answers"] for line in lines(run, "answers.jsonl")]
    assert [event.step for event in found.Tensors("answers")] == [1, 2, 3, 4]


def test_the_picture_of_states(run: Path) -> None:
    from matplotlib.image import imread

    found = read(run / "tensorboard")
    (event,) = found.Images("states/rnn.l0.fwd")
    pixels = imread(io.BytesIO(event.encoded_image_string), format="png")
    assert pixels.shape == (event.height, event.width, 4)
    assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 20  # colours


def test_an_export_writes_the_same_file(run: Path, tmp_path: Path) -> None:
    (during,) = (run / "tensorboard").iterdir()
    export_log(run, "tensorboard", tmp_path / "out")
    (after,) = (tmp_path / "out").iterdir()
    assert after.read_bytes() == during.read_bytes()
    export_log(run, "tensorboard")  # in its place
    (again,) = (run / "tensorboard").iterdir()
    assert again.read_bytes() == after.read_bytes()
    assert again.name > after.name  # for a TensorBoard that is looking
    open_run(run)


def test_a_language_model(tmp_path: Path, small_lm: dict[str, Any]) -> None:
    small_lm["train"] |= {"sample": {"length": 60, "temperature": 1.5}, "log": ["tensorboard"], "epochs": 1}
    run_in(tmp_path / "run", job_of(small_lm))
    found, run = read(tmp_path / "run" / "tensorboard"), open_run(tmp_path / "run")
    (answer,) = run.task.predict(run.config, run.model, run.fitted, [""], PredictOptions())
    assert texts(found, "result/text") == [answer.text]
    assert "validation/perplexity" in found.Tags()["scalars"]
    assert set(found.Tags()["images"]) == {"states/rnn.l0.fwd", "states/rnn.l1.fwd"}


@pytest.mark.parametrize("step", [1, 3])
def test_a_resumed_run_shows_each_epoch_once(tmp_path: Path, run: Path, step: int) -> None:
    """Also where the interrupted run had logged more than its checkpoint knew."""
    interrupted_then_resumed(tmp_path / "cut", lambda: job_of("hello", *LOGGED), step)
    found, whole = read(tmp_path / "cut" / "tensorboard"), read(run / "tensorboard")
    for tag in ("loss", "train/accuracy", "result/loss"):
        assert [(e.step, e.value) for e in found.Scalars(tag)] == [(e.step, e.value) for e in whole.Scalars(tag)]
    assert texts(found, "answers") == texts(whole, "answers")


def test_epochs_behind_the_checkpoint_are_logged_once(tmp_path: Path) -> None:
    """Killed after three epochs, of which the last checkpoint knows none."""

    class Killed(BaseException):
        pass

    def kill(progress: Any) -> None:
        if progress.event == "step" and progress.step == 4:
            raise Killed

    with pytest.raises(Killed):
        run_in(tmp_path / "run", job_of("hello", *LOGGED), watch=kill)
    assert len(read(tmp_path / "run" / "tensorboard").Scalars("loss")) == 3
    with pytest.raises(StoppedBySignal):
        run_in(tmp_path / "run", job_of("hello", *LOGGED), resume=True, watch=stop_after(2))
    assert [event.step for event in read(tmp_path / "run" / "tensorboard").Scalars("loss")] == [1]
    run_in(tmp_path / "run", job_of("hello", *LOGGED), resume=True)
    assert [event.step for event in read(tmp_path / "run" / "tensorboard").Scalars("loss")] == [1, 2, 3, 4]


def test_a_run_that_fails_at_once_leaves_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnncli import cli

    monkeypatch.chdir(tmp_path)
    words = ["-q", "train", "hello", "--set", "train.log=tensorboard", "--lr", "1e38", "--out", "run"]
    assert cli.run(words) == 4
    assert not (tmp_path / "run").exists() or not (tmp_path / "run" / "tensorboard").exists()


def test_a_full_disk_is_said_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that TensorBoard's reader finds ends with the last whole epoch."""
    import builtins

    from rnncli.loggers import tensorboard

    opened = 0

    def full(*given: Any, **more: Any) -> Any:
        nonlocal opened
        opened += 1
        if opened > 2:
            raise OSError(28, "No space left on device")
        return builtins.open(*given, **more)

    monkeypatch.setattr(tensorboard, "open", full, raising=False)
    (tmp_path / "run").mkdir()
    said: list[str] = []
    run_training(job_of("hello", *LOGGED), tmp_path / "run", say=said.append)
    (message,) = said
    assert "the disk is full" in message
    assert open_run(tmp_path / "run").result()["epochs"] == 4
    assert [event.step for event in read(tmp_path / "run" / "tensorboard").Scalars("loss")] == [1, 2]
    monkeypatch.undo()
    export_log(tmp_path / "run", "tensorboard")
    assert len(read(tmp_path / "run" / "tensorboard").Scalars("loss")) == 4


def test_a_place_that_cannot_be_written(tmp_path: Path, run: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite):
        export_log(run, "tensorboard", tmp_path / "file" / "out")
