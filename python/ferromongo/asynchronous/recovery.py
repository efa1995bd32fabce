"""`recover_transactions`: asks the server what became of the transactions of a log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from ferromongo._calls import recovery as calls
from ferromongo._calls.client import opening, select_writable
from ferromongo._calls.recovery import RecoveredTransaction, RecoveryReport, Replay, Verdict
from ferromongo._calls.transaction_entries import TransactionEntry, entry
from ferromongo._calls.transaction_log import TransactionLog, is_unfinished
from ferromongo._drive import answer, drive
from ferromongo.asynchronous.client_session import AsyncClientSession
from ferromongo.asynchronous.command_cursor import AsyncCommandCursor
from ferromongo.asynchronous.listed_session import AsyncListedSession

if TYPE_CHECKING:
    from ferromongo.asynchronous.mongo_client import AsyncMongoClient

_IS_SYNC = False


async def recover(
    client: AsyncMongoClient[Any], log: TransactionLog, replay: Replay
) -> RecoveryReport:
    """See `AsyncMongoClient.recover_transactions`."""
    calls.check_arguments(log, replay, _IS_SYNC)
    with calls.recovering(log):
        unfinished = await _unfinished(log)
        if not unfinished and log.marker is None:
            return RecoveryReport([])
        await drive(opening(client))
        await drive(select_writable(client, "recover_transactions"))
        report = [await _recovered(client, log, found, replay) for found in unfinished]
        # Not before: transactions that have not ended hold locks of the collection of markers.
        if (markers := calls.prepare_markers(client, log)) is not None:
            await drive(markers)
        return RecoveryReport(report)


async def failed_sessions(client: AsyncMongoClient[Any]) -> list[AsyncListedSession]:
    """A session for each transaction of the client's log that failed, and was not run again."""
    log = calls.log_of(client)
    await recover(client, log, None)
    return [
        AsyncListedSession(client, calls.listed(found), found, log)
        for found in calls.failed(log.entries())
    ]


async def _unfinished(log: TransactionLog) -> list[TransactionEntry]:
    """Of a collection also those of earlier processes, which are not in memory."""
    found = log.unfinished()
    stored = calls.stored(log)
    if stored is None:
        return found
    cursor: AsyncCommandCursor[Any] = AsyncCommandCursor(stored, None)
    known = {mine.key for mine in log}
    others = [document.raw for document in await drive(cursor._fetch_all(None))]
    return [
        *found,
        *(other for raw in others if is_unfinished(raw) and (other := entry(raw)).key not in known),
    ]


async def _recovered(
    client: AsyncMongoClient[Any], log: TransactionLog, found: TransactionEntry, replay: Replay
) -> RecoveredTransaction:
    verdict = await _verdict(client, found)
    assert verdict.outcome is not None
    done = RecoveredTransaction(found, verdict.outcome, verdict.error)
    if done.outcome == "aborted" and (missing := calls.cannot_replay(found, replay)) is not None:
        # Nothing is written down, so that another call can replay it in another way.
        return RecoveredTransaction(found, "aborted", done.error, False, missing)
    # Written down before it is run again: a process that dies meanwhile does not do it twice.
    await _write_down(log, done)
    if done.outcome != "aborted" or not calls.may_replay(found, replay):
        return done
    try:
        await _replay(client, found, replay)
    except Exception as error:
        return RecoveredTransaction(found, "aborted", done.error, False, error)
    done = RecoveredTransaction(found, "aborted", done.error, True)
    await _write_down(log, done)
    return done


async def _write_down(log: TransactionLog, done: RecoveredTransaction) -> None:
    if done.outcome != "unknown":
        log._write_down(done.entry, done.outcome, done.error, done.replayed)
        if log._store is not None:
            await drive(calls.update_stored(log, done, datetime.now(UTC)))


async def _verdict(client: AsyncMongoClient[Any], found: TransactionEntry) -> Verdict:
    if elsewhere := calls.foreign(client, found):
        return Verdict("unknown", elsewhere)
    answered = calls.as_answer(await drive(calls.end_again(client, found)))
    now = datetime.now(UTC)
    verdict = calls.verdict(found, answered, now, calls.session_timeout(client))
    if verdict.outcome is not None:
        return verdict
    try:
        marker = await drive(calls.find_marker(client, found))
    except PyMongoError as error:
        return Verdict("unknown", calls.failure_of(error))
    seconds = calls.age(found, answered.cluster_time, now)
    return calls.marked(found, marker, seconds, verdict.error)


async def _replay(client: AsyncMongoClient[Any], found: TransactionEntry, replay: Replay) -> None:
    async def again(session: AsyncClientSession) -> None:
        if callable(replay):
            await answer(replay(found, session))
            return
        for command in calls.replay_commands(client, found, session._core):
            await drive(command)

    async with client.start_session() as session:
        await session.with_transaction(again)
