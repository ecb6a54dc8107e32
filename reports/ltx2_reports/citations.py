"""BibTeX for what a table cites: the sources of published figures, and of the metrics' own definitions."""

import re
from collections.abc import Iterable

from ltx2_benchmarks.baselines import Baseline, Source
from ltx2_reports.escape import for_latex


def bibtex(baselines: Iterable[Baseline]) -> str:
    """One entry per work, in alphabetical order; empty without baselines.

    Only what the data say goes in: a work known by its number alone has no title and no authors here.
    """
    entries: dict[str, str] = {}
    for baseline in baselines:
        for source in (baseline.source, *(system.source for system in baseline.systems if system.source)):
            for key, fields in _works(source):
                entries.setdefault(key, _entry(key, fields))
    return "\n".join(entries[key] for key in sorted(entries))


def _works(source: Source) -> Iterable[tuple[str, dict[str, str]]]:
    year = source.date[:4]
    if source.arxiv:
        number = source.arxiv.partition("v")[0]
        fields = {"eprint": source.arxiv, "archiveprefix": "arXiv", "year": f"20{number[:2]}"}
        yield f"arxiv-{number}", {"title": f"arXiv:{number}", **fields, "url": f"https://arxiv.org/abs/{source.arxiv}"}
    if source.repository:
        version = {"note": f"commit {source.commit}"} if source.commit else {}
        link = (
            {"url": f"https://github.com/{source.repository}"}
            if re.fullmatch(r"[\w.-]+/[\w.-]+", source.repository)
            else {}
        )
        yield _key(source.repository), {"title": source.repository, "year": year, **version, **link}
    if source.title and not (source.arxiv or source.repository):
        yield _key(source.title), {"title": source.title, "year": year}


def _key(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _entry(key: str, fields: dict[str, str]) -> str:
    lines = [f"  {name} = {{{value if name == 'url' else for_latex(value)}}}," for name, value in fields.items()]
    return "\n".join([f"@misc{{{key},", *lines, "}", ""])
