"""rnncli's requirements, from its own metadata, and what is installed."""

from __future__ import annotations

import operator
import re
import tomllib
from dataclasses import dataclass
from importlib import metadata
from itertools import zip_longest
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"  # if rnncli runs from its sources
_COMPARISONS = {">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
                ">": operator.gt, "<": operator.lt}  # fmt: skip


@dataclass(frozen=True)
class Requirement:
    """name: of the distribution. wanted: `>=2.10,<2.14`. found: the installed version, "" if none."""

    name: str
    wanted: str
    found: str

    @property
    def fits(self) -> bool:
        return bool(self.found) and within(self.found, self.wanted)

    @property
    def missing(self) -> str:
        """Description of an unmet requirement: `keras`, or `torch 2.9.0, needs >=2.10`."""
        return f"{self.name} {self.found}, {self.wanted}" if self.found else self.name


@dataclass(frozen=True)
class Needs:
    """required: always. extras: name -> its requirements, nested extras resolved. python: for example `>=3.11`."""

    required: list[Requirement]
    extras: dict[str, list[Requirement]]
    python: str


def needs() -> Needs:
    """The requirements from pyproject.toml next to the sources, else from the installed metadata. Raises ImportError,
    LookupError, OSError or ValueError if neither can be read: rnncli is not installed."""
    if _PROJECT.is_file():
        project = tomllib.loads(_PROJECT.read_text("utf-8"))["project"]
        lines, python = list(project["dependencies"]), str(project["requires-python"])
        extras = {name: list(of_extra) for name, of_extra in project["optional-dependencies"].items()}
    else:
        lines, extras, python = _installed()
    return Needs(
        [_requirement(line) for line in lines],
        {name: [_requirement(line) for line in _resolved(name, extras)] for name in extras},
        python,
    )


def _installed() -> tuple[list[str], dict[str, list[str]], str]:
    found = metadata.metadata("rnncli")  # PackageNotFoundError is an ImportError
    extras: dict[str, list[str]] = {name: [] for name in found.get_all("Provides-Extra") or []}
    lines: list[str] = []
    for line in metadata.requires("rnncli") or []:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
        (extras.setdefault(extra[1], []) if extra else lines).append(requirement.strip())
    return lines, extras, str(found["Requires-Python"] or "")


def _resolved(name: str, extras: dict[str, list[str]]) -> list[str]:
    """The requirements of an extra, with `rnncli[plot,images]` replaced by those extras' requirements."""
    lines: list[str] = []
    for line in extras.get(name, []):
        own = re.match(r"rnncli\[([^]]*)\]", line)
        for part in [part.strip() for part in own[1].split(",")] if own else []:
            lines += _resolved(part, extras) if part != name else []
        lines += [] if own else [line]
    return list(dict.fromkeys(lines))


def _requirement(line: str) -> Requirement:
    found = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)", line)
    assert found is not None
    name, wanted = found[1], found[2].replace(" ", "").strip("()")
    try:
        version = str(metadata.version(name) or "")
    except (metadata.PackageNotFoundError, OSError, ValueError):
        version = ""
    return Requirement(name, wanted, version)


def within(version: str, wanted: str) -> bool:
    """Whether a version is in a range of >=, >, <, <=, == and != parts, comparing numbers only (2.13.0+cpu is
    2.13.0)."""
    for sign, number in re.findall(r"(?:^|,)(>=|<=|==|!=|>|<)([^,]+)", wanted):
        pairs = list(zip_longest(_numbers(version), _numbers(number), fillvalue=0))
        if not _COMPARISONS[sign]([own for own, _ in pairs], [limit for _, limit in pairs]):
            return False
    return True


def _numbers(version: str) -> list[int]:
    found = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return [int(part) for part in found[0].split(".")] if found else []


def module(distribution: str) -> str:
    """The module of a distribution: `pillow` -> `PIL`; "" for programs and stubs."""
    try:
        files = metadata.files(distribution) or []
    except (metadata.PackageNotFoundError, OSError, ValueError):
        return ""
    tops = {file.parts[0] for file in files if len(file.parts) == 2 and file.name == "__init__.py"}
    tops |= {file.stem for file in files if len(file.parts) == 1 and file.suffix == ".py"}
    same = distribution.lower().replace("-", "_")
    found = sorted(
        (top for top in tops if top.isidentifier()), key=lambda top: (top.lower() != same, top.startswith("_"), top)
    )
    return found[0] if found else ""
