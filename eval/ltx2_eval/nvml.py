"""NVIDIA's management library (NVML), by the package nvidia-ml-py."""

from typing import Any


def nvml_handle(device: str) -> tuple[Any, Any] | str:
    """The NVML module and the handle of a CUDA device; or a sentence why there is none."""
    import torch

    try:
        import pynvml  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return "pip install ltx2-eval[nvidia] to read the GPU's state"
    try:
        pynvml.nvmlInit()
        properties = torch.cuda.get_device_properties(device)
        # By identity and not by number: CUDA_VISIBLE_DEVICES renumbers the one and not the other.
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{properties.uuid}")
    except Exception as error:  # no driver, or a partition of a GPU: nothing can be read, and the reason says why
        return f"NVML cannot be used ({type(error).__name__}: {' '.join(str(error).split())[:100]})"
