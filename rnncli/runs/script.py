"""`train RECIPE --code`: the recipe as a plain torch script without rnncli, with equal losses."""

from __future__ import annotations

from typing import Any

from rnncli.cells import CELLS
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.nn.recurrent import spec_of_section
from rnncli.tasks import Recipe


def code(recipe: Recipe) -> str:
    """A script that initializes the recipe's weights, trains like `train`, and prints each epoch's loss.

    For tagging with inline pairs of one length in one batch, as the hello recipes have: engine: loop becomes a loop
    over torch.nn.RNNCell, every other engine becomes torch.nn.RNN, GRU or LSTM. Raises UsageError for other recipes.
    """
    config: Any = recipe.config
    _refuse(config)
    splits = recipe.task.read(config)
    tokens = list(recipe.task.label_names(config, splits.fitted).inputs or ())
    batch = next(iter(recipe.task.batches(config, splits.train, None)))
    assert batch.targets is not None
    name, arguments = config.train.optimizer_call()
    options = "".join(f", {key}={value!r}" for key, value in arguments.items())
    clip = ""
    if config.train.clip_grad_norm:
        clip = f"    torch.nn.utils.clip_grad_norm_(model.parameters(), {config.train.clip_grad_norm!r})\n"
    return f"""\
import torch

torch.manual_seed({config.train.seed})

idx2char = {tokens!r}
x_data = {batch.inputs.tolist()}  # (seq_len, batch_size)
y_data = {batch.targets.tolist()}

inputs = torch.tensor(x_data)
labels = torch.tensor(y_data)
num_class = len(idx2char)
input_size = {config.model.embedding_size if config.model.input == "embedding" else "num_class"}
hidden_size = {config.model.hidden_size}
{_model(config)}

model = Model()
criterion = torch.nn.CrossEntropyLoss()
optimizer = torch.optim.{name}(model.parameters(){options})

for epoch in range({config.train.epochs}):
    scores = model(inputs)  # (seq_len, batch_size, num_class)
    loss = criterion(scores.reshape(-1, num_class), labels.reshape(-1))
    optimizer.zero_grad()
    loss.backward()
{clip}    optimizer.step()
    answer = ''.join(idx2char[k] for k in scores.argmax(dim=2)[:, 0])
    print(f'epoch {{epoch + 1}}  loss {{loss.item():.6f}}  {{answer}}')
"""


def _model(config: Any) -> str:
    """The class Model: front end, core and head, initialized in this order."""
    model = config.model
    embedding = model.input == "embedding"
    front = "        self.emb = torch.nn.Embedding(num_class, input_size)\n" if embedding else ""
    lookup = "self.emb(inputs)" if embedding else "torch.nn.functional.one_hot(inputs, num_class).float()"
    options = "".join(
        text
        for text, wanted in ((", nonlinearity='relu'", model.nonlinearity == "relu"), (", bias=False", not model.bias))
        if wanted
    )
    kind, several = CELLS[model.cell].torch_class, len(spec_of_section(model, 1).states) > 1
    output = "hidden_size * 2" if model.bidirectional else "hidden_size"
    head = f"        self.fc = torch.nn.Linear({output}, num_class)\n" if model.head == "linear" else ""
    result = "self.fc(output)" if model.head == "linear" else "output  # h_t is the score"
    if model.engine == "loop" and model.num_layers == 1 and not model.bidirectional:
        core = f"        self.cell = torch.nn.{kind}Cell(input_size, hidden_size{options})\n"
        zeros = "torch.zeros(inputs.shape[1], hidden_size)"
        state = f"({zeros}, {zeros})" if several else zeros
        step = "hidden[0]" if several else "hidden"
        run = f"""\
        hidden = {state}
        outputs = []
        for x_t in x:  # one call of the cell per step
            hidden = self.cell(x_t, hidden)
            outputs.append({step})
        output = torch.stack(outputs)  # (seq_len, batch_size, hidden_size)
"""
    else:
        if model.num_layers > 1:
            options = f", num_layers={model.num_layers}{options}"
        if model.bidirectional:
            options += ", bidirectional=True"
        core = f"        self.rnn = torch.nn.{kind}(input_size, hidden_size{options})\n"
        run = "        output, hidden = self.rnn(x)  # the initial hidden state is zero\n"
    return f"""

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
{front}{core}{head}
    def forward(self, inputs):
        x = {lookup}  # (seq_len, batch_size, input_size)
{run}        return {result}
"""


def _refuse(config: Any) -> None:
    """Raise UsageError for settings that the script does not support."""
    todo = tr("for example: rnncli train hello --code, hello-cell, hello-embedding")
    if config.task != "tagging" or config.data.pairs is None:
        raise UsageError(tr("--code is for recipes with inline pairs"), where="data.pairs", todo=todo)
    model, train = config.model, config.train
    if len({len(given) for given, _ in config.data.pairs}) > 1 or len(config.data.pairs) > train.batch_size:
        raise UsageError(tr("--code needs pairs of one length, in one batch"), where="data.pairs", todo=todo)
    kept = {
        "model.cell": CELLS[model.cell].torch_class is not None,
        "model.nonlinearity": model.nonlinearity != "none",
        "model.input": model.input in ("one-hot", "embedding"),
        "model.head": model.head in ("linear", "none"),
        "model.dropout": not model.dropout,
        "model.proj_size": not model.proj_size,
        "train.schedule": train.schedule == "none",
        "train.dtype": train.dtype == "float32",
        "train.precision": train.precision == "float32",
        "train.max_steps": not train.max_steps,
    }
    for key, fine in kept.items():
        if not fine:
            raise UsageError(tr("--code does not support {key}", key=key), where=key, todo=todo)
