"""Content of the web page of one run or several, as records; rendered by rnncli.render.html.

import shlex
from rnncli.pages import web_page
from rnncli.render import html
from rnncli.targets import find_target
text = html.render(web_page([find_target("hello-001")]))
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace

from rnncli import views
from rnncli.errors import UsageError
from rnncli.locale import tr, trn
from rnncli.pages.learning import curves, of_some, results
from rnncli.pages.recordings import record
from rnncli.pages.settings import defaults, environments, settings
from rnncli.records import Commands, Message, Record, Recording, Section, WebPage
from rnncli.runs.folder import SWEEP
from rnncli.runs.listing import short_names
from rnncli.runs.summary import counts_line, model_line
from rnncli.targets import Target
from rnncli.views import Options

SAMPLES = 4  # default number of samples recorded for the viewer


def web_page(
    targets: Sequence[Target],
    *,
    samples: int = SAMPLES,
    view_names: Sequence[str] = (),
    change: Sequence[str] = (),
    from_input: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> WebPage:
    """The page of one target, or a comparison of several.

    samples: number of held-out examples per target in the viewer. view_names: views of `inspect` to include. change,
    from_input: options of the view `what-if`, which is included if they are given. say: receives progress messages.
    Raises UsageError if a view does not support a target.
    """
    _name_apart(targets)
    sections = [
        *_section("result", tr("result"), results(targets)),
        *_section("learning", tr("learning"), curves(targets)),
    ]
    recordings: list[Recording] = []
    several = len(targets) > 1
    for k, target in enumerate(targets):
        say(tr("{name}: predictions", name=target.name))
        title = tr("{name}: predictions", name=target.name) if several else tr("predictions")
        sections += _section(f"answers-{k}" if several else "answers", title, pictures(target))
        say(tr("{name}: every step", name=target.name))
        recordings += record(target, samples, of=len(targets))
        for view, options in _views(target, view_names, change, from_input).items():
            title = {"draw": tr("the network over time"), "what-if": tr("what if")}.get(view, view)
            title = f"{target.name}: {title}" if several else title
            folded = several and view == "draw"
            sections += _section(f"{view}-{k}" if several else view, title, _of_view(target, view, options), folded)
    viewer_after = next((one.name for one in reversed(sections) if one.name.startswith("answers")), "")
    sections += _section("settings", tr("settings"), settings(targets))
    if not several:
        sections.append(Section("defaults", tr("settings at their defaults"), [defaults(targets[0])], folded=True))
    sections += _section("environment", tr("environment"), [*environments(targets), _next(targets)])
    return WebPage(
        title=" · ".join(target.name for target in targets),
        sections=sections,
        about=_about(targets),
        recordings=recordings,
        viewer_after=viewer_after,
    )


def pictures(target: Target) -> list[Record]:
    """A task's records on its predictions: those at the end of training, and those only for pages. Records for pages
    replace others of the same name."""
    if target.data is None:
        return []
    part = target.data.held_out
    given = (target.config, target.model, target.data, part)
    own = target.task.pictures(*given)
    known = {one.name for one in own}
    return [*(one for one in target.task.summarize(*given) if one.name not in known), *own]


def _views(target: Target, names: Sequence[str], change: Sequence[str], from_input: str | None) -> dict[str, Options]:
    """The views of a target on the page: the drawing, requested views, and the effect of a change."""
    shown = {} if target.data is None else {"draw": Options()}
    shown |= dict.fromkeys(names, Options())
    if change or from_input is not None:
        shown["what-if"] = Options(change=tuple(change) or None, from_input=from_input)
    return shown


def _of_view(target: Target, name: str, options: Options) -> Sequence[Record]:
    if target.data is None:
        raise UsageError(
            tr("view {view} needs the data of {name}, which cannot be read", view=name, name=target.name),
            where="--view",
        )
    return views.page(name, target.subject(title=target.name), options).records


def _section(name: str, title: str, records: Sequence[Record], folded: bool = False) -> list[Section]:
    return [Section(name, title, records, folded)] if records else []


def _about(targets: Sequence[Target]) -> list[Message]:
    """Notes on the targets, each once, with the names of the targets it applies to."""
    said: dict[Message, list[str]] = {}
    for target in targets:
        for message in _said(target):
            said.setdefault(message, []).append(target.name)
    return [replace(one, text=of_some(one.text, names, len(targets))) for one, names in said.items()]


def _said(target: Target) -> list[Message]:
    """One line on the target, a note if it is untrained, and notes on its data."""
    parameters = sum(parameter.numel() for parameter in target.model.parameters())
    what = trn("{task}, {n} parameter", "{task}, {n} parameters", task=target.config.task, n=parameters)
    lines = [Message(f"{what}: {model_line(target.model)}")]
    if target.kind == "recipe":
        seed = target.config.train.seed
        text = tr("not trained: a recipe with initial weights from seed {seed}, without curves and results", seed=seed)
        lines.append(Message(text, "warning"))
    if target.data is not None:
        lines.append(Message(counts_line(target.data), "note"))
    return [*lines, *(Message(note, "note") for note in target.notes)]


def _next(targets: Sequence[Target]) -> Commands:
    first = targets[0]
    name = shlex.quote(first.typed if first.kind == "recipe" else first.path)  # `last` may be a different run later
    if first.kind == "recipe":
        return Commands(tr("next"), [(f"rnncli train {name}", tr("train a recipe into a run folder"))])
    return Commands(
        tr("next"),
        [
            (f"rnncli inspect {name}", tr("look at any tensor in the terminal")),
            (f"rnncli evaluate {name}", tr("evaluate a run and its baselines")),
        ],
    )


def _name_apart(targets: Sequence[Target]) -> None:
    """Give runs distinct names, with the trial's name for those of a sweep: `cell=rnn/seed-0`. Number targets with the
    same name."""
    runs = {target.folder.resolve(): target for target in targets if target.kind == "run"}
    of_sweep = any((folder.parents[1] / SWEEP).is_file() for folder in runs if len(folder.parents) > 1)
    if len(runs) > 1 or of_sweep:
        short = dict(zip(runs, short_names(list(runs), least=2 if of_sweep else 1), strict=True))
        for target in targets:
            if target.kind == "run":
                target.name = short[target.folder.resolve()]
    names = [target.name for target in targets]
    for k, target in enumerate(targets):
        if names.count(names[k]) > 1:
            target.name = f"{names[k]} ({names[: k + 1].count(names[k])})"


__all__ = ["SAMPLES", "Target", "pictures", "web_page"]
