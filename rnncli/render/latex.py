"""A page as a complete LaTeX document: article with amsmath, array and longtable; ctexart if it contains Chinese.

All text is escaped; characters that LaTeX cannot typeset without further packages become ASCII. Drawings are set line
by line, in typewriter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from unicodedata import normalize

from rnncli.records import Check, Checks, Commands, Message, Page, Record, Table
from rnncli.render import symbols
from rnncli.render.lines import View, plain
from rnncli.render.pages import difference, heading, written
from rnncli.render.tables import Cells
from rnncli.render.terminal import header, record_lines

_VIEW = View(width=90, encoding="ascii")  # of drawings
_WIDTH = 165  # mm of an A4 page with its margins
_LETTER = 1.7  # approximate width of a character in a table, in mm
_BLANK = 18  # extra mm of a column to write in
_LONG = 22  # maximum characters of a column on one line
_LINE = re.compile("_{4,}")  # to write on
_CHINESE = re.compile("[\u2e80-\u303f\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")

_ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": "{`}",
    "-": "{-}",  # so that two of them do not become a dash
    "'": "{'}",
    "[": "{[}",  # after the end of a row it would start an argument
    "]": "{]}",
    "*": "{*}",
    "\t": r"\quad{}",
} | {character: f"\\{character}" for character in "{}$&#%_"}

_SIGNS = {
    "·": r"\cdot ", "⊙": r"\odot ", "×": r"\times ", "±": r"\pm ", "≤": r"\leq ", "≥": r"\geq ", "≠": r"\neq ",
    "≈": r"\approx ", "→": r"\to ", "←": r"\leftarrow ", "∞": r"\infty ", "√": r"\surd ", "∂": r"\partial ",
    "Σ": r"\Sigma ", "∑": r"\Sigma ", "σ": r"\sigma ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ",
    "δ": r"\delta ", "Δ": r"\Delta ", "ε": r"\varepsilon ", "ρ": r"\rho ", "λ": r"\lambda ", "π": r"\pi ",
    "θ": r"\theta ", "μ": r"\mu ", "µ": r"\mu ", "°": r"{}^{\circ}", "²": r"{}^{2}", "³": r"{}^{3}",
    "ᵀ": r"{}^{\top}", "−": "-",
}  # fmt: skip
_FUNCTIONS = {"tanh": r"\tanh", "exp": r"\exp", "log": r"\log", "max": r"\max", "min": r"\min"}

_MATHS = re.compile(
    r"(?P<number>[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?:e(?P<power>[+-]?[0-9]+))?)"
    r"|(?P<words>[^\W\d_]{2,}(?: [^\W\d_]+)+)(?!_)"
    r"|(?P<name>[^\W\d_]+)(?P<below>(?:_(?:\([^()]*\)|[^\W_]+))*)"
    r"|\^(?P<above>[0-9]+|[^\W\d_])"
    r"|(?P<space>\s+)"
    r"|(?P<other>.)",
    re.DOTALL,
)


def document(page: Page) -> str:
    """A file for pdflatex, or with Chinese for xelatex."""
    title, about = text(page.title), text(header(page))
    sheets = [k for k, record in enumerate(page.records) if isinstance(record, Table) and record.sheet]
    parts = [("\\clearpage\n" if k in sheets[1:] else "") + _record(record) for k, record in enumerate(page.records)]
    body = "\n\n".join(filter(None, parts))
    chinese = _CHINESE.search(title + body) is not None
    kind = "ctexart" if chinese else "article"
    lines = [
        f"% {'xelatex' if chinese else 'pdflatex'} FILE.tex",
        rf"\documentclass[11pt,a4paper]{{{kind}}}",
        *([] if chinese else [r"\usepackage[utf8]{inputenc}"]),
        r"\usepackage{amsmath,array,longtable}",
        r"\usepackage[margin=20mm]{geometry}",
        r"\setlength{\parindent}{0pt}",
        r"\setlength{\parskip}{6pt}",
        r"\setlength{\LTleft}{0pt}",
        r"\begin{document}",
        rf"{{\Large\bfseries {title}\par}}" if title else "",
        rf"{{\small {about}\par}}" if about else "",
        "",
        body,
        r"\end{document}",
    ]
    return "\n".join(lines) + "\n"


def text(written: str) -> str:
    """Words in LaTeX; a run of underscores becomes a line to write on."""
    parts = _LINE.split(written)
    lines = [rf"\rule[-1pt]{{{2 * len(found)}mm}}{{0.4pt}}" for found in _LINE.findall(written)]
    found = _escaped(parts[0])
    return found + "".join(line + _escaped(part) for line, part in zip(lines, parts[1:], strict=True))


def _escaped(words: str) -> str:
    return re.sub("  +", lambda found: r"\quad{}", "".join(map(_character, words)))


def _character(character: str) -> str:
    if character in _ESCAPED:
        return _ESCAPED[character]
    if character in _SIGNS:
        return rf"\ensuremath{{{_SIGNS[character]}}}"
    if _CHINESE.match(character) or _has_accent(character):
        return character
    found = symbols.fit(character, "ascii")
    return "".join(_ESCAPED.get(one, one) for one in found)


def _has_accent(character: str) -> bool:
    """Whether it is an accented Western European letter, which every installation supports."""
    return "\u00c0" <= character <= "\u00ff" and len(normalize("NFD", character)) == 2


def maths(formula: str) -> str:
    """`h_t = tanh(W_ih·x_t + b_ih)` as a formula, with subscripts. Words are upright."""
    found, before = "", ""
    for match in _MATHS.finditer(formula):
        kind = "name" if match["name"] or match["words"] else match.lastgroup
        if kind == "name" and before == "name space":
            found += r"\ "
        before = f"{before} space" if kind == "space" else str(kind)
        found += _set(match)
    return found.strip()


def _set(match: re.Match[str]) -> str:
    """A number, name or operator of a formula."""
    if match["number"] is not None:
        number = match["number"].partition("e")[0].replace(",", "{,}")
        return number if match["power"] is None else rf"{number}\cdot 10^{{{int(match['power'])}}}"
    if match["words"] is not None:
        return rf"\text{{{_escaped(match['words'])}}}"
    if match["name"] is not None:
        below = [part.strip("()") for part in re.findall(r"_(\([^()]*\)|[^\W_]+)", match["below"])]
        lower = ",".join(map(_index, below))
        return _name(match["name"]) + (f"_{{{lower}}}" if lower else "")
    if match["above"] is not None:
        return f"{{}}^{{{_index(match['above'])}}}"
    if match["space"] is not None:
        return r"\quad " if len(match["space"]) > 1 else " "
    other = match["other"]
    return other if other in "+=/()[],;:.!'" or other == "-" else _SIGNS.get(other) or rf"\text{{{_character(other)}}}"


def _name(name: str) -> str:
    if name in _SIGNS:
        return f"{{{_SIGNS[name].strip()}}}"
    if name in _FUNCTIONS:
        return f"{{{_FUNCTIONS[name]}}}"
    if not name.isascii():
        return "".join(_SIGNS.get(one) or rf"\text{{{_character(one)}}}" for one in name)
    return name if len(name) == 1 else rf"\mathrm{{{name}}}"


def _index(below: str) -> str:
    """A subscript: `ih`, `t-1`, `start`."""
    if re.fullmatch(r"[a-zA-Z]{0,2}|[a-z0-9+-]+", below) and len(below) < 5:
        return below
    return rf"\text{{{_escaped(below)}}}"


# Records


def _record(record: Record) -> str:
    if isinstance(record, Table):
        return _table(record)
    if isinstance(record, Checks):
        return _list(record.title, [_check(check) for check in record.checks])
    if isinstance(record, Commands):
        return _list(record.title, [rf"\texttt{{{text(command)}}} {text(about)}" for command, about in record.commands])
    if isinstance(record, Message) and record.kind == "formula":
        return "\n\n".join(map(_formula, filter(None, record.text.split("\n"))))
    if isinstance(record, Message) and record.kind != "code":
        return "\n\n".join(map(text, record.text.split("\n")))
    return _typewriter(plain(line) for line in record_lines(record, _VIEW))


def _formula(line: str) -> str:
    """Equations in one line, which may break between them."""
    equations = [maths(part) for part in re.split(r"\s{2,}", line) if part]
    return r"{\raggedright " + r"\quad ".join(f"${one}$" for one in equations) + r"\par}"


def _check(check: Check) -> str:
    found = difference(check)
    return ("ok" if check.ok else r"\textbf{FAILED}") + f" {text(check.text)}" + (text(f": {found}") if found else "")


def _list(title: str, items: Sequence[str]) -> str:
    lines = [rf"\textbf{{{text(title)}}}\par"] if title else []
    lines += [r"\begin{itemize}", *(rf"\item {item}" for item in items), r"\end{itemize}"] if items else []
    return "\n".join(lines)


def _typewriter(lines: Iterable[str]) -> str:
    """Lines as on a terminal, with spaces kept."""
    rows = [r"\mbox{" + text(line).replace(" ", "~") + r"}\\" for line in lines]
    return "\n".join([r"\begin{flushleft}\ttfamily\footnotesize", *rows, r"\end{flushleft}"]) if rows else ""


def _table(table: Table) -> str:
    columns, cut_at, cut = written(table)
    lines = [rf"\textbf{{{text(table.title)}}}\nopagebreak"] if table.title else []
    if columns:
        lines += _rows(table, columns, cut_at)
    lines += [rf"{{\small {text(note)}\par}}" for note in (cut, table.caption) if note]
    return "\n".join(lines)


def _rows(table: Table, columns: list[Cells], cut_at: int | None) -> list[str]:
    count = len(columns[0].texts)
    lines = [
        r"{\renewcommand{\arraystretch}{%s}\footnotesize" % ("1.7" if table.sheet else "1.25"),
        rf"\begin{{longtable}}{{{' '.join(_layout(columns))}}}",
        " & ".join(text(heading(column)) for column in columns) + r" \\ \hline\endhead",
    ]
    for row in range(count):
        if row == cut_at:
            lines.append(" & ".join([r"\dots"] * len(columns)) + r" \\")
        total = table.total is not None and row == count - 1
        cells = [_cell(table, column, row) for column in columns]
        lines.append((r"\hline " if total else "") + " & ".join(cells) + r" \\")
    return [*lines, r"\end{longtable}}"]


def _cell(table: Table, column: Cells, row: int) -> str:
    found, kind = column.texts[row].strip(), column.column.kind
    if not found:
        asked = table.sheet and column.column.name == "value"
        return r"\rule[-3pt]{28mm}{0.4pt}" if asked else ""
    if column.column.once and row and column.texts[row - 1] == column.texts[row]:
        return ""
    if kind == "formula":
        return f"${maths(found)}$"
    return text(found) if kind in ("text", "code", "shape") else text(found).replace("{-}", "$-$")


def _layout(columns: list[Cells]) -> list[str]:
    """Fixed widths, so that a single run of LaTeX is enough: short columns take what they need, long ones share the
    rest."""
    wide = [k for k, one in enumerate(columns) if one.column.kind in ("text", "code", "formula") and one.width > _LONG]
    needed = [one.width * _LETTER + (_BLANK if one.column.name == "value" else 3) for one in columns]
    rest = _WIDTH - sum(mm for k, mm in enumerate(needed) if k not in wide) - 4.5 * len(columns)
    share = max(30.0, rest / max(1, len(wide)))
    sides = [r"\raggedleft" if one.align == "right" else r"\raggedright" for one in columns]
    widths = [min(share, mm) if k in wide else mm for k, mm in enumerate(needed)]
    return [rf">{{{side}\arraybackslash}}p{{{mm:.0f}mm}}" for side, mm in zip(sides, widths, strict=True)]
