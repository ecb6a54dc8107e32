"""Runs: suite -> plan -> model -> clip -> file -> features -> scores -> records -> summary, resumable at any point."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ltx2_benchmarks.suite import Prompt, Suite, load_suite
from ltx2_eval.environment import environment
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.features import FeatureCache
from ltx2_eval.folder_of_clips import FoundClip, clips_in
from ltx2_eval.generate import Progress, generate
from ltx2_eval.media import Container
from ltx2_eval.metrics.base import MetricEntry
from ltx2_eval.models.base import Model
from ltx2_eval.plan import prompt_refs, run_spec, samples, suite_ref
from ltx2_eval.recording import Recorder, recording
from ltx2_eval.reference import Reference
from ltx2_eval.score import judge_of, score_clips
from ltx2_eval.sets import score_sets
from ltx2_eval.weights import cache_root
from ltx2_reports.records import (
    FEATURES_FOLDER,
    RECORDS_FILE,
    ClipRecord,
    ClipShape,
    Run,
    RunSpec,
    SuiteRef,
    read_header,
    read_run,
)
from ltx2_reports.store import canonical_hash, file_hash
from ltx2_reports.summary import write_summary

FOLDER_MODEL = "clips"
"""`RunSpec.model` of clips that were scored where they lie."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationPlan:
    """What to make."""

    suite: Suite
    seeds: tuple[int, ...]
    clip: ClipShape
    container: Container
    device: str = "cpu"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoringPlan:
    """What to compute."""

    entries: tuple[MetricEntry, ...]
    reference: Reference | None
    pool: ExtractorPool


def generate_run(
    folder: Path,
    *,
    system: str,
    model_name: str,
    model: Model,
    plan: GenerationPlan,
    progress: Progress,
    scoring: ScoringPlan | None = None,
) -> Run:
    """Make, and with `scoring` also score, one system's clips; what the folder has already is kept.

    Raises:
        ValueError: the folder holds something else; see `recording`.
        OSError: the disk is full or read-only; what was finished stays valid, and the same call resumes.
    """
    spec = run_spec(
        system=system,
        model=model_name,
        model_identity=model.identity(),
        suite=plan.suite,
        seeds=plan.seeds,
        clip=plan.clip,
        container=plan.container,
    )
    with recording(folder, spec, environment(plan.device)) as recorder:
        generate(recorder, samples(plan.suite, plan.seeds), model, plan.clip, plan.container, progress)
        if scoring is not None:
            _score(recorder, scoring, {prompt.id: prompt for prompt in plan.suite.prompts}, progress)
    write_summary(folder)
    return read_run(folder)


def score_run(folder: Path, scoring: ScoringPlan, progress: Progress) -> Run:
    """Add what is missing to the scores of an existing run."""
    header = read_header(folder)
    with recording(folder, header.spec, header.environment) as recorder:
        _score(recorder, scoring, _prompts_of(header.spec), progress)
    write_summary(folder)
    return read_run(folder)


def score_folder(clips: Path, folder: Path, *, system: str, scoring: ScoringPlan, progress: Progress) -> Run:
    """Score clips that this tool did not make, where they lie; records go to `folder`, nothing to `clips`."""
    found = clips_in(clips)
    spec = _spec_of(found, clips, system)
    prompts = {clip.prompt_id: _bare_prompt(clip.prompt_id, clip.text) for clip in found if clip.text}
    with recording(folder, spec, environment(scoring.pool.device)) as recorder:
        for clip in found:
            if clip.path.name not in recorder.run.clips:
                recorder.add_clip(_found_record(clip))
        _score(recorder, scoring, prompts, progress)
    write_summary(folder)
    return read_run(folder)


def is_run(folder: Path) -> bool:
    """Whether a folder is a run folder."""
    return (folder / RECORDS_FILE).exists()


def _score(recorder: Recorder, scoring: ScoringPlan, prompts: Mapping[str, Prompt], progress: Progress) -> None:
    cache = FeatureCache(recorder.folder / FEATURES_FOLDER)
    judge = judge_of(recorder.run.header, scoring.entries, scoring.pool, cache, prompts)
    score_clips(recorder, judge, progress)
    score_sets(recorder, judge, scoring.reference, FeatureCache(cache_root() / FEATURES_FOLDER))


def _prompts_of(spec: RunSpec) -> dict[str, Prompt]:
    """The prompts of a run: with all their fields while the suite is at hand unchanged, else with what was recorded."""
    try:
        suite = load_suite(spec.suite.name)
    except ValueError:
        suite = None
    if suite is not None and suite_ref(suite) == spec.suite:
        return {prompt.id: prompt for prompt in suite.prompts}
    return {ref.id: _bare_prompt(ref.id, ref.text) for ref in spec.prompts if ref.text}


def _bare_prompt(prompt_id: str, text: str) -> Prompt:
    """A prompt of foreign clips: their ids are file names, which need not be valid ids of a suite."""
    return Prompt.model_construct(id=prompt_id, text=text)


def _spec_of(found: list[FoundClip], clips: Path, system: str) -> RunSpec:
    prompts = tuple(_bare_prompt(clip.prompt_id, clip.text or "") for clip in found)
    asked = sorted([prompt.id, prompt.text] for prompt in prompts)
    return RunSpec(
        system=system,
        model=FOLDER_MODEL,
        model_identity={"folder_sha256": canonical_hash(sorted([c.path.name, file_hash(c.path)] for c in found))},
        suite=SuiteRef(name="folder", version="0", sha256=canonical_hash(asked), licence=None),
        prompts=prompt_refs(prompts),
        seeds=(0,),
        clip=None,
        container=None,
    )


def _found_record(clip: FoundClip) -> ClipRecord:
    return ClipRecord(
        sample=clip.path.name,
        prompt_id=clip.prompt_id,
        seed=0,
        file=str(clip.path.resolve()),
        sha256=file_hash(clip.path),
    )
