"""The ledger of one clip: time, memory, energy and FLOPs, on which device in which state."""

import itertools
import statistics
from collections.abc import Callable

from ltx2_eval.bench.devices import Device, attention_backends, open_device
from ltx2_eval.bench.host import host_peak_bytes
from ltx2_eval.bench.peak import matmul_flops_per_s
from ltx2_eval.bench.watch import Seen, Watch
from ltx2_eval.energy import Energy, EnergyMeter
from ltx2_eval.models.base import Generated, Work
from ltx2_reports.records import Ledger, Stage

_UNKNOWN = Work(reason="not available: this model does not say what it computes")


class LedgerKeeper:
    """Makes the ledgers of one process's clips on one device.

    Args:
        device: cpu, cuda or cuda:N.
        after_others: Whether this process already worked for another system. What that left behind (libraries, networks
            of metrics, freed memory that the allocator keeps) is resident too, so that memory of the process is then no
            figure of this system and is left out; on CUDA PyTorch counts tensors, which are freed.
    """

    def __init__(self, device: str, *, after_others: bool = False) -> None:
        self._after_others = after_others
        self._device: Device = open_device(device)
        self._meter: EnergyMeter = self._device.energy_meter()
        self._watch: Watch | None = None
        self._peaks: dict[str, float | None] = {}
        self._is_cold = True

    def begin(self) -> None:
        """Before a clip."""
        if self._watch is not None:  # the clip before failed
            self._watch.stop()
        self._watch = self._device.watch()
        self._meter.start()

    def end(self, generated: Generated, clip_s: float) -> tuple[Ledger | None, tuple[Stage, ...]]:
        """After a clip.

        Args:
            generated: The clip with the model's stages.
            clip_s: Its length.

        Returns:
            The ledger (None for a model without stages, which made nothing here), and the stages with their FLOPs.
        """
        energy = self._meter.stop()
        seen = Seen() if self._watch is None else self._watch.stop()
        self._watch = None
        if not generated.stages:
            return None, ()
        work = _said(generated.work)
        stages = tuple(
            stage.model_copy(
                update={
                    "flops": work.flops.get(stage.name, stage.flops),
                    "joules": joules,
                    "peak_bytes": None if self._hides_memory() else stage.peak_bytes,
                }
            )
            for stage, joules in zip(generated.stages, self._stage_joules(generated), strict=True)
        )
        ledger = self._ledger(stages, clip_s, work, self._while_working(generated, energy), seen)
        self._is_cold = False
        return ledger, stages

    def _hides_memory(self) -> bool:
        return self._after_others and self._device.torch_device.type == "cpu"

    def _stage_joules(self, generated: Generated) -> list[float | None]:
        """Energy of each stage: they follow each other, so that each ends where the next begins."""
        if generated.finished_s is None:
            return [None] * len(generated.stages)
        ends = [generated.finished_s]
        for stage in reversed(generated.stages):
            ends.append(ends[-1] - stage.seconds)
        return [self._meter.between(begin, end) for begin, end in itertools.pairwise(reversed(ends))]

    def _while_working(self, generated: Generated, energy: Energy) -> Energy:
        """Energy without that of what came before the first stage, as loading the weights, where that is known."""
        if energy.joules is None or generated.finished_s is None:
            return energy
        begun_s = generated.finished_s - sum(stage.seconds for stage in generated.stages)
        joules = self._meter.between(begun_s, generated.finished_s)
        if joules is None and self._is_cold:
            return Energy(None, reason="not available: the clip was too short to be told from loading the weights")
        return energy if joules is None else energy._replace(joules=joules)

    def _ledger(self, stages: tuple[Stage, ...], clip_s: float, work: Work, energy: Energy, seen: Seen) -> Ledger:
        seconds = sum(stage.seconds for stage in stages)
        state = seen.put(self._device.describe())
        steps = next((stage.step_s for stage in stages if stage.step_s), ())
        peaks = [stage.peak_bytes for stage in stages if stage.peak_bytes is not None]
        counted = [stage for stage in stages if stage.flops is not None]
        flops, spent = sum(stage.flops or 0 for stage in counted), sum(stage.seconds for stage in counted)
        achieved = flops / spent if counted and spent > 0 else None
        peak = self._peak(work.dtype) if achieved is not None and work.dtype is not None else None
        return Ledger(
            cold=self._is_cold,
            load_s=work.load_s if self._is_cold else None,
            seconds=seconds,
            seconds_per_step=statistics.median(steps) if steps else None,
            real_time_factor=clip_s / seconds if seconds > 0 and clip_s > 0 else None,
            clips_per_hour=3600 / seconds if seconds > 0 else None,
            device_peak_bytes=max(peaks, default=None),
            host_peak_bytes=None if self._after_others else host_peak_bytes(),
            joules=energy.joules,
            joules_source=energy.source,
            joules_reason=energy.reason,
            flops=flops if counted else None,
            flops_reason=None if counted else work.reason or _UNKNOWN.reason,
            flops_per_s=achieved,
            peak_flops_per_s=peak,
            utilisation=achieved / peak if achieved and peak else None,
            device=state.name,
            driver=state.driver,
            dtype=work.dtype,
            attention=attention_backends(self._device.torch_device) if work.dtype else None,
            clock_mhz=state.clock_mhz,
            throttling=state.throttling,
        )

    def _peak(self, dtype: str) -> float | None:
        """Measured once; None where the model leaves no memory for it."""
        if dtype not in self._peaks:
            self._peaks[dtype] = matmul_flops_per_s(self._device.torch_device, dtype, self._device.now)
        return self._peaks[dtype]


def _said(work: Callable[[], Work] | None) -> Work:
    """What a model says of its work; a mistake in that must not cost the clip."""
    if work is None:
        return _UNKNOWN
    try:
        return work()
    except Exception as error:
        return Work(reason=f"not available: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
