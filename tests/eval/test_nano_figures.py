"""Figures of the nano model card: limits stay in range, a clip counts once, and what is left out is told."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ltx2_benchmarks.prompt import Prompt
from ltx2_benchmarks.suite import load_suite
from ltx2_benchmarks.synthetic.checkers import Measured
from ltx2_benchmarks.synthetic.hearing import Heard, Onset
from ltx2_benchmarks.synthetic.seeing import Flash, Seen
from ltx2_eval.clip import Clip
from ltx2_eval.nano.card import figures_table
from ltx2_eval.nano.distances import Embedded, alignment_differences, distance_figures, retrieval_figures
from ltx2_eval.nano.figures import COSINE, SHARE, by_index, difference_figure, mean_figure
from ltx2_eval.nano.following import Sampled, clip_distance_ms, sync_difference, sync_figures, world_claims

SUITE = load_suite("nano").prompts
DUE = [prompt for prompt in SUITE if world_claims(prompt).get("impacts")]
CALM = [prompt for prompt in SUITE if not world_claims(prompt).get("impacts")]


def measured(flashes: list[float], onsets: list[float]) -> Measured:
    return Measured(
        seen=Seen(patches=(), flashes=tuple(Flash(time_s, 0.0) for time_s in flashes), background="black"),
        heard=Heard(silent=False, onsets=tuple(Onset(time_s, "wood", 0.0) for time_s in onsets), ambient="none"),
    )


def sampled(prompt: Prompt, flashes: list[float], onsets: list[float]) -> Sampled:
    return Sampled(
        prompt=prompt,
        clip=Clip(video=None, fps=None, audio=np.zeros((1, 8), np.float32), rate_hz=8),
        seconds=1.0,
        measured=measured(flashes, onsets),
        verdicts={},
        latents=torch.zeros(1),
    )


def test_limits_of_shares_stay_shares() -> None:
    nearly = mean_figure("kept", by_index([0.0] + [1.0] * 59), "", allowed=SHARE)
    assert nearly.high is not None
    assert nearly.value < nearly.high <= 1
    every = mean_figure("kept", by_index([1.0] * 60), "", allowed=SHARE)
    assert every.high == 1
    assert every.low == pytest.approx(0.025 ** (1 / 60))  # Clopper and Pearson


def test_limits_of_differences_stay_within_what_two_values_can_differ_by() -> None:
    first, second = by_index([1.0] * 12), by_index([0.0] * 11 + [1.0])
    bounded = difference_figure("a minus b", first, second, "", "above 0", SHARE)
    assert bounded.value == pytest.approx(11 / 12)
    assert bounded.low is not None
    assert bounded.high is not None
    assert bounded.low < bounded.value < bounded.high <= 1
    opposite = difference_figure("a minus b", by_index([1.0] * 12), by_index([-1.0] * 12), "", allowed=COSINE)
    assert (opposite.value, opposite.high) == (2, 2)
    assert opposite.low is not None
    assert opposite.low < 2
    with pytest.raises(ValueError, match="no prompt has a value on both sides"):
        difference_figure("a minus b", {"x": [1.0]}, {"y": [1.0]}, "")


def test_alignments_have_the_range_of_cosines() -> None:
    rows = torch.eye(8).repeat(2, 1)
    same = Embedded(rows, rows, rows)
    found = {figure.name: figure for figure in retrieval_figures(same)}
    aligned = found["alignment of video with its text"]
    assert aligned.high == 1
    assert aligned.low is not None
    assert aligned.low < 1
    (video, _) = alignment_differences(same, Embedded(-rows, -rows, rows), "a minus b")
    assert (video.value, video.high) == (2, 2)


def test_retrieval_is_named_for_the_clips_it_is_among() -> None:
    rows = torch.eye(16)
    found = {figure.name: figure for figure in retrieval_figures(Embedded(rows, rows, rows))}
    assert found["retrieval text to audio, top 1 of 16"].value == 1
    assert found["retrieval text to audio, top 1 of 16"].bar == ""
    assert not any("100" in name for name in found)


def test_the_distance_of_a_clip_is_the_median_of_its_onsets() -> None:
    """Onsets at 0.51, 1.06 and 1.5 s; the nearest flashes are 10, 60 and 500 ms away."""
    assert clip_distance_ms(measured([0.5, 1.0], [0.51, 1.06, 1.5])) == pytest.approx(60)
    assert clip_distance_ms(measured([], [0.5])) is None
    assert clip_distance_ms(measured([0.5], [])) is None
    assert clip_distance_ms(Measured(seen=None, heard=None)) is None


def test_a_clip_of_many_onsets_counts_once() -> None:
    samples = [
        sampled(DUE[0], [0.5], [0.6] * 9),
        sampled(DUE[1], [0.5], [0.51]),
        sampled(DUE[2], [0.5], [0.52]),
        sampled(DUE[3], [0.5], []),
        sampled(CALM[0], [0.5], [1.5]),
    ]
    both, distance = sync_figures("guided", samples)
    assert (both.value, both.n) == (0.75, 4)
    assert (distance.value, distance.n) == (pytest.approx(20), 3)
    assert sync_figures("guided", samples[-1:]) == []


def test_prompts_that_a_side_lost_stand_beside_the_difference() -> None:
    joined = [sampled(prompt, [0.5], [0.51]) for prompt in (*DUE[:4], CALM[0])]
    isolated = [
        sampled(DUE[0], [0.5], [0.71]),
        sampled(DUE[1], [0.5], [0.61]),
        *(sampled(prompt, [], [0.5]) for prompt in DUE[2:4]),
        sampled(CALM[0], [0.5], [1.9]),
    ]
    found = {figure.name: figure for figure in sync_difference(joined, isolated, "distance", ("joined", "isolated"))}
    assert (found["distance"].value, found["distance"].n) == (pytest.approx(-150), 2)
    assert (found["distance: prompts lost, joined"].value, found["distance: prompts lost, joined"].n) == (0, 4)
    assert found["distance: prompts lost, isolated"].value == 2


def test_the_table_says_once_that_the_reference_set_is_fixed() -> None:
    generator = torch.Generator().manual_seed(0)
    near, reference = (torch.randn(n, 4, generator=generator) for n in (20, 50))
    figures = distance_figures({"near": Embedded(near, near, near)}, Embedded(reference, reference, reference))
    table, note = figures_table(figures).split("\n\n")
    assert "one fixed reference set of 50 held-out clips" in note
    assert table.count("\n") == 3
    assert "fixed" not in table


def test_impacts_of_a_clip_count_once(tmp_path: Path) -> None:
    from ltx2_benchmarks.synthetic import render
    from ltx2_eval.nano.round_trips import _heard_impacts, _Impacts
    from ltx2_eval.nano.world_pool import WorldPool

    pool = WorldPool(folder=tmp_path, clips=8)
    made = next(
        clip
        for clip in map(render, map(pool.scene, range(8)))
        if sum(event.kind != "start" for event in clip.events) > 1
    )
    events = [event for event in made.events if event.kind != "start"]
    waveform = torch.from_numpy(made.audio)[None]
    found = _heard_impacts(_Impacts([], []), waveform, events)
    assert len(found.errors_ms) == len(found.heard) == 1
    assert found.heard[0] > 0.5
    assert found.errors_ms[0] < 10
    silent = _heard_impacts(found, torch.zeros_like(waveform), events)
    assert silent.errors_ms == found.errors_ms
    assert silent.heard[1] == 0
