"""The verdicts of `with_transaction`: retry the callback, retry the commit, or give up.

The rules are the convenient API of the transactions specification. The loop itself calls user code
and therefore lives in the session classes.
"""

from __future__ import annotations

import random

from pymongo.errors import ExecutionTimeout, NetworkTimeout, OperationFailure, PyMongoError

from ferromongo._pymongo_internals import (
    current_deadline,
    current_timeout,
    unknown_commit_codes,
    with_transaction_limit,
)


def time_limit() -> float | None:
    """When the `timeout()` blocks around the caller end, on the monotonic clock."""
    return current_deadline() if current_timeout() else None


class Attempts:
    """Counts the attempts at one transaction, from `now` on the monotonic clock.

    :param limit: the user's own time limit, which takes the place of 120 seconds
    """

    def __init__(self, now: float, limit: float | None = None) -> None:
        self._deadline = now + with_transaction_limit() if limit is None else limit
        self._limited = limit is not None
        self._failed = 0
        self._last_error: BaseException | None = None

    def backoff(self, now: float) -> float:
        """Seconds to wait before the next attempt; raises when they would end after the limit."""
        if not self._failed:
            return 0.0
        longest = _FIRST_BACKOFF * 1.5 ** min(self._failed, _GROWS_TO)
        seconds = random.random() * min(longest, _LONGEST_BACKOFF)
        self._check_time(now + seconds)
        return seconds

    def callback_failed(self, error: BaseException, now: float) -> None:
        """Returns if the transaction should be tried again; raises otherwise."""
        self._last_error = error
        if not _has_label(error, "TransientTransactionError"):
            raise error
        self._failed += 1
        self._check_time(now)

    def commit_failed(self, error: PyMongoError, now: float) -> bool:
        """True to send the commit again, False to try the whole transaction again; or raises."""
        self._last_error = error
        if _has_label(error, _UNKNOWN) and not _is_last_word(error):
            self._check_time(now)
            return True
        if _has_label(error, "TransientTransactionError"):
            self._failed += 1
            self._check_time(now)
            return False
        raise error

    def _check_time(self, then: float) -> None:
        if then < self._deadline:
            return
        text = str(self._last_error)
        timeout: PyMongoError
        if self._limited:
            reply = {"ok": 0, "errmsg": text, "code": _MAX_TIME_EXPIRED}
            timeout = ExecutionTimeout(text, _MAX_TIME_EXPIRED, reply)
        else:
            timeout = NetworkTimeout(text)
        if isinstance(self._last_error, PyMongoError):
            timeout._error_labels = self._last_error._error_labels.copy()
        raise timeout from self._last_error


def _is_last_word(error: PyMongoError) -> bool:
    """The server has taken longer than it was allowed, or would only repeat itself: so it is if the
    result is unknown for no other reason than that a commit was sent before."""
    if not isinstance(error, OperationFailure):
        return False
    if error.code == _MAX_TIME_EXPIRED:
        return True
    return not (
        isinstance(error, WriteConcernError)
        or error.has_error_label("RetryableWriteError")
        or error.code in unknown_commit_codes
        or _UNKNOWN in (error.details or {}).get("errorLabels", ())
    )


def _has_label(error: BaseException, label: str) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label(label)


_FIRST_BACKOFF = 0.005
_LONGEST_BACKOFF = 0.5
_GROWS_TO = 20  # long enough; the power of thousands of attempts is no float
_MAX_TIME_EXPIRED = 50
_UNKNOWN = "UnknownTransactionCommitResult"
