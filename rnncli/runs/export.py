"""Exports a run: weights under torch's names, a script that predicts without rnncli, a model card, and ONNX."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import save

from rnncli.files import atomic_write, fingerprint
from rnncli.locale import tr
from rnncli.nn.crf import crf_of
from rnncli.records import Check
from rnncli.runs.folder import make_folder
from rnncli.runs.load_script import load_script
from rnncli.runs.model_card import model_card
from rnncli.runs.onnx_model import onnx_model
from rnncli.runs.open import Run
from rnncli.runs.unfinished import filling
from rnncli.weights.record import metadata_of


@dataclass(frozen=True)
class Exported:
    """files: the names of the files written. why_not: why load.py only loads the weights and cannot predict; "" if it
    predicts like `predict`. notes: sentences on what differs from the run."""

    folder: Path
    files: Sequence[str]
    why_not: str
    checks: Sequence[Check] = ()
    notes: Sequence[str] = ()


def export(run: Run, out: str, *, onnx: bool = False) -> Exported:
    """Export a run into an empty or new folder. onnx: model.onnx too, checked with onnxruntime before it is kept.

    If no script can predict, load.py only loads the weights: see `Exported.why_not`. Raises UsageError (the folder is
    not empty, ONNX does not support the model), Missing (the extra `onnx`), CheckFailed (onnxruntime's scores differ).
    """
    content, checks = (None, []) if not onnx else onnx_model(run)
    folder = make_folder(out)
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in run.model.state_dict().items()}
    script = load_script(run)
    vocab = json.dumps(run.fitted.to_json(), ensure_ascii=False)
    files: dict[str, bytes | str] = {
        "model.safetensors": save(tensors, metadata=_metadata(run, vocab)),
        "vocab.json": vocab,
        "load.py": script.text,
        "MODEL_CARD.md": model_card(run, script),
    }
    if content is not None:
        files["model.onnx"] = content
    with filling(folder, files):
        for name, data in files.items():
            atomic_write(folder / name, data)
    notes = []
    if content is not None and next(run.model.parameters()).dtype == torch.float64:
        notes.append(tr("model.onnx computes in float32: onnxruntime has no recurrent layers in float64"))
    if content is not None and crf_of(run.model) is not None:
        notes.append(
            tr(
                "model.onnx returns the scores of each step; load.py shows how to combine them with the CRF's "
                "weights (head.*)"
            )
        )
    return Exported(folder, list(files), script.why_not, checks, notes)


def _metadata(run: Run, vocab: str) -> dict[str, str]:
    """Metadata of model.safetensors: what the weights belong to, and their cells. The hashes are of the run's
    recipe.yaml and of the vocab.json next to the weights."""
    return {
        "format": "pt",
        "task": run.config.task,
        "recipe_sha256": fingerprint(run.folder / "recipe.yaml"),
        "vocab_sha256": sha256(vocab.encode()).hexdigest(),
        **metadata_of(run.model),
    }
