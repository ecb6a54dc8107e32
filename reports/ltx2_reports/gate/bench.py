"""Records of `bench` judged: against the other side of an interleaved session, or against earlier records."""

from collections.abc import Sequence
from pathlib import Path

from ltx2_reports.bench import BENCH_FILE, BenchRecord, comparable, is_bench, read_bench, rolling_median, sessions
from ltx2_reports.gate.decision import Decision, Side
from ltx2_reports.gate.policy import PolicyFile
from ltx2_reports.gate.verdict import Loss, Outcome, Verdict
from ltx2_reports.speed import SpeedDifference, against_history, compare_records

_OUTCOMES: dict[str, Outcome] = {
    "slower": "regressed",
    "faster": "passed",
    "same": "passed",
    "undecided": "not enough data",
}


def bench_folder(path: Path) -> Path | None:
    """The bench folder that a path means, itself or the folder of the file; None: it is none."""
    folder = path.parent if path.name == BENCH_FILE else path
    return folder if is_bench(folder) else None


def decide_bench(folder: Path, against: Sequence[Path], file: PolicyFile) -> Decision:
    """Judge the latest session of a bench folder, one verdict per case.

    Args:
        folder: of the bench.
        against: bench folders whose records are its history, beside its own earlier sessions; none: the side B of an
            interleaved session (`bench --against`) is the baseline of its side A, where there is one.
        file: the policy: its rules for speed.

    Raises:
        ValueError: a folder is none of a bench, or holds no record; DamagedError: see `read_bench`.
    """
    records = read_bench(folder)
    if not records:
        raise ValueError(f"{folder}: no record in {BENCH_FILE}; run `ltx2-eval bench --out {folder}` first")
    latest = list(sessions(records).values())[-1]
    pair = {record.role: record for record in latest}
    if "b" in pair and not against:
        verdicts = [_of_pair(pair["a"], pair["b"], file)]
        baseline = Side(system=pair["b"].case.model, folder=folder)
    else:
        ordered = _once([*(record for path in against for record in read_bench(path)), *records])
        verdicts = [_of_history(record, ordered, file) for record in latest if record.role != "b"]
        baseline = Side(system="earlier records", folder=against[0] if against else folder)
    model = ", ".join(dict.fromkeys(record.case.model for record in latest if record.role != "b"))
    return Decision(
        run=Side(system=model, folder=folder),
        baseline=baseline,
        policy=file,
        verdicts=tuple(verdicts),
        notes=tuple(_ignored(file)),
    )


def _once(records: Sequence[BenchRecord]) -> list[BenchRecord]:
    """Oldest first, each once: a folder may be named twice, or hold the one that is judged."""
    found = {(record.session, record.role, record.case, record.created_at): record for record in records}
    return sorted(found.values(), key=lambda record: record.created_at)


def _ignored(file: PolicyFile) -> list[str]:
    """What of a policy has no say here."""
    metrics = file.policy.metrics
    if not metrics:
        return []
    return [f"of the policy only [speed] speaks of a bench; nothing is said of its metrics {', '.join(metrics)}"]


def _of_pair(ours: BenchRecord, theirs: BenchRecord, file: PolicyFile) -> Verdict:
    trouble = _trouble(ours) or _trouble(theirs)
    if trouble or ours.timing is None or theirs.timing is None:
        return _plain(ours, "not enough data", trouble)
    found = compare_records(theirs, ours, margin=file.policy.speed.relative)
    return _of(ours, found, theirs.timing.median_s, f"{found.pairs} pairs timed in turn", file)


def _of_history(record: BenchRecord, history: Sequence[BenchRecord], file: PolicyFile) -> Verdict:
    speed = file.policy.speed
    earlier = comparable(record, history)
    if record.timing is None and earlier:
        why = (
            f"has no timing now ({record.reason.message if record.reason else 'no reason'}), had {len(earlier)} before"
        )
        return _plain(record, "regressed", why)
    trouble = _trouble(record)
    if trouble:
        return _plain(record, "not enough data", trouble)
    if len(earlier) < speed.least_records:
        why = f"{len(earlier)} earlier records of this case on this device, {speed.least_records} are needed"
        return _plain(
            record, "not enough data", f"{why}{_unused(record, history)}: --history FOLDER, or bench --against"
        )
    found = against_history(record, history, window=speed.window, margin=speed.relative)
    median = rolling_median(record, history, speed.window)
    assert found is not None
    assert median is not None
    return _of(record, found, median, f"{found.pairs} earlier records", file)


def _unused(record: BenchRecord, history: Sequence[BenchRecord]) -> str:
    """Why earlier records of the case do not count, which whoever named their folder wants to know."""
    others = [other for other in history if other.session != record.session and other.case == record.case]
    elsewhere = sum(other.device.key != record.device.key for other in others)
    here = [other for other in others if other.device.key == record.device.key]
    doubtful = sum(bool(_trouble(other)) for other in here)
    later = sum(other.created_at > record.created_at and not _trouble(other) for other in here)
    counts = ((elsewhere, "of another device"), (doubtful, "not to be believed"), (later, "later than this one"))
    said = [f"{count} more {'is' if count == 1 else 'are'} {what}" for count, what in counts if count]
    return f" ({', '.join(said)})" if said else ""


def _trouble(record: BenchRecord) -> str:
    """Why a record says nothing of speed; empty: it does."""
    if record.timing is None:
        return f"no timing: {record.reason.message if record.reason else 'no reason is recorded'}"
    if record.verdict is not None and not record.verdict.valid:
        return f"the timing is not to be believed, time it again: {'; '.join(record.verdict.reasons)}"
    return ""


def _of(record: BenchRecord, found: SpeedDifference, baseline: float, by: str, file: PolicyFile) -> Verdict:
    assert record.timing is not None
    margin = file.policy.speed.relative
    loss = Loss(
        metric=record.case.name,
        title=record.case.name,
        unit="s",
        baseline=baseline,
        value=record.timing.median_s,
        loss=(found.ratio - 1) * baseline,
        error=None,
        n=found.pairs,
        unit_of_n="records" if "records" in by else "pairs",
        p=None,
        tolerance=margin * baseline,
    )
    why = (
        f"takes {found.ratio:.3f} times as long [{found.low:.3f}, {found.high:.3f}] by {by}; tolerated: {1 + margin:g}"
    )
    limit = (found.high - 1) * baseline
    return Verdict(
        metric=loss.metric, title=loss.title, outcome=_OUTCOMES[found.verdict], why=why, loss=loss, limit=limit
    )


def _plain(record: BenchRecord, outcome: Outcome, why: str) -> Verdict:
    return Verdict(metric=record.case.name, title=record.case.name, outcome=outcome, why=why)
