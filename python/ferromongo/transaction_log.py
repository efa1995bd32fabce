"""Logs of transactions, and their recovery: see docs/transaction_log.md.

    from ferromongo import MongoClient
    from ferromongo.transaction_log import TransactionLog

    log = TransactionLog("transactions.log")
    client = MongoClient("mongodb://localhost:27017", transaction_log=log)
    report = client.recover_transactions(log)

`python -m ferromongo.journal transactions.log` prints such a file.
"""

from __future__ import annotations

from ferromongo._calls.recovery import RecoveredTransaction, RecoveryReport
from ferromongo._calls.transaction_entries import (
    TransactionEntry,
    TransactionFailure,
    TransactionStatement,
)
from ferromongo._calls.transaction_errors import TransactionLogError
from ferromongo._calls.transaction_log import TransactionLog

__all__ = [
    "RecoveredTransaction",
    "RecoveryReport",
    "TransactionEntry",
    "TransactionFailure",
    "TransactionLog",
    "TransactionLogError",
    "TransactionStatement",
]
