"""What the recipes of algorithms reach over seeds 0 to 4, every cell and length."""

import pytest

from tests.evidence.evidence_runs import figures, write

pytestmark = pytest.mark.evidence


@pytest.mark.parametrize("recipe", ["parity", "even-pairs"])
def test_one_bit_is_held_ten_times_as_long_as_in_training(recipe: str) -> None:
    found = figures(recipe)
    write(recipe, [found])
    for run in found["runs"]:
        assert run["rows"]["lstm"]["T=400"] >= 0.99, run["seed"]
        assert run["rows"]["feedforward"]["T=400"] < 0.7, run["seed"]


def test_lstm_adds_over_100_steps_where_tanh_trails() -> None:
    found = figures("memory-adding")
    write("memory-adding", [found])
    for run in found["runs"]:
        assert run["rows"]["lstm"]["mse"] < 0.01, run["seed"]
        assert run["rows"]["rnn-tanh"]["mse"] > 0.1, run["seed"]
        assert run["rows"]["feedforward"]["mse"] > 0.1, run["seed"]


def test_copy_beats_what_no_memory_can_know() -> None:
    found = figures("memory-copy")
    write("memory-copy", [found])
    for run in found["runs"]:
        assert run["rows"]["gru"]["accuracy"] > 0.9, run["seed"]
        assert run["rows"]["feedforward"]["accuracy"] < 0.2, run["seed"]


def test_modular_arithmetic_is_learned_on_its_training_lengths() -> None:
    found = figures("modular-arithmetic")
    write("modular-arithmetic", [found])
    for run in found["runs"]:
        assert run["rows"]["lstm"]["accuracy"] > 0.9, run["seed"]


def test_which_cells_count_is_measured_whatever_it_says() -> None:
    found = figures("counting")
    write("counting", [found])
    mean = {name: row["n=60"]["mean"] for name, row in found["summary"].items()}
    assert mean["lstm"] > mean["rnn-tanh"]
