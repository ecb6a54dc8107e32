"""`weights pull`, `status`, `verify`."""

from typing import Any

from ltx2_eval import weights
from ltx2_eval.commands.options import Given
from ltx2_eval.console import note
from ltx2_eval.extractors.base import NotAvailable
from ltx2_reports.escape import for_json, for_terminal
from ltx2_reports.store import DamagedError


def pull_command(given: Given) -> None:
    """Fetch by name or profile."""
    if not given.names and not given.profile:
        raise ValueError("name the weights to fetch, or a profile: ltx2-eval weights pull --profile offline")
    wanted = dict.fromkeys([*(given.names or ()), *(weights.profile(given.profile) if given.profile else ())])
    for name in wanted:
        weights.entry(name)  # a wrong name is told before anything is fetched
    if not wanted and not given.json:
        note(f"profile {given.profile} needs no weights")
    states, failed = [], {}
    for name in wanted:
        try:
            states += weights.pull([name], announce=note)
        except (NotAvailable, DamagedError) as error:
            if len(wanted) == 1:
                raise
            failed[name] = error
            note(f"{name}: {error}")
    _show(states, given)
    if failed:
        raise NotAvailable(f"{len(failed)} of {len(wanted)} not fetched, see above: {', '.join(failed)}")


def list_command(given: Given) -> None:
    """List all entries, or those of a profile, with what a user decides by before fetching."""
    from ltx2_eval.metrics.catalogue import catalogue
    from ltx2_eval.metrics.profiles import weights_of

    chosen = weights.profile(given.profile) if given.profile else [item.name for item in weights.lock().weights]
    users: dict[str, list[str]] = {name: [] for name in chosen}
    for metric, entry in catalogue().items():
        for name in weights_of(entry):
            users.get(name, []).append(metric)
    found = [
        {
            "name": item.name,
            "title": item.title,
            "size": item.size,
            "from": _origin(item),
            "licence": item.licence,
            "code_licence": item.code_licence,
            "licence_note": item.licence_note,
            "revision": item.revision or item.version,
            "pinned": item.is_pinned,
            "source": item.source,
            "metrics": users[item.name],
        }
        for item in map(weights.entry, chosen)
    ]
    if given.json:
        print(for_json(found))
        return
    for row, item in zip(found, map(weights.entry, chosen), strict=True):
        size = f"{item.size / 1e6:.{1 if item.size < 1e7 else 0}f} MB" if item.size else "size unknown"
        print(for_terminal(f"{item.name:22} {item.licence:18} {size:>12}  {row['from']}: {item.title}"))
        for line in _more(item, users[item.name]):
            print(for_terminal(f"{'':22} {line}"))


def _more(item: weights.Entry, metrics: list[str]) -> list[str]:
    """Who needs an entry, what its licence's name does not say, and that only the first pull binds it."""
    from ltx2_eval.metrics.catalogue import catalogue
    from ltx2_eval.metrics.floor import is_derived

    whole = [name for name in metrics if not is_derived(catalogue()[name])]
    lines = [f"for {', '.join(whole)}" if whole else "for no metric by itself"]
    lines += [item.licence_note] if item.licence_note else []
    lines += [] if item.is_pinned else [f"not pinned ({item.revision or item.kind}): the first pull binds its hash"]
    return lines


def status_command(given: Given) -> None:
    """Show all entries."""
    _show(weights.status(), given)
    if not given.json:
        note("no file was read; `ltx2-eval weights verify` finds those that were changed")


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
            "from": _origin(state.entry),
            "file": state.entry.file,
            "licence": state.entry.licence,
            "sha256": (state.sha256 or "unknown until first pull")[:24],
            "next": state.message,
        }
        for state in (weights.status() if states is None else states)
    ]


def _origin(item: weights.Entry) -> str:
    return item.package or item.repository or "bundled"


def _show(states: list[weights.WeightsStatus], given: Given) -> None:
    if given.json:
        print(for_json(rows(states)))
        return
    for row in rows(states):
        text = f"{row['state']:8} {row['name']:22} {row['licence']:14} {row['from']}"
        print(for_terminal(text + (f"  ->  {row['next']}" if row["next"] else "")))
