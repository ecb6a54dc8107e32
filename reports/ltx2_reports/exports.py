"""A comparison for other programs: data frame, parquet, JSON, a model card's `model-index`, and a badge."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltx2_reports.comparison import Column, Comparison
from ltx2_reports.escape import for_json, for_svg, visible
from ltx2_reports.grid import value_rows
from ltx2_reports.render import CSV_FIELDS, tidy_rows
from ltx2_reports.store import atomic_path

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("json", "parquet", "model-index", "badge")
"""What `write_exports` knows."""
_FILES = {"json": "table.json", "parquet": "table.parquet", "model-index": "model-index.yaml", "badge": "badge.svg"}
_LETTER_WIDTH = 7.0
_PADDING = 8.0


def to_frame(comparison: Comparison) -> "pd.DataFrame":
    """A row per system and metric with the columns of `table.csv`.

    Raises:
        ValueError: pandas is not installed.
    """
    _require("pandas", "a data frame")
    import pandas as pd

    return pd.DataFrame(tidy_rows(comparison), columns=list(CSV_FIELDS))


def write_exports(comparison: Comparison, out: Path, formats: Sequence[str]) -> list[Path]:
    """Write the chosen forms below `out`.

    Raises:
        ValueError: see `known_formats`.
    """
    known_formats(formats)
    return [_write(comparison, out / _FILES[name], name) for name in dict.fromkeys(formats)]


def known_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """The forms as a tuple.

    Raises:
        ValueError: one is unknown, or needs a package which is not installed.
    """
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"export {name!r}: expected one of {', '.join(FORMATS)}")
        if name == "parquet":
            _require("pyarrow", "parquet")
            _require("pandas", "parquet")
    return tuple(formats)


def _write(comparison: Comparison, path: Path, name: str) -> Path:
    with atomic_path(path) as temporary:
        if name == "parquet":
            to_frame(comparison).to_parquet(temporary, index=False)
        else:
            temporary.write_text(_TEXTS[name](comparison), encoding="utf-8")
    return path


def _require(package: str, what: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ValueError(f"{what} needs {package}: pip install 'ltx2-eval[export]'")


def table_json(comparison: Comparison) -> str:
    """The tidy rows and the notes, with a schema number."""
    content = {"schema": 1, "level": comparison.level, "notes": comparison.notes, "rows": tidy_rows(comparison)}
    return for_json(content) + "\n"


def model_index(comparison: Comparison) -> str:
    """The `model-index` of a Hugging Face model card, as YAML: one entry per system, one metric per value.

    Each metric's `args` hold the interval, n and the protocol's signature, without which the value says nothing.
    """
    import yaml

    entries = [
        {"name": visible(system.label, newline=" "), "results": [_result(comparison, place)]}
        for place, system in enumerate(comparison.systems)
    ]
    text: str = yaml.safe_dump({"model-index": entries}, sort_keys=False, allow_unicode=False, width=100)
    return text


def _result(comparison: Comparison, place: int) -> dict[str, Any]:
    suite = comparison.systems[place].header.spec.suite
    return {
        "task": {"type": "text-to-video", "name": "text to audio+video"},
        "dataset": {"type": visible(suite.name, newline=" "), "name": visible(suite.label, newline=" ")},
        "metrics": [found for column in comparison.columns if (found := _metric(column, place)) is not None],
    }


def _metric(column: Column, place: int) -> dict[str, Any] | None:
    cell = column.cells[place]
    if cell.interval is None:
        return None
    return {
        "type": column.metric.id,
        "name": visible(column.metric.title, newline=" "),
        "value": cell.interval.value,
        "args": {
            "low": cell.interval.low,
            "high": cell.interval.high,
            "n": cell.n,
            "unit": column.metric.unit,
            "protocol": column.protocol.signature,
        },
    }


def badge(comparison: Comparison) -> str:
    """A small SVG for a README: the first system's first metric with its interval."""
    row = next((row for row in value_rows(comparison) if row.cells[0].limits or row.cells[0].value), None)
    label = row.name if row else "ltx2-eval"
    said = f"{row.cells[0].value} {row.cells[0].limits}".strip() if row else "no value"
    left, right = (_PADDING * 2 + _LETTER_WIDTH * len(text) for text in (label, said))
    full = f"{label}: {said}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right:.0f}" height="20" role="img" '
        f'aria-label="{for_svg(full)}"><title>{for_svg(full)}</title>'
        f'<rect width="{left + right:.0f}" height="20" rx="3" fill="#0b57a4"/>'
        f'<path d="M3 0h{left - 3:.0f}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#3d444d"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{left / 2:.0f}" y="14">{for_svg(label)}</text>'
        f'<text x="{left + right / 2:.0f}" y="14">{for_svg(said)}</text></g></svg>\n'
    )


_TEXTS: dict[str, Callable[[Comparison], str]] = {"json": table_json, "model-index": model_index, "badge": badge}
