"""Reads recurrent layers from Keras files, in torch's layout: `.weights.h5`, `.keras` and the older `.h5`, of Keras 2
and 3.

Keras is not imported, and no code named in a file is run. A `.weights.h5` contains only arrays, whose shapes determine
the cell. The others also contain the model's configuration, which defines the computation.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from rnncli.cells import OptionValue
from rnncli.errors import DataError
from rnncli.files import natural_order, open_binary, shown
from rnncli.locale import tr
from rnncli.weights.cores import some
from rnncli.weights.hdf5 import EXPANSION, FLAWS, FLOOR, Reader, Stored, groups, opened, text
from rnncli.weights.keras_config import ACTIVATIONS, LayerConfig, Model, activation, read_config
from rnncli.weights.layers import Layer, LayerFile, note_backwards

if TYPE_CHECKING:
    import h5py

ENDINGS = (".keras", ".h5", ".hdf5")
_CELLS = {1: "rnn", 3: "gru", 4: "lstm"}  # by G: a kernel has G·H columns
_ARRAYS = ("kernel", "recurrent_kernel", "bias")  # in the order of Keras 3's indices
_CLASSES = {"rnn": "SimpleRNN", "gru": "GRU", "lstm": "LSTM"}
_NONLINEARITIES = {"tanh": "tanh", "relu": "relu", "linear": "none"}
# `layers/lstm/cell`, `layers/bidirectional/forward_layer/cell`, `layers/rnn/cell/cells/lstm_cell_1`
_PLACE = re.compile(
    r"^(?P<layer>.*?)(?:/(?P<way>forward|backward)_layer)?(?:/cell)?(?:/cells/(?P<stack>[^/]+))?$", re.DOTALL
)


class _Cell(NamedTuple):
    """The weights of one cell in one direction. place: its layer's group. name: of the layer."""

    place: str
    name: str
    way: str
    stack: str
    arrays: Mapping[str, h5py.Dataset]

    @property
    def cell(self) -> str:
        return _CELLS[self.arrays["kernel"].shape[1] // self.arrays["recurrent_kernel"].shape[0]]

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(array.shape) for name, array in self.arrays.items()}


def read_keras(path: str | Path) -> LayerFile:
    """Every recurrent layer of a Keras file, and its embeddings.

    Raises DataError: no such file, damaged, too large when unpacked, links, or no recurrent layer; Missing: h5py is not
    installed.
    """
    where = shown(path)
    with open_binary(path) as raw:
        size = raw.seek(0, io.SEEK_END)
        content, written, version = _unpacked(raw, where)
        with opened(content, where) as file:
            root = groups(file, where)
            written = written or text(file, "model_config")
            version = version or text(file, "keras_version") or text(file.get("model_weights", file), "keras_version")
            reader, model = Reader(size, where), _model(written, where)
            layers = _layers(_cells(root), model, reader)
            if not layers:
                what = tr("no recurrent Keras layer in this file")
                raise DataError(what, where=where, todo=tr("the file contains: {names}", names=some(root)))
            tables = dict(_tables(root, model, {layer.input_size for layer in layers}, reader))
    plain = re.fullmatch(r"[\w.+-]{1,20}", version)
    return LayerFile(tr("Keras {version} file", version=version) if plain else tr("Keras file"), layers, tables)


def _unpacked(raw: IO[bytes], where: str) -> tuple[IO[bytes], str, str]:
    """(the HDF5 file, the model's configuration, Keras's version); the last two only for a `.keras`, which is a zip
    file."""
    raw.seek(0)
    zipped = raw.read(4) == b"PK\x03\x04"
    raw.seek(0)
    if not zipped:
        return raw, "", ""
    try:
        with zipfile.ZipFile(raw) as archive:
            config, metadata, content = (
                _member(archive, name, where) for name in ("config.json", "metadata.json", "model.weights.h5")
            )
        version = json.loads(metadata).get("keras_version")
        return io.BytesIO(content), config.decode(), str(version or "")
    except (zipfile.BadZipFile, *FLAWS) as error:
        cut = isinstance(error, zipfile.BadZipFile) and "not a zip file" in str(error)  # but it begins like one
        why = tr("its end is missing") if cut else " ".join(str(error).split())[:200]
        raise DataError(tr("not a complete .keras file: {why}", why=why), where=where) from error


def _member(archive: zipfile.ZipFile, name: str, where: str) -> bytes:
    entry = archive.getinfo(name)
    if entry.file_size > FLOOR + EXPANSION * entry.compress_size:
        raise DataError(tr("{name} is far larger than its compressed data", name=name), where=where)
    return archive.read(entry)


def _model(written: str, where: str) -> Model:
    try:
        return read_config(json.loads(written)) if written else Model()
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, ValueError) else tr("nested too deeply")
        raise DataError(tr("the model's configuration is damaged: {why}", why=why), where=where) from error


def _cells(root: Mapping[str, Stored]) -> Iterator[_Cell]:
    """All groups whose arrays are those of a cell."""
    for path, stored in root.items():
        home, found = path.replace("\\", "/"), None
        if home.partition("/")[0] in ("optimizer", "optimizer_weights"):
            continue
        named = {name.partition(":")[0]: array for name, array in stored.arrays.items()}
        if home.endswith("vars"):
            named = {name: named[str(k)] for k, name in enumerate(_ARRAYS) if str(k) in named}
            found = _placed(home.removesuffix("vars").removesuffix("/"), root)
        if _fits(named) and len(stored.arrays) == len(named):
            yield _Cell(*(found or _placed_by_name(home)), named)


def _fits(named: Mapping[str, h5py.Dataset]) -> bool:
    """Whether these are a kernel (I, G·H), a recurrent kernel (H, G·H) and the bias of a known cell, if any."""
    shapes = [tuple(array.shape or ()) for array in named.values()]
    if not {"kernel", "recurrent_kernel"} <= named.keys() <= set(_ARRAYS) or not all(map(all, shapes)):
        return False
    kernel, recurrent = named["kernel"].shape, named["recurrent_kernel"].shape
    if len(kernel) != 2 or len(recurrent) != 2 or kernel[1] != recurrent[1]:
        return False
    G, rest = divmod(recurrent[1], recurrent[0])
    biases = [(G * recurrent[0],)] + [(2, G * recurrent[0])] * (G == 3)
    return G in _CELLS and not rest and ("bias" not in named or named["bias"].shape in biases)


def _placed(home: str, root: Mapping[str, Stored]) -> tuple[str, str, str, str]:
    """Keras 3: (group of the layer, its name, direction, cell of a stack)."""
    found = _PLACE.match(home)
    assert found is not None
    place = found["layer"]
    own = root.get(f"{place}/vars")
    name = own.label if own is not None and own.label else re.sub(r"(?:^|(?<=/))[^/]*layers[^/]*/", "", place)
    place = place.replace("_layer_checkpoint_dependencies/", "layers/")
    return place, name, found["way"] or "", found["stack"] or ""


def _placed_by_name(home: str) -> tuple[str, str, str, str]:
    """The same for an older file: `model_weights/bi/bi/forward_lstm/lstm_cell`."""
    parts = home.split("/")
    label = parts.pop() if re.search(r"cell(_\d+)?$", parts[-1]) and len(parts) > 1 else ""
    stack = label if parts[-1].startswith("stacked_rnn_cells") else ""
    parts = parts[:-1] if stack else parts
    way = parts[-1].partition("_")[0] if re.match("(?:forward|backward)_", parts[-1]) and len(parts) > 1 else ""
    parts = parts[:-1] if way else parts
    return "/".join(parts), parts[-1], way, stack


def _layers(cells: Iterable[_Cell], model: Model, reader: Reader) -> list[Layer]:
    places: dict[str, list[_Cell]] = {}
    for cell in cells:
        places.setdefault(cell.place, []).append(cell)
    by_path = {settings.path: (k, settings) for k, settings in enumerate(model.layers)}
    by_name = {settings.name: (k, settings) for k, settings in enumerate(model.layers)}
    last = len(model.layers), None
    known = {place: by_path.get(place, by_name.get(own[0].name, last)) for place, own in places.items()}
    order = sorted(places, key=lambda place: (known[place][0], natural_order(place)))
    names = Counter(own[0].name for own in places.values())
    found: list[Layer] = []
    output: dict[str | None, str] = {}  # name of a layer in the model -> the layer here with its output
    for place in order:
        own, (_, settings) = places[place], known[place]
        name = settings.name if settings is not None else own[0].name
        made = _of_place(own, name if names[own[0].name] == 1 else place, settings, model, reader)
        if settings is not None:
            made[0] = replace(made[0], reads=output.get(settings.reads))
            if settings.merge in ("", "concat") and (made[0].directions[1:] or not settings.merge):
                output[settings.name] = made[-1].name
        found += made
    return found


def _of_place(
    own: Sequence[_Cell], name: str, settings: LayerConfig | None, model: Model, reader: Reader
) -> list[Layer]:
    """The layers at one place: one, with one or both directions; or several, if cells are stacked or directions have
    different sizes."""
    stacks = sorted({cell.stack for cell in own}, key=natural_order)
    kinds = dict(zip(stacks, settings.cells, strict=False)) if settings is not None else {}
    own = sorted(own, key=lambda cell: (stacks.index(cell.stack), cell.way != "forward"))
    if len(stacks) == 1 and all(cell.sizes == own[0].sizes for cell in own):
        return [_layer(name, own, kinds.get(stacks[0]), settings, model, reader)]
    found: list[Layer] = []
    below: dict[str, str] = {}
    for cell in own:
        title = "/".join(part for part in (name, cell.way, cell.stack) if part)
        layer = _layer(title, [cell], kinds.get(cell.stack), settings, model, reader)
        found.append(replace(layer, reads=below.get(cell.way)))
        below[cell.way] = title
    return found


def _layer(
    name: str,
    cells: Sequence[_Cell],
    kind: tuple[str, Mapping[str, Any]] | None,
    settings: LayerConfig | None,
    model: Model,
    reader: Reader,
) -> Layer:
    """cells: forward, backward. kind: (class, configuration) of the cell, if in the file."""
    cell, own = cells[0].cell, kind[1] if kind is not None else {}
    notes, unlike = [_conversion(cell)], list[str]()
    nonlinearity: str | None = "tanh"
    if settings is None:
        names = "go_backwards=False" if cell == "rnn" else "tanh, sigmoid, go_backwards=False"
        notes.append(tr("not in the file, assuming Keras's defaults: {names}", names=names))
        nonlinearity = None
    elif kind is None or kind[0] not in _CLASSES.values():
        unlike.append(tr("the class {name}, whose code is not in the file", name=kind[0] if kind else settings.kind))
    elif kind[0] != _CLASSES[cell]:
        what = tr(
            "according to the configuration {name} is {kind}, but its weights are those of {other}",
            name=name,
            kind=kind[0],
            other=_CLASSES[cell],
        )
        raise DataError(what, where=reader.where)
    else:
        used = {key: activation(own[key]) for key in ACTIVATIONS if key in own}
        wanted = {"activation": list(_NONLINEARITIES) if cell == "rnn" else ["tanh"]}
        unlike += [f"{key} {value}" for key, value in used.items() if value not in wanted.get(key, ["sigmoid"])]
        nonlinearity = _NONLINEARITIES.get(used.get("activation", "tanh"), "tanh") if cell == "rnn" else "tanh"
    options: dict[str, OptionValue] = {}
    if cell == "gru":
        options["reset_after"], unsaid = _reset_after(cells[0], own)
        notes += unsaid
    bias = cells[0].arrays.get("bias")
    if bias is not None and bias.ndim == 1:
        notes.append(tr("Keras has one bias: it is b_ih, and b_hh is 0"))
    backwards = cells[0].way == "backward" or (settings is not None and settings.backwards)
    notes += _around(settings, model, backwards, len(cells) > 1)
    if settings is not None and settings.odd_backward:
        unlike.append(tr("a Bidirectional whose directions differ in more than their weights"))
    return Layer(name, cell, [_weights(one, reader) for one in cells], nonlinearity, options, notes, unlike, backwards)


def _around(settings: LayerConfig | None, model: Model, backwards: bool, both: bool) -> list[str]:
    """Notes on what the model does around a layer, but a view of its weights does not."""
    notes = note_backwards(backwards)
    if settings is not None and both and settings.merge != "concat":
        notes.append(
            tr("merge_mode {mode} is not applied: the outputs of both directions are concatenated", mode=settings.merge)
        )
    if settings is not None and settings.given_state:
        notes.append(tr("in the model, its initial state comes from other layers; here it is 0"))
    if model.masks:
        notes.append(tr("the model masks steps; here all steps are read"))
    return notes


def _reset_after(cell: _Cell, own: Mapping[str, Any]) -> tuple[bool, list[str]]:
    """(the form of a GRU, notes): from its bias, or from the configuration."""
    bias = cell.arrays.get("bias")
    if bias is not None:
        return bias.ndim == 2, []
    if own:
        return own.get("reset_after") is True, []
    return True, [tr("reset_after is not in the file: assuming true, Keras's default")]


def _conversion(cell: str) -> str:
    if cell == "gru":
        return tr("Keras GRU: gates z,r,h reordered to r,z,n, matrices transposed")
    if cell == "lstm":
        return tr("Keras LSTM: gates i,f,c,o are torch's i,f,g,o; matrices transposed")
    return tr("Keras SimpleRNN: matrices transposed")


def _weights(cell: _Cell, reader: Reader) -> dict[str, Tensor]:
    """torch's names -> tensors: weight_ih (G·H, I), weight_hh (G·H, H), bias_ih and bias_hh (G·H,)."""
    arrays = {name: reader.tensor(f"{cell.place}/{name}", array) for name, array in cell.arrays.items()}
    H = arrays["recurrent_kernel"].shape[0]

    def ordered(array: Tensor) -> Tensor:
        if cell.cell != "gru":
            return array
        z, r, n = array.split(H, dim=-1)
        return torch.cat([r, z, n], dim=-1)

    found = {
        "weight_ih": ordered(arrays["kernel"]).T.contiguous(),
        "weight_hh": ordered(arrays["recurrent_kernel"]).T.contiguous(),
    }
    if "bias" in arrays:
        bias = ordered(arrays["bias"])
        found["bias_ih"], found["bias_hh"] = bias if bias.dim() == 2 else (bias, torch.zeros_like(bias))
    return found


def _tables(root: Mapping[str, Stored], model: Model, sizes: set[int], reader: Reader) -> Iterator[tuple[str, Tensor]]:
    """Embeddings (V, I) whose size matches the input of some layer, recognized by class or by name."""
    known = {key for settings in model.layers if settings.kind == "Embedding" for key in (settings.path, settings.name)}
    for path, stored in root.items():
        home = re.sub(r"/?vars$", "", path)
        name = stored.label or home.rpartition("/")[2]
        for leaf, array in stored.arrays.items():
            named = {home, name} & known or re.search("embed", f"{name}/{leaf}", re.IGNORECASE)
            if named and len(stored.arrays) == 1 and array.ndim == 2 and array.shape[1] in sizes:
                yield name, reader.tensor(name, array)
