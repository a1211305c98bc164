"""Every document that is not a view's: which command prints it, and what it holds."""

from __future__ import annotations

from rnncli.schemas._parts import (
    METRICS,
    PARTS,
    ROW,
    Columns,
    Schema,
    any_of,
    array,
    maps,
    obj,
    one_of,
    page,
    row,
    tables,
)
from rnncli.schemas.benches import BENCH

ALL_PARTS = tuple(name for name in PARTS if name != "tensors")

# The settings of a demo; a cell's own options are keys, too. A trace of rnncli.trace has none.
DEMO = obj(
    {},
    {
        **dict.fromkeys(("seq_len", "batch_size", "input_size", "hidden_size", "num_layers"), "int"),
        **dict.fromkeys(("bidirectional", "bias", "nice"), "flag"),
        **dict.fromkeys(("cell", "nonlinearity", "input", "source"), "text"),
        "letters": "texts",
    },
    {},
)
# What a view was asked for: its target, the cores there, and the options that were typed.
ASKED = obj(
    {"target": "text", "cores": maps("text")},
    {
        "steps": array("int?"),
        "units": "ints",
        **dict.fromkeys(("layer", "lags", "step", "unit"), "int"),
        "direction": one_of("fwd", "bwd"),
        "loss": one_of("last", "all"),
        **dict.fromkeys(("core", "variant", "from_input"), "text"),
        "change": "texts",
        "animate": "flag",
    },
)
# The lists that our own views hold besides rows; a view of an installed package may hold any.
PICTURES = {
    **dict.fromkeys(("attention", "influence", "saturation", "transitions"), "heatmaps"),
    **dict.fromkeys(("gradients", "memory"), "series"),
    "automaton": "diagrams",
    "draw": "drawings",
    "step-through": "drawings",
    "neurons": "texts",
}


def of_view(name: str, own: bool) -> Schema:
    """The document of a view. own: whether it ships with rnncli. Of two targets, --with, each has its own config."""
    held = (PICTURES[name],) if name in PICTURES else ()
    parts = held if own else ALL_PARTS
    optional = ("rows",) if name in ("draw", "neurons") else ("rows", *parts)
    return page(any_of(ASKED, maps(ASKED)), ROW, totals=ROW, parts=parts, optional=optional)


SECTION: Schema = {"type": "object"}
RECIPE = obj({"format": {"type": "integer"}, "task": "text", "data": SECTION, "model": SECTION, "train": SECTION})
STAGE: Columns = {"stage": "text", "gives": "text", "shape": "text", "parameters": "int?", "parameter_bytes": "int?",
         "flops": "num?", "bytes": "num?"}  # fmt: skip
EPOCH: Columns = {"epoch": "int", "step": "int", "loss": "num", "lr": "num", "seconds": "num", "per_second": "num"}
FAULT = obj({"where": "text", "key": "text", "what": "text", "todo": "text"})
ADVICE = obj(
    {"about": one_of("still falling", "worse than a baseline", "empty answers"), "text": "text", "command": "text"}
)
RESULT = obj(
    {
        "run": "text?",
        "metrics": METRICS,
        "on": "text",
        "best_epoch": "int",
        "epochs": "int",
        "steps": "int",
        "stopped": "text",
        "baselines": maps(METRICS),
        "control": any_of(METRICS, {"type": "null"}),
        "compared": maps(METRICS),
        "notes": "texts",
        "advice": array(ADVICE),
    }
)
EVALUATE = obj(
    {
        "run": "text",
        "on": "text",
        "metrics": METRICS,
        "baselines": maps(METRICS),
        "require": array(obj({"expression": "text", "ok": "flag"})),
        "notes": "texts",
    },
    {"confusion": obj({"labels": "texts", "counts": array("ints")})},
)
LABEL = obj({"label": "text", "p": "num"})
FORECAST: Columns = {"dates": "texts", "forecast": maps("nums")}
BOUNDS: Columns = {"lower": maps("nums"), "upper": maps("nums")}
NOTES: Columns = {"notes": "texts"}
NAMED = [
    obj({key: "text", "label": "text?", "top": array(LABEL)}, NOTES)
    for key in ("input", "text", "file", "film", "clip")
]
PREDICT: Schema = {
    "$comment": "of the tasks that ship, in this order: language-model; tagging; classification and image-sequences; "
    "transcription; translation; algorithms; forecasting; a file that cannot be used",
    **any_of(
        obj({"prompt": "text", "text": "text"}, NOTES),
        obj(
            {"tokens": "texts", "labels": "texts"},
            {"input": "text", "steps": array(obj({"token": "text", "choices": array(LABEL)})), **NOTES},
        ),
        *NAMED,
        obj({"file": "text", "text": "text"}, NOTES),
        obj({"source": "text", "translation": "text", "tokens": "texts", "score": "num?"}, NOTES),
        obj({"input": "text", "answers": array(any_of("text", "num"))}, NOTES),
        obj({"input": "text", **FORECAST}, {**BOUNDS, **NOTES}),
        obj({"input": "text", "series": array(obj({"id": "texts", **FORECAST}, BOUNDS))}, NOTES),
        obj({"file": "text", "error": "text"}),
    ),
}
SWEEP: Columns = {"recipe": "text", "base": "object", "grid": maps("texts"), "search": maps("text"), "seeds": "ints",
         "trials": "int", "match_params": "int?"}  # fmt: skip
SWEPT = obj({**SWEEP, "folder": "text?", "metric": "text"})
WORDS_OF_A_TRIAL = ("done", "running", "waiting", "another process", "diverged", "failed", "given up")
STATE = one_of("finished", "running", "stopped", "diverged", "given up", "broken")
NO_CONFIG = obj({})
DOCTOR = obj(
    {
        "python": obj(
            {"version": "text", "implementation": "text", "virtual_environment": "flag", "system": "text",
             "release": "text", "machine": "text"}
        ),
        "versions": maps("text"),
        "extras": maps(obj({"missing": "texts"})),
        "processor": "text",
        "features": "texts",
        "torch": "object",
        "cores": obj({"machine": "int?", "affinity": "int?", "quota": "num?", "usable": "int"}),
        "settings": maps("text"),
        "memory": "int?",
        "folders": array(obj({"name": "text", "shown": "text", "free": "int?", "why": "text", "todo": "text"})),
        "problems": array(obj({"name": "text", "what": "text", "todo": "text"})),
    },
    {
        "terminal": obj(
            {"encoding": "text", "terminal": "flag", "width": "int", "colours": "text?", "symbols": "flag",
             "language": "text"}
        )
    },
)  # fmt: skip
VALIDATED = any_of(
    obj({"recipe": "text", "ok": {"const": True}, "task": "text"}),
    obj({"recipe": "text", "ok": {"const": False}, "error": "text", "where": "text", "faults": array(FAULT)}),
)

# Name -> (the command that prints it, its schema).
DOCUMENTS: dict[str, tuple[str, Schema]] = {
    "bench": ("bench --json", BENCH),
    "config": (
        "train RECIPE --print-config --json",
        page(RECIPE, row({"key": "text", "value": "text", "origin": "text"})),
    ),
    "doctor": ("doctor --json", page(DOCTOR, row({"name": "text", "value": "text"}))),
    "dry-run": (
        "train RECIPE --dry-run --json",
        page(
            NO_CONFIG,
            tables(
                plan={"name": "text", "value": "text"},
                stages=STAGE,
                estimates={"what": "text", "memory": "int", "available": "int?", "seconds": "num"},
            ),
            totals=row(STAGE),
        ),
    ),
    "epoch": (
        "train --json, a line for each epoch",
        {
            **obj(EPOCH, {"train": METRICS, "validation": METRICS, "answers": "text"}),
            "anyOf": [{"required": ["train"]}, {"required": ["validation"]}],
        },
    ),
    "evaluate": ("evaluate --json", EVALUATE),
    "find-lr": (
        "train RECIPE --find-lr --json",
        page(NO_CONFIG, row({"what": "text", "lr": "num", "loss": "num?"}), parts=("series",)),
    ),
    "predict": ("predict --json, a line for each answer", PREDICT),
    "recipes": ("recipes list --json", page(NO_CONFIG, row({"name": "text", "about": "text", "data": "text"}))),
    "result": ("train --json, the last line; result.json of a run", RESULT),
    "runs": (
        "runs list --json",
        page(
            obj({"folder": "text"}),
            row(
                {
                    **dict.fromkeys(("run", "task", "model", "epochs", "metric"), "text"),
                    "score": "num?",
                    "best": one_of("best", ""),
                    "state": STATE,
                    "seconds": "num?",
                    "when": "text",
                }
            ),
            optional=("rows",),
        ),
    ),
    "runs-compare": (
        "runs compare RUN RUN --json",
        page(
            obj({"runs": "texts"}),
            any_of(
                row({"table": one_of("settings"), "run": "text", "*": "text"}),
                row(
                    {
                        "table?": one_of("metrics"),
                        "run": "text",
                        "on": "text",
                        "epochs": "text",
                        "seconds": "num?",
                        "state": STATE,
                        "*": "num?",
                    }
                ),
            ),
            parts=("series",),
            optional=("series",),
        ),
    ),
    "schemas": ("schema --json", obj({"rows": array(obj({"name": "text", "about": "text"}))})),
    "sweep": (
        "sweep --json",
        page(
            SWEPT,
            row(
                {
                    **dict.fromkeys(("hidden_size?", "parameters?"), "int?"),
                    "seeds": "int",
                    **dict.fromkeys(("mean", "spread", "p"), "num?"),
                    "verdict": one_of("", "best", "worse", "equal", "inconclusive", *WORDS_OF_A_TRIAL),
                    "scores": any_of("nums", {"type": "null"}),
                    "seconds": "num?",
                    "trial": "text",
                    "*": "text",
                }
            ),
        ),
    ),
    "sweep-folder": ("sweep.json in the folder of a sweep", obj(SWEEP)),
    "sweep-plan": (
        "sweep --dry-run --json",
        page(
            SWEPT,
            any_of(
                row({"key": "text", "space": "text"}),
                row(
                    {
                        **dict.fromkeys(("hidden_size?", "parameters?"), "int?"),
                        **dict.fromkeys(("done", "seeds"), "int"),
                        "status": one_of(*WORDS_OF_A_TRIAL),
                        "trial": "text",
                        "*": "text",
                    }
                ),
            ),
        ),
    ),
    "trace": (
        "demo --json",
        page(DEMO, ROW, totals=ROW, parts=("tensors", *ALL_PARTS), optional=("rows", "tensors", *ALL_PARTS)),
    ),
    "validate": ("recipes validate --json", obj({"rows": array(VALIDATED)})),
}
UNNAMED = ("predict",)  # lines that a script reads: they do not repeat their name
