"""What is degraded: clips of the procedural world, a folder of clips, or the clips of a run; loaded when needed."""

import datetime
import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ltx2_benchmarks.prompt import Expectations
from ltx2_benchmarks.suite import Prompt
from ltx2_benchmarks.synthetic import caption, promised, render, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.environment import environment
from ltx2_eval.folder_of_clips import clips_in
from ltx2_eval.media import read_clip
from ltx2_eval.runner import folder_spec, is_run, prompts_of
from ltx2_reports.records import SCHEMA_VERSION, RunHeader, RunSpec, SuiteRef, read_run
from ltx2_reports.store import canonical_hash, file_hash

WORLD = "world:"
MOST_WORLD = 100_000
_FIRST_SEED = 20_000_000
"""Scenes far from those of suites (small seeds) and of reference sets (from 10,000,000 on)."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One clip that can be had again and again."""

    id: str
    prompt: Prompt | None
    sha256: str
    """Of the file; of a clip of the world, of its scene."""
    load: Callable[[], Clip]
    """Raises ValueError where the file cannot be decoded."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The clips to validate on."""

    name: str
    items: tuple[Item, ...]
    header: RunHeader
    """As a run over these clips would have it: what makes up the protocols of values."""

    @property
    def sha256(self) -> str:
        """Of ids, contents and prompts."""
        return canonical_hash(
            [[item.id, item.sha256, item.prompt.text if item.prompt else None] for item in self.items]
        )


def source_of(target: str) -> Source:
    """`world:COUNT`, a run folder, or any folder of clips.

    Raises:
        ValueError: none of these, or a folder without clips.
    """
    if target.startswith(WORLD):
        return _world(target)
    folder = Path(target).expanduser()
    if not folder.exists():
        raise ValueError(f"{target} does not exist; expected a folder of clips, a run folder, or world:COUNT")
    return _run(folder) if is_run(folder) else _folder(folder)


def _world(target: str) -> Source:
    text = target.removeprefix(WORLD)
    if not text.isdecimal() or not 1 <= int(text) <= MOST_WORLD:
        raise ValueError(f"{target!r}: expected world:COUNT with a count up to {MOST_WORLD}, as in world:32")
    items = tuple(_world_item(_FIRST_SEED + index) for index in range(int(text)))
    digest = canonical_hash([item.sha256 for item in items])
    suite = SuiteRef(name=target, version="1", sha256=digest, licence=None)
    spec = RunSpec(
        system=target, model="world", model_identity={}, suite=suite, prompts=(), seeds=(0,), clip=None, container=None
    )
    return Source(name=target, items=items, header=_header(spec))


def _world_item(seed: int) -> Item:
    scene = sample_scene(seed, split="test")

    def load() -> Clip:
        made = render(scene)
        return Clip(video=made.video, fps=made.fps, audio=made.audio, rate_hz=made.rate_hz)

    promises = Expectations(num_speakers=0, num_cuts=0, world=promised(scene))
    prompt = Prompt.model_construct(
        id=f"world-{seed}",
        text=caption(scene),
        visual_text=None,
        audio_text=None,
        language="en",
        expectations=promises,
    )
    digest = hashlib.sha256(scene.to_json().encode()).hexdigest()
    return Item(id=prompt.id, prompt=prompt, sha256=digest, load=load)


def _folder(folder: Path) -> Source:
    found = clips_in(folder)
    name = folder.resolve().name
    spec = folder_spec(found, name)
    prompts = prompts_of(spec)
    items = tuple(
        Item(id=clip.path.name, prompt=prompts.get(clip.prompt_id), sha256=clip.sha256, load=_reader(clip.path))
        for clip in found
        if clip.sha256 is not None
    )
    if not items:
        raise ValueError(f"{folder}: none of {len(found)} clips can be read; the first: {_why(found[0].reason)}")
    return Source(name=name, items=items, header=_header(spec))


def _why(reason: object) -> str:
    return str(getattr(reason, "message", reason))


def _run(folder: Path) -> Source:
    run = read_run(folder)
    prompts = prompts_of(run.header.spec)
    made = [clip for clip in run.clips.values() if clip.file is not None and clip.sha256 is not None]
    if not made:
        raise ValueError(f"{folder} is a run without a clip that was made; finish it, or name a folder of clips")
    items = tuple(
        Item(
            id=clip.sample,
            prompt=prompts.get(clip.prompt_id),
            sha256=str(clip.sha256),
            load=_reader(folder / str(clip.file), clip.sha256),
        )
        for clip in sorted(made, key=lambda clip: clip.sample)
    )
    return Source(name=run.header.spec.system, items=items, header=run.header)


def _reader(path: Path, sha256: str | None = None) -> Callable[[], Clip]:
    return functools.partial(_read, path, sha256)


def _read(path: Path, sha256: str | None) -> Clip:
    if sha256 is not None and file_hash(path) != sha256:
        raise ValueError(f"{path.name} was changed after it was recorded; make or score it in a new run")
    return read_clip(path)


def _header(spec: RunSpec) -> RunHeader:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return RunHeader(
        schema_version=SCHEMA_VERSION,
        status="started",
        created_at=now,
        spec=spec,
        environment=environment("cpu"),
        weights={},
    )
