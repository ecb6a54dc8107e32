"""Ways to spoil a clip as a whole: another clip's sound, another clip's prompt, the way through a file and back."""

import dataclasses
import tempfile
from pathlib import Path

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import NotApplicable
from ltx2_eval.media import read_clip, write_clip
from ltx2_eval.validation.base import Material


def swapped_sound(material: Material) -> Material:
    """The partner's sound, whole, under this picture.

    Raises:
        NotApplicable: one of the two lacks a sound.
    """
    clip, partner = material.clip, material.partner_clip
    if clip.audio is None or partner.audio is None:
        raise NotApplicable("a swap needs two clips with sound")
    swapped = dataclasses.replace(
        clip, audio=partner.audio, rate_hz=partner.rate_hz, audio_start_s=partner.audio_start_s
    )
    return dataclasses.replace(material, clip=swapped)


def swapped_prompt(material: Material) -> Material:
    """The partner's prompt beside this clip.

    Raises:
        NotApplicable: one of the two lacks a prompt, or they are the same.
    """
    if material.prompt is None or material.partner_prompt is None:
        raise NotApplicable("a swap needs two clips with prompts")
    if material.prompt.text == material.partner_prompt.text:
        raise NotApplicable("both clips have the same prompt")
    return dataclasses.replace(material, prompt=material.partner_prompt)


def re_encoded(clip: Clip) -> Clip:
    """Written as MP4 (H.264, AAC) and read back: what every metric must bear.

    Raises:
        NotApplicable: MP4 cannot hold the clip (odd sizes, rates that AAC lacks).
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        try:
            write_clip(clip, path, container="mp4")
        except ValueError as error:
            raise NotApplicable(str(error)) from error
        return read_clip(path)
