"""`rnncli` alone, help of every command, and what must not be imported for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from rnncli import __version__, cli
from rnncli.cli.start import groups, start_screen
from rnncli.locale import set_language
from tests import warm
from tests.fixture_types import Run

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "rnncli" / "cli"
NO_COMMANDS = {"__init__", "start", "settings"}


def every_command() -> Iterator[tuple[tuple[str, ...], Any]]:
    """(words, command) of the app's root, its groups and its commands."""

    def walk(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
        yield words, command
        for name, child in getattr(command, "commands", {}).items():
            yield from walk((*words, name), child)

    yield from walk((), typer.main.get_command(cli.make_app()))


def test_a_command_alone_is_the_command_among_all() -> None:
    """What is called is built alone, unless its siblings count: for help, completion and names that are none."""

    def known(command: Any) -> Any:
        children = {name: known(child) for name, child in getattr(command, "commands", {}).items()}
        return [(one.opts, one.secondary_opts, one.default, one.help) for one in command.params], command.help, children

    whole = typer.main.get_command(cli.make_app())
    commands = dict(every_command())[()].commands
    for name, command in commands.items():
        alone = typer.main.get_command(cli.make_app(name))
        assert list(dict(alone.commands)) == [name]  # type: ignore[attr-defined]
        assert known(alone.commands[name]) == known(command)  # type: ignore[attr-defined]
        assert [one.name for one in alone.params] == [one.name for one in whole.params]
        for words in ([name], ["-q", name, "--help"], ["--quiet", name, "list"]):
            assert cli._command_of(words) == name
    for words in ([], ["--help", "train"], ["--version"], ["trian"], ["--", "train"]):
        assert cli._command_of(words) == ""


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_list_of_commands_is_that_of_all_with_their_options(
    language: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--help alone does not read the options of every command, and shows the same."""
    shown = []
    for listed in ("--help", ""):
        monkeypatch.setattr(cli, "LISTED", listed)
        cli._parser.cache_clear()
        assert cli.run(["--lang", language, "--help"]) == 0
        shown.append(capsys.readouterr().out)
    cli._parser.cache_clear()
    assert shown[0] == shown[1]
    assert any("一" <= letter <= "龥" for letter in shown[0]) == (language == "zh")


def test_the_start_screen_shows_what_there_is(rnncli: Run) -> None:
    found = rnncli()
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == start_screen() + "\n"
    lines = found.stdout.splitlines()
    assert lines[0].startswith(f"rnncli {__version__} ")
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    here = {path.stem for path in FOLDER.glob("[a-z]*.py")} - NO_COMMANDS
    listed = {name for _, lines in groups() for name, _ in lines}
    assert listed <= here
    assert {words[0] for words, _ in every_command() if words} == listed


def test_in_chinese(rnncli: Run) -> None:
    assert "English: rnncli --lang en" in rnncli("--lang", "zh").stdout
    assert "English: rnncli --lang en" in rnncli(LC_ALL="zh_CN.UTF-8").stdout
    set_language("en")


def test_terminals_that_know_few_letters(rnncli: Run) -> None:
    for encoding in ("ascii", "gbk", "latin-1", "utf-8"):
        for words in ((), ("--help",), ("recipes", "list"), ("--ascii", "recipes")):
            found = rnncli(*words, PYTHONIOENCODING=f"{encoding}:strict", PYTHONUTF8="0")
            assert found.returncode == 0, found.stderr


def test_version(rnncli: Run) -> None:
    found = rnncli("--version")
    assert (found.returncode, found.stdout) == (0, f"rnncli {__version__}\n")


def test_an_unknown_command_names_the_nearest(rnncli: Run) -> None:
    found = rnncli("recipe")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "error: unknown command 'recipe'\nwhere: rnncli\nnext:  did you mean recipes?\n"
    assert "did you mean show?" in rnncli("recipes", "shwo").stderr


@pytest.mark.parametrize(("words", "command"), [pytest.param(*pair, id=" ".join(pair[0])) for pair in every_command()])
def test_every_command_and_option_has_help(words: tuple[str, ...], command: Any) -> None:
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{' '.join(words)}: {parameter.name}"


LIGHT = """
import sys
from rnncli.cli import run
code = run(sys.argv[1:])
heavy = sorted({"torch", "matplotlib", "safetensors"} & set(sys.modules))
sys.stderr.write(f"{code} {heavy}")
"""
QUICK = [
    ["--version"],
    ["recipes", "list"],
    ["recipes", "show", "hello"],
    ["recipes", "validate", "hello", "language-model"],
    ["recipes", "schema"],
    ["recipes", "copy", "hello", "mine.yaml", "--set", "train.lr=0.5"],
    *([*words, "--help"] for words, _ in every_command()),
]


@pytest.mark.parametrize("words", [[], *QUICK], ids=" ".join)
def test_quick_commands_import_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    found = subprocess.run(
        [warm.python("light"), "-c", LIGHT, *words],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert found.stderr.endswith("0 []"), found.stderr


@pytest.mark.parametrize("word", ["--version", "--help"])
def test_no_entry_points_are_read_before_they_are_asked_for(word: str, tmp_path: Path) -> None:
    """Every command is imported for the list of commands; what some of them need is not."""
    late = LIGHT.replace('{"torch", "matplotlib", "safetensors"}', '{"importlib.metadata", "rnncli.targets"}')
    found = subprocess.run(
        [sys.executable, "-c", late, word],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert found.stderr.endswith("0 []"), found.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_imports_nothing_heavy(shell: str, tmp_path: Path) -> None:
    environment = {
        "PYTHONPATH": str(ROOT),
        "PATH": "",
        "_RNNCLI_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "rnncli re",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "rnncli re",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    found = subprocess.run(
        [warm.python("light"), "-c", LIGHT], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert "recipes" in found.stdout
    assert found.stderr.endswith("0 []"), found.stderr
