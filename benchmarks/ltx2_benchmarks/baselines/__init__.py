"""Published figures as data: one TOML file per protocol, every value with its source.

A protocol is a benchmark with its prompts, clip settings, networks, aggregation and the people who ran it. Two figures
may be compared only where they share a protocol. A file holds `[protocol]`, `[source]` (the rows' default source),
`[metrics.KEY]` (the name as the source prints it, direction, unit, range) and one `[[systems]]` per row, with the row's
own setting, source or confidence where it has one.
"""

from ltx2_benchmarks.baselines.lint import lint
from ltx2_benchmarks.baselines.read import Baseline, Published, list_baselines, load_baseline, load_baselines
from ltx2_benchmarks.baselines.schema import PublishedMetric, PublishedProtocol, PublishedSystem, Source

__all__ = [
    "Baseline",
    "Published",
    "PublishedMetric",
    "PublishedProtocol",
    "PublishedSystem",
    "Source",
    "lint",
    "list_baselines",
    "load_baseline",
    "load_baselines",
]
