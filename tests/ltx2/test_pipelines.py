"""Every kind of pipeline on the untrained small model: two stages by hand, conditions, LoRA, repetition, refusals."""

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from unittest import mock

import pytest
import torch
from einops import rearrange
from safetensors.torch import save_file

from ltx2 import (
    PIPELINES,
    TEXT_AND_MODALITY,
    UNGUIDED,
    AudioVideo,
    Conditions,
    GivenAudio,
    ImageCondition,
    Pipeline,
    Progress,
    RefineSettings,
    SamplingSettings,
    Tiles,
)
from ltx2.conditioning import encode_audio, encode_image
from ltx2.config import NANO_TEMPORAL_UPSAMPLER, SPATIAL_UPSAMPLER_X2
from ltx2.denoise import GuidedDenoiser
from ltx2.lora import load_lora
from ltx2.nano import UPSAMPLER_NAME, write_untrained
from ltx2.pipeline import find_upsampler
from ltx2.prompts import PromptEncoder
from ltx2.rope import audio_positions, video_positions
from ltx2.sample import Latents, NoiseSource, sample_euler
from ltx2.text import TextEmbeddings
from ltx2.types import AudioLatentShape, VideoLatentShape
from ltx2.upsampler import LatentUpsampler, upsample

FRAMES, SIDE = 9, 128
SMALL = Tiles(frames=2, height=3, width=3, overlap_frames=1, overlap=2)
REFINE = RefineSettings(lora_strength=0.0)
ONE = SamplingSettings(steps=2)
TWO = SamplingSettings(steps=2, refine=REFINE)
CONNECTOR = "model.diffusion_model.audio_embeddings_connector.transformer_1d_blocks.0.attn1.to_q"
generator = torch.Generator().manual_seed(0)
PICTURE = torch.randint(0, 256, (50, 70, 3), generator=generator, dtype=torch.uint8)
SOUND = GivenAudio(waveform=torch.rand(2, 20000, generator=generator) - 0.5, rate_hz=44100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Pipeline:
    return Pipeline.load(folder)


@pytest.fixture(scope="module")
def another(folder: Path) -> Pipeline:
    return Pipeline.load(folder)


def generate(pipeline: Pipeline, settings: SamplingSettings, **changes) -> AudioVideo:
    arguments = {"seed": 1, "num_frames": FRAMES, "height": SIDE, "width": SIDE, "fps": 24}
    return pipeline("A red ball bounces.", settings=settings, **{**arguments, **changes})


def latents(pipeline: Pipeline, settings: SamplingSettings, **changes) -> Latents:
    """The last denoised latents, guides included; nothing is decoded."""
    seen: list[Progress] = []
    nothing = mock.Mock(return_value=torch.zeros(0))
    with mock.patch.multiple(Pipeline, _decode_video=nothing, _decode_audio=nothing):
        generate(pipeline, settings, callback=seen.append, **changes)
    return seen[-1].denoised


def same(a: AudioVideo, b: AudioVideo) -> bool:
    return torch.equal(a.video, b.video) and torch.equal(a.waveform, b.waveform)


def quick(settings: SamplingSettings) -> SamplingSettings:
    refine = settings.refine and replace(settings.refine, lora_strength=0.0, tiles=settings.refine.tiles and SMALL)
    steps = settings.steps if settings.schedule == "distilled" else 2
    return replace(settings, steps=steps, lora_strength=0.0, refine=refine)


NFE = {
    "one-stage": (2 * 3, 0),
    "distilled": (8, 0),
    "two-stage": (2 * 3 + 3, 3),
    "distilled-two-stage": (8 + 3, 3),
    "hq": ((2 * 2 + 1) * 3 + 7, 7),
    "tiled": (2 * 3 + 3 * 4, 3 * 4),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_each_named_pipeline_makes_the_same_clip_of_a_seed_again(
    pipeline: Pipeline, another: Pipeline, name: str
) -> None:
    settings = quick(PIPELINES[name])
    pipeline.prompts.forget()
    clip = generate(pipeline, settings)
    assert clip.video.shape == (FRAMES, SIDE, SIDE, 3)
    assert clip.waveform.shape == (2, 240 * (4 * 9 - 3))
    assert (clip.nfe, clip.nfe_refine) == NFE[name]
    second = ["upsample", "refine"] if settings.refine else []
    assert [s.name for s in clip.stages] == [
        *("text_encoding", "connectors", "denoise", *second, "video_decode", "audio_decode", "vocoder")
    ]
    assert same(clip, generate(another, settings))
    assert not torch.equal(latents(pipeline, settings).video, latents(pipeline, settings, seed=2).video)


def test_two_stages_by_hand(pipeline: Pipeline) -> None:
    """Half size, doubled, noised again by the same source of noise, three Euler steps with the prompt alone."""
    modules = pipeline.modules
    first = latents(pipeline, ONE, height=SIDE // 2, width=SIDE // 2)
    small, large = VideoLatentShape(1, 64, 2, 2, 2), VideoLatentShape(1, 64, 2, 4, 4)
    sound = AudioLatentShape(1, 2, 9, 16)
    raw = rearrange(first.video, "b (f h w) c -> b c f h w", f=2, h=2, w=2)
    doubled = upsample(pipeline.upsampler, raw, modules.video_vae.per_channel_statistics)
    start = Latents(rearrange(doubled, "b c f h w -> b (f h w) c"), first.audio)

    source = NoiseSource(1)
    source.latents(small.token_shape, sound.token_shape)
    noise = source.latents(large.token_shape, sound.token_shape)
    sigma = 0.909375
    x = Latents(*((1 - sigma) * clean + sigma * eps for clean, eps in zip(start, noise, strict=True)))
    transformer = modules.transformer
    with torch.no_grad():
        denoiser = GuidedDenoiser(
            transformer,
            TextEmbeddings(*modules.connectors(*pipeline.text_encoder(["A red ball bounces."]))),
            video_rope=transformer.video_rope(video_positions(large, Fraction(24))),
            audio_rope=transformer.audio_rope(audio_positions(sound, modules.config.audio_vae)),
            guidance=UNGUIDED,
        )
        expected = sample_euler(denoiser, x, (sigma, 0.725, 0.421875, 0.0))
    found = latents(pipeline, TWO)
    torch.testing.assert_close(found.video, expected.video, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.audio, expected.audio, atol=1e-5, rtol=1e-5)


def test_the_sound_of_the_first_stage_can_be_kept(pipeline: Pipeline) -> None:
    first = latents(pipeline, ONE, height=SIDE // 2, width=SIDE // 2)
    kept = latents(pipeline, replace(TWO, refine=replace(REFINE, audio="keep")))
    refined = latents(pipeline, TWO)
    assert torch.equal(kept.audio, first.audio)
    assert not torch.equal(refined.audio, first.audio)
    assert not torch.equal(kept.video, refined.video)


def test_tiles_as_large_as_the_clip_change_nothing_and_smaller_ones_little(pipeline: Pipeline) -> None:
    whole = latents(pipeline, TWO).video
    one = latents(pipeline, replace(TWO, refine=replace(REFINE, tiles=Tiles()))).video
    assert torch.equal(one, whole)
    tiled = latents(pipeline, replace(TWO, refine=replace(REFINE, tiles=SMALL))).video
    other = latents(pipeline, TWO, seed=2).video
    assert 0 < (tiled - whole).square().mean() < 0.25 * (other - whole).square().mean()


@pytest.mark.parametrize("settings", [ONE, TWO, replace(ONE, sampler="res_2s")])
def test_a_first_frame_is_the_first_latent_frame(pipeline: Pipeline, settings: SamplingSettings) -> None:
    conditions = Conditions(images=(ImageCondition(image=PICTURE),))
    with torch.no_grad():
        expected = encode_image(pipeline.modules.video_vae, conditions.images[0], SIDE, SIDE)
    found, free = latents(pipeline, settings, conditions=conditions), latents(pipeline, settings)
    assert torch.equal(found.video[:, :16], expected)
    assert not torch.equal(found.video[:, 16:], free.video[:, 16:])
    weak = Conditions(images=(ImageCondition(image=PICTURE, strength=0.5),))
    assert not torch.equal(latents(pipeline, settings, conditions=weak).video[:, :16], expected)


@pytest.mark.parametrize("settings", [ONE, TWO, replace(TWO, refine=replace(REFINE, tiles=Tiles(width=3, overlap=1)))])
def test_keyframes_are_seen(pipeline: Pipeline, settings: SamplingSettings) -> None:
    def clip(*images: ImageCondition) -> torch.Tensor:
        return latents(pipeline, settings, conditions=Conditions(images=images)).video[:, :32]

    key = ImageCondition(image=PICTURE, frame=8)
    free, last, earlier = clip(), clip(key), clip(replace(key, frame=4))
    assert not torch.equal(free, last)
    assert not torch.equal(last, earlier)
    assert not torch.equal(last, clip(replace(key, strength=0.5)))
    assert torch.equal(last, clip(key))


def test_keyframes_are_left_out_of_the_clip(pipeline: Pipeline) -> None:
    keys = (ImageCondition(image=PICTURE, guide=True), ImageCondition(image=PICTURE, frame=8))
    assert latents(pipeline, TWO, conditions=Conditions(images=keys)).video.shape[1] == (2 + 2) * 16
    assert generate(pipeline, TWO, conditions=Conditions(images=keys)).video.shape == (FRAMES, SIDE, SIDE, 3)


@pytest.mark.parametrize("settings", [ONE, TWO, replace(ONE, sampler="res_2s")])
def test_video_for_a_given_sound(pipeline: Pipeline, settings: SamplingSettings) -> None:
    conditions = Conditions(audio=SOUND)
    clip = generate(pipeline, settings, conditions=conditions)
    assert clip.rate_hz == 44100
    assert torch.equal(clip.waveform, SOUND.waveform[:, : round(44100 * 9 / 24)])
    seen = latents(pipeline, settings, conditions=conditions)
    with torch.no_grad():
        expected = encode_audio(pipeline.modules.audio_vae, SOUND, 9, 9 / 24)
    assert torch.equal(seen.audio, expected)
    silence = Conditions(audio=replace(SOUND, waveform=torch.zeros(1, 9)))
    assert not torch.equal(seen.video, latents(pipeline, settings, conditions=silence).video)


def test_sound_for_a_given_video(pipeline: Pipeline) -> None:
    frames = PICTURE[:1, :1].expand(FRAMES, SIDE, SIDE, 3)
    clip = generate(pipeline, ONE, conditions=Conditions(video=frames))
    assert torch.equal(clip.video, frames)
    assert clip.rate_hz == 24000
    other = generate(pipeline, ONE, conditions=Conditions(video=255 - frames))
    assert not torch.equal(clip.waveform, other.waveform)
    assert same(clip, generate(pipeline, ONE, conditions=Conditions(video=frames)))


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = torch.Generator().manual_seed(5)
    name = "diffusion_model.transformer_blocks.2.attn1.to_q"
    factors = {"A": torch.randn(4, 128, generator=draw), "B": torch.randn(128, 4, generator=draw)}
    path = tmp_path_factory.mktemp("lora") / "lora.safetensors"
    save_file({f"{name}.lora_{part}.weight": factor / 8 for part, factor in factors.items()}, path)
    return path


def test_the_lora_is_fused_for_its_stage_only(folder: Path, lora: Path) -> None:
    pipeline = Pipeline.load(folder, lora=lora)
    weight = pipeline.modules.transformer.transformer_blocks[2].attn1.to_q.weight
    before = weight.clone()
    plain = latents(pipeline, TWO)
    fused = latents(pipeline, replace(TWO, refine=replace(REFINE, lora_strength=1.0)))
    half = latents(pipeline, replace(TWO, refine=replace(REFINE, lora_strength=0.5)))
    first = latents(pipeline, replace(TWO, lora_strength=1.0))
    assert len({x.video.sum().item() for x in (plain, fused, half, first)}) == 4
    assert torch.equal(latents(pipeline, TWO).video, plain.video)
    assert torch.equal(weight, before)
    with pytest.raises(RuntimeError, match="stopped"):
        generate(pipeline, replace(ONE, lora_strength=1.0), callback=stop)
    assert not torch.equal(weight, before)
    assert torch.equal(latents(pipeline, TWO).video, plain.video)
    generate(pipeline, replace(ONE, lora_strength=1.0))
    pipeline.unfuse()
    assert torch.equal(weight, before)


def test_a_lora_that_is_loaded_is_used_unless_settings_say_a_strength(folder: Path, lora: Path) -> None:
    pipeline = Pipeline.load(folder, lora=lora)
    plain, full = (latents(pipeline, replace(ONE, lora_strength=s)).video for s in (0.0, 1.0))
    assert torch.equal(latents(pipeline, ONE).video, full)
    assert not torch.equal(plain, full)
    both = replace(TWO, refine=replace(REFINE, lora_strength=None))
    said = replace(TWO, lora_strength=1.0, refine=replace(REFINE, lora_strength=1.0))
    assert torch.equal(latents(pipeline, both).video, latents(pipeline, said).video)
    for name, strengths in (("two-stage", (0.0, 1.0)), ("distilled-two-stage", (1.0, 1.0)), ("hq", (0.25, 0.5))):
        settings = PIPELINES[name].resolved(has_lora=True)
        assert (settings.lora_strength, settings.refine.lora_strength) == strengths
    assert PIPELINES["distilled-two-stage"].resolved(has_lora=False).refine.lora_strength == 0.0


def test_adapters_are_fused_in_every_stage_beside_the_lora(folder: Path, lora: Path) -> None:
    pipeline = Pipeline.load(folder, adapters=[(lora, 0.5)])
    expected = latents(Pipeline.load(folder, lora=lora), replace(ONE, lora_strength=0.5))
    assert torch.equal(latents(pipeline, ONE).video, expected.video)
    twice = Pipeline.load(folder, lora=lora, adapters=[(lora, 0.5)])
    sum_of_both = latents(Pipeline.load(folder, lora=lora), replace(ONE, lora_strength=0.75)).video
    found = latents(twice, replace(ONE, lora_strength=0.25)).video
    torch.testing.assert_close(found, sum_of_both, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["text_embedding_projection.aggregate_embed", CONNECTOR])
def test_a_lora_may_change_how_prompts_are_read(folder: Path, tmp_path: Path, name: str) -> None:
    weight = Pipeline.load(folder).modules.linears()[name].weight
    draw = torch.Generator().manual_seed(3)
    key = f"{name.removeprefix('model.')}.lora_"
    pair = {f"{key}A.weight": torch.randn(2, weight.shape[1], generator=draw) / weight.shape[1] ** 0.5}
    pair[f"{key}B.weight"] = torch.randn(weight.shape[0], 2, generator=draw)
    save_file(pair, tmp_path / "lora.safetensors")
    pipeline = Pipeline.load(folder, lora=tmp_path / "lora.safetensors")
    plain, full = (latents(pipeline, replace(ONE, lora_strength=s)) for s in (0.0, 1.0))
    assert not torch.equal(plain.video, full.video)
    assert not torch.equal(plain.audio, full.audio)
    assert torch.equal(plain.video, latents(Pipeline.load(folder), ONE).video)
    stages = replace(TWO, lora_strength=0.0, refine=replace(REFINE, lora_strength=1.0))
    found = latents(pipeline, stages).video
    assert not torch.equal(found, latents(pipeline, TWO).video)
    assert torch.equal(found, latents(Pipeline.load(folder, lora=tmp_path / "lora.safetensors"), stages).video)


def stop(progress: Progress) -> None:
    raise RuntimeError("stopped")


def test_a_lora_of_another_model_is_refused_at_once(pipeline: Pipeline, tmp_path: Path) -> None:
    name = "diffusion_model.transformer_blocks.99.attn1.to_q"
    save_file({f"{name}.lora_{part}.weight": torch.zeros(4, 4) for part in "AB"}, tmp_path / "lora.safetensors")
    with pytest.raises(ValueError, match="was made for another model"):
        Pipeline(pipeline.modules, pipeline.text_encoder, lora=load_lora(tmp_path / "lora.safetensors"))


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        (TWO, {"height": 96}, "height is 96; with two stages it must be a multiple of 64 and at least 128: use 128"),
        (TWO, {"width": 64}, "width is 64; with two stages"),
        (TWO, {"num_frames": 10}, "num_frames is 10"),
        (TWO, {"fps": 0}, "fps is 0"),
        (ONE, {"fps": -1}, "fps is -1"),
        (ONE, {"num_frames": 1, "fps": 60}, r"0\.0167 s hold no audio latent"),
        (PIPELINES["two-stage"], {}, "fuse a LoRA at strength 1.0 and none is loaded"),
        (PIPELINES["hq"], {}, "fuse a LoRA at strength 0.5 and none is loaded"),
        (replace(TWO, refine=replace(REFINE, sigmas=(0.5, 0.6, 0.0))), {}, "must fall strictly"),
        (TWO, {"conditions": Conditions(video=PICTURE[:1, :1].expand(9, 128, 128, 3))}, "there is nothing to refine"),
        (ONE, {"conditions": Conditions(images=(ImageCondition(image=PICTURE, frame=9),))}, "frames 0 to 8"),
    ],
)
def test_refusals_before_any_work(
    pipeline: Pipeline, settings: SamplingSettings, changes: dict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PromptEncoder, "__call__", lambda *given, **more: pytest.fail("work was done"))
    with pytest.raises(ValueError, match=message):
        generate(pipeline, settings, **changes)


def test_refusals_of_settings() -> None:
    for make in (SamplingSettings, RefineSettings):
        with pytest.raises(ValueError, match="sampler is 'heun'; known: euler, res_2s"):
            make(sampler="heun")
    with pytest.raises(ValueError, match="audio is 'drop'; known: refine, keep"):
        RefineSettings(audio="drop")


def test_an_upsampler_that_is_missing_or_unfit_is_named(pipeline: Pipeline, folder: Path) -> None:
    alone = Pipeline(pipeline.modules, pipeline.text_encoder)
    with pytest.raises(
        ValueError, match="two stages need a spatial latent upsampler and none is loaded: pass upsampler="
    ):
        generate(alone, TWO)
    for config, message in (
        (SPATIAL_UPSAMPLER_X2, "128 channels; the checkpoint's have 64"),
        (NANO_TEMPORAL_UPSAMPLER, "need the spatial one"),
    ):
        with torch.device("meta"):
            upsampler = LatentUpsampler(config)
        with pytest.raises(ValueError, match=message):
            Pipeline(pipeline.modules, pipeline.text_encoder, upsampler=upsampler)


def test_several_upsamplers_beside_a_checkpoint_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "spatial_upsampler").mkdir()
    for name in "ab":
        shutil.copy(folder / UPSAMPLER_NAME, tmp_path / f"spatial_upsampler/{name}.safetensors")
    with pytest.raises(ValueError, match=r"several spatial upsamplers \(a.safetensors, b.safetensors\); name one"):
        find_upsampler(tmp_path)


def test_guided_refinement_uses_the_negative_prompt(pipeline: Pipeline) -> None:
    settings = SamplingSettings(steps=1, guidance=UNGUIDED, refine=replace(REFINE, guidance=TEXT_AND_MODALITY))
    clip = generate(pipeline, settings)
    assert (clip.nfe, clip.nfe_refine) == (10, 9)
    assert not same(clip, generate(pipeline, settings, negative_prompt="blurry"))
