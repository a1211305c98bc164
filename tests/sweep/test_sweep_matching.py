"""--match-params against trying every size, and against the parameters of models that were really trained."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.errors import UsageError
from rnncli.sweeps.matching import Matcher, count, nearest
from rnncli.sweeps.plan import make_plan
from rnncli.training.job import prepare


@given(st.integers(1, 9), st.integers(0, 30), st.integers(0, 50), st.integers(1, 4000))
def test_nearest_is_the_nearest(a: int, b: int, c: int, target: int) -> None:
    def parameters(size: int) -> int:
        return a * size * size + b * size + c

    everything = sorted((abs(parameters(size) - target), size) for size in range(1, 70))
    found = nearest(parameters, target)
    if parameters(1) > target:
        assert found is None
    else:
        assert found == (everything[0][1], parameters(everything[0][1]))


def test_cells_at_equal_parameters() -> None:
    """hello's model is one-hot, a core and a linear head: its parameters have a formula."""
    plan = make_plan("hello", (), {}, grid=["model.cell=rnn,gru,lstm"], match_params=20_000)
    matcher = Matcher(plan)
    for cell, gates in (("rnn", 1), ("gru", 3), ("lstm", 4)):
        match = matcher.match({"model.cell": cell})
        exact = {H: gates * H * (4 + H + 2) + 4 * H + 4 for H in range(1, 200)}
        best = min(exact, key=lambda H: (abs(exact[H] - 20_000), H))
        assert (match.hidden_size, match.parameters) == (best, exact[best])
        job = prepare(plan.load({"model.cell": cell, **match.settings}, seed=1))
        assert sum(parameter.numel() for parameter in job.model.parameters()) == match.parameters
        assert job.cost.parameters == match.parameters


def test_a_sweep_that_no_size_fits() -> None:
    plan = make_plan("hello", (), {}, grid=["model.cell=rnn,lstm"], match_params=10)
    with pytest.raises(UsageError, match="the smallest model has"):
        Matcher(plan).match({"model.cell": "lstm"})


def test_counting_takes_no_memory() -> None:
    plan = make_plan("hello", (), {}, grid=["model.cell=rnn"], match_params=10)
    recipe = plan.load({})
    fitted = recipe.task.read(recipe.config).fitted
    H = 1 << 17  # W_hh alone would be 64 GiB
    assert count(recipe.task, recipe.config, fitted, H) == H * (4 + H + 2) + 4 * H + 4
