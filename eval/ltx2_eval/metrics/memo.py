"""Work that several metrics share is done once per array, and forgotten with it."""

import functools
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

P = ParamSpec("P")
T = TypeVar("T")
Array = NDArray[Any]


def per_array(function: Callable[Concatenate[Array, P], T]) -> Callable[Concatenate[Array, P], T]:
    """Remember the results of a pure function as long as its first argument, an array, is alive.

    The array must not change after the first call, as those of a `Clip` do not; further arguments must be hashable.
    An array that is nobody else's property is never mistaken for a later one at the same address: its results go when
    it goes.
    """
    results: dict[int, dict[Hashable, T]] = {}

    @functools.wraps(function)
    def remembered(array: Array, *args: P.args, **kwargs: P.kwargs) -> T:
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{function.__name__}: found {type(array).__name__}, expected a NumPy array")
        address = id(array)
        if address not in results:
            results[address] = {}
            weakref.finalize(array, results.pop, address, None)
        known = results[address]
        key = (args, tuple(sorted(kwargs.items())))
        if key not in known:
            known[key] = function(array, *args, **kwargs)
        return known[key]

    return remembered
