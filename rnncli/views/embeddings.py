"""embeddings: similar tokens: nearest neighbours by cosine, and a plot in two dimensions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rnncli.cells import spec_of, weights_of
from rnncli.errors import UsageError
from rnncli.locale import tr, trn
from rnncli.nn.frontends import OneHot
from rnncli.records import Column, Entry, Message, Record, Table
from rnncli.render.lines import cells
from rnncli.render.numbers import percent
from rnncli.views._subject import Subject
from rnncli.views._view import Options

GROUP = "what is in it"
ABOUT = "nearest neighbours of tokens by cosine, and a 2D plot"
NEEDS: frozenset[str] = frozenset({"tokens"})
OPTIONS = frozenset({"units", "input", "sample"})
ROWS = 1

NEAREST = 3
SHOWN = 12
PICTURE = (60, 14)  # characters
PLACED = 60  # tokens in the plot


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    table, name, tokens = vectors(subject)
    numbers = _chosen(subject, options, tokens)
    wide = table.double()
    unit = wide / wide.norm(dim=1, keepdim=True).clamp(min=1e-30)
    shape = f"({table.shape[0]}, {table.shape[1]})"
    records: list[Record] = [Message(tr("{name} {shape}: one row per token", name=name, shape=shape), name="table")]
    rows: list[list[Entry]] = []
    for number in numbers:
        cosine = unit @ unit[number]
        cosine[number] = -2.0  # exclude the token itself
        best = cosine.topk(min(NEAREST, len(tokens) - 1))
        row: list[Entry] = [tokens[number], float(wide[number].norm())]
        for value, other in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            row += [tokens[other], value]
        rows.append(row)
    columns = [Column("token", tr("token"), "code"), Column("norm", tr("norm"))]
    for k in range(min(NEAREST, len(tokens) - 1)):
        group = tr("nearest by cosine")
        columns += [Column(f"near{k + 1}", "", "code", group=group), Column(f"cosine{k + 1}", "", group=group)]
    records.append(Table("neighbours", columns, rows, cut_rows=SHOWN))
    places, explained = plane(wide)
    drawn = numbers if options.units is not None else list(range(min(len(tokens), PLACED)))
    title = tr("principal components, {share} of the variance", share=percent(explained))
    records += [Message(title, "note", name="plane"), Message(picture(places, tokens, drawn), "code", name="picture")]
    return records


def vectors(subject: Subject) -> tuple[Tensor, str, list[str]]:
    """The table (V, size), its name, and the tokens. For one-hot models it is W_ih, because a token selects one
    column."""
    known = subject.names.inputs
    for path, module in subject.model.named_modules():
        if isinstance(module, nn.Embedding) and (known is None or module.num_embeddings == len(known)):
            names = list(known) if known is not None else [str(k) for k in range(module.num_embeddings)]
            return module.weight.detach(), f"{path}.weight", names
    if known is not None and any(isinstance(module, OneHot) for module in subject.model.modules()):
        for path, module in subject.model.named_modules():
            spec = spec_of(module)
            if spec is not None and spec.input_size == len(known):
                name = tr("columns of {core}.weight_ih_l0", core=path)
                return weights_of(module).weight_ih.detach().T, name, list(known)
    for name, table in subject.tables.items():
        return table.detach(), name, [str(k) for k in range(len(table))]
    raise UsageError(tr("this model has no token embedding"))


def _chosen(subject: Subject, options: Options, tokens: list[str]) -> list[int]:
    """Token ids to show: those of --units, else the distinct ones of the sample, else the first."""
    if options.units is not None:
        for number in options.units:
            if not 0 <= number < len(tokens):
                raise UsageError(tr("no token {n}", n=number), where="--units")
        return list(options.units)
    ids = subject.batch.inputs
    if subject.names.inputs is None or ids.is_floating_point():
        return list(range(min(SHOWN, len(tokens))))
    return list(dict.fromkeys(ids[:, 0].tolist()))


def plane(table: Tensor) -> tuple[Tensor, float]:
    """(V, size) -> its first two principal components (V, 2), and their share of the variance."""
    centred = table.double() - table.double().mean(0)
    if not bool(centred.isfinite().all()):
        return torch.zeros(len(table), 2), 0.0
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    two = min(2, len(s))
    places = torch.zeros(len(table), 2, dtype=torch.double)
    places[:, :two] = u[:, :two] * s[:two]
    # signs are arbitrary: put the farthest token of each axis on the positive side, so that the plot is deterministic
    for axis in range(two):
        far = int(places[:, axis].abs().argmax())
        places[:, axis] *= 1 if places[far, axis] >= 0 else -1
    total = float(s.square().sum())
    return places, float(s[:two].square().sum()) / total if total else 0.0


def picture(places: Tensor, tokens: list[str], drawn: list[int]) -> str:
    """Tokens at their positions on a character grid; a token whose position is taken is omitted."""
    width, height = PICTURE[0], min(PICTURE[1], 4 + len(drawn))
    points = places[drawn]
    low, high = points.amin(0), points.amax(0)
    reach = (high - low).clamp(min=1e-30)
    grid = [[" "] * width for _ in range(height)]
    left_out = 0
    for number, (x, y) in zip(drawn, ((points - low) / reach).tolist(), strict=True):
        word = {" ": "␣", "\n": "↵", "\t": "⇥"}.get(tokens[number], tokens[number])
        taken = cells(word)
        column, line = round(x * max(0, width - taken)), round((1 - y) * (height - 1))
        if any(mark != " " for mark in grid[line][max(0, column - 1) : column + taken + 1]) or taken > width:
            left_out += 1
            continue
        grid[line][column : column + taken] = [word, *[""] * (taken - 1)]
    lines = ["".join(line).rstrip() for line in grid]
    if left_out:
        lines.append(trn("({n} token omitted: no room)", "({n} tokens omitted: no room)", n=left_out))
    return "\n".join(lines)
