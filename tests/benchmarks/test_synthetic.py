"""The procedural world: same bits, exact physics, events that are seen and heard where and when they are said to be."""

import dataclasses
import hashlib
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from ltx2_benchmarks.synthetic import FAMILIES, Scene, render, sample_scene
from ltx2_benchmarks.synthetic.drawing import pose
from ltx2_benchmarks.synthetic.physics import bounce, bounce_intervals, collide, hop, slide
from ltx2_benchmarks.synthetic.shapes import contact_distance, outline, reach, signed_distance
from ltx2_benchmarks.synthetic.vocabulary import COLOURS, FLOOR_Y, MATERIALS, MOTIONS, SHAPES, WALL_X, split_of

SPLITS = ("train", "validation", "test")
PINNED = {
    "bounce": "d2a4ac4b7a5d06ff",
    "slide": "d19c66e4cd5c1dfb",
    "collide": "88bbff5d606bcbff",
    "blink": "0198c9666b9a9e81",
    "rotate": "9bf0ab44e7bd23c3",
    "drift": "fc5b221c3d87fea9",
    "order": "48360efdbee61875",
    "impacts": "77f10a4678a26e04",
}


def fingerprint(scene: Scene) -> str:
    clip = render(scene)
    return hashlib.sha256(clip.video.tobytes() + clip.audio.tobytes()).hexdigest()[:16]


def scene_of(family: str, seed: int = 0, **arguments: int) -> Scene:
    return sample_scene(seed, family=family, **({"frames": 121} if family == "impacts" else {}) | arguments)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_gives_the_same_bits_for_ever(family: str) -> None:
    assert fingerprint(scene_of(family)) == fingerprint(scene_of(family)) == PINNED[family]


def test_seeds_and_splits_differ() -> None:
    prints = {fingerprint(sample_scene(seed, split=split)) for seed in range(10) for split in SPLITS}
    assert len(prints) == 30


@pytest.mark.parametrize("family", FAMILIES)
def test_json_round_trip_is_exact(family: str) -> None:
    scene = scene_of(family, seed=5)
    again = Scene.from_json(scene.to_json())
    assert again == scene
    assert again.to_json() == scene.to_json()


def test_json_that_is_no_scene_is_refused() -> None:
    scene = sample_scene(0)
    for text in ("", "[]", "{}", '{"schema_version":1}', scene.to_json().replace('"width"', '"widht"')):
        with pytest.raises(ValueError, match="scene"):
            Scene.from_json(text)
    with pytest.raises(ValueError, match="schema version 2, expected 1"):
        Scene.from_json(scene.to_json().replace('"schema_version":1', '"schema_version":2'))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "dev"}, "split 'dev'"),
        ({"family": "fly"}, "family 'fly'"),
        ({"width": 8}, "size 8x96"),
        ({"height": 36}, "size 96x36"),
        ({"frames": 23}, "23 frames"),
        ({"rate_hz": 16_000}, "16000"),
    ],
)
def test_what_the_world_does_not_have_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample_scene(0, **arguments)


@pytest.mark.parametrize(
    ("arguments", "shape", "samples"),
    [
        ({}, (49, 96, 96, 3), 49_000),
        ({"width": 128, "height": 64, "frames": 50, "fps": 25}, (50, 64, 128, 3), 48_000),
        ({"frames": 31, "fps": 30, "rate_hz": 44_100}, (31, 96, 96, 3), 45_570),
    ],
)
def test_clip_has_the_contract_shape(arguments: dict, shape: tuple, samples: int) -> None:
    clip = render(sample_scene(1, **arguments))
    assert clip.video.shape == shape
    assert clip.video.dtype == np.uint8
    assert clip.fps == Fraction(arguments.get("fps", 24))
    assert isinstance(clip.fps, Fraction)
    assert clip.audio.shape == (2, samples)
    assert clip.audio.dtype == np.float32
    assert np.abs(clip.audio).max() <= 1
    assert np.array_equal(clip.audio * 32768, np.round(clip.audio * 32768))


def test_bounce_by_hand() -> None:
    # From 0.45 with g = 3.6: lands after √(0.9/3.6) = 0.5 s at 1.8; e = 0.5: back after 2·0.9/3.6 = 0.5 s, then 0.25.
    assert bounce_intervals(drop=0.45, gravity=3.6, restitution=0.5, count=3) == pytest.approx([0.5, 0.5, 0.25])
    path, hits = bounce(x=0.5, drift=0.1, floor=0.7, release_s=0.2, drop=0.45, gravity=3.6, restitution=0.5, count=3)
    assert [hit.time_s for hit in hits] == pytest.approx([0.7, 1.2, 1.45])
    assert path[1].at(0.7) == pytest.approx((0.55, 0.7))
    assert path[2].at(0.95) == pytest.approx((0.575, 0.7 - 0.9**2 / 7.2))
    assert path[2].at(1.2) == pytest.approx((0.6, 0.7))
    assert path[-1].at(9.0) == pytest.approx((0.625, 0.7))


def test_hop_meets_the_floor_at_the_given_times() -> None:
    path, hits = hop(x=0.5, floor=0.7, times_s=(0.6, 1.0, 1.7), gravity=5.0, first_drop=0.4)
    assert path[1].at(0.6)[1] == pytest.approx(0.7)
    assert path[2].at(1.0)[1] == pytest.approx(0.7)
    assert path[2].at(0.8)[1] == pytest.approx(0.7 - 5 * 0.4**2 / 8)
    assert [hit.time_s for hit in hits] == [0.6, 1.0, 1.7]


def test_slide_by_hand() -> None:
    # Right face of an object reaching 0.1 meets the wall's at 0.95: 0.45 to go at 0.9 per second after 0.1 s.
    path, hits = slide(
        x=0.4, y=0.7, release_s=0.1, speed=0.9, restitution=0.5, count=2, reach=(0.2, 0.1), aspect=1.0, coast=0.2
    )
    assert [hit.time_s for hit in hits] == pytest.approx([0.6, 0.6 + (0.85 - 0.25) / 0.45])
    assert [hit.normal for hit in hits] == [(1.0, 0.0), (-1.0, 0.0)]
    assert path[2].at(hits[1].time_s)[0] == pytest.approx(WALL_X + 0.2)
    assert path[-1].x == pytest.approx(0.45)
    assert path[-2].at(path[-1].start_s)[0] == pytest.approx(0.45)


def test_collision_by_hand() -> None:
    left, right = collide(
        starts=(0.2, 0.9), heights=(0.7, 0.7), speeds=(0.3, 0.1), release_s=0.5, touching=0.3, coasts=(0.1, 0.05)
    )
    assert left[1][0].time_s == right[1][0].time_s == pytest.approx(1.5)
    assert left[0][2].x == pytest.approx(0.5)
    assert right[0][2].x == pytest.approx(0.8)
    assert (left[0][2].vx, right[0][2].vx) == pytest.approx((-0.1, 0.3))
    assert (left[0][3].x, right[0][3].x) == pytest.approx((0.4, 0.85))


@pytest.mark.parametrize(("left", "right"), list(itertools.product(SHAPES, SHAPES)))
def test_shapes_touch_at_the_contact_distance(left: str, right: str) -> None:
    distance = contact_distance(left, 1.0, right, 0.8, 0.1)
    y, x = np.mgrid[-1.4:1.4:561j, -1.5:3.0:901j].astype(np.float32)
    for offset, overlap in ((-0.03, True), (0.03, False)):
        a = signed_distance(left, x, y) < 0
        b = (
            signed_distance(
                right, (x - np.float32(distance + offset)) / np.float32(0.8), (y - np.float32(0.1)) / np.float32(0.8)
            )
            < 0
        )
        assert bool(np.any(a & b)) == overlap


@pytest.mark.parametrize("shape", SHAPES)
def test_outline_and_implicit_function_agree(shape: str) -> None:
    corners = np.array(outline(shape), np.float32)
    assert np.abs(signed_distance(shape, corners[:, 0], corners[:, 1])).max() < 1e-5
    assert (signed_distance(shape, *(0.97 * corners.T)) < 0).all()
    assert (signed_distance(shape, *(1.03 * corners.T)) > 0).all()
    assert reach(shape)[3] == pytest.approx(corners[:, 1].max())


@pytest.mark.parametrize("family", ["bounce", "slide", "collide", "blink", "rotate", "impacts"])
@pytest.mark.parametrize("seed", range(6))
def test_sound_begins_exactly_at_the_event(family: str, seed: int) -> None:
    scene = dataclasses.replace(scene_of(family, seed), ambient="none")
    clip = render(scene)
    loud = np.abs(clip.audio).max(axis=0)
    first = clip.events[0].time_s
    heard = int(np.argmax(loud > 0.1 * loud.max())) / clip.rate_hz
    assert abs(heard - first) <= 1e-3
    assert not loud[: math.floor(first * clip.rate_hz)].any()
    for event in clip.events[1:]:
        start = round(event.time_s * clip.rate_hz)
        assert loud[start : start + 24].max() > 1.5 * loud[start - 72 : start - 1].max()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("family", ["bounce", "impacts"])
def test_contact_is_visible_in_the_first_frame_after_it(family: str, seed: int) -> None:
    scene = dataclasses.replace(scene_of(family, seed), camera="still")
    clip = render(scene)
    masks, luma = clip.masks()[0], clip.video.astype(np.float64).mean(axis=(1, 2, 3))
    for event in clip.events:
        frame = math.ceil(event.time_s * scene.fps)
        assert pose(scene, 0, frame).flash > 0.99
        assert pose(scene, 0, frame - 1).flash < 0.6
        lowest = np.flatnonzero(masks[frame].any(axis=1))[-1] + 1
        assert abs(lowest - FLOOR_Y * scene.height) <= 1.5
        assert luma[frame] - luma[frame - 1] > 2.0
        assert luma[frame] - luma[frame - 1] == max(np.diff(luma)[frame - 4 : frame + 4])


def test_subpixel_positions_are_visible() -> None:
    scene = scene_of("drift")
    moved = [render(scene).video[k, :80].astype(np.float64) for k in range(3)]
    middles = []
    for image in moved:
        weight = np.abs(image - np.median(image, axis=(0, 1))).sum(axis=(0, 2))
        weight[weight < weight.max() * 0.2] = 0
        middles.append(np.sum(weight * np.arange(len(weight))) / weight.sum())
    step = scene.objects[0].path[0].vx * scene.height / scene.fps
    assert abs(step) < 1.5
    assert np.diff(middles) == pytest.approx([step, step], abs=0.2)


def test_pan_follows_x() -> None:
    places, balances = [], []
    for seed in range(40):
        scene = dataclasses.replace(scene_of("bounce", seed), ambient="none")
        clip = render(scene)
        start = round(clip.events[0].time_s * clip.rate_hz)
        left, right = (clip.audio[:, start : start + 1200].astype(np.float64) ** 2).sum(axis=1)
        places.append(clip.events[0].x)
        balances.append(math.asin((right - left) / (right + left)) * 2 / math.pi)
        column = clip.masks()[0][math.ceil(clip.events[0].time_s * scene.fps)].sum(axis=0)
        seen = 2 * float((column * (np.arange(len(column)) + 0.5)).sum() / column.sum()) / scene.width - 1
        assert seen == pytest.approx(clip.events[0].x, abs=0.05)
    assert balances == pytest.approx(places, abs=0.01)
    assert max(places) > 0.4
    assert min(places) < -0.4


def test_each_combination_belongs_to_one_split_and_scenes_keep_to_theirs() -> None:
    table = {triple: split_of(*triple) for triple in itertools.product(COLOURS, SHAPES, MOTIONS)}
    counts = {split: list(table.values()).count(split) for split in SPLITS}
    assert counts == {"train": 252, "validation": 42, "test": 42}
    for split in SPLITS:
        seen = {
            (body.colour, body.shape, body.motion)
            for seed in range(400)
            for body in sample_scene(seed, split=split).objects
        }
        assert {table[triple] for triple in seen} == {split}
        assert {colour for colour, _, _ in seen} == set(COLOURS)
        assert {shape for _, shape, _ in seen} == set(SHAPES)


def test_mixture_has_every_family_count_and_material() -> None:
    scenes = [sample_scene(seed) for seed in range(400)]
    assert {scene.family for scene in scenes} == set(FAMILIES) - {"impacts"}
    bounces = [len(scene.strikes) for scene in scenes if scene.family == "bounce"]
    assert all(bounces.count(count) >= 0.12 * len(bounces) for count in (1, 2, 3, 4))
    assert {body.material for scene in scenes for body in scene.objects} == {*MATERIALS, None}


def test_silent_scenes_are_exactly_silent() -> None:
    assert not render(scene_of("drift")).audio.any()


@pytest.mark.parametrize("seed", range(20))
def test_impact_times_are_irregular(seed: int) -> None:
    times = [event.time_s for event in sample_scene(seed, family="impacts", frames=145).events]
    assert len(times) >= 6
    gaps = sorted(b - a for a, b in itertools.combinations(times, 2) if b - a < 2.2)
    assert min(np.diff(gaps)) > 0.0199


def test_objects_stay_in_view_and_masks_are_theirs() -> None:
    for seed in range(20):
        clip = render(sample_scene(seed))
        masks = clip.masks()
        assert masks.shape == (len(clip.scene.objects), *clip.video.shape[:3])
        assert masks.any(axis=(2, 3)).all()
        for body, mask in zip(clip.scene.objects, masks, strict=True):
            calm = clip.video[0][mask[0]].astype(int)
            assert np.abs(np.median(calm, axis=0) - COLOURS[body.colour]).max() <= 1
