"""Stage costs: seconds and a peak that belongs to the stage."""

import mmap
import time

import pytest
import torch

from ltx2.cost import CostLog


def test_peak_is_of_the_stage() -> None:
    size = 100 * 2**20
    log = CostLog(torch.device("cpu"))
    with log.stage("large"):
        block = mmap.mmap(-1, size)  # pages of its own, where an allocator might hand out what is resident already
        block.write(bytes(size))
        time.sleep(0.5)  # long enough that a busy machine lets the sampler run
        block.close()
    with log.stage("small"):
        time.sleep(0.03)
    large, small = log.stages
    assert (large.name, small.name) == ("large", "small")
    assert large.peak_bytes - small.peak_bytes > 80 * 2**20
    assert 0.03 <= small.seconds < 1


def test_a_stage_that_raises_leaves_no_entry() -> None:
    log = CostLog(torch.device("cpu"))
    with pytest.raises(KeyError), log.stage("broken"):
        raise KeyError
    assert log.stages == ()


def test_steps_are_timed_and_the_callers_callback_is_called() -> None:
    seen: list[int] = []
    log = CostLog(torch.device("cpu"))
    callback = log.stepping(seen.append)
    with log.stage("denoise"):
        for step, pause_s in enumerate((0.05, 0.01)):
            time.sleep(pause_s)
            callback(step)
    with log.stage("decode"):
        time.sleep(0.01)
    denoise, decode = log.stages
    assert seen == [0, 1]
    assert len(denoise.step_s) == 2
    assert denoise.step_s[0] >= 0.05
    assert denoise.step_s[1] >= 0.01
    assert sum(denoise.step_s) <= denoise.seconds
    assert decode.step_s == ()
