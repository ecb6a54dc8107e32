"""Cost of the stages inside a pipeline that offers one call only: its methods say when a stage begins and ends."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ltx2_reports.records import Stage

if TYPE_CHECKING:
    import torch


class StageClock:
    """Splits a call into stages: each watched method is of its stage, all else is of the stage `rest`.

    Args:
        device: On CUDA the peak is what PyTorch allocated there, elsewhere the resident memory of the process.
        names: Of all stages, in the order in which they are told.
        rest: Name of the stage between the watched methods.
    """

    def __init__(self, device: "torch.device", names: tuple[str, ...], *, rest: str) -> None:
        from ltx2.cost import CostLog

        self._log, self._names, self._rest = CostLog(device), names, rest
        self._current = ExitStack()

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What was measured; the parts of a stage are added up, and one that never ran is left out."""
        parts = {name: [cost for cost in self._log.stages if cost.name == name] for name in self._names}
        return tuple(
            Stage(name=name, seconds=sum(c.seconds for c in costs), peak_bytes=max(c.peak_bytes for c in costs))
            for name, costs in parts.items()
            if costs
        )

    @contextmanager
    def watching(self, methods: Mapping[tuple[Any, str], str]) -> Iterator[None]:
        """Measure a block in which calls of `(object, name of its method)` belong to the stages named."""
        with ExitStack() as undo:
            for (owner, name), stage in methods.items():
                undo.enter_context(_replaced(owner, name, self._in_stage(getattr(owner, name), stage)))
            self._switch(self._rest)
            try:
                yield
            finally:
                self._current.close()

    def _in_stage(self, method: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            self._switch(stage)
            try:
                return method(*args, **kwargs)
            finally:
                self._switch(self._rest)

        return call

    def _switch(self, stage: str) -> None:
        self._current.close()
        self._current.enter_context(self._log.stage(stage))


@contextmanager
def _replaced(owner: Any, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """Put a method on one object, and take it off again."""
    had = name in vars(owner)
    before = vars(owner).get(name)
    object.__setattr__(owner, name, method)
    try:
        yield
    finally:
        if had:
            object.__setattr__(owner, name, before)
        else:
            object.__delattr__(owner, name)
