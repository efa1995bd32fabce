"""Event listeners on both APIs: what they hear, when, and on which thread."""

import collections
import contextvars
import threading
import time

import pytest
from bson import ObjectId
from bson.codec_options import TypeDecoder, TypeRegistry
from bson.datetime_ms import DatetimeMS
from bson.errors import InvalidBSON
from pymongo import WriteConcern, monitoring
from pymongo.errors import (
    AutoReconnect,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
)
from pymongo.hello import Hello
from pymongo.topology_description import TopologyDescription
from tests.drivers import APP, both_drivers, eventually, ferromongo_only, package
from tests.fault.programs import run
from tests.listeners import Commands, Recorder

UNREACHABLE = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"


@both_drivers
async def test_all_events_of_an_operation_are_there_when_it_returns(
    driver, mongodb_uri, mongodb_database_name
):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_many([{"_id": n} for n in range(3)], comment="three")
        started, succeeded = recorder.commands()
        assert isinstance(started, monitoring.CommandStartedEvent)
        assert started.command_name == "insert"
        assert started.database_name == mongodb_database_name
        assert started.connection_id in client.nodes
        assert isinstance(started.server_connection_id, int)
        assert started.service_id is None
        command = started.command
        assert command["documents"] == [{"_id": n} for n in range(3)]
        assert (command["$db"], command["comment"]) == (mongodb_database_name, "three")
        assert command["lsid"]["id"].subtype == 4
        assert isinstance(succeeded, monitoring.CommandSucceededEvent)
        assert (succeeded.reply["ok"], succeeded.reply["n"]) == (1, 3)
        assert succeeded.duration_micros > 0
        for field in ("request_id", "operation_id", "connection_id", "database_name"):
            assert getattr(started, field) == getattr(succeeded, field)
        with pytest.raises(OperationFailure) as refused:
            await collection.find_one({"$no": 1})
        started, failed = recorder.commands("find")
        assert isinstance(failed, monitoring.CommandFailedEvent)
        assert failed.failure == refused.value.details
        assert started.request_id == failed.request_id
    requests = [event.request_id for event in recorder.of(monitoring.CommandStartedEvent)]
    assert len(requests) == len(set(requests))


@both_drivers
async def test_an_operation_s_thread_and_context_hear_of_its_commands(
    driver, mongodb_replica_set, mongodb_database_name
):
    """Tracing depends on it: spans belong to the context that made the call."""
    variable = contextvars.ContextVar("variable", default=None)
    heard = []

    def hear(event):
        heard.append((time.monotonic(), threading.get_ident(), variable.get()))

    async def find():
        variable.set("mine")
        me = threading.get_ident()
        await client[mongodb_database_name].c.find_one()
        return me

    options = {"appname": "heard", "event_listeners": [Commands(hear)]}
    slow = {"failCommands": ["find"], "appName": "heard", "block": 0.3}
    async with driver.client(mongodb_replica_set.uri, **options) as client:
        await client.admin.command("ping")
        heard.clear()
        with mongodb_replica_set.failpoint(**slow, times=1):
            me = await driver.start(find).result()
        assert [where for _, *where in heard] == [[me, "mine"]] * 2
        (started, *_), (succeeded, *_) = heard
        assert succeeded - started > 0.2  # not both at the end


@both_drivers
async def test_a_retry_is_one_operation_of_several_commands(
    driver, mongodb_replica_set, mongodb_database_name
):
    recorder = Recorder()
    options = {"appname": "heard", "event_listeners": [recorder]}
    cut = {"failCommands": ["insert"], "appName": "heard", "closeConnection": True}
    async with driver.client(mongodb_replica_set.uri, **options) as client:
        await client.admin.command("ping")
        with mongodb_replica_set.failpoint(**cut, times=1):
            await client[mongodb_database_name].c.insert_one({})
        insert = recorder.commands("insert")
        kinds = [type(event).__name__.removeprefix("Command") for event in insert]
        assert kinds == ["StartedEvent", "FailedEvent", "StartedEvent", "SucceededEvent"]
        assert len({event.operation_id for event in insert}) == 1
        assert len({event.request_id for event in insert}) == 2
        assert insert[0].command["txnNumber"] == insert[2].command["txnNumber"]
        assert insert[1].failure["errtype"] == "AutoReconnect"

        def lost():
            changes = recorder.of(monitoring.ServerDescriptionChangedEvent)
            return [change for change in changes if change.previous_description.is_writable]

        await eventually(driver, lost)
        assert lost()[0].new_description.server_type_name == "Unknown"
        assert isinstance(lost()[0].new_description.error, AutoReconnect)


@both_drivers
async def test_nothing_secret_is_heard(driver, mongodb_uri, mongodb_database_name):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        database = client[mongodb_database_name]
        with pytest.raises(OperationFailure):
            await database.command("createUser", "u", pwd="s3cret", roles=[{"role": "nothing"}])
        await database.command("createUser", "u", pwd="s3cret", roles=[])
        await database.command("dropUser", "u")
        heard = recorder.commands("createUser")
        assert len(heard) == 4
        assert heard[0].command == {} == heard[2].command
        assert heard[3].reply == {}
        assert "s3cret" not in repr([vars_of(event) for event in recorder.events])


@both_drivers
async def test_an_unacknowledged_write_succeeds_at_once(driver, mongodb_uri, mongodb_database_name):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        database = client[mongodb_database_name]
        await database.get_collection("c", write_concern=WriteConcern(0)).insert_one({})
        started, succeeded = recorder.commands()
        assert started.command["writeConcern"] == {"w": 0}
        assert succeeded.reply == {"ok": 1}


@both_drivers
async def test_the_life_of_a_topology(driver, mongodb_uri):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        await client.admin.command("ping")
        await eventually(driver, lambda: len(client.nodes) == 3)
        shown = client.topology_description
        assert isinstance(shown, TopologyDescription)
        assert shown.topology_type_name == "ReplicaSetWithPrimary"
        assert shown.replica_set_name == client.options.replica_set_name
        types = [server.server_type_name for server in shown.server_descriptions().values()]
        assert sorted(types) == ["RSPrimary", "RSSecondary", "RSSecondary"]
        members = set(shown.server_descriptions())
        (primary,) = [s for s in shown.server_descriptions().values() if s.is_writable]
        assert primary.primary == primary.address == primary.me
        assert primary.all_hosts == members
        assert primary.round_trip_time > 0
        assert isinstance(primary.topology_version["processId"], ObjectId)
    await eventually(driver, lambda: recorder.of(monitoring.TopologyClosedEvent))
    of_topology = recorder.of(monitoring.TopologyEvent)
    assert len({event.topology_id for event in of_topology}) == 1
    opened, first, *changes, last, closed = of_topology
    assert isinstance(opened, monitoring.TopologyOpenedEvent)
    assert first.previous_description.server_descriptions() == {}
    assert isinstance(closed, monitoring.TopologyClosedEvent)
    # Each description follows from the one before.
    for before, after in zip([first, *changes], [*changes, last], strict=True):
        new, old = before.new_description, after.previous_description
        assert new.topology_type == old.topology_type
        assert new.server_descriptions() == old.server_descriptions()
    assert last.new_description.server_descriptions() == {}
    for member in members:
        of_member = [
            event
            for event in recorder.of(monitoring._ServerEvent)
            if event.server_address == member
        ]
        opening, *changes, closing = of_member
        assert isinstance(opening, monitoring.ServerOpeningEvent)
        assert changes[-1].new_description.server_type_name.startswith("RS")
        assert isinstance(closing, monitoring.ServerClosedEvent)


@both_drivers
async def test_heartbeats(driver, mongodb_uri, mongodb_replica_set):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        await client.admin.command("ping")
        succeeded = (monitoring.ServerHeartbeatSucceededEvent,)
        await eventually(
            driver, lambda: len({e.connection_id for e in recorder.of(*succeeded)}) == 3
        )
        # The check that the server answers when something changes: the second of each member.
        await eventually(
            driver,
            lambda: any(e.awaited for e in recorder.of(monitoring.ServerHeartbeatStartedEvent)),
        )
    started = recorder.of(monitoring.ServerHeartbeatStartedEvent)
    assert {event.connection_id for event in started} == {
        (host, int(port))
        for host, port in (member.address.split(":") for member in mongodb_replica_set.members)
    }
    first = recorder.of(succeeded)[0]
    assert not first.awaited
    assert 0 < first.duration < 10
    assert isinstance(first.reply, Hello)
    assert first.reply.replica_set_name == client.options.replica_set_name


@both_drivers
async def test_every_started_heartbeat_has_an_end_when_a_client_is_closed(driver, mongodb_uri):
    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[recorder]) as client:
        await client.admin.command("ping")
        started = monitoring.ServerHeartbeatStartedEvent
        await eventually(driver, lambda: any(event.awaited for event in recorder.of(started)))
    ends = (monitoring.ServerHeartbeatSucceededEvent, monitoring.ServerHeartbeatFailedEvent)

    def counts(*kinds):
        return collections.Counter(event.connection_id for event in recorder.of(*kinds))

    await eventually(driver, lambda: counts(*ends) == counts(started))


@both_drivers
async def test_a_server_that_is_not_there(driver):
    recorder = Recorder()
    async with driver.client(UNREACHABLE, event_listeners=[recorder]) as client:
        with pytest.raises(ServerSelectionTimeoutError):
            await client.admin.command("ping")
        await eventually(driver, lambda: recorder.of(monitoring.ServerHeartbeatFailedEvent))
        failed = recorder.of(monitoring.ServerHeartbeatFailedEvent)[0]
        assert failed.connection_id == ("127.0.0.1", 1)
        assert isinstance(failed.reply, AutoReconnect)
        assert (failed.duration >= 0, failed.awaited) == (True, False)
        await eventually(driver, lambda: recorder.of(monitoring.ServerDescriptionChangedEvent))
        change = recorder.of(monitoring.ServerDescriptionChangedEvent)[0]
        assert change.previous_description.error is None
        assert isinstance(change.new_description.error, AutoReconnect)


@both_drivers
async def test_a_listener_s_exception_is_printed_and_hurts_nobody(driver, mongodb_uri, capsys):
    def fail(event):
        raise ValueError("what a listener raises")

    recorder = Recorder()
    async with driver.client(mongodb_uri, event_listeners=[Commands(fail), recorder]) as client:
        assert (await client.admin.command("ping"))["ok"] == 1
    printed = capsys.readouterr().err
    assert printed.count("ValueError: what a listener raises") == len(recorder.commands()) > 0
    assert "Traceback" in printed


def test_a_listener_may_use_its_client(mongodb_uri, mongodb_database_name):
    heard = []

    def hear(event):
        heard.append((type(event).__name__, event.command_name, "begins"))
        if event.command_name == "insert":
            client[mongodb_database_name].c.find_one()
        heard.append((type(event).__name__, event.command_name, "ends"))

    with package.MongoClient(mongodb_uri, event_listeners=[Commands(hear)]) as client:
        client[mongodb_database_name].c.insert_one({})
    names = [(kind.removeprefix("Command"), name) for kind, name, part in heard if part == "ends"]
    assert names.count(("SucceededEvent", "find")) == names.count(("StartedEvent", "find")) == 2


@both_drivers
async def test_global_listeners_are_those_of_the_time_when_a_client_is_made(
    driver, mongodb_uri, monkeypatch
):
    empty = type(monitoring._LISTENERS)([], [], [], [], [])
    monkeypatch.setattr(monitoring, "_LISTENERS", empty)
    recorder = Recorder()
    async with driver.client(mongodb_uri) as before:
        monitoring.register(recorder)
        async with driver.client(mongodb_uri) as after:
            await before.admin.command("ping")
            assert not recorder.commands()
            await after.admin.command("ping")
            assert len(recorder.commands("ping")) == 2
            assert recorder in after._event_listeners.event_listeners()


def test_what_is_no_listener_is_refused(mongodb_uri):
    for value, error in ((object(), TypeError), ([object()], TypeError)):
        with pytest.raises(error):
            package.MongoClient(mongodb_uri, event_listeners=value)


@ferromongo_only  # its threads have other names in PyMongo
@both_drivers
async def test_a_client_with_listeners_has_a_dispatcher_thread(driver, mongodb_uri):
    def dispatchers():
        return [t for t in threading.enumerate() if t.name == "ferromongo events"]

    async with driver.client(mongodb_uri) as client:
        await client.admin.command("ping")
        await eventually(driver, lambda: not dispatchers())
        async with driver.client(mongodb_uri, event_listeners=[Recorder()]) as listened:
            async with driver.client(mongodb_uri, event_listeners=[Recorder()]) as other:
                await other.admin.command("ping")
                assert len(dispatchers()) == 2
            await eventually(driver, lambda: len(dispatchers()) == 1)
            await listened.admin.command("ping")
            assert len(dispatchers()) == 1
        await eventually(driver, lambda: not dispatchers())
    forgotten = package.MongoClient(mongodb_uri, event_listeners=[Recorder()], connect=False)
    assert dispatchers()
    del forgotten
    await eventually(driver, lambda: not dispatchers())


@pytest.mark.parametrize("how", ["forked", "many", "left_behind", "stuck"])
@ferromongo_only  # PyMongo warns of forks
def test_processes_with_listeners(how, mongodb_uri):
    assert run("listening", how, mongodb_uri) == "well"


def vars_of(event):
    names = [name for name in dir(event) if not name.startswith("_")]
    return [getattr(event, name) for name in names]


@both_drivers
async def test_commands_whose_documents_cannot_be_decoded_have_a_start_and_an_end(
    driver, mongodb_uri, mongodb_database_name
):
    class Refusing(TypeDecoder):
        bson_type = int

        def transform_bson(self, value):
            raise LookupError("an int")

    far = DatetimeMS(10**17)
    registry = TypeRegistry([Refusing()])
    recorder = Recorder()
    async with driver.client(
        mongodb_uri, event_listeners=[recorder], type_registry=registry
    ) as client:
        collection = client[mongodb_database_name].c
        await collection.insert_one({"_id": "far", "at": far, "n": 1})
        started, succeeded = recorder.commands("insert")
        assert started.command["documents"][0]["at"] == far
        assert started.request_id == succeeded.request_id
        with pytest.raises((LookupError, InvalidBSON)):
            await collection.find_one()
        started, succeeded = recorder.commands("find")
        assert isinstance(succeeded, monitoring.CommandSucceededEvent)


@both_drivers
async def test_a_server_that_is_shutting_down_is_described_by_its_error(
    driver, mongodb_uri, mongodb_database_name, fail
):
    recorder = Recorder()
    options = {"appName": APP, "retryWrites": False, "event_listeners": [recorder]}
    async with driver.client(mongodb_uri, **options) as client:
        await client.admin.command("ping")
        with fail("insert", times=1, errorCode=91), pytest.raises(NotPrimaryError):
            await client[mongodb_database_name].x.insert_one({})

        def errors():
            changes = recorder.of(monitoring.ServerDescriptionChangedEvent)
            return [one.new_description.error for one in changes if one.new_description.error]

        await eventually(driver, errors)
        assert isinstance(errors()[0], NotPrimaryError)
