"""`recipes copy --data`: what a stranger's file gives, without a process of its own."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.cli import run
from rnncli.recipe.parse import Verbatim, flow_text, parse
from rnncli.tasks import load_recipe
from tests.narrowed import of_kind

Copy = Callable[..., tuple[dict[str, Any], str]]
NAMES = ["[kW]", "0x1A", "-", "~", "yes", "2020", "1e3", "{a: b}", "# no", "'x'", "null", "a: b", "°C"]
DAYS = [f"{datetime(2020, 1, 1) + timedelta(days=i):%Y-%m-%d}" for i in range(120)]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Copy:
    """Copies a recipe for a table of these rows; returns its data section, and what was said."""
    monkeypatch.chdir(tmp_path)

    def copied(recipe: str, header: str, rows: list[str], *words: str) -> tuple[dict[str, Any], str]:
        Path("my.yaml").unlink(missing_ok=True)
        Path("my.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        assert run(["recipes", "copy", recipe, "my.yaml", "--data", "my.csv", *words]) == 0
        said = capsys.readouterr()
        data = of_kind(dict, load_recipe("my.yaml").document.values["data"])
        return data, said.out + said.err

    return copied


@pytest.mark.parametrize("name", NAMES)
def test_names_of_columns_stay_what_they_are(copy: Copy, name: str) -> None:
    rows = [f"{day},{i * i % 17}.5,{i % 5}.25" for i, day in enumerate(DAYS)]
    data, said = copy("forecasting", f"date,{name},[degC]", rows)
    assert (data["target"], data["past"]) == (name, ["[degC]"])
    assert "next  rnncli train my.yaml" in said
    assert "cannot be trained" not in said


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12))
def test_any_text_is_kept_as_it_is(text: str) -> None:
    root, faults = parse(f"a: {flow_text(Verbatim(text))}\n", "x", ".")
    assert (root.value(), faults) == ({"a": text}, [])


def test_a_classification_s_columns_keep_their_names(copy: Copy) -> None:
    texts = [f"{'nice fine' if i % 2 else 'bad poor'} {i},{'pn'[i % 2]}" for i in range(60)]
    data, said = copy("names", "0x1A,0b1", texts)
    assert (data["text"], data["label"]) == ("0x1A", "0b1")
    assert "rnncli train my.yaml" in said


def test_the_recipe_s_own_names_win(copy: Copy) -> None:
    rows = [f"gj{i % 3},{i % 2},the sentence {i} {'is' if i % 2 else 'are'} long" for i in range(60)]
    data, _ = copy("acceptability", "source,label,sentence", rows)
    assert (data["text"], data["label"]) == ("sentence", "label")
    data, _ = copy("names", "name,language,remark", [f"Ab{i},{'xy'[i % 2]},a longer remark {i % 4}" for i in range(60)])
    assert (data["text"], data["label"]) == ("name", "language")


def test_what_will_fail_is_not_suggested(copy: Copy) -> None:
    for days in (DAYS[:3], DAYS[60:] + DAYS[:60]):
        _, said = copy("forecasting", "date,y", [f"{day},1.{i % 3}" for i, day in enumerate(days)])
        assert "it cannot be trained as it is" in said
        assert "rnncli train" not in said


@pytest.mark.parametrize(
    ("minutes", "rows", "lengths"),
    [
        (15, 150, (1, 24, 12)),  # a season of 96 steps: train has 97
        (15, 200, (96, 96, 12)),  # train has 130
        (24 * 60, 12, (1, 2, 2)),
        (24 * 60, 40, (7, 7, 6)),
        (24 * 60, 70, (7, 14, 7)),
        (3 * 24 * 60, 40, (1, 7, 6)),
        (1, 2100, (1, 24, 12)),  # a season of 1440 steps, in a file longer than the part looked at
        (1, 2300, (1440, 1440, 12)),
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_the_window_fits(copy: Copy, minutes: int, rows: int, lengths: tuple[int, int, int], several: bool) -> None:
    dates = [datetime(2024, 1, 1) + timedelta(minutes=minutes * i) for i in range(rows)]
    table = [f"{s},{date},{i % 9}" for i, date in enumerate(dates) for s in ("ab" if several else "a")]
    data, said = copy("forecasting", "s,t,v", table)
    assert "next  rnncli train my.yaml" in said
    assert "cannot be trained" not in said
    assert (data["season"], data["window"], data["horizon"]) == lengths


def test_the_copy_tells_nothing_of_other_data(copy: Copy) -> None:
    copy("names", "text,label", [f"{'nice fine' if i % 2 else 'bad poor'} {i},{'pn'[i % 2]}" for i in range(60)])
    text = Path("my.yaml").read_text("utf-8")
    first, modeline, text = text.split("\n", 2)
    assert (first, modeline.split("=")[0]) == ("# rnncli train my.yaml", "# yaml-language-server: $schema")
    assert text.startswith("# Copied from names; ")
    assert not any(word in text for word in ("Lecture", "surname", "names_train", "Result", "tutorial"))
    assert "# characters | words" in text


def test_a_date_that_is_missing_is_filled_in(copy: Copy) -> None:
    data, said = copy("forecasting", "date,y", [f"{day},{i * i % 17}.5" for i, day in enumerate(DAYS) if i != 50])
    assert data["missing"] == "interpolate"
    assert "rnncli train my.yaml" in said


def test_a_delimiter_that_is_given_is_used(copy: Copy) -> None:
    rows = [f"{'nice, fine' if i % 2 else 'bad, poor'} {i};{'pn'[i % 2]}" for i in range(60)]
    data, said = copy("names", "the, text;label", rows, "--set", "data.delimiter=;")
    assert (data["text"], data["label"], data["delimiter"]) == ("the, text", "label", ";")
    assert "rnncli train my.yaml" in said


def test_marks_that_are_given_are_used(copy: Copy) -> None:
    rows = [f'{day},"{1 + i % 5},{i * i % 17:03d}"' for i, day in enumerate(DAYS)]
    data, said = copy("forecasting", "date,y", rows, "--set", "data.thousands=,")
    assert (data["target"], data["thousands"]) == ("y", ",")
    assert "rnncli train my.yaml" in said


def test_hours_and_months_are_no_targets(copy: Copy) -> None:
    rows = [f"{day},{i % 12 + 1},{i % 24},{i * i % 17}.5" for i, day in enumerate(DAYS)]
    data, _ = copy("forecasting", "date,month,hour,load", rows)
    assert (data["target"], data["past"]) == ("load", ["month", "hour"])


def test_how_texts_are_read_is_chosen_and_said_unless_typed(copy: Copy) -> None:
    words = ["free", "call", "now", "see", "you", "home", "later"]
    rows = [f"{' '.join(words[(i * k) % 7] for k in range(1, 9))} {i},{'ab'[i % 2]}" for i in range(60)]
    data, said = copy("names", "message,label", rows)
    assert data["tokens"] == "words"
    assert "data.tokens: words: 9 in a text on average" in said
    assert "model.head: max: the relevant part" in said
    data, said = copy("names", "message,label", rows, "--set", "data.tokens=characters")
    assert data["tokens"] == "characters"
    assert "data.tokens: words" not in said
