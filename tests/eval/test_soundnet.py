"""SoundNet is the published network, and hears what the clip sounds like."""

import numpy as np
import pytest
import torch

from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.catalogue import load_extractor
from ltx2_eval.extractors.sound import mono
from ltx2_eval.extractors.soundnet import SoundNet


@pytest.fixture(scope="module")
def soundnet(packaged_weights):
    packaged_weights("soundnet")
    return load_extractor("soundnet-pool5")


@pytest.mark.weights
def test_forward_equals_the_published_values(soundnet):
    waveform = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, 22050 * 12).astype(np.float32))[None]
    with torch.inference_mode():
        objects, scenes = soundnet.network(waveform)
        pool5, conv7 = soundnet.network.layer(waveform, 5), soundnet.network.layer(waveform, 7)
    assert (objects.shape, scenes.shape, pool5.shape, conv7.shape) == (
        (1, 1000, 1),
        (1, 401, 1),
        (1, 256, 32),
        (1, 1024, 9),
    )
    expected = torch.tensor([-3.548534, -3.319860, -1.847261, -3.008517])
    torch.testing.assert_close(objects[0, :4, 0], expected, rtol=1e-4, atol=0)
    expected = torch.tensor([-3.283836, 1.145482, -2.590218, -1.439573])
    torch.testing.assert_close(scenes[0, :4, 0], expected, rtol=1e-4, atol=0)
    found = [objects.mean(), objects.max(), scenes.mean(), pool5.mean(), pool5.max(), conv7.mean()]
    expected_all = [-2.678440, 1.998236, -2.689753, 0.1413213, 3.334363, 0.01419192]
    assert [float(x) for x in found] == pytest.approx(expected_all, rel=1e-4)


@pytest.mark.weights
@pytest.mark.parametrize(("duration_s", "windows"), [(1.0, 3), (2.0, 5), (5.04, 14), (10.0, 27)])
def test_windows_grow_with_the_clip(soundnet, sound_clip, duration_s, windows):
    clip = sound_clip(np.random.default_rng(0).uniform(-0.5, 0.5, (2, int(48000 * duration_s))), 48000)
    features = soundnet.features(clip)
    assert (features.shape, features.dtype) == ((windows, 256), np.float32)


@pytest.mark.weights
def test_silence_gives_finite_features(soundnet, sound_clip):
    assert np.isfinite(soundnet.features(sound_clip(np.zeros(48000), 48000))).all()


def test_mono_is_the_mean_and_resampling_keeps_the_tone(sound_clip):
    t = np.arange(48000) / 48000
    tone = 0.5 * np.sin(2 * np.pi * 440 * t)
    found = mono(sound_clip(np.stack([2 * tone, 0 * tone]), 48000), 22050, 1.0)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(22050) / 22050)
    assert found.dtype == np.float32
    assert np.abs(found - expected)[500:-500].max() < 1e-4


def test_what_cannot_be_heard_is_not_applicable(sound_clip, video_clip):
    with pytest.raises(NotApplicable, match="no sound"):
        mono(video_clip(np.zeros((2, 4, 4, 3), np.uint8)), 22050, 1.0)
    with pytest.raises(NotApplicable, match=r"0\.50 s"):
        mono(sound_clip(np.zeros(4000), 8000), 22050, 1.0)
    with pytest.raises(ValueError, match="not finite"):
        mono(sound_clip(np.full(8000, np.nan), 8000), 22050, 1.0)


def test_the_network_has_the_size_of_the_published_file():
    numbers = sum(tensor.numel() for tensor in SoundNet().state_dict().values() if tensor.is_floating_point())
    assert 0 < 57_429_057 - 4 * numbers < 4096
