"""Replies to writes that carry errors, raised as the exceptions PyMongo raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    OperationFailure,
    ProtocolError,
    WriteConcernError,
    WriteError,
    WTimeoutError,
)


def raise_write_errors(reply: Mapping[str, Any]) -> None:
    """Raise the write error or write concern error in the reply to a single write, if any."""
    try:
        _raise_errors(reply)
    except (AttributeError, LookupError, TypeError) as error:
        raise _malformed(error) from error


def _raise_errors(reply: Mapping[str, Any]) -> None:
    if errors := reply.get("writeErrors"):
        _raise_write_error(errors[-1])
    if error := reply.get("writeConcernError"):
        raise_write_concern_error(error, reply)
    # The engine's insert gathers one per batch.
    if gathered := reply.get("writeConcernErrors"):
        raise_write_concern_error(gathered[-1], reply)


def raise_write_concern_error(error: Mapping[str, Any], reply: Mapping[str, Any]) -> NoReturn:
    """Raise what the members did not confirm; the labels stand beside it in the reply."""
    if labels := reply.get("errorLabels"):
        error = {**error, "errorLabels": labels}
    timed_out = error.get("code") == _MAX_TIME_EXPIRED or (
        error.get("errInfo", {}).get("wtimeout", False)
    )
    kind = WTimeoutError if timed_out else WriteConcernError
    raise kind(error.get("errmsg", ""), error.get("code"), error)


def checked_write_concern(reply: dict[str, Any]) -> dict[str, Any]:
    """`then` of drop, create and their like: the reply, unless its write concern failed."""
    if error := reply.get("writeConcernError"):
        raise_write_concern_error(error, reply)
    return reply


def raise_bulk_errors(totals: Mapping[str, Any], operations: Sequence[Any]) -> None:
    """Raise BulkWriteError if any of the operations of a bulk write or an `insert_many` failed."""
    errors = totals["writeErrors"]
    if not errors and not totals["writeConcernErrors"]:
        return
    try:
        failed = [{**error, "op": operations[error["index"]]} for error in errors]
        failed.sort(key=lambda error: error["index"])
    except (LookupError, TypeError) as error:
        raise _malformed(error) from error
    details = {**totals, "writeErrors": failed}
    raise_not_retryable(details)
    raise BulkWriteError(details)


def raise_not_retryable(details: Mapping[str, Any]) -> None:
    """Raise for the first write error if it says that numbered writes are not understood."""
    failed = details.get("writeErrors")
    if failed and _refuses_retryable_writes(failed[0]):
        raise OperationFailure(_NOT_RETRYABLE, failed[0].get("code"), details)


def _refuses_retryable_writes(error: Mapping[str, Any]) -> bool:
    """A deployment that looks like a replica set or a mongos and is, in part, neither."""
    return error.get("code") == _ILLEGAL_OPERATION and str(error.get("errmsg")).startswith(
        "Transaction numbers"
    )


def _malformed(error: Exception) -> ProtocolError:
    return ProtocolError(f"malformed errors in the reply: {error!r}")


def _raise_write_error(error: Mapping[str, Any]) -> NoReturn:
    code = error.get("code")
    kind = DuplicateKeyError if code == _DUPLICATE_KEY else WriteError
    raise kind(error.get("errmsg", ""), code, error)


_DUPLICATE_KEY = 11000
_ILLEGAL_OPERATION = 20
# In the words of the specification of retryable writes.
_NOT_RETRYABLE = (
    "This MongoDB deployment does not support retryable writes. Please add retryWrites=false to "
    "your connection string."
)
_MAX_TIME_EXPIRED = 50
