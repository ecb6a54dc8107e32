"""Settings of `ltx2:` models: from `key=value` pairs to what the pipeline samples with, and what of it is recorded."""

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from ltx2_benchmarks.nearest import unknown
from ltx2_eval.models.ltx2_given import GIVEN
from ltx2_eval.models.settings import COMMA_RULE
from ltx2_reports.records import Scalar

if TYPE_CHECKING:
    from ltx2 import Guidance, SamplingSettings, Tiles
    from ltx2.guidance import Weights
    from ltx2.settings import RefineSettings

PLAIN = {"dtype": "float32", "negative": ""}
"""Settings that are recorded as they are given, and their defaults."""
FILES = ("text_encoder", "upsampler", "temporal_upsampler", "lora", "adapter")
"""Settings that name a local file or folder."""
SWITCHES = ("fp8", "offload", "compile")
"""Settings that are `true` or `false`: 8-bit weights, blocks that wait in CPU memory, blocks that are compiled."""
_DTYPES = ("float32", "bfloat16", "float16")
_FIRST = ("pipeline", "steps", "guidance", "skip_steps", "schedule", "sampler", "lora_strength", "adapter_strength")
_REFINE = (
    "refine_sampler",
    "refine_audio",
    "refine_lora_strength",
    "tiles",
    "tile_overlap",
    "double_frames",
    "temporal_upsampler",
)
KNOWN = tuple(dict.fromkeys((*_FIRST, *_REFINE, *PLAIN, *SWITCHES, *FILES, *GIVEN)))
"""All settings."""
_TILES = re.compile(r"(\d{1,4})x(\d{1,4})x(\d{1,4})")
_OVERLAP = re.compile(r"(\d{1,4})x(\d{1,4})")
_NANO_STEPS = 20

Settings = TypeVar("Settings", "SamplingSettings", "RefineSettings")


def check_options(given: dict[str, str]) -> None:
    """Refuse keys that mean nothing, and plain values that do not exist.

    Raises:
        ValueError: with what was found and what is known.
    """
    for key in given:
        if key not in KNOWN:
            raise ValueError(
                f"{unknown('ltx2 setting', key, KNOWN)}; {COMMA_RULE}; `ltx2-eval list settings` explains each"
            )
    _one_of("dtype", given.get("dtype", PLAIN["dtype"]), _DTYPES)
    for key in (*SWITCHES, "double_frames"):
        is_on(given, key)
    if is_on(given, "compile") and is_on(given, "offload"):
        raise ValueError("compile=true with offload=true: compiled blocks keep their weights; choose one of the two")
    if "adapter_strength" in given and "adapter" not in given:
        raise ValueError("adapter_strength is set and no adapter is named: add adapter=FILE")


def is_on(given: dict[str, str], key: str) -> bool:
    """Whether a switch is set; off where it is not given."""
    return _one_of(key, given.get(key, "false").lower(), ("true", "false")) == "true"


def sampling_settings(given: dict[str, str], *, is_nano: bool) -> "SamplingSettings":
    """What a named pipeline samples with, changed by the settings that are given.

    The small model's pipelines take 20 steps instead of 40, and no LoRA where none is named: it has none. A LoRA that
    is named is used, at strength 1, where neither the pipeline nor a setting says a strength.

    Raises:
        ValueError: an unknown name or a number out of range; a setting of a second stage where there is only one.
    """
    from ltx2 import PIPELINES
    from ltx2.schedule import DISTILLED_SIGMAS

    name = given.get("pipeline", "one-stage")
    base = PIPELINES[_one_of("pipeline", name, PIPELINES)]
    if is_nano:
        base = _for_nano(base, has_lora="lora" in given)
    if given.get("schedule") == "distilled":
        base = dataclasses.replace(base, steps=len(DISTILLED_SIGMAS) - 1)
    stage_two = [key for key in _REFINE if key in given]
    if stage_two and base.refine is None:
        raise ValueError(f"{stage_two[0]} is a setting of a second stage; pipeline {name} has one stage only")
    guidance = _guidance(given["guidance"]) if "guidance" in given else base.guidance
    made = _changed(
        base,
        steps=_steps(given["steps"]) if "steps" in given else None,
        guidance=_skipping(guidance, given["skip_steps"]) if "skip_steps" in given else guidance,
        schedule=_schedule(given["schedule"]) if "schedule" in given else None,
        sampler=_sampler(given, "sampler"),
        lora_strength=_strength(given, "lora_strength"),
        refine=None if base.refine is None else _refined(base.refine, given),
    )
    return made.resolved(has_lora="lora" in given)


def recorded(settings: "SamplingSettings") -> dict[str, Scalar]:
    """What decides a sample, whatever the pipeline and the preset are called: the terms' weights (0 is neutral), steps,
    schedule and sampler of each stage.
    """
    first = {
        "steps": settings.steps,
        "schedule": str(settings.schedule),
        "sampler": settings.sampler,
        **_recorded_guidance(settings.guidance),
        **({"lora_strength": settings.lora_strength} if settings.lora_strength else {}),
    }
    refine = settings.refine
    if refine is None:
        return first
    second = {
        "sigmas": " ".join(map(repr, refine.sigmas)),
        "sampler": refine.sampler,
        "audio": refine.audio,
        **_recorded_guidance(refine.guidance),
        **({"lora_strength": refine.lora_strength} if refine.lora_strength else {}),
        **({"tiles": _spelled_tiles(refine.tiles)} if refine.tiles else {}),
        **({"double_frames": True} if refine.double_frames else {}),
    }
    return {**first, **{f"refine_{key}": value for key, value in second.items()}}


def needs_lora(settings: "SamplingSettings") -> float:
    """The largest strength at which a stage fuses the LoRA; 0 where none does."""
    second = 0.0 if settings.refine is None else settings.refine.lora_strength or 0.0
    return max(settings.lora_strength or 0.0, second, key=abs)


def _for_nano(base: "SamplingSettings", *, has_lora: bool) -> "SamplingSettings":
    steps = _NANO_STEPS if base.steps == 40 else base.steps
    if has_lora:
        return dataclasses.replace(base, steps=steps)
    refine = None if base.refine is None else dataclasses.replace(base.refine, lora_strength=0.0)
    return dataclasses.replace(base, steps=steps, lora_strength=0.0, refine=refine)


def _refined(base: "RefineSettings", given: dict[str, str]) -> "RefineSettings":
    from ltx2.settings import AudioMode

    audio = given.get("refine_audio")
    return _changed(
        base,
        sampler=_sampler(given, "refine_sampler"),
        audio=None if audio is None else _one_of("refine_audio", audio, get_args(AudioMode)),
        lora_strength=_strength(given, "refine_lora_strength"),
        tiles=_tiles(given, base.tiles),
        double_frames=is_on(given, "double_frames"),
    )


def _tiles(given: dict[str, str], base: "Tiles | None") -> "Tiles | None":
    """`tiles=16x24x24` and `tile_overlap=4x6`, in latent frames, rows and columns."""
    from ltx2 import Tiles

    if "tiles" not in given and "tile_overlap" not in given:
        return base
    sizes = _numbers(given, "tiles", _TILES, "16x24x24 (latent frames, rows and columns)")
    overlaps = _numbers(given, "tile_overlap", _OVERLAP, "4x6 (latent frames, cells)")
    named = (
        *zip(("frames", "height", "width"), sizes, strict=False),
        *zip(("overlap_frames", "overlap"), overlaps, strict=False),
    )
    return dataclasses.replace(base or Tiles(), **dict(named))


def _numbers(given: dict[str, str], key: str, pattern: re.Pattern[str], example: str) -> tuple[int, ...]:
    """The numbers of a setting; none if it is not given."""
    if key not in given:
        return ()
    match = pattern.fullmatch(given[key])
    if match is None:
        raise ValueError(f"{key} is {given[key]!r}; expected {example}")
    return tuple(map(int, match.groups()))


def _changed(base: Settings, **values: Any) -> Settings:
    """The settings with those values that are not None."""
    return dataclasses.replace(base, **{key: value for key, value in values.items() if value is not None})


def _one_of(what: str, value: str, known: Iterable[str]) -> str:
    names = list(known)
    if value not in names:
        raise ValueError(unknown(what, value, names))
    return value


def _guidance(name: str) -> "Guidance":
    from ltx2 import PRESETS

    presets = {"none": PRESETS["unguided"], **PRESETS}
    return presets[_one_of("guidance", name, presets)]


def _skipping(guidance: "Guidance", text: str) -> "Guidance":
    if not re.fullmatch(r"\d{1,2}", text):
        raise ValueError(f"skip_steps is {text!r}; expected a whole number from 0 to 99")
    video, audio = (dataclasses.replace(s, skip_steps=int(text)) for s in (guidance.video, guidance.audio))
    return dataclasses.replace(guidance, video=video, audio=audio)


def _schedule(name: str) -> str:
    from ltx2.schedule import ScheduleName

    return _one_of("schedule", name, get_args(ScheduleName))


def _sampler(given: dict[str, str], key: str) -> str | None:
    from ltx2.settings import SamplerName

    return _one_of(key, given[key], get_args(SamplerName)) if key in given else None


def _steps(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise ValueError(f"steps is {text!r}; expected a whole number from 1 to 1000")
    return int(text)


def adapter_strength(given: dict[str, str]) -> float:
    """Of the LoRA that all stages have fused; 1 where none is said."""
    strength = _strength(given, "adapter_strength")
    return 1.0 if strength is None else strength


def _strength(given: dict[str, str], key: str) -> float | None:
    if key not in given:
        return None
    if not re.fullmatch(r"-?\d{1,3}(\.\d{1,6})?", given[key]):
        raise ValueError(f"{key} is {given[key]!r}; expected a number such as 0.8")
    return float(given[key])


def _recorded_guidance(guidance: "Guidance") -> dict[str, Scalar]:
    return {
        "guidance_video": _spelled(guidance.video_weights),
        "guidance_audio": _spelled(guidance.audio_weights),
        "stg": f"{guidance.stg_kind} in blocks {list(guidance.stg_blocks)}" if guidance.stg_blocks else None,
        **({"skip_steps": "video {} audio {}".format(*guidance.skip_steps)} if any(guidance.skip_steps) else {}),
    }


def _spelled(weights: "Weights") -> str:
    return " ".join(f"{name} {float(value)!r}" for name, value in weights._asdict().items())


def _spelled_tiles(tiles: "Tiles") -> str:
    return f"{tiles.frames}x{tiles.height}x{tiles.width} overlapping {tiles.overlap_frames}x{tiles.overlap}"


def existing_file(key: str, text: str) -> Path:
    """The local file that a setting names.

    Raises:
        ValueError: there is none.
    """
    path = Path(text).expanduser()
    if not path.is_file():
        raise ValueError(f"{key}: {path} is no file; name the safetensors file")
    return path
