"""A page of the documentation for each notebook in docs/, with the outputs that its file has (mkdocs.yml: hooks)."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def page_of(notebook: dict[str, Any]) -> Iterator[str]:
    """Its cells as Markdown."""
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        yield f"```python\n{source}\n```" if cell["cell_type"] == "code" else source
        for output in cell.get("outputs", ()):
            data = output.get("data", {"text/plain": output.get("text", [])})
            plain = f"<pre><code>{html.escape(''.join(data['text/plain']))}</code></pre>"
            shown = "".join(data.get("text/html", plain)).replace("<table>", '<table class="plain">')  # not the theme's
            yield f'<div class="output">\n{shown}\n</div>'


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        read = json.loads(Path(file.abs_src_path).read_text("utf-8"))
        name = file.src_uri.rpartition("/")[2]
        said = f'\n\n[This notebook]({name}){{ download="{name}" }} runs in Jupyter.'
        title, *rest = page_of(read)
        text = "\n\n".join([title + said, *rest])
        files.append(File.generated(config, file.src_uri.removesuffix(".ipynb") + ".md", content=text))
    return files
