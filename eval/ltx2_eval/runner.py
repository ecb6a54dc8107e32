"""Runs: suite -> plan -> model -> clip -> file -> features -> scores -> records -> summary, resumable at any point."""

from dataclasses import dataclass
from pathlib import Path

from ltx2_benchmarks.prompt import Expectations, SpeechLine
from ltx2_benchmarks.suite import Prompt, Suite
from ltx2_eval.corpora import score_corpora
from ltx2_eval.environment import environment
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.features import FeatureCache
from ltx2_eval.folder_of_clips import FoundClip, contents
from ltx2_eval.generate import Progress, check_plan, generate
from ltx2_eval.media import Container
from ltx2_eval.metrics.base import MetricEntry
from ltx2_eval.models.base import Model, noise_of
from ltx2_eval.plan import run_spec, samples
from ltx2_eval.recording import Recorder, recording
from ltx2_eval.reference import AnyReference
from ltx2_eval.score import judge_of, score_clips
from ltx2_eval.sets import score_sets
from ltx2_eval.weights import cache_root
from ltx2_reports.records import (
    FEATURES_FOLDER,
    RUN_FILE,
    ClipRecord,
    ClipShape,
    PromptRef,
    Run,
    RunSpec,
    SuiteRef,
    read_header,
    read_run,
)
from ltx2_reports.store import canonical_hash
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
    retry_failed: bool = False
    """Make samples again that failed before."""
    keep_latents: bool = False
    """Also store what the decoders were given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoringPlan:
    """What to compute."""

    entries: tuple[MetricEntry, ...]
    reference: AnyReference | None
    pool: ExtractorPool
    retry_failed: bool = False
    """Compute values again that failed before."""


def generate_run(
    folder: Path,
    *,
    system: str,
    model_name: str,
    model: Model,
    plan: GenerationPlan,
    progress: Progress,
    scoring: ScoringPlan | None = None,
    after_others: bool = False,
) -> Run:
    """Make, and with `scoring` also score, one system's clips; what the folder has already is kept.

    `after_others`: this process already worked for another system, see `LedgerKeeper`.

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
        noise=noise_of(model),
    )
    planned = samples(plan.suite, plan.seeds)
    check_plan(planned, model, plan.clip)
    with recording(folder, spec, environment(plan.device), frozenset(sample.id for sample in planned)) as recorder:
        generate(
            recorder,
            planned,
            model,
            plan.clip,
            plan.container,
            progress,
            retry_failed=plan.retry_failed,
            keep_latents=plan.keep_latents,
            after_others=after_others,
        )
        if scoring is not None:
            _score(recorder, scoring, progress)
    write_summary(folder)
    return read_run(folder)


def score_run(folder: Path, scoring: ScoringPlan, progress: Progress) -> Run:
    """Add what is missing to the scores of an existing run."""
    header = read_header(folder)
    with recording(folder, header.spec, header.environment) as recorder:
        _score(recorder, scoring, progress)
    write_summary(folder)
    return read_run(folder)


def score_folder(found: list[FoundClip], folder: Path, *, system: str, scoring: ScoringPlan, progress: Progress) -> Run:
    """Score clips that this tool did not make, where they lie; records go to `folder`, nothing beside the clips."""
    spec = folder_spec(found, system)
    with recording(folder, spec, environment(scoring.pool.device)) as recorder:
        for clip in found:
            if clip.path.name not in recorder.run.clips:
                recorder.add_clip(_found_record(clip))
        _score(recorder, scoring, progress)
    write_summary(folder)
    return read_run(folder)


def is_run(folder: Path) -> bool:
    """Whether a folder is a run folder."""
    return (folder / RUN_FILE).exists()


def _score(recorder: Recorder, scoring: ScoringPlan, progress: Progress) -> None:
    device = scoring.pool.device
    cache = FeatureCache(recorder.folder / FEATURES_FOLDER, device)
    header = recorder.run.header
    judge = judge_of(
        header,
        scoring.entries,
        scoring.pool,
        cache,
        prompts_of(header.spec),
        scoring.reference,
        retry_failed=scoring.retry_failed,
    )
    score_clips(recorder, judge, progress)
    score_corpora(recorder, judge)
    score_sets(recorder, judge, scoring.reference, FeatureCache(cache_root() / FEATURES_FOLDER, device))


def prompts_of(spec: RunSpec) -> dict[str, Prompt]:
    """The prompts as the run recorded them, so that scoring now or later sees the same; foreign ids are file names."""
    return {
        ref.id: Prompt.model_construct(
            id=ref.id,
            text=ref.text,
            visual_text=ref.visual_text,
            audio_text=ref.audio_text,
            language=ref.language,
            expectations=_expectations(ref),
        )
        for ref in spec.prompts
        if ref.text
    }


def _expectations(ref: PromptRef) -> Expectations:
    """What metrics may expect of the clip, of what the run recorded."""
    lines = tuple(SpeechLine(speaker=line.speaker, language=line.language, text=line.text) for line in ref.speech)
    return Expectations(world=ref.world, speech=lines, num_speakers=ref.num_speakers, on_screen_text=ref.on_screen_text)


def folder_spec(found: list[FoundClip], system: str) -> RunSpec:
    """What a run over clips that this tool did not make asks for."""
    prompts = tuple(
        PromptRef(id=c.prompt_id, text=c.text or "", category=None, language=None, visual_text=None, audio_text=None)
        for c in found
    )
    asked = sorted([prompt.id, prompt.text] for prompt in prompts)
    return RunSpec(
        system=system,
        model=FOLDER_MODEL,
        model_identity={"folder_sha256": canonical_hash(contents(found))},
        suite=SuiteRef(name="folder", version="0", sha256=canonical_hash(asked), licence=None),
        prompts=prompts,
        seeds=(0,),
        clip=None,
        container=None,
    )


def _found_record(clip: FoundClip) -> ClipRecord:
    return ClipRecord(
        sample=clip.path.name,
        prompt_id=clip.prompt_id,
        seed=0,
        file=str(clip.path.absolute()) if clip.reason is None else None,
        sha256=clip.sha256,
        reason=clip.reason,
    )
