"""N6 and N8 for extractors: features of a clip are float32 and the same bits whatever was seen before it.

Every extractor whose weights come from a package or with this one, with its real weights; those of a hub share their
classes or are tested at a small size in files of their own.
"""

import contextlib
import copy

import numpy as np
import pytest

from ltx2_benchmarks.synthetic import render, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.catalogue import EXTRACTORS, load_extractor
from ltx2_eval.media import read_clip
from ltx2_eval.weights.lockfile import entry

LARGE = ("i3d-k400", "i3d-k400-eps1e-5", "whisper-base", "whisper-turns", "dnsmos")
"""Seconds a clip; the same bits on the same clip are shown in their own tests, and whole runs in test_determinism."""
PACKAGED = [
    name
    for name, spec in EXTRACTORS.items()
    if name not in LARGE and all(entry(weights).kind in ("package", "bundled") for weights in spec.all_weights)
]


@pytest.fixture(scope="module")
def clips(request):
    """A scene with its own sound, and one with speech for those that want it."""
    made = [render(sample_scene(seed, split="test", family="bounce", frames=25)) for seed in (0, 1)]
    voices = read_clip(request.config.rootpath / "tests" / "golden" / "two_voices.ogg")
    spoken = np.repeat(voices.audio[:, : 4 * voices.rate_hz], 2, axis=0)
    sounds = [(made[0].audio, made[0].rate_hz), (spoken, voices.rate_hz)]
    return [
        Clip(video=scene.video, fps=scene.fps, audio=audio, rate_hz=rate_hz)
        for scene, (audio, rate_hz) in zip(made, sounds, strict=True)
    ]


@pytest.mark.weights
@pytest.mark.parametrize("name", PACKAGED)
def test_features_do_not_depend_on_what_was_seen_before(packaged_weights, clips, name):
    for weights in EXTRACTORS[name].all_weights:
        packaged_weights(weights)
    first, second = reversed(clips) if name == "resemblyzer" else clips
    fresh = load_extractor(name).features(copy.deepcopy(first))
    used = load_extractor(name)
    with contextlib.suppress(NotApplicable):  # nobody speaks in the second clip of Resemblyzer's
        used.features(second)
    again = used.features(first)
    assert fresh.dtype == np.float32
    assert fresh.shape[1] == EXTRACTORS[name].dimension
    assert len(fresh) >= 1
    assert np.isfinite(fresh).all()
    np.testing.assert_array_equal(again, fresh)
