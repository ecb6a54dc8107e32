"""Given pictures, sounds and videos: their preparation against plain arithmetic, their tokens, and what is refused."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from ltx2 import LTX2_DEFAULT, PAPER, Conditions, GivenAudio, ImageCondition, VideoPixelShape
from ltx2.conditioning import delivered_audio, encode_audio, encode_image, encode_video
from ltx2.image import compressed, prepare_image
from ltx2.mel import log_mel
from ltx2.nano import untrained_modules

PIXELS = VideoPixelShape(1, 17, 64, 96, Fraction(24))
PICTURE = torch.arange(64 * 96 * 3).reshape(64, 96, 3).remainder(251).to(torch.uint8)
TONE = torch.sin(torch.arange(48000) * (2 * torch.pi * 440 / 48000))[None]


@pytest.fixture(scope="module")
def modules():
    return untrained_modules()


def test_a_picture_of_the_clips_size_is_only_scaled_to_its_range() -> None:
    frame = prepare_image(PICTURE, 64, 96, crf=0)
    assert frame.shape == (1, 3, 1, 64, 96)
    torch.testing.assert_close(frame[0, :, 0].movedim(0, 2), PICTURE.float() / 127.5 - 1)


@pytest.mark.parametrize(("height", "width"), [(64, 192), (128, 96), (33, 47)])
def test_a_picture_covers_the_clip_and_keeps_its_centre(height: int, width: int) -> None:
    marked = torch.zeros(height, width, 3, dtype=torch.uint8)
    marked[height // 4 : -(height // 4), width // 4 : -(width // 4)] = 255
    frame = prepare_image(marked, 64, 96, crf=0)
    assert frame.shape == (1, 3, 1, 64, 96)
    assert (frame - frame.flip(-2)).abs().mean() < 0.05  # an odd rest leaves the centre half a pixel off
    assert frame[..., 32, 48].min() == 1
    mean = (frame + 1).mean() / 2
    scale = max(64 / height, 96 / width)
    shown_rows, shown_columns = 64 / scale, 96 / scale
    expected = min(height - 2 * (height // 4), shown_rows) * min(width - 2 * (width // 4), shown_columns)
    assert mean == pytest.approx(expected / (shown_rows * shown_columns), abs=0.03)


def test_compression_loses_more_with_its_strength_and_is_reproducible() -> None:
    smooth = torch.linspace(0, 255, 64).to(torch.uint8)[None, :, None].expand(48, 64, 3)
    errors = [(compressed(smooth, crf).float() - smooth).abs().mean().item() for crf in (0, 18, 33, 51)]
    assert errors == sorted(errors)
    assert errors[0] == 0 < errors[1]
    assert errors[2] < 4
    assert torch.equal(compressed(PICTURE, 33), compressed(PICTURE, 33))
    assert compressed(PICTURE[:, :95], 33).shape == (64, 94, 3)


def test_a_picture_is_the_latent_of_a_video_of_one_frame(modules) -> None:
    with torch.no_grad():
        tokens = encode_image(modules.video_vae, ImageCondition(image=PICTURE, crf=0), 64, 96)
        video = encode_video(modules.video_vae, PICTURE[None].repeat(9, 1, 1, 1))
    cell_px = modules.video_vae.config.spatial_factor
    cells = (64 // cell_px) * (96 // cell_px)
    assert tokens.shape == (1, cells, 64)
    assert video.shape == (1, 2 * cells, 64)
    torch.testing.assert_close(video[:, :cells], tokens, atol=1e-5, rtol=1e-5)  # the encoder is causal


@pytest.mark.parametrize(("seconds", "rate_hz"), [(1.0, 48000), (0.3, 48000), (1.0, 16000)])
def test_a_sound_is_encoded_as_its_mel_spectrogram_is(modules, seconds: float, rate_hz: int) -> None:
    duration_s, frames, vae = 17 / 24, 18, modules.audio_vae
    sound = GivenAudio(waveform=TONE[:, :: 48000 // rate_hz][:, : round(seconds * rate_hz)], rate_hz=rate_hz)
    with torch.no_grad():
        tokens = encode_audio(vae, sound, frames, duration_s)
        mono = torch.sin(torch.arange(16000) * (2 * torch.pi * 440 / 16000))[: round(seconds * 16000)]
        padded = torch.nn.functional.pad(mono, (0, max(0, round(duration_s * 16000) - len(mono))))
        latent = vae.encode(log_mel(padded.expand(1, 2, -1), vae.config))
    expected = latent.permute(0, 2, 1, 3).flatten(2)[:, :frames]
    assert tokens.shape == (1, frames, 32)
    assert (tokens - expected).abs().mean() < 0.01  # resampling differs at the ends and far below the tone
    if rate_hz == 16000:
        torch.testing.assert_close(tokens, expected)


def test_a_given_sound_is_delivered_for_the_clips_duration() -> None:
    stereo = TONE.expand(2, -1)
    cut = delivered_audio(GivenAudio(waveform=stereo, rate_hz=48000), 0.5)
    assert torch.equal(cut, stereo[:, :24000])
    longer = delivered_audio(GivenAudio(waveform=stereo.double(), rate_hz=48000), 1.25)
    assert longer.dtype == torch.float32
    assert torch.equal(longer[:, :48000], stereo)
    assert longer.shape == (2, 60000)
    assert not longer[:, 48000:].any()


def test_guidance_of_a_given_stream_costs_nothing() -> None:
    sound = Conditions(audio=GivenAudio(waveform=TONE, rate_hz=48000))
    guidance = sound.guidance(LTX2_DEFAULT)
    assert guidance.video == LTX2_DEFAULT.video
    assert tuple(guidance.audio_weights) == (0, 0, 0, 0)
    assert guidance.passes == LTX2_DEFAULT.passes
    only_audio = replace(LTX2_DEFAULT, video=replace(LTX2_DEFAULT.video, stg=0.0, text=1))
    assert sound.guidance(only_audio).passes == ("conditional", "modality")
    assert tuple(Conditions(video=torch.zeros(1)).guidance(PAPER).video_weights) == (0, 0, 0, 0)
    assert Conditions().guidance(PAPER) == PAPER


IMAGE = ImageCondition(image=PICTURE)
SOUND = GivenAudio(waveform=TONE, rate_hz=48000)
BAD = {
    "path": (Conditions(images=(replace(IMAGE, image=Path("a.png")),)), "is a PosixPath; expected a uint8 tensor"),
    "floats": (Conditions(images=(replace(IMAGE, image=PICTURE / 255),)), r"float32 of shape \(64, 96, 3\); expected"),
    "grey": (Conditions(images=(replace(IMAGE, image=PICTURE[..., 0]),)), r"uint8 of shape \(64, 96\); expected"),
    "one pixel": (Conditions(images=(replace(IMAGE, image=PICTURE[:1]),)), "at least 2 x 2"),
    "late": (Conditions(images=(replace(IMAGE, frame=17),)), "at frame 17; the clip has frames 0 to 16"),
    "negative": (Conditions(images=(replace(IMAGE, frame=-1),)), "at frame -1; the clip has frames 0 to 16"),
    "twice": (Conditions(images=(IMAGE, IMAGE)), r"images at frames \[0, 0\]; give one image per frame"),
    "weak": (Conditions(images=(replace(IMAGE, strength=0.0),)), "strength is 0.0; it must be above 0"),
    "crf": (Conditions(images=(replace(IMAGE, crf=52),)), "crf is 52; it must be from 0"),
    "no sound": (Conditions(audio=replace(SOUND, waveform=TONE[:, :0])), "expected a float tensor"),
    "integers": (Conditions(audio=replace(SOUND, waveform=TONE.short())), r"int16 of shape \(1, 48000\)"),
    "six channels": (Conditions(audio=replace(SOUND, waveform=TONE.expand(6, -1))), "1 or 2 channels"),
    "rate": (Conditions(audio=replace(SOUND, rate_hz=0)), "rate_hz 0; it must be positive"),
    "nan": (Conditions(audio=replace(SOUND, waveform=TONE * torch.nan)), "not finite"),
    "video size": (
        Conditions(video=PICTURE[None]),
        r"given video is .*expected a uint8 tensor of shape \(17, 64, 96, 3\)",
    ),
    "both": (Conditions(video=PICTURE[None].expand(17, -1, -1, -1), audio=SOUND), "would have no effect"),
}


@pytest.mark.parametrize("case", BAD)
def test_refusals(case: str) -> None:
    conditions, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        conditions.validate(PIXELS)


def test_what_is_sound_is_not_refused() -> None:
    Conditions(images=(IMAGE, replace(IMAGE, frame=16, strength=0.5)), audio=SOUND).validate(PIXELS)
    Conditions(video=PICTURE[None].expand(17, -1, -1, -1)).validate(PIXELS)
