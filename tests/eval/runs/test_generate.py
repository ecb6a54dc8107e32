"""Planned samples: refused before work, made once, made again where they failed and that is asked for."""

import pytest

from ltx2_eval.environment import environment
from ltx2_eval.generate import check_plan, generate
from ltx2_eval.plan import run_spec, samples
from ltx2_eval.recording import recording
from ltx2_reports.records import read_run


@pytest.fixture
def made(world, tmp_path):
    """Generates into one run folder with a model; returns what the folder then holds."""
    plan = world.plan
    spec = run_spec(
        system="noise",
        model="noise",
        model_identity={"noise": 1},
        suite=plan.suite,
        seeds=plan.seeds,
        clip=plan.clip,
        container=plan.container,
    )

    def go(model, **options):
        with recording(tmp_path / "run", spec, environment("cpu")) as recorder:
            planned = samples(plan.suite, plan.seeds)
            generate(recorder, planned, model, plan.clip, plan.container, lambda *_: None, **options)
        return read_run(tmp_path / "run")

    return go


def test_failed_samples_are_final_unless_asked_again(made, noise_model):
    run = made(noise_model(broken={"p1-s0", "p2-s1"}))
    assert [sample for sample, clip in run.clips.items() if clip.file is None] == ["p1-s0", "p2-s1"]
    model = noise_model()
    assert made(model).clips == run.clips
    assert model.calls == []
    model = noise_model(broken={"p2-s1"})
    run = made(model, retry_failed=True)
    assert model.calls == ["p1-s0", "p2-s1"]
    assert run.clips["p1-s0"].file == "clips/p1-s0.mkv"
    assert run.clips["p1-s0"].reason is None
    assert run.clips["p2-s1"].reason.message == "the device ran out of luck"


def test_a_plan_the_model_can_never_fulfil_makes_nothing(made, noise_model, world):
    class Small(noise_model):
        def check(self, request):
            if request.sample == "p3-s1":
                raise ValueError(f"{request.width}x{request.height} is too large")

    model = Small()
    with pytest.raises(ValueError, match="6x4 is too large"):
        made(model)
    assert model.calls == []
    with pytest.raises(ValueError, match="6x4 is too large"):
        check_plan(samples(world.plan.suite, world.plan.seeds), model, world.plan.clip)
    check_plan(samples(world.plan.suite, (0,)), model, world.plan.clip)
