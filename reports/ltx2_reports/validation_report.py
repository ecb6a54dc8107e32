"""What `validate` found, for people and programs: a self-contained page with curves, Markdown, CSV."""

import base64
import csv
import hashlib
import io
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from markupsafe import Markup

from ltx2_reports.escape import for_csv, for_markdown, for_markdown_code
from ltx2_reports.numbers import ARROWS, format_number
from ltx2_reports.report import page_environment
from ltx2_reports.store import atomic_write
from ltx2_reports.validation import DegradationRef, MetricValidation, Point, Trial, Validation, write_validation
from ltx2_reports.validation_plot import HEIGHT, WIDTH, Curve, curve_of

_RULES = (
    "A metric may gate where every degradation that it must see moves it in order (rank correlation at least 0.9), at "
    "least 80 % of the pairs of a clean and a strongly degraded clip are told right (Wilson's interval above half), "
    "every stated slope is met within 5 %, and nothing else moves it: at most by two standard errors or by a fifth of "
    "the smallest effect that matters (the mildest level of its leading degradation), and not at all where none of its "
    "inputs changed.",
    "What a metric must and must not see was stated before anything was measured. Curves show the mean difference from "
    "the clean clips, paired by clip, with 95 % intervals (bootstrap over prompts; set metrics: prompts drawn again, "
    "centred on the value). Pairs of set metrics are disjoint groups of 8 clips. Parts of "
    "a set (set.size) are judged by the spread of one part's value.",
    "A verdict holds for these clips and this protocol. It does not say that the metric measures quality.",
)
CSV_FIELDS = (
    *(
        "metric",
        "verdict",
        "untested",
        "degradation",
        "expected",
        "held",
        "level",
        "unit",
        "n",
        "missing",
        "value",
        "difference",
    ),
    *("low", "high", "error", "pairs", "accuracy", "accuracy_low", "accuracy_high", "rank_correlation", "slope"),
    *("slope_low", "slope_high", "slope_expected", "tolerance", "protocol"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationFiles:
    """What was written."""

    json: Path
    csv: Path
    markdown: Path
    html: Path


def write_validation_report(validation: Validation, out: Path) -> ValidationFiles:
    """Write `validation.json`, `.csv`, `.md` and `.html` below `out`; the same findings give the same bytes."""
    written = ValidationFiles(
        json=write_validation(validation, out),
        csv=out / "validation.csv",
        markdown=out / "validation.md",
        html=out / "validation.html",
    )
    atomic_write(written.csv, validation_csv(validation))
    atomic_write(written.markdown, validation_markdown(validation))
    atomic_write(written.html, validation_html(validation))
    return written


def validation_csv(validation: Validation) -> str:
    """One row per metric, degradation and level, with every number."""
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    for metric, found in validation.metrics.items():
        for trial in found.trials:
            unit = validation.degradations[trial.degradation].unit
            for point in trial.points:
                row = _csv_row(metric, found, trial, point, unit)
                writer.writerow([for_csv(row[field]) for field in CSV_FIELDS])
    return stream.getvalue()


def _csv_row(
    metric: str, found: MetricValidation, trial: Trial, point: Point, unit: str
) -> dict[str, str | float | int | None]:
    held = {None: "", True: "yes", False: "no"}[trial.held]
    facts = {
        "metric": metric,
        "verdict": found.verdict,
        "untested": " ".join(found.untested),
        "protocol": found.protocol,
        "held": held,
        "unit": unit,
    }
    return {**trial.model_dump(exclude={"points", "held", "why"}), **point.model_dump(), **facts}


def validation_markdown(validation: Validation) -> str:
    """The verdicts, what each metric saw, and the rules."""
    lines = [
        f"**{for_markdown(validation.source)}**, {validation.clips} clips"
        + (", by the mildest and strongest levels alone" if validation.brief else "")
        + (f", reference {for_markdown(validation.reference)}" if validation.reference else ""),
        "",
        "| metric | verdict | n | why | protocol |",
        "|---|---|---:|---|---|",
    ]
    for metric, found in validation.metrics.items():
        identity = for_markdown_code(f"#{found.protocol}")
        verdict = for_markdown(found.judgement)
        if found.verdict == "may gate":
            verdict = verdict.replace(found.verdict, f"**{found.verdict}**", 1)
        lines.append(f"| {for_markdown(metric)} | {verdict} | {found.n} | {for_markdown(found.why)} | {identity} |")
    lines += ["", *(f"- {for_markdown(f'{metric}: no verdict, {why}')}" for metric, why in validation.left_out.items())]
    lines += [f"- {for_markdown(f'{clip}: not used, {why}')}" for clip, why in validation.unusable.items()]
    return "\n".join([*lines, *(f"- {for_markdown(rule)}" for rule in _RULES)]) + "\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialView:
    """One trial as the page shows it."""

    trial: Trial
    scale: DegradationRef
    curve: Curve | None
    word: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricView:
    """One metric as the page shows it."""

    id: str
    found: MetricValidation
    arrow: str
    clean: str
    drawn: tuple[TrialView, ...]
    """What it must see, and what is shown for its own sake."""
    still: tuple[TrialView, ...]
    """What must not move it, and only that it did not."""


def validation_html(validation: Validation) -> str:
    """The page as text: no script, nothing from elsewhere, light and dark."""
    folder = files("ltx2_reports").joinpath("templates")
    sheets = [folder.joinpath(name).read_text(encoding="utf-8") for name in ("report.css", "validation.css")]
    style = Markup("\n".join(sheets))
    content = {
        "style": style,
        "style_hash": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        "validation": validation,
        "metrics": [_metric_view(name, found, validation) for name, found in validation.metrics.items()],
        "gating": sum(found.verdict == "may gate" for found in validation.metrics.values()),
        "rules": _RULES,
        "width": WIDTH,
        "height": HEIGHT,
    }
    return page_environment().get_template("validation.html.j2").render(content)


def _metric_view(name: str, found: MetricValidation, validation: Validation) -> MetricView:
    views = [_trial_view(trial, validation.degradations[trial.degradation]) for trial in found.trials]
    drawn = tuple(view for view in views if view.trial.expected not in ("still", "exactly still"))
    return MetricView(
        id=name,
        found=found,
        arrow=ARROWS[found.direction],
        clean="" if found.clean is None else f"{format_number(found.clean, None)} {found.unit}".strip(),
        drawn=drawn,
        still=tuple(view for view in views if view not in drawn),
    )


def _trial_view(trial: Trial, scale: DegradationRef) -> TrialView:
    word = {True: "as expected", False: "not as expected", None: "not judged"}[trial.held]
    return TrialView(
        trial=trial, scale=scale, curve=curve_of(trial, scale), word="shown" if trial.expected == "shown" else word
    )
