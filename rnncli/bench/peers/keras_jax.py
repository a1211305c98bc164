"""Keras 3 on JAX: keras.layers.SimpleRNN, GRU and LSTM; the training loop is `model.fit` as users call it.

Keras stores weights transposed, has one bias where torch has two (GRU: two), and orders a GRU's gates z, r, n. Its
layers are (B, T, .); the data is transposed before timing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import keras
import numpy as np
import numpy.typing as npt

from rnncli.bench.peers.worker import CHECKED, LAYERS, Arrays, Job, Library, Work, loop_results, serve

Array = npt.NDArray[np.float32]
Found = tuple[jax.Array, jax.Array, list[jax.Array]]  # the output, and the gradients of x and of the weights

CLASSES = {"rnn": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}


def turned(cell: str, weight: Array) -> Array:
    """Reorder rows gate by gate from torch's order to Keras's, or back: r, z, n <-> z, r, n."""
    if cell != "gru":
        return weight
    r, z, n = np.split(weight, 3)
    return np.concatenate((z, r, n))


def to_keras(cell: str, w: Arrays) -> list[Array]:
    """weight_ih, weight_hh, bias_ih, bias_hh -> kernel (I, G·H), recurrent kernel (H, G·H), bias."""
    b_ih, b_hh = turned(cell, w["bias_ih"]), turned(cell, w["bias_hh"])
    bias = np.stack((b_ih, b_hh)) if cell == "gru" else b_ih + b_hh
    return [turned(cell, w["weight_ih"]).T, turned(cell, w["weight_hh"]).T, bias]


def from_keras(cell: str, gradients: Sequence[jax.Array]) -> Arrays:
    """The gradients under torch's names."""
    kernel, recurrent, bias = (np.asarray(gradient) for gradient in gradients)
    b_ih, b_hh = bias if cell == "gru" else (bias, bias)
    found = {"weight_ih": kernel.T, "weight_hh": recurrent.T, "bias_ih": b_ih, "bias_hh": b_hh}
    return {f"d_{name}": turned(cell, value) for name, value in found.items()}


class Layer(Work):
    def __init__(self, work: Job, arrays: Arrays) -> None:
        self.cell, self.train = work["cell"], work["pass"] == "train"
        layer = CLASSES[self.cell](work["H"], return_sequences=True)
        layer.build((work["B"], work["T"], work["H"]))
        layer.set_weights(to_keras(self.cell, arrays))
        self.weights = [variable.value for variable in layer.trainable_variables]
        rest = [variable.value for variable in layer.non_trainable_variables]
        self.x = jax.numpy.asarray(arrays["x"].transpose(1, 0, 2))
        d_output = jax.numpy.asarray(arrays["d_output"].transpose(1, 0, 2))

        def forward(x: jax.Array, weights: list[jax.Array]) -> jax.Array:
            return layer.stateless_call(weights, rest, x, training=self.train)[0]

        def backward(x: jax.Array, weights: list[jax.Array]) -> Found:
            output, back = jax.vjp(forward, x, weights)
            return output, *back(d_output)

        self.run = jax.jit(backward if self.train else forward)
        self.found: jax.Array | Found | None = None

    def once(self) -> None:
        self.found = jax.block_until_ready(self.run(self.x, self.weights))

    def results(self) -> Arrays:
        self.once()
        assert self.found is not None
        if not self.train:
            return {"output": np.asarray(self.found).transpose(1, 0, 2)}
        output, d_x, d_weights = self.found
        found = {"output": np.asarray(output).transpose(1, 0, 2), "d_x": np.asarray(d_x).transpose(1, 0, 2)}
        return found | from_keras(self.cell, d_weights)


class Losses(keras.callbacks.Callback):
    """The loss of each step; Keras reports the mean over the epoch so far."""

    def __init__(self) -> None:
        super().__init__()
        self.means: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self.means.append(float((logs or {})["loss"]))

    def each(self) -> list[float]:
        totals = [mean * (k + 1) for k, mean in enumerate(self.means)]
        return [after - before for before, after in zip([0.0, *totals], totals, strict=False)]


class Loop(Work):
    """`model.fit` on all windows, each from state 0: even with `stateful=True` Keras 3.15 on JAX starts every batch of
    `fit` there, because the layer's state is not one of the model's variables."""

    def __init__(self, work: Job, arrays: Arrays) -> None:
        self.work, self.arrays = work, arrays
        B = work["B"]
        # window after window, B rows each: fit(batch_size=B, shuffle=False) produces exactly these again
        self.inputs = arrays["inputs"].transpose(0, 2, 1).reshape(-1, work["T"]).astype(np.int32)
        self.targets = arrays["targets"].transpose(0, 2, 1).reshape(-1, work["T"]).astype(np.int32)
        H, V = work["H"], work["V"]
        layers: list[keras.layers.Layer] = [keras.layers.Embedding(V, H)]
        layers += [CLASSES[work["cell"]](H, return_sequences=True) for _ in range(LAYERS)]
        self.cores = layers[1:]
        head = keras.layers.Dense(V)
        self.model = keras.Sequential([keras.Input(batch_shape=(B, work["T"]), dtype="int32"), *layers, head])
        self.begin()

    def begin(self) -> None:
        arrays, cell = self.arrays, self.work["cell"]
        self.model.layers[0].set_weights([arrays["embedding"]])
        for k, core in enumerate(self.cores):
            mine = {name[:-3]: value for name, value in arrays.items() if name.endswith(f"_l{k}")}
            core.set_weights(to_keras(cell, mine))
        self.model.layers[-1].set_weights([arrays["head_weight"].T, arrays["head_bias"]])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        # torch's 1e-8: Keras adds epsilon before dividing the second moment by 1 - 0.999^t; this matches t = 2
        optimizer = keras.optimizers.Adam(self.work["lr"], epsilon=1e-8 * (1 - 0.999**2) ** 0.5)
        self.model.compile(optimizer, loss, jit_compile=True)

    def once(self) -> None:
        self.train(len(self.inputs), [])

    def train(self, rows: int, callbacks: list[keras.callbacks.Callback]) -> None:
        inputs, targets = self.inputs[:rows], self.targets[:rows]
        self.model.fit(inputs, targets, batch_size=self.work["B"], shuffle=False, verbose=0, callbacks=callbacks)

    def results(self) -> Arrays:
        self.begin()
        scores = np.asarray(self.model(self.inputs[: self.work["B"]])).transpose(1, 0, 2)
        losses = Losses()
        self.train(CHECKED * self.work["B"], [losses])
        return loop_results(losses.each(), scores, one_bias=self.work["cell"] != "gru")


class KerasJax(Library):
    def versions(self) -> dict[str, str]:
        return {"keras": keras.__version__, "jax": jax.__version__}

    def layer(self, work: Job, arrays: Arrays) -> Work:
        return Layer(work, arrays)

    def loop(self, work: Job, arrays: Arrays) -> Work:
        return Loop(work, arrays)


if __name__ == "__main__":
    serve(KerasJax)
