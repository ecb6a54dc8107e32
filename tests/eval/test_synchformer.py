"""Synchformer: the published scores on the published fill, its parts against other implementations, its front end."""

import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors import synchformer
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.frames import frames_from
from ltx2_eval.extractors.pixels import pillow_squares
from ltx2_eval.extractors.sync_spectra import kaldi_fbank, synchformer_mel, syncnet_cepstra
from ltx2_eval.extractors.synchformer import (
    FPS,
    SEGMENTS_AT_ONCE,
    SynchformerExtractor,
    mel_of_segment,
    segment_starts,
)
from ltx2_eval.extractors.synchformer_net import (
    _OVER_SPACE,
    _OVER_TIME,
    OFFSETS,
    Ast,
    DividedAttention,
    MotionFormer,
    Synchformer,
)


def _signal(duration_s, rate_hz=16_000):
    """The test signal of the published front-end values."""
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * (200 * t + 150 * t**2)) + 0.1 * np.sin(2 * np.pi * 3000 * t)).astype(np.float32)


@pytest.mark.parametrize(
    ("spectrum", "duration_s", "shape", "moments", "entries"),
    [
        (
            kaldi_fbank,
            2.0,
            (198, 128),
            (-12.0717, 5.5221),
            {(0, 0): -12.2645, (100, 40): -12.2703, (197, 127): -15.9424},
        ),
        (synchformer_mel, 0.64, (128, 65), (-8.7296, 6.2133), {(0, 0): 5.0125, (40, 30): -10.4292, (127, 64): -7.3712}),
        (syncnet_cepstra, 1.0, (99, 13), (-2.9347, 26.2708), {(0, 0): 21.1095, (50, 5): -36.6213, (98, 12): 19.5110}),
    ],
    ids=["imagebind", "synchformer", "syncnet"],
)
def test_front_ends_give_the_published_values(spectrum, duration_s, shape, moments, entries):
    """Values of torchaudio and python_speech_features on the same signal."""
    found = spectrum(_signal(duration_s))
    assert (found.shape, found.dtype) == (shape, np.float32)
    assert (found.mean(dtype=np.float64), found.std(dtype=np.float64)) == pytest.approx(moments, abs=2e-4)
    assert {place: float(found[place]) for place in entries} == pytest.approx(entries, abs=1e-3)


@pytest.fixture(scope="module")
def meta():
    with torch.device("meta"):
        return Synchformer()


def test_the_layout_is_the_published_one(meta):
    state = meta.state_dict()
    assert (len(state), sum(value.numel() for value in state.values())) == (513, 237_460_245)
    sizes = {"vfeat_extractor.": 122_440_704, "afeat_extractor.": 92_400_384, "transformer.": 21_437_973}
    for prefix, size in sizes.items():
        assert sum(value.numel() for key, value in state.items() if key.startswith(prefix)) == size
    for key, shape in {
        "vfeat_extractor.patch_embed_3d.proj.weight": (768, 3, 2, 16, 16),
        "vfeat_extractor.spatial_attn_agg.self_attn.in_proj_weight": (2304, 768),
        "afeat_extractor.ast.embeddings.position_embeddings": (1, 74, 768),
        "afeat_extractor.ast.encoder.layer.11.attention.attention.query.weight": (768, 768),
        "transformer.pos_emb_cfg.pos_emb": (1, 198, 768),
        "transformer.off_head.weight": (21, 768),
    }.items():
        assert tuple(state[key].shape) == shape


def test_scores_equal_the_reference_on_filled_weights(meta, published_values_of):
    """The comparing transformer alone is filled: its tensors by their ranks among all 513."""
    network = Synchformer.__new__(Synchformer)
    torch.nn.Module.__init__(network)
    for name in ("vproj", "aproj", "transformer"):
        network.add_module(name, getattr(meta, name).to_empty(device="cpu"))
    ranks = {key: rank for rank, key in enumerate(sorted(meta.state_dict()))}
    filled = {key: published_values_of(key, value, ranks[key]) for key, value in network.state_dict().items()}
    network.load_state_dict(filled)
    visual, sound = (
        published_values_of(None, torch.empty(1, 14, tokens, 768), k) * 2 for tokens, k in ((8, 997), (6, 998))
    )
    with torch.inference_mode():
        scores = network.eval().compare(visual, sound)[0]
    expected = torch.tensor([-0.27724, 0.68880, 0.63492, -1.26605, -0.24380])
    torch.testing.assert_close(scores[:5], expected, rtol=0, atol=2e-5)
    assert float(scores.mean()) == pytest.approx(0.038452, abs=2e-6)
    assert float(scores.norm()) == pytest.approx(3.66447, rel=1e-5)
    with pytest.raises(ValueError, match="13 and 14 segments, expected 14"):
        network.compare(visual[:, :13], sound)


_TO_TRANSFORMERS_5 = (
    (r"^encoder\.layer\.", "layers."),
    (r"attention\.attention\.(query|key|value)", lambda match: f"attention.{match[1][0]}_proj"),
    (r"attention\.output\.dense", "attention.o_proj"),
    (r"intermediate\.dense", "mlp.fc1"),
    (r"output\.dense", "mlp.fc2"),
)


def test_the_sound_tower_equals_transformers():
    """Independent source: ASTModel of transformers, at two layers, with its renamed keys."""
    from transformers import ASTConfig, ASTModel

    torch.manual_seed(0)
    ours = Ast(layers=2).eval()
    theirs = ASTModel(ASTConfig(num_hidden_layers=2, max_length=66)).eval()
    state = dict(ours.state_dict())
    for pattern, replacement in _TO_TRANSFORMERS_5:
        state = {re.sub(pattern, replacement, key): value for key, value in state.items()}
    theirs.load_state_dict(state, strict=True)
    mel = torch.randn(2, 128, 66)
    with torch.inference_mode():
        expected = theirs(mel.transpose(1, 2)).last_hidden_state
        torch.testing.assert_close(ours(mel), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("grouped", [_OVER_TIME, _OVER_SPACE])
def test_divided_attention_is_attention_under_a_mask(grouped):
    torch.manual_seed(0)
    frames, places, width, heads = 3, 4, 12, 2
    attention, x = DividedAttention(width, heads).eval(), torch.randn(2, 1 + frames * places, width)
    time, place = np.divmod(np.arange(frames * places), places)
    group = place if grouped == _OVER_TIME else time
    seen = torch.ones(1 + frames * places, 1 + frames * places, dtype=torch.bool)
    seen[1:, 1:] = torch.from_numpy(group[:, None] == group[None])
    with torch.inference_mode():
        q, k, v = attention.qkv(x).reshape(2, -1, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        plain = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        expected = attention.proj(plain.transpose(1, 2).flatten(2))
        torch.testing.assert_close(attention(x, grouped, frames), expected, rtol=1e-5, atol=1e-6)


def test_segments_lie_within_both_streams():
    assert segment_starts(125, 80_000) == list(range(14))
    assert segment_starts(200, 128_000) == list(range(24))
    assert segment_starts(120, 76_800) == list(range(14))
    for frames, samples in ((119, 80_000), (125, 76_799)):
        with pytest.raises(NotApplicable, match=r"Synchformer needs 4\.8 s: too short"):
            segment_starts(frames, samples)


def test_the_padding_column_is_zero_before_normalisation():
    mel = mel_of_segment(_signal(0.64))
    assert mel.shape == (128, 66)
    torch.testing.assert_close(mel[:, -1], torch.full((128,), 4.2677393 / 9.1379948), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("fps", "first"), [("24", [0, 1, 2, 3, 4]), ("50", [0, 2, 4, 6, 8]), ("30", [0, 2, 3, 4, 5])])
def test_frames_are_the_first_that_are_due(video_clip, fps, first):
    video = np.broadcast_to(np.arange(60, dtype=np.uint8)[:, None, None, None], (60, 4, 4, 3)).copy()
    found = frames_from(video_clip(video, fps), 0.0, FPS)[:, 0, 0, 0]
    assert found[:5].tolist() == first
    assert len(found) == int(60 / float(Fraction(fps)) * FPS + 1e-6)


class _Recorder(torch.nn.Module):
    """In the place of a tower: tells which segment it saw by the mean of its input."""

    def __init__(self, tokens):
        super().__init__()
        self.tokens, self.seen, self.most = tokens, [], 0

    def forward(self, x):
        means = x.flatten(1).mean(dim=1)
        self.seen += means.tolist()
        self.most = max(self.most, len(x))
        return means[:, None, None].expand(len(x), self.tokens, 768)


class _Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.vfeat_extractor, self.afeat_extractor = _Recorder(8), _Recorder(6)

    def compare(self, visual, sound):
        assert (visual.shape, sound.shape) == ((1, 14, 8, 768), (1, 14, 6, 768))
        return visual.mean(dim=(2, 3)).repeat(1, 2)[:, :OFFSETS]


@pytest.mark.parametrize(("duration_s", "segments"), [(5.0, 14), (8.0, 24)])
def test_both_ends_of_the_clip_are_seen(duration_s, segments):
    """Frame k is of grey k: the mean of a segment tells where it lies."""
    frames = int(duration_s * 25)
    grey = np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, 32, 48, 3)).copy()
    clip = Clip(video=grey, fps=Fraction(25), audio=_signal(duration_s)[None], rate_hz=16_000)
    extractor = SynchformerExtractor(spec=None, network=_Network(), device="cpu")
    rows = extractor.features(clip)
    means = [(8 * k + 7.5) / 127.5 - 1 for k in range(segments)]
    assert extractor.network.vfeat_extractor.seen == pytest.approx(means, abs=1e-4)
    assert len(extractor.network.afeat_extractor.seen) == segments
    assert extractor.network.vfeat_extractor.most == extractor.network.afeat_extractor.most == SEGMENTS_AT_ONCE
    assert (rows.shape, rows.dtype) == ((2, 21), np.float32)
    assert rows[0, :14] == pytest.approx(means[:14], abs=1e-4)
    assert rows[1, :14] == pytest.approx(means[-14:], abs=1e-4)


def test_streams_that_start_apart_are_cut_to_what_they_share():
    frames = 150
    grey = np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, 32, 48, 3)).copy()
    clip = Clip(video=grey, fps=Fraction(25), audio=_signal(5.6)[None], rate_hz=16_000, audio_start_s=0.4)
    extractor = SynchformerExtractor(spec=None, network=_Network(), device="cpu")
    extractor.features(clip)
    assert extractor.network.vfeat_extractor.seen[0] == pytest.approx((10 + 7.5) / 127.5 - 1, abs=1e-4)


def test_every_frame_is_resized_once(monkeypatch):
    resized = []

    def spy(frames, side, rule):
        resized.extend(frames[:, 0, 0, 0].tolist())
        return pillow_squares(frames, side, rule)

    monkeypatch.setattr(synchformer, "pillow_squares", spy)
    grey = np.broadcast_to(np.arange(200, dtype=np.uint8)[:, None, None, None], (200, 32, 48, 3)).copy()
    clip = Clip(video=grey, fps=Fraction(25), audio=_signal(8.0)[None], rate_hz=16_000)
    SynchformerExtractor(spec=None, network=_Network(), device="cpu").features(clip)
    assert sorted(resized) == list(range(200))


@pytest.mark.parametrize(("tower", "shape"), [(MotionFormer, (3, 3, 16, 224, 224)), (Ast, (3, 128, 66))])
def test_segments_do_not_see_their_neighbours_in_the_batch(tower, shape):
    torch.manual_seed(0)
    with torch.device("meta"):
        network = tower()
    blocks = network.blocks if tower is MotionFormer else network.encoder.layer
    del blocks[1:]
    network = network.to_empty(device="cpu").eval().requires_grad_(False)
    for value in network.parameters():
        value.normal_(0, 0.02)
    x = torch.randn(shape)
    together, alone = network(x), torch.cat([network(one[None]) for one in x])
    assert float((together - alone).abs().max()) <= 1e-5 * float(alone.abs().max())
    assert float((together[0] - together[1]).abs().max()) > 1e-2 * float(alone.abs().max())
