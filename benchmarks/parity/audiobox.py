"""AudioBox aesthetics against audiobox-aesthetics 0.0.4 on the published fill.

Literals of tests/eval/test_audio_networks.py. Needs, without its dependencies: audiobox-aesthetics==0.0.4.
"""

import json
import tempfile
from pathlib import Path

import torch
from common import published, told, tone
from safetensors.torch import save_file
from torch.nn import functional as F

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.audiobox import AXES, AudioboxExtractor
from ltx2_eval.extractors.catalogue import EXTRACTORS

_TRANSFORMS = {axis: {"mean": 5 + 0.5 * i, "std": 1 + 0.25 * i} for i, axis in enumerate(AXES)}
_CONFIG = {"proj_num_layer": 3, "proj_ln": True, "target_transform": _TRANSFORMS}
_WINDOW = 160_000


def main() -> None:
    """Half a window, masked as the authors mask it, and a whole one."""
    from audiobox_aesthetics.model.aes import AesMultiOutput

    theirs = AesMultiOutput(**_CONFIG, proj_dropout=0.0).eval()
    filled = published.fill(theirs.state_dict())
    theirs.load_state_dict(filled)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.json").write_text(json.dumps(_CONFIG))
        save_file({key: value.contiguous() for key, value in filled.items()}, folder / "model.safetensors")
        ours = AudioboxExtractor.load(EXTRACTORS["audiobox-aesthetics"], folder, "cpu")
    for duration_s in (5.04, 10.0):
        sound = tone(16_000, duration_s)
        waveform = torch.from_numpy(sound)[None, None]
        padded = F.pad(waveform, (0, _WINDOW - waveform.shape[-1]))
        mask = torch.arange(_WINDOW)[None, None] < waveform.shape[-1]
        with torch.inference_mode():
            raw = theirs({"wav": padded, "mask": mask})
        expected = [float(raw[axis][0]) * _TRANSFORMS[axis]["std"] + _TRANSFORMS[axis]["mean"] for axis in AXES]
        found = ours.features(Clip(video=None, fps=None, audio=sound[None], rate_hz=16_000))
        told(f"AudioBox, {duration_s} s of sound", expected, found, ["audiobox-aesthetics"])


if __name__ == "__main__":
    main()
