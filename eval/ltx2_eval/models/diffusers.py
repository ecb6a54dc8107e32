"""`diffusers:ID_OR_FOLDER[@key=value,...]`: any text-to-video pipeline of diffusers, with sound where it gives sound.

The target is a local folder, or an id that the hub's cache has; nothing is fetched. Settings: `arguments` (a TOML file
with arguments of the pipeline's call), `dtype`, `revision` (of an id), `rate_hz` (of the sound, where the pipeline does
not say), `native_fps` (frames per second, where the call takes none and they are not the usual ones), `offload`
(`model` or `sequential`: components, or single layers, wait in CPU memory). LTX-2 (19B) needs
`use_cross_timestep = false` and, with `"perturbed_attn": true` in its transformer's config.json,
`spatio_temporal_guidance_blocks = [29]` among the arguments: diffusers' defaults are those of LTX-2.3.
"""

import functools
import importlib.metadata
import inspect
import tomllib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltx2_benchmarks.nearest import unknown
from ltx2_eval.clip import Clip
from ltx2_eval.models.base import Generated, GenerationRequest
from ltx2_eval.models.call_stages import StageClock
from ltx2_eval.models.diffusers_folder import find_folder
from ltx2_eval.models.diffusers_limits import check_fps, check_frames, check_stg, native_fps
from ltx2_eval.models.settings import split_settings
from ltx2_reports.records import ClipShape, Scalar
from ltx2_reports.store import strict_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DEFAULTS = {
    "arguments": "",
    "dtype": "bfloat16",
    "revision": "",
    "rate_hz": "",
    "native_fps": "",
    "offload": "none",
}
_DTYPES = ("float32", "bfloat16", "float16")
_OFFLOADS = ("none", "model", "sequential")
_FPS_NAMES = ("frame_rate", "fps")
_OURS = ("prompt", "num_frames", "height", "width", "generator", "output_type", "return_dict", *_FPS_NAMES)
"""Arguments that the run decides; a TOML file may not."""
_NEEDED = ("prompt", "num_frames", "height", "width", "generator", "output_type")
_STAGES = ("text_encoding", "connectors", "denoise", "video_decode", "audio_decode", "vocoder")
_MAX_SEED = 2**63 - 1
_WATCHED = {
    ("", "encode_prompt"): "text_encoding",
    ("connectors", "forward"): "connectors",
    ("vae", "decode"): "video_decode",
    ("video_processor", "postprocess_video"): "video_decode",
    ("audio_vae", "decode"): "audio_decode",
    ("vocoder", "forward"): "vocoder",
}


class DiffusersModel:
    """Checks folder and arguments at once; loads the pipeline on the first request and keeps it for the run."""

    def __init__(self, target: str, *, device: str = "cpu") -> None:
        name, given = split_settings(target)
        self._options = _options(given)
        self._device = device
        if self._options["offload"] != "none" and not device.startswith("cuda"):
            raise ValueError(f"offload={self._options['offload']} moves weights to a GPU; the device is {device}")
        self._version = _installed_version()
        self._folder = find_folder(name, self._options["revision"] or None)
        self._arguments = _read_arguments(self._options["arguments"])

    @functools.cached_property
    def pipeline(self) -> Any:
        """The loaded pipeline."""
        import torch

        with _quiet():
            pipeline = self._class.from_pretrained(
                self._folder.path,
                dtype=getattr(torch, self._options["dtype"]),
                local_files_only=True,
                use_safetensors=True,
            )
        pipeline.set_progress_bar_config(disable=True)
        if self._options["offload"] == "none":
            return pipeline.to(self._device)
        getattr(pipeline, f"enable_{self._options['offload']}_cpu_offload")(device=self._device)
        return pipeline

    def identity(self) -> dict[str, Scalar]:
        """Hash of all files, revision, the library's version, the arguments, device and dtype."""
        return {
            "pipeline": self._folder.class_name,
            "folder_sha256": self._content_hash,
            "revision": self._folder.revision,
            "diffusers": self._version,
            "arguments": strict_json(self._arguments),
            "dtype": self._options["dtype"],
            "offload": self._options["offload"],
            "device": self._device,
        }

    def preferred_shape(self) -> ClipShape | None:
        """The defaults of the pipeline's call, where it has all of them."""
        parameters = self._parameters
        defaults = {name: parameters[name].default for name in parameters}
        if not all(type(defaults.get(name)) is int for name in ("height", "width")):
            return None
        named = (defaults[name] for name in _FPS_NAMES if isinstance(defaults.get(name), int | float))
        fps = next(named, self._native_fps)
        frames = defaults.get("num_frames")
        return ClipShape(
            num_frames=frames if type(frames) is int else None,
            height=defaults["height"],
            width=defaults["width"],
            fps=str(Fraction(fps).limit_denominator(1001)),
        )

    def check(self, request: GenerationRequest) -> None:
        """Refuse pipelines that make no video from text, arguments that the call does not take or that change nothing,
        frames and rates that the pipeline does not make, and bad seeds.

        Raises:
            ValueError: as above.
        """
        lacking = [name for name in _NEEDED if name not in self._parameters]
        if lacking:
            raise ValueError(
                f"{self._folder.class_name} is no text-to-video pipeline: its call takes no {', '.join(lacking)}"
            )
        for key in self._arguments:
            if key not in self._parameters:
                raise ValueError(unknown(f"argument of {self._folder.class_name}", key, self._parameters))
        check_stg(self._folder.path, self._folder.class_name, self._arguments)
        if not 0 <= request.seed <= _MAX_SEED:
            raise ValueError(f"seed is {request.seed}; it must be from 0 to 2^63 - 1")
        check_frames(self._folder.path, request)
        if not any(name in self._parameters for name in _FPS_NAMES):
            check_fps(self._folder.class_name, request.fps, self._native_fps)

    def generate(self, request: GenerationRequest) -> Generated:
        """Sample one clip; the noise is drawn on the CPU, so that a seed means the same on every device."""
        import torch

        pipeline = self.pipeline
        clock = StageClock(torch.device(self._device), _STAGES, rest="denoise")
        with _quiet(), clock.watching(_methods(pipeline)), _PassCounter(pipeline) as passes:
            made = pipeline(**self._call(request))
        video = _pixels(made.frames[0], request)
        audio, rate_hz = self._sound(getattr(made, "audio", None))
        clip = Clip(video=video, fps=request.fps, audio=audio, rate_hz=rate_hz)
        return Generated(clip=clip, stages=clock.stages, details={"nfe": passes.count})

    def _call(self, request: GenerationRequest) -> dict[str, Any]:
        import torch

        call = {
            **self._arguments,
            "prompt": request.prompt,
            "num_frames": request.num_frames,
            "height": request.height,
            "width": request.width,
            "generator": torch.Generator("cpu").manual_seed(request.seed),
            "output_type": "np",
        }
        fps = float(request.fps)
        return call | {name: fps for name in _FPS_NAMES if name in self._parameters}

    def _sound(self, audio: Any) -> "tuple[NDArray[np.float32], int] | tuple[None, None]":
        """Waveform `(c, n)` of the one sample in a batch, and its rate."""
        import torch

        if audio is None:
            return None, None
        waveform = torch.as_tensor(audio)[0].detach().to("cpu", torch.float32)
        waveform = waveform[None] if waveform.ndim == 1 else waveform
        return waveform.clamp(-1, 1).numpy(), self._rate_hz()

    def _rate_hz(self) -> int:
        if self._options["rate_hz"]:
            return int(self._options["rate_hz"])
        places = (
            ("vocoder", ("output_sampling_rate", "sampling_rate")),
            ("audio_vae", ("sample_rate", "sampling_rate")),
        )
        for component, keys in places:
            config = getattr(getattr(self.pipeline, component, None), "config", {})
            for key in keys:
                if isinstance(config.get(key), int):
                    return int(config[key])
        raise ValueError(
            f"{self._folder.class_name} gives sound but does not say at which rate; add it to the model's name, as in "
            "@rate_hz=48000"
        )

    @functools.cached_property
    def _native_fps(self) -> int:
        """Frames per second where the call takes none."""
        given = self._options["native_fps"]
        return int(given) if given else native_fps(self._folder.path, self._folder.class_name)

    @functools.cached_property
    def _class(self) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # see _quiet, which needs this import itself
            import diffusers

            found = getattr(diffusers, self._folder.class_name, None)
        if not isinstance(found, type) or not issubclass(found, diffusers.DiffusionPipeline):
            raise ValueError(
                f"{self._folder.path} holds a {self._folder.class_name}, which diffusers {self._version} does not "
                "have; install a version that has it"
            )
        return found

    @functools.cached_property
    def _parameters(self) -> dict[str, inspect.Parameter]:
        parameters = dict(inspect.signature(self._class.__call__).parameters)
        return {name: p for name, p in parameters.items() if name != "self"}

    @functools.cached_property
    def _content_hash(self) -> str:
        return self._folder.content_hash()


class _PassCounter:
    """Counts the passes of the pipeline's transformers (or UNet), each row of a batch."""

    def __init__(self, pipeline: Any) -> None:
        parts = (getattr(pipeline, name, None) for name in ("transformer", "transformer_2", "unet"))
        self._parts = [part for part in parts if part is not None]
        self.count = 0

    def __enter__(self) -> "_PassCounter":
        self._hooks = [part.register_forward_pre_hook(self._add, with_kwargs=True) for part in self._parts]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _add(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        hidden = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        self.count += len(hidden)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars of the libraries, and without what they deprecate among each other."""
    from diffusers.utils import logging as ours
    from transformers.utils import logging as theirs

    shown = [library for library in (ours, theirs) if library.is_progress_bar_enabled()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for library in shown:
            library.disable_progress_bar()
        try:
            yield
        finally:
            for library in shown:
                library.enable_progress_bar()


def _methods(pipeline: Any) -> dict[tuple[Any, str], str]:
    """The methods of this pipeline that are of a stage, with the objects they belong to."""
    found = {}
    for (component, method), stage in _WATCHED.items():
        owner = getattr(pipeline, component, None) if component else pipeline
        if owner is not None and hasattr(owner, method):
            found[owner, method] = stage
    return found


def _pixels(frames: Any, request: GenerationRequest) -> "NDArray[np.uint8]":
    """`(f, h, w, 3)`, 8 bits, of frames in 0..1."""
    import numpy as np

    expected = (request.num_frames, request.height, request.width, 3)
    frames = np.asarray(frames)
    if frames.shape != expected:
        raise ValueError(
            f"the pipeline made frames of shape {list(frames.shape)}, {list(expected)} were asked for: ask for a "
            "number and a size of frames that it can make"
        )
    if not np.isfinite(frames).all():
        raise ValueError("the pipeline made frames that are not finite; try dtype=float32")
    return (np.clip(frames, 0, 1) * 255).astype(np.uint8)  # cut off, as ours and diffusers' own writer do


def _installed_version() -> str:
    try:
        return importlib.metadata.version("diffusers")
    except importlib.metadata.PackageNotFoundError:
        raise ValueError(
            "diffusers: models need diffusers; install it with pip install 'ltx2-eval[diffusers]'"
        ) from None


def _options(given: dict[str, str]) -> dict[str, str]:
    for key in given:
        if key not in _DEFAULTS:
            raise ValueError(unknown("diffusers setting", key, _DEFAULTS))
    options = {**_DEFAULTS, **given}
    for key, known in (("dtype", _DTYPES), ("offload", _OFFLOADS)):
        if options[key] not in known:
            raise ValueError(unknown(key, options[key], known))
    for key, example in (("rate_hz", 48000), ("native_fps", 24)):
        if options[key] and not (options[key].isdecimal() and int(options[key]) > 0):
            raise ValueError(f"{key} is {options[key]!r}; expected a whole number, as in {key}={example}")
    return options


def _read_arguments(name: str) -> dict[str, Any]:
    if not name:
        return {}
    try:
        arguments = tomllib.loads(Path(name).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"arguments: {name} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"arguments: {name} is not TOML: {error}") from None
    try:
        strict_json(arguments)
    except (ValueError, TypeError) as error:
        raise ValueError(f"arguments: {name} has a value that no call takes: {error}") from None
    decided = [key for key in arguments if key in _OURS]
    if decided:
        raise ValueError(f"arguments: {name} sets {decided[0]}, which the run decides; leave it out")
    return arguments
