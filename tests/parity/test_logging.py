"""The same program logged on ferromongo and on PyMongo: the same records in the same loggers.

Compared are the records as they are written, field by field. What differs from run to run (ids,
times) is replaced by names in the order of its appearance.
"""

import contextlib
import logging
import re

import pymongo
import pytest
from bson import json_util
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError
from tests.drivers import AsyncDriver, Awaitable, SyncDriver, both_drivers, eventually
from tests.parity.heard import Names, plain

import ferromongo
from ferromongo._calls import logs
from ferromongo.embedded import ReplicaSet

PROGRAMS = {}
LOGGERS = ("command", "connection", "serverSelection", "topology")


def program(function):
    PROGRAMS[function.__name__] = function
    return function


@program
async def reads_and_writes(client):
    collection = client.shop.orders
    await collection.insert_one({"_id": 1, "item": "tea"})
    await collection.insert_many([{"_id": n} for n in range(2, 5)])
    await collection.update_one({"_id": 1}, {"$set": {"item": "coffee"}})
    await collection.find_one({"_id": 1}, {"item": 1})
    await collection.find_one_and_delete({"_id": 1})
    await collection.estimated_document_count()
    await collection.create_index("item")
    await client.shop.command("ping")
    await client.list_database_names()
    await collection.drop()


@program
async def a_cursor_read_and_one_closed(client):
    collection = client.shop.orders
    await collection.insert_many([{"_id": n} for n in range(5)])
    [document async for document in collection.find(batch_size=2, sort=[("_id", 1)])]
    cursor = collection.find(batch_size=2, sort=[("_id", 1)])
    await cursor.next()
    await cursor.close()


@program
async def read_preferences(client):
    for preference in (
        ReadPreference.NEAREST,
        pymongo.read_preferences.SecondaryPreferred([{"place": "here"}, {}], max_staleness=120),
    ):
        orders = client.shop.get_collection("orders", read_preference=preference)
        await orders.find_one({"_id": 1})


@program
async def errors_and_secrets(client):
    collection = client.shop.orders
    for refused in (
        lambda: collection.find_one({"$no": 1}),
        lambda: collection.insert_many([{"_id": 1}, {"_id": 1}]),
        lambda: client.admin.command("saslStart", 1, mechanism="NONE", payload=b"secret"),
    ):
        with pytest.raises(PyMongoError):
            await refused()
    await client.shop.command("createUser", "teapot", pwd="secret", roles=[])
    await client.shop.command("dropUser", "teapot")


@program
async def errors_that_are_allowed(client):
    await client.shop.missing.drop()
    await client.shop.missing.drop_index("x_1")
    for how in ({"check": False}, {"allowable_errors": [59]}):
        assert (await client.shop.command("noSuchCommand", **how))["code"] == 59


@program
async def unacknowledged(client):
    orders = client.shop.get_collection("orders", write_concern=WriteConcern(0))
    await orders.insert_one({"_id": 1})


@program
async def retries(client):
    for operation in (
        lambda: client.shop.orders.insert_one({"_id": 1}),
        lambda: client.shop.orders.find_one({"_id": 1}),
    ):
        data = {"failCommands": ["insert", "find"], "errorCode": 6}
        data["errorLabels"] = ["RetryableWriteError"]
        await client.admin.command(
            "configureFailPoint", "failCommand", mode={"times": 1}, data=data
        )
        await operation()


@program
async def long_documents(client):
    await client.shop.command("ping")  # PyMongo hears of the cluster's time in the handshake
    await client.shop.orders.insert_one({"_id": 1, "text": "tea \N{TEACUP WITHOUT HANDLE} " * 200})
    await client.shop.orders.find_one({"_id": 1})


@pytest.fixture(scope="module")
def server():
    with ReplicaSet(members=1, auth=("user", "pencil")) as replica_set:
        yield replica_set


@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda one: one.name)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_is_logged(name, driver_class, server, monkeypatch):
    monkeypatch.setenv("MONGOB_LOG_MAX_DOCUMENT_LENGTH", "100000")
    theirs, ours = _logged_by_both(PROGRAMS[name], driver_class, server.uri)
    for logger in ("command", "connection", "serverSelection"):
        here, there = (_normalised(records, logger) for records in (ours, theirs))
        for mine, yours in zip(here, there, strict=False):
            assert mine == yours
        assert len(here) == len(there) >= 1
    # How many heartbeats there are is a matter of luck, what they tell is not.
    assert _kinds(ours) == _kinds(theirs)
    assert _life(ours) == _life(theirs)


@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda one: one.name)
@pytest.mark.parametrize("length", ["0", "5", "-1", "100000"])
def test_how_much_of_a_document_is_logged(length, driver_class, server, monkeypatch):
    monkeypatch.setenv("MONGOB_LOG_MAX_DOCUMENT_LENGTH", length)
    theirs, ours = _logged_by_both(PROGRAMS["long_documents"], driver_class, server.uri)
    theirs, ours = map(_documents_of_commands, (theirs, ours))
    assert ours == theirs
    assert len(ours) == 3 * 2


@pytest.mark.parametrize("driver_class", [SyncDriver, AsyncDriver], ids=lambda one: one.name)
def test_a_selection_that_fails(driver_class, server):
    async def nobody_suits(client):
        await client.admin.command("ping")
        orders = client.shop.get_collection("orders", read_preference=ReadPreference.SECONDARY)
        with pytest.raises(ServerSelectionTimeoutError):
            await orders.find_one({})

    uri = f"{server.uri}&serverSelectionTimeoutMS=300"
    logged = []
    for records in _logged_by_both(nobody_suits, driver_class, uri):
        said = [fields for name, fields in records if name == "serverSelection"]
        said = [fields for fields in said if fields["operation"] == "find"]
        for fields in said:
            fields.pop("failure", None)  # each driver has its own words
        logged.append([(fields["message"], sorted(fields)) for fields in said])
    theirs, ours = logged
    assert ours == theirs
    assert len(ours) == 3


@both_drivers
async def test_levels_count_from_the_moment_they_are_set(driver, mongodb_uri):
    async with driver.client(mongodb_uri) as client:
        await client.admin.command("ping")
        for logger in ("pymongo.command", "pymongo", None):
            with _recorded(logger) as records:
                await client.admin.command("ping")
                assert _commands(records) == ["Command started", "Command succeeded"]
                logging.disable(logging.DEBUG)
                await client.admin.command("ping")
                logging.disable(logging.NOTSET)
                await client.admin.command("ping")
                assert len(_commands(records)) == 4
            await client.admin.command("ping")
            assert len(_commands(records)) == 4


@both_drivers
async def test_a_log_level_set_while_another_thread_reads_levels_takes_effect(
    driver, mongodb_uri, monkeypatch
):
    note = logs.note_loggers
    recorder = contextlib.ExitStack()
    records = []

    def interrupted(wanted):
        monkeypatch.setattr(logs, "note_loggers", note)
        records.append(recorder.enter_context(_recorded("pymongo.command")))
        logs.note_levels()
        note(wanted)

    async with driver.client(mongodb_uri) as client:
        await client.admin.command("ping")
        with recorder:
            monkeypatch.setattr(logs, "note_loggers", interrupted)
            logs.note_levels()
            await client.admin.command("ping")
            assert _commands(records[0]) == ["Command started", "Command succeeded"]


@both_drivers
async def test_a_disabled_logger_gets_nothing(driver, mongodb_uri):
    logger = logging.getLogger("pymongo.command")
    async with driver.client(mongodb_uri) as client:
        with _recorded("pymongo.command") as records:
            logger.disabled = True
            try:
                await client.admin.command("ping")
            finally:
                logger.disabled = False
            assert _commands(records) == []
            await client.admin.command("ping")
            assert len(_commands(records)) == 2


@both_drivers
async def test_other_loggers_stay_silent(driver, mongodb_uri):
    async with driver.client(mongodb_uri) as client:
        await client.admin.command("ping")
        with _recorded("pymongo.connection") as records:
            await client.admin.command("ping")
        # The pool of another member may become ready meanwhile.
        assert {name for name, _ in records} == {"connection"}
        said = [fields["message"] for _, fields in records]
        assert [message for message in said if message.startswith("Connection check")] == [
            "Connection checkout started",
            "Connection checked out",
            "Connection checked in",
        ]


@both_drivers
async def test_a_selection_for_a_property_is_logged_with_its_name(driver, mongodb_uri):
    names = ("address", "is_primary", "is_mongos")
    async with driver.client(mongodb_uri) as client:
        with _recorded("pymongo.serverSelection") as records:
            for name in names:
                value = getattr(client, name)
                if driver.name == "async":
                    await value
        asked = [fields["operation"] for _, fields in records]
    assert "testOperation" not in asked  # which is what PyMongo calls each of them
    assert set(names) <= set(asked)


def _commands(records):
    said = [fields for name, fields in records if name == "command"]
    return [fields["message"] for fields in said if fields["commandName"] == "ping"]


class _Recorder(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        component = record.name.removeprefix("pymongo.")
        if component in LOGGERS:
            self.records.append((component, json_util.loads(record.getMessage())))


@contextlib.contextmanager
def _recorded(logger="pymongo"):
    recorder, logger = _Recorder(), logging.getLogger(logger)
    level = logger.level
    logger.addHandler(recorder)
    logger.setLevel(logging.DEBUG)
    try:
        yield recorder.records
    finally:
        logger.setLevel(level)
        logger.removeHandler(recorder)


def _logged_by_both(program, driver_class, uri):
    for package in (pymongo, ferromongo):
        with pymongo.MongoClient(uri, serverSelectionTimeoutMS=30000) as admin:
            admin.drop_database("shop")
        driver = driver_class()
        with _recorded() as records:
            driver.run(_play(program, driver, package, uri, records))
        yield records


async def _play(program, driver, package, uri, records):
    name = {"sync": "MongoClient", "async": "AsyncMongoClient"}[driver.name]
    client = getattr(package, name)(uri)
    async with Awaitable(client) if driver.name == "sync" else client as client:
        await program(client)
    await eventually(driver, lambda: _said(records, "Stopped topology monitoring"))


def _said(records, message):
    return any(fields["message"] == message for _, fields in records)


def _normalised(records, logger):
    """What one logger was told, with what differs from run to run replaced."""
    told = [fields for component, fields in records if component == logger]
    if logger == "serverSelection":
        # Whether the first operation has to wait is a matter of luck.
        told = told[_first(told, "Server selection succeeded") :]
    names = Names()
    return [_fields(fields, names) for fields in told]


def _first(told, message):
    return [fields["message"] for fields in told].index(message)


def _fields(fields, names):
    told = {}
    operation = fields.get("operation", fields.get("commandName"))
    if operation in ("endSessions", "killCursors"):
        fields.pop("operationId", None)  # PyMongo has none when it selects their server
    if operation == "endSessions":
        fields.pop("selector", None)  # ferromongo has chosen the server before
    for key, value in fields.items():
        if key in ("clientId", "requestId", "operationId", "serverConnectionId"):
            value = names.of(key, value)
        elif key == "durationMS":
            value = type(value).__name__
        elif key in ("selector", "topologyDescription"):
            value = re.sub(r"0x\w+|rtt: [\w.]+|id: \w+", "", value)
        elif key in ("command", "reply", "failure") and isinstance(value, str):
            value = plain(json_util.loads(value), names)
            # PyMongo knows the time from a connection's handshake on.
            value.pop("$clusterTime", None)
        told[key] = value
    if told.get("commandName") == "configureFailPoint":
        told.pop("reply", None)  # tells how often it was used so far
    return told


def _documents_of_commands(records):
    """How much was left of each, where that does not depend on the digits in it."""
    said = [fields for name, fields in records if name == "command"][2:]
    texts = [fields.get("command", fields.get("reply")) for fields in said]
    return [text if len(text) < 20 else (text[:20], len(text) // 20) for text in texts]


def _kinds(records):
    """What is told of heartbeats that succeed."""
    return {
        (fields["message"], fields["awaited"], tuple(sorted(fields)))
        for _, fields in records
        if fields["message"] == "Server heartbeat succeeded"
    }


def _life(records):
    """The topology's, without heartbeats."""
    names = Names()
    said = [fields for name, fields in records if name == "topology" and "awaited" not in fields]
    for fields in said:
        fields["topologyId"] = names.of("topology", fields["topologyId"])
        for key in ("previousDescription", "newDescription"):
            if key in fields:
                fields[key] = re.sub(r"rtt: [\w.]+|id: \w+", "", fields[key])
    # At the end nothing is known any more. PyMongo says so to listeners only.
    said[-2].pop("newDescription")
    return said
