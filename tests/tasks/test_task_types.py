"""What mypy sees of a task: nothing in CONTRIBUTING's example, and every fault that is planted in a task of ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="mypy comes with the extra rnncli[dev]")

ROOT = Path(__file__).parents[2]
# Name -> (what stands in the task, how often, what is planted in its place, what mypy says of that).
FAULTS = {
    "config_key": ("config.train.sample\n", "config.train.sampel\n", '"Train" has no attribute "sampel"'),
    "fitted_field": ("splits.fitted.kind", "splits.fitted.knid", '"Fitted" has no attribute "knid"'),
    "part_field": ("len(part.ids)", "len(part.idz)", '"Part" has no attribute "idz"'),
    "missing_method": (
        "    def loss(",
        "    def lose(",
        'abstract class "LanguageModel" with abstract attribute "loss"',
    ),
    "wrong_config": ("config_class = Config\n", "config_class = RecipeConfig\n", 'defined the type as "type[Config]"'),
}
# torch's own types play no part in these, and take mypy a minute.
SETTINGS = """[mypy]
strict = True
plugins = pydantic.mypy
[mypy-rnncli.*]
follow_imports = silent
[mypy-torch.*,numpy.*]
follow_imports = skip
"""


def test_mypy_finds_planted_faults_and_no_others(tmp_path: Path) -> None:
    example = re.search(
        r"^# rnncli/tasks/sums\.py\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.M | re.S
    )
    assert example is not None
    (tmp_path / "example.py").write_text(example[1], "utf-8")
    sound = (ROOT / "rnncli" / "tasks" / "language_model.py").read_text("utf-8")
    (tmp_path / "sound.py").write_text(sound, "utf-8")
    planted: dict[str, set[int]] = {}
    for name, (before, after, _) in FAULTS.items():
        assert before in sound, name
        lines = sound.replace(before, after).splitlines(keepends=True)
        planted[name] = {
            n for n, (a, b) in enumerate(zip(lines, sound.splitlines(keepends=True), strict=True), 1) if a != b
        }
        (tmp_path / f"{name}.py").write_text("".join(lines), "utf-8")
    (tmp_path / "mypy.ini").write_text(SETTINGS, "utf-8")
    files = ["example", "sound", *FAULTS]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", *(f"{name}.py" for name in files)],
        cwd=tmp_path, env={"MYPYPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True,
    )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if ": error:" in line]
    of = {name: [line for line in said if line.startswith(f"{name}.py:")] for name in files}
    assert not done.stderr
    assert of.pop("example") == of.pop("sound") == [], done.stdout
    for name, (_, _, text) in FAULTS.items():
        assert of[name], f"{name}: mypy saw nothing"
        assert all(text in line for line in of[name]), of[name]
        if name != "missing_method":  # that is seen where the task is made
            assert {int(line.split(":")[1]) for line in of[name]} == planted[name]
    assert sum(map(len, of.values())) == len(said), done.stdout
