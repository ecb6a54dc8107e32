"""One page per metric, made of what the catalogue, the docstrings and the weights lock say, so that it stays true.

python -m ltx2_eval.metrics.pages docs/metrics
"""

import inspect
import re
import sys
from pathlib import Path

from ltx2_eval.extractors.catalogue import EXTRACTORS
from ltx2_eval.metrics.base import MetricEntry
from ltx2_eval.metrics.catalogue import BUILT_IN, implementation, profiles
from ltx2_eval.metrics.floor import FLOOR, MARGIN, is_derived
from ltx2_eval.metrics.profiles import is_free, weights_of
from ltx2_eval.metrics.typical import TYPICAL
from ltx2_eval.weights.lockfile import entry as lock_entry
from ltx2_reports.store import atomic_write

_FORMAL = re.compile(r"^(Args|Returns|Raises|Yields|Attributes):|^>>> ", re.MULTILINE)
_DIRECTIONS = {
    "up": "larger is better",
    "down": "smaller is better",
    "zero": "closer to zero is better",
    "none": "descriptive: neither large nor small is better",
}
INDEX = "README.md"


def pages() -> dict[str, str]:
    """Markdown by file name: a page for each metric that is not derived from another, and an index."""
    entries = [entry for entry in BUILT_IN.values() if not is_derived(entry)]
    found = {_file(entry): _page(entry) for entry in entries}
    return {INDEX: _index(entries), **found}


def write(folder: Path) -> None:
    """Write the pages to a folder, and remove pages of metrics that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        atomic_write(folder / name, text)


def _file(entry: MetricEntry) -> str:
    return f"{entry.spec.id}.md"


def _index(entries: list[MetricEntry]) -> str:
    rows = [
        f"| [`{entry.spec.id}`]({_file(entry)}) | {_cell(entry.spec.title)} | {_DIRECTIONS[entry.spec.direction]} | "
        f"{entry.spec.level} | {', '.join(entry.spec.needs)} | {'yes' if is_free(entry) else 'no'} |"
        for entry in entries
    ]
    head = [
        "# Metrics",
        "",
        "Made by `python -m ltx2_eval.metrics.pages docs/metrics`; a test holds the pages to the code.",
        "`free`: code and weights may be used commercially.",
        "",
        "| id | what | best | of | needs | free |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def _page(entry: MetricEntry) -> str:
    parts = [
        f"# {entry.spec.title}",
        _facts(entry),
        f"## What it measures, and how\n\n{_description(entry)}",
        f"## What it cannot see\n\n{entry.spec.cannot_see}",
        f"## Preprocessing and aggregation\n\n{_computation(entry)}",
        *([_floor(entry)] if entry.pairs is not None else []),
        f"## Typical values\n\n{_typical(entry)}",
        f"## Sources and licences\n\n{_licences(entry)}",
    ]
    return "\n\n".join(parts) + "\n"


def _facts(entry: MetricEntry) -> str:
    spec = entry.spec
    bounds = ["unbounded" if bound is None else f"{bound:g}" for bound in spec.range]
    level = "one value per clip" if spec.level == "clip" else "one value per set of clips"
    least = "clips per side" if "reference" in spec.needs else "clips"
    named = [name for name, metrics in profiles().items() if spec.id in metrics]
    rows = {
        "id": f"`{spec.id}`, version {spec.version}",
        "direction": _DIRECTIONS[spec.direction],
        "unit": spec.unit or "none",
        "range": " to ".join(dict.fromkeys(bounds)),
        "of": level,
        "needs": ", ".join(spec.needs),
        "least n": f"{spec.least_n} {least}; below, the value carries a warning" if spec.least_n > 1 else "1",
        "profiles": ", ".join(named) or "none: name it with `--metric`",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows.items())])


def _description(entry: MetricEntry) -> str:
    """The docstring as far as it is about the meaning; signatures are for programmers."""
    text = inspect.getdoc(implementation(entry)) or ""
    formal = _FORMAL.search(text)
    return (text[: formal.start()] if formal else text).strip()


def _computation(entry: MetricEntry) -> str:
    lines = []
    if entry.extractor is not None:
        spec = EXTRACTORS[entry.extractor]
        lines += [
            f"- Extractor `{spec.id}`, version {spec.version}: {spec.title} ({spec.dimension} values per window).",
            f"- Preprocessing `{spec.preprocessing}`; frames or windows `{spec.sampling}`.",
        ]
    settings = ", ".join(f"`{name}` = {value}" for name, value in entry.settings.items())
    lines += [f"- Aggregation `{entry.aggregation}`.", f"- Settings: {settings}." if settings else "- No settings."]
    return "\n".join([*lines, "", "All of this is part of the protocol whose hash stands beside every value."])


def _floor(entry: MetricEntry) -> str:
    floor, margin = (f"`{entry.spec.id}_{gives}`" for gives in (FLOOR, MARGIN))
    return (
        f"## Floor\n\nA cosine has no absolute scale. {floor} is the same mean over mismatched pairs: each clip with "
        f"what belongs to the clips of other prompts. {margin} is how far the matching pairs lie above that. Both are "
        "computed for every run with at least two prompts."
    )


def _typical(entry: MetricEntry) -> str:
    if entry.spec.id in TYPICAL:
        found = TYPICAL[entry.spec.id]
        return f"{found.values} ({found.source}). For orientation only: protocols differ."
    return "None are published for exactly this protocol; `ltx2-eval validate` measures its course on clips of yours."


def _licences(entry: MetricEntry) -> str:
    lines = [f"- Source: {entry.spec.source}.", f"- Licence of the code: {entry.spec.code_licence}."]
    for name in weights_of(entry):
        item = lock_entry(name)
        lines.append(f"- Weights `{name}`: {item.licence} ({item.title}; {item.source}).")
        lines += [f"  {item.licence_note}"] if item.licence_note else []
    if not weights_of(entry):
        inside = entry.spec.weight_licence
        lines.append(f"- The trained model is inside the program: {inside}." if inside else "- No weights.")
    return "\n".join([*lines, f"- Commercial use of all of it: {'yes' if is_free(entry) else 'no'}."])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Write the pages to the folder named."""
    if len(arguments) != 1:
        print("usage: python -m ltx2_eval.metrics.pages FOLDER", file=sys.stderr)
        return 2
    write(Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
