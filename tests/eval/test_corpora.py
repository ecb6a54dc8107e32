"""The error rate of a corpus: words count once, whoever's clip they are in; its interval draws prompts again."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from ltx2_eval import corpora
from ltx2_eval.corpora import score_corpora
from ltx2_eval.metrics.catalogue import BUILT_IN, chosen
from ltx2_eval.metrics.corpus import corpus_rate
from ltx2_eval.metrics.resampling import draw_counts
from ltx2_reports.records import ClipRecord, Protocol, Reason, ValueRecord

ENTRY = BUILT_IN["speech_wer_corpus"]
COUNTS = {"p0-s0": (1, 10), "p0-s1": (0, 5), "p1-s0": (30, 1), "p2-s0": (2, 4)}


def _protocol(entry, header, pool, n):
    empty = dict.fromkeys(
        ("extractor", "extractor_version", "weights_sha256", "preprocessing", "sampling", "reference")
    )
    fields = {"metric": entry.spec.id, "metric_version": 1, "decoder": "d", "aggregation": "a", "suite": "s"}
    return Protocol(**empty, **fields, n=n, settings={})


@pytest.fixture
def run(monkeypatch):
    """A recorder that remembers, with counted clips and one without speech."""
    monkeypatch.setattr(corpora, "protocol_of", _protocol)
    clips, values = {}, {}
    for sample in (*COUNTS, "p3-s0"):
        prompt = sample.partition("-")[0]
        clips[sample] = ClipRecord(sample=sample, prompt_id=prompt, seed=0, file="f", sha256="0" * 64)
        common = {"sample": sample, "metric": "speech_wer", "protocol": "x"}
        if sample in COUNTS:
            errors, expected = COUNTS[sample]
            details = {"errors": errors, "expected": expected}
            values[sample, "speech_wer"] = ValueRecord(**common, value=min(1, errors / expected), details=details)
        else:
            reason = Reason(kind="not_applicable", message="no spoken line")
            values[sample, "speech_wer"] = ValueRecord(**common, value=None, reason=reason)
    recorder = SimpleNamespace(run=SimpleNamespace(clips=clips, values=values, header=None), written=[])

    def add_value(value, protocol, spec):
        recorder.written.append(value)
        values[value.sample, value.metric] = value

    recorder.add_value = add_value
    return recorder


def _scored(recorder):
    score_corpora(recorder, SimpleNamespace(entries=(BUILT_IN["speech_wer"], ENTRY), pool=None))
    return recorder.run.values[None, "speech_wer_corpus"]


def test_the_sum_of_errors_over_the_sum_of_words(run):
    value = _scored(run)
    assert value.value == pytest.approx(33 / 20)
    assert value.details["mean_at_most_1"] == pytest.approx((0.1 + 0 + 1 + 0.5) / 4)
    assert value.details["mean"] == pytest.approx((0.1 + 0 + 30 + 0.5) / 4)
    assert (value.details["errors"], value.details["expected"]) == (33, 20)
    assert list(value.left_out) == ["p3-s0"]
    assert "n 4 below 30" in value.warnings[0]


def test_replicates_draw_prompts_with_all_of_their_clips(run):
    value = _scored(run)
    counts = draw_counts(["p0", "p0", "p1", "p2"], 200, 0)
    assert (counts[:, 0] == counts[:, 1]).all()
    by_hand = [
        sum(n * e for n, (e, _) in zip(row, COUNTS.values(), strict=True))
        / sum(n * x for n, (_, x) in zip(row, COUNTS.values(), strict=True))
        for row in counts.tolist()
    ]
    np.testing.assert_allclose(value.replicates, by_hand)


def test_what_did_not_change_is_written_once(run):
    assert _scored(run) == _scored(run)
    assert len(run.written) == 1
    line = run.run.values["p2-s0", "speech_wer"]
    run.run.values["p2-s0", "speech_wer"] = line.model_copy(update={"details": {"errors": 1, "expected": 4}})
    assert _scored(run).value == pytest.approx(32 / 20)
    assert len(run.written) == 2


@pytest.mark.parametrize(("kind", "told"), [("not_available", "pull"), ("not_applicable", "no clip has spoken lines")])
def test_without_any_count_there_is_a_reason(run, kind, told):
    reason = Reason(kind=kind, message="weights pull whisper-base")
    for key, line in run.run.values.items():
        run.run.values[key] = line.model_copy(update={"value": None, "reason": reason})
    value = _scored(run)
    assert value.value is None
    assert told in value.reason.message
    assert value.reason.kind == ("not_available" if kind == "not_available" else "too_few")


def test_what_is_missing_is_told_first_and_counted_clips_say_who_is_not_among_them(run):
    for sample, kind in (("p0-s0", "failed"), ("p2-s0", "not_available")):
        line = run.run.values[sample, "speech_wer"]
        reason = Reason(kind=kind, message=f"why {kind}")
        run.run.values[sample, "speech_wer"] = line.model_copy(update={"value": None, "reason": reason})
    value = _scored(run)
    assert value.value == pytest.approx(30 / 6)
    assert value.warnings[1] == "without clips that belong to it: 1 failed and 1 not available"
    for sample in ("p0-s1", "p1-s0"):
        line = run.run.values[sample, "speech_wer"]
        reason = Reason(kind="failed", message="why failed")
        run.run.values[sample, "speech_wer"] = line.model_copy(update={"value": None, "reason": reason})
    assert _scored(run).reason.message == "why not_available"


def test_either_brings_the_other():
    both = {"speech_wer", "speech_wer_corpus"}
    assert {entry.spec.id for entry in chosen(["speech_wer"], "dsp")} == both
    assert {entry.spec.id for entry in chosen(["speech_wer_corpus"], "dsp")} == both
    of_clips = [entry for entry in BUILT_IN.values() if entry.corpus_of]
    assert {entry.corpus_of for entry in of_clips} == {"speech_wer", "speech_cer"}
    for entry in of_clips:
        clip = BUILT_IN[entry.corpus_of]
        assert (entry.extractor, entry.settings, entry.text) == (clip.extractor, clip.settings, clip.text)
        assert dataclasses.replace(entry, corpus_of=None) != clip


def test_a_clip_that_is_drawn_twice_counts_twice():
    errors, expected = np.array([1, 0]), np.array([2, 8])
    assert corpus_rate(errors, expected, np.array([[2, 0], [0, 3], [1, 1]])).tolist() == [0.5, 0.0, 0.1]
