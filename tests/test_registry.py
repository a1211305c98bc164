"""Registries: a folder's own names stand, and a name that several packages give is refused."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from rnncli.errors import UsageError
from rnncli.registry import Registry

NAMES = {"twice": "another.twice", "memory": "another.memory"}


def add(site: Path, package: str) -> None:
    """As pip would: entry points of one package."""
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", "utf-8")
    lines = [f"{name} = {module}" for name, module in NAMES.items()]
    (info / "entry_points.txt").write_text("\n".join(["[rnncli.views]", *lines]) + "\n", "utf-8")


def as_it_is(module: ModuleType) -> ModuleType:
    return module


def test_a_name_of_several_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("first", "second"):
        add(tmp_path, package)
    monkeypatch.syspath_prepend(str(tmp_path))
    views = Registry("rnncli.views", as_it_is)
    assert "twice" in views
    assert views["memory"].__name__ == "rnncli.views.memory"
    with pytest.raises(UsageError, match="twice is defined by several packages: first, second") as refused:
        views["twice"]
    assert "uninstall" in str(refused.value.todo)
