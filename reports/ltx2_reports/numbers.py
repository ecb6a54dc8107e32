"""Numbers as people read them: as many digits as the interval supports."""

import math

from ltx2_reports.records import Direction
from ltx2_reports.statistics import Difference, Interval

ARROWS: dict[Direction, str] = {"up": "↑", "down": "↓", "zero": "→0", "none": ""}
MISSING_MARK = "—"
_MOST_DECIMALS = 6
_LARGE = 1e7


def decimals_of(interval: Interval) -> int | None:
    """Decimals that show two significant digits of the interval's half width; None: use significant digits.

    >>> decimals_of(Interval(value=0.31234, low=0.298, high=0.327, n=12))
    3
    """
    if interval.low is None or interval.high is None or max(abs(interval.low), abs(interval.high)) >= _LARGE:
        return None
    half = (interval.high - interval.low) / 2
    if not half > 1e-9 * max(abs(interval.low), abs(interval.high)):
        return None
    wanted = 1 - math.floor(math.log10(half))
    return max(0, wanted) if wanted <= _MOST_DECIMALS else None


def format_number(value: float, decimals: int | None, *, signed: bool = False) -> str:
    """A number with that many decimals, or with four significant digits; never `-0.0`."""
    if decimals is None and 1e4 <= abs(value) < _LARGE:
        decimals = 0  # "12000", where four significant digits would read 1.2e+04
    text = f"{value:.{decimals}f}" if decimals is not None else f"{value:.4g}"
    text = text.removeprefix("-") if not any(digit in text for digit in "123456789") else text
    return f"+{text}" if signed and value > 0 and not text.startswith("+") else text


def format_value(interval: Interval, *, signed: bool = False) -> str:
    """The value alone."""
    return format_number(interval.value, decimals_of(interval), signed=signed)


def format_limits(interval: Interval, *, signed: bool = False) -> str:
    """`[low, high]`, or nothing where there is no interval."""
    if interval.low is None or interval.high is None:
        return ""
    decimals = decimals_of(interval)
    low, high = (format_number(limit, decimals, signed=signed) for limit in (interval.low, interval.high))
    return f"[{low}, {high}]"


def verdict(difference: Difference, direction: Direction) -> str:
    """`better`, `worse`, `higher`, `lower`, or nothing where the difference is not told from zero."""
    if not difference.separated:
        return ""
    rises = difference.interval.value > 0
    if direction in ("up", "down"):
        return "better" if rises == (direction == "up") else "worse"
    return "higher" if rises else "lower"


def clips_counted(count: int) -> str:
    """`1 clip`, `2 clips`."""
    return f"{count} clip{'s' * (count != 1)}"


def readable_unit(unit: str, largest: float) -> tuple[float, str]:
    """Factor and unit in which a value is shown: bytes become KiB, MiB or GiB, other units stay."""
    if unit not in ("bytes", "B"):
        return 1.0, unit
    power = min(3, int(math.log2(largest) // 10)) if largest >= 1 else 0
    return 1 / 1024**power, ("bytes", "KiB", "MiB", "GiB")[power]


def scaled(interval: Interval, factor: float) -> Interval:
    """The interval in another unit."""
    low, high = (None if limit is None else limit * factor for limit in (interval.low, interval.high))
    return Interval(value=interval.value * factor, low=low, high=high, n=interval.n)
