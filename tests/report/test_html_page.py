"""A web page as text: what it holds, that it is closed to the network, and that no data becomes a script."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib import resources

import pytest

from rnncli.errors import Missing
from rnncli.records import (
    Check,
    Checks,
    ColouredText,
    Column,
    Commands,
    CoreSteps,
    HeatMap,
    Message,
    Page,
    Record,
    Recording,
    Section,
    Series,
    Table,
    WebPage,
)
from rnncli.render import html, render_file

EVIL = (
    "</script><script>alert(1)</script></style></title></td></pre><img src=x onerror=alert(2)> <!-- ]]> {{ 7 * 6 }} "
    "{% raw %} \u2028 \x1b[2J \u202e &amp; \" onload=\"alert(3) ' onload='alert(4)"
)


def records_of(text: str) -> list[Record]:
    """Every kind of record, saying `text` wherever a text can stand."""
    return [
        Series(
            "s",
            [1, 2],
            {text: [0.1, math.nan], "b": [1.0, 2.0]},
            text,
            text,
            text,
            marks={text: 1.0},
            ticks=[text, "b"],
        ),
        HeatMap("m", [[0.1, -0.2], [math.inf, 3]], [text, "b"], [text, "d"], text, text, text),
        Table("t", [Column("a", text, "text"), Column("b", text, "code")], [[text, text]], title=text, caption=text),
        Table("sheet", [Column("value", text, "text", group=text)], [[text], [""]], total=[text], sheet=True),
        ColouredText("tokens", [text, "b"], [0.5, -0.5], title=text, separator=text),
        Checks([Check("c", True, text), Check("d", False, text, 1e-3, 1e-6)], title=text),
        Commands(text, [(text, text), (text, text)]),
        Message(text),
        Message(text, "code"),
    ]


def page_of(text: str) -> WebPage:
    """A page that says `text` wherever a text can stand."""
    core = CoreSteps(text, text, {"l0.fwd.h": [[0.5], [math.nan]]}, 2, 1, [text, "b"], [(text, 0.5, text)] * 2)
    sections = [Section("one", text, records_of(text)), Section("two", text, [Message(text)], folded=True)]
    return WebPage(text, sections, [Message(text)], [Recording(text, text, [core])], "one")


def without_library(text: str) -> str:
    return re.sub(r'(<script type="text/plain" id="library">)[^<]*', r"\1", text)


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said += data


def elements(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(text)
    return parser.found


def saved(text: str) -> str:
    """What `--save FILE.html` writes of the same records."""
    return render_file(Page("s", text, records_of(text), device=text), ".html").decode()


@pytest.mark.parametrize("make", [lambda text: html.render(page_of(text)), saved], ids=["report", "saved"])
def test_no_text_becomes_an_element(make: Callable[[str], str]) -> None:
    text = make(EVIL)
    harmless, evil = elements(make("plain")), elements(text)
    assert [tag for tag, _ in evil] == [tag for tag, _ in harmless]
    assert [list(attributes) for _, attributes in evil] == [list(attributes) for _, attributes in harmless]
    assert not [tag for tag, _ in evil if tag == "img"]
    assert not set(text) & set("\x1b\u202e\u2028")
    assert "{{ 7 * 6 }}" in text


def test_every_text_is_there_whole() -> None:
    """As often as a harmless one is, its invisible characters written out."""
    shown = EVIL.replace("\u2028", "\\u2028").replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    evil, harmless = Elements(), Elements()
    evil.feed(saved(EVIL))
    harmless.feed(saved("harmless"))
    assert evil.said.replace("␣", " ").count(shown) == harmless.said.count("harmless") > 30


def test_the_embedded_text_is_the_text() -> None:
    found = re.search(r'id="data">(.*?)</script>', html.render(page_of("</script>\u2028<b>")), re.S)
    assert found is not None
    assert not set("<>&\u2028") & set(found[1])
    data = json.loads(found[1])
    assert data["recordings"][0]["cores"][0]["tokens"][0] == "</script>\\u2028<b>"  # an invisible character is shown
    assert data["figures"][0]["lines"]["b"] == [1.0, 2.0]
    assert data["figures"][0]["lines"]["</script>\\u2028<b>"] == [0.1, None]


def test_nothing_is_linked() -> None:
    text = without_library(html.render(page_of("plain")))
    for tag, attributes in elements(text):
        assert tag not in ("link", "iframe", "img", "base", "object", "embed")
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert "@import" not in text


def test_the_policy_names_its_own_scripts_and_no_connection() -> None:
    text = html.render(page_of("plain"))
    (policy,) = [a["content"] for tag, a in elements(text) if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    own = re.findall(r"<script>(.*?)</script>", text, re.S)
    library = (resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    packed = re.search(r'id="library">([^<]*)<', text)
    assert packed is not None
    assert gzip.decompress(base64.b64decode(packed[1])) == library
    scripts = [*(script.encode() for script in own), library]
    wanted = {f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" for script in scripts}
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert set(rules["script-src"].split()) == wanted
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules


def test_every_anchor_has_its_section() -> None:
    found = elements(html.render(page_of("plain")))
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    anchors = [(attributes["href"] or "")[1:] for tag, attributes in found if tag == "a"]
    assert anchors == ["one", "viewer", "two"]
    assert set(anchors) <= set(ids)
    assert len(ids) == len(set(ids))


def test_the_same_page_twice_is_the_same_file() -> None:
    assert html.render(page_of("plain")) == html.render(page_of("plain"))


def test_a_point_is_no_curve_and_nothing_is_no_chart() -> None:
    point, nothing = Series("a", [1], {"x": [2.5]}), Series("b", [1, 2], {"x": [math.nan, math.nan]})
    text = without_library(html.render(WebPage("t", [Section("s", "s", [point, nothing, HeatMap("m", [], [], [])])])))
    assert "2.5000" in text
    assert text.count("(no values)") == 2
    assert json.loads(re.findall(r'id="data">(.*?)</script>', text, re.S)[0])["figures"] == []


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    html._library.cache_clear()
    monkeypatch.setattr(resources, "files", missing)
    with pytest.raises(Missing, match="plotly") as error:
        html.require_library()
    assert error.value.exit_code == 5
    assert "rnncli[report]" in error.value.todo
