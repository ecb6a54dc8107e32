"""DeSync, consistency, dynamic degree, shots, objects and CMMD: by hand, and what must make them decline."""

import inspect
from fractions import Fraction

import numpy as np
import pytest
import torch

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.metrics import catalogue_sync, catalogue_vision
from ltx2_eval.metrics.base import Subject
from ltx2_eval.metrics.catalogue import clip_metric
from ltx2_eval.metrics.cmmd import Cmmd, CmmdOverClips, cmmd
from ltx2_eval.metrics.consistency import aesthetic, frame_consistency, object_agreement, shot_cuts
from ltx2_eval.metrics.dynamics import dynamic_degree
from ltx2_eval.metrics.sync_networks import desync, desync_expected, desync_signed, sync_accuracy
from ltx2_reports.records import ClipRecord

_RECORD = ClipRecord(sample="s", prompt_id="p", seed=0, file="clips/s.mp4", sha256="0" * 64)
_ENTRIES = (*catalogue_sync.ENTRIES, *catalogue_vision.ENTRIES)


def _subject(video, sound=None, fps=24):
    audio = None if sound is None else sound[None].astype(np.float32)
    clip = Clip(video=video, fps=Fraction(fps), audio=audio, rate_hz=None if sound is None else 16_000)
    return Subject(clip=clip, record=_RECORD, prompt=None)


def _wall(height=60, width=200):
    return np.kron(np.random.default_rng(0).integers(0, 256, (height, width, 3)), np.ones((8, 8, 1))).astype(np.uint8)


def _panned(pixels_per_frame, frames=48):
    """A camera that moves over a wall of coloured squares, 256 pixels high."""
    wall = _wall()
    starts = [int(100 + pixels_per_frame * i) for i in range(frames)]
    return np.stack([wall[100:356, start : start + 448] for start in starts])


@pytest.fixture(scope="module")
def moving():
    return _subject(_panned(4), np.random.default_rng(0).normal(0, 0.1, 32_000))


def _scores(*classes, height=20.0):
    rows = np.zeros((2, 21), np.float32)
    rows[np.arange(2), list(classes)] = height
    return rows


@pytest.mark.parametrize(
    ("classes", "absolute", "signed", "accuracy"),
    [
        ((10, 10), 0.0, 0.0, 1.0),
        ((11, 9), 0.2, 0.0, 1.0),
        ((12, 10), 0.2, -0.2, 0.5),
        ((5, 6), 0.9, 0.9, 0.0),
        ((0, 20), 2.0, 0.0, 0.0),
    ],
)
def test_desync_by_hand(moving, classes, absolute, signed, accuracy):
    """Class 12 is sound that comes 0.4 s early: late is positive here."""
    features = _scores(*classes)
    assert desync(moving, features, None).value == pytest.approx(absolute, abs=1e-9)
    assert desync_expected(moving, features, None).value == pytest.approx(absolute, abs=1e-5)
    assert desync_signed(moving, features, None).value == pytest.approx(signed, abs=1e-9)
    assert sync_accuracy(moving, features, None).value == accuracy


def test_an_unsure_network_expects_the_chance_value(moving):
    outcome = desync_expected(moving, np.zeros((2, 21), np.float32), None)
    assert outcome.value == pytest.approx(2 * 0.2 * 55 / 21)
    assert outcome.details["entropy"] == pytest.approx(np.log(21))
    assert outcome.details["within_200ms_probability"] == pytest.approx(3 / 21)


@pytest.mark.parametrize("metric", [desync, desync_expected, desync_signed, sync_accuracy])
def test_without_sound_or_motion_there_is_no_offset(moving, metric):
    silent = _subject(moving.clip.video, np.zeros(32_000))
    still = _subject(moving.clip.video[:1].repeat(48, axis=0), moving.clip.audio[0])
    for subject, what in ((silent, "silent"), (still, "stands still")):
        outcome = metric(subject, _scores(10, 10), None)
        assert (outcome.value, outcome.reason.kind) == (None, "abstained")
        assert what in outcome.reason.message
    with pytest.raises(NotApplicable):
        metric(_subject(moving.clip.video), _scores(10, 10), None)


def _at(degrees):
    radians = np.radians(np.asarray(degrees, float))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_consistency_by_hand_and_beside_motion(moving):
    outcome = frame_consistency(moving, _at([0, 60, 180]), None)
    neighbours, first = [0.5, max(0.0, np.cos(np.radians(120)))], [0.5, 0.0]
    assert outcome.value == pytest.approx((sum(neighbours) + sum(first)) / 4, abs=1e-6)
    assert outcome.details["dynamic_degree"] == 1.0
    assert not outcome.warnings
    frozen = frame_consistency(_subject(moving.clip.video[:1].repeat(24, axis=0)), _at([30] * 24), None)
    assert frozen.value == pytest.approx(1, abs=1e-6)
    assert frozen.details["dynamic_degree"] == 0.0
    assert frozen.warnings == ("the picture hardly moves: consistency rewards that",)
    assert frame_consistency(moving, _at([0]), None).reason.kind == "abstained"


@pytest.mark.parametrize(("speed", "expected"), [(0, 0.0), (0.5, 0.0), (2, 1.0), (8, 1.0)])
def test_dynamic_degree_knows_how_far_the_picture_moves(speed, expected):
    """256 pixels high at 24 frames a second: the rule's threshold is 2 pixels a frame."""
    outcome = dynamic_degree(_subject(_panned(speed)))
    assert outcome.value == expected
    true = speed * 24 / 256
    assert outcome.details["short_sides_per_s"] == pytest.approx(true, rel=0.45, abs=0.05)


def test_noise_and_brightness_move_nothing():
    wall = _wall()[None, :256, :448].astype(float)
    noise = np.random.default_rng(1).normal(0, 8, (24, 256, 448, 3))
    noisy = np.clip(wall + noise, 0, 255).astype(np.uint8)
    assert dynamic_degree(_subject(noisy)).value == 0.0
    fade = np.clip(wall * np.linspace(0.5, 1, 24)[:, None, None, None], 0, 255).astype(np.uint8)
    assert dynamic_degree(_subject(fade)).value == 0.0


def test_a_small_thing_that_moves_is_seen():
    video = np.full((48, 256, 256, 3), 60, np.uint8)
    for i in range(48):
        video[i, 100:132, 4 * i : 4 * i + 32] = 200
    assert dynamic_degree(_subject(video)).value == 1.0


def test_too_little_for_motion():
    assert dynamic_degree(_subject(_panned(4, frames=4))).reason.kind == "abstained"
    sound = Subject(
        clip=Clip(video=None, fps=None, audio=np.zeros((1, 8), np.float32), rate_hz=8), record=_RECORD, prompt=None
    )
    with pytest.raises(NotApplicable, match="no video"):
        dynamic_degree(sound)


def test_shots_are_runs_that_end_within_the_clip():
    rows = np.zeros((20, 2), np.float32)
    rows[[4, 9, 10, 11, 19], 0] = 0.9
    rows[15, 0] = 0.5
    outcome = shot_cuts(_subject(np.zeros((20, 4, 4, 3), np.uint8), fps=10), rows, None)
    assert outcome.value == 2
    assert outcome.details["first_cut_s"] == pytest.approx(0.4)
    none = shot_cuts(_subject(np.zeros((20, 4, 4, 3), np.uint8)), np.zeros((20, 2), np.float32), None)
    assert (none.value, none.details["first_cut_s"]) == (0.0, None)


def test_objects_agree_or_not():
    random = np.random.default_rng(0)
    seen = np.log(random.dirichlet(np.ones(1000))).astype(np.float32)
    other = np.log(random.dirichlet(np.ones(1000))).astype(np.float32)
    assert object_agreement(None, np.stack([seen, 3 * seen - 7]), None).value == pytest.approx(1, abs=1e-6)
    assert object_agreement(None, np.stack([seen, other]), None).value == pytest.approx(
        np.corrcoef(seen, other)[0, 1], abs=1e-5
    )
    assert object_agreement(None, np.stack([seen, 0 * seen]), None).reason.kind == "abstained"


def test_aesthetic_is_a_tenth_of_the_mean():
    outcome = aesthetic(None, np.array([[5.0], [6.0], [7.0]], np.float32), None)
    assert outcome.value == pytest.approx(0.6)
    assert outcome.details == {"worst_frame": pytest.approx(0.5)}


def _units(n, d=768, seed=0, shift=0.0):
    rows = np.random.default_rng(seed).normal(size=(n, d))
    rows[:, 0] += shift
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_cmmd_equals_its_formula_and_is_nearly_the_distance_of_means():
    """By the definition, pair after pair: gamma = 1 / (2 * 10 ** 2), diagonals kept, times 1000."""
    x, y = _units(40), _units(50, seed=1, shift=30.0)

    def mean(a, b):
        return np.exp(-((a[:, None] - b[None]).astype(np.float64) ** 2).sum(axis=2) / 200).mean()

    expected = 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))
    assert cmmd(x, y) == pytest.approx(expected, rel=1e-7)
    means = 10 * ((x.mean(axis=0, dtype=np.float64) - y.mean(axis=0, dtype=np.float64)) ** 2).sum()
    assert cmmd(x, y) == pytest.approx(means, rel=0.02)
    assert cmmd(x, x) == pytest.approx(0, abs=1e-9)


def test_cmmd_merges_and_refuses():
    x, y = _units(40), _units(50, seed=1, shift=30.0)
    metric = Cmmd()
    metric.update(torch.from_numpy(x), real=False)
    with pytest.raises(ValueError, match="reference features: found 0 rows"):
        metric.compute()
    metric = Cmmd()
    for part in np.split(x, 8):
        metric.update(torch.from_numpy(part), real=False)
    metric.update(torch.from_numpy(y), real=True)
    assert float(metric.compute()) == pytest.approx(cmmd(x, y), rel=1e-6)
    assert CmmdOverClips()(np.split(x, 20), np.split(y, 25)) == pytest.approx(cmmd(x, y), rel=1e-9)
    with pytest.raises(ValueError, match="not finite"):
        metric.update(torch.full((2, 768), torch.nan), real=False)


@pytest.mark.parametrize(
    "entry", [entry for entry in _ENTRIES if entry.spec.level == "clip"], ids=lambda entry: entry.spec.id
)
def test_settings_are_the_implementations(entry):
    parameters = inspect.signature(clip_metric(entry)).parameters.values()
    keywords = {item.name: item.default for item in parameters if item.kind is inspect.Parameter.KEYWORD_ONLY}
    assert entry.settings == keywords
