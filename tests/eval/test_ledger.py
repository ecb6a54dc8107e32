"""The ledger of a clip: what a model says of its work, what the device adds, and reasons for what is not known."""

from fractions import Fraction

import numpy as np
import pytest

from ltx2 import NANO, TEXT_AND_MODALITY, SamplingSettings
from ltx2.settings import RefineSettings, Tiles
from ltx2_eval import ledger as ledger_module
from ltx2_eval.clip import Clip
from ltx2_eval.energy import CounterMeter
from ltx2_eval.ledger import LedgerKeeper
from ltx2_eval.models.base import Generated, GenerationRequest, Work
from ltx2_eval.models.ltx2 import LTX2Model
from ltx2_eval.models.ltx2_work import work_of
from ltx2_eval.stage_flops import clip_flops
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


def test_work_of_one_stage_is_that_of_the_estimate():
    from ltx2.types import AudioLatentShape, VideoLatentShape

    work = work_of(NANO, SamplingSettings(steps=3), REQUEST, dtype="float32")
    video, audio = VideoLatentShape(1, 64, 2, 2, 2), AudioLatentShape(1, 2, 9, 16)
    assert work.flops == clip_flops(NANO, video, audio, TEXT_AND_MODALITY, 3)


def test_work_of_two_stages():
    request = REQUEST.__class__(**{**{f: getattr(REQUEST, f) for f in REQUEST.__slots__}, "height": 128, "width": 128})
    two = SamplingSettings(steps=3, refine=RefineSettings(sampler="res_2s"))
    flops = work_of(NANO, two, request, dtype="float32").flops
    once = work_of(NANO, SamplingSettings(steps=3), REQUEST, dtype="float32").flops
    assert flops["denoise"] == once["denoise"]
    assert flops["refine"] > 0
    assert flops["video_decode"] > once["video_decode"]
    tiled = SamplingSettings(steps=3, refine=RefineSettings(tiles=Tiles()))
    assert "refine" not in work_of(NANO, tiled, request, dtype="float32").flops
