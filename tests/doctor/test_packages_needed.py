"""What rnncli needs, read from its own metadata."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement as Theirs
from packaging.specifiers import SpecifierSet

from rnncli.doctor import packages

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]


def test_requirements_are_those_of_the_project() -> None:
    needed = packages.needs()
    theirs = [Theirs(line) for line in PROJECT["dependencies"]]
    assert [one.name for one in needed.required] == [one.name for one in theirs]
    assert [SpecifierSet(one.wanted) for one in needed.required] == [one.specifier for one in theirs]
    assert all(one.fits for one in needed.required), needed.required
    assert set(needed.extras) == set(PROJECT["optional-dependencies"])
    assert needed.python == PROJECT["requires-python"]


def test_an_extra_that_names_others_has_their_packages() -> None:
    extras = {name: {one.name for one in some} for name, some in packages.needs().extras.items()}
    assert extras["plot"] | extras["sweep"] | {"ruff"} <= extras["dev"]
    assert "rnncli" not in extras["dev"]


def test_installed_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    class Headers(dict[str, str]):
        def get_all(self, name: str) -> list[str]:
            return ["plot", "empty"]

    lines = ["torch<2.14,>=2.10", "matplotlib>=3.9; extra == 'plot'"]
    monkeypatch.setattr(packages, "_PROJECT", Path("nowhere"))
    monkeypatch.setattr(metadata, "metadata", lambda name: Headers({"Requires-Python": ">=3.11"}))
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    needed = packages.needs()
    assert [(one.name, one.wanted) for one in needed.required] == [("torch", "<2.14,>=2.10")]
    assert {name: [one.name for one in some] for name, some in needed.extras.items()} == {
        "plot": ["matplotlib"],
        "empty": [],
    }


@pytest.mark.parametrize("version", ["2.9", "2.10", "2.13.0", "2.13.1+cpu", "2.14", "3", "2.10.0"])
@pytest.mark.parametrize("wanted", [">=2.10,<2.14", "==2.13.0", "!=2.14", "<=2.13", ">2.10", ""])
def test_ranges_as_packaging_reads_them(version: str, wanted: str) -> None:
    # a local part, +cpu, is left out here, and by `==` in packaging too
    assert packages.within(version, wanted) == SpecifierSet(wanted).contains(version.partition("+")[0])


def test_modules_of_distributions() -> None:
    assert [packages.module(name) for name in ("torch", "pyyaml", "pillow", "soundfile", "typer", "numpy")] == [
        "torch",
        "yaml",
        "PIL",
        "soundfile",
        "typer",
        "numpy",
    ]
    assert packages.module("there-is-none-of-that-name") == ""
