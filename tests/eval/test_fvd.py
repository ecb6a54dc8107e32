"""FVD by the real network notices what it should: blur, noise, a frozen picture, shuffled frames."""

import numpy as np
import pytest
import torch

from ltx2_eval.extractors.catalogue import load_extractor
from ltx2_eval.metrics.frechet import FrechetOverClips
from ltx2_eval.metrics.kernel import KernelOverClips

_FRAMES, _HEIGHT, _WIDTH, _CLIPS = 24, 72, 128, 2


def _clip(seed):
    """A textured ground over which three discs move."""
    random = np.random.default_rng(seed)
    ground = random.uniform(40, 200, (_HEIGHT // 8, _WIDTH // 8, 3)).repeat(8, axis=0).repeat(8, axis=1)
    frames = np.repeat(ground[None], _FRAMES, axis=0)
    y, x = np.mgrid[:_HEIGHT, :_WIDTH]
    for _ in range(3):
        start, velocity = random.uniform(20, 50, 2), random.uniform(-2.5, 2.5, 2)
        colour, radius = random.uniform(0, 255, 3), random.uniform(8, 16)
        for i in range(_FRAMES):
            centre = start + velocity * i
            frames[i][(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2] = colour
    return frames.astype(np.uint8)


def _noise(frames, amount):
    noisy = frames + np.random.default_rng(0).normal(0, amount, frames.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _blur(frames):
    rows = torch.from_numpy(frames).float().permute(0, 3, 1, 2)
    return torch.nn.functional.avg_pool2d(rows, 9, 1, 4, count_include_pad=False).permute(0, 2, 3, 1).byte().numpy()


_CHANGES = {
    "barely": lambda frames: _noise(frames, 1),
    "noise": lambda frames: _noise(frames, 40),
    "blur": _blur,
    "freeze": lambda frames: frames[len(frames) // 2 : len(frames) // 2 + 1].repeat(len(frames), axis=0),
    "shuffle": lambda frames: frames[np.random.default_rng(0).permutation(len(frames))],
}


@pytest.fixture(scope="module")
def features(packaged_weights, video_clip):
    """Features of the clips, clean and changed in each way."""
    packaged_weights("i3d-k400")
    network = load_extractor("i3d-k400")
    clips = [_clip(seed) for seed in range(_CLIPS)]

    def of(change):
        return [network.features(video_clip(change(frames), fps="12")) for frames in clips]

    return {"clean": of(lambda frames: frames), **{name: of(change) for name, change in _CHANGES.items()}}


@pytest.mark.weights
@pytest.mark.parametrize("distance", [FrechetOverClips(), KernelOverClips("polynomial", 1.0)], ids=["fvd", "kvd"])
def test_distances_rise_with_damage(features, distance):
    values = {name: distance(features[name], features["clean"]) for name in _CHANGES}
    least = distance(features["clean"], features["clean"])
    barely = values.pop("barely") - least
    assert abs(barely) < 0.02 * (min(values.values()) - least), values


@pytest.mark.weights
@pytest.mark.parametrize("name", ["clean", *_CHANGES])
def test_fvd_of_a_set_with_itself_is_zero(features, name):
    own = np.concatenate(features[name]).astype(np.float64)
    assert 0 <= FrechetOverClips()(features[name], features[name]) < 1e-6 * own.var(axis=0, ddof=1).sum()
