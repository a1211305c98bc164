"""neurons: the text, coloured by the activation of single units at each token."""

from __future__ import annotations

from rnncli.locale import tr
from rnncli.records import Checks, ColouredText, Message, Record
from rnncli.render.charts import scale
from rnncli.render.numbers import number
from rnncli.views._show import about, name_of, place, places, replay_check, state_vectors, step_numbers, unit_numbers
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "what it does"
ABOUT = "the text, colored by single units"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"steps", "units", "layer", "direction", "core", "variant"}
ROWS = 1

MOST = 3  # units shown by default: those that vary most


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    made = subject.trace()
    records: list[Record] = []
    state = options.variant or "h"
    for core in subject.cores(made, options.core):
        records.append(Message(about(subject, core), name=f"{name_of(core)}.about"))
        labels = subject.labels(core)
        steps = step_numbers(options, subject.length(core, 0))
        tokens = [labels[t] for t in steps] if labels is not None else [str(t) for t in steps]
        separator = " " if any(len(token) > 1 for token in tokens) else ""
        for layer, direction in places(core.spec, options, top=True):
            name, home = name_of(core), place(layer, direction)
            h = state_vectors(made, core, home, state)[:, 0].double()[steps]  # (T, H)
            if options.units is not None:
                units = unit_numbers(options, h.shape[1])
            else:
                spread = h.nan_to_num().std(0, correction=0)
                units = sorted(spread.topk(min(MOST, len(spread))).indices.tolist())
            for unit in units:
                values = h[:, unit].tolist()
                # the colours' range is that of tanh, or symmetric about zero
                low, high = (-1.0, 1.0) if core.spec.is_bounded and state == "h" else scale([values])
                least, most = number(min(values)), number(max(values))
                title = tr(
                    "{core} {home} unit {n}: from {low} to {high}", core=name, home=home, n=unit, low=least, high=most
                )
                records.append(ColouredText(f"{name}.{home}.{unit}", tokens, values, low, high, title, separator))
    if options.units is None:
        records.append(Message(tr("the units that vary most; --units 0-7 for others"), "note", name="chosen"))
    return [*records, Checks([replay_check(made)])]
