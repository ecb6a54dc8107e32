"""The strip under a clip: waveform, sound onsets and sudden movements at their true times."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from ltx2_eval.clip import Clip
from ltx2_eval.traces import trace_of
from ltx2_reports.traces import LETTERS, read_trace, trace_path, write_trace


def made() -> Clip:
    video = np.zeros((48, 32, 32, 3), np.uint8)
    video[24:, 8:24, 8:24] = 255
    audio = np.zeros((2, 48000), np.float32)
    audio[:, 24000:24400] = 0.5
    return Clip(video=video, fps=Fraction(24), audio=audio, rate_hz=24000)


def test_marks_and_peaks_lie_where_things_happen() -> None:
    trace = trace_of(made(), "ab")
    assert trace is not None
    assert trace.duration_s == 2.0
    assert len(trace.motion_onsets_s) == 1
    assert abs(trace.motion_onsets_s[0] - 1.0) < 0.03
    assert any(abs(time_s - 1.0) < 0.02 for time_s in trace.sound_onsets_s)
    levels = [LETTERS.index(letter) for letter in trace.peaks]
    assert len(levels) == 160
    assert max(levels) == levels[80] == round(63 * 0.5)
    assert set(levels[:80]) == {0}


def test_a_stream_may_be_absent() -> None:
    clip = made()
    silent = trace_of(Clip(video=clip.video, fps=clip.fps, audio=None, rate_hz=None), "ab")
    assert silent is not None
    assert (silent.peaks, silent.sound_onsets_s) == ("", ())
    blind = trace_of(Clip(video=None, fps=None, audio=clip.audio, rate_hz=24000), "ab")
    assert blind is not None
    assert blind.motion_onsets_s == ()


def test_a_trace_of_other_media_or_damaged_is_none(tmp_path: Path) -> None:
    trace = trace_of(made(), "ab" * 32)
    assert trace is not None
    write_trace(tmp_path, "s", trace)
    assert read_trace(tmp_path, "s", "ab" * 32) == trace
    assert read_trace(tmp_path, "s", "cd" * 32) is None
    trace_path(tmp_path, "s").write_bytes(b'{"sha256": "ab')
    assert read_trace(tmp_path, "s", "ab" * 32) is None
    assert read_trace(tmp_path, "other", "ab") is None
