"""Commands and properties of a client: databases, and what is known of the servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.errors import InvalidOperation
from pymongo.read_preferences import ReadPreference
from pymongo.topology_description import TopologyDescription

from ferromongo._calls.bases import ClientBase, DatabaseBase
from ferromongo._calls.client_settings import ClientSettings
from ferromongo._calls.listeners import Publisher
from ferromongo._calls.openings import Opening
from ferromongo._calls.scopes import command_scope
from ferromongo._calls.sessions import core_session
from ferromongo._calls.srv import SeedWatch, srv_service
from ferromongo._calls.write_errors import checked_write_concern
from ferromongo._core import Client, Pending
from ferromongo.typings import Address


def list_databases(
    admin: DatabaseBase, session: Any, comment: Any, options: dict[str, Any]
) -> Opening:
    command: dict[str, Any] = {"listDatabases": 1, **options}
    if comment is not None:
        command["comment"] = comment
    return Opening(command_scope(admin), command, core_session(session, admin._client))


def drop_database(database: DatabaseBase, session: Any, comment: Any) -> Pending[Any]:
    inside = core_session(session, database._client)
    return command_scope(database).write(
        drop_command(comment), inside, False, checked_write_concern
    )


def drop_command(comment: Any) -> dict[str, Any]:
    return {"dropDatabase": 1, "comment": comment}


def database_name(name_or_database: Any) -> str:
    name = name_or_database
    if isinstance(name, DatabaseBase):
        name = name._name
    if not isinstance(name, str):
        raise TypeError(f"name_or_database must be a str or a database, not {type(name)}")
    return name


def engine(client: ClientBase, settings: ClientSettings) -> Client:
    client._publisher = Publisher(settings.options)
    complete = {**settings.engine, "events": client._publisher.queue}
    if settings.look_up is None:
        return Client(complete)
    client._seed_watch = SeedWatch(client, settings.look_up)
    return Client(complete, client._seed_watch.start)


def opening(client: ClientBase) -> Pending[None]:
    """Begin to look for the servers, once their names are known."""
    client._used = True
    return client._core.open()


def may_open(client: ClientBase) -> bool:
    """A closed client has no servers, but its properties remain readable."""
    return not client._core.closed


def open_now(client: ClientBase) -> None:
    """The same from a constructor, which may block; a client that was never made needs no close."""
    client._core.open().run()
    client._used = True


def topology_description(client: ClientBase) -> TopologyDescription:
    """Does not begin to look for the servers."""
    description: TopologyDescription = client._core.topology_description()
    return description


def closing(client: ClientBase) -> Pending[None]:
    if client._seed_watch is not None:
        client._seed_watch.stop()
    return client._core.close()


def identity(settings: ClientSettings) -> tuple[tuple[Address, ...], str | None, str | None, str]:
    seeds = tuple(sorted(settings.named))
    name = None if settings.srv is None else settings.srv.name
    return seeds, settings.options.replica_set_name, name, srv_service(settings.given)


def topology(client: ClientBase) -> dict[str, Any]:
    """What is known of the servers by now."""
    return client._core.topology()


def closed(client: ClientBase) -> None:
    """The engine's part is closed: listeners have heard, or are about to hear, the last of it."""
    client._publisher.close()


def select_writable(client: ClientBase, asker: str) -> Pending[dict[str, Any]]:
    """`asker` is the property or method that asks, for logs."""
    client._used = True
    return client._core.select(ReadPreference.PRIMARY, asker)


def check_one_address(client: ClientBase) -> None:
    known = topology(client)
    if known["type"] == "Sharded" and len(known["servers"]) > 1:
        raise InvalidOperation(
            "a client of several mongos has no single address; use nodes instead of address"
        )


def members(client: ClientBase, server_type: str) -> set[Address]:
    """The replica set members of one type, empty for other deployments."""
    known = topology(client)
    if known["type"] not in ("ReplicaSetWithPrimary", "ReplicaSetNoPrimary"):
        return set()
    return {
        address for address, server in known["servers"].items() if server["type"] == server_type
    }


def known_nodes(client: ClientBase) -> frozenset[Address]:
    servers: Mapping[Address, Any] = client._core.topology()["servers"]
    return frozenset(address for address, server in servers.items() if server["type"] != "Unknown")


WRITABLE = frozenset(("RSPrimary", "Standalone", "Mongos", "LoadBalancer"))
