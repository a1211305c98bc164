"""A view's records as a page, with a header that describes the subject."""

from __future__ import annotations

import torch

from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.nn.crf import crf_of
from rnncli.records import Json, Message, Page, Record
from rnncli.replay.modes import evaluating
from rnncli.views._subject import Subject
from rnncli.views._view import Options, load_view


def page(name: str, subject: Subject, options: Options | None = None) -> Page:
    """The view of that name for a subject, schema rnncli/NAME/1: of the model in eval mode, without dropout.

    Raises UsageError for an unknown view, an unsupported option, or a subject that lacks what the view needs.
    """
    options = options or Options()
    view = load_view(name)
    for need in sorted(view.NEEDS):
        _require(need, name, subject)
    with evaluating(subject.model):
        return paged(name, subject, options, view.compute(subject, options))


def applies(name: str, subject: Subject) -> bool:
    """Check that the subject has what the view needs."""
    try:
        for need in load_view(name).NEEDS:
            _require(need, name, subject)
    except UsageError:
        return False
    return True


def paged(name: str, subject: Subject, options: Options, shown: list[Record]) -> Page:
    """Records below the header of their subject."""
    notes: list[Record] = [Message(note, "note", name="unknown") for note in subject.notes]
    title = subject.title if name == "overview" else f"{subject.title} · {name}"
    return Page(
        schema=f"rnncli/{name}/1",
        title=f"{title}   {subject.origin}",
        records=[*shown, *notes],
        config=_config(subject, options),
        seed=subject.seed,
        device=subject.like.device.type,
        dtype=str(subject.dtype).removeprefix("torch."),
        torch=torch.__version__.partition("+")[0],
    )


def _config(subject: Subject, options: Options) -> dict[str, Json]:
    found: dict[str, Json] = {"target": subject.title, "cores": {k: str(v) for k, v in subject.specs.items()}}
    for name in options.given():
        value = getattr(options, name)
        found[name] = [value.start, value.stop] if isinstance(value, slice) else value
    return found


def _require(need: str, name: str, subject: Subject) -> None:
    if need == "tokens" and subject.names.inputs is None and not subject.tables:
        raise UsageError(
            tr("view {view} needs tokens, but {title} does not read any", view=name, title=subject.title),
            todo=tr("use a task that reads text"),
        )
    if need == "automaton" and subject.automaton is None:
        raise UsageError(
            tr("view {view} needs a regular language, but {title} does not read one", view=name, title=subject.title),
            todo=tr("for example rnncli inspect parity automaton"),
        )
    if need == "attention" and subject.outputs.attention is None:
        raise UsageError(
            tr("view {view} needs attention, but {title} has none", view=name, title=subject.title),
            todo=tr("for example rnncli inspect translation attention"),
        )
    if need == "crf" and crf_of(subject.model) is None:
        raise UsageError(
            tr("view {view} needs a CRF, but {title} has none", view=name, title=subject.title),
            todo=tr("train a tagger with model.head: crf"),
        )
