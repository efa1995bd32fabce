"""What a program with files sends to the server, and what it gets to hear: as with PyMongo."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import gridfs
import pymongo
from bson import ObjectId
from pymongo.monitoring import CommandListener, CommandStartedEvent

import ferromongo.gridfs

# What differs from run to run, and what belongs to the connection.
LEFT_OUT = {"lsid", "$clusterTime", "txnNumber", "$db", "operationTime"}
NAME = "gridfs_parity"


class Started(CommandListener):
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.heard.append(
            {key: plain(value) for key, value in event.command.items() if key not in LEFT_OUT}
        )

    def succeeded(self, event: Any) -> None:
        pass

    failed = succeeded


def plain(value: Any) -> Any:
    """Keys, times and cursors that are made anew in each run become their types."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (str, bytes)) or (isinstance(value, int) and abs(value) < 1 << 31):
        return value
    return type(value).__name__


async def program(package: Any, files: Any, uri: str) -> tuple[list[Any], list[Any]]:
    """What it sends, and the results of its steps."""
    listener = Started()
    results: list[Any] = []
    async with package.AsyncMongoClient(uri, event_listeners=[listener]) as client:
        await client.drop_database(NAME)
        database = client[NAME]

        async def step(call: Any) -> Any:
            try:
                result = await call
            except Exception as error:
                result = type(error)
            results.append(plain(result) if not hasattr(result, "read") else "file")
            return result

        bucket = files.AsyncGridFSBucket(database, "media", 10)
        fs = files.AsyncGridFS(database, "media")
        for key, contents in ((1, b"0123456789abc"), (2, b""), (1, b"again")):
            await step(bucket.upload_from_stream_with_id(key, "a", contents))
        await step(bucket.upload_from_stream("b", io.BytesIO(b"x" * 30), 7, {"lang": "en"}))
        await step(fs.put(b"y" * 5, filename="c", content_type="text/plain", chunkSize=2))
        async with bucket.open_upload_stream("long", chunk_size_bytes=1) as file:
            await file.write(b"z" * 150)
        await step(file.set("colour", "red"))

        long = await step(bucket.open_download_stream(file._id))
        await step(long.read(3))
        await step(long.read())
        await step(long.read())
        await step(long.seek(-2, 2))
        await step(long.readline())
        await long.close()
        for name, revision in (("a", 0), ("a", -1), ("a", 7), (5, 0)):
            out = io.BytesIO()
            await step(bucket.download_to_stream_by_name(name, out, revision))
            results.append(out.getvalue())
        for key in (1, 9, {"$gt": 0}):
            await step(bucket.download_to_stream(key, io.BytesIO()))
        for given in (1, {"_id": 1}, None, "no"):
            await step(fs.exists(given))
        await step(fs.exists(filename="a"))
        await step(fs.list())
        await step(fs.get_version("a", 1))
        await step(fs.get_last_version(**{"metadata.lang": "en"}))
        found = fs.find({"filename": {"$lt": "d"}}, limit=3, sort=[("filename", 1)], batch_size=2)
        async for each in found.clone().skip(1):
            results.append((each.filename, each.length))
        results.append([each.filename for each in await found.to_list()])
        await step(bucket.rename(1, "first"))
        await step(bucket.rename(9, "first"))
        await step(bucket.rename_by_name("a", "second"))
        for key in (1, 9, ObjectId()):
            await step(bucket.delete(key))
        await step(fs.delete(2))
        await step(bucket.delete_by_name("long"))
        await step(bucket.delete_by_name("long"))
        aborted = bucket.open_upload_stream("d")
        await step(aborted.write(b"x" * 25))
        await step(aborted.abort())
        await step(aborted.write(b"x"))
        await client.drop_database(NAME)
    return listener.heard, results


async def test_the_same_commands_and_results(mongodb_uri: str) -> None:
    theirs = await program(pymongo, gridfs, mongodb_uri)
    ours = await program(ferromongo, ferromongo.gridfs, mongodb_uri)
    assert ours[1] == theirs[1]
    ends = ("killCursors", "endSessions")  # which may come later
    sent = [[one for one in heard if next(iter(one)) not in ends] for heard, _ in (ours, theirs)]
    assert sent[0] == sent[1]
