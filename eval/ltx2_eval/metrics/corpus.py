"""The error rate of a whole corpus: the sum of the clips' errors over the sum of what was expected."""

import numpy as np
from numpy.typing import NDArray


def corpus_rate(
    errors: NDArray[np.integer], expected: NDArray[np.integer], counts: NDArray[np.integer]
) -> NDArray[np.float64]:
    """The error rate of a corpus, the field's primary figure: each word counts once, however the clips cut them up.

    What it measures: which share of the words (or characters) that should be said is wrong, left out or too many, over
    all clips of which the prompt wants something said. A clip in which the transcript runs on counts with all of its
    words too many; the mean over clips, in which none counts above 1, stands beside it. Formula: sum of errors / sum
    of expected words, both of the clips' own metric; its interval draws prompts again.

    Args:
        errors: (clips,) edits of each clip.
        expected: (clips,) expected words or characters, at least one each.
        counts: (draws, clips) how many times each clip is in a draw.

    Returns:
        (draws,) rates, 0 or more.

    >>> corpus_rate(np.array([1, 0]), np.array([2, 8]), np.array([[1, 1], [2, 0]])).tolist()
    [0.1, 0.5]
    """
    return (counts @ errors) / (counts @ expected)
