"""Plan -> clips: each missing sample is made, written atomically and recorded; a bad one is a record."""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from safetensors.numpy import save

from ltx2_eval.attempt import attempt
from ltx2_eval.ledger import LedgerKeeper
from ltx2_eval.media import Container, write_clip
from ltx2_eval.models.base import Generated, GenerationRequest, Model, noise_of
from ltx2_eval.noise import NOISE_PLAN
from ltx2_eval.plan import Sample, request
from ltx2_eval.recording import Recorder
from ltx2_reports.records import CLIPS_FOLDER, LATENTS_FOLDER, ClipRecord, ClipShape, Reason, Stage
from ltx2_reports.store import atomic_path, file_hash

Progress = Callable[[str, int, int], None]
"""Called as (what is done, finished, total)."""


def check_plan(plan: Sequence[Sample], model: Model, shape: ClipShape) -> None:
    """Ask the model, before any work, whether it can make every sample.

    Raises:
        ValueError: the first thing it can never make; wrong use, and no clip's failure.
    """
    for sample in plan:
        model.check(request(sample, shape))


def generate(
    recorder: Recorder,
    plan: Sequence[Sample],
    model: Model,
    shape: ClipShape,
    container: Container,
    progress: Progress,
    *,
    retry_failed: bool = False,
    keep_latents: bool = False,
    after_others: bool = False,
) -> None:
    """Make every sample of the plan that the run does not have yet.

    Args:
        recorder: The run that grows.
        plan: Its samples.
        model: What makes them.
        shape: Size and frame rate to ask for.
        container: Of the files.
        progress: Told of every sample.
        retry_failed: Make samples again whose record is a failure; the new record supersedes it.
        keep_latents: Also store what the decoders were given, of models that have such.
        after_others: Whether this process already made or scored clips of another system.

    Raises:
        ValueError: the model can never make one of the samples; nothing was made.
        OSError: the disk is full or read-only.
    """
    check_plan(plan, model, shape)
    keeper = LedgerKeeper(recorder.run.header.environment.device, after_others=after_others)
    for done, sample in enumerate(plan):
        progress("generate", done, len(plan))
        if _is_due(recorder.folder, recorder.run.clips.get(sample.id), retry_failed):
            recorder.add_clip(make_clip(recorder.folder, sample, model, shape, container, keeper, keep_latents))
    progress("generate", len(plan), len(plan))


def _is_due(folder: Path, known: ClipRecord | None, retry_failed: bool) -> bool:
    """Whether a sample is to be made: it never was, its file is gone, or it failed and another try is asked for."""
    if known is None or (known.file is not None and not (folder / known.file).exists()):
        return True
    return retry_failed and known.reason is not None and known.reason.kind == "failed"


def make_clip(
    folder: Path,
    sample: Sample,
    model: Model,
    shape: ClipShape,
    container: Container,
    keeper: LedgerKeeper,
    keep_latents: bool = False,
) -> ClipRecord:
    """Make one sample: a function of its inputs that ends in a record and knows nothing of its neighbours."""
    asked = request(sample, shape)
    seed = asked.seed if noise_of(model) == NOISE_PLAN else None
    keeper.begin()
    generated, reason = attempt("generate", lambda: _checked(model.generate(asked), asked))
    if generated is None:
        return _record(sample, seed, None, reason=reason)
    ledger, stages = keeper.end(generated, asked.duration_s)
    began = time.perf_counter()
    file, reason = attempt("write", lambda: _write(folder, sample, generated, container, keep_latents))
    write = Stage(name="write", seconds=time.perf_counter() - began, peak_bytes=None)
    made = _record(sample, seed, file, folder, reason=reason if file is None else None)
    return made.model_copy(update={"stages": (*stages, write), "ledger": ledger, "details": generated.details})


def _checked(generated: Generated, asked: GenerationRequest) -> Generated:
    if (generated.clip is None) == (generated.file is None):
        raise ValueError(f"the model returned {generated!r} for {asked.sample}, expected either a clip or a file")
    return generated


def _write(folder: Path, sample: Sample, generated: Generated, container: Container, keep_latents: bool) -> str:
    suffix = f".{container}" if generated.file is None else generated.file.suffix.lower()
    name = f"{CLIPS_FOLDER}/{sample.id}{suffix}"
    with atomic_path(folder / name) as temporary:
        if generated.clip is not None:
            write_clip(generated.clip, temporary, container=container)
        elif generated.file is not None:
            shutil.copyfile(generated.file, temporary)
    if keep_latents and generated.latents:
        with atomic_path(folder / LATENTS_FOLDER / f"{sample.id}.safetensors") as temporary:
            temporary.write_bytes(save(generated.latents))  # its own writing to a path would leave files when killed
    return name


def _record(
    sample: Sample, noise_seed: int | None, file: str | None, folder: Path | None = None, *, reason: Reason | None
) -> ClipRecord:
    return ClipRecord(
        sample=sample.id,
        prompt_id=sample.prompt.id,
        seed=sample.seed,
        noise_seed=noise_seed,
        file=file,
        sha256=file_hash(folder / file) if folder and file else None,
        reason=reason,
    )
