"""image-sequences: one label for a film. A convolutional net looks at each frame, the recurrent core at their order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from rnncli.data import pictures as drawn
from rnncli.data.batch import Batch, Order, index_batches, pad
from rnncli.data.skipped import Skipped
from rnncli.data.source import name_of
from rnncli.data.splits import split_by_class, split_by_group
from rnncli.data.vocab import Vocab
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.recipe import Clash, CoreSection, DataSection, RecipeConfig, SplitSection, TrainSection
from rnncli.records import Column, Json, Message, Record, Table
from rnncli.tasks import Asked, Baseline, Loss, Metrics, Names, Prediction, Splits, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State
    from rnncli.data.images import Film, Films

METRICS: Mapping[str, Literal["lower", "higher"]] = {"accuracy": "higher", "loss": "lower"}
INPUT: Literal["text", "path"] = "path"
COUNTED = "rows"  # by `loss`: what the speed is of
SHADES = " .:-=+*#%@"  # of a frame shown as text, from its darkest point to its brightest
SHOWN_FRAMES = 4  # as pictures
SHOWN_POINTS = 16  # rows and columns of such a picture


class Split(SplitSection):
    by: str | int | None = Field(
        None,
        description="films that agree here stay in one part: a field of pattern, a column of the table, an array",
    )


class Data(DataSection):
    split: Split = Field(Split(), description="with path: the parts, as shares, drawn within each class")
    frames: str = Field("frames", description=".npz: the array of films, (N, T, height, width) or with channels last")
    labels: str = Field("labels", description=".npz: the array of classes, (N,)")
    lengths: str = Field("lengths", description=".npz: the array of frames in each film, (N,), where it has one")
    file: str | int = Field("file", description="table: the column of films, beside the table")
    label: str | int = Field("label", description="class: the column of the table, or the field of pattern")
    pattern: str | None = Field(None, description="a folder whose names say the class: {label}_{person}_{take}.npy")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.split.by is not None and self.train is not None:
            yield Clash(("split.by", "train"), tr("separate files are not split"), tr("remove data.split"))


class Model(CoreSection):
    channels: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=8)] = Field(
        [8, 16], description="of the convolutions over a frame, each followed by halving its height and width"
    )
    frame_size: Annotated[int, Field(ge=1)] = Field(32, description="numbers that a frame becomes, input of the cell")


class Train(TrainSection):
    best_by: Literal["accuracy", "loss"] = Field("accuracy", description="the metric that decides which epoch is kept")


class Config(RecipeConfig):
    task: Literal["image-sequences"]
    data: Data
    model: Model
    train: Train


class Part(NamedTuple):
    """rows: of `films`, which all parts share. targets: the class of each."""

    films: Films
    rows: Sequence[int]
    targets: Sequence[int]


def read(config: Config) -> Splits:
    from rnncli.data.images import read_films

    data = config.data
    skipped = Skipped(data.on_bad, tr("films"))
    given = {name: source for name in ("train", "validation", "test") if (source := getattr(data, name)) is not None}
    if data.path is not None:
        sources = [data.path] if isinstance(data.path, str) else data.path
    else:
        sources = list(given.values())
    listed = {source: _films(data, source, skipped) for source in sources}
    films = read_films([film for source in sources for film in listed[source]], skipped)
    found = films.films
    notes: list[str] = []
    if data.path is not None:
        skipped.finish(", ".join(map(name_of, sources)))
        shares, seed = data.split.fractions(), config.train.seed
        if data.split.by is None:
            split = split_by_class([film.label for film in found], shares, seed)
        else:
            split = split_by_group([film.group for film in found], shares, seed, by=str(data.split.by))
        rows: Mapping[str, Sequence[int]] = split.parts
        how = split.how
    else:
        owner = {id(film): name for name, source in given.items() for film in listed[source]}
        rows = {name: [i for i, film in enumerate(found) if owner[id(film)] == name] for name in given}
        how = tr("separate files")
    labels = Vocab(tuple(sorted({found[i].label for i in rows["train"]}, key=_by_number)))
    kept = {name: _known(films, part, labels, skipped) for name, part in rows.items()}
    skipped.finish(", ".join(map(name_of, sources)))
    for name, part in kept.items():
        if not part:
            raise DataError(
                tr("no usable film is left for {part}", part=name), where=name_of(given.get(name, sources[0]))
            )
    if len(labels) < 2:
        raise DataError(
            tr("the training part has one class only, {label}", label=repr(labels.tokens[0])),
            where=name_of(sources[0]),
        )
    if skipped.count:
        notes.append(skipped.sentence())
    mean, std = films.moments(kept["train"])
    vocab = {"labels": labels.to_json(), "frame": list(films.shape), "mean": mean, "std": std}
    parts = {name: Part(films, part, [labels.id(found[i].label) for i in part]) for name, part in kept.items()}
    return Splits(
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts.get("test"),
        vocab=vocab,
        counts={
            name: {"films": len(part.rows), "frames": sum(films.lengths[i] for i in part.rows)}
            for name, part in parts.items()
        },
        fingerprint=films.fingerprint,
        how=trn("{how}; {n} class", "{how}; {n} classes", how=how, n=len(labels)),
        notes=[*notes, *skipped.notes],
    )


def _films(data: Data, source: str, skipped: Skipped) -> list[Film]:
    from rnncli.data.images import list_films

    return list_films(
        source,
        skipped,
        frames=data.frames,
        labels=data.labels,
        lengths=data.lengths,
        file=data.file,
        label=data.label,
        pattern=data.pattern,
        by=data.split.by,
    )


def _by_number(label: str) -> tuple[int, str]:
    """Classes 0 1 2 ... 10 in the order of numbers, others in that of letters."""
    return (int(label) if label.isdecimal() and len(label) < 10 else -1, label)


def _known(films: Films, rows: Sequence[int], labels: Vocab, skipped: Skipped) -> list[int]:
    """The rows whose class training has; another is a bad record, already counted as one that could be read."""
    known = []
    for row in rows:
        if films.films[row].label in labels:
            known.append(row)
        else:
            skipped.total -= 1
            label = repr(films.films[row].label)
            skipped.bad(films.films[row].where, tr("class {label} is not in the training part", label=label))
    return known


def build(config: Config, vocab: Vocabulary) -> nn.Module:
    from rnncli.nn.heads import LastState
    from rnncli.nn.model import SequenceModel
    from rnncli.nn.recurrent import core_of_section

    rnn, spec = core_of_section(config.model, config.model.frame_size)
    head = LastState(spec.output_size, len(vocab["labels"]["tokens"]))
    return SequenceModel(_front(config, vocab), rnn, head, config.model.engine)


def _front(config: Config, vocab: Vocabulary) -> nn.Module:
    from rnncli.nn.frontends import ConvFrames

    height, width, _ = vocab["frame"]
    model = config.model
    return ConvFrames(height, width, vocab["mean"], vocab["std"], model.channels, model.frame_size)


def names(config: Config, vocab: Vocabulary) -> Names:
    return Names(None, vocab["labels"]["tokens"])


def batches(config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
    """Inputs: (T, B, height, width, C) in the type they are stored in. In training, films of like length share one."""
    import torch

    lengths = [part.films.lengths[row] for row in part.rows] if order is not None else None
    where = order or Order(0, 0)
    shuffle = order is not None
    for rows in index_batches(len(part.rows), config.train.batch_size, where, shuffle=shuffle, lengths=lengths):
        batch = _batch([part.films[part.rows[row]] for row in rows])
        batch.targets, batch.rows = torch.tensor([part.targets[row] for row in rows], dtype=torch.int64), rows
        yield batch


def _batch(films: Sequence[Any]) -> Batch:
    import numpy as np
    import torch

    return Batch(*pad([torch.from_numpy(np.ascontiguousarray(film, dtype=np.float32)) for film in films]))


def encode(config: Config, vocab: Vocabulary, inputs: Sequence[str]) -> Batch:
    return _batch([film for path in inputs for _, film in _given(vocab, path)])


def _given(vocab: Vocabulary, path: str) -> Iterator[tuple[str, Any]]:
    """(name, film) of each film at a path: an .npy or .npz of one film or of many, or a folder of frames."""
    from rnncli.data.arrays import read_arrays
    from rnncli.data.images import ARRAYS, frames_fault, read_film

    shape = tuple(vocab["frame"])
    file = Path(path)
    if os.path.isdir(file) or file.suffix.lower() not in ARRAYS:
        films = [(path, read_film(file))]
    else:
        # a film has T in front of a frame's shape, several have N and T
        frames = [shape, shape[:2]] if shape[2] == 1 else [shape]
        arrays = [
            array
            for array in read_arrays(file).values()
            if any(array.ndim - len(frame) in (1, 2) and array.shape[-len(frame) :] == frame for frame in frames)
        ]
        if len(arrays) != 1:
            raise DataError(
                tr("holds {n} arrays of frames of {shape}, and one is wanted", n=len(arrays), shape=shape),
                where=name_of(path),
            )
        array = arrays[0]
        frame = shape if array.shape[-3:] == shape and array.ndim > 3 else shape[:2]
        if array.ndim == len(frame) + 1:
            films = [(path, array.reshape(len(array), *shape))]
        else:
            films = [(f"{path}[{n}]", one.reshape(len(one), *shape)) for n, one in enumerate(array)]
    for name, film in films:
        why = frames_fault(film, shape)
        if why:
            raise DataError(why, where=name)
        yield name, film


def loss(config: Config, model: Any, batch: Batch, carry: State | None) -> Loss:
    from torch.nn import functional as F

    assert batch.targets is not None
    return Loss(F.cross_entropy(model(batch).scores, batch.targets, reduction="sum"), batch.size)


def metrics(config: Config, model: Any, part: Part, vocab: Vocabulary) -> Metrics:
    from rnncli.nn.evaluate import outputs_of

    found = [
        (outputs.scores.float().log_softmax(1).cpu(), batch.targets.cpu())
        for batch, outputs in outputs_of(model, batches(config, part, None))
        if batch.targets is not None
    ]
    return _as_metrics(found)


def _as_metrics(found: Sequence[tuple[Tensor, Tensor]]) -> Metrics:
    """Of (log chances (B, C), targets (B,)) pairs."""
    from torch.nn import functional as F

    n = sum(len(targets) for _, targets in found)
    return {
        "accuracy": sum(int(chances.argmax(1).eq(targets).sum()) for chances, targets in found) / n,
        "loss": sum(float(F.nll_loss(chances, targets, reduction="sum")) for chances, targets in found) / n,
    }


def baselines(config: Config, splits: Splits, part: str) -> list[Baseline]:
    """The commonest class; and a net of the same convolutions that is trained on, and asked about, single frames."""
    import torch

    train, tested = splits.train, splits.part(part)
    size = len(splits.vocab["labels"]["tokens"])
    shares = torch.bincount(torch.tensor(train.targets), minlength=size).double()
    majority = (shares / shares.sum()).log().float().expand(len(tested.rows), size)
    label = splits.vocab["labels"]["tokens"][int(shares.argmax())]
    return [
        Baseline(
            tr("majority"),
            _as_metrics([(majority, torch.tensor(tested.targets))]),
            tr("always {label}", label=label),
        ),
        Baseline(
            tr("single frame"),
            _single_frame(config, splits, tested),
            tr("the same convolutions, one frame of each film: where it does as well, order is not needed"),
        ),
    ]


def _single_frame(config: Config, splits: Splits, tested: Part) -> Metrics:
    """Trained for as many epochs as the recipe has, 20 at most, on one frame of each film drawn anew in each epoch;
    asked about the middle one. Torch's random state is left as it was."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    from rnncli.data.batch import permutation
    from rnncli.nn.evaluate import device_of, evaluating

    train: Part = splits.train
    seed, batch_size = config.train.seed, config.train.batch_size
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        front = _front(config, splits.vocab)
        net = nn.Linear(config.model.frame_size, len(splits.vocab["labels"]["tokens"]))
    both = nn.ModuleList([front, net])
    optimizer = torch.optim.Adam(both.parameters(), lr=min(config.train.lr, 0.01))

    def batch_of(part: Part, rows: Sequence[int], frames: Sequence[int]) -> tuple[Tensor, Tensor]:
        films = [part.films[part.rows[row]][frame : frame + 1] for row, frame in zip(rows, frames, strict=True)]
        batch = _batch(films).to(device_of(both))
        targets = torch.tensor([part.targets[row] for row in rows])
        return net(front(batch)[0][0]), targets

    for epoch in range(min(config.train.epochs, 20)):
        draw = permutation(1 << 16, seed, epoch, 2)  # large numbers: which frame of each film
        for rows in index_batches(len(train.rows), batch_size, Order(seed, epoch), shuffle=True):
            frames = [int(draw[row % len(draw)]) % train.films.lengths[train.rows[row]] for row in rows]
            scores, targets = batch_of(train, rows, frames)
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(scores, targets).backward()
            optimizer.step()
    found = []
    for rows in index_batches(len(tested.rows), batch_size, Order(0, 0), shuffle=False):
        middle = [tested.films.lengths[tested.rows[row]] // 2 for row in rows]
        with evaluating(both):
            scores, targets = batch_of(tested, rows, middle)
        found.append((scores.log_softmax(1), targets))
    return _as_metrics(found)


def watch(config: Config, model: Any, splits: Splits) -> str:
    return ""


def show(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    """The first film: some frames as small pictures, and what the model answers after every frame."""
    rows: Part = splits.part(part)
    labels = splits.vocab["labels"]["tokens"]
    film, target = rows.films[rows.rows[0]], rows.targets[0]
    chances = _after_each_frame(model, film)  # (T, C)
    best, which = chances.max(1)
    table = [[t, labels[int(which[t])], float(best[t]), float(chances[t, target])] for t in range(len(film))]
    columns = [
        Column("t", "t", "count"),
        Column("predicted", tr("answer so far"), "text"),
        Column("p", "p"),
        Column("p_target", tr("p of {label}", label=labels[target])),
    ]
    title = tr("an example: {label}", label=labels[target])
    return [
        Message(_pictures(film), "code", name="frames"),
        Table("sample", columns, table, title=title, cut_rows=12),
    ]


def _after_each_frame(model: Any, film: Any) -> Tensor:
    """The chances after 1, 2 ... T frames, each asked as a film of its own: (T, C)."""
    import torch

    from rnncli.nn.evaluate import outputs_of

    _, outputs = next(outputs_of(model, [_batch([film[: t + 1] for t in range(len(film))])]))
    found: Tensor = outputs.scores.float().softmax(1).cpu()
    assert isinstance(found, torch.Tensor)
    return found


def _pictures(film: Any) -> str:
    """The first frames side by side in characters, the mean of the channels, larger frames thinned out."""
    import numpy as np

    frames = np.asarray(film[:SHOWN_FRAMES], dtype=np.float64).mean(axis=3)  # (frames, height, width)
    step = max(1, -(-max(frames.shape[1:]) // SHOWN_POINTS))
    frames = frames[:, ::step, ::step]
    low, high = frames.min(), frames.max()
    shades = np.minimum((frames - low) / (high - low + 1e-12) * len(SHADES), len(SHADES) - 1).astype(int)
    lines = ["   ".join("".join(SHADES[shade] for shade in row) for row in line) for line in shades.transpose(1, 0, 2)]
    head = "   ".join(f"t={t}".ljust(shades.shape[2]) for t in range(len(frames)))
    return "\n".join([head, *lines])


def pictures(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    """The frames of the example, and which class was taken for which."""
    from rnncli.nn.evaluate import outputs_of

    rows: Part = splits.part(part)
    labels = splits.vocab["labels"]["tokens"]
    counts = [[0] * len(labels) for _ in labels]
    for batch, outputs in outputs_of(model, batches(config, rows, None)):
        assert batch.targets is not None
        for target, answer in zip(batch.targets.tolist(), outputs.scores.argmax(1).tolist(), strict=True):
            counts[target][answer] += 1
    return [drawn.film(rows.films[rows.rows[0]]), drawn.confusion(counts, labels)]


def predict(config: Config, model: Any, vocab: Vocabulary, inputs: Iterable[str], asked: Asked) -> Iterator[Prediction]:
    """`film<TAB>label<TAB>p` for each film, with top_k the next likeliest classes behind it in the same way."""
    from rnncli.nn.evaluate import outputs_of

    asked.only("top_k")
    labels = vocab["labels"]["tokens"]
    for path in inputs:
        for name, film in _given(vocab, path):
            _, outputs = next(outputs_of(model, [_batch([film])]))
            best = outputs.scores[0].float().softmax(0).topk(min(asked.top_k or 1, len(labels)))
            top = [(labels[i], p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)]
            cells = [cell for label, p in top for cell in (label, f"{p:.4f}")]
            json = {"film": name, "label": top[0][0], "top": [{"label": label, "p": p} for label, p in top]}
            yield Prediction("\t".join([name, *cells]), json)


def read_part(config: Config, vocab: Vocabulary, path: str) -> tuple[Part, list[str]]:
    """A new source of labelled films as one part, in a run's classes; and notes on it. Raises DataError."""
    from rnncli.data.images import read_films

    skipped = Skipped(config.data.on_bad, tr("films"))
    labels = Vocab.from_json(vocab["labels"])
    height, width, channels = vocab["frame"]
    films = read_films(_films(config.data, path, skipped), skipped, (height, width, channels))
    rows = _known(films, range(len(films.films)), labels, skipped)
    skipped.finish(name_of(path))
    notes = [skipped.sentence()] if skipped.count else []
    return Part(films, rows, [labels.id(films.films[row].label) for row in rows]), [*notes, *skipped.notes]


def fill(path: str) -> dict[str, Json]:
    """What a recipe should say of the data at `path`, dotted key -> value: the arrays of an .npz. Raises DataError."""
    from rnncli.data.arrays import read_arrays

    file = Path(path)
    if file.suffix.lower() != ".npz":
        return {}
    arrays = read_arrays(file)
    films = [name for name, array in arrays.items() if array.ndim >= 4]
    if len(films) != 1:
        return {}
    N = len(arrays[films[0]])
    found: dict[str, Json] = {"data.frames": films[0]}
    flat = [name for name, array in arrays.items() if array.shape == (N,) and array.dtype.kind in "uibSU"]
    for key, hint in (("lengths", "len"), ("labels", "")):
        name = next((name for name in flat if hint in name.lower()), None)
        if name is not None:
            found[f"data.{key}"] = name
            flat.remove(name)
    return found
