"""A comparison for other programs: data frame, parquet, JSON, a model card's `model-index`, and a badge."""

import importlib.util
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltx2_benchmarks.baselines import Baseline
from ltx2_reports.comparison import Column, Comparison
from ltx2_reports.escape import for_json, for_svg, visible
from ltx2_reports.grid import footnotes, value_rows
from ltx2_reports.published import PublishedTable, namesake_tables
from ltx2_reports.published_render import CSV_FIELDS as PUBLISHED_FIELDS
from ltx2_reports.published_render import published_rows
from ltx2_reports.render import CSV_FIELDS, tidy_rows
from ltx2_reports.store import atomic_path, atomic_write

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("json", "parquet", "model-index", "badge")
"""What `write_exports` knows."""
_FILES = {"json": "table.json", "parquet": "table.parquet", "model-index": "model-index.yaml", "badge": "badge.svg"}
PUBLISHED_PARQUET = "published.parquet"
_NARROW, _WIDE = 7.0, 12.0
_PADDING = 8.0
_LONGEST_BADGE = 48


class MissingPackageError(ValueError):
    """A form of export needs a package that is not installed."""


def to_frame(comparison: Comparison) -> "pd.DataFrame":
    """A row per system and metric with the columns of `table.csv`.

    Raises:
        ValueError: pandas is not installed.
    """
    _require("pandas", "a data frame")
    import pandas as pd

    return pd.DataFrame(tidy_rows(comparison), columns=list(CSV_FIELDS))


def published_frame(published: Sequence[Baseline]) -> "pd.DataFrame":
    """A row per published value with the columns of `published.csv`.

    Raises:
        ValueError: pandas is not installed.
    """
    _require("pandas", "a data frame")
    import pandas as pd

    return pd.DataFrame(published_rows(published), columns=list(PUBLISHED_FIELDS))


def write_exports(
    comparison: Comparison, out: Path, formats: Sequence[str], published: Sequence[Baseline] = ()
) -> list[Path]:
    """Write the chosen forms below `out`.

    Published figures go into JSON (a block of their own) and parquet (a file of their own). They are other people's
    results, so that model cards and badges have none.

    Raises:
        ValueError: see `known_formats`.
    """
    known_formats(formats)
    chosen = tuple(dict.fromkeys(formats))
    written = [_write(comparison, out / _FILES[name], name, published) for name in chosen]
    if "model-index" in chosen and len(comparison.systems) > 1:
        written += [_model_card(comparison, out, place) for place in range(len(comparison.systems))]
    if "parquet" in chosen and published:
        written.append(out / PUBLISHED_PARQUET)
        with atomic_path(written[-1]) as temporary:
            published_frame(published).to_parquet(temporary, index=False)
    return written


def _model_card(comparison: Comparison, out: Path, place: int) -> Path:
    """A model card holds one model: its own file beside the one of all."""
    plain = re.sub(r"[^a-z0-9]+", "-", comparison.systems[place].label.lower()).strip("-")[:60]
    path = out / "model-index" / f"{place + 1}{'-' + plain if plain else ''}.yaml"
    atomic_write(path, model_index(comparison, (place,)))
    return path


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


def _write(comparison: Comparison, path: Path, name: str, published: Sequence[Baseline]) -> Path:
    with atomic_path(path) as temporary:
        if name == "parquet":
            to_frame(comparison).to_parquet(temporary, index=False)
        else:
            text = table_json(comparison, published) if name == "json" else _TEXTS[name](comparison)
            temporary.write_text(text, encoding="utf-8")
    return path


def _require(package: str, what: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingPackageError(f"{what} needs {package}: pip install 'ltx2-eval[export]'; nothing was written")


def table_json(comparison: Comparison, published: Sequence[Baseline] = ()) -> str:
    """The tidy rows, footnotes and notes; apart from them the published figures, and why namesakes differ."""
    content = {
        "schema": 1,
        "level": comparison.level,
        "notes": comparison.notes,
        "footnotes": footnotes(comparison),
        "rows": tidy_rows(comparison),
        "published": published_rows(published),
        "namesakes": [_namesakes(table) for table in namesake_tables(published)],
    }
    return for_json(content) + "\n"


def _namesakes(table: PublishedTable) -> dict[str, Any]:
    """One name, several protocols: a list of values per model, each with the protocol that made it."""
    columns = [
        {"protocol": head.protocol, "name": head.name, "how": head.about, "printed": _filled(table, place)}
        for place, head in enumerate(table.heads)
    ]
    return {"family": table.id, "title": table.title, "why": table.lead, "columns": columns}


def _filled(table: PublishedTable, place: int) -> dict[str, str]:
    return {line.system: line.values[place] for line in table.lines if line.numbers[place] is not None}


def model_index(comparison: Comparison, places: Sequence[int] | None = None) -> str:
    """The `model-index` of a Hugging Face model card, as YAML: one entry per system, one metric per value.

    Args:
        comparison: of the systems.
        places: of the systems to write; None: all.

    Each metric's `args` hold the interval, n and the protocol's signature, without which the value says nothing.
    """
    import yaml

    entries = [
        {"name": visible(system.label, newline=" "), "results": [_result(comparison, place)]}
        for place, system in enumerate(comparison.systems)
        if places is None or place in places
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
    """A small SVG for a README: the first system, its first metric with a value, and the interval."""
    system = comparison.systems[0].label
    row = next((row for row in value_rows(comparison) if row.cells[0].limits), None)
    label = _cut(visible(f"{system}: {row.name}" if row else f"{system}: ltx2-eval", newline=" "))
    said = f"{row.cells[0].value} {row.cells[0].limits}".strip() if row else "no value"
    left, right = (_PADDING * 2 + _width(text) for text in (label, said))
    full = f"{label} {said}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right:.0f}" height="20" role="img" '
        f'aria-label="{for_svg(full)}"><title>{for_svg(full)}</title>'
        f'<rect width="{left + right:.0f}" height="20" rx="3" fill="#0b57a4"/>'
        f'<path d="M3 0h{left - 3:.0f}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#3d444d"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{left / 2:.0f}" y="14">{for_svg(label)}</text>'
        f'<text x="{left + right / 2:.0f}" y="14">{for_svg(said)}</text></g></svg>\n'
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_BADGE else f"{text[: _LONGEST_BADGE - 1]}…"


def _width(text: str) -> float:
    """Pixels of a text at 11 px, roughly: letters of East Asian scripts and emoji are wide."""
    return sum(_WIDE if unicodedata.east_asian_width(letter) in "WF" else _NARROW for letter in text)


_TEXTS: dict[str, Callable[[Comparison], str]] = {"model-index": model_index, "badge": badge}
