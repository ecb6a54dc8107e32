"""What `doctor` looks at: each check says what was found and the command that mends it."""

import os
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal, NamedTuple

from ltx2_eval.weights.cache import CACHE_VARIABLE, cache_root

if TYPE_CHECKING:
    from ltx2_eval.metrics.base import MetricEntry
    from ltx2_eval.weights import WeightsStatus

_LEAST_DISK_BYTES = 2 * 2**30


class Finding(NamedTuple):
    """The outcome of one check."""

    what: str
    state: Literal["ok", "optional", "damaged", "missing"]
    found: str
    mend: str


def _python() -> Finding:
    return Finding("Python", "ok", ".".join(map(str, sys.version_info[:3])), "")


def _packages() -> Finding:
    names = ("torch", "transformers", "torchmetrics", "av", "soxr", "safetensors")
    found = {name: _version(name) for name in names}
    missing = [name for name, number in found.items() if number is None]
    listed = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    mend = f"pip install {' '.join(missing)}" if missing else ""
    return Finding("packages", "missing" if missing else "ok", listed, mend)


def _codecs() -> Finding:
    import av

    needed = {"libx264": "w", "aac": "w", "ffv1": "w", "pcm_f32le": "w", "h264": "r"}
    missing = [name for name, mode in needed.items() if not _has_codec(av, name, mode)]
    found = f"PyAV {av.__version__}, " + ("all codecs" if not missing else f"without {', '.join(missing)}")
    return Finding(
        "codecs", "missing" if missing else "ok", found, "pip install --force-reinstall av" if missing else ""
    )


def _cache() -> Finding:
    folder = cache_root()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return Finding("cache", "missing", f"{folder} is not writable", f"set {CACHE_VARIABLE} to a folder of yours")
    free = shutil.disk_usage(existing).free
    state: Literal["ok", "optional"] = "ok" if free >= _LEAST_DISK_BYTES else "optional"
    mend = "" if state == "ok" else "free some space: weights and clips need about 2 GB"
    return Finding("cache", state, f"{folder}, {free / 2**30:.0f} GB free", mend)


def _device() -> Finding:
    import torch

    threads = torch.get_num_threads()
    if not torch.cuda.is_available():
        return Finding("device", "ok", f"CPU with {threads} threads; no CUDA device", "")
    return Finding("device", "ok", f"{torch.cuda.get_device_name()} (--device cuda), CPU with {threads} threads", "")


def _weights() -> Finding:
    from ltx2_eval import weights

    states = weights.status()
    absent = [state.entry.name for state in states if state.state != "ready"]
    wanted = [name for name in weights.profile("offline") if name in absent]
    found = f"{len(states) - len(absent)} of {len(states)} here" + (f"; absent: {', '.join(absent)}" if absent else "")
    if wanted:
        return Finding("weights", "optional", found, "ltx2-eval weights pull --profile offline")
    return Finding("weights", "ok", found, "")


def _chromium() -> Finding:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return Finding(
        "browser for tests", "ok" if path else "optional", path or "none found", "" if path else "install chromium"
    )


def metric_findings() -> list[Finding]:
    """Every metric: ready, or which weights are missing or of another hash, and the command that brings them."""
    from ltx2_eval import weights
    from ltx2_eval.metrics.catalogue import catalogue
    from ltx2_eval.metrics.profiles import weights_of

    states = {state.entry.name: state for state in weights.verify()}
    return [
        _program(entry) or _metric(name, [states[needed] for needed in weights_of(entry)])
        for name, entry in catalogue().items()
    ]


def _program(entry: "MetricEntry") -> Finding | None:
    """A metric that needs a program outside Python which is not here."""
    from ltx2_eval.extractors.base import NotAvailable
    from ltx2_eval.metrics.catalogue import program_settings

    try:
        program_settings(entry)
    except NotAvailable as error:
        what, _, mend = str(error).rpartition(": ")
        return Finding(f"metric {entry.spec.id}", "optional", what, mend.strip("`"))
    return None


def _metric(name: str, needed: "list[WeightsStatus]") -> Finding:
    what = f"metric {name}"
    absent = [state.entry.name for state in needed if state.state == "missing"]
    damaged = [state.entry.name for state in needed if state.state == "damaged"]
    if not absent and not damaged:
        return Finding(what, "ok", "ready", "")
    parts = [f"missing: {', '.join(absent)}"] if absent else []
    parts += [f"wrong hash: {', '.join(damaged)}"] if damaged else []
    state: Literal["optional", "damaged"] = "damaged" if damaged else "optional"
    return Finding(what, state, f"weights {'; '.join(parts)}", f"ltx2-eval weights pull {' '.join(absent + damaged)}")


def together(findings: list[Finding]) -> list[Finding]:
    """Metrics with the same finding in one line, for people."""
    lines: dict[Finding, list[str]] = {}
    for finding in findings:
        kind, _, name = finding.what.partition(" ")
        lines.setdefault(finding._replace(what="metrics") if kind == "metric" else finding, []).append(name)
    return [
        line._replace(what=f"metrics {', '.join(names)}") if line.what == "metrics" else line
        for line, names in lines.items()
    ]


CHECKS: tuple[Callable[[], Finding], ...] = (_python, _packages, _codecs, _cache, _device, _weights, _chromium)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _has_codec(av: object, name: str, mode: str) -> bool:
    try:
        av.Codec(name, mode)  # type: ignore[attr-defined]
    except Exception:
        return False
    return True
