"""The one place where the trouble of a single clip becomes a record instead of the end of the run."""

import errno
from collections.abc import Callable
from typing import TypeVar

from ltx2_eval.extractors.base import Abstained, NotApplicable, NotAvailable, NotLoaded, UnusableWeights
from ltx2_reports.records import Reason, ReasonKind
from ltx2_reports.store import DamagedError

T = TypeVar("T")

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_WRITABLE = _DISK_FULL | {errno.EROFS, errno.EFBIG, errno.EIO, errno.EACCES, errno.EPERM}
_WRITING_STAGES = ("write", "features")
_MESSAGE_LIMIT = 500


def attempt(stage: str, call: Callable[[], T]) -> tuple[T, None] | tuple[None, Reason]:
    """Run `call` for one clip; return (result, None), or (None, reason) when it raised.

    A disk that is full, or an output folder that cannot be written, is not the clip's trouble: it is raised, since
    every later clip would meet it too. So is a damaged cache. Weights that cannot be used, and a network whose loading
    met other trouble, are `not_available` with the exception's name, and the run goes on without them.

    Args:
        stage: generate, write, decode, features or metric; recorded with the reason.
        call: What to run.
    """
    try:
        return call(), None
    except DamagedError:
        raise
    except NotAvailable as error:
        return None, Reason(kind="not_available", message=_sentence(error), stage=stage, error=_trouble(error))
    except NotApplicable as error:
        kind: ReasonKind = "abstained" if isinstance(error, Abstained) else "not_applicable"
        return None, Reason(kind=kind, message=_sentence(error), stage=stage)
    except Exception as error:
        fatal = _NOT_WRITABLE if stage in _WRITING_STAGES else _DISK_FULL
        if isinstance(error, OSError) and error.errno in fatal:
            raise
        return None, Reason(kind="failed", message=_sentence(error), stage=stage, error=type(error).__name__)


def _trouble(error: NotAvailable) -> str | None:
    """What is the matter besides that something is missing."""
    if isinstance(error, NotLoaded):
        return error.cause
    return type(error).__name__ if isinstance(error, UnusableWeights) else None


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MESSAGE_LIMIT else text[: _MESSAGE_LIMIT - 1] + "…"
