"""The values of `tests/eval/test_inception.py`, by torch-fidelity's own InceptionV3 on the same numbers.

In an environment of its own, since torch-fidelity wants torchvision, which this module of it does not use:

    pip install torch==2.13.0 numpy==2.4.6 pillow==13.0.0 scipy==1.17.1 tqdm
    pip install --no-deps torch-fidelity==0.4.0
    python benchmarks/parity/fid_inception.py
"""

import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

PICTURES = (2, 3, 120, 200)


def values(count: int, index: int) -> np.ndarray:
    """frac(|sin(12.9898 i + 78.233 index)| 43758.5453) - 0.5, the fill that the tests use."""
    x = np.abs(np.sin(np.arange(count, dtype=np.float64) * 12.9898 + 78.233 * index)) * 43758.5453
    return x - np.floor(x) - 0.5


def filled(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Every floating tensor of a state dict by the rank of its key."""
    made = {}
    for index, key in enumerate(sorted(state)):
        tensor, u = state[key], values(state[key].numel(), index)
        if not tensor.is_floating_point():
            made[key] = tensor
            continue
        if key.endswith("running_var"):
            u = 1 + 0.5 * u
        elif tensor.ndim >= 2:
            u = u * np.sqrt(12 / (tensor.numel() / tensor.shape[0]))
        else:
            u = 1 + 0.2 * u if key.endswith("weight") else 0.2 * u
        made[key] = torch.from_numpy(u.astype(np.float32)).reshape(tensor.shape)
    return made


def without_torchvision() -> None:
    """Its package imports torchvision for data sets, which no figure here needs."""
    for name in ("torchvision", "torchvision.transforms", "torchvision.datasets", "torchvision.models"):
        sys.modules.setdefault(name, ModuleType(name))


def main() -> None:
    """Print what the tests hold."""
    without_torchvision()
    package = ModuleType("torch_fidelity")
    package.__path__ = [str(Path(importlib.util.find_spec("torch_fidelity").origin).parent)]
    sys.modules["torch_fidelity"] = package
    theirs = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    features = ["64", "192", "768", "2048", "logits"]
    load = torch.nn.Module.load_state_dict
    torch.nn.Module.load_state_dict = lambda self, state, **more: load(self, filled(self.state_dict()), **more)
    with tempfile.TemporaryDirectory() as folder:
        torch.save({}, f"{folder}/none.pth")
        network = theirs.FeatureExtractorInceptionV3("x", features, feature_extractor_weights_path=f"{folder}/none.pth")
    bytes_ = ((values(int(np.prod(PICTURES)), 999) + 0.5) * 256).astype(np.uint8).reshape(PICTURES)
    pictures = torch.from_numpy(bytes_)
    resized = theirs.interpolate_bilinear_2d_like_tensorflow1x(pictures.float(), size=(299, 299), align_corners=False)
    print("resized", resized[1, 2, [0, 150, 298], [0, 77, 298]].tolist(), float(resized.double().mean()))
    with torch.inference_mode():
        for name, x in zip(features, network(pictures), strict=True):
            print(name, x[1, :5].tolist(), float(x.double().mean()), float(x.double().norm()))


if __name__ == "__main__":
    main()
