"""The demo as a plain PyTorch script without rnncli: `--code` prints it, `--classic` executes it. No torch here."""

from __future__ import annotations

import contextlib
import io

from rnncli.cells import CELLS, CoreSpec, core_call, core_source
from rnncli.demos.settings import Settings, option, spec_for
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


_OUTPUT = """\
print('output size:', output.shape)
print(output)  # the top layer's h at every step
print('last states:', last)
"""


def code(settings: Settings) -> str:
    """A script that draws this demo's numbers and prints them like the article.

    One layer and direction of rnn, lstm, gru: the article's loop over a torch *Cell. Several: nn.RNN, nn.LSTM, nn.GRU.
    feedforward, or no nonlinearity, which torch has no class for: the equation. Other cells or options: the source of
    the cell's step. Raises UsageError if there is no script.
    """
    _refuse(settings, "--code", ("source", "input"))
    if _has_class(settings):
        return _head(settings) + (_cell(settings) if settings.single else _module(settings))
    if settings.single and CELLS[settings.cell].closed_form and not any(spec_for(settings).zoneout):
        return _head(settings) + _equation(settings)
    try:
        return _own(settings)
    except ValueError as error:
        raise UsageError(
            tr("--code does not support {cell}: {why}", cell=settings.cell, why=error),
            todo=tr("its step may only use torch and its own file"),
        ) from error


def classic(settings: Settings) -> str:
    """The output of the article's script with this seed, byte for byte: executes the script of `code`.

    Raises UsageError for options that the article's loop over one cell does not support.
    """
    _refuse(settings, "--classic", ("source", "input"))
    unlike = {
        "num_layers": settings.num_layers > 1,
        "bidirectional": settings.bidirectional,
        "cell": CELLS[settings.cell].torch_class is None,
        "nonlinearity": settings.nonlinearity == "none",
        "options": bool(settings.options),
    }
    if any(unlike.values()):
        given = [flag for name, is_unlike in unlike.items() if is_unlike for flag in settings.flags(name)]
        raise UsageError(
            tr("--classic supports only the article's loop over one RNNCell, LSTMCell or GRUCell"),
            todo=tr("omit {option}", option=", ".join(given)),
        )
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code(settings), "demo.py", "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def _refuse(settings: Settings, flag: str, wanted: tuple[str, ...]) -> None:
    for name in (*wanted, "nice"):
        if getattr(settings, name):
            raise UsageError(
                tr("{flag} and {other} cannot be combined", flag=flag, other=option(name)),
                todo=tr("the script draws its numbers from --seed"),
            )


def _has_class(settings: Settings) -> bool:
    return CELLS[settings.cell].torch_class is not None and settings.nonlinearity != "none" and not settings.options


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
    """`.to(...)` after drawing in float32 on the CPU, so that every dtype and device shows the same network."""
    wanted = [repr(s.device)] * (s.device != "cpu") + [f"torch.{s.dtype}"] * (s.dtype != "float32")
    return f".to({', '.join(wanted)})" if wanted else ""


def _arguments(s: Settings) -> str:
    more = ["nonlinearity='relu'"] * (s.nonlinearity == "relu") + ["bias=False"] * (not s.bias)
    return ", ".join(["input_size=input_size", "hidden_size=hidden_size", *more])


def _data(size: str, place: str, lstm: bool = False) -> str:
    """x, and the initial states of this size."""
    memory = f"memory = torch.zeros({size}){place}  # c: an LSTM has two states\n" if lstm else ""
    return f"""
# (seq, batch, features)
dataset = torch.randn(seq_len, batch_size, input_size){place}
hidden = torch.zeros({size}){place}
{memory}"""


def _cell(s: Settings) -> str:
    place, lstm = _place(s), len(spec_for(s).states) > 1
    step = "    hidden, memory = cell(input, (hidden, memory))" if lstm else "    hidden = cell(input, hidden)"
    return f"""
cell = torch.nn.{CELLS[s.cell].torch_class}Cell({_arguments(s)}){place}
{_data("batch_size, hidden_size", place, lstm)}
{_PRINTS.format(step=step)}"""


def _module(s: Settings) -> str:
    place, lstm = _place(s), len(spec_for(s).states) > 1
    directions = ", bidirectional=True" if s.bidirectional else ""
    rows = "num_layers * 2" if s.bidirectional else "num_layers"
    states = "(hidden, memory)" if lstm else "hidden"
    return f"""\
num_layers = {s.num_layers}  # cells stacked on each other; not the sequence length

rnn = torch.nn.{CELLS[s.cell].torch_class}({_arguments(s)}, num_layers=num_layers{directions}){place}
{_data(f"{rows}, batch_size, hidden_size", place, lstm)}
output, {states} = rnn(dataset, {states})

print('output size:', output.shape)
print(output)  # the top layer's h at every step
print('hidden size:', hidden.shape)
print(hidden)  # the last h of every layer and direction
"""


def _own(s: Settings) -> str:
    """Script of a cell without a torch class: its step, its own initialization, and the loop."""
    spec, place = spec_for(s).in_evaluation, _place(s)
    imports, source = core_source(spec, draw=True)
    lines = "\n".join(sorted({*imports, "from types import SimpleNamespace"}))
    head, draw = _head(s), CELLS[s.cell].draw.__name__
    states = ", ".join(
        f"torch.zeros({spec.num_layers * spec.num_directions}, batch_size, *{shape})" for shape in spec.states.values()
    )
    step = f"    now, gates = {CELLS[s.cell].step.__name__}(input, now, weights)\n    hidden = now[0]"
    if s.single and not any(spec.zoneout):
        loop = (
            f"weights = cell.weights()\nnow = tuple(state[0]{place} for state in states)\n\n{_PRINTS.format(step=step)}"
        )
    else:
        loop = f"output, last = cell(dataset, [state{place} for state in states])\n\n{_OUTPUT}"
    return f"""\
from __future__ import annotations

{lines}

{head}

{source.strip()}


# torch has no class for this cell: it is drawn as rnncli draws it
cell = {core_call(spec)}
with torch.no_grad():
    for name, parameter in cell.named_parameters():
        {draw}(name.rpartition("_l")[0], parameter, {_spec_text(spec)})
cell = cell{place}

# (seq, batch, features)
dataset = torch.randn(seq_len, batch_size, input_size){place}
states = [{states}]
{loop}"""


def _spec_text(spec: CoreSpec) -> str:
    options = dict(spec.all_options)
    return f"SimpleNamespace(hidden_size={spec.hidden_size}, num_gates={spec.num_gates}, all_options={options})"


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
{_data("batch_size, hidden_size", place)}
{_PRINTS.format(step=f"    hidden = {step}")}"""
