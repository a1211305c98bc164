"""Pages as pictures: the screen as SVG, and a PNG with real plots where the page has curves or heat maps."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from rnncli.errors import Missing
from rnncli.locale import tr
from rnncli.records import Diagram, HeatMap, Message, Page, Record, Series, Unrolled
from rnncli.render import charts, diagrams, scene, unrolled_scene
from rnncli.render.lines import Line, View, plain
from rnncli.render.symbols import in_plot
from rnncli.render.terminal import draw, page_lines, record_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Plotted = Series | HeatMap | Diagram | Unrolled
WIDTH = 100  # width of the drawn screen in cells
MOST_TICKS = 8  # texts along an axis
CHINESE = (
    "Noto Sans Mono CJK SC",
    "Noto Sans CJK SC",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "SimHei",
)

# Rich's template links its font from a CDN; this one links nothing and names installed fonts. It also does not clip the
# drawing, which would cut off descenders in the last line.
_SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
 font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; white-space: pre; }}
{styles}
</style>
<defs>{lines}</defs>
<rect class="paper" width="100%" height="100%" fill="#ffffff"/>
<g transform="translate({terminal_x}, 12)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


# Dark mode of the picture: colour on white -> colour on the dark background.
_DARK_PAPER = "#16191c"
_DARK = {
    "#1c1c1c": "#e6e6e6",
    "#767676": "#a0a5ab",  # dim
    "#5a5a5a": "#a9adb2",
    "#b3261e": "#ff8a80",
    "#1a7f37": "#5fc77d",
    "#7a5a00": "#e3b341",
    "#2166ac": "#7db8ee",
    "#8e248c": "#d99ad8",
    "#006e78": "#56c8d8",
}


def svg(page: Page) -> str:
    """The screen, 100 cells wide, in colour on white, or on black in dark mode; for a page with a drawn network, only
    the drawing."""
    from rich.console import Console
    from rich.terminal_theme import TerminalTheme

    networks = [record for record in page.records if isinstance(record, Unrolled)]
    if networks:
        return scene.svg(unrolled_scene.scene(networks[0]), alone=True)
    view = View(width=WIDTH, colour=True)
    lines = page_lines(page, view)
    console = Console(
        file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, color_system="truecolor", no_color=False
    )
    draw(lines, console)
    ansi = [(0, 0, 0), (179, 38, 30), (26, 127, 55), (122, 90, 0), (33, 102, 172), (142, 36, 140), (0, 110, 120)]
    theme = TerminalTheme((255, 255, 255), (28, 28, 28), [*ansi, (90, 90, 90)], [*ansi, (90, 90, 90)])
    drawn = console.export_svg(title="", theme=theme, code_format=_SVG, unique_id="rnncli", font_aspect_ratio=0.61)
    return drawn.replace("</style>", f"{_dark_rules(drawn)}</style>", 1)


def _dark_rules(drawn: str) -> str:
    """The styles for dark mode. Text on its own background is plain black or white and does not change."""
    rules = "".join(
        f".rnncli-{name} {{ fill: {_DARK[colour]} }}\n"
        for name, colour in re.findall(r"\.rnncli-(r\d+) \{ fill: (#[0-9a-f]{6})", drawn)
        if colour in _DARK
    )
    return f"@media (prefers-color-scheme: dark) {{\n.paper {{ fill: {_DARK_PAPER} }}\n{rules}}}\n"


def png(page: Page) -> bytes:
    """A page with text as on the screen and each Series, HeatMap and Diagram as a plot. Needs matplotlib."""
    panels = _panels(page)
    line, edge = 0.2, 0.25  # inches per line of text, and the margin
    heights = [max(len(panel) * line, line) if isinstance(panel, list) else _plot_height(panel) for panel in panels]
    width = WIDTH * 0.092 + 2 * edge
    total = sum(heights) + edge * (len(panels) + 1)
    with _figure(width, total, min(150, 30000 / max(total, width))) as (figure, chinese):  # at most 2^16 rows
        top = total - edge
        for panel, height in zip(panels, heights, strict=True):
            if isinstance(panel, list):
                _write(figure, panel, edge / width, top / total, line / total, chinese)
            elif isinstance(panel, Unrolled):
                _plot_network(figure, panel, top / total, total, chinese)
            else:
                box = (1.0 / width, (top - height + 0.55) / total, (width - 1.5) / width, (height - 0.9) / total)
                axes = figure.add_axes(box)
                if isinstance(panel, Series):
                    _plot_series(axes, panel)
                elif isinstance(panel, Diagram):
                    diagrams.plot(axes, panel)
                    _name(axes, panel.title, "", "")
                else:
                    _plot_heatmap(axes, panel, figure)
            top -= height + edge
        return _saved(figure)


def heatmap_png(record: HeatMap) -> bytes:
    """A single heat map with its axes and scale. Needs matplotlib."""
    rows, columns = len(record.values), max(map(len, record.values), default=1)
    width, height = min(max(4.0, 0.25 * columns + 2.0), 16.0), min(max(2.5, 0.2 * rows + 1.3), 10.0)
    with _figure(width, height, 100) as (figure, _):
        figure.set_layout_engine("constrained")
        _plot_heatmap(figure.add_subplot(), record, figure)
        return _saved(figure)


@contextmanager
def _figure(width: float, height: float, dpi: float) -> Iterator[tuple[Figure, list[str]]]:
    """An empty figure, size in inches, and the installed Chinese fonts. Raises Missing."""
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.font_manager import fontManager
    except ImportError:
        raise Missing(tr("a .png needs matplotlib"), todo="pip install 'rnncli[plot]'") from None

    known = set(fontManager.get_font_names())
    chinese = [name for name in CHINESE if name in known]
    figure = Figure(figsize=(width, height), dpi=dpi)
    FigureCanvasAgg(figure)
    # Glyphs without a font are drawn as boxes; a warning for each would be noise.
    with warnings.catch_warnings(), rc_context({"font.family": ["DejaVu Sans", *chinese]}):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="findfont")
        yield figure, chinese


def _saved(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _panels(page: Page) -> list[list[Line] | Plotted]:
    """Blocks of lines and, between them, the records to plot."""
    view = View(width=WIDTH)
    panels: list[list[Line] | Plotted] = [page_lines(replace(page, records=[], config={}, tensors=[]), view)]
    for k, record in enumerate(page.records):
        if _can_be_plotted(record):
            panels.append(record)
            continue
        lines = record_lines(record, view)
        if isinstance(above := panels[-1], list):
            above += lines if k == 0 and isinstance(record, Message) else [[], *lines]
        else:
            panels.append(lines)
    return panels


def _can_be_plotted(record: Record) -> TypeGuard[Plotted]:
    """Curves and heat maps with at least one finite value; the others are shown as text."""
    if isinstance(record, Series):
        return any(math.isfinite(value) for values in record.lines.values() for value in values)
    if isinstance(record, Unrolled):
        return True
    if isinstance(record, Diagram):
        return bool(record.centres)
    return isinstance(record, HeatMap) and any(math.isfinite(value) for row in record.values for value in row)


def _write(figure: Figure, lines: list[Line], x: float, y: float, step: float, chinese: list[str]) -> None:
    for k, line in enumerate(lines):
        text = plain(line)
        if text:
            colour, weight = "#1c1c1c", "normal"
            styles = {style for _, style in line}
            if "failed" in styles:
                colour, weight = "#b3261e", "bold"
            elif (
                styles <= {"heading", "note", "meta", "rule", ""}
                and styles & {"heading", "note", "meta"}
                and all(style for part, style in line if part.strip())
            ):
                colour = "#5a5a5a"
            figure.text(
                x,
                y - k * step,
                text.replace("$", r"\$"),
                family=["DejaVu Sans Mono", *chinese],
                fontsize=10,
                va="top",
                color=colour,
                weight=weight,
            )


def _plot_network(figure: Figure, record: Unrolled, top: float, total: float, chinese: list[str]) -> None:
    """Draw over the whole width, with the font size scaled accordingly."""
    drawn = unrolled_scene.scene(record)
    width = figure.get_figwidth()
    axes = figure.add_axes(
        (0, top - width * drawn.height / drawn.width / total, 1, width * drawn.height / drawn.width / total)
    )
    scene.plot(axes, drawn, 72 * width / drawn.width, ["DejaVu Sans Mono", *chinese])


def _plot_height(record: Plotted) -> float:
    if isinstance(record, Unrolled):
        drawn = unrolled_scene.scene(record)
        return (WIDTH * 0.092 + 0.5) * drawn.height / drawn.width
    if isinstance(record, Diagram):
        return 5.0
    return 3.6 if isinstance(record, Series) else min(max(2.0, 0.28 * len(record.values) + 1.2), 12.0)


def _plot_series(axes: Axes, record: Series) -> None:
    styles = ["-", "--", ":", "-."]
    for k, (label, values) in enumerate(record.lines.items()):
        axes.plot(
            list(record.x),
            [float(value) for value in values],
            styles[k % len(styles)],
            color=charts.curve_colour(k),
            label=in_plot(label),
        )
    if record.band:
        lower, upper = ([float(value) for value in record.lines[label]] for label in record.band)
        axes.fill_between(list(record.x), lower, upper, color="#888888", alpha=0.25, linewidth=0)
    for label, x in record.marks.items():
        axes.axvline(x, color="#777777", linewidth=1, linestyle=":")
        axes.annotate(in_plot(label), (x, 1), xycoords=("data", "axes fraction"), va="bottom", ha="center")
    if record.log_y:
        axes.set_yscale("log")
    if record.ticks:
        shown = range(0, len(record.x), -(-len(record.x) // MOST_TICKS))
        axes.set_xticks([record.x[k] for k in shown], [in_plot(record.ticks[k]) for k in shown])
    if len(record.lines) > 1:
        axes.legend(frameon=False)
    _name(axes, record.title, record.x_label, record.y_label)


def _plot_heatmap(axes: Axes, record: HeatMap, figure: Figure) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    low, high = charts.scale(record.values)
    middle = charts.hexadecimal(charts.MIDDLE)
    ends = [charts.hexadecimal(charts.NEGATIVE), middle] if low < 0 else [middle]
    colours = LinearSegmentedColormap.from_list("rnncli", [*ends, charts.hexadecimal(charts.POSITIVE)])
    shades = colours.with_extremes(bad="#808080")
    image = axes.imshow(
        [[float(v) for v in row] for row in record.values], cmap=shades, vmin=low, vmax=high, aspect="auto"
    )
    if len(record.row_labels) <= 40:
        axes.set_yticks(range(len(record.row_labels)), [in_plot(label) for label in record.row_labels])
    if len(record.column_labels) <= 40:
        axes.set_xticks(range(len(record.column_labels)), [in_plot(label) for label in record.column_labels])
    figure.colorbar(image, ax=axes)
    _name(axes, record.title, record.column_axis, record.row_axis)


def _name(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(in_plot(title), loc="left", fontsize=11)
    axes.set_xlabel(in_plot(x))
    axes.set_ylabel(in_plot(y))
