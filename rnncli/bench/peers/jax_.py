"""Plain JAX: the cells as in rnncli.cells, `jax.lax.scan` over the steps with the input product for all steps computed
before it, one jitted function for everything timed; a whole training step is one, too."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from rnncli.bench.peers.worker import CHECKED, LAYERS, Arrays, Job, Library, Work, loop_results, serve

Weights = dict[str, jax.Array]
State = tuple[jax.Array, ...]
Adam = tuple[Weights, Weights, jax.Array]  # first and second moments, steps so far


def rnn(gates_t: jax.Array, state: State, w: Weights) -> State:
    """gates_t: (B, H), W_ih x_t + b_ih."""
    (h,) = state
    return (jnp.tanh(gates_t + h @ w["weight_hh"].T + w["bias_hh"]),)


def gru(gates_t: jax.Array, state: State, w: Weights) -> State:
    (h,) = state
    x_r, x_z, x_n = jnp.split(gates_t, 3, axis=1)
    h_r, h_z, q = jnp.split(h @ w["weight_hh"].T + w["bias_hh"], 3, axis=1)
    r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + r * q)
    return ((1 - z) * n + z * h,)


def lstm(gates_t: jax.Array, state: State, w: Weights) -> State:
    h, c = state
    i, f, g, o = jnp.split(gates_t + h @ w["weight_hh"].T + w["bias_hh"], 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return (jax.nn.sigmoid(o) * jnp.tanh(c), c)


CELLS = {"rnn": (rnn, 1), "gru": (gru, 1), "lstm": (lstm, 2)}


def layer(cell: str, x: jax.Array, state: State, w: Weights) -> tuple[jax.Array, State]:
    """x (T, B, I) -> output (T, B, H), last state."""
    step, _ = CELLS[cell]
    gates = x @ w["weight_ih"].T + w["bias_ih"]  # (T, B, G·H)

    def one(state: State, gates_t: jax.Array) -> tuple[State, jax.Array]:
        state = step(gates_t, state, w)
        return state, state[0]

    last, output = jax.lax.scan(one, state, gates)
    return output, last


def zeros(cell: str, B: int, H: int) -> State:
    return tuple(jnp.zeros((B, H), jnp.float32) for _ in range(CELLS[cell][1]))


class Layer(Work):
    def __init__(self, work: Job, arrays: Arrays) -> None:
        cell, self.train = work["cell"], work["pass"] == "train"
        state = zeros(cell, work["B"], work["H"])
        self.x, d_output = jnp.asarray(arrays["x"]), jnp.asarray(arrays["d_output"])
        self.w = {name: jnp.asarray(value) for name, value in arrays.items() if name[:4] in ("weig", "bias")}

        def forward(x: jax.Array, w: Weights) -> jax.Array:
            return layer(cell, x, state, w)[0]

        def backward(x: jax.Array, w: Weights) -> tuple[jax.Array, jax.Array, Weights]:
            output, back = jax.vjp(forward, x, w)
            return output, *back(d_output)

        self.run = jax.jit(backward if self.train else forward)
        self.found: jax.Array | tuple[jax.Array, jax.Array, Weights] | None = None

    def once(self) -> None:
        self.found = jax.block_until_ready(self.run(self.x, self.w))

    def results(self) -> Arrays:
        self.once()
        assert self.found is not None
        if not self.train:
            return {"output": np.asarray(self.found)}
        output, d_x, d_w = self.found
        found = {"output": np.asarray(output), "d_x": np.asarray(d_x)}
        return found | {f"d_{name}": np.asarray(value) for name, value in d_w.items()}


class Loop(Work):
    """Adam as in torch.optim, written out; buffers are donated, so nothing is copied."""

    def __init__(self, work: Job, arrays: Arrays) -> None:
        self.work = work
        self.windows = [
            (jnp.asarray(inputs, jnp.int32), jnp.asarray(targets, jnp.int32))
            for inputs, targets in zip(arrays["inputs"], arrays["targets"], strict=True)
        ]
        self.first = {name: value for name, value in arrays.items() if name not in ("inputs", "targets")}
        self.step = jax.jit(self._update, donate_argnums=(0, 1))
        self.begin()

    def begin(self) -> None:
        self.w = {name: jnp.array(value) for name, value in self.first.items()}
        still = {name: jnp.zeros_like(value) for name, value in self.w.items()}
        self.adam = (still, {name: jnp.zeros_like(value) for name, value in self.w.items()}, jnp.zeros(()))

    def _scores(self, w: Weights, inputs: jax.Array) -> jax.Array:
        x = w["embedding"][inputs]  # (T, B, H)
        state = zeros(self.work["cell"], self.work["B"], self.work["H"])
        for k in range(LAYERS):
            mine = {name[:-3]: value for name, value in w.items() if name.endswith(f"_l{k}")}
            x, _ = layer(self.work["cell"], x, state, mine)
        return x @ w["head_weight"].T + w["head_bias"]

    def _loss(self, w: Weights, inputs: jax.Array, targets: jax.Array) -> jax.Array:
        logs = jax.nn.log_softmax(self._scores(w, inputs))
        return -jnp.take_along_axis(logs, targets[..., None], axis=2).mean()

    def _update(self, w: Weights, adam: Adam, inputs: jax.Array, targets: jax.Array) -> tuple[Weights, Adam, jax.Array]:
        loss, d_w = jax.value_and_grad(self._loss)(w, inputs, targets)
        m, v, t = adam
        t = t + 1
        m = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, m, d_w)
        v = jax.tree.map(lambda a, g: 0.999 * a + 0.001 * g * g, v, d_w)
        rate, root = self.work["lr"] / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
        w = jax.tree.map(lambda p, a, b: p - rate * a / (jnp.sqrt(b) / root + 1e-8), w, m, v)
        return w, (m, v, t), loss

    def once(self) -> None:
        self.train(len(self.windows))

    def train(self, updates: int) -> list[float]:
        """Losses are read at the end: JAX runs asynchronously, which is how it is meant to be used."""
        losses = []
        for inputs, targets in self.windows[:updates]:
            self.w, self.adam, loss = self.step(self.w, self.adam, inputs, targets)
            losses.append(loss)
        return [float(loss) for loss in jax.block_until_ready(losses)]

    def results(self) -> Arrays:
        self.begin()
        scores = self._scores(self.w, self.windows[0][0])
        return loop_results(self.train(CHECKED), np.asarray(scores))


class Jax(Library):
    def versions(self) -> dict[str, str]:
        return {"jax": jax.__version__}

    def layer(self, work: Job, arrays: Arrays) -> Work:
        return Layer(work, arrays)

    def loop(self, work: Job, arrays: Arrays) -> Work:
        return Loop(work, arrays)


if __name__ == "__main__":
    serve(Jax)
