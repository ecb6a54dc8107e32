"""`ltx2[:TARGET][@key=value,...]`: our implementation of LTX-2 as a model of the harness.

The target is `nano` (bundled, the default) or a checkpoint, file or folder, in the published layout. Settings: `steps`,
`guidance` (name of a preset, or `none`), `schedule` (`distilled` has eight steps), `dtype`, `negative` (negative
prompt), `text_encoder` (a local Gemma folder; default: `text_encoder` beside the checkpoint).
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ltx2_benchmarks.nearest import unknown
from ltx2_eval.clip import Clip
from ltx2_eval.models.base import Generated, GenerationRequest
from ltx2_eval.models.nano_files import nano_folder
from ltx2_eval.models.settings import split_settings
from ltx2_reports.records import ClipShape, Scalar, Stage
from ltx2_reports.store import canonical_hash, file_hash

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ltx2 import AudioVideo, LTX2Config, Pipeline, SamplingSettings
    from ltx2.guidance import Weights
    from ltx2.sample import Progress as SamplerProgress

NANO = "nano"
NANO_SHAPE = ClipShape(num_frames=49, height=96, width=96, fps="24")
FULL_SHAPE = ClipShape(num_frames=None, height=512, width=768, fps="24")

_DEFAULTS = {"steps": "40", "guidance": "text-and-modality", "schedule": "ltx2", "dtype": "float32", "negative": ""}
_NANO_DEFAULTS = {**_DEFAULTS, "steps": "20"}
_DTYPES = ("float32", "bfloat16", "float16")
_ENCODER_SUFFIXES = (".safetensors", ".json", ".model", ".txt")
"""What a language model and its tokenizer are loaded from."""
_MAX_SEED = 2**63 - 1


class LTX2Model:
    """Checks its settings at once; loads the pipeline on the first request and keeps it for the run."""

    def __init__(self, target: str, *, device: str = "cpu") -> None:
        name, given = split_settings(target)
        self._is_nano = name in ("", NANO)
        self._options = _options(given, _NANO_DEFAULTS if self._is_nano else _DEFAULTS)
        self._device = device
        self._settings = _sampling_settings(self._options)
        self._named = None if self._is_nano else _existing(name)
        if self._named is not None or "text_encoder" in self._options:
            _check_encoder(self._encoder)

    @functools.cached_property
    def _path(self) -> Path:
        return nano_folder() if self._named is None else self._named

    @property
    def _encoder(self) -> Path:
        from ltx2.pipeline import TEXT_ENCODER_FOLDER

        if "text_encoder" in self._options:
            return Path(self._options["text_encoder"]).expanduser()
        return (self._path if self._path.is_dir() else self._path.parent) / TEXT_ENCODER_FOLDER

    @functools.cached_property
    def pipeline(self) -> "Pipeline":
        """The loaded model."""
        import torch

        from ltx2 import Pipeline

        dtype = getattr(torch, self._options["dtype"])
        return Pipeline.load(self._path, text_encoder=self._encoder, device=self._device, dtype=dtype)

    def identity(self) -> dict[str, Scalar]:
        """Hashes of the checkpoint and of the text encoder that are used, what the settings amount to, device."""
        return {**self._hashes, **_resolved(self._settings), **self._plain_options, "device": self._device}

    def preferred_shape(self) -> ClipShape | None:
        """The size the bundled model is made for; for others the size of the paper's quick start."""
        return NANO_SHAPE if self._is_nano else FULL_SHAPE

    def check(self, request: GenerationRequest) -> None:
        """Refuse sizes, seeds and settings that the model cannot run; reads the checkpoint's headers only.

        Raises:
            ValueError: as above, or a checkpoint whose configuration cannot be read.
        """
        from ltx2.perturbation import plan_blocks
        from ltx2.schedule import sigmas_for

        video_tokens, audio_tokens = _token_counts(request, self._config)
        if audio_tokens < 1:
            raise ValueError(f"{request.duration_s:.3g} s hold no audio latent; ask for more frames or a lower fps")
        sigmas_for(self._settings.schedule, self._settings.steps, video_tokens)
        if not 0 <= request.seed <= _MAX_SEED:
            raise ValueError(f"seed is {request.seed}; it must be from 0 to 2^63 - 1")
        guidance = self._settings.guidance
        perturbations = [guidance.perturbation(name) for name in guidance.passes]
        plan_blocks(perturbations, num_layers=self._config.transformer.num_layers)

    def generate(self, request: GenerationRequest) -> Generated:
        """Sample one clip."""
        last: list[SamplerProgress] = []
        made = self.pipeline(
            request.prompt,
            seed=request.seed,
            num_frames=request.num_frames,
            height=request.height,
            width=request.width,
            fps=request.fps,
            negative_prompt=self._options["negative"],
            settings=self._settings,
            callback=lambda progress: last.__setitem__(slice(None), [progress]),
        )
        stages = tuple(Stage(name=cost.name, seconds=cost.seconds, peak_bytes=cost.peak_bytes) for cost in made.stages)
        return Generated(clip=_clip(made), stages=stages, details={"nfe": made.nfe}, latents=_latents(last))

    @functools.cached_property
    def _config(self) -> "LTX2Config":
        from ltx2 import NANO as SIZES
        from ltx2.checkpoint import read_config

        if self._named is None:
            return SIZES
        try:
            return read_config(self._named)
        except FileNotFoundError as error:
            raise ValueError(str(error)) from error

    @functools.cached_property
    def _hashes(self) -> dict[str, Scalar]:
        from ltx2.weights_file import open_weights

        try:
            checkpoint = [file.path for file in open_weights(self._path)]
        except FileNotFoundError as error:
            raise ValueError(str(error)) from error
        encoder = [path for path in self._encoder.iterdir() if path.suffix in _ENCODER_SUFFIXES and path.is_file()]
        return {"weights_sha256": _hash_of(checkpoint), "text_encoder_sha256": _hash_of(encoder)}

    @property
    def _plain_options(self) -> dict[str, Scalar]:
        return {key: self._options[key] for key in ("dtype", "negative")}


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.exists():
        raise ValueError(
            f"model ltx2:{name}: there is no such file; expected nano, a .safetensors file or a folder with one"
        )
    return path


def _check_encoder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"text encoder: {folder} is no folder with a config.json; name the folder of the Gemma 3 that the "
            "checkpoint was trained with, as in ltx2:FILE.safetensors@text_encoder=FOLDER"
        )


def _options(given: dict[str, str], defaults: dict[str, str]) -> dict[str, str]:
    from ltx2.schedule import DISTILLED_SIGMAS

    known = (*defaults, "text_encoder")
    for key in given:
        if key not in known:
            raise ValueError(unknown("ltx2 setting", key, known))
    fixed = {"steps": str(len(DISTILLED_SIGMAS) - 1)} if given.get("schedule") == "distilled" else {}
    options = {**defaults, **fixed, **given}
    if options["dtype"] not in _DTYPES:
        raise ValueError(unknown("dtype", options["dtype"], _DTYPES))
    return options


def _hash_of(files: list[Path]) -> str:
    return canonical_hash([[path.name, file_hash(path)] for path in sorted(files)])


def _token_counts(request: GenerationRequest, config: "LTX2Config") -> tuple[int, int]:
    """Tokens of the video and of the audio latent.

    Raises:
        ValueError: a size the video VAE cannot represent.
    """
    from ltx2 import AudioLatentShape, VideoLatentShape, VideoPixelShape

    pixels = VideoPixelShape(1, request.num_frames, request.height, request.width, request.fps)
    pixels.validate()
    audio = AudioLatentShape.from_pixel_shape(
        pixels,
        channels=config.audio_vae.latent_channels,
        mel_bins=config.audio_vae.latent_mel_bins,
        rate_hz=config.audio_vae.latent_rate_hz,
    )
    video = VideoLatentShape.from_pixel_shape(pixels, channels=config.video_vae.latent_channels)
    return video.token_count, audio.token_count


def _resolved(settings: "SamplingSettings") -> dict[str, Scalar]:
    """What decides a sample, whatever the preset is called: the terms' weights (0 is neutral), steps, schedule."""
    guidance = settings.guidance
    return {
        "steps": settings.steps,
        "schedule": str(settings.schedule),
        "guidance_video": _spelled(guidance.video_weights),
        "guidance_audio": _spelled(guidance.audio_weights),
        "stg": f"{guidance.stg_kind} in blocks {list(guidance.stg_blocks)}" if guidance.stg_blocks else None,
    }


def _spelled(weights: "Weights") -> str:
    return " ".join(f"{name} {float(value)!r}" for name, value in weights._asdict().items())


def _sampling_settings(options: dict[str, str]) -> "SamplingSettings":
    from ltx2 import PRESETS, SamplingSettings
    from ltx2.schedule import ScheduleName

    presets = {"none": PRESETS["unguided"], **PRESETS}
    if options["guidance"] not in presets:
        raise ValueError(unknown("guidance", options["guidance"], presets))
    schedules: dict[str, ScheduleName] = {name: name for name in get_args(ScheduleName)}
    if options["schedule"] not in schedules:
        raise ValueError(unknown("schedule", options["schedule"], schedules))
    if not options["steps"].isdecimal() or not 1 <= int(options["steps"]) <= 1000:
        raise ValueError(f"steps is {options['steps']!r}; expected a whole number from 1 to 1000")
    return SamplingSettings(
        steps=int(options["steps"]), guidance=presets[options["guidance"]], schedule=schedules[options["schedule"]]
    )


def _latents(last: "list[SamplerProgress]") -> "dict[str, NDArray[np.float32]]":
    """The clean latents after the last step, tokens by channels."""
    return {
        name: tokens.float().cpu().numpy()
        for progress in last
        for name, tokens in zip(("video", "audio"), progress.denoised, strict=True)
    }


def _clip(made: "AudioVideo") -> Clip:
    return Clip(video=made.video.numpy(), fps=made.fps, audio=made.waveform.numpy(), rate_hz=made.rate_hz)
