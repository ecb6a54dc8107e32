"""DINO, CLIP and LAION's head on frames: tiny models in the published layouts, by the real converter and loader."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.extractors.clip_frames import AestheticExtractor, CmmdExtractor
from ltx2_eval.extractors.consistency import ClipEveryFrameExtractor, DinoExtractor
from ltx2_eval.weights.convert import main
from ltx2_reports.store import DamagedError

_COMMON = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def _published(model, folder):
    """Save as older releases are: a `.bin` of tensors and a configuration; then convert."""
    model.config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "w.bin")
    assert main(["torch", str(folder / "w.bin"), str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def clip_model():
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    text = {**_COMMON, "vocab_size": 50, "projection_dim": 8}
    vision = {**_COMMON, "image_size": 224, "patch_size": 56, "projection_dim": 8}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).eval()


@pytest.fixture(scope="module")
def clip_folder(clip_model, tmp_path_factory):
    return _published(clip_model, tmp_path_factory.mktemp("clip"))


_OLD_NAMES = (
    ("attention.q_proj", "attention.attention.query"),
    ("attention.k_proj", "attention.attention.key"),
    ("attention.v_proj", "attention.attention.value"),
    ("attention.o_proj", "attention.output.dense"),
    ("mlp.fc1", "intermediate.dense"),
    ("mlp.fc2", "output.dense"),
)


@pytest.fixture(scope="module", params=[False, True], ids=["as-released", "with-a-pooler"])
def dino(request, tmp_path_factory):
    """A tiny ViT under the names that facebook/dino-vitb16 was released with: DINO has no pooler, so neither has it."""
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(0)
    config = ViTConfig(**_COMMON, image_size=224, patch_size=16)
    model = ViTModel(config, add_pooling_layer=request.param).eval()
    folder = tmp_path_factory.mktemp("dino")
    model.config.save_pretrained(folder)
    state = {}
    for key, value in model.state_dict().items():
        for new, old in _OLD_NAMES:
            key = key.replace(new, old)
        state[key if "encoder.layer." in key else key.replace("layers.", "encoder.layer.")] = value
    assert "encoder.layer.0.attention.attention.query.weight" in state
    assert any(key.startswith("pooler.") for key in state) is request.param
    torch.save(state, folder / "w.bin")
    assert main(["torch", str(folder / "w.bin"), str(folder)]) == 0
    return model, DinoExtractor.load(EXTRACTORS["dino-vitb16-frames"], folder, "cpu")


def _frames(count, height=224, width=224):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def _normalised(frames, mean, std):
    x = torch.from_numpy(frames).float().permute(0, 3, 1, 2) / 255
    return (x - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


def test_dino_sees_every_frame_with_imagenet_normalisation(dino, video_clip):
    model, extractor = dino
    frames = _frames(19)
    with torch.inference_mode():
        pixels = _normalised(frames, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        expected = F.normalize(model(pixel_values=pixels).last_hidden_state[:, 0], dim=1)
    rows = extractor.features(video_clip(frames))
    assert (rows.shape, rows.dtype) == ((19, 16), np.float32)
    np.testing.assert_allclose(rows, expected.numpy(), atol=1e-5)


def test_dino_keeps_the_aspect_ratio(dino, video_clip, monkeypatch):
    seen, (_, extractor) = [], dino
    original = extractor.model.forward

    def forward(**inputs):
        seen.append(tuple(inputs["pixel_values"].shape))
        return original(**inputs)

    monkeypatch.setattr(extractor.model, "forward", forward)
    extractor.features(video_clip(_frames(2, 90, 160)))
    assert seen == [(2, 3, 224, 398)]


_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def test_clip_sees_the_centre_square_of_every_frame(clip_model, clip_folder, video_clip):
    extractor = ClipEveryFrameExtractor.load(EXTRACTORS["clip-vit-b32-frames"], clip_folder, "cpu")
    wide = _frames(17, 224, 300)
    with torch.inference_mode():
        output = clip_model.get_image_features(pixel_values=_normalised(wide[:, :, 38:262], _CLIP_MEAN, _CLIP_STD))
        expected = F.normalize(getattr(output, "pooler_output", output), dim=1)
    np.testing.assert_allclose(extractor.features(video_clip(wide)), expected.numpy(), atol=1e-5)


def test_cmmd_squashes_two_frames(clip_model, clip_folder, video_clip):
    extractor = CmmdExtractor.load(EXTRACTORS["clip-vit-l14-336"], clip_folder, "cpu")
    frames = _frames(8, 100, 300)
    pixels = torch.from_numpy(frames[[2, 6]]).float().permute(0, 3, 1, 2)
    pixels = F.interpolate(pixels, (224, 224), mode="bicubic", align_corners=False)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (_CLIP_MEAN, _CLIP_STD))
    with torch.inference_mode():
        output = clip_model.get_image_features(pixel_values=(pixels / 255 - mean) / std)
        expected = F.normalize(getattr(output, "pooler_output", output), dim=1)
    np.testing.assert_allclose(extractor.features(video_clip(frames)), expected.numpy(), atol=1e-5)


def test_the_aesthetic_head_is_a_line_on_unit_embeddings(clip_model, clip_folder, video_clip, tmp_path, monkeypatch):
    torch.manual_seed(0)
    head = torch.nn.Linear(8, 1)
    torch.save(head.state_dict(), tmp_path / "sa_0_4.pth")
    assert main(["torch", str(tmp_path / "sa_0_4.pth"), str(tmp_path)]) == 0
    wanted = []

    def path(name):
        wanted.append(name)
        return tmp_path / "model.safetensors"

    monkeypatch.setattr("ltx2_eval.extractors.clip_frames.weights_path", path)
    extractor = AestheticExtractor.load(EXTRACTORS["laion-aesthetic"], clip_folder, "cpu")
    assert wanted == ["laion-aesthetic"]
    frames = _frames(16)
    rows = extractor.features(video_clip(frames))
    with torch.inference_mode():
        output = clip_model.get_image_features(pixel_values=_normalised(frames, _CLIP_MEAN, _CLIP_STD))
        expected = head(F.normalize(getattr(output, "pooler_output", output), dim=1))
    assert (rows.shape, rows.dtype) == ((16, 1), np.float32)
    np.testing.assert_allclose(rows, expected.numpy(), atol=1e-5)


def test_weights_that_do_not_fit_are_refused(clip_folder, tmp_path):
    from transformers import ViTConfig

    ViTConfig(**_COMMON, image_size=224, patch_size=16).save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((clip_folder / "model.safetensors").read_bytes())
    with pytest.raises(DamagedError, match="not the weights of a ViTModel"):
        DinoExtractor.load(EXTRACTORS["dino-vitb16-frames"], tmp_path, "cpu")
