"""torch in a short script: nn.RNN, nn.GRU, nn.LSTM, cross_entropy, Adam. The reference of every comparison."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncli.bench.peers.worker import CHECKED, LAYERS, Arrays, Job, Library, Work, loop_results, serve

CLASSES: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class Layer(Work):
    def __init__(self, work: Job, arrays: Arrays) -> None:
        self.train = work["pass"] == "train"
        self.core = CLASSES[work["cell"]](work["H"], work["H"])
        self.core.load_state_dict(
            {f"{name}_l0": torch.from_numpy(value) for name, value in arrays.items() if name[:4] in ("weig", "bias")}
        )
        self.core.train(self.train)
        self.x = torch.from_numpy(arrays["x"]).requires_grad_(self.train)
        self.d_output = torch.from_numpy(arrays["d_output"])
        self.output = torch.empty(0)

    def run(self) -> Tensor:
        output: Tensor = self.core(self.x)[0]
        return output

    def once(self) -> None:
        if not self.train:
            with torch.no_grad():
                self.output = self.run()
            return
        self.x.grad = None
        self.core.zero_grad()
        self.output = self.run()
        self.output.backward(self.d_output)

    def results(self) -> Arrays:
        self.once()
        found = {"output": self.output.detach().numpy()}
        if self.train:
            gradients = {name.removesuffix("_l0"): weight.grad for name, weight in self.core.named_parameters()}
            found |= {f"d_{name}": grad.numpy() for name, grad in gradients.items() if grad is not None}
            found["d_x"] = self.x.grad.numpy() if self.x.grad is not None else found["output"]
        return found


class Character(nn.Module):
    """Embedding(V, H), two layers, Linear(H, V)."""

    def __init__(self, cell: str, V: int, H: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, H)
        self.rnn = CLASSES[cell](H, H, LAYERS)
        self.head = nn.Linear(H, V)

    def forward(self, inputs: Tensor) -> Tensor:
        output, _ = self.rnn(self.embedding(inputs))
        scores: Tensor = self.head(output)
        return scores


def weights(arrays: Arrays) -> dict[str, Tensor]:
    """The state_dict of `Character`."""
    found = {"embedding.weight": arrays["embedding"], "head.weight": arrays["head_weight"]}
    found["head.bias"] = arrays["head_bias"]
    found |= {f"rnn.{name}": value for name, value in arrays.items() if name[-3:-1] == "_l"}
    return {name: torch.from_numpy(value) for name, value in found.items()}


class Loop(Work):
    """An epoch: every window once, each from state 0, continuing with the current weights."""

    def __init__(self, work: Job, arrays: Arrays) -> None:
        self.work, self.arrays = work, arrays
        self.inputs = torch.from_numpy(arrays["inputs"])  # (updates, T, B)
        self.targets = torch.from_numpy(arrays["targets"])
        self.begin()

    def begin(self) -> None:
        self.model = Character(self.work["cell"], self.work["V"], self.work["H"])
        self.model.load_state_dict(weights(self.arrays))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.work["lr"])

    def once(self) -> None:
        self.train(len(self.inputs))

    def train(self, updates: int) -> list[float]:
        losses = []
        for inputs, targets in zip(self.inputs[:updates], self.targets[:updates], strict=True):
            scores = self.model(inputs)
            loss = F.cross_entropy(scores.flatten(0, 1), targets.flatten())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return losses

    def results(self) -> Arrays:
        self.begin()
        with torch.no_grad():
            scores = self.model(self.inputs[0])
        found = loop_results(self.train(CHECKED), scores.numpy())
        self.begin()
        for name, weight in self.model.rnn.named_parameters():
            weight.requires_grad_(not name.startswith("bias_hh"))
        found |= loop_results(self.train(CHECKED), scores.numpy(), one_bias=True)
        self.begin()
        return found


class Torch(Library):
    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}

    def layer(self, work: Job, arrays: Arrays) -> Work:
        return Layer(work, arrays)

    def loop(self, work: Job, arrays: Arrays) -> Work:
        return Loop(work, arrays)


if __name__ == "__main__":
    serve(Torch)
