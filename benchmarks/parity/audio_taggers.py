"""VGGish, CNN14 and PaSST against torchvggish 0.2, panns-inference 0.1.1 and hear21passt 0.0.26 on the published fill.

Literals of tests/eval/test_audio_networks.py. Needs, without their dependencies: torchvggish==0.2 resampy==0.4.3
panns-inference==0.1.1 torchlibrosa==0.1.0 librosa==0.11.0 hear21passt==0.0.26, and numba for the first ones.
"""

import contextlib
import importlib
import io
from typing import Any

import numpy as np
import torch
from common import bare, published, stand_in, told, tone

from ltx2_eval.clip import Clip
from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.extractors.panns import Cnn14, PannsClassesExtractor, PannsExtractor
from ltx2_eval.extractors.passt import PasstClassesExtractor, PasstExtractor, passt_mel
from ltx2_eval.extractors.vggish import VggishExtractor, VggishReluExtractor

DURATION_S = 5.04


def _clip(rate_hz: int) -> Clip:
    return Clip(video=None, fps=None, audio=tone(rate_hz, DURATION_S)[None], rate_hz=rate_hz)


def vggish() -> None:
    """From the sound on, with the last ReLU that torchvggish applies."""
    bare("torchvggish")
    front = importlib.import_module("torchvggish.vggish_input")
    theirs = importlib.import_module("torchvggish.torchvggish")
    network = theirs.VGG(theirs.make_layers(), False).eval()
    network.load_state_dict(published.fill(network.state_dict()))
    examples = front.waveform_to_examples(tone(16_000, DURATION_S).astype(np.float64), 16_000, return_tensor=False)
    with torch.inference_mode():
        expected = network(torch.tensor(examples).float()[:, None])
    ours = VggishExtractor.build()
    ours.load_state_dict(network.state_dict())
    found = VggishReluExtractor(EXTRACTORS["vggish-relu"], ours, "cpu").features(_clip(16_000))
    told("VGGish from sound to embedding, with ReLU", expected, found, ["torchvggish"])


def cnn14() -> None:
    """Embedding and class probabilities, from the sound on; the tables of the transform are the package's own."""
    stand_in("matplotlib.pyplot")
    bare("panns_inference")
    models = importlib.import_module("panns_inference.models")
    network = models.Cnn14(
        sample_rate=16_000, window_size=512, hop_size=160, mel_bins=64, fmin=50, fmax=8000, classes_num=527
    ).eval()
    state = network.state_dict()
    tables = {key: value for key, value in state.items() if "melW" in key or "stft.conv" in key}
    network.load_state_dict({**published.fill(state), **tables})
    with torch.inference_mode():
        expected = network(torch.from_numpy(tone(16_000, DURATION_S))[None])
    ours = Cnn14().eval()
    wanted = ours.state_dict()
    ours.load_state_dict({key: value for key, value in network.state_dict().items() if key in wanted})
    embedding = PannsExtractor(EXTRACTORS["panns-cnn14-16k"], ours, "cpu").features(_clip(16_000))
    logits = PannsClassesExtractor(EXTRACTORS["panns-cnn14-16k-classes"], ours, "cpu").features(_clip(16_000))
    told("CNN14 from sound to embedding", expected["embedding"], embedding, ["panns-inference"])
    told("CNN14 from sound to probabilities", expected["clipwise_output"], 1 / (1 + np.exp(-logits.astype(float))),
         ["panns-inference"])  # fmt: skip


def passt() -> None:
    """The network, on our spectrogram: theirs needs torchaudio, which does not install beside a CPU build of torch."""
    stand_in("timm.models.hub", download_cached_file=None)
    bare("hear21passt")
    quiet: Any = contextlib.redirect_stdout(io.StringIO())
    with quiet:
        module = importlib.import_module("hear21passt.models.passt")
        network = module.PaSST(
            stride=(10, 10), embed_dim=768, depth=12, num_heads=12, img_size=(128, 998), distilled=True, patch_size=16,
            num_classes=527, in_chans=1, u_patchout=0, s_patchout_t=0, s_patchout_f=0,
        ).eval()  # fmt: skip
        network.load_state_dict(published.fill(network.state_dict()))
        with torch.inference_mode():
            logits, features = network(torch.from_numpy(passt_mel(tone(32_000, DURATION_S)))[None, None])
    ours = PasstExtractor.build()
    ours.load_state_dict(network.state_dict())
    clip = _clip(32_000)
    found = PasstExtractor(EXTRACTORS["passt-s"], ours, "cpu").features(clip)
    classes = PasstClassesExtractor(EXTRACTORS["passt-s-classes"], ours, "cpu").features(clip)
    told("PaSST-S from spectrogram to features", features, found, ["hear21passt"])
    told("PaSST-S from spectrogram to logits", logits, classes, ["hear21passt"])


if __name__ == "__main__":
    vggish()
    cnn14()
    passt()
