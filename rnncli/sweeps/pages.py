"""Pages of a sweep: the plan, progress, and results."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from rnncli.device import usable_cores
from rnncli.locale import tr, trn
from rnncli.recipe.parse import flow_text
from rnncli.recipe.show import labels_of
from rnncli.records import Column, Commands, Entry, Json, Message, Page, Record, Table
from rnncli.render.numbers import number
from rnncli.runs.read import fingerprint_of
from rnncli.sweeps.folder import settings_of
from rnncli.sweeps.jobs import threads_each
from rnncli.sweeps.plan import Plan
from rnncli.sweeps.rows import Row
from rnncli.sweeps.statistics import ALPHA, FEWEST

SCHEMA = "rnncli/sweep/1"
MOST_ROWS = 20  # on the screen; --full and files have all
MOST_FAILED = 5  # failed trials to describe


def opening(plan: Plan, folder: Path, resumed: bool, jobs: int) -> Page:
    """What will run, where, on how many cores."""
    trials = plan.trials or len(plan.cells())
    runs = trials * len(plan.seeds)
    lines: list[Record] = [
        Message(
            tr(
                "{trials} x {seeds} = {runs} · {jobs} at a time, at most {threads} threads each ({cores})",
                trials=trn("{n} trial", "{n} trials", n=trials),
                seeds=trn("{n} seed", "{n} seeds", n=len(plan.seeds)),
                runs=trn("{n} run", "{n} runs", n=runs),
                jobs=jobs,
                threads=threads_each(jobs),
                cores=trn("{n} core", "{n} cores", n=usable_cores()),
            )
        ),
        Message(
            tr("resuming sweep in {folder}", folder=folder) if resumed else tr("into {folder}", folder=folder), "note"
        ),
    ]
    if jobs > usable_cores():
        n = usable_cores()
        lines.append(
            Message(
                trn("{jobs} jobs compete for {n} core", "{jobs} jobs compete for {n} cores", jobs=jobs, n=n),
                "warning",
            )
        )
    return Page(SCHEMA, _title(plan), lines)


def listing(plan: Plan, rows: Sequence[Row], folder: Path | None) -> Page:
    """`--dry-run`: every trial, its seeds, and its progress."""
    matched = any(row.hidden_size is not None for row in rows)
    columns = [*_setting_columns(plan), *(_match_columns() if matched else [])]
    columns += [Column("done", tr("done"), "count"), Column("seeds", tr("of seeds"), "count")]
    columns += [Column("status", tr("status"), "text"), Column("trial", tr("folder"), "text", optional=True)]
    cells = [
        [
            *row.settings.values(),
            *([row.hidden_size, row.parameters] if matched else []),
            len(row.scores),
            row.seeds,
            status_word(row.status),
            row.name,
        ]
        for row in rows
    ]
    left = sum(row.seeds - len(row.scores) for row in rows if row.status not in ("diverged", "pruned"))
    said = [Message(trn("{n} run to train; nothing was trained", "{n} runs to train; nothing was trained", n=left))]
    if folder is not None:
        said.append(Message(tr("resuming sweep in {folder}", folder=folder), "note"))
    table = Table("trials", columns, cells, cut_rows=MOST_ROWS)
    return Page("rnncli/sweep-plan/1", _title(plan), [table, *said], _config(plan, folder))


def space_listing(plan: Plan, folder: Path | None) -> Page:
    """`--dry-run` of a search: the space."""
    columns = [Column("key", tr("key"), "text"), Column("space", tr("values"), "text")]
    table = Table("space", columns, [[key, space.text] for key, space in plan.search.items()])
    count = tr(
        "{trials} x {seeds} at most",
        trials=trn("{n} trial", "{n} trials", n=plan.trials),
        seeds=trn("{n} seed", "{n} seeds", n=len(plan.seeds)),
    )
    said: list[Record] = [table, Message(count)]
    if folder is not None:
        said.append(Message(tr("resuming sweep in {folder}", folder=folder), "note"))
    return Page("rnncli/sweep-plan/1", _title(plan), said, _config(plan, folder))


def board(plan: Plan, rows: Sequence[Row], limit: int) -> Page:
    """Progress: running trials first, then the best so far; at most `limit` rows."""
    order = {"running": 0, "elsewhere": 1, "done": 2, "waiting": 4}
    best = sorted(rows, key=lambda row: (order.get(row.status, 3), row.sort_key(lower=plan.lower)))
    columns = [
        *_setting_columns(plan),
        Column("done", tr("seeds"), "text"),
        Column("now", tr("now"), "text"),
        Column("mean", tr(plan.metric)),
    ]
    cells = [[*row.settings.values(), f"{len(row.scores)}/{row.seeds}", now(row), row.mean] for row in best[:limit]]
    more = len(rows) - limit
    return Page(SCHEMA, "", [Table("board", columns, cells, caption=tr("and {n} more", n=more) if more > 0 else "")])


def now(row: Row) -> str:
    """The current state of a trial, in a few words."""
    if row.status == "running" and row.epochs:
        return tr("epoch {epoch} of {epochs}", epoch=row.epoch, epochs=row.epochs)
    return status_word(row.status)


def status_word(status: str) -> str:
    return {
        "done": tr("done"),
        "running": tr("running"),
        "waiting": tr("waiting"),
        "elsewhere": tr("another process"),
        "diverged": tr("diverged"),
        "failed": tr("failed"),
        "pruned": tr("given up"),
    }[status]


def verdict_word(verdict: str) -> str:
    return {
        "": "",
        "best": tr("best"),
        "worse": tr("worse"),
        "equal": tr("equal"),
        "inconclusive": tr("inconclusive"),
    }[verdict]


def closing(plan: Plan, rows: Sequence[Row], folder: Path, on: str) -> Page:
    """The final table, best first: mean and spread over seeds, the test against the best, and its verdict."""
    shown: list[Record] = [*_answer(plan, rows), _table(plan, rows, on), *_footnotes(plan, rows)]
    shown += [Message(text, "warning") for text in [*_failures(rows), *_changed_data(plan, rows)]]
    commands = _next(plan, rows, folder)
    if commands:
        shown.append(Commands(tr("next"), commands))
    return Page(SCHEMA, _title(plan), shown, _config(plan, folder))


def _table(plan: Plan, rows: Sequence[Row], on: str) -> Table:
    matched = any(row.hidden_size is not None for row in rows)
    counted = matched or any(row.parameters is not None for row in rows)
    columns = [
        *_setting_columns(plan),
        *([_match_columns()[0]] if matched else []),
        *([_match_columns()[1]] if counted else []),
        Column("seeds", tr("seeds"), "count"),
        Column("mean", tr(plan.metric)),
        Column("spread", tr("spread")),
        Column("p", "p"),
        Column("verdict", "", "text"),
        Column("scores", tr("by seed"), "vector", optional=True),
        Column("seconds", tr("time"), "seconds", optional=True),
        Column("trial", tr("folder"), "text", optional=True),
    ]
    cells: list[list[Entry]] = []
    for row in rows:
        verdict = verdict_word(row.verdict) if row.ranked else status_word(row.status)
        cells.append(
            [
                *row.settings.values(),
                *([row.hidden_size] if matched else []),
                *([row.parameters] if counted else []),
                len(row.scores),
                row.mean if row.ranked else None,
                row.spread if row.ranked else None,
                row.p,
                verdict,
                list(row.scores.values()) if row.scores else None,
                row.seconds,
                row.name,
            ]
        )
    title = tr("{metric} on {part}, mean over seeds, best first", metric=tr(plan.metric), part=tr(on)) if on else ""
    return Table("trials", columns, cells, title=title, cut_rows=MOST_ROWS)


def _footnotes(plan: Plan, rows: Sequence[Row]) -> list[Record]:
    """The name of the test, and a sentence on inconclusive comparisons."""
    ranked = [row for row in rows if row.ranked]
    if len(ranked) < 2:
        return []
    lines = [
        tr(
            "spread: standard deviation over seeds; p: paired t-test over the same seeds against the best, two-sided, "
            "corrected for {comparisons} (Holm); worse: p < {alpha}",
            comparisons=trn("{n} comparison", "{n} comparisons", n=len(ranked) - 1),
            alpha=ALPHA,
        )
    ]
    if min(len(row.scores) for row in ranked) < FEWEST:
        lines.append(
            trn(
                "inconclusive: the test needs at least {fewest} seeds; there is {n}",
                "inconclusive: the test needs at least {fewest} seeds; there are {n}",
                n=len(plan.seeds),
                fewest=FEWEST,
            )
        )
    return [Message(line, "note") for line in lines]


def _answer(plan: Plan, rows: Sequence[Row]) -> list[Record]:
    """Which trial is best, and which others may be as good."""
    ranked = [row for row in rows if row.ranked]
    if len(ranked) < 2:
        return []
    best, *others = ranked
    of = {"best": _words(plan, best), "metric": tr(plan.metric), "mean": number(best.mean or 0.0)}
    as_good = [_words(plan, row) for row in others if row.verdict != "worse"]
    if not as_good:
        text = tr("{best} is best, {metric} {mean}: all others are worse, p < {alpha}.", alpha=ALPHA, **of)
    elif len(as_good) > MOST_FAILED:
        text = trn("{best} has the best mean, {metric} {mean}, but {n} other may be as good.",
                   "{best} has the best mean, {metric} {mean}, but {n} others may be as good.",
                   n=len(as_good), **of)  # fmt: skip
    else:
        text = tr("{best} has the best mean, {metric} {mean}, but {others} may be as good.",
                  others=", ".join(as_good), **of)  # fmt: skip
    return [Message(text, "answer", "answer")]


def _words(plan: Plan, row: Row) -> str:
    """A trial's settings: `lstm`; with several keys `cell=lstm hidden_size=8`."""
    if len(row.settings) == 1:
        return str(next(iter(row.settings.values())))
    labels = labels_of(plan.keys)
    return " ".join(f"{labels[key]}={value}" for key, value in row.settings.items())


def _failures(rows: Sequence[Row]) -> list[str]:
    bad = [row for row in rows if row.status in ("diverged", "failed")]
    told = [f"{row.name}: {status_word(row.status)}, {row.what}" for row in bad[:MOST_FAILED]]
    if len(bad) > MOST_FAILED:
        told.append(tr("and {n} more", n=len(bad) - MOST_FAILED))
    return told


def _changed_data(plan: Plan, rows: Sequence[Row]) -> list[str]:
    """Runs of one sweep made days apart may have used different data."""
    if any(key.startswith("data.") for key in plan.keys):
        return []
    found = {fingerprint_of(Path(run)) for row in rows for run in row.runs if row.scores} - {""}
    return [tr("the data changed between these runs: they are not comparable")] if len(found) > 1 else []


def _next(plan: Plan, rows: Sequence[Row], folder: Path) -> list[tuple[str, str]]:
    ranked = [row for row in rows if row.ranked]
    if not ranked:
        return []
    best = ranked[0]
    sizes = {"model.hidden_size": str(best.hidden_size)} if best.hidden_size is not None else {}
    commands = [(command("train", plan, {**best.settings, **sizes}), tr("the best settings"))]
    with_runs = [row.runs[0] for row in ranked if row.runs]
    if len(with_runs) > 1:
        pair = " ".join(shlex.quote(run) for run in with_runs[:2])
        commands.append((f"rnncli runs compare {pair}", tr("learning curves of the two best")))
        every = f"{shlex.quote(str(folder))}/*/{Path(with_runs[0]).name}"
        commands.append((f"rnncli report {every}", tr("a web page of all trials")))
    return commands


def command(name: str, plan: Plan, settings: Mapping[str, str]) -> str:
    """An rnncli command line with the sweep's own options and these settings."""
    words = ["rnncli", name, plan.target]
    for text in (*plan.sets, *(f"{key}={value}" for key, value in settings.items())):
        words += ["--set", text]
    for key, (flag, value) in plan.flags.items():
        if flag in ("sets", "data"):  # of a call
            words += ["--set", f"{key}={value if isinstance(value, str) else flow_text(value)}"]
        elif flag not in ("--grid", "--search"):
            words += [flag, str(value)]
    return shlex.join(words)


def _setting_columns(plan: Plan) -> list[Column]:
    labels = labels_of(plan.keys)
    return [Column(key, labels[key], "text") for key in plan.keys]


def _match_columns() -> list[Column]:
    return [Column("hidden_size", "hidden_size", "count"), Column("parameters", tr("parameters"), "count")]


def _title(plan: Plan) -> str:
    return tr("sweep of {name}", name=plan.recipe.name)


def _config(plan: Plan, folder: Path | None) -> dict[str, Json]:
    settings = {key: value for key, value in settings_of(plan).to_json().items() if key != "schema"}
    return {**settings, "folder": None if folder is None else str(folder), "metric": plan.metric}
