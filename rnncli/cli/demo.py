"""`rnncli demo`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnncli import render
from rnncli.cli.deliver import Animate, AsJson, Full, Save, Step, Steps, Unit, Units, check_animate, deliver, output
from rnncli.cli.out import hand_over, tell
from rnncli.cli.settings import settings as globals_
from rnncli.cli.stepping import at_a_terminal, has_screen, in_stages, walk_through
from rnncli.errors import UsageError, reject_unused
from rnncli.locale import language, speaking, tr, trn
from rnncli.render.progress import LiveProgress

if TYPE_CHECKING:
    from rnncli.demos.settings import Settings, Shown

_sizes = partial(typer.Option, rich_help_panel="Sizes and cell")


def demo(
    seq_len: Annotated[int | None, _sizes("--seq-len", help="Sequence length T; default: 3.")] = None,
    batch_size: Annotated[int | None, _sizes("--batch-size", help="Batch size B; default: 1.")] = None,
    input_size: Annotated[
        int | None, _sizes("--input-size", help="Input size I, the length of x_t; default: 4.")
    ] = None,
    hidden_size: Annotated[
        int | None, _sizes("--hidden-size", help="Hidden size H, the length of h_t; default: 2, with --input 4.")
    ] = None,
    num_layers: Annotated[int | None, _sizes("--num-layers", help="Number of stacked layers L; default: 1.")] = None,
    bidirectional: Annotated[bool, _sizes("--bidirectional", help="Also read the sequence in reverse.")] = False,
    cell: Annotated[
        str | None,
        _sizes(
            "--cell",
            metavar="CELL",
            help="Cell type, such as lstm or mingru; default: rnn. A comma-separated list compares cells.",
        ),
    ] = None,
    nonlinearity: Annotated[
        str | None,
        _sizes("--nonlinearity", metavar="tanh|relu|none", help="Nonlinearity of rnn and feedforward; default: tanh."),
    ] = None,
    sets: Annotated[
        list[str] | None,
        _sizes("--set", metavar="KEY=VALUE", help="Set an option of the cell, such as peephole=true. Repeatable."),
    ] = None,
    no_bias: Annotated[bool, _sizes("--no-bias", help="Omit b_ih and b_hh.")] = False,
    seed: Annotated[int | None, _sizes("--seed", help="Seed for the weights and x; default: 0.")] = None,
    dtype: Annotated[
        str | None, _sizes("--dtype", metavar="float32|float64|bfloat16", help="Data type; default: float32.")
    ] = None,
    device: Annotated[str | None, _sizes("--device", metavar="cpu|cuda|mps|auto", help="Device; default: cpu.")] = None,
    nice: Annotated[bool, _sizes("--nice", help="Easy numbers (multiples of 0.5) for working by hand.")] = False,
    text: Annotated[
        str | None, _sizes("--input", metavar="TEXT", help="Feed the characters of TEXT as one-hot vectors.")
    ] = None,
    source: Annotated[
        str | None,
        _sizes(
            "--from",
            metavar="FILE.yaml",
            help="Read x, h0 and weights from a file; missing values are drawn from the seed.",
        ),
    ] = None,
    explain: Annotated[
        str | None, output("--explain", metavar="STEP|all", help="Write out every sum of a time step.")
    ] = None,
    explain_backward: Annotated[
        str | None,
        output(
            "--explain-backward", metavar="STEP", help="Write out the gradients, from the last time step back to STEP."
        ),
    ] = None,
    blanks: Annotated[
        bool, output("--blanks", help="With --explain: leave the results blank, as a worksheet.")
    ] = False,
    title: Annotated[
        str | None, output("--title", metavar="TEXT", help="With --explain: title of the worksheet.")
    ] = None,
    count: Annotated[
        int | None,
        output(
            "--count",
            metavar="N",
            help="With --blanks --save FILE: N worksheets and their keys, one per seed; the first is 1.",
            min=1,
            max=10_000,
        ),
    ] = None,
    check: Annotated[
        str | None,
        output("--check", metavar="FILE.csv", help="Grade a filled-in worksheet written by --blanks --save FILE.csv."),
    ] = None,
    tolerance: Annotated[
        float | None, output("--tolerance", help="Tolerance of --check; default: 0.01.", min=0)
    ] = None,
    draw: Annotated[bool, output("--draw", help="Draw the network over time, and one cell opened.")] = False,
    step: Step = None,
    unit: Unit = None,
    layer: Annotated[int | None, output("--layer", min=0, help="draw, step-through: layer; 0 is the lowest.")] = None,
    direction: Annotated[
        str | None, output("--direction", metavar="fwd|bwd", help="draw, step-through: direction.")
    ] = None,
    animate: Animate = False,
    step_through: Annotated[
        bool,
        output(
            "--step-through",
            "--pause",
            help="Walk through time steps, units and gates with the arrow keys; other pages: one section per Enter.",
        ),
    ] = False,
    proofs: Annotated[
        bool, output("--proofs", help="Show every proof, and each step's share of the gradient.")
    ] = False,
    code: Annotated[bool, output("--code", help="Print this demo as a plain PyTorch script.")] = False,
    classic: Annotated[bool, output("--classic", help="Print exactly what the article's script prints.")] = False,
    steps: Steps = None,
    units: Units = None,
    full: Full = False,
    json: AsJson = False,
    save: Save = None,
) -> None:
    """Run one recurrent cell by hand: every number at every time step, and proofs of what they mean."""
    from rnncli.demos.request import DemoRequest, one_of
    from rnncli.demos.settings import DemoOptions, Settings, Shown, typed_options
    from rnncli.demos.user_values import read

    script = "--code" if code else "--classic" if classic else ""
    one_of({"--code": code, "--classic": classic})
    cells = [] if cell is None else [name.strip() for name in cell.split(",")]
    walking = step_through and not (explain or explain_backward or proofs or script or len(cells) > 1)
    drawn = {"--json": json, "--save": save, "--steps": steps, "--units": units, "--full": full}
    reject_unused(script, script, drawn | {"--step-through": step_through})
    if count is not None:
        if not blanks or save is None:
            raise UsageError(
                tr("{flag} needs --blanks and --save", flag="--count"),
                todo=tr("rnncli demo --nice --explain all --blanks --count 40 --save sheet.html"),
            )
        reject_unused(
            "--count", count, {"--from": source, "--json": json, "--full": full, "--step-through": step_through}
        )
        seed = 1 if seed is None else seed
    asked = DemoOptions(
        seq_len=seq_len, batch_size=batch_size, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers,
        bidirectional=bidirectional or None, nonlinearity=nonlinearity, bias=False if no_bias else None, seed=seed,
        dtype=dtype, device=device, nice=nice or None, input=text,
    )  # fmt: skip
    shown = Shown(
        explain=explain, explain_backward=explain_backward, blanks=blanks, title=title or "", check=check,
        tolerance=tolerance, proofs=proofs, steps=steps, units=units, full=full, draw=draw, moving=animate, step=step,
        unit=unit, layer=layer, direction=direction, walking=walking,
    )  # fmt: skip
    options = typed_options(sets or [], cells or [Settings.cell])
    file = None if source is None else read(source)
    request = DemoRequest(asked, shown, cells, options, file, source, script)
    check_animate(animate, save)
    settings = request.settings
    if script:
        from rnncli.demos import script as scripts

        hand_over(scripts.code(settings) if code else scripts.classic(settings))
        if classic and not globals_.quiet:
            sys.stdout.flush()
            note = tr(
                "note: the article sets no seed, so its numbers differ; seed used here: {seed}", seed=settings.seed
            )
            tell(note)
        return

    import gc

    import torch

    gc.freeze()  # torch's objects live until exit: collecting them takes longer than the demo

    torch.set_num_threads(1)
    if count is not None and save is not None:
        _write_sheets(settings, request.shown, count, save)
        return
    whole = json or (save is not None and save.suffix.lower() in render.DATA)
    paced = step_through and at_a_terminal() and not json
    if paced and walking and save is None and not full and has_screen():
        walk_through(request.walk)
        return
    draw_page = (lambda page: in_stages(page, full)) if paced else None
    deliver(lambda: request.page(whole=whole), json=json, save=save, full=full, draw=draw_page)


def _write_sheets(settings: Settings, shown: Shown, count: int, save: Path) -> None:
    """Write a worksheet and its key for each of `count` seeds, named after the seed: sheet-01.html, sheet-01-key.html.

    Raises UsageError (a file exists, or an unknown suffix), CannotWrite; Exit 1 if a check of a key fails.
    """
    from rnncli.demos.page import sheets
    from rnncli.files import write_output

    places = _places(save, range(settings.seed, settings.seed + count))
    ok = True
    with (
        LiveProgress(ascii=globals_.ascii) as live,
        speaking("en" if save.suffix.lower() in render.DATA else language()),
    ):
        for n, ((sheet, key), (blank, filled)) in enumerate(
            zip(sheets(settings, shown, count), places, strict=True), 1
        ):
            write_output(blank, render.render_file(sheet, save.suffix))
            write_output(filled, render.render_file(key, save.suffix))
            ok = ok and key.ok()
            if not globals_.quiet:
                live.update(n, count, {}, tr("sheet"))
    if not globals_.quiet:
        first, last = places[0][0], places[-1][1]
        tell(
            trn(
                "wrote {n} worksheet and its key: {first}, {last}",
                "wrote {n} worksheets and their keys: {first} ... {last}",
                n=count,
                first=first,
                last=last,
            )
        )
    if not ok:
        raise typer.Exit(1)


def _places(save: Path, seeds: Sequence[int]) -> list[tuple[Path, Path]]:
    """(worksheet, key) paths of each seed. Raises UsageError if a file exists."""
    width = len(str(seeds[-1]))
    numbered = [f"{save.stem}-{seed:0{width}}" for seed in seeds]
    places = [(save.with_stem(name), save.with_stem(f"{name}-key")) for name in numbered]
    for file in (file for both in places for file in both):
        if os.path.lexists(file):
            todo = tr("choose another name, or delete it")
            raise UsageError(tr("file already exists"), where=str(file), todo=todo)
    return places
