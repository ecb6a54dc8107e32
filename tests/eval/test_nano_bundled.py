"""The weights that the package ships: they load, they are small, and clips follow their prompts."""

import json

import numpy as np
import pytest
import torch

from ltx2 import Pipeline
from ltx2.bundled import NANO_FOLDER
from ltx2.config import NANO
from ltx2_benchmarks.suite import Prompt, load_suite
from ltx2_benchmarks.synthetic import Scene, render, sample_scene
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.extractors.catalogue import EXTRACTORS, load_extractor
from ltx2_eval.metrics.base import Subject
from ltx2_eval.metrics.world import world_kept, world_promise
from ltx2_eval.nano.evaluate import extractor_folder
from ltx2_eval.nano.following import kept, sample, ways
from ltx2_eval.nano.sync_stage import shifted
from ltx2_eval.nano.video_stage import psnr_db
from ltx2_reports.records import ClipRecord

LEAST_PSNR_DB = 23.0


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    torch.set_num_threads(1)
    return Pipeline.load(NANO_FOLDER)


def world_clip(seed: int, *, late_s: float = 0.0) -> Clip:
    """A held-out clip of the world, its sound moved."""
    made = render(sample_scene(seed, split="test", family="bounce", width=64, height=64))
    audio = shifted(torch.from_numpy(made.audio), round(late_s * made.rate_hz)).numpy()
    return Clip(video=made.video, fps=made.fps, audio=audio, rate_hz=made.rate_hz)


def subject(clip: Clip, prompt: Prompt | None) -> Subject:
    record = ClipRecord(sample="a-s0", prompt_id="a", seed=0, file="a.mp4", sha256=None, reason=None)
    return Subject(clip=clip, record=record, prompt=prompt)


def test_the_package_stays_small() -> None:
    assert sum(file.stat().st_size for file in NANO_FOLDER.rglob("*") if file.is_file()) < 26e6
    assert sum(file.stat().st_size for file in extractor_folder().glob("*.safetensors")) < 5e6


def test_the_model_card_has_its_figures() -> None:
    card = (NANO_FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    for figure in ("video round trip PSNR", "guided: colour", "retrieval text to video", "nano FVD of the world"):
        assert f"| {figure}" in card
    assert "@@" not in card


def test_the_files_are_of_the_sizes_that_the_preset_names(pipeline: Pipeline) -> None:
    assert pipeline.config == NANO


def test_held_out_clips_come_back(pipeline: Pipeline) -> None:
    videos = [torch.from_numpy(world_clip(seed).video) for seed in range(3)]
    ratios = []
    for video in videos:
        frames = video.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        decoded = pipeline.modules.video_vae.decode(pipeline.modules.video_vae.encode(frames))
        ratios.append(psnr_db(decoded, frames).item())
    assert np.mean(ratios) > LEAST_PSNR_DB


def test_clips_follow_their_prompts(pipeline: Pipeline) -> None:
    """Far above chance: one of eight colours, one of six backgrounds."""
    samples = sample(pipeline, load_suite("nano").prompts[::12], ways(10)[0])
    for promise, least in (("colour", 0.7), ("background", 0.7)):
        values = [value for values in kept(samples, promise).values() for value in values]
        assert np.mean(values) >= least, promise
    one = samples[0]
    found = world_promise(subject(one.clip, one.prompt), None, None, promise="colour")
    assert found.value == float(bool(one.verdicts["colour"].ok))


def test_extractors_tell_the_own_caption_and_the_offset() -> None:
    video, sync = load_extractor("nano-video"), load_extractor("nano-sync")
    assert video.spec == EXTRACTORS["nano-video"]
    features = np.concatenate([video.features(world_clip(seed)) for seed in range(3)])
    assert features.shape == (3, 128)
    offsets = [sync.features(world_clip(seed, late_s=0.2))[0].argmax() - 48 for seed in range(5)]
    assert abs(np.median(offsets) * 1000 / 96 - 200) < 45


def test_the_world_keeps_its_promises_and_another_clip_does_not() -> None:
    prompt = next(p for p in load_suite("world").prompts if "bounce" in p.id)
    own = render(Scene.from_json(json.dumps(prompt.scene)))
    clip = Clip(video=own.video, fps=own.fps, audio=own.audio, rate_hz=own.rate_hz)
    assert world_kept(subject(clip, prompt), None, None).value == 1
    other = world_kept(subject(world_clip(5), prompt), None, None)
    assert other.value is not None
    assert other.value < 0.8
    assert other.details["broken"]


def test_prompts_of_other_worlds_promise_nothing() -> None:
    prompt = load_suite("smoke").prompts[0]
    for metric in (world_kept, world_promise):
        with pytest.raises(NotApplicable, match="promises nothing exact"):
            metric(subject(world_clip(0), prompt), None, None)
        with pytest.raises(NotApplicable, match="promises nothing exact"):
            metric(subject(world_clip(0), None), None, None)
