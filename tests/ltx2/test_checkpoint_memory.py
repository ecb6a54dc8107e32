"""Peak memory while loading, measured in a process of its own with a file large enough to tell (about 300 MB)."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ltx2.checkpoint import build, save
from ltx2.config import NANO
from ltx2.nano import untrained_modules
from ltx2.published_config import dump_config

LARGE = dataclasses.replace(
    NANO,
    transformer=dataclasses.replace(
        NANO.transformer, num_layers=5, attention_head_dim=256, audio_attention_head_dim=128
    ),
)
MB = 10**6
MAPPED_MB = 128
SLACK_MB = 60
"""For what loading itself leaves in the heap of the process."""
PROGRAM = """
import sys, torch
from pathlib import Path
import ltx2.checkpoint
def resident(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])
warm, path, dtype, fp8 = *sys.argv[1:3], getattr(torch, sys.argv[3]), sys.argv[4] == "fp8"
ltx2.checkpoint.load(warm, dtype=dtype, fp8=fp8)  # so that libraries are in memory before
before = resident("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
modules = ltx2.checkpoint.load(path, dtype=dtype, fp8=fp8)
weights = sum(value.numel() * value.element_size() for value in modules.state().values())
loaded = resident("VmHWM") - before
for value in modules.state().values():
    value.view(-1).view(torch.uint8)[::4096].sum()  # touches every page
print(loaded, resident("VmHWM") - before, weights)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.safetensors"
    state = build(LARGE, device="meta").state()
    tensors = {key: torch.full(value.shape, 0.01, dtype=torch.bfloat16) for key, value in state.items()}
    save_file(tensors, path, metadata={"config": dump_config(LARGE)})
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    save(path, untrained_modules())
    return path


def measured_mb(small: Path, large: Path, dtype: str, fp8: str = "-") -> tuple[float, float, float]:
    """Peak above the start after loading and after all weights were read, and size of the weights, in MB."""
    command = [sys.executable, "-c", PROGRAM, str(small), str(large), dtype, fp8]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    loaded, read, weights = (int(number) / MB for number in output.split())
    return loaded, read, weights


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="reads what Linux counts for a process"
)


@needs_proc
def test_weights_that_are_cast_need_no_second_copy(small: Path, large: Path) -> None:
    file_mb = large.stat().st_size / MB
    assert file_mb > 290
    loaded, _, weights = measured_mb(small, large, "float32")
    assert weights == pytest.approx(2 * file_mb, rel=0.01)
    assert loaded < weights + MAPPED_MB + SLACK_MB < weights + file_mb


@needs_proc
def test_weights_as_stored_are_mapped_and_read_when_used(small: Path, large: Path) -> None:
    loaded, read, weights = measured_mb(small, large, "bfloat16")
    assert weights == pytest.approx(large.stat().st_size / MB, rel=0.01)
    assert loaded < SLACK_MB
    assert 0.9 * weights < read < weights + SLACK_MB


@needs_proc
def test_weights_that_are_held_in_eight_bits(small: Path, large: Path) -> None:
    loaded, _, weights = measured_mb(small, large, "bfloat16", "fp8")
    assert weights < 0.6 * large.stat().st_size / MB
    assert loaded < weights + large.stat().st_size / MB  # of which 128 MB are mapped at a time
