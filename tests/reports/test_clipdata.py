"""What the clip browser gets: every clip under its own prompt, by its own rate; the ranking says what it leaves out."""

import base64
import itertools
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ltx2_reports import board
from ltx2_reports.clipdata import clip_data
from ltx2_reports.comparison import compare
from ltx2_reports.media_links import address_of
from ltx2_reports.records import Run, read_run
from ltx2_reports.traces import Trace, write_trace

MakeRun = Callable[..., Path]


def _data(runs: list[Run], folder: Path, prompts: int | None = None) -> dict[str, Any]:
    made = clip_data(compare(runs, resamples=20), runs, address_of(folder, "link", prompts))
    found: dict[str, Any] = json.loads(
        made.text if made.form == "json" else zlib.decompress(base64.b64decode(made.text))
    )
    return found


def test_a_clip_of_an_unknown_prompt_gets_one_of_its_own(make_run: MakeRun, tmp_path: Path) -> None:
    run = read_run(make_run(prompts=2, seeds=(0,)))
    clips = {
        s: c.model_copy(update={"prompt_id": "lost"}) if c.prompt_id == "p001" else c for s, c in run.clips.items()
    }
    data = _data([replace(run, clips=clips)], tmp_path)
    places = list(itertools.accumulate(data["clips"]["prompt"]))
    assert [data["prompts"][place][0] for place in places] == ["lost", "p000"]
    assert data["prompts"][places[0]] == ["lost", "(a prompt that the run does not list)", []]


def test_the_rate_is_the_files_own_else_the_runs(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(prompts=2, seeds=(0,))
    facts = {"duration_s": 1.0, "peaks": "", "sound_onsets_s": (), "motion_onsets_s": ()}
    write_trace(folder, "p001-s0", Trace(sha256="ef" * 32, frame_rate_hz=30000 / 1001, **facts))
    write_trace(folder, "p000-s0", Trace(sha256="ef" * 32, **facts))  # as written by an older version
    data = _data([read_run(folder)], tmp_path)
    assert [data["fps"][place] for place in data["clips"]["fps"]] == [24.0, 30000 / 1001]


def test_clips_of_some_prompts_are_spread_over_the_suite(make_run: MakeRun, tmp_path: Path) -> None:
    run = read_run(make_run(prompts=6, seeds=(0,)))
    urls = _data([run], tmp_path, prompts=3)["clips"]["url"]
    assert [place for place, url in enumerate(urls) if url] == [0, 2, 4]
    assert all(_data([run], tmp_path, prompts=9)["clips"]["url"])


def test_the_ranking_says_how_many_metrics_it_leaves_out(make_run: MakeRun) -> None:
    metrics: dict[str, Any] = {f"m{k:02}": {} for k in range(20)}
    runs = [read_run(make_run(name, system=name, metrics=metrics)) for name in "ab"]
    made = board.board(compare(runs, resamples=20))
    assert made is not None
    assert (len(made.rows), made.of) == (board.MOST_COLUMNS, 20)
