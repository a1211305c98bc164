"""Reads recurrent cores from weight files of torch, Keras and ONNX, converted to torch's names and layout."""

from rnncli.weights.cores import FoundCore, choose_core, embeddings, find_cores
from rnncli.weights.files import open_core
from rnncli.weights.read import read_weights

__all__ = ["FoundCore", "choose_core", "embeddings", "find_cores", "open_core", "read_weights"]
