"""`Attempts` decides as the convenient transactions API prescribes; the clock is scripted."""

import pytest
from pymongo.errors import ExecutionTimeout, NetworkTimeout, OperationFailure

from ferromongo._calls.with_transaction import Attempts

TRANSIENT = "TransientTransactionError"
UNKNOWN = "UnknownTransactionCommitResult"


def failure(*labels: str, code: int = 91) -> OperationFailure:
    return OperationFailure("no", code, {"errorLabels": list(labels)})


def test_first_attempt_does_not_wait() -> None:
    assert Attempts(0.0).backoff(0.0) == 0.0


def test_backoff_grows_to_half_a_second() -> None:
    attempts = Attempts(0.0)
    for _ in range(2_000):
        attempts.callback_failed(failure(TRANSIENT), 0.0)
        assert 0 <= attempts.backoff(0.0) <= 0.5


def test_users_errors_are_raised() -> None:
    error = KeyError("mine")
    with pytest.raises(KeyError) as raised:
        Attempts(0.0).callback_failed(error, 1.0)
    assert raised.value is error


def test_transient_error_after_the_limit_becomes_a_timeout_with_its_labels() -> None:
    error = failure(TRANSIENT)
    with pytest.raises(NetworkTimeout) as raised:
        Attempts(10.0).callback_failed(error, 130.0)
    assert raised.value.has_error_label(TRANSIENT)
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    ("error", "again"),
    [(failure(UNKNOWN), True), (failure(TRANSIENT), False), (failure(UNKNOWN, TRANSIENT), True)],
)
def test_commit_verdicts(error: OperationFailure, again: bool) -> None:
    assert Attempts(0.0).commit_failed(error, 119.0) is again


def answered(code: int) -> OperationFailure:
    """The server's answer without a label: the driver added it."""
    error = OperationFailure("no", code, {"ok": 0})
    error._add_error_label(UNKNOWN)
    return error


def test_a_commit_is_not_repeated_for_an_answer_that_would_be_the_same() -> None:
    not_now, not_authorized = answered(189), answered(13)
    assert Attempts(0.0).commit_failed(not_now, 1.0, True) is True
    with pytest.raises(OperationFailure) as raised:
        Attempts(0.0).commit_failed(not_authorized, 1.0, False)
    assert raised.value is not_authorized


@pytest.mark.parametrize("error", [failure(), failure(UNKNOWN, code=50)])
def test_commit_errors_that_end_it(error: OperationFailure) -> None:
    with pytest.raises(OperationFailure) as raised:
        Attempts(0.0).commit_failed(error, 1.0)
    assert raised.value is error


def test_a_timeout_has_all_labels_of_the_error_before_it() -> None:
    error = failure(TRANSIENT, "SystemOverloadedError")
    with pytest.raises(NetworkTimeout) as raised:
        Attempts(0.0).callback_failed(error, 120.0)
    assert raised.value.has_error_label("SystemOverloadedError")
    raised.value._remove_error_label(TRANSIENT)
    assert error.has_error_label(TRANSIENT)


def test_the_two_minutes_are_pymongos(monkeypatch: pytest.MonkeyPatch) -> None:
    from pymongo import client_session_shared

    monkeypatch.setattr(client_session_shared, "_WITH_TRANSACTION_RETRY_TIME_LIMIT", 7)
    Attempts(0.0).callback_failed(failure(TRANSIENT), 6.0)
    with pytest.raises(NetworkTimeout):
        Attempts(0.0).callback_failed(failure(TRANSIENT), 7.0)


def test_commit_after_the_limit() -> None:
    with pytest.raises(NetworkTimeout):
        Attempts(0.0).commit_failed(failure(UNKNOWN), 120.0)


def test_the_users_limit_takes_the_place_of_the_two_minutes() -> None:
    error = failure(TRANSIENT)
    Attempts(0.0, 300.0).callback_failed(error, 299.0)
    with pytest.raises(ExecutionTimeout) as raised:
        Attempts(0.0, 5.0).callback_failed(error, 5.0)
    assert raised.value.timeout
    assert raised.value.code == 50
    assert raised.value.has_error_label(TRANSIENT)
    assert raised.value.__cause__ is error
