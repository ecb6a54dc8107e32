"""BibTeX for what a table cites: the sources of published figures, and of the metrics' own definitions."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ltx2_benchmarks.baselines import Baseline, Source
from ltx2_benchmarks.works import works
from ltx2_reports.escape import for_latex
from ltx2_reports.records import MetricSpec

_YEAR = re.compile(r"\b(19|20)\d\d\b")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Citation:
    """A work that a table cites."""

    key: str
    """Lower-case letters, digits and hyphens."""
    fields: tuple[tuple[str, str], ...]
    """Of the BibTeX entry; raw text but for `author`, which is in BibTeX's form."""
    url: str | None = None


def bibtex(baselines: Iterable[Baseline], metrics: Iterable[MetricSpec] = ()) -> str:
    """One entry per work, in alphabetical order of the keys.

    Titles and authors of papers come from `works.toml`; of what is not there, only what the data say goes in.

    Args:
        baselines: whose sources are cited.
        metrics: whose definitions are cited, where they name a work.
    """
    found = [citation for baseline in baselines for citation in cited(baseline)]
    found += [citation for metric in metrics if (citation := definition(metric)) is not None]
    entries = {citation.key: _entry(citation) for citation in found}
    return "\n".join(entries[key] for key in sorted(entries))


def cited(baseline: Baseline) -> tuple[Citation, ...]:
    """The works that a protocol's figures come from, each once."""
    sources = (baseline.source, *(system.source for system in baseline.systems if system.source))
    return tuple({citation.key: citation for source in sources for citation in _of_source(source)}.values())


def definition(metric: MetricSpec) -> Citation | None:
    """The work that a metric says it is defined in, or None where it names none."""
    years = _YEAR.search(metric.source)
    if years is None:
        return None
    fields = (("title", f"Definition of {metric.title}"), ("howpublished", metric.source), ("year", years.group()))
    return Citation(key=_key("metric", metric.source), fields=fields)


def _of_source(source: Source) -> Iterable[Citation]:
    year = source.date[:4]
    if source.arxiv:
        yield _paper(source.arxiv)
    if source.repository:
        yield _repository(source.repository, source.commit, year)
    if source.title and not (source.arxiv or source.repository):
        yield Citation(key=_key("", source.title), fields=(("title", source.title), ("year", year)))


def _paper(arxiv: str) -> Citation:
    number = arxiv.partition("v")[0]
    work = works().get(number)
    named = (("author", work.authors), ("title", work.title)) if work else (("title", f"arXiv:{number}"),)
    fields = (*named, ("eprint", arxiv), ("archiveprefix", "arXiv"), ("year", f"20{number[:2]}"))
    return Citation(key=f"arxiv-{number}", fields=fields, url=f"https://arxiv.org/abs/{arxiv}")


def _repository(name: str, commit: str | None, year: str) -> Citation:
    """A repository at one commit; where it is no `owner/name`, the words that stand for it."""
    version = (("note", f"commit {commit}"),) if commit else ()
    key = _key("", f"{name} {commit or ''}".strip())
    if not _REPOSITORY.fullmatch(name):
        return Citation(key=key, fields=(("title", name), ("year", year), *version))
    owner, _, title = name.partition("/")
    fields = (("author", "{" + for_latex(owner) + "}"), ("title", title), ("year", year), *version)
    return Citation(key=key, fields=fields, url=f"https://github.com/{name}")


def _key(prefix: str, text: str) -> str:
    """A key of ASCII letters; where the text loses letters on the way, a hash keeps it apart from others."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-")
    whole = len(re.sub(r"[^a-z0-9]", "", plain)) == len(re.sub(r"[\W_]", "", text))
    short = "" if whole else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return "-".join(part for part in (prefix, plain, short) if part)


def _entry(citation: Citation) -> str:
    lines = [f"  {name} = {{{text if name == 'author' else _field(text)}}}," for name, text in citation.fields]
    lines += [f"  url = {{{citation.url}}},"] if citation.url else []
    names = dict(citation.fields)
    lines += [f"  key = {{{citation.key}}},"] if "author" not in names else []  # what it is sorted by
    return "\n".join([f"@misc{{{citation.key},", *lines, "}", ""])


def _field(text: str) -> str:
    """Text whose braces balance whatever it says, as BibTeX asks."""
    return for_latex(text).replace(r"\{", r"{\char123}").replace(r"\}", r"{\char125}")


def cite(citations: Sequence[Citation]) -> str:
    r"""A LaTeX command that cites them, or nothing."""
    return rf"~\cite{{{','.join(citation.key for citation in citations)}}}" if citations else ""
