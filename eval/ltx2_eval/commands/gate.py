"""`gate` and `gate calibrate`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ltx2_benchmarks.nearest import unknown
from ltx2_eval.commands.compare import contrasts_of, scored
from ltx2_eval.commands.options import Given
from ltx2_eval.commands.report import runs_in, whole_run
from ltx2_eval.metrics.catalogue import catalogue
from ltx2_eval.same_clips import sameness_verdicts
from ltx2_reports.bench import is_bench
from ltx2_reports.escape import for_json, for_terminal
from ltx2_reports.gate import writers
from ltx2_reports.gate.bench import bench_folder, decide_bench
from ltx2_reports.gate.calibration import Calibration, calibrate, policy_text
from ltx2_reports.gate.decision import Decision, decide
from ltx2_reports.gate.losses import is_timing
from ltx2_reports.gate.policy import (
    Policy,
    PolicyFile,
    changed_since,
    default_policy,
    read_policy,
    require_validated,
)
from ltx2_reports.records import Run, read_run
from ltx2_reports.store import atomic_write
from ltx2_reports.validation import VALIDATION_FILE, brief_notes, read_verdicts

_FORMATS = {".xml": writers.to_junit, ".md": writers.to_markdown, ".json": writers.to_json, ".sarif": writers.to_sarif}


def check_command(given: Given) -> None:
    """Judge a run; the exit code is the verdict."""
    reports = [Path(path).expanduser() for path in given.report or ()]
    _check_formats(reports)
    try:
        decision = _decision(given)
    except Exception as error:
        # Whoever reads the reports must not find those of an earlier run, or none, and take that for a verdict.
        wrong = _as_wrong_use(error)
        for path in reports:
            atomic_write(path, writers.error_text(path.suffix, str(wrong)))
        raise wrong from error
    for path in reports:
        atomic_write(path, _FORMATS[path.suffix](decision))
    print(writers.to_json(decision).rstrip() if given.json else for_terminal(writers.to_text(decision)))
    raise SystemExit(decision.exit_code)


def _as_wrong_use(error: Exception) -> ValueError:
    """Exit code 2, whatever went wrong: 1 means that the run regressed, and nothing else."""
    if isinstance(error, OSError):
        return ValueError(f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or error}")
    if isinstance(error, ValueError):
        return ValueError(str(error))
    return ValueError(f"{type(error).__name__}: {error} (--debug prints the traceback)")


def _decision(given: Given) -> Decision:
    bench = bench_folder(Path(given.run).expanduser())
    if bench is not None:
        return _bench_decision(bench, given)
    if not Path(given.run).expanduser().exists():
        raise ValueError(f"{given.run}: no such folder")
    for name in ("against", "policy"):
        if given[name] is None:
            raise ValueError(f"--{name} is needed to judge a run; only records of `bench` are judged without")
    file = read_policy(_existing(Path(given.policy).expanduser()))
    if bench_folder(Path(given.against).expanduser()) is not None:
        raise ValueError(f"{given.against}: records of `bench`, but {given.run} is none; a run is judged against a run")
    run, baseline = (whole_run(Path(path).expanduser()) for path in (given.run, given.against))
    _require_known(file, run, baseline)
    notes = _validation_notes(file, given, run)
    both = scored(run) & scored(baseline)
    names = [name for name in file.policy.metrics if name in both and not is_timing(run, name)]
    return decide(
        contrasts_of(baseline, run, given, metrics=names),
        file,
        earlier=[read_run(folder) for path in given.history or () for folder in runs_in(Path(path).expanduser())],
        checks=sameness_verdicts(baseline, run, file.policy.sameness, file.policy.max_lost),
        notes=notes,
    )


def _existing(path: Path) -> Path:
    if not path.exists():
        raise ValueError(f"{path}: No such file; `ltx2-eval gate calibrate RUN RUN --out {path}` makes a policy")
    return path


def _bench_decision(folder: Path, given: Given) -> Decision:
    """Of records of `bench`: a policy may say how much slower is tolerated, and is not needed."""
    asked = [Path(path).expanduser() for path in (given.against, *(given.history or ())) if path is not None]
    others = []
    for path in asked:
        found = bench_folder(path)
        within = [] if found or not path.is_dir() else [child for child in sorted(path.iterdir()) if is_bench(child)]
        if found is None and not within:
            raise ValueError(f"{path}: neither a folder of `ltx2-eval bench` nor a folder of such folders")
        others += within or [found or path]
    file = default_policy() if given.policy is None else read_policy(Path(given.policy).expanduser(), for_bench=True)
    return decide_bench(folder, others, file)


def _check_formats(reports: Sequence[Path]) -> None:
    for path in reports:
        if path.suffix not in _FORMATS:
            raise ValueError(f"{path}: expected a name that ends in .xml (JUnit), .md, .json or .sarif")


def _require_known(file: PolicyFile, run: Run, baseline: Run) -> None:
    """Refuse names that no run and no catalogue has: a misspelt metric would never fail."""
    known = {*catalogue(), *scored(run), *scored(baseline)}
    for name in file.policy.metrics:
        if name not in known:
            raise ValueError(f"{file.path}: {unknown('metric', name, known)}")


def _validation_notes(file: PolicyFile, given: Given, run: Run) -> list[str]:
    """Obey the file that `validate` wrote: named by option, by the policy, or lying beside the policy."""
    beside = file.path.parent / VALIDATION_FILE
    if not file.policy.metrics:
        return []
    paths = _named(given) or file.validations or ([beside] if beside.is_file() else [])
    if not paths:
        return ["no validation file: nothing says which metrics are fit to gate (`ltx2-eval validate` makes one)"]
    protocols = {found.metric.id: found.protocol for found in run.protocols.values()}
    return [*require_validated(file, read_verdicts(paths), protocols), *brief_notes(paths)]


def _named(given: Given) -> list[Path]:
    return [Path(path).expanduser() for path in given.validation or ()]


def calibrate_command(given: Given) -> None:
    """Measure noise and floors from repeated runs, write a policy, and try it on every pair of them."""
    runs = [read_run(folder) for path in given.runs for folder in runs_in(Path(path).expanduser())]
    asked = Policy(metrics={}, false_alarm=given.false_alarm, confidence=given.confidence)
    made = calibrate(runs, relative=given.relative, policy=asked)
    unfit = _unfit(given, runs[0])
    usable = [noise for noise in made.noises if noise.usable and noise.metric.id not in unfit]
    if not usable:
        raise ValueError(_none_usable(made, given))
    out = Path(given.out).expanduser()
    atomic_write(out, policy_text(made, relative=given.relative, policy=asked, unfit=unfit))
    outcomes = _outcomes(made, read_policy(out))
    blind = all(noise.constant for noise in usable)
    if given.json:
        print(for_json(_facts(made, out, outcomes)))
        raise SystemExit(3 if blind else 0)
    print(
        for_terminal(f"{out}: {len(usable)} of {len(made.noises)} metrics can decide; the file says why others cannot")
    )
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    print(f"this policy on the {len(made.pairs)} pairs of these runs: {said}")
    for note in made.same_noise:
        print(for_terminal(f"! {note}; this policy holds for runs with the seeds of their baseline only"))
    constant = [noise.metric.id for noise in usable if noise.constant]
    if constant:
        print(for_terminal(f"! constant in all runs, so that nothing tells whether they react: {', '.join(constant)}"))
    if blind:
        print(for_terminal(f"! no metric is left that can see a loss of quality{_nearest(made, unfit)}"))
        raise SystemExit(3)


def _nearest(made: Calibration, unfit: Mapping[str, str]) -> str:
    """Which metric is the least out of reach, and with how many prompts it would be within."""
    open_ = [(n.needed, n.metric.id) for n in made.noises if n.needed and not n.usable and n.metric.id not in unfit]
    if not open_:
        return "; use more seeds, or a larger --relative"
    prompts, name = min(open_)
    return f"; {name} would need about {prompts} prompts (these runs have {made.noises[0].n}), or a larger --relative"


def _unfit(given: Given, run: Run) -> dict[str, str]:
    """Metrics that validation found fit for reports only, which `gate` would refuse in the policy."""
    protocols = {found.metric.id: found.protocol for found in run.protocols.values()}
    found = {name: one for name, one in read_verdicts(_named(given)).items() if one.verdict == "report only"}
    changed = {name: changed_since(one, protocols.get(name)) for name, one in found.items()}
    another = "; validated in another version ({}): the ban stands until this one is validated"
    return {name: one.why + (another.format(changed[name]) if changed[name] else "") for name, one in found.items()}


def _none_usable(made: Calibration, given: Given) -> str:
    least = min((n for n in made.noises if n.mean), key=lambda n: n.detectable / abs(n.mean), default=None)
    said = f"; the quietest, {least.metric.id}, finds {least.detectable / abs(least.mean):.1%}" if least else ""
    return (
        f"no metric of these runs finds a loss of {given.relative:.1%}{said}; use more prompts or seeds, or --relative"
    )


def _outcomes(made: Calibration, file: PolicyFile) -> Counter[str]:
    return Counter(decide(pair, file).outcome for pair in made.pairs)


def _facts(made: Calibration, out: Path, outcomes: Counter[str]) -> dict[str, object]:
    fields = ("mean", "error", "floor", "n", "tolerance", "detectable", "usable")
    return {
        "policy": str(out),
        "runs": [str(run.folder) for run in made.runs],
        "pairs": dict(outcomes),
        "left_out": list(made.left_out),
        "same_noise": list(made.same_noise),
        "metrics": {noise.metric.id: {field: getattr(noise, field) for field in fields} for noise in made.noises},
    }
