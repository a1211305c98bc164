"""ONNX Runtime: the forward pass of one layer with ONNX's operators RNN, GRU and LSTM. No training.

ONNX orders gates i, o, f, c (LSTM) and z, r, h (GRU, linear_before_reset as in torch).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from rnncli.bench.peers.worker import Arrays, Job, Library, Work, serve

Array = npt.NDArray[np.float32]

OPSET = 14
ORDER = {"rnn": (0,), "gru": (1, 0, 2), "lstm": (0, 3, 1, 2)}  # index of ONNX's gates in torch's order


def ordered(cell: str, weight: Array) -> Array:
    parts = np.split(weight, len(ORDER[cell]))
    return np.concatenate([parts[k] for k in ORDER[cell]])


class Layer(Work):
    def __init__(self, work: Job, arrays: Arrays, threads: int) -> None:
        cell, H, B, T = work["cell"], work["H"], work["B"], work["T"]
        bias = np.concatenate((ordered(cell, arrays["bias_ih"]), ordered(cell, arrays["bias_hh"])))
        numbers = {
            "W": ordered(cell, arrays["weight_ih"])[None],
            "R": ordered(cell, arrays["weight_hh"])[None],
            "B": bias[None],
        }
        extra: dict[str, int] = {"linear_before_reset": 1} if cell == "gru" else {}
        node = onnx.helper.make_node(cell.upper(), ["x", *numbers], ["y"], hidden_size=H, **extra)
        graph = onnx.helper.make_graph(
            [node],
            "layer",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [T, B, H])],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [T, 1, B, H])],
            [onnx.numpy_helper.from_array(value, name) for name, value in numbers.items()],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        content = model.SerializeToString()
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.x = arrays["x"]
        self.output: Array = np.empty(0, np.float32)

    def once(self) -> None:
        (self.output,) = self.session.run(None, {"x": self.x})

    def results(self) -> Arrays:
        self.once()
        return {"output": self.output[:, 0]}


class OnnxRuntime(Library):
    def versions(self) -> dict[str, str]:
        return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}

    def layer(self, work: Job, arrays: Arrays) -> Work:
        return Layer(work, arrays, self.threads)


if __name__ == "__main__":
    serve(OnnxRuntime)
