"""Whatever is written to a file, and however it is read: PyMongo's GridFS stores the same chunks
and reads the same bytes. On a real server."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import gridfs
import pymongo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ferromongo
import ferromongo.gridfs

pieces = st.binary(max_size=30) | st.lists(st.sampled_from([b"a", b"\n"]), max_size=30).map(
    b"".join
)
# Bytes, and the same from a file.
writes = st.lists(st.tuples(pieces, st.booleans()), max_size=6)
sizes = st.integers(-1, 40)
reads = st.lists(
    st.one_of(
        st.tuples(st.just("read"), sizes),
        st.tuples(st.just("readline"), sizes),
        st.tuples(st.just("readlines"), sizes),
        st.tuples(st.just("readchunk")),
        st.tuples(st.just("__next__")),
        st.tuples(st.just("seek"), st.integers(-20, 60), st.integers(0, 2)),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def databases(mongodb_uri: str) -> Any:
    name = "gridfs_beside_pymongo"
    with (
        pymongo.MongoClient(mongodb_uri, w=1) as theirs,
        ferromongo.MongoClient(mongodb_uri, w=1) as ours,
    ):
        yield ours[name], theirs[name]
        theirs.drop_database(name)


# Each example takes a server tens of milliseconds.
@settings(max_examples=min(settings().max_examples // 4, 1000))
@given(st.integers(1, 12), writes, reads)
def test_files(databases: Any, chunk_size: int, writes: Any, reads: Any) -> None:
    ours, theirs = databases
    written = [
        stored(kind(database.fs, chunk_size=chunk_size), writes)
        for kind, database in ((ferromongo.gridfs.GridIn, ours), (gridfs.GridIn, theirs))
    ]
    found = [chunks(theirs, key) for key in written]
    assert found[0] == found[1]
    results = [outcome(ours.fs, ferromongo.gridfs.GridOut, key, reads) for key in written]
    assert results[0] == results[1]
    assert results[0] == outcome(theirs.fs, gridfs.GridOut, written[0], reads)


def stored(file: Any, writes: Any) -> Any:
    for data, from_file in writes:
        file.write(io.BytesIO(data) if from_file else data)
    file.close()
    return file._id


def chunks(database: Any, key: Any) -> Any:
    file = database.fs.files.find_one({"_id": key}, {"_id": 0, "uploadDate": 0})
    found = database.fs.chunks.find({"files_id": key}, sort={"n": 1})
    return file, [(chunk["n"], chunk["data"]) for chunk in found]


def outcome(root: Any, kind: Any, key: Any, reads: Any) -> list[Any]:
    with kind(root, key) as file:
        return [(call(file, *each), file.tell()) for each in reads]


def call(file: Any, name: str, *arguments: Any) -> Any:
    try:
        return getattr(file, name)(*arguments)
    except (OSError, StopIteration) as error:
        return type(error)


@settings(max_examples=min(settings().max_examples // 8, 200))
@given(st.integers(1, 12), writes, reads)
def test_files_of_the_asynchronous_api(
    databases: Any, mongodb_uri: str, chunk_size: int, writes: Any, reads: Any
) -> None:
    """Against the synchronous one."""
    ours, _ = databases

    async def twin() -> Any:
        async with ferromongo.AsyncMongoClient(mongodb_uri, w=1) as client:
            root = client[ours.name].fs
            file = ferromongo.gridfs.AsyncGridIn(root, chunk_size=chunk_size)
            for data, from_file in writes:
                await file.write(io.BytesIO(data) if from_file else data)
            await file.close()
            async with ferromongo.gridfs.AsyncGridOut(root, file._id) as again:
                return file._id, [(await async_call(again, *each), again.tell()) for each in reads]

    key, results = asyncio.run(twin())
    assert results == outcome(ours.fs, ferromongo.gridfs.GridOut, key, reads)
    assert (
        chunks(ours, key)[1]
        == chunks(ours, stored(ferromongo.gridfs.GridIn(ours.fs, chunk_size=chunk_size), writes))[1]
    )


async def async_call(file: Any, name: str, *arguments: Any) -> Any:
    try:
        return await getattr(file, name.replace("__next__", "__anext__"))(*arguments)
    except OSError as error:
        return type(error)
    except StopAsyncIteration:
        return StopIteration
