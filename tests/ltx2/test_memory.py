"""What is said to fit: the published figures, the options in order, and the errors that are explained."""

import dataclasses

import pytest
import torch

from ltx2.checkpoint import build
from ltx2.config import LTX2_19B, NANO
from ltx2.memory import DoesNotFitError, Size, Weights, activation_bytes, explained, weights_of, what_fits

GB = 10**9
CLIP = Size(video_tokens=6144, audio_tokens=126, rows=1)


@pytest.fixture(scope="module")
def full() -> Weights:
    """The 19B model in bfloat16, its text encoder freed."""
    modules = build(LTX2_19B, device="meta")
    counted = weights_of(modules, text_encoder_bytes=0, is_offloaded=False)
    return dataclasses.replace(counted, item_bytes=2, other_bytes=counted.other_bytes // 2)


def test_the_published_sizes(full: Weights) -> None:
    assert full.device_bytes == pytest.approx(43.28 * GB, rel=0.001)  # the one file, without its header
    small = dataclasses.replace(full, is_fp8=True)
    assert full.device_bytes - small.device_bytes == full.block_values
    assert 18.4 * GB < full.block_values < 18.6 * GB  # 48 blocks of 386,074,624 values, less norms, tables and biases


def test_activations_grow_with_tokens_and_passes() -> None:
    one = activation_bytes(LTX2_19B.transformer, CLIP, 2)
    assert one == 12 * 2 * (6144 * 4096 + 126 * 2048)  # 12 tensors of the streams' size, in 2 bytes
    four = activation_bytes(LTX2_19B.transformer, CLIP._replace(rows=4), 2)
    assert four == one * 18 // 12


@pytest.mark.parametrize(
    ("capacity_gb", "said"),
    [
        (40, "fp8=True needs about 25"),
        (24, "offload=True needs about 8"),
        (7.7, "fp8=True with offload=True needs about 7"),
        (7.2, "with fp8=True and offload=True about "),
        (4, "no setting fits, use a larger device"),
    ],
)
def test_the_least_change_that_fits_is_named(full: Weights, capacity_gb: float, said: str) -> None:
    sentence = what_fits(full, LTX2_19B.transformer, CLIP, int(capacity_gb * GB))
    assert said in sentence
    assert f"the device has {capacity_gb:.1f} GB" in sentence


def test_a_smaller_clip_where_nothing_else_is_left(full: Weights) -> None:
    smallest = dataclasses.replace(full, is_fp8=True, is_offloaded=True)
    capacity = smallest.device_bytes + activation_bytes(LTX2_19B.transformer, CLIP, 2) // 2
    assert "; about 3072 video tokens fit" in what_fits(smallest, LTX2_19B.transformer, CLIP, capacity)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_running_out_of_memory_is_explained(error: Exception) -> None:
    size = Size(video_tokens=63, audio_tokens=51, rows=1)
    with (
        pytest.raises(DoesNotFitError, match=r"out of memory on cpu: about .* are needed while sampling"),
        explained(build(NANO, device="meta"), size, torch.device("cpu"), text_encoder_bytes=0, is_offloaded=False),
    ):
        raise error


def test_other_errors_pass() -> None:
    size = Size(video_tokens=63, audio_tokens=51, rows=1)
    with (
        pytest.raises(RuntimeError, match="shapes"),
        explained(build(NANO, device="meta"), size, torch.device("cpu"), text_encoder_bytes=0, is_offloaded=False),
    ):
        raise RuntimeError("shapes do not agree")
