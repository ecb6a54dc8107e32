"""The one place where the trouble of a single clip becomes a record instead of the end of the run."""

import errno
from collections.abc import Callable
from typing import TypeVar

from ltx2_eval.extractors.base import NotApplicable, NotAvailable
from ltx2_reports.records import Reason

T = TypeVar("T")

_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
_MESSAGE_LIMIT = 500


def attempt(stage: str, call: Callable[[], T]) -> tuple[T, None] | tuple[None, Reason]:
    """Run `call` for one clip; return (result, None), or (None, reason) when it raised.

    A full or read-only disk is not the clip's trouble: it is raised, since every later clip would meet it too.

    Args:
        stage: generate, write, decode, features or metric; recorded with the reason.
        call: What to run.
    """
    try:
        return call(), None
    except NotAvailable as error:
        return None, Reason(kind="not_available", message=_sentence(error), stage=stage)
    except NotApplicable as error:
        return None, Reason(kind="not_applicable", message=_sentence(error), stage=stage)
    except Exception as error:
        if getattr(error, "errno", None) in _DISK_ERRORS:
            raise
        return None, Reason(kind="failed", message=_sentence(error), stage=stage, error=type(error).__name__)


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MESSAGE_LIMIT else text[: _MESSAGE_LIMIT - 1] + "…"
