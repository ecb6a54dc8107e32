"""Where a run happens: versions, machine, threads, state of the working copy."""

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

from ltx2_reports.records import Environment

_PACKAGES = (
    *("ltx2-eval", "torch", "transformers", "tokenizers", "torchmetrics", "numpy", "scipy"),
    *("av", "soxr", "pillow", "safetensors"),
)


def environment(device: str = "cpu") -> Environment:
    """Describe this process; missing packages are left out."""
    import torch

    return Environment(
        packages={name: version for name in _PACKAGES if (version := _version(name))},
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        machine=_processor() if device == "cpu" else torch.cuda.get_device_name(device),
        device=device,
        threads=torch.get_num_threads(),
        git=_git_state(),
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.machine()


@functools.cache
def _git_state() -> str | None:
    """Commit of our own sources, with `+` when they were changed; None for an installed wheel."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        return subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
