"""The recipes ship inside the wheel, and are found from there and from a source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from rnncli.recipe import packaged_recipes, recipe_folder

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))


def run(*words: str, cwd: Path, **settings: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | settings
    found = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=1200)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this tree, built by its own back end; nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder), cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_a_source_tree_finds_the_recipes_beside_pyproject() -> None:
    assert recipe_folder() == ROOT / "recipes"
    assert packaged_recipes() == NAMES
    assert NAMES


def test_the_wheel_holds_every_recipe_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        for name in NAMES:
            assert archive.read(f"rnncli/recipes/{name}.yaml") == (ROOT / "recipes" / f"{name}.yaml").read_bytes()
        (entry_points,) = [name for name in held if name.endswith("entry_points.txt")]
        assert "rnncli = rnncli.__main__:main" in archive.read(entry_points).decode()
    files = [path for path in (ROOT / "rnncli").rglob("*") if path.suffix in (".py", ".css", ".js", ".html")]
    source = {str(path.relative_to(ROOT)) for path in files}
    assert {f"rnncli/render/html/{name}" for name in ("viewer.js", "page.css", "page.html", "table.html")} <= source
    assert source <= held
    assert {name for name in held if name.endswith((".po", ".mo"))} == {"rnncli/locale/zh/LC_MESSAGES/rnncli.mo"}
    assert not [name for name in held if name.startswith("tests")]
    assert [name for name in held if name.endswith("licenses/LICENSE")]


def test_an_installed_package_finds_the_recipes_inside_itself(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code = "from rnncli.recipe import recipe_folder, packaged_recipes as p; print(recipe_folder()); print(*p())"
    out = run(sys.executable, "-c", code, cwd=elsewhere, PYTHONPATH=str(site))
    assert out.split() == [str(site / "rnncli" / "recipes"), *NAMES]
    out = run(sys.executable, "-m", "rnncli", "recipes", "validate", *NAMES, cwd=elsewhere, PYTHONPATH=str(site))
    assert len(out.splitlines()) == len(NAMES)
    code = "from rnncli import records, render; print(render.to_html(records.Page('', '', [records.Message('<')])))"
    assert '<p class="plain">&lt;</p>' in run(sys.executable, "-c", code, cwd=elsewhere, PYTHONPATH=str(site))
    source = run(sys.executable, "-m", "rnncli", "--lang", "zh", cwd=elsewhere, PYTHONPATH=str(ROOT), PYTHONUTF8="1")
    assert "从这里开始" in source
    out = run(sys.executable, "-m", "rnncli", "--lang", "zh", cwd=elsewhere, PYTHONPATH=str(site), PYTHONUTF8="1")
    assert out == source


@pytest.mark.evidence
@pytest.mark.parametrize("editable", [False, True])
def test_in_a_clean_environment(wheel: Path, tmp_path: Path, editable: bool) -> None:
    """Installed by plain pip, dependencies and all, then used from another folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    if editable:
        tree = tmp_path / "tree"
        tracked = run("git", "ls-files", cwd=ROOT).splitlines()
        for name in tracked:
            if (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, tree / name)
        run(str(scripts / "pip"), "install", "--quiet", "--editable", str(tree), cwd=elsewhere)
    else:
        run(str(scripts / "pip"), "install", "--quiet", str(wheel), cwd=elsewhere)
    out = run(str(scripts / "rnncli"), "recipes", "validate", "hello", "language-model", cwd=elsewhere)
    assert len(out.splitlines()) == 2
    assert "hello" in run(str(scripts / "rnncli"), "recipes", "list", cwd=elsewhere)
    assert "从这里开始" in run(str(scripts / "rnncli"), "--lang", "zh", cwd=elsewhere, PYTHONUTF8="1")
