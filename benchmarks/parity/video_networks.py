"""I3D and VideoMAE-v2 against cd-fvd 0.1.1, SyncNet against syncnet-python 0.2.3, on the published fill.

Literals of tests/eval/test_i3d.py and test_syncnet.py. Needs, without their dependencies: cd-fvd==0.1.1
syncnet-python==0.2.3. VideoMAE is compared at a small size: its giant would take minutes and five gigabytes.
"""

import importlib

import numpy as np
import torch
from common import bare, drawn, published, stand_in, told
from einops import rearrange

from ltx2_eval.extractors.i3d import I3d
from ltx2_eval.extractors.pixels import squashed
from ltx2_eval.extractors.syncnet import SyncNet
from ltx2_eval.extractors.videomae import VideoMae

_SMALL = {"width": 64, "depth": 3, "heads": 4, "hidden": 128, "classes": 5}


def _bare_cdfvd() -> None:
    stand_in("torchvision", transforms=None)
    bare("cdfvd")
    for name in ("third_party", "third_party.i3d", "third_party.VideoMAEv2"):
        bare(f"cdfvd.{name}")


def i3d() -> None:
    """Both epsilons of the batch norms; the port has the smaller one written in."""
    theirs = importlib.import_module("cdfvd.third_party.i3d.pytorch_i3d")
    for eps in (1e-3, 1e-5):
        ours = I3d(eps).eval()
        network = theirs.InceptionI3d(400, in_channels=3).eval()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.eps = eps
        filled = published.fill(ours.state_dict())
        ours.load_state_dict(filled)
        network.load_state_dict(filled)
        video = drawn(1, 3, 16, 224, 224, scale=2)
        with torch.inference_mode():
            told(f"I3D, eps {eps:g}", network(video).reshape(1, -1), ours(video), ["cd-fvd"])


def videomae() -> None:
    """Positions, attention without key bias, and the mean over tokens; then the published preparation of pixels."""
    theirs = importlib.import_module("cdfvd.third_party.VideoMAEv2.videomaev2_finetune")
    from functools import partial

    network = theirs.VisionTransformer(
        img_size=224, patch_size=14, embed_dim=_SMALL["width"], depth=_SMALL["depth"], num_heads=_SMALL["heads"],
        mlp_ratio=_SMALL["hidden"] / _SMALL["width"], qkv_bias=True, num_classes=_SMALL["classes"],
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), tubelet_size=2, all_frames=16,
    ).eval()  # fmt: skip
    ours = VideoMae(**_SMALL).eval()
    filled = published.fill(ours.state_dict())
    ours.load_state_dict(filled)
    network.load_state_dict(filled)
    video = drawn(1, 3, 16, 224, 224, offset=0.5)
    with torch.inference_mode():
        told("VideoMAE-v2, three blocks of 64", network.forward_features(video), ours(video), ["cd-fvd"])
    frames = np.random.default_rng(0).integers(0, 256, (16, 96, 160, 3), dtype=np.uint8)
    utils = importlib.import_module("cdfvd.third_party.VideoMAEv2.utils")
    expected = utils.Resize((224, 224))(utils.ToFloatTensorInZeroOne()(torch.from_numpy(frames)))
    found = rearrange(squashed(frames, 224, "bilinear") / 255, "f c h w -> c f h w")
    told("CD-FVD's pixels, 96x160 to 224x224", expected, found, ["cd-fvd"])


def syncnet() -> None:
    """Lips and sound."""
    bare("syncnet_python")
    theirs = importlib.import_module("syncnet_python.SyncNetModel")
    network, ours = theirs.S().eval(), SyncNet().eval()
    filled = published.fill(network.state_dict())
    network.load_state_dict(filled)
    ours.load_state_dict({key: filled[key] for key in ours.state_dict()})
    lips, sound = drawn(1, 3, 5, 224, 224, scale=255, offset=127.5), drawn(1, 1, 13, 20, scale=20)
    with torch.inference_mode():
        told("SyncNet, lips", network.forward_lip(lips), ours.lips(lips), ["syncnet-python"])
        told("SyncNet, sound", network.forward_aud(sound), ours.sound(sound), ["syncnet-python"])


if __name__ == "__main__":
    _bare_cdfvd()
    i3d()
    videomae()
    syncnet()
