"""What `rnncli bench --json` prints: rates of cells and engines, of a recipe, or against other libraries."""

from __future__ import annotations

from rnncli.schemas._parts import any_of, array, maps, obj, one_of, page, row, tables

MACHINE = obj({"processor": "text", "cores": "int", "system": "text", "machine": "text", "python": "text"})
PASS = one_of("train", "forward", "step")
VERDICT = {"what": "text", "text": "text"}

_RATES = page(
    obj(
        {
            "machine": MACHINE,
            "load": "num?",
            "processor_share": "num?",
            "pass": PASS,
            "dtype": "text",
            "device": "text",
            "threads": "ints",
            "engines": "texts",
            "rounds": "int?",
            "time_budget": "num?",
            "ceilings": array(obj({"threads": "int", "flops": "num", "path": "text"})),
            "call_seconds": "num",
            "rows": "int",
            "rows_planned": "int",
            "seed": "int",
        }
    ),
    row(
        {
            "cell": "text",
            "pass": PASS,
            "engine": "text",
            "path": "text",
            **dict.fromkeys(("H", "B", "T", "threads", "rounds"), "int"),
            **dict.fromkeys(("seconds", "seconds_low", "seconds_high", "cold_seconds", "spread"), "num?"),
            **dict.fromkeys(("tokens_per_second", "of_ceiling", "of_serial_ceiling"), "num?"),
            **dict.fromkeys(("ceiling_flops", "ceiling_flops_after"), "num"),
            "bound": "text",
            **dict.fromkeys(("calls", "products", "elements"), "num?"),
            "over": "text?",
            **dict.fromkeys(("ratio", "ratio_low", "ratio_high", "ratio_first_half", "ratio_second_half"), "num?"),
            "verdict": "text?",
            **dict.fromkeys(("p50", "p90", "p99", "peak_bytes"), "num?"),
        }
    ),
)
_SHARE = {"part": "text", "seconds": "num", "share": "num", "about": "text"}
_CANDIDATE = obj({"engine": "text", "threads": "int", "precision": "text"})
_RECIPE = page(
    obj(
        {
            "machine": MACHINE,
            "load": "num?",
            "recipe": "text",
            "own": _CANDIDATE,
            "best": any_of(_CANDIDATE, {"type": "null"}),
            "set": "text?",
            "rounds": "int",
            "loop_over_bare": "interval",
            "epoch_end_seconds": "num?",
        }
    ),
    tables(
        split=_SHARE,
        tried={"engine": "text", "threads": "int", "precision": "text", "seconds": "num", "ratio": "interval",
               "loss": "num", "remark": "text"},
        verdicts=VERDICT,
    ),
    totals=row(_SHARE),
)  # fmt: skip
_PEERS = page(
    obj(
        {
            "machine": MACHINE,
            "load": "num?",
            "versions": maps("text"),
            "loop": "flag",
            "passes": "texts",
            "peers": "texts",
            "time_budget": "num?",
            "rows": "int",
            "rows_planned": "int",
            "tolerance": "num",
            "trials": array(
                obj(
                    {"cell": "text", "sizes": "text", "pass": "text", "arm": "text", "threads": "int", "seconds": "num"}
                )
            ),
        },
        {"model": "object", "updates": maps("int")},
    ),
    tables(
        against={
            **dict.fromkeys(("cell", "sizes", "pass?", "arm"), "text"),
            "threads": "int",
            "tokens_per_second": "num",
            "ratio": any_of("interval", {"type": "null"}),
            **dict.fromkeys(("verdict", "remark"), "text?"),
            **dict.fromkeys(("of_ceiling", "ceiling"), "num?"),
            **dict.fromkeys(("first_half", "second_half"), any_of("interval", {"type": "null"})),
            **dict.fromkeys(("seconds", "cold_seconds", "spread", "processors", "difference", "rounds"), "num?"),
        },
        verdicts=VERDICT,
    ),
)
BENCH = any_of(_RATES, _RECIPE, _PEERS)
