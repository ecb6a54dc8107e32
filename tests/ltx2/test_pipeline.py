"""The whole path from prompt to clip on the untrained small model."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from ltx2 import (
    LTX2_DEFAULT,
    TEXT_AND_MODALITY,
    UNGUIDED,
    AudioVideo,
    Guidance,
    Pipeline,
    Progress,
    SamplingSettings,
    StreamGuidance,
)
from ltx2.nano import write_untrained

FULL = Guidance(
    video=StreamGuidance(text=3, modality=3, stg=1, rescale=0.7),
    audio=StreamGuidance(text=7, modality=3, stg=1, rescale=0.7),
    stg_blocks=(3,),
)
PROMPT = "A red ball bounces twice on the left."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Pipeline:
    return Pipeline.load(folder)


def generate(pipeline: Pipeline, prompt: str = PROMPT, **changes) -> AudioVideo:
    arguments = {"seed": 1, "num_frames": 9, "height": 64, "width": 96, "fps": 24}
    settings = {"steps": 3, "guidance": TEXT_AND_MODALITY}
    settings.update({key: changes.pop(key) for key in list(changes) if key in SamplingSettings.__slots__})
    return pipeline(prompt, settings=SamplingSettings(**settings), **{**arguments, **changes})


def same(a: AudioVideo, b: AudioVideo) -> bool:
    return torch.equal(a.video, b.video) and torch.equal(a.waveform, b.waveform)


def test_default_clip(pipeline: Pipeline) -> None:
    seen: list[Progress] = []
    clip = generate(pipeline, num_frames=49, height=96, width=96, steps=2, callback=seen.append)
    assert clip.video.shape == (49, 96, 96, 3)
    assert clip.video.dtype == torch.uint8
    assert clip.fps == Fraction(24)
    assert clip.rate_hz == 24000
    assert clip.waveform.shape == (2, 240 * (4 * 51 - 3))
    assert clip.waveform.dtype == torch.float32
    assert clip.waveform.abs().max() <= 1
    assert clip.video.float().std() > 1
    assert clip.waveform.std() > 1e-4
    assert clip.nfe == 6
    assert [(p.step, p.steps, p.sigma) for p in seen] == [(1, 2, pytest.approx(0.1)), (2, 2, 0.0)]
    assert seen[-1].denoised.video.shape == (1, 63, 64)
    assert not clip.video.is_inference()


def test_stages(pipeline: Pipeline) -> None:
    pipeline.prompts.forget()
    stages = generate(pipeline).stages
    assert [stage.name for stage in stages] == [
        "text_encoding",
        "connectors",
        "denoise",
        "video_decode",
        "audio_decode",
        "vocoder",
    ]
    assert [len(stage.step_s) for stage in stages] == [0, 0, 3, 0, 0, 0]
    assert 0.5 * stages[2].seconds < sum(stages[2].step_s) <= stages[2].seconds
    for stage in stages:
        assert 0 < stage.seconds < 60
        assert 50e6 < stage.peak_bytes < 50e9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": "a"}, "seed is 'a'; it must be a whole number"),
        ({"seed": 1.0}, "seed is 1.0; it must be a whole number"),
        ({"num_frames": True}, "num_frames is True; it must be a whole number"),
        ({"height": 64.0}, "height is 64.0; it must be a whole number"),
        ({"fps": "24"}, "fps is '24'; it must be a number"),
        ({"fps": float("nan")}, "fps is nan; it must be a number"),
    ],
)
def test_values_of_another_type_are_refused_by_name(pipeline: Pipeline, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(pipeline, **arguments)


def test_same_seed_same_bits(pipeline: Pipeline, folder: Path) -> None:
    clip = generate(pipeline)
    generate(pipeline, prompt="something else", num_frames=17)
    assert same(clip, generate(pipeline))
    assert same(clip, generate(Pipeline.load(folder)))
    assert not same(clip, generate(pipeline, seed=2))


def test_prompt_negative_prompt_and_fps_matter(pipeline: Pipeline) -> None:
    clip = generate(pipeline)
    assert not same(clip, generate(pipeline, prompt="A blue cube hums."))
    assert not same(clip, generate(pipeline, negative_prompt="blurry"))
    assert same(generate(pipeline, guidance=UNGUIDED), generate(pipeline, guidance=UNGUIDED, negative_prompt="blurry"))
    assert generate(pipeline, fps=Fraction(12)).waveform.shape[1] == 240 * (4 * 19 - 3)


@pytest.mark.parametrize(("guidance", "passes"), [(UNGUIDED, 1), (TEXT_AND_MODALITY, 3), (FULL, 4)])
def test_batched_passes_equal_sequential_ones(pipeline: Pipeline, guidance: Guidance, passes: int) -> None:
    latents: dict[bool, Progress] = {}
    for batch in (True, False):
        clip = generate(
            pipeline, guidance=guidance, batch_passes=batch, callback=lambda p, batch=batch: latents.update({batch: p})
        )
        assert clip.nfe == 3 * passes
    for x, y in zip(latents[True].denoised, latents[False].denoised, strict=True):
        torch.testing.assert_close(x, y, atol=2e-4, rtol=1e-4)


def test_own_sigmas_and_distilled_schedule(pipeline: Pipeline) -> None:
    assert generate(pipeline, steps=8, schedule="distilled", guidance=UNGUIDED).nfe == 8
    own = generate(pipeline, steps=2, schedule=(1.0, 0.5, 0.0))
    assert own.nfe == 6
    assert not same(own, generate(pipeline, steps=2))


def test_a_call_leaves_no_global_state_changed(pipeline: Pipeline) -> None:
    def state() -> tuple:
        return (
            torch.random.get_rng_state().tolist(),
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.backends.cudnn.deterministic,
            torch.are_deterministic_algorithms_enabled(),
        )

    before = state()
    generate(pipeline)
    assert state() == before


def test_bfloat16_is_close(pipeline: Pipeline, folder: Path) -> None:
    half = Pipeline.load(folder, dtype=torch.bfloat16)
    a, b = (generate(p, guidance=UNGUIDED) for p in (pipeline, half))
    error = (a.video.float() - b.video.float()).abs().mean()
    assert 0 < error < 8
    assert b.waveform.dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_frames": 10}, "num_frames is 10.*use 9 or 17"),
        ({"height": 100}, "height is 100"),
        ({"width": 0}, "width is 0"),
        ({"fps": 0}, "fps is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"steps": 0}, "steps is 0"),
        ({"schedule": "cosine"}, "known: ltx2"),
        ({"schedule": "distilled"}, "8 steps, settings ask for 3"),
        ({"guidance": LTX2_DEFAULT}, "block 29; the model has blocks 0 to 3"),
    ],
)
def test_refusals(pipeline: Pipeline, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(pipeline, callback=lambda p: pytest.fail("work was done"), **changes)


def test_latents_that_are_not_finite_are_an_error(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.modules.transformer.proj_out.bias, "data", torch.full((64,), torch.nan))
    with pytest.raises(ValueError, match="not finite"):
        generate(pipeline)


def test_wrong_text_encoder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Gemma 3"):
        Pipeline.load(folder / "ltx2-nano.safetensors", text_encoder=tmp_path)
    from dataclasses import replace

    from ltx2.config import NANO
    from ltx2.nano import write_text_encoder

    layers, width = NANO.text.num_hidden_states, NANO.text.hidden_size
    write_text_encoder(tmp_path, replace(NANO.text, num_hidden_states=layers + 1), seed=0)
    told = f"{layers + 1} hidden states of width {width}; the checkpoint was trained with {layers}"
    with pytest.raises(ValueError, match=told):
        Pipeline.load(folder, text_encoder=tmp_path)


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, ltx2; ltx2.NANO; ltx2.VideoPixelShape; assert 'torch' not in sys.modules; dir(ltx2)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_exported_names_exist() -> None:
    import ltx2

    for name in ltx2.__all__:
        assert getattr(ltx2, name) is not None
    with pytest.raises(AttributeError, match="Pipline"):
        _ = ltx2.Pipline


def test_decoding_in_little_memory_gives_the_same_frames(pipeline: Pipeline) -> None:
    whole = generate(pipeline, num_frames=17, steps=1)
    pipeline.decode_bytes = 0
    try:
        sliced = generate(pipeline, num_frames=17, steps=1)
    finally:
        pipeline.decode_bytes = None
    assert sliced.video.is_contiguous()
    assert (whole.video.int() - sliced.video.int()).abs().max() <= 1  # a value may round to the other side
