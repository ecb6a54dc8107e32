"""Killed at any moment, a run loses at most the work in flight (D1, D2, D3 of the reliability goals)."""

import errno
import json
import os
import random
import signal
import time
from collections import Counter

import pytest
import torch

from ltx2_reports.records import read_run

KILLS = 40


@pytest.fixture(autouse=True)
def one_thread():
    """A forked process has lost its parent's threads and would wait for them; and a run notices another number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def unbroken(world, tmp_path):
    """Summary of a run that nothing disturbed."""
    world.go(tmp_path / "unbroken")
    return (tmp_path / "unbroken/summary.json").read_bytes()


def in_child(work):
    """Run `work` in a child process; return (how it ended, the seconds it took)."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return child, began


def wait(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def assert_whole(folder, unbroken, clips=8, values=17):
    assert (folder / "summary.json").read_bytes() == unbroken
    lines = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    planned = Counter((line["kind"], line.get("sample"), line.get("id") or line.get("metric")) for line in lines)
    assert set(planned.values()) == {1}, planned.most_common(3)
    run = read_run(folder)
    assert (len(run.clips), len(run.values)) == (clips, values)
    assert run.header.status == "done"
    assert not list(folder.rglob(".*")), "temporary files are left"


def test_killed_after_a_random_delay_and_resumed(world, tmp_path, unbroken):
    draw = random.Random(1)
    child, began = in_child(lambda: world.go(tmp_path / "timed"))
    assert wait(child) == 0
    whole_s = time.monotonic() - began
    ends = Counter()
    for attempt in range(KILLS):
        folder = tmp_path / f"killed-{attempt}"
        for _ in range(1 + attempt % 2):  # every second one is killed twice in a row
            child, _ = in_child(lambda folder=folder: world.go(folder))
            delay_s = draw.uniform(0, whole_s)
            time.sleep(delay_s)
            os.kill(child, signal.SIGKILL)
            end = wait(child)
            ends[end] += 1
            if end == 0:  # it was faster than the one that was timed: the machine is less busy now
                whole_s = delay_s
        world.go(folder)
        assert_whole(folder, unbroken)
    assert ends[-signal.SIGKILL] >= KILLS // 2, f"too few kills hit a running process: {ends}"


def test_dying_at_the_nth_disk_call_and_resumed(world, tmp_path, faulty_os):
    world.cut_to(prompts=2)
    world.go(tmp_path / "unbroken")
    unbroken = (tmp_path / "unbroken/summary.json").read_bytes()
    for n in range(1, 2000):
        folder = tmp_path / f"fault-{n}"

        def work(n=n, folder=folder):
            faulty_os(at=n).install(pytest.MonkeyPatch())
            world.go(folder)

        child, _ = in_child(work)
        ended = wait(child)
        if ended == 0:
            break
        assert ended == 42
        world.go(folder)
        assert_whole(folder, unbroken, clips=2, values=5)
    assert ended == 0
    assert n > 60, "the faults did not reach the run's writes"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_an_error_at_the_nth_disk_call_stops_or_is_recorded_and_resumes(world, tmp_path, faulty_os, error):
    draw = random.Random(error)
    for n in sorted(draw.sample(range(1, 300), 20)):
        folder = tmp_path / f"error-{n}"

        def work(n=n, folder=folder):
            faulty_os(at=n, error=error).install(pytest.MonkeyPatch())
            world.go(folder)

        child, _ = in_child(work)
        assert wait(child) in (0, 1)
        if (folder / "run.json").exists():
            read_run(folder)  # whatever was written is valid
        run = world.go(folder)
        assert len(run.clips) == 8
        assert len(run.values) == 17


def test_a_full_disk_stops_the_run_instead_of_failing_every_clip(world, tmp_path, noise_model):
    class Full(noise_model):
        def generate(self, request):
            if request.sample == "p1-s1":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().generate(request)

    with pytest.raises(OSError, match="No space left"):
        world.go(tmp_path / "run", Full())
    stopped = read_run(tmp_path / "run")
    assert (stopped.header.status, len(stopped.clips)) == ("failed", 3)
    assert len(world.go(tmp_path / "run").clips) == 8
