"""The list of commands, and the start screen (`rnncli` without arguments). A command is a file in this folder."""

from __future__ import annotations

from rnncli import __version__
from rnncli.locale import language, tr, with_language
from rnncli.render.lines import pad


def groups() -> list[tuple[str, list[tuple[str, str]]]]:
    """(group, [(command, description)]), in display order."""
    listed = {
        tr("Learn"): [
            ("demo", tr("one cell by hand: proofs, plain code, worksheets")),
            ("inspect", tr("look inside any recipe, run or weight file")),
        ],
        tr("Work"): [
            ("recipes", tr("list, show, copy and validate recipes")),
            ("train", tr("train a recipe into a run folder")),
            ("predict", tr("predict with a run on new input")),
            ("evaluate", tr("evaluate a run and its baselines")),
            ("export", tr("export a run for use without rnncli")),
            ("report", tr("write a web page of a run")),
        ],
        tr("Compare"): [
            ("bench", tr("measure cells, engines and thread counts")),
            ("sweep", tr("train over settings and seeds")),
            ("runs", tr("list, compare and export runs")),
        ],
        tr("Help"): [
            ("doctor", tr("check the installation")),
            ("schema", tr("print the JSON Schemas of --json documents")),
        ],
    }
    return list(listed.items())


def start_screen() -> str:
    """At most 80 columns and 24 rows."""
    first = [
        ("rnncli demo", tr("the RNNCell loop: 3 steps, every number")),
        ("rnncli train hello", tr("learn hello -> ohlol in seconds")),
        ("rnncli inspect last", tr("look inside the run you just trained")),
        ("rnncli train language-model --data my.txt", tr("train on your own text")),
    ]
    other = "中文界面: rnncli --lang zh" if language() == "en" else "English: rnncli --lang en"
    title = f"rnncli {__version__}   "
    text = [title + tr("look inside recurrent networks from the shell"), " " * len(title) + other, ""]
    shown = [(with_language(line), about) for line, about in first]
    width = max([30, *(len(line) for line, _ in shown[:-1])])  # the last is longer than the others
    text += [tr("Start here"), *(f"  {line:<{width}}  {about}" for line, about in shown), ""]
    for group, lines in groups():
        for place, (name, about) in enumerate(lines):
            text.append(pad(group if place == 0 else "", 11) + f"{name:<10}{about}")
    return "\n".join([*text, "", "rnncli COMMAND --help     rnncli recipes list"])
