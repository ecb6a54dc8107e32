"""A run without networks: a model that draws noise, raw files instead of video, metrics of a few lines.

What is tested here is the runner: planning, recording, resuming. Media and metrics have tests of their own.
"""

import dataclasses
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics import Metric

import ltx2_eval.generate
import ltx2_eval.metrics.catalogue
import ltx2_eval.reference
import ltx2_eval.score
from ltx2_benchmarks.suite import Prompt, Suite
from ltx2_eval.clip import Clip
from ltx2_eval.extractors.base import ExtractorSpec, NotApplicable
from ltx2_eval.extractors.pool import ExtractorPool
from ltx2_eval.metrics.base import MetricEntry, Outcome, abstain
from ltx2_eval.models.base import Generated
from ltx2_eval.reference import Reference
from ltx2_eval.runner import GenerationPlan, ScoringPlan, generate_run
from ltx2_reports.records import ClipShape, MetricSpec, Stage

FRAMES, HEIGHT, WIDTH, RATE_HZ = 3, 4, 6, 200


class NoiseModel:
    """Noise from the seed and the prompt; chosen samples fail."""

    def __init__(self, broken=()):
        self.broken = set(broken)
        self.calls = []

    def identity(self):
        return {"noise": 1}

    def preferred_shape(self):
        return None

    def check(self, request):
        pass

    def generate(self, request):
        self.calls.append(request.sample)
        if request.sample in self.broken:
            raise RuntimeError("the device ran out of luck")
        generator = np.random.default_rng([request.seed, *request.sample.encode()])
        clip = Clip(
            video=generator.integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8),
            fps=Fraction(24),
            audio=generator.uniform(-1, 1, (2, RATE_HZ)).astype(np.float32),
            rate_hz=RATE_HZ,
        )
        return Generated(clip=clip, stages=(Stage(name="draw", seconds=0.25, peak_bytes=None),))


def write_raw(clip, path, *, container):
    with path.open("wb") as file:
        file.write(clip.video.tobytes() + clip.audio.tobytes())


def read_raw(path):
    data = path.read_bytes()
    size = FRAMES * HEIGHT * WIDTH * 3
    if len(data) != size + 2 * RATE_HZ * 4:
        raise ValueError(f"{len(data)} bytes")
    return Clip(
        video=np.frombuffer(data[:size], np.uint8).reshape(FRAMES, HEIGHT, WIDTH, 3),
        fps=Fraction(24),
        audio=np.frombuffer(data[size:], np.float32).reshape(2, RATE_HZ),
        rate_hz=RATE_HZ,
    )


def brightness(subject, features, extractor, **settings):
    return Outcome(value=float(subject.clip.video.mean()), details={"frames": len(subject.clip.video)})


def shy(subject, features, extractor, **settings):
    return abstain("this one never says")


def careless(subject, features, extractor, **settings):
    return Outcome(value=float("nan"))


class MeanDistance(Metric):
    """Squared distance of the two means."""

    def __init__(self):
        super().__init__()
        self.add_state("sums", torch.zeros(2, 2, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("counts", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features, real):
        self.sums[int(real)] += features.double().sum(0)
        self.counts[int(real)] += len(features)

    def compute(self):
        means = self.sums / self.counts[:, None]
        return ((means[0] - means[1]) ** 2).sum()

    warnings = ()

    @staticmethod
    def distance(generated, reference):
        difference = np.concatenate(generated).mean(0) - np.concatenate(reference).mean(0)
        return float(difference @ difference)


class Colour:
    """Extractor: mean and spread of the pixels."""

    spec = ExtractorSpec(
        id="colour",
        version=1,
        title="colour",
        stream="video",
        dimension=2,
        weights=None,
        preprocessing="none",
        sampling="all",
        source="here",
        implementation="here:Colour",
    )

    def features(self, clip):
        if clip.video is None:
            raise NotApplicable("no video")
        return np.array([[clip.video.mean(), clip.video.std()]], np.float32)


class Pool:
    device = "cpu"

    def __init__(self):
        self.loads = 0

    def spec(self, extractor):
        return Colour.spec

    def weights_sha256(self, extractor):
        return None

    def get(self, extractor):
        self.loads += 1
        return Colour()

    when_used = ExtractorPool.when_used


def entry(name, level="clip", extractor=None, needs=("video",)):
    spec = MetricSpec(
        id=name,
        version=1,
        title=name,
        unit="",
        direction="down",
        range=(None, None),
        level=level,
        needs=needs,
        least_n=8,
        source="here",
        code_licence="Apache-2.0",
        weight_licence=None,
        cannot_see="everything else",
    )
    return MetricEntry(spec=spec, implementation=f"here:{name}", extractor=extractor, aggregation="mean")


ENTRIES = (entry("brightness"), entry("shy"), entry("colour_distance", "set", "colour", ("video", "reference")))
IMPLEMENTATIONS = {
    "here:brightness": brightness,
    "here:shy": shy,
    "here:careless": careless,
    "here:colour_distance": MeanDistance,
}


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Everything a run needs, with `go(folder, ...)` to run it."""
    monkeypatch.setenv("LTX2_EVAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ltx2_eval.generate, "write_clip", write_raw)
    monkeypatch.setattr(ltx2_eval.score, "read_clip", read_raw)
    monkeypatch.setattr(ltx2_eval.reference, "read_clip", read_raw)
    for module in (ltx2_eval.score, ltx2_eval.sets):
        monkeypatch.setattr(module, "implementation", lambda e: IMPLEMENTATIONS[e.implementation], raising=False)
    monkeypatch.setattr(ltx2_eval.score, "clip_metric", lambda e: IMPLEMENTATIONS[e.implementation])
    return World(tmp_path)


class World:
    """A suite of four prompts, two seeds, a reference of three clips."""

    def __init__(self, root: Path):
        self.root = root
        self.entries = ENTRIES
        prompts = tuple(Prompt(id=f"p{index}", text=f"prompt number {index}") for index in range(4))
        suite = Suite(name="four", version="1", licence="CC0-1.0", title="", origin="written", prompts=prompts)
        clip = ClipShape(num_frames=FRAMES, height=HEIGHT, width=WIDTH, fps="24")
        self.plan = GenerationPlan(suite=suite, seeds=(0, 1), clip=clip, container="mkv")
        self.reference = Reference(name="three", files=tuple(self._reference_clip(index) for index in range(3)))

    def cut_to(self, prompts):
        """The first prompts only, one seed each."""
        suite = dataclasses.replace(self.plan.suite, prompts=self.plan.suite.prompts[:prompts])
        self.plan = dataclasses.replace(self.plan, suite=suite, seeds=(0,))

    def _reference_clip(self, index):
        path = self.root / "reference" / f"{index}.mkv"
        path.parent.mkdir(exist_ok=True)
        generator = np.random.default_rng(index)
        path.write_bytes(
            generator.integers(0, 200, FRAMES * HEIGHT * WIDTH * 3, dtype=np.uint8).tobytes()
            + np.zeros(2 * RATE_HZ, np.float32).tobytes()
        )
        return path

    def go(self, folder, model=None, entries=None, **changes):
        return generate_run(
            Path(folder),
            system="noise",
            model_name="noise",
            model=model or NoiseModel(),
            plan=changes.get("plan", self.plan),
            scoring=self.scoring(entries=entries or self.entries, pool=changes.get("pool") or Pool()),
            progress=lambda stage, done, total: None,
        )

    def scoring(self, **changes):
        plan = {"entries": self.entries, "reference": self.reference, "pool": Pool()}
        return ScoringPlan(**{**plan, **changes})


@pytest.fixture
def noise_model():
    return NoiseModel


@pytest.fixture
def pool():
    return Pool


@pytest.fixture
def extractor():
    return Colour


@pytest.fixture
def implementations(monkeypatch):
    """Name to function; a copy that the test may add to."""
    chosen = dict(IMPLEMENTATIONS)
    monkeypatch.setattr(ltx2_eval.score, "clip_metric", lambda e: chosen[e.implementation])
    return chosen


@pytest.fixture
def metric_entry():
    return entry


@pytest.fixture
def faulty_os():
    return FaultyOS


class FaultyOS:
    """Counts the calls that change a disk; at the n-th, kills the process or raises."""

    NAMES = ("open", "write", "fsync", "replace", "mkdir", "ftruncate", "unlink")

    def __init__(self, at=None, error=None):
        self.at, self.error, self.calls = at, error, 0

    def install(self, monkeypatch):
        import io

        for name in self.NAMES:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name)))
        monkeypatch.setattr(io, "open", self._wrapped(io.open))

    def _wrapped(self, function):
        def call(*args, **kwargs):
            self.calls += 1
            if self.calls == self.at:
                if self.error is None:
                    os._exit(42)
                raise OSError(self.error, os.strerror(self.error))
            return function(*args, **kwargs)

        return call
