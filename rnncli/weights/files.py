"""Opens a recurrent core of a weight file of any type, and its embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.weights import keras, onnx
from rnncli.weights.cores import FoundCore, choose_core, embeddings, find_cores
from rnncli.weights.layers import LayerFile, choose_layers
from rnncli.weights.read import read_weights
from rnncli.weights.record import read_record


def open_core(
    path: str,
    *,
    cell: str | None = None,
    nonlinearity: str | None = None,
    options: Mapping[str, object] = {},
    name: str | None = None,
) -> tuple[FoundCore, Mapping[str, Tensor]]:
    """The core of that name, or the only one, and the embeddings whose size matches its input, by name.

    cell, nonlinearity, options: not recorded in the file. Raises UsageError: no such core, several, or a contradiction
    with the file; DataError: unsupported; Missing: the package for this file type is not installed.
    """
    if not path.lower().endswith((*keras.ENDINGS, *onnx.ENDINGS)):
        tensors = read_weights(path)
        known = {"cell": cell, "nonlinearity": nonlinearity, "name": name}
        cores = find_cores(tensors, **known, options=options, where=path, record=partial(read_record, path))
        core = choose_core(cores, name, path)
        return core, embeddings(tensors, core.spec.input_size)
    if options:
        raise UsageError(tr("this kind of file records the options of its cells"), where="--set", todo=tr("omit it"))
    found: LayerFile = keras.read_keras(path) if path.lower().endswith(keras.ENDINGS) else onnx.read_onnx(path)
    core = choose_layers(found, cell=cell, nonlinearity=nonlinearity, name=name, where=path)
    size = core.spec.input_size
    return core, {name: table for name, table in found.tables.items() if table.shape[1] == size}
