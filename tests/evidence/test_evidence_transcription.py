"""Transcription at full size, seeds 0 to 4, on voices that training never heard.

Beside the shipped synthesizer: espeak-ng, where it is installed, speaks the ten digits in ten voices at several pitches
and speeds, and the label stands in the file's name, as in the free spoken digit sets.
"""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.evidence.evidence_runs import write
from tests.evidence.measured_runs import figures_on_test

pytestmark = pytest.mark.evidence

VOICES = {
    "ann": "en", "bob": "en-us", "cat": "en-gb-x-rp", "dan": "en-gb-scotland", "eve": "en+f2", "fay": "en-us+m3",
    "gus": "en+f4", "hal": "en-gb-x-gbclan+m5", "ivy": "en-us+f3", "jon": "en+m7",
}  # fmt: skip
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TAKES = 6


def test_digits_shipped() -> None:
    found = figures_on_test("transcription")
    write("transcription", [found])
    for run in found["runs"]:
        reached = run["rows"]["lstm"]
        assert reached["cer"] < 0.05, run["seed"]
        for other in ("feedforward", "most frequent text"):
            assert reached["cer"] < run["rows"][other]["cer"] / 2, (run["seed"], other)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_digits_of_another_synthesizer(tmp_path: Path) -> None:
    draw = random.Random(0)
    for speaker, voice in VOICES.items():
        for digit, word in enumerate(DIGITS):
            for take in range(TAKES):
                pitch, speed, loud = draw.randint(25, 75), draw.randint(120, 210), draw.randint(60, 150)
                file = tmp_path / f"{digit}_{speaker}_{take}.wav"
                options = ["-v", voice, "-p", str(pitch), "-s", str(speed), "-a", str(loud), "-w", str(file), word]
                subprocess.run(["espeak-ng", *options], check=True)
    pattern = "data.pattern={text}_{speaker}_{take}.wav"
    split = "data.split={{validation: 0.17, test: 0.17, by: {by}}}"
    sets = (f"data.path={tmp_path}", pattern, "train.control=false")
    found = [
        figures_on_test("transcription", (*sets, split.format(by=by)), ("data.path",)) for by in ("take", "speaker")
    ]
    write("transcription-espeak", found)
    takes, speakers = found
    for run in takes["runs"]:
        assert run["rows"]["lstm"]["wer"] <= 0.1, run["seed"]  # nine of ten clips and more are right
    # Voices never heard, after eight others: a hard one loses up to a fifth of its clips (seed 0, measured).
    for run in speakers["runs"]:
        assert run["rows"]["lstm"]["wer"] <= run["rows"]["most frequent text"]["wer"] / 3, run["seed"]
