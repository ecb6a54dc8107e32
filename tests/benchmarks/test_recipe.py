"""Speed recipes and data sheets: the embedded ones read, bad ones are refused by name and field."""

import pytest

from ltx2_benchmarks.hardware import gpus, load_gpu
from ltx2_benchmarks.recipe import list_recipes, load_recipe, parse_recipe

GOOD = b"""
title = "t"
about = "a"
measure = "step"
models = ["ltx2:nano"]
[[grid]]
label = "s"
size = "64x64"
frames = [9]
"""


def test_the_embedded_recipes():
    assert set(list_recipes()) >= {"ltx2-vs-wan22", "paper-fig-scaling", "vram-ladder", "quant", "cpu-nano"}
    for name in list_recipes():
        recipe = load_recipe(name)
        assert recipe.name == name
        assert recipe.gpu is None or load_gpu(recipe.gpu)


def test_scaling_covers_the_papers_range():
    recipe = load_recipe("paper-fig-scaling")
    assert [point.label for point in recipe.grid] == ["480p", "720p", "1080p"]
    assert {frames for point in recipe.grid for frames in point.frames} == {81, 121, 241, 481}


def test_the_ladder_rises_and_is_timed_often_enough():
    recipe = load_recipe("vram-ladder")
    widths = [(*map(int, point.size.split("x")), point.frames[0]) for point in recipe.grid]
    tokens = [width * height * ((frames - 1) // 8 + 1) for width, height, frames in widths]
    assert tokens == sorted(set(tokens))
    assert recipe.timing.repeats >= 5
    assert any("offload" in model for model in recipe.models)
    assert any("tiles" in model for model in recipe.models)


def test_a_point_may_be_measured_otherwise():
    recipe = load_recipe("quant")
    assert {point.measure for point in recipe.grid} == {None, "clip"}


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(GOOD)
    assert load_recipe(str(path)).name == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((b'"step"', b'"hour"'), "measure"),
        ((b"[9]", b"[0]"), "frames"),
        ((b'"64x64"', b'"64"'), "size"),
        ((b'size = "64x64"', b""), "either size or sizes"),
        ((b"title", b"titel"), "titel"),
        ((b'models = ["ltx2:nano"]', b"models = []"), "models"),
        ((b'title = "t"', b"title = "), "no TOML"),
        ((b'title = "t"', b'title = "\xff"'), "no TOML"),
        ((b'size = "64x64"', b'sizes = { "other" = "64x64" }'), "that `models` does not list"),
        ((b"[9]", b"[9]\n[timing]\nmax_seconds = nan"), "max_seconds"),
    ],
)
def test_bad_recipes_are_named(change, message):
    with pytest.raises(ValueError, match="recipe 'r'.*" + message):
        parse_recipe(GOOD.replace(*change), "r")


@pytest.mark.parametrize("name", ["ltx2-vs-wan", "none/there.toml"])
def test_absent_recipes_are_named(name):
    with pytest.raises(ValueError, match=r"ltx2-vs-wan22"):
        load_recipe(name)


SHEETS = {
    "h100-sxm": (989.4, 66.9, 3350, 81_559),
    "h100-pcie": (756.5, 51.2, 2000, 81_559),
    "h200": (989.4, 66.9, 4800, 143_771),
    "a100-80gb": (312, 19.5, 2039, 81_920),
    "l40s": (362.05, 91.6, 864, 46_068),
    "rtx-4090": (165.2, 82.6, 1008, 24_564),
    "rtx-5090": (209.5, 104.8, 1792, 32_607),
}
"""Typed a second time from the sources: 16 bits, 32 bits, GB/s, MiB by the driver."""


def test_every_gpu_is_as_its_sources_say():
    assert set(gpus()) == set(SHEETS)
    for name, (narrow, wide, bandwidth, mib) in SHEETS.items():
        gpu = load_gpu(name)
        assert gpu.tflops == {"bfloat16": narrow, "float16": narrow, "float32": wide}
        assert gpu.bandwidth_gb_s == bandwidth
        assert gpu.memory_gib == pytest.approx(mib / 1024, abs=0.005)
        assert set(gpu.sources) == {"tflops", "bandwidth_gb_s", "memory_gib"}
        assert all("https://" in source for source in gpu.sources.values())
