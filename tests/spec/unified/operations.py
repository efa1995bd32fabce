"""The operations of the format on clients, databases, collections, sessions and cursors.

Most are one method whose arguments are called alike: they stand in a table. PyMongo's own classes
say which parameters a method has.
"""

import contextlib
import io
from collections.abc import Mapping
from typing import Any

from gridfs import GridFSBucket
from pymongo.driver_info import DriverInfo
from pymongo.synchronous.client_session import ClientSession
from pymongo.synchronous.collection import Collection
from pymongo.synchronous.cursor import Cursor
from pymongo.synchronous.database import Database
from pymongo.synchronous.mongo_client import MongoClient
from tests.drivers import package
from tests.spec.unified.arguments import argument, keywords
from tests.spec.unified.match import Unsupported
from tests.spec.unified.results import as_document


async def run(runner: Any, kind: str, name: str, target: Any, given: Mapping[str, Any]) -> Any:
    """The result of one operation on an entity, as a document."""
    arguments = dict(given)
    limit = arguments.pop("timeoutMS", None)
    with package.timeout(limit / 1000) if limit is not None else contextlib.nullcontext():
        if (special := SPECIAL.get((kind, name))) is not None:
            return as_document(await special(runner, target, arguments))
        if name in PLAIN.get(kind, {}):
            return as_document(await plain(runner, kind, name, target, arguments))
    if name in NO_HELPER:
        raise Unsupported(f"PyMongo has no {name}")
    raise KeyError(f"a {kind} has no operation {name}")


async def plain(runner: Any, kind: str, name: str, target: Any, arguments: Any) -> Any:
    method, renamed = PLAIN[kind][name]
    like = getattr(CLASSES[kind], method)
    return await getattr(target, method)(**keywords(like, arguments, runner.entities, renamed))


async def listed(runner: Any, kind: str, name: str, target: Any, arguments: Any) -> Any:
    cursor = await plain(runner, kind, name, target, arguments)
    try:
        return await cursor.to_list()
    finally:
        await cursor.close()


def lists(kind: str, name: str) -> Any:
    return lambda runner, target, arguments: listed(runner, kind, name, target, arguments)


def cursor(runner: Any, collection: Any, arguments: dict[str, Any]) -> Any:
    await_time = arguments.pop("maxAwaitTimeMS", None)
    if "filter" not in arguments:
        raise KeyError("a find needs a filter")
    found = collection.find(**keywords(Cursor.__init__, arguments, runner.entities, {}))
    return found if await_time is None else found.max_await_time_ms(await_time)


async def find(runner: Any, collection: Any, arguments: dict[str, Any]) -> Any:
    found = cursor(runner, collection, arguments)
    try:
        return await found.to_list()
    finally:
        await found.close()


async def find_one(runner: Any, collection: Any, arguments: dict[str, Any]) -> Any:
    taken = keywords(Cursor.__init__, arguments, runner.entities, {})
    return await collection.find_one(**taken)


class Opened:
    """A find cursor whose first batch has been asked for, as the format wants it."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.first: list[Any] = []

    async def open(self) -> "Opened":
        with contextlib.suppress(StopAsyncIteration):
            self.first.append(await self.inner.__anext__())
        return self

    async def next(self) -> Any:
        """The next document, None if one more request brought none."""
        if self.first:
            return self.first.pop()
        try:
            return await self.inner.__anext__()
        except StopAsyncIteration:
            return None

    async def close(self) -> None:
        await self.inner.close()


async def create_find_cursor(runner: Any, collection: Any, arguments: dict[str, Any]) -> Opened:
    return await Opened(cursor(runner, collection, arguments)).open()


async def create_command_cursor(runner: Any, database: Any, arguments: dict[str, Any]) -> Any:
    arguments.pop("commandName", None)
    arguments.pop("cursorType", None)
    batch_size = arguments.pop("batchSize", 0)
    comment = arguments.pop("comment", None)
    renamed = {"maxTimeMS": "max_await_time_ms"}
    taken = keywords(Database.cursor_command, arguments, runner.entities, renamed)
    opened = await database.cursor_command(**taken, comment=comment)
    return opened.batch_size(batch_size) if batch_size else opened


async def run_cursor_command(runner: Any, database: Any, arguments: dict[str, Any]) -> Any:
    opened = await create_command_cursor(runner, database, arguments)
    try:
        return await opened.to_list()
    finally:
        await opened.close()


async def iterate_once(runner: Any, target: Any, arguments: dict[str, Any]) -> Any:
    return await (target.next() if isinstance(target, Opened) else target.try_next())


async def iterate_until_document(runner: Any, target: Any, arguments: dict[str, Any]) -> Any:
    if isinstance(target, Opened):
        while (document := await target.next()) is None:
            if not target.inner.alive:
                raise Exhausted
        return document
    return await target.next()


class Exhausted(Exception):
    """A cursor came to its end without a document."""


async def run_command(runner: Any, database: Any, arguments: dict[str, Any]) -> Any:
    arguments.pop("commandName", None)
    return await database.command(**keywords(Database.command, arguments, runner.entities, {}))


async def create_collection(runner: Any, database: Any, arguments: dict[str, Any]) -> Any:
    # Else PyMongo asks for the collections first, which the files do not expect.
    arguments["check_exists"] = False
    return await plain(runner, "database", "createCollection", database, arguments)


async def modify_collection(runner: Any, database: Any, arguments: dict[str, Any]) -> Any:
    return await database.command({"collMod": arguments.pop("collection"), **arguments})


async def append_metadata(runner: Any, client: Any, arguments: dict[str, Any]) -> None:
    client.append_metadata(DriverInfo(**arguments["driverInfoOptions"]))


async def close(runner: Any, target: Any, arguments: dict[str, Any]) -> None:
    await target.close()


async def with_transaction(runner: Any, session: Any, arguments: dict[str, Any]) -> None:
    callback = arguments.pop("callback")

    async def run_all(session: Any) -> None:
        for operation in callback:
            await runner.operation(operation, within_callback=True)

    given = keywords(ClientSession.with_transaction, arguments, runner.entities, {})
    await session.with_transaction(run_all, **given)


async def snapshot_time(runner: Any, session: Any, arguments: dict[str, Any]) -> Any:
    if not hasattr(package.client_session.ClientSession, "snapshot_time"):
        raise Unsupported("PyMongo has no getSnapshotTime")
    return session.snapshot_time


async def advance_cluster_time(runner: Any, session: Any, arguments: dict[str, Any]) -> None:
    session.advance_cluster_time(argument("clusterTime", arguments["clusterTime"], {}))


async def upload(runner: Any, bucket: Any, arguments: dict[str, Any]) -> Any:
    if "disableMD5" in arguments:
        arguments.pop("disableMD5")  # PyMongo has no such option: it makes none
    arguments["source"] = bytes.fromhex(arguments["source"]["$$hexBytes"])
    return await plain(runner, "bucket", "upload", bucket, arguments)


def downloads(name: str) -> Any:
    async def download(runner: Any, bucket: Any, arguments: dict[str, Any]) -> bytes:
        arguments["destination"] = io.BytesIO()
        await plain(runner, "bucket", name, bucket, arguments)
        return bytes(arguments["destination"].getvalue())

    return download


async def drop_bucket(runner: Any, bucket: Any, arguments: dict[str, Any]) -> None:
    raise Unsupported("PyMongo has no drop of a bucket")


async def find_files(runner: Any, bucket: Any, arguments: dict[str, Any]) -> Any:
    return [file._file for file in await bucket.find(arguments["filter"]).to_list()]


CLASSES: dict[str, type] = {
    "client": MongoClient,
    "database": Database,
    "collection": Collection,
    "bucket": GridFSBucket,
    "session": ClientSession,
}
# The format's name: the method, and the parameters whose names are not the same in snake_case.
PLAIN: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    "client": {
        "clientBulkWrite": ("bulk_write", {}),
        "createChangeStream": ("watch", {}),
        "dropDatabase": ("drop_database", {"database": "name_or_database"}),
        "listDatabaseNames": ("list_database_names", {}),
        "listDatabases": ("list_databases", {}),
    },
    "database": {
        "aggregate": ("aggregate", {}),
        "createChangeStream": ("watch", {}),
        "createCollection": ("create_collection", {"collection": "name"}),
        "dropCollection": ("drop_collection", {"collection": "name_or_collection"}),
        "listCollectionNames": ("list_collection_names", {}),
        "listCollections": ("list_collections", {}),
    },
    "collection": {
        "aggregate": ("aggregate", {}),
        "bulkWrite": ("bulk_write", {}),
        "countDocuments": ("count_documents", {}),
        "createChangeStream": ("watch", {}),
        "createIndex": ("create_index", {}),
        "createSearchIndex": ("create_search_index", {}),
        "createSearchIndexes": ("create_search_indexes", {}),
        "deleteMany": ("delete_many", {}),
        "deleteOne": ("delete_one", {}),
        "distinct": ("distinct", {"fieldName": "key"}),
        "drop": ("drop", {}),
        "dropIndex": ("drop_index", {"name": "index_or_name"}),
        "dropIndexes": ("drop_indexes", {}),
        "dropSearchIndex": ("drop_search_index", {}),
        "estimatedDocumentCount": ("estimated_document_count", {}),
        "findOneAndDelete": ("find_one_and_delete", {}),
        "findOneAndReplace": ("find_one_and_replace", {}),
        "findOneAndUpdate": ("find_one_and_update", {}),
        "insertMany": ("insert_many", {}),
        "insertOne": ("insert_one", {}),
        "listIndexes": ("list_indexes", {}),
        "listSearchIndexes": ("list_search_indexes", {}),
        "rename": ("rename", {"to": "new_name"}),
        "replaceOne": ("replace_one", {}),
        "updateMany": ("update_many", {}),
        "updateOne": ("update_one", {}),
        "updateSearchIndex": ("update_search_index", {}),
    },
    "bucket": {
        "delete": ("delete", {"id": "file_id"}),
        "deleteByName": ("delete_by_name", {}),
        "download": ("download_to_stream", {"id": "file_id"}),
        "downloadByName": ("download_to_stream_by_name", {}),
        "rename": ("rename", {"id": "file_id"}),
        "renameByName": ("rename_by_name", {}),
        "upload": ("upload_from_stream", {}),
    },
    "session": {
        "abortTransaction": ("abort_transaction", {}),
        "commitTransaction": ("commit_transaction", {}),
        "endSession": ("end_session", {}),
        "startTransaction": ("start_transaction", {}),
    },
}
# Those whose method answers a cursor, and those that are more than one call.
SPECIAL: dict[tuple[str, str], Any] = {
    ("client", "listDatabases"): lists("client", "listDatabases"),
    ("client", "appendMetadata"): append_metadata,
    ("client", "close"): close,
    ("database", "aggregate"): lists("database", "aggregate"),
    ("database", "listCollections"): lists("database", "listCollections"),
    ("database", "runCommand"): run_command,
    ("database", "createCollection"): create_collection,
    ("database", "modifyCollection"): modify_collection,
    ("database", "runCursorCommand"): run_cursor_command,
    ("database", "createCommandCursor"): create_command_cursor,
    ("collection", "aggregate"): lists("collection", "aggregate"),
    ("collection", "find"): find,
    ("collection", "findOne"): find_one,
    ("collection", "listIndexes"): lists("collection", "listIndexes"),
    ("collection", "listSearchIndexes"): lists("collection", "listSearchIndexes"),
    ("collection", "createFindCursor"): create_find_cursor,
    ("bucket", "download"): downloads("download"),
    ("bucket", "downloadByName"): downloads("downloadByName"),
    ("bucket", "drop"): drop_bucket,
    ("bucket", "find"): find_files,
    ("bucket", "upload"): upload,
    ("session", "withTransaction"): with_transaction,
    ("session", "getSnapshotTime"): snapshot_time,
    ("session", "advanceClusterTime"): advance_cluster_time,
    ("cursor", "iterateOnce"): iterate_once,
    ("cursor", "iterateUntilDocumentOrError"): iterate_until_document,
    ("cursor", "close"): close,
}
# No methods in PyMongo: skipped there too.
NO_HELPER = {
    "count",
    "listCollectionObjects",
    "listDatabaseObjects",
    "listIndexNames",
    "mapReduce",
}
