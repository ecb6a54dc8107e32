"""From command-line words to the objects a run needs; every mistake is found before work starts."""

import dataclasses
import re
from fractions import Fraction
from pathlib import Path
from typing import cast, get_args

from ltx2_benchmarks.nearest import unknown
from ltx2_benchmarks.suite import Suite, load_suite
from ltx2_eval.commands.options import Given
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.media import Container
from ltx2_eval.metrics.base import MetricEntry
from ltx2_eval.metrics.catalogue import chosen
from ltx2_eval.models.base import Model
from ltx2_eval.models.registry import ModelContext, load_model
from ltx2_eval.models.settings import ModelName, parse_model
from ltx2_eval.reference import AnyReference, check_reference, load_reference
from ltx2_eval.runner import GenerationPlan, ScoringPlan
from ltx2_reports.names import distinct, safe_name
from ltx2_reports.records import ClipShape
from ltx2_reports.store import canonical_hash

CONTAINERS = get_args(Container)
RUNS_FOLDER = Path("ltx2-eval-runs")
DEFAULT_MODELS = (
    "nano=ltx2:nano",
    "nano-unguided=ltx2:nano@guidance=none",
    "nano-4-steps=ltx2:nano@steps=4",
    "nano-bf16=ltx2:nano@dtype=bfloat16",
    "nano-untrained=ltx2:nano-untrained@steps=4",
    "world=world",
)
OFFLINE, WORLDLY = "offline", "nano"
"""Profiles of a run that names none: for any prompts, and for prompts of the procedural world."""
FALLBACK_SHAPE = ClipShape(num_frames=None, height=512, width=768, fps="24")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """One row of the comparison."""

    label: str
    model_name: str
    model: Model


def suite_of(given: Given) -> Suite:
    """The suite, cut to --limit."""
    suite = load_suite(given.suite)
    if given.limit is None or given.limit >= len(suite.prompts):
        return suite
    return dataclasses.replace(suite, name=f"{suite.name}[:{given.limit}]", prompts=suite.prompts[: given.limit])


def check_words(given: Given) -> None:
    """Find every mistake that needs no model and no file, before anything is loaded or rendered.

    Raises:
        ValueError: what was found and what was expected.
    """
    container_of(given.container)
    if given.size:
        _size(given.size)
    if given.fps:
        _fps(given.fps)
    labels = [_label(parse_model(text)) for text in given.model or DEFAULT_MODELS]
    for label in labels:
        if labels.count(label) > 1:
            raise ValueError(
                f"label {label!r} names {labels.count(label)} models; write --model OTHER=... for one of them"
            )
    distinct(labels)
    if given.get("baseline") is not None and given.baseline not in labels:
        raise ValueError(unknown("baseline", given.baseline, labels))
    if given.get("reference"):
        check_reference(given.reference)
    if "profile" in given:
        chosen(given.metric or (), given.profile or OFFLINE)
    device_of(given.device)


def systems_of(given: Given, suite: Suite) -> list[System]:
    """The models with their labels, which become folder names."""
    container = container_of(given.container)
    context = ModelContext(device=given.device, suite=suite, container=container, seeds=_seeds(given))
    systems = []
    for text in given.model or _default_models(suite, context.seeds):
        name, model = load_model(text, context)
        systems.append(System(label=_label(name), model_name=name.given, model=model))
    return systems


def _default_models(suite: Suite, seeds: tuple[int, ...]) -> tuple[str, ...]:
    """The demo's; without the world where it has no clip: prompts without scenes, or several seeds."""
    has_world = len(seeds) == 1 and _is_world(suite)
    return DEFAULT_MODELS if has_world else DEFAULT_MODELS[:-1]


def profile_of(given: Given, suite: Suite) -> str:
    """The profile named, else the one that fits the suite."""
    profile: str = given.profile or (WORLDLY if _is_world(suite) else OFFLINE)
    return profile


def _is_world(suite: Suite) -> bool:
    return all(prompt.scene is not None for prompt in suite.prompts)


def _seeds(given: Given) -> tuple[int, ...]:
    return tuple(dict.fromkeys(given.seed or (0,)))


def _label(name: ModelName) -> str:
    plain = re.sub(r"[^\w.+-]+", "-", name.given).strip("-.")[:60].rstrip("-.")  # the cut may end in a dot again
    return safe_name(name.label or plain, cure="name the model otherwise, as in --model LABEL=ltx2:nano")


def generation_plan(given: Given, suite: Suite, systems: list[System]) -> GenerationPlan:
    """What to make; all systems are asked for the same clips."""
    return GenerationPlan(
        suite=suite,
        seeds=_seeds(given),
        clip=_shape(given, systems),
        container=container_of(given.container),
        device=given.device,
        retry_failed=given.retry_failed,
        keep_latents=given.keep_latents,
    )


def scoring_plan(given: Given, container: Container, profile: str | None = None) -> ScoringPlan:
    """What to compute: the metrics named, or those of `profile` (default: the one given); fetches weights if asked."""
    entries = chosen(given.metric or (), profile or given.profile)
    if given.pull:
        pull_for(entries, given.reference or "")
    pool = ExtractorPool(device_of(given.device))
    reference = _reference(given, entries, pool, container)
    return ScoringPlan(
        entries=entries, reference=reference, pool=pool, retry_failed=bool(given.get("retry_failed", False))
    )


def pull_for(entries: tuple[MetricEntry, ...], reference: str) -> None:
    """Fetch the weights that these metrics need, and the statistics that the reference names."""
    from ltx2_eval import weights
    from ltx2_eval.metrics.profiles import weights_of
    from ltx2_eval.reference_statistics import PUBLISHED

    weights.pull(sorted({name for entry in entries for name in weights_of(entry)} | ({reference} & PUBLISHED.keys())))


def container_of(name: str) -> Container:
    """Check the container's name."""
    if name not in CONTAINERS:
        raise ValueError(f"container {name!r}: expected one of {', '.join(CONTAINERS)}")
    return cast(Container, name)


def device_of(name: str, others: str = "") -> str:
    """Check that the device exists; `others` says what a command takes besides."""
    import torch

    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise ValueError(f"device {name!r}: expected cpu, cuda or cuda:N with a number, as in cuda:0{others}")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"device {name!r}: this PyTorch sees no CUDA device; use --device cpu, or see `ltx2-eval doctor`"
        )
    return name


def output_folder(given: Given, name: str, *parts: object) -> Path:
    """--out, or a folder of the working directory that the same command always finds again."""
    if given.out is not None:
        return Path(given.out).expanduser()
    return RUNS_FOLDER / f"{name}-{canonical_hash([str(part) for part in parts])[:8]}"


def _reference(
    given: Given, entries: tuple[MetricEntry, ...], pool: ExtractorPool, container: Container
) -> AnyReference | None:
    wanted = [entry for entry in entries if "reference" in entry.spec.needs]
    if not given.reference or not wanted:
        return None
    return load_reference(given.reference, container)


def _shape(given: Given, systems: list[System]) -> ClipShape:
    preferred = next((shape for system in systems if (shape := system.model.preferred_shape())), FALLBACK_SHAPE)
    width, height = _size(given.size) if given.size else (preferred.width, preferred.height)
    return ClipShape(
        num_frames=given.frames or preferred.num_frames,
        height=height,
        width=width,
        fps=_fps(given.fps) if given.fps else preferred.fps,
    )


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match or 0 in (size := (int(match[1]), int(match[2]))):
        raise ValueError(f"size {text!r}: expected WIDTHxHEIGHT, as in 768x512")
    return size


def _fps(text: str) -> str:
    try:
        fps = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"fps {text!r}: expected a number or a fraction, as in 24 or 30000/1001") from None
    if not 1 <= fps <= 240:
        raise ValueError(f"fps {text!r}: expected 1 to 240")
    return str(fps)
