"""The loop over cell steps, and the Trace that it records.

`run_layer` is the `loop` engine: a Python loop over a step function of `cells/`. `trace(model, batch)` replaces every
recurrent core of a model with that loop, recording, for one forward pass, so that front end, attention and head stay in
the graph and gradients through time are exact. Every Trace compares itself with the torch modules that it replaces
(compare.py), with tolerances from rounding error bounds (rounding.py). All per-step values shown are read from a Trace.
"""

from rnncli.replay.compare import GRADIENT_STEPS, difference, eps_of, functional_gradients
from rnncli.replay.loop import DIRECTIONS, CoreTrace, initial_state, is_recording, run_core, run_layer
from rnncli.replay.reference import closed_form, exact_copy, has_closed_form, plain_copy, run_reference
from rnncli.replay.scan import scan
from rnncli.replay.tracing import Trace, core_path, trace

__all__ = [
    "DIRECTIONS",
    "GRADIENT_STEPS",
    "CoreTrace",
    "Trace",
    "closed_form",
    "core_path",
    "difference",
    "eps_of",
    "exact_copy",
    "functional_gradients",
    "has_closed_form",
    "initial_state",
    "is_recording",
    "plain_copy",
    "run_core",
    "run_layer",
    "run_reference",
    "scan",
    "trace",
]
