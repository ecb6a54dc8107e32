import json
import tomllib
from pathlib import Path

import pytest

import ltx2_benchmarks
from ltx2_benchmarks.axes import AXES, coverage
from ltx2_benchmarks.lint import lint
from ltx2_benchmarks.prompt import Prompt
from ltx2_benchmarks.suite import Suite, list_suites, load_suite

SUITES = Path(ltx2_benchmarks.__file__).parent / "suites"
VERSIONS = tomllib.loads((SUITES / "versions.toml").read_text(encoding="utf-8"))


def embedded_rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (SUITES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def written(path: Path, rows: list[dict], **style) -> Path:
    path.write_text("".join(json.dumps(row, **style) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "mine.jsonl"


@pytest.mark.parametrize("name", list_suites())
def test_embedded_suites_are_clean_and_free(name):
    suite = load_suite(name)
    assert lint(suite) == []
    assert suite.name == name
    assert suite.licence == "CC0-1.0"
    assert suite.title


@pytest.mark.parametrize("name", list_suites())
def test_a_changed_suite_needs_a_new_version(name):
    suite = load_suite(name)
    versions = VERSIONS.get(name, {})
    line = f'[{name}]\n"{suite.version}" = "{suite.sha256}"'
    assert suite.version in versions, f"add to versions.toml: {line}"
    assert versions[suite.version] == suite.sha256, (
        f"{name} changed: raise its version and add to versions.toml: {line}"
    )
    assert suite.version == max(versions, key=lambda version: [int(part) for part in version.split(".")])


def test_versions_name_only_suites_that_exist():
    assert set(VERSIONS) == set(list_suites())


def test_sizes_and_coverage():
    ci, smoke = load_suite("ci"), load_suite("smoke")
    assert (len(ci.prompts), len(smoke.prompts)) == (60, 12)
    assert [(axis, value) for axis, counts in coverage(ci).items() for value in counts if not counts[value]] == []
    assert set(coverage(ci)) == set(AXES)
    assert all(prompt in ci.prompts for prompt in smoke.prompts)


def test_smoke_is_short_and_speaks():
    smoke = load_suite("smoke")
    assert all(prompt.duration_s <= 20 for prompt in smoke.prompts)
    assert {"1", "2", "3", "4+"} <= {prompt.axes["speakers"] for prompt in smoke.prompts}
    assert {"en", "es", "ja"} <= {line.language for prompt in smoke.prompts for line in prompt.expectations.speech}


def test_hash_ignores_spelling(file):
    rows = embedded_rows("ci")
    turned = [dict(reversed(row.items())) for row in rows]
    for row in turned[1:]:
        row["duration_s"] = float(row["duration_s"])
        row.setdefault("tags", [])
        row.setdefault("scene", None)
    spelled = load_suite(written(file, turned, ensure_ascii=True, separators=(" , ", " :  ")))
    assert spelled.sha256 == load_suite("ci").sha256
    spelled = load_suite(written(file, [{"suite": "other", "version": "7.1"}, *rows[1:]]))
    assert spelled.sha256 == load_suite("ci").sha256
    assert (spelled.name, spelled.version) == ("other", "7.1")


def test_hash_sees_the_order_of_prompts(file):
    header, first, second, *rest = embedded_rows("smoke")
    assert load_suite(written(file, [header, second, first, *rest])).sha256 != load_suite("smoke").sha256


def leaves(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path
    else:
        for key, item in items:
            yield from leaves(item, (*path, key))


def changed(prompt: dict, path: tuple) -> dict:
    copy = json.loads(json.dumps(prompt))
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    old = holder[path[-1]]
    holder[path[-1]] = (not old) if isinstance(old, bool) else old + "x" if isinstance(old, str) else old + 1
    return copy


def one(prompt: Prompt) -> str:
    return Suite(name="x", version="1", licence="", title="", origin="written", prompts=(prompt,)).sha256


def test_hash_sees_every_value():
    tried = 0
    for row in embedded_rows("smoke")[1:]:
        for path in leaves(row):
            try:
                prompt = Prompt.model_validate_json(json.dumps(changed(row, path)))
            except ValueError:  # such as a language tag with an x
                continue
            tried += 1
            assert one(prompt) != one(Prompt.model_validate_json(json.dumps(row))), path
    assert tried > 250


def test_unknown_names_suggest_and_list():
    with pytest.raises(ValueError, match=r"unknown suite 'smoek'. Did you mean 'smoke'\? Available: ci, .*smoke"):
        load_suite("smoek")
    with pytest.raises(ValueError, match=r"'nowhere\.jsonl' cannot be read: No such file"):
        load_suite("nowhere.jsonl")
    with pytest.raises(ValueError, match=r"found ending '.yaml', expected .jsonl, .csv, .txt"):
        load_suite("./mine.yaml")


def test_text_file_is_a_prompt_per_line(tmp_path):
    path = tmp_path / "Meine Prompts é.txt"
    path.write_bytes("\ufeffA door slams.\r\n\r\n  Ein Hund bellt. \r\n".encode())
    suite = load_suite(str(path))
    assert [(prompt.id, prompt.text) for prompt in suite.prompts] == [
        ("p0001", "A door slams."),
        ("p0002", "Ein Hund bellt."),
    ]
    assert (suite.name, suite.version, suite.licence) == ("user-meine-prompts", "0", "not stated")
    assert (suite.prompts[0].language, suite.prompts[0].duration_s) == ("und", 5.0)


def test_table_file_keeps_commas_and_line_ends_in_cells(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text('id,text,duration_s,language\na,"A door, slams\nhard.",10,en\n\nb,Rain.,,\n', encoding="utf-8")
    a, b = load_suite(path).prompts
    assert (a.id, a.text, a.duration_s, a.language) == ("a", "A door, slams\nhard.", 10.0, "en")
    assert (b.id, b.text, b.duration_s, b.language) == ("b", "Rain.", 5.0, "und")


def test_line_file_without_header_or_ids(file):
    suite = load_suite(written(file, [{"text": "One."}, {"text": "Two."}]))
    assert [prompt.id for prompt in suite.prompts] == ["p0001", "p0002"]


def test_a_user_file_beside_us_is_not_the_embedded_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "smoke.jsonl", [{"text": "Mine."}])
    assert load_suite("smoke.jsonl").name == "user-smoke"
    assert len(load_suite("smoke").prompts) == 12
