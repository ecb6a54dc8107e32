"""`ltx2[:TARGET][@key=value,...]`: our implementation of LTX-2 as a model of the harness.

The target is `nano` (bundled, the default) or a checkpoint, file or folder, in the published layout. Settings: `steps`,
`guidance` (name of a preset, or `none`), `schedule`, `dtype`, `negative` (negative prompt), `text_encoder` (a local
Gemma folder; default: `text_encoder` beside the checkpoint).
"""

import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ltx2_benchmarks.nearest import unknown
from ltx2_eval.clip import Clip
from ltx2_eval.models.base import Generated, GenerationRequest
from ltx2_eval.models.settings import split_settings
from ltx2_eval.weights import cache_root
from ltx2_reports.records import ClipShape, Scalar, Stage
from ltx2_reports.store import canonical_hash, file_hash, make_folder

if TYPE_CHECKING:
    from ltx2 import AudioVideo, Pipeline, SamplingSettings

NANO = "nano"
NANO_SHAPE = ClipShape(num_frames=49, height=96, width=96, fps="24")
FULL_SHAPE = ClipShape(num_frames=None, height=512, width=768, fps="24")

_DEFAULTS = {"steps": "40", "guidance": "text-and-modality", "schedule": "ltx2", "dtype": "float32", "negative": ""}
_NANO_DEFAULTS = {**_DEFAULTS, "steps": "20"}
_DTYPES = ("float32", "bfloat16", "float16")
_UNTRAINED_SEED = 0


class LTX2Model:
    """Checks its settings at once; loads the pipeline on the first request and keeps it for the run."""

    def __init__(self, target: str, *, device: str = "cpu") -> None:
        name, given = split_settings(target)
        defaults = _NANO_DEFAULTS if name in ("", NANO) else _DEFAULTS
        for key in given:
            if key not in (*defaults, "text_encoder"):
                raise ValueError(unknown("ltx2 setting", key, (*defaults, "text_encoder")))
        self._device = device
        self._is_nano = name in ("", NANO)
        self._named = None if self._is_nano else _existing(name)
        self._options = {**defaults, **given}
        self._settings = _sampling_settings(self._options)
        if self._options["dtype"] not in _DTYPES:
            raise ValueError(unknown("dtype", self._options["dtype"], _DTYPES))

    @functools.cached_property
    def _path(self) -> Path:
        return nano_folder() if self._named is None else self._named

    @functools.cached_property
    def pipeline(self) -> "Pipeline":
        """The loaded model."""
        import torch

        from ltx2 import Pipeline

        text_encoder = self._options.get("text_encoder")
        dtype = getattr(torch, self._options["dtype"])
        return Pipeline.load(self._path, text_encoder=text_encoder, device=self._device, dtype=dtype)

    def identity(self) -> dict[str, Scalar]:
        """Hash of every weight file, all settings, device."""
        return {"weights_sha256": self._weights_sha256, "device": self._device, **self._options}

    def preferred_shape(self) -> ClipShape | None:
        """The size the bundled model is made for; for others the size of the paper's quick start."""
        return NANO_SHAPE if self._is_nano else FULL_SHAPE

    def generate(self, request: GenerationRequest) -> Generated:
        """Sample one clip."""
        made = self.pipeline(
            request.prompt,
            seed=request.seed,
            num_frames=request.num_frames,
            height=request.height,
            width=request.width,
            fps=request.fps,
            negative_prompt=self._options["negative"],
            settings=self._settings,
        )
        stages = tuple(Stage(name=cost.name, seconds=cost.seconds, peak_bytes=cost.peak_bytes) for cost in made.stages)
        return Generated(clip=_clip(made), stages=stages, details={"nfe": made.nfe})

    @functools.cached_property
    def _weights_sha256(self) -> str:
        files = sorted(path for path in _files(self._path) if path.suffix in (".safetensors", ".json"))
        return canonical_hash([[path.name, file_hash(path)] for path in files])


def nano_folder() -> Path:
    """Folder of the bundled model: written from a seed on first use (the weights are untrained), then kept."""
    from ltx2 import NANO as SIZES
    from ltx2.nano import write_untrained
    from ltx2.nano_vocabulary import build_tokenizer

    made_of = canonical_hash([repr(SIZES), build_tokenizer().to_str()])[:12]
    folder = cache_root() / "models" / f"nano-untrained-{_UNTRAINED_SEED}-{made_of}"
    if not folder.is_dir():
        make_folder(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".nano-") as scratch:
            made = write_untrained(Path(scratch) / NANO, _UNTRAINED_SEED)
            if not folder.is_dir():  # another process may have been quicker
                made.replace(folder)
    return folder


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.exists():
        raise ValueError(
            f"model ltx2:{name}: there is no such file; expected nano, a .safetensors file or a folder with one"
        )
    return path


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]


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


def _clip(made: "AudioVideo") -> Clip:
    return Clip(video=made.video.numpy(), fps=made.fps, audio=made.waveform.numpy(), rate_hz=made.rate_hz)
