"""CI runs what the README tells a newcomer to paste, in environments that contain nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REQUIREMENTS = [
    Requirement(line)
    for lines in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for line in lines
    if not line.startswith("rnncli[")
]

MISSING = [name for name in ("bash", "git") if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not here: {', '.join(MISSING)}")

README = """# A project
```bash
python3 -m venv .venv && . .venv/bin/activate && python -m pip list --format=freeze > "$LOG.first" && : demo
```
```bash
. .venv/bin/activate; python -c 'import sys; print(sys.prefix, *sys.path)' > "$LOG.second"
env >> "$LOG.second" && : pytest
```
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with this project's .ci/readme, a README of its own, and one file that git does not know."""
    tree = tmp_path / "tree"
    (tree / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "readme", tree / ".ci")
    (tree / "new.txt").write_text("new")
    subprocess.run(["git", "init", "--quiet", tree], check=True)
    return tree


# Makes environments without pip, which takes seconds to unpack; the one that holds pip is made by the README's block.
PYTHON = f"""#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then shift 2; set -- -m venv --without-pip "$@"; fi
exec '{sys.executable}' "$@"
"""


def readme(tree: Path, text: str) -> subprocess.CompletedProcess[str]:
    (tree / "README.md").write_text(text, encoding="utf-8")
    python = tree.parent / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    env = os.environ | {"LOG": str(tree.parent / "log"), "PYTHONPATH": str(ROOT), "PYTHON": str(python)}
    return subprocess.run(["bash", ".ci/readme"], cwd=tree, env=env, capture_output=True, text=True, timeout=300)


def test_both_blocks_run_word_for_word_in_empty_environments(tree: Path) -> None:
    done = readme(tree, README)
    assert done.returncode == 0, done.stderr
    for command in re.findall(r"```bash\n(.*?)\n```", README, re.S):
        assert command in done.stdout
    installed = (tree.parent / "log.first").read_text().splitlines()
    assert {line.partition("==")[0] for line in installed} <= {"pip", "setuptools"}
    prefix, *rest = (tree.parent / "log.second").read_text().splitlines()
    assert ".venv" in prefix.split()[0]
    assert str(ROOT) not in prefix
    settings = dict(line.split("=", 1) for line in rest if "=" in line)
    assert "PYTHONPATH" not in settings
    assert not Path(settings["HOME"]).exists()  # a new one, gone now
    assert not (tree / ".venv").exists()  # each block had a copy of the tree


@pytest.mark.parametrize("blocks", [("exit 7 && : demo", ": pytest"), (": demo", "exit 7 && : pytest")])
def test_a_block_that_fails_fails_ci(tree: Path, blocks: tuple[str, str]) -> None:
    assert readme(tree, "".join(f"```bash\n{block}\n```\n" for block in blocks)).returncode == 7


def test_a_readme_without_the_commands_fails_ci(tree: Path) -> None:
    done = readme(tree, README.replace("pytest", "nothing"))
    assert done.returncode != 0
    assert "the second must run the tests" in done.stderr


def test_ci_runs_the_readme_and_of_its_own_only_what_the_extra_test_leaves_out() -> None:
    text = (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.search(r"^(\w+=\S+ |\w+=\"[^\"]*\" )*\.ci/readme$", text, re.M)
    found = re.findall(r"-m pytest --numprocesses 2 --quiet (\S+)", text)
    assert found == ["tests/nn/test_compiled.py"]  # needs the extra fast
    assert text.count("-m pytest") == 1


def test_the_constraints_hold_every_package_that_the_project_admits() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    held = {Requirement(line).name.lower(): Requirement(line).specifier for line in lines}
    for one in REQUIREMENTS:
        (bound,) = held[one.name.lower()]
        assert bound.operator == "=="
        assert one.specifier.contains(bound.version), one
    assert Version(next(iter(held["torch"])).version) == Version("2.13.0")


def test_the_lowest_versions_are_lower_bounds_of_the_project() -> None:
    done = subprocess.run([sys.executable, ROOT / ".ci" / "versions", "lowest"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lowest = {Requirement(line).name: next(iter(Requirement(line).specifier)) for line in done.stdout.splitlines()}
    assert set(lowest) == {one.name for one in REQUIREMENTS}
    for one in REQUIREMENTS:
        assert one.specifier.contains(lowest[one.name].version), one
