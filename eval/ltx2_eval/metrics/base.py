"""What a metric gets and what it answers; what is known of each metric before it is imported."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.suite import Prompt
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import Extractor
from ltx2_reports.records import ClipRecord, MetricSpec, Reason, Scalar

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A value, or the reason why there is none."""

    value: float | None = None
    reason: Reason | None = None
    details: dict[str, Scalar] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


Text = Literal["visual_text", "audio_text", "speech"]
"""A part of a prompt that a suite may say apart."""


class Declined(ValueError):
    """A set metric looked at the sets and declines to answer; recorded as abstained."""


def abstain(message: str, **details: Scalar) -> Outcome:
    """The metric looked at the clip and declines to answer."""
    return Outcome(reason=Reason(kind="abstained", message=message, stage="metric"), details=details)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One clip to judge."""

    clip: Clip
    record: ClipRecord
    prompt: Prompt | None
    """None where the clip came without one."""
    reference: Clip | None = None
    """The clip of the reference set with the same name; only for metrics that need one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricEntry:
    """A metric in the catalogue. Reading the catalogue imports no implementation."""

    spec: MetricSpec
    implementation: str
    """Clip metrics: `module:function` of type ClipMetric. Set metrics: `module:Class`, a torchmetrics.Metric of type
    SetMetric."""
    extractor: str | None
    aggregation: str
    settings: dict[str, Scalar] = field(default_factory=dict)
    """Part of the protocol, and keyword arguments of the implementation."""
    reads_features: bool = True
    """Whether a clip metric is given its extractor's features of the clip; else it asks the extractor itself."""
    program: str | None = None
    """`module:function` that says which program outside Python computes it, for the protocol: `() -> settings`."""
    pairs: str | None = None
    """Cosines: `module:function` of type Sides, from which the floor of mismatched pairs follows."""
    corpus_of: str | None = None
    """Rates of a corpus: the clip metric whose `errors` and `expected` are summed."""
    text: Text | None = None
    """The part of a prompt that is compared with, where the suite says it apart; else it is cut out of the prompt."""


class ClipMetric(Protocol):
    """Judges one clip. With an extractor, `features` are the clip's (k, d), and `extractor` loads itself when it is
    used; else both are None. A metric that needs a reference finds it in the subject.

    May raise NotApplicable; any other exception becomes a record of kind `failed`.
    """

    def __call__(
        self, subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, **settings: Scalar
    ) -> Outcome:
        """The clip's value, or the reason why it has none."""


class Sides(Protocol):
    """The two vectors whose product is the value of a cosine metric."""

    def __call__(
        self, features: NDArray[np.float32], prompt: Prompt | None, extractor: Extractor
    ) -> NDArray[np.floating]:
        """(2, d) from a clip's (k, d') features and its prompt.

        Raises:
            NotApplicable: no prompt, or no such stream.
        """


class SetMetric(Protocol):
    """A torchmetrics.Metric over features; also usable in any PyTorch program. States merge over processes."""

    def update(self, features: "Tensor", real: bool) -> None:
        """Take (k, d) features of one clip or of many."""

    def compute(self) -> "Tensor":
        """The value, a scalar."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be said beside the value."""

    @property
    def distance(self) -> "Compare":
        """The same metric of two lists of clips, for drawing clips again."""


Compare = Callable[[Sequence[NDArray[np.float32]], Sequence[NDArray[np.float32]]], float]
"""Distance of two lists of per-clip features: (generated, reference) -> value."""
