"""The sums of --explain, recomputed from nothing but the printed numbers."""

from __future__ import annotations

import math
import re

import pytest

from tests.fixture_types import Demo, Document

NUMBER = r"-?(?:\d+\.\d+(?:e[+-]\d+)?|\d+)"


def terms(out: str) -> list[tuple[int, str, str, float]]:
    """[(unit, term, written, value)] of the printed table; a sum that goes on below is joined."""
    rows: list[tuple[int, str, str, float]] = []
    unit = 0
    lines = out.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("unit"))
    where, end = lines[start].index("written"), lines[start].index("value")
    for line in lines[start + 1 :]:
        if not line.strip():
            break
        if line[:4].strip():
            unit = int(line[:4])
        name, written, value = line[6:where].strip(), line[where : end - 3].strip(), line[end - 3 :].strip()
        if name:
            rows.append((unit, name, written, float(value)))
        else:
            unit, name, before, total = rows[-1]
            rows[-1] = (unit, name, f"{before} {written}", total)
    return rows


def computed(written: str) -> float:
    """The value of `a·b + c·(-d)`, by hand."""
    total = 0.0
    for part in written.split(" + "):
        product = re.fullmatch(rf"({NUMBER})·\(?({NUMBER})\)?", part)
        assert product is not None, part
        total += float(product[1]) * float(product[2])
    return total


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


@pytest.mark.parametrize("step", [0, 1, 2])
def test_rnn_sums(step: int, demo: Demo, document: Document) -> None:
    code, out, _ = demo("--explain", str(step))
    assert code == 0
    rows = terms(out)
    h = document()["named"]["l0.fwd.h"][step][0]
    for unit in (0, 1):
        dot_x, b_ih, dot_h, b_hh, a, result = [row for row in rows if row[0] == unit]
        assert dot_x[3] == pytest.approx(computed(dot_x[2]), abs=5e-4)
        assert dot_h[3] == pytest.approx(computed(dot_h[2]), abs=5e-4)
        assert a[3] == pytest.approx(dot_x[3] + b_ih[3] + dot_h[3] + b_hh[3], abs=3e-4)
        assert result[3] == pytest.approx(math.tanh(a[3]), abs=2e-4)
        assert result[3] == pytest.approx(h[unit], abs=5e-5)
        before = "start" if step == 0 else str(step - 1)
        assert (dot_x[1], dot_h[1], result[1]) == (f"W_ih·x_{step}", f"W_hh·h_{before}", f"h_{step}")
    assert len(rows) == 12


def test_lstm_sums(demo: Demo, document: Document) -> None:
    rows = terms(demo("--cell", "lstm", "--explain", "1")[1])
    named = document("--cell", "lstm")["named"]
    for unit in (0, 1):
        mine = {row[1]: row for row in rows if row[0] == unit}
        gates = {}
        for gate in "ifgo":
            a = sum(mine[name][3] for name in (f"W_i{gate}·x_1", f"b_i{gate}", f"W_h{gate}·h_0", f"b_h{gate}"))
            assert mine[f"W_i{gate}·x_1"][3] == pytest.approx(computed(mine[f"W_i{gate}·x_1"][2]), abs=5e-4)
            assert mine[f"a_{gate}"][3] == pytest.approx(a, abs=3e-4)
            gates[gate] = math.tanh(a) if gate == "g" else sigmoid(a)
            assert mine[f"{gate}_1"][3] == pytest.approx(gates[gate], abs=2e-4)
            assert mine[f"{gate}_1"][3] == pytest.approx(named[f"l0.fwd.gate.{gate}"][1][0][unit], abs=5e-5)
        c = gates["f"] * named["l0.fwd.c"][0][0][unit] + gates["i"] * gates["g"]
        assert mine["c_1"][3] == pytest.approx(c, abs=3e-4)
        assert mine["h_1"][3] == pytest.approx(gates["o"] * math.tanh(c), abs=3e-4)


def test_gru_sums(demo: Demo, document: Document) -> None:
    rows = terms(demo("--cell", "gru", "--explain", "2")[1])
    named = document("--cell", "gru")["named"]
    for unit in (0, 1):
        value = {row[1]: row[3] for row in rows if row[0] == unit}
        r = sigmoid(value["W_ir·x_2"] + value["b_ir"] + value["W_hr·h_1"] + value["b_hr"])
        z = sigmoid(value["W_iz·x_2"] + value["b_iz"] + value["W_hz·h_1"] + value["b_hz"])
        n = math.tanh(value["W_in·x_2"] + value["b_in"] + r * (value["W_hn·h_1"] + value["b_hn"]))
        h = (1 - z) * n + z * named["l0.fwd.h"][1][0][unit]
        assert [value["r_2"], value["z_2"], value["n_2"]] == pytest.approx([r, z, n], abs=3e-4)
        assert value["h_2"] == pytest.approx(h, abs=3e-4)
        assert value["h_2"] == pytest.approx(named["l0.fwd.h"][2][0][unit], abs=5e-5)


def test_all_explains_every_step_of_every_layer_and_direction(document: Document) -> None:
    found = document("--num-layers", "2", "--bidirectional", "--explain", "all", "--dtype", "float64")
    tables = {row["table"] for row in found["rows"]}
    assert len(tables) == 3 * 2 * 2
    for row in found["rows"]:
        place, _, t = row["table"].removeprefix("explain.").rpartition(".")
        if row["term"].startswith("h_"):
            assert row["value"] == pytest.approx(found["named"][f"{place}.h"][int(t)][0][row["unit"]], abs=1e-12)


def test_in_reverse_the_state_before_is_the_step_after(demo: Demo) -> None:
    out = demo("--bidirectional", "--explain", "1")[1]
    assert "step 1, layer 0, backwards" in out
    assert "W_hh·h_2" in out
    assert "W_hh·h_0" in out
    assert "W_hh·h_start" in demo("--bidirectional", "--explain", "2")[1]


def test_large_steps_are_cut_and_said(demo: Demo) -> None:
    out = demo("--input-size", "50", "--hidden-size", "20", "--batch-size", "3", "--explain", "1")[1]
    assert "... 44 more ..." in out
    assert "sample 0 of 3, 8 of 20 units   (--full shows all)" in out
    full = demo("--input-size", "50", "--hidden-size", "20", "--batch-size", "3", "--explain", "1", "--full")[1]
    assert "more ..." not in full
    assert len(re.findall(r"\bh_1 +tanh", full)) == 60


@pytest.mark.parametrize(
    "words", ["--explain 3", "--explain -1", "--explain x", "--explain 0 --steps 0:1", "--explain ,"]
)
def test_a_step_that_is_not_there(words: str, demo: Demo) -> None:
    code, out, err = demo(*words.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


def test_too_much_to_explain_is_refused(demo: Demo) -> None:
    code, _, err = demo("--seq-len", "1000", "--hidden-size", "50", "--explain", "all", "--full")
    assert code == 2
    assert "lines" in err
