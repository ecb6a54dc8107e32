"""The script that measures the full models on a GPU: on small ones and the CPU, and what it would run on a GPU."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ltx2_eval.bench.case import cases_of
from ltx2_eval.bench.devices import open_device
from ltx2_eval.bench.models import bench_model

SCRIPT = Path(__file__).parents[2] / "benchmarks/speed/gpu_full.py"


@pytest.fixture(scope="module")
def gpu_full() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_full", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_full"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")  # diffusers' imports warn about third parties
def test_small_models_on_the_cpu(gpu_full: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("diffusers")
    result = json.loads(json.dumps(gpu_full.measure(gpu_full.TINY, open_device("cpu"), 2)))
    medians = {(step["case"]["model"], step["case"]["width"]): step["timing"]["median_s"] for step in result["steps"]}
    assert sorted(medians) == [
        ("ltx2:nano", 64),
        ("ltx2:nano", 96),
        ("ltx2:nano@guidance=text-and-modality", 64),
        ("ltx2:nano@guidance=text-and-modality", 96),
        ("wan22:tiny", 64),
    ]
    assert result["ratio"] == pytest.approx(medians["wan22:tiny", 64] / medians["ltx2:nano", 64])
    assert [len(decode["seconds"]) for decode in result["decodes"]] == [2, 2]
    assert all(decode["peak_bytes"] > 0 for decode in result["decodes"])
    printed = capsys.readouterr().out
    assert "attention: " in printed
    assert printed.count("wan22:tiny") == 2  # announced, and one row


def test_the_full_cases_are_such_that_the_models_can_run(gpu_full: ModuleType) -> None:
    cases = cases_of(gpu_full.recipe_of(gpu_full.FULL, 3))
    assert len(cases) == 11
    flops = {}
    for case in cases:
        model = bench_model(case.model)
        model.check(case)
        flops[case.model, case.label] = model.estimate(case).flops
    label = "1280x704"
    assert 10 < flops["wan22:a14b", label] / flops["ltx2:19b", label] < 30
    assert flops["ltx2:19b@guidance=ltx2-default", label] == pytest.approx(3.27 * flops["ltx2:19b", label], rel=0.02)


def test_without_a_gpu_it_says_what_to_do(
    gpu_full: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_full.py", "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        gpu_full.main()
    assert ended.value.code == 2
    assert "the full models need a GPU, --device is cpu; --tiny tries the script" in capsys.readouterr().err
