"""How training ended: the metrics, and advice."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rnncli.locale import english
from rnncli.names import CONTROL
from rnncli.records import Json
from rnncli.tasks import Baseline, Metrics

RUN = "RUN"  # placeholder for the run in a command: a folder may be moved, and can be given in several ways


@dataclass(frozen=True)
class Advice:
    """about: what was noticed. text: one sentence. command: what to type, with RUN in place of the run, or ""."""

    about: Literal["still falling", "worse than a baseline", "empty answers"]
    text: str
    command: str = ""

    def typed(self, run: str, folder: Path) -> str:
        """The command for a run: its name as given to --resume, and its folder."""
        of_files = self.command.replace(f"{RUN}/recipe.yaml", shlex.quote(str(folder / "recipe.yaml")))
        return of_files.replace(RUN, run) if of_files == self.command else of_files

    def to_json(self) -> dict[str, Json]:
        return {"about": self.about, "text": english(self.text), "command": self.command}


@dataclass
class Outcome:
    """How training ended. metrics: of the best epoch, on the split `on`; compared: cell -> metrics of the same recipe
    with that cell, feedforward being the memoryless control. notes: sentences on how the best epoch was chosen. advice:
    what to do next, and why."""

    metrics: Metrics
    on: str
    best_epoch: int
    epochs: int
    steps: int
    seconds: float
    counted: float
    stopped: str
    baselines: list[Baseline] = field(default_factory=list)
    compared: dict[str, Metrics] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    folder: Path | None = None
    advice: list[Advice] = field(default_factory=list)

    def to_json(self) -> dict[str, Json]:
        """The last line of `train --json`, and result.json."""
        return {
            "schema": "rnncli/result/1",
            "run": None if self.folder is None else str(self.folder),
            "metrics": self.metrics,
            "on": self.on,
            "best_epoch": self.best_epoch,
            "epochs": self.epochs,
            "steps": self.steps,
            "stopped": english(self.stopped),
            "baselines": {english(baseline.name): baseline.metrics for baseline in self.baselines},
            "control": self.compared.get(CONTROL),
            "compared": self.compared,
            "notes": [english(note) for note in self.notes],
            "advice": [one.to_json() for one in self.advice],
        }
