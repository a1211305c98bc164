"""`python -m rnncli.doctor`: the same page with the standard library only, in case typer or rich is broken."""

from __future__ import annotations

import sys

from rnncli import render
from rnncli.doctor import examine

if __name__ == "__main__":
    page = examine()
    sys.stdout.write(render.to_text(page, width=79, ascii=True))
    raise SystemExit(0 if page.ok() else 1)
