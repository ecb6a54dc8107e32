"""What values to expect of a metric, and who measured them: for its page, so that a reader can tell odd from usual.

They were taken under the protocols of their sources. They are for orientation, not for a table beside values of ours.
"""

from typing import NamedTuple


class Typical(NamedTuple):
    """Values and where they come from."""

    values: str
    source: str


_FASTVIDEO = "hao-ai-lab/FastVideo, one clip of distilled LTX-2, two people talking outdoors"
_COMPASS = "T2AV-Compass, 500 prompts, its own implementation"
_UNRELATED = "LRS2 test clips as users of the network measured them"

TYPICAL: dict[str, Typical] = {
    "fvd": Typical(
        "50 to 1000 at 16 frames; 8 videos of zeros against 8 of ones give about 151", "JunyaoHu's FVD ports"
    ),
    "clip_tv": Typical("0.20 to 0.28 for matching pairs with ViT-L/14", "common use"),
    "clap_ta": Typical("0.16 to 0.24 for clips like LTX-2's; LTX-2 0.2365, Veo 3.1 0.2335, JavisDiT 0.1257", _COMPASS),
    "clap_ta_630k": Typical("0.164 (fused variant of the network)", _FASTVIDEO),
    "ib_av": Typical("LTX-2 0.1851, Veo 3.1 0.2856, JavisDiT 0.1284; MMAudio on VGGSound 0.29", f"{_COMPASS}; MMAudio"),
    "fad_vggish": Typical("0.5 to 15", "literature on text-to-audio"),
    "fd_panns": Typical("5 to 40", "literature on text-to-audio"),
    "fd_passt": Typical("60 to 300", "literature on text-to-audio"),
    "kl_panns": Typical("1.3 to 3", "literature on text-to-audio"),
    "kl_passt": Typical("1.3 to 3", "literature on text-to-audio"),
    "desync": Typical(
        "MMAudio-S 0.48, Veo 3.1 0.678, LTX-2 0.876, JavisDiT 1.322; chance is 1.05, and real clips do not reach 0",
        f"MMAudio; {_COMPASS}",
    ),
    "lse_c": Typical("real faces 8.25; unrelated sound 1 to 2", _UNRELATED),
    "lse_d": Typical("real faces 6.26; unrelated sound 10 and more", _UNRELATED),
    "vmaf": Typical("97 to 100 for a clip against itself; the scale of its ratings ends at 20 and 100", "Netflix/vmaf"),
    "av_align": Typical("0.1 to 0.2 for unrelated pairs with the published peak picking", "TempoTokens and its users"),
    "audiobox_ce": Typical("5.35", _FASTVIDEO),
    "audiobox_cu": Typical("6.00", _FASTVIDEO),
    "audiobox_pc": Typical("2.62", _FASTVIDEO),
    "audiobox_pq": Typical("6.90", _FASTVIDEO),
    "subject_consistency": Typical("0.955", _FASTVIDEO),
    "background_consistency": Typical("0.946", _FASTVIDEO),
    "aesthetic": Typical("0.573 of 1, that is 5.7 of 10", _FASTVIDEO),
    "speech_wer": Typical("0 where the lines are spoken clearly", _FASTVIDEO),
    "dnsmos_ovrl": Typical("about 3.1 for clean speech, 1.2 for noisy", "own clips, with the packaged network"),
}
