"""The commands there are, and the start screen: `rnncli` alone. A command is a file of this folder."""

from __future__ import annotations

from importlib.resources import files

from rnncli import __version__
from rnncli.locale import language, tr
from rnncli.render.lines import pad


def groups() -> list[tuple[str, list[tuple[str, str]]]]:
    """(group, [(command, what it does)]) of the commands whose file is here, in the order they are shown."""
    planned = [
        (
            tr("Learn"),
            [
                ("demo", tr("one cell by hand: proofs, plain code, homework sheets")),
                ("inspect", tr("any recipe, run or weight file, in many views")),
            ],
        ),
        (
            tr("Work"),
            [
                ("recipes", tr("list, show, copy and validate the starting points")),
                ("train", tr("a recipe -> a run folder")),
                ("predict", tr("use a run on new input")),
                ("evaluate", tr("score a run, beside its baselines")),
                ("export", tr("a run's weights, to load without rnncli")),
                ("report", tr("one web page of a run")),
            ],
        ),
        (
            tr("Compare"),
            [
                ("bench", tr("which cell, engine, thread count is fastest here")),
                ("sweep", tr("many runs over settings and seeds")),
                ("runs", tr("list and compare runs")),
            ],
        ),
        (
            tr("Help"),
            [("doctor", tr("is this installation all right?")), ("schema", tr("JSON Schemas of what --json prints"))],
        ),
    ]
    here = files("rnncli.cli")
    present = [
        (group, [line for line in lines if here.joinpath(f"{line[0]}.py").is_file()]) for group, lines in planned
    ]
    return [(group, lines) for group, lines in present if lines]


def start_screen() -> str:
    """At most 80 columns and 24 rows; only what this version can do."""
    commands = {name for _, lines in groups() for name, _ in lines}
    first = [
        ("demo", "rnncli demo", tr("the RNNCell loop: 3 steps, every number")),
        ("train", "rnncli train hello", tr("learn hello -> ohlol, in seconds")),
        ("inspect", "rnncli inspect last", tr("look inside what you have just trained")),
        ("train", "rnncli train language-model --data my.txt", tr("now your own text")),
    ]
    other = "中文界面: rnncli --lang zh" if language() == "en" else "English: rnncli --lang en"
    title = f"rnncli {__version__}   "
    text = [title + tr("look inside recurrent networks from the shell"), " " * len(title) + other, ""]
    shown = [(line, about) for command, line, about in first if command in commands]
    if shown:
        text += [tr("Start here"), *(f"  {line:<30}  {about}" for line, about in shown), ""]
    for group, lines in groups():
        for place, (name, about) in enumerate(lines):
            text.append(pad(group if place == 0 else "", 11) + f"{name:<10}{about}")
    last = ["rnncli COMMAND --help", *(["rnncli recipes list"] if "recipes" in commands else [])]
    return "\n".join([*text, "", "     ".join(last)])
