"""Schedules against published and high-precision values."""

import math
from decimal import Decimal, localcontext

import pytest

from ltx2.schedule import DISTILLED_SIGMAS, REFINE_SIGMAS, ltx2_sigmas, sigmas_for, token_shift

FIXED = {
    4: "1 .867083 .631569 .1 0",
    8: "1 .965712 .921875 .863856 .783445 .664579 .471003 .1 0",
    15: "1 .98725 .972823 .956368 .937421 .915374 .889394 .858329 .820523 .773514 .713477 .634123 .524345 .362494 .1 0",
    20: "1 .991467 .982119 .971835 .960465 .947829 .933702 .917805 .899781 .879175 .855387 .82762 .794783 .75535 "
    ".707109 .646741 .569013 .46518 .319439 .1 0",
    30: "1 .994957 .989603 .983908 .97784 .971358 .964421 .956978 .948972 .940336 .930994 .920854 .90981 .897735 "
    ".884479 .869858 .853651 .835584 .815319 .792427 .766363 .736418 .701656 .660813 .612141 .553148 .480164 .387541 "
    ".26612 .1 0",
    40: "1 .996449 .992737 .988851 .98478 .98051 .976026 .971312 .966349 .961116 .955593 .949753 .943568 .937008 "
    ".930037 .922614 .914696 .906229 .897156 .887408 .876908 .865565 .853273 .839908 .825323 .809343 .791758 .772313 "
    ".750697 .726524 .699312 .66845 .633152 .592384 .544771 .48843 .420719 .337809 .233936 .1 0",
}
BY_TOKENS = {
    1024: ".990577 .980856 .970822 .25451 .206656 .155287 .1 0",
    3520: ".995774 .991363 .986753 .385605 .308505 .215205 .1 0",
    6144: ".997985 .99587 .993649 .544788 .449136 .31222 .1 0",
    8160: ".998716 .997367 .995947 .644968 .549022 .393829 .1 0",
    14080: ".999325 .998615 .997867 .770543 .689177 .53194 .1 0",
}
HIGH_QUALITY = (
    "1 .993491 .986015 .97734 .967151 .955015 .940314 .92214 .899096 .868923 .827707 .768028 .673897 .503378 .1 0"
)


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()]


@pytest.mark.parametrize("steps", FIXED)
def test_fixed_shift(steps: int) -> None:
    assert sigmas_for("ltx2", steps, tokens=99999) == pytest.approx(numbers(FIXED[steps]), abs=1e-6)


@pytest.mark.parametrize("tokens", BY_TOKENS)
def test_token_shift(tokens: int) -> None:
    sigmas = sigmas_for("ltx2-tokens", 40, tokens)
    assert [*sigmas[1:4], *sigmas[-5:]] == pytest.approx(numbers(BY_TOKENS[tokens]), abs=1e-6)


def test_high_quality_example() -> None:
    assert sigmas_for("ltx2-tokens", 15, 8160) == pytest.approx(numbers(HIGH_QUALITY), abs=1e-6)


def test_without_stretch() -> None:
    expected = numbers("1 .981941 .958854 .928297 .885948 .823345 .721394 .525999 0")
    assert ltx2_sigmas(8, stretch=False) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("tokens", [4096, 24576, 53680, 130560])
def test_equals_exact_arithmetic_at_any_size(tokens: int) -> None:
    steps = 15
    with localcontext() as context:
        context.prec = 60
        e = Decimal(token_shift(tokens)).exp()
        shifted = [e / (e + Decimal(steps) / Decimal(steps - i) - 1) for i in range(steps)]
        exact = [1 - (1 - s) * Decimal("0.9") / (1 - shifted[-1]) for s in shifted]
    assert ltx2_sigmas(steps, shift=token_shift(tokens)) == pytest.approx([*map(float, exact), 0.0], abs=1e-14)


def test_limit_for_an_infinite_shift() -> None:
    expected = [1 - 0.9 * (i / (15 - i)) / 14 for i in range(15)]
    assert ltx2_sigmas(15, shift=math.inf)[:-1] == pytest.approx(expected, abs=1e-15)


def test_distilled() -> None:
    assert sigmas_for("distilled", 8, 4096) == (1.0, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875, 0.0)
    assert REFINE_SIGMAS == (0.909375, 0.725, 0.421875, 0.0)
    assert len(DISTILLED_SIGMAS) == 9


def test_one_step() -> None:
    assert ltx2_sigmas(1) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("schedule", "steps", "message"),
    [
        ("ltx2", 0, "at least 1"),
        ("distilled", 20, "8 steps, settings ask for 20"),
        ("euler", 20, "known: ltx2, ltx2-tokens, distilled"),
        ((1.0, 0.5, 0.6, 0.0), 3, "fall strictly"),
        ((1.0, 0.5), 1, "fall strictly"),
    ],
)
def test_refusals(schedule, steps, message) -> None:
    with pytest.raises(ValueError, match=message):
        sigmas_for(schedule, steps, 4096)


def test_own_sigmas() -> None:
    assert sigmas_for([1, 0.5, 0], 2, 4096) == (1.0, 0.5, 0.0)
