"""Registries: the files of a folder, and what installed packages add through entry points.

A file of `rnncli/cells/` is a cell; so is a module that an installed package names in its own pyproject.toml:

    [project.entry-points."rnncli.cells"]
    mgu = "my_package.mgu"

The group's name is the folder's. Nothing is imported before it is asked for, and entry points are read only where the
folder does not have the name. No torch here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from rnncli.errors import Missing, UsageError
from rnncli.locale import tr

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


def on_first_use(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """A package's `__getattr__`, which imports a name when it is first used. homes: name -> file of the package."""

    def attribute(name: str) -> object:
        if name in homes:
            return getattr(import_module(f"{package}.{homes[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return attribute


class Registry(Mapping[str, T]):
    """Name -> what the file of that name defines, `what-if` of what_if.py. Files that begin with an underscore are no
    entries.

    package: the folder, `rnncli.cells`, which is also the group of entry points. read: what of a module is the entry.
    """

    def __init__(self, package: str, read: Callable[[ModuleType], T]) -> None:
        self.package = package
        self.read = read
        self.loaded: dict[str, T] = {}

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The names of the folder's files, sorted."""
        spec = find_spec(self.package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        folders = [Path(folder) for folder in spec.submodule_search_locations]
        return tuple(sorted(file.stem.replace("_", "-") for folder in folders for file in folder.glob("[a-z]*.py")))

    @cached_property
    def added(self) -> Mapping[str, list[EntryPoint]]:
        """Name -> the entry points of installed packages; a name of the folder's own cannot be taken."""
        return {name: points for name, points in added(self.package).items() if name not in self.files}

    def __getitem__(self, name: str) -> T:
        """Raises KeyError: there is no such name. UsageError: several packages have it. Missing: its package cannot be
        imported."""
        if name not in self.loaded:
            if name in self.files:
                module = import_module(self._module(name))
            else:
                module = _imported(only(name, self.added[name]))
            self.loaded[name] = self.read(module)
        return self.loaded[name]

    def _module(self, name: str) -> str:
        """Of one of the folder's own."""
        return f"{self.package}.{name.replace('-', '_')}"

    def constants(self, name: str) -> dict[str, str]:
        """The texts that the file of that name assigns before its first function, by their names; read, not imported,
        since the file may import torch."""
        spec = find_spec(self._module(name) if name in self.files else self.added[name][-1].value)
        text = "" if spec is None or spec.origin is None else Path(spec.origin).read_text("utf-8")
        head = re.split(r"^(?:def|class|@)", text, maxsplit=1, flags=re.MULTILINE)[0]
        found: dict[str, str] = {}
        for node in ast.parse(head).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                found |= {target.id: str(node.value.value) for target in node.targets if isinstance(target, ast.Name)}
        return found

    def __iter__(self) -> Iterator[str]:
        return iter((*self.files, *sorted(self.added)))

    def __len__(self) -> int:
        return len(self.files) + len(self.added)

    def __contains__(self, name: object) -> bool:
        return name in self.files or name in self.added


def added(group: str) -> dict[str, list[EntryPoint]]:
    """Name -> the entry points of that name, of all installed packages."""
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, []).append(point)
    return found


def package_of(point: EntryPoint) -> str:
    """The package that an entry point is of."""
    return point.value if point.dist is None else point.dist.name


def only(name: str, points: Sequence[EntryPoint], *others: str) -> EntryPoint:
    """The one entry point of that name. others: who else has it. Raises UsageError: several packages have it."""
    packages = [*others, *sorted(map(package_of, points))]
    if len(packages) > 1:
        raise UsageError(
            tr("{name} is defined by several packages: {packages}", name=name, packages=", ".join(packages)),
            todo=tr("uninstall all of them but one"),
        )
    return points[0]


def _imported(point: EntryPoint) -> ModuleType:
    where = f"{point.group}: {point.name} = {point.value}"
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        what = tr("this entry point of {package} cannot be imported: {why}", package=package_of(point), why=error)
        raise Missing(what, where=where) from error
    if not isinstance(found, ModuleType):
        raise UsageError(tr("an entry point names a module, not something inside it"), where=where)
    return found
