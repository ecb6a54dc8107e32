"""Our model in the harness: what its identity says, what it refuses before work, its files in the cache."""

import dataclasses
import shutil
from fractions import Fraction

import numpy as np
import pytest

from ltx2.config import NANO
from ltx2.nano import write_untrained
from ltx2_eval.models.base import GenerationRequest
from ltx2_eval.models.ltx2 import LTX2Model
from ltx2_eval.models.nano_files import untrained_nano_folder

CELL_PX = NANO.video_vae.spatial_factor
REQUEST = GenerationRequest(
    sample="p-s0", prompt_id="p", prompt="A bell.", seed=0, num_frames=9, height=64, width=64, fps=Fraction(24)
)
BAD = {
    "num_frames": (50, "num_frames is 50; it must be 8k \\+ 1: use 49 or 57"),
    "height": (3 * CELL_PX // 2, f"height is {3 * CELL_PX // 2}; it must be a multiple of {CELL_PX}"),
    "width": (100, f"width is 100; it must be a multiple of {CELL_PX}"),
    "seed": (-1, "seed is -1; it must be from 0"),
}
BAD_SETTINGS = {
    "guidance=ltx2-default": "STG names block 29; the model has blocks 0 to 3",
    "schedule=distilled,steps=20": "the schedule has 8 steps, settings ask for 20",
}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """One cache for the module, so that the small model is written once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTX2_EVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint file with its text encoder beside it."""
    return write_untrained(tmp_path / "model") / "ltx2-nano.safetensors"


def both_refuse(model, request, message):
    """What the check says before work is what the pipeline would say."""
    with pytest.raises(ValueError, match=message) as checked:
        model.check(request)
    with pytest.raises(ValueError) as run:
        model.generate(request)
    assert str(checked.value) == str(run.value)


@pytest.mark.parametrize("field", BAD)
def test_a_request_it_can_never_make_is_refused_before_work(field):
    value, message = BAD[field]
    both_refuse(LTX2Model("nano"), dataclasses.replace(REQUEST, **{field: value}), message)


@pytest.mark.parametrize("settings", BAD_SETTINGS)
def test_settings_it_can_never_run_are_refused_before_work(settings):
    both_refuse(LTX2Model(f"nano@{settings}"), REQUEST, BAD_SETTINGS[settings])


def test_a_clip_too_short_for_sound_is_refused_before_work():
    with pytest.raises(ValueError, match=r"0\.0167 s hold no audio latent"):
        LTX2Model("nano").check(dataclasses.replace(REQUEST, num_frames=1, fps=Fraction(60)))


def test_a_check_reads_no_weights(checkpoint, monkeypatch):
    monkeypatch.setattr(LTX2Model, "pipeline", property(lambda self: pytest.fail("loaded")))
    for target in ("nano", str(checkpoint), str(checkpoint.parent)):
        model = LTX2Model(target)
        model.check(REQUEST)
        with pytest.raises(ValueError, match="height is 65"):
            model.check(dataclasses.replace(REQUEST, height=65))
    with pytest.raises(ValueError, match="STG names block 29"):
        LTX2Model(f"{checkpoint}@guidance=ltx2-default").check(REQUEST)


def test_a_checkpoint_that_is_none_is_refused_by_the_check(checkpoint):
    checkpoint.write_bytes(b"this is no checkpoint")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        LTX2Model(str(checkpoint)).check(REQUEST)
    checkpoint.unlink()
    with pytest.raises(ValueError, match=r"holds no \*\.safetensors file"):
        LTX2Model(str(checkpoint.parent)).check(REQUEST)


def test_the_distilled_schedule_brings_its_eight_steps():
    model = LTX2Model("nano@schedule=distilled,guidance=none")
    model.check(REQUEST)
    assert model.identity()["steps"] == 8
    assert model.generate(REQUEST).details == {"nfe": 8}


def test_a_text_encoder_that_is_not_there_is_refused_at_once(checkpoint, tmp_path):
    with pytest.raises(ValueError, match=r"text encoder: .*absent is no folder with a config\.json"):
        LTX2Model(f"nano@text_encoder={tmp_path / 'absent'}")
    shutil.rmtree(checkpoint.parent / "text_encoder")
    with pytest.raises(ValueError, match=r"text encoder: .*text_encoder is no folder"):
        LTX2Model(str(checkpoint))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_the_identity_changes_with_the_text_encoder_beside_the_checkpoint(checkpoint, name):
    for target in (checkpoint, checkpoint.parent):
        before = LTX2Model(str(target)).identity()
        path = checkpoint.parent / "text_encoder" / name
        path.write_bytes(path.read_bytes() + b" ")
        after = LTX2Model(str(target)).identity()
        assert {key for key in before if before[key] != after[key]} == {"text_encoder_sha256"}


def test_the_identity_is_of_the_text_encoder_that_is_used(checkpoint, tmp_path):
    other = tmp_path / "gemma"
    shutil.copytree(checkpoint.parent / "text_encoder", other)
    beside = LTX2Model(str(checkpoint)).identity()
    named = LTX2Model(f"{checkpoint}@text_encoder={other}")
    assert named.identity() == beside
    (other / "tokenizer.json").write_bytes(b"{}")
    (checkpoint.parent / "text_encoder/config.json").write_bytes(b"{}")  # not used, and so not counted
    changed = LTX2Model(f"{checkpoint.parent}@text_encoder={other}").identity()
    assert {key for key in beside if beside[key] != changed[key]} == {"text_encoder_sha256"}
    assert changed == LTX2Model(f"{checkpoint}@text_encoder={other}").identity()


def test_the_identity_changes_with_the_checkpoint(checkpoint):
    before = LTX2Model(str(checkpoint)).identity()
    write_untrained(checkpoint.parent, seed=1)
    after = LTX2Model(str(checkpoint)).identity()
    assert before["weights_sha256"] != after["weights_sha256"]


def test_two_names_of_one_guidance_have_one_identity():
    none, unguided = (LTX2Model(f"nano@guidance={name}").identity() for name in ("none", "unguided"))
    assert none == unguided
    assert none["guidance_video"] == "text 0.0 modality 0.0 stg 0.0 rescale 0.0"


def test_the_identity_holds_the_numbers_of_the_guidance():
    identity = LTX2Model("nano@guidance=ltx2-default").identity()
    assert identity["guidance_video"] == "text 2.0 modality 2.0 stg 1.0 rescale 0.7"
    assert identity["guidance_audio"] == "text 6.0 modality 2.0 stg 1.0 rescale 0.7"
    assert identity["stg"] == "value in blocks [29]"
    assert (identity["steps"], identity["schedule"]) == (20, "ltx2")


@pytest.mark.parametrize("damage", ["cut", "no receipt", "lost"])
def test_a_folder_torn_by_a_power_cut_is_written_again(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("LTX2_EVAL_CACHE", str(tmp_path))
    folder = untrained_nano_folder()
    whole = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert len(whole) == 7
    weights = folder / "text_encoder/model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    elif damage == "lost":
        weights.unlink()
    else:
        (folder / "receipt.json").unlink()
    assert untrained_nano_folder() == folder
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == whole
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_folder_that_is_whole_is_left_as_it_is():
    def times(folder):
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    before = times(untrained_nano_folder())
    assert times(untrained_nano_folder()) == before


SMALL_TWO_STAGE = dataclasses.replace(REQUEST, height=128, width=128)


def test_the_named_pipelines_run_and_record_what_they_are():
    model = LTX2Model("nano@pipeline=tiled,steps=2,tiles=2x3x3,tile_overlap=1x2,refine_sampler=res_2s")
    model.check(SMALL_TWO_STAGE)
    made = model.generate(SMALL_TWO_STAGE)
    assert made.clip.video.shape == (9, 128, 128, 3)
    assert made.details == {"nfe": 2 * 3 + 7 * 4, "nfe_refine": 7 * 4}
    assert [stage.name for stage in made.stages][2:5] == ["denoise", "upsample", "refine"]
    identity = model.identity()
    assert identity["refine_tiles"] == "2x3x3 overlapping 1x2"
    assert identity["refine_sigmas"] == "0.909375 0.725 0.421875 0.0"
    assert (identity["sampler"], identity["refine_sampler"], identity["refine_audio"]) == ("euler", "res_2s", "keep")
    assert len(identity["upsampler_sha256"]) == 64
    assert not {"lora_strength", "refine_lora_strength", "lora_sha256"} & identity.keys()


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ("sampler=res_2s", {"sampler"}),
        ("steps=3", {"steps"}),
        ("refine_audio=keep", {"refine_audio"}),
        ("refine_sampler=res_2s", {"refine_sampler"}),
        ("tiles=8x8x8", {"refine_tiles"}),
        ("guidance=none", {"guidance_video", "guidance_audio"}),
    ],
)
def test_each_setting_is_in_the_identity(settings, changed):
    plain, other = (LTX2Model(f"nano@pipeline=two-stage{more}").identity() for more in ("", f",{settings}"))
    assert {key for key in other if plain.get(key) != other[key]} == changed


def test_the_identity_holds_the_upsampler_and_the_lora_that_are_used(checkpoint, tmp_path):
    upsampler = next((checkpoint.parent / "spatial_upsampler").iterdir())
    lora = tmp_path / "lora.safetensors"
    lora.write_bytes(b"any bytes")
    name = f"{checkpoint}@pipeline=two-stage,lora={lora}"
    before = LTX2Model(name).identity()
    upsampler.write_bytes(upsampler.read_bytes() + b" ")
    lora.write_bytes(b"other bytes")
    after = LTX2Model(name).identity()
    assert {key for key in before if before[key] != after[key]} == {"upsampler_sha256", "lora_sha256"}
    assert before["refine_lora_strength"] == 1.0
    assert "lora_sha256" not in LTX2Model(f"{name},refine_lora_strength=0").identity()


def test_hq_is_what_it_is_called():
    identity = LTX2Model("nano@pipeline=hq").identity()
    assert (identity["steps"], identity["schedule"], identity["sampler"]) == (15, "ltx2-tokens", "res_2s")
    assert identity["guidance_video"] == "text 2.0 modality 2.0 stg 0.0 rescale 0.45"
    assert identity["guidance_audio"] == "text 6.0 modality 2.0 stg 0.0 rescale 1.0"


def test_two_stages_prefer_a_size_they_can_make(checkpoint):
    for target in ("nano", str(checkpoint)):
        one, two = (LTX2Model(f"{target}@pipeline={name}").preferred_shape() for name in ("distilled", "hq"))
        assert (two.height, two.width) == ((128, 128) if target == "nano" else (2 * one.height, 2 * one.width))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("pipeline=three-stage", "pipeline.*three-stage"),
        ("sampler=heun", "sampler.*heun"),
        ("tiles=2x3x3", "tiles is a setting of a second stage; pipeline one-stage has one stage only"),
        ("pipeline=tiled,tiles=2x3", "tiles is '2x3'; expected 16x24x24"),
        ("pipeline=tiled,tile_overlap=2", "tile_overlap is '2'; expected 4x6"),
        ("pipeline=tiled,tiles=2x3x3", "overlap by 4"),
        ("pipeline=two-stage,refine_lora_strength=strong", "expected a number such as 0.8"),
        ("lora=absent.safetensors", "lora: absent.safetensors is no file"),
        ("upsampler=absent.safetensors", "upsampler: absent.safetensors is no file"),
    ],
)
def test_settings_that_mean_nothing_are_refused_at_once(settings, message):
    with pytest.raises(ValueError, match=message):
        LTX2Model(f"nano@{settings}")


def test_a_second_stage_without_its_files_is_refused_before_work(checkpoint):
    with pytest.raises(ValueError, match=r"fuse a LoRA at strength 1\.0 and none is named: add lora=FILE"):
        LTX2Model(f"{checkpoint}@pipeline=two-stage").check(SMALL_TWO_STAGE)
    shutil.rmtree(checkpoint.parent / "spatial_upsampler")
    with pytest.raises(ValueError, match="need a spatial latent upsampler and there is none beside the checkpoint"):
        LTX2Model(f"{checkpoint}@pipeline=distilled-two-stage").check(SMALL_TWO_STAGE)
    odd = dataclasses.replace(REQUEST, height=3 * CELL_PX)
    both_refuse(
        LTX2Model("nano@pipeline=two-stage"), odd, f"height is {3 * CELL_PX}; with two stages it must be a multiple"
    )


def test_settings_for_small_gpus():
    plain = LTX2Model("nano@steps=1")
    offloaded, small = LTX2Model("nano@steps=1,offload=true"), LTX2Model("nano@steps=1,fp8=True,offload=false")
    assert offloaded.identity() == plain.identity()  # it changes no result
    assert small.identity() == {**plain.identity(), "fp8": True}
    expected = plain.generate(REQUEST).clip.video
    assert np.array_equal(offloaded.generate(REQUEST).clip.video, expected)
    assert not np.array_equal(small.generate(REQUEST).clip.video, expected)
    with pytest.raises(ValueError, match="unknown fp8 'yes'"):
        LTX2Model("nano@fp8=yes")
