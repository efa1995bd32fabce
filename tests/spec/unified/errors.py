"""Compares an exception with `expectError`."""

from typing import Any

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ClientBulkWriteException,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
)
from tests.spec.unified.match import Matcher, Unsupported, check
from tests.spec.unified.results import bulk_write_result, client_bulk_write_result


def check_error(expected: dict[str, Any], error: Exception, matcher: Matcher) -> None:
    for key, value in expected.items():
        where = f"{type(error).__name__}: {error}: {key}"
        match key:
            case "isError":
                pass  # there is one
            case "isClientError":
                check(is_client_error(error) is value, where, f"should be {value}")
            case "isTimeoutError":
                timeout = isinstance(error, PyMongoError) and error.timeout
                check(timeout is value, where, f"should be {value}")
            case "errorContains":
                check(value.lower() in text(error), where, f"has not {value!r}: {text(error)}")
            case "errorCode":
                check(details(error).get("code") == value, where, f"should be {value}")
            case "errorCodeName":
                check(details(error).get("codeName") == value, where, f"should be {value}")
            case "errorLabelsContain":
                missing = [label for label in value if not has_label(error, label)]
                check(not missing, where, f"lacks {missing}")
            case "errorLabelsOmit":
                wrong = [label for label in value if has_label(error, label)]
                check(not wrong, where, f"has {wrong}")
            case "errorResponse":
                matcher.match(value, details(error), where=where)
            case "expectResult":
                if isinstance(error, BulkWriteError | ClientBulkWriteException):
                    # Others, a network error say, have no room for a result.
                    matcher.match(value, partial_result(error), where=where)
            case "writeErrors":
                found = {str(one["idx"]): one for one in client_bulk(error).write_errors}
                matcher.match(value, found, root=False, where=where)
            case "writeConcernErrors":
                matcher.match(value, client_bulk(error).write_concern_errors, where=where)
            case _:
                raise Unsupported(f"expectError.{key}")


def is_client_error(error: Exception) -> bool:
    """Anything but an answer of the server: the network's failures are the client's errors."""
    cause = error.error if isinstance(error, ClientBulkWriteException) else None
    if isinstance(cause, Exception):
        return is_client_error(cause)
    return not isinstance(error, OperationFailure | NotPrimaryError)


def has_label(error: Exception, label: str) -> bool:
    cause = getattr(error, "error", None)
    labelled = [one for one in (error, cause) if isinstance(one, PyMongoError)]
    if not labelled and not isinstance(error, BSONError | ValueError | TypeError):
        raise Unsupported(f"labels of {type(error)}")
    return any(one.has_error_label(label) for one in labelled)


def details(error: Exception) -> dict[str, Any]:
    if isinstance(error, BulkWriteError):
        errors = error.details["writeErrors"] + error.details["writeConcernErrors"]
        return errors[0] if errors else {}
    if isinstance(error, ClientBulkWriteException) and isinstance(error.error, Exception):
        return details(error.error)
    found = getattr(error, "details", None)
    return dict(found) if found else {}


def text(error: Exception) -> str:
    """Where the server's messages are: a bulk write's error has them in its details."""
    if isinstance(error, BulkWriteError):
        return f"{error} {error.details}".lower()
    return str(error).lower()


def partial_result(error: BulkWriteError | ClientBulkWriteException) -> Any:
    if isinstance(error, BulkWriteError):
        return bulk_write_result(error.details)
    return client_bulk_write_result(error.partial_result)


def client_bulk(error: Exception) -> ClientBulkWriteException:
    check(isinstance(error, ClientBulkWriteException), "the error", f"is {error!r}")
    assert isinstance(error, ClientBulkWriteException)
    return error
