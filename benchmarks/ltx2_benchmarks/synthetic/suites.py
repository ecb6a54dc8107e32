"""Writes the embedded suites of the procedural world; paste: python -m ltx2_benchmarks.synthetic.suites."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ltx2_benchmarks.synthetic.captions import caption
from ltx2_benchmarks.synthetic.expectations import describe, promised, side_of
from ltx2_benchmarks.synthetic.sampling import sample_scene
from ltx2_benchmarks.synthetic.scene import Scene
from ltx2_benchmarks.synthetic.vocabulary import VOICES

VERSION = "1.0"
NANO_COUNT = 120
_FAMILIES = {"bounce": 36, "slide": 18, "collide": 14, "blink": 18, "rotate": 14, "drift": 8, "order": 12}
_WORLD = ("bounce", "slide", "collide", "blink", "rotate", "order") * 2
_CANDIDATES = 12
_LABEL = {
    "wood": "wooden knock",
    "metal": "metallic clang",
    "glass": "glass clink",
    "rubber": "rubber thud",
    "stone": "stone clack",
    "beep": "short beep",
    "hum": "low hum",
    "tone": "high steady tone",
}


def suite_lines(name: str) -> Iterator[str]:
    """Yields the lines of a suite file: a header, then one prompt each.

    Args:
        name: "world" (12 prompts for demonstrations) or "nano" (120 prompts, balanced over families, colours, shapes,
            counts, sounds, sides, cameras and backgrounds).

    Raises:
        ValueError: For another name.
    """
    if name not in ("world", "nano"):
        raise ValueError(f"suite {name!r}, expected world or nano")
    title = "Twelve scenes of the procedural world" if name == "world" else "Exactly checkable scenes, balanced"
    header = {"suite": name, "version": VERSION, "licence": "CC0-1.0", "title": title, "origin": "generated"}
    yield json.dumps(header)
    plan = _WORLD if name == "world" else tuple(family for family, count in _FAMILIES.items() for _ in range(count))
    for number, scene in enumerate(_balanced(plan), 1):
        yield json.dumps(_prompt(f"{name}-{number:03d}-{scene.family}", scene), separators=(",", ":"))


def _balanced(plan: tuple[str, ...]) -> Iterator[Scene]:
    """For each family in turn, of a dozen test scenes the one whose values were used least so far."""
    used: Counter[tuple[str, str]] = Counter()
    texts: set[str] = set()
    for number, family in enumerate(plan):
        candidates = [sample_scene(1000 * number + k, split="test", family=family) for k in range(_CANDIDATES)]
        fresh = [scene for scene in candidates if caption(scene) not in texts]
        scene = min(fresh, key=lambda scene: sum(used[value] ** 2 for value in _values(scene)))
        used.update(_values(scene))
        texts.add(caption(scene))
        yield scene


def _values(scene: Scene) -> list[tuple[str, str]]:
    """The values of a scene on the axes that are balanced."""
    facts = describe(scene)
    values = [(key, str(facts.get(key))) for key in ("impacts", "side", "timing", "background", "pattern", "camera")]
    values += [("ambient", str(facts.get("ambient"))), *(("sound", sound) for sound in facts["sounds"])]
    for look in facts["objects"]:
        values += [(key, look[key]) for key in ("colour", "shape", "size")]
    return values


def _prompt(prompt_id: str, scene: Scene) -> dict[str, Any]:
    claims = promised(scene)
    visual, audio = _views(scene)
    return {
        "id": prompt_id,
        "text": caption(scene),
        "category": scene.family,
        "language": "en",
        "duration_s": scene.duration_s,
        "axes": {"motion": scene.family, "camera": scene.camera, "sound": "+".join(claims["sounds"]) or "silence"},
        "tags": ["world"],
        "visual_text": visual,
        "audio_text": audio,
        "expectations": {
            "num_speakers": 0,
            "num_cuts": 0,
            "silence": claims["silent"],
            "sound_events": _sound_events(scene),
            "world": claims,
        },
        "scene": json.loads(scene.to_json()),
    }


def _views(scene: Scene) -> tuple[str, str]:
    """What is seen and what is heard, as sentences of their own."""
    sentences = caption(scene).split(". ")
    seen = [sentences[0], sentences[-1].removesuffix(".")]
    heard = ", then ".join(f"a {_LABEL[sound]}" for sound in describe(scene)["sounds"]) or "silence"
    if scene.ambient != "none":
        heard += f" over a {_LABEL[scene.ambient]}"
    return ". ".join(seen) + ".", f"{heard[0].upper()}{heard[1:]}."


def _sound_events(scene: Scene) -> list[dict[str, Any]]:
    sounds = list(dict.fromkeys(event.material for event in scene.events))
    events = []
    for order, sound in enumerate(sounds, 1):
        heard = [event for event in scene.events if event.material == sound]
        found: dict[str, Any] = {"label": _LABEL[sound], "side": side_of(heard[0].x), "order": order}
        if sound not in VOICES[1:]:
            found["count"] = len(heard)
        events.append(found)
    if scene.ambient != "none":
        events.append({"label": _LABEL[scene.ambient]})
    return events


def main(folder: Path | None = None) -> None:
    """Writes world.jsonl and nano.jsonl into a folder (the package's own by default)."""
    target = folder or Path(__file__).parent.parent / "suites"
    for name in ("world", "nano"):
        (target / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in suite_lines(name)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
