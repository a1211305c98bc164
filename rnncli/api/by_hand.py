"""One recurrent cell by hand: the demo as a call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from rnncli.device import borrowed
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.records import Commands

if TYPE_CHECKING:
    from rnncli.demos.user_values import File
    from rnncli.notebook import PageView
    from rnncli.views._options import Steps, Units


def demo(
    cell: str | Sequence[str] | None = None,
    *,
    seq_len: int | None = None,
    batch_size: int | None = None,
    input_size: int | None = None,
    hidden_size: int | None = None,
    num_layers: int | None = None,
    bidirectional: bool | None = None,
    nonlinearity: str | None = None,
    bias: bool | None = None,
    options: Mapping[str, object] | None = None,
    seed: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    nice: bool = False,
    text: str | None = None,
    values: str | PathLike[str] | Mapping[str, Any] | None = None,
    explain: int | str | None = None,
    explain_backward: int | str | None = None,
    blanks: bool = False,
    title: str = "",
    check: str | PathLike[str] | None = None,
    tolerance: float | None = None,
    proofs: bool = False,
    draw: bool = False,
    step_through: bool = False,
    animate: bool = False,
    steps: Steps | None = None,
    units: Units | None = None,
    step: int | None = None,
    unit: int | None = None,
    layer: int | None = None,
    direction: str | None = None,
) -> PageView:
    """Run one recurrent cell by hand: every number at every time step, and proofs of what they mean.

    Args:
        cell: Its name, such as "gru" or "mingru", or several names, shown next to each other; default: "rnn".
        seq_len: Sequence length T; default: 3.
        batch_size: Batch size B; default: 1.
        input_size: I, the length of x_t; default: 4.
        hidden_size: H, the length of h_t; default: 2, with `text` 4.
        num_layers: L; default: 1.
        bidirectional: Also read the sequence in reverse.
        nonlinearity: "tanh", "relu" or "none", of rnn and feedforward; default: "tanh".
        bias: False leaves out b_ih and b_hh.
        options: Of the cell: `{"peephole": True}`.
        seed: Of the weights and x; default: 0.
        dtype: "float32", "float64" or "bfloat16"; default: "float32".
        device: "cpu", "cuda", "mps" or "auto"; default: "cpu".
        nice: Easy numbers, multiples of 0.5.
        text: Characters to read as one-hot vectors (`--input`).
        values: Your own numbers (`--from`): a YAML file, or a dict of lists, arrays or tensors: x (T, I) or (T, B, I),
            h0, W_ih (G·H, I), W_hh (G·H, H), b_ih, b_hh, and settings such as "cell". What is missing is drawn from the
            seed.
        explain: A time step, or "all": every sum written out.
        explain_backward: A time step: the gradients from the last step back to it.
        blanks: With `explain` or `explain_backward`: a worksheet, its results blank; `save("sheet.csv")` writes it.
        title: Of the worksheet and its key.
        check: A filled-in worksheet to grade, a CSV file.
        tolerance: How far a result of it may be off; default: 0.01.
        proofs: Every proof, and each step's share of the gradient.
        draw: The network over time, and one cell opened.
        step_through: Every step drawn, one after another.
        animate: With `draw` or `step_through`: `save("moving.svg")` writes a picture that moves.
        steps: Time steps to show: `range(0, 20)`, a slice, a number, or "0:20".
        units: Units to show: numbers, or "0-7,12".
        step: draw, step_through: the time step to open.
        unit: draw, step_through: the unit to follow; default: 0.
        layer: draw, step_through: the layer; 0 is the lowest.
        direction: draw, step_through: "fwd" or "bwd".

    Returns:
        The page: `tables` by name, `checks()`, `save(path)`; `tensors` and `to_json()` hold x (T, B, I), the weights,
        every state and gate (T, B, H), in full precision. It displays itself in a notebook.

    Raises:
        UsageError: No such cell, option, step or unit, or arguments that cannot be combined.
        DataError: Values, or a worksheet, that cannot be used.
        Missing: A device or memory that is not there.

    Examples:
        >>> page = demo("gru", seq_len=5)
        >>> page.ok(), [tensor.shape for tensor in page.tensors if tensor.name == "l0.fwd.h"]
        (True, [(5, 1, 2)])
        >>> demo(values={"x": [[1, 1], [2, 2]], "W_ih": [[1, 1]], "W_hh": [[0.5]], "bias": False}, explain=1).ok()
        True
    """
    from rnncli.demos.request import DemoRequest
    from rnncli.demos.settings import DemoOptions, Settings, Shown, known_options
    from rnncli.notebook import PageView

    cells = [] if cell is None else [cell] if isinstance(cell, str) else list(cell)
    asked = DemoOptions(
        seq_len=seq_len, batch_size=batch_size, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers,
        bidirectional=bidirectional, nonlinearity=nonlinearity, bias=bias, seed=seed, dtype=dtype, device=device,
        nice=nice or None, input=text,
    )  # fmt: skip
    shown = Shown(
        explain=None if explain is None else str(explain),
        explain_backward=None if explain_backward is None else str(explain_backward),
        blanks=blanks, title=title, check=None if check is None else fspath(check), tolerance=tolerance, proofs=proofs,
        draw=draw, walking=step_through, moving=animate, steps=_steps(steps), units=_units(units), step=step, unit=unit,
        layer=layer, direction=direction,
    )  # fmt: skip
    known = known_options(options or {}, cells or [Settings.cell])
    file, source = _file(values)
    request = DemoRequest(asked, shown, cells, known, file, source)
    import torch

    with borrowed():
        torch.set_num_threads(1)
        page = request.page(whole=True)
    if isinstance(values, Mapping):  # which no command line can name
        page = replace(page, records=[record for record in page.records if not isinstance(record, Commands)])
    return PageView.of(page)


def _steps(given: Steps | None) -> str | None:
    """As the command takes them. Raises UsageError."""
    if not isinstance(given, slice | range):
        return None if given is None else str(given)
    if given.step not in (None, 1):
        raise UsageError(tr("steps must be contiguous: {steps}", steps=given), where="--steps")
    return f"{given.start or 0}:{'' if given.stop is None else given.stop}"


def _units(given: Units | None) -> str | None:
    if given is None or isinstance(given, str):
        return given
    from rnncli.views._options import units_of

    return ",".join(map(str, units_of(given)))


def _file(given: str | PathLike[str] | Mapping[str, Any] | None) -> tuple[File | None, str | None]:
    """The user's own numbers, and the file's name. Raises DataError."""
    from rnncli.demos.user_values import parsed, read

    if given is None:
        return None, None
    if isinstance(given, Mapping):
        lines = (f"{json.dumps(name)}: {json.dumps(value, default=_plain)}" for name, value in given.items())
        return parsed("\n".join(lines), "values"), "values"
    return read(fspath(given)), fspath(given)


def _plain(value: object) -> object:
    """An array or a tensor as lists. Raises UsageError: it is neither."""
    import numpy as np
    import torch

    try:
        wide = value.detach().cpu().double() if isinstance(value, torch.Tensor) else value
        return np.asarray(wide, dtype=float).tolist()
    except (TypeError, ValueError) as error:
        raise UsageError(tr("{value!r} is not a number", value=str(value)[:40]), where="values") from error
