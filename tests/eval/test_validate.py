"""`validate` from end to end: on small files, on the world, stopped and resumed, and given what it cannot use."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ltx2_eval import cli
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.features import FeatureCache
from ltx2_eval.media import write_clip
from ltx2_eval.metrics.catalogue import BUILT_IN, chosen
from ltx2_eval.metrics.kernel import KernelOverClips
from ltx2_eval.reference import load_reference
from ltx2_eval.validation import measure as measuring
from ltx2_eval.validation.base import Material
from ltx2_eval.validation.catalogue import DEGRADATIONS
from ltx2_eval.validation.expectations import Response
from ltx2_eval.validation.plan import CLEAN, Aim
from ltx2_eval.validation.samples import pairs_of
from ltx2_eval.validation.set_samples import (
    DUPLICATES,
    SIZE,
    SetBench,
    duplicated,
    duplicates_point,
    set_point,
    size_point,
)
from ltx2_eval.validation.slope import slope_of
from ltx2_eval.validation.sources import Item, Source, source_of
from ltx2_eval.validation.validate import Plan, validate
from ltx2_reports.validation import read_validation

METRICS = ("video.start_offset_ms", "audio.dc_offset", "video.black_ratio")


def write_clips(folder: Path, count: int, *, sound: bool = True) -> Path:
    folder.mkdir()
    for index in range(count):
        generator = np.random.default_rng(index)
        video = generator.integers(90, 160, (8, 32, 32, 3), dtype=np.uint8)
        audio = generator.uniform(-0.3, 0.3, (2, 8000)).astype(np.float32)
        clip = Clip(video=video, fps=Fraction(12), audio=audio if sound else None, rate_hz=16000 if sound else None)
        write_clip(clip, folder / f"{index:02d}.mkv", container="mkv")
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("clips") / "mine", 12)


def plan_of(target: object, metrics: tuple[str, ...] = METRICS) -> Plan:
    source = source_of(str(target))
    return Plan(source=source, entries=chosen(metrics, "dsp"), reference=None, pool=ExtractorPool())


def silent(*_: object) -> None:
    pass


def test_verdicts_numbers_and_the_file_for_gate(clips, tmp_path):
    out = tmp_path / "out"
    result = CliRunner().invoke(
        cli.app, ["validate", str(clips), *(f"--metric={metric}" for metric in METRICS), "--out", str(out), "--json"]
    )
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert {metric: one["verdict"] for metric, one in printed["metrics"].items()} == dict.fromkeys(METRICS, "may gate")
    stored = json.loads((out / "validation.json").read_text())
    assert stored["schema"] == 1
    found = read_validation(out)
    assert found.metrics["audio.dc_offset"].protocol == stored["metrics"]["audio.dc_offset"]["protocol"]
    trials = {trial.degradation: trial for trial in found.metrics["audio.dc_offset"].trials}
    assert trials["audio.dc"].slope == pytest.approx(1.0, abs=0.01)
    assert [point.difference for point in trials["audio.dc"].points] == pytest.approx(
        [0.003, 0.01, 0.03, 0.1], abs=2e-3
    )
    assert trials["video.blur"].expected == "exactly still"
    assert trials["video.blur"].held is True
    offsets = {trial.degradation: trial for trial in found.metrics["video.start_offset_ms"].trials}
    assert [point.value for point in offsets["audio.start"].points] == pytest.approx([-400, -200, -80, 80, 200, 400])
    for name in ("validation.csv", "validation.md", "validation.html"):
        assert (out / name).stat().st_size > 1000


def test_a_stopped_validation_resumes_and_ends_the_same(clips, tmp_path, monkeypatch):
    whole = validate(plan_of(clips, ("audio.dc_offset",)), tmp_path / "whole", silent)
    monkeypatch.setattr(measuring, "_measured", _stopping_after(5))
    with pytest.raises(KeyboardInterrupt):
        validate(plan_of(clips, ("audio.dc_offset",)), tmp_path / "broken", silent)
    monkeypatch.undo()
    loads = []
    plan = plan_of(clips, ("audio.dc_offset",))
    counted = tuple(_counting(item, loads) for item in plan.source.items)
    source = Source(name=plan.source.name, items=counted, header=plan.source.header)
    resumed = validate(
        Plan(source=source, entries=plan.entries, reference=None, pool=plan.pool), tmp_path / "broken", silent
    )
    assert resumed == whole
    assert "04.mkv" not in loads  # five were done; the rest are loaded, and the first again as the last one's partner
    assert sorted(set(loads)) == ["00.mkv", *(f"{index:02d}.mkv" for index in range(5, 12))]
    assert len(loads) == 8


def _stopping_after(count: int):
    original, done = measuring._measured, []

    def measured(*args, **kwargs):
        if len(done) == count:
            raise KeyboardInterrupt
        done.append(1)
        return original(*args, **kwargs)

    return measured


def _counting(item: Item, loads: list[str]) -> Item:
    def load() -> Clip:
        loads.append(item.id)
        return item.load()

    return Item(id=item.id, prompt=item.prompt, sha256=item.sha256, load=load)


def test_another_question_in_the_same_folder_is_refused(clips, tmp_path):
    validate(plan_of(clips, ("audio.dc_offset",)), tmp_path / "out", silent)
    with pytest.raises(ValueError, match=r"other clips, metrics or levels .*; choose another --out"):
        validate(plan_of(clips, ("video.black_ratio",)), tmp_path / "out", silent)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"holds other files \(notes.txt"):
        validate(plan_of(clips, ("audio.dc_offset",)), tmp_path / "mine", silent)


def test_a_broken_clip_costs_itself_only(tmp_path):
    folder = write_clips(tmp_path / "clips", 11)
    (folder / "03.mkv").write_bytes((folder / "03.mkv").read_bytes()[:2000])
    found = validate(plan_of(folder, ("audio.dc_offset",)), tmp_path / "out", silent)
    assert list(found.unusable) == ["03.mkv"]
    assert found.metrics["audio.dc_offset"].n == 10
    assert found.metrics["audio.dc_offset"].verdict == "may gate"


def ended(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["ltx2-eval", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["{empty}"], 2, "holds no clips"),
        (["{few}"], 3, "found 3 clips, at least 10 are needed"),
        (["nowhere"], 2, "does not exist"),
        (["world:0"], 2, "expected world:COUNT"),
        (["world:x"], 2, "expected world:COUNT"),
        (["world:9"], 3, "found 9 clips, at least 10 are needed"),
        (["--metric", "video.sharpnes"], 2, "Did you mean 'video.sharpness'?"),
        (["--profile", "dps"], 2, "Did you mean 'dsp'?"),
        (["--reference", "nowhere"], 2, "is not a folder"),
        (["{clips}", "--metric", "fvd", "--out", "{out}"], 1, "no reference set: name one with --reference"),
        (["{clips}", "--metric", "runtime.generate_s", "--out", "{out}"], 1, "degraded clips say nothing about"),
        (["{clips}", "--metric", "audio.dc_offset", "--out", "{few}"], 2, "holds other files"),
    ],
)
def test_wrong_use_is_one_sentence(arguments, code, sentence, clips, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    places = {"clips": clips, "empty": tmp_path / "empty", "out": tmp_path / "out"}
    if "{few}" in arguments:
        places["few"] = write_clips(tmp_path / "few", 3)
    found, message = ended(["validate", *(word.format(**places) for word in arguments)], monkeypatch, capsys)
    assert (found, sentence in message) == (code, True), message
    assert "Traceback" not in message


def test_sound_metrics_of_clips_without_sound(tmp_path, monkeypatch, capsys):
    folder = write_clips(tmp_path / "mute", 10, sound=False)
    code, message = ended(
        ["validate", str(folder), "--metric", "audio.dc_offset", "--out", str(tmp_path / "out")], monkeypatch, capsys
    )
    assert code == 3
    assert "no metric has values on enough of these clips" in message
    found = read_validation(tmp_path / "out").metrics["audio.dc_offset"]
    assert found.verdict == "report only"
    assert found.why.startswith("no clip has a value, at least 10 are needed (the clip has no audio")


def test_a_reference_that_cannot_be_used_ends_the_work_before_it_begins(clips, tmp_path, packaged_weights):
    packaged_weights("soundnet")
    plan = plan_of(clips, ("fad_soundnet",))
    reference = load_reference(str(clips), "mkv")  # half a second of sound, where the extractor needs one
    plan = Plan(source=plan.source, entries=plan.entries, reference=reference, pool=plan.pool)
    with pytest.raises(ValueError, match=r"clip 00\.mkv: 0\.50 s of sound"):
        validate(plan, tmp_path / "out", silent)
    assert not (tmp_path / "out" / measuring.JOURNAL).exists()


WORLD_CLIPS_WITH_A_PATTERN = (0, 12, 16, 20, 21)


def test_the_offset_follows_shifts_of_the_world_one_to_one():
    """Slope 1.00 ± 0.05 over shifts of both signs, on clips of the world for which the estimator gives an answer."""
    items = [source_of("world:22").items[index] for index in WORLD_CLIPS_WITH_A_PATTERN]
    shift, entry = DEGRADATIONS["audio.shift"], BUILT_IN["av_offset_ms"]
    aim = Aim(entry=entry, scale=shift, response=Response(degradation=shift.id, course="follows", slope=1.0))
    levels = (-200.0, -80.0, 40.0, 120.0)
    meter = measuring.Meter(aims=(), entries=(entry,), pool=ExtractorPool(), cache=FeatureCache(Path("unused")))
    rows = []
    for item in items:
        clip = item.load()
        material = Material(clip=clip, prompt=item.prompt, partner_clip=clip, partner_prompt=item.prompt)
        judge = measuring._Judge(item, material, meter, False)
        values = {f"audio.shift@{level:g}": judge.degraded(shift, level, (entry,)) for level in levels}
        rows.append(measuring.Row(clip=item.id, prompt_id=item.id, values={CLEAN: judge.clean, **values}))
    pairs = [pairs_of(rows, aim, level) for level in levels]
    assert sum(len(pair.clean) for pair in pairs) >= 15
    slope = slope_of(levels, [pair.differences for pair in pairs], [pair.owners for pair in pairs])
    assert slope.value == pytest.approx(1.0, abs=0.05)


def test_the_world_keeps_its_promises_and_breaks_those_of_another_scene():
    items = source_of("world:4").items
    kept = []
    for item, other in zip(items, (*items[1:], items[0]), strict=True):
        clip, entry = item.load(), BUILT_IN["world_kept"]
        meter = measuring.Meter(aims=(), entries=(entry,), pool=ExtractorPool(), cache=FeatureCache(Path("unused")))
        material = Material(clip=clip, prompt=item.prompt, partner_clip=clip, partner_prompt=other.prompt)
        judge = measuring._Judge(item, material, meter, False)
        swapped = judge.degraded(DEGRADATIONS["prompt.swap"], 1.0, (entry,))
        kept.append((judge.clean["world_kept"], swapped["world_kept"]))
    assert all(own == 1.0 and of_another < 1.0 for own, of_another in kept), kept


def test_a_brief_validation_follows_a_course_by_its_ends(clips, tmp_path):
    out = tmp_path / "out"
    arguments = ["validate", str(clips), "--metric", "video.black_ratio", "--brief", "--out", str(out)]
    assert CliRunner().invoke(cli.app, arguments).exit_code == 0
    found = read_validation(out)
    black = next(trial for trial in found.metrics["video.black_ratio"].trials if trial.degradation == "video.black")
    assert (found.brief, [point.level for point in black.points]) == (True, [0.1, 1.0])


def test_a_brief_and_a_full_validation_have_folders_of_their_own(clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["validate", str(clips), "--metric", "video.black_ratio"]
    for brief in ([], ["--brief"]):
        assert CliRunner().invoke(cli.app, [*arguments, *brief]).exit_code == 0
    assert sorted(read_validation(path.parent).brief for path in tmp_path.rglob("validation.json")) == [False, True]


def bench(tmp_path: Path, clean: list[np.ndarray], places: dict[str, list[np.ndarray]]) -> SetBench:
    """A bench whose cache holds features that were made by hand."""
    pool, cache = ExtractorPool(), FeatureCache(tmp_path)
    items = tuple(Item(id=str(i), prompt=None, sha256=f"{i:064d}", load=lambda: None) for i in range(len(clean)))
    spec = pool.spec("soundnet-pool5")
    for place, features in {CLEAN: clean, **places}.items():
        for item, rows in zip(items, features, strict=True):
            cache.put(measuring.feature_key(item, place), spec, pool.weights_sha256(spec.id), rows)
    reference = [rows.copy() for rows in np.random.default_rng(99).normal(size=(40, 1, 256)).astype(np.float32)]
    return SetBench(entry=BUILT_IN["kad_soundnet"], items=items, reference=reference, cache=cache, pool=pool)


@pytest.fixture
def gaussian_bench(tmp_path):
    clean = list(np.random.default_rng(0).normal(size=(48, 1, 256)).astype(np.float32))
    shifted = [rows + np.float32(0.3) for rows in clean]
    return bench(tmp_path, clean, {"audio.noise@0": shifted, "audio.swap@1": [*clean[1:], clean[0]]})


def test_a_set_metric_sees_a_shift_of_all_features(gaussian_bench):
    noise = DEGRADATIONS["audio.noise"]
    aim = Aim(entry=gaussian_bench.entry, scale=noise, response=Response(degradation=noise.id, course="rises"))
    found = set_point(gaussian_bench, aim, 0)
    reference, distance = gaussian_bench.reference, KernelOverClips("gaussian", 100.0)
    before, after = (
        distance(list(f.values()), reference) for f in (gaussian_bench.clean, gaussian_bench.features("audio.noise@0"))
    )
    assert found.difference == pytest.approx(after - before)
    assert (found.n, found.pairs, found.accuracy) == (48, 6, 1.0)
    assert found.low > 0


def test_a_set_metric_does_not_see_a_swap(gaussian_bench):
    aim = Aim(entry=gaussian_bench.entry, scale=DEGRADATIONS["audio.swap"], still=True)
    assert set_point(gaussian_bench, aim, 1).difference == pytest.approx(0, abs=1e-9)


def test_copies_are_seen_and_parts_are_not(gaussian_bench):
    rises = Aim(
        entry=gaussian_bench.entry, scale=DUPLICATES, response=Response(degradation=DUPLICATES.id, course="rises")
    )
    points = [duplicates_point(gaussian_bench, rises, level) for level in DUPLICATES.levels]
    differences = [point.difference for point in points]
    assert differences == sorted(differences)
    assert points[-1].low > 0
    size = Aim(entry=gaussian_bench.entry, scale=SIZE, still=True, shown=True)
    part = size_point(gaussian_bench, size, 0.25)
    assert part.n == 12
    assert abs(part.difference) <= part.error  # the mean of 20 parts, against the error of one
    assert size_point(gaussian_bench, size, 0.125).difference is None  # six clips: too few for a value


def test_duplicates_replace_a_share_by_what_is_left():
    clips = [np.full((1, 1), index, np.float32) for index in range(8)]
    for share, distinct in ((0.0, 8), (0.5, 4), (0.75, 2), (1.0, 1)):
        found = [int(clip[0, 0]) for clip in duplicated(clips, share)]
        assert len(found) == 8
        assert len(set(found)) == distinct
        assert all(found[kept] == kept for kept in set(found))
