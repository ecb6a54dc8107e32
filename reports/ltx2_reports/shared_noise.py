"""Which clips started from the same noise, and what that means for a comparison.

Two systems that start a prompt and a seed from the same noise are a pair, and their difference is the surer for it.
Within one run it is the other way round: prompts of a seed, and seeds of a prompt, have to be independent.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

from ltx2_reports.numbers import clips_counted
from ltx2_reports.records import ClipRecord, Run

Within = Literal["own", "shared", "unknown"]
_BY_CHANCE = 0.1
"""Noise seeds have 31 bits: so large a share of clips does not have that of another one by chance."""


def noise_within(run: Run) -> Within:
    """Whether every prompt of the run has noise of its own, or prompts of a seed share it, or nobody knows."""
    clips = _with_noise(run)
    if _share_with_another(clips, by_prompt=True):
        return "shared"
    known = len(clips) == len(run.clips) > 0
    return "own" if run.header.spec.noise is not None or known else "unknown"


def shares_noise(run: Run) -> bool:
    """Whether prompts of one seed may have started from the same noise, so that they are not independent."""
    return noise_within(run) != "own"


def noise_notes(runs: Sequence[Run], labels: Sequence[str]) -> list[str]:
    """What must be said of runs that are paired: seeds of a prompt that are one, pairs that are none."""
    notes = []
    for run, label in zip(runs, labels, strict=True):
        if _share_with_another(_with_noise(run), by_prompt=False):
            notes.append(f"{label}: several seeds of a prompt start from the same noise, and are one clip, not several")
    for (first, ours), (second, theirs) in combinations(zip(runs, labels, strict=True), 2):
        notes += _between(first, second, f"{ours} and {theirs}")
    return notes


def independence_notes(runs: Sequence[Run], labels: Sequence[str]) -> list[str]:
    """For intervals drawn over prompts alone: runs whose prompts may not be independent; and repeats that are none."""
    by_kind: dict[Within, list[str]] = {}
    for run, label in zip(runs, labels, strict=True):
        by_kind.setdefault(noise_within(run), []).append(label)
    said: dict[Within, str] = {
        "shared": "prompts of one seed start from the same noise",
        "unknown": "prompts of one seed may start from the same noise (clips from elsewhere, or of an early version)",
    }
    return [
        f"{', '.join(by_kind[kind])}: {words}; intervals are over prompts and hold for these seeds only"
        for kind, words in said.items()
        if kind in by_kind
    ] + repeat_notes(runs, labels)


def repeat_notes(runs: Sequence[Run], labels: Sequence[str]) -> list[str]:
    """Runs of one model with the same noise, which tell nothing of how much a repetition would differ."""
    return [
        f"{ours} and {theirs}: one model with the same noise; no independent repeats, which take other seeds"
        for (first, ours), (second, theirs) in combinations(zip(runs, labels, strict=True), 2)
        if _is_same_model(first, second) and any(a.noise_seed == b.noise_seed for a, b in _known(first, second))
    ]


def _between(first: Run, second: Run, both: str) -> list[str]:
    pairs, known = _pairs(first, second), _known(first, second)
    other = sum(a.noise_seed != b.noise_seed for a, b in known)
    if other:
        return [
            f"{both}: {clips_counted(other)} of {len(known)} started from other noise than the partner of the same "
            "prompt and seed (another rule for noise seeds): the noise does not cancel, and intervals are wider"
        ]
    plans = [run.header.spec.noise for run in (first, second)]
    if "prompt-seed" in plans and None in plans and len(known) < len(pairs):
        return [
            f"{both}: the noise of one side is not known; a pair that did not start from the same noise still counts, "
            "but its noise does not cancel"
        ]
    return []


def _is_same_model(first: Run, second: Run) -> bool:
    ours, theirs = first.header.spec, second.header.spec
    return (ours.model, ours.model_identity, ours.clip) == (theirs.model, theirs.model_identity, theirs.clip)


def _pairs(first: Run, second: Run) -> list[tuple[ClipRecord, ClipRecord]]:
    theirs = {(clip.prompt_id, clip.seed): clip for clip in second.clips.values()}
    keyed = ((clip, theirs.get((clip.prompt_id, clip.seed))) for clip in first.clips.values())
    return [(clip, partner) for clip, partner in keyed if partner is not None]


def _known(first: Run, second: Run) -> list[tuple[ClipRecord, ClipRecord]]:
    """Pairs of which both sides tell their noise."""
    return [(a, b) for a, b in _pairs(first, second) if a.noise_seed is not None and b.noise_seed is not None]


def _with_noise(run: Run) -> list[ClipRecord]:
    return [clip for clip in run.clips.values() if clip.noise_seed is not None]


def _share_with_another(clips: Sequence[ClipRecord], *, by_prompt: bool) -> bool:
    """Whether clips have the noise seed of another prompt's clip, or else of another seed of their own prompt."""
    groups: dict[object, set[object]] = {}
    for clip in clips:
        key, member = (clip.noise_seed, clip.prompt_id) if by_prompt else ((clip.noise_seed, clip.prompt_id), clip.seed)
        groups.setdefault(key, set()).add(member)
    sharing = sum(len(members) for members in groups.values() if len(members) > 1)
    return sharing > _BY_CHANCE * len(clips)
