"""Weights that torch's own tools keep in another form, against the module that computes with them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

from rnncli.errors import DataError
from rnncli.weights import find_cores, read_weights
from tests.fixture_types import Typed

NAME, REVERSE = "weight_hh_l0", "weight_hh_l0_reverse"


def _old_weight_norm(module: nn.Module, dim: int | None = 0) -> None:
    with pytest.warns(FutureWarning):
        nn.utils.weight_norm(module, NAME, dim)  # type: ignore[arg-type]


def _weight_drop(module: nn.Module) -> None:
    """As AWD-LSTM has it (Merity et al. 2018): the raw weight is the parameter, and the module keeps a dropped copy."""
    weight = module.get_parameter(NAME)
    del module._parameters[NAME]
    module.register_parameter(f"{NAME}_raw", weight)
    module.register_buffer(NAME, nn.functional.dropout(weight.detach(), 0.5))


def _both(module: nn.Module) -> None:
    prune.random_unstructured(module, NAME, 0.5)
    prune.random_unstructured(module, REVERSE, 0.5)


TOOLS: dict[str, Callable[[nn.Module], Any]] = {
    "weight_norm": _old_weight_norm,
    "weight_norm of columns": lambda module: _old_weight_norm(module, 1),
    "weight_norm of all": lambda module: _old_weight_norm(module, None),
    "spectral_norm": lambda module: nn.utils.spectral_norm(module, NAME),
    "spectral_norm of columns": lambda module: nn.utils.spectral_norm(module, NAME, dim=1),
    "parametrized weight_norm": lambda module: parametrizations.weight_norm(module, NAME),
    "parametrized spectral_norm": lambda module: parametrizations.spectral_norm(module, NAME),
    "orthogonal": lambda module: parametrizations.orthogonal(module, NAME),
    "orthogonal without a base": lambda module: parametrizations.orthogonal(
        module, NAME, orthogonal_map="householder", use_trivialization=False
    ),
    "prune": _both,
    "weight drop": _weight_drop,
}


def _weights_in_use(module: nn.Module) -> dict[str, Tensor]:
    """What the module computes with in eval(), by torch itself; of weight drop, the raw weight."""
    module.eval()
    for hook in module._forward_pre_hooks.values():  # torch's older tools write the weight before each forward pass
        hook(module, ())
    names = [name for name in ("weight_ih_l0", NAME, "bias_ih_l0", "bias_hh_l0", REVERSE) if hasattr(module, name)]
    found = {name: getattr(module, name).detach() for name in names}
    raw = dict(module.named_parameters()).get(f"{NAME}_raw")
    return found if raw is None else found | {NAME: raw.detach()}


def _trained(tool: str, kind: type[nn.RNN] | type[nn.LSTM], change: Callable[[nn.Module], Any]) -> nn.RNNBase:
    """A module under a tool after its parameters moved, as by training: not what it was initialized with."""
    torch.manual_seed(3)
    module: nn.RNNBase = kind(3, 4, bidirectional=True)
    change(module)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            moved = 0.1 * torch.randn_like(parameter)  # the diagonal and above carry signs in orthogonal's reflections
            parameter.add_(moved.tril(-1) if "orthogonal" in tool and "original" in name else moved)
        for hook in [*module._forward_pre_hooks.values()] * 9:  # spectral_norm's power iteration, as training goes on
            hook(module, ())
    return module


@pytest.mark.parametrize("prefix", ["", "encoder.rnn.", "rnn.module."])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.RNN])
@pytest.mark.parametrize("tool", TOOLS)
def test_a_rewritten_weight_is_what_the_module_computes_with(
    tool: str, kind: type[nn.RNN] | type[nn.LSTM], prefix: str
) -> None:
    module = _trained(tool, kind, TOOLS[tool])
    state = {f"{prefix}{name}": tensor for name, tensor in module.state_dict().items()}
    wanted = _weights_in_use(module)
    (found,) = find_cores(state)
    assert found.spec.cell == kind.__name__.lower()
    for name, weight in wanted.items():
        torch.testing.assert_close(found.state[name], weight, rtol=0, atol=1e-6)
    assert any(NAME in note and "rebuilt" in note for note in found.unknown)
    assert any("stale" in note for note in found.unknown) == (tool == "weight drop")


def test_one_tool_on_top_of_another() -> None:
    module = _trained("both", nn.LSTM, _old_weight_norm)
    prune.random_unstructured(module, f"{NAME}_v", 0.3)
    module.eval()
    for hook in reversed(list(module._forward_pre_hooks.values())):  # the mask first, then the norm over what is left
        hook(module, ())
    (found,) = find_cores(module.state_dict())
    torch.testing.assert_close(found.state[NAME], getattr(module, NAME).detach(), rtol=0, atol=1e-6)


def test_a_chain_of_parametrizations() -> None:
    torch.manual_seed(0)
    module = nn.RNN(3, 4)
    parametrizations.orthogonal(module, NAME)
    parametrizations.spectral_norm(module, NAME)
    (found,) = find_cores(module.eval().state_dict())
    torch.testing.assert_close(found.state[NAME], getattr(module, NAME).detach(), rtol=0, atol=1e-6)


class Symmetric(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.triu() + x.triu(1).mT


def test_what_a_file_does_not_tell_is_refused_by_name() -> None:
    module = nn.RNN(3, 4)
    parametrize.register_parametrization(module, NAME, Symmetric())
    with pytest.raises(DataError, match="weight_hh_l0 has a parametrization that the file does not record") as error:
        find_cores(module.state_dict())
    assert "remove_parametrizations" in error.value.todo
    pruned = nn.LSTM(3, 4)
    prune.random_unstructured(pruned, NAME, 0.5)
    state = dict(pruned.state_dict())
    with pytest.raises(DataError, match="weight_hh_l0 cannot be rebuilt"):
        find_cores({**state, f"{NAME}_mask": torch.ones(3, 3)})
    with pytest.raises(DataError, match="different shapes"):
        find_cores({**state, NAME: torch.ones(3, 3)})
    del state[f"{NAME}_orig"]
    with pytest.raises(DataError, match="weight_hh_l0 is missing"):
        find_cores(state)


class LayerNormLSTMCell(nn.LSTMCell):
    def __init__(self) -> None:
        super().__init__(3, 4)
        self.ln_i, self.ln_h = nn.LayerNorm(16), nn.LayerNorm(16)


@pytest.mark.parametrize("prefix", ["", "cells.0."])
@pytest.mark.parametrize("extra", ["ln", "peephole"])
def test_a_cell_with_more_in_it_is_not_shown_as_a_plain_one(prefix: str, extra: str) -> None:
    cell: nn.Module = LayerNormLSTMCell() if extra == "ln" else nn.LSTMCell(3, 4)
    if extra == "peephole":
        cell.register_parameter("weight_ci", nn.Parameter(torch.zeros(4)))
    state = {f"{prefix}{name}": tensor for name, tensor in cell.state_dict().items()}
    with pytest.raises(DataError, match="not a plain recurrent core.*" + ("ln_i" if extra == "ln" else "weight_ci")):
        find_cores(state)
    (found,) = find_cores(state, cell="lstm")
    assert any("not used" in note for note in found.unknown)


def test_other_modules_around_a_core_are_named_and_other_cores_are_not_its_own() -> None:
    module = nn.Module()
    module.outer = nn.LSTM(3, 4)
    module.outer.add_module("project", nn.Linear(4, 2))
    module.outer.add_module("inner", nn.GRU(4, 4))
    module.norm = nn.LayerNorm(4)
    outer, inner = find_cores(module.state_dict())
    assert [note for note in outer.unknown if "not used" in note] == ["not used: project.weight, project.bias"]
    assert inner.name == "outer.inner"
    assert inner.unknown == []


# ------------------------------------------------------------------------------------------------- several files


def _shards(folder: Path, suffix: str) -> Path:
    state = {f"lstm.{name}": tensor.clone() for name, tensor in nn.LSTM(3, 4).state_dict().items()}
    names = sorted(state)
    weight_map: dict[str, str] = {}
    for number, own in enumerate((names[:2], names[2:]), 1):
        file = f"model-0000{number}-of-00002{suffix}"
        part = {name: state[name] for name in own}
        save_file(part, folder / file) if suffix == ".safetensors" else torch.save(part, folder / file)
        weight_map |= dict.fromkeys(own, file)
    index = folder / f"model{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_an_index_stands_for_its_files_and_a_single_file_names_what_it_lacks(
    suffix: str, tmp_path: Path, typed: Typed
) -> None:
    index = _shards(tmp_path, suffix)
    code, out, _ = typed("inspect", str(index))
    assert code == 0
    assert "LSTM(3, 4)" in out
    code, _, err = typed("inspect", str(tmp_path / f"model-00001-of-00002{suffix}"))  # biases alone
    assert (code, "no recurrent weights" in err) == (3, True)
    torch.save({name: tensor for name, tensor in read_weights(index).items() if "hh" not in name}, "m-1-of-2.pt")
    code, _, err = typed("inspect", "m-1-of-2.pt")
    assert (code, "weight_hh_l0 is missing" in err, "index" in err) == (3, True, True)
    (tmp_path / f"model-00002-of-00002{suffix}").unlink()
    code, _, err = typed("inspect", str(index))
    assert code == 3
    assert f"model-00002-of-00002{suffix}" in err


@pytest.mark.parametrize(
    ("weight_map", "said"),
    [
        (None, "no weight_map"),
        ({"a": 1}, "no weight_map"),
        ({"weight_ih_l0": "../outside.safetensors"}, "points outside its folder"),
        ({"weight_ih_l0": "absent.safetensors"}, "no such file"),
        ({"other": "w.safetensors"}, "other is missing here"),
    ],
)
def test_a_broken_index(weight_map: Any, said: str, tmp_path: Path) -> None:
    save_file({"weight_ih_l0": torch.zeros(4, 3)}, tmp_path / "w.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(DataError, match=said):
        read_weights(index)


def test_two_tensors_of_one_name_behind_a_wrapper_keep_their_names(tmp_path: Path) -> None:
    state = nn.GRU(3, 4).state_dict()
    both = {f"module.{name}": tensor for name, tensor in state.items()} | copy.deepcopy(dict(state))
    torch.save(both, tmp_path / "w.pt")
    assert {core.name for core in find_cores(read_weights(tmp_path / "w.pt"))} == {"module", ""}
