"""A small package of somebody else's, installed beside rnncli: files, and the entry points that name them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import warm

ROOT = Path(__file__).parents[1]

# Runs each line as a person would type it, when it comes; answers {"line", "code", "out", "err"}.
DRIVER = """
import contextlib, io, json, shlex, sys
from rnncli.cli import run
for line in map(str.strip, sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(shlex.split(line)[1:])
    print(json.dumps({"line": line, "code": code, "out": out.getvalue(), "err": err.getvalue()}), flush=True)
"""


def install(site: Path, files: Mapping[str, str], points: Mapping[str, Mapping[str, str]]) -> None:
    """Into the folder `site`, as pip would: `strangers/NAME.py`, and a dist-info with entry points.

    points: group -> name -> module.
    """
    package, info = site / "strangers", site / "strangers-1.0.dist-info"
    for folder in (package, info):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text("", "utf-8")
    for name, text in files.items():
        (package / f"{name}.py").write_text(text, "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n", "utf-8")
    lines = [
        line for group, named in points.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in named.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")


class Typed:
    """A process with the package installed, which answers to lines as they would be typed in a folder."""

    def __init__(self, site: Path, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join((str(site), str(ROOT))),
            "LC_ALL": "C.UTF-8", "COLUMNS": "80", "NO_COLOR": "1",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [warm.python(), "-P", "-W", "error", "-c", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            cwd=folder, env=environment, encoding="utf-8",
        )  # fmt: skip

    def __enter__(self) -> Typed:
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait(60)

    def __call__(self, line: str) -> dict[str, Any]:
        """{"code", "out", "err"} of a line."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        for answer in self.process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                found: dict[str, Any] = json.loads(answer)
                if found.get("line") == line:
                    return found
        raise AssertionError(f"the process ended at {line}")

    def well(self, line: str) -> str:
        """What a line printed that ends well."""
        found = self(line)
        assert found["code"] == 0, (line, found["code"], found["err"], found["out"][-2000:])
        return str(found["out"])
