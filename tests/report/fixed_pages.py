"""Fixed pages: the drawn screens, with their numbers, and one page that holds every kind of record."""

from __future__ import annotations

import math

from rnncli.records import (
    Check,
    Checks,
    ColouredText,
    Column,
    Commands,
    Diagram,
    Entry,
    HeatMap,
    Message,
    Page,
    Series,
    Table,
    Tensor,
)

X = [[-0.7193, -0.4033, -0.5966, 0.1820], [-0.8567, 1.1006, -1.0712, 0.1227], [-0.5663, 0.3731, -0.8920, -1.5091]]
MEMORY = [[0.0, 0.0], [0.0047, 0.1783], [0.0467, -0.0397]]
H = [[-0.6982, -0.2092], [0.0192, 0.2561], [0.4844, -0.7970]]


def demo() -> Page:
    return Page(
        "rnncli/trace/1",
        "RNNCell(4, 2) tanh, 16 parameters",
        [
            Message("x (T=3, B=1, I=4)   h (B=1, H=2), h starts at zeros"),
            Table(
                "steps",
                [
                    Column("t", "t", "count"),
                    Column("x", "x_t (1,4)", "vector"),
                    Column("memory", "W_hh·h_(t-1) (1,2)", "vector"),
                    Column("h", "h_t (1,2)", "vector"),
                ],
                [[t, X[t], MEMORY[t], H[t]] for t in range(3)],
            ),
            Message("h_t = tanh(W_ih·x_t + b_ih + W_hh·h_(t-1) + b_hh)   middle column: the memory", "formula"),
            Checks(
                [
                    Check("one-linear", True, "one Linear(6, 2) on [x; h] gives the same h", 9e-8, 1e-6),
                    Check("cell-equals-module", True, "nn.RNN with these weights gives the same h", 0.0, 1e-6),
                    Check("shared", True, "same weights at every step: 16 parameters at T = 3, 30 and 300"),
                ]
            ),
            Commands(
                "next",
                [
                    ("rnncli demo --explain 1", "the sums of step 1, written out"),
                    ("rnncli demo --code", "this as a plain PyTorch script"),
                    ("rnncli demo --classic", "exactly what the article's script prints"),
                    ("rnncli train hello", "train a network"),
                ],
            ),
        ],
        config={"cell": "rnn", "input_size": 4, "hidden_size": 2},
        tensors=[Tensor("x", ["T", "B", "I"], [3, 1, 4], [[row] for row in X])],
        seed=0,
        device="cpu",
        dtype="float32",
        torch="2.13.0",
    )


def inspect() -> Page:
    stages: list[list[Entry]] = [
        ["input", "one-hot", "(T=5, B=1, I=4)", 0, ""],
        ["rnn", "output", "(T=5, B=1, D·H=4)", 40, "4·4 + 4·4 + 2·4"],
        ["rnn", "h_n", "(L·D=1, B=1, H=4)", None, "h_n[0] = output[-1]"],
        ["head", "logits", "(T=5, B=1, C=4)", 20, "4·4 + 4"],
    ]
    states = [
        [-0.3344, 0.3219, 0.0061, -0.5058],
        [-0.4472, -0.1095, 0.1103, -0.6956],
        [-0.7758, -0.2056, 0.1249, -0.5367],
        [-0.8236, -0.2451, 0.0796, -0.3953],
        [-0.8214, 0.1865, 0.0483, -0.1031],
    ]
    probabilities = [0.3815, 0.4191, 0.3891, 0.3706, 0.3129]
    return Page(
        "rnncli/overview/1",
        "hello   recipe, untrained weights",
        [
            Message("tagging, 1 sample: hello -> ohlol        characters: e h l o"),
            Table(
                "stages",
                [
                    Column("stage", "stage", "text", once=True),
                    Column("gives", "gives", "text"),
                    Column("shape", "", "shape"),
                    Column("parameters", "parameters", "count"),
                    Column("formula", "", "text"),
                ],
                stages,
                total=["total", None, None, 60, "240 bytes, 480 FLOPs"],
            ),
            Table(
                "steps",
                [
                    Column("t", "t", "count"),
                    Column("in", "in", "code"),
                    Column("h", "h_t", "vector"),
                    Column("predicted", "predicted", "code"),
                    Column("p", "p", "number"),
                    Column("target", "target", "code"),
                ],
                [[t, "hello"[t], states[t], "e", probabilities[t], "ohlol"[t]] for t in range(5)],
                caption="loss 1.5635, ln 4 = 1.3863",
            ),
            Checks([Check("replay", True, "replay = nn.RNN", 3e-8, 1e-6)]),
            Commands("more", [("rnncli inspect hello VIEW", "shapes params steps states gradients memory ...")]),
        ],
        seed=0,
        device="cpu",
        dtype="float32",
        torch="2.13.0",
    )


def train() -> Page:
    epochs = [
        (1, 1.5635, "eeeee", None),
        (2, 1.2524, "oolll", None),
        (5, 0.8813, "ollll", None),
        (7, 0.6605, "ohlll", "4 of 5: both l's still answered alike"),
        (8, 0.5879, "ohlol", "all right"),
        (15, 0.1057, "ohlol", None),
        (30, 0.0108, "ohlol", None),
    ]
    steps = [
        (0, "h", "o", "o", 0.9962, "l 0.0021"),
        (1, "e", "h", "h", 0.9869, "o 0.0112"),
        (2, "l", "l", "l", 0.9974, "o 0.0022"),
        (3, "l", "o", "o", 0.9738, "l 0.0200"),
        (4, "o", "l", "l", 0.9973, "o 0.0023"),
    ]
    return Page(
        "rnncli/result/1",
        "hello   tagging   hello -> ohlol",
        [
            Message("one-hot -> RNN(4, 4) -> Linear(4, 4)     60 parameters · engine torch"),
            Table(
                "epochs",
                [
                    Column("epoch", "epoch", "count"),
                    Column("loss", "loss"),
                    Column("predicted", "predicted", "code"),
                    Column("remark", "", "text"),
                ],
                epochs,
            ),
            Table(
                "sample",
                [
                    Column("t", "t", "count"),
                    Column("in", "in", "code"),
                    Column("target", "target", "code"),
                    Column("predicted", "predicted", "code"),
                    Column("p", "p"),
                    Column("second", "second", "text"),
                ],
                steps,
                caption="accuracy 5/5     without memory (feedforward): 4/5, its best possible",
            ),
            Message("saved runs/hello-001 (0.1 s, sample)"),
            Commands("next", [("rnncli inspect last steps", ""), ("rnncli predict last hello", "")]),
        ],
        seed=0,
        device="cpu, 1 thread",
        torch="2.13.0",
    )


def bench() -> Page:
    rows = [
        ("rnn", "2/1/20", 29266, 44780, (1.52, 1.48, 1.54), 0.0, "calls", None),
        ("rnn", "32/32/100", 786798, 1193920, (1.51, 1.50, 1.53), 0.06, "calls", None),
        ("rnn", "256/..", 107051, 115945, (1.09, 1.08, 1.09), 0.38, "products", None),
        ("gru", "2/1/20", 14124, 16961, (1.19, 1.16, 1.21), 0.0, "calls", None),
        ("gru", "32/32/100", 347101, 407009, (1.17, 1.16, 1.17), 0.06, "calls", None),
        ("gru", "256/..", 38315, 38905, (1.02, 1.00, 1.04), 0.38, "products", None),
        ("lstm", "2/1/20", 14095, 62132, (4.29, 4.18, 4.69), 0.0, "calls", "! spread"),
        ("lstm", "32/32/100", 330753, 1707673, (5.22, 5.10, 5.45), 0.35, "oneDNN", None),
        ("lstm", "256/..", 29307, 52035, (1.78, 1.76, 1.80), 0.68, "products", None),
    ]
    return Page(
        "rnncli/bench/1",
        "training step, float32, 1 thread",
        [
            Message("21 rounds, cell and torch in turn · this machine's product ceiling 242 GFLOP/s"),
            Table(
                "rates",
                [
                    Column("cell", "cell", "text", once=True),
                    Column("sizes", "H/B/T", "text"),
                    Column("cell_rate", "cell", "count", group="tokens/s"),
                    Column("torch_rate", "torch", "count", group="tokens/s"),
                    Column("ratio", "ratio [95%]", "interval", group="torch / cell loop"),
                    Column("ceiling", "ceiling", "percent", group="of"),
                    Column("bound", "by", "text", group="bound"),
                    Column("remark", "", "text"),
                ],
                rows,
            ),
            Table(
                "verdicts",
                [Column("what", "", "text"), Column("text", "", "text")],
                [
                    ["fastest here", "rnn, gru, lstm: torch at every size (gru 256: inconclusive)"],
                    ["steady", "first row measured again at the end: 1.52 -> 1.51 (sample)"],
                    ["! spread", "middle half of the times spans 15% of the median: run it again"],
                ],
            ),
            Commands(
                "next",
                [
                    ("rnncli bench names", "your recipe: where its time goes, advice"),
                    ("rnncli bench --threads 1,2", "is a second thread faster?"),
                ],
            ),
        ],
        device="2 cores, load 3.7",
        torch="2.13.0",
    )


def lstm() -> Page:
    """An LSTM of 8 units, 12 steps of which 6 are shown: tall on a narrow screen."""
    names = ["i", "f", "g", "o", "c", "h"]
    rows: list[list[Entry]] = [
        [t, "你好 world!\n"[t], *([round(math.sin(1 + t + 3 * k + 0.7 * u), 4) for u in range(8)] for k in range(6))]
        for t in range(10)
    ]
    columns = [Column("t", "t", "count"), Column("in", "in", "code", optional=True)]
    table = Table("steps", [*columns, *(Column(name, name, "vector") for name in names)], rows, cut_rows=4)
    return Page("rnncli/steps/1", "LSTM(4, 8)", [table], seed=0, device="cpu", dtype="float32", torch="2.13.0")


def charts() -> Page:
    steps = list(range(40))
    down = [2.5 * math.exp(-t / 12) + 0.1 for t in steps]
    up = [1.4 + (t / 40) ** 2 if t != 7 else math.nan for t in steps]
    heat = [[math.sin(0.5 * t) * (u - 3) / 4 for t in range(24)] for u in range(7)]
    return Page(
        "rnncli/charts/1",
        "every picture",
        [
            Series("norms", steps, {"dL/dh": down}, x_label="t", y_label="norm", title="gradient", log_y=True),
            Series("loss", steps, {"training": down, "validation": up}, "epoch", "loss", marks={"best": 11}),
            HeatMap("h", heat, [f"h[{u}]" for u in range(7)], [str(t) for t in range(24)], "unit", "t", "states"),
            HeatMap(
                "attention",
                [[0.9, 0.1, 0.0], [0.2, math.nan, 0.3]],
                ["我", "爱"],
                ["I", "love", "you"],
                title="attention",
            ),
            HeatMap("wide", [[(-1) ** t * t / 120 for t in range(120)]] * 2, [], [], "unit", "t"),
            Diagram(
                "parity",
                [(-1.0, 0.5), (1.0, -0.5)],
                ["A", "B"],
                ["even", "odd"],
                [[(-1.2, 0.4), (-0.8, 0.6)], [(0.9, -0.6), (1.1, -0.4), (-0.9, 0.5)]],
                {(0, 0): "0", (0, 1): "1", (1, 1): "0", (1, 0): "1"},
                "h in two dimensions",
            ),
            ColouredText("unit", list("To be, or not\nto be"), [math.sin(k) for k in range(19)], title="unit 7"),
            ColouredText("words", ["我们", "are", "here"], [0.0, 0.5, math.nan], 0.0, 1.0, separator=" "),
        ],
        seed=0,
        device="cpu",
        dtype="float32",
        torch="2.13.0",
    )


NASTY = "\x1b[31mred\x00\x07\u202eabc\ud800\r\n[bold]:smile: é 你好 </script>&|`$x$"


def odd() -> Page:
    """What data can throw at a screen: every text is hostile, every number is at an end."""
    numbers = [0.0, -0.0, 1e-5, -1e-5, 9999.99999, 1e4, -123456.0, math.nan, math.inf, -math.inf, 1e-4, 5e-324, 1.7e308]
    kinds = [
        Column("text", NASTY, "text"),
        Column("code", "code", "code"),
        Column("number", "number"),
        Column("diff", "diff", "diff"),
        Column("percent", "percent", "percent"),
        Column("seconds", "seconds", "seconds"),
        Column("bytes", "bytes", "bytes"),
        Column("bar", "bar", "bar"),
        Column("count", "count", "count"),
    ]
    return Page(
        "rnncli/odd/1",
        NASTY,
        [
            Message(NASTY),
            Message(NASTY, "warning"),
            Message(NASTY, "code"),
            Message(NASTY, "note"),
            Table("empty", kinds, [], title=NASTY),
            Table("no-columns", [], []),
            Table("one", [Column("a", "a")], [[1.5]]),
            Table(
                "gaps", [Column("a", "a"), Column("v", "v", "vector")], [[None, None], [0.5, []], [None, [math.nan]]]
            ),
            Table("kinds", kinds, [[NASTY, NASTY, *[x] * 7] for x in numbers], total=[None] * 9, caption=NASTY),
            Table("wide", [Column("t", "t", "count"), Column("v", "v", "vector")], [[0, [0.5] * 499 + [-0.25]]]),
            Table("interval", [Column("r", "r", "interval")], [[(math.nan, 1.0, math.inf)], [None]]),
            Series("none", [], {}),
            Series("nan", [0, 1], {NASTY: [math.nan, math.inf]}, title=NASTY),
            Series("flat", [0, 1], {"a": [1.0, 1.0], "b": [1.0, 1.0]}, NASTY, NASTY, marks={NASTY: 0.5}, log_y=True),
            HeatMap("empty", [], [], []),
            HeatMap("nan", [[math.nan, math.inf], [-math.inf, 0.0]], [NASTY, "b"], ["c", NASTY], NASTY, NASTY, NASTY),
            Diagram("states", [(0.0, 0.0)], [NASTY], [NASTY], [[]], {(0, 0): NASTY}, NASTY),
            Diagram("nothing", [], [], [], [], {}),
            ColouredText("tokens", [NASTY, "", "\n", " ", "é"], [0.0, 1.0, -1.0, math.nan, math.inf], title=NASTY),
            ColouredText("none", [], []),
            Checks([Check("a", False, NASTY, math.nan, 1e-6), Check("b", True, "x", None, 0.0)], title=NASTY),
            Checks([]),
            Commands(NASTY, [(NASTY, NASTY), ("x" * 90, "far right")]),
            Commands("", []),
        ],
        config={NASTY: [math.nan, {"inf": math.inf}], "text": NASTY},
        tensors=[Tensor("l0.fwd.h", ["T"], [3], [1.0, math.nan, -math.inf]), Tensor("ids", ["T"], [2], [1, 2])],
        device=NASTY,
    )


PAGES = {
    "demo": demo,
    "inspect": inspect,
    "train": train,
    "bench": bench,
    "lstm": lstm,
    "charts": charts,
    "odd": odd,
}
