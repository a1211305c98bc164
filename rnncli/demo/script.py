"""The demo as a plain PyTorch script: `--code` prints it, `--classic` executes it. No rnncli in it, no torch here."""

from __future__ import annotations

import contextlib
import io

from rnncli.cells import CELLS
from rnncli.demo.settings import Settings, option, spec_for
from rnncli.errors import UsageError
from rnncli.locale import tr

_PRINTS = """\
for idx, input in enumerate(dataset):
    print('=' * 20, idx, '=' * 20)
    print('Input size:', input.shape)

{step}

    print('outputs size: ', hidden.shape)
    print(hidden)
"""


def code(settings: Settings) -> str:
    """A script that draws the numbers of this demo and prints them as the article does.

    One layer and direction of rnn, lstm, gru: the article's loop over a torch *Cell. Several: nn.RNN and its sisters.
    feedforward, or no nonlinearity, where torch has no class: the equation. Raises UsageError for what has no script.
    """
    _refuse(settings, "--code", ("source", "input"))
    if _has_class(settings):
        return _head(settings) + (_cell(settings) if settings.single else _module(settings))
    if not settings.single or not CELLS[settings.cell].closed_form:
        raise UsageError(
            tr("--code has no script for several layers or directions of this cell"),
            todo=tr("torch has no class for it; leave out --num-layers and --bidirectional"),
        )
    return _head(settings) + _equation(settings)


def classic(settings: Settings) -> str:
    """What the article's script prints with this seed, byte for byte: the script of `code`, executed.

    Raises UsageError for what the article's loop over one cell cannot be.
    """
    _refuse(settings, "--classic", ("source", "input"))
    if not (_has_class(settings) and settings.single):
        raise UsageError(
            tr("--classic is the article's loop over one RNNCell, LSTMCell or GRUCell"),
            todo=tr("leave out --num-layers, --bidirectional, feedforward and --nonlinearity none"),
        )
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code(settings), "demo.py", "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def _refuse(settings: Settings, flag: str, wanted: tuple[str, ...]) -> None:
    for name in (*wanted, "nice"):
        if getattr(settings, name):
            raise UsageError(
                tr("{flag} does not go with {other}", flag=flag, other=option(name)),
                todo=tr("the script draws its own numbers by --seed"),
            )


def _has_class(settings: Settings) -> bool:
    return CELLS[settings.cell].torch_class is not None and settings.nonlinearity != "none"


def _head(s: Settings) -> str:
    return f"""\
import torch

torch.manual_seed({s.seed})  # the article sets no seed

batch_size = {s.batch_size}
seq_len = {s.seq_len}
input_size = {s.input_size}
hidden_size = {s.hidden_size}
"""


def _place(s: Settings) -> str:
    """`.to(...)` after the drawing, which is in float32 on the CPU: so every dtype and device shows one network."""
    wanted = [repr(s.device)] * (s.device != "cpu") + [f"torch.{s.dtype}"] * (s.dtype != "float32")
    return f".to({', '.join(wanted)})" if wanted else ""


def _arguments(s: Settings) -> str:
    more = ["nonlinearity='relu'"] * (s.nonlinearity == "relu") + ["bias=False"] * (not s.bias)
    return ", ".join(["input_size=input_size", "hidden_size=hidden_size", *more])


def _cell(s: Settings) -> str:
    place, lstm = _place(s), len(spec_for(s).states) > 1
    step = "    hidden, memory = cell(input, (hidden, memory))" if lstm else "    hidden = cell(input, hidden)"
    memory = f"memory = torch.zeros(batch_size, hidden_size){place}  # c: an LSTM has two states\n" if lstm else ""
    return f"""
cell = torch.nn.{CELLS[s.cell].torch_class}Cell({_arguments(s)}){place}

# (seq, batch, features)
dataset = torch.randn(seq_len, batch_size, input_size){place}
hidden = torch.zeros(batch_size, hidden_size){place}
{memory}
{_PRINTS.format(step=step)}"""


def _module(s: Settings) -> str:
    place, lstm = _place(s), len(spec_for(s).states) > 1
    directions = ", bidirectional=True" if s.bidirectional else ""
    rows = "num_layers * 2" if s.bidirectional else "num_layers"
    memory = (
        f"memory = torch.zeros({rows}, batch_size, hidden_size){place}  # c: an LSTM has two states\n" if lstm else ""
    )
    states = "(hidden, memory)" if lstm else "hidden"
    return f"""\
num_layers = {s.num_layers}  # cells stacked on each other; not the sequence length

rnn = torch.nn.{CELLS[s.cell].torch_class}({_arguments(s)}, num_layers=num_layers{directions}){place}

# (seq, batch, features)
dataset = torch.randn(seq_len, batch_size, input_size){place}
hidden = torch.zeros({rows}, batch_size, hidden_size){place}
{memory}
output, {states} = rnn(dataset, {states})

print('output size:', output.shape)
print(output)  # the top layer's h at every step
print('hidden size:', hidden.shape)
print(hidden)  # the last h of every layer and direction
"""


def _equation(s: Settings) -> str:
    place, memory = _place(s), CELLS[s.cell].recurrent_weight
    drawn = [("weight_ih", "hidden_size, input_size")]
    drawn += [("weight_hh", "hidden_size, hidden_size")] * memory
    drawn += [("bias_ih", "hidden_size"), ("bias_hh", "hidden_size")] * s.bias
    lines = "\n".join(f"{name} = torch.empty({shape}).uniform_(-bound, bound){place}" for name, shape in drawn)
    terms = ["input @ weight_ih.T", *["hidden @ weight_hh.T"] * memory, *["bias_ih", "bias_hh"] * s.bias]
    total = " + ".join(terms)
    step = {"tanh": f"torch.tanh({total})", "relu": f"torch.relu({total})", "none": total}[s.nonlinearity]
    return f"""
# torch has no class for this cell: drawn as RNNCell draws its own
bound = hidden_size**-0.5
{lines}

# (seq, batch, features)
dataset = torch.randn(seq_len, batch_size, input_size){place}
hidden = torch.zeros(batch_size, hidden_size){place}

{_PRINTS.format(step=f"    hidden = {step}")}"""
