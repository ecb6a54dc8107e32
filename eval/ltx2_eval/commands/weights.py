"""`weights pull`, `status`, `verify`."""

from typing import Any

from ltx2_eval import weights
from ltx2_eval.commands.options import Given
from ltx2_eval.console import note
from ltx2_reports.escape import for_json, for_terminal


def pull_command(given: Given) -> None:
    """Fetch by name or profile."""
    if not given.names and not given.profile:
        raise ValueError("name the weights to fetch, or a profile: ltx2-eval weights pull --profile offline")
    _show(weights.pull(given.names or (), profile_name=given.profile or None, announce=note), given)


def status_command(given: Given) -> None:
    """Show all entries."""
    _show(weights.status(), given)


def verify_command(given: Given) -> None:
    """Hash every file that is here; exit code 1 if one is damaged."""
    states = weights.verify()
    _show(states, given)
    if any(state.state == "damaged" for state in states):
        raise SystemExit(1)


def rows(states: list[weights.WeightsStatus] | None = None) -> list[dict[str, Any]]:
    """The entries as table rows."""
    return [
        {
            "name": state.entry.name,
            "state": state.state,
            "from": state.entry.package or state.entry.repository or "bundled",
            "file": state.entry.file,
            "licence": state.entry.licence,
            "sha256": (state.sha256 or "unknown until first pull")[:24],
            "next": state.message,
        }
        for state in (weights.status() if states is None else states)
    ]


def _show(states: list[weights.WeightsStatus], given: Given) -> None:
    if given.json:
        print(for_json(rows(states)))
        return
    for row in rows(states):
        text = f"{row['state']:8} {row['name']:22} {row['licence']:14} {row['from']}"
        print(for_terminal(text + (f"  ->  {row['next']}" if row["next"] else "")))
