"""What augmentation brings on recorded digits: a speaker that training never heard, and new takes of those it heard.

RNNCLI_FSDD=FOLDER: the recordings of the free spoken digit dataset, 7_jackson_32.wav: ten digits, six speakers, fifty
takes each. Every speaker is left out once. Of the others, takes 0 to 4 are kept for known speakers, takes 5 to 9 choose
the epoch, the rest are trained on: speakers that are left out choose nothing. RNNCLI_SEEDS=N: seeds 0 to N - 1, by
default five. What spoken-digits.json has of the same settings is not measured again. Next to it, where scikit-learn is
installed, a support vector machine on the mean and deviation of 20 MFCCs and of their differences, and on 20 MFCCs at
ten places of the clip.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rnncli.data.audio import read_sound
from rnncli.data.features import LogMel
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from rnncli.training.loop import fit
from tests.evidence.evidence_runs import write

pytestmark = [
    pytest.mark.evidence,
    pytest.mark.skipif("RNNCLI_FSDD" not in os.environ, reason="RNNCLI_FSDD=FOLDER is not set"),
]

NAME = "spoken-digits"
FILE = Path(__file__).parent / f"{NAME}.json"
SEEDS = range(int(os.environ.get("RNNCLI_SEEDS", "5")))
SETS = (
    "data.path=null", "data.label=label", "data.split={}", "train.control=false", "train.threads=1", "train.epochs=12",
    "train.early_stopping=0",
)  # fmt: skip
SPEED, NOISE = "speed: 0.1", "noise: [10, 40]"
MASKS = "time_masks: 1, time_mask: 10, mel_masks: 1, mel_mask: 8"
ROWS = {"none": "", "speed": SPEED, "noise": NOISE, "masks": MASKS, "all": f"{SPEED}, {NOISE}, {MASKS}"}


def folds(recordings: Path, folder: Path) -> list[str]:
    """folder/SPEAKER/{train,validation,known,test}/*.wav; the speakers."""
    for file in recordings.glob("*.wav"):
        _, speaker, take = file.stem.split("_")
        part = "known" if int(take) < 5 else "validation" if int(take) < 10 else "train"
        for out in SPEAKERS:
            to = folder / out / ("test" if speaker == out else part)
            to.mkdir(parents=True, exist_ok=True)
            (to / file.name).write_bytes(file.read_bytes())
    return sorted(path.name for path in folder.iterdir())


SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


def network(fold: Path, seed: int, augment: str) -> dict[str, Any]:
    began = time.process_time()
    files = [f"data.{part}={fold / part}" for part in ("train", "validation", "test")]
    sound = "data.sound={pattern: '{label}_{speaker}_{take}.wav', augment: {" + augment + "}}"
    job = prepare(load_recipe("names", [*files, sound, *SETS, f"train.seed={seed}"]))
    *_, last = fit(job)
    task, config, fitted = job.task, job.config, job.splits.fitted
    known, _ = task.read_part(config, fitted, str(fold / "known"))
    return {
        "epoch": last.epoch,
        "unheard": task.metrics(config, job.model, job.splits.part("test"), fitted)["accuracy"],
        "known": task.metrics(config, job.model, known, fitted)["accuracy"],
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def measured(folder: Path) -> Iterator[dict[str, Any]]:
    """Seed by seed, so that the first seeds are whole when it is stopped."""
    found = json.loads(FILE.read_text(encoding="utf-8"))["recipes"][0]["runs"] if FILE.exists() else []
    yield from found
    done = {(run["seed"], run["row"], run["speaker"]) for run in found if run["augment"] == ROWS[run["row"]]}
    for seed, (row, augment), speaker in product(SEEDS, ROWS.items(), SPEAKERS):
        if (seed, row, speaker) not in done:
            found = network(folder / speaker, seed, augment)
            yield {"seed": seed, "row": row, "augment": augment, "speaker": speaker, **found}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Row -> part -> the mean of the seeds' means over all six speakers, their deviation, and each speaker's mean."""
    found: dict[str, Any] = {}
    for row in ROWS:
        mine = [run for run in runs if run["row"] == row]
        whole = [[run for run in mine if run["seed"] == seed] for seed in sorted({run["seed"] for run in mine})]
        whole = [seed for seed in whole if len(seed) == len(SPEAKERS)]
        for part in ("unheard", "known") if whole else ():
            means = [mean(run[part] for run in seed) for seed in whole]
            speakers = {name: mean(run[part] for run in mine if run["speaker"] == name) for name in SPEAKERS}
            spread = stdev(means) if len(means) > 1 else None
            found.setdefault(row, {"seeds": len(whole)})[part] = {"mean": mean(means), "sd": spread, **speakers}
    return found


def test_what_augmentation_brings(tmp_path: Path) -> None:
    folds(Path(os.environ["RNNCLI_FSDD"]), tmp_path)
    runs: list[dict[str, Any]] = []
    for run in measured(tmp_path):
        runs.append(run)
        write(NAME, [{"recipe": "names", "sets": list(SETS), "figures": summary(runs), "runs": runs}])
    for figures in summary(runs).values():
        assert figures["known"]["mean"] > 0.9
        assert figures["unheard"]["mean"] > 0.5


def mfccs(file: Path) -> npt.NDArray[np.float64]:
    """(T, 20): the cosine transform of the log-mel features that the network reads."""
    from scipy.fft import dct

    frames = LogMel(8000)(read_sound(file)).double().numpy()
    return np.asarray(dct(frames, norm="ortho")[:, :20])


def over_time(file: Path) -> dict[str, npt.NDArray[np.float64]]:
    found = mfccs(file)
    steps = np.gradient(found, axis=0) if len(found) > 1 else np.zeros_like(found)
    places = np.linspace(0, len(found) - 1, 10).round().astype(int)
    moments = [moment for rows in (found, steps) for moment in (rows.mean(0), rows.std(0))]
    return {"moments": np.concatenate(moments), "ten places": found[places].ravel()}


def test_a_support_vector_machine(tmp_path: Path) -> None:
    svm = pytest.importorskip("sklearn.svm")
    scaling, pipeline = pytest.importorskip("sklearn.preprocessing"), pytest.importorskip("sklearn.pipeline")
    files = sorted(Path(os.environ["RNNCLI_FSDD"]).glob("*.wav"))
    heard = {file: over_time(file) for file in files}
    summary: dict[str, Any] = {}
    for kind in ("moments", "ten places"):
        for speaker in SPEAKERS:
            fields = {file: file.stem.split("_") for file in files}
            parts = {
                "train": [file for file, (_, who, take) in fields.items() if who != speaker and int(take) >= 10],
                "known": [file for file, (_, who, take) in fields.items() if who != speaker and int(take) < 5],
                "unheard": [file for file, (_, who, _) in fields.items() if who == speaker],
            }
            data = {part: np.stack([heard[file][kind] for file in rows]) for part, rows in parts.items()}
            digits = {part: [fields[file][0] for file in rows] for part, rows in parts.items()}
            model = pipeline.make_pipeline(scaling.StandardScaler(), svm.SVC(C=10)).fit(data["train"], digits["train"])
            for part in ("unheard", "known"):
                score = float(model.score(data[part], digits[part]))
                summary.setdefault(kind, {}).setdefault(part, {})[speaker] = score
        for part in ("unheard", "known"):
            summary[kind][part]["mean"] = mean(summary[kind][part].values())
    write(f"{NAME}-svm", [{"recipe": "sklearn.svm.SVC(C=10), standardized", "figures": summary}])
    assert summary["moments"]["known"]["mean"] > 0.8
