"""What a weight file of rnncli records about its cells, and what the user says where it records nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import rnncli
from rnncli.cells import CoreSpec, OptionValue
from rnncli.errors import DataError, UsageError
from rnncli.nn.recurrent import make_core
from rnncli.targets import target_of
from rnncli.targets.inspect import InspectRequest, inspect
from rnncli.weights import FoundCore, open_core
from rnncli.weights.record import KEY, metadata_of

Options = Mapping[str, OptionValue]
CASES: list[tuple[str, str, Options]] = [
    ("gru", "tanh", {"reset_after": False}),
    ("gru", "tanh", {}),
    ("rnn", "tanh", {"zoneout": 0.3}),
    ("rnn", "relu", {}),
    ("lstm", "tanh", {"peephole": True, "zoneout_memory": 0.2}),
    ("mingru", "tanh", {}),
    ("feedforward", "none", {}),
    ("deltanet", "tanh", {"beta": (0, 2)}),
    ("slstm", "tanh", {"heads": 2}),
]


class Model(nn.Module):
    def __init__(self, spec: CoreSpec) -> None:
        super().__init__()
        self.rnn = make_core(spec)


def _opened(path: Path, **given: str | Mapping[str, object]) -> FoundCore:
    return open_core(str(path), **given)[0]  # type: ignore[arg-type]


def _written(path: Path, spec: CoreSpec, record: Mapping[str, str] | None = None) -> Model:
    model = Model(spec)
    save_file(model.state_dict(), path, metadata=metadata_of(model) if record is None else dict(record))
    return model


@pytest.mark.parametrize(("cell", "nonlinearity", "options"), CASES)
def test_a_file_of_ours_opens_as_the_cell_that_was_saved(
    cell: str, nonlinearity: str, options: Options, tmp_path: Path
) -> None:
    spec = CoreSpec(cell, nonlinearity, 3, 4, options=tuple(options.items()))
    model = _written(tmp_path / "w.safetensors", spec)
    found = _opened(tmp_path / "w.safetensors")
    assert (found.spec, list(found.unknown)) == (spec, [])
    module = make_core(found.spec)
    module.load_state_dict(dict(found.state))
    x = torch.randn(5, 2, 3)
    assert torch.equal(module.eval()(x)[0], model.rnn.eval()(x)[0])


def test_dropout_that_is_inactive_in_evaluation_is_not_recorded(tmp_path: Path) -> None:
    _written(tmp_path / "w.safetensors", CoreSpec("gru", "tanh", 3, 4, options=(("variational_dropout", 0.5),)))
    assert _opened(tmp_path / "w.safetensors").spec == CoreSpec("gru", "tanh", 3, 4)


def test_an_export_and_a_run_record_their_cells(tmp_path: Path) -> None:
    sets = ("model.cell=gru", "model.reset_after=false", "train.epochs=1")
    run = rnncli.train("hello", out=tmp_path / "run", sets=sets)
    rnncli.export(run, tmp_path / "out")
    for name in ("run", "out"):
        found = _opened(tmp_path / name / "model.safetensors")
        assert found.spec == CoreSpec("gru", "tanh", 4, 4, options=(("reset_after", False),))
        assert not found.unknown


def test_a_cell_of_torch_needs_no_record(tmp_path: Path) -> None:
    """The file is that of version 0.1."""
    spec = CoreSpec("gru", "tanh", 3, 4)
    assert metadata_of(Model(spec)) == {"rnncli": rnncli.__version__}
    _written(tmp_path / "w.safetensors", spec)
    assert not _opened(tmp_path / "w.safetensors").unknown
    found = _opened(tmp_path / "w.safetensors", options={"reset_after": False, "zoneout": 0.5})
    assert (dict(found.spec.options), list(found.unknown)) == ({"reset_after": False, "zoneout": 0.5}, [])


def test_options_of_a_cell_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    _written(path, CoreSpec("gru", "tanh", 3, 4), {})

    def shown(*sets: str) -> str:
        return str(inspect(target_of(path, sets=sets), InspectRequest()).records)

    assert "GRU(3, 4, reset_after false, zoneout 0.25)" in shown("model.reset_after=false", "model.zoneout=0.25")
    for wrong, what in (
        ("model.peephole=true", "gru has no option peephole"),
        ("model.zoneout=2", "expected a number >= 0 and < 1, got 2"),
        ("data.path=x", "gru has no option data.path"),
    ):
        with pytest.raises(UsageError, match=what):
            shown(wrong)


def test_an_option_that_the_shapes_contradict(tmp_path: Path) -> None:
    _written(tmp_path / "w.safetensors", CoreSpec("lstm", "tanh", 3, 4), {})
    with pytest.raises(UsageError, match="do not belong to lstm with peephole true"):
        _opened(tmp_path / "w.safetensors", options={"peephole": True})


def test_a_user_who_contradicts_the_record(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    _written(path, CoreSpec("rnn", "relu", 3, 4, options=(("zoneout", 0.5),)))
    assert _opened(path, cell="rnn", nonlinearity="relu", options={"zoneout": 0.5}).spec.nonlinearity == "relu"
    given: tuple[tuple[dict[str, str | Mapping[str, object]], str], ...] = (
        ({"cell": "linear"}, "this core is a rnn"),
        ({"nonlinearity": "tanh"}, "the nonlinearity is relu"),
        ({"options": {"zoneout": 0.1}}, "zoneout is 0.5"),
    )
    for one, what in given:
        with pytest.raises(UsageError, match=f"according to the file {what}"):
            _opened(path, **one)


@pytest.mark.parametrize(
    "record",
    ["[]", "{", "[" * 100_000, '{"rnn": 1}', '{"rnn": {}}',
     '{"rnn": {"cell": "gru", "nonlinearity": "x", "options": {}}}',
     '{"rnn": {"cell": "gru", "nonlinearity": "tanh", "options": {"heads": 2}}}',
     '{"rnn": {"cell": "nobodys", "nonlinearity": "tanh", "options": {}}}',
     '{"rnn": {"cell": "lstm", "nonlinearity": "tanh", "options": {}}}',
     '{"rnn": {"cell": "gru", "nonlinearity": "tanh", "options": []}}'],
)  # fmt: skip
def test_a_damaged_record(record: str, tmp_path: Path) -> None:
    _written(tmp_path / "w.safetensors", CoreSpec("gru", "tanh", 3, 4), {KEY: f'{{"cores": {record}}}'})
    path = tmp_path / "w.safetensors"
    with pytest.raises(DataError, match=r"w\.safetensors"):
        _opened(path)
    if '"lstm"' not in record:  # which is understood: the weights contradict it, and so does the user
        found = _opened(path, cell="gru", options={"reset_after": False})
        assert found.spec == CoreSpec("gru", "tanh", 3, 4, options=(("reset_after", False),))
        assert found.unknown[0].startswith("what the file records of this core is ignored: ")


RECORD = {
    "a": {"cell": "gru", "nonlinearity": "tanh", "options": {"reset_after": False}},
    "b": {"cell": "nobodys", "nonlinearity": "tanh", "options": {}},
}


def test_the_record_of_another_core_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model = nn.ModuleDict({"a": nn.GRU(3, 4), "b": nn.LSTM(3, 4)})
    save_file(model.state_dict(), path, metadata={KEY: json.dumps({"cores": RECORD})})
    with pytest.raises(DataError, match="a nobodys, which is not among the installed cells") as error:
        _opened(path, name="b")
    assert error.value.where == f"{path}: b"
    assert _opened(path, name="b", cell="lstm").spec == CoreSpec("lstm", "tanh", 3, 4)
    found = _opened(path, name="a")
    assert (found.spec.options, list(found.unknown)) == ((("reset_after", False),), [])
    with pytest.raises(UsageError, match="this file contains 2 recurrent cores"):
        _opened(path)


def test_an_option_of_one_of_several_cells(tmp_path: Path) -> None:
    """The reproduced fault: "lstm has no option reset_after"."""
    path = tmp_path / "w.safetensors"
    model = nn.ModuleDict({"a": nn.LSTM(3, 4), "b": nn.GRU(3, 4)})
    save_file(model.state_dict(), path)
    with pytest.raises(UsageError, match="this file contains 2 recurrent cores") as error:
        _opened(path, options={"reset_after": False})
    assert error.value.todo == "choose one with --core: a (LSTM(3, 4)), b (GRU(3, 4, reset_after false))"
    assert _opened(path, name="b", options={"reset_after": False}).spec.options == (("reset_after", False),)
    with pytest.raises(UsageError, match="lstm has no option reset_after"):
        _opened(path, name="a", options={"reset_after": False})
    with pytest.raises(UsageError, match="lstm has no option heads") as error:
        _opened(path, options={"heads": 2})
    assert (error.value.where, error.value.todo[:26]) == (f"{path}: a", "choose one with --core: a ")
    for given in ({"cell": "gru"}, {"options": {"peephole": False}}):
        with pytest.raises(UsageError, match="this file contains 2 recurrent cores"):
            _opened(path, **given)
