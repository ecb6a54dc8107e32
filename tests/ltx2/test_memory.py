"""What is said to fit: held to tensors counted on the meta device; the options in order; what is explained."""

import dataclasses
import itertools
from fractions import Fraction

import pytest
import torch
from torch.nn import functional as F

from ltx2 import LTX2_DEFAULT, PIPELINES, RELEASE, UNGUIDED, Conditions, Guidance, Latents, VideoPixelShape
from ltx2 import memory as memory_module
from ltx2.checkpoint import build
from ltx2.config import LTX2_19B, NANO
from ltx2.denoise import GuidedDenoiser
from ltx2.memory import (
    DoesNotFitError,
    SamplingAdvice,
    Size,
    Weights,
    activation_bytes,
    check_room,
    explained,
    loading_advice,
    text_bytes,
    weights_of,
    work_advice,
)
from ltx2.plan import StagePlan, plan_stages
from ltx2.rope import audio_positions, video_positions
from ltx2.text import TextEmbeddings
from ltx2.transformer import LTX2Transformer
from ltx2.types import AudioLatentShape, VideoLatentShape

GB = 10**9
TEXT = LTX2_19B.text.max_tokens
CPU = torch.device("cpu")
STG = dataclasses.replace(LTX2_DEFAULT, stg_blocks=(1,))


@pytest.fixture(scope="module")
def full() -> Weights:
    """The 19B model in bfloat16, its text encoder freed."""
    return weights_of(build(LTX2_19B, device="meta"), is_offloaded=False, item_bytes=2)


def plan(name: str = "one-stage", *, height: int = 704, width: int = 1216, frames: int = 121) -> StagePlan:
    """The last stage of a named pipeline."""
    pixels = VideoPixelShape(1, frames, height, width, Fraction(24))
    return plan_stages(LTX2_19B, pixels, seed=0, settings=PIPELINES[name], conditions=Conditions())[-1]


def said(weights: Weights, stage: StagePlan, capacity_gb: float, *, batch: bool | None = None) -> str:
    return SamplingAdvice(weights, LTX2_19B.transformer, stage, TEXT, batch)(int(capacity_gb * GB))


def test_the_published_sizes(full: Weights) -> None:
    assert full.device_bytes == pytest.approx(43.28 * GB, rel=0.001)  # the one file, without its header
    small = dataclasses.replace(full, is_fp8=True)
    assert full.device_bytes - small.device_bytes == full.block_values
    assert 18.4 * GB < full.block_values < 18.6 * GB  # 48 blocks of 386,074,624 values, less norms, tables and biases


@pytest.mark.parametrize(("guidance", "batched"), list(itertools.product((UNGUIDED, RELEASE, STG), (False, True))))
@pytest.mark.parametrize("cells", [(7, 11, 19), (16, 16, 24)])
def test_estimates_are_those_of_tensors_that_are_alive(
    live_bytes: type, monkeypatch: pytest.MonkeyPatch, guidance: Guidance, batched: bool, cells: tuple[int, int, int]
) -> None:
    """Three blocks of the published width; what is alive does not grow with the number of blocks but for the text."""
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda q, k, v, attn_mask=None: torch.empty_like(q))
    config = dataclasses.replace(LTX2_19B.transformer, num_layers=3)
    video, audio = VideoLatentShape(1, 128, *cells), AudioLatentShape(1, 8, 126, 16)
    rows = len(guidance.passes)
    size = Size(video.token_count, 126, rows, rows if batched else 1, min(rows, 2), TEXT)
    with torch.device("meta"):
        model = LTX2Transformer(config).requires_grad_(False).to(torch.bfloat16)
        text = TextEmbeddings(*(torch.empty(2, TEXT, 3840, dtype=torch.bfloat16) for _ in range(2)))
        x = Latents(torch.empty(video.token_shape), torch.empty(audio.token_shape))
    with torch.no_grad(), live_bytes(model) as live:
        denoise = GuidedDenoiser(
            model,
            text,
            video_rope=model.video_rope(video_positions(video, 24, "meta")),
            audio_rope=model.audio_rope(audio_positions(audio, LTX2_19B.audio_vae, "meta")),
            guidance=guidance,
            batch_passes=batched,
        )
        live.peak = 0
        denoise(x, 0.7)
    estimate = text_bytes(config, size, 2) + activation_bytes(config, size, 2)
    assert 0.97 * live.peak < estimate < 1.15 * live.peak


def test_the_text_of_the_published_model_by_hand() -> None:
    size = Size.of(plan(), TEXT)
    # 48 blocks, keys and values, prompt and negative prompt, 1024 tokens of 4096 and of 2048 channels, 2 bytes
    assert text_bytes(LTX2_19B.transformer, size, 2) == 48 * 2 * 2 * 1024 * 6144 * 2 == 2_415_919_104


def test_tiles_need_the_memory_of_one_tile() -> None:
    whole, tiled = (Size.of(plan(name, height=1024, width=1536), TEXT) for name in ("two-stage", "tiled"))
    assert (whole.video_tokens, whole.tile_tokens) == (16 * 32 * 48, None)
    assert (tiled.video_tokens, tiled.tile_tokens) == (16 * 32 * 48, 16 * 24 * 24)
    whole_bytes, tiled_bytes = (activation_bytes(LTX2_19B.transformer, size, 2) for size in (whole, tiled))
    assert 0.4 * whole_bytes < tiled_bytes < 0.7 * whole_bytes


@pytest.mark.parametrize(
    ("capacity_gb", "expected"),
    [
        (40, "; fp8=True needs about 29."),
        (24, "; offload=True needs about 12."),
        (12, "; fp8=True with offload=True needs about 11."),
        (10.7, "; fp8=True with offload=True and 896x512 with 121 frames or 1216x704 with 57 frames would fit"),
        (4, "no setting fits, use a larger device"),
    ],
)
def test_the_least_change_that_fits_is_named(full: Weights, capacity_gb: float, expected: str) -> None:
    sentence = said(full, plan(), capacity_gb)
    assert expected in sentence
    assert f"{capacity_gb:.1f} GB can be had" in sentence


def test_a_size_that_is_named_fits_and_the_next_larger_one_does_not(full: Weights) -> None:
    smallest = dataclasses.replace(full, is_fp8=True, is_offloaded=True)
    assert "; 896x512 with 121 frames or 1216x704 with 57 frames would fit" in said(smallest, plan(), 10.7)
    for stage, fits in (
        (plan(height=512, width=896), True),
        (plan(frames=57), True),
        (plan(frames=65), False),
        (plan(height=544, width=960), False),
    ):
        size = Size.of(stage, TEXT, batch_passes=False)
        needed = smallest.device_bytes + memory_module.sampling_bytes(LTX2_19B.transformer, size, 2)
        assert (needed <= 10.7 * GB) is fits


def test_a_refinement_is_offered_tiles_and_a_batch_to_be_taken_apart(full: Weights) -> None:
    large = plan("two-stage", height=1024, width=1536)
    assert "; refining in tiles (tiles=Tiles()) needs about" in said(full, large, 46.9)
    assert "tiles" not in said(full, plan("tiled", height=1024, width=1536), 40)
    assert "; batch_passes=False needs about" in said(full, plan(), 48.5, batch=True)


def test_advice_for_loading_and_for_other_work(full: Weights) -> None:
    assert "need about 43.3 GB, 30.0 GB can be had; fp8=True needs about 24.8 GB" in loading_advice(full)(30 * GB)
    assert "no setting fits" in loading_advice(full)(2 * GB)
    sentence = work_advice(full, 5 * GB)(45 * GB)
    assert (
        "43.3 GB of 45.0 GB that can be had are weights, this needs at least 5.0 GB more; fp8=True leaves" in sentence
    )
    assert "ask for a smaller size" in work_advice(full, 50 * GB)(45 * GB)


def test_a_gpu_without_room_is_refused_before_anything_is_read(full: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "usable_bytes", lambda device: 24 * GB)
    with pytest.raises(DoesNotFitError, match=r"cuda has no room for the model: the weights need about 43.3 GB"):
        check_room(full, torch.device("cuda"))
    check_room(dataclasses.replace(full, is_offloaded=True), torch.device("cuda"))
    check_room(full, CPU)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_running_out_of_memory_is_explained(error: Exception) -> None:
    advice = work_advice(weights_of(build(NANO, device="meta"), is_offloaded=False), 10**15)
    with (
        pytest.raises(DoesNotFitError, match=r"out of memory on cpu while upsampling: .* ask for a smaller size"),
        explained("upsampling", CPU, advice),
    ):
        raise error


def test_what_was_explained_is_not_explained_again() -> None:
    inner = DoesNotFitError("said already")
    with pytest.raises(DoesNotFitError, match=r"^said already$"), explained("outer", CPU, lambda capacity: "again"):
        raise inner


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), explained("sampling", CPU, lambda capacity: "never"):
        raise RuntimeError("shapes do not agree")
