"""ImageBind: the published layout, its towers against transformers' CLIP, its pieces of a clip, and the scores."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from ltx2_benchmarks.suite import Prompt
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.imagebind import (
    Encoder,
    ImageBindAvBenchExtractor,
    ImageBindPairExtractor,
    ImageBindStillsExtractor,
    piece_starts,
    sound_mel,
    three_crops,
    window_starts,
)
from ltx2_eval.extractors.imagebind_net import ImageBind
from ltx2_eval.metrics.base import Subject
from ltx2_eval.metrics.binding import avh_score, ib_av, ib_tv, javis_score, tv_sides
from ltx2_eval.weights.convert import main
from ltx2_eval.weights.safe import load_strict, read_state
from ltx2_reports.records import ClipRecord

_RECORD = ClipRecord(sample="s", prompt_id="p", seed=0, file="clips/s.mp4", sha256="0" * 64)


@pytest.fixture(scope="module")
def small():
    """One block a tower."""
    torch.manual_seed(0)
    network = ImageBind((1, 1, 1)).eval().requires_grad_(False)
    for name, value in network.named_parameters():
        if "norm" in name or "pos_emb" in name or "bias" in name or "cls_token" in name:
            value.add_(0.1 * torch.randn_like(value))
    return network


def test_the_layout_is_the_published_one():
    with torch.device("meta"):
        state = ImageBind().state_dict()
    assert (len(state), sum(value.numel() for value in state.values())) == (864, 1_073_103_659)
    for key, shape in {
        "modality_preprocessors.vision.rgbt_stem.proj.1.weight": (1280, 3, 2, 14, 14),
        "modality_preprocessors.text.mask": (77, 77),
        "modality_preprocessors.audio.pos_embedding_helper.pos_embed": (1, 229, 768),
        "modality_trunks.audio.blocks.11.attn.bias_k": (1, 1, 768),
        "modality_trunks.vision.pre_transformer_layer.0.weight": (1280,),
        "modality_heads.text.proj.1.weight": (1024, 1024),
        "modality_postprocessors.audio.1.log_logit_scale": (),
    }.items():
        assert tuple(state[key].shape) == shape


def _to_clip(ours, theirs, prefix):
    """Fill transformers' encoder from a trunk: the joined projections are split."""
    targets = dict(theirs.named_parameters())
    for index, block in enumerate(ours.blocks):
        layer = f"{prefix}encoder.layers.{index}."
        for part, weight, bias in zip(
            "qkv", block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3), strict=True
        ):
            targets[f"{layer}self_attn.{part}_proj.weight"].copy_(weight)
            targets[f"{layer}self_attn.{part}_proj.bias"].copy_(bias)
        for name, module in {
            "self_attn.out_proj": block.attn.out_proj,
            "layer_norm1": block.norm_1,
            "layer_norm2": block.norm_2,
            "mlp.fc1": block.mlp.fc1,
            "mlp.fc2": block.mlp.fc2,
        }.items():
            targets[f"{layer}{name}.weight"].copy_(module.weight)
            targets[f"{layer}{name}.bias"].copy_(module.bias)
    return targets


@torch.no_grad()
def test_the_vision_tower_equals_transformers_clip(small):
    """Independent source: CLIPVisionModelWithProjection; two equal frames are one picture under the summed kernel."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=1280,
        intermediate_size=5120,
        num_hidden_layers=1,
        num_attention_heads=16,
        patch_size=14,
        projection_dim=1024,
        hidden_act="gelu",
        layer_norm_eps=1e-6,
    )
    theirs = CLIPVisionModelWithProjection(config).eval()
    trunk, stem = small.modality_trunks["vision"], small.modality_preprocessors["vision"]
    prefix = "vision_model." if any(key.startswith("vision_model.") for key in theirs.state_dict()) else ""
    targets, head = _to_clip(trunk, theirs, prefix), small.modality_heads["vision"]
    targets[f"{prefix}embeddings.class_embedding"].copy_(stem.cls_token[0, 0])
    targets[f"{prefix}embeddings.patch_embedding.weight"].copy_(stem.rgbt_stem.proj[1].weight.sum(dim=2))
    targets[f"{prefix}embeddings.position_embedding.weight"].copy_(stem.pos_embedding_helper.pos_embed[0])
    for name, norm in (("pre_layrnorm", trunk.pre_transformer_layer[0]), ("post_layernorm", head[0])):
        targets[f"{prefix}{name}.weight"].copy_(norm.weight)
        targets[f"{prefix}{name}.bias"].copy_(norm.bias)
    targets["visual_projection.weight"].copy_(head[2].weight)
    pixels = torch.randn(2, 3, 224, 224)
    expected = torch.nn.functional.normalize(theirs(pixel_values=pixels).image_embeds, dim=1)
    torch.testing.assert_close(small.vision(torch.stack([pixels, pixels], dim=2)), expected, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_the_text_tower_equals_transformers_clip(small):
    """Independent source: CLIPTextModelWithProjection."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=1,
        num_attention_heads=16,
        projection_dim=1024,
        hidden_act="gelu",
        layer_norm_eps=1e-6,
        vocab_size=49_408,
        eos_token_id=49_407,
    )
    theirs = CLIPTextModelWithProjection(config).eval()
    prefix = "text_model." if any(key.startswith("text_model.") for key in theirs.state_dict()) else ""
    targets = _to_clip(small.modality_trunks["text"], theirs, prefix)
    stem, head = small.modality_preprocessors["text"], small.modality_heads["text"].proj
    targets[f"{prefix}embeddings.token_embedding.weight"].copy_(stem.token_embedding.weight)
    targets[f"{prefix}embeddings.position_embedding.weight"].copy_(stem.pos_embed[0])
    targets[f"{prefix}final_layer_norm.weight"].copy_(head[0].weight)
    targets[f"{prefix}final_layer_norm.bias"].copy_(head[0].bias)
    targets["text_projection.weight"].copy_(head[1].weight)
    ids = torch.full((2, 77), 49_407)
    ids[0, :4] = torch.tensor([49_406, 320, 1125, 49_407])
    ids[1, :6] = torch.tensor([49_406, 320, 1125, 539, 320, 49_407])
    expected = torch.nn.functional.normalize(theirs(input_ids=ids).text_embeds, dim=1)
    found = small.text(ids)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    padded = torch.where(torch.arange(77) < 6, ids, 0)  # as its own tokenizer pads
    torch.testing.assert_close(small.text(padded)[1], found[1], rtol=1e-4, atol=1e-6)


def test_the_published_file_is_converted_and_its_other_senses_left_out(tmp_path):
    torch.manual_seed(0)
    with torch.device("meta"):
        layout = ImageBind((0, 0, 0))
    state = {key: torch.zeros(()).expand(value.shape) for key, value in layout.state_dict().items()}
    state["modality_trunks.depth.blocks.0.norm_1.weight"] = torch.ones(3)
    state["modality_preprocessors.imu.cls_token"] = torch.ones(1, 1, 3)
    torch.save(state, tmp_path / "w.pth")
    assert main(["imagebind", str(tmp_path / "w.pth"), str(tmp_path)]) == 0
    network = layout.to_empty(device="cpu")
    load_strict(network, read_state(tmp_path / "model.safetensors"), "here")
    assert not network.modality_heads["vision"][2].weight.any()


def test_pieces_never_reach_the_end():
    assert piece_starts(5.04, 5) == pytest.approx([0, 0.608, 1.216, 1.824, 2.432])
    assert piece_starts(5.04, 3) == pytest.approx([0, 1.0133333, 2.0266667])
    assert piece_starts(1.5, 3) == [0, 0, 0]


def test_crops_are_left_centre_and_right():
    frames = np.broadcast_to(np.arange(400)[None, None, :, None] // 2, (2, 224, 400, 3)).astype(np.uint8)
    crops = three_crops(frames)
    assert crops.shape == (3, 3, 2, 224, 224)
    red = crops[:, 0, 0, 0, 0] * 0.26862954 + 0.48145466
    assert (red * 255).tolist() == pytest.approx([0, 44, 88], abs=1e-3)
    tall = three_crops(frames.transpose(0, 2, 1, 3))
    assert torch.equal(tall.transpose(3, 4), crops)


def test_short_sounds_are_padded_with_zeros_before_normalisation():
    mel = sound_mel(np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32))
    assert mel.shape == (1, 128, 204)
    silent = np.isclose(mel[0], 4.268 / 9.138, atol=1e-6)
    assert silent[:, 98:].all()
    assert not silent[:, 97].any()


class _Network(torch.nn.Module):
    """Shows what it was given: the red of the first pixel, or the mean of the mel, beside a one."""

    def vision(self, frames):
        red = frames[:, 0, 0, 0, 0] * 0.26862954 + 0.48145466
        return torch.stack([torch.ones_like(red), red, frames[:, 0, 1, 0, 0] * 0.26862954 + 0.48145466], dim=1)

    def sound(self, mel):
        level = mel[:, 0, :, :198].mean(dim=(1, 2))
        return torch.stack([torch.ones_like(level), level, 0 * level], dim=1)


def _numbered(frames, seconds, rate_hz=16_000):
    video = np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, 32, 48, 3)).copy()
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    sound = (0.1 * np.random.default_rng(0).normal(size=len(t)) * (1 + t))[None].astype(np.float32)
    return Clip(video=video, fps=Fraction(frames, 5), audio=sound, rate_hz=rate_hz)


def test_the_clip_is_seen_in_five_pieces_by_their_first_and_last_frames():
    clip = _numbered(120, 5.0)
    rows = ImageBindPairExtractor(None, Encoder(_Network(), None, "cpu")).features(clip)
    first = [np.ceil(start * 24) for start in piece_starts(5.0, 5)]
    last = [np.ceil((start + 2) * 24) - 1 for start in piece_starts(5.0, 5)]
    assert rows.shape == (2, 3)
    assert rows[0] * 255 == pytest.approx([255, np.mean(first), np.mean(last)], abs=1e-3)


def test_av_benchmark_pairs_frames_two_seconds_apart():
    clip = _numbered(200, 5.0)
    clip = Clip(video=clip.video, fps=Fraction(25), audio=clip.audio, rate_hz=16_000)
    rows = ImageBindAvBenchExtractor(None, Encoder(_Network(), None, "cpu")).features(clip)
    assert rows[0] * 255 == pytest.approx([255, np.mean([0, 50, 100]), np.mean([50, 100, 150])], abs=1e-3)
    short = Clip(video=clip.video[:99], fps=Fraction(25), audio=clip.audio, rate_hz=16_000)
    with pytest.raises(NotApplicable, match=r"3\.96 s of video, frames 2 s apart need 4 s"):
        ImageBindAvBenchExtractor(None, Encoder(_Network(), None, "cpu")).features(short)


def test_pieces_do_not_see_their_neighbours_in_the_batch(small):
    torch.manual_seed(0)
    for tower, x in ((small.vision, torch.randn(4, 3, 2, 224, 224)), (small.sound, torch.randn(4, 1, 128, 204))):
        together, alone = tower(x), torch.cat([tower(one[None]) for one in x])
        assert float((together - alone).abs().max()) <= 1e-5 * float(alone.abs().max())


class _Counting(_Network):
    """Remembers how many it was given at a time."""

    def __init__(self):
        super().__init__()
        self.pictures, self.sounds = [], []

    def vision(self, frames):
        self.pictures.append(len(frames))
        return super().vision(frames)

    def sound(self, mel):
        self.sounds.append(len(mel))
        return super().sound(mel)


def test_pieces_go_together_but_never_more_than_a_few():
    network = _Counting()
    encoder = Encoder(network, None, "cpu")
    encoder.video(_numbered(120, 5.0))
    assert network.pictures == [15]  # five pieces of three crops
    sound = np.random.default_rng(0).normal(0, 0.1, 20 * 16_000).astype(np.float32)
    starts = list(range(0, 18 * 16_000, 8_000))
    rows = encoder.windows(sound, starts)
    assert network.sounds == [16, 16, 4]
    alone = [encoder.windows(sound, [start])[0] for start in starts]
    np.testing.assert_allclose(rows, alone, rtol=1e-5)
    network.pictures.clear()
    long = _numbered(24, 24.0)
    encoder.pairs(Clip(video=long.video, fps=Fraction(1), audio=long.audio, rate_hz=16_000))
    assert network.pictures == [15, 15, 3]


def test_a_second_extractor_does_not_look_at_the_same_pictures_again():
    clip, encoder = _numbered(120, 5.0), Encoder(_Network(), None, "cpu")
    first = encoder.video(clip)
    encoder.network.vision = None
    assert encoder.video(clip) is first
    with pytest.raises(TypeError):
        encoder.video(_numbered(120, 5.0))


@pytest.mark.parametrize(("seconds", "windows"), [(5.0, 7), (2.0, 1), (1.0, 1), (2.5, 2)])
def test_windows_of_javis(seconds, windows):
    clip = _numbered(int(seconds * 24), seconds)
    clip = Clip(video=clip.video, fps=Fraction(24), audio=clip.audio, rate_hz=16_000)
    assert window_starts(clip) == [0.5 * k for k in range(windows)]
    rows = ImageBindStillsExtractor(None, Encoder(_Network(), None, "cpu")).features(clip)
    assert len(rows) == int(seconds * 24) + 1 + windows


def test_windows_begin_where_picture_and_sound_have_both_begun():
    """Sound from 0.75 s on: the windows' samples and frames are those of the same moments."""
    video = np.zeros((96, 32, 48, 3), np.uint8)
    sound = np.random.default_rng(0).normal(0, 0.1, (1, 3 * 16_000)).astype(np.float32)
    late = Clip(video=video, fps=Fraction(24), audio=sound, rate_hz=16_000, audio_start_s=0.75)
    assert window_starts(late) == [0.75, 1.25, 1.75]
    encoder, asked = Encoder(_Network(), None, "cpu"), []
    encoder.windows = lambda waveform, starts: asked.append(starts) or np.ones((len(starts), 3), np.float32)
    ImageBindStillsExtractor(None, encoder).features(late)
    assert asked[0] == [0, 8_000, 16_000]
    early = Clip(video=video, fps=Fraction(24), audio=sound, rate_hz=16_000, video_start_s=0.5)
    asked.clear()
    ImageBindStillsExtractor(None, encoder).features(early)
    assert asked[0] == [8_000, 16_000]
    with pytest.raises(NotApplicable, match="no moment in common"):
        window_starts(Clip(video=video, fps=Fraction(24), audio=sound, rate_hz=16_000, audio_start_s=4.0))


def test_javis_pairs_a_late_sound_with_the_frames_of_its_moment():
    """Frames before 1 s are opposite to every sound; sound begins at 1 s, and no window sees them."""
    video = np.zeros((72, 8, 8, 3), np.uint8)
    sound = np.ones((1, 2 * 16_000), np.float32)
    clip = Clip(video=video, fps=Fraction(24), audio=sound, rate_hz=16_000, audio_start_s=1.0)
    rows = np.zeros((72 + 1 + 1, 2), np.float32)
    rows[:, 0] = 1
    rows[:24, 0] = -1
    assert javis_score(Subject(clip=clip, record=None, prompt=None), rows, None).value == pytest.approx(1)


def _subject(frames, fps, seconds, prompt=None):
    clip = Clip(
        video=np.zeros((frames, 4, 4, 3), np.uint8),
        fps=Fraction(fps),
        audio=np.zeros((1, int(1000 * seconds)), np.float32),
        rate_hz=1000,
    )
    return Subject(clip=clip, record=_RECORD, prompt=prompt)


def _at(degrees):
    radians = np.radians(np.asarray(degrees, float))
    return np.stack([np.cos(radians), np.sin(radians)], axis=-1).astype(np.float32)


def test_scores_by_hand():
    """Frames at 0 to 90 degrees, sound at 0, windows at 0 and 90; lengths do not matter."""
    angles = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]
    features = np.concatenate([_at(angles), 3 * _at([0]), 2 * _at([0, 90])])
    subject = _subject(10, 4, 2.5)
    assert avh_score(subject, features, None).value == pytest.approx(np.cos(np.radians(angles)).mean())
    first = np.sort(np.cos(np.radians(angles[:8])))[:3].mean()
    second = np.sort(np.cos(np.radians(90 - np.array(angles[2:]))))[:3].mean()
    outcome = javis_score(subject, features, None)
    assert outcome.value == pytest.approx((first + second) / 2, abs=1e-6)
    assert outcome.details == {"num_windows": 2}
    assert ib_av(subject, np.concatenate([5 * _at([20]), _at([80])]), None).value == pytest.approx(0.5)


class _Text:
    def text_features(self, texts):
        return _at([10 * len(text.split()) for text in texts])

    def num_truncated(self, texts):
        return 1


def test_text_is_compared_sentence_by_sentence():
    prompt = Prompt(id="p", text="One two. One two three four.")
    subject = _subject(10, 4, 2.5, prompt)
    outcome = ib_tv(subject, 7 * _at([0]), _Text())
    assert outcome.value == pytest.approx((np.cos(np.radians(20)) + np.cos(np.radians(40))) / 2, abs=1e-6)
    assert outcome.warnings == ("1 of 2 sentences cut at 77 tokens",)
    left, right = tv_sides(7 * _at([0]), prompt, _Text())
    assert left @ right == pytest.approx(outcome.value)
    with pytest.raises(NotApplicable, match="no prompt"):
        ib_tv(_subject(10, 4, 2.5), _at([0]), _Text())
