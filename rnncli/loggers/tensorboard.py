"""tensorboard: one event file per run, for TensorBoard: curves over epochs, hyperparameters, texts, hidden states.

Written with TensorBoard's own messages and records. The file is rewritten when a run resumes, so that it has every
epoch once.
"""

from __future__ import annotations

import io
import shlex
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnncli.files import write_errors
from rnncli.loggers._logger import LoggedEpoch, LoggedResult, LoggedRun, Logger
from rnncli.render.pictures import heatmap_png

if TYPE_CHECKING:
    from rnncli.records import HeatMap

NAME = "events.out.tfevents.{:010d}.rnncli"  # TensorBoard reads all files with `tfevents` in their names, in order


class TensorBoard(Logger):
    needs = ("tensorboard", "matplotlib")
    extra = "tensorboard"

    def begin(self, run: LoggedRun, epochs: Sequence[LoggedEpoch]) -> None:
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        self.run = run
        self.path: Path | None = None
        self.waiting = [self._event(0, 0.0, hparams_pb(dict(run.settings), start_time_secs=run.started))]
        for epoch in epochs:
            self.epoch(epoch)

    def epoch(self, epoch: LoggedEpoch) -> None:
        summary = _scalars(epoch.values)
        if epoch.answers:
            summary.MergeFrom(_text("answers", epoch.answers))
        self._write(self._event(epoch.number, epoch.seconds, summary))

    def end(self, result: LoggedResult) -> None:
        summary = _scalars({f"result/{name}": value for name, value in result.metrics.items()})
        for name, text in result.texts.items():
            summary.MergeFrom(_text(f"result/{name}", text))
        for states in result.states:
            summary.MergeFrom(_image(f"states/{states.name}", states))
        self._write(self._event(result.epoch, result.seconds, summary))

    @classmethod
    def command(cls, folder: Path) -> str:
        return f"tensorboard --logdir {shlex.quote(str(folder))}"

    def _event(self, step: int, seconds: float, summary: Any) -> Any:
        from tensorboard.compat.proto.event_pb2 import Event

        return Event(wall_time=self.run.started + seconds, step=step, summary=summary)

    def _write(self, event: Any) -> None:
        """Append an event, after pending ones: the file is created at the first epoch, so that a run failing earlier
        leaves nothing."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        with write_errors(self.run.out):
            if self.path is None:
                self.path = _fresh(self.run.out)
                self.waiting.insert(0, Event(wall_time=self.run.started, file_version="brain.Event:2"))
            records = io.BytesIO()
            for one in [*self.waiting, event]:
                RecordWriter(records).write(one.SerializeToString())
            with open(self.path, "ab") as file:
                file.write(records.getvalue())
        self.waiting.clear()


def _fresh(folder: Path) -> Path:
    """The path of a new event file, replacing older ones. A running TensorBoard moves on to it, since its name sorts
    after theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    older = sorted(folder.glob(NAME.format(0).replace("0000000000", "[0-9]" * 10)))
    for path in older:
        path.unlink()
    return folder / NAME.format(int(older[-1].name.split(".")[-2]) + 1 if older else 0)


def _scalars(values: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])


def _text(tag: str, text: str) -> Any:
    """Indented by four spaces: TensorBoard renders Markdown, and generated text must be shown verbatim."""
    from tensorboard.plugins.text.summary_v2 import text_pb

    return text_pb(tag, "".join(f"    {line}\n" for line in text.split("\n")))


def _image(tag: str, picture: HeatMap) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    png = heatmap_png(picture)
    width, height = struct.unpack(">II", png[16:24])  # from the header
    image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=tag, image=image)])


LOGGER = TensorBoard
