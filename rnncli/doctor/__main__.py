"""`python -m rnncli.doctor`: the same page by Python alone, where typer or rich is what is broken."""

from __future__ import annotations

import sys

from rnncli import render
from rnncli.doctor import examine

if __name__ == "__main__":
    page = examine()
    sys.stdout.write(render.to_text(page, width=79, ascii=True))
    raise SystemExit(0 if page.ok() else 1)
