"""A decision for people (text, Markdown) and for programs (JUnit XML, JSON, SARIF)."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ltx2_reports.escape import for_json, for_markdown, visible
from ltx2_reports.gate.decision import Decision
from ltx2_reports.gate.verdict import Outcome, Verdict

_MARKS: dict[Outcome, str] = {"passed": "✓", "regressed": "✗", "not enough data": "?"}
_SUITE = "ltx2-eval gate"
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def to_text(decision: Decision) -> str:
    """Plain lines; raw text, the caller makes it safe for a terminal."""
    width = max(len(verdict.metric) for verdict in decision.verdicts)
    lines = [
        f"{_MARKS[verdict.outcome]} {verdict.metric:{width}}  {verdict.outcome}: {verdict.why}"
        for verdict in decision.verdicts
    ]
    return "\n".join([*lines, *(f"! {note}" for note in decision.notes), headline(decision)])


def headline(decision: Decision) -> str:
    """One line: the outcome and between what."""
    counts = [(outcome, sum(verdict.outcome == outcome for verdict in decision.verdicts)) for outcome in _MARKS]
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts if count)
    against = f"{decision.run.system} against {decision.baseline.system}"
    left_out = len(decision.policy.policy.left_out)
    return f"{decision.outcome}: {against} ({said}{f'; {left_out} metrics left out as too noisy' if left_out else ''})"


def to_markdown(decision: Decision) -> str:
    """For a pull request."""
    lines = [f"### {_MARKS[decision.outcome]} Gate: {for_markdown(headline(decision))}", ""]
    lines += ["| metric | baseline | run | loss | ruled out above | tolerated | Holm p | verdict |", f"|{'---|' * 8}"]
    lines += [f"| {' | '.join(map(for_markdown, _row(verdict)))} |" for verdict in decision.verdicts]
    said = [v for v in decision.verdicts if v.outcome != "passed"]
    lines += ["", *(f"- **{for_markdown(v.metric)}**, {v.outcome}: {for_markdown(v.why)}" for v in said)]
    lines += [f"- {for_markdown(note)}" for note in decision.notes]
    return "\n".join(lines).rstrip() + "\n"


def _row(verdict: Verdict) -> tuple[str, ...]:
    loss = verdict.loss
    numbers = (loss.baseline, loss.value, loss.loss) if loss else (None, None, None)
    tolerated = loss.tolerance if loss and loss.loss is not None else None
    shown = [_number(value) for value in (*numbers, verdict.limit, tolerated)]
    p = "—" if verdict.p_holm is None else f"{verdict.p_holm:.2g}"
    return (verdict.metric, *shown, p, f"{_MARKS[verdict.outcome]} {verdict.outcome}")


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.4g}"


def facts(decision: Decision) -> dict[str, Any]:
    """Everything, numbers in full."""
    sides = {"run": decision.run, "baseline": decision.baseline}
    return {
        "schema": 1,
        "outcome": decision.outcome,
        "exit_code": decision.exit_code,
        "policy": str(decision.policy.path),
        **{name: {"system": side.system, "folder": str(side.folder)} for name, side in sides.items()},
        "notes": list(decision.notes),
        "verdicts": [_facts(verdict) for verdict in decision.verdicts],
    }


def _facts(verdict: Verdict) -> dict[str, Any]:
    loss = verdict.loss
    fields = (
        "unit",
        "baseline",
        "value",
        "loss",
        "error",
        "n",
        "unit_of_n",
        "p",
        "tolerance",
        "is_margin",
        "two_sided",
    )
    return {
        "metric": verdict.metric,
        "title": verdict.title,
        "outcome": verdict.outcome,
        "why": verdict.why,
        "limit": verdict.limit,
        "p_holm": verdict.p_holm,
        "detectable": verdict.detectable,
        **{field: getattr(loss, field) for field in fields if loss is not None},
    }


def to_json(decision: Decision) -> str:
    """`facts` as JSON."""
    return for_json(facts(decision)) + "\n"


def to_junit(decision: Decision) -> str:
    """JUnit XML: a test case per verdict; regressed is a failure, not enough data an error."""
    verdicts = decision.verdicts
    counts = {
        "tests": len(verdicts),
        "failures": sum(verdict.outcome == "regressed" for verdict in verdicts),
        "errors": sum(verdict.outcome == "not enough data" for verdict in verdicts),
    }
    attributes = {name: str(count) for name, count in counts.items()}
    root = ElementTree.Element("testsuites", {"name": _SUITE, "time": "0", **attributes})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _SUITE, "time": "0", "skipped": "0", **attributes})
    for verdict in verdicts:
        _add_case(suite, verdict)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ElementTree.Element, verdict: Verdict) -> None:
    why = visible(verdict.why, newline=" ")
    case = ElementTree.SubElement(suite, "testcase", _case(verdict))
    if verdict.outcome == "passed":
        ElementTree.SubElement(case, "system-out").text = why
        return
    kind = "failure" if verdict.outcome == "regressed" else "error"
    ElementTree.SubElement(case, kind, {"message": why, "type": verdict.outcome}).text = why


def _case(verdict: Verdict) -> dict[str, str]:
    return {"name": visible(verdict.metric, newline=" "), "classname": _SUITE, "time": "0"}


def to_sarif(decision: Decision) -> str:
    """SARIF 2.1.0: a result per verdict that is not passed, at the metric's line of the policy."""
    results = [_result(decision, verdict) for verdict in decision.verdicts if verdict.outcome != "passed"]
    names = dict.fromkeys(verdict.metric for verdict in decision.verdicts)
    titles = {verdict.metric: verdict.title for verdict in decision.verdicts}
    rules = [{"id": name, "shortDescription": {"text": visible(titles[name] or name)}} for name in names]
    driver = {"name": "ltx2-eval", "rules": rules}
    return (
        for_json(
            {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
        )
        + "\n"
    )


def _result(decision: Decision, verdict: Verdict) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": _uri(decision.policy.path)},
        "region": {"startLine": decision.policy.lines.get(verdict.metric, 1)},
    }
    return {
        "ruleId": verdict.metric,
        "level": "error" if verdict.outcome == "regressed" else "warning",
        "message": {"text": visible(f"{verdict.metric}: {verdict.outcome}: {verdict.why}")},
        "locations": [{"physicalLocation": place}],
    }


def _uri(path: Path) -> str:
    """Relative to the working directory, which code scanning takes for the repository; else a full address."""
    full = path.resolve()
    return full.relative_to(Path.cwd()).as_posix() if full.is_relative_to(Path.cwd()) else full.as_uri()


def error_text(suffix: str, message: str) -> str:
    """A report of a gate that could not judge, in the format of a file's ending; no verdict, and never a pass."""
    said = visible(message, newline=" ")
    if suffix == ".md":
        return f"### ? Gate: no verdict\n\n{for_markdown(said)}\n"
    if suffix == ".json":
        return for_json({"schema": 1, "outcome": "error", "exit_code": 2, "error": message}) + "\n"
    if suffix == ".sarif":
        driver = {"name": "ltx2-eval", "rules": [{"id": "gate", "shortDescription": {"text": "No verdict"}}]}
        result = {"ruleId": "gate", "level": "error", "message": {"text": said}}
        runs = [{"tool": {"driver": driver}, "results": [result]}]
        return for_json({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": runs}) + "\n"
    counts = {"tests": "1", "failures": "0", "errors": "1", "time": "0"}
    root = ElementTree.Element("testsuites", {"name": _SUITE, **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _SUITE, "skipped": "0", **counts})
    case = ElementTree.SubElement(suite, "testcase", {"name": "gate", "classname": _SUITE, "time": "0"})
    ElementTree.SubElement(case, "error", {"message": said, "type": "no verdict"}).text = said
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
