"""From a suite and seeds to the samples of a run."""

from dataclasses import dataclass
from fractions import Fraction

from ltx2_benchmarks.suite import Prompt, Suite
from ltx2_eval.models.base import GenerationRequest, NoisePlan
from ltx2_eval.noise import noise_seed
from ltx2_reports.records import ClipShape, LineRef, PromptRef, RunSpec, Scalar, SuiteRef


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One unit of work: a prompt and a seed."""

    id: str
    prompt: Prompt
    seed: int


def samples(suite: Suite, seeds: tuple[int, ...]) -> tuple[Sample, ...]:
    """All samples of a run: prompts in the suite's order, seeds innermost."""
    return tuple(
        Sample(id=sample_id(prompt.id, seed), prompt=prompt, seed=seed) for prompt in suite.prompts for seed in seeds
    )


def sample_id(prompt_id: str, seed: int) -> str:
    """Id of a sample, also the stem of its file: `PROMPT-sSEED`."""
    return f"{prompt_id}-s{seed}"


def suite_ref(suite: Suite) -> SuiteRef:
    """The suite as records name it."""
    return SuiteRef(name=suite.name, version=suite.version, sha256=suite.sha256, licence=suite.licence)


def prompt_refs(prompts: tuple[Prompt, ...]) -> tuple[PromptRef, ...]:
    """The prompts as records keep them."""
    return tuple(
        PromptRef(
            id=prompt.id,
            text=prompt.text,
            category=prompt.category,
            language=prompt.language,
            visual_text=prompt.visual_text,
            audio_text=prompt.audio_text,
            world=prompt.expectations.world,
            speech=tuple(
                LineRef(speaker=line.speaker, language=line.language, text=line.text)
                for line in prompt.expectations.speech
            ),
            num_speakers=prompt.expectations.num_speakers,
            on_screen_text=prompt.expectations.on_screen_text,
        )
        for prompt in prompts
    )


def run_spec(
    *,
    system: str,
    model: str,
    model_identity: dict[str, Scalar],
    suite: Suite,
    seeds: tuple[int, ...],
    clip: ClipShape | None,
    container: str | None,
    noise: NoisePlan = None,
) -> RunSpec:
    """What is asked of a run, as `run.json` keeps it."""
    return RunSpec(
        system=system,
        model=model,
        model_identity=model_identity,
        suite=suite_ref(suite),
        prompts=prompt_refs(suite.prompts),
        seeds=seeds,
        clip=clip,
        container=container,
        noise=noise,
    )


def frames_of(duration_s: float, fps: Fraction) -> int:
    """Number of frames nearest to a duration among those LTX-2 can make (8k + 1).

    >>> frames_of(5.0, Fraction(24))
    121
    """
    return 8 * max(round((duration_s * float(fps) - 1) / 8), 1) + 1


def request(sample: Sample, clip: ClipShape) -> GenerationRequest:
    """What the model is asked for."""
    fps = Fraction(clip.fps)
    return GenerationRequest(
        sample=sample.id,
        prompt_id=sample.prompt.id,
        prompt=sample.prompt.text,
        seed=noise_seed(sample.prompt.id, sample.seed),
        num_frames=clip.num_frames or frames_of(sample.prompt.duration_s, fps),
        height=clip.height,
        width=clip.width,
        fps=fps,
    )
