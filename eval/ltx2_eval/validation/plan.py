"""Which level of which degradation is measured for which metric."""

from dataclasses import dataclass

from ltx2_eval.metrics.base import MetricEntry
from ltx2_eval.validation.base import Degradation, Scale
from ltx2_eval.validation.catalogue import DEGRADATIONS
from ltx2_eval.validation.expectations import Expectation, Response, expectation_of, touches

CLEAN = "clean"


def place_of(degradation: Scale, level: float) -> str:
    """Name of one level of one degradation, in journals and caches."""
    return f"{degradation.id}@{level:g}"


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What is expected of one metric along one scale."""

    entry: MetricEntry
    scale: Scale
    response: Response | None = None
    """What it must see; None: it must stay still, or nothing is stated."""
    still: bool = False
    """Whether it must not move, beyond noise."""
    untouched: bool = False
    """Whether nothing that the metric needs is changed, so that it must not move at all."""
    shown: bool = False
    """Whether its course is shown without being judged."""
    brief: bool = False
    """Whether a course is followed by as few levels as it can be judged by."""

    @property
    def levels(self) -> tuple[float, ...]:
        """All levels where a course is expected or shown, the strongest elsewhere."""
        if self.response is None and not self.shown:
            return self.scale.extremes
        return tuple(level for level in self.scale.levels if not self.brief or self._marks(level))

    def _marks(self, level: float) -> bool:
        """Whether a level is the mildest or the strongest of its side, or the one from which on there is no order."""
        severity = self.scale.severity(level)
        side = [
            other for other in self.scale.levels if (self.scale.position(other) < 0) == (self.scale.position(level) < 0)
        ]
        ends = (min(side, key=self.scale.severity), max(side, key=self.scale.severity))
        return level in ends or (self.response is not None and severity == self.response.saturates)


def aims_of(entry: MetricEntry, *, brief: bool = False) -> tuple[Aim, ...]:
    """Every degradation that says something about a metric: what it must see, must not see, or may follow.

    With `brief` the least that a verdict needs: what is only shown is left out, and a course has few levels.
    """
    expectation = expectation_of(entry)
    found = (_aim(entry, degradation, expectation, brief) for degradation in DEGRADATIONS.values())
    return tuple(aim for aim in found if aim.response is not None or aim.still or aim.untouched or aim.shown)


def _aim(entry: MetricEntry, degradation: Degradation, expectation: Expectation, brief: bool) -> Aim:
    response = next((r for r in expectation.responses if r.degradation == degradation.id), None)
    untouched = not touches(degradation, entry)
    still = degradation.id in expectation.still and not untouched
    shown = degradation.id in expectation.shown and not brief
    return Aim(
        entry=entry,
        scale=degradation,
        response=response,
        still=still,
        untouched=untouched,
        shown=shown,
        brief=brief,
    )
