"""Weight drop: every engine computes with the same dropped W_hh, and the whole one is back afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rnncli.cells import CoreSpec
from rnncli.data.batch import Batch
from rnncli.nn.engines import ENGINES
from rnncli.nn.frontends import AsGiven
from rnncli.nn.heads import NoHead
from rnncli.nn.model import SequenceModel
from rnncli.nn.recurrent import Core, make_core
from rnncli.nn.weight_drop import dropped
from tests.narrowed import some

SPECS = {
    "lstm": CoreSpec("lstm", "tanh", 3, 4, num_layers=2, bidirectional=True),
    "projected": CoreSpec("lstm", "tanh", 3, 4, proj_size=2),
    "gru": CoreSpec("gru", "tanh", 3, 4),
    "rnn": CoreSpec("rnn", "tanh", 3, 4, num_layers=2),
    "no torch module": CoreSpec("rnn", "none", 3, 4),
}
CASES = [(name, engine) for name, spec in SPECS.items() for engine in ENGINES if ENGINES[engine].can(spec)]


def model_of(core: Core, engine: str, p: float) -> SequenceModel:
    return SequenceModel(AsGiven(), core, NoHead(), engine, weight_drop=p).double()


@pytest.mark.parametrize(("name", "engine"), CASES)
def test_every_engine_sees_the_dropped_weights(name: str, engine: str) -> None:
    """Against the module whose W_hh was multiplied by hand, forward and backward."""
    spec = SPECS[name]
    torch.manual_seed(0)
    core = make_core(spec).double()
    x = torch.randn(12, 3, 3, dtype=torch.float64)
    names = [key for key, _ in core.named_parameters() if key.startswith("weight_hh")]
    torch.manual_seed(1)
    masks = {key: F.dropout(torch.ones_like(core.get_parameter(key)), 0.5) for key in names}
    by_hand = make_core(spec).double()
    by_hand.load_state_dict({k: w * masks.get(k, 1.0) for k, w in core.state_dict().items()})
    wanted, _ = by_hand(x)
    torch.manual_seed(1)
    before = dict(core.named_parameters())
    found = model_of(core, engine, 0.5)(Batch(x)).scores
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(wanted)
    (found * weights).sum().backward()
    (wanted * weights).sum().backward()
    for key, parameter in core.named_parameters():
        expected = some(by_hand.get_parameter(key).grad) * masks.get(key, 1.0)
        torch.testing.assert_close(some(parameter.grad), expected, rtol=1e-10, atol=1e-12)
        assert parameter is before[key]
    assert list(before) == [key for key, _ in core.named_parameters()], "in their order"


@pytest.mark.parametrize("name", ["lstm", "no torch module"])
def test_outside_training_and_after_an_error_the_weights_are_whole(name: str) -> None:
    torch.manual_seed(0)
    core = make_core(SPECS[name]).double()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    whole, _ = core(x)
    with pytest.raises(RuntimeError, match="stop"), dropped(core, 0.5):
        raise RuntimeError("stop")
    model = model_of(core, "auto", 0.5)
    assert not torch.equal(model(Batch(x)).scores, whole)
    torch.testing.assert_close(model.eval()(Batch(x)).scores, whole, rtol=1e-12, atol=1e-12)
    assert all(isinstance(weight, nn.Parameter) for weight in core.parameters())
    torch.testing.assert_close(core(x)[0], whole, rtol=0, atol=0)


def test_a_cell_without_recurrent_weights_has_none_to_drop() -> None:
    core = make_core(CoreSpec("feedforward", "tanh", 3, 4)).double()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(model_of(core, "auto", 0.5)(Batch(x)).scores, core(x)[0])
