"""The noise of the bundled nano model, as `measure.py` in this folder splits it: 60 prompts x 8 seeds of `ci`.

Made with 2 steps without guidance, 25 frames, lossless files (as `.ci/gate` does).
"""

from studies import Shape

NANO = (
    Shape(name="audio.bandwidth_hz", mean=11895, prompts=568, seeds=336, shared=0.0, skew=-5.5),
    Shape(name="audio.clicks_per_s", mean=1.9266, prompts=0.233, seeds=0.147, shared=0.0, skew=-6.1),
    Shape(name="audio.dc_offset", mean=0.0011617, prompts=0.000245, seeds=0.000132, shared=0.0, skew=4.5),
    Shape(name="audio.hum_ratio", mean=0.013092, prompts=0.0709, seeds=0.0469, shared=0.0, skew=7.5),
    Shape(name="audio.loudness_lufs", mean=49.705, prompts=5.2, seeds=4.23, shared=0.0, skew=3.3),
    Shape(name="audio.silence_ratio", mean=0.91296, prompts=0.224, seeds=0.0495, shared=0.0, skew=-3.5),
    Shape(name="audio.spectral_flatness", mean=0.00035969, prompts=9.66e-05, seeds=6.05e-05, shared=0.0, skew=-2.8),
    Shape(name="audio.stereo_correlation", mean=0.61386, prompts=0.131, seeds=0.169, shared=0.0, skew=-2.1),
    Shape(name="audio.true_peak_dbtp", mean=18.856, prompts=0.356, seeds=0.599, shared=0.0, skew=3.7),
    Shape(name="av_align", mean=0.3648, prompts=0.101, seeds=0.132, shared=0.0, skew=-1.5),
    Shape(name="dynamic_degree", mean=0.51042, prompts=0.396, seeds=0.309, shared=0.0, skew=-0.022),
    Shape(name="video.blockiness", mean=0.90949, prompts=0.196, seeds=0.113, shared=0.0, skew=-0.45),
    Shape(name="video.flicker", mean=0.0006028, prompts=0.000261, seeds=0.00032, shared=0.0, skew=1.6),
    Shape(name="video.frozen_ratio", mean=0.2401, prompts=0.307, seeds=0.153, shared=0.0, skew=0.96),
    Shape(name="video.motion", mean=0.04672, prompts=0.023, seeds=0.0167, shared=0.0, skew=1.3),
    Shape(name="video.noise", mean=0.21773, prompts=0.0192, seeds=0.0107, shared=0.0, skew=0.51),
    Shape(name="video.sharpness", mean=53.89, prompts=25.6, seeds=7.89, shared=0.0, skew=1.1),
)
"""Every prompt with noise of its own, as the product makes clips: prompts of a seed share nothing, by construction and
by F-tests on these clips (README.md)."""
NANO_SHARED = (
    Shape(name="audio.bandwidth_hz", mean=11885, prompts=550, seeds=466, shared=9.31, skew=-5.2),
    Shape(name="audio.clicks_per_s", mean=1.8874, prompts=0.158, seeds=0.229, shared=0.175, skew=-5),
    Shape(name="audio.dc_offset", mean=0.0011535, prompts=0.000236, seeds=0.000157, shared=2.18e-05, skew=4.4),
    Shape(name="audio.hum_ratio", mean=0.0082961, prompts=0.0392, seeds=0.0364, shared=0.000677, skew=7.5),
    Shape(name="audio.loudness_lufs", mean=48.265, prompts=6.3, seeds=5.25, shared=3.03, skew=2.4),
    Shape(name="audio.silence_ratio", mean=0.90133, prompts=0.229, seeds=0.0525, shared=0.0177, skew=-3.4),
    Shape(
        name="audio.spectral_flatness", mean=0.00033521, prompts=0.000104, seeds=0.000125, shared=5.15e-05, skew=-1.6
    ),
    Shape(name="audio.stereo_correlation", mean=0.54244, prompts=0.196, seeds=0.192, shared=0.131, skew=-1.9),
    Shape(name="audio.true_peak_dbtp", mean=18.715, prompts=0.517, seeds=0.776, shared=0.377, skew=3.6),
    Shape(name="av_align", mean=0.34719, prompts=0.115, seeds=0.129, shared=0.0561, skew=-1.5),
    Shape(name="dynamic_degree", mean=0.54375, prompts=0.403, seeds=0.291, shared=0.0719, skew=-0.18),
    Shape(name="video.blockiness", mean=0.90333, prompts=0.205, seeds=0.0975, shared=0.042, skew=-0.34),
    Shape(name="video.flicker", mean=0.00064472, prompts=0.000361, seeds=0.000337, shared=0.000113, skew=2),
    Shape(name="video.frozen_ratio", mean=0.2658, prompts=0.315, seeds=0.147, shared=0.0704, skew=0.74),
    Shape(name="video.motion", mean=0.049933, prompts=0.0301, seeds=0.0174, shared=0.00854, skew=1.6),
    Shape(name="video.noise", mean=0.21712, prompts=0.0205, seeds=0.0092, shared=0.00455, skew=0.43),
    Shape(name="video.sharpness", mean=55.796, prompts=27.8, seeds=7.16, shared=2.61, skew=1.1),
)
"""The same model where the seed alone decides the noise, as it was once and is in many clips from elsewhere."""
