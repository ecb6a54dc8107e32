"""`compare` and `gate` as a user types them: exit codes, one-sentence errors, and the example workflow."""

import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer
import yaml

from ltx2_eval import cli

EXAMPLE = Path(__file__).parents[3] / "examples/github-actions/gate.yml"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Runs a command in this process; exit code, standard output, standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["ltx2-eval", *map(str, words)])
        capsys.readouterr()
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return int(code or 0), said.out, said.err

    return run


@pytest.fixture
def runs(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two equal runs of noise on four prompts and two seeds; nothing of them is timed."""
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    folders = []
    for name in ("old", "new"):
        world.go(tmp_path / name)
        folders.append(tmp_path / name)
    return folders[0], folders[1]


def test_runs_are_compared(command: Any, runs: tuple[Path, Path], tmp_path: Path) -> None:
    code, out, _ = command("compare", *runs, "--json", "--out", tmp_path / "made")
    found = {row["metric"]: row for row in json.loads(out)["metrics"]}
    assert code == 0
    assert found["brightness"]["sentence"] == "A and B are equal on every one of the 4 prompts."
    assert found["colour_distance"]["difference"] == 0.0
    assert json.loads((tmp_path / "made/compare.json").read_text()) == json.loads(out)
    assert "no prompt has a value on both sides" in (tmp_path / "made/compare.md").read_text()


def test_a_run_beside_itself_is_remarked_on_and_primaries_join_the_metrics(
    command: Any, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    words = ("--metric", "colour_distance", "--primary", "brightness")
    code, out, _ = command("compare", runs[0], runs[0], *words)
    assert code == 0
    assert "A and B are the same folder" in out
    assert out.count("(primary)") == 1
    code, out, _ = command("compare", *runs, "--metric", "brightness", "--primary", "shy", "--json")
    assert json.loads(out)["left_out"][0].startswith("shy: declared primary, but")


def test_a_margin_joins_the_metrics_and_is_answered_everywhere(
    command: Any, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    words = (
        "--metric",
        "colour_distance",
        "--margin",
        "brightness=+-0.5",
        "--margin",
        "shy=1",
        "--out",
        tmp_path / "made",
    )
    code, out, _ = command("compare", *runs, *words, "--json")
    found = json.loads(out)
    margins = {row["metric"]: row["margin"] for row in found["metrics"]}
    assert (code, margins["colour_distance"]) == (0, None)
    assert margins["brightness"]["both_sides"] is True
    assert found["left_out"][0] == "shy: has a margin, but A and B cannot be compared by it"
    assert "| margin |" in (tmp_path / "made/compare.md").read_text()


def _policy(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    return path


def test_equal_runs_pass_and_reports_are_written(command: Any, runs: tuple[Path, Path], tmp_path: Path) -> None:
    policy = _policy(tmp_path, "[metrics.brightness]\nrelative = 0.05\n")
    reports = [tmp_path / f"gate.{suffix}" for suffix in ("xml", "md", "json", "sarif")]
    words = [word for path in reports for word in ("--report", path)]
    code, out, _ = command("gate", runs[1], "--against", runs[0], "--policy", policy, *words)
    assert (code, "✓ brightness" in out) == (0, True)
    assert all(path.stat().st_size for path in reports)


def test_a_metric_without_values_does_not_pass(command: Any, runs: tuple[Path, Path], tmp_path: Path) -> None:
    policy = _policy(tmp_path, "[metrics.shy]\nabsolute = 1\n")
    code, out, _ = command("gate", "check", runs[1], "--against", runs[0], "--policy", policy, "--json")
    assert code == 3
    assert json.loads(out)["verdicts"][-1]["why"].startswith("no prompt has a value on both sides: 8 clips left out")


def test_a_known_metric_that_was_not_scored_does_not_pass(
    command: Any, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    policy = _policy(tmp_path, "[metrics.av_align]\nabsolute = 1\n")
    code, out, _ = command("gate", runs[1], "--against", runs[0], "--policy", policy)
    assert code == 3
    assert "not scored in the baseline and the run" in out


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["gate", "new", "--against", "old", "--policy", "absent.toml"], "absent.toml: No such file", 2),
        (["gate", "new", "--against", "nowhere", "--policy", "gate.toml"], "not a run folder", 2),
        (["gate", "new", "--against", "old", "--policy", "gate.toml"], "Did you mean 'brightness'?", 2),
        (["gate", "new", "--against", "old"], "--policy is needed to judge a run", 2),
        (["gate", "new", "--against", "torn", "--policy", "good.toml"], "torn/run.json", 2),
        (
            ["gate", "new", "--against", "old", "--policy", "gate.toml", "--report", "x.pdf"],
            "expected a name that ends",
            2,
        ),
        (["compare", "old", "new", "--primary", "brightnes"], "Did you mean 'brightness'?", 2),
        (["compare", "old", "new", "--metric", "fvd"], "not scored in A and B", 2),
        (["compare", "old", "new", "--metric", "brightness", "--primary", "fvd"], "fvd: declared primary, but not", 2),
        (["compare", "old", "new", "--margin", "brightness"], "expected METRIC=VALUE", 2),
        (["compare", "old", "new", "--margin", "fvd=1"], "fvd: has a margin, but not scored in A and B", 2),
        (["compare", "old", "new", "--margin", "shy=1", "--margin", "shy=2"], "shy: two margins were stated", 2),
        (["gate", "gone", "--against", "old"], "gone: no such folder", 2),
        (["compare", ".", "new"], "did you mean new or old or torn?", 2),
        (["report", "deep"], "did you mean deep/er/one?", 2),
        (["compare", "old", "cut"], "ends in an unfinished record after 1 of 8 clips and 0 scores", 1),
        (["report", "cut"], "`ltx2-eval score cut` drops it", 1),
        (["gate", "calibrate", "old", "new"], "hold the same clips", 2),
    ],
)
def test_wrong_use_is_one_sentence(
    command: Any,
    runs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
    code: int,
) -> None:
    _policy(tmp_path, "[metrics.brightnes]\nrelative = 0.05\n")
    (tmp_path / "good.toml").write_text("[metrics.brightness]\nrelative = 0.05\n")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/run.json").write_text("{")
    (tmp_path / "deep/er/one").mkdir(parents=True)
    (tmp_path / "deep/er/one/run.json").write_text("{")
    if "cut" in words:
        shutil.copytree(runs[0], tmp_path / "cut")
        lines = (runs[0] / "records.jsonl").read_bytes().splitlines(keepends=True)
        (tmp_path / "cut/records.jsonl").write_bytes(lines[0] + lines[1][:50])
    monkeypatch.chdir(tmp_path)
    found, out, err = command(*words)
    assert (found, out, said in err, err.count("\n")) == (code, "", True, 1)


def test_a_gate_that_cannot_judge_says_so_in_every_report(
    command: Any, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    reports = [tmp_path / f"gate.{suffix}" for suffix in ("xml", "md", "json", "sarif")]
    words = [word for path in reports for word in ("--report", path)]
    code, _, _ = command("gate", runs[1], "--against", runs[0], "--policy", tmp_path / "absent.toml", *words)
    assert code == 2
    assert all("absent.toml: No such file" in path.read_text() for path in reports)
    assert ElementTree.parse(reports[0]).getroot().get("errors") == "1"
    assert json.loads(reports[2].read_text())["outcome"] == "error"


@pytest.fixture
def darker(world: Any, noise_model: Any, tmp_path: Path) -> tuple[Path, Path]:
    """A run of six prompts, and one of the same prompts and seeds by a system whose pictures are much darker."""
    four = world.plan.suite
    more = [p.model_copy(update={"id": f"{p.id}-2", "text": f"{p.text} again"}) for p in four.prompts[:2]]
    world.plan = replace(world.plan, suite=replace(four, prompts=(*four.prompts, *more)))
    world.go(tmp_path / "light")
    model = noise_model()
    make = model.generate

    def generate(request: Any) -> Any:
        made = make(request)
        return replace(made, clip=replace(made.clip, video=made.clip.video // 4))

    model.generate = generate
    world.go(tmp_path / "dark", model=model)
    return tmp_path / "light", tmp_path / "dark"


def test_a_run_that_differs_regresses_from_the_command_line(
    command: Any, darker: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    light, dark = darker
    policy = _policy(tmp_path, "[metrics.brightness]\nrelative = 0.05\ndirection = 'same'\n")
    code, out, _ = command("gate", dark, "--against", light, "--policy", policy)
    assert (code, "✗ brightness" in out) == (1, True)
    code, out, _ = command("compare", light, dark, "--json")
    row = next(row for row in json.loads(out)["metrics"] if row["metric"] == "brightness")
    assert row["difference"] < 0
    assert row["noise"] == "own"


def _lines(workflow: dict[str, Any]) -> Iterator[list[str]]:
    for step in workflow["jobs"]["gate"]["steps"]:
        for line in step.get("run", "").splitlines():
            if line.strip().startswith("ltx2-eval"):
                yield shlex.split(line)[1:]


def test_the_example_workflow_uses_commands_that_exist() -> None:
    group = typer.main.get_command(cli.app)
    lines = list(_lines(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))))
    assert [words[0] for words in lines] == ["run", "gate"]
    for words in lines:
        found, rest = group, list(words)
        while hasattr(found, "commands"):
            context = found.make_context("", rest)
            _, found, rest = found.resolve_command(context, [*context._protected_args, *context.args])
        found.make_context("", rest)  # raises where an option or a value is not understood
