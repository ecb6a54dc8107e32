"""A whole gate: the run, the baseline, the policy, and what comes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ltx2_reports.contrast import Contrasts
from ltx2_reports.contrast_render import notes as left_out_notes
from ltx2_reports.gate.losses import clips_verdict, in_words, losses_of
from ltx2_reports.gate.policy import Policy, PolicyFile
from ltx2_reports.gate.speed import speed_losses
from ltx2_reports.gate.verdict import EXIT_CODES, Outcome, Verdict, judge, overall
from ltx2_reports.records import Run

_NAMED = 5


class Side(NamedTuple):
    """What was judged, or what it was judged against."""

    system: str
    folder: Path

    @classmethod
    def of(cls, run: Run) -> "Side":
        """A run."""
        return cls(system=run.header.spec.system, folder=run.folder)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The verdicts, and what must be said beside them."""

    run: Side
    baseline: Side
    policy: PolicyFile
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst of the verdicts."""
        return overall(self.verdicts)

    @property
    def exit_code(self) -> int:
        """0 passed, 1 regressed, 3 not enough data."""
        return EXIT_CODES[self.outcome]


def decide(
    contrasts: Contrasts,
    file: PolicyFile,
    *,
    earlier: Sequence[Run] = (),
    checks: Sequence[Verdict] = (),
    notes: Sequence[str] = (),
) -> Decision:
    """Judge every metric of the policy; they share one chance of a false alarm.

    Args:
        contrasts: of the baseline (A) and the run (B).
        file: the policy.
        earlier: runs that timings are judged against; the baseline is always among them.
        checks: verdicts that were made elsewhere, such as those on sameness.
        notes: what else must be said.

    Raises:
        ValueError: a metric's direction is not settled, see `losses.direction_of`.
    """
    policy = file.policy
    losses = losses_of(contrasts, policy)
    losses += speed_losses(contrasts.second, contrasts.first, earlier, policy)
    order = list(policy.metrics)
    judged = judge(
        sorted(losses, key=lambda loss: order.index(loss.metric)),
        false_alarm=policy.false_alarm,
        confidence=policy.confidence,
    )
    clips = clips_verdict(contrasts.first, contrasts.second, policy)
    blind = _blind(policy)
    return Decision(
        run=Side.of(contrasts.second),
        baseline=Side.of(contrasts.first),
        policy=file,
        verdicts=(clips, *checks, *blind, *judged),
        notes=(*map(in_words, left_out_notes(contrasts)), *_left_out(policy), *notes),
    )


def _blind(policy: Policy) -> list[Verdict]:
    """No pass from metrics alone that never moved: no loss of quality is known to move them."""
    if not policy.metrics or not all(metric.constant for metric in policy.metrics.values()):
        return []
    why = (
        "every metric of the policy was constant in its calibration, so that none is known to see a loss of quality; "
        "calibrate with more prompts or seeds, or add a metric"
    )
    return [Verdict(metric="policy", title="Policy can see a loss", outcome="not enough data", why=why)]


def _left_out(policy: Policy) -> list[str]:
    if not policy.left_out:
        return []
    few = ", ".join(policy.left_out[:_NAMED]) + (" ..." if len(policy.left_out) > _NAMED else "")
    return [f"{len(policy.left_out)} metrics were too noisy for this policy and decide nothing: {few}"]
