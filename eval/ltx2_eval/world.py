"""Clips of the procedural world as files: the ceiling system of a suite with scenes, and the reference set."""

import json
from collections.abc import Iterable
from pathlib import Path

from ltx2_benchmarks.suite import Suite
from ltx2_benchmarks.synthetic import Scene, caption, render, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.media import Container, write_clip
from ltx2_eval.weights import cache_root
from ltx2_reports.store import atomic_path, atomic_write, canonical_hash, make_folder, strict_json

_PROMPTS = "prompts.jsonl"
_RENDERER = 2
"""Raised when the files of the same scenes change (encoder settings, folder layout)."""


def rendered_suite(suite: Suite, container: Container) -> Path:
    """Folder with the world's own clip of every prompt of a suite; rendered once, then taken from the cache.

    Raises:
        ValueError: prompts without a scene.
    """
    without = [prompt.id for prompt in suite.prompts if prompt.scene is None]
    if without:
        raise ValueError(
            f"suite {suite.name}: {len(without)} prompts have no scene ({without[0]}, ...); "
            "the world can render only suites made from it, such as 'world'"
        )
    scenes = [(prompt.id, prompt.text, Scene.from_json(json.dumps(prompt.scene))) for prompt in suite.prompts]
    return _rendered(f"world-{suite.name}", scenes, container)


def rendered_reference(count: int, container: Container, seed: int = 0) -> Path:
    """Folder with `count` clips of test-split scenes that no suite uses; rendered once, then taken from the cache."""
    drawn = [sample_scene(_REFERENCE_SEEDS + seed + index, split="test") for index in range(count)]
    scenes = [(f"reference-{index:04d}", caption(scene), scene) for index, scene in enumerate(drawn)]
    return _rendered(f"reference-{count}", scenes, container)


_REFERENCE_SEEDS = 10_000_000
"""Suites take their scenes from small seeds; the reference set starts far away."""


def _rendered(name: str, scenes: Iterable[tuple[str, str, Scene]], container: Container) -> Path:
    chosen = list(scenes)
    content = [[clip, text, scene.to_json()] for clip, text, scene in chosen]
    digest = canonical_hash([_RENDERER, container, content])[:12]
    folder = cache_root() / "world" / f"{name}-{digest}"
    if (folder / _PROMPTS).is_file():
        return folder
    make_folder(folder)
    for clip, _, scene in chosen:
        _write(scene, folder / f"{clip}.{container}", container)
    lines = [strict_json({"file": f"{clip}.{container}", "id": clip, "text": text}) for clip, text, _ in chosen]
    atomic_write(folder / _PROMPTS, "\n".join(lines) + "\n")  # last: its presence says that the folder is complete
    return folder


def _write(scene: Scene, path: Path, container: Container) -> None:
    made = render(scene)
    clip = Clip(video=made.video, fps=made.fps, audio=made.audio, rate_hz=made.rate_hz)
    with atomic_path(path) as temporary:
        write_clip(clip, temporary, container=container)
