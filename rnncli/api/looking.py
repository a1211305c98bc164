"""inspect and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnncli.device import borrowed
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.recipe import Sets
from rnncli.targets import Given, target_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.notebook import PageView
    from rnncli.views._options import Steps, Units


def inspect(
    target: Given | nn.Module,
    view: str = "",
    *,
    inputs: str | PathLike[str] | Sequence[str] | Tensor | None = None,
    other: Given | None = None,
    sample: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    sets: Sets = (),
    cell: str | None = None,
    nonlinearity: str | None = None,
    core: str | None = None,
    layer: int | None = None,
    direction: str | None = None,
    steps: Steps | None = None,
    units: Units | None = None,
    step: int | None = None,
    unit: int | None = None,
    loss: str | None = None,
    variant: str | None = None,
    lags: int | None = None,
    change: str | Sequence[str] = (),
    from_input: str | None = None,
) -> PageView:
    """Look inside a recurrent network: a view of a recipe, a run, a weight file, or any torch module.

    Args:
        target: A recipe (untrained weights), a run, a weight file's path, or a torch module that contains a recurrent
            core and takes one tensor.
        view: Its name, for example "steps", "memory" or "gradients"; "" is the overview, which lists them.
        inputs: What to read: a text or a file, as for `predict`; for a weight file a .csv or .npy of (T, I), or
            "random:T"; for a module its input tensor, as the module reads it: (T, B, I), (B, T, I) or (T, I). Default:
            an example of the data.
        other: A second target, shown next to the first.
        sample: Which example of the data; default: 0.
        batch_size: Number of examples.
        seed: Random seed of untrained weights and random input.
        sets: Recipe overrides, as for `train`; for a weight file, options of its cell.
        cell: Cell type, for a weight file.
        nonlinearity: "tanh", "relu" or "none", for a weight file.
        core: Name of the recurrent module to show, if a model has several.
        layer: Layer to show; 0 is the lowest.
        direction: "fwd" or "bwd".
        steps: Time steps to show: `range(0, 20)`, a slice, a number, or "0:20".
        units: Units to show: numbers, or "0-7,12".
        step: draw: time step to open.
        unit: draw: unit to follow.
        loss: Loss to differentiate: "last" step only, or "all", the training loss.
        variant: Variant of the view; see the reference of views.
        lags: memory: largest lag to compute, in time steps.
        change: what-if: changes, for example "gate.f[3]=1" or "h@5:=0".
        from_input: what-if: the input that values are taken from.

    Returns:
        The page: `tables` by name, `checks()`, `to_json()`, `save(path)`. It displays itself in a notebook.

    Raises:
        UsageError: No such target or view, or an option that it does not support.
        DataError: Data or weights are unusable.

    Examples:
        >>> page = inspect("hello", "memory")
        >>> page.ok(), list(page.tables)
        (True, ['rnn.l0.fwd'])
    """
    from rnncli.notebook import PageView
    from rnncli.targets.inspect import InspectRequest, inspect_module
    from rnncli.targets.inspect import inspect as inspected
    from rnncli.views._options import parse_options

    options = parse_options(
        steps=steps, units=units, layer=layer, direction=direction, core=core, loss=loss, variant=variant, lags=lags,
        change=change, from_input=from_input,
    )  # fmt: skip
    options = replace(options, step=step, unit=unit)
    import torch

    with borrowed():
        torch.set_num_threads(1)
        if isinstance(target, torch.nn.Module):
            foreign: dict[str, object] = {"other": other, "sets": sets, "cell": cell, "nonlinearity": nonlinearity}
            foreign |= {"sample": sample, "batch_size": batch_size, "seed": seed}
            return PageView.of(inspect_module(target, _tensor(inputs, foreign), view, options))
        if isinstance(inputs, torch.Tensor):
            raise UsageError(
                tr("a tensor can only be the input of a module"), where="inputs", todo=tr("give a text or a file")
            )
        texts = () if inputs is None else (fspath(inputs),) if isinstance(inputs, str | PathLike) else tuple(inputs)
        request = InspectRequest(view, options, sample, batch_size, texts, cell, nonlinearity)
        first = target_of(target, sets=sets, seed=seed)
        request.check(first)
        return PageView.of(inspected(first, request, None if other is None else target_of(other)))


def _tensor(inputs: object, others: Mapping[str, object]) -> Tensor:
    """The input tensor of a module. Raises UsageError: not a tensor, or other arguments were given."""
    import torch

    given = [name for name, value in others.items() if value not in (None, ())]
    if given or not isinstance(inputs, torch.Tensor):
        raise UsageError(
            tr("a torch module takes its input tensor and no other arguments"),
            where=given[0] if given else "inputs",
            todo=tr("for example: {example}", example="inspect(torch.nn.LSTM(4, 3), inputs=torch.randn(5, 1, 4))"),
        )
    return inputs


def report(
    targets: Given | Sequence[Given],
    out: str | PathLike[str] | None = None,
    *,
    samples: int = 4,
    views: Sequence[str] = (),
    change: str | Sequence[str] = (),
    from_input: str | None = None,
    sets: Sets = (),
) -> Path:
    """Write a self-contained web page about one or several runs.

    Args:
        targets: A run or a recipe, or several to compare.
        out: The file; default: `report.html`. Only an earlier report is overwritten.
        samples: Examples per target in the time-step viewer.
        views: Views of `inspect` to include.
        change: Changes such as "h[0]@1:=0", whose effect the page shows, as `inspect(target, "what-if")` does.
        from_input: The input that `other` in a change takes values of.
        sets: Recipe overrides, as for `train`.

    Returns:
        The path of the file.

    Raises:
        UsageError: No such target or view, a weight file, or the file exists and is not a report.
        DataError: A file of a run is unusable.
        Missing: The extra `report` is not installed.
        CannotWrite: The file cannot be written.

    Examples:
        >>> report("last", "hello.html").name
        'hello.html'
    """
    from rnncli.pages.written import write_report

    given: Any = targets if isinstance(targets, Sequence) and not isinstance(targets, str) else [targets]
    with borrowed():
        return write_report(
            lambda: [target_of(one, sets=sets) for one in given],
            None if out is None else Path(out),
            samples=samples,
            view_names=views,
            change=[change] if isinstance(change, str) else change,
            from_input=from_input,
        )
