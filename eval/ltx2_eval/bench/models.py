"""The models that can be measured, by name: `ltx2:19b`, `ltx2:nano`, `ltx2:FILE.safetensors`, `wan22:a14b`.

`ltx2:nano` has random weights, as speed needs no others; `ltx2:nano-trained` has the bundled ones, for errors that mean
something. Settings follow an `@`:

- `guidance`: a preset's name, default none;
- `layers`: only so many blocks, for GPUs that cannot hold all of them;
- `weights`: `fp8` or `int8`: how the blocks' linear layers are stored; they are cast up when they are used, which saves
  memory and no time;
- `offload=true`: layers of blocks wait in CPU memory;
- `tiles`, as `16x24x24` (latent frames, rows, columns): clips in two stages, the second one in tiles;
- `text_encoder`: a Gemma folder; `none`: prompts are taken to be encoded elsewhere.
"""

from typing import TYPE_CHECKING, Any, Protocol

from ltx2_benchmarks.hardware import Gpu
from ltx2_benchmarks.nearest import unknown
from ltx2_eval.bench.case import Case
from ltx2_eval.models.settings import parse_model, split_settings
from ltx2_reports.bench import BenchEstimate

if TYPE_CHECKING:
    from ltx2_eval.bench.devices import Device

KINDS = ("ltx2", "wan22")


class Workload(Protocol):
    """Something that is ready to be timed."""

    def run(self, index: int) -> tuple[Any, ...]:
        """Do one unit of work on the input of this number; the output's tensors, on the device."""

    def stages(self) -> dict[str, float]:
        """Seconds of each stage of the last unit; empty where there are none."""


class BenchModel(Protocol):
    """One model with its settings; knows its sizes without any memory."""

    name: str
    has_checkpoint: bool
    """Whether its weights come from a file; they are random otherwise."""

    def check(self, case: Case) -> None:
        """Refuse what the model can never run.

        Raises:
            ValueError: what was found and what was expected.
        """

    def estimate(self, case: Case, gpu: Gpu | None = None) -> BenchEstimate:
        """What a case costs by its sizes."""

    def workload(self, case: Case, device: "Device") -> Workload:
        """Allocate everything and be ready.

        Raises:
            NotAvailable: a package is missing.
            OutOfMemory: of the device, in whichever class it comes.
        """


def bench_model(text: str) -> BenchModel:
    """A model by name.

    Raises:
        ValueError: unknown model or setting.
    """
    name = parse_model(text)
    if name.kind not in KINDS:
        raise ValueError(f"{unknown('bench model', name.kind, KINDS)}; as in ltx2:nano, ltx2:19b or wan22:a14b")
    target, settings = split_settings(name.target)
    if name.kind == "wan22":
        from ltx2_eval.bench.wan22_model import WanBench

        return WanBench(name.given, target, settings)
    from ltx2_eval.bench.ltx2_model import LTX2Bench

    return LTX2Bench(name.given, target, settings)


def layers_of(settings: dict[str, str], most: int) -> int:
    """The setting `layers`, checked."""
    text = settings.get("layers", str(most))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise ValueError(f"layers is {text!r}; expected a whole number from 1 to {most}")
    return int(text)


def refuse_unknown(kind: str, settings: dict[str, str], known: tuple[str, ...]) -> None:
    """Refuse settings that a model does not have."""
    for key in settings:
        if key not in known:
            raise ValueError(unknown(f"{kind} setting", key, known))
