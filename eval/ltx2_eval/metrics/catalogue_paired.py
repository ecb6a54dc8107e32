"""Metrics of single clips against the clip of a reference set that has their name; imports no implementation."""

from ltx2_eval.metrics.base import MetricEntry
from ltx2_reports.records import MetricSpec

_LPIPS_VGG16 = MetricEntry(
    spec=MetricSpec(
        id="lpips_vgg16",
        version=1,
        title="LPIPS between each clip and its own reference (VGG16, frames at 112 pixels)",
        unit="",
        direction="down",
        range=(0.0, None),
        level="clip",
        needs=("video", "reference"),
        least_n=10,
        source="Zhang et al. 2018, richzhang/PerceptualSimilarity",
        code_licence="BSD-2-Clause",
        weight_licence="BSD-2-Clause",
        cannot_see="Motion, sound, and which of the two is better; finer detail than 112 pixels show.",
    ),
    implementation="ltx2_eval.metrics.paired_pictures:lpips_vgg16",
    extractor="lpips-vgg16-frames",
    aggregation="mean-pairs-four-frames",
    reads_features=False,
)

_VMAF = MetricEntry(
    spec=MetricSpec(
        id="vmaf",
        version=1,
        title="VMAF between each clip and its own reference",
        unit="",
        direction="up",
        range=(0.0, 100.0),
        level="clip",
        needs=("video", "reference"),
        least_n=10,
        source="Li et al. 2016, Netflix/vmaf; the libvmaf in the FFmpeg (GPL-3.0) of the package imageio-ffmpeg",
        code_licence="BSD-2-Clause-Patent",
        weight_licence="BSD-2-Clause-Patent",
        cannot_see="Sound, prompt, colour, and which of the two is better; differences that television does not make.",
    ),
    implementation="ltx2_eval.metrics.vmaf:vmaf",
    extractor=None,
    aggregation="mean-frames-in-order-bt709-luma",
    settings={"model": "vmaf_v0.6.1"},
    program="ltx2_eval.metrics.vmaf:program",
)

ENTRIES: tuple[MetricEntry, ...] = (_LPIPS_VGG16, _VMAF)
"""Metrics of a clip and its own reference."""
