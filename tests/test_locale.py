"""The dictionaries: every text of the package has its Chinese, with the same placeholders, in characters of GBK."""

from __future__ import annotations

import ast
import string
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import rnncli
from rnncli import cli, locale, names, tasks, views
from rnncli.cells import CELLS
from rnncli.locale import english, speaking, tr
from tests.narrowed import of_kind

PACKAGE = Path(rnncli.__file__).parent

# Where `tr` is given a variable: the expression, as it is written -> the module and what its values are.
VARIABLES: dict[str, str | tuple[str, ...]] = {
    "text": "report/__init__.py",  # hands its own argument on
    "expected": "cli/__init__.py",
    "self.counted": "cli/watching.py",
    "names.TORCH_HABITS[key]": "recipe/check.py",
    "mark.text": "recipe/check.py",
    "_KIND_WORDS[types[key]]": "recipe/sections.py",
    "config.data.tokens": "tasks/",
    "side": "tasks/translation.py",
    "outcome.on": "training/",
    "found.on": "training/summary.py",
    "name": ("training/summary.py", "pages/learning.py"),
    "best.bound.by": "bench/pages.py",
    "figure.bound.by": "bench/pages.py",
    "one.verdict": "bench/recipes_page.py",
    "on": ("training/evaluation.py", "sweep/pages.py"),
    "splits.held_out": "training/evaluation.py",
    "part": ("data/splits.py", "bench/recipes_page.py", "training/summary.py", "pages/learning.py"),
    "what": "training/summary.py",
    "plan.metric": "sweep/pages.py",
    "about[key]": "pages/recordings.py",
    "group": "views/_overview.py",
}


@cache
def modules() -> list[tuple[str, ast.Module]]:
    files = sorted(path for path in PACKAGE.rglob("*.py") if "locale" not in path.parts)
    return [(str(path.relative_to(PACKAGE)), ast.parse(path.read_text(encoding="utf-8"))) for path in files]


def calls(tree: ast.Module, *wanted: str) -> list[ast.Call]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in found if isinstance(call.func, ast.Name) and call.func.id in wanted]


def literals() -> dict[str, str]:
    """Every literal first argument of tr -> a file that has it."""
    found: dict[str, str] = {}
    for name, tree in modules():
        for call in calls(tree, "tr", "_tr"):
            for leaf in leaves(call.args[0]):
                if isinstance(leaf, ast.Constant):
                    found.setdefault(of_kind(str, leaf.value), name)
    return found


def leaves(node: ast.expr) -> list[ast.expr]:
    """The texts that an argument can be: `"a" if x else "b"` is two."""
    return [*leaves(node.body), *leaves(node.orelse)] if isinstance(node, ast.IfExp) else [node]


def through_variables() -> set[str]:
    """Every text that reaches tr through one of VARIABLES."""
    from rnncli.bench.recipes_page import _about
    from rnncli.recipe import sections

    found = {*names.TORCH_HABITS.values(), *cli._KINDS.values(), *sections._KIND_WORDS.values(), *_about()}
    found |= {"train", "validation", "test", "words", "characters", "source", "target"}
    found |= COUNTED
    found |= set(views.GROUPS)
    found |= {text for name in CELLS for text in CELLS[name].about.values()}
    found |= {"faster", "slower", "inconclusive", "calls", "products", "elements"}
    for name in tasks.task_names():
        found |= set(tasks.load_task(name).METRICS)
    for _, tree in modules():
        for call in calls(tree, "Expected"):
            found.add(of_kind(str, of_kind(ast.Constant, call.args[0]).value))
    return found


# What the parts of a task's data count, by Splits.counts.
COUNTED = {"sequences", "sentences", "texts", "clips", "films", "frames", "pairs", "windows", "rows", "rows an epoch"}
COUNTED |= {"tokens", "source tokens", "target tokens", "words", "steps", "seconds"}

# Names of the field, the same in both languages.
SAME = {"macro-f1", "mae", "rmse", "mase", "mse", "bits", "cer", "wer", "bleu", "chrf"}


def chinese() -> dict[str, str]:
    from rnncli.locale.zh import TEXTS

    return TEXTS


def fields(text: str) -> list[tuple[str, str | None, str | None]]:
    parts = string.Formatter().parse(text)
    return sorted({(name, spec, conversion) for _, name, spec, conversion in parts if name is not None}, key=str)


def test_arguments_of_tr_are_literals() -> None:
    for file, tree in modules():
        for call in calls(tree, "tr", "_tr"):
            for leaf in leaves(call.args[0]):
                if not isinstance(leaf, ast.Constant):
                    assert file.startswith(VARIABLES.get(ast.unparse(leaf), "nowhere")), f"{file}:{leaf.lineno}"


def test_every_text_has_its_chinese() -> None:
    missing = {text: file for text, file in literals().items() if text not in chinese()}
    assert not missing, f"add to rnncli/locale/zh: {missing}"
    lacking = through_variables() - set(chinese()) - SAME
    assert not lacking


def test_no_chinese_is_left_over() -> None:
    assert not set(chinese()) - set(literals()) - through_variables()


def test_placeholders_match() -> None:
    formatted = {text: chinese()[text] for text in literals() if text in chinese()}
    wrong = {text: theirs for text, theirs in formatted.items() if fields(text) != fields(theirs)}
    assert not wrong


def test_no_text_stands_in_two_files() -> None:
    from rnncli.locale import zh

    files = [module.TEXTS for module in vars(zh).values() if hasattr(module, "TEXTS")]
    assert sum(map(len, files)) == len(chinese()) > 1000


def test_chinese_is_chinese_and_fits_gbk() -> None:
    for text, theirs in chinese().items():
        assert theirs.encode("gbk"), text
        if theirs == text:  # a line of YAML, an equation, a command, a name of the field
            assert set(":=") & set(text) or text in {"torch", "feedforward", "! bf16", "rnncli predict RUN {file}"}


def test_a_text_knows_its_english() -> None:
    with speaking("zh"):
        assert tr("{n} epochs", n=3) == "3 轮"
        assert english(tr("{n} epochs", n=3)) == "3 epochs"
        assert english(tr("result on {part}", part=tr("test"))) == "result on test"
        assert english(tr("no such text")) == "no such text"
    assert locale.language() == "en"
    assert english(7) == 7


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"LC_ALL": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_TW.Big5"}, "zh"),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "zh_CN.GBK"}, "en"),
        ({"LC_MESSAGES": "zh_CN", "LANG": "C"}, "zh"),
        ({}, "en"),
    ],
)
def test_the_locale_decides(settings: dict[str, str], wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert locale.language_of_environment() == wanted


def test_english_does_not_load_the_dictionary() -> None:
    code = "import sys; from rnncli.cli import run; run(['--lang', 'en']); print('rnncli.locale.zh' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.stdout.splitlines()[-1] == "False"
