"""The ledger of a clip: what a model says of its work, what the device adds, and reasons for what is not known."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from ltx2 import LTX2_19B, NANO, UNGUIDED, Conditions, Pipeline, SamplingSettings
from ltx2.flops import TokenCounts, TransformerFlops, total
from ltx2.plan import plan_stages
from ltx2.settings import RefineSettings, Tiles
from ltx2.types import VideoLatentShape, VideoPixelShape
from ltx2_eval import ledger as ledger_module
from ltx2_eval.clip import Clip
from ltx2_eval.energy import CounterMeter
from ltx2_eval.ledger import LedgerKeeper
from ltx2_eval.models.base import Generated, GenerationRequest, Work
from ltx2_eval.models.ltx2 import LTX2Model
from ltx2_eval.models.ltx2_work import work_of
from ltx2_eval.models.nano_files import untrained_nano_folder
from ltx2_eval.stage_flops import sampling_flops, video_decode_flops
from ltx2_reports.records import ClipRecord, Stage

REQUEST = GenerationRequest(
    sample="a-s0",
    prompt_id="a",
    prompt="a red ball bounces",
    seed=0,
    num_frames=9,
    height=64,
    width=64,
    fps=Fraction(24),
)
CLIP = Clip(video=np.zeros((2, 8, 8, 3), np.uint8), fps=Fraction(24), audio=None, rate_hz=None)
STAGES = (
    Stage(name="text_encoding", seconds=1.0, peak_bytes=100),
    Stage(name="denoise", seconds=4.0, peak_bytes=900, step_s=(2.0, 1.0, 1.0)),
)


@pytest.fixture(autouse=True)
def known_peak(monkeypatch):
    monkeypatch.setattr(ledger_module, "matmul_flops_per_s", lambda device, dtype, now: 1000.0)


def kept(keeper: LedgerKeeper, **fields):
    keeper.begin()
    return keeper.end(Generated(clip=CLIP, **fields), clip_s=2.0)


def test_a_ledger_by_hand():
    keeper = LedgerKeeper("cpu")
    work = Work(flops={"denoise": 800}, dtype="float32", load_s=7.0)
    first, stages = kept(keeper, stages=STAGES, work=lambda: work)
    assert (first.seconds, first.seconds_per_step, first.real_time_factor) == (5.0, 1.0, 0.4)
    assert first.clips_per_hour == 720
    assert first.device_peak_bytes == 900
    assert first.host_peak_bytes > 10e6
    assert (first.flops, first.flops_per_s, first.utilisation) == (800, 200.0, 0.2)
    assert [stage.flops for stage in stages] == [None, 800]
    assert (first.cold, first.load_s) == (True, 7.0)
    assert first.device
    assert (first.dtype, first.peak_flops_per_s) == ("float32", 1000.0)
    assert "sdpa" in first.attention
    assert (first.joules is None) == (first.joules_reason is not None)
    second, _ = kept(keeper, stages=STAGES, work=lambda: work)
    assert (second.cold, second.load_s) == (False, None)


def test_after_another_system_memory_of_the_process_is_no_figure_of_this_one():
    keeper = LedgerKeeper("cpu", after_others=True)
    ledger, stages = kept(keeper, stages=STAGES, work=lambda: Work(dtype="float32"))
    assert (ledger.device_peak_bytes, ledger.host_peak_bytes) == (None, None)
    assert {stage.peak_bytes for stage in stages} == {None}
    assert ledger.seconds == 5.0


def test_energy_by_stage_without_that_of_loading():
    """100 W while the weights are loaded (10 s), 50 W in the first stage (1 s), 200 W in the second (4 s)."""
    keeper, clock = LedgerKeeper("cpu"), [0.0]
    joules = iter([0.0, 1000.0, 1050.0, 1850.0])
    keeper._meter = CounterMeter("test", lambda: [next(joules)], [0.0], lambda: clock[0], every_s=0.2)
    keeper._meter._ticker.start = lambda: None  # looks come by hand
    keeper.begin()
    for clock[0] in (10.0, 11.0):
        keeper._meter._look()
    clock[0] = 15.0
    ledger, stages = keeper.end(Generated(clip=CLIP, stages=STAGES, finished_s=15.0), clip_s=2.0)
    assert [stage.joules for stage in stages] == [pytest.approx(50.0), pytest.approx(800.0)]
    assert (ledger.joules, ledger.joules_source) == (pytest.approx(850.0), "test")


def test_a_clip_that_failed_leaves_no_watch_behind():
    keeper = LedgerKeeper("cpu")
    keeper.begin()
    first = keeper._meter
    keeper.begin()
    assert keeper._meter is first
    assert keeper.end(Generated(clip=CLIP, stages=STAGES), clip_s=2.0)[0].seconds == 5.0


def test_a_model_that_says_nothing_has_a_reason():
    found, _ = kept(LedgerKeeper("cpu"), stages=STAGES)
    assert (found.flops, found.utilisation, found.peak_flops_per_s) == (None, None, None)
    assert found.flops_reason == "not available: this model does not say what it computes"


def test_a_mistake_in_counting_costs_no_clip():
    def broken():
        raise KeyError("no such layer")

    found, stages = kept(LedgerKeeper("cpu"), stages=STAGES, work=broken)
    assert found.seconds == 5.0
    assert "KeyError" in found.flops_reason
    assert stages == STAGES


def test_a_clip_that_was_not_made_here_has_no_ledger():
    assert kept(LedgerKeeper("cpu")) == (None, ())


def test_a_full_device_has_no_peak(monkeypatch):
    monkeypatch.setattr(ledger_module, "matmul_flops_per_s", lambda device, dtype, now: None)
    found, _ = kept(LedgerKeeper("cpu"), stages=STAGES, work=lambda: Work(flops={"denoise": 800}, dtype="float32"))
    assert (found.flops_per_s, found.peak_flops_per_s, found.utilisation) == (200.0, None, None)


def test_the_bundled_model_says_what_it_computed():
    model = LTX2Model("nano@steps=2")
    keeper = LedgerKeeper("cpu")
    keeper.begin()
    made = model.generate(REQUEST)
    found, stages = keeper.end(made, REQUEST.duration_s)
    by_name = {stage.name: stage.flops for stage in stages}
    assert by_name.pop("text_encoding") is None
    assert all(by_name.values())
    assert found.flops == sum(by_name.values())
    assert found.load_s > 0
    assert len(next(stage for stage in stages if stage.name == "denoise").step_s) == 2
    record = ClipRecord(sample="a", prompt_id="a", seed=0, file="a.mp4", sha256=None, stages=stages, ledger=found)
    assert ClipRecord.model_validate(record.model_dump(mode="json")) == record


def fused_linear(x, weight, *_, out_shape=None, **__):
    return 2 * math.prod(x) * weight[0]


def fast_convolution(x, weight, *_, out_shape=None, **__):
    return conv_flop_count(x, weight, out_shape)


FAST = {torch.ops.mkldnn._linear_pointwise: fused_linear, torch.ops.aten.mkldnn_convolution: fast_convolution}
"""What the CPU runs in place of operations that the counter knows."""


def test_work_is_what_pytorch_counts_while_a_clip_is_made():
    """All of a generation under PyTorch's own counter, less the language model, which is counted alone."""
    pipeline = Pipeline.load(untrained_nano_folder())
    sizes = {"num_frames": 9, "height": 64, "width": 64}
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, custom_mapping=FAST) as everything:
        pipeline("a red ball bounces", seed=0, **sizes, settings=SamplingSettings(steps=2))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, custom_mapping=FAST) as language:
        for prompt in ("a red ball bounces", ""):
            pipeline.text_encoder([prompt])
    counted = everything.get_total_flops() - language.get_total_flops()
    work = work_of(NANO, SamplingSettings(steps=2), REQUEST, dtype="float32")
    assert sum(work.flops.values()) == pytest.approx(counted, rel=0.005)


@pytest.mark.parametrize(("rows", "columns", "tflop"), [(16, 24, 60.2), (22, 40, 138.0)])
def test_the_published_decoders_work(rows, columns, tflop):
    shape = VideoLatentShape(1, 128, 16, rows, columns)
    assert video_decode_flops(LTX2_19B, shape) / 1e12 == pytest.approx(tflop, rel=0.005)


def test_work_of_two_stages():
    request = REQUEST.__class__(**{**{f: getattr(REQUEST, f) for f in REQUEST.__slots__}, "height": 128, "width": 128})
    two = SamplingSettings(steps=3, refine=RefineSettings(sampler="res_2s"))
    flops = work_of(NANO, two, request, dtype="float32").flops
    once = work_of(NANO, SamplingSettings(steps=3), REQUEST, dtype="float32").flops
    assert flops["denoise"] == once["denoise"]
    assert flops["refine"] > 0
    assert flops["video_decode"] > once["video_decode"]
    assert flops["upsample"] > 0


def test_tiles_do_the_work_of_their_overlaps_too():
    """A latent of 2 x 4 x 4 cells in four tiles of 2 x 3 x 3: 72 tokens for 32, and the sound in each of them."""
    side = 4 * NANO.video_vae.spatial_factor
    pixels = VideoPixelShape(1, 9, side, side, Fraction(24))
    refine = RefineSettings(tiles=Tiles(frames=2, height=3, width=3, overlap_frames=1, overlap=2), lora_strength=0.0)
    settings = SamplingSettings(steps=3, refine=refine)
    plan = plan_stages(NANO, pixels, seed=0, settings=settings, conditions=Conditions())[1]
    tile = TransformerFlops(NANO.transformer, TokenCounts(video=18, audio=9, text=NANO.text.max_tokens))
    text = total(tile.text_context()).total
    step = total(tile.guided_step(UNGUIDED)).total
    assert sampling_flops(NANO, plan, 1) == text + 3 * 4 * step
