"""The operations on "testRunner": fail points, waits and assertions."""

from collections.abc import Mapping
from typing import Any

from tests.drivers import eventually
from tests.spec.unified.events import count, type_of
from tests.spec.unified.match import Unsupported, check

Arguments = Mapping[str, Any]


async def run(runner: Any, name: str, arguments: Arguments) -> None:
    if name not in OPERATIONS:
        raise Unsupported(f"the test runner's operation {name}")
    await OPERATIONS[name](runner, arguments)


async def fail_point(runner: Any, arguments: Arguments) -> None:
    command = arguments["failPoint"]
    runner.fail_points.add(command["configureFailPoint"])
    await runner.entities[arguments["client"]].admin.command(command)


async def create_entities(runner: Any, arguments: Arguments) -> None:
    await runner.entities.create(arguments["entities"])


async def run_on_thread(runner: Any, arguments: Arguments) -> None:
    runner.entities[arguments["thread"]].run(runner.operation, arguments["operation"])


async def wait_for_thread(runner: Any, arguments: Arguments) -> None:
    await runner.entities[arguments["thread"]].finish()


async def wait(runner: Any, arguments: Arguments) -> None:
    await runner.driver.sleep(arguments["ms"] / 1000)


async def wait_for_event(runner: Any, arguments: Arguments) -> None:
    observer = runner.entities.observers[arguments["client"]]

    def came() -> bool:
        found = count(arguments["event"], observer, runner.matcher)
        return bool(found >= arguments["count"])

    await eventually(runner.driver, came)


async def assert_event_count(runner: Any, arguments: Arguments) -> None:
    observer = runner.entities.observers[arguments["client"]]
    found = count(arguments["event"], observer, runner.matcher)
    check(found == arguments["count"], str(arguments["event"]), f"came {found} times")


async def assert_connections(runner: Any, arguments: Arguments) -> None:
    observer = runner.entities.observers[arguments["client"]]
    out = observer.checked_out
    check(out == arguments["connections"], "connections checked out", f"{out}")


async def assert_dirty(runner: Any, arguments: Arguments) -> None:
    check(is_dirty(runner.entities[arguments["session"]]), "the session", "is not dirty")


async def assert_not_dirty(runner: Any, arguments: Arguments) -> None:
    check(not is_dirty(runner.entities[arguments["session"]]), "the session", "is dirty")


def is_dirty(session: Any) -> bool:
    """No public name tells."""
    inner = getattr(session, "_core", None) or session._server_session
    return bool(inner.dirty)


async def assert_transaction_state(runner: Any, arguments: Arguments) -> None:
    # What users see of it: `in_transaction` is true from its start on, before the first command.
    expected = arguments["state"] in ("starting", "in_progress")
    actual = runner.entities[arguments["session"]].in_transaction
    check(actual is expected, "in_transaction", f"is {actual}, not {arguments['state']}")


async def assert_same_lsid(runner: Any, arguments: Arguments) -> None:
    first, second = last_two_lsids(runner, arguments)
    check(first == second, "lsid", f"{first} and then {second}")


async def assert_different_lsid(runner: Any, arguments: Arguments) -> None:
    first, second = last_two_lsids(runner, arguments)
    check(first != second, "lsid", f"twice {first}")


def last_two_lsids(runner: Any, arguments: Arguments) -> list[Any]:
    commands = runner.entities.observers[arguments["client"]].observed("command")
    started = [event.command["lsid"] for event in commands if hasattr(event, "command")]
    check(len(started) >= 2, "commands", f"only {len(started)} came")
    return started[-2:]


async def assert_collection_exists(runner: Any, arguments: Arguments) -> None:
    check(await has_collection(runner, arguments), str(arguments), "does not exist")


async def assert_collection_not_exists(runner: Any, arguments: Arguments) -> None:
    check(not await has_collection(runner, arguments), str(arguments), "exists")


async def has_collection(runner: Any, arguments: Arguments) -> bool:
    database = runner.deployment.client[arguments["databaseName"]]
    return arguments["collectionName"] in database.list_collection_names()


async def assert_index_exists(runner: Any, arguments: Arguments) -> None:
    check(has_index(runner, arguments), str(arguments), "does not exist")


async def assert_index_not_exists(runner: Any, arguments: Arguments) -> None:
    check(not has_index(runner, arguments), str(arguments), "exists")


def has_index(runner: Any, arguments: Arguments) -> bool:
    collection = runner.deployment.client[arguments["databaseName"]][arguments["collectionName"]]
    return arguments["indexName"] in collection.index_information()


async def record_topology(runner: Any, arguments: Arguments) -> None:
    client = runner.entities[arguments["client"]]
    runner.entities.add(arguments["id"], "topologyDescription", client.topology_description)


async def assert_topology_type(runner: Any, arguments: Arguments) -> None:
    actual = type_of(runner.entities[arguments["topologyDescription"]])
    check(actual == arguments["topologyType"], "topology type", actual)


async def wait_for_primary_change(runner: Any, arguments: Arguments) -> None:
    before = primaries(runner.entities[arguments["priorTopologyDescription"]])
    client = runner.entities[arguments["client"]]

    def changed() -> bool:
        now = primaries(client.topology_description)
        return bool(now) and now != before

    timeout = arguments.get("timeoutMS", 10_000) / 1000
    await eventually(runner.driver, changed, timeout)


def primaries(description: Any) -> set[Any]:
    servers = description.server_descriptions().values()
    return {server.address for server in servers if type_of(server) == "RSPrimary"}


async def needs_mongos(runner: Any, arguments: Arguments) -> None:
    raise Unsupported("sessions are pinned on a mongos or load balancer only")


OPERATIONS = {
    "assertCollectionExists": assert_collection_exists,
    "assertCollectionNotExists": assert_collection_not_exists,
    "assertDifferentLsidOnLastTwoCommands": assert_different_lsid,
    "assertEventCount": assert_event_count,
    "assertIndexExists": assert_index_exists,
    "assertIndexNotExists": assert_index_not_exists,
    "assertNumberConnectionsCheckedOut": assert_connections,
    "assertSameLsidOnLastTwoCommands": assert_same_lsid,
    "assertSessionDirty": assert_dirty,
    "assertSessionNotDirty": assert_not_dirty,
    "assertSessionPinned": needs_mongos,
    "assertSessionTransactionState": assert_transaction_state,
    "assertSessionUnpinned": needs_mongos,
    "assertTopologyType": assert_topology_type,
    "createEntities": create_entities,
    "failPoint": fail_point,
    "recordTopologyDescription": record_topology,
    "runOnThread": run_on_thread,
    "targetedFailPoint": needs_mongos,
    "wait": wait,
    "waitForEvent": wait_for_event,
    "waitForPrimaryChange": wait_for_primary_change,
    "waitForThread": wait_for_thread,
}
