"""Prompts of two suites that are one and the same, so that clips of them can be compared.

A protocol names its whole suite, since a mean is over all of it. The value of one clip depends on the clip and on what
its own prompt says; so clips of two suites (another `--limit`, another version) are compared where the prompts agree in
everything that a metric can read of them.
"""

from ltx2_reports.records import PromptRef, Run

_UNREAD = ("category",)
"""Fields of a prompt that no metric reads."""


def is_one_suite(first: Run, second: Run) -> bool:
    """Whether two runs were asked for the same prompts."""
    return first.header.spec.suite.sha256 == second.header.spec.suite.sha256


def unlike_prompts(first: Run, second: Run) -> dict[str, str]:
    """Prompts that both suites have under one id but not with the same content: the fields that differ, by id."""
    if is_one_suite(first, second):
        return {}
    other = {prompt.id: prompt for prompt in second.header.spec.prompts}
    ours = first.header.spec.prompts
    found = {prompt.id: _difference(prompt, other[prompt.id]) for prompt in ours if prompt.id in other}
    return {name: fields for name, fields in found.items() if fields}


def require_shared_prompts(first: Run, second: Run) -> None:
    """Refuse runs that have no prompt in common.

    Raises:
        ValueError: says whether no id is shared, or what differs.
    """
    shared = {clip.prompt_id for clip in first.clips.values()} & {clip.prompt_id for clip in second.clips.values()}
    if not shared:
        raise ValueError(
            f"{first.folder} and {second.folder} share no prompt id; compare runs of the same suite, or clips with the "
            "same names"
        )
    unlike = unlike_prompts(first, second)
    if shared <= unlike.keys():
        name = min(shared)
        raise ValueError(
            f"{first.folder} and {second.folder} have no prompt in common: of all {len(shared)} ids that they share "
            f"the prompts differ ({name}: {unlike[name]}); compare runs of one version of the suite"
        )


def suites_note(first: Run, second: Run) -> list[str]:
    """That two suites were compared on the prompts they share; nothing where they are one."""
    if is_one_suite(first, second):
        return []
    ours, theirs = first.header.spec.suite, second.header.spec.suite
    return [f"suites: {ours.label} in A, {theirs.label} in B; compared on the prompts and seeds that both have"]


def _difference(first: PromptRef, second: PromptRef) -> str:
    names = [name for name in PromptRef.model_fields if name not in _UNREAD]
    return ", ".join(name for name in names if getattr(first, name) != getattr(second, name))
