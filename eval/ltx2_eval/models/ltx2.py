"""`ltx2[:TARGET][@key=value,...]`: our implementation of LTX-2 as a model of the harness.

The target is `nano` (bundled, the default), `nano-untrained` (the same with random weights, to compare with) or a
checkpoint, file or folder, in the published layout. Settings:

- `pipeline`: `one-stage` (default), `distilled`, `two-stage`, `distilled-two-stage`, `hq` or `tiled`, which the other
  settings change;
- `steps`, `guidance` (name of a preset, or `none`), `schedule` (`distilled` has eight steps), `sampler` (`euler` or
  `res_2s`), `skip_steps` (steps after each computed one that reuse its estimate), `lora_strength`;
- of the second stage: `refine_sampler`, `refine_audio` (`refine` or `keep`), `refine_lora_strength`, `tiles`
  (`16x24x24`: latent frames, rows, columns), `tile_overlap` (`4x6`: latent frames, cells), `double_frames=true` with
  `temporal_upsampler` (the first stage at half the frame rate);
- given pictures, sound or video: `image` (first frame), `keyframes` (`48:b.png+96:c.png`), `image_strength`, `audio`,
  `video`; names may hold `{prompt_id}`, `{seed}` and `{sample}`;
- for small GPUs: `fp8=true` (8-bit weights) and `offload=true` (blocks wait in CPU memory; changes no result); for
  speed: `compile=true` (blocks by `torch.compile`);
- `dtype`, `negative` (negative prompt), and local files: `text_encoder` (a Gemma folder; default: `text_encoder` beside
  the checkpoint), `upsampler` (default: the one beside the checkpoint), `lora` (fused as the pipeline and the strengths
  say, else at 1), `adapter` (a fine-tune's LoRA, fused in every stage; `adapter_strength`, default 1).
"""

import functools
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ltx2_eval.clip import Clip
from ltx2_eval.models.base import DamagedInput, Generated, GenerationRequest, Work
from ltx2_eval.models.ltx2_given import Given
from ltx2_eval.models.ltx2_settings import (
    PLAIN,
    adapter_strength,
    check_options,
    existing_file,
    is_on,
    needs_lora,
    recorded,
    sampling_settings,
)
from ltx2_eval.models.ltx2_work import work_of
from ltx2_eval.models.nano_files import nano_folder, untrained_nano_folder
from ltx2_eval.models.settings import split_settings
from ltx2_reports.records import ClipShape, Scalar, Stage
from ltx2_reports.store import canonical_hash, file_hash

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ltx2 import AudioVideo, LTX2Config, Pipeline
    from ltx2.lora import Lora
    from ltx2.sample import Progress as SamplerProgress

_T = TypeVar("_T")

NANO = "nano"
UNTRAINED = "nano-untrained"
NANO_SHAPE = ClipShape(num_frames=49, height=64, width=64, fps="24")
"""What the bundled model was trained for; other sizes run, and mean nothing."""
NANO_TWO_STAGE_SHAPE = ClipShape(num_frames=49, height=128, width=128, fps="24")
FULL_SHAPE = ClipShape(num_frames=None, height=512, width=768, fps="24")
FULL_TWO_STAGE_SHAPE = ClipShape(num_frames=None, height=1024, width=1536, fps="24")

_LOCAL = ("lora", "adapter", "temporal_upsampler")
_NANO_FOLDERS = {NANO: nano_folder, UNTRAINED: untrained_nano_folder}
_ENCODER_SUFFIXES = (".safetensors", ".json", ".model", ".txt")
"""What a language model and its tokenizer are loaded from."""


class LTX2Model:
    """Checks its settings at once; loads the pipeline on the first request and keeps it for the run."""

    def __init__(self, target: str, *, device: str = "cpu") -> None:
        name, given = split_settings(target)
        self._name = name or NANO
        self._is_nano = self._name in _NANO_FOLDERS
        check_options(given)
        self._options = {**PLAIN, **given}
        self._device = device
        self._load_s: float | None = None
        self._settings = sampling_settings(given, is_nano=self._is_nano)
        files = {key: existing_file(key, given[key]) for key in _LOCAL if key in given}
        self._lora, self._adapter, self._temporal = (files.get(key) for key in _LOCAL)
        self._adapter_strength = adapter_strength(given)
        self._given = Given(given)
        self._load_error: Exception | None = None
        self._named = None if self._is_nano else _existing(name)
        if self._named is not None:
            _ = self._config  # what is wrong with the checkpoint is said before what it lacks beside it
        if self._named is not None or "text_encoder" in self._options:
            _check_encoder(self._encoder)
        if "upsampler" in given:
            existing_file("upsampler", given["upsampler"])

    @functools.cached_property
    def _path(self) -> Path:
        return _NANO_FOLDERS[self._name]() if self._named is None else self._named

    @property
    def _encoder(self) -> Path:
        from ltx2.pipeline import TEXT_ENCODER_FOLDER

        if "text_encoder" in self._options:
            return Path(self._options["text_encoder"]).expanduser()
        return (self._path if self._path.is_dir() else self._path.parent) / TEXT_ENCODER_FOLDER

    @functools.cached_property
    def _upsampler(self) -> Path | None:
        """The upsampler's file, where a second stage needs one and there is one."""
        from ltx2.pipeline import find_upsampler

        if self._settings.refine is None:
            return None
        if "upsampler" in self._options:
            return existing_file("upsampler", self._options["upsampler"])
        return find_upsampler(self._path if self._path.is_dir() else self._path.parent)

    @functools.cached_property
    def pipeline(self) -> "Pipeline":
        """The loaded model. What cannot be loaded is not tried again for every clip."""
        if self._load_error is not None:
            raise self._load_error
        began = time.perf_counter()
        try:
            pipeline = self._loaded()
        except Exception as error:
            self._load_error = error
            raise
        self._load_s = time.perf_counter() - began
        return pipeline

    def _loaded(self) -> "Pipeline":
        import torch

        from ltx2 import Pipeline

        return Pipeline.load(
            self._path,
            text_encoder=self._encoder,
            upsampler=self._upsampler,
            temporal_upsampler=self._temporal,
            lora=self._lora,
            adapters=[] if self._adapter is None else [(self._adapter, self._adapter_strength)],
            device=self._device,
            dtype=getattr(torch, self._options["dtype"]),
            fp8=is_on(self._options, "fp8"),
            offload=is_on(self._options, "offload"),
            compiled=is_on(self._options, "compile"),
        )

    def identity(self) -> dict[str, Scalar]:
        """Hashes of the files that are used, what the settings amount to, device."""
        return {
            **self._hashes,
            **recorded(self._settings),
            **self._given.identity(),
            **self._plain_options,
            "device": self._device,
        }

    def preferred_shape(self) -> ClipShape | None:
        """The size the bundled model is made for; for others the size of LTX-2's quick start. Twice the latter with two
        stages; the bundled model takes the smallest that two stages can make.
        """
        if self._settings.refine is None:
            return NANO_SHAPE if self._is_nano else FULL_SHAPE
        return NANO_TWO_STAGE_SHAPE if self._is_nano else FULL_TWO_STAGE_SHAPE

    def check(self, request: GenerationRequest) -> None:
        """Refuse sizes, seeds and settings that the model cannot run; reads headers of weights and given files.

        Raises:
            DamagedInput: a file that is broken.
            ValueError: as above, a file that is missing, a checkpoint without a configuration, a LoRA that is none.
        """
        from ltx2 import VideoPixelShape
        from ltx2.plan import plan_stages

        pixels = VideoPixelShape(1, request.num_frames, request.height, request.width, request.fps)
        given = self._given.conditions(request)
        plan_stages(self._config, pixels, seed=request.seed, settings=self._settings, conditions=given)
        _ = self._loras
        strength = needs_lora(self._settings)
        if strength and self._lora is None:
            raise ValueError(
                f"the settings fuse a LoRA at strength {strength} and none is named: add lora=FILE, as in "
                "ltx2:FILE.safetensors@pipeline=two-stage,lora=FILE, or refine_lora_strength=0 for distilled weights"
            )
        if self._settings.refine is not None and self._upsampler is None:
            raise ValueError(
                "two stages need a spatial latent upsampler and there is none beside the checkpoint: add "
                "upsampler=FILE (ltx-2-spatial-upscaler-x2-1.0.safetensors)"
            )
        doubles = self._settings.refine is not None and self._settings.refine.double_frames
        if doubles != (self._temporal is not None):
            raise ValueError(
                "double_frames=true and temporal_upsampler=FILE (ltx-2-temporal-upscaler-x2-1.0.safetensors) go "
                "together; give both or neither"
            )

    @functools.cached_property
    def _loras(self) -> "tuple[Lora, ...]":
        """The LoRA files, found to be such; whether their layers fit is known when the model is loaded."""
        from ltx2.lora import load_lora

        files = [path for path in (self._lora, self._adapter) if path is not None]
        return _unbroken(lambda: tuple(map(load_lora, files)))

    def generate(self, request: GenerationRequest) -> Generated:
        """Sample one clip."""
        from ltx2.prompts import TruncationWarning

        last: list[SamplerProgress] = []
        pipeline = self.pipeline
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TruncationWarning)  # it is recorded with the clip, and told of the run
            made = pipeline(
                request.prompt,
                seed=request.seed,
                num_frames=request.num_frames,
                height=request.height,
                width=request.width,
                fps=request.fps,
                negative_prompt=self._options["negative"],
                settings=self._settings,
                conditions=self._given.conditions(request),
                callback=lambda progress: last.__setitem__(slice(None), [progress]),
            )
        finished_s = time.perf_counter()
        return Generated(
            clip=_clip(made),
            stages=tuple(Stage(**cost._asdict()) for cost in made.stages),
            details={**self._details(made), **self._given.details(request)},
            latents=_latents(last),
            work=lambda: self._work(request, made),
            finished_s=finished_s,
        )

    def _details(self, made: "AudioVideo") -> dict[str, Scalar]:
        details: dict[str, Scalar] = {"nfe": made.nfe}
        if self._settings.refine is not None:
            details["nfe_refine"] = made.nfe_refine
        names = ("prompt_tokens_lost", "negative_tokens_lost")
        return details | {name: lost for name, lost in zip(names, made.lost_tokens, strict=False) if lost}

    def _work(self, request: GenerationRequest, made: "AudioVideo") -> Work:
        """Prompts that were known from the clip before were not read again."""
        work = work_of(self._config, self._settings, request, dtype=self._options["dtype"], load_s=self._load_s)
        connectors = work.flops["connectors"] * made.prompts_encoded // len(made.lost_tokens)
        flops = {name: connectors if name == "connectors" else count for name, count in work.flops.items()}
        return replace(work, flops={name: count for name, count in flops.items() if count})

    @functools.cached_property
    def _config(self) -> "LTX2Config":
        from ltx2 import NANO as SIZES
        from ltx2.checkpoint import read_config

        if self._named is None:
            return SIZES
        named = self._named
        return _unbroken(lambda: read_config(named))

    @functools.cached_property
    def _hashes(self) -> dict[str, Scalar]:
        from ltx2.checkpoint import checkpoint_files

        try:
            checkpoint = [file.path for file in checkpoint_files(self._path)]
        except FileNotFoundError as error:
            raise ValueError(str(error)) from error
        encoder = [path for path in self._encoder.iterdir() if path.suffix in _ENCODER_SUFFIXES and path.is_file()]
        extra = {
            "upsampler": self._upsampler,
            "temporal_upsampler": self._temporal,
            "lora": self._lora if needs_lora(self._settings) else None,
            "adapter": self._adapter,
        }
        return {
            "weights_sha256": _hash_of(checkpoint),
            "text_encoder_sha256": _hash_of(encoder),
            **{f"{name}_sha256": file_hash(path) for name, path in extra.items() if path is not None},
        }

    @property
    def _plain_options(self) -> dict[str, Scalar]:
        switches: dict[str, Scalar] = {key: True for key in ("fp8", "compile") if is_on(self._options, key)}
        strength: dict[str, Scalar] = {} if self._adapter is None else {"adapter_strength": self._adapter_strength}
        return {**{key: self._options[key] for key in PLAIN}, **switches, **strength}


def _unbroken(read: Callable[[], _T]) -> _T:
    """What `read` returns; a broken file is told as such, a missing one as wrong use."""
    from ltx2.weights_file import BrokenFileError, NotSafetensorsError

    try:
        return read()
    except FileNotFoundError as error:
        raise ValueError(str(error)) from error
    except BrokenFileError as error:
        if isinstance(error, NotSafetensorsError):
            raise  # a file of another kind was named
        raise DamagedInput(str(error)) from error


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.exists():
        raise ValueError(
            f"model ltx2:{name}: there is no such file; expected nano, nano-untrained, a .safetensors file or a folder "
            "with one"
        )
    return path


def _check_encoder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"text encoder: {folder} is no folder with a config.json; name the folder of the Gemma 3 that the "
            "checkpoint was trained with, as in ltx2:FILE.safetensors@text_encoder=FOLDER"
        )


def _hash_of(files: list[Path]) -> str:
    return canonical_hash([[path.name, file_hash(path)] for path in sorted(files)])


def _latents(last: "list[SamplerProgress]") -> "dict[str, NDArray[np.float32]]":
    """The clean latents after the last step, tokens by channels."""
    return {
        name: tokens.float().cpu().numpy()
        for progress in last
        for name, tokens in zip(("video", "audio"), progress.denoised, strict=True)
    }


def _clip(made: "AudioVideo") -> Clip:
    return Clip(video=made.video.numpy(), fps=made.fps, audio=made.waveform.numpy(), rate_hz=made.rate_hz)
