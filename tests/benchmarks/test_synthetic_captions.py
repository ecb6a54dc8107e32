"""Captions and descriptions of the procedural world: complete, unambiguous, in several wordings."""

import dataclasses
import json

import pytest

from ltx2_benchmarks.synthetic import FAMILIES, NUM_VARIANTS, caption, describe, promised, sample_scene
from ltx2_benchmarks.synthetic.expectations import side_of, timing_of

VARIANTS = range(NUM_VARIANTS)
CANONICAL = (
    "A large blue glass diamond falls and hits the floor twice in the centre. We hear a bright glass clink."
    " The first comes early in the clip, in the centre. The background is plain brown; the camera pans right."
)


@pytest.fixture(scope="module")
def scenes():
    impacts = [sample_scene(seed, family="impacts", frames=121) for seed in range(100)]
    return [sample_scene(seed) for seed in range(1200)] + impacts


def test_canonical_caption_of_a_scene() -> None:
    scene = sample_scene(3, family="bounce")
    assert caption(scene) == caption(scene, variant=0) == CANONICAL
    assert describe(scene)["events_s"] == [event.time_s for event in scene.events]


@pytest.mark.parametrize("variant", VARIANTS)
def test_different_expectations_have_different_captions(scenes, variant: int) -> None:
    claims: dict[str, str] = {}
    for scene in scenes:
        told = json.dumps(promised(scene), sort_keys=True)
        assert claims.setdefault(caption(scene, variant=variant), told) == told
    assert len(claims) > 1000


def test_one_changed_word_of_a_scene_changes_the_caption() -> None:
    scene = sample_scene(0, family="bounce")
    body = scene.objects[0]
    changes = [{"colour": "none"}, {"size": "large" if body.size != "large" else "small"}, {"sound": "glass"}]
    changes[0]["colour"] = "cyan" if body.colour != "cyan" else "red"
    changes[2]["sound"] = "glass" if body.sound != "glass" else "wood"
    changes.append({"shape": "star" if body.shape != "star" else "cross"})
    others = [dataclasses.replace(scene, objects=(dataclasses.replace(body, **change),)) for change in changes]
    for field, values in (
        ("camera", ("pan left", "zoom in")),
        ("ambient", ("hum", "tone", "none")),
        ("background", ("navy", "teal")),
        ("pattern", ("plain", "striped", "checked")),
    ):
        others += [dataclasses.replace(scene, **{field: v}) for v in values if v != getattr(scene, field)]
    for variant in VARIANTS:
        texts = [caption(other, variant=variant) for other in [scene, *others]]
        assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("family", FAMILIES)
def test_paraphrases_differ_and_wrap_around(family: str) -> None:
    scene = sample_scene(1, family=family, frames=121 if family == "impacts" else 49)
    assert len({caption(scene, variant=variant) for variant in VARIANTS}) == NUM_VARIANTS
    assert caption(scene, variant=NUM_VARIANTS + 3) == caption(scene, variant=3)
    for variant in VARIANTS:
        text = caption(scene, variant=variant)
        assert text.endswith(".")
        assert "  " not in text
        assert all(sentence[0].isupper() for sentence in text.split(". "))
        assert not any(f" a {vowel}" in text for vowel in "aeiou")


def test_negative_variant_is_refused() -> None:
    with pytest.raises(ValueError, match="variant -1"):
        caption(sample_scene(0), variant=-1)


def test_sides_and_thirds() -> None:
    assert [side_of(x) for x in (-1, -0.26, -0.25, 0.25, 0.26)] == ["left", "left", "centre", "centre", "right"]
    assert [timing_of(t, 3.0) for t in (0.0, 0.99, 1.0, 1.99, 2.0, 3.0)] == ["early"] * 2 + ["middle"] * 2 + [
        "late"
    ] * 2


def test_first_events_are_clearly_on_one_side(scenes) -> None:
    for scene in scenes:
        if scene.events:
            assert not 0.16 < abs(scene.events[0].x) < 0.34


def test_order_scenes_finish_one_object_before_the_other(scenes) -> None:
    ordered = [scene for scene in scenes if scene.family == "order"]
    assert ordered
    for scene in ordered:
        first, second = ([e.time_s for e in scene.events if k in e.objects] for k in (0, 1))
        assert max(first) + 0.29 < min(second)
        assert describe(scene)["order"] == [body.colour for body in scene.objects]
        assert len({body.sound for body in scene.objects}) == 2


def test_promised_tells_no_exact_time(scenes) -> None:
    scene = scenes[0]
    assert set(describe(scene)) - set(promised(scene)) == {"events_s"}
    assert json.loads(json.dumps(describe(scene))) == describe(scene)
