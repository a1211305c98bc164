"""`rnncli demo`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rnncli.cli.deliver import SHOWN, Animate, AsJson, Full, Save, Step, Unit, check_animate, deliver
from rnncli.cli.out import hand_over, tell
from rnncli.cli.settings import settings as globals_
from rnncli.cli.stepping import at_a_terminal, has_screen, in_stages, walk_through
from rnncli.errors import UsageError
from rnncli.locale import tr

_SIZES = "Sizes and cell"


def demo(
    seq_len: Annotated[
        int | None, typer.Option("--seq-len", help="Sequence length T; default: 3.", rich_help_panel=_SIZES)
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", help="Batch size B; default: 1.", rich_help_panel=_SIZES),
    ] = None,
    input_size: Annotated[
        int | None,
        typer.Option("--input-size", help="Input size I, the length of x_t; default: 4.", rich_help_panel=_SIZES),
    ] = None,
    hidden_size: Annotated[
        int | None,
        typer.Option(
            "--hidden-size",
            help="Hidden size H, the length of h_t; default: 2, with --input 4.",
            rich_help_panel=_SIZES,
        ),
    ] = None,
    num_layers: Annotated[
        int | None,
        typer.Option("--num-layers", help="Number of stacked layers L; default: 1.", rich_help_panel=_SIZES),
    ] = None,
    bidirectional: Annotated[
        bool, typer.Option("--bidirectional", help="Also read the sequence in reverse.", rich_help_panel=_SIZES)
    ] = False,
    cell: Annotated[
        str | None,
        typer.Option(
            "--cell",
            metavar="CELL",
            help="Cell type, such as lstm or mingru; default: rnn. A comma-separated list compares cells.",
            rich_help_panel=_SIZES,
        ),
    ] = None,
    nonlinearity: Annotated[
        str | None,
        typer.Option(
            "--nonlinearity",
            metavar="tanh|relu|none",
            help="Nonlinearity of rnn and feedforward; default: tanh.",
            rich_help_panel=_SIZES,
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set an option of the cell, such as peephole=true. Repeatable.",
            rich_help_panel=_SIZES,
        ),
    ] = None,
    no_bias: Annotated[bool, typer.Option("--no-bias", help="Omit b_ih and b_hh.", rich_help_panel=_SIZES)] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed for the weights and x; default: 0.", rich_help_panel=_SIZES)
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            "--dtype", metavar="float32|float64|bfloat16", help="Data type; default: float32.", rich_help_panel=_SIZES
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="cpu|cuda|mps|auto", help="Device; default: cpu.", rich_help_panel=_SIZES),
    ] = None,
    nice: Annotated[
        bool,
        typer.Option("--nice", help="Easy numbers (multiples of 0.5) for working by hand.", rich_help_panel=_SIZES),
    ] = False,
    text: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="TEXT", help="Feed the characters of TEXT as one-hot vectors.", rich_help_panel=_SIZES
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE.yaml",
            help="Read x, h0 and weights from a file; missing values are drawn from the seed.",
            rich_help_panel=_SIZES,
        ),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(
            "--explain", metavar="STEP|all", help="Write out every sum of a time step.", rich_help_panel=SHOWN
        ),
    ] = None,
    explain_backward: Annotated[
        str | None,
        typer.Option(
            "--explain-backward",
            metavar="STEP",
            help="Write out the gradients, from the last time step back to STEP.",
            rich_help_panel=SHOWN,
        ),
    ] = None,
    blanks: Annotated[
        bool,
        typer.Option(
            "--blanks", help="With --explain: leave the results blank, as a worksheet.", rich_help_panel=SHOWN
        ),
    ] = False,
    title: Annotated[
        str | None,
        typer.Option("--title", metavar="TEXT", help="With --explain: title of the worksheet.", rich_help_panel=SHOWN),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            metavar="N",
            help="With --blanks --save FILE: N worksheets and their keys, one per seed; the first is 1.",
            rich_help_panel=SHOWN,
            min=1,
            max=10_000,
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            "--check",
            metavar="FILE.csv",
            help="Grade a filled-in worksheet written by --blanks --save FILE.csv.",
            rich_help_panel=SHOWN,
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", help="Tolerance of --check; default: 0.01.", rich_help_panel=SHOWN, min=0),
    ] = None,
    draw: Annotated[
        bool, typer.Option("--draw", help="Draw the network over time, and one cell opened.", rich_help_panel=SHOWN)
    ] = False,
    step: Step = None,
    unit: Unit = None,
    layer: Annotated[
        int | None,
        typer.Option("--layer", min=0, help="draw, step-through: layer; 0 is the lowest.", rich_help_panel=SHOWN),
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option("--direction", metavar="fwd|bwd", help="draw, step-through: direction.", rich_help_panel=SHOWN),
    ] = None,
    animate: Animate = False,
    step_through: Annotated[
        bool,
        typer.Option(
            "--step-through",
            "--pause",
            help="Walk through time steps, units and gates with the arrow keys; other pages: one section per Enter.",
            rich_help_panel=SHOWN,
        ),
    ] = False,
    proofs: Annotated[
        bool,
        typer.Option(
            "--proofs", help="Show every proof, and each step's share of the gradient.", rich_help_panel=SHOWN
        ),
    ] = False,
    code: Annotated[
        bool, typer.Option("--code", help="Print this demo as a plain PyTorch script.", rich_help_panel=SHOWN)
    ] = False,
    classic: Annotated[
        bool, typer.Option("--classic", help="Print exactly what the article's script prints.", rich_help_panel=SHOWN)
    ] = False,
    steps: Annotated[
        str | None, typer.Option("--steps", metavar="0:20", help="Time steps to show.", rich_help_panel=SHOWN)
    ] = None,
    units: Annotated[
        str | None, typer.Option("--units", metavar="0-7", help="Units to show.", rich_help_panel=SHOWN)
    ] = None,
    full: Full = False,
    json: AsJson = False,
    save: Save = None,
) -> None:
    """Run one recurrent cell by hand: every number at every time step, and proofs of what they mean."""
    from rnncli.demos.request import DemoRequest, reject_unused
    from rnncli.demos.settings import DemoOptions, Settings, Shown, typed_options
    from rnncli.demos.user_values import read

    script = "--code" if code else "--classic" if classic else ""
    if code and classic:
        raise UsageError(tr("{first} and {second} cannot be combined", first="--code", second="--classic"))
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
    request = DemoRequest(
        DemoOptions(
            seq_len=seq_len,
            batch_size=batch_size,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional or None,
            nonlinearity=nonlinearity,
            bias=False if no_bias else None,
            seed=seed,
            dtype=dtype,
            device=device,
            nice=nice or None,
            input=text,
        ),
        Shown(
            explain=explain,
            explain_backward=explain_backward,
            blanks=blanks,
            title=title or "",
            check=check,
            tolerance=tolerance,
            proofs=proofs,
            steps=steps,
            units=units,
            full=full,
            draw=draw,
            moving=animate,
            step=step,
            unit=unit,
            layer=layer,
            direction=direction,
            walking=walking,
        ),
        cells,
        typed_options(sets or [], cells or [Settings.cell]),
        None if source is None else read(source),
        source,
        script,
    )
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

    from rnncli import render

    torch.set_num_threads(1)
    if count is not None and save is not None:
        from rnncli.cli.sheets import write_sheets

        write_sheets(settings, request.shown, count, save)
        return
    whole = json or (save is not None and save.suffix.lower() in render.DATA)
    paced = step_through and at_a_terminal() and not json
    if paced and walking and save is None and not full and has_screen():
        walk_through(request.walk)
        return
    draw_page = (lambda page: in_stages(page, full)) if paced else None
    deliver(lambda: request.page(whole=whole), json=json, save=save, full=full, draw=draw_page)
