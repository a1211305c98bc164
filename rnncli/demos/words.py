"""Texts of a demo: header, equations, the meaning of the proofs, next commands."""

from __future__ import annotations

from rnncli import records
from rnncli.cells import CELLS, REGULARIZERS
from rnncli.demos.network import Network, is_linear
from rnncli.demos.proofs import Memory, linear_parameters
from rnncli.demos.settings import WRITTEN, Settings, Shown, characters_of
from rnncli.locale import sentences, tr, trn
from rnncli.render.numbers import number
from rnncli.render.symbols import token

LONGEST = 44  # longest command that fits next to its description in 80 columns
SHOWN_CHARACTERS = 12  # characters of the vocabulary of --input shown in the header


def title(net: Network) -> str:
    if not net.settings.single:
        return str(net.spec)
    core = str(net.spec) if CELLS[net.settings.cell].torch_class is None else str(net.spec).replace("(", "Cell(", 1)
    return trn("{core}, {n} parameter", "{core}, {n} parameters", core=core, n=net.spec.num_parameters())


def sheet_lines(net: Network, shown: Shown) -> list[records.Record]:
    """For a worksheet, a line for a name; below a custom title, what is computed."""
    found = []
    if shown.blanks:
        found.append(records.Message(f"{tr('Name:')} {'_' * 34}   {tr('Date:')} {'_' * 14}", name="name"))
    if shown.title:
        found.append(records.Message(title(net), name="cell"))
    return [*found]


def head_lines(net: Network) -> records.Message:
    """The shapes, the initial h, and the parameter count as a formula."""
    s = net.settings
    first = "" if s.single else f"L·D={len(net.places())}, "
    zeros = not any(bool(tensor.any()) for tensor in net.state)
    start = tr("h starts at zeros") if zeros else tr("h starts from the given h_0")
    lines = [
        f"x (T={s.seq_len}, B={s.batch_size}, I={s.input_size})   "
        f"h ({first}B={s.batch_size}, H={s.hidden_size}), {start}",
        trn("{n} parameter = {sum}", "{n} parameters = {sum}", n=net.spec.num_parameters(), sum=_count(net)),
    ]
    if s.input is not None:
        vocabulary = characters_of(s.input)
        listed = " ".join(token(character) for character in vocabulary[:SHOWN_CHARACTERS])
        lines[0] += "   " + tr(
            "characters: {characters}", characters=listed + (" ..." if len(vocabulary) > SHOWN_CHARACTERS else "")
        )
    if net.drawn:
        names = ", ".join(net.drawn)
        lines.append(tr("drawn from seed {seed} (not in {file}): {names}", file=s.source, seed=s.seed, names=names))
    return records.Message("\n".join(lines), name="shapes")


def answers(net: Network) -> list[records.Record]:
    """For several layers: num_layers is not the sequence length."""
    s = net.settings
    if s.num_layers == 1:
        return []
    text = tr(
        "No: num_layers stacks {L} cells at each step; the sequence length is T={T}.", L=s.num_layers, T=s.seq_len
    )
    return [records.Message(text, "answer", "answer")]


def _count(net: Network) -> str:
    """`W_ih 2·4 + W_hh 2·2 + b_ih 2 + b_hh 2`; several layers as D·(G·H·(in + H) + 2·G·H) each."""
    s, spec = net.settings, net.spec
    rows = f"{spec.num_gates}·{s.hidden_size}" if spec.num_gates > 1 else f"{s.hidden_size}"
    every = spec.num_gates * s.hidden_size
    if s.single:
        counts = []
        for name, (first, *more) in spec.parameter_shapes(0).items():
            head = rows if first == every else str(first)
            counts.append(f"{WRITTEN.get(name, name)} {'·'.join([head, *map(str, more)])}")
        return " + ".join(counts)
    parts: list[str] = []
    for layer in range(s.num_layers):
        shapes = list(spec.parameter_shapes(layer).values())
        columns = " + ".join(str(shape[1]) for shape in shapes if shape[0] == every and len(shape) == 2)
        biases = [f"{shapes.count((every,))}·{rows}"] * ((every,) in shapes)
        others = ["·".join(map(str, shape)) for shape in shapes if shape[0] != every or len(shape) > 2]
        one = " + ".join([f"{rows}·({columns})", *biases, *others])
        parts.append(f"2·({one})" if s.bidirectional else one)
    if s.num_layers > 2:  # all layers but the first are the same size
        parts = [parts[0], f"{s.num_layers - 1}·({parts[1]})"]
    return " + ".join(parts)


def formulas(net: Network) -> records.Message:
    """The equations of one step."""
    s, cell = net.settings, CELLS[net.settings.cell]
    text = net.spec.equation if cell.formulas is None else cell.formulas(net.spec)
    if not cell.stateful:
        text += "   " + tr("without W_hh there is no memory")
    elif memory_term(net) and s.single and s.input is None:
        text += "   " + tr("W_hh·h_(t-1): the memory")
    if is_linear(net.spec) and s.single:
        text += "\n" + tr("= the sum of W_hh^(t-k)·W_ih·x_k: one linear map for any T (--proofs)")
    lines = [text, *([net.spec.zoned_words] if cell.formulas is not None and net.spec.zoned_words else [])]
    idle = ", ".join(name for name in net.spec.regularizers if name in REGULARIZERS[:2])
    if idle:
        lines.append(tr("{names}: only applied in training, not here", names=idle))
    return records.Message("\n".join(lines), "formula", "equations")


def memory_term(net: Network) -> bool:
    """Whether the past enters through one product, W_hh·h_(t-1)."""
    cell = CELLS[net.settings.cell]
    return cell.recurrent_weight and not cell.gates


def grid_words(net: Network) -> records.Message:
    s, D = net.settings, net.spec.num_directions
    sizes = f"{s.seq_len}·{s.num_layers}·{D}"
    n = s.seq_len * s.num_layers * D
    lines = [trn("T·L·D = {sizes} = {n} cell step", "T·L·D = {sizes} = {n} cell steps", sizes=sizes, n=n)]
    more = []
    if s.num_layers > 1:
        more.append(
            tr("layer 1 reads both directions of layer 0") if s.bidirectional else tr("layer 1 reads the h of layer 0")
        )
    if s.bidirectional:
        more.append(tr("← starts at the last step"))
    if CELLS[s.cell].gates:
        more.append(tr("gates: --full"))
    return records.Message("\n".join([*lines, "; ".join(more)]), "note", "grid")


def proof_words(net: Network, memory: Memory | None) -> records.Message:
    """Explanations of the proofs."""
    found = []
    if net.settings.bias and linear_parameters(net) < net.spec.num_parameters():
        n, m = net.spec.num_parameters(), linear_parameters(net)
        found.append(tr("{n} parameters, but {m} would suffice: b_ih and b_hh are only added. torch has both because "
                        "cuDNN does.", n=f"{n:,}", m=f"{m:,}"))  # fmt: skip
        if CELLS[net.settings.cell].two_biases(net.spec):
            found.append(tr("In n both are needed: r multiplies b_hn but not b_in."))
    if memory is not None and CELLS[net.settings.cell].stateful:
        found.append(
            tr(
                "Without W_hh, whatever came before, x_{t} gives the same h_{t}. Here a different past changes h_{t} "
                "by {moved}.",
                t=net.settings.seq_len - 1,
                moved=number(memory.moved),
            )
        )
    return records.Message(sentences(found), name="meaning")


def explain_words(net: Network) -> records.Message:
    """Answers to questions the article leaves open, one sentence each."""
    s, cell = net.settings, CELLS[net.settings.cell]
    lines = [
        tr(
            "On paper x_t is a column of {numbers}; it prints as [{B}, {I}] because torch has a row for every sample "
            "and computes x_t·W^T, the transpose of W·x_t.",
            numbers=trn("{n} number", "{n} numbers", n=s.input_size),
            I=s.input_size,
            B=s.batch_size,
        ),
    ]
    fed_back = cell.recurrent_weight or not cell.stateful
    if fed_back:
        lines.append(
            tr(
                "The article calls h the output because a recurrent cell has no other: the output of step t is the "
                "state that step t+1 reads. A layer after it (a Linear) makes the prediction."
            )
        )
    if {"bias_ih", "bias_hh"} <= net.spec.parameter_shapes(0).keys():
        lines.append(
            tr("Two biases: b_ih and b_hh are only added, so one would suffice; torch has two because cuDNN does.")
            if not cell.two_biases(net.spec)
            else tr("Two biases: in r and z they are only added; in n, r multiplies b_hn but not b_in.")
        )
    shared = tr("Shared: every step uses the same W and b; only x_t and h_(t-1) change from step to step.")
    if not fed_back:
        shared = tr("Shared: every step uses the same W and b; only x_t and the memory change from step to step.")
    lines.append(shared)
    return records.Message("\n".join(lines), "note", "open-questions")


def warnings_of(net: Network) -> list[records.Record]:
    """A warning about given numbers that are nan or infinite, with their locations."""
    if not net.not_finite:
        return []
    places = ", ".join(net.not_finite[:3]) + (", ..." if len(net.not_finite) > 3 else "")
    text = tr("{places} contains nan or inf, which spreads to everything computed from it", places=places)
    return [records.Message(text, "warning", "not-finite")]


def next_commands(net: Network) -> records.Commands:
    """The next commands: all if the screen has room, otherwise the first."""
    s = net.settings
    step = min(1, s.seq_len - 1)
    found = [(s.command("--explain", str(step)), tr("the sums of step {t} in full", t=step))]
    room = s.single and not CELLS[s.cell].gates and s.seq_len * s.batch_size <= 5 and len(found[0][0]) <= LONGEST
    if room:
        if s.input is None and s.source is None and not s.nice:
            found.append((s.command("--code"), tr("this as a plain PyTorch script")))
        if s.command() == Settings().command():
            found.append((s.command("--classic"), tr("exactly what the article's script prints")))
        found.append((s.command("--draw"), tr("the network as a picture")))
        found.append((s.command("--proofs"), tr("every proof in detail")))
        found.append(("rnncli train hello", tr("train a network")))
    return records.Commands(tr("next"), found)
