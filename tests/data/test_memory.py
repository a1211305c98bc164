"""What reading takes of memory hardly grows with the file."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests import warm

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from /proc")

# The peak after the small file, and after the large one: one process, so that what torch takes counts in both.
SCRIPT = """
import json, sys
from itertools import islice
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from rnncli.training.loop import fit
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
recipe, *sets = json.loads(sys.argv[1])
for path in sys.argv[2:]:
    job = prepare(load_recipe(recipe, (*sets, f"data.path={path}", "train.threads=1", "train.max_steps=2")))
    list(islice(fit(job), 2))
    job.task.baselines(job.config, job.splits, "train")
    print(peak() // 1024)
"""


def repeated(path: Path, unit: str, size: int, head: str = "") -> Path:
    with open(path, "w", encoding="utf-8") as file:
        file.write(head)
        file.writelines(unit for _ in range(size // len(unit)))
    return path


def growth(tmp_path: Path, recipe: str, *sets: str, unit: str, sizes: tuple[int, int], head: str = "") -> int:
    """MB that the large file takes beyond the small one."""
    files = [repeated(tmp_path / f"{size}.txt", unit, size, head) for size in sizes]
    done = subprocess.run(
        [warm.python(), "-c", SCRIPT, json.dumps([recipe, *sets]), *map(str, files)],
        capture_output=True,
        text=True,
        env=os.environ | {"RNNCLI_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    small, large = map(int, done.stdout.split())
    return large - small


TEXT = "Forty megabytes of text, that is a good deal more than anybody reads, and less than a model does.\n" * 20


@pytest.mark.parametrize("megabytes", [20, pytest.param(40, marks=pytest.mark.evidence)])
def test_a_text_of_many_megabytes(tmp_path: Path, megabytes: int) -> None:
    sets = ("model.hidden_size=4", "data.split.validation=0.001")
    sizes = (1_000_000, megabytes * 1_000_000)
    assert growth(tmp_path, "language-model", *sets, unit=TEXT, sizes=sizes) < 1.6 * megabytes


@pytest.mark.parametrize("megabytes", [5, pytest.param(15, marks=pytest.mark.evidence)])
def test_words_of_many_megabytes(tmp_path: Path, megabytes: int) -> None:
    sets = ("model.hidden_size=4", "data.split.validation=0.001")
    sizes = (1_000_000, megabytes * 1_000_000)
    assert growth(tmp_path, "word-language-model", *sets, unit=TEXT, sizes=sizes) < 64


SENTENCE = "".join(f"{i}\tword{i}\t_\tNOUN\t_\t_\t0\troot\t_\t_\n" for i in range(1, 30)) + "\n"


@pytest.mark.parametrize("megabytes", [2, pytest.param(5, marks=pytest.mark.evidence)])
def test_tagged_sentences_of_many_megabytes(tmp_path: Path, megabytes: int) -> None:
    sets = ("model.hidden_size=4", "data.split.validation=0.01", "data.split.test=0.01")
    sizes = (100_000, megabytes * 1_000_000)
    assert growth(tmp_path, "pos-tagging", *sets, unit=SENTENCE, sizes=sizes) < 4 * megabytes
