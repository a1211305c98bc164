"""The page in a real browser, with real clicks: Chromium without a screen, at two widths, light and dark.

Skipped where chromium, its driver (Debian: chromium, chromium-driver) or selenium is not installed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rnncli.pages import Target, web_page
from rnncli.render import html
from rnncli.render.numbers import number
from rnncli.targets import find_target

webdriver = pytest.importorskip("selenium.webdriver")
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromium-driver"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # selenium's own pipes
]

SCREENS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module", params=SCREENS, ids=lambda screen: f"{screen[0]}-{screen[1]}")
def screen(request: pytest.FixtureRequest, browser: Any, hostile_page: Path) -> Any:
    """The page of two runs on words that are HTML."""
    width, scheme = request.param
    show(browser, hostile_page, width, scheme)
    return browser


@pytest.fixture
def opened(screen: Any, hostile_page: Path) -> Iterator[Any]:
    """The page as it is when it opens. After a test: no message on the console, nothing asked of a network, nothing
    wider than the screen, no script of the data's."""
    start = {"target": 0, "sample": 0, "core": 0, "layer": 1, "direction": "fwd", "quantity": "h", "unit": 0, "step": 0}
    run(screen, "Object.assign(chosen, arguments[0]); drawViewer()", start)
    yield screen
    assert [entry for entry in screen.get_log("browser") if entry["level"] != "INFO"] == []
    asked = {url for url in requested(screen) if not url.startswith(("data:", "blob:"))}
    assert asked <= {hostile_page.as_uri()}
    assert run(screen, "return document.documentElement.scrollWidth <= innerWidth")
    assert run(screen, "return [window.hacked ?? 0, document.images.length]") == [0, 0]


def show(browser: Any, file: Path, width: int, scheme: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    phone = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    prefer(browser, scheme)
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(file.as_uri())
    WebDriverWait(browser, 30).until(lambda b: run(b, "return document.documentElement.dataset.ready") == "yes")


def prefer(browser: Any, scheme: str) -> None:
    """The system's colours; and nothing that still scrolls when a test goes on."""
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def run(browser: Any, script: str, *values: Any) -> Any:
    return browser.execute_script(script, *values)


def requested(browser: Any) -> list[str]:
    """What the page has asked for since it was opened."""
    entries = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"]


def pick(browser: Any, name: str, text: str) -> None:
    """Choose an entry of a control as a person does, by what it says."""
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("id", f"choose-{name}")).select_by_visible_text(text)


def readout(browser: Any) -> dict[str, str]:
    """quantity -> the number shown."""
    shown = (
        "return [...document.querySelectorAll('#readout .value')].map((one) => [one.dataset.quantity, one.textContent])"
    )
    return {quantity: text.rpartition(" ")[2] for quantity, text in run(browser, shown)}


def traced(target: Target, sample: int, place: str, step: int, unit: int) -> dict[str, str]:
    """The same from a Trace."""
    made = target.subject(sample=sample).trace()
    names = [name for name in made.names() if name.startswith(place) and made.axes(name)[0] == "T"]
    names = [name for name in names if not name.endswith(".q")]  # a part of a GRU's n
    return {name.removeprefix(f"{place}."): number(float(made[name][step, 0, unit])) for name in names}


def cell(browser: Any, step: int, unit: int) -> tuple[float, float]:
    """Where in the window a cell of the heat map lies, once it has been scrolled into view."""
    place = """
        const heat = document.getElementById("heat"), { xaxis, yaxis } = heat._fullLayout;
        heat.scrollIntoView({ block: "center", behavior: "instant" });
        const box = heat.getBoundingClientRect();
        return [box.left + xaxis._offset + xaxis.l2p(arguments[0]), box.top + yaxis._offset + yaxis.l2p(arguments[1])];
    """
    x, y = run(browser, place, step, unit)
    return x, y


def mouse(browser: Any, kind: str, x: float, y: float) -> None:
    button = "none" if kind == "mouseMoved" else "left"
    event = {"type": kind, "x": x, "y": y, "button": button, "clickCount": 0 if button == "none" else 1}
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)


def wait(browser: Any, found: Any) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 10).until(found)


def test_choosing_shows_the_numbers_of_the_trace(opened: Any, hostile: list[Target]) -> None:
    lstm, gru = hostile
    assert readout(opened) == traced(lstm, 0, "l1.fwd", 0, 0)
    pick(opened, "sample", "1: one two three")
    pick(opened, "layer", "0")
    pick(opened, "direction", "backward")
    pick(opened, "quantity", "gate.f forget gate")
    pick(opened, "unit", "2")
    assert readout(opened) == traced(lstm, 1, "l0.bwd", 0, 2)
    assert opened.find_element("css selector", "#readout .chosen").get_attribute("data-quantity") == "gate.f"
    pick(opened, "target", "gru")
    assert readout(opened) == traced(gru, 1, "l0.bwd", 0, 2)
    assert set(readout(opened)) == {"h", "gate.r", "gate.z", "gate.n"}


def test_pointing_shows_a_number_and_a_click_keeps_it(opened: Any, hostile: list[Target]) -> None:
    x, y = cell(opened, 3, 1)
    wanted = traced(hostile[0], 0, "l1.fwd", 3, 1)

    def pointed(browser: Any) -> bool:
        """A hand that points is never quite still; of moves that come too fast the library leaves some out."""
        mouse(browser, "mouseMoved", x - 2, y)
        mouse(browser, "mouseMoved", x, y)
        return readout(browser) == wanted

    wait(opened, pointed)
    wait(opened, lambda b: b.find_elements("css selector", "#heat .hovertext"))
    hover = opened.find_element("css selector", "#heat .hovertext").text
    assert hover.replace("−", "-").endswith(wanted["h"])
    assert "%{y}" in hover  # the fourth word, as it is
    mouse(opened, "mousePressed", x, y)
    mouse(opened, "mouseReleased", x, y)
    wait(opened, lambda b: b.find_element("id", "choose-unit").get_attribute("value") == "1")
    mouse(opened, "mouseMoved", 2, 2)
    wait(opened, lambda b: readout(b) == wanted)
    pressed = opened.find_elements("css selector", "#text [aria-pressed=true]")
    assert [one.text.splitlines()[0] for one in pressed] == ["%{y}"]


def test_the_keyboard_reaches_every_number(opened: Any, hostile: list[Target]) -> None:
    from selenium.webdriver.common.keys import Keys

    focused = "return document.activeElement.id"
    opened.find_element("id", "choose-unit").send_keys(Keys.TAB)
    if run(opened, focused) != "panels":  # a browser stops at what scrolls, and on a phone the numbers do
        opened.switch_to.active_element.send_keys(Keys.TAB)
    assert run(opened, focused) == "panels"
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN):
        opened.switch_to.active_element.send_keys(key)
    assert readout(opened) == traced(hostile[0], 0, "l1.fwd", 2, 1)
    for key in (Keys.END, Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_UP):
        opened.switch_to.active_element.send_keys(key)
    assert readout(opened) == traced(hostile[0], 0, "l1.fwd", 5, 0)


def test_text_is_coloured_and_says_sign_and_size(opened: Any, hostile: list[Target]) -> None:
    made = hostile[0].subject().trace()
    values = made["l1.fwd.h"][:, 0, 0].tolist()
    reach = float(made["l1.fwd.h"][:, 0].abs().max())
    reach = 1.0 if 0.1 < reach <= 1 else reach
    tokens = opened.find_elements("css selector", "#text button")
    digits = [one.text.splitlines()[1] for one in tokens]
    assert digits == [f"{'-' if value < 0 else '+'}{round(9 * abs(value) / reach)}" for value in values]
    assert len({one.value_of_css_property("background-color") for one in tokens}) > 1
    one = [token.text.splitlines()[0] for token in tokens]
    assert one == ["</script><img/src=x/onerror=window.hacked=1>", "<b>bold</b>", "&lt;", "%{y}", "'\"`", "普通"]


def test_the_heat_map_is_drawn_with_the_words_under_it(opened: Any) -> None:
    ticks = [one.text for one in opened.find_elements("css selector", "#heat .xtick text")]
    assert ticks[1:4] == ["<b>bold</b>", "&lt;", "%{y}"]
    assert opened.find_elements("css selector", "#heat .hm image")
    assert len(opened.find_elements("css selector", "#lines .scatterlayer .trace")) >= 1


def test_curves_have_a_name_for_each_run(opened: Any) -> None:
    (loss, *_) = opened.find_elements("css selector", "#learning .plot")
    legend = [one.get_attribute("textContent") for one in loss.find_elements("css selector", ".legendtext")]
    assert legend == ["lstm: train", "lstm: train, after the epoch", "gru: train", "gru: train, after the epoch"]
    dashes = {one.value_of_css_property("stroke-dasharray") for one in loss.find_elements("css selector", ".js-line")}
    assert len(dashes) == 4  # not by colour alone


def test_no_button_sends_a_chart_away(opened: Any) -> None:
    """Plotly 7 has one of its own."""
    titles = run(opened, "return [...document.querySelectorAll('.modebar-btn')].map((one) => one.dataset.title)")
    assert set(titles) <= {"Download plot as a PNG", "Reset axes"}


def test_dark_and_light_follow_the_system(browser: Any, hostile_page: Path) -> None:
    seen: list[tuple[str, str]] = []
    show(browser, hostile_page, 1280, "light")
    ink = "return getComputedStyle(document.querySelector('#heat .xtick text')).fill"
    paper = "return getComputedStyle(document.body).backgroundColor"
    for scheme in ("light", "dark", "light"):
        prefer(browser, scheme)
        wait(browser, lambda b, before=seen[-1:]: not before or run(b, ink) != before[0][0])
        seen.append((run(browser, ink), run(browser, paper)))
    assert seen[0] == seen[2] != seen[1]


def test_on_paper_it_is_light_and_no_wider_than_a_page(browser: Any, hostile_page: Path) -> None:
    show(browser, hostile_page, 1280, "dark")
    ink = "return getComputedStyle(document.querySelector('#heat .xtick text')).fill"
    widest = "return Math.max(...[...document.querySelectorAll('.main-svg')].map((one) => one.clientWidth))"
    before = run(browser, ink), run(browser, widest)
    run(browser, "dispatchEvent(new Event('beforeprint'))")
    assert run(browser, ink) != before[0]
    assert before[1] != run(browser, widest) <= 180 / 25.4 * 96
    run(browser, "dispatchEvent(new Event('afterprint'))")
    assert (run(browser, ink), run(browser, widest)) == before


def test_every_word_can_be_read(browser: Any, hostile_page: Path) -> None:
    """Contrast of 4.5 at least, as WCAG 2.1 asks, of text on the page and of tokens on their colours."""
    contrast = """
        const light = (colour) => {
          const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
          const [r, g, b] = parts.map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const against = (one, paper) => {
          const two = [light(getComputedStyle(one).color), light(paper)].sort((a, b) => b - a);
          return (two[0] + 0.05) / (two[1] + 0.05);
        };
        const paper = getComputedStyle(document.body).backgroundColor;
        const all = (which) => [...document.querySelectorAll(which)];
        const plain = all("h1, h2, h3, p, td, th, a, summary").map((one) => against(one, paper));
        const tokens = all("#text button").map((one) => against(one, one.style.background));
        return Math.min(...plain, ...tokens);
    """
    for scheme in ("light", "dark"):
        show(browser, hostile_page, 1280, scheme)
        for unit in ("0", "1", "2"):
            pick(browser, "unit", unit)
            assert run(browser, contrast) >= 4.5, (scheme, unit)


def test_a_long_text_scrolls_in_its_own_panel(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "long.html"
    file.write_text(html.render(web_page([find_target("language-model")], samples=1)), "utf-8")
    show(browser, file, 390, "light")
    assert run(browser, "return document.documentElement.scrollWidth <= innerWidth")
    assert run(browser, "const p = document.getElementById('panels'); return p.scrollWidth > p.clientWidth")
    assert "64 of 128 units" in browser.find_element("id", "cut").text
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_an_animated_drawing_moves_unless_motion_is_reduced(browser: Any, motion: str) -> None:
    wanted = [{"name": "prefers-reduced-motion", "value": motion}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
    browser.get((Path(__file__).parents[2] / "docs" / "pictures" / "rnn.svg").as_uri())
    frames = "[...document.querySelectorAll('.rd-f')]"
    seen = "return document.getAnimations().length ? document.getAnimations().map((one) => (one.pause(), 0)) : []"
    assert len(run(browser, seen)) == (3 if motion == "no-preference" else 0)
    for now, shown in ((100, 0), (2600, 1), (5100, 2), (7600, 0)) if motion == "no-preference" else ((0, 1),):
        run(browser, "document.getAnimations().forEach((one) => one.currentTime = arguments[0])", now)
        visible = run(browser, f"return {frames}.map((one) => getComputedStyle(one).visibility == 'visible')")
        assert visible == [frame == shown for frame in range(3)], now
