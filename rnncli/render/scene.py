"""A picture as marks in named styles, for SVG (static or animated) and matplotlib.

The SVG is self-contained: no font, script or library. It follows the system's dark mode. Negative values are dashed and
signed, so that it can be printed in black and white.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from xml.sax.saxutils import escape

from rnncli.render import symbols

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FONT = 'ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace'
SECONDS = 2.5  # seconds per step of an animation

# Name -> colour on white, and on a dark background.
COLOURS = {
    "ink": ("#1c1c1c", "#e8e8e8"),
    "dim": ("#5a5a5a", "#a9adb2"),
    "line": ("#8a8f94", "#70767d"),
    "paper": ("#ffffff", "#16191c"),
    "input": ("#f1f3f5", "#22272b"),
    "gate": ("#fdf3e4", "#33291a"),
    "state": ("#e8f1fa", "#1b2c3d"),
    "positive": ("#b23c14", "#ff9e73"),
    "negative": ("#2166ac", "#7db8ee"),
    "now": ("#6a3d9a", "#c9a5f0"),
}


@dataclass(frozen=True)
class Style:
    """fill, stroke: names of colours, or ""."""

    fill: str = ""
    stroke: str = ""
    width: float = 1.0
    dash: tuple[float, ...] = ()
    size: float = 14.0
    bold: bool = False


STYLES = {
    "input": Style("input", "line"),
    "between": Style("paper", "line"),
    "gate": Style("gate", "line"),
    "state": Style("state", "line", 1.6),
    "cell": Style("paper", "line"),
    "now": Style("", "now", 3.0),
    "wire": Style("", "line", 1.3),
    "dot": Style("line", ""),
    "rule": Style("", "line", 0.8),
    "head": Style("ink", "", size=18, bold=True),
    "title": Style("ink", "", size=14, bold=True),
    "text": Style("ink", "", size=14),
    "note": Style("dim", "", size=14),
    "small": Style("dim", "", size=12),
    "positive": Style("positive", "", size=14, bold=True),
    "negative": Style("negative", "", size=14, bold=True),
    "positive-wire": Style("", "positive", 1.6),
    "negative-wire": Style("", "negative", 1.6, (5, 3)),
    "positive-strong": Style("", "positive", 3.0),
    "negative-strong": Style("", "negative", 3.0, (7, 4)),
    "positive-tip": Style("positive", ""),
    "negative-tip": Style("negative", ""),
    "tip": Style("line", ""),
}


@dataclass(frozen=True)
class Mark:
    """kind: a rectangle (x, y, width, height), a line through points, a filled shape of points, or text at (x, y).

    frame: the step at which it is visible; None for always. anchor: which end of a text is at x.
    """

    kind: Literal["box", "line", "shape", "text"]
    points: tuple[float, ...]
    style: str
    text: str = ""
    anchor: Literal["start", "middle", "end"] = "start"
    frame: int | None = None


@dataclass
class Scene:
    """frames: the steps of an animation, in order; still: the frame shown without animation."""

    width: float = 0
    height: float = 0
    marks: list[Mark] = field(default_factory=list)
    frames: Sequence[int] = ()
    still: int | None = None
    title: str = ""

    def add(
        self, kind: Literal["box", "line", "shape", "text"], points: Iterable[float], style: str, **more: object
    ) -> None:
        mark = Mark(kind, tuple(points), style, **more)  # type: ignore[arg-type]  # the fields of a Mark
        self.marks.append(mark)


def svg(scene: Scene, *, alone: bool = False) -> str:
    """The picture as one SVG element. alone: as a separate file, printed on paper of the picture's orientation."""
    size = f'viewBox="0 0 {scene.width:.0f} {scene.height:.0f}" width="{scene.width:.0f}" height="{scene.height:.0f}"'
    paper = f"@page{{size:{'landscape' if scene.width > scene.height else 'portrait'};margin:8mm}}\n" if alone else ""
    always = [_element(mark) for mark in scene.marks if mark.frame is None]
    moving = []
    for k, frame in enumerate(scene.frames):
        chosen = " rd-still" if frame == scene.still else ""
        inside = "".join(_element(mark) for mark in scene.marks if mark.frame == frame)
        moving.append(f'<g class="rd-f rd-f{k}{chosen}">{inside}</g>')
    return (
        f'<svg class="rd" xmlns="http://www.w3.org/2000/svg" role="img" {size}>\n'
        f"<title>{_escaped(scene.title)}</title>\n<style>\n{paper}{_css(len(scene.frames))}</style>\n"
        f'<rect class="rd-paper" width="100%" height="100%"/>\n' + "\n".join([*always, *moving]) + "\n</svg>\n"
    )


def _escaped(text: str) -> str:
    return escape(symbols.fit(text))


def _element(mark: Mark) -> str:
    numbers = [f"{point:.1f}".removesuffix(".0") for point in mark.points]
    name = f'class="rd-{mark.style}"'
    if mark.kind == "box":
        x, y, width, height = numbers
        return f'<rect {name} x="{x}" y="{y}" width="{width}" height="{height}" rx="4"/>'
    if mark.kind == "text":
        anchor = "" if mark.anchor == "start" else f' text-anchor="{mark.anchor}"'
        return f'<text {name} x="{numbers[0]}" y="{numbers[1]}"{anchor}>{_escaped(mark.text)}</text>'
    pairs = [f"{x} {y}" for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
    return f'<path {name} d="M{"L".join(pairs)}{"Z" if mark.kind == "shape" else ""}"/>'


def _css(frames: int) -> str:
    light = "".join(f"--rd-{name}:{colours[0]};" for name, colours in COLOURS.items())
    dark = "".join(f"--rd-{name}:{colours[1]};" for name, colours in COLOURS.items())
    rules = [
        f".rd{{{light}font-family:{FONT};font-variant-numeric:tabular-nums}}",
        f"@media (prefers-color-scheme:dark){{.rd{{{dark}}}}}",
        f"@media print{{.rd{{{light};max-width:100%;height:auto}}}}",
        ".rd text{white-space:pre;stroke:none}.rd-paper{fill:var(--rd-paper)}",
        *(f".rd-{name}{{{_rule(style)}}}" for name, style in STYLES.items()),
    ]
    if frames:
        rules += [
            ".rd-f{visibility:hidden}.rd-still{visibility:visible}",
            f"@keyframes rd-step{{0%{{visibility:visible}}{100 / frames:.4f}%,100%{{visibility:hidden}}}}",
            "@media screen and (prefers-reduced-motion:no-preference){"
            f".rd-f{{animation:rd-step {frames * SECONDS:g}s step-end infinite both}}"
            + "".join(f".rd-f{k}{{animation-delay:{(k - frames) * SECONDS:g}s}}" for k in range(frames))
            + "}",
        ]
    return "\n".join(rules) + "\n"


def _rule(style: Style) -> str:
    fill = f"var(--rd-{style.fill})" if style.fill else "none"
    text = f"fill:{fill};font-size:{style.size:g}px" + (";font-weight:bold" if style.bold else "")
    if style.stroke:
        text += f";stroke:var(--rd-{style.stroke});stroke-width:{style.width:g}"
    return text + (f";stroke-dasharray:{' '.join(f'{n:g}' for n in style.dash)}" if style.dash else "")


def plot(axes: Axes, scene: Scene, scale: float, family: Sequence[str]) -> None:
    """Draw the picture on matplotlib axes, on white. scale: font points per unit of the scene. family: fonts; the first
    with the character is used."""
    from matplotlib.patches import FancyBboxPatch, Polygon

    axes.set_xlim(0, scene.width)
    axes.set_ylim(scene.height, 0)
    axes.set_axis_off()
    for z, mark in enumerate(scene.marks):
        if mark.frame is not None and mark.frame != scene.still:
            continue
        style = STYLES[mark.style]
        fill = COLOURS[style.fill][0] if style.fill else "none"
        stroke = COLOURS[style.stroke][0] if style.stroke else "none"
        width, dash = style.width * scale, (0, tuple(n / style.width for n in style.dash)) if style.dash else "solid"
        points = list(zip(mark.points[::2], mark.points[1::2], strict=True))
        if mark.kind == "text":
            axes.text(
                *points[0],
                symbols.in_plot(mark.text),
                fontsize=style.size * scale,
                color=fill,
                weight="bold" if style.bold else "normal",
                family=family,
                ha={"start": "left", "middle": "center", "end": "right"}[mark.anchor],
                va="baseline",
                zorder=z,
            )
        elif mark.kind == "line":
            axes.plot(*zip(*points, strict=True), color=stroke, linewidth=width, linestyle=dash, zorder=z)
        elif mark.kind == "shape":
            axes.add_patch(Polygon(points, facecolor=fill, edgecolor="none", zorder=z))
        else:
            x, y, w, h = mark.points
            box = FancyBboxPatch(
                (x, y), w, h, "round,pad=0,rounding_size=4", facecolor=fill, edgecolor=stroke, linewidth=width, zorder=z
            )
            axes.add_patch(box)
