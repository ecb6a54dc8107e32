"""Which metrics of two runs can be compared, and why the others cannot."""

from collections.abc import Collection, Sequence

from ltx2_reports.comparison import RUNTIME_PREFIX, MixedProtocolsError
from ltx2_reports.records import Run
from ltx2_reports.same_prompts import is_one_suite


def comparable_metrics(
    first: Run, second: Run, wanted: Sequence[str] | None, drawn_again: Collection[str]
) -> tuple[list[str], list[str]]:
    """Ids of the metrics to compare, and a sentence for each that is left out.

    Args:
        first: run A.
        second: run B.
        wanted: ids that were asked for; None: all that both have.
        drawn_again: set metrics that were drawn again on the clips that both have.

    Raises:
        MixedProtocolsError: a metric was measured in different ways; names the fields.
        ValueError: a metric asked for is in neither or one run only.
    """
    names, lonely = _common(first, second, wanted)
    kept, left_out = _refuse_mixed(first, second, names, wanted or (), drawn_again)
    return kept, [*lonely, *left_out]


def _common(first: Run, second: Run, wanted: Sequence[str] | None) -> tuple[list[str], list[str]]:
    scored = [{line.metric for line in run.values.values()} for run in (first, second)]
    absent = [name for name in wanted or () if name not in scored[0] & scored[1]]
    if absent:
        sides = [label for label, has in zip("AB", scored, strict=True) if absent[0] not in has]
        raise ValueError(
            f"{absent[0]}: not scored in {' and '.join(sides)}; run `ltx2-eval score RUN --metric {absent[0]}` first"
        )
    if wanted is not None:
        return list(dict.fromkeys(wanted)), []
    lonely = (("A", sorted(scored[0] - scored[1])), ("B", sorted(scored[1] - scored[0])))
    return sorted(scored[0] & scored[1]), [f"{', '.join(ids)}: scored in {label} only" for label, ids in lonely if ids]


def _refuse_mixed(
    first: Run, second: Run, names: Sequence[str], wanted: Sequence[str], drawn_again: Collection[str]
) -> tuple[list[str], list[str]]:
    """Timings of two machines, and sets of other clips, are left out; everything else that differs is refused.

    Clip metrics of two suites are compared on the prompts that both have, and sets that were drawn again are of those.
    """
    kept: list[str] = []
    refused: list[str] = []
    of_machine: list[str] = []
    of_sets: dict[str, list[str]] = {}
    # Which clips were measured, not how; a protocol that names another suite than its run is no such thing.
    of_clips = ("n: ",) if is_one_suite(first, second) else ("n: ", "suite: ")
    for name in names:
        fields = protocol_differences(first, second, name)
        only_clips = all(part.startswith(of_clips) for part in fields)
        is_set = (None, name) in first.values or (None, name) in second.values
        if not fields or (only_clips and (name in drawn_again or not is_set)):
            kept.append(name)
        elif only_clips:
            of_sets.setdefault("; ".join(fields), []).append(name)
        elif name.startswith(RUNTIME_PREFIX) and name not in wanted:
            of_machine.append(_otherwise(name, fields))
        else:
            refused.append(_otherwise(name, fields))
    if refused:
        more = f" (and {len(refused) - 1} more metrics)" if len(refused) > 1 else ""
        raise MixedProtocolsError(f"{refused[0]}{more}; score both runs again with one setting")
    return kept, of_machine + [
        f"{', '.join(ids)}: of two sets of other clips, which cannot be compared: {fields}"
        for fields, ids in of_sets.items()
    ]


def _otherwise(name: str, fields: Sequence[str]) -> str:
    return f"{name}: measured in different ways, which cannot be compared: {'; '.join(fields)}"


def protocol_differences(first: Run, second: Run, metric: str) -> list[str]:
    """Fields in which the protocols of a metric differ, where both runs have values of it."""
    used = [{line.protocol for line in run.of_metric(metric) if line.value is not None} for run in (first, second)]
    known = {**first.protocols, **second.protocols}
    if not used[0] or not used[1] or len(used[0] | used[1]) == 1:
        return []
    here = min(used[0])
    other = min((used[0] | used[1]) - {here})
    return known[here].protocol.difference(known[other].protocol)
