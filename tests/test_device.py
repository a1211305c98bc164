from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from rnncli import device, names
from rnncli.errors import Missing


def test_devices_that_are_not_here_are_named_with_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.pick_device("auto") == torch.device("cpu")
    with pytest.raises(Missing, match="device cuda is not available") as caught:
        device.pick_device("cuda")
    assert caught.value.exit_code == 5
    assert "cpu" in caught.value.todo


def test_auto_takes_the_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.pick_device("auto").type == "cuda"
    assert device.pick_device("cpu").type == "cpu"


def test_dtypes() -> None:
    assert [str(device.dtype_of(name)) for name in names.DTYPES] == [f"torch.{name}" for name in names.DTYPES]


@pytest.mark.parametrize(
    ("file", "text", "cores"),
    [
        ("cpu.max", "max 100000", None),
        ("cpu.max", "150000 100000", 2),
        ("cpu.max", "50000 100000", 1),
        ("cpu.max", "rubbish", None),
        ("nothing", "", None),
    ],
)
def test_quota_of_a_container(tmp_path: Path, file: str, text: str, cores: int | None) -> None:
    (tmp_path / file).write_text(text)
    assert device.cpu_quota(tmp_path) == cores


def test_quota_of_an_older_container(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    for text, cores in (("-1\n", None), ("400000\n", 4)):
        (tmp_path / "cpu/cpu.cfs_quota_us").write_text(text)
        assert device.cpu_quota(tmp_path) == cores


def test_usable_cores_obeys_affinity_and_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for quota, cores in ((None, 8), (3, 3), (16, 8)):
        monkeypatch.setattr(device, "cpu_quota", lambda quota=quota: quota)
        assert device.usable_cores() == cores


def test_small_models_get_one_thread() -> None:
    assert device.threads_for(1, 4, 4, 1, cores=8) == 1
    assert device.threads_for(32, 32, 128, 4, cores=8) == 1
    assert device.threads_for(128, 512, 512, 4, cores=8) == 8
    assert device.threads_for(128, 512, 512, 4, cores=1) == 1


def test_memory_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 100000\n")
    monkeypatch.setattr(device, "_CGROUP", tmp_path)
    monkeypatch.setattr(device, "_machine_memory", lambda: 10**12)
    assert device.memory_available() == 700_000
    (tmp_path / "memory.max").write_text("max\n")
    assert device.memory_available() == 10**12


def test_memory_is_asked_for_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "memory_available", lambda: 2**30)
    device.require_memory(2**30, "this model")
    with pytest.raises(Missing) as caught:
        device.require_memory(3 * 2**30, "this model", where="r.yaml:3 model.hidden_size", todo="smaller")
    assert caught.value.what == "this model needs 3.0 GiB of memory, but only 1.0 GiB is available"
    with pytest.raises(Missing):
        device.require_memory(10**400, "this model")
    monkeypatch.setattr(device, "memory_available", lambda: None)
    device.require_memory(10**400, "this model")


def test_this_machine_answers() -> None:
    assert 1 <= device.usable_cores() <= (os.cpu_count() or 1)
    memory = device.memory_available()
    assert memory is None or 0 < memory < 2**60


@pytest.mark.parametrize("said", [{}, {"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "7"}, {"KMP_BLOCKTIME": "200"}])
def test_threads_sleep_while_they_wait_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str]
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    device.share_cores()
    found = {name: value for name, value in os.environ.items() if name in said or name == "OMP_WAIT_POLICY"}
    assert found == (said or {"OMP_WAIT_POLICY": "passive"})
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)


def test_what_is_borrowed_touches_no_gpu_that_is_not_used_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saving the random state of every GPU would warn where there are several, and fail where one is busy."""

    def busy(number: int) -> None:
        raise RuntimeError("CUDA error: all devices are busy or unavailable")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", busy)
    before = torch.get_rng_state()
    with device.borrowed():
        torch.manual_seed(1)
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
