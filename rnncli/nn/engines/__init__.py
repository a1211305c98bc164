"""Engines: ways to run the same weights, one file each; the folder is the registry.

An engine file defines `ENGINE`, an `Engine`. They agree in outputs, last states and gradients; dropout between layers
is applied here, outside the cores, on padded (T, B, .) data, so that they also agree with dropout.
"""

from rnncli.nn.engines._base import ENGINES as ENGINES
from rnncli.nn.engines._base import Engine as Engine
from rnncli.nn.engines._base import Sequence as Sequence
from rnncli.nn.engines._base import Work as Work
from rnncli.nn.engines._base import call as call
from rnncli.nn.engines._base import check_engine as check_engine
from rnncli.nn.engines._base import engine_of as engine_of
