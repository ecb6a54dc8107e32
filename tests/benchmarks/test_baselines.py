"""Published figures: whole, cited, linted, and told apart by protocol."""

import re

import pytest

from ltx2_benchmarks.baselines import Baseline, lint, list_baselines, load_baseline, load_baselines
from ltx2_benchmarks.baselines.read import parse
from ltx2_benchmarks.works import families, works

FILE = """
[protocol]
id = "bench"
title = "A bench"
benchmark = "Bench"
clips = "5 s"
n_prompts = 10
measured_by = "someone"
kind = "objective"
confidence = "A"

[source]
arxiv = "2601.03233"
table = "Table 1"
date = "2026-01"

[metrics.fvd]
name = "FVD"
direction = "lower"
unit = ""
range = [0.0, 1000.0]

[metrics.clip]
name = "CLIP"
direction = "higher"
unit = "cosine"
range = [-1.0, 1.0]

[[systems]]
name = "One"
values = { fvd = 10.0, clip = 0.3 }

[[systems]]
name = "Two"
values = { fvd = 20.0, clip = 0.2 }
"""


def made(*changes: tuple[str, str]) -> Baseline:
    text = FILE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return parse(text, "bench.toml")


def test_the_embedded_figures_are_many_cited_and_clean():
    baselines = load_baselines()
    values = [value for baseline in baselines for value in baseline.values()]
    assert len(baselines) == len(list_baselines()) >= 15
    assert len(values) >= 300
    assert lint(baselines) == []
    assert all(value.source.table and value.source.date and value.confidence in "ABC" for value in values)
    assert [baseline.protocol.id for baseline in baselines] == list_baselines()


@pytest.mark.parametrize(
    ("protocol", "system", "metric", "value"),
    [
        ("ltx2-speed", "LTX-2 19B", "s/step", 1.22),
        ("ltx2-speed", "Wan 2.2-14B", "s/step", 22.30),
        ("avgen-bench", "Seedance 2.0", "Total", 72.07),
        ("t2av-compass", "Veo-3.1", "VT", 13.39),
        ("verse-bench-mova", "MOVA-720p", "cpCER", 0.149),
        ("movie-gen-audio-bench", "HunyuanVideo-Foley", "MOS-Q", 4.14),
        ("mova-arena", "LTX-2", "Elo", 1074.1),
        ("javisbench-mini-javisgpt", "JavisDiT", "FVD", 248.9),
        ("javisbench-javisdit", "JavisDiT", "FVD", 204.1),
    ],
)
def test_figures_as_printed(protocol, system, metric, value):
    found = [v.value for v in load_baseline(protocol).values() if v.system.name == system and v.metric.name == metric]
    assert found == [value]


def test_five_desync_values_of_ltx2_keep_five_protocols():
    ours = {
        (value.value, value.protocol.id)
        for baseline in load_baselines()
        for value in baseline.values()
        if re.fullmatch(r"LTX-2( \(teacher\)|, 40 steps)?", value.system.name)
        and value.metric.name in ("AV", "DS", "DeSync")
    }
    assert sorted(value for value, _ in ours) == [0.23, 0.384, 0.451, 0.608, 0.8756]
    assert len({protocol for _, protocol in ours}) == 5


def test_a_row_may_have_a_source_and_confidence_of_its_own():
    row = 'name = "Two"\nconfidence = "C"\nsource = { title = "a board", table = "front page", date = "2026-10-03" }'
    values = {value.system.name: value for value in made(('name = "Two"', row)).values()}
    assert values["Two"].confidence == "C"
    assert values["Two"].source.label == "a board, front page, 2026-10-03"
    assert values["One"].source.label == "arXiv 2601.03233, Table 1, 2026-01"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("fvd = 10.0, clip", "fvd = 10.0, clap"), r"One: no \[metrics.clap\]"),
        (("fvd = 10.0", "fvd = nan"), "systems.0.values.fvd"),
        (("fvd = 10.0", 'fvd = "ten"'), "systems.0.values.fvd"),
        (('arxiv = "2601.03233"\n', ""), "a source needs arxiv, repository or title"),
        (('date = "2026-01"', 'date = "January"'), "source.date"),
        (('kind = "objective"', 'kind = "best"'), "protocol.kind"),
        (('title = "A bench"', 'title = "A bench"\nstars = 5'), "protocol.stars"),
        (("[protocol]", "[protocol"), "no TOML file"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_name_and_field(change, said):
    with pytest.raises(ValueError, match=said) as caught:
        made(change)
    assert "bench.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("clip = 0.3", "clip = 1.3")], "One, CLIP: 1.3 lies outside -1 to 1"),
        ([('name = "Two"', 'name = "One"')], "one: 2 rows of this name with the setting none"),
        ([('table = "Table 1"', 'table = "see the rows"')], "One: has no source of its own"),
        (
            [("fvd = 10.0, clip = 0.3", "fvd = 10.0"), ("fvd = 20.0, clip = 0.2", "fvd = 20.0")],
            "metric clip: no system",
        ),
        ([("range = [0.0, 1000.0]", "range = [5.0, 5.0]")], "FVD: range 5 to 5 is empty"),
    ],
)
def test_lint_says_what_is_wrong(changes, said):
    assert any(said in problem for problem in lint([made(*changes)]))


def test_lint_refuses_equal_columns_rows_and_ids():
    third = '\n[[systems]]\nname = "Three"\nvalues = { fvd = 10.0, clip = 0.1 }\n'
    constant = parse(FILE.replace("fvd = 20.0", "fvd = 10.0") + third, "bench.toml")
    assert lint([constant]) == ["bench: metric fvd: 3 systems have the same value 10"]
    assert lint([made(), made()])[0] == "bench: 2 files have this id"
    more = "".join(f'[metrics.m{i}]\nname = "M{i}"\ndirection = "higher"\nunit = ""\n' for i in range(4))
    cells = "values = { " + ", ".join(f"m{i} = {i}.5" for i in range(4)) + " }\n"
    head = FILE[: FILE.index("[metrics.fvd]")] + more
    rows = f'[[systems]]\nname = "One"\n{cells}'
    twins = parse(head + rows + rows.replace("One", "Two"), "bench.toml")
    assert lint([twins]) == ["bench: One and Two: identical rows"]
    other = parse((head + rows).replace('id = "bench"', 'id = "other"'), "other.toml")
    assert lint([parse(head + rows, "bench.toml"), other])[0].startswith("other: One: the same figures as in bench")
    told = parse((head + rows).replace('id = "bench"', 'id = "other"') + 'copied_from = "bench"\n', "other.toml")
    assert lint([parse(head + rows, "bench.toml"), told]) == []


def test_a_users_file_is_read_by_path_and_an_unknown_name_is_told(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(FILE)
    assert load_baseline(str(path)).protocol.id == "bench"
    with pytest.raises(ValueError, match="Did you mean 'avgen-bench'"):
        load_baseline("avgen-bensh")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"mine\.toml: cannot be read"):
        load_baseline(str(path))


def test_lint_refuses_two_columns_of_the_same_figures():
    third = '\n[[systems]]\nname = "Three"\nvalues = { fvd = 0.1, clip = 0.1 }\n'
    copied = parse(FILE.replace("fvd = 10.0", "fvd = 0.3").replace("fvd = 20.0", "fvd = 0.2") + third, "bench.toml")
    assert lint([copied]) == ["bench: metrics fvd and clip: the same values in all 3 systems"]


def test_every_paper_that_is_cited_has_a_title_and_authors():
    numbers = {v.source.arxiv.partition("v")[0] for b in load_baselines() for v in b.values() if v.source.arxiv}
    assert numbers == works().keys()
    assert all(work.title and ", " in work.authors for work in works().values())


def test_every_lead_is_of_a_family_that_is_used():
    used = {metric.family for baseline in load_baselines() for metric in baseline.metrics.values()}
    assert families().keys() <= used
