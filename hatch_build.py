"""The languages of a wheel: every `.po` file of rnncli/locale as the `.mo` file that Python's gettext reads."""

from __future__ import annotations

import runpy
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Languages(BuildHookInterface[Any]):
    """The `.mo` files never lie in the source tree, where they could be out of date: an editable installation reads the
    `.po` files themselves."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        compiled = runpy.run_path(str(root / "rnncli" / "locale" / "po.py"))["compiled"]
        self.made = Path(tempfile.mkdtemp())
        for file in () if version == "editable" else root.glob("rnncli/locale/*/LC_MESSAGES/rnncli.po"):
            made = self.made / f"{file.parts[-3]}.mo"
            made.write_bytes(compiled(file.read_text(encoding="utf-8")))
            build_data["force_include"][str(made)] = str(file.relative_to(root).with_suffix(".mo"))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(self.made)
