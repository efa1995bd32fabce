"""The named things of a test: clients, databases, collections, sessions, cursors, results."""

from typing import Any

from pymongo import monitoring
from pymongo.server_api import ServerApi
from tests.drivers import eventually
from tests.spec.unified.arguments import NOT_IN_PYMONGO, options, session_options
from tests.spec.unified.events import Observer
from tests.spec.unified.log_messages import Components
from tests.spec.unified.match import Unsupported
from tests.spec.unified.requirements import Deployment


class Entities:
    def __init__(self, driver: Any, deployment: Deployment) -> None:
        self._driver = driver
        self._deployment = deployment
        self._all: dict[str, tuple[str, Any]] = {}
        self.observers: dict[str, Observer] = {}
        self.components: dict[str, Components] = {}
        self._ended: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self._all[name][1]

    def __contains__(self, name: str) -> bool:
        return name in self._all

    def kind(self, name: str) -> str:
        return self._all[name][0]

    def add(self, name: str, kind: str, value: Any) -> None:
        if name in self._all:
            raise ValueError(f"there is an entity {name} already")
        self._all[name] = (kind, value)

    def lsid(self, name: str) -> Any:
        """The session's id; one that has ended does not tell any more."""
        return self._ended.get(name) or self[name].session_id

    def ends(self, name: str) -> None:
        self._ended[name] = self[name].session_id

    async def create(self, entities: list[dict[str, Any]]) -> None:
        for entity in entities:
            ((kind, fields),) = entity.items()
            if kind not in MAKERS:
                raise Unsupported(f"ferromongo has no {kind} yet")
            self.add(fields["id"], kind, await MAKERS[kind](self, fields))

    async def client(self, fields: dict[str, Any]) -> Any:
        if "autoEncryptOpts" in fields:
            raise Unsupported("ferromongo has no automatic encryption yet")
        given = dict(fields.get("uriOptions", {}))
        if missing := NOT_IN_PYMONGO.intersection(given):
            raise Unsupported(f"PyMongo has no {missing.pop()}")
        if "serverApi" in fields:
            api = fields["serverApi"]
            given["server_api"] = ServerApi(
                api["version"], api.get("strict"), api.get("deprecationErrors")
            )
        observer = Observer(fields)
        if "observeLogMessages" in fields:
            self.components[fields["id"]] = fields["observeLogMessages"]
        self.observers[fields["id"]] = observer
        uri = self._deployment.uri
        if given.get("directConnection"):
            uri = self._deployment.primary_uri
        watches_topology = observer.watches_topology or "topology" in fields.get(
            "observeLogMessages", {}
        )
        if watches_topology:
            given.setdefault("heartbeatFrequencyMS", 500)  # files wait for heartbeats
        client = self._driver.client(uri, event_listeners=[observer], **given)
        # From here on the test ends by closing it.
        self._all[fields["id"]] = ("client", client)
        # A synchronous client connects by itself.
        if (watches_topology or observer.watches_pools) and self._driver.name == "async":
            await client.aconnect()
        if wait := fields.get("awaitMinPoolSizeMS"):
            await self._filled(client, observer, given.get("minPoolSize", 0), wait / 1000)
        return self._all.pop(fields["id"])[1]

    async def _filled(self, client: Any, observer: Observer, size: int, timeout: float) -> None:
        if self._driver.name == "async":
            await client.aconnect()

        def filled() -> bool:
            ready = observer.of(monitoring.ConnectionReadyEvent)
            servers = client.topology_description.readable_servers
            return bool(servers) and len(ready) >= size * len(servers)

        await eventually(self._driver, filled, timeout)
        observer.forget()

    async def database(self, fields: dict[str, Any]) -> Any:
        client = self[fields["client"]]
        given = options(fields.get("databaseOptions", {}))
        return client.get_database(fields["databaseName"], **given)

    async def collection(self, fields: dict[str, Any]) -> Any:
        database = self[fields["database"]]
        given = options(fields.get("collectionOptions", {}))
        return database.get_collection(fields["collectionName"], **given)

    async def bucket(self, fields: dict[str, Any]) -> Any:
        given = options(fields.get("bucketOptions", {}))
        return self._driver.gridfs("GridFSBucket", self[fields["database"]], **given)

    async def session(self, fields: dict[str, Any]) -> Any:
        given = session_options(fields.get("sessionOptions", {}), self)
        return self[fields["client"]].start_session(**given)

    async def thread(self, fields: dict[str, Any]) -> "Thread":
        return Thread(self._driver)

    async def close(self) -> None:
        """Cursors and sessions before the clients they need."""
        for order in ("cursor", "session", "client"):
            for kind, value in list(self._all.values()):
                if kind == order:
                    await (value.end_session() if kind == "session" else value.close())


class Thread:
    """A thread of the format (on the asynchronous API a task): its operations run in order."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._last: Any = None

    def run(self, operation: Any, *arguments: Any) -> None:
        before = self._last

        async def after() -> None:
            if before is not None:
                await before.result()
            await operation(*arguments)

        self._last = self._driver.start(after)

    async def finish(self) -> None:
        if self._last is not None:
            try:
                await self._last.result(20)
            except TimeoutError as error:
                raise AssertionError("the thread did not come to its end") from error


MAKERS: dict[str, Any] = {
    "client": Entities.client,
    "database": Entities.database,
    "collection": Entities.collection,
    "bucket": Entities.bucket,
    "session": Entities.session,
    "thread": Entities.thread,
}
