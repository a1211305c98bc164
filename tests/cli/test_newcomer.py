"""Small things that stopped somebody who came anew."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rnncli.cli import out
from rnncli.cli.start import start_screen
from rnncli.cli.watching import Lines
from rnncli.errors import DataError, UsageError
from rnncli.recipe.edit import without_result
from rnncli.records import Table
from rnncli.render import progress
from rnncli.render.progress import LiveProgress
from rnncli.runs.folder import make_folder, new_folder
from rnncli.runs.listing import list_page
from rnncli.runs.read import RunSummary
from rnncli.starters import recipe_folder
from rnncli.targets import find_target
from rnncli.tasks import load_recipe, load_task, task_names
from rnncli.training.job import prepare
from rnncli.training.loop import Progress
from rnncli.views import view_names
from tests.fixture_types import Typed
from tests.narrowed import of_kind


@pytest.mark.parametrize("path", sorted(recipe_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_a_copied_recipe_does_not_claim_the_result_of_the_one_that_was_shipped(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    copy = without_result(text)
    assert "Result" in text
    assert "Result" not in copy
    lines, kept = text.splitlines(), copy.splitlines()
    head = lines.index("")
    assert kept[kept.index("") :] == lines[head:], "below the comment on top nothing changes"
    for line in lines[:head]:
        if re.match(r"# (Then|Your own|See it):", line):
            assert line in kept
    for figure in ("seeds 0", "(seed 0)", "under a second", "beside"):
        assert figure not in "\n".join(kept[: kept.index("")]), figure


def test_what_stood_behind_the_result_on_its_line_stays(typed: Typed) -> None:
    assert typed("recipes", "copy", "hello", "mine.yaml")[0] == 0
    text = Path("mine.yaml").read_text()
    assert "# Then: rnncli inspect last steps\n" in text
    assert text.startswith("# rnncli train mine.yaml\n")


def test_far_fetched_names_are_not_suggested(typed: Typed) -> None:
    code, _, said = typed("inspect", "nothing")
    assert code == 2
    assert "did you mean" not in said
    assert "hello-cell" in said  # all there are, then
    for word, near in (("helo", "hello"), ("langauge-model", "language-model"), ("conting", "counting")):
        assert f"did you mean {near}?" in typed("inspect", word)[2]
        assert f"did you mean {near}?" in typed("train", word)[2]


def test_evaluate_says_that_it_measures_another_part_than_training_showed(typed: Typed, thinned: None) -> None:
    train = ("train", "names", "--set", "train.max_steps=1", "--set", "train.control=false", "--out", "run")
    assert typed(*train)[0] == 0
    code, shown, _ = typed("evaluate", "./run")
    assert code == 0
    assert "result on test" in shown
    assert "training reported the validation split: --split validation" in " ".join(shown.split())
    assert (
        "split, not used in training; training reported the"
        not in typed("evaluate", "./run", "--split", "validation")[1]
    )


def test_updates_are_called_updates(typed: Typed) -> None:
    _, shown, said = typed("train", "hello", "--dry-run")
    assert "updates per epoch  1" in shown
    _, _, said = typed("train", "hello", "--lr", "1e30", "--set", "model.nonlinearity=relu")
    assert "at step" in said


@pytest.mark.parametrize("name", ["forecasting", "transcription", "image-sequences"])
def test_predict_asks_for_a_file_where_the_task_takes_files(typed: Typed, thinned: None, name: str) -> None:
    made = typed("train", name, "--set", "train.max_steps=1", "--set", "train.control=false", "--out", "run")
    assert made[0] == 0, made[2]
    assert "rnncli predict run FILE" in made[1]
    code, _, said = typed("predict", "./run")
    assert code == 2
    assert "give one or more FILEs" in said
    assert "rnncli predict ./run FILE" in said


def test_predict_asks_for_text_where_it_takes_text(typed: Typed) -> None:
    assert "rnncli predict run TEXT" in typed("train", "hello", "--epochs", "1", "--out", "run")[1]
    assert "rnncli predict ./run hello" in typed("predict", "./run")[2]


def test_one_bad_cell_in_a_column_to_forecast_is_named(typed: Typed) -> None:
    rows = [f"2024-01-{day:02d},{3 * day},{day}" for day in range(1, 29)]
    rows[6] = "2024-01-07,n.a.!,7"
    for columns in (3, 2):  # with a column of good numbers behind it, and without
        text = "\n".join(",".join(row.split(",")[:columns]) for row in ["date,sales,temperature", *rows])
        Path("bad.csv").write_text(text + "\n")
        code, _, said = typed("recipes", "copy", "forecasting", "x.yaml", "--data", "bad.csv")
        assert code == 3
        assert "'n.a.!' in column 'sales' is not a number" in said
        assert "bad.csv:8" in said
        assert not Path("x.yaml").exists()
    rows[6] = "2024-01-07,,7"
    Path("bad.csv").write_text("\n".join(["date,sales,temperature", *rows]) + "\n")
    assert typed("recipes", "copy", "forecasting", "x.yaml", "--data", "bad.csv")[0] == 0


def test_chinese_is_not_mixed_with_english(typed: Typed) -> None:
    _, shown, _ = typed("--lang", "zh", "train", "hello", "--dry-run", "--set", "model.num_layers=2")
    assert "2 层" in shown
    assert "字节" in shown
    assert "bytes" not in shown
    assert "layers" not in shown
    _, shown, _ = typed("--lang", "zh", "inspect", "hello", "states", "--set", "model.num_layers=2")
    assert "t=T-1 处" in shown
    assert " at t=" not in shown


def test_the_columns_of_a_confusion_matrix_are_labelled(typed: Typed) -> None:
    words = ("train", "names", "--fast-dev-run", "--set", "model.engine=torch")
    lines = typed(*words)[1].splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("true class"))
    letters = lines[head].split()[-20:]
    rows = [line.split()[0] for line in lines[head + 1 : head + 21]]
    assert letters == rows == list("abcdefghijklmnopqrst")
    column = lines[head].rindex("d")
    assert lines[head + 4][column].isdigit(), "a letter stands above its column"


def test_what_the_live_line_counts_is_said(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE", 0.0)
    words = ("train", "hello", "--max-time", "0.1s", "--set", "train.control=false", "--epochs", "100000")
    said = typed(*words, "--out", "run")[2]
    assert re.search(r"^step [0-9,]+/100,000  epoch [0-9]+  loss ", said, re.MULTILINE)
    said = typed("--lang", "zh", *words, "--out", "run2")[2]
    assert re.search(r"^步 [0-9,]+/100,000  轮 [0-9]+  损失 ", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "what", "command"),
    [
        ("train hello --epochs", "--epochs needs an integer", "rnncli train"),
        ("train hello --lr", "--lr needs a number", "rnncli train"),
        ("train hello --data", "--data needs a value", "rnncli train"),
        ("train hello --json=3", "--json takes no value", "rnncli train"),
        ("runs list --json=3", "--json takes no value", "rnncli runs list"),
    ],
)
def test_an_option_without_its_value_says_what_it_needs(typed: Typed, words: str, what: str, command: str) -> None:
    assert typed(*words.split()) == (2, "", f"error: {what}\nwhere: {command}\nnext:  see: {command} --help\n")


@pytest.mark.parametrize("words", [(), ("train",), ("recipes", "copy")])
def test_help_shows_no_type_of_a_switch(typed: Typed, words: tuple[str, ...]) -> None:
    code, out, _ = typed(*words, "--help")
    assert code == 0
    assert "--help" in out
    assert "<bool>" not in out


def test_what_recipes_can_do_is_said_in_the_words_of_its_commands(typed: Typed) -> None:
    words = typed()[1].partition("recipes ")[2].splitlines()[0]
    assert all(command in words for command in ("list", "show", "copy", "validate"))


def test_a_sheet_to_check_stands_in_the_hint(typed: Typed) -> None:
    _, _, err = typed("demo", "--check", "mine.csv")
    assert "rnncli demo --nice --explain all --check mine.csv\n" in err


def test_a_file_that_is_there_already_is_named_as_one(typed: Typed) -> None:
    assert typed("recipes", "copy", "hello", "my.yaml")[0] == 0
    code, _, err = typed("recipes", "copy", "hello", "my.yaml")
    assert code == 6
    assert err.startswith("error: file already exists\nwhere: my.yaml\n")


def test_only_train_speaks_of_going_on_and_only_with_a_run(tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    for folder in (run, other):
        folder.mkdir()
        (folder / "recipe.yaml" if folder == run else folder / "x").touch()
    cases: tuple[tuple[Path, Callable[[], Path], str], ...] = (
        (run, lambda: new_folder("hello", str(run)), f"rnncli train --resume {run}"),
        (other, lambda: new_folder("hello", str(other)), ""),
        (run, lambda: make_folder(str(run)), ""),
    )
    for folder, make, hint in cases:
        with pytest.raises(UsageError, match="not empty") as error:
            make()
        assert error.value.where == str(folder)
        assert error.value.todo.partition(": ")[2] == hint


def test_a_folder_of_runs_names_the_runs_in_it(tmp_path: Path) -> None:
    sweep = tmp_path / "sweeps" / "hello-001"
    for run in ("cell=gru/seed-3", "cell=gru/seed-4", "cell=rnn/seed-3"):
        (sweep / run).mkdir(parents=True)
        (sweep / run / "recipe.yaml").touch()
    for folder, hint in (
        (sweep, f"the runs of this sweep: {sweep}/*/seed-3"),
        (sweep / "cell=gru", f"give one of its runs, for example {sweep}/cell=gru/seed-3"),
        (tmp_path, f"see: ls {tmp_path}"),
    ):
        with pytest.raises(DataError) as error:
            find_target(str(folder))
        assert error.value.todo == hint


def test_a_printed_sheet_has_lines_only_where_an_answer_is_asked_for(typed: Typed) -> None:
    typed("demo", "--nice", "--explain", "all", "--blanks", "--save", "sheet.html")
    cells = re.findall("<td([^>]*)>([^<]*)</td>", Path("sheet.html").read_text(encoding="utf-8"))
    rows = [cells[at : at + 4] for at in range(0, len(cells), 4)]  # unit, term, written out, value
    for _, term, written, value in rows:
        assert ("blank" in value[0]) == (value[1] == "") == (not term[1].startswith("b_"))
        assert "blank" not in written[0]
    assert len(rows) == 36
    assert "td.blank{" in Path("sheet.html").read_text(encoding="utf-8")


def test_the_list_of_runs_tells_the_last_epoch_from_the_best(tmp_path: Path) -> None:
    settings = {"train.epochs": 15}
    for run, shown in (
        (RunSummary(tmp_path, "finished", settings, best_epoch=3, last_epoch=15), "15/15, best 3"),
        (RunSummary(tmp_path, "finished", settings, best_epoch=3, last_epoch=6), "6/15, best 3"),
        (RunSummary(tmp_path, "running", settings, best_epoch=4, last_epoch=4), "4/15"),
    ):
        table = of_kind(Table, list_page([run], tmp_path).records[0])
        assert table.rows[0][[column.name for column in table.columns].index("epochs")] == shown


def test_other_column_names_come_with_the_options_that_fit(typed: Typed) -> None:
    days = [f"2024-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
    rows = "".join(f"{day},{20 + k % 7}\n" for k, day in enumerate(days))
    Path("my series.csv").write_text("day,outside temp\n" + rows, encoding="utf-8")
    code, _, err = typed("train", "forecasting", "--data", "my series.csv", "--fast-dev-run")
    assert code == 3
    assert "no column" in err
    hint = "--set data.date=day --set 'data.target=outside temp'"
    assert f"next:  {hint}, or rnncli recipes copy forecasting my.yaml --data 'my series.csv'\n" in err
    code, _, err = typed("train", "forecasting", "--data", "my series.csv", "--dry-run", *shlex.split(hint))
    assert "no column" not in err


def lines_of(recipe: str, *sets: str) -> tuple[Lines, list[str]]:
    """What stays on the screen while a recipe trains."""
    said: list[str] = []

    class Live(LiveProgress):
        def line(self, text: str) -> None:
            said.append(text)

        def update(self, *fields: object) -> None:
            pass

        def wait(self, text: str) -> None:
            pass

    return Lines(prepare(load_recipe(recipe, sets)), Live()), said


def test_the_speed_is_counted_in_the_word_of_the_data() -> None:
    now = Progress("step", 1, 1, read_loss=lambda: 1.0, lr=0.1, seconds=2.0, counted=2048.0)
    lines, _ = lines_of("language-model", "data.path=" + str(recipe_folder() / "language-model.yaml"), "data.window=2")
    assert lines._fields(now)["tokens/s"] == "1,024"
    lines, _ = lines_of("hello")
    assert lines._fields(now)["steps/s"] == "1,024"
    assert {load_task(name).COUNTED for name in task_names()} == {"tokens", "rows", "steps"}


def test_the_best_epoch_is_named_where_its_line_is_left_out() -> None:
    for best, said_last in ((13, "some epochs are not shown; the best was epoch 13"), (12, "")):
        lines, said = lines_of("hello", "train.epochs=45")
        for epoch in range(1, 46):
            lines(
                Progress(
                    "epoch",
                    epoch,
                    epoch,
                    read_loss=lambda: 1.0,
                    lr=0.1,
                    seconds=1.0,
                    counted=1.0,
                    improved=epoch == best,
                )
            )
        lines(Progress("end", 45, 45, read_loss=lambda: 1.0, lr=0.1, seconds=1.0, counted=1.0))
        assert (said[-1] == said_last) == bool(said_last)
        assert sum("best" in line for line in said) == bool(said_last)


@pytest.mark.parametrize("name", ["language-model", "word-language-model"])
def test_a_copy_with_its_own_data_runs_without_data_and_says_what_changed(typed: Typed, name: str) -> None:
    Path("my.txt").write_text("a small text for a small model, " * 40, encoding="utf-8")
    code, out, err = typed("recipes", "copy", name, "mine.yaml", "--data", "my.txt")
    assert (code, err) == (0, "")
    top = Path("mine.yaml").read_text(encoding="utf-8").partition("\ntask:")[0]
    assert top.splitlines()[0] == "# rnncli train mine.yaml"
    assert "--data" not in top
    assert "Python's own documentation" not in top
    assert f"Copied from {name}" in top
    assert re.search("from my.txt:  data.window: [0-9]+  train.batch_size: [0-9]+\n", out)
    assert typed("train", "mine.yaml", "--dry-run")[0] == 0


def test_a_copy_says_at_once_that_its_text_is_too_short(typed: Typed) -> None:
    Path("my.txt").write_text("ab", encoding="utf-8")
    code, _, err = typed("recipes", "copy", "language-model", "mine.yaml", "--data", "my.txt")
    assert code == 0
    assert err.startswith("note: it cannot be trained as it is: ")
    assert "too few to learn from" in err


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_long_lines_break_between_words_and_commands_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    command = "next:  for example: rnncli train hello --set train.lr=0.01 --epochs 100"
    words = f"Work       predict   {'word ' * 6}"
    text = "\n".join(["error: too short: train has 1,000 tokens, and 2,049 are needed", words, command])
    lines = [
        "error: too short: train has 1,000",
        "       tokens, and 2,049 are needed",
        "Work       predict   word word word word",
        "                     word word",
        command,
    ]
    assert out.fitted(text, terminal) == "\n".join(lines)
    assert out.fitted(text, io.StringIO()) == text
    for line in out.fitted(start_screen(), terminal).split("\n"):
        assert len(line) <= 40 or "--data my.txt" in line
    out.note("Bonn: 7 gaps, 7 steps missing, before line 121")
    assert terminal.getvalue() == "note: Bonn: 7 gaps, 7 steps missing,\n      before line 121\n"


def test_white_space_is_marked_wherever_a_token_is_shown(typed: Typed) -> None:
    Path("my.txt").write_text("a b " * 100, encoding="utf-8")
    words = ("language-model", "--set", "data.path=my.txt", "--set", "data.window=6", "--set", "train.batch_size=2")
    assert "language-model: a␣b␣a␣ -> ␣b␣a␣b" in typed("inspect", *words)[1]
    out = typed("inspect", *words, "steps")[1]
    assert "6 steps: a␣b␣a␣" in out
    others = re.findall("second +(\\S+) 0", out)
    assert len(others) == out.count("second") > 0
    assert set(others) <= {"a", "b", "␣"}


def test_the_overview_names_the_views_that_work_on_it(typed: Typed) -> None:
    def named(target: str) -> set[str]:
        words = set(typed("inspect", target)[1].partition(f"rnncli inspect {target} VIEW")[2].split())
        return words & set(view_names())

    assert named("hello") == set(view_names()) - {"attention", "automaton", "transitions"}
    assert named("forecasting") == set(view_names()) - {"attention", "automaton", "embeddings", "transitions"}
    assert typed("inspect", "forecasting", "embeddings")[0] == 2


def test_influence_says_what_its_rows_and_a_core_are(typed: Typed) -> None:
    out = " ".join(typed("inspect", "hello", "influence")[1].split())
    assert "The cores are the model's RNN modules: nn.RNN, nn.LSTM, nn.GRU." in out
    assert "repeated 4 times as a batch" in out


def test_what_is_waited_for_stands_on_a_terminal_only_and_goes_again() -> None:
    for live in (True, False):
        file = io.StringIO()
        with LiveProgress(file, live=live) as progress:
            progress.wait("loading ...")
            assert file.getvalue() == ("\rloading ..." if live else "")
        assert file.getvalue().endswith("\r" + " " * len("loading ...") + "\r") == live


def test_commands_in_messages_can_be_pasted(typed: Typed) -> None:
    """Whatever a file or folder is called."""
    name = "my $(touch x) run"
    assert typed("train", "hello", "--epochs", "1", "--out", name)[0] == 0
    quoted = shlex.quote(name)
    Path("my latin.txt").write_bytes(b"caf\xe9 x")
    Path("my deep").mkdir()
    shutil.copytree(name, f"my deep/{name}")
    Path("my w.pt").touch()
    for words, said in [
        (("train", "hello", "--out", name), f"rnncli train --resume {quoted}"),
        (("predict", name), f"rnncli predict {quoted} hello"),
        (("train", "language-model", "--data", "my latin.txt"), "my latin.txt' > utf8.txt"),
        (("inspect", "./my deep"), shlex.quote(f"my deep/{name}")),
        (("report", "my w.pt"), "rnncli inspect 'my w.pt'"),
        (("export", name, "my out"), "python 'my out/load.py'"),
    ]:
        _, out, err = typed(*words)
        assert said in out + err, words
