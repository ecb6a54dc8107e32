"""Whether a clip keeps what a prompt of the procedural world promises, decided from pixels and samples alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltx2_benchmarks.synthetic import check
from ltx2_eval.extractors.base import Extractor, NotApplicable
from ltx2_eval.metrics.base import Outcome, Subject, abstain
from ltx2_reports.records import Scalar


def world_promise(
    subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, *, promise: str = "colour"
) -> Outcome:
    """1 if a promise is kept, 0 if not.

    Args:
        subject: the clip with its prompt, of suite nano or world.
        features: none.
        extractor: none.
        promise: colour, shape, sound, count, ...: what `ltx2_benchmarks.synthetic.check` decides.

    Raises:
        NotApplicable: the prompt promises no such thing.
    """
    verdict = check(subject.clip, _claims(subject)).get(promise)
    if verdict is None:
        raise NotApplicable(f"the prompt promises no {promise}")
    if verdict.ok is None:
        return abstain(verdict.reason)
    return Outcome(value=float(verdict.ok), details={"found": verdict.reason})


def world_kept(
    subject: Subject, features: NDArray[np.float32] | None, extractor: Extractor | None, **settings: Scalar
) -> Outcome:
    """Share of the prompt's promises that the clip keeps, 0..1; the details say which it breaks.

    Args:
        subject: the clip with its prompt, of suite nano or world.
        features: none.
        extractor: none.
        settings: none.

    Raises:
        NotApplicable: the prompt promises nothing that can be checked.
    """
    verdicts = check(subject.clip, _claims(subject))
    decided = {name: verdict.ok for name, verdict in verdicts.items() if verdict.ok is not None}
    if not decided:
        return abstain("no promise can be decided")
    broken = ", ".join(name for name, ok in decided.items() if not ok)
    return Outcome(value=sum(map(bool, decided.values())) / len(decided), details={"broken": broken})


def _claims(subject: Subject) -> dict[str, Any]:
    expectations = None if subject.prompt is None else subject.prompt.expectations
    claims = None if expectations is None else expectations.world
    if not claims:
        raise NotApplicable("the prompt is none of the procedural world's: it promises nothing exact")
    return dict(claims)
