"""AsyncListedSession: what `list_sessions` answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pymongo.client_session_shared import SessionOptions

from ferromongo._calls.transaction_entries import TransactionEntry
from ferromongo._calls.transaction_log import TransactionLog
from ferromongo._drive import drive
from ferromongo.asynchronous.client_session import AsyncClientSession

if TYPE_CHECKING:
    from ferromongo.asynchronous.mongo_client import AsyncMongoClient


class AsyncListedSession(AsyncClientSession):
    """A session beside one that the server or a transaction log knows, which `listed` tells about.

    It can be used like any other, and needs no end if it was not. It has an id of its own: a
    transaction under the listed one would abort whatever its owner is doing there.
    """

    def __init__(
        self,
        client: AsyncMongoClient[Any],
        listed: Mapping[str, Any],
        transaction: TransactionEntry | None = None,
        log: TransactionLog | None = None,
    ) -> None:
        """Made by `list_sessions()`."""
        super().__init__(client, SessionOptions())
        self._listed = listed
        self._transaction = transaction
        self._log = log

    @property
    def listed(self) -> Mapping[str, Any]:
        """The server's entry: `_id` (the session's `id` and a hash of its user), `lastUse`."""
        return self._listed

    @property
    def transaction(self) -> TransactionEntry | None:
        """The transaction that failed, of sessions listed with `failed=True`."""
        return self._transaction

    async def commit_transaction(self) -> None:
        """The same as of other sessions. The failed transaction has been made up for then, and is
        not listed again."""
        await drive(self._core.commit_transaction())
        if self._transaction is not None and self._log is not None:
            self._log._write_down(self._transaction, "aborted", None, replayed=True)
            self._log = None
