"""Engines on real cores, with a handful of rounds: what must agree, what is refused, and what JSON holds."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rnncli import render
from rnncli.bench import compare, gains, pages, work
from rnncli.bench.ceilings import Around, Ceiling, product_rate, products
from rnncli.bench.engines import Measured, Plan, measure_rows
from rnncli.bench.machine import machine
from rnncli.bench.measure import Interval, Paired
from rnncli.bench.sizes import CELLS, DEFAULT, STANDARD, Row, parse_size, rows_of, scaled
from rnncli.bench.work import Setting, agree, bounds, engines_here, make, require_equal
from rnncli.errors import CheckFailed, DataError, UsageError
from rnncli.nn import recurrent
from rnncli.records import Table
from tests.narrowed import as_read, of_kind

CPU = torch.device("cpu")
TRAIN = Setting("train", torch.float32, CPU)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quick(**changes: Any) -> Measured:
    settings: dict[str, Any] = {"rows": [Row("gru", 4, 2, 3), Row("lstm", 4, 2, 3)], "rounds": 5, "budget": 0.0}
    return measure_rows(Plan(**(settings | changes)))


@pytest.fixture(scope="module")
def measured() -> Measured:
    torch.set_num_threads(1)
    return quick()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("what", ["train", "forward", "step"])
def test_engines_agree_and_give_gradients_where_they_train(cell: str, what: Any) -> None:
    setting = Setting(what, torch.float64, CPU)
    engines = engines_here(cell, setting)
    assert {"loop", "torch"} <= set(engines)
    made = make(Row(cell, 5, 3, 4), setting)
    assert agree(made, engines)[0] < 1e-12
    results = 1 + (2 if cell == "lstm" else 1) + (5 if what == "train" else 0)  # output, states, 4 weights and x
    assert len(made.once("torch")) == results


def test_no_torch_engine_for_a_cell_without_torch_class() -> None:
    assert "torch" not in engines_here("feedforward", TRAIN)


def test_a_wrong_arm_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run_by = recurrent.run_by

    def wrong(engine: str, core: Any, x: Any, lengths: Any = None, state: Any = None) -> Any:
        output, last = run_by(engine, core, x, lengths, state)
        return (output * 1.001 if engine == "torch" else output), last

    monkeypatch.setattr(work, "run_by", wrong)
    with pytest.raises(CheckFailed, match="torch computes something else"):
        quick(engines=["loop", "torch"])


def test_a_wrong_gradient_or_shape_or_nan_is_refused() -> None:
    one = [torch.ones(2), torch.ones(3)]
    assert require_equal(one, [torch.ones(2), torch.ones(3)], "x", 1e-6) == 0.0
    with pytest.raises(CheckFailed, match="x computes something else"):
        require_equal(one, [torch.ones(2), torch.tensor([1.0, 1.0, 1.1])], "x", 1e-2)
    with pytest.raises(CheckFailed, match="inf"):
        require_equal(one, [torch.ones(2), torch.full((3,), float("nan"))], "x", 1e-2)
    with pytest.raises(CheckFailed, match="other shapes"):
        require_equal(one, [torch.ones(2)], "x", 1e-2)


def test_flops_against_a_count_of_products() -> None:
    """2·n·k·m of every product that a layer's forward pass and its gradients take, one by one."""
    row = Row("gru", 8, 3, 5)
    G, H, B, T = 3, 8, 3, 5
    forward = 2 * T * B * H * G * H + T * (2 * B * H * G * H)
    assert row.flops("forward") == row.flops("step") == forward
    dx, dh, dW = 2 * T * B * G * H * H, T * (2 * B * G * H * H), 2 * (2 * G * H * T * B * H)
    assert row.flops("train") == forward + dx + dh + dW


def test_ceilings_are_of_products_that_agree() -> None:
    x, W = torch.randn(6, 7), torch.randn(5, 7)
    for product in products(torch.float32, CPU).values():
        torch.testing.assert_close(product(x, W), x @ W.t())
    assert product_rate(8, 8, 8, torch.float32, CPU).rate > 0


def test_an_operator_of_another_signature_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*_: Any) -> Any:
        raise TypeError("takes other arguments")

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", other, raising=False)
    assert list(products(torch.float32, CPU)) == ["torch.mm"]


def test_bounds_are_shares_and_the_smallest_row_is_bound_by_calls() -> None:
    """A row of TINY sizes is what `calls` is measured by: its share is all of it."""
    assert bounds(make(Row("rnn", 2, 1, 3), TRAIN), ["torch"], 5, 0.0)["torch"].by == "calls"
    found = bounds(make(Row("rnn", 6, 2, 3), TRAIN), ["torch"], 5, 0.0)["torch"]
    assert 0 <= found.products <= 1
    assert 0 < found.calls <= 1
    assert found.rest == pytest.approx(max(0.0, 1 - found.calls - found.products))
    assert work.Bound(0.7, 0.1).by == "calls"
    assert work.Bound(0.1, 0.7).by == "products"
    assert work.Bound(0.1, 0.1).by == "elements"


def test_sizes_and_tiers() -> None:
    assert parse_size("256/16/50") == (256, 16, 50)
    for wrong in ("256", "0/1/1", "a/b/c", "1/1/1/1", "-1/2/3", "", "9999999999/1/1"):
        with pytest.raises(UsageError):
            parse_size(wrong)
    assert len(rows_of("quick", CELLS)) == 9
    assert [(r.H, r.B, r.T) for r in rows_of("quick", ("gru",))] == list(DEFAULT)
    assert {r.sizes for r in rows_of("standard", ("gru",))} == {"512/32/1", "1024/32/1500", "1536/32/187"}
    full = rows_of("full", CELLS)
    assert len(full) == len(set(full))
    assert set(rows_of("teaching", CELLS)) | set(rows_of("quick", CELLS)) <= set(full)
    assert STANDARD["rnn"] == ((1760, 16, 50),)
    assert [r.T for r in scaled(Row("rnn", 8, 2, 40), "T")] == [10, 20, 40, 80, 160]
    assert [r.B for r in scaled(Row("rnn", 8, 1, 40), "B")] == [1, 2, 4]


def test_the_ceiling_is_measured_around_every_row(measured: Measured) -> None:
    """Before the first row, and after each: what is after one is before the next."""
    assert len(measured.ceilings(1)) == 3
    by_row = {figure.row: figure.ceiling for figure in measured.figures}
    first, second = by_row.values()
    assert first.after is second.before
    for figure in measured.figures:
        speed = figure.row.flops("train") / figure.seconds.value
        assert figure.of_ceiling == pytest.approx(speed / figure.ceiling.rate)


def with_first(measured: Measured, **changes: Any) -> Measured:
    """The same with the figures of its first row changed."""
    first = measured.rows[0]
    figures = [replace(figure, **changes) if figure.paired is not None else figure for figure in first.figures]
    return replace(measured, rows=[replace(first, figures=figures), *measured.rows[1:]])


def test_a_row_whose_rounds_disagree_loses_its_verdict_and_no_other(measured: Measured) -> None:
    apart = Paired(Interval(2.0, 1.4, 3.1), (Interval(1.5, 1.4, 1.6), Interval(3.0, 2.9, 3.1)), 21)
    found = with_first(measured, paired=apart)
    text = render.to_text(pages.screen(found), width=140)
    assert "fastest here" in text
    assert "1.50 in the first half of the rounds, 3.00 in the second" in text
    rows = [row for row in as_read(render.to_json(pages.document(found)))["rows"] if row["over"]]
    assert {row["verdict"] for row in rows if row["cell"] == "gru"} == {"withdrawn"}
    assert {row["ratio_second_half"] for row in rows if row["cell"] == "gru"} == {3.0}
    assert "withdrawn" not in {row["verdict"] for row in rows if row["cell"] == "lstm"}


def test_a_ceiling_that_moves_makes_shares_rough_and_leaves_verdicts(measured: Measured) -> None:
    """As on a machine that changes speed: the paired ratios say what they said."""
    steady, moved = (Around(Ceiling(250e9, "oneDNN"), Ceiling(rate, "oneDNN")) for rate in (260e9, 343e9))
    sure = Paired(Interval(1.5, 1.4, 1.6), None, 5)
    calm, restless = (
        replace(found, rows=found.rows[:1])
        for found in (with_first(measured, paired=sure, ceiling=ceiling) for ceiling in (steady, moved))
    )
    assert "shares of it are rough" in render.to_text(pages.screen(restless), width=140)
    assert "withdrawn" not in render.to_text(pages.screen(restless), width=140)
    assert "shares of it are rough" not in calm_said(calm)
    rows = [row for row in as_read(render.to_json(pages.document(restless)))["rows"] if row["over"]]
    assert {row["verdict"] for row in rows} == {"faster"}
    assert {row["ceiling_flops_after"] for row in rows} == {343e9}


def calm_said(measured: Measured) -> str:
    """Its verdicts, where every figure has the ceiling of the last."""
    ceiling = measured.figures[-1].ceiling
    figures = [replace(figure, ceiling=ceiling) for figure in measured.figures]
    return render.to_text(pages.screen(replace(measured, rows=[replace(measured.rows[0], figures=figures)])), width=140)


def test_what_numba_would_gain_is_said_where_it_is_missing(measured: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in (True, False):
        monkeypatch.setattr(gains, "is_missing", lambda here=missing: here)
        text = " ".join(render.to_text(pages.screen(measured), width=140).split())
        assert (f"engine compiled: {gains.gain_text(('gru', 'lstm'), 'train')} times as fast" in text) == missing
        assert ("pip install 'rnncli[fast]'" in text) == missing


KEYS = {
    "cell", "pass", "engine", "path", "H", "B", "T", "threads", "rounds", "seconds", "seconds_low", "seconds_high",
    "cold_seconds", "spread", "tokens_per_second", "of_ceiling", "of_serial_ceiling", "ceiling_flops",
    "ceiling_flops_after", "bound", "calls", "products",
    "elements", "over", "ratio", "ratio_low", "ratio_high",
    "ratio_first_half", "ratio_second_half", "verdict", "p50", "p90", "p99", "peak_bytes",
}  # fmt: skip


def test_json(measured: Measured) -> None:
    file = io.StringIO()
    render.dump_json(pages.document(measured), file)
    found = json.loads(file.getvalue())
    assert found["schema"] == "rnncli/bench/1"
    assert found["config"]["pass"] == "train"
    assert {"machine", "load", "ceilings", "call_seconds"} <= set(found["config"])
    assert (found["config"]["rows"], found["config"]["rows_planned"]) == (2, 2)
    assert all(set(row) == KEYS for row in found["rows"])
    engines = {row["engine"] for row in found["rows"]}
    assert {"loop", "torch"} <= engines
    assert len(found["rows"]) == 2 * len(engines)
    for row in found["rows"]:
        assert row["seconds_low"] <= row["seconds"] <= row["seconds_high"]
        assert row["tokens_per_second"] == pytest.approx(row["B"] * row["T"] / row["seconds"])
        assert (row["over"] is None) == (row["ratio"] is None) == (row["verdict"] is None)
    assert [check["name"] for check in found["checks"]] == ["engines-agree"]
    assert found["checks"][0]["ok"]


def test_streamed_steps_have_percentiles_in_order() -> None:
    found = quick(what="step", rows=[Row("lstm", 4, 1, 5)])
    for figure in found.figures:
        assert figure.latencies is not None
        assert list(figure.latencies) == sorted(figure.latencies)
    assert "p99" in render.to_text(pages.screen(found))


def test_scaling_has_a_chart_for_each_cell() -> None:
    found = quick(rows=scaled(Row("rnn", 4, 1, 8), "T"), engines=["torch", "loop"])
    page = pages.scaling(found, "T")
    series = as_read(render.to_json(page))["series"]
    assert [one["name"] for one in series] == ["rnn-1"]
    assert series[0]["x"] == [2.0, 4.0, 8.0, 16.0, 32.0]
    assert set(series[0]["lines"]) == {"torch", "loop"}


def test_scaling_shows_peak_memory() -> None:
    """Of the scan and the loop; more steps take more. Without W_hh there is no product that waits for another step."""
    found = quick(rows=scaled(Row("mingru", 64, 64, 16), "T"), engines=["loop", "parallel"], memory=True)
    if any(figure.memory is None for figure in found.figures):
        pytest.skip("the kernel counts no memory here")
    (table,) = [one for one in pages.scaling(found, "T").records if isinstance(one, Table) and one.name == "memory"]
    assert [row[1] for row in table.rows] == [f"64/64/{T}" for T in (4, 8, 16, 32, 64)]
    for peaks in list(zip(*table.rows, strict=True))[2:]:
        first, *_, last = (of_kind(int, peak) for peak in peaks)
        assert 4 * 64**3 < last < 100 * 4 * 64**3  # h alone has 4·64³ bytes
        assert last > 2 * first
    assert {figure.of_serial for figure in found.figures} == {None}


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    quick(threads=(1, 2), rows=[Row("rnn", 4, 1, 3)], engines=["torch"])
    assert torch.get_num_threads() == before


def old_file(measured: Measured, folder: Path, **machine_changes: Any) -> Path:
    document = as_read(render.to_json(pages.document(measured)))
    document["config"]["machine"] |= machine_changes
    path = folder / "old.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_compare_reads_engines_by_their_former_names(measured: Measured, tmp_path: Path) -> None:
    path = old_file(measured, tmp_path)
    text = path.read_text("utf-8")
    path.write_text(
        text.replace('"engine": "loop"', '"engine": "cell"').replace('"engine": "bptt"', '"engine": "scan"')
    )
    assert path.read_text("utf-8") != text
    old = compare.check_old(path, machine(), dtype="float32", device="cpu", force=False)
    assert [row.engine for row in old.rows] == [figure.engine for figure in measured.figures]


def test_compare_reads_what_json_wrote(measured: Measured, tmp_path: Path) -> None:
    path = old_file(measured, tmp_path)
    old = compare.check_old(path, machine(), dtype="float32", device="cpu", force=False)
    now = pages.document(measured)
    tables = {record.name: record for record in compare.compared(now, now, old).records}
    assert len(tables["compared"].rows) == len(measured.figures)  # type: ignore[union-attr]
    column = [c.name for c in tables["compared"].columns].index("change")  # type: ignore[union-attr]
    for row in tables["compared"].rows:  # type: ignore[union-attr]
        change, low, high = as_read(row[column])
        assert change == pytest.approx(1.0)
        assert low <= 1 <= high


def test_compare_refuses_another_machine_unless_forced(measured: Measured, tmp_path: Path) -> None:
    path = old_file(measured, tmp_path, processor="another")
    with pytest.raises(UsageError, match="another machine"):
        compare.check_old(path, machine(), dtype="float32", device="cpu", force=False)
    old = compare.check_old(path, machine(), dtype="float32", device="cpu", force=True)
    now = pages.document(measured)
    assert "! forced" in render.to_text(compare.compared(now, now, old), width=120)
    with pytest.raises(UsageError, match="dtype"):
        compare.check_old(path, machine(), dtype="float64", device="cpu", force=True)


def test_compare_takes_each_row_by_the_ceiling_around_it(measured: Measured, tmp_path: Path) -> None:
    """Twice the ceiling then, and nothing faster now: twice as fast for what it is. 0.1 had one ceiling for all."""
    document = as_read(render.to_json(pages.document(measured)))
    for row in document["rows"]:
        row |= {key: 2 * row[key] for key in ("ceiling_flops", "ceiling_flops_after")}
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document), "utf-8")
    new, old = compare.figures_of(as_read(render.to_json(pages.document(measured)))), compare.read_old(path)
    assert [then.ceiling for then in old.rows] == pytest.approx([2 * now.ceiling for now in new.rows])
    for row in document["rows"]:
        del row["ceiling_flops"], row["ceiling_flops_after"]
    document["config"]["moved"] = ["ceiling"]
    path.write_text(json.dumps(document), "utf-8")
    before = compare.read_old(path)
    assert {row.ceiling for row in before.rows} == {document["config"]["ceilings"][0]["flops"]}
    assert all(row.moved for row in before.rows)
    now = pages.document(measured)
    text = render.to_text(compare.compared(now, now, before), width=140)
    assert text.count("withdrawn") == len(measured.figures)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"rows": [{}]}', "null", "1e999"])
def test_compare_refuses_a_file_of_another_kind(content: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, "utf-8")
    with pytest.raises(DataError):
        compare.read_old(path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_has_peak_memory() -> None:
    found = quick(device="cuda")
    assert all(figure.memory for figure in found.figures)
    assert {figure.path for figure in found.figures if figure.engine == "torch"} == {"cuDNN"}
