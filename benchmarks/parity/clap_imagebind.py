"""CLAP's audio branch against laion-clap 1.1.7, ImageBind against Meta's code in imagebind-packaged 0.1.2.

Literals of tests/eval/test_audio_networks.py; ImageBind has one block a tower, its widths are the published ones.
Needs librosa==0.11.0 and, without their dependencies: laion-clap==1.1.7 torchlibrosa==0.1.0 h5py
imagebind-packaged==0.1.2 ftfy iopath portalocker. Weights are of our own drawing: nothing is fetched.
"""

import importlib
import types

import torch
from common import bare, drawn, published, stand_in, told

from ltx2_eval.extractors.imagebind_net import ImageBind
from ltx2_eval.weights.clap_layout import clap_state
from ltx2_eval.weights.safe import load_strict


def clap(name: str, width: int, depths: tuple[int, ...]) -> None:
    """Both sizes: the released music_speech model is the base, 630k the tiny one."""
    from transformers import ClapAudioConfig
    from transformers.models.clap.modeling_clap import ClapAudioModel

    stand_in("torchvision.ops.misc", FrozenBatchNorm2d=torch.nn.BatchNorm2d)
    bare("laion_clap")
    bare("laion_clap.clap_module")
    theirs = importlib.import_module("laion_clap.clap_module.htsat")
    config = types.SimpleNamespace(
        model_name=name, class_num=527, mel_bins=64, window_size=1024, hop_size=480, sample_rate=48_000, fmin=50,
        fmax=14_000, clip_samples=480_000, enable_tscam=True, htsat_attn_heatmap=False, loss_type="clip_bce",
    )  # fmt: skip
    network = theirs.create_htsat_model(config).eval()
    filled = published.fill(network.state_dict())
    state = network.state_dict()
    tables = {key: state[key] for key in state if "stft.conv" in key or "melW" in key or "attn_mask" in key}
    network.load_state_dict({**filled, **tables})
    sizes = {"patch_embeds_hidden_size": width, "depths": list(depths), "num_attention_heads": [4, 8, 16, 32]}
    ours = ClapAudioModel(ClapAudioConfig(**sizes, hidden_size=8 * width, enable_fusion=False)).eval()
    mapped = clap_state({f"audio_branch.{key}": value for key, value in filled.items()})
    own = {key: value for key, value in ours.state_dict().items() if not value.is_floating_point()}
    load_strict(ours, {**{key.removeprefix("audio_model."): value for key, value in mapped.items()}, **own}, "fill")
    mel = drawn(1, 1, 1001, 64, scale=40, offset=-40)
    with torch.inference_mode():
        x = network.bn0(mel.transpose(1, 3)).transpose(1, 3)
        expected = network.forward_features(network.reshape_wav2img(x))["embedding"]
        found = ours(input_features=mel, is_longer=None).pooler_output
    told(f"CLAP's audio branch, {name}", expected, found, ["laion-clap"])


def imagebind() -> None:
    """Vision, sound and text with a projection each, of unit length."""
    identity = type("DropPath", (torch.nn.Identity,), {})  # what dropping paths is outside training
    stand_in("timm.models.layers", DropPath=identity, trunc_normal_=torch.nn.init.trunc_normal_)
    bare("imagebind")
    theirs = importlib.import_module("imagebind.models.imagebind_model")
    network = theirs.ImageBindModel(
        vision_embed_dim=1280, vision_num_blocks=1, text_embed_dim=1024, text_num_blocks=1, text_num_heads=16,
        audio_num_blocks=1, out_embed_dim=1024, audio_drop_path=0.1, depth_num_blocks=0, thermal_num_blocks=0,
        imu_num_blocks=0,
    ).eval()  # fmt: skip
    ours = ImageBind((1, 1, 1)).eval()
    filled = published.fill(ours.state_dict())
    ours.load_state_dict(filled)
    report = network.load_state_dict(filled, strict=False)
    others = [key for key in report.missing_keys if not any(sense in key for sense in ("depth", "thermal", "imu"))]
    if others or report.unexpected_keys:
        raise SystemExit(f"ImageBind: names differ: {others[:3]} {report.unexpected_keys[:3]}")
    picture, sound = drawn(1, 3, 2, 224, 224, scale=2), drawn(1, 1, 128, 204, scale=2)
    ids = torch.zeros(1, 77, dtype=torch.long)
    ids[0, :6] = torch.tensor([49406, 320, 1125, 539, 320, 49407])
    with torch.inference_mode():
        given = {"vision": picture[:, None], "audio": sound[:, None], "text": ids}
        for sense, value in given.items():
            expected = network({sense: value})[sense]
            found = {"vision": ours.vision, "audio": ours.sound, "text": ours.text}[sense]
            direct = torch.nn.functional.normalize(expected, dim=-1)
            mine = found({"vision": picture, "audio": sound, "text": ids}[sense])
            told(f"ImageBind, {sense}", direct, torch.nn.functional.normalize(mine, dim=-1), ["imagebind-packaged"])


if __name__ == "__main__":
    clap("tiny", 96, (2, 2, 6, 2))
    clap("base", 128, (2, 2, 12, 2))
    imagebind()
