"""`rnncli doctor`, on this installation and on broken ones."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

from rnncli import __version__, doctor, render
from rnncli.bench import gains
from rnncli.device import usable_cores
from rnncli.doctor import child, packages, page
from rnncli.doctor.child import Answers
from rnncli.records import Json
from tests import warm

ROOT = Path(__file__).parents[2]
WAITING = "measuring, takes a few seconds ...\n"  # on a machine that takes longer than a second
QUIET = {"LC_ALL": "C.UTF-8", "COLUMNS": "120", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}


def run(*words: str, folder: Path, python: str = sys.executable, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **QUIET, "RNNCLI_CACHE": str(folder / "cache"), **settings}
    return subprocess.run(
        [python, "-P", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def test_here_all_is_well(tmp_path: Path) -> None:
    """One run of everything: a page to paste, JSON, what it leaves behind."""
    done = run("-m", "rnncli", "doctor", "--save", "page.md", folder=tmp_path, HOME=str(tmp_path))
    assert (done.returncode, done.stderr.removeprefix(WAITING)) == (0, "wrote page.md\n"), done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "Yes: everything works here."
    assert lines[1].split() == ["rnncli", __version__, "torch", torch.__version__.partition("+")[0]]
    assert max(map(len, lines)) < 80
    assert not [line for line in lines if line.startswith("FAILED")]
    for part in ("proofs", "engines", "hello learns ohlol", "can be opened"):
        assert any(line.startswith("ok ") and part in line for line in lines), part
    assert str(tmp_path) not in done.stdout
    assert "~/cache" in done.stdout
    assert platform.node() not in done.stdout.split()
    assert os.listdir(tmp_path) == ["page.md"]  # the probes are gone, and the folders made for them


def test_json(tmp_path: Path) -> None:
    done = run("-m", "rnncli", "--lang", "zh", "doctor", "--json", folder=tmp_path, python=warm.python())
    found = json.loads(done.stdout)
    assert found["schema"] == "rnncli/doctor/1"
    config = found["config"]
    assert torch.__version__.split("+")[0] == config["versions"]["torch"].split("+")[0]  # "+cu128" or "+cpu"
    assert config["cores"]["usable"] == usable_cores()
    assert [folder["name"] for folder in config["folders"]] == ["runs", "cache", "temporary"]
    assert config["torch"]["gpus"] == [] or torch.cuda.is_available()
    assert {check["name"]: check["ok"] for check in found["checks"]} == dict.fromkeys(
        ("packages", "folders", "proofs", "engines", "training", "reopening"), True
    )


def broken(folder: Path, package: str, text: str) -> str:
    """A search path on which `package` is what `text` says."""
    place = folder / "broken" / package
    place.mkdir(parents=True)
    (place / "__init__.py").write_text(text)
    return os.pathsep.join([str(place.parent), str(ROOT)])


ILL = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"


@pytest.mark.parametrize(
    ("package", "text", "said"),
    [
        ("torch", "raise OSError('libtorch_cpu.so: no such file')", "import torch: OSError: libtorch_cpu.so"),
        pytest.param("torch", ILL, "import torch: killed by signal SIGILL",
                     marks=pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")),
        ("rich", "raise ImportError('half of rich')", "import rich: ImportError: half of rich"),
        ("pydantic", "raise ImportError('half of pydantic')", "import pydantic: ImportError: half of pydantic"),
    ],
)  # fmt: skip
def test_a_broken_package_is_a_finding(package: str, text: str, said: str, tmp_path: Path) -> None:
    module = "rnncli.doctor" if package == "pydantic" else "rnncli"  # typer itself needs pydantic
    words = ("-m", module) if package == "pydantic" else ("-m", module, "doctor")
    done = run(*words, folder=tmp_path, PYTHONPATH=broken(tmp_path, package, text))
    assert (done.returncode, done.stderr.removeprefix(WAITING)) == (1, "")
    assert "FAILED  all required packages are installed and can be imported" in done.stdout
    assert said in done.stdout
    assert f"-> pip install --upgrade --force-reinstall {package}" in done.stdout


def test_where_the_command_line_does_not_start_it_names_the_module(tmp_path: Path) -> None:
    path = broken(tmp_path, "pydantic", "raise ImportError('half of pydantic')")
    done = run("-m", "rnncli", "doctor", folder=tmp_path, PYTHONPATH=path)
    assert done.returncode == 5
    assert done.stderr == (
        "error: a package that rnncli needs is missing or broken: half of pydantic\n"
        "next:  find out which one: python -m rnncli.doctor\n"
    )


@pytest.fixture
def tested(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Answers:
    """A self-test that went well, without running it; the test changes it."""
    made = Answers({}, {name: {"ok": True, "diff": 0.0, "tol": 1.0, "why": None} for name in ("proofs", "engines")})
    monkeypatch.setattr(page, "self_test", lambda modules: made)
    monkeypatch.setenv("RNNCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return made


def examined() -> tuple[bool, str]:
    found = doctor.examine()
    return found.ok(), render.to_text(found, width=79)


def test_a_missing_and_an_old_package(tested: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    versions = {"torch": "2.1.0", "rich": "", "optuna": ""}
    monkeypatch.setattr(metadata, "version", lambda name: versions.get(name) or (
        "" if name in versions else real(name)))  # fmt: skip
    ok, text = examined()
    assert not ok
    assert "! torch 2.1.0, >=2.10,<2.15; missing: rich" in text
    assert "pip install --upgrade --force-reinstall torch rich" in text
    assert "sweep (optuna)" in " ".join(text.split())


@pytest.mark.parametrize("found", ["", "0.61.0"])
def test_what_the_extra_fast_would_gain_is_said_where_it_is_missing(
    tested: Answers, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: found if name == "numba" else real(name))
    _, text = examined()
    said = f"training {gains.gain_text(('rnn', 'gru', 'lstm'), 'train')} times as fast" in " ".join(text.split())
    assert said == ("pip install 'rnncli[fast]'" in " ".join(text.split())) == (not found)


def test_an_extra_that_is_here_and_broken(tested: Answers) -> None:
    tested.checks["import optuna"] = {"ok": False, "diff": None, "tol": None, "why": "OSError: half of it"}
    ok, text = examined()
    assert not ok
    assert "FAILED  the packages of the extra sweep can be imported" in text
    assert "! import optuna: OSError: half of it" in text


def test_numbers_that_differ(tested: Answers) -> None:
    tested.checks["engines"] |= {"ok": False, "diff": 0.5, "tol": 1e-11}
    ok, text = examined()
    assert not ok
    assert "FAILED  the engines agree" in text
    assert "reinstall torch" in text


def test_metadata_that_cannot_be_read(tested: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise LookupError("project")

    monkeypatch.setattr(packages, "needs", gone)
    _, text = examined()
    assert "rnncli's own metadata cannot be read" in text


def test_a_folder_that_cannot_be_written(tested: Answers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RNNCLI_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    ok, text = examined()
    assert not ok
    assert "~/file/cache · cannot be written" in text
    assert str(tmp_path) not in text


def test_little_room_and_a_poor_terminal(tested: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage())
    monkeypatch.setattr(page, "memory_available", lambda: 1000)
    monkeypatch.setattr("sys.stdout", _Ascii())
    ok, text = examined()
    assert ok  # to be known, and no fault
    assert "runs/: only 10 bytes are free" in text
    assert "of memory are available" in text
    assert "the encoding ascii lacks box-drawing and block characters" in " ".join(text.split())


class _Usage:
    free = 10


class _Ascii:
    encoding = "ascii"

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return


def test_gpus(tested: Answers) -> None:
    about: dict[str, Json] = {"version": "2.13.0", "kernels": "DEFAULT", "onednn": False, "mkl": False, "openmp": True,
                               "threads": 1, "cuda_built": "12.8", "mps": False, "gpus": []}  # fmt: skip
    tested.facts["torch"] = about
    _, text = examined()
    assert "no GPU found, though torch is built for 12.8" in text
    assert "! torch is built without oneDNN" in text
    about["gpus"] = [{"name": "Some GPU", "memory": 80 << 30}]
    assert "cpu · cuda: Some GPU, 80.0 GiB" in examined()[1]


def test_a_process_that_says_nothing_more() -> None:
    found = child._read(
        '{"trying": "import a"}\n{"check": "import a", "ok": true}\n{"trying": "proofs"}\n', "gone", "x"
    )
    assert found.checks["import a"]["ok"]
    assert found.checks["proofs"] == {"ok": False, "diff": None, "tol": None, "why": "gone: x"}
    assert child._ending(-signal.SIGKILL) == "killed by signal SIGKILL"
    assert child._ending(3) == "its process exited with code 3"


def test_a_process_that_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(child, "LONGEST", 1)
    monkeypatch.setenv("PYTHONPATH", broken(tmp_path, "sleeps", "import time; time.sleep(100)"))
    found = child.self_test(["sleeps"])
    name, said = list(found.checks.items())[-1]
    assert not said["ok"]
    assert str(said["why"]).startswith("no answer after 1 s")
    assert name in ("import sleeps", "start")
