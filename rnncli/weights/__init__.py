"""Anybody's state_dict -> recurrent cores: files, rewritten tensors, and what they make."""

from rnncli.weights.cores import FoundCore, choose_core, embeddings, find_cores
from rnncli.weights.read import read_weights

__all__ = ["FoundCore", "choose_core", "embeddings", "find_cores", "read_weights"]
