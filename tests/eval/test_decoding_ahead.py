"""The next clip is decoded while one is judged, one ahead and never more; nothing that is not needed is decoded."""

from concurrent.futures import Future

import pytest

from ltx2_eval.score import Media, _decoding_ahead, _Task
from ltx2_reports.records import ClipRecord


class Thread:
    """Runs what it is given at once, and counts."""

    def __init__(self):
        self.begun = 0

    def submit(self, function, *arguments):
        self.begun += 1
        done = Future()
        done.set_result(("clip", None))
        return done


class Clip(Media):
    def __init__(self, number, cached):
        super().__init__(None, str(number), None)
        self.cached = cached

    def has_features(self, extractor):
        return self.cached


def _task(number, *, wanted=("metric",), cached=False, extractors=(), absent=False):
    record = ClipRecord(sample=str(number), prompt_id="p", seed=0, file="f", sha256="0" * 64)
    media = None if absent else Clip(number, cached)
    return _Task(record=record, media=media, wanted=wanted, extractors=extractors)


def test_one_ahead_and_in_order():
    thread, seen = Thread(), []
    for count, task in enumerate(_decoding_ahead((_task(number) for number in range(5)), thread)):
        seen.append(task.record.sample)
        assert thread.begun == min(count + 2, 5)
        assert task.media.decoded == ("clip", None)
        task.media.forget()
        assert "decoded" not in task.media.__dict__
    assert seen == list("01234")


@pytest.mark.parametrize(
    ("task", "decodes"),
    [
        (_task(0), 1),
        (_task(0, wanted=()), 0),
        (_task(0, absent=True), 0),
        (_task(0, wanted=(), extractors=("x",)), 1),
        (_task(0, wanted=(), extractors=("x",), cached=True), 0),
        (_task(0, wanted=("metric",), extractors=("x",), cached=True), 1),
    ],
)
def test_only_what_is_needed_is_decoded(task, decodes):
    thread = Thread()
    assert list(_decoding_ahead([task], thread)) == [task]
    assert thread.begun == decodes
