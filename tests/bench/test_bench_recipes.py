"""`bench RECIPE`: the split adds up, every candidate computes the same, and the --set line loads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rnncli import render
from rnncli.bench import recipes
from rnncli.bench.recipes import PARTS, Candidate, profile
from rnncli.bench.recipes_page import page
from rnncli.errors import CheckFailed
from rnncli.nn.engines import ENGINES
from rnncli.records import Table
from rnncli.tasks import load_recipe
from tests.json_schema import document_fits
from tests.narrowed import as_read


@pytest.fixture(scope="module")
def found() -> recipes.Profile:
    events: list[str] = []
    made = profile(load_recipe("hello"), lambda progress: events.append(progress.event), rounds=5, budget=0.0)
    assert {"step", "epoch"} <= set(events)
    return made


def test_the_parts_are_all_there_and_add_up(found: recipes.Profile) -> None:
    assert tuple(found.parts) == PARTS
    assert all(seconds >= 0 for seconds in found.parts.values())
    assert all(found.parts[part] > 0 for part in ("data", "forward", "backward", "optimizer"))
    split = next(record for record in page(found, "hello").records if record.name == "split")
    assert isinstance(split, Table)
    assert split.total is not None
    rows = as_read(split.rows)
    assert sum(row[1] for row in rows) == pytest.approx(split.total[1])
    assert sum(row[2] for row in rows) == pytest.approx(1.0)


def test_the_bare_loop_learns_as_the_recipe_does() -> None:
    """Both are given the same weights and batches; a bare loop that did less would be no comparison."""
    from rnncli.training.job import prepare
    from rnncli.training.loop import start, update

    job = prepare(load_recipe("hello"))
    batches = recipes._some_batches(job)
    models: list[Any] = []
    copied = recipes._copy

    def keep(of: Any) -> Any:
        models.append(copied(of))
        return models[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "_copy", keep)
        recipes._bare_loop(job, batches, 4)()
    state = start(job)
    for k in range(4):
        update(job, state, batches[k % len(batches)])
    for one, other in zip(models[0].parameters(), job.model.parameters(), strict=True):
        assert (one - other).abs().max() < 1e-5


def test_every_engine_is_tried_and_the_own_one_is_among_them(found: recipes.Profile) -> None:
    tried = [one.candidate for one in found.tried]
    assert found.own in tried
    assert {"loop", "torch"} <= {candidate.engine for candidate in tried}
    assert len(tried) == len(set(tried))
    own = next(one for one in found.tried if one.candidate == found.own)
    assert own.ratio.as_tuple() == (1.0, 1.0, 1.0)


def test_the_set_line_is_one_that_train_takes(found: recipes.Profile) -> None:
    sets = Candidate("loop", 1, "bf16").sets().split()
    recipe = load_recipe("hello", sets[1::2])
    assert (recipe.config.model.engine, recipe.config.train.threads, recipe.config.train.precision) == (
        "loop",
        1,
        "bf16",
    )
    assert document_fits(render.to_json(page(found, "hello")))
    text = render.to_text(page(found, "hello"))
    assert "--set" in text
    assert "bare torch loop" in text


def test_an_engine_with_another_loss_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    first = recipes._first_loss
    monkeypatch.setattr(
        recipes,
        "_first_loss",
        lambda job, batch: [tensor * (2 if job.config.model.engine == "loop" else 1) for tensor in first(job, batch)],
    )
    with pytest.raises(CheckFailed, match="engine loop"):
        profile(load_recipe("hello"), lambda progress: None, rounds=5, budget=0.0)


def test_bptt_with_another_loss_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first loss is computed as in training: without gradients torch's module would stand in for bptt."""
    real = ENGINES["bptt"]

    def wrong(*args: Any) -> Any:
        output, last = real.run(*args)
        return output * 1.5, last

    monkeypatch.setitem(ENGINES.loaded, "bptt", replace(real, run=wrong))
    recipe = load_recipe("parity", ["model.cell=gru", "model.hidden_size=8", "model.engine=torch"])
    with pytest.raises(CheckFailed, match="engine bptt"):
        profile(recipe, lambda progress: None, rounds=5, budget=0.0)
