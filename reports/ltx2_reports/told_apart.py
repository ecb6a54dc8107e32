"""Runs of one name told apart by their folders, and columns of one metric by what differs between their protocols."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from ltx2_reports.records import Protocol, Run

_LONGEST = 24


def labels_of(runs: Sequence[Run]) -> list[str]:
    """The systems' names; equal ones with what differs between their folders, `nano (a)` and `nano (b)`."""
    names = [run.header.spec.system for run in runs]
    several = {name for name, count in Counter(names).items() if count > 1}
    labels = list(names)
    for name in several:
        places = [place for place, other in enumerate(names) if other == name]
        tails = _tails([runs[place].folder for place in places])
        for place, tail in zip(places, tails, strict=True):
            labels[place] = f"{name} ({tail})" if tail else name
    return distinct_labels(labels)


def distinct_labels(labels: Sequence[str]) -> list[str]:
    """Number the second and later of equal labels: `nano`, `nano (2)`."""
    made: list[str] = []
    for label in labels:
        number = 2
        new = label
        while new in made:
            new, number = f"{label} ({number})", number + 1
        made.append(new)
    return made


def _tails(folders: Sequence[Path]) -> list[str]:
    """Of each folder as few parts of its path as tell all apart, without what all end in; empty where all are one."""
    parts = [folder.resolve().parts[::-1] for folder in folders]
    shortest = min(map(len, parts))
    start = next((k for k in range(shortest) if len({names[k] for names in parts}) > 1), shortest)
    for end in range(start + 1, max(map(len, parts)) + 1):
        tails = ["/".join(names[start:end][::-1]) for names in parts]
        if len(set(tails)) == len(set(parts)):
            return tails
    return [""] * len(folders)


def mixed_sentences(columns: Sequence[tuple[str, Protocol, Sequence[str]]]) -> list[str]:
    """What keeps columns of one metric apart, each cause said once for all metrics that it holds for.

    Args:
        columns: of each the metric, the protocol, and the systems that have a value under it.
    """
    causes: dict[str, tuple[list[str], list[str], list[str]]] = {}
    for (metric, first, ours), (other, second, theirs) in combinations(columns, 2):
        if metric == other:
            ways = [
                ("; ".join(first.difference(second)), ours, theirs),
                ("; ".join(second.difference(first)), theirs, ours),
            ]
            fields, here, there = min(ways, key=lambda way: way[0])
            metrics, some, others = causes.setdefault(fields, ([], [], []))
            metrics.append(metric)
            some.extend(here)
            others.extend(there)
    return [
        f"{_listed(metrics)}: {_once(some)} and {_once(others)} are not comparable, they differ in {fields}"
        f"{_way_out(fields)}"
        for fields, (metrics, some, others) in causes.items()
    ]


def _once(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _way_out(fields: str) -> str:
    if not fields.startswith("suite: ") or ";" in fields:
        return ""
    return "; `ltx2-eval compare A B` takes the prompts that two of them have in common"


def _listed(metrics: Sequence[str]) -> str:
    names = list(dict.fromkeys(metrics))
    return f"{len(names)} metrics ({', '.join(names)})" if len(names) > 1 else names[0]


def distinctions(protocols: Sequence[Protocol]) -> list[str]:
    """For each of several protocols of one metric the fields by which it differs from the others, as short text.

    Such as `suite world[:4]@1.0` beside `suite world[:6]@1.0`; empty for a protocol that is alone.
    """
    contents = [_flat(protocol) for protocol in protocols]
    keys = list(dict.fromkeys(key for content in contents for key in content))
    differing = [key for key in keys if len({repr(content.get(key)) for content in contents}) > 1]
    shown = [{key: _short(content.get(key)) for key in differing} for content in contents]
    if len({tuple(texts.items()) for texts in shown}) < len({protocol.identity for protocol in protocols}):
        shown = [{key: str(content.get(key)) for key in differing} for content in contents]
    return [", ".join(f"{key} {text}" for key, text in texts.items()) for texts in shown]


def _flat(protocol: Protocol) -> Mapping[str, object]:
    content = protocol.model_dump(mode="json")
    settings = content.pop("settings")
    return {**content, **settings}


def _short(value: object) -> str:
    """Without hashes, and not too long; a distinction that this hides is shown in full."""
    text = "none" if value is None else str(value)
    name, _, _ = text.partition("#")
    return (name or text)[:_LONGEST]
