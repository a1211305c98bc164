"""Two users, as on two machines: folders that the other cannot enter, and a study in a PostgreSQL server. One is killed
again and again, and resumes."""

from __future__ import annotations

import json
import os
import platform
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests" / "evidence" / "sweep_postgresql.json"
TRIALS, KILLS = 8, 3
SPACE = "train.lr=log:1e-3..1e-1"
pytestmark = pytest.mark.evidence


def program(name: str) -> str:
    """Of PostgreSQL: on the path, or where Debian puts it."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *map(str, places)])) or ""


def ordinary_user() -> str | None:
    """Whom the server runs as: it refuses to be root. None: whoever runs the test."""
    return None if os.geteuid() else "nobody"


@contextmanager
def server() -> Iterator[str]:
    """A server of its own in a temporary folder, reached by a Unix socket alone; the URL of its database."""
    initdb, postgres = program("initdb"), program("postgres")
    if not (initdb and postgres):
        pytest.skip("PostgreSQL is not installed")
    user = ordinary_user()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # not below pytest's own, which another user cannot enter
    if user is not None:
        folder.chmod(0o755)  # for the socket; what it serves is the server's alone
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    data, url = folder / "data", f"postgresql+psycopg2://rnncli@/postgres?host={folder}"
    making = [initdb, "-D", str(data), "-U", "rnncli", "--auth=trust", "--no-sync", "-E", "UTF8"]
    serving = [postgres, "-D", str(data), "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
    log = subprocess.DEVNULL
    try:
        subprocess.run(making, check=True, stdout=log, stderr=log, user=user, group=user and "nogroup", cwd=folder,
                       env=environment, extra_groups=[] if user else None)  # fmt: skip
        process = subprocess.Popen(serving, stdout=log, stderr=log, user=user, group=user and "nogroup", cwd=folder,
                                   env=environment, extra_groups=[] if user else None)  # fmt: skip
        try:
            wait_for(url, process)
            yield url
        finally:
            process.send_signal(signal.SIGINT)  # a fast shutdown
            process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(url)
    until = time.monotonic() + 120
    while True:
        try:
            engine.connect().close()
            engine.dispose()
            return
        except sqlalchemy.exc.OperationalError:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.2)


@contextmanager
def two_users() -> Iterator[dict[str, Path]]:
    """Two new users of this machine, and a home for each that no other can enter."""
    if os.geteuid() or not shutil.which("useradd"):
        pytest.skip("only root makes users, with useradd")
    base = Path(tempfile.mkdtemp(prefix="users-"))
    base.chmod(0o755)
    homes = {name: base / name for name in (f"steady{os.getpid()}", f"killed{os.getpid()}")}
    try:
        for name, home in homes.items():
            making = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(home), name]
            subprocess.run(making, check=True, capture_output=True)
            home.mkdir(mode=0o700)
            shutil.chown(home, name, name)
        yield homes
    finally:
        for name in homes:
            subprocess.run(["userdel", name], check=False, capture_output=True)
        shutil.rmtree(base, ignore_errors=True)


def environment(home: Path) -> dict[str, str]:
    places = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    return {"PATH": os.defpath, "HOME": str(home), "PYTHONPATH": places, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip


def interpreter(home: Path) -> str:
    """A Python that this user may run: this one, or the system's where that has the same version."""
    for python in (sys.executable, "/usr/bin/python3"):
        line = [python, "-c", "import torch, optuna, psycopg2, rnncli"]
        with suppress(OSError):
            tried = subprocess.run(line, user=home.name, group=home.name, extra_groups=[], cwd=home,
                                   env=environment(home), capture_output=True, check=False)  # fmt: skip
            if not tried.returncode:
                return python
    pytest.skip("another user cannot run this Python")


def worker(python: str, home: Path, url: str) -> subprocess.Popen[str]:
    """As on a machine of its own: its own user and folder, and nothing shared but the study."""
    line = [python, "-m", "rnncli", "sweep", "hello", "--search", SPACE, "--trials", str(TRIALS), "--no-prune",
            "--seeds", "1", "--epochs", "600", "--set", "train.checkpoint_every=25", "--set", "train.control=false",
            "--storage", url, "--out", "sweep", "--json"]  # fmt: skip
    return subprocess.Popen(
        line, cwd=home, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        user=home.name, group=home.name, extra_groups=[],
    )  # fmt: skip


def logged(home: Path) -> int:
    """Bytes of all epochs that a user's runs have logged."""
    return sum(path.stat().st_size for path in home.rglob("metrics.jsonl"))


def test_two_users_one_killed() -> None:
    optuna = pytest.importorskip("optuna")
    pytest.importorskip("psycopg2")
    with two_users() as homes, server() as url, ExitStack() as ends:
        steady, killed = homes.values()
        python = interpreter(steady)

        def begin(home: Path) -> subprocess.Popen[str]:
            process = worker(python, home, url)
            ends.callback(process.communicate)
            ends.callback(process.kill)  # first, whatever fails: a user with processes is not deleted
            return process

        constant = begin(steady)
        for _ in range(KILLS):
            before, other = logged(killed), begin(killed)
            while logged(killed) == before and other.poll() is None:
                time.sleep(0.1)
            other.kill()  # in the middle of a trial
            other.communicate()
        documents = []
        for process in (constant, begin(killed)):
            out, said = process.communicate(timeout=1500)
            assert process.returncode == 0, said
            documents.append(json.loads(out))
        (name,) = optuna.get_all_study_names(url)
        trials = optuna.load_study(study_name=name, storage=url).get_trials(deepcopy=False)
        done = [trial for trial in trials if trial.state.name == "COMPLETE"]
        for trial in done:
            kept = [
                path.parent for path in steady.parent.glob(f"*/sweep/{trial.user_attrs['name']}/seed-0/result.json")
            ]
            assert [str(folder.parent) for folder in kept] == [trial.user_attrs["folder"]]
        owners = {kept.owner() for home in homes.values() for kept in home.rglob("*")}
        assert owners == set(homes)
    names = [trial.user_attrs["name"] for trial in done]
    assert sorted(names) == [f"trial-{n:04d}" for n in range(TRIALS)]  # none lost, none twice
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "FAIL"}
    failed = [trial for trial in trials if trial.state.name == "FAIL"]
    for trial in failed:  # in line again: the same settings under the same name, finished by either
        twin = next(one for one in done if one.user_attrs["name"] == trial.user_attrs.get("name", one.params))
        assert twin.params == trial.params
    rows = [{row["trial"]: row["scores"] for row in document["rows"]} for document in documents]
    assert rows[0] == rows[1]
    assert len(rows[0]) == TRIALS
    finished = [Path(trial.user_attrs["folder"]).parts[-3] for trial in done]
    figures = {
        "users": len(homes),
        "trials": TRIALS,
        "kills": KILLS,
        "failed and run again": len(failed),
        "finished by the user who was never killed": finished.count(steady.name),
        "finished by the one who was": finished.count(killed.name),
        "server": subprocess.run([program("postgres"), "--version"], capture_output=True, text=True).stdout.strip(),
        "optuna": optuna.__version__,
        "machine": platform.machine(),
    }
    FILE.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
