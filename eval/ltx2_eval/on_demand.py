"""Features that are in memory only while they are looked at."""

from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class OnDemand(Sequence[NDArray[np.float32]]):
    """Features of many clips, each read when it is asked for and then let go.

    Args:
        reads: what gives the features of each clip.

    >>> rows = OnDemand([lambda: np.zeros((1, 2), np.float32), lambda: np.ones((3, 2), np.float32)])
    >>> [len(clip) for clip in rows], len(rows[1:])
    ([1, 3], 1)
    """

    def __init__(self, reads: Sequence[Callable[[], NDArray[np.float32]]]) -> None:
        self._reads = reads

    def __len__(self) -> int:
        return len(self._reads)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return (read() for read in self._reads)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.float32]: ...

    @overload
    def __getitem__(self, index: slice) -> "OnDemand": ...

    def __getitem__(self, index: int | slice) -> "NDArray[np.float32] | OnDemand":
        return OnDemand(self._reads[index]) if isinstance(index, slice) else self._reads[index]()
