"""The tables of a bench, in text, Markdown and CSV, made from its summary."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ltx2_reports.escape import for_csv, for_markdown
from ltx2_reports.numbers import MISSING_MARK

_GIB = 2**30
_NUMBER = re.compile(r"[-+]?[\d,]+(\.\d+)?(e[-+]\d+)?%?")
"""Needs no escaping, and would get an invisible character as what might begin a list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Text cells under a title."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def tables(summary: dict[str, Any]) -> list[Table]:
    """Those that have something to show: sizes, timings, ratios, what published times imply, budgets."""
    made = [_sizes(summary), _timings(summary), _ratios(summary), _published(summary), _budgets(summary)]
    return [table for table in made if table is not None and table.rows]


def render_markdown(summary: dict[str, Any]) -> str:
    """All tables on one page."""
    parts = [f"# {for_markdown(summary['title'])}", ""]
    device = summary["device"]
    if device is not None:
        parts += [for_markdown(device_line(device)), ""]
    for table in tables(summary):
        parts += [f"## {for_markdown(table.title)}", "", _row(table.head), _row(["---"] * len(table.head), raw=True)]
        parts += [_row(row) for row in table.rows]
        parts += ["", *(f"- {for_markdown(note)}" for note in table.notes), ""]
    return "\n".join(parts).rstrip() + "\n"


def render_csv(summary: dict[str, Any]) -> str:
    """One line per case, every field a column; nested fields as `field.key`."""
    rows = [_flat(case) for case in summary["cases"]]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[for_csv(row.get(column)) for column in columns] for row in rows])
    return file.getvalue()


def device_line(device: dict[str, Any]) -> str:
    """The device in one line."""
    packages = ", ".join(f"{name} {version}" for name, version in sorted(device["packages"].items()))
    parts = [device["name"], device["driver"] and f"driver {device['driver']}", device["attention"], packages]
    threads = device["threads"]
    return "; ".join(part for part in (*parts, threads and f"{threads} threads") if part)


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits, whole from four digits before the point on."""
    if value is None:
        return MISSING_MARK
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def percent(value: float | None) -> str:
    """A share."""
    return MISSING_MARK if value is None else f"{value:.1%}"


def _sizes(summary: dict[str, Any]) -> Table:
    gpus = {case["roofline_gpu"] for case in summary["cases"]} - {None}
    gpu = ", ".join(sorted(gpus))
    head: tuple[str, ...] = (
        "case",
        "parameters (1e9)",
        "tokens video + audio + text",
        "TFLOP per forward",
        "linear",
        "attention",
    )
    head += ("attention's share", "weights (GB)", "need (GiB, estimate)")
    head += (f"seconds at best on {gpu}", "bound by", "fits it") if gpu else ()
    rows = []
    for case in summary["cases"]:
        if case["parameters"] is None:
            continue
        whole = case["tflop_per_forward"]
        rows.append(
            (
                case["name"],
                number(case["parameters"] / 1e9),
                _tokens(case["tokens"]),
                number(whole),
                number(case["tflop_linear"]),
                number(case["tflop_attention"]),
                percent(case["tflop_attention"] / whole if whole else None),
                number(case["weight_bytes"] / 1e9, 3),
                number(case["memory_bytes"] / _GIB, 3),
                *(_roofline(case) if gpu else ()),
            )
        )
    note = "A forward is one pass of one sample with its text projections; 2 FLOPs per multiply and add."
    return Table(title="By size", head=head, rows=tuple(rows), notes=(note,))


def _roofline(case: dict[str, Any]) -> tuple[str, str, str]:
    fits = {True: "yes", False: "no", None: MISSING_MARK}[case["roofline_fits"]]
    return number(case["roofline_seconds"], 3), case["roofline_bound"] or MISSING_MARK, fits


def _tokens(tokens: dict[str, int]) -> str:
    return " + ".join(f"{tokens[name]:,}" if name in tokens else MISSING_MARK for name in ("video", "audio", "text"))


def _timings(summary: dict[str, Any]) -> Table:
    timed = [case for case in summary["cases"] if case["seconds"] is not None]
    failed = [case for case in summary["cases"] if case["seconds"] is None and not _only_estimated(summary)]
    priced = summary["price_per_gpu_hour"] is not None
    judged = any(case["error"] is not None for case in timed)
    head = ("case", "median s", "quartiles", "n", "cold s", "s/step", "real-time factor", "TFLOP/s", "share of peak")
    head += (
        "peak GiB",
        "joules",
        *(("cost per clip", "cost per step") if priced else ()),
        *(("error",) if judged else ()),
        "valid",
    )
    rows = [
        (
            case["name"],
            number(case["seconds"]),
            "[" + ", ".join(number(value) for value in case["quartiles"]) + "]",
            str(case["n"]),
            number(case["cold_seconds"], 3),
            number(case["seconds_per_step"], 3),
            number(case["real_time_factor"], 3),
            number(case["tflop_per_s"], 3),
            percent(case["utilisation"]),
            number(case["device_peak_bytes"] and case["device_peak_bytes"] / _GIB, 3),
            number(case["joules"], 3),
            *((number(case["cost_per_clip"], 3), number(case["cost_per_step"], 3)) if priced else ()),
            *((number(case["error"], 2),) if judged else ()),
            _validity(case["verdict"]),
        )
        for case in timed
    ]
    rows += [(case["name"], *([MISSING_MARK] * (len(head) - 2)), "not run") for case in failed]
    notes = [f"{case['name']}: {reason}" for case in timed for reason in case["verdict"]["reasons"]]
    notes += [f"{case['name']}: {case['reason']}" for case in failed]
    blind: dict[str, list[str]] = {}
    for case in timed:
        for what in case["verdict"]["unchecked"]:
            blind.setdefault(what, []).append(case["name"])
    notes += [f"not checked, {what} ({_of_cases(names, len(timed))})" for what, names in blind.items()]
    if any(case["weights"] == "random" for case in timed):
        notes.append("Random weights: speed does not depend on the values, and the output was checked to be finite.")
    return Table(title="By the clock", head=head, rows=tuple(rows), notes=tuple(notes))


def _validity(verdict: dict[str, Any]) -> str:
    if not verdict["valid"]:
        return "NO"
    unchecked = [text.split(":")[0] for text in verdict["unchecked"]]
    return f"yes, {' and '.join(unchecked)} not checked" if unchecked else "yes"


def _of_cases(names: Sequence[str], count: int) -> str:
    return "all cases" if len(names) == count else ", ".join(names)


def _only_estimated(summary: dict[str, Any]) -> bool:
    return summary["device"] is not None and summary["device"]["kind"] == "meta"


def _ratios(summary: dict[str, Any]) -> Table:
    head = ("ratio", "seconds", "TFLOP per forward", "linear", "attention", "video tokens", "parameters")
    rows = [
        (
            f"{ratio['label']}, {ratio['frames']} frames: {ratio['against']} over {ratio['ours']}",
            _interval(ratio["seconds"]) + (", NOT VALID" if ratio["seconds_doubts"] else ""),
            *(
                number(ratio[key])
                for key in ("tflop_per_forward", "tflop_linear", "tflop_attention", "tokens", "parameters")
            ),
        )
        for ratio in summary["ratios"]
    ]
    note = (
        "The linear parts grow as the tokens, attention as their square: the larger share of attention is what makes "
        "the ratio of FLOPs larger than that of tokens."
    )
    doubts = [f"{ratio['label']}: {doubt}" for ratio in summary["ratios"] for doubt in ratio["seconds_doubts"]]
    return Table(title="Ratios", head=head, rows=tuple(rows), notes=(note, *doubts))


def _interval(ratio: dict[str, float] | None) -> str:
    if ratio is None:
        return MISSING_MARK
    return f"{number(ratio['ratio'])} [{number(ratio['low'])}, {number(ratio['high'])}]"


def _published(summary: dict[str, Any]) -> Table | None:
    said = summary["published"]
    if said is None or not said["rows"]:
        return None
    rows = tuple(
        (
            row["model"],
            f"{row['seconds']:.2f}",
            number(row["implied_tflop_per_s"]),
            percent(row["implied_utilisation"]),
        )
        for row in said["rows"]
    )
    notes = [f"Published, not measured here: {said['source']}."]
    if said["seconds_ratio"] is not None:
        notes.append(_explained(summary, said))
    return Table(
        title="What published seconds imply",
        head=("model", "seconds (published)", "TFLOP/s (implied)", f"share of {said['gpu']}'s peak (implied)"),
        rows=rows,
        notes=tuple(notes),
    )


def _explained(summary: dict[str, Any], said: dict[str, Any]) -> str:
    shares = {row["model"]: row["implied_tflop_per_s"] for row in said["rows"]}
    text = f"Published ratio {said['seconds_ratio']:.2f}"
    same = [r for r in summary["ratios"] if r["ours_model"] in shares and r["against_model"] in shares]
    if not same:
        return text + "."
    ratio = same[0]
    ours, against = ratio["ours_model"], ratio["against_model"]
    efficiency = shares[against] / shares[ours]
    flops = ratio["tflop_per_forward"]
    return (
        f"{text} = {flops:.2f} (FLOPs) / {efficiency:.3f} (the throughput that {against} reaches over that of {ours})."
    )


def _budgets(summary: dict[str, Any]) -> Table:
    rows = tuple(
        (
            found["model"],
            number(found["budget_gib"], 3),
            found["largest"] or "none of these sizes",
            number(found["memory_gib"], 3),
            {True: "yes", False: "no", None: MISSING_MARK}[found["was_run"]],
            number(found["peak_gib"], 3),
        )
        for found in summary["budgets"]
    )
    head = ("model", "budget (GiB)", "largest that fits, by estimate", "need (GiB)", "was run here", "peak (GiB)")
    return Table(title="The largest clip per budget of memory", head=head, rows=rows)


def _row(cells: Sequence[str], *, raw: bool = False) -> str:
    return "| " + " | ".join(cell if raw or _NUMBER.fullmatch(cell) else for_markdown(cell) for cell in cells) + " |"


def _flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            flat[f"{prefix}{key}"] = "; ".join(str(item) for item in value)
        else:
            flat[f"{prefix}{key}"] = value
    return flat
