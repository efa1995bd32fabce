"""The exceptions and warnings of `ferromongo.transaction`."""

from __future__ import annotations

from pymongo.errors import PyMongoError

from ferromongo._calls.with_transaction import TRANSIENT, has_label


class TransactionRolledBack(PyMongoError):
    """The transaction of an `atomic` block was rolled back, or will be at the end of the block.

    Its `__cause__` is the first error that made it so. It has that one's label
    TransientTransactionError, if the same transaction may succeed when it is run again.
    """


class TransactionLogError(PyMongoError):
    """The transaction log cannot be read or written.

    A commit that raises it was not sent, and its transaction is aborted.
    """


class OutsideTransactionWarning(UserWarning):
    """An operation without a session, while a transaction is in progress in its thread or task.

    Emitted by clients with `transaction_guard="warn"`.
    """


def rolled_back(first: BaseException) -> TransactionRolledBack:
    """The exception to raise after a transaction's first error."""
    text = f"the transaction is rolled back because of an earlier error: {first}"
    error = TransactionRolledBack(text)
    if has_label(first, TRANSIENT):
        error._add_error_label(TRANSIENT)
    error.__cause__ = first
    return error


TransactionRolledBack.__module__ = "ferromongo.transaction"
TransactionLogError.__module__ = "ferromongo.transaction_log"
OutsideTransactionWarning.__module__ = "ferromongo.transaction"
