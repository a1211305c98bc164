"""Anybody's weight file -> recurrent cores: torch's files, Keras's and ONNX, in torch's names and layout."""

from rnncli.weights.cores import FoundCore, choose_core, embeddings, find_cores
from rnncli.weights.files import open_core
from rnncli.weights.read import read_weights

__all__ = ["FoundCore", "choose_core", "embeddings", "find_cores", "open_core", "read_weights"]
