"""What `ltx2:` models are given on the command line: files, what is recorded of them, and what is refused."""

import dataclasses
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ltx2_eval.clip import Clip
from ltx2_eval.media import write_clip
from ltx2_eval.models.base import DamagedInput, GenerationRequest
from ltx2_eval.models.ltx2 import LTX2Model
from ltx2_eval.models.ltx2_given import Given
from ltx2_eval.models.nano_files import untrained_nano_folder

REQUEST = GenerationRequest(
    sample="p-s0", prompt_id="p", prompt="a red ball", seed=0, num_frames=9, height=64, width=64, fps=Fraction(24)
)
LAYER = "diffusion_model.transformer_blocks.0.attn1.to_q"


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lossless clip of nine frames with sound, and a LoRA of one layer."""
    folder = tmp_path_factory.mktemp("given")
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    sound = (0.1 * draw.standard_normal((2, 12_000))).astype(np.float32)
    clip = Clip(video=pixels, fps=Fraction(24), audio=sound, rate_hz=24_000)
    write_clip(clip, folder / "p.mkv", container="mkv")
    width = LTX2Model("nano-untrained").pipeline.config.transformer.width
    pair = {"A": torch.randn(4, width), "B": torch.randn(width, 4)}
    save_file({f"{LAYER}.lora_{key}.weight": value for key, value in pair.items()}, folder / "lora.safetensors")
    _write_odd_files(folder)
    return folder


def _write_odd_files(folder: Path) -> None:
    """A sound, a picture, a checkpoint that is no LoRA, and files that are empty or cut short."""
    with wave.open(str(folder / "s.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(3200))
    with av.open(folder / "p.png", "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 125, np.uint8))))
        container.mux(stream.encode())
    save_file({"blocks.0.weight": torch.zeros(64, 64)}, folder / "whole.safetensors")
    (folder / "cut.safetensors").write_bytes((folder / "whole.safetensors").read_bytes()[:40])
    (folder / "cut.png").write_bytes((folder / "p.png").read_bytes()[:20])
    (folder / "empty.png").touch()


def made(settings: str, request: GenerationRequest = REQUEST) -> Clip:
    model = LTX2Model(f"nano-untrained@steps=1{settings}")
    model.check(request)
    clip = model.generate(request).clip
    assert clip is not None
    return clip


@pytest.mark.parametrize(
    ("setting", "recorded"),
    [
        ("image={}/p.mkv", {"given_frame_0_sha256", "image_strength"}),
        ("image={}/{{prompt_id}}.mkv", {"given_frame_0_sha256", "image_strength"}),
        ("keyframes=8:{}/p.mkv,image_strength=0.5", {"given_frame_8_sha256", "image_strength"}),
        ("audio={}/p.mkv", {"given_audio_sha256"}),
        ("video={}/p.mkv", {"given_video_sha256"}),
        ("lora={}/lora.safetensors", {"lora_sha256", "lora_strength"}),
        ("adapter={}/lora.safetensors,adapter_strength=0.5", {"adapter_sha256", "adapter_strength"}),
    ],
)
def test_what_is_named_changes_the_clip_and_is_recorded(given: Path, setting: str, recorded: set[str]) -> None:
    setting = setting.format(given)
    plain, other = (LTX2Model(f"nano-untrained@steps=1{more}").identity() for more in ("", f",{setting}"))
    assert {key for key in other if plain.get(key) != other[key]} == recorded
    clips = made(""), made(f",{setting}")
    assert not np.array_equal(clips[0].video, clips[1].video)


def test_given_streams_are_delivered_as_they_are(given: Path) -> None:
    from ltx2_eval.media import read_clip

    original = read_clip(given / "p.mkv")
    assert np.array_equal(made(f",video={given}/p.mkv").video, original.video)
    sound = made(f",audio={given}/p.mkv")
    assert sound.rate_hz == 24_000
    assert np.array_equal(sound.audio, original.audio[:, : round(24_000 * 9 / 24)])


def test_each_prompt_gets_its_own_file(given: Path, tmp_path: Path) -> None:
    for name in ("a-7", "b-7"):
        (tmp_path / f"{name}.mkv").write_bytes((given / "p.mkv").read_bytes())
    model = LTX2Model(f"nano-untrained@steps=1,image={tmp_path}/{{prompt_id}}-{{seed}}.mkv")
    for name in "ab":
        request = dataclasses.replace(REQUEST, prompt_id=name, seed=7)
        model.check(request)
        assert model.generate(request).details["given_frame_0"] == f"{name}-7.mkv"
    with pytest.raises(ValueError, match=r"c-7\.mkv is no file"):
        model.check(dataclasses.replace(REQUEST, prompt_id="c", seed=7))
    before = model.identity()["given_frame_0_sha256"]
    (tmp_path / "b-7.mkv").write_bytes(b"another picture")
    assert model.identity()["given_frame_0_sha256"] != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": "{prompt}.png"}, "unknown field 'prompt'. Did you mean 'prompt_id'"),
        ({"keyframes": "8"}, "expected FRAME:FILE"),
        ({"image_strength": "0.5"}, "no picture is given: add image=FILE"),
        ({"image": "a.png", "image_strength": "0"}, "expected a number above 0, at most 1"),
        ({"image": "a.png", "image_strength": "2"}, "expected a number above 0, at most 1"),
    ],
)
def test_values_that_mean_nothing_are_refused_at_once(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Given(options)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("image=absent.png", r"absent\.png is no file"),
        ("image={}/lora.safetensors", "cannot be read as a picture: it is damaged, or none; expected PNG"),
        ("image={}/s.wav", "s.wav holds no picture; expected PNG"),
        ("audio={}/p.png", "p.png is a picture; expected a file with sound"),
        ("lora={}/whole.safetensors", "whole.safetensors is not a LoRA"),
        ("adapter={}/whole.safetensors", "whole.safetensors is not a LoRA"),
        ("audio={}/lora.safetensors", "audio: lora.safetensors: cannot be decoded"),
        ("keyframes=9:{}/p.mkv", "at frame 9; the clip has frames 0 to 8"),
    ],
)
def test_files_that_cannot_be_used_are_refused_before_work(given: Path, setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LTX2Model(f"nano-untrained@{setting.format(given)}").check(REQUEST)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("image={}/empty.png", "empty.png is empty; expected PNG"),
        ("image={}/cut.png", "cannot be read as a picture"),
        ("lora={}/cut.safetensors", "cut.safetensors is truncated"),
    ],
)
def test_damaged_files_are_told_from_wrong_use(given: Path, setting: str, message: str) -> None:
    with pytest.raises(DamagedInput, match=message):
        LTX2Model(f"nano-untrained@{setting.format(given)}").check(REQUEST)


def test_a_damaged_checkpoint_is_told_before_its_missing_text_encoder(given: Path) -> None:
    with pytest.raises(DamagedInput, match=r"cut\.safetensors is truncated"):
        LTX2Model(str(given / "cut.safetensors"))


def test_a_video_of_another_size_is_refused(given: Path) -> None:
    model = LTX2Model(f"nano-untrained@video={given}/p.mkv")
    told = "has 9 frames of 64x64 at 24 fps, the clip 17 frames of 64x64 at 24 fps"
    with pytest.raises(ValueError, match=told):
        model.check(dataclasses.replace(REQUEST, num_frames=17))


def test_a_prompt_that_is_cut_is_recorded_and_what_was_read_before_is_not_counted() -> None:
    model = LTX2Model("nano-untrained@steps=1")
    first = model.generate(dataclasses.replace(REQUEST, prompt="a red ball " * 60))
    assert first.details["prompt_tokens_lost"] == 85
    second = model.generate(dataclasses.replace(REQUEST, prompt="a red ball " * 60, seed=1))
    assert "prompt_tokens_lost" not in model.generate(REQUEST).details
    assert "connectors" in first.work().flops
    assert "connectors" not in second.work().flops
    assert "text_encoding" not in {stage.name for stage in second.stages}


def test_what_cannot_be_loaded_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from ltx2 import Pipeline

    calls = []

    def fail(*given: object, **more: object) -> None:
        calls.append(given)
        raise MemoryError("no room")

    monkeypatch.setattr(Pipeline, "load", fail)
    model = LTX2Model("nano-untrained")
    for _ in range(2):
        with pytest.raises(MemoryError, match="no room"):
            model.generate(REQUEST)
    assert len(calls) == 1


def test_settings_of_speed_are_recorded_and_held_to_each_other() -> None:
    identity = LTX2Model("nano-untrained@compile=true,skip_steps=2").identity()
    assert (identity["compile"], identity["skip_steps"]) == (True, "video 2 audio 2")
    for settings, message in (
        ("compile=true,offload=true", "choose one of the two"),
        ("skip_steps=1,sampler=res_2s", "only euler skips steps"),
        ("skip_steps=-1", "expected a whole number from 0 to 99"),
        ("adapter_strength=1", "add adapter=FILE"),
    ):
        with pytest.raises(ValueError, match=message):
            LTX2Model(f"nano-untrained@{settings}")


def test_doubling_frames_needs_its_upsampler() -> None:
    assert untrained_nano_folder().is_dir()
    model = LTX2Model("nano-untrained@pipeline=two-stage,double_frames=true")
    with pytest.raises(ValueError, match="go together; give both or neither"):
        model.check(dataclasses.replace(REQUEST, num_frames=17, height=128, width=128))
