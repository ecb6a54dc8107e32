"""Steps that reuse the estimate of the step before: which ones run, what of each stream is reused, and refusals."""

from pathlib import Path

import pytest
import torch

from ltx2 import TEXT_AND_MODALITY, Guidance, Pipeline, Progress, RefineSettings, SamplingSettings, StreamGuidance
from ltx2.denoise import SkippingDenoiser
from ltx2.nano import write_untrained
from ltx2.sample import Latents


class Recorder:
    """Answers the n-th call with n in both streams."""

    def __init__(self) -> None:
        self.nfe = 0
        self.runs: list[tuple[bool, ...]] = []

    def __call__(self, x: Latents, sigma: float, runs: tuple[bool, ...] = (True, True)) -> Latents:
        self.nfe += 1
        self.runs.append(tuple(runs))
        return Latents(torch.full((1,), float(self.nfe)), torch.full((1,), float(self.nfe)))


def test_by_hand() -> None:
    """Video at steps 0, 2, 4; audio at steps 0, 3: step 1 and 5 run nothing."""
    inner = Recorder()
    denoise = SkippingDenoiser(inner, (1, 2))
    x = Latents(torch.zeros(1), torch.zeros(1))
    found = [tuple(stream.item() for stream in denoise(x, 0.5)) for _ in range(6)]
    assert inner.runs == [(True, True), (True, False), (False, True), (True, False)]
    assert found == [(1, 1), (1, 1), (2, 1), (2, 3), (4, 3), (4, 3)]
    assert denoise.nfe == 4


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline.load(Path(write_untrained(tmp_path_factory.mktemp("nano"))))


def guidance(video: int, audio: int) -> Guidance:
    return Guidance(
        video=StreamGuidance(text=3, modality=3, rescale=0.7, skip_steps=video),
        audio=StreamGuidance(text=7, modality=3, rescale=0.7, skip_steps=audio),
    )


def sampled(pipeline: Pipeline, settings: SamplingSettings) -> tuple[list[Progress], int]:
    seen: list[Progress] = []
    clip = pipeline("a red ball", seed=0, num_frames=9, height=64, width=64, settings=settings, callback=seen.append)
    return seen, clip.nfe


def test_in_a_pipeline(pipeline: Pipeline) -> None:
    plain, nfe = sampled(pipeline, SamplingSettings(steps=4))
    none, same_nfe = sampled(pipeline, SamplingSettings(steps=4, guidance=guidance(0, 0)))
    assert guidance(0, 0) == TEXT_AND_MODALITY
    assert (nfe, same_nfe) == (12, 12)
    assert torch.equal(plain[-1].denoised.video, none[-1].denoised.video)

    both, nfe = sampled(pipeline, SamplingSettings(steps=4, guidance=guidance(1, 1)))
    assert nfe == 6
    assert both[1].denoised.video is both[0].denoised.video
    assert not torch.equal(both[2].denoised.video, both[1].denoised.video)

    audio, nfe = sampled(pipeline, SamplingSettings(steps=4, guidance=guidance(0, 3)))
    assert nfe == 12
    assert all(step.denoised.audio is audio[0].denoised.audio for step in audio)
    assert torch.equal(audio[0].denoised.video, plain[0].denoised.video)
    assert not torch.equal(audio[1].denoised.video, plain[1].denoised.video)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="skip_steps is -1; it must be 0"):
        StreamGuidance(text=1, modality=1, skip_steps=-1)
    for make in (SamplingSettings, RefineSettings):
        with pytest.raises(ValueError, match="skip_steps is 2 and the sampler res_2s; only euler skips steps"):
            make(guidance=guidance(2, 0), sampler="res_2s")
