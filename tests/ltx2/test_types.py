"""Shapes of clips and latents."""

from fractions import Fraction

import pytest

from ltx2.types import AudioLatentShape, VideoLatentShape, VideoPixelShape

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("frames", "fps", "video_frames", "audio_frames"),
    [
        (25, 24, 4, 26),
        (49, 24, 7, 51),
        (97, 24, 13, 101),
        (121, 24, 16, 126),
        (121, 25, 16, 121),
        (121, 30, 16, 101),
        (121, 50, 16, 60),
        (241, 24, 31, 251),
        (481, 24, 61, 501),
        (1, 24, 1, 1),
        (121, NTSC, 16, 101),
    ],
)
def test_latent_lengths(frames, fps, video_frames, audio_frames) -> None:
    pixels = VideoPixelShape(1, frames, 704, 1216, Fraction(fps))
    pixels.validate()
    video = VideoLatentShape.from_pixel_shape(pixels, channels=128)
    audio = AudioLatentShape.from_pixel_shape(pixels, channels=8, mel_bins=16)
    assert video == (1, 128, video_frames, 22, 38, 32)
    assert audio == (1, 8, audio_frames, 16)
    assert video.token_shape == (1, video_frames * 836, 128)
    assert audio.token_shape == (1, audio_frames, 128)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 48}, "use 41 or 49"),
        ({"frames": 0}, "use 1 or 9"),
        ({"height": 100}, "height is 100.*use 96"),
        ({"width": 32}, "width is 32.*use 64"),
        ({"fps": Fraction(0)}, "fps is 0"),
        ({"frames": True}, "num_frames is True; it must be a whole number"),
        ({"frames": "9"}, "num_frames is '9'; it must be a whole number"),
        ({"height": 64.0}, "height is 64.0; it must be a whole number"),
    ],
)
def test_shapes_the_model_cannot_represent_are_refused(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        VideoPixelShape(1, 49, 96, 96, Fraction(24))._replace(**changes).validate()
