"""What recovery decides from a server's answer, and from clocks; no server."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import bson
import pytest
from bson import Int64
from bson.binary import Binary

from ferromongo import _calls
from ferromongo._calls import recovery
from ferromongo._calls.recovery import Answer, Verdict, has_expired, marked, verdict
from ferromongo._calls.transaction_entries import TransactionFailure, entry, failure_document

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
SESSION = UUID(int=7)
GONE = TransactionFailure("no such transaction", 251, ("TransientTransactionError",))


def logged(seconds=1, **fields):
    """An entry that many seconds old."""
    document = {
        "lsid": Binary.from_uuid(SESSION),
        "txnNumber": Int64(3),
        "state": "committing",
        "started": NOW - timedelta(seconds=seconds),
        "statements": [{"command": "insert", "ns": "shop.orders"}],
        "commits": 0,
        "pid": 42,
        "clusterTime": Int64(NOW.timestamp() - seconds),
        "sessionTimeoutMinutes": 30,
        **fields,
    }
    return entry(bson.encode(document))


def decided(found, answer, session_timeout=30):
    return verdict(found, answer, NOW, session_timeout)


def test_an_entry_has_typed_values():
    body = {"insert": "orders", "documents": [{"_id": 1, "n": Int64(2)}]}
    error = failure_document(TransactionFailure("why", 8, ("a",)), replayed=True)
    statements = [{"command": "insert", "ns": "shop.orders", "body": body}]
    ended = NOW + timedelta(seconds=2)
    found = logged(0, statements=statements, outcome="aborted", error=error, ended=ended)
    assert found.key == (SESSION, 3)
    assert found.started == NOW
    assert found.duration == timedelta(seconds=2)
    assert found.statements[0].body == body
    assert found.error == TransactionFailure("why", 8, ("a",))
    assert found.replayed
    assert not found.is_unfinished
    assert found.to_dict()["statements"] == [
        {"command": "insert", "namespace": "shop.orders", "body": body}
    ]
    with pytest.raises(AttributeError):
        found.outcome = "committed"


def test_statements_are_summed_up():
    insert, update = ({"command": name, "ns": "shop.orders"} for name in ("insert", "update"))
    assert logged(statements=[insert, update, insert]).summary == (
        "insert shop.orders (2), update shop.orders"
    )
    many = [{"command": "find", "ns": f"shop.c{n}"} for n in range(20)]
    assert logged(statements=many).summary.endswith("find shop.c9, ...")


def test_a_captured_command_stays_the_bytes_it_was():
    twice = b"\x13\x00\x00\x00\x10a\x00\x01\x00\x00\x00\x10a\x00\x02\x00\x00\x00\x00"
    document = bson.raw_bson.RawBSONDocument(twice)
    body = {"insert": "orders", "documents": [document]}
    statements = [{"command": "insert", "ns": "shop.orders", "body": body}]
    [(namespace, command)] = _calls.transaction_entries.captured(logged(statements=statements))
    assert namespace == "shop.orders"
    assert command["documents"][0].raw == twice


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer("committed", None, None), "committed"),
        (Answer("aborted", GONE, None), "aborted"),
        # Said by a primary that may have been replaced already, or by nobody.
        (Answer("unknown", TransactionFailure("gone", 251), None), "unknown"),
        (Answer("aborted", TransactionFailure("closed"), None), "unknown"),
        (Answer("unknown", TransactionFailure("too old", 225), None), "unknown"),
        (Answer("unknown", TransactionFailure("not authorized", 13), None), "unknown"),
        (Answer("unknown", None, None), "unknown"),
    ],
)
def test_only_a_clear_answer_decides(answer, outcome):
    assert decided(logged(), answer).outcome == outcome


@pytest.mark.parametrize(
    ("seconds", "session_timeout", "expired"),
    [
        (1, 30, False),
        (28 * 60, 30, False),
        (29 * 60, 30, True),
        (28 * 60, None, False),
        (28 * 60, 60, False),
        (29 * 60, 60, True),  # servers keep records of transactions that long
        (53, 1, False),
        (54, 1, True),
    ],
)
def test_an_expired_session_tells_nothing(seconds, session_timeout, expired):
    found = logged(seconds)
    assert has_expired(found, None, NOW, session_timeout) == expired
    verdict = decided(found, Answer("aborted", GONE, None), session_timeout)
    assert verdict.outcome == ("unknown" if expired else "aborted")
    # An acknowledgement is no guess, however late.
    assert decided(found, Answer("committed", None, None), session_timeout).outcome == "committed"


def test_what_was_open_is_aborted_unless_the_server_knows_better():
    left = logged(state="open")
    for answer in (Answer("aborted", GONE, None), Answer("unknown", None, None)):
        assert decided(left, answer).outcome == "aborted"
    assert decided(left, Answer("committed", None, None)).outcome == "committed"


def test_the_clock_that_has_moved_further_counts():
    begun = int(NOW.timestamp())
    assert not has_expired(logged(0), begun + 60, NOW, 30)
    assert has_expired(logged(0), begun + 3600, NOW, 30)
    # The machine's clock was set back since.
    assert has_expired(logged(-3600, clusterTime=Int64(begun)), begun + 3600, NOW, 30)
    assert has_expired(logged(3600, clusterTime=Int64(begun)), begun + 1, NOW, 30)


def test_the_shorter_timeout_counts():
    assert has_expired(logged(60, sessionTimeoutMinutes=1), None, NOW, 30)
    assert has_expired(logged(60), None, NOW, 1)


def test_a_marker_is_looked_for_when_the_session_cannot_tell():
    old = logged(3600, marker="a.b")
    assert decided(old, Answer("aborted", GONE, None)).outcome is None
    assert decided(old, Answer("committed", None, None)).outcome == "committed"
    assert decided(old, Answer("unknown", None, None)).outcome == "unknown"
    too_old = TransactionFailure("too old", 225)
    assert decided(logged(marker="a.b"), Answer("unknown", too_old, None)).outcome is None
    assert decided(logged(marker="a.b"), Answer("aborted", GONE, None)).outcome == "aborted"


def test_a_missing_marker_tells_nothing_once_markers_expire():
    found = logged(marker="a.b")
    day = 24 * 60 * 60
    assert marked(found, {"_id": 1}, 3600, None) == Verdict("committed")
    assert marked(found, {"_id": 1}, 2 * day, None) == Verdict("committed")
    assert marked(found, None, 3600, GONE) == Verdict("aborted", GONE)
    assert marked(found, None, day, None).outcome == "unknown"


def client(set_name, hosts, user=None):
    server = SimpleNamespace(replica_set_name=set_name, all_hosts=hosts)
    topology = SimpleNamespace(server_descriptions=lambda: {1: server})
    credentials = user and SimpleNamespace(source=user[0], username=user[1])
    options = SimpleNamespace(pool_options=SimpleNamespace(_credentials=credentials))
    return SimpleNamespace(
        _core=SimpleNamespace(topology_description=lambda: topology),
        _settings=SimpleNamespace(options=options),
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"setName": "rs", "hosts": ["a:1", "c:3"]}, None),
        ({"setName": "other", "hosts": ["a:1"]}, "replica set 'other'"),
        ({"setName": "rs", "hosts": ["c:3"]}, "it ran on c:3"),
        ({"user": "admin.ada"}, "the user 'ada'"),
    ],
)
def test_only_the_deployment_that_ran_it_is_asked(fields, reason):
    why = recovery.foreign(client("rs", {("a", 1), ("b", 2)}), logged(**fields))
    assert why is None if reason is None else reason in why.message


def test_an_address_has_brackets_where_an_entry_has_them():
    assert recovery.foreign(client("rs", {("::1", 5)}), logged(hosts=["[::1]:5"])) is None


def test_sessions_belong_to_users():
    ada = client("rs", {("a", 1)}, ("admin", "ada"))
    assert recovery.foreign(ada, logged(user="admin.ada")) is None
    assert "nobody" in recovery.foreign(ada, logged()).message
    assert recovery.foreign(ada, logged(user="shop.ada")) is not None


@pytest.mark.parametrize(
    ("state", "replay", "again"),
    [
        ("committing", None, False),
        ("committing", True, True),
        ("committing", print, True),
        ("open", True, False),
        ("open", print, True),
    ],
)
def test_what_was_open_is_not_replayed_from_its_statements(state, replay, again):
    assert recovery.may_replay(logged(state=state), replay) == again


def test_an_attempt_that_was_made_again_has_not_failed():
    error = failure_document(GONE, replayed=False)

    def ended(number, attempt, outcome="aborted", session=SESSION):
        fields = {"outcome": outcome, "error": error, "attempt": attempt}
        return logged(lsid=Binary.from_uuid(session), txnNumber=Int64(number), **fields)

    entries = [
        ended(1, 1),
        ended(3, 2),
        ended(4, 3, "committed"),
        ended(5, 1),
        ended(6, 2),  # the last attempt
        ended(7, 0),
        ended(8, 1),
        ended(9, 1, "committed"),  # another transaction
        ended(2, 2, session=UUID(int=8)),
    ]
    numbers = [found.number for found in recovery.failed(entries)]
    assert numbers == [6, 7, 8, 2]


def test_a_report_counts_outcomes():
    outcomes = ["committed", "aborted", "aborted", "unknown"]
    found = [recovery.RecoveredTransaction(logged(), outcome) for outcome in outcomes]
    report = recovery.RecoveryReport(
        [*found, recovery.RecoveredTransaction(logged(), "aborted", replayed=True)]
    )
    assert repr(report) == "<RecoveryReport 1 committed, 3 aborted, 1 unknown, 1 replayed>"
    assert [len(report), len(report.aborted), len(report.unknown)] == [5, 3, 1]
    assert report[0] is found[0]
    assert "1 unknown" in report._repr_html_()
