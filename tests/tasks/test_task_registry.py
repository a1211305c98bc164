"""Which tasks there are: ours, and those of other packages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from rnncli.errors import DataError, Missing, UsageError
from rnncli.records import Json
from rnncli.tasks import config_class, load_task, registry, task_names
from rnncli.tasks.base import Task
from rnncli.tasks.inputs.sentences import Fitted
from tests import warm

ROOT = Path(__file__).parents[2]


def package(folder: Path, name: str, entry: str, source: str = "") -> None:
    """A package as it lies in site-packages, with an entry point of the tasks' group."""
    (folder / f"{name}.py").write_text(source, "utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{entry}\n", "utf-8")


@pytest.fixture
def forget() -> Iterator[None]:
    """What is known of the installed tasks is looked up anew, here and afterwards."""
    caches = (registry._added, registry.task_names, registry.load_task)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.parametrize("name", task_names())
def test_every_task_is_one(name: str) -> None:
    task = load_task(name)
    assert isinstance(task, Task)
    assert next(iter(task.METRICS)) in task.METRICS
    assert task.config_class.model_fields["task"].annotation.__args__ == (name,)


def test_a_task_of_another_package_trains(tmp_path: Path) -> None:
    """CONTRIBUTING's example as a package of its own, in a process that has it on its path."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    example = re.search(r"^# rnncli/tasks/sums\.py\n(.*?)^```", text, re.M | re.S)
    assert example is not None
    package(tmp_path, "digit_sums", "sums = digit_sums:TASK", example[1])
    (tmp_path / "digits.txt").write_text("".join(f"{n}\n" for n in range(100, 160)))
    (tmp_path / "sums.yaml").write_text(
        "task: sums\ndata: {path: digits.txt}\nmodel: {hidden_size: 4}\ntrain: {epochs: 2}\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    for words in ("train ./sums.yaml --out run --json", "predict run 12 --json"):
        done = subprocess.run(
            [warm.python(), "-m", "rnncli", *words.split()],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["input"] == "12"
    assert list(json.loads((tmp_path / "run" / "vocab.json").read_text())) == ["mean"]


@pytest.mark.parametrize(
    ("entry", "kind", "said"),
    [
        ("tagging = other:TASK", UsageError, "defined by several packages: rnncli, other"),
        ("new = other:TASK", Missing, "task new of other cannot be loaded"),
        ("new = other:TEXT", Missing, "is other:TEXT, not a Task"),
        ("new = nowhere:TASK", Missing, "No module named 'nowhere'"),
    ],
)
def test_a_package_that_does_not_fit(
    entry: str, kind: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: None
) -> None:
    package(tmp_path, "other", entry, "TEXT = 'no task'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    name = entry.partition(" ")[0]
    assert name in task_names()
    with pytest.raises(kind, match=re.escape(said)):
        load_task(name)
    assert load_task("forecasting").COUNTED == "steps"  # others are as before


def test_names_and_configs_are_known_without_torch() -> None:
    script = """
import sys
from rnncli.tasks import config_class, task_names
names = task_names()
loaded = {name.removeprefix("rnncli.tasks.") for name in sys.modules if name.startswith("rnncli.tasks.")}
assert loaded == {"registry"}, loaded
for name in names:
    config_class(name)
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "letters"}, "kind: 'letters'"),
        ({"kind": None}, "kind: None"),
        ({"tag": 5}, "tag: 5"),
        ({"tokens": {"specials": []}}, "not a vocabulary"),
        (None, "vocab.json: []"),
    ],
)
def test_a_vocab_json_of_another_kind(change: dict[str, Json] | None, said: str) -> None:
    tokens: dict[str, Json] = {"specials": [], "tokens": ["a"]}
    whole: dict[str, Json] = {"tokens": tokens, "labels": tokens, "kind": "words", "format": "tsv", "tag": "upos"}
    assert Fitted.from_json(whole).to_json() == whole
    with pytest.raises(DataError, match=re.escape(said)):
        Fitted.from_json([] if change is None else whole | change)


@pytest.mark.parametrize("name", task_names())
def test_every_metric_may_decide(name: str) -> None:
    """`train.best_by` takes each of the metrics that a task reports."""
    hint = get_type_hints(get_type_hints(config_class(name))["train"])["best_by"]
    assert set(get_args(hint)) == set(load_task(name).METRICS)
