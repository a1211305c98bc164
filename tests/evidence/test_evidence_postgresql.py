"""Two workers with folders of their own share a study in a PostgreSQL server; one is killed, and begun again."""

from __future__ import annotations

import json
import os
import platform
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests" / "evidence" / "sweep_postgresql.json"
TRIALS = 6
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


def worker(folder: Path, url: str) -> subprocess.Popen[str]:
    """As on a machine of its own: its own folder, and nothing shared but the study."""
    folder.mkdir(exist_ok=True)
    line = [sys.executable, "-m", "rnncli", "sweep", "hello", "--search", SPACE, "--trials", str(TRIALS), "--no-prune",
            "--seeds", "1", "--epochs", "600", "--set", "train.checkpoint_every=25", "--set", "train.control=false",
            "--storage", url, "--out", "sweep", "--json"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )


def test_two_workers_one_killed(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    pytest.importorskip("psycopg2")
    killed = tmp_path / "killed"
    with server() as url:
        steady, other = worker(tmp_path / "steady", url), worker(killed, url)
        while not list(killed.rglob("metrics.jsonl")) and other.poll() is None:
            time.sleep(0.1)
        other.kill()  # in the middle of a trial
        other.communicate()
        again = worker(killed, url)
        documents = []
        for process in (steady, again):
            out, said = process.communicate(timeout=1500)
            assert process.returncode == 0, said
            documents.append(json.loads(out))
        (name,) = optuna.get_all_study_names(url)
        trials = optuna.load_study(study_name=name, storage=url).get_trials(deepcopy=False)
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    names = [trial.user_attrs["name"] for trial in done]
    assert sorted(names) == [f"trial-{n:04d}" for n in range(TRIALS)]  # none lost, none twice
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "FAIL"}
    failed = [trial for trial in trials if trial.state.name == "FAIL"]
    for trial in failed:  # put in line again: the same settings under the same name, finished by somebody
        twin = next(one for one in done if one.user_attrs["name"] == trial.user_attrs.get("name", one.params))
        assert twin.params == trial.params
    for trial in done:
        kept = [folder for folder in tmp_path.glob(f"*/sweep/{trial.user_attrs['name']}/seed-0") if
                (folder / "result.json").exists()]  # fmt: skip
        assert len(kept) == 1
        assert str(kept[0].parent) == trial.user_attrs["folder"]
    rows = [{row["trial"]: row["scores"] for row in document["rows"]} for document in documents]
    assert rows[0] == rows[1]
    assert len(rows[0]) == TRIALS
    owners = [Path(trial.user_attrs["folder"]).parts[-3] for trial in done]
    figures = {
        "trials": TRIALS,
        "failed and run again": len(failed),
        "finished by the worker that was never killed": owners.count("steady"),
        "finished by the one that was": owners.count("killed"),
        "server": subprocess.run([program("postgres"), "--version"], capture_output=True, text=True).stdout.strip(),
        "optuna": optuna.__version__,
        "machine": platform.machine(),
    }
    FILE.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
