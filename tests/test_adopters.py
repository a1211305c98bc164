"""What stands around the package (workflow, pre-commit, Dockerfile, citation, security) says what the package says."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnncli import files, starters
from rnncli.data import audio
from rnncli.recipe import parse
from rnncli.version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="needs the repository, not a source distribution")


def text_of(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text_of(".github/workflows/ci.yml"))
    return found


def commands() -> list[str]:
    return [step["run"] for job in workflow()["jobs"].values() for step in job["steps"] if "run" in step]


def extras(command: str) -> set[str]:
    return {name for names in re.findall(r"'\.\[([a-z,]+)\]'", command) for name in names.split(",")}


def test_the_pythons_of_the_workflow_are_those_of_the_project() -> None:
    matrix = workflow()["jobs"]["tests"]["strategy"]["matrix"]
    prefix = "Programming Language :: Python :: 3."
    assert [f"{prefix[:-2]}{one}" for one in matrix["python"]] == [
        c for c in PROJECT["classifiers"] if c.startswith(prefix)
    ]
    assert PROJECT["requires-python"] == f">={matrix['python'][0]}"
    assert {one["python"] for one in matrix["include"]} <= set(matrix["python"])
    assert {one.partition("-")[0] for one in matrix["os"]} == {"ubuntu", "macos", "windows"}
    conditions = [step["if"] for step in workflow()["jobs"]["tests"]["steps"] if "if" in step]
    assert conditions == [f"matrix.versions == '{one['versions']}'" for one in matrix["include"]]


def test_the_workflow_runs_scripts_that_are_there() -> None:
    scripts = {name for command in commands() for name in re.findall(r"(?<!\S)\.ci/\w+", command)}
    assert scripts == {".ci/run", ".ci/versions"}
    assert all(os.access(ROOT / name, os.X_OK) for name in scripts)
    modes = [mode for command in commands() for mode in re.findall(r"\.ci/versions (\w+)", command)]
    assert all(f'case ["{mode}"]' in text_of(".ci/versions") for mode in modes)
    assert set().union(*map(extras, commands())) == {"test"}
    for job in workflow()["jobs"].values():
        for step in job["steps"]:
            assert "run" in step or re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]), step


def test_pre_commit_runs_what_ci_check_runs() -> None:
    (local,) = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    assert local["repo"] == "local"
    checks = text_of(".ci/check").split('cd "$(dirname "$0")/.."\n')[1].removesuffix('"$@"\n').split("\n")
    assert [hook["entry"] for hook in local["hooks"]] == [line for line in checks if line]
    assert all(hook["language"] == "system" and hook["pass_filenames"] is False for hook in local["hooks"])


def test_the_dockerfile_copies_and_installs_what_there_is() -> None:
    lines = re.sub(r"\\\n", " ", text_of("Dockerfile")).splitlines()
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    assert all((ROOT / name).exists() for name in copied)
    ignored = text_of(".dockerignore").splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    needed = {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "hatch_build.py", "rnncli", "recipes"}
    assert needed <= copied
    (install,) = [line for line in lines if "pip install" in line]
    assert extras(install) <= PROJECT["optional-dependencies"].keys()
    assert "constraints.txt" in install
    (python,) = re.findall(r"^FROM python:(\S+)-slim$", text_of("Dockerfile"), re.M)
    assert python in workflow()["jobs"]["tests"]["strategy"]["matrix"]["python"]
    user, entry = (
        next(i for i, line in enumerate(lines) if line.startswith(word)) for word in ("USER ", "ENTRYPOINT ")
    )
    assert "root" not in lines[user]
    assert user < entry
    assert lines[entry] == f'ENTRYPOINT ["{next(iter(PROJECT["scripts"]))}"]'


def test_everywhere_the_same_index_of_torch() -> None:
    """The README's, which says how to get the CPU build."""
    names = ("README.md", ".github/workflows/ci.yml", "Dockerfile")
    found = {re.search(r"PIP_EXTRA_INDEX_URL(?:=|: )(\S+)", text_of(name)) for name in names}
    assert len({match[1] for match in found if match}) == 1
    assert None not in found


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what the format asks for
    assert citation["version"] == __version__
    assert f"## [{__version__}] - {citation['date-released']}" in text_of("CHANGELOG.md")
    assert citation["license"] == PROJECT["license"]
    assert f"{citation['authors'][0]['name']}\n" in text_of("LICENSE")


def test_the_bounds_that_security_promises() -> None:
    text = " ".join(text_of("SECURITY.md").split())
    assert f"at most {starters.MAX_BYTES // 10**6} MB, {parse.MAX_NODES:,} values" in text
    assert f"{parse.MAX_DEPTH} levels" in text
    assert f"stops at {files.MAX_RATIO} times its packed size, once that exceeds {files.UNPACKED >> 20} MiB" in text
    assert f"at most {audio.MAX_BYTES >> 20} MiB" in text


def test_a_source_distribution_holds_what_stands_beside_the_package() -> None:
    built = tomllib.loads(text_of("pyproject.toml"))["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {"CITATION.cff", "SECURITY.md", "CHANGELOG.md", "LICENSE"} <= set(built)
    assert all(list(ROOT.glob(name)) for name in built)
