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
