"""`bench` as a user types it: the comparison with Wan 2.2 by name, CPU timings, files, prices, wrong words."""

import csv
import io
import json

import pytest

from ltx2.config import NANO
from ltx2_eval import cli
from ltx2_reports.bench import read_bench


@pytest.fixture
def bench(monkeypatch, capsys):
    """Runs the command in this process; exit code, standard output, standard error."""
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["ltx2-eval", "bench", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


def test_ltx2_against_wan_on_the_meta_device(bench):
    code, out, _ = bench("--recipe", "ltx2-vs-wan22", "--device", "meta", "--json")
    found = json.loads(out)
    assert code == 0
    cases = {(case["model"], case["width"], case["height"]): case for case in found["cases"]}
    wan, ltx2 = cases["wan22:a14b", 1280, 720], cases["ltx2:19b", 1280, 704]
    assert ltx2["tflop_per_forward"] == pytest.approx(536.7, rel=0.005)
    assert cases["ltx2:19b", 768, 512]["tflop_per_forward"] == pytest.approx(198.8, rel=0.005)
    assert cases["ltx2:19b", 1920, 1088]["tflop_per_forward"] == pytest.approx(1713.7, rel=0.005)
    assert wan["tflop_per_forward"] == pytest.approx(12920, rel=0.005)
    assert (ltx2["parameters"], wan["parameters"]) == (18_876_174_592, 14_288_491_584)
    assert ltx2["tokens"] == {"video": 14080, "audio": 126, "text": 1024}
    assert wan["tokens"] == {"video": 111_600, "text": 512}
    (ratio,) = found["ratios"]
    assert ratio["tflop_per_forward"] == pytest.approx(24.07, rel=0.005)
    assert ratio["tflop_linear"] == pytest.approx(7.26, rel=0.005)
    assert ratio["tflop_attention"] == pytest.approx(60.8, rel=0.005)
    assert ratio["tokens"] == pytest.approx(7.93, rel=0.005)
    assert ratio["seconds"] is None
    shares = {row["model"]: row["implied_utilisation"] for row in found["published"]["rows"]}
    assert shares == {"ltx2:19b": pytest.approx(0.445, rel=0.005), "wan22:a14b": pytest.approx(0.586, rel=0.005)}
    assert found["published"]["seconds_ratio"] == pytest.approx(18.28, abs=0.01)


def test_the_printed_table_explains_the_ratio(bench):
    _, out, _ = bench("--recipe", "ltx2-vs-wan22", "--device", "meta")
    for figure in ("536.7", "198.8", "1,714", "12,920", "24.07", "111,600", "14,080 + 126", "368", "168.7", "2,670"):
        assert figure in out, figure
    for figure in ("10,250", "44.5%", "58.6%", "7.926", "not measured here", "18.28 = 24.07 (FLOPs) / 1.317"):
        assert figure in out, figure


def test_scaling_and_memory_on_the_meta_device(bench, tmp_path):
    code, out, _ = bench("--recipe", "paper-fig-scaling", "--device", "meta", "--json", "--out", tmp_path)
    ratios = {(r["label"], r["frames"]): r["tflop_per_forward"] for r in json.loads(out)["ratios"]}
    assert code == 0
    expected = {("480p", 81): 12.6, ("480p", 121): 15.3, ("720p", 81): 19.4, ("720p", 241): 33.9, ("720p", 481): 44.6}
    for point, ratio in {**expected, ("1080p", 121): 34.2}.items():
        assert ratios[point] == pytest.approx(ratio, rel=0.005)
    assert (tmp_path / "scaling.svg").read_text().startswith("<?xml")
    _, out, _ = bench("--recipe", "vram-ladder", "--device", "meta", "--json")
    budgets = {(b["model"], b["budget_gib"]): b["largest"] for b in json.loads(out)["budgets"]}
    assert budgets["ltx2:19b", 48] is None  # with its language model
    assert "3840x2176x121" in budgets["ltx2:19b", 80]
    offloaded = "ltx2:19b@text_encoder=none,weights=fp8,offload=true"
    assert budgets[offloaded, 8] is not None
    assert "1920x1088x121" in budgets[offloaded, 12]
    assert "3840x2176x481" in budgets[f"{offloaded},tiles=16x24x24", 24]


SMALL = ("--model", "ltx2:nano@layers=1", "--size", "64x64", "--frames", "9", "--repeats", "6", "--warmup", "1")


def test_a_cpu_is_timed_and_everything_is_kept(bench, tmp_path):
    code, out, _ = bench(*SMALL, "--size", "96x64", "--out", tmp_path, "--price-per-gpu-hour", "3.6", "--json")
    found = json.loads(out)
    assert code == 0
    case = found["cases"][0]
    assert case["n"] == 6
    assert case["quartiles"][0] <= case["seconds"] <= case["quartiles"][1]
    assert case["cost_per_step"] == pytest.approx(case["seconds"] / 1000)
    assert case["tflop_per_s"] == pytest.approx(case["tflop"] / case["seconds"])
    assert case["verdict"]["valid"] == (not case["verdict"]["reasons"])
    assert case["joules"] is not None or case["joules_source"].startswith("not available")
    assert found["device"]["packages"]["torch"]
    records = read_bench(tmp_path)
    assert [record.case.name for record in records] == [case["name"] for case in found["cases"]]
    assert json.loads((tmp_path / "bench.json").read_text()) == found
    rows = list(csv.DictReader(io.StringIO((tmp_path / "bench.csv").read_text())))
    assert [row["width"] for row in rows] == ["64", "96"]
    assert all(row["device"] and row["created_at"] and row["packages.torch"] for row in rows)
    assert "| " in (tmp_path / "bench.md").read_text()
    bench(*SMALL, "--out", tmp_path)
    assert len({record.session for record in read_bench(tmp_path)}) == 2


def test_a_clip_has_a_real_time_factor_and_a_cost(bench):
    words = ("--measure", "clip", "--steps", "1", "--repeats", "1", "--price-per-gpu-hour", "3.6", "--json")
    _, out, _ = bench("--model", "ltx2:nano", "--size", "64x64", "--frames", "9", "--warmup", "1", *words)
    (case,) = json.loads(out)["cases"]
    assert case["real_time_factor"] == pytest.approx(9 / 24 / case["seconds"])
    assert case["clips_per_hour"] == pytest.approx(3600 / case["seconds"])
    assert case["cost_per_clip"] == pytest.approx(case["seconds"] / 1000)
    assert case["seconds_per_step"] == pytest.approx(case["stages"]["denoise"])
    assert case["verdict"]["reasons"][0].startswith("count: 1 timings")


def test_a_pair_says_which_is_slower(bench):
    words = ("--size", "256x256", "--frames", "9", "--repeats", "12", "--warmup", "1")
    code, out, _ = bench("--model", "ltx2:nano@layers=1", "--against", "ltx2:nano@layers=4", *words)
    assert code == 1
    assert "12 pairs: slower" in out
    assert "two models ran in turn" not in out


def test_a_pair_that_decides_nothing_has_a_code_of_its_own(bench):
    words = ("--size", "64x64", "--frames", "9", "--repeats", "3", "--warmup", "1")
    code, out, _ = bench("--model", "ltx2:nano@layers=1", "--against", "ltx2:nano@layers=1", *words)
    assert code == 3
    assert "3 pairs: undecided" in out
    assert "! count: 3 timings" in out
    assert "! 3 pairs are too few for a verdict, which takes 8; raise --repeats" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--device", "tpu"), 2, "device 'tpu': expected cpu, cuda"),
        (("--size", "64"), 2, "--size '64': expected WIDTHxHEIGHT"),
        (("--size", "1000000000x64"), 2, "each from 1 to 99999"),
        (("--device", "cuda:x"), 2, "cuda:N with a number, as in cuda:0; or meta"),
        (("--size", "100x96"), 2, f"width is 100; it must be a multiple of {NANO.video_vae.spatial_factor}"),
        (("--frames", "50"), 2, "num_frames is 50"),
        (("--dtype", "int4"), 2, "dtype 'int4': expected one of float32"),
        (("--gpu", "h100"), 2, "unknown gpu 'h100'"),
        (("--recipe", "nano-cpu"), 2, "unknown recipe 'nano-cpu'"),
        (("--recipe", "cpu-nano", "--size", "64x64"), 2, "--size is what a recipe decides"),
        (("--model", "ovi"), 2, "unknown bench model 'ovi'"),
        (("--weights", "checkpoint"), 2, "runs with random weights"),
        (("--weights", "many"), 2, "expected random or checkpoint"),
        (("--against", "ltx2:nano", "--device", "meta"), 2, "--against compares by the clock"),
        (("--against", "ltx2:nano", "--size", "64x64", "--size", "96x96"), 2, "compares one case"),
        (("--measure", "clip", "--model", "wan22:tiny", "--frames", "9"), 2, "wan22 is measured by steps"),
        (("--steps", "5"), 2, "--steps counts the steps of a clip"),
        (("--repeats", "100000"), 2, "repeats: Input should be less than or equal to 10000"),
        (("--model", "ltx2:nano@tiles=2x3x3"), 2, "tiles are of a clip's second stage"),
        (("--run", "nowhere"), 2, "nowhere is not a run folder"),
    ],
)
def test_wrong_words_are_one_sentence(bench, words, code, message):
    found, out, err = bench(*words)
    assert (found, out) == (code, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_without_a_gpu_cuda_is_refused_by_name(bench, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, _, err = bench("--device", "cuda")
    assert code == 2
    assert "sees no CUDA device" in err


def test_a_size_that_cannot_fit_is_said_with_its_estimate(bench, monkeypatch):
    monkeypatch.setattr("ltx2_eval.bench.devices.available_bytes", lambda: 2**30)
    words = ("--model", "ltx2:19b", "--size", "1280x704", "--frames", "121", "--dtype", "bfloat16")
    code, out, err = bench(*words)
    assert code == 1  # nothing at all was timed
    assert "no case was timed; the table says why" in err
    assert "not run: it needs about 37.9 GiB (estimate), 1 GiB are free on cpu" in " ".join(out.split())


def test_one_case_that_was_timed_is_enough_and_all_rows_have_the_same_keys(bench, monkeypatch):
    monkeypatch.setattr("ltx2_eval.bench.devices.available_bytes", lambda: 2**30)
    words = ("--model", "ltx2:nano", "--model", "ltx2:19b", "--size", "64x64", "--frames", "9")
    code, out, _ = bench(*words, "--repeats", "1", "--warmup", "0", "--json")
    timed, left_out = json.loads(out)["cases"]
    assert code == 0
    assert timed["seconds"] > 0
    assert left_out["seconds"] is left_out["error"] is left_out["verdict"] is None
    assert list(timed) == list(left_out)
