"""Votes between two systems at a time: strengths by Bradley and Terry's model, ties counted, intervals by clusters.

P(i beats j) = 1 / (1 + exp(b_j - b_i)); a tie is half a win on each side. A small ridge, worth a fraction of a vote,
keeps strengths finite where one system has won every time or the systems fall into groups that never met.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from ltx2_reports.statistics.draws import SEED, Array
from ltx2_reports.statistics.intervals import LEVEL, Interval, tails

ELO = 400 / np.log(10)
_RIDGE = 0.1
_MOST_STEPS = 100
_CLOSE = 1e-10


@dataclass(frozen=True, kw_only=True, slots=True)
class Vote:
    """One judgement of one pair."""

    first: str
    second: str
    outcome: float
    """1: the first is better; 0: the second; 0.5: a tie."""
    rater: str = ""
    prompt: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Strengths:
    """Of every system, mean 0, in logits; `ELO` times that plus 1000 is the usual scale."""

    systems: tuple[str, ...]
    strengths: tuple[Interval, ...]
    votes: int
    is_connected: bool
    """Whether wins lead from every system to every other; else strengths rest on the ridge."""


def bradley_terry(votes: Sequence[Vote], level: float = LEVEL, resamples: int = 1000, seed: int = SEED) -> Strengths:
    """Fit strengths; the interval draws raters and prompts with replacement, since their votes go together.

    Args:
        votes: at least one, outcomes 0, 0.5 or 1.
        level: of the intervals.
        resamples: draws. A vote counts as often as its rater times as often as its prompt was drawn.
        seed: of the draws.

    Raises:
        ValueError: no vote, a system against itself, or another outcome.

    Source: Bradley and Terry 1952; Owen, The pigeonhole bootstrap (2007), for crossed raters and prompts.
    """
    _check(votes)
    systems = tuple(sorted({name for vote in votes for name in (vote.first, vote.second)}))
    place = {name: index for index, name in enumerate(systems)}
    pairs = np.array([[place[vote.first], place[vote.second]] for vote in votes])
    outcomes = np.array([vote.outcome for vote in votes])
    wins = _wins(pairs, outcomes, np.ones(len(votes)), len(systems))
    point = fit(wins)
    weights = _cluster_weights(votes, resamples, seed)
    drawn = [fit(_wins(pairs, outcomes, weight, len(systems))) for weight in weights]
    limits = np.quantile(drawn, tails(level), axis=0) if drawn else np.full((2, len(systems)), np.nan)
    made = [
        Interval(value=float(p), low=float(low) if drawn else None, high=float(high) if drawn else None, n=len(votes))
        for p, low, high in zip(point, *limits, strict=True)
    ]
    return Strengths(
        systems=systems, strengths=tuple(made), votes=len(votes), is_connected=_is_strongly_connected(wins)
    )


def fit(wins: Array, ridge: float = _RIDGE) -> Array:
    """Strengths with mean 0 that maximise the likelihood less ridge/2 times their squares, by Newton's method.

    Args:
        wins: (k, k) how often row beat column, ties as halves.
        ridge: weight of the penalty; positive.
    """
    games, strengths = wins + wins.T, np.zeros(len(wins))
    for _ in range(_MOST_STEPS):
        chance = expit(strengths[:, None] - strengths)
        gradient = (wins - games * chance).sum(axis=1) - ridge * strengths
        information = games * chance * (1 - chance)
        hessian = np.diag(information.sum(axis=1) + ridge) - information
        step = np.linalg.solve(hessian, gradient)
        strengths = strengths + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < _CLOSE:
            break
    return strengths - strengths.mean()


def _wins(pairs: np.ndarray, outcomes: Array, weights: Array, systems: int) -> Array:
    wins = np.zeros((systems, systems))
    np.add.at(wins, (pairs[:, 0], pairs[:, 1]), weights * outcomes)
    np.add.at(wins, (pairs[:, 1], pairs[:, 0]), weights * (1 - outcomes))
    return wins


def _cluster_weights(votes: Sequence[Vote], resamples: int, seed: int) -> list[Array]:
    """Per draw the weight of each vote; of raters or prompts of which there is only one, none is drawn."""
    generator = np.random.default_rng(seed)
    levels = [[vote.rater for vote in votes], [vote.prompt for vote in votes]]
    coded = [np.unique(names, return_inverse=True) for names in levels]
    coded = [(names, codes) for names, codes in coded if len(names) > 1]
    if not coded:
        return []
    return [
        np.prod(
            [np.bincount(generator.integers(0, len(n), len(n)), minlength=len(n))[codes] for n, codes in coded], axis=0
        )
        for _ in range(resamples)
    ]


def _is_strongly_connected(wins: Array) -> bool:
    from scipy.sparse.csgraph import connected_components

    return int(connected_components(wins > 0, directed=True, connection="strong")[0]) == 1


def _check(votes: Sequence[Vote]) -> None:
    if not votes:
        raise ValueError("found no vote, expected at least one")
    for vote in votes:
        if vote.first == vote.second or vote.outcome not in (0, 0.5, 1):
            raise ValueError(f"found {vote}, expected two systems and an outcome of 0, 0.5 or 1")
