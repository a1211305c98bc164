"""What a recipe, a README or a comment claims was measured, and is in tests/evidence."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests import recipe_results
from tests.recipe_results import RECIPES, RESULTS, ROOT, Figure, block, problems, with_results

TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in RECIPES}
README = "\n".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("name", TEXTS)
def test_a_recipe_claims_what_the_evidence_says(name: str) -> None:
    assert problems(name, TEXTS[name]) == []
    assert with_results(name, TEXTS[name]) == TEXTS[name]


def test_every_recipe_has_a_result() -> None:
    assert set(RESULTS) == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_every_digit_of_a_result_is_checked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, start = block(name), TEXTS[name].index("# Result")
    monkeypatch.setattr(recipe_results, "block", lambda _: wanted)
    stop = start + len(wanted)
    for place in [found.start() + start for found in re.finditer(r"\d", TEXTS[name][start:stop])]:
        changed = TEXTS[name][:place] + str((int(TEXTS[name][place]) + 1) % 10) + TEXTS[name][place + 1 :]
        assert problems(name, changed), TEXTS[name][place - 20 : place + 1]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("# Result, mean", "# In short, mean"), "not what the evidence says: python tests/recipe_results.py"),
        (("# Then:", "# All in a minute.\n# Then:"), "not what the evidence says: python tests/recipe_results.py"),
        (("# Is the", "# It takes 20 s. Is the"), "a figure outside the result: 20 s"),
        (("# Then: ", "# Then: 99.5% of the rows with "), "a figure outside the result: 99.5"),
    ],
)
def test_a_claim_outside_the_result_is_found(change: tuple[str, str], problem: str) -> None:
    assert problem in problems("parity", TEXTS["parity"].replace(*change))


def test_a_result_without_evidence_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems("mine", TEXTS["parity"]) == ["a result without evidence"]
    monkeypatch.setitem(RESULTS, "parity", "the mgu is right {mgu[T=400]:.2f}.")
    with pytest.raises(KeyError, match="mgu"):
        problems("parity", TEXTS["parity"])


def test_evidence_has_five_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parity: dict[str, Any] = json.loads((ROOT / "tests" / "evidence" / "parity.json").read_text(encoding="utf-8"))
    parity["recipes"][0]["runs"].pop()
    monkeypatch.setattr(recipe_results, "entries", lambda: [("parity", parity["recipes"][0])])
    with pytest.raises(AssertionError, match="not the seeds"):
        block("parity")


def test_figures_are_rounded_means_with_their_range() -> None:
    assert f"{Figure([0.995, 0.84, 0.93, 0.835, 0.97]):.2f}" == "0.91 (0.83 to 0.99)"
    assert f"{Figure([1.0] * 5):.1%}" == "100.0%"


def table(heading: str) -> list[list[str]]:
    """The rows of the README's table that begins so, cell by cell."""
    (rows,) = re.findall(rf"^{re.escape(heading)}\n\|[-|]+\n((?:\|.*\n)+)", README, re.M)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]


def test_the_readmes_table_of_texts() -> None:
    document = json.loads((ROOT / "tests" / "evidence" / "streaming.json").read_text(encoding="utf-8"))
    found = document["training, characters"]
    rows = table("| text | peak memory | processor time per token | first start |")
    assert len(rows) == 3
    for size, memory, a_token, start in rows:
        entry = found[size]
        assert memory == f"{entry['peak_kib'] / 1000:.0f} MB"
        assert a_token == f"{entry['microseconds_a_token']:.1f} µs"
        assert start == f"{entry['encoding_cpu_seconds']:.0f} s"


def test_the_readmes_table_of_speeds() -> None:
    document = json.loads((ROOT / "tests" / "evidence" / "bench_peers.json").read_text(encoding="utf-8"))
    rows = [row for row in document["training loops"]["rows"] if row.get("ratio")]
    found = {(row["cell"], row["arm"], row["sizes"].split("/")[0]): row["ratio"][0] for row in rows}
    arms = {"over torch": "torch", "over Keras on JAX": "keras-jax"}
    shown = table("| | H=32 | H=128 | H=512 |")
    assert len(shown) == 6
    for what, *figures in shown:
        cell, _, over = what.replace(",", "").partition(" ")
        assert figures == [f"{found[cell, arms[over], size]:.1f}" for size in ("32", "128", "512")], what
    rounds = [row["rounds"] for row in rows]
    few, many = min(rounds), max(rounds)
    assert f"Medians of {few if few == many else f'{few} to {many}'} paired rounds" in README


SPEED = re.compile(r"\d+(?:\.\d+)? times as (?:fast|long|slow)|\b\w+fold (?:faster|slower)|(?:slow|speed) \w+ \w+fold")


def test_no_comment_gives_a_speed_without_evidence() -> None:
    files = sorted((ROOT / "rnncli").rglob("*.py"))
    texts = {path: re.sub(r"\s*\n\s*#?\s*", " ", path.read_text(encoding="utf-8")) for path in files}
    assert {str(path.relative_to(ROOT)): found for path, text in texts.items() if (found := SPEED.findall(text))} == {}
