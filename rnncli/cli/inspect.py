"""`rnncli inspect`: look inside any recipe, run or weight file."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from rnncli.cli.deliver import Animate, AsJson, Full, Save, Step, Steps, Unit, Units, check_animate, deliver, output
from rnncli.cli.live import waiting
from rnncli.cli.stepping import at_a_terminal, has_screen, in_stages, walk_through
from rnncli.locale import tr

_input = partial(typer.Option, rich_help_panel="Target and input")


def inspect(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="Recipe (untrained weights), run, `last`, or weight file (.safetensors, .pt, .keras, .h5, .onnx).",
        ),
    ],
    view: Annotated[
        str,
        typer.Argument(
            metavar="VIEW",
            help="{views}",  # filled in by rnncli.cli when it is shown: entry points are slow to read
        ),
    ] = "",
    other: Annotated[str | None, _input("--with", metavar="TARGET", help="Compare with a second target.")] = None,
    sets: Annotated[
        list[str] | None,
        _input(
            "--set",
            metavar="KEY=VALUE",
            help="Override one key of the recipe; for a weight file, an option of its cell. Repeatable.",
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        _input(
            "--input",
            metavar="INPUT",
            help="Text, or a file the task can read; for a weight file .csv, .npy or random:T.",
        ),
    ] = None,
    sample: Annotated[int | None, _input("--sample", min=0, help="Example of the data to show; default: 0.")] = None,
    batch_size: Annotated[int | None, _input("--batch-size", min=1, max=2**31 - 1, help="Batch size B.")] = None,
    seed: Annotated[int | None, _input("--seed", min=0, help="Seed for untrained weights and random input.")] = None,
    cell: Annotated[str | None, _input("--cell", metavar="CELL", help="Cell type, for a weight file.")] = None,
    nonlinearity: Annotated[
        str | None,
        _input(
            "--nonlinearity", metavar="tanh|relu|none", help="Nonlinearity, for a weight file that does not record it."
        ),
    ] = None,
    core: Annotated[
        str | None, _input("--core", metavar="NAME", help="RNN module to show, if the model has several.")
    ] = None,
    layer: Annotated[int | None, output("--layer", min=0, help="Layer to show; 0 is the lowest.")] = None,
    direction: Annotated[str | None, output("--direction", metavar="fwd|bwd", help="Show only this direction.")] = None,
    steps: Steps = None,
    units: Units = None,
    step: Step = None,
    unit: Unit = None,
    animate: Animate = False,
    loss: Annotated[
        str | None,
        output("--loss", metavar="last|all", help="Loss to differentiate: last step only, or the training loss."),
    ] = None,
    variant: Annotated[
        str | None,
        output(
            "--variant",
            metavar="NAME",
            help="steps: both (two forms of the GRU); influence: swapped (axes); neurons: c, gate.f ...",
        ),
    ] = None,
    lags: Annotated[int | None, output("--lags", min=1, help="memory: largest lag to compute.")] = None,
    change: Annotated[
        list[str] | None,
        output(
            "--change",
            metavar="CHANGE",
            help="what-if: fix a gate or state, gate.f[3]=1, h@5:=0, c[0:4]=-1..1 (clamp), h@2=other. Repeatable.",
        ),
    ] = None,
    from_input: Annotated[
        str | None,
        output("--from-input", metavar="INPUT", help="what-if: the input that `other` takes its values from."),
    ] = None,
    full: Full = False,
    json: AsJson = False,
    save: Save = None,
) -> None:
    """Look inside a recurrent network: any tensor, any step, of a recipe, a run or a weight file."""
    from rnncli.cli.target import target_named
    from rnncli.targets.inspect import InspectRequest, walk
    from rnncli.targets.inspect import inspect as inspected
    from rnncli.views._options import parse_options

    check_animate(animate, save)
    options = parse_options(
        steps=steps, units=units, layer=layer, direction=direction, core=core, loss=loss, variant=variant, lags=lags,
        change=change or (), from_input=from_input,
    )  # fmt: skip
    options = replace(options, step=step, unit=unit, animate=animate or None)
    request = InspectRequest(view, options, sample, batch_size, tuple(inputs or ()), cell, nonlinearity)
    first = target_named(target, sets=sets or (), seed=seed)
    request.check(first)
    second = None if other is None else target_named(other)
    with waiting(tr("loading torch ..."), quiet=json):
        import torch

    torch.set_num_threads(1)
    paced = view == "step-through" and at_a_terminal() and not json
    if paced and second is None and save is None and not full and has_screen():
        walk_through(lambda: walk(first, request))
        return
    draw = (lambda page: in_stages(page, full)) if paced and second is None else None
    wait = tr("looking into {target} ...", target=target)
    deliver(lambda: inspected(first, request, second), json=json, save=save, full=full, draw=draw, wait=wait)
