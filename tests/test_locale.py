"""The languages: every text of the package has its Chinese, with the same placeholders, in characters of GBK; another
language is one more file."""

from __future__ import annotations

import ast
import gettext
import os
import re
import shutil
import string
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import typer

import rnncli
from rnncli import locale, names, tasks, views
from rnncli.cells import CELLS
from rnncli.cli import help as help_texts
from rnncli.cli import make_app, usage
from rnncli.locale import english, sentences, speaking, tr, trn
from rnncli.locale.po import compiled
from rnncli.starters import comments, packaged_recipes, recipe_folder, recipe_text
from tests import warm
from tests.fixture_types import AsKept
from tests.narrowed import of_kind

pytest.importorskip("babel", reason="needs babel: pip install -e '.[test]'")
pofile, mofile, forms_of = (import_module(f"babel.messages.{name}") for name in ("pofile", "mofile", "plurals"))

PACKAGE = Path(rnncli.__file__).parent
OTHERS = locale.LANGUAGES[1:]

# Where `tr` or `trn` is given a variable: the expression, as it is written -> the module and what its values are.
VARIABLES: dict[str, str | tuple[str, ...]] = {
    "expected": "cli/usage.py",
    "self.counted": "cli/watching.py",
    "stopped": "training/loop.py",
    "names.TORCH_HABITS[key]": "recipe/check.py",
    "mark.text": "recipe/hints.py",
    "KIND_WORDS[types[key]]": "recipe/named.py",
    "unit(config.data.tokens)": "tasks/",
    "unit(self.data.tokens)": "tasks/inputs/texts.py",
    "side": "tasks/inputs/pairs.py",
    "outcome.on": ("training/advice.py", "runs/summary.py"),
    "found.on": "runs/summary.py",
    "name": (
        "runs/summary.py",
        "pages/learning.py",
        "data/splits.py",
        "tasks/inputs/",
        "tasks/transcription.py",
        "training/advice.py",
        "cli/watching.py",
    ),
    "list(wanted)[-1]": "data/splits.py",
    "unit(splits.fitted.kind)": "tasks/language_model.py",
    "best.bound.by": "bench/pages.py",
    "figure.bound.by": "bench/pages.py",
    "one.verdict": ("bench/recipes_page.py", "bench/versus_page.py"),
    "on": ("runs/evaluation.py", "sweeps/pages.py"),
    "splits.held_out": "runs/evaluation.py",
    "*_COUNTED[what]": "runs/summary.py",
    "part": ("data/splits.py", "bench/recipes_page.py", "runs/summary.py", "pages/learning.py"),
    "what": "runs/summary.py",
    "plan.metric": "sweeps/pages.py",
    "about[key]": ("pages/recordings.py", "replay/opened.py"),
    "words[key]": "views/what_if.py",
    "group": "views/_overview.py",
    "text": ("render/__init__.py", "cli/help.py"),
    "line": "cli/help.py",
    "self.text": "starters.py",
    "self.name": "data/steps.py",
}


@cache
def modules() -> list[tuple[str, ast.Module]]:
    files = sorted(path for path in PACKAGE.rglob("*.py") if "locale" not in path.parts)
    return [(str(path.relative_to(PACKAGE)), ast.parse(path.read_text(encoding="utf-8"))) for path in files]


def calls(tree: ast.Module, *wanted: str) -> list[ast.Call]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in found if isinstance(call.func, ast.Name) and call.func.id in wanted]


@cache
def literals() -> dict[str, str]:
    """Every literal first argument of tr -> a file that has it."""
    found: dict[str, str] = {}
    for name, tree in modules():
        for call in calls(tree, "tr", "_tr"):
            for leaf in leaves(call.args[0]):
                if isinstance(leaf, ast.Constant) and leaf.value:
                    found.setdefault(of_kind(str, leaf.value), name)
    return found


@cache
def plurals() -> set[tuple[str, str]]:
    """The two texts of every trn."""
    from rnncli.runs.summary import _COUNTED

    found = set(_COUNTED.values())
    for call in [call for _, tree in modules() for call in calls(tree, "trn")]:
        texts = [of_kind(str, leaf.value) for leaf in call.args if isinstance(leaf, ast.Constant)]
        if texts:
            one, many = texts
            found.add((one, many))
    return found


@cache
def wanted() -> set[str | tuple[str, str]]:
    """What a language translates: texts, and pairs of texts of a number."""
    found: set[str | tuple[str, str]] = {*literals(), *plurals(), *through_variables()}
    return found - SAME


def leaves(node: ast.expr) -> list[ast.expr]:
    """The texts that an argument can be: `"a" if x else "b"` is two."""
    return [*leaves(node.body), *leaves(node.orelse)] if isinstance(node, ast.IfExp) else [node]


@cache
def through_variables() -> set[str]:
    """Every text that reaches tr through one of VARIABLES."""
    from rnncli.bench.recipes_page import _about
    from rnncli.recipe import named

    found = {
        *names.TORCH_HABITS.values(),
        *help_texts.texts(typer.main.get_command(make_app())),
        *usage._KINDS.values(),
        *named.KIND_WORDS.values(),
        *_about(),
    }
    found |= {
        comment.text
        for name in packaged_recipes()
        for comment in comments(recipe_text(recipe_folder() / f"{name}.yaml"))
        if not comment.text.startswith("Then: ")
    }
    found |= {"hourly", "daily", "weekdays", "weekly", "monthly", "quarterly", "yearly"}
    found |= {"train", "validation", "test", "words", "characters", "source", "target"}
    found |= set(views.GROUPS)
    found |= {line for listed in views.about_views().values() for name, line in listed if name in views.VIEWS.files}
    found |= {text for name in CELLS for text in CELLS[name].about.values()}
    found |= {"faster", "slower", "inconclusive", "withdrawn", "calls", "products", "elements"}
    for name in tasks.task_names():
        found |= set(tasks.load_task(name).METRICS)
    for _, tree in modules():
        for call in calls(tree, "Expected"):
            found.add(of_kind(str, of_kind(ast.Constant, call.args[0]).value))
    return found


# Names of the field, the same in both languages.
SAME = {"macro-f1", "mae", "rmse", "mase", "smape", "wape", "mse", "bits", "cer", "wer", "bleu", "chrf"}


def file_of(language: str) -> Path:
    return PACKAGE / "locale" / language / "LC_MESSAGES" / "rnncli.po"


def catalogue(language: str) -> Any:
    """The file as babel reads it."""
    return pofile.read_po(BytesIO(file_of(language).read_bytes()), abort_invalid=True)


def translations(language: str) -> dict[str | tuple[str, str], tuple[str, ...]]:
    """Text, or pair of texts -> its forms in this language."""
    messages = [message for message in catalogue(language) if message.id]
    return {m.id: tuple(m.string) if m.pluralizable else (m.string,) for m in messages}


def fields(text: str) -> set[tuple[str, str | None, str | None]]:
    return {
        (name, spec, conversion) for _, name, spec, conversion in string.Formatter().parse(text) if name is not None
    }


def test_arguments_of_tr_are_literals() -> None:
    for file, tree in modules():
        given = [call.args[:1] for call in calls(tree, "tr", "_tr")] + [call.args for call in calls(tree, "trn")]
        for leaf in [leaf for arguments in given for argument in arguments for leaf in leaves(argument)]:
            if not isinstance(leaf, ast.Constant):
                assert file.startswith(VARIABLES.get(ast.unparse(leaf), "nowhere")), f"{file}:{leaf.lineno}"


@pytest.mark.parametrize("language", OTHERS)
def test_the_file_has_the_texts_of_the_code_as_babel_writes_them(language: str, as_kept: AsKept) -> None:
    """--rewrite-golden adds the new ones, still without a translation, and drops those that the code no longer has."""
    catalog, kept = catalogue(language), translations(language)
    for key in set(kept) - wanted():
        catalog.delete(key if isinstance(key, str) else key[0])
    for key in wanted() - set(kept):
        catalog.add(key)
    for message in catalog:
        message.flags.clear()
    written = BytesIO()
    pofile.write_po(written, catalog, width=0, omit_header=True, sort_output=True)
    head = file_of(language).read_text("utf-8").partition("\n\n")[0].rstrip("\n")
    as_kept(file_of(language), f"{head}\n\n{written.getvalue().decode()}")


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_translated(language: str) -> None:
    assert [key for key, forms in translations(language).items() if not all(forms)] == []
    assert len(translations(language)) > 1000


@pytest.mark.parametrize("language", OTHERS)
def test_placeholders_match(language: str) -> None:
    filled_in = {*literals(), *plurals()}
    for key, forms in translations(language).items():
        if key not in filled_in:
            continue
        one, many = (key, key) if isinstance(key, str) else key
        assert fields(one) <= fields(many)
        allowed = [fields(many)] if len(forms) == 1 else [fields(one), fields(many)]
        assert all(fields(form) in allowed for form in forms if form), key


@pytest.mark.parametrize("language", OTHERS)
def test_babel_finds_no_fault(language: str) -> None:
    catalog = catalogue(language)
    for message in catalog:
        message.flags.discard("python-format")  # babel's guess at "{n}% of": here nothing is filled in by %
    assert [(message.id, fault) for message, faults in catalog.check() for fault in faults] == []
    assert (str(catalog.locale), catalog.num_plurals) == (language, forms_of.get_plural(language).num_plurals)


@pytest.mark.parametrize("language", OTHERS)
def test_the_package_reads_a_file_as_babel_does(language: str) -> None:
    made = BytesIO()
    mofile.write_mo(made, catalogue(language))
    theirs = gettext.GNUTranslations(BytesIO(made.getvalue()))
    ours = gettext.GNUTranslations(BytesIO(compiled(file_of(language).read_text("utf-8"))))
    for key, forms in translations(language).items():
        if not all(forms):
            continue
        if isinstance(key, str):
            assert ours.gettext(key) == theirs.gettext(key)
        else:
            assert all(ours.ngettext(*key, n) == theirs.ngettext(*key, n) for n in range(120))


def test_chinese_is_chinese_and_fits_gbk() -> None:
    for text, forms in translations("zh").items():
        for theirs in forms:
            assert theirs.encode("gbk"), text
        if text in forms:  # a line of YAML, an equation, a command, a name of the field
            assert set(":=") & set(text) or text in {"torch", "feedforward", "! bf16", "rnncli predict RUN {file}"}


def test_chinese_has_one_word_and_one_form() -> None:
    """The word for loading, the ellipsis of what is being done, and no blank between sentences."""
    for key, forms in translations("zh").items():
        text = key if isinstance(key, str) else key[1]
        for theirs in forms:
            assert not re.search("。 |……", theirs), text
            assert not theirs.startswith("正在") or text.endswith(" ...") == theirs.endswith(" ..."), text
            assert not text.startswith("loading ") or theirs.startswith("正在加载 "), text


def test_sentences_one_after_the_other() -> None:
    english_ones = [sentences(["One. Two.", "Three."]), sentences(["One."]), sentences([])]
    assert english_ones == ["One. Two. Three.", "One.", ""]
    with speaking("zh"):
        ours = sentences([tr("In n both are needed: r multiplies b_hn but not b_in."), tr("gates: --full"), "c"])
    assert "。" in ours
    assert " " not in ours.partition("。")[2][:1]
    assert ours.english == "In n both are needed: r multiplies b_hn but not b_in. gates: --full c"


def test_a_text_knows_its_english() -> None:
    with speaking("zh"):
        assert trn("{n} epoch", "{n} epochs", n=3) == "3 轮"
        assert english(trn("{n} epoch", "{n} epochs", n=3)) == "3 epochs"
        assert english(tr("result on {part}", part=tr("test"))) == "result on test"
        assert english(tr("no such text")) == "no such text"
        assert tr("") == ""
    assert locale.language() == "en"
    assert english(7) == 7


@pytest.mark.parametrize(("n", "ours"), [(0, "0 tokens"), (1, "1 token"), (2, "2 tokens"), (12345, "12,345 tokens")])
def test_a_number_decides_the_form(n: int, ours: str) -> None:
    assert trn("{n} token", "{n} tokens", n=n) == ours
    with speaking("zh"):
        theirs = trn("{n} token", "{n} tokens", n=n)
        assert (theirs, english(theirs)) == (f"{n:,} 个词元", ours)
        assert trn("no {n} such", "no {n} suches", n=n) == ("no 1 such" if n == 1 else f"no {n:,} suches")


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


def test_english_reads_no_other_language() -> None:
    code = """if True:
        import sys
        from rnncli import locale
        from rnncli.cli import run
        run(["--lang", "en"])
        print("rnncli.locale.po" in sys.modules, locale._translations.cache_info().currsize)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.stdout.splitlines()[-1] == "False 0"


# A made-up language whose plurals are Slovene: 1, 2, 3 and 4, the others.
FOURTH = """\
msgid ""
msgstr ""
"Language: qaa\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Plural-Forms: nplurals=4; plural=(n%100==1 ? 0 : n%100==2 ? 1 : n%100==3 || n%100==4 ? 2 : 3);\\n"

msgid "{n} parameter"
msgid_plural "{n} parameters"
msgstr[0] "{n} ein"
msgstr[1] "{n} dva"
msgstr[2] "{n} tri"
msgstr[3] "{n} šet"

msgid "Start here"
msgstr "Sem "
"\\"zdaj\\""

#, fuzzy
msgid "Help"
msgstr "Pomagaj"

msgid "learn hello -> ohlol in seconds"
msgstr ""

#~ msgid "Run"
#~ msgstr "Teci"
"""


@pytest.fixture
def fourth(tmp_path: Path) -> Callable[..., str]:
    """Runs Python with a copy of the package that has one more file."""
    shutil.copytree(PACKAGE, tmp_path / "rnncli", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "rnncli" / "locale" / "qaa" / "LC_MESSAGES" / "rnncli.po"
    file.parent.mkdir(parents=True)
    file.write_text(FOURTH, "utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG"))}

    def python(*words: str, **settings: str) -> str:
        about = environment | {"PYTHONPATH": str(tmp_path), "PYTHONUTF8": "1"} | settings
        words = (warm.python("light"), "-P", *words)
        done = subprocess.run(words, cwd=tmp_path, env=about, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return python


def test_another_language_is_one_more_file(fourth: Callable[..., str]) -> None:
    screen = fourth("-m", "rnncli", "--lang", "qaa")
    assert 'Sem "zdaj"' in screen
    assert "learn hello -> ohlol in seconds" in screen  # untranslated
    assert "Help" in screen  # not yet sure
    theirs = {"LC_ALL": "qaa_SI.UTF-8"}
    assert fourth("-m", "rnncli", **theirs) == fourth("-m", "rnncli", "--lang", "qaa", **theirs)
    assert "从这里开始" in fourth("-m", "rnncli", "--lang", "zh")
    assert "|".join(["en", *sorted([*OTHERS, "qaa"])]) in fourth("-m", "rnncli", "--help")
    asked = {"_RNNCLI_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": "rnncli --lang q"}
    assert "qaa" in fourth("-m", "rnncli", _TYPER_COMPLETE_FISH_ACTION="get-args", **asked)


def test_another_languages_plurals_are_its_own(fourth: Callable[..., str]) -> None:
    code = """if True:
        from rnncli.locale import english, set_language, trn
        set_language("qaa")
        for n in (1, 2, 3, 4, 5, 101, 1002):
            text = trn("{n} parameter", "{n} parameters", n=n)
            print(text, english(text), sep=", ")"""
    lines = fourth("-c", code).splitlines()
    forms = ["1 ein", "2 dva", "3 tri", "4 tri", "5 šet", "101 ein", "1,002 dva"]
    assert lines == [f"{form}, {form.split()[0]} parameter{'s' * (form[:2] != '1 ')}" for form in forms]


@pytest.mark.parametrize("line", ['msgctxt "menu"', "msgid unquoted", '"before any keyword"', 'msgid "bad \\q escape"'])
def test_a_line_that_is_not_po_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="line 2: "):
        compiled(f"# a comment\n{line}\n")
