"""Traces of samples of a target's data, truncated to the size of a page."""

from __future__ import annotations

from rnncli.cells import CELLS
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.records import CoreSteps, Recording
from rnncli.replay import CoreTrace, Trace
from rnncli.targets import Target
from rnncli.views._show import joined, name_of, place, recorded
from rnncli.views._subject import Subject

UNITS = 64  # maximum units per module
STEPS = 256  # maximum steps per sample
NUMBERS = 500_000  # maximum numbers of all recordings of a page: 2.5 MiB


def record(target: Target, samples: int, of: int = 1) -> list[Recording]:
    """The first samples of the held-out split. of: number of targets that share the page."""
    found: list[Recording] = []
    for k in range(samples if target.data is not None else 0):
        try:
            found.append(
                _recording(target.subject(title=target.name, sample=k), target.name, k, NUMBERS // max(1, samples * of))
            )
        except UsageError:
            if k == 0:
                raise
            break
    return found


def _recording(seen: Subject, name: str, sample: int, most: int) -> Recording:
    made = seen.trace()
    a_step = sum(len(core.spec.places) * len(recorded(core)) * min(UNITS, core.spec.hidden_size) for core in made.cores)
    steps = max(1, min(STEPS, most // max(1, a_step)))
    return Recording(name, _title(seen, made, sample), [_core(seen, made, core, steps) for core in made.cores])


def _core(seen: Subject, made: Trace, core: CoreTrace, most: int) -> CoreSteps:
    length, about = seen.length(core, 0), CELLS[core.spec.cell].about
    steps = min(length, most)
    values = {
        f"{place(layer, direction)}.{quantity}": made.vectors(
            f"{made.prefix(core)}{place(layer, direction)}.{quantity}"
        )[:steps, 0, :UNITS].tolist()
        for layer, direction in core.spec.places
        for quantity in recorded(core)
    }
    labels = seen.labels(core)
    return CoreSteps(
        name_of(core),
        str(core.spec),
        values,
        length,
        core.spec.hidden_size,
        None if labels is None else labels[:steps],
        _answers(seen, made, core, steps),
        {name: tr(about[key]) for name in recorded(core) if (key := name.removeprefix("gate.")) in about},
    )


def _answers(seen: Subject, made: Trace, core: CoreTrace, steps: int) -> list[tuple[str, float, str]] | None:
    """Predictions with their probabilities and the targets at each step of this module; None if predictions do not
    belong to its steps."""
    T, writers = core.num_steps, [one for one in made.cores if "decoder" in one.path] or [seen.main(made)]
    predictions, targets = seen.step_predictions(T), seen.step_targets(T) or [None] * T
    if core is not writers[-1] or predictions is None:
        return None
    return [(*prediction, target or "") for prediction, target in zip(predictions[:steps], targets, strict=False)]


def _title(seen: Subject, made: Trace, sample: int) -> str:
    """`0: hello`; with one prediction per sequence also the label: `3: Satou, Japanese`."""
    main = seen.main(made)
    labels = seen.labels(main)
    text = f"{sample}: {joined(labels[: seen.length(main, 0)], 32)}" if labels is not None else f"{sample}"
    names, scores, targets = seen.names.answers, seen.outputs.scores, seen.batch.targets
    if names is None or scores.dim() != 2 or scores.shape[1] != len(names):
        return text
    answer = names[int(scores[0].argmax())]
    if targets is None or targets.dim() != 1:
        return f"{text} -> {answer}"
    target = names[int(targets[0])]
    if target == answer:
        return f"{text}, {target}"
    return tr("{text}, {target}, predicted {answer}", text=text, target=target, answer=answer)
