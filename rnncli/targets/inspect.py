"""The page of `rnncli inspect`: a view or the overview of one target, or of two side by side."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rnncli import views
from rnncli.errors import DataError, UsageError, checked_number
from rnncli.locale import tr
from rnncli.targets.target import Target
from rnncli.views import Options, load_view, refuse_unread

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.data.batch import Batch
    from rnncli.records import Page, Position
    from rnncli.replay.walk import Walk
    from rnncli.views import Subject


@dataclass(frozen=True)
class InspectRequest:
    """What to show of a target. view: "" is the overview. sample, batch_size, inputs: as in Target.subject. cell,
    nonlinearity: for a weight file, which does not record them."""

    view: str = ""
    options: Options = field(default_factory=Options)
    sample: int | None = None
    batch_size: int | None = None
    inputs: tuple[str, ...] = ()
    cell: str | None = None
    nonlinearity: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sample", checked_number("--sample", self.sample, 0))
        object.__setattr__(self, "batch_size", checked_number("--batch-size", self.batch_size, 1, 2**31 - 1))

    @property
    def rows(self) -> int:
        return load_view(self.view).ROWS if self.view else 1

    def check(self, target: Target) -> None:
        """Raises UsageError: no such view, or an option that it, or this kind of target, does not support."""
        if self.sample is not None and self.inputs:
            raise UsageError(tr("--sample and --input cannot be combined"), where="--sample")
        if self.view:
            refuse_unread(self.view, self._given(target))
        elif shown := [key for key in self.options.given() if key != "core"]:
            raise UsageError(
                tr("the overview does not support --{option}", option=shown[0]),
                todo=tr("give a view: rnncli inspect TARGET VIEW"),
            )

    def _given(self, target: Target) -> list[str]:
        """The options that were set; --core also chooses a core of a weight file."""
        batch = {"sample": self.sample, "input": self.inputs or None, "batch_size": self.batch_size}
        given = [*self.options.given(), *(key for key, value in batch.items() if value is not None)]
        return [key for key in given if key != "core" or target.kind != "weights"]


def inspect(target: Target, request: InspectRequest, other: Target | None = None) -> Page:
    """The page of a target, or of two side by side: cell and nonlinearity do not apply to the second.

    Raises UsageError (an option is not supported here), DataError (data or weights), Missing (memory).
    """
    page = _page(target, request)
    if other is None:
        return page
    second = _page(other, replace(request, cell=None, nonlinearity=None))
    names = " ".join([Path(target.typed).name, *target.set_texts]), Path(other.typed).name
    return views.side_by_side(page, second, names)


def inspect_module(module: nn.Module, x: Tensor, view: str, options: Options) -> Page:
    """The page of any module that contains a recurrent core and is called with one tensor. Raises UsageError."""
    if not x.numel():
        raise UsageError(tr("the input is empty: {shape}", shape=tuple(x.shape)), where="inputs")
    InspectRequest(view, options).check(Target("recipe", "", ""))  # --core chooses a core of the view, as there
    subject = views.subject_of_model(module, x, title=type(module).__name__)
    return views.page(view, subject, options) if view else views.overview(subject)


def walk(target: Target, request: InspectRequest) -> tuple[Walk, Position]:
    """The target's time steps, to step through, and the position to start from. Raises like `inspect`."""
    from rnncli.views import _opened

    subject, options = _subject(target, request)
    made = subject.trace()
    return _opened.walk(subject, made), _opened.chosen(subject, made, options, 0)[0]


def _subject(target: Target, request: InspectRequest) -> tuple[Subject, Options]:
    if target.kind == "weights":
        return _of_weights(target, request), replace(request.options, core=None)  # already used to choose the core
    return _of_task(target, request), request.options


def _page(target: Target, request: InspectRequest) -> Page:
    subject, options = _subject(target, request)
    return views.page(request.view, subject, options) if request.view else views.overview(subject)


def _of_task(target: Target, request: InspectRequest) -> Subject:
    for flag, value in (("--cell", request.cell), ("--nonlinearity", request.nonlinearity)):
        if value is not None:
            raise UsageError(
                tr("{flag} is for weight files: a recipe defines it", flag=flag),
                where=flag,
                todo="--set model.{}={}".format(flag.removeprefix("--"), value),
            )
    if target.kind == "run" and target.seed is not None:
        raise UsageError(tr("--seed initializes untrained weights; a run has trained ones"), where="--seed")
    if request.batch_size is not None:
        _require_rows(target.subject(inputs=request.inputs), request.batch_size)
    return target.subject(
        sample=request.sample or 0, rows=request.rows, batch_size=request.batch_size, inputs=request.inputs
    )


def _of_weights(target: Target, request: InspectRequest) -> Subject:
    from rnncli import weights
    from rnncli.demos.settings import parsed_options

    options = parsed_options(target.set_texts)
    if request.sample is not None:
        raise UsageError(
            tr("a weight file has no data to take a sample from"), where="--sample", todo="--input random:64"
        )
    name = request.options.core
    known = {"cell": request.cell, "nonlinearity": request.nonlinearity, "name": name}
    core, tables = weights.open_core(target.path, **known, options=options)

    def of_rows(rows: int) -> Subject:
        steps, batch = _features(request.inputs, core.spec.input_size, rows)
        if batch is not None and core.backwards:
            batch = replace(batch, inputs=batch.inputs.flip(0))
        return views.subject_of_weights(
            core,
            title=f"{target.typed}: {core.name}" if core.name else target.typed,
            command=target.typed if name is None else f"{target.typed} --core {shlex.quote(name)}",
            batch=batch,
            rows=rows,
            steps=steps,
            seed=target.seed or 0,
            tables=tables,
        )

    if request.batch_size is not None:
        _require_rows(of_rows(1), request.batch_size)
    return of_rows(request.batch_size or request.rows)


def _require_rows(one: Subject, rows: int) -> None:
    """Raise Missing if there is not enough memory to trace this many rows. one: the subject with fewer rows."""
    from rnncli.cells import cores_of
    from rnncli.device import require_memory
    from rnncli.training.job import activations

    held = activations(one.model, list(cores_of(one.model).values()), one.batch) * rows // one.batch.size
    require_memory(3 * held // 2, tr("this model"), where="--batch-size", todo=tr("use a smaller batch"))


def _features(inputs: Sequence[str], size: int, rows: int) -> tuple[int, Batch | None]:
    """A random sequence, or values from a file, (T, 1, I) or (T, B, I). size: I."""
    from rnncli.views._inputs import features_of_file, random_steps, with_rows
    from rnncli.views._subject import STEPS

    if not inputs:
        return STEPS, None
    if len(inputs) > 1:
        raise UsageError(tr("a weight file takes exactly one --input"), where="--input")
    if inputs[0].startswith("random:"):
        return random_steps(inputs[0]), None
    if not inputs[0].lower().endswith((".npy", ".csv")):
        raise DataError(
            tr("a weight file has no vocabulary: it cannot read text"),
            where="--input",
            todo=tr("give values: FILE.csv, FILE.npy (T, I) or (T, B, I), or random:T"),
        )
    return 0, with_rows(features_of_file(inputs[0], size), rows)
