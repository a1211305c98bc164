"""The pictures of the README and the documentation: made by the program, small, and linking nothing."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from rnncli.render import pictures

DOCS = Path(__file__).parents[1] / "docs"


def lines(drawn: str) -> list[str]:
    """The text of a screen's picture, without what depends on the machine: versions and differences."""
    texts = re.findall(r"<text [^>]*>(.*?)</text>", drawn, re.S)
    plain = [html.unescape(text).replace("\u00a0", " ").strip() for text in texts]
    return [text for text in plain if text and "torch" not in text and not re.search(r"e-\d\d", text)]


MADE = {
    "demo.svg": "demo",
    "pictures/rnn.svg": "demo --draw --animate",
    "pictures/lstm.svg": "demo --draw --cell lstm",
    "pictures/lstm-2-layers.svg": "demo --draw --cell lstm --num-layers 2 --bidirectional",
    "pictures/slstm.svg": "demo --draw --cell slstm",
}


@pytest.mark.parametrize("name", MADE)
def test_a_picture_is_what_the_program_shows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnncli import cli

    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.chdir(tmp_path)
    assert cli.run(["-q", *MADE[name].split(), "--save", "made.svg"]) == 0
    kept = (DOCS / name).read_text(encoding="utf-8")
    assert lines(kept) == lines((tmp_path / "made.svg").read_text(encoding="utf-8"))
    assert any("0.6982" in line for line in lines(kept)) or "lstm" in name


@pytest.mark.parametrize("file", sorted(DOCS.rglob("*.[ps][nv]g")), ids=lambda file: file.name)
def test_pictures_are_small_and_link_nothing(file: Path) -> None:
    assert file.stat().st_size < 200_000
    if file.suffix == ".svg":
        text = file.read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[^\"' )<]*", text)) == {"http://www.w3.org/2000/svg"}
        assert "href" not in text


def test_a_dark_system_changes_every_colour_of_plain_text() -> None:
    drawn = (DOCS / "demo.svg").read_text(encoding="utf-8")
    light, dark = drawn.split("@media", 1)
    rule = r"\.rnncli-(r\d+) \{ fill: (#[0-9a-f]{6})"
    assert dict(re.findall(rule, dark)) == {name: pictures._DARK[colour] for name, colour in re.findall(rule, light)}
