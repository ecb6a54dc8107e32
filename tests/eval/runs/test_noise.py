"""Every sample starts from noise of its own, the same in every system, and its record says which."""

import dataclasses
import hashlib
from typing import Any

import pytest

from ltx2_benchmarks.suite import load_suite
from ltx2_eval.models.base import Generated, GenerationRequest
from ltx2_eval.models.command import CommandModel
from ltx2_eval.models.folder import FolderModel
from ltx2_eval.models.registry import ModelContext, load_model
from ltx2_eval.noise import noise_seed
from ltx2_eval.plan import request, samples
from ltx2_reports.records import ClipShape, read_header, write_header

SHAPE = ClipShape(num_frames=9, height=64, width=64, fps="24")


def test_the_seed_is_the_hash_that_the_documentation_names() -> None:
    digest = hashlib.sha256(b"speech-en-baker\n0").hexdigest()
    assert noise_seed("speech-en-baker", 0) == int(digest[:8], 16) % 2**31 == 1469971804


def test_no_two_samples_of_a_suite_share_noise() -> None:
    suite = load_suite("ci")
    planned = samples(suite, tuple(range(8)))
    assert len({request(sample, SHAPE).seed for sample in planned}) == len(planned) == 8 * len(suite.prompts)


def test_the_text_does_not_change_the_noise() -> None:
    (sample,) = samples(load_suite("ci"), (3,))[:1]
    other = dataclasses.replace(sample, prompt=sample.prompt.model_copy(update={"text": "Something else."}))
    assert request(sample, SHAPE).seed == request(other, SHAPE).seed == noise_seed(sample.prompt.id, 3)


def test_records_hold_the_seed_that_the_model_got(
    world: Any, noise_model: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, int] = {}
    model = noise_model()
    generate = model.generate

    def listening(request: GenerationRequest) -> Generated:
        asked[request.sample] = request.seed
        made: Generated = generate(request)
        return made

    monkeypatch.setattr(model, "generate", listening)
    run = world.go(tmp_path / "run", model=model)
    assert run.header.spec.noise == "prompt-seed"
    assert {name: clip.noise_seed for name, clip in run.clips.items()} == asked
    assert run.clips["p1-s0"].noise_seed == noise_seed("p1", 0)


def test_a_run_whose_seeds_were_shared_is_not_resumed(world: Any, tmp_path: Any) -> None:
    world.go(tmp_path / "run")
    header = read_header(tmp_path / "run")
    spec = header.spec.model_copy(update={"noise": None})
    write_header(tmp_path / "run", header.model_copy(update={"spec": spec}))
    with pytest.raises(ValueError, match=r"another spec: noise was .*prompt-seed.*; choose another --out"):
        world.go(tmp_path / "run")


def test_models_that_take_no_seed_say_so(tmp_path: Any) -> None:
    assert CommandModel("make --seed {seed} {output}").noise == "prompt-seed"
    assert CommandModel("make {output}").noise is None
    (tmp_path / "a.wav").write_bytes(b"")
    assert FolderModel(tmp_path).noise is None
    first = dataclasses.replace(load_suite("world"), prompts=load_suite("world").prompts[:1])
    context = ModelContext(device="cpu", suite=first, container="mkv")
    assert load_model("world", context)[1].noise == "none"  # type: ignore[attr-defined]
