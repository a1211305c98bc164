"""`rnncli bench`."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from rnncli import names, render
from rnncli.cli.deliver import AsJson, output, write
from rnncli.cli.settings import settings
from rnncli.errors import UsageError, reject_unused
from rnncli.locale import tr
from rnncli.records import Page
from rnncli.render.progress import LiveProgress

if TYPE_CHECKING:
    from rnncli.bench.engines import OnProgress

Name = TypeVar("Name", bound=str)

_work = partial(typer.Option, rich_help_panel="What to measure")
_method = partial(typer.Option, rich_help_panel="How to measure")
_others = partial(typer.Option, rich_help_panel="Other libraries")


def bench(
    target: Annotated[
        str, typer.Argument(metavar="RECIPE", help="Recipe or run: profile where its training time goes.")
    ] = "",
    cell: Annotated[
        list[str] | None, _work("--cell", metavar="CELL", help="Cell type; default: rnn, gru and lstm. Repeatable.")
    ] = None,
    size: Annotated[
        list[str] | None, _work("--size", metavar="H/B/T", help="Hidden size, batch size, time steps. Repeatable.")
    ] = None,
    tier: Annotated[
        str | None,
        _work(
            "--tier",
            metavar="teaching|quick|standard|full",
            help="Preset list of sizes; default: quick. standard: DeepBench's.",
        ),
    ] = None,
    what: Annotated[
        str | None,
        _work(
            "--pass",
            metavar="forward|train|step",
            help="What to time; default: train. step: one streamed step, with latency percentiles.",
        ),
    ] = None,
    scaling: Annotated[
        str | None, _work("--scaling", metavar="T|H|B", help="Measure how time and memory grow with T, H or B.")
    ] = None,
    engine: Annotated[
        list[str] | None,
        _method(
            "--engine", metavar="loop|torch|bptt|compiled|parallel", help="Engine to time; default: all. Repeatable."
        ),
    ] = None,
    dtype: Annotated[
        str | None, _method("--dtype", metavar="float32|bfloat16|float64", help="Data type; default: float32.")
    ] = None,
    threads: Annotated[
        str | None, _method("--threads", metavar="1,2", help="Thread counts to compare; default: 1.")
    ] = None,
    device: Annotated[str | None, _method("--device", metavar="cpu|cuda|mps", help="Device; default: cpu.")] = None,
    rounds: Annotated[int | None, _method("--rounds", min=5, max=10_000, help="Measured rounds; default: 21.")] = None,
    time_budget: Annotated[
        float | None, _method("--time-budget", min=0.0, help="Seconds per row; at least 5 rounds are measured.")
    ] = None,
    sets: Annotated[
        list[str] | None, _method("--set", metavar="KEY=VALUE", help="Override one key of the recipe.")
    ] = None,
    against: Annotated[
        str | None,
        _others(
            "--against",
            metavar="keras-jax,jax,onnxruntime",
            help="Compare with other libraries, each in its own process.",
        ),
    ] = None,
    train: Annotated[bool, _others("--train", help="With --against: time whole training loops.")] = False,
    json: AsJson = False,
    save: Annotated[
        Path | None, output("--save", metavar="FILE", help="Also write to a file: .json .csv .svg .md ...")
    ] = None,
    full: Annotated[bool, output("--full", help="Show every column.")] = False,
    compare: Annotated[
        Path | None,
        output("--compare", metavar="OLD.json", help="Compare with an earlier run's --json, from this machine."),
    ] = None,
    force: Annotated[bool, output("--force", help="With --compare: accept results from another machine.")] = False,
) -> None:
    """Benchmark cells, engines, sizes and thread counts on this machine, and say what limits each."""
    rows = {
        "--cell": cell, "--size": size, "--tier": tier, "--pass": what, "--dtype": dtype, "--device": device,
        "--engine": engine, "--threads": threads, "--scaling": scaling, "--compare": compare, "--force": force,
    }  # fmt: skip
    if target and against:
        raise UsageError(tr("a recipe and --against cannot be combined"), todo=tr("omit one of them"))
    if target:
        reject_unused(tr("a recipe"), True, {**rows, "--train": train})
        pages = _recipe(target, sets or [], rounds, time_budget)
    elif against is not None:
        left = ("--engine", "--scaling", "--compare", "--force", "--dtype", "--device", "--threads", "--tier")
        reject_unused("--against", True, {"--set": sets, **{name: rows[name] for name in left}})
        if train:
            reject_unused("--train", True, {"--pass": what})
        pages = _against(against, train, cell, size, what, rounds, time_budget)
    else:
        others = {"--set": sets, "--train": train, "--force": force and compare is None}
        reject_unused(tr("bench without RECIPE or --against"), True, others)
        if scaling is not None:
            reject_unused("--scaling", True, {"--tier": tier, "--compare": compare})
        pages = _rows(
            cell, size, tier, what, scaling, engine, dtype, threads, device, rounds, time_budget, compare, force
        )
    _show(pages, json, save, full)


@dataclass(frozen=True)
class _Pages:
    """screen: the page to print. document: the data to save. ended: the exception that stopped the bench before its
    last row."""

    screen: Page
    document: Page
    ended: BaseException | None = None


def _show(pages: _Pages, json: bool, save: Path | None, full: bool) -> None:
    """Show and save the rows that were measured; then raise what stopped the bench."""
    screen, document = pages.screen, pages.document
    if save is not None:
        write(save, document if save.suffix.lower() in render.DATA else screen)
    if json:
        render.dump_json(document, sys.stdout)
    else:
        render.show(screen, ascii=settings.ascii, full=full)
    if pages.ended is not None:
        raise pages.ended


def _rows(
    cell: list[str] | None,
    size: list[str] | None,
    tier: str | None,
    what: str | None,
    scaling: str | None,
    engine: list[str] | None,
    dtype: str | None,
    threads: str | None,
    device: str | None,
    rounds: int | None,
    budget: float | None,
    compare: Path | None,
    force: bool,
) -> _Pages:
    from rnncli.bench import sizes

    cells = tuple(_known("--cell", cell or [], names.CELLS)) or sizes.CELLS
    engines = _known("--engine", [names.ENGINE_ALIASES.get(name, name) for name in engine or []], names.ENGINES)
    chosen_pass = _known("--pass", [what or "train"], sizes.PASSES)[0]
    dtype = _known("--dtype", [dtype or "float32"], names.DTYPES)[0]
    device = _known("--device", [device or "cpu"], names.DEVICES)[0]
    counts = _counts(threads or "1")
    if size and tier:
        raise UsageError(tr("--size and --tier cannot be combined"), todo=tr("omit one of them"))
    if scaling is not None:
        axis = _known("--scaling", [scaling], sizes.AXES)[0]
        base = [sizes.parse_size(text) for text in size or ["64/32/64"]]
        rows = [row for name in cells for one in base for row in sizes.scaled(sizes.Row(name, *one), axis)]
    elif size:
        rows = [sizes.Row(name, *sizes.parse_size(text)) for name in cells for text in size]
    else:
        rows = sizes.rows_of(_known("--tier", [tier or "quick"], sizes.TIERS)[0], cells)
    if not rows:
        raise UsageError(tr("no sizes for {cell} in this tier", cell=", ".join(cells)), where="--tier")
    old = None
    if compare is not None:
        from rnncli.bench.compare import check_old
        from rnncli.bench.machine import machine

        old = check_old(compare, machine(), dtype=dtype, device=device, force=force)

    from rnncli.bench import pages
    from rnncli.bench.engines import Plan, measure_rows
    from rnncli.bench.measure import ROUNDS

    seconds = 4.0 if budget is None else budget
    counted = scaling is not None or device == "cuda"
    plan = Plan(rows, engines, chosen_pass, dtype, device, counts, rounds or ROUNDS, seconds, counted)
    with LiveProgress(ascii=settings.ascii) as live:
        measured = measure_rows(plan, _reporter(live), lambda found: _line(live, pages.row_line(found)))
    document = pages.document(measured)
    screen = pages.screen(measured) if scaling is None else pages.scaling(measured, axis)
    if old is not None:
        from rnncli.bench.compare import compared

        screen = compared(screen, document, old)
    return _Pages(screen, document, measured.ended)


def _recipe(target: str, sets: list[str], rounds: int | None, budget: float | None) -> _Pages:
    from rnncli.cli.target import target_named
    from rnncli.tasks import load_recipe

    recipe = load_recipe(target_named(target).recipe_source, sets)
    from rnncli.bench.measure import ROUNDS
    from rnncli.bench.recipes import profile
    from rnncli.bench.recipes_page import page
    from rnncli.cli.watching import Lines
    from rnncli.training.job import prepare

    with LiveProgress(io.StringIO(), live=True, ascii=settings.ascii) as drawn:
        # the progress output of this training, rendered but not shown
        lines = Lines(prepare(recipe), drawn)
        found_profile = profile(recipe, lines, rounds=rounds or ROUNDS, budget=10.0 if budget is None else budget)
    made = page(found_profile, target)
    return _Pages(made, made)


def _against(
    against: str,
    train: bool,
    cell: list[str] | None,
    size: list[str] | None,
    what: str | None,
    rounds: int | None,
    budget: float | None,
) -> _Pages:
    from rnncli.bench import sizes
    from rnncli.bench.peers import PEERS, require

    peers = _known("--against", [name for name in against.split(",") if name], tuple(PEERS))
    if not peers:
        raise UsageError(tr("--against needs a library"), todo=tr("one of {names}", names=", ".join(PEERS)))
    require(peers)
    cells = tuple(_known("--cell", cell or [], sizes.CELLS)) or sizes.CELLS
    from rnncli.bench.versus import Versus, measure_peers
    from rnncli.bench.versus_page import peers_page, row_line

    given = [sizes.parse_size(text) for text in size or []]
    timed = _known("--pass", [what], sizes.PASSES)[0] if what else None
    plan = Versus.of(peers, cells, given, timed, train, rounds or 11, budget)
    with LiveProgress(ascii=settings.ascii) as live:
        found = measure_peers(plan, _reporter(live), lambda row: _line(live, row_line(row)))
    made = peers_page(found)
    return _Pages(made, made, found.ended)


def _line(live: LiveProgress, text: str) -> None:
    """Report each row as soon as it is done: the whole table may take minutes."""
    if not settings.quiet:
        live.line(text)


def _reporter(live: LiveProgress) -> OnProgress:
    def report(text: str, done: int, total: int) -> None:
        if not settings.quiet:
            live.update(done, total, {tr("now"): text})

    return report


def _known(option: str, given: list[str], known: Iterable[Name]) -> list[Name]:
    """The given names without duplicates. Raises UsageError for an unknown one, with the nearest."""
    found: dict[str, Name] = {name: name for name in known}
    for name in given:
        if name not in found:
            raise UsageError(
                tr("{option} takes one of {names}, got {value!r}", option=option, names=", ".join(found), value=name),
                where="rnncli bench",
                todo=names.did_you_mean(name, found),
            )
    return list(dict.fromkeys(found[name] for name in given))


def _counts(text: str) -> tuple[int, ...]:
    """`1,2` -> (1, 2). Rejects more threads than this process has cores."""
    from rnncli.device import usable_cores

    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() and 0 < int(part) < 10_000 for part in parts):
        raise UsageError(
            tr("--threads takes counts such as 1,2, got {value!r}", value=text), where="rnncli bench --threads"
        )
    counts = tuple(dict.fromkeys(int(part) for part in parts))
    cores = usable_cores()
    if max(counts) > cores:
        raise UsageError(
            tr("{n} threads, but only {cores} cores", n=max(counts), cores=cores),
            where="rnncli bench --threads",
            todo=tr("at most {cores}", cores=cores),
        )
    return counts
